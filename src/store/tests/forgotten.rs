//! What retirement leaves of what it need not keep, and what a record that made it says of it.

use super::*;

fn edge(state: EdgeState, time: i64) -> Edge {
    Said { state, at: time, entity: 1, outcome: 0, superseding: false }.edge()
}

fn retire(store: &Store, before: i64, now: Timestamp) {
    store.apply(now, &Command::Retire { before: at(before), upto: 0 });
}

fn delete(store: &Store, received: i64, edge: &Edge) -> Command {
    let id: Box<str> = edge.id().to_string().into();
    let span = store.span("acme", &id);
    let command = Command::Change(Change::Delete(Delete { organization: "acme".into(), id, span }));
    store.apply(at(received), &command);
    command
}

fn known(store: &Store) -> BTreeSet<EdgeId> {
    store.tenant("acme").unwrap().every_edge().into_iter().map(|(id, _)| id).collect()
}

fn ids(edges: &[&Edge]) -> BTreeSet<EdgeId> {
    edges.iter().map(|edge| edge.id()).collect()
}

#[test]
fn old_heartbeats_of_an_open_event_go_one_by_one() {
    let store = Store::new(Options::default());
    let beats: Vec<Edge> = (0..50).map(|beat| edge(EdgeState::Start, 1000 * beat)).collect();
    for (received, beat) in (0..).zip(&beats) {
        put(&store, beat, received);
    }
    retire(&store, 40, LATER);
    let left: Vec<&Edge> = beats[..1].iter().chain(&beats[40..]).collect();
    assert_eq!(known(&store), ids(&left));
}

#[test]
fn what_was_deleted_stays_known_for_a_day_after_it_happened() {
    let (now, hour) = (LATER.millis(), 3_600_000);
    let store = Store::new(Options::default());
    let (lately, before) = (edge(EdgeState::Point, now - 24 * hour), edge(EdgeState::Point, now - 26 * hour));
    let deletions = [(1, &lately), (3, &before)].map(|(received, edge)| {
        put(&store, edge, received);
        (at(received + 1), delete(&store, received + 1, edge))
    });
    let remembered = || deletions.iter().map(|(received, command)| store.remembers_record(*received, command)).collect::<Vec<_>>();
    assert_eq!(remembered(), [true, true]);
    retire(&store, 10, LATER);
    assert_eq!(known(&store), ids(&[&lately]));
    assert_eq!(remembered(), [true, false], "what is forgotten needs no deletion any more");
}

/// One edge of the same identity and the same commit stays; what was deleted may have come in its record.
#[test]
fn what_came_with_an_edge_that_stays_goes_if_it_is_part_of_an_old_event() {
    let store = Store::new(Options::default());
    let (start, stop) = (edge(EdgeState::Start, 0), edge(EdgeState::Stop, 10_000));
    let (deleted, open) = (edge(EdgeState::Stop, 20_000), edge(EdgeState::Start, 30_000));
    for edge in [&start, &stop, &deleted, &open] {
        put(&store, edge, 1);
    }
    delete(&store, 2, &deleted);
    retire(&store, 10, LATER);
    assert_eq!(known(&store), ids(&[&deleted, &open]));
}

fn put_as(state: EdgeState, time: i64, text: &str, value: f64) -> Put {
    let mut put = tagged(&Said { state, at: time, entity: 1, outcome: 0, superseding: false });
    put.details.description = text.into();
    put.start.value = value;
    put
}

#[test]
fn an_event_that_is_put_again_has_the_value_that_was_put_last() {
    let store = Store::new(Options::default());
    for (received, value) in [(1, 1.0), (2, 5.0), (3, 7.5), (4, 1.0), (5, -0.5)] {
        store.apply(at(received), &Command::Change(Change::Put(Box::new(put_as(EdgeState::Start, 1000, "", value)))));
        let event = store.tenant("acme").unwrap().event("own-1").unwrap();
        assert_eq!(event.start.unwrap().value.to_bits(), value.to_bits());
    }
}

/// Else a checkpoint grows with every change of an event that stays.
#[test]
fn of_what_an_event_was_put_as_a_checkpoint_keeps_the_first_and_the_last() {
    let store = Store::new(Options::default());
    let puts = (0..20).map(|number| put_as(EdgeState::Stop, 1000, &number.to_string(), 1.0));
    let log: Vec<(Timestamp, Command)> = (0..).map(at).zip(puts.map(|put| Command::Change(Change::Put(Box::new(put))))).collect();
    for (received, command) in &log {
        store.apply(*received, command);
    }
    let kept = log.iter().filter(|(received, command)| store.remembers_record(*received, command));
    assert_eq!(kept.map(|(received, _)| received.millis()).collect::<Vec<_>>(), [0, 19]);
}

/// Else what was said of the event would go with it.
#[test]
fn a_heartbeat_that_something_was_said_of_stays_as_long_as_its_event() {
    let store = Store::new(Options::default());
    let (said_of, first) = (edge(EdgeState::Start, 10_000), edge(EdgeState::Start, 0));
    put(&store, &said_of, 1);
    let (span, details) = (store.span("acme", &said_of.id().to_string()), Details { description: "text".into(), ..Details::default() });
    let describe = crate::event::Describe { organization: "acme".into(), edge: said_of.id(), span, stop: None, details };
    store.apply(at(2), &Command::Change(Change::Describe(Box::new(describe))));
    put(&store, &first, 3);
    put(&store, &edge(EdgeState::Start, 20_000), 4);
    retire(&store, 10, LATER);
    assert_eq!(known(&store), ids(&[&said_of, &first]));
    let event = store.tenant("acme").unwrap().event(&first.id().to_string()).unwrap();
    assert_eq!(&*event.details.unwrap().description, "text");
}

/// What is there after some puts of one event, its deletion and a retirement of all of it that did not happen lately.
#[track_caller]
fn check_put(puts: &[(i64, Option<i64>)], left: &[(EdgeState, i64)]) {
    let store = Store::new(Options::default());
    let edge = |(state, time)| Edge { identity: Identity::of_id("own"), ..edge(state, time) };
    let edges = |(start, stop): (i64, Option<i64>)| (edge((EdgeState::Start, start)), stop.map(|stop| edge((EdgeState::Stop, stop))));
    for (received, (start, stop)) in (1..).zip(puts.iter().map(|put| edges(*put))) {
        let put = Put { id: "own".into(), created: None, number: None, start, stop, details: Details::default() };
        store.apply(at(received), &Command::Change(Change::Put(Box::new(put))));
    }
    store.apply(at(50), &Command::Change(Change::Delete(Delete { organization: "acme".into(), id: "own".into(), span: None })));
    retire(&store, 100, LATER);
    let left: Vec<Edge> = left.iter().map(|left| edge(*left)).collect();
    assert_eq!(known(&store), ids(&left.iter().collect::<Vec<_>>()), "{puts:?}");
}

/// Which of the records between its first and its last an edge came in nobody knows; those before and after had it not.
#[test]
fn what_was_put_goes_where_no_record_that_has_it_stays() {
    let lately = LATER.millis() - 3_600_000;
    let (start, stop) = (|time| (EdgeState::Start, time), (EdgeState::Stop, lately));
    check_put(&[(0, None), (0, Some(1000))], &[]);
    check_put(&[(0, None), (0, Some(lately)), (0, None)], &[start(0), stop]);
    check_put(&[(0, None), (0, None), (1000, Some(lately))], &[start(1000), stop]);
    check_put(&[(1000, Some(lately)), (0, None), (0, None)], &[start(1000), stop]);
}

#[test]
fn what_a_deletion_of_the_first_format_names_stays_as_long_as_what_it_deleted() {
    let store = Store::new(Options::default());
    let (start, stop) = (edge(EdgeState::Start, 0), edge(EdgeState::Stop, 1000));
    put(&store, &start, 0);
    put(&store, &stop, 20);
    let id = start.id().to_string().into();
    store.apply(at(21), &Command::Change(Change::Delete(Delete { organization: "acme".into(), id, span: None })));
    for _ in 0..2 {
        retire(&store, 10, LATER);
        assert_eq!(known(&store), ids(&[&start, &stop]));
    }
    retire(&store, 30, LATER);
    assert_eq!(known(&store), ids(&[]));
}

/// An edge by itself has the id of a put's start only where a door gives an event's own identity to it, which none does.
#[test]
fn a_put_whose_start_came_again_by_itself_is_remembered() {
    let store = Store::new(Options::default());
    let puts = ["a", "b"].map(|text| put_as(EdgeState::Start, 1000, text, 1.0));
    let start = puts[0].start.clone();
    let commands = puts.map(|put| Command::Change(Change::Put(Box::new(put)))).into_iter().chain([Command::Edge(start)]);
    let log: Vec<(Timestamp, Command)> = (1..).map(at).zip(commands).collect();
    let said = |store: &Store| store.tenant("acme").unwrap().event("own-1").unwrap().details.unwrap().description.to_string();
    for (received, command) in &log {
        store.apply(*received, command);
    }
    let again = Store::new(Options::default());
    for (received, command) in log.iter().filter(|(received, command)| store.remembers_record(*received, command)) {
        again.apply(*received, command);
    }
    assert_eq!((said(&store), said(&again)), ("b".to_owned(), "b".to_owned()));
}

#[test]
fn a_supersede_group_goes_with_its_last_identity() {
    let store = Store::new(Options::default());
    let said = |state, time, entity| Said { state, at: time, entity, outcome: 0, superseding: true }.edge();
    let groups = || store.tenant("acme").unwrap().core.read().groups.len();
    for round in 0..3 {
        for edge in [said(EdgeState::Start, 1000, 1), said(EdgeState::Start, 2000, 2), said(EdgeState::Stop, 3000, 2)] {
            put(&store, &edge, round * 100);
        }
        assert_eq!(groups(), 1);
        store.apply(LATER, &Command::Retire { before: at(round * 100 + 50), upto: 0 });
        assert_eq!((groups(), store.stats(at(0)).edges), (0, 0));
    }
}
