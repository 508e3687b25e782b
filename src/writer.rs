//! The only mutator: one thread that decides and proposes everything that waited at once, and applies and answers what the log
//! says is durable.
//!
//! It knows its log by [`Log`] alone, and nothing but this module calls `apply`. It parses no payload and knows no HTTP.
//! ARCHITECTURE.md walks through a commit.

mod answer;
mod apply;
mod commit;
mod counters;
mod course;
mod decide;
mod feed;
mod replay;
mod retention;
mod state;
mod steady;
mod submission;

use crate::event::Change;
use crate::event::Claim;
use crate::event::Edge;
use crate::event::Expect;
use crate::exposition::Exposure;
use crate::exposition::Pages;
use crate::log::AppendError;
use crate::log::Log;
use crate::log::Position;
use crate::store::Claimed;
use crate::store::Store;
use crate::telemetry::Telemetry;
use crate::telemetry::logging::with_causes;
use crate::time::Clock;
pub use answer::Refused;
pub use answer::SubmitError;
pub use answer::Taken;
pub use answer::Unchanged;
use commit::Committer;
pub use course::RefusedRecord;
use decide::DECIDED_BYTES;
pub use feed::Fed;
pub use feed::Follower;
pub use feed::Outcome;
use parking_lot::RwLock;
pub use replay::Opened;
pub use replay::ReplayError;
pub use replay::Unread;
pub use replay::open;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use submission::Ask;
use submission::Conditioned;
pub use submission::Edges;
use submission::Encoded;
use submission::Reply;
use submission::Submission;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;

/// Submissions that may wait for the writer; beyond it senders are told to come again.
pub const QUEUE_MAX: usize = 16_384;

/// What the writer needs besides its log.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long after its receipt an edge is kept; `None` for ever (`--storage.retention.time`).
    pub retention: Option<Duration>,
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

impl From<Arc<AppendError>> for Health {
    fn from(error: Arc<AppendError>) -> Self {
        if error.is_final() { Self::Latched(error) } else { Self::Failing(error) }
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

/// The way to the writer; cheap to clone.
#[derive(Clone, Debug)]
pub struct Writer {
    sender: mpsc::Sender<Submission>,
    health: Arc<RwLock<Health>>,
    applied: watch::Receiver<Position>,
    telemetry: Arc<Telemetry>,
    /// The largest record that a sender may make.
    record_bytes_max: usize,
}

/// The writer's thread.
#[derive(Debug)]
pub struct Running {
    thread: JoinHandle<Result<(), AppendError>>,
}

/// Why the log was not closed cleanly. What was acknowledged is in it all the same.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// It did not take what says so.
    #[error("the event log was not closed cleanly")]
    Log(#[from] AppendError),
    /// The writer's thread panicked.
    #[error("the writer ended before its time: this program has a fault")]
    Panicked,
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
    /// Starts the thread on an opened log. The followers are told of what comes from now on.
    pub fn start<L: Log + 'static>(
        opened: Opened<L>,
        options: Options,
        clock: Arc<dyn Clock>,
        telemetry: Arc<Telemetry>,
        followers: Vec<Box<dyn Follower>>,
    ) -> std::io::Result<(Self, Running)> {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        let record_bytes_max = opened.log.record_bytes_max().saturating_sub(DECIDED_BYTES);
        let mut committer = Committer::new(opened, options, clock, Arc::clone(&telemetry));
        committer.followers.extend(followers);
        let (health, applied) = (Arc::clone(&committer.health), committer.applied.subscribe());
        let thread = std::thread::Builder::new().name("writer".into()).spawn(move || committer.run(receiver))?;
        Ok((Self { sender, health, applied, telemetry, record_bytes_max }, Running { thread }))
    }

    /// Hands over edges and waits until they are durable and visible; one answer for each, in their order.
    ///
    /// Cancelling the wait does not take them back.
    pub async fn edges(&self, mut edges: Edges) -> Result<Vec<Result<Taken, Refused>>, SubmitError> {
        // What is too large for the log does not go into a commit, which it would fail for everybody.
        let too_large = edges.take_too_large(self.record_bytes_max);
        let mut answers = Vec::new();
        if !edges.is_empty() {
            let (ask, reply) = Ask::new(edges);
            answers = self.ask(Submission::Edges(ask), reply).await?;
        }
        for (place, refused) in too_large {
            answers.insert(place.min(answers.len()), Err(refused));
        }
        Ok(answers)
    }

    /// Hands over an edge and waits as [`Writer::edges`] does.
    pub async fn edge(&self, edge: Edge) -> Result<Result<Taken, Refused>, SubmitError> {
        let answers = self.edges([edge].into_iter().collect()).await?;
        answers.into_iter().next().ok_or(SubmitError::Closed)
    }

    /// Binds a key to a body, or says what it is bound to; durable when this returns.
    pub async fn claim(&self, claim: Claim) -> Result<Result<Claimed, Refused>, SubmitError> {
        let claim = match Encoded::of(claim, self.record_bytes_max) {
            Ok(claim) => claim,
            Err(refused) => return Ok(Err(refused)),
        };
        let (ask, reply) = Ask::new(claim);
        self.ask(Submission::Claim(ask), reply).await
    }

    /// Hands over a change of an event, to be made if the event is as expected when its turn comes, and waits until it is durable
    /// and visible; what becomes of the event's new samples.
    ///
    /// The writer decides this before it appends, as the limits: what is refused leaves no record. A record's condition
    /// could not be looked at again by a replay, because a checkpoint leaves out the records that the condition is about.
    pub async fn change(&self, change: Change, expect: Expect) -> Result<Result<Vec<Exposure>, Unchanged>, SubmitError> {
        let change = match Encoded::of(change, self.record_bytes_max) {
            Ok(change) => change,
            Err(refused) => return Ok(Err(refused.into())),
        };
        let (ask, reply) = Ask::new(Conditioned { change, expect });
        self.ask(Submission::Change(ask), reply).await
    }

    async fn ask<W, A>(&self, submission: Submission, reply: oneshot::Receiver<Reply<W, A>>) -> Result<A, SubmitError> {
        self.sender.try_send(submission).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                self.telemetry.queue_full.inc();
                SubmitError::Busy
            }
            mpsc::error::TrySendError::Closed(_) => SubmitError::Closed,
        })?;
        reply.await.map_or(Err(SubmitError::Closed), |reply| reply.answer)
    }

    /// Whether writing works.
    pub fn health(&self) -> Health {
        self.health.read().clone()
    }

    /// How far memory is: what is up to there has been applied.
    pub fn applied(&self) -> watch::Receiver<Position> {
        self.applied.clone()
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
    pub fn join(self) -> Result<(), CloseError> {
        self.thread.join().map_err(|_| CloseError::Panicked)?.map_err(CloseError::Log)
    }
}

#[cfg(test)]
pub(crate) mod tests;
