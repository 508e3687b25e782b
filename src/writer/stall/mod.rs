//! How long the writer's thread has been waiting for its log, seen from outside: a disk that hangs holds that thread, and nobody
//! can take it out of there.
//!
//! Whoever waits for an answer is not held with it: after a while who is in the queue is told that nothing was kept, who is in the
//! commit under way that it is not known, and nobody is let in, until the call comes back.

use super::queue::Queue;
use crate::telemetry::Telemetry;
use crate::time::Clock;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A call of the log that takes longer is said: in a line, in `change_events_log_stalled_seconds`, and by `/-/ready`.
pub const STALL: Duration = Duration::from_secs(1);
/// How often the writer's thread is looked at.
const EVERY: Duration = Duration::from_millis(100);

/// The call of the log that the writer's thread is in.
#[derive(Debug)]
pub(super) struct LogCall {
    clock: Arc<dyn Clock>,
    /// When it began, by the steady clock in microseconds and one more; 0 for none.
    since: AtomicU64,
}

impl LogCall {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, since: AtomicU64::new(0) }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.clock.read().steady.as_micros()).unwrap_or(u64::MAX - 1)
    }

    /// The thread goes into the log.
    pub(super) fn begin(&self) {
        self.since.store(self.now() + 1, Ordering::SeqCst);
    }

    /// It has come back.
    pub(super) fn end(&self) {
        self.since.store(0, Ordering::SeqCst);
    }

    /// How long it has been there, when that is long enough to be said; else nothing.
    pub(super) fn stalled(&self) -> Option<Duration> {
        let began = self.since.load(Ordering::SeqCst).checked_sub(1)?;
        Some(Duration::from_micros(self.now().saturating_sub(began))).filter(|lasted| *lasted >= STALL)
    }
}

/// Looks at the writer's thread, and lets nobody wait with it for too long.
#[derive(Debug)]
pub struct Watch {
    pub(super) call: Arc<LogCall>,
    pub(super) queue: Arc<Queue>,
    pub(super) telemetry: Arc<Telemetry>,
    /// How long somebody waits for a call of the log (`--storage.sync-timeout`).
    pub(super) timeout: Duration,
    /// What was said of the present stall, and how long it was when it was last seen.
    pub(super) said: Said,
}

/// What whoever runs the server was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Said {
    #[default]
    Nothing,
    /// That it waits.
    Stalled(Duration),
    /// That senders do not wait any longer.
    TimedOut(Duration),
}

impl Watch {
    /// Looks again and again, until it is dropped.
    pub async fn run(mut self) {
        loop {
            tokio::time::sleep(EVERY).await;
            self.look();
        }
    }

    /// Says what there is to be said, and lets go who has waited for too long.
    pub(super) fn look(&mut self) {
        let stalled = self.call.stalled();
        self.say(stalled);
        if stalled.is_some_and(|lasted| lasted >= self.timeout) {
            self.queue.give_up_if(|| self.call.stalled().is_some_and(|lasted| lasted >= self.timeout));
        }
    }

    fn say(&mut self, stalled: Option<Duration>) {
        self.said = match (stalled, self.said) {
            (None, Said::Nothing) => Said::Nothing,
            (None, Said::Stalled(lasted) | Said::TimedOut(lasted)) => {
                tracing::info!(seconds = lasted.as_secs_f64(), "the disk answers again");
                Said::Nothing
            }
            (Some(lasted), Said::TimedOut(_)) => Said::TimedOut(lasted),
            (Some(lasted), said) if lasted >= self.timeout => {
                if said == Said::Nothing {
                    self.telemetry.log_stalls.inc();
                }
                let seconds = lasted.as_secs_f64();
                tracing::error!(seconds, "the disk does not answer: senders are told to come again, what is new is refused");
                Said::TimedOut(lasted)
            }
            (Some(lasted), Said::Nothing) => {
                self.telemetry.log_stalls.inc();
                tracing::warn!(seconds = lasted.as_secs_f64(), "the event log waits for the disk");
                Said::Stalled(lasted)
            }
            (Some(lasted), Said::Stalled(_)) => Said::Stalled(lasted),
        };
    }
}

#[cfg(test)]
mod tests;
