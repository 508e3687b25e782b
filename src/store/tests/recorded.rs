//! What an edge is recorded as, where memory or the log knows it otherwise than it was sent.

use super::*;
use crate::event::Former;
use crate::event::Identity;
use crate::event::Otherwise;
use crate::event::Pairs;
use crate::event::Reading;
use crate::labels::LabelSet;

fn edge(state: EdgeState, time: i64) -> Edge {
    let labels = LabelSet::from_sorted([("event_name", "job")]).unwrap();
    Edge { organization: "acme".into(), ..Edge::new(state, at(time), Identity::of(["any"]), labels) }
}

fn pairs(name: &str) -> Pairs {
    Pairs { identity: Identity::of([name]), lapses: false, supersede: None }
}

fn sent(state: EdgeState, time: i64, former: Vec<Former>) -> Edge {
    Edge { otherwise: Some(Box::new(Otherwise { by_own_name: None, former })), ..edge(state, time).pairing_by(pairs("new")) }
}

/// The name of the identity by which it is recorded.
fn recorded(store: &Store, edge: &Edge, own_name: bool) -> &'static str {
    let recorded = store.recorded(edge, edge.id(), own_name);
    let identity = recorded.as_ref().map_or(edge.identity, |edge| edge.identity);
    if let Some(recorded) = &recorded {
        assert!(recorded.named.is_some(), "it keeps an id");
    }
    ["new", "old", "own"].into_iter().find(|name| pairs(name).identity == identity).unwrap()
}

/// An identity of the first format, or a group, goes on where the log has it, and nowhere else.
#[test]
fn what_only_has_another_hash_goes_on_where_it_is_known() {
    for (known, expected) in [(&[][..], "new"), (&["new"], "new"), (&["old"], "old"), (&["old", "new"], "new")] {
        let [identities, groups] = [(); 2].map(|()| Store::new(Options::default()));
        let group = |name: &str| Some(Identity::of([name]));
        for (place, name) in (1..).zip(known) {
            put(&identities, &edge(EdgeState::Stop, 1).pairing_by(pairs(name)), 1);
            put(&groups, &Edge { supersede: group(name), ..edge(EdgeState::Start, place).pairing_by(pairs("any")) }, 1);
        }
        let former = |pairs| vec![Former { pairs, id: None, reading: Reading::Same }];
        assert_eq!(recorded(&identities, &sent(EdgeState::Start, 2000, former(pairs("old"))), false), expected, "{known:?}");
        let of = Edge { supersede: group("new"), ..sent(EdgeState::Start, 2000, former(Pairs { supersede: group("old"), ..pairs("x") })) };
        let by = groups.recorded(&of, of.id(), false).map_or(of.supersede, |edge| edge.supersede);
        assert_eq!(by, group(expected), "{known:?}");
    }
}

/// What was read by other rules may have been of others too: only what is open, or waits for its start, goes on.
#[test]
fn what_was_read_otherwise_goes_on_where_it_is_part_of_something() {
    use EdgeState::Point;
    use EdgeState::Start;
    use EdgeState::Stop;
    for (there, (state, time), expected) in [
        (&[][..], (Stop, 2000), "new"),
        (&[(Start, 1000)], (Stop, 2000), "old"),
        (&[(Start, 1000)], (Start, 2000), "old"),
        (&[(Start, 1000)], (Point, 2000), "new"),
        (&[(Start, 1000), (Stop, 1500)], (Stop, 2000), "new"),
        (&[(Start, 1000), (Stop, 1500)], (Start, 2000), "new"),
        // Out of order.
        (&[(Stop, 1500)], (Start, 1000), "old"),
        // Begun long after the stop, and just after it.
        (&[(Start, 60_000)], (Stop, 2000), "new"),
        (&[(Start, 3000)], (Stop, 2000), "old"),
    ] {
        let store = Store::new(Options::default());
        for &(state, time) in there {
            put(&store, &edge(state, time).pairing_by(pairs("old")), 1);
        }
        let former = vec![Former { pairs: pairs("old"), id: None, reading: Reading::Other }];
        assert_eq!(recorded(&store, &sent(state, time, former), false), expected, "{there:?} {state:?} {time}");
    }
}

/// What an earlier build began takes in what belongs to it until it is over, whatever else there is.
#[test]
fn what_an_earlier_build_began_is_over_before_anything_else_is() {
    use EdgeState::Start;
    use EdgeState::Stop;
    for there in [&[(Stop, 100)][..], &[(Start, 1500)], &[(Start, 100), (Stop, 200)]] {
        let store = Store::new(Options::default());
        put(&store, &edge(Start, 1000).pairing_by(pairs("old")), 1);
        for &(state, time) in there {
            put(&store, &edge(state, time).pairing_by(pairs("new")), 1);
        }
        let former = || vec![Former { pairs: pairs("old"), id: None, reading: Reading::Other }];
        let stop = sent(Stop, 2000, former());
        assert_eq!(recorded(&store, &stop, false), "old", "{there:?}");
        put(&store, &store.recorded(&stop, stop.id(), false).unwrap(), 2);
        assert_eq!(recorded(&store, &sent(Stop, 3000, former()), false), "new", "{there:?}");
    }
}

#[test]
fn a_repeat_is_known_by_the_id_of_the_build_that_took_it() {
    let store = Store::new(Options::default());
    let before = edge(EdgeState::Stop, 1000).pairing_by(pairs("old"));
    put(&store, &before, 1);
    let former = |id| vec![Former { pairs: pairs("old"), id, reading: Reading::Other }];
    let again = sent(EdgeState::Stop, 1000, former(Some(before.id())));
    let recorded = store.recorded(&again, again.id(), false).unwrap();
    assert_eq!((recorded.id(), recorded.identity), (before.id(), before.identity));
    let other = sent(EdgeState::Stop, 1000, former(None));
    assert_eq!(store.recorded(&other, other.id(), false), None);
}

/// As its sender named it, whatever is decided: the answer to a repeat is the same.
#[test]
fn what_is_recorded_otherwise_is_known_when_it_is_sent_again() {
    let store = Store::new(Options::default());
    put(&store, &edge(EdgeState::Start, 1000).pairing_by(pairs("old")), 1);
    let stop = sent(EdgeState::Stop, 2000, vec![Former { pairs: pairs("old"), id: None, reading: Reading::Other }]);
    let recorded = store.recorded(&stop, stop.id(), false).unwrap();
    assert_eq!(recorded.id(), stop.id());
    put(&store, &recorded, 2);
    assert_eq!(store.stats(at(3)).open, 0);
    let again = store.recorded(&stop, stop.id(), false).unwrap();
    assert_eq!((again.id(), again.identity), (stop.id(), recorded.identity));
    assert!(put(&store, &again, 3).duplicate);
}

#[test]
fn a_finishing_name_that_was_sent_as_a_start_pairs_by_itself() {
    let named = |state, time, name| Edge { labels: LabelSet::from_sorted([("event_name", name)]).unwrap(), ..edge(state, time) };
    let stop = |name| {
        let otherwise = Otherwise { by_own_name: Some(pairs("own")), former: Vec::new() };
        Edge { otherwise: Some(Box::new(otherwise)), ..named(EdgeState::Stop, 2000, name).pairing_by(pairs("new")) }
    };
    let store = Store::new(Options::default());
    assert_eq!(recorded(&store, &stop("job_done"), false), "new");
    assert_eq!(recorded(&store, &stop("job_done"), true), "own", "it is in the same commit");
    put(&store, &named(EdgeState::Stop, 1, "job_done"), 1);
    assert_eq!(recorded(&store, &stop("job_done"), false), "new");
    put(&store, &named(EdgeState::Start, 2, "job_done").pairing_by(pairs("own")), 1);
    assert_eq!(recorded(&store, &stop("job_done"), false), "own");
    assert_eq!(recorded(&store, &stop("job_finished"), false), "new");
    let known = stop("job_done");
    put(&store, &known, 3);
    assert_eq!(recorded(&store, &known, false), "new", "what was decided stays");
}
