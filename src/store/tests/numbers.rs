//! The numbers of events: what gives them, and what does not change them.

use super::*;
use crate::event::Describe;
use std::sync::atomic::AtomicU64;

/// When and where the record is that a test has next: later than all that any test had.
pub(in crate::store) fn arriving(received: Timestamp) -> Arrival {
    static LAST: AtomicU64 = AtomicU64::new(0);
    Arrival { position: LAST.fetch_add(1, Ordering::Relaxed) + 1, received }
}

/// A log and what it is folded into.
struct Log {
    store: Store,
    records: Vec<(Arrival, Command)>,
}

fn edge(state: EdgeState, time: i64) -> Edge {
    Said { state, at: time * 1000, entity: 1, outcome: 0, superseding: false }.edge()
}

fn own(start: i64, stop: Option<i64>) -> Put {
    let of_own = |state, time| Edge { identity: Identity::of_id("own"), ..edge(state, time) };
    let stop = stop.map(|time| of_own(EdgeState::Stop, time));
    Put { id: "own".into(), created: None, number: None, start: of_own(EdgeState::Start, start), stop, details: Details::default() }
}

impl Log {
    fn new() -> Self {
        Self { store: Store::new(Options::default()), records: Vec::new() }
    }

    /// Appends a command as the next record, which is received so many milliseconds after the first, and has that for its position.
    fn append(&mut self, mut command: Command) -> u64 {
        let position = self.records.len() as u64 + 1;
        match &mut command {
            Command::Change(Change::Put(put)) => put.number = self.store.number("acme", &put.id),
            Command::Change(Change::Describe(describe)) => describe.span = self.store.span("acme", &describe.edge.to_string()),
            Command::Change(Change::Delete(delete)) => delete.span = self.store.span("acme", &delete.id),
            _ => {}
        }
        let arrival = Arrival { position, received: at(i64::try_from(position).unwrap()) };
        self.store.apply_record(arrival, &command);
        self.records.push((arrival, command));
        position
    }

    fn edge(&mut self, state: EdgeState, time: i64) -> u64 {
        self.append(Command::Edge(edge(state, time)))
    }

    fn put(&mut self, start: i64, stop: Option<i64>) -> u64 {
        self.append(Command::Change(Change::Put(Box::new(own(start, stop)))))
    }

    fn delete(&mut self, id: &str) {
        self.append(Command::Change(Change::Delete(Delete { organization: "acme".into(), id: id.into(), span: None })));
    }

    /// All that was received by then and may go goes; and what stays is what its records fold to.
    #[track_caller]
    fn retire(&mut self, before: u64) {
        self.store.apply(LATER, &Command::Retire { before: at(i64::try_from(before).unwrap() + 1), upto: before });
        let again = Store::new(Options::default());
        for (arrival, command) in self.records.iter().filter(|(arrival, command)| self.store.remembers_record(arrival.received, command)) {
            again.apply_record(*arrival, command);
        }
        assert_eq!(numbers(&again), numbers(&self.store));
    }

    /// These are the numbers, latest event first, and these lead to the same events, the others to none.
    #[track_caller]
    fn check(&self, expected: &[u64], also: &[(u64, u64)]) {
        assert_eq!(numbers(&self.store), expected);
        let tenant = self.store.tenant("acme").unwrap();
        for number in 0..=self.records.len() as u64 + 1 {
            let of = expected.iter().find(|own| **own == number).or(also.iter().find(|also| also.0 == number).map(|also| &also.1));
            assert_eq!(tenant.event_by_number(number).map(|event| event.number), of.copied(), "{number}");
        }
    }
}

fn numbers(store: &Store) -> Vec<u64> {
    store.tenant("acme").map(|tenant| tenant.select(&everything()).events.iter().map(|event| event.number).collect()).unwrap_or_default()
}

/// Whatever comes of it later, and whatever of it is forgotten.
#[test]
fn an_event_keeps_its_number() {
    use EdgeState::Start;
    use EdgeState::Stop;
    let mut log = Log::new();
    // Its heartbeats come first, then a late start, then what closes it.
    let (first, second) = (log.edge(Start, 20), log.edge(Start, 30));
    log.check(&[first], &[(second, first)]);
    let late = log.edge(Start, 10);
    log.check(&[first], &[(second, first), (late, first)]);
    log.retire(late);
    log.check(&[first], &[(late, first)]);
    let stop = log.edge(Stop, 40);
    log.check(&[first], &[(late, first), (stop, first)]);
    let head = edge(Start, 10);
    let describe = Describe { organization: "acme".into(), edge: head.id(), span: None, stop: None, details: Details::default() };
    log.append(Command::Change(Change::Describe(Box::new(describe))));
    log.check(&[first], &[(late, first), (stop, first)]);
    let open = log.edge(Start, 50);
    log.retire(late);
    log.check(&[open, first], &[(late, first), (stop, first)]);
    log.retire(stop);
    log.check(&[open], &[]);
    log.delete(&edge(Start, 50).id().to_string());
    log.check(&[], &[]);
}

#[test]
fn an_event_that_falls_apart_is_two_and_two_that_become_one_have_the_lesser_number() {
    let mut log = Log::new();
    let (first, second) = (log.edge(EdgeState::Start, 10), log.edge(EdgeState::Start, 30));
    log.check(&[first], &[(second, first)]);
    let between = log.edge(EdgeState::Stop, 20);
    log.check(&[second, first], &[(between, first)]);
    log.delete(&edge(EdgeState::Start, 10).id().to_string());
    log.check(&[second], &[]);
    let again = log.edge(EdgeState::Start, 5);
    log.check(&[second], &[(again, second)]);
}

/// One that is put again and again, with edges that it had before and others.
#[test]
fn what_is_put_again_keeps_its_number_until_it_is_deleted() {
    let mut log = Log::new();
    let first = log.put(10, None);
    log.check(&[first], &[]);
    for (start, stop) in [(10, Some(20)), (30, Some(40)), (10, Some(20)), (50, None), (30, None)] {
        log.put(start, stop);
        log.check(&[first], &[]);
        log.retire(1);
        log.check(&[first], &[]);
    }
    log.retire(5);
    log.check(&[first], &[]);
    log.delete("own");
    log.check(&[], &[]);
    // By edges that are known, and others.
    for (start, stop) in [(30, None), (60, None)] {
        let again = log.put(start, stop);
        log.check(&[again], &[]);
        log.put(10, Some(20));
        log.check(&[again], &[]);
        log.delete("own");
        log.check(&[], &[]);
    }
}

/// Logs of before do not say which number a put was given.
#[test]
fn what_was_put_without_a_number_has_that_of_its_last_record() {
    let mut log = Log::new();
    for number in 1..4_u64 {
        let (arrival, put) = (Arrival { position: number, received: at(1) }, own(10, (number > 1).then_some(20)));
        let command = Command::Change(Change::Put(Box::new(put)));
        log.store.apply_record(arrival, &command);
        log.records.push((arrival, command));
        log.check(&[number], &[]);
    }
    log.put(30, None);
    log.check(&[3], &[]);
}

/// In no order, so that of those that come first in a stretch of time some do not come first of all: each look leaves fewer.
#[test]
fn of_many_heartbeats_few_stay_for_the_number() {
    let mut log = Log::new();
    let first = log.edge(EdgeState::Start, 500);
    for number in 1..200 {
        log.edge(EdgeState::Start, 1 + number * 77 % 997);
    }
    let last = log.edge(EdgeState::Start, 0);
    let mut left = vec![log.store.stats(LATER).edges];
    while left.last() > Some(&2) {
        log.retire(last);
        log.check_first(first);
        left.push(log.store.stats(LATER).edges);
        assert!(left.is_sorted_by(|before, after| after * 2 <= before + 4), "{left:?}");
    }
    assert!(left.len() < 9, "{left:?}");
}

impl Log {
    #[track_caller]
    fn check_first(&self, number: u64) {
        assert_eq!(numbers(&self.store), [number]);
        assert_eq!(self.store.tenant("acme").unwrap().event_by_number(number).unwrap().number, number);
    }
}
