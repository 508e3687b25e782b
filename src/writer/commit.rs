//! A commit: what waited is admitted, appended with one sync, applied in order, and answered.

use super::Encoded;
use super::Health;
use super::Memory;
use super::Opened;
use super::Options;
use super::Outcome;
use super::Reply;
use super::Submission;
use super::SubmitError;
use super::retention::Marks;
use super::steady::SteadyTime;
use crate::event::Command;
use crate::event::Edge;
use crate::event::EdgeId;
use crate::event::EdgeState;
use crate::event::Expect;
use crate::event::Settings;
use crate::event::Version;
use crate::event::fingerprint;
use crate::event::record;
use crate::log::AppendError;
use crate::log::Batch;
use crate::log::Disk;
use crate::log::Log;
use crate::log::Position;
use crate::log::SegmentLog;
use crate::store::Admission;
use crate::store::Admitted;
use crate::store::Applied;
use crate::telemetry::Telemetry;
use crate::telemetry::logging::with_causes;
use crate::telemetry::observe;
use crate::time::Clock;
use crate::time::Timestamp;
use parking_lot::RwLock;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;
use tokio::sync::mpsc;

/// A commit takes no more submissions once it holds this many records.
const COMMIT_RECORDS: usize = 8192;
/// A commit takes no more submissions once it holds this many bytes.
const COMMIT_BYTES: usize = 8 << 20;
/// So many edges are folded in at once; readers of their tenant wait that long.
const RUN_EDGES: usize = 64;

pub(super) struct Committer<D: Disk> {
    pub(super) log: SegmentLog<D>,
    pub(super) memory: Memory,
    pub(super) options: Options,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) health: Arc<RwLock<Health>>,
    pub(super) marks: Marks,
    /// The time of receipt of the last record: it never goes back, whatever the clock does.
    pub(super) received: Timestamp,
    pub(super) steady: SteadyTime,
    pub(super) retired_at: Timestamp,
    /// Up to where records were retired from memory.
    pub(super) retired: Position,
    /// What stops say of their skew: nothing where it is that of the log's settings.
    skew: Option<Duration>,
    /// The log has its settings.
    settled: bool,
    /// The log has records of the first format.
    former: bool,
    batch: Batch,
}

impl<D: Disk> Committer<D> {
    pub(super) fn new(
        opened: Opened<D>,
        memory: Memory,
        options: Options,
        clock: Arc<dyn Clock>,
        telemetry: Arc<Telemetry>,
        health: Arc<RwLock<Health>>,
    ) -> Self {
        let Opened { log, marks, received, mut steady, settled, former, retired, .. } = opened;
        steady.begin(clock.read());
        let skew = Some(memory.store.configured_skew()).filter(|skew| *skew != memory.store.skew());
        let (retired_at, batch) = (Timestamp::MIN, Batch::new());
        Self { log, memory, options, clock, telemetry, health, marks, received, steady, retired_at, retired, skew, settled, former, batch }
    }

    /// Commits until every sender is gone, then closes the log. The error says why it was not closed cleanly.
    pub(super) fn run(mut self, mut receiver: mpsc::Receiver<Submission>) -> Result<(), String> {
        self.commit_all(&mut receiver);
        self.log.close().map_err(|error| with_causes(&error))
    }

    /// Commits until every sender is gone.
    pub(super) fn commit_all(&mut self, receiver: &mut mpsc::Receiver<Submission>) {
        let mut waiting = Vec::new();
        let mut postponed: Option<Submission> = None;
        let mut subjects = HashSet::new();
        while let Some(first) = postponed.take().or_else(|| receiver.blocking_recv()) {
            let mut records = first.encoded.records.ends.len();
            let mut bytes = first.encoded.records.bytes.len();
            subjects.clear();
            subjects.extend(first.encoded.subject());
            waiting.push(first);
            while records < COMMIT_RECORDS && bytes < COMMIT_BYTES {
                let Ok(next) = receiver.try_recv() else { break };
                if next.encoded.subject().is_some_and(|subject| !subjects.insert(subject)) {
                    // Its condition can be looked at when what comes before it is applied.
                    postponed = Some(next);
                    break;
                }
                records += next.encoded.records.ends.len();
                bytes += next.encoded.records.bytes.len();
                waiting.push(next);
            }
            self.commit(&mut waiting);
            self.retire_when_due();
        }
    }

    pub(super) fn commit(&mut self, waiting: &mut Vec<Submission>) {
        // A condition is looked at before anything of the commit is applied, so it is about what comes before all else in it.
        // No sender was promised to be before another one.
        waiting.sort_by_key(|submission| !submission.encoded.changes_events());
        // Pages stay behind what is on its way into the log, so that none is given out that it would have changed.
        let pages = Arc::clone(&self.memory.pages);
        let reading = self.clock.read();
        let receipt = pages.receive(reading.now.max(self.received));
        self.received = receipt.received;
        let noted = self.note_jump(reading.steady);
        let decided = self.fill(waiting);
        if let Err(error) = noted.and_then(|()| self.append()) {
            for submission in waiting.drain(..) {
                self.answer(submission, Err(error.clone()));
            }
            return;
        }
        let commands = waiting.iter().flat_map(|submission| submission.encoded.commands.iter().zip(&submission.encoded.ids));
        let taken = commands.zip(&decided).filter(|(_, decided)| decided.is_none());
        let mut outcomes = Vec::with_capacity(decided.len());
        fold(&self.memory, taken.map(|((command, id), _)| (self.received, command, *id)), &mut outcomes);
        let mut outcomes = outcomes.into_iter();
        let mut decided = decided.into_iter();
        for submission in waiting.drain(..) {
            let each = decided.by_ref().take(submission.encoded.commands.len());
            let own = each.filter_map(|decided| decided.or_else(|| outcomes.next())).collect();
            self.answer(submission, Ok(own));
        }
    }

    /// Puts what is new and admitted into the batch; per command what its sender is told otherwise.
    fn fill(&mut self, waiting: &mut [Submission]) -> Vec<Option<Outcome>> {
        self.batch.clear(COMMIT_BYTES);
        let mut admission = Admission::default();
        let mut decided = Vec::with_capacity(waiting.iter().map(|submission| submission.encoded.commands.len()).sum());
        for submission in waiting {
            if let Err(unexpected) = self.check_expected(&submission.encoded) {
                decided.extend(submission.encoded.commands.iter().map(|_| Some(Outcome::Unexpected(unexpected))));
                continue;
            }
            let Encoded { commands, ids, records, .. } = &mut submission.encoded;
            for ((command, id), record) in commands.iter_mut().zip(ids).zip(records.iter()) {
                let changed = self.decide(command);
                if changed {
                    *id = command.edge_id();
                }
                decided.push(match self.memory.store.admit_as(command, *id, self.received, &mut admission) {
                    Ok(Admitted::New) => {
                        self.push(command, if changed { None } else { Some(record) });
                        None
                    }
                    Ok(Admitted::Known(id)) => Some(Outcome::Edge { id, duplicate: true, exposure: None }),
                    Ok(Admitted::Claimed(claimed)) => Some(Outcome::Claim(claimed)),
                    Err(refusal) => Some(Outcome::Refused(refusal)),
                });
            }
        }
        decided
    }

    /// Writes into a command what is decided where that depends on more than the records before its own: on a flag, or on
    /// what retention has left. Says whether anything was.
    fn decide(&self, command: &mut Command) -> bool {
        let store = &self.memory.store;
        match command {
            Command::Edge(edge) => self.decide_edge(edge),
            Command::Put(put) => {
                let start = self.decide_edge(&mut put.start);
                put.stop.as_mut().is_some_and(|stop| self.decide_edge(stop)) || start
            }
            Command::Describe(describe) => {
                describe.span = store.span(&describe.organization, &describe.edge.to_string());
                if let Some(stop) = &mut describe.stop {
                    self.decide_edge(stop);
                }
                true
            }
            Command::Delete(delete) => {
                delete.span = store.span(&delete.organization, &delete.id);
                delete.span.is_some()
            }
            _ => false,
        }
    }

    fn decide_edge(&self, edge: &mut Edge) -> bool {
        let before = if self.former { self.memory.store.as_before(edge) } else { None };
        let is_before = before.is_some();
        if let Some(before) = before {
            *edge = before;
        }
        let skew = self.skew.filter(|_| edge.state == EdgeState::Stop);
        edge.skew = skew.or(edge.skew);
        is_before || skew.is_some()
    }

    /// Puts a command into the batch: its record as it is, if it still is.
    fn push(&mut self, command: &Command, record: Option<&[u8]>) {
        let received = self.received;
        if !self.settled && self.batch.is_empty() {
            let settings = Command::Settings(Settings { skew: self.memory.store.skew() });
            push(&mut self.batch, received, |out| record::encode(&settings, out));
        }
        push(&mut self.batch, received, |out| match record {
            Some(record) => out.extend_from_slice(record),
            None => record::encode(command, out),
        });
    }

    /// Whether the event that a submission is about has the expected version; the error is the one it has.
    fn check_expected(&self, submission: &Encoded) -> Result<(), Option<Version>> {
        let Some(expect) = submission.expect else { return Ok(()) };
        let Some((organization, id)) = submission.commands.first().and_then(Command::subject) else { return Ok(()) };
        let version = self.memory.store.version(organization, &id);
        let expected = match expect {
            Expect::New => None,
            Expect::Version(version) => Some(version),
        };
        if version == expected { Ok(()) } else { Err(version) }
    }

    pub(super) fn append(&mut self) -> Result<(), SubmitError> {
        if self.batch.is_empty() {
            // What is known already is durable; but nothing is acknowledged any more.
            let healthy = self.log.healthy().map_err(AppendError::Latched);
            return healthy.map_err(|error| SubmitError::from(Arc::new(error)));
        }
        let begun = Instant::now();
        let appended = self.log.append(&self.batch).map_err(Arc::new);
        let health = match &appended {
            Ok(appended) => {
                observe(&self.telemetry.log_append_seconds, begun.elapsed().saturating_sub(appended.sync));
                observe(&self.telemetry.log_sync_seconds, appended.sync);
                self.telemetry.log_records.inc_by(self.batch.len() as u64);
                let first = appended.last.0.saturating_sub(self.batch.len() as u64 - 1);
                self.marks.note(Position(first), self.received);
                self.marks.note(appended.last, self.received);
                self.steady.note(self.received);
                self.settled = true;
                Health::Ok
            }
            Err(error) => Arc::clone(error).into(),
        };
        self.report(health);
        appended.map(drop).map_err(SubmitError::from)
    }

    /// Says so when something else than an append latched the log.
    pub(super) fn report_latch(&self) {
        if let Err(unhealthy) = self.log.healthy() {
            self.report(Arc::new(AppendError::Latched(unhealthy)).into());
        }
    }

    /// Says once, when it changes, whether writing works.
    fn report(&self, health: Health) {
        let reason = health.reason();
        if self.health.read().reason() == reason {
            return;
        }
        match &health {
            Health::Ok => tracing::info!("the event log is written again"),
            Health::Failing(_) => tracing::error!(reason, "the event log cannot be written; senders are told to come again"),
            Health::Latched(_) => tracing::error!(reason, "the event log is latched: restart after mending the disk"),
        }
        self.telemetry.log_latched.set(i64::from(matches!(health, Health::Latched(_))));
        *self.health.write() = health;
    }

    /// Appends and applies a command of our own.
    pub(super) fn commit_own(&mut self, command: &Command) -> Result<Outcome, SubmitError> {
        self.batch.clear(COMMIT_BYTES);
        self.push(command, None);
        self.append()?;
        Ok(apply(&self.memory, self.received, command))
    }

    #[expect(clippy::unused_self, reason = "reads as what it does")]
    fn answer(&self, submission: Submission, answer: Result<Vec<Outcome>, SubmitError>) {
        let Submission { encoded, reply } = submission;
        // A sender that went away does not take back what it sent.
        drop(reply.send(Reply { answer, _spent: encoded }));
    }
}

fn push(batch: &mut Batch, received: Timestamp, encode: impl FnOnce(&mut Vec<u8>)) {
    batch.push_with(|out| {
        let start = out.len();
        encode(out);
        record::stamp(out.get_mut(start..).unwrap_or_default(), received);
    });
}

impl Encoded {
    /// Whether it is about whole events, as they are before anything else of the same commit.
    fn changes_events(&self) -> bool {
        self.expect.is_some() || self.commands.iter().any(|command| command.subject().is_some())
    }

    /// A hash of the event that a condition is about.
    fn subject(&self) -> Option<u128> {
        self.expect?;
        let (organization, id) = self.commands.first()?.subject()?;
        Some(fingerprint([organization.as_bytes(), id.as_bytes()]))
    }
}

/// Folds commands into memory, with the ids of those that are edges, in the same way while running and while replaying: edges
/// some at a time, others one by one.
pub(super) fn fold<'c>(memory: &Memory, commands: impl Iterator<Item = (Timestamp, &'c Command, EdgeId)>, outcomes: &mut Vec<Outcome>) {
    let mut run: Vec<(Timestamp, &Edge, EdgeId)> = Vec::with_capacity(RUN_EDGES);
    let mut applied = Vec::with_capacity(RUN_EDGES);
    let mut fold_run = |run: &mut Vec<(Timestamp, &Edge, EdgeId)>, outcomes: &mut Vec<Outcome>| {
        memory.store.apply_edges(run, &mut applied);
        outcomes.extend(run.drain(..).zip(applied.drain(..)).map(|((received, ..), applied)| show(memory, received, applied)));
    };
    for (received, command, id) in commands {
        if let Command::Edge(edge) = command {
            #[cfg(test)]
            super::tests::panic_if_planted(edge);
            run.push((received, edge, id));
            if run.len() == RUN_EDGES {
                fold_run(&mut run, outcomes);
            }
        } else {
            fold_run(&mut run, outcomes);
            outcomes.push(apply(memory, received, command));
        }
    }
    fold_run(&mut run, outcomes);
}

fn apply(memory: &Memory, received: Timestamp, command: &Command) -> Outcome {
    show(memory, received, memory.store.apply(received, command))
}

/// Brings onto the pages what the store took in.
fn show(memory: &Memory, received: Timestamp, applied: Applied) -> Outcome {
    match applied {
        Applied::Edge(edge) => {
            let exposure = (!edge.duplicate).then(|| memory.pages.apply(received, &edge));
            Outcome::Edge { id: edge.id, duplicate: edge.duplicate, exposure }
        }
        Applied::Changed(changed) => {
            for sample in &changed.withdrawn {
                memory.pages.withdraw(received, sample);
            }
            let exposures = changed.added.iter().map(|edge| memory.pages.apply(received, edge)).collect();
            Outcome::Changed { version: changed.version, exposures }
        }
        Applied::Claim(claimed) => Outcome::Claim(claimed),
        Applied::Retired(_) | Applied::Nothing => Outcome::Retired,
        Applied::Full(refusal) => Outcome::Refused(refusal),
    }
}
