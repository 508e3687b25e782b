//! What selectors, tags and texts find: among few events, and among more than are looked at one by one.

use super::*;

const COUNT: i64 = 1500;

/// 300 series of each `fifth`, each with an `own`, and every third with one of seven `values`.
fn labels(number: i64) -> LabelSet {
    let mut labels = vec![("event_name", "job".to_owned()), ("fifth", format!("f{}", number % 5)), ("own", format!("o{number}"))];
    if number % 3 == 0 {
        labels.push(("values", format!("v{}", number % 7)));
    }
    LabelSet::from_sorted(labels.iter().map(|(name, value)| (*name, value.as_str()))).unwrap()
}

#[test]
fn selectors_answer_like_a_filter_over_many_series() {
    let point = |time| Said { state: EdgeState::Point, at: time, entity: 1, outcome: 0, superseding: false }.edge();
    let edges = (0..COUNT).map(|time| Edge { labels: labels(time), identity: Identity::of([&*time.to_string()]), ..point(time) });
    let store = filled(&edges.collect::<Vec<_>>());
    let tenant = store.tenant("acme").unwrap();
    for text in [
        r#"{fifth="f1"}"#,
        r#"{fifth="f1",event_name="job"}"#,
        r#"{fifth="f1",event_name!="job"}"#,
        r#"{fifth="f1",event_name=~"j.*"}"#,
        r#"{fifth="f1",own!="o6"}"#,
        r#"{fifth="f1",own=~"o1.*"}"#,
        r#"{fifth="f1",own=~".*1"}"#,
        r#"{fifth="f1",own!~"o1.*"}"#,
        r#"{fifth="f1",values=""}"#,
        r#"{fifth="f1",values!=""}"#,
        r#"{fifth="f1",values="v3"}"#,
        r#"{fifth="f1",values!="v3"}"#,
        r#"{fifth="f1",values=~"v3|v4"}"#,
        r#"{fifth="f1",values=~"v3|"}"#,
        r#"{fifth="f1",values!~"v3|"}"#,
        r#"{fifth=~"f1|f2",values=~"v.",own=~"o.*[24]"}"#,
        r#"{fifth!="f1",values!="v1",own!~"o[1-7].*"}"#,
        r#"{own=~"o1.*"}"#,
        r#"{own=~"o11?.*"}"#,
        r#"{own="o77"}"#,
    ] {
        let matchers = selector::parse(text).unwrap();
        let fits = |labels: &LabelSet| {
            let value = |name| if name == "__name__" { "last9_change_events" } else { labels.value(name).unwrap_or_default() };
            matchers.iter().all(|matcher| matcher.matches(value(&matcher.name)))
        };
        let expected: Vec<i64> = (0..COUNT).rev().filter(|&time| fits(&labels(time))).collect();
        let query = Query { selectors: vec![matchers.clone()], ..everything() };
        let found: Vec<i64> = tenant.select(&query).events.iter().map(|event| event.began().millis()).collect();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn tags_are_found_whichever_colon_is_between_key_and_value() {
    let store = Store::new(Options::default());
    let mut put = tagged(&Said { state: EdgeState::Point, at: 5, entity: 1, outcome: 0, superseding: false });
    put.details.tags = vec![("a:b".into(), vec!["c:d".into()])];
    store.apply(at(1), &Command::Change(Change::Put(Box::new(put))));
    let tenant = store.tenant("acme").unwrap();
    for (key, value, expected) in
        [("a:b", "c:d", 1), ("a", "b:c:d", 1), ("a:b:c", "d", 1), ("a", "b", 0), ("ab", "c:d", 0), ("a:b", "c", 0)]
    {
        let query = Query { tags: vec![(key.into(), value.into())], ..everything() };
        assert_eq!(tenant.select(&query).events.len(), expected, "{key} {value}");
    }
}

#[test]
fn an_event_has_all_the_tags_that_are_asked_for() {
    let store = Store::new(Options::default());
    for (outcome, entity) in [(0, 1), (1, 2), (2, 3), (3, 4)] {
        let put = tagged(&Said { state: EdgeState::Start, at: 5, entity, outcome, superseding: false });
        store.apply(at(1), &Command::Change(Change::Put(Box::new(put))));
    }
    let tenant = store.tenant("acme").unwrap();
    let found = |tags: &[(&str, &str)], open| {
        let tags = tags.iter().map(|&(key, value)| (key.into(), value.into())).collect();
        tenant
            .select(&Query { tags, phases: phases(open, LATER.millis()), ..everything() })
            .events
            .into_iter()
            .map(|event| event.id)
            .collect::<Vec<_>>()
    };
    for open in [None, Some(true)] {
        assert_eq!(found(&[("team", "all"), ("team", "team 1")], open), ["own-2".into(), "own-4".into()]);
        assert_eq!(found(&[("team", "team 1"), ("entity_id", "job-4")], open), ["own-4".into()]);
        assert_eq!(found(&[("team", "team 0"), ("entity_id", "job-4")], open), [] as [Box<str>; 0]);
        assert_eq!(found(&[("entity_id", "job-4"), ("outcome", "weird \"one\"\n")], open), ["own-4".into()]);
    }
}

#[test]
fn a_range_has_its_start_in_it_and_not_its_end() {
    let store = Store::new(Options::default());
    let said = |state, time| Said { state, at: time, entity: 1, outcome: 1, superseding: false }.edge();
    put(&store, &said(EdgeState::Start, 2000), 5000);
    put(&store, &said(EdgeState::Stop, 3000), 6000);
    let tenant = store.tenant("acme").unwrap();
    let labelled = vec![selector::parse(r#"{entity_id="job-1"}"#).unwrap()];
    for (order, start, end, expected) in [
        (Order::Start, 3000, 4000, 1),
        (Order::Start, 3001, 4000, 0),
        (Order::Start, 1000, 2001, 1),
        (Order::Start, 1000, 2000, 0),
        (Order::End, 3000, 4000, 1),
        (Order::End, 3001, 4000, 0),
        (Order::End, 1000, 2001, 1),
        (Order::End, 1000, 2000, 0),
        (Order::Update, 6000, 7000, 1),
        (Order::Update, 6001, 7000, 0),
        (Order::Update, 1000, 6001, 1),
        (Order::Update, 1000, 6000, 0),
    ] {
        for selectors in [Vec::new(), labelled.clone()] {
            let query = Query { selectors, order, start: Some(at(start)), end: Some(at(end)), ..everything() };
            assert_eq!(tenant.select(&query).events.len(), expected, "{query:?}");
        }
    }
}

#[test]
fn a_type_is_a_name_of_an_event_or_a_label() {
    let edge = |time: i64, labels: &[(&str, &str)]| Edge {
        labels: LabelSet::from_sorted(labels.iter().copied()).unwrap(),
        identity: Identity::of([&*time.to_string()]),
        ..Said { state: EdgeState::Point, at: time, entity: 1, outcome: 0, superseding: false }.edge()
    };
    let store = filled(&[
        edge(1, &[("event_name", "build"), ("type", "nightly")]),
        edge(2, &[("event_name", "nightly")]),
        edge(3, &[("event_name", "other"), ("kind", "nightly")]),
    ]);
    let found = |key: &str, value: &str| -> Vec<i64> {
        let query = Query { tags: vec![(key.into(), value.into())], ..everything() };
        store.tenant("acme").unwrap().select(&query).events.iter().map(|event| event.began().millis()).collect()
    };
    assert_eq!([found("type", "nightly"), found("type", "build"), found("type", "x")], [vec![2, 1], vec![1], vec![]]);
    assert_eq!([found("kind", "nightly"), found("event_name", "nightly")], [vec![3], vec![]], "a name is no tag of that key");
}

#[test]
fn a_text_is_found_in_each_label_that_says_it() {
    let labels = [("description", "of a Job"), ("event_name", "nightly"), ("name", "nIGHT job"), ("other", "midnight oil")];
    let point = Said { state: EdgeState::Point, at: 5, entity: 1, outcome: 0, superseding: false };
    let store = filled(&[Edge { labels: LabelSet::from_sorted(labels).unwrap(), ..point.edge() }]);
    for (text, expected) in [("Night", 1), ("of A", 1), ("nightly", 1), ("JOB", 1), ("oil", 0), ("nightly job", 0)] {
        let query = Query { text: Some(text.into()), ..everything() };
        assert_eq!(store.tenant("acme").unwrap().select(&query).events.len(), expected, "{text}");
    }
}

#[test]
fn an_event_is_listed_when_something_was_said_of_it_last() {
    let store = Store::new(Options::default());
    let edges: Vec<Edge> =
        (1..=3).map(|entity| Said { state: EdgeState::Start, at: 5, entity, outcome: 0, superseding: false }.edge()).collect();
    for (edge, received) in edges.iter().zip(1000..) {
        put(&store, edge, received);
    }
    let check = |last: &[usize], expected: [(usize, i64); 3]| {
        for &entity in last {
            let details = Details { description: "said".into(), ..Details::default() };
            let describe =
                crate::event::Describe { organization: "acme".into(), edge: edges[entity].id(), span: None, stop: None, details };
            store.apply(at(2000 + 100 * i64::try_from(entity).unwrap()), &Command::Change(Change::Describe(Box::new(describe))));
        }
        let tenant = store.tenant("acme").unwrap();
        let query = Query { order: Order::Update, limit: 1, ..everything() };
        let pages = paged(&tenant, &query);
        let found: Vec<_> = pages.iter().map(|event| (event.id.clone(), event.updated.millis())).collect();
        let expected = expected.map(|(entity, updated)| (edges[entity].id().to_string().into_boxed_str(), updated));
        assert_eq!(found, expected, "after {last:?}");
    };
    check(&[], [(2, 1002), (1, 1001), (0, 1000)]);
    check(&[0], [(0, 2000), (2, 1002), (1, 1001)]);
    check(&[1], [(1, 2100), (0, 2000), (2, 1002)]);
}

/// However many are asked for, an answer ends where its bytes do; its cursor goes on from there, in every order.
#[test]
fn answers_are_bounded_in_bytes() {
    let point = |time| Said { state: EdgeState::Point, at: time, entity: 1, outcome: 0, superseding: false }.edge();
    let attributes = |time: i64| Some("x".repeat(if time == 7 { 9000 } else { 1000 }).into());
    let edges = (0..20).map(|time| Edge { attributes: attributes(time), identity: Identity::of([&*time.to_string()]), ..point(time) });
    let store = filled(&edges.collect::<Vec<_>>());
    let tenant = store.tenant("acme").unwrap();
    for order in [Order::Start, Order::End, Order::Update] {
        let whole = tenant.select(&Query { order, ..everything() }).events;
        let (mut query, mut found) = (Query { order, bytes: 8000, ..everything() }, Vec::new());
        loop {
            let some = tenant.select(&query);
            let bytes: usize = some.events.iter().map(EventView::bytes).sum();
            assert_eq!(bytes, some.bytes);
            assert!(bytes <= 8000 || some.events.len() == 1, "{bytes}");
            found.extend(some.events);
            match some.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        let ids = |events: &[EventView]| events.iter().map(|event| event.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&found), ids(&whole), "{order:?}");
    }
}

/// What [`Query::keys`] says, without an index.
fn has_key(event: &EventView, key: &str) -> bool {
    event.details.iter().flat_map(|details| details.all_keys()).any(|own| own == key)
        || (key != "event_name" && texts(event, key).next().is_some())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn ends_and_keys_answer_like_a_filter_and_a_sort(
        said in prop::collection::vec((said(), any::<bool>(), 0usize..3), 1..60), limit in 1usize..9, at_once in 1usize..9,
        range in prop::option::of((0i64..60_000, 0i64..60_000)), open in prop::option::of(any::<bool>()), now in 30_000i64..70_000,
        keys in prop::sample::subsequence(vec!["team", "bare", "outcome", "event_name", "none"], 0..3),
    ) {
        let store = Store::new(Options::default());
        for (number, (said, own, tags)) in said.iter().enumerate() {
            let mut put = tagged(said);
            let bare = [("bare".into(), vec![]), ("team".into(), vec![]), ("bare".into(), vec!["filled".into()])];
            put.details.tags.extend(bare.into_iter().take(*tags));
            let command = if *own { Command::Change(Change::Put(Box::new(put))) } else { Command::Edge(said.edge()) };
            store.apply(at(i64::try_from(number).unwrap()), &command);
        }
        let tenant = store.tenant("acme").unwrap();
        let keys: Vec<Box<str>> = keys.into_iter().map(Into::into).collect();
        let query = Query { keys, phases: phases(open, now), limit, order: Order::EndStart, start: range.map(|range| at(range.0)), end: range.map(|range| at(range.1)), ..Query::default() };
        let all = tenant.select(&everything()).events;
        let time = |event: &EventView| (event.ended().unwrap_or(Timestamp::MAX), event.began());
        let mut expected: Vec<&EventView> = all.iter().filter(|event| {
            range.is_none_or(|range| time(event).0 >= at(range.0) && time(event).1 < at(range.1))
                && open.is_none_or(|open| (event.phase(at(now)) == Phase::Open) == open) && query.keys.iter().all(|key| has_key(event, key))
        }).collect();
        expected.sort_by(|a, b| time(b).cmp(&time(a)).then_with(|| a.id.cmp(&b.id)));
        let found = tenant.select_by(&query, at_once);
        prop_assert_eq!(found.next.is_some(), expected.len() > limit);
        prop_assert_eq!(found.events.iter().map(|event| &event.id).collect::<Vec<_>>(), expected.iter().take(limit).map(|event| &event.id).collect::<Vec<_>>());
    }
}
