//! What edges cost, counted in rows looked at: n edges of one identity or of one supersede group cost n log n, whatever their
//! order, and so do changes of one event.

use super::Command;
use super::Options;
use super::Order;
use super::Query;
use super::Store;
use super::rows::steps;
use crate::event::Change;
use crate::event::Delete;
use crate::event::Describe;
use crate::event::Details;
use crate::event::Edge;
use crate::event::EdgeState;
use crate::event::Identity;
use crate::event::Put;
use crate::labels::LabelSet;
use crate::time::Timestamp;

fn edge(state: EdgeState, at: i64, entity: i64, group: bool) -> Edge {
    let entity = entity.to_string();
    Edge {
        organization: "acme".into(),
        supersede: (group && state == EdgeState::Start).then(|| Identity::of(["group"])),
        ..Edge::new(
            state,
            Timestamp::from_millis(at),
            Identity::of([&*entity]),
            LabelSet::from_sorted([("entity_id", &*entity), ("event_name", "job")]).unwrap(),
        )
    }
}

/// A permutation of `0..count` without order.
fn shuffled(number: i64, count: i64) -> i64 {
    (number * 7919 + 13) % count
}

/// The rows looked at for each of so many commands.
fn steps_each(count: i64, command: impl Fn(i64, i64) -> Command) -> u64 {
    let store = Store::new(Options::default());
    let steps = steps::of(|| {
        for number in 0..count {
            store.apply(Timestamp::from_millis(number), &command(number, count));
        }
    });
    steps / u64::try_from(count).unwrap()
}

const FEW: i64 = 1000;
const MANY: i64 = 5000;

#[track_caller]
fn check(name: &str, command: impl Fn(i64, i64) -> Command) {
    let (few, many) = (steps_each(FEW, &command), steps_each(MANY, &command));
    // The logarithm grows by 1.2.
    assert!(many * 2 < few * 3, "{name}: {few} rows for each of {FEW}, {many} for each of {MANY}");
    assert!(many < 2000, "{name}: {many} rows for each");
}

#[test]
fn edges_of_one_identity_cost_no_more_than_their_logarithm() {
    use EdgeState::Start;
    use EdgeState::Stop;
    type Order = fn(i64, i64) -> i64;
    let orders: [(&str, Order); 3] =
        [("oldest first", |number, _| number), ("newest first", |number, count| count - number), ("in no order", shuffled)];
    for (order, place) in orders {
        let at = |number, count| place(number, count) * 1000;
        check(&format!("heartbeats, {order}"), |number, count| Command::Edge(edge(Start, at(number, count), 1, false)));
        check(&format!("starts and stops, {order}"), |number, count| {
            let at = at(number, count);
            Command::Edge(edge(if at % 2000 == 0 { Start } else { Stop }, at, 1, false))
        });
        check(&format!("stops, {order}"), |number, count| Command::Edge(edge(Stop, at(number, count), 1, false)));
        check(&format!("stops just before starts, {order}"), |number, count| {
            let at = at(number, count) / 1000 * 3000;
            Command::Edge(edge(if at % 6000 == 0 { Stop } else { Start }, at, 1, false))
        });
        check(&format!("two that supersede each other, {order}"), |number, count| {
            let at = at(number, count);
            Command::Edge(edge(Start, at, at / 1000 % 2, true))
        });
        check(&format!("many that supersede each other, {order}"), |number, count| {
            let at = at(number, count);
            Command::Edge(edge(Start, at, at / 1000, true))
        });
        check(&format!("a group of one, {order}"), |number, count| Command::Edge(edge(Start, at(number, count), 1, true)));
    }
}

/// What most events are: their stop is not looked for among others.
#[test]
fn a_start_and_its_stop_cost_a_few_rows() {
    let state = |number| if number % 2 == 0 { EdgeState::Start } else { EdgeState::Stop };
    let each = steps_each(FEW, |number, _| Command::Edge(edge(state(number), number, number / 2, false)));
    assert!(each < 55, "{each} rows for each");
}

#[test]
fn changes_of_one_event_cost_no_more_than_their_logarithm() {
    let details = |number: i64| Details { description: number.to_string().into(), ..Details::default() };
    let put = |at: i64, number: i64| {
        let start = Edge { identity: Identity::of_id("own"), ..edge(EdgeState::Start, at, 1, false) };
        Command::Change(Change::Put(Box::new(Put { id: "own".into(), created: None, start, stop: None, details: details(number) })))
    };
    check("what is said", |number, _| put(1000, number));
    check("when it began", |number, _| put(number, number));
    check("when it began, back and forth", |number, _| put(number % 2, number));
    check("deleted and put again", |number, _| {
        if number % 2 == 0 {
            put(number, number)
        } else {
            Command::Change(Change::Delete(Delete { organization: "acme".into(), id: "own".into(), span: None }))
        }
    });
    let first = edge(EdgeState::Start, 0, 1, false);
    check("described", |number, _| {
        if number == 0 {
            return Command::Edge(first.clone());
        }
        let describe = Describe { organization: "acme".into(), edge: first.id(), span: None, stop: None, details: details(number) };
        Command::Change(Change::Describe(Box::new(describe)))
    });
}

#[test]
fn lists_and_retirement_cost_each_edge_once() {
    let steps = |count: i64| {
        let store = Store::new(Options::default());
        for number in 0..count {
            store.apply(Timestamp::from_millis(number), &Command::Edge(edge(EdgeState::Start, number * 1000, 1, false)));
        }
        let tenant = store.tenant("acme").unwrap();
        let list = steps::of(|| drop(tenant.select(&Query { order: Order::Update, ..Query::default() })));
        let before = Timestamp::from_millis(count / 2);
        let retire = steps::of(|| drop(store.apply(Timestamp::from_millis(1_000_000_000_000), &Command::Retire { before, upto: 0 })));
        (list, retire)
    };
    let (few, many) = (steps(FEW), steps(MANY));
    let growth = u64::try_from(MANY / FEW).unwrap();
    assert!(many.0 < few.0 * growth * 2, "lists: {} rows, then {}", few.0, many.0);
    assert!(many.1 < few.1 * growth * 2, "retirement: {} rows, then {}", few.1, many.1);
}
