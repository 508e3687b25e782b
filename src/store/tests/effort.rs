//! What a question may take: the rows that are looked at are bounded by it, and an answer that ends early can be gone on with.

use super::*;
use crate::event::Describe;

/// So many events, half of them open; the oldest three mention `rare`, and each has a label value of its own.
fn many(count: i64) -> Arc<Tenant> {
    let store = Store::new(Options::default());
    for number in 0..count {
        let entity = format!("job-{number}");
        let labels = LabelSet::from_sorted([("entity_id", &*entity), ("event_name", "job")]).unwrap();
        let state = if number % 2 == 0 { EdgeState::Start } else { EdgeState::Point };
        let edge = Edge { organization: "acme".into(), ..Edge::new(state, at(number * 10), Identity::of([&*entity]), labels) };
        let details = Details { description: if number < 3 { "Rare" } else { "usual" }.into(), ..Details::default() };
        let describe = Describe { organization: "acme".into(), edge: edge.id(), span: None, stop: None, details };
        store.apply(at(number), &Command::Edge(edge));
        store.apply(at(number), &Command::Change(Change::Describe(Box::new(describe))));
    }
    store.tenant("acme").unwrap()
}

fn by(selector: &str) -> Query {
    Query { selectors: vec![selector::parse(selector).unwrap()], ..everything() }
}

#[test]
fn an_answer_that_ends_early_says_where_to_go_on() {
    let tenant = many(1000);
    for order in [Order::Start, Order::End, Order::Update] {
        // What is open, by its last change, is collected and sorted.
        for open in [None, Some(true), Some(false)].into_iter().filter(|open| order != Order::Update || *open != Some(true)) {
            let query = Query { text: Some("rare".into()), order, phases: phases(open, LATER.millis()), limit: 10, ..Query::default() };
            let expected: Vec<Box<str>> = tenant.select(&query).events.into_iter().map(|event| event.id).collect();
            let (mut found, mut after, mut early) = (Vec::new(), None, 0);
            loop {
                let asked = Query { after, ..query.clone() };
                let answer = tenant
                    .ask(&asked, &Effort::new(1000))
                    .unwrap_or_else(|error| panic!("{order:?}, {open:?}, {:?}: {error}", asked.after));
                early += usize::from(answer.is_early);
                assert!(!answer.is_early || answer.next.is_some());
                found.extend(answer.events.into_iter().map(|event| event.id));
                after = answer.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(found, expected, "{order:?}, {open:?}");
            assert!(early >= 1, "{order:?}, {open:?}: it never ended early");
        }
    }
}

#[test]
fn what_can_be_neither_answered_nor_gone_on_with_is_refused() {
    let store = Store::new(Options::default());
    for number in 0..1000 {
        let entity = format!("job-{number}");
        let labels = LabelSet::from_sorted([("entity_id", &*entity), ("event_name", "job")]).unwrap();
        let edge = Edge { organization: "acme".into(), ..Edge::new(EdgeState::Point, at(10), Identity::of([&*entity]), labels) };
        store.apply(at(5), &Command::Edge(edge));
    }
    let tenant = store.tenant("acme").unwrap();
    let ask = |query: &Query, steps: u64| tenant.ask(query, &Effort::new(steps)).map(|selected| (selected.events.len(), selected.next));
    for order in [Order::Start, Order::End, Order::Update] {
        let nothing = Query { keep: Some(Keep(Arc::new(|_| false))), order, ..everything() };
        // Nothing is later than they all are.
        let begun = ask(&nothing, 1000).map_or(Err(TooMuch), |(_, after)| ask(&Query { after, ..nothing.clone() }, 1000));
        assert_eq!(begun, Err(TooMuch), "all of one time, {order:?}");
        assert_eq!(ask(&nothing, 100_000), Ok((0, None)), "{order:?}");
    }
    for selector in
        [r#"{entity_id=~".*x"}"#, r#"{entity_id=~"job-.*x"}"#, r#"{entity_id!~"job.*"}"#, r#"{entity_id!="job-1",event_name=~".*"}"#]
    {
        assert_eq!(ask(&by(selector), 500), Err(TooMuch), "{selector}");
        assert!(ask(&by(selector), 1_000_000).is_ok(), "{selector}");
    }
    assert_eq!(ask(&Query { text: Some("job".into()), ..by(r#"{event_name="job"}"#) }, 500), Err(TooMuch));
}

/// Whatever is asked, a question looks at a few rows for each of its steps, however many there are.
#[test]
fn no_question_looks_at_more_than_it_may() {
    let (few, many) = (many(2000), many(8000));
    let nothing = || Some(Keep(Arc::new(|_: &EventView| false)));
    let mut questions = vec![
        ("a selector", by(r#"{entity_id=~".*x"}"#)),
        ("a selector of few", by(r#"{entity_id=~"job-.*x",event_name="job"}"#)),
        ("all but one", by(r#"{entity_id!="job-5"}"#)),
        ("a tag", Query { tags: vec![("type".into(), "job".into())], keep: nothing(), ..everything() }),
        ("deep", Query { skip: 1_000_000, ..everything() }),
    ];
    for order in [Order::Start, Order::End, Order::Update] {
        questions.push(("a condition", Query { keep: nothing(), order, ..everything() }));
        questions.push(("a text", Query { text: Some("no such".into()), order, ..everything() }));
        questions.push(("what is open", Query { phases: phases(Some(true), LATER.millis()), keep: nothing(), order, ..everything() }));
    }
    for (name, query) in questions {
        let rows = |tenant: &Tenant, steps| steps::of(|| drop(tenant.ask(&query, &Effort::new(steps)).ok()));
        let (few, many, all) = (rows(&few, 1000), rows(&many, 1000), rows(&many, u64::MAX));
        assert!(all > 7000, "{name}, {:?}: {all} rows are not many", query.order);
        assert!(many < 10_000 && many < few * 2 + 200, "{name}, {:?}: {few} rows, and then {many}", query.order);
    }
}

/// What a slice has looked at the next ones pass over.
#[test]
fn many_slices_look_at_little_more_than_one() {
    let tenant = many(8000);
    for order in [Order::Start, Order::End, Order::Update] {
        let query = Query { keep: Some(Keep(Arc::new(|_| false))), phases: phases(Some(false), LATER.millis()), order, ..everything() };
        let rows = |at_once: usize| steps::of(|| drop(tenant.select_by(&query, at_once)));
        let (one, slices) = (rows(usize::MAX), rows(20));
        assert!(slices < 2 * one, "{order:?}: {one} rows in one slice, {slices} in many");
    }
}
