//! A commit in its stages: what waited is decided and proposed to the log; when the log says that it is durable, it is applied
//! in the order of the log, and answered.

use super::answer::SubmitError;
use super::counters;
use super::counters::EdgeCounters;
use super::decided::Decided;
use super::disk::LOOK_EVERY;
use super::disk::Room;
use super::feed::Follower;
use super::forgetting::Forgetting;
use super::health::Health;
use super::opened::Opened;
use super::options::Options;
use super::queue::Exit;
use super::stall::LogCall;
use super::state::State;
use super::submission::Waiting;
use crate::event::Command;
use crate::event::record::Record;
use crate::log::AppendError;
use crate::log::Appended;
use crate::log::Batch;
use crate::log::Committed;
use crate::log::Log;
use crate::log::Position;
use crate::store::RetiredPart;
use crate::telemetry::Telemetry;
use crate::telemetry::observe;
use crate::time::Clock;
use crate::time::Timestamp;
use parking_lot::RwLock;
use prometheus_client::metrics::counter::Counter;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;
use tokio::sync::watch;

/// So much of a batch's memory is kept for the next.
pub(super) const BATCH_BYTES: usize = 8 << 20;

pub(super) struct Committer<L: Log> {
    pub(super) log: L,
    pub(super) options: Options,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) health: Arc<RwLock<Health>>,
    /// That the thread is in the log, for whoever looks from outside.
    pub(super) call: Arc<LogCall>,
    pub(super) state: State,
    /// When the present commit was received, which never goes back: not before the last record.
    pub(super) received: Timestamp,
    pub(super) looked_at: Timestamp,
    pub(super) followers: Vec<Box<dyn Follower>>,
    /// How far memory is.
    pub(super) applied: watch::Sender<Position>,
    /// Counts edges that were there already.
    pub(super) duplicates: Counter,
    /// What stops say of their skew: nothing where it is that of the log's settings.
    pub(super) skew: Option<Duration>,
    pub(super) batch: Batch,
    /// What was proposed and is not durable yet. There is one at most: what is known, whether a limit is reached and an event as
    /// expected is decided by memory, which must have all that comes before.
    in_flight: Option<InFlight>,
    /// What is known of the room on the disk.
    pub(super) room: Room,
    /// What is being done about what is too old.
    pub(super) forgetting: Option<Forgetting<L::Compaction>>,
    /// What the parts of a retirement that were applied last came to.
    pub(super) retired: Vec<RetiredPart>,
}

struct InFlight {
    begun: Instant,
    records: usize,
    received: Timestamp,
    last: Position,
    what: Proposal,
}

/// What is in a batch.
pub(super) enum Proposal {
    /// What some senders submitted, and what of it is in the batch.
    Submitted(Waiting, Box<Decided>),
    /// Commands of our own.
    Own(Vec<Command>),
}

impl<L: Log> Committer<L> {
    pub(super) fn new(opened: Opened<L>, options: Options, clock: Arc<dyn Clock>, telemetry: Arc<Telemetry>) -> Self {
        let Opened { log, mut state, .. } = opened;
        state.course.steady.begin(clock.read());
        let store = &state.memory.store;
        let skew = Some(store.configured_skew()).filter(|skew| *skew != store.skew());
        let (health, call, batch) = (Arc::default(), Arc::new(LogCall::new(Arc::clone(&clock))), Batch::new());
        let followers: Vec<Box<dyn Follower>> = vec![Box::new(EdgeCounters::new(&telemetry))];
        let (duplicates, applied) = (counters::duplicates(&telemetry), watch::Sender::new(log.last()));
        let (received, looked_at) = (state.course.received, Timestamp::MIN);
        let (in_flight, forgetting, retired, room) = (None, None, Vec::new(), Room::default());
        Self {
            log,
            options,
            clock,
            telemetry,
            health,
            call,
            state,
            received,
            looked_at,
            followers,
            applied,
            duplicates,
            skew,
            batch,
            in_flight,
            room,
            forgetting,
            retired,
        }
    }

    /// Commits until every sender is gone, then closes the log. The error says why it was not closed cleanly.
    pub(super) fn run(mut self, mut exit: Exit) -> Result<(), AppendError> {
        self.look_at_room();
        self.commit_all(&mut exit);
        self.forget_no_more();
        self.log.close()
    }

    /// Commits until every sender is gone.
    pub(super) fn commit_all(&mut self, exit: &mut Exit) {
        while let Some(waiting) = exit.next_turn(LOOK_EVERY, |has_passed| self.idle(has_passed)) {
            self.commit(waiting);
            self.look_for_old();
            self.forget_some();
        }
    }

    fn commit(&mut self, mut waiting: Waiting) {
        if let Err(error) = self.catch_up() {
            return waiting.fail(&error);
        }
        // Pages stay behind what is on its way into the log, so that none is given out that it would have changed.
        let pages = Arc::clone(&self.state.memory.pages);
        let reading = self.clock.read();
        let receipt = pages.receive(reading.now.max(self.received));
        self.received = receipt.received;
        if let Err(error) = self.note_jump(reading.steady) {
            return waiting.fail(&error);
        }
        self.look_at_room();
        let decided = self.decide(&mut waiting);
        // Whoever waits is told by the proposal.
        drop(self.propose(Proposal::Submitted(waiting, Box::new(decided))).and_then(|()| self.land()));
    }

    /// Puts a jump of the time of receipt into the log, before anything that was received after it. `steady` is the steady
    /// clock at the present receipt.
    pub(super) fn note_jump(&mut self, steady: Duration) -> Result<(), SubmitError> {
        let Some(ahead) = self.state.course.steady.unseen(self.received, steady) else { return Ok(()) };
        self.commit_own(vec![Command::Clock { ahead }])?;
        self.state.course.steady.seen(self.received, steady);
        tracing::info!(seconds = ahead.as_secs(), "time went ahead without being seen to pass; retention counts that after 24 hours more");
        Ok(())
    }

    /// Appends and applies commands of our own.
    pub(super) fn commit_own(&mut self, commands: Vec<Command>) -> Result<(), SubmitError> {
        self.batch.clear(BATCH_BYTES);
        for command in &commands {
            self.push(|out| command.encode(out));
        }
        // Without them nothing that is old could go, and there would be no room again.
        self.log.open_reserve(true);
        let written = self.propose(Proposal::Own(commands)).and_then(|()| self.land());
        self.log.open_reserve(false);
        written
    }

    /// Hands the batch to the log. Where it is empty nothing is new: what is known already is durable; but nothing is acknowledged
    /// any more when the log takes nothing more.
    fn propose(&mut self, what: Proposal) -> Result<(), SubmitError> {
        let begun = Instant::now();
        let (records, received) = (self.batch.len(), self.received);
        if records == 0 {
            return match self.log.healthy() {
                Ok(()) => {
                    self.apply(self.log.last(), received, None, what);
                    Ok(())
                }
                Err(unhealthy) => Err(tell(what, Arc::new(AppendError::Latched(unhealthy)).into())),
            };
        }
        let is_healthy = self.log.healthy().is_ok();
        match self.in_log(|this| this.log.propose(&this.batch)) {
            Ok(last) => {
                self.in_flight = Some(InFlight { begun, records, received, last, what });
                Ok(())
            }
            Err(error) => Err(self.fail(error, what, is_healthy)),
        }
    }

    /// Applies what is in flight when the log says that it is durable. The error says why it is not.
    fn land(&mut self) -> Result<(), SubmitError> {
        let Some(flight) = self.in_flight.take() else { return Ok(()) };
        match self.in_log(|this| this.log.committed()) {
            Ok(Some(Committed::Own(appended))) if appended.last == flight.last => {
                self.landed(flight, &appended);
                Ok(())
            }
            Ok(_) => Err(self.fail(AppendError::Disordered, flight.what, true)),
            Err(error) => Err(self.fail(error, flight.what, true)),
        }
    }

    fn landed(&mut self, flight: InFlight, appended: &Appended) {
        let InFlight { begun, records, received, last, what } = flight;
        observe(&self.telemetry.log_append_seconds, begun.elapsed().saturating_sub(appended.sync));
        observe(&self.telemetry.log_sync_seconds, appended.sync);
        self.telemetry.log_records.inc_by(records as u64);
        let before = last.0.saturating_sub(records as u64);
        self.state.course.marks.grow(appended.bytes);
        let settings = self.state.course.settings.is_none().then(|| self.settings());
        self.state.course.settings = self.state.course.settings.or(settings);
        match &what {
            Proposal::Own(commands) => {
                self.state.course.note_first(Position(before + 1), received);
                let first = last.0.saturating_sub(commands.len() as u64) + 1;
                for (position, command) in (first..).zip(commands) {
                    self.state.course.note(Position(position), received, command);
                }
            }
            Proposal::Submitted(..) => self.state.course.note_events(Position(before + 1), last, received),
        }
        self.report(Health::Ok);
        self.apply(Position(before), received, settings, what);
    }

    /// Runs what may have to wait for the disk.
    pub(super) fn in_log<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> T {
        self.call.begin();
        let done = act(self);
        self.call.end();
        done
    }

    /// Says that the log did not take something, and tells who waits for it. After an error that is final it may be there all the
    /// same, unless the log took nothing any more before.
    fn fail(&mut self, error: AppendError, what: Proposal, was_healthy: bool) -> SubmitError {
        let error = Arc::new(error);
        self.report(Arc::clone(&error).into());
        tell(what, if was_healthy && error.is_final() { SubmitError::Unknown } else { error.into() })
    }

    /// Applies what another one proposed and is durable by now, so that what is decided next is decided by that.
    pub(super) fn catch_up(&mut self) -> Result<(), SubmitError> {
        // After what could not be applied nothing can be.
        if let Health::Latched(error) = &*self.health.read()
            && !matches!(**error, AppendError::Latched(_))
        {
            return Err(Arc::clone(error).into());
        }
        loop {
            let applied = match self.in_log(|this| this.log.committed()) {
                Ok(Some(Committed::Foreign(frame))) => self.apply_foreign(&frame),
                Ok(Some(Committed::Own(_))) => Err(AppendError::Disordered),
                Ok(None) => return Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = applied {
                let error = Arc::new(error);
                self.report(Arc::clone(&error).into());
                return Err(error.into());
            }
        }
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
}

/// Tells whoever waits that it was not taken.
fn tell(what: Proposal, error: SubmitError) -> SubmitError {
    if let Proposal::Submitted(waiting, _) = what {
        waiting.fail(&error);
    }
    error
}
