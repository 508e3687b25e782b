//! Retirement in parts: what each costs, whatever there is, and that in the end nothing is left that may go.

use super::*;
use crate::event::RetirePart;
use crate::store::steps;

/// Looks at all old edges of the organization, so many at a time, until there is no more to do, as the writer does. The most rows that
/// a part looked at, and how many parts there were.
fn retire_in_parts(store: &Store, before: Timestamp, edges: u32, mut look: impl FnMut()) -> (u64, usize) {
    let (mut most, mut parts) = (0, 0);
    loop {
        let (mut skip, mut gone, mut again) = (0, 0, false);
        while (skip as usize) < store.old("acme", before) {
            let command = Command::RetirePart(RetirePart { organization: "acme".into(), before, upto: 0, skip, edges });
            let mut part = RetiredPart::default();
            let steps = steps::of(|| {
                let Applied::Retired(retired) = store.apply(LATER, &command) else { panic!("nothing was retired") };
                part = retired;
            });
            (skip, gone, again) = (part.next, gone + part.gone, again || part.again);
            (most, parts) = (most.max(steps), parts + 1);
            look();
        }
        if !again || gone == 0 {
            return (most, parts);
        }
    }
}

/// The costliest part looks at few rows, and closed events are all gone in the end.
#[track_caller]
fn check(name: &str, command: impl Fn(i64, i64) -> Command) {
    let most = |count: i64| {
        let store = Store::new(Options::default());
        for number in 0..count {
            store.apply(at(number), &command(number, count));
        }
        let (most, parts) = retire_in_parts(&store, at(count), 16, || {});
        let stats = store.stats(LATER);
        assert_eq!(stats.events, stats.open, "{name}: what is left is open");
        assert!(parts >= usize::try_from(count).unwrap() / 18, "{name}: {count} edges in {parts} parts");
        most
    };
    // Some hundred, but for what sorts a thousand values of a label now and then.
    let (few, many) = (most(1000), most(5000));
    assert!(few < 6000 && many < 6000, "{name}: {few} rows by a part of 1000, {many} by a part of 5000");
}

fn said(state: EdgeState, time: i64, entity: i64, group: bool) -> Edge {
    let entity = entity.to_string();
    let labels = LabelSet::from_sorted([("entity_id", &*entity), ("event_name", "job")]).unwrap();
    Edge {
        organization: "acme".into(),
        supersede: (group && state == EdgeState::Start).then(|| Identity::of(["group"])),
        ..Edge::new(state, at(time), Identity::of([&*entity]), labels)
    }
}

#[test]
fn a_part_costs_the_same_however_much_there_is() {
    use EdgeState::Point;
    use EdgeState::Start;
    use EdgeState::Stop;
    check("points", |number, _| Command::Edge(said(Point, number, number, false)));
    check("points of one identity", |number, _| Command::Edge(said(Point, number, 1, false)));
    check("starts, and later their stops", |number, count| {
        let half = count / 2;
        Command::Edge(said(if number < half { Start } else { Stop }, number, number % half, false))
    });
    check("a long event", |number, count| Command::Edge(said(if number + 1 < count { Start } else { Stop }, number, 1, false)));
    check("a long event in no order", |number, count| {
        let time = 1 + number * 7919 % count;
        Command::Edge(if number + 1 < count { said(Start, time, 1, false) } else { said(Stop, count + 1, 1, false) })
    });
    check("an event that is open", |number, _| Command::Edge(said(Start, number, 1, false)));
    check("starts that supersede each other", |number, _| Command::Edge(said(Start, number, number, true)));
    check("two that supersede each other", |number, _| Command::Edge(said(Start, number, number % 2, true)));
    check("stops without a start", |number, _| Command::Edge(said(Stop, number, 1, false)));
    check("clusters", |number, _| Command::Edge(Edge { cluster: format!("c{number}").into(), ..said(Point, number, 1, false) }));
}

/// What comes in last is what the others stay for.
#[test]
fn all_goes_whatever_the_order_in_which_it_came() {
    let store = Store::new(Options::default());
    for number in 0..200 {
        store.apply(at(number), &Command::Edge(said(EdgeState::Start, 1000 - number, number, true)));
    }
    retire_in_parts(&store, at(200), 16, || {});
    assert_eq!(store.stats(LATER).edges, 1, "the one that is open");
}

/// An event with an id of its own that was put again and again, each time with another end. What one record brought goes together.
#[test]
fn a_long_past_goes_before_its_event() {
    let store = Store::new(Options::default());
    let start = Edge { identity: Identity::of_id("own"), ..said(EdgeState::Start, 0, 1, false) };
    let put = |number| {
        let stop = Edge { state: EdgeState::Stop, at: at(number), ..start.clone() };
        Put { id: "own".into(), created: None, number: None, start: start.clone(), stop: Some(stop), details: Details::default() }
    };
    let puts: Vec<(i64, Put)> = (1..200).map(|number| (number, put(number))).collect();
    for (number, put) in &puts {
        store.apply(at(*number), &Command::Change(Change::Put(Box::new(put.clone()))));
    }
    let (mut lengths, tenant) = (BTreeSet::new(), store.tenant("acme").unwrap());
    retire_in_parts(&store, at(200), 16, || {
        lengths.insert(tenant.every_edge().len());
        for (number, put) in &puts {
            let is_kept = store.remembers_record(at(*number), &Command::Change(Change::Put(Box::new(put.clone()))));
            let are_there = put.edges().all(|edge| store.remembers("acme", &edge.id().to_string()));
            assert!(!is_kept || are_there, "the record of {number} would bring back what is gone");
        }
    });
    assert!(lengths.len() > 10 && lengths.first() == Some(&0), "{lengths:?}");
}
