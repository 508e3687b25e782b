mod between;
mod clock;
mod effort;
mod forgotten;
mod limits;
mod memory;
mod names;
mod numbers;
mod parts;
mod questions;
mod recorded;
mod retired;
mod room;

pub(super) use numbers::arriving;

use super::*;
use crate::event::Delete;
use crate::event::Details;
use crate::event::Edge;
use crate::event::EdgeId;
use crate::event::EdgeState;
use crate::event::Identity;
use crate::event::Put;
use crate::labels::EVENT_STATE;
use crate::labels::LabelSet;
use crate::store::number::SeriesNo;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// Long after every edge here.
const LATER: Timestamp = Timestamp::from_millis(1_000_000_000_000);

/// Only what is open then, or only what is not.
fn phases(open: Option<bool>, now: i64) -> Option<Phases> {
    open.map(|open| if open { Phases::only(Phase::Open, at(now)) } else { Phases::but(Phase::Open, at(now)) })
}

/// A short way to say an edge: state, time, entity, outcome, group.
#[derive(Clone, Debug)]
struct Said {
    state: EdgeState,
    at: i64,
    entity: u8,
    outcome: u8,
    superseding: bool,
}

impl Said {
    fn edge(&self) -> Edge {
        let mut labels = BTreeMap::from([("event_name", "job".to_owned()), ("entity_id", format!("job-{}", self.entity))]);
        if self.outcome > 0 {
            labels.insert("outcome", ["", "ok", "failed", "weird \"one\"\n"][usize::from(self.outcome % 4)].to_owned());
        }
        labels.retain(|_, value| !value.is_empty());
        let kind = if self.state == EdgeState::Point { "point" } else { "span" };
        Edge {
            organization: "acme".into(),
            lapses: self.entity.is_multiple_of(3),
            // As the mapping makes it: a stop says nothing of what it supersedes.
            supersede: (self.superseding && self.state == EdgeState::Start).then(|| Identity::of(["supersede"])),
            ..Edge::new(
                self.state,
                at(self.at),
                Identity::of([kind, &self.entity.to_string()]),
                LabelSet::from_sorted(labels.iter().map(|(k, v)| (*k, v.as_str()))).unwrap(),
            )
        }
    }
}

fn said() -> impl Strategy<Value = Said> {
    let state = prop_oneof![3 => Just(EdgeState::Start), 3 => Just(EdgeState::Stop), 1 => Just(EdgeState::Point)];
    (state, 0i64..60_000, 0u8..12, 0u8..4).prop_map(|(state, at, entity, outcome)| Said {
        state,
        at: at / 500 * 500,
        entity,
        outcome,
        // Of one identity some are, some are not; of one edge all are the same.
        superseding: (i64::from(entity) + at / 500) % 3 > 0 && state != EdgeState::Point,
    })
}

fn filled(edges: &[Edge]) -> Store {
    let store = Store::new(Options::default());
    for (number, edge) in edges.iter().enumerate() {
        put(&store, edge, i64::try_from(number).unwrap());
    }
    store
}

fn put(store: &Store, edge: &Edge, received: i64) -> AppliedEdge {
    let applied = store.apply(at(received), &Command::Edge(edge.clone()));
    let Applied::Edge(applied) = applied else { panic!("{applied:?}") };
    applied
}

/// Everything a reader can see of an event, in a form that can be compared.
fn shape(event: &EventView) -> String {
    let edge = |edge: &Option<EdgeView>| edge.as_ref().map(|edge| (edge.at.millis(), edge.id.0, edge.labels.clone()));
    let open = (event.open, event.superseded_at.map(Timestamp::millis), event.heartbeats, event.last_heartbeat.map(Timestamp::millis));
    format!("{:?} {:?} {open:?}", edge(&event.start), edge(&event.stop))
}

fn everything() -> Query {
    Query { limit: 10_000, ..Query::default() }
}

fn shapes(store: &Store, query: &Query) -> BTreeSet<String> {
    store.tenant("acme").map(|tenant| tenant.select(query).events.iter().map(shape).collect()).unwrap_or_default()
}

fn texts<'e>(event: &'e EventView, label: &'e str) -> impl Iterator<Item = &'e str> {
    [&event.start, &event.stop].into_iter().flatten().filter_map(move |edge| edge.labels.value(label))
}

/// What [`Query::tags`] says, without an index.
fn has_tag(event: &EventView, key: &str, value: &str) -> bool {
    let said =
        event.details.iter().flat_map(|details| details.all_tags()).any(|(own, its)| format!("{own}:{its}") == format!("{key}:{value}"));
    let name = if key == "type" { texts(event, "event_name").any(|name| name == value) } else { false };
    said || name || (key != "event_name" && texts(event, key).any(|label| label == value))
}

/// What [`Query::text`] says, without an index.
fn mentions(event: &EventView, text: &str) -> bool {
    let said = event.details.iter().flat_map(|details| [&*details.name, &*details.description]);
    let labels = ["event_name", "name", "description"].into_iter().flat_map(|name| texts(event, name));
    said.chain(labels).any(|said| said.to_lowercase().contains(&text.to_lowercase()))
}

fn when(event: &EventView) -> (i64, i64) {
    let start = event.start.as_ref().or(event.stop.as_ref()).unwrap().at.millis();
    let end = match (&event.stop, event.superseded_at) {
        _ if event.open => i64::MAX,
        (Some(stop), _) => stop.at.millis().max(start),
        (None, superseded) => superseded.map_or(start, Timestamp::millis),
    };
    (start, end)
}

#[track_caller]
fn naive_matches(store: &Store, event: &EventView, selector: &[Matcher]) -> bool {
    // Heartbeats are edges too; in these tests they carry an outcome label of their own, so look at all edges in the store.
    let tenant = store.tenant("acme").unwrap();
    let core = tenant.core.read();
    let head = core.find_edge(event.start.as_ref().or(event.stop.as_ref()).unwrap().id).unwrap();
    let beats = core.beats(head).collect::<Vec<_>>();
    [Some(head), core.stop_of(head)].into_iter().flatten().chain(beats).any(|edge| {
        let row = core.row(edge).unwrap();
        let mut labels = BTreeMap::from([("__name__".to_owned(), "last9_change_events".to_owned())]);
        drop_in(&tenant, &core, row.series, &mut labels);
        selector.iter().all(|matcher| matcher.matches(labels.get(&*matcher.name).map_or("", String::as_str)))
    })
}

fn drop_in(tenant: &Tenant, core: &Core, series: SeriesNo, labels: &mut BTreeMap<String, String>) {
    let row = core.series.get(series).unwrap();
    labels.insert(EVENT_STATE.into(), row.end.label().into());
    tenant.index.texts(&row.labels, |name, value| {
        labels.insert(name.into(), value.into());
    });
}

const SELECTORS: [&str; 20] = [
    r#"{entity_id="job-3"}"#,
    r#"{entity_id="nobody"}"#,
    r#"{entity_id!="job-3"}"#,
    r#"{entity_id=~"job-1.*"}"#,
    r#"{entity_id=~"job-1|job-2"}"#,
    r#"{entity_id!~"job-1.*",event_name="job"}"#,
    r#"{outcome="failed",event_state="stop"}"#,
    r#"{outcome="",entity_id=~".+"}"#,
    r#"{outcome!="",event_state!="stop"}"#,
    r#"{outcome=~"ok|"}"#,
    r#"{outcome=~"ok|failed",entity_id=~"job-.",event_name=~"j.b"}"#,
    r#"last9_change_events{entity_id=~".*1"}"#,
    r#"other_family{entity_id=~".*1"}"#,
    r#"{__name__!="last9_change_events",entity_id!=""}"#,
    r#"{__name__=~"last9.*|x",entity_id=~"job-1.*"}"#,
    r#"{event_state!="start",event_state!="stop"}"#,
    r#"{outcome="ok",event_state=~"st.*",event_state!="stop"}"#,
    r#"{absent="",entity_id="job-1"}"#,
    r#"{absent="x"}"#,
    r#"{event_state="start",outcome!~"weird.*"}"#,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn state_is_a_function_of_the_set_of_edges(said in prop::collection::vec(said(), 1..60), seed in any::<prop::sample::Index>()) {
        let edges: Vec<Edge> = said.iter().map(Said::edge).collect();
        let mut shuffled = edges.clone();
        let turn = seed.index(edges.len());
        shuffled.rotate_left(turn);
        shuffled.reverse();
        shuffled.extend(edges.iter().take(3).cloned());
        let (store, other) = (filled(&edges), filled(&shuffled));
        prop_assert_eq!(shapes(&store, &everything()), shapes(&other, &everything()));
        prop_assert_eq!(store.stats(at(100)), other.stats(at(100)));
    }

    #[test]
    fn selectors_answer_like_a_filter_over_all_events(
        said in prop::collection::vec(said(), 1..80), selector in prop::sample::select(&SELECTORS[..]), second in prop::option::of(prop::sample::select(&SELECTORS[..])),
        start in prop::option::of(0i64..70_000), end in prop::option::of(0i64..70_000), open_only in any::<bool>(), now in 100i64..70_000, limit in 1usize..20,
    ) {
        let store = filled(&said.iter().map(Said::edge).collect::<Vec<_>>());
        let tenant = store.tenant("acme").unwrap();
        let selectors: Vec<Vec<Matcher>> = std::iter::once(selector).chain(second).map(|text| selector::parse(text).unwrap()).collect();
        let all = tenant.select(&everything()).events;
        let wanted = |event: &&EventView| {
            let (begun, ended) = when(event);
            selectors.iter().any(|selector| naive_matches(&store, event, selector)) && (!open_only || event.phase(at(now)) == Phase::Open)
                && start.is_none_or(|start| ended >= start) && end.is_none_or(|end| begun < end)
        };
        let expected: Vec<String> = all.iter().filter(wanted).map(shape).collect();
        let mut found = Vec::new();
        let mut query = Query { selectors: selectors.clone(), start: start.map(at), end: end.map(at), phases: phases(open_only.then_some(true), now), limit, ..Query::default() };
        loop {
            let page = tenant.select(&query);
            prop_assert!(page.events.len() <= limit);
            found.extend(page.events.iter().map(shape));
            prop_assert_eq!(page.next.is_some(), found.len() < expected.len(), "a cursor is there exactly when something follows");
            match page.next {
                Some(next) => query.after = Some(next.to_string().parse().unwrap()),
                None => break,
            }
        }
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn retirement_leaves_what_is_open_and_forgets_the_rest(said in prop::collection::vec(said(), 1..80), cut in 0i64..90) {
        // A superseding event is kept while what it superseded is, and so is what follows a skewed pair; the next test looks at those.
        // Nor is anything said twice, which would renew it.
        let mut seen = BTreeSet::new();
        let edges = said.iter().map(|said| Said { superseding: false, at: said.at * 20, ..said.clone() }.edge());
        let edges: Vec<Edge> = edges.filter(|edge| seen.insert(edge.id())).collect();
        let store = filled(&edges);
        let tenant = store.tenant("acme").unwrap();
        let all = tenant.select(&everything()).events;
        let beat_since_cut = |event: &EventView| {
            let core = tenant.core.read();
            let head = event.start.as_ref().and_then(|start| core.find_edge(start.id));
            head.is_some_and(|head| core.beats(head).any(|beat| core.row(beat).unwrap().received >= at(cut)))
        };
        let with_beat: BTreeSet<String> = all.iter().filter(|event| beat_since_cut(event)).map(shape).collect();
        store.apply(LATER, &Command::Retire { before: at(cut), upto: 0 });
        let kept = |event: &&EventView| event.open || with_beat.contains(&shape(event)) || [&event.start, &event.stop].into_iter().flatten().any(|edge| edge.received >= at(cut));
        let without_beats = |event: &EventView| format!("{:?} {:?} {}", event.start.as_ref().map(|e| e.id), event.stop.as_ref().map(|e| e.id), event.open);
        let expected: Vec<String> = all.iter().filter(kept).map(without_beats).collect();
        let left: Vec<String> = tenant.select(&everything()).events.iter().map(without_beats).collect();
        prop_assert_eq!(left, expected);
        // What is left can be found by its labels, and what went cannot.
        let by_label = tenant.select(&Query { selectors: vec![selector::parse(r#"{entity_id=~".+"}"#).unwrap()], ..everything() });
        prop_assert_eq!(by_label.events.len(), tenant.select(&everything()).events.len());
        // All of it may come again.
        for edge in &edges {
            put(&store, edge, 200);
        }
        store.apply(LATER, &Command::Retire { before: at(300), upto: 0 });
        prop_assert_eq!(store.stats(LATER).events, store.stats(LATER).open);
    }

    #[test]
    fn retirement_neither_opens_nor_closes(said in prop::collection::vec(said(), 1..80), cuts in prop::collection::vec(0i64..90, 1..5)) {
        let edges: Vec<Edge> = said.iter().map(Said::edge).collect();
        let (store, whole) = (filled(&edges), filled(&edges));
        let open = Query { phases: phases(Some(true), LATER.millis()), ..everything() };
        let ids = |store: &Store| -> Vec<EdgeId> { store.tenant("acme").unwrap().select(&open).events.iter().map(|event| event.start.as_ref().unwrap().id).collect() };
        for cut in cuts {
            store.apply(LATER, &Command::Retire { before: at(cut), upto: 0 });
            prop_assert_eq!(ids(&store), ids(&whole));
        }
        // A log of only what stayed folds to the same.
        let tenant = store.tenant("acme").unwrap();
        let stayed: Vec<Edge> = edges.iter().filter(|edge| tenant.core.read().find_edge(edge.id()).is_some()).cloned().collect();
        prop_assert_eq!(shapes(&filled(&stayed), &everything()), shapes(&store, &everything()));
    }
}

/// Everything, page after page, with the writer let in after every third event that is looked at closely.
fn paged(tenant: &Tenant, query: &Query) -> Vec<EventView> {
    let (mut events, mut after) = (Vec::new(), None);
    loop {
        let page = tenant.select_by(&Query { after, ..query.clone() }, 3);
        assert!(page.events.len() <= query.limit);
        events.extend(page.events);
        after = page.next;
        if after.is_none() {
            return events;
        }
    }
}

fn tagged(said: &Said) -> Put {
    let id = format!("own-{}", said.entity % 7);
    let start = Edge { identity: Identity::of_id(&id), state: EdgeState::Start, supersede: None, ..said.edge() };
    let stop = (said.state == EdgeState::Stop).then(|| Edge { state: EdgeState::Stop, at: at(said.at + 700), ..start.clone() });
    let team: Box<str> = format!("team {}", said.outcome % 2).into();
    let details = Details {
        description: format!("Nr {}", said.outcome).into(),
        tags: vec![("team".into(), vec![team, "all".into()])],
        ..Details::default()
    };
    Put {
        id: id.into(),
        created: None,
        number: None,
        start: if said.state == EdgeState::Point { Edge { state: EdgeState::Point, ..start } } else { start },
        stop,
        details,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn every_order_is_paged_like_a_sorted_list(
        said in prop::collection::vec((said(), any::<bool>()), 1..60), limit in 1usize..9, range in prop::option::of((0i64..60_000, 0i64..60_000)),
        open in prop::option::of(any::<bool>()), team in prop::option::of(0u8..3), text in prop::option::of(0u8..4), selector in any::<bool>(),
        keep in any::<bool>(), now in 30_000i64..70_000,
    ) {
        let store = Store::new(Options::default());
        for (number, (said, own)) in said.iter().enumerate() {
            let received = at(i64::try_from(number / 3).unwrap() * 1000);
            let command = if *own { Command::Change(Change::Put(Box::new(tagged(said)))) } else { Command::Edge(said.edge()) };
            store.apply(received, &command);
        }
        let tenant = store.tenant("acme").unwrap();
        let all = tenant.select(&everything()).events;
        for order in [Order::Start, Order::End, Order::Update] {
            let tags = team.iter().map(|team| ("team".into(), if *team == 2 { "all".into() } else { format!("team {team}").into() })).collect();
            let query = Query {
                tags, phases: phases(open, now), limit, order,
                text: text.map(|text| format!("nR {text}").into()),
                selectors: if selector { vec![selector::parse(r#"{entity_id=~"job-[1-5]"}"#).unwrap()] } else { Vec::new() },
                start: range.map(|range| at(range.0)), end: range.map(|range| at(range.1)),
                keep: keep.then(|| Keep(Arc::new(|event| event.began().millis() % 3 > 0))),
                ..Query::default()
            };
            let is_wanted = |event: &&EventView| {
                let (from, to) = match order { Order::Update => (event.updated, event.updated), _ => (event.ended().unwrap_or(Timestamp::MAX), event.began()) };
                range.is_none_or(|range| from >= at(range.0) && to < at(range.1))
                    && open.is_none_or(|open| (event.phase(at(now)) == Phase::Open) == open)
                    && query.tags.iter().all(|(key, value)| has_tag(event, key, value))
                    && query.text.as_ref().is_none_or(|text| mentions(event, text))
                    && query.keep.as_ref().is_none_or(|keep| keep.0(event))
                    && (!selector || query.selectors.iter().any(|selector| naive_matches(&store, event, selector)))
            };
            let mut expected: Vec<&EventView> = all.iter().filter(is_wanted).collect();
            expected.sort_by(|a, b| b.time(order).cmp(&a.time(order)).then_with(|| a.id.cmp(&b.id)));
            let expected: Vec<&str> = expected.iter().map(|event| &*event.id).collect();
            let found = paged(&tenant, &query);
            prop_assert_eq!(found.iter().map(|event| &*event.id).collect::<Vec<_>>(), &expected[..], "{:?}", order);
            let skipped = tenant.select_by(&Query { skip: 3, ..query.clone() }, 3);
            let after_three = expected.iter().skip(3).take(limit).copied().collect::<Vec<_>>();
            prop_assert_eq!(skipped.events.iter().map(|event| &*event.id).collect::<Vec<_>>(), after_three, "{:?}", order);
            prop_assert_eq!(skipped.next.is_some(), expected.len() > 3 + limit);
        }
    }
}

#[test]
fn a_whole_event_is_what_was_put_last_until_it_is_deleted() {
    let store = Store::new(Options::default());
    let said = |state, at| Said { state, at, entity: 1, outcome: 1, superseding: false };
    let apply = |received, command: Command| match store.apply(at(received), &command) {
        Applied::Changed(changed) => changed,
        other => panic!("{other:?}"),
    };
    let open = tagged(&said(EdgeState::Start, 1000));
    let first = apply(1, Command::Change(Change::Put(Box::new(open.clone()))));
    assert_eq!((first.added.len(), first.withdrawn.len()), (1, 0));
    let tenant = store.tenant("acme").unwrap();
    assert!(tenant.event("own-1").unwrap().open);
    // The same again is a new version, and nothing for the page.
    let again = apply(2, Command::Change(Change::Put(Box::new(open))));
    assert_eq!((again.added.len(), again.withdrawn.len()), (0, 0));
    assert_ne!(again.version, first.version);
    assert_eq!(again.version, store.version("acme", "own-1"));
    // Another time: the sample that was there is withdrawn where it still waits.
    let closed = apply(3, Command::Change(Change::Put(Box::new(tagged(&said(EdgeState::Stop, 2000))))));
    assert_eq!(
        (closed.added.len(), closed.withdrawn.iter().map(|lost| (lost.at, lost.cause)).collect()),
        (2, vec![(at(1000), Cause::Replaced)])
    );
    let event = tenant.event("own-1").unwrap();
    assert_eq!((event.open, event.ended(), event.created, event.updated), (false, Some(at(2700)), at(3), at(3)));
    assert_eq!(tenant.event(&event.start.unwrap().id.to_string()).unwrap().id, event.id);
    let deleted = apply(4, Command::Change(Change::Delete(Delete { organization: "acme".into(), id: "own-1".into(), span: None })));
    assert_eq!((deleted.version, deleted.withdrawn.len()), (None, 3));
    assert!(deleted.withdrawn.iter().all(|lost| lost.cause == Cause::Deleted));
    assert!(tenant.event("own-1").is_none() && tenant.select(&everything()).events.is_empty());
    assert_eq!(apply(5, Command::Change(Change::Put(Box::new(tagged(&said(EdgeState::Point, 2000)))))).added.len(), 1);
}

#[test]
fn the_same_edge_again_adds_nothing() {
    let store = Store::new(Options::default());
    let start = Said { state: EdgeState::Start, at: 5, entity: 1, outcome: 0, superseding: false }.edge();
    let first = put(&store, &start, 10);
    let again = put(&store, &start, 20);
    assert_eq!((first.duplicate, again.duplicate, first.id == again.id), (false, true, true));
    assert_eq!(store.stats(at(20)).edges, 1);
}

#[test]
fn a_newer_start_closes_the_older_one_of_its_group() {
    let start = |time, entity| Said { state: EdgeState::Start, at: time, entity, outcome: 0, superseding: true }.edge();
    let store = filled(&[start(2000, 1), start(1000, 2), start(3000, 3)]);
    let events = store.tenant("acme").unwrap().select(&everything()).events;
    let seen: Vec<_> = events.iter().map(|event| (event.open, event.superseded_at.map(Timestamp::millis))).collect();
    assert_eq!(seen, [(true, None), (false, Some(3000)), (false, Some(2000))]);
}

#[test]
fn the_gauge_shows_the_oldest_open_start_and_lets_rule_4_lapse() {
    let start = |time, entity| Said { state: EdgeState::Start, at: time, entity, outcome: 0, superseding: false }.edge();
    let store = filled(&[start(1000, 3), start(2000, 4)]);
    let tenant = store.tenant("acme").unwrap();
    let gauges = |now: i64| {
        let mut seen = Vec::new();
        tenant.open_gauges(ClusterId(0), at(now), &mut |gauge| seen.push(gauge.since.millis()));
        seen.sort_unstable();
        seen
    };
    let week = i64::try_from(Duration::from_hours(24 * 7).as_millis()).unwrap();
    assert_eq!(gauges(week), [1000, 2000]);
    assert_eq!(tenant.next_change(at(week)), Some(at(week + 1001)));
    assert_eq!(gauges(week + 1001), [2000]);
    assert_eq!(store.stats(at(week + 1001)).lapsed, 1);
}

fn claim(key: u128, body: u128, time: i64) -> Claim {
    Claim { organization: "acme".into(), key, body, at: at(time), former: None }
}

/// What a running server answers: what is known leaves no record.
fn use_key(store: &Store, key: u128, body: u128, time: i64) -> Result<Claimed, Refusal> {
    let claim = claim(key, body, time);
    let known = store.admit_claim(&claim, at(time), &mut Admission::default())?;
    Ok(known.unwrap_or_else(|| store.apply_claim(at(time), &claim)))
}

#[test]
fn a_key_is_bound_to_a_body_for_a_day() {
    let store = Store::new(Options { claims_max: 2, ..Options::default() });
    let day = i64::try_from(CLAIM_AGE.as_millis()).unwrap();
    let check = |key, body, time, expected: &str| {
        let said = use_key(&store, key, body, time).map_or_else(|refusal| refusal.what.to_owned(), |claimed| format!("{claimed:?}"));
        assert_eq!(said, expected, "key {key} at {time}");
    };
    check(1, 7, 10, "New");
    check(1, 7, 20, "Again { at: Timestamp(10) }");
    check(1, 8, 30, "OtherBody");
    check(2, 7, 40, "New");
    check(3, 7, 50, "idempotency keys of one day");
    check(2, 7, 60, "Again { at: Timestamp(40) }");
    check(1, 8, day + 11, "New");
    check(3, 7, 3 * day, "New");
    check(4, 7, 365 * day, "New");
}

#[test]
fn a_key_that_an_old_log_has_twice_is_bound_since_the_second_use() {
    let day = i64::try_from(CLAIM_AGE.as_millis()).unwrap();
    for first in [true, false] {
        let store = Store::new(Options::default());
        for time in [0, day - 5].into_iter().filter(|time| first || *time > 0) {
            store.apply_claim(at(time), &claim(1, 7, time));
        }
        assert!(matches!(use_key(&store, 1, 8, day + 9), Ok(Claimed::OtherBody)), "{first}");
    }
}

#[test]
fn a_series_goes_with_its_last_edge_however_many_it_had() {
    for count in [1, 2, 3, 512, 513, 769, 770, 1281] {
        let edge = |time| Said { state: EdgeState::Point, at: time, entity: 1, outcome: 0, superseding: false }.edge();
        let store = filled(&(0..count).map(edge).collect::<Vec<_>>());
        store.apply(LATER, &Command::Retire { before: at(count), upto: 0 });
        let left = (store.stats(LATER), store.tenant("acme").unwrap().index.names());
        assert_eq!(left, (Stats::default(), 0), "{count} edges");
    }
}
