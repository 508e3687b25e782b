//! What waits for the writer, by kind, and what of it goes into one commit, which is a turn: some of each kind, so that
//! whoever sends one event waits for no more than the turn that is under way and one more, whatever others send.
//!
//! A turn is bounded by what it costs, which is its records and its kilobytes, never by a time. What is one submission is in
//! one commit, whatever it costs, because it is taken whole or not at all; its kind then waits until the others had as much.

use super::SubmitError;
use super::submission::Submission;
use super::submission::Waiting;
use super::turns::Given;
use super::turns::Source;
use super::turns::Turns;
use crate::telemetry::Observed;
use crate::telemetry::Telemetry;
use parking_lot::Condvar;
use parking_lot::Mutex;
use parking_lot::MutexGuard;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;
use tokio::sync::watch;

/// Submissions of each kind that may wait; beyond it, and earlier for who has many there already, senders are told to come again.
/// A single sender has a third of it: enough for one request on each of 10 000 connections.
pub const QUEUE_MAX: usize = 32_768;
/// What a turn costs at most, but for the last that it takes.
const TURN: u64 = 2048;
/// The same where nothing of another kind waits: a larger commit is less work.
const TURN_ALONE: u64 = 4096;
/// So much of each turn is for single submissions.
const SINGLES: u64 = TURN / 2;
/// So many that cannot go into a turn are passed over; then it takes no more of their kind.
const POSTPONED_MAX: usize = 64;

/// How something came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// By itself: an event, a claim, a change.
    Single,
    /// As a body of many.
    Array,
    /// As lines of a stream.
    Stream,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Single, Self::Array, Self::Stream];

    fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Array => "array",
            Self::Stream => "stream",
        }
    }

    /// By how much the kind has had more after something of this cost: single submissions have two shares.
    fn weighted(self, cost: u64) -> u64 {
        if self == Self::Single { cost } else { cost.saturating_mul(2) }
    }
}

/// The way in; when it is dropped nothing more comes.
#[derive(Debug)]
pub(super) struct Entrance(pub(super) Arc<Queue>);

/// The way out; when it is dropped nothing more is taken, and what waits is not answered.
#[derive(Debug)]
pub(super) struct Exit {
    queue: Arc<Queue>,
    wait_seconds: [Observed<1>; 3],
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    /// Whether the writer's thread has been waiting for the log for so long that nobody waits with it any more. Changed under the
    /// lock.
    stalled: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    single: Line,
    array: Line,
    stream: Line,
    /// What the kind whose turn was last had had.
    now: u64,
    is_closed: bool,
}

/// What waits of one kind.
#[derive(Debug, Default)]
struct Line {
    turns: Turns<Queued>,
    /// What the kind has had, or others had when it came.
    had: u64,
}

#[derive(Debug)]
struct Queued {
    submission: Submission,
    since: Instant,
}

/// Both ends of an empty queue.
pub(super) fn queue(telemetry: &Telemetry) -> (Entrance, Exit) {
    let queue = Arc::<Queue>::default();
    let wait_seconds = Kind::ALL.map(|kind| Observed::new(&telemetry.queue_wait_seconds, [("kind", kind.name())]));
    (Entrance(Arc::clone(&queue)), Exit { queue, wait_seconds })
}

impl Entrance {
    /// Adds a submission, unless too many wait.
    pub(super) fn push(&self, kind: Kind, source: &Source, submission: Submission) -> Result<(), SubmitError> {
        let (cost, queued) = (submission.cost(), Queued { submission, since: Instant::now() });
        let mut state = self.0.state.lock();
        if state.is_closed {
            return Err(SubmitError::Closed);
        }
        if *self.0.stalled.borrow() {
            return Err(SubmitError::Stalled);
        }
        let now = state.now;
        let line = state.line(kind);
        if !line.turns.has_room(source, QUEUE_MAX) {
            return Err(SubmitError::Busy);
        }
        if line.turns.is_empty() {
            line.had = line.had.max(now);
        }
        line.turns.push(source, cost, queued);
        drop(state);
        self.0.filled.notify_one();
        Ok(())
    }

    /// Whether nothing is let in because the writer's thread waits for the log.
    pub(super) fn stalled(&self) -> watch::Receiver<bool> {
        self.0.stalled.subscribe()
    }

    /// How many wait, by kind.
    pub(super) fn depth(&self) -> [(&'static str, usize); 3] {
        let mut state = self.0.state.lock();
        Kind::ALL.map(|kind| (kind.name(), state.line(kind).turns.len()))
    }
}

impl Queue {
    /// If the writer's thread is still not to be waited for: tells all who wait so, and lets nothing in until it comes for more.
    pub(super) fn give_up_if(&self, is_stalled: impl FnOnce() -> bool) {
        // The thread takes it when it comes back.
        let mut state = self.state.lock();
        if is_stalled() {
            state.take_all().fail(&SubmitError::Stalled);
            // After that, so that whoever has no answer by then is not in the queue.
            self.stalled.send_replace(true);
        }
    }

    /// The writer's thread is here, so whoever comes is let in.
    fn come_for_more(&self) -> MutexGuard<'_, State> {
        let state = self.state.lock();
        self.stalled.send_if_modified(std::mem::take);
        state
    }
}

impl Drop for Entrance {
    fn drop(&mut self) {
        self.0.state.lock().is_closed = true;
        self.0.filled.notify_one();
    }
}

impl Exit {
    /// What goes into the next commit; waits until there is something, and does meanwhile what there is to be done, as long as
    /// that says that there is more, and again whenever so much time has passed, which it is told. `None` when nothing more comes.
    pub(super) fn next_turn(&mut self, every: Duration, mut meanwhile: impl FnMut(bool) -> bool) -> Option<Waiting> {
        let mut turn = Turn::default();
        let (mut is_idle, mut has_passed) = (false, false);
        let mut state = self.queue.come_for_more();
        while state.is_empty() {
            if state.is_closed {
                return None;
            }
            if is_idle {
                has_passed = self.queue.filled.wait_for(&mut state, every).timed_out();
                is_idle = !has_passed;
            } else {
                drop(state);
                is_idle = !meanwhile(std::mem::take(&mut has_passed));
                state = self.queue.come_for_more();
            }
        }
        state.fill(&mut turn);
        drop(state);
        for (kind, waited) in turn.waited {
            if let Some(histogram) = self.wait_seconds.get(kind as usize) {
                histogram.observe(waited);
            }
        }
        Some(turn.waiting)
    }
}

impl Drop for Exit {
    fn drop(&mut self) {
        let mut state = self.queue.state.lock();
        let rest = state.take_all();
        state.is_closed = true;
        drop(state);
        rest.fail(&SubmitError::Closed);
    }
}

/// A commit that is being filled.
#[derive(Debug, Default)]
struct Turn {
    waiting: Waiting,
    cost: u64,
    /// Of the events that it changes.
    subjects: HashSet<u128>,
    /// What has to wait for the next.
    postponed: Vec<Given<Queued>>,
    waited: Vec<(Kind, Duration)>,
}

impl Turn {
    /// Whether more of a kind may go into it.
    fn takes(&self, kind: Kind) -> bool {
        kind != Kind::Single || self.postponed.len() < POSTPONED_MAX
    }

    /// Whether one has to wait for the next turn: its condition can be looked at when what comes before it is applied.
    fn postpones(&mut self, given: &Given<Queued>) -> bool {
        let is_behind = self.postponed.iter().any(|other| other.source == given.source);
        is_behind || given.item.submission.subject().is_some_and(|subject| !self.subjects.insert(subject))
    }
}

impl State {
    fn line(&mut self, kind: Kind) -> &mut Line {
        match kind {
            Kind::Single => &mut self.single,
            Kind::Array => &mut self.array,
            Kind::Stream => &mut self.stream,
        }
    }

    fn lines(&self) -> [(Kind, &Line); 3] {
        [(Kind::Single, &self.single), (Kind::Array, &self.array), (Kind::Stream, &self.stream)]
    }

    fn is_empty(&self) -> bool {
        self.lines().iter().all(|(_, line)| line.turns.is_empty())
    }

    /// All that waits.
    fn take_all(&mut self) -> Waiting {
        let mut waiting = Waiting::default();
        for kind in Kind::ALL {
            while let Some(given) = self.line(kind).turns.pop() {
                waiting.add(given.item.submission);
            }
        }
        *self = Self { is_closed: self.is_closed, ..Self::default() };
        waiting
    }

    /// Fills a turn: with single submissions first, but not more than half of it as long as others wait; then with what has
    /// had least.
    fn fill(&mut self, turn: &mut Turn) {
        let kinds = self.lines().iter().filter(|(_, line)| !line.turns.is_empty()).count();
        let most = if kinds > 1 { TURN } else { TURN_ALONE };
        // Mostly it is all that waits.
        for given in self.single.turns.take_within(SINGLES) {
            self.put(Kind::Single, given, turn);
        }
        while turn.cost < SINGLES && self.give(Kind::Single, turn) {}
        while turn.cost < most {
            let waiting = self.lines().into_iter().filter(|(kind, line)| turn.takes(*kind) && !line.turns.is_empty());
            let Some((kind, line)) = waiting.min_by_key(|(_, line)| line.had) else { break };
            self.now = line.had;
            self.give(kind, turn);
        }
        while let Some(given) = turn.postponed.pop() {
            self.single.turns.put_back(given);
        }
        if self.is_empty() {
            *self = Self { is_closed: self.is_closed, ..Self::default() };
        }
    }

    /// Adds one of a kind to the turn, if one can go into it.
    fn give(&mut self, kind: Kind, turn: &mut Turn) -> bool {
        while turn.takes(kind)
            && let Some(given) = self.line(kind).turns.pop()
        {
            if self.put(kind, given, turn) {
                return true;
            }
        }
        false
    }

    /// Adds this one to the turn, if it can go into it.
    fn put(&mut self, kind: Kind, given: Given<Queued>, turn: &mut Turn) -> bool {
        if kind == Kind::Single && (!turn.takes(kind) || turn.postpones(&given)) {
            turn.postponed.push(given);
            return false;
        }
        let line = self.line(kind);
        line.had = line.had.saturating_add(kind.weighted(given.cost));
        turn.cost = turn.cost.saturating_add(given.cost);
        turn.waited.push((kind, given.item.since.elapsed()));
        turn.waiting.add(given.item.submission);
        true
    }
}

#[cfg(test)]
mod tests;
