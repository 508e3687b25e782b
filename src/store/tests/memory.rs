//! What is new is refused before the events take more than their share of memory; stops of what is open, what is known and
//! deletions are not; and what is forgotten makes room.

use super::*;
use crate::account::Account;
use crate::account::STOP_BYTES;
use crate::account::Shares;

const SHARE: usize = 4 << 20;

fn store(share: usize) -> Store {
    let account = Account::new(1 << 40, Shares { events: share, ..Shares::divide(0) });
    Store::new(Options { open_events_max: usize::MAX, account, ..Options::default() })
}

/// Edges of the same entity are of one event.
fn edge(state: EdgeState, time: i64, entity: i64) -> Edge {
    let (said, entity) = (Said { state, at: time, entity: 1, outcome: 0, superseding: false }, format!("entity-{entity}"));
    let labels = LabelSet::from_sorted([("entity_id", &*entity), ("event_name", "job")]).unwrap();
    Edge { labels, identity: Identity::of([&*entity]), supersede: None, ..said.edge() }
}

/// Admits and applies what is admitted, as one commit.
fn commit(store: &Store, received: i64, edges: &[Edge]) -> Vec<Result<Admitted, Refusal>> {
    let mut admission = Admission::default();
    let answers: Vec<_> = edges.iter().map(|edge| store.admit_edge(edge, edge.id(), at(received), &mut admission)).collect();
    let new: Vec<_> = edges.iter().zip(&answers).filter(|(_, answer)| **answer == Ok(Admitted::New)).collect();
    let new: Vec<_> = new.into_iter().map(|(edge, _)| (arriving(at(received)), edge, edge.id())).collect();
    new.chunks(64).for_each(|run| store.apply_edges(run, &mut Vec::new()));
    answers
}

/// Fills the store with starts; how many went in.
fn fill(store: &Store, state: EdgeState, received: i64) -> i64 {
    for from in (0..100_000).step_by(100) {
        let edges: Vec<Edge> =
            (from..from + 100).map(|number| edge(state, received * 1_000_000 + number, received * 1_000_000 + number)).collect();
        let answers = commit(store, received, &edges);
        if let Some(refused) = answers.iter().position(Result::is_err) {
            assert!(answers[refused..].iter().all(|answer| matches!(answer, Err(refusal) if refusal.is_of_memory())));
            return from + i64::try_from(refused).unwrap();
        }
    }
    panic!("there is no end of it")
}

#[test]
fn what_is_new_is_refused_before_it_takes_more_than_its_share() {
    for (state, open) in [(EdgeState::Point, 0), (EdgeState::Start, STOP_BYTES)] {
        let store = store(SHARE);
        let taken = usize::try_from(fill(&store, state, 1)).unwrap();
        let account = store.account();
        assert_eq!(account.kept_back(), taken * open);
        let of_share = account.kept() + account.kept_back();
        assert!(of_share <= SHARE && of_share > SHARE * 7 / 10, "{of_share} of {SHARE} for {taken}");
        assert!(account.refused_events() > 0);
        assert_eq!(commit(&store, 2, &[edge(state, 1_000_000, 1_000_000)]), [Ok(Admitted::Known)], "what is known is known");
    }
}

#[test]
fn stops_of_what_is_open_go_on_and_nothing_else_does() {
    use EdgeState::Start;
    use EdgeState::Stop;
    let store = store(SHARE);
    let taken = fill(&store, Start, 1);
    let is_taken = |edges: &[Edge]| commit(&store, 2, edges).iter().map(Result::is_ok).collect::<Vec<_>>();
    let at = |number: i64| 1_000_000 + number;
    assert_eq!(is_taken(&[edge(Start, 9_000_000, at(0))]), [false], "a heartbeat");
    assert_eq!(is_taken(&[edge(Stop, 9_000_000, -1)]), [false], "a stop with nothing open");
    let long = Edge { attributes: Some("x".repeat(900_000).into()), ..edge(Stop, 9_000_000, at(0)) };
    assert_eq!(is_taken(&[long]), [false], "a stop that takes far more than was kept back");
    let says_more = |number: i64| Edge { attributes: Some("x".repeat(2000).into()), ..edge(Stop, 9_000_000, at(number)) };
    assert_eq!(is_taken(&[says_more(0), edge(Stop, 9_000_001, at(0))]), [true, false], "one each");
    assert_eq!(is_taken(&[edge(Stop, 9_000_002, at(0))]), [false], "it is closed by now");
    for some in (1..taken).collect::<Vec<_>>().chunks(100) {
        let stops: Vec<Edge> =
            some.iter().map(|&number| if number % 3 == 0 { says_more(number) } else { edge(Stop, 9_000_000, at(number)) }).collect();
        assert_eq!(is_taken(&stops), vec![true; stops.len()]);
    }
    let account = store.account();
    assert_eq!(account.kept_back(), 0);
    assert!(account.kept() <= SHARE, "{} of {SHARE}", account.kept());
}

#[test]
fn whole_events_end_and_are_deleted_when_there_is_no_room_for_new_ones() {
    let store = store(SHARE);
    let put = |id: &str, stop: bool, text: usize| {
        let start = Edge { identity: Identity::of_id(id), ..edge(EdgeState::Start, 1, 1) };
        let stop = stop.then(|| Edge { identity: Identity::of_id(id), ..edge(EdgeState::Stop, 2, 1) });
        let details = Details { description: "x".repeat(text).into(), ..Details::default() };
        Change::Put(Box::new(Put { id: id.into(), created: None, number: None, details, start, stop }))
    };
    let admit = |change: &Change| {
        let admitted = store.admit_change(change, at(3), &mut Admission::default());
        if admitted.is_ok() {
            store.apply(at(3), &Command::Change(change.clone()));
        }
        admitted.is_ok()
    };
    let mut count = 0;
    while admit(&put(&format!("w{count}"), false, 5000)) {
        count += 1;
    }
    assert!(count > 100, "{count}");
    let small = (0..count).take_while(|number| admit(&put(&format!("s{number}"), false, 10))).count();
    assert!(small < 10, "{small} small ones where there is no room for another");
    assert!(!admit(&put("w0", true, 900_000)), "it says far more than before");
    assert!(admit(&put("w0", true, 5100)));
    assert!(!admit(&put("new", true, 10)), "nothing of it is open");
    let claim = |key| Claim { organization: "acme".into(), key, body: 1, at: at(3), former: None };
    assert!(store.admit_claim(&claim(1), at(3), &mut Admission::default()).is_ok(), "who stops something may have a key");
    let delete = |id: String| Change::Delete(Delete { organization: "acme".into(), id: id.into(), span: None });
    for id in (0..count).map(|number| format!("w{number}")).chain((0..small).map(|number| format!("s{number}"))) {
        assert!(admit(&delete(id)));
    }
    assert!(admit(&put("new", false, 5000)), "there is room again");
}

#[test]
fn what_is_forgotten_makes_room() {
    let store = store(SHARE);
    let first = fill(&store, EdgeState::Point, 1);
    for round in 2..5 {
        store.apply(at(1 << 40), &Command::Retire { before: at(1 << 40), upto: 0 });
        let again = fill(&store, EdgeState::Point, round);
        assert!(again * 10 > first * 9, "{again} in round {round}, {first} in the first");
    }
}

/// Half of what is there goes, and others come: they find the room of those that went.
#[test]
fn what_half_leaves_is_filled_again() {
    for (state, share) in [(EdgeState::Point, SHARE), (EdgeState::Point, 4 * SHARE), (EdgeState::Stop, SHARE)] {
        let fresh = fill(&store(share), state, 1);
        let store = store(share);
        for from in (0..fresh / 2).step_by(100) {
            let edges: Vec<Edge> = (from..from + 100).map(|number| edge(state, number, number)).collect();
            assert!(commit(&store, 1, &edges).iter().all(Result::is_ok));
        }
        let mut stays = fill(&store, state, 2);
        for round in 3..7 {
            store.apply(at(1 << 40), &Command::Retire { before: at(round - 1), upto: 0 });
            let again = fill(&store, state, round);
            let of = again + stays;
            assert!(of * 10 > fresh * 8, "{state:?}s: {again} in round {round}, beside {stays}; {fresh} at first");
            stays = again;
        }
    }
}
