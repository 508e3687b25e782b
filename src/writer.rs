//! The only mutator: one thread that admits, appends, syncs, applies and answers, for everything that waited at once.
//!
//! Nothing but this module knows which log it is, and nothing but this module calls `apply`. It parses no payload and
//! knows no HTTP. ARCHITECTURE.md walks through a commit.

mod commit;
mod replay;
mod retention;
mod steady;

use crate::event::Command;
use crate::event::EdgeId;
use crate::event::Expect;
use crate::event::Version;
use crate::event::record;
use crate::exposition::Exposure;
use crate::exposition::Pages;
use crate::log::AppendError;
use crate::log::Disk;
use crate::log::SegmentLog;
use crate::store::Claimed;
use crate::store::Refusal;
use crate::store::Store;
use crate::telemetry::Telemetry;
use crate::telemetry::logging::with_causes;
use crate::time::Clock;
use commit::Committer;
use parking_lot::RwLock;
pub use replay::Opened;
pub use replay::RefusedRecord;
pub use replay::ReplayError;
pub use replay::Unread;
pub use replay::open;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

/// Submissions that may wait for the writer; beyond it senders are told to come again.
pub const QUEUE_MAX: usize = 16_384;

/// What the writer needs besides its log.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long after its receipt an edge is kept; `None` for ever (`--storage.retention.time`).
    pub retention: Option<Duration>,
}

/// What became of one command, after it was synced and is visible.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// An edge is in the store.
    Edge {
        /// Its id.
        id: EdgeId,
        /// It was there already.
        duplicate: bool,
        /// What becomes of its sample; `None` for a duplicate.
        exposure: Option<Exposure>,
    },
    /// An event was put, described or deleted.
    Changed {
        /// Its version now; `None` when it is deleted.
        version: Option<Version>,
        /// What becomes of its new samples.
        exposures: Vec<Exposure>,
    },
    /// An event was not as expected; nothing was done.
    Unexpected(Option<Version>),
    /// An `Idempotency-Key` was looked up.
    Claim(Claimed),
    /// A retirement ran.
    Retired,
    /// A limit refused the command; nothing was kept of it.
    Refused(Refusal),
    /// The command's record is larger than the log takes; nothing was kept of it.
    TooLarge {
        /// Of the record.
        bytes: usize,
        /// Of the largest record.
        limit: usize,
    },
}

/// Why a submission was not taken. Its text holds nothing of the cause, which the writer has logged.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SubmitError {
    /// Too much is waiting already.
    #[error("too many requests are waiting to be written")]
    Busy,
    /// The log did not take it: nothing was kept, and it may be taken later.
    #[error("the event log cannot be written")]
    Log(#[source] Arc<AppendError>),
    /// A sync failed, this time or before: the log takes nothing more until a restart.
    #[error("the event log is latched")]
    Latched(#[source] Arc<AppendError>),
    /// The program is stopping.
    #[error("the server is stopping")]
    Closed,
}

/// Whether writing works.
#[derive(Clone, Debug, Default)]
pub enum Health {
    /// The last append worked.
    #[default]
    Ok,
    /// The last append failed and left nothing behind; the next may work.
    Failing(Arc<AppendError>),
    /// A sync failed: nothing is accepted until a restart.
    Latched(Arc<AppendError>),
}

impl From<Arc<AppendError>> for SubmitError {
    fn from(error: Arc<AppendError>) -> Self {
        if matches!(*error, AppendError::Latched(_)) { Self::Latched(error) } else { Self::Log(error) }
    }
}

impl From<Arc<AppendError>> for Health {
    fn from(error: Arc<AppendError>) -> Self {
        if matches!(*error, AppendError::Latched(_)) { Self::Latched(error) } else { Self::Failing(error) }
    }
}

impl Health {
    /// Why writing does not work, with all causes; for the log alone.
    fn reason(&self) -> Option<String> {
        match self {
            Self::Ok => None,
            Self::Failing(error) | Self::Latched(error) => Some(with_causes(error)),
        }
    }
}

/// Commands and their records, ready for the log.
#[derive(Debug, Default)]
pub struct Encoded {
    commands: Vec<Command>,
    /// Of the edges that the commands are (see [`Command::edge_id`]).
    ids: Vec<EdgeId>,
    /// What the event of the first command must be like; else nothing of this is done.
    expect: Option<Expect>,
    records: Records,
}

impl Encoded {
    /// Encodes commands; worth a thread of its own when there are many.
    pub fn of(commands: Vec<Command>) -> Self {
        Self { records: Records::of(&commands), ids: commands.iter().map(Command::edge_id).collect(), expect: None, commands }
    }

    /// Whether there is no command.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// Takes out the commands whose records have more than `limit` bytes: the place of each, and its outcome.
    fn take_too_large(&mut self, limit: usize) -> Vec<(usize, Outcome)> {
        let lengths: Vec<usize> = self.records.iter().map(<[u8]>::len).collect();
        if lengths.iter().all(|bytes| *bytes <= limit) {
            return Vec::new();
        }
        let mut each = lengths.iter();
        self.commands.retain(|_| each.next().is_some_and(|bytes| *bytes <= limit));
        self.records = Records::of(&self.commands);
        let too_large = lengths.into_iter().enumerate().filter(|(_, bytes)| *bytes > limit);
        too_large.map(|(place, bytes)| (place, Outcome::TooLarge { bytes, limit })).collect()
    }
}

struct Submission {
    encoded: Encoded,
    reply: oneshot::Sender<Reply>,
}

/// What became of a submission, and what it was made of: whoever made that frees it, the writer has better to do.
struct Reply {
    answer: Result<Vec<Outcome>, SubmitError>,
    _spent: Encoded,
}

/// Encoded records, end to end.
#[derive(Debug, Default)]
struct Records {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Records {
    fn of(commands: &[Command]) -> Self {
        let mut records = Self { bytes: Vec::with_capacity(commands.len() * 256), ends: Vec::with_capacity(commands.len()) };
        for command in commands {
            record::encode(command, &mut records.bytes);
            records.ends.push(records.bytes.len());
        }
        records
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| self.bytes.get(start..end).unwrap_or_default())
    }
}

/// The way to the writer; cheap to clone.
#[derive(Clone, Debug)]
pub struct Writer {
    sender: mpsc::Sender<Submission>,
    health: Arc<RwLock<Health>>,
    telemetry: Arc<Telemetry>,
    record_bytes_max: usize,
}

/// The writer's thread.
#[derive(Debug)]
pub struct Running {
    thread: JoinHandle<Result<(), String>>,
}

/// What the writer folds the log into.
#[derive(Clone, Debug)]
pub struct Memory {
    /// Events.
    pub store: Arc<Store>,
    /// Which sample is on a page when.
    pub pages: Arc<Pages>,
}

impl Memory {
    /// Empties it for a log whose stops have this skew, where their records say nothing else.
    fn begin(&self, skew: Duration) {
        self.store.begin(skew);
        self.pages.begin();
    }
}

impl Writer {
    /// Starts the thread on an opened log.
    pub fn start<D>(
        opened: Opened<D>,
        memory: Memory,
        options: Options,
        clock: Arc<dyn Clock>,
        telemetry: Arc<Telemetry>,
    ) -> std::io::Result<(Self, Running)>
    where
        D: Disk + 'static,
        SegmentLog<D>: Send,
    {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        let health = Arc::new(RwLock::new(Health::Ok));
        let record_bytes_max = opened.log.record_bytes_max();
        let committer = Committer::new(opened, memory, options, clock, Arc::clone(&telemetry), Arc::clone(&health));
        let thread = std::thread::Builder::new().name("writer".into()).spawn(move || committer.run(receiver))?;
        Ok((Self { sender, health, telemetry, record_bytes_max }, Running { thread }))
    }

    /// Hands over commands and waits until they are durable and visible; one outcome per command, in their order.
    ///
    /// Cancelling the wait does not take them back.
    pub async fn submit(&self, commands: Vec<Command>) -> Result<Vec<Outcome>, SubmitError> {
        self.submit_encoded(Encoded::of(commands)).await
    }

    /// As [`Writer::submit`], of what was encoded elsewhere.
    pub async fn submit_encoded(&self, encoded: Encoded) -> Result<Vec<Outcome>, SubmitError> {
        self.hand_over(encoded).await
    }

    /// Hands over a change of an event, to be made if the event is as expected when its turn comes, and waits as
    /// [`Writer::submit`] does.
    ///
    /// The writer decides this before it appends, as the limits: what is refused leaves no record. A record's condition
    /// could not be looked at again by a replay, because a checkpoint leaves out the records that the condition is about.
    pub async fn change(&self, command: Command, expect: Expect) -> Result<Outcome, SubmitError> {
        let encoded = Encoded { expect: Some(expect), ..Encoded::of(vec![command]) };
        self.hand_over(encoded).await?.into_iter().next().ok_or(SubmitError::Closed)
    }

    /// What is too large for the log does not go into a commit, which it would fail for everybody.
    async fn hand_over(&self, mut encoded: Encoded) -> Result<Vec<Outcome>, SubmitError> {
        let too_large = encoded.take_too_large(self.record_bytes_max);
        if encoded.is_empty() {
            return Ok(too_large.into_iter().map(|(_, outcome)| outcome).collect());
        }
        let mut outcomes = self.enqueue(encoded).await?;
        for (place, outcome) in too_large {
            outcomes.insert(place.min(outcomes.len()), outcome);
        }
        Ok(outcomes)
    }

    async fn enqueue(&self, encoded: Encoded) -> Result<Vec<Outcome>, SubmitError> {
        let (reply, answer) = oneshot::channel();
        self.sender.try_send(Submission { encoded, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                self.telemetry.queue_full.inc();
                SubmitError::Busy
            }
            mpsc::error::TrySendError::Closed(_) => SubmitError::Closed,
        })?;
        answer.await.map_or(Err(SubmitError::Closed), |reply| reply.answer)
    }

    /// Whether writing works.
    pub fn health(&self) -> Health {
        self.health.read().clone()
    }

    /// Submissions that wait.
    pub fn queue_depth(&self) -> usize {
        QUEUE_MAX - self.sender.capacity()
    }
}

impl Running {
    /// Whether the thread has ended, which before the last [`Writer`] is gone it should not.
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits until the thread has ended, which it does when every [`Writer`] is gone and what waited is written.
    /// The error says why the log was not closed cleanly.
    pub fn join(self) -> Result<(), String> {
        self.thread.join().unwrap_or_else(|_| Err("the writer panicked".into()))
    }
}

#[cfg(test)]
pub(crate) mod tests;
