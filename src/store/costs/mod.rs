//! What edges cost, counted in rows looked at: n edges of one identity or of one supersede group cost n log n, whatever their
//! order, and so do changes of one event.

mod commands;

use super::Arrival;
use super::Command;
use super::Options;
use super::Order;
use super::Phase;
use super::Phases;
use super::Query;
use super::Store;
use super::Tenant;
use super::selector;
use super::steps;
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
use std::sync::Arc;

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
        Command::Change(Change::Put(Box::new(Put {
            id: "own".into(),
            created: None,
            number: None,
            start,
            stop: None,
            details: details(number),
        })))
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

#[test]
fn an_event_is_found_by_its_number_among_any_others() {
    let looked_at = |count: i64| {
        let store = Store::new(Options::default());
        for (position, number) in (1..).zip(0..count) {
            let arrival = Arrival { position, received: Timestamp::from_millis(number / 100) };
            store.apply_record(arrival, &Command::Edge(edge(EdgeState::Point, number * 1000, number, false)));
        }
        let tenant = store.tenant("acme").unwrap();
        let asked = (1..=count).step_by(97).map(i64::unsigned_abs);
        asked.map(|number| steps::of(|| assert_eq!(tenant.event_by_number(number).unwrap().number, number))).max().unwrap()
    };
    let (few, many) = (looked_at(FEW), looked_at(MANY));
    assert!(many < few + 10 && many < 60, "{few} rows of {FEW} events, {many} of {MANY}");
}

/// So many events, of which every other one is open but for the latest quarter. The oldest few have labels and tags that no others have.
fn asked(count: i64) -> Arc<Tenant> {
    let store = Store::new(Options::default());
    for number in 0..count {
        let (id, pair) = (format!("e{number}"), format!("p{}", number / 2));
        let yes = |holds: bool| if holds { "yes" } else { "no" };
        let labels = [
            ("entity_id", &*id),
            ("event_name", "job"),
            ("few", yes(number == 0)),
            ("pair", &*pair),
            ("rare", yes(number < 300)),
            ("some", yes(number % 5 < 2)),
        ];
        let state = if number < count / 4 * 3 && number % 2 == 0 { EdgeState::Start } else { EdgeState::Point };
        let edge = Edge { labels: LabelSet::from_sorted(labels).unwrap(), ..edge(state, number * 1000, number, false) };
        let tags = vec![("all".into(), vec!["yes".into()]), ("few".into(), vec![yes(number < 3).into()])];
        let details = Details { tags, ..Details::default() };
        let describe = Describe { organization: "acme".into(), edge: edge.id(), span: None, stop: None, details };
        store.apply(Timestamp::from_millis(number), &Command::Edge(edge));
        store.apply(Timestamp::from_millis(number), &Command::Change(Change::Describe(Box::new(describe))));
    }
    store.tenant("acme").unwrap()
}

#[test]
fn a_page_of_an_answer_costs_the_same_however_much_there_is() {
    let (few, many) = (asked(FEW), asked(MANY));
    let check = |name: &str, query: &Query| {
        let steps = |tenant: &Tenant| {
            // What is found out once stays known.
            assert!(!tenant.select(query).events.is_empty(), "{name}");
            steps::of(|| drop(tenant.select(query)))
        };
        let (few, many) = (steps(&few), steps(&many));
        assert!(many < few * 2 + 100, "{name}: {few} rows with {FEW} events, {many} with {MANY}");
    };
    let ten = || Query { limit: 10, ..Query::default() };
    let [open, over] = [Phase::Open, Phase::Over].map(|phase| Some(Phases::only(phase, Timestamp::from_millis(1 << 50))));
    for order in [Order::Start, Order::End, Order::Update] {
        check(&format!("all, {order:?}"), &Query { order, ..ten() });
    }
    check("what is closed, by its end", &Query { phases: over, order: Order::End, ..ten() });
    check("what is open", &Query { phases: open, ..ten() });
    for selector in [
        r#"{event_name="job"}"#,
        r#"{some="yes"}"#,
        r#"{entity_id="e0"}"#,
        r#"{entity_id="e0",pair="p0"}"#,
        r#"{entity_id=~".*6",rare="yes"}"#,
        r#"{entity_id=~"e.*6",rare="yes"}"#,
        r#"{entity_id!="e6",rare="yes"}"#,
        r#"{entity_id!~"e.*6",rare="yes"}"#,
        r#"{entity_id=~"e76.*"}"#,
        r#"{entity_id=~"e76.?"}"#,
    ] {
        let selectors = vec![selector::parse(selector).unwrap()];
        check(&format!("{selector}, of what is open"), &Query { selectors: selectors.clone(), phases: open, ..ten() });
        check(selector, &Query { selectors, ..ten() });
    }
    let tags = |keys: &[&str]| keys.iter().map(|&key| (key.into(), "yes".into())).collect();
    for keys in [&["all"][..], &["few"], &["all", "few"], &["few", "all"], &["some"], &["some", "all"]] {
        check(&format!("tagged {keys:?}"), &Query { tags: tags(keys), ..ten() });
    }
    let selectors = vec![selector::parse(r#"{entity_id="e0"}"#).unwrap()];
    let all = vec![selector::parse(r#"{event_name="job"}"#).unwrap()];
    check("all by their label, tagged as few", &Query { selectors: all, tags: tags(&["few"]), ..ten() });
    check("one by its label, tagged as all", &Query { selectors, tags: tags(&["all"]), ..ten() });
}

#[test]
fn a_series_costs_no_more_than_its_logarithm() {
    check("with a value of its own", |number, _| Command::Edge(edge(EdgeState::Start, 1000, number, false)));
    check("with a name of its own", |number, _| {
        let name = format!("n{number}");
        let labels = LabelSet::from_sorted([("event_name", "job"), (&*name, "x")]).unwrap();
        Command::Edge(Edge { labels, ..edge(EdgeState::Start, 1000, number, false) })
    });
}
