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
mod decided;
mod disk;
mod feed;
mod forgetting;
mod health;
mod marks;
mod memory;
mod opened;
mod options;
mod queue;
mod replay;
mod retention;
mod room;
mod stall;
mod state;
mod steady;
mod submission;
mod turns;

use crate::event::Change;
use crate::event::Claim;
use crate::event::Edge;
use crate::event::Expect;
use crate::event::record::Earlier;
use crate::log::AppendError;
use crate::log::Log;
use crate::log::Position;
use crate::store::Claimed;
use crate::telemetry::Telemetry;
use crate::threads::Spare;
use crate::time::Clock;
pub use answer::Made;
pub use answer::NoRoom;
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
pub use health::Health;
pub use memory::Memory;
pub use opened::Opened;
pub use options::Options;
use parking_lot::RwLock;
use queue::Entrance;
use queue::Kind;
pub use queue::QUEUE_MAX;
pub use replay::ReplayError;
pub use replay::Unread;
pub use replay::open;
use stall::LogCall;
pub use stall::STALL;
use stall::Said;
pub use stall::Watch;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use submission::Ask;
use submission::Conditioned;
pub use submission::Edges;
use submission::Encoded;
pub use submission::Held;
use submission::Reply;
use submission::Submission;
use tokio::sync::oneshot;
use tokio::sync::watch;
pub use turns::Given;
pub use turns::Source;
pub use turns::Turns;

/// What became of each edge.
pub type Answers = Vec<Result<Taken, Refused>>;

/// The way to the writer; cheap to clone.
#[derive(Clone, Debug)]
pub struct Writer {
    entrance: Arc<Entrance>,
    health: Arc<RwLock<Health>>,
    call: Arc<LogCall>,
    stalled: watch::Receiver<bool>,
    applied: watch::Receiver<Position>,
    telemetry: Arc<Telemetry>,
    /// The largest record that a sender may make.
    record_bytes_max: usize,
    /// What the log had of earlier builds when it was read.
    earlier: Earlier,
}

/// The writer's thread.
#[derive(Debug)]
pub struct Running {
    thread: JoinHandle<Option<Ended>>,
    watch: Option<Watch>,
}

/// How the writer ended.
type Ended = Result<(), AppendError>;

/// A thread for the writer, made before there is one.
pub type Thread = Spare<Ended>;

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

impl Writer {
    /// Starts the thread on an opened log. The followers are told of what comes from now on.
    pub fn start<L: Log + 'static>(
        opened: Opened<L>,
        options: Options,
        clock: Arc<dyn Clock>,
        telemetry: Arc<Telemetry>,
        followers: Vec<Box<dyn Follower>>,
    ) -> std::io::Result<(Self, Running)> {
        Ok(Self::start_on(Thread::start("writer")?, opened, options, clock, telemetry, followers))
    }

    /// The same on this thread.
    pub fn start_on<L: Log + 'static>(
        thread: Thread,
        opened: Opened<L>,
        options: Options,
        clock: Arc<dyn Clock>,
        telemetry: Arc<Telemetry>,
        followers: Vec<Box<dyn Follower>>,
    ) -> (Self, Running) {
        let (entrance, exit) = queue::queue(&telemetry);
        let record_bytes_max = opened.log.record_bytes_max().saturating_sub(DECIDED_BYTES);
        let (timeout, earlier) = (options.sync_timeout, opened.state.course.earlier);
        let mut committer = Committer::new(opened, options, clock, Arc::clone(&telemetry));
        committer.followers.extend(followers);
        let (health, applied, call) = (Arc::clone(&committer.health), committer.applied.subscribe(), Arc::clone(&committer.call));
        let thread = thread.run(move || committer.run(exit));
        let queue = Arc::clone(&entrance.0);
        let watch = Watch { call: Arc::clone(&call), queue, telemetry: Arc::clone(&telemetry), timeout, said: Said::default() };
        let stalled = entrance.stalled();
        let writer = Self { entrance: Arc::new(entrance), health, call, stalled, applied, telemetry, record_bytes_max, earlier };
        (writer, Running { thread, watch: Some(watch) })
    }

    /// Hands over the edges of one body at once, and waits until they are durable and visible; one answer for each, in their
    /// order. All of them are, or none is.
    ///
    /// Ending the wait does not take them back.
    pub fn edges(&self, source: &Source, edges: Edges) -> impl Future<Output = Result<Answers, SubmitError>> + use<> {
        self.hand_over(if edges.len() == 1 { Kind::Single } else { Kind::Array }, source, edges)
    }

    /// The same with some edges of a stream, whose parts are written in the order in which they are handed over.
    pub fn lines(&self, source: &Source, edges: Edges) -> impl Future<Output = Result<Answers, SubmitError>> + use<> {
        self.hand_over(Kind::Stream, source, edges)
    }

    fn hand_over(&self, kind: Kind, source: &Source, mut edges: Edges) -> impl Future<Output = Result<Answers, SubmitError>> + use<> {
        // What is too large for the log does not go into a commit, which it would fail for everybody.
        let too_large = edges.take_too_large(self.record_bytes_max);
        let answer = (!edges.is_empty()).then(|| {
            let (ask, reply) = Ask::new(edges, source);
            self.ask(kind, source, Submission::Edges(ask), reply)
        });
        async move {
            let mut answers = match answer {
                Some(answer) => answer.await?,
                None => Vec::new(),
            };
            for (place, refused) in too_large {
                answers.insert(place.min(answers.len()), Err(refused));
            }
            Ok(answers)
        }
    }

    /// Hands over an edge and waits as [`Writer::edges`] does.
    pub async fn edge(&self, source: &Source, edge: Edge) -> Result<Result<Taken, Refused>, SubmitError> {
        let answers = self.edges(source, [edge].into_iter().collect()).await?;
        answers.into_iter().next().ok_or(SubmitError::Closed)
    }

    /// Binds a key to a body, or says what it is bound to; durable when this returns.
    pub fn claim(&self, source: &Source, claim: Claim) -> impl Future<Output = Result<Result<Claimed, Refused>, SubmitError>> + use<> {
        let answer = Encoded::of(claim, self.record_bytes_max).map(|claim| {
            let (ask, reply) = Ask::new(claim, source);
            self.ask(Kind::Single, source, Submission::Claim(ask), reply)
        });
        async move {
            match answer {
                Ok(answer) => answer.await,
                Err(refused) => Ok(Err(refused)),
            }
        }
    }

    /// Hands over a change of an event, to be made if the event is as expected when its turn comes, and waits until it is durable
    /// and visible; what becomes of the event's new samples.
    ///
    /// `held` is kept until then, whether its sender still waits or not: a share of what it takes in memory.
    ///
    /// The writer decides this before it appends, as the limits: what is refused leaves no record. A record's condition
    /// could not be looked at again by a replay, because a checkpoint leaves out the records that the condition is about.
    pub fn change(
        &self,
        source: &Source,
        change: Change,
        expect: Expect,
        held: Held,
    ) -> impl Future<Output = Result<Result<Made, Unchanged>, SubmitError>> + use<> {
        let answer = Encoded::of(change, self.record_bytes_max).map(|change| {
            let (ask, reply) = Ask::new(Conditioned { change, expect, _held: held }, source);
            self.ask(Kind::Single, source, Submission::Change(ask), reply)
        });
        async move {
            match answer {
                Ok(answer) => answer.await,
                Err(refused) => Ok(Err(refused.into())),
            }
        }
    }

    /// Puts it into the queue at once.
    fn ask<W, A>(
        &self,
        kind: Kind,
        source: &Source,
        submission: Submission,
        reply: oneshot::Receiver<Reply<W, A>>,
    ) -> impl Future<Output = Result<A, SubmitError>> + use<W, A> {
        let pushed = self.entrance.push(kind, source, submission);
        if let Err(SubmitError::Busy) = pushed {
            self.telemetry.queue_full.inc();
        }
        let mut stalled = self.stalled.clone();
        async move {
            pushed?;
            tokio::select! {
                biased;
                reply = reply => reply.map_or(Err(SubmitError::Unknown), |reply| reply.answer),
                // It is not in the queue any more, or that would have been its answer.
                _ = stalled.wait_for(|stalled| *stalled) => Err(SubmitError::Unknown),
            }
        }
    }

    /// Whether writing works.
    pub fn health(&self) -> Health {
        self.health.read().clone()
    }

    /// Whether what is submitted now would be queued; else why not.
    pub fn takes(&self) -> Result<(), SubmitError> {
        if *self.stalled.borrow() { Err(SubmitError::Stalled) } else { Ok(()) }
    }

    /// For how long the log has been waiting for the disk, when that is longer than [`STALL`].
    pub fn stalled(&self) -> Option<Duration> {
        self.call.stalled()
    }

    /// How far memory is: what is up to there has been applied.
    pub fn applied(&self) -> watch::Receiver<Position> {
        self.applied.clone()
    }

    /// What the log had of earlier builds when it was read, whose events an edge may belong to.
    pub fn earlier(&self) -> Earlier {
        self.earlier
    }

    /// How many submissions wait, by kind.
    pub fn queue_depth(&self) -> [(&'static str, usize); 3] {
        self.entrance.depth()
    }
}

impl Running {
    /// Whether the thread has ended, which before the last [`Writer`] is gone it should not.
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// What looks after the thread, to be run beside it; once.
    pub fn watch(&mut self) -> Option<Watch> {
        self.watch.take()
    }

    /// Waits until the thread has ended, which it does when every [`Writer`] is gone and what waited is written.
    pub fn join(self) -> Result<(), CloseError> {
        self.thread.join().ok().flatten().ok_or(CloseError::Panicked)?.map_err(CloseError::Log)
    }
}

#[cfg(test)]
pub(crate) mod tests;
