//! The fold against the words at the head of its module, taken literally and from the beginning each time.

#[expect(dead_code, reason = "the tests of all of the store use the rest")]
#[path = "../../../tests/fuzz/bodies/model.rs"]
mod model;

use super::*;
use crate::event::Change;
use crate::event::Delete;
use crate::event::Describe;
use crate::event::Details;
use crate::event::Edge;
use crate::event::EdgeId;
use crate::event::Identity;
use crate::event::Span;
use crate::labels::LabelSet;
use crate::store::Arrival;
use crate::store::Arrived;
use crate::store::Command;
use crate::store::Options;
use crate::store::Order;
use crate::store::Query;
use crate::store::Store;
use model::Known;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::fmt::Write as _;

const LATER: Timestamp = Timestamp::from_millis(1_000_000_000_000);
const SKEW: Duration = Duration::from_millis(5);

/// An edge: stop, time, identity, group, whether its skew is another one.
type Said = (bool, i64, u8, Option<u8>, bool);

fn said() -> impl Strategy<Value = Said> {
    (any::<bool>(), 0i64..50, 0u8..3, prop::option::weighted(0.7, 0u8..2), prop::bool::weighted(0.1))
}

fn edge(&(stop, at, identity, group, other_skew): &Said) -> Edge {
    let name = identity.to_string();
    Edge {
        organization: "acme".into(),
        supersede: group.filter(|_| !stop).map(|group| Identity::of(["group", &group.to_string()])),
        skew: (stop && other_skew).then_some(Duration::from_millis(12)),
        ..Edge::new(
            if stop { EdgeState::Stop } else { EdgeState::Start },
            Timestamp::from_millis(at),
            Identity::of([&*name]),
            LabelSet::from_sorted([("event_name", "job"), ("name", &*name)]).unwrap(),
        )
    }
}

/// An event: its first start, its stop, its heartbeats, when it was superseded, whether it is open; and its number.
type Event = (Option<EdgeId>, Option<EdgeId>, usize, Option<i64>, bool, u64);

/// The n-th record of a log, when it was received.
fn nth(number: usize, millis: i64) -> Arrival {
    Arrival { position: number as u64 + 1, received: Timestamp::from_millis(millis) }
}

/// As one log brings them, a millisecond after the other.
fn arrived(edges: impl IntoIterator<Item = Edge>) -> Vec<Known> {
    edges.into_iter().enumerate().map(|(number, edge)| Known::new(edge, nth(number, i64::try_from(number).unwrap()))).collect()
}

fn model(all: &[Known]) -> BTreeSet<Event> {
    let event = |event: model::Event<'_>| {
        let id = |known: Option<&Known>| known.map(|known| known.id);
        let superseded = event.superseded_at.map(Timestamp::millis);
        (id(event.start), id(event.stop), event.beats.len(), superseded, event.is_open(), event.number())
    };
    model::events(all, SKEW).into_iter().map(event).collect()
}

fn events(store: &Store) -> BTreeSet<Event> {
    let query = Query { limit: 10_000, ..Query::default() };
    let all = store.tenant("acme").map(|tenant| tenant.select(&query).events).unwrap_or_default();
    let event = |event: &crate::store::EventView| {
        let id = |edge: &Option<crate::store::EdgeView>| edge.as_ref().map(|edge| edge.id);
        (id(&event.start), id(&event.stop), event.heartbeats, event.superseded_at.map(Timestamp::millis), event.open, event.number)
    };
    all.iter().map(event).collect()
}

fn store_of(edges: &[Known]) -> Store {
    let store = Store::new(Options { pairing_skew: SKEW, ..Options::default() });
    for Known { position, received, edge, .. } in edges {
        store.apply_record(Arrival { position: *position, received: *received }, &Command::Edge(edge.clone()));
    }
    store
}

fn unique(said: &[Said]) -> Vec<Known> {
    let mut seen = BTreeSet::new();
    arrived(said.iter().map(edge).filter(|edge| seen.insert(edge.id())))
}

/// What is known of the tenant's edges, by what the derived tables say.
fn open_gauges(store: &Store) -> usize {
    let mut count = 0;
    if let Some(tenant) = store.tenant("acme") {
        tenant.open_gauges(crate::store::ClusterId(0), LATER, &mut |_| count += 1);
    }
    count
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if std::env::var_os("CHANGE_EVENTS_FULL").is_some() { 200_000 } else { 3000 }))]

    #[test]
    fn events_are_what_the_words_say(said in prop::collection::vec(said(), 1..24)) {
        let edges = unique(&said);
        for count in 1..=edges.len() {
            let store = store_of(&edges[..count]);
            prop_assert_eq!(events(&store), model(&edges[..count]));
        }
        let store = store_of(&edges);
        let listed = events(&store).iter().filter(|event| event.4).count();
        prop_assert_eq!(store.stats(LATER).open, listed);
        prop_assert!(open_gauges(&store) <= listed);
    }

    #[test]
    fn a_deleted_event_takes_its_edges_and_no_other(said in prop::collection::vec(said(), 1..24), which in prop::collection::vec(any::<prop::sample::Index>(), 1..5)) {
        let mut edges = unique(&said);
        let store = store_of(&edges);
        for which in which {
            let tenant = store.tenant("acme").unwrap();
            let all = tenant.select(&Query { limit: 10_000, ..Query::default() }).events;
            if all.is_empty() {
                break;
            }
            let id = &all[which.index(all.len())].id;
            let span = store.span("acme", id);
            let Some(Span { identity, first, last }) = span else { panic!("no span") };
            store.apply(LATER, &Command::Change(Change::Delete(Delete { organization: "acme".into(), id: id.clone(), span })));
            let deleted = model::order_of(first)..=model::order_of(last);
            edges.retain(|known| known.edge.identity != identity || !deleted.contains(&known.order()));
            prop_assert_eq!(events(&store), model(&edges));
        }
        // The same again is known, and adds nothing.
        for known in unique(&said) {
            store.apply(LATER, &Command::Edge(known.edge));
        }
        prop_assert_eq!(events(&store), model(&edges));
    }

    #[test]
    fn what_stays_folds_to_what_it_was(said in prop::collection::vec((said(), 0i64..40), 1..24), cuts in prop::collection::vec(0i64..40, 1..4), described in prop::collection::vec(any::<prop::sample::Index>(), 0..4)) {
        // Each edge with its own time of receipt, in whose order they come.
        let mut said = said;
        said.sort_by_key(|said| said.1);
        let mut seen = BTreeSet::new();
        let log = said.iter().map(|(said, received)| (*received, edge(said))).filter(|(_, edge)| seen.insert(edge.id())).enumerate();
        let log: Vec<(Arrival, Command)> = log.map(|(number, (received, edge))| (nth(number, received), Command::Edge(edge))).collect();
        let store = Store::new(Options { pairing_skew: SKEW, ..Options::default() });
        let mut log = log;
        for (arrival, command) in &log {
            store.apply_record(*arrival, command);
        }
        for which in described {
            let tenant = store.tenant("acme").unwrap();
            let all = tenant.select(&Query { limit: 10_000, ..Query::default() }).events;
            let event = &all[which.index(all.len())];
            let details = Details { description: event.id.clone(), ..Details::default() };
            let describe = Describe { organization: "acme".into(), edge: event.first().unwrap().id, span: store.span("acme", &event.id), stop: None, details };
            let command = Command::Change(Change::Describe(Box::new(describe)));
            let arrival = nth(log.len(), 40);
            store.apply_record(arrival, &command);
            log.push((arrival, command));
        }
        let whole = events(&store);
        for cut in cuts {
            store.apply(LATER, &Command::Retire { before: Timestamp::from_millis(cut), upto: 0 });
            let left = events(&store);
            // Heartbeats may go one by one; nothing else of an event that stays.
            let of = |events: &BTreeSet<Event>| events.iter().map(|event| (event.0, event.1, event.3, event.4, event.5)).collect::<BTreeSet<_>>();
            prop_assert!(of(&left).is_subset(&of(&whole)), "{:?} of {:?}", left, whole);
            let open = |events: &BTreeSet<Event>| events.iter().filter(|event| event.4).count();
            prop_assert_eq!(open(&left), open(&whole));
            let kept: Vec<&(Arrival, Command)> = log.iter().filter(|(arrival, command)| store.remembers_record(arrival.received, command)).collect();
            let again = Store::new(Options { pairing_skew: SKEW, ..Options::default() });
            for (arrival, command) in kept {
                again.apply_record(*arrival, command);
            }
            let query = Query { limit: 10_000, ..Query::default() };
            let all = |store: &Store| format!("{:?}", store.tenant("acme").map(|tenant| tenant.select(&query).events).unwrap_or_default());
            prop_assert_eq!(all(&again), all(&store));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if std::env::var_os("CHANGE_EVENTS_FULL").is_some() { 20_000 } else { 300 }))]

    #[test]
    fn edges_that_come_together_are_what_they_are_one_after_the_other(said in prop::collection::vec((said(), prop::bool::weighted(0.1)), 1..40), runs in prop::collection::vec(1usize..6, 40)) {
        let mut seen = BTreeSet::new();
        let point = |edge: Edge| Edge { state: EdgeState::Point, supersede: None, skew: None, ..edge };
        let edges = said.iter().map(|(said, is_point)| if *is_point { point(edge(said)) } else { edge(said) });
        let edges = arrived(edges.filter(|edge| seen.insert(edge.id())));
        let [together, apart] = [(); 2].map(|()| Store::new(Options { pairing_skew: SKEW, ..Options::default() }));
        let mut rest = &edges[..];
        for (number, count) in runs.into_iter().enumerate() {
            let (run, after) = rest.split_at(count.min(rest.len()));
            let received = Timestamp::from_millis(i64::try_from(number).unwrap());
            let run: Vec<Arrived<'_>> = run.iter().map(|known| (Arrival { position: known.position, received }, &known.edge, known.id)).collect();
            together.apply_edges(&run, &mut Vec::new());
            for one in &run {
                apart.apply_edges(std::slice::from_ref(one), &mut Vec::new());
            }
            rest = after;
            prop_assert_eq!(together.stats(LATER), apart.stats(LATER));
        }
        prop_assert_eq!(listed(&together), listed(&apart));
        prop_assert_eq!(events(&together), model(&edges));
    }
}

/// A rival is between it and the first start, so that it begins nothing; without it the stop would be alone.
#[test]
fn the_start_beyond_an_early_stop_stays_also_where_it_is_a_heartbeat() {
    let starts = [(26, 0, None), (0, 1, None), (21, 0, None), (13, 0, Some(1)), (13, 1, Some(1))]
        .map(|(at, identity, group)| (false, at, identity, group, false));
    let stops = [(true, 26, 0, None, false), (true, 12, 0, None, true)];
    let edges = arrived(starts.iter().chain(&stops).map(edge));
    let store = store_of(&edges);
    let whole = events(&store);
    assert!(whole.iter().any(|(start, stop, ..)| (*start, *stop) == (Some(edges[3].id), Some(edges[6].id))), "{whole:?}");
    store.apply(LATER, &Command::Retire { before: Timestamp::from_millis(6), upto: 0 });
    assert_eq!(events(&store), whole);
    let tenant = store.tenant("acme").unwrap();
    let known: BTreeSet<EdgeId> = tenant.every_edge().into_iter().map(|(id, _)| id).collect();
    let left: Vec<Known> = edges.into_iter().filter(|edge| known.contains(&edge.id)).collect();
    assert_eq!(events(&store_of(&left)), whole);
}

/// All that a reader sees of events, in every order.
fn listed(store: &Store) -> String {
    let Some(tenant) = store.tenant("acme") else { return String::new() };
    let mut listed = format!("{:?}", store.stats(LATER));
    for order in [Order::Start, Order::End, Order::Update] {
        write!(listed, "{:?}", tenant.select(&Query { order, limit: 10_000, ..Query::default() }).events).unwrap();
    }
    tenant.open_gauges(crate::store::ClusterId(0), LATER, &mut |gauge| write!(listed, "{gauge:?}").unwrap());
    listed
}
