//! What the clock says of events.

use super::*;

/// What is on the gauge, what is asked for as open, and how many there are.
#[track_caller]
fn check_open(store: &Store, now: i64, expected: &[i64]) {
    let tenant = store.tenant("acme").unwrap();
    let (mut gauge, now) = (Vec::new(), at(now));
    tenant.open_gauges(ClusterId(0), now, &mut |open| gauge.push(open.since.millis()));
    assert_eq!(gauge, expected, "the gauge at {now}");
    for order in [Order::Start, Order::End, Order::EndStart, Order::Update] {
        let query = Query { phases: phases(Some(true), now.millis()), order, ..everything() };
        let mut found: Vec<_> = tenant.select(&query).events.iter().map(|event| event.began().millis()).collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{order:?} at {now}");
    }
    assert_eq!(store.stats(now).open, expected.len());
}

#[test]
fn open_is_between_start_and_stop_by_the_clock() {
    let edge = |state, at, entity| Said { state, at, entity, outcome: 0, superseding: false }.edge();
    let superseding =
        |at, entity| Said { superseding: true, ..Said { state: EdgeState::Start, at, entity, outcome: 0, superseding: false } }.edge();
    let (start, stop) = (EdgeState::Start, EdgeState::Stop);
    let edges = [
        edge(start, 3000, 1),
        edge(start, 1000, 2),
        edge(stop, 4000, 2),
        edge(stop, 6000, 4),
        edge(start, 5000, 4),
        superseding(900, 5),
        superseding(7000, 7),
        edge(start, Timestamp::ZERO_TIME.millis(), 8),
    ];
    let store = filled(&edges);
    let expected: [(i64, &[i64]); 8] = [
        (950, &[900]),
        (1000, &[900, 1000]),
        (2999, &[900, 1000]),
        (3000, &[900, 1000, 3000]),
        (4000, &[900, 3000]),
        (5999, &[900, 3000, 5000]),
        (6999, &[900, 3000]),
        (7000, &[3000, 7000]),
    ];
    for (now, open) in expected {
        check_open(&store, now, open);
    }
    // What goes by itself is the same after something else was received.
    put(&store, &edge(EdgeState::Point, 1, 9), 6500);
    let over = store.tenant("acme").unwrap().core.read().open.ahead().over(at(6500)).count();
    assert_eq!(over, 0, "what is over is forgotten with the next edge");
    for (now, open) in expected.into_iter().filter(|(now, _)| *now > 6500) {
        check_open(&store, now, open);
    }
    let tenant = store.tenant("acme").unwrap();
    assert_eq!(tenant.next_change(at(6500)), Some(at(7000)));
    let planned = tenant.select(&Query { phases: Some(Phases::only(Phase::Planned, at(6500))), ..everything() }).events;
    assert_eq!(planned.iter().map(|event| event.began().millis()).collect::<Vec<_>>(), [7000]);
    // Without what supersedes it, it goes on.
    let id = planned[0].id.clone();
    store.apply(at(6600), &Command::Change(Change::Delete(Delete { organization: "acme".into(), id, span: None })));
    check_open(&store, 8000, &[900, 3000]);
}
