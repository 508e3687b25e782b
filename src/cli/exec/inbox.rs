//! What the main thread of `exec` hears from the other two, and what it tells the user of that.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;
use std::time::Instant;

use super::signals::Relay;
use super::spool::Spool;
use crate::cli;
use crate::cli::server::Patience;
use crate::client::Accepted;
use crate::client::ClientError;
use crate::client::State;

/// How long after the end of the job the spool may take to keep something: nothing is sent before that.
pub(super) const KEPT_WITHIN: Duration = Duration::from_secs(5);
/// How soon a signal is noticed while nothing else happens.
const SIGNALS_LOOKED_FOR: Duration = Duration::from_millis(50);

/// Something for the main thread.
#[derive(Debug)]
pub(super) enum Wake {
    /// A try to deliver this end failed, why, and when the next one is.
    Trouble { end: State, reason: String, next_try: Instant },
    /// The start is delivered, or refused.
    Start(Result<Accepted, ClientError>),
    /// The stop is.
    Stop(Result<Accepted, ClientError>),
    /// The spool took the start, and where, or did not.
    StartKept(io::Result<PathBuf>),
    /// The same of the stop.
    StopKept(io::Result<PathBuf>),
    /// To be told to the user when the job is over.
    Note(String),
}

/// What was heard so far.
pub(super) struct Inbox {
    wakes: Receiver<Wake>,
    relay: Relay,
    pub(super) start: Option<Result<Accepted, ClientError>>,
    pub(super) stop: Option<Result<Accepted, ClientError>>,
    /// Why the last try failed.
    pub(super) trouble: Option<String>,
    /// Where the spool has the start, or why not; nothing as long as nobody knows.
    pub(super) start_kept: Option<io::Result<PathBuf>>,
    /// The same of the stop.
    pub(super) stop_kept: Option<io::Result<PathBuf>>,
    /// When that end is tried again.
    next_try: Option<(State, Instant)>,
    interrupted: bool,
    tries_failed: usize,
    notes: Vec<String>,
}

impl Inbox {
    pub(super) fn new(wakes: Receiver<Wake>, relay: Relay) -> Self {
        Self {
            wakes,
            relay,
            start: None,
            stop: None,
            trouble: None,
            start_kept: None,
            stop_kept: None,
            next_try: None,
            interrupted: false,
            tries_failed: 0,
            notes: Vec::new(),
        }
    }

    /// Waits for what becomes of this end and of those before it, for `--retry-for` but at least for one try. Not until then where
    /// no other try of this end comes in time, where the spool does not have it all by `kept_by`, or where a signal says that it is
    /// enough.
    pub(super) fn wait(&mut self, patience: Patience, end: State, kept_by: Option<Instant>) {
        while let Ok(wake) = self.wakes.try_recv() {
            self.take(wake);
        }
        let before = self.tries_failed;
        let Patience { timeout, retry_for } = patience;
        let longest = if retry_for.is_zero() { timeout } else { retry_for };
        let deadline = Instant::now() + longest;
        let mut told = retry_for.is_zero();
        while self.start.is_none() || (end == State::Stop && self.stop.is_none()) {
            self.interrupted |= self.relay.asked_to_end().is_some();
            let now = Instant::now();
            let left = deadline.saturating_duration_since(now);
            let too_late = self.next_try.is_some_and(|(of, at)| of == end && at > deadline);
            let disk_hangs = kept_by.is_some_and(|by| now >= by) && !self.is_kept();
            if self.interrupted || left.is_zero() || too_late || disk_hangs {
                return;
            }
            match self.wakes.recv_timeout(left.min(SIGNALS_LOOKED_FOR)) {
                Ok(wake) => self.take(wake),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.tries_failed > before {
                if retry_for.is_zero() {
                    return;
                }
                let in_time = self.next_try.is_some_and(|(_, at)| at <= deadline);
                if !told
                    && in_time
                    && let Some(trouble) = &self.trouble
                {
                    told = true;
                    cli::note(&format!("{trouble}; trying again for {}s, a signal ends that", longest.as_secs()));
                }
            }
        }
    }

    /// Waits until it is known what the spool has, or until then. A disk may hang.
    pub(super) fn wait_kept(&mut self, kept_by: Instant) {
        while !self.is_kept() {
            match self.wakes.recv_timeout(kept_by.saturating_duration_since(Instant::now())) {
                Ok(wake) => self.take(wake),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Whether it is known of each end that the server does not have whether the spool has it.
    fn is_kept(&self) -> bool {
        let known = |result: &Option<Result<Accepted, ClientError>>, kept: &Option<_>| kept.is_some() || matches!(result, Some(Ok(_)));
        known(&self.start, &self.start_kept) && known(&self.stop, &self.stop_kept)
    }

    fn take(&mut self, wake: Wake) {
        match wake {
            Wake::Trouble { end, reason, next_try } => {
                self.trouble = Some(reason);
                self.next_try = Some((end, next_try));
                self.tries_failed += 1;
            }
            Wake::Start(result) => self.start = Some(result),
            Wake::Stop(result) => self.stop = Some(result),
            Wake::StartKept(result) => self.start_kept = Some(result),
            Wake::StopKept(result) => self.stop_kept = Some(result),
            Wake::Note(line) => self.notes.push(line),
        }
    }

    /// Says what the other threads found worth saying, and what the server warned of.
    pub(super) fn tell(&mut self) {
        for line in self.notes.drain(..) {
            cli::note(&line);
        }
        for (end, result) in [("start", &self.start), ("stop", &self.stop)] {
            for warning in result.iter().flatten().flat_map(|accepted| &accepted.warnings) {
                cli::note(&format!("warning: {end}: {warning}"));
            }
        }
    }

    /// Says which end the server does not have, why, and where it is now: that it is kept only when it is.
    pub(super) fn tell_undelivered(&self, spool: Option<&Spool>) {
        for (end, result, kept) in [("start", &self.start, &self.start_kept), ("stop", &self.stop, &self.stop_kept)] {
            let reason = match result {
                Some(Ok(_)) => continue,
                Some(Err(error)) => cli::with_causes(error),
                None => self.trouble.clone().unwrap_or_else(|| "no answer yet".to_owned()),
            };
            let refused = matches!(result, Some(Err(error)) if !error.minds_the_sender() && !error.is_transient());
            let place = match (spool, kept) {
                _ if refused => "it is lost".to_owned(),
                (_, Some(Ok(place))) => format!("it is kept in {} for the next run", place.display()),
                (Some(spool), Some(Err(error))) => {
                    format!("it is lost, because {} does not take it: {error}", spool.directory().display())
                }
                (Some(spool), None) => format!("it is lost, unless {} still takes it", spool.directory().display()),
                (None, None | Some(Err(_))) => {
                    "it is lost, since there is no folder to keep it in (see CHANGE_EVENTS_SPOOL_DIR)".to_owned()
                }
            };
            cli::note(&format!("warning: the {end} is not reported: {reason}; {place}"));
        }
    }
}
