//! What happens between the moment that a question is looked up in the index and the one that rows are looked at.

use super::*;
use crate::store::core::New;
use crate::store::indexed::Indexed;

fn said(entity: u8, outcome: u8, time: i64) -> Said {
    Said { state: EdgeState::Point, at: time, entity, outcome, superseding: false }
}

fn number(tenant: &Tenant, edge: &Edge) -> number::SeriesNo {
    let core = tenant.core.read();
    core.row(core.find_edge(edge.id()).unwrap()).unwrap().series
}

/// A series that fits `query` is forgotten, and another one, which does not, has its number by the time that rows are looked at.
#[track_caller]
fn check(name: &str, query: &Query) {
    let store = Store::new(Options::default());
    let labels = [("entity_id", "job-3"), ("event_name", "job"), ("name", "Nightly"), ("outcome", "ok")];
    let fits = Edge { labels: LabelSet::from_sorted(labels).unwrap(), ..said(3, 1, 100_000).edge() };
    let other = said(4, 2, 200_000).edge();
    put(&store, &fits, 1);
    // So many that the series of an answer are few among them.
    for time in 0..50 {
        put(&store, &said(9, 3, 1000 + time * 500).edge(), 3);
    }
    let tenant = store.tenant("acme").unwrap();
    let gone = number(&tenant, &fits);
    let indexed = Indexed::of(&tenant, query, &Effort::boundless());
    let found = |indexed: &Indexed| tenant.select_among(query, indexed, 3).events.len();
    assert_eq!(found(&indexed), 1, "{name}, before");
    store.apply(LATER, &Command::Retire { before: at(2), upto: 0 });
    put(&store, &other, 4);
    assert_eq!(number(&tenant, &other), gone, "the number is used again");
    assert_eq!(found(&indexed), 0, "{name}: what came in between");
    assert_eq!(tenant.select(query).events.len(), 0, "{name}, asked again");
}

#[test]
fn a_series_that_came_after_a_question_is_in_no_answer_to_it() {
    let tags = |key: &str, value: &str| Query { tags: vec![(key.into(), value.into())], ..everything() };
    for selector in [
        r#"{entity_id="job-3"}"#,
        r#"{entity_id=~"job-3|job-5"}"#,
        r#"{entity_id!="job-4",outcome!="weird \"one\"\n"}"#,
        r#"{entity_id!~"job-4|job-9"}"#,
        r#"{outcome="ok",event_state="start"}"#,
        r#"{absent="",outcome!~"failed|weird.*"}"#,
    ] {
        let selectors = vec![selector::parse(selector).unwrap()];
        for order in [Order::Start, Order::End, Order::Update] {
            check(selector, &Query { selectors: selectors.clone(), order, ..everything() });
        }
    }
    check("a tag", &tags("entity_id", "job-3"));
    check("a text", &Query { text: Some("nIGHT".into()), ..everything() });
}

#[test]
fn what_is_interned_is_neither_forgotten_nor_replaced_before_it_is_used() {
    for is_used in [true, false] {
        let store = Store::new(Options::default());
        let labels = |entity: &str, own: &str| LabelSet::from_sorted([("entity_id", entity), ("event_name", "job"), (own, "x")]).unwrap();
        let gone = Edge { labels: labels("job-1", "only_here"), ..said(1, 0, 1000).edge() };
        put(&store, &gone, 1);
        let tenant = store.tenant("acme").unwrap();
        let next = Edge { labels: gone.labels.clone(), ..said(2, 0, 2000).edge() };
        // Some of it is known, and some is new.
        let newer = Edge { labels: labels("job-3", "new"), ..said(3, 0, 3000).edge() };
        let interned = tenant.index.intern([&next.labels, &newer.labels].into_iter()).unwrap();
        assert_eq!((tenant.index.names(), interned.labels(2)), (4, None));
        store.apply(LATER, &Command::Retire { before: at(2), upto: 0 });
        // What comes now finds the same, and no number of what is pinned.
        let other = Edge { labels: labels("job-4", "other"), ..said(4, 0, 4000).edge() };
        put(&store, &other, 3);
        let add = |set: usize, edge: &Edge| {
            let labels = interned.labels(set).unwrap();
            let new = New { edge, id: edge.id(), labels, cluster: ClusterId(0), arrival: arriving(at(4)) };
            tenant.write(|core| core.add(&new).map(|_| ()).unwrap());
        };
        if is_used {
            add(0, &next);
            add(1, &newer);
        }
        drop(interned);
        let found = |labels: &LabelSet| {
            let selector = labels.iter().map(|(name, value)| Matcher::equal(name, value)).collect();
            let events = tenant.select(&Query { selectors: vec![selector], ..everything() }).events;
            events.into_iter().map(|event| event.start.unwrap().labels).collect::<Vec<_>>()
        };
        let expected = |edge: &Edge| if is_used { vec![edge.labels.clone()] } else { Vec::new() };
        assert_eq!([found(&next.labels), found(&newer.labels)], [expected(&next), expected(&newer)]);
        assert_eq!(found(&other.labels), std::slice::from_ref(&other.labels));
        assert_eq!(tenant.index.names(), if is_used { 5 } else { 3 }, "what was not used is forgotten");
        store.apply(LATER, &Command::Retire { before: at(5), upto: 0 });
        assert_eq!(tenant.index.names(), 0);
    }
}

#[test]
fn readers_and_the_writer_let_each_other_go_on() {
    let store = Store::new(Options::default());
    put(&store, &said(1, 0, 0).edge(), 0);
    let (tenant, done) = (store.tenant("acme").unwrap(), std::sync::atomic::AtomicBool::new(false));
    let selectors = SELECTORS.map(|text| selector::parse(text).unwrap());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    for selector in &selectors {
                        tenant.select(&Query { selectors: vec![selector.clone()], text: Some("JO".into()), ..everything() });
                    }
                    tenant.open_gauges(ClusterId(0), at(0), &mut |_| {});
                    let all: Vec<SeriesId> = (0..40).map(|number| SeriesId { number, generation: 1 }).collect();
                    tenant.labels_of(&all, &mut |_, _, _| {});
                }
            });
        }
        for round in 1..150 {
            let first = u8::try_from(round % 5 * 40).unwrap();
            let edges: Vec<Edge> = (0..40).map(|number| said(first + number, number % 4, round * 1000).edge()).collect();
            let run: Vec<_> = edges.iter().map(|edge| (arriving(at(round)), edge, edge.id())).collect();
            store.apply_edges(&run, &mut Vec::new());
            store.apply(LATER, &Command::Retire { before: at(round - 1), upto: 0 });
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(store.stats(at(0)).edges, 80);
}

#[test]
fn a_deletion_of_the_first_format_holds_its_own_edges_only() {
    let store = Store::new(Options::default());
    let edge = |state, entity, time| Said { state, at: time, entity, outcome: 0, superseding: false }.edge();
    let (stop, start) = (edge(EdgeState::Stop, 1, 2000), edge(EdgeState::Start, 1, 1000));
    let other = edge(EdgeState::Point, 2, 3000);
    put(&store, &stop, 0);
    put(&store, &start, 10);
    let id = start.id().to_string().into();
    store.apply(at(11), &Command::Change(Change::Delete(Delete { organization: "acme".into(), id, span: None })));
    let retire = |before| drop(store.apply(LATER, &Command::Retire { before: at(before), upto: 0 }));
    let edges = || store.tenant("acme").unwrap().every_edge().into_iter().map(|(id, _)| id).collect::<Vec<_>>();
    retire(5);
    assert_eq!(edges(), [start.id()]);
    put(&store, &other, 20);
    retire(15);
    assert_eq!(edges(), [other.id()], "the number of the stop that went is no reason to stay");
}
