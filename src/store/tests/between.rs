//! What happens between the moment that a question is looked up in the index and the one that rows are looked at.

use super::*;
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
    let indexed = Indexed::of(&tenant, query);
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
fn a_deletion_of_the_first_format_holds_its_own_edges_only() {
    let store = Store::new(Options::default());
    let edge = |state, entity, time| Said { state, at: time, entity, outcome: 0, superseding: false }.edge();
    let (stop, start) = (edge(EdgeState::Stop, 1, 2000), edge(EdgeState::Start, 1, 1000));
    let other = edge(EdgeState::Point, 2, 3000);
    put(&store, &stop, 0);
    put(&store, &start, 10);
    let id = start.id().to_string().into();
    store.apply(at(11), &Command::Delete(Delete { organization: "acme".into(), id, span: None }));
    let retire = |before| drop(store.apply(LATER, &Command::Retire { before: at(before), upto: 0 }));
    let edges = || store.tenant("acme").unwrap().every_edge().into_iter().map(|(id, _)| id).collect::<Vec<_>>();
    retire(5);
    assert_eq!(edges(), [start.id()]);
    put(&store, &other, 20);
    retire(15);
    assert_eq!(edges(), [other.id()], "the number of the stop that went is no reason to stay");
}
