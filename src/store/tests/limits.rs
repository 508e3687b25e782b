//! Each limit of the store bites exactly where it says, within one commit and after it; and which of them come free.

use super::*;

/// A point of its own, with a label for each of these names.
fn point(number: i64, names: impl IntoIterator<Item = String>) -> Edge {
    let names: BTreeSet<String> = names.into_iter().chain(["event_name".to_owned()]).collect();
    Edge {
        state: EdgeState::Point,
        identity: Identity::of([&*number.to_string()]),
        labels: LabelSet::from_sorted(names.iter().map(|name| (name.as_str(), "x"))).unwrap(),
        ..Said { state: EdgeState::Point, at: number, entity: 1, outcome: 0, superseding: false }.edge()
    }
}

fn admit(store: &Store, edge: &Edge, now: Timestamp, admission: &mut Admission) -> Result<Admitted, Refusal> {
    store.admit_edge(edge, edge.id(), now, admission)
}

/// Admits and applies as one commit; how many of the first were admitted before one was refused, and that refusal.
#[track_caller]
fn commit(store: &Store, received: i64, edges: &[Edge]) -> (usize, Option<String>) {
    let mut admission = Admission::default();
    let mut sender = 0;
    // Each has a sender of its own.
    let answers = edges.iter().map(|edge| {
        sender += 1;
        store.admit_edge(edge, edge.id(), at(received), admission.by(sender))
    });
    let answers: Vec<Result<Admitted, Refusal>> = answers.collect();
    let admitted: Vec<Arrived<'_>> = edges
        .iter()
        .zip(&answers)
        .filter_map(|(edge, answer)| match answer {
            Ok(Admitted::New) => Some((arriving(at(received)), edge, edge.id())),
            Ok(Admitted::Less(less)) => Some((arriving(at(received)), &less.what, edge.id())),
            _ => None,
        })
        .collect();
    let mut applied = Vec::new();
    for run in admitted.chunks(64) {
        store.apply_edges(run, &mut applied);
    }
    assert!(applied.iter().all(Result::is_ok), "admitted, and not taken");
    store.note_senders(&admission);
    let first = answers.iter().position(Result::is_err);
    (first.unwrap_or(edges.len()), first.and_then(|first| answers[first].as_ref().err().map(ToString::to_string)))
}

fn retire_all(store: &Store) {
    store.apply(at(1 << 40), &Command::Retire { before: at(1 << 40), upto: 0 });
    assert_eq!(store.stats(at(0)).edges, 0);
}

/// `make` makes edges each of which needs one more of what is limited. What is full says `text`.
#[track_caller]
fn check(options: &Options, make: impl Fn(i64) -> Edge, most: usize, text: &str, comes_free: bool) {
    let edges = |round: i64| (0..i64::try_from(most).unwrap() + 2).map(|number| make(round * 1000 + number)).collect::<Vec<Edge>>();
    let store = Store::new(options.clone());
    for round in [1, 2] {
        let edges = edges(round);
        assert_eq!(commit(&store, round, &edges), (most, Some(text.to_owned())), "in one commit");
        assert_eq!(commit(&store, round, &edges[most..]), (0, Some(text.to_owned())), "after it");
        assert_eq!(commit(&store, round, &edges[..most]), (most, None), "what is there already");
        retire_all(&store);
        if !comes_free {
            assert_eq!(commit(&store, round, &edges[most..]).0, 0, "not free");
            return;
        }
    }
    let apart = Store::new(options.clone());
    let taken = edges(0).iter().filter(|edge| commit(&apart, 1, std::slice::from_ref(edge)).0 == 1).count();
    assert_eq!(taken, most, "in commits of one");
}

#[test]
fn limits_bite_exactly() {
    let label_sets = Options { label_sets_max: 3, ..Options::default() };
    let named = |number: i64| point(number, [format!("n{number}")]);
    check(&label_sets, named, 3, "label sets: 3 are there already, the most that --limit.label-sets allows", true);
    let clusters = Options { clusters_max: 2, ..Options::default() };
    let cluster = |number: i64| Edge { cluster: format!("c{number}").into(), ..point(number, []) };
    let text = "clusters (data_source_name): 2 are there already, the most that --limit.clusters allows";
    check(&clusters, cluster, 2, text, true);
    let organizations = Options { tenants_max: 2, ..Options::default() };
    let organization = |number: i64| Edge { organization: format!("o{number}").into(), ..point(number, []) };
    check(&organizations, organization, 2, "organizations: 2 are there already, the most that the program allows", false);
}

/// As a log of an older version may hold them.
#[test]
fn names_that_cannot_be_numbered_are_said_to_be_what_is_full() {
    let store = Store::new(Options::default());
    let edges: Vec<Edge> = (0..662).map(|number| point(number, (0..99).map(move |name| format!("n{number:03}_{name:02}")))).collect();
    let mut applied = Vec::new();
    for edge in &edges {
        store.apply_edges(&[(arriving(at(1)), edge, edge.id())], &mut applied);
    }
    let refused: Vec<String> = applied.iter().filter_map(|applied| applied.as_ref().err().map(ToString::to_string)).collect();
    assert_eq!(refused, ["label names: 65536 are there already, the most that the program allows"]);
    let put = Put {
        id: "own".into(),
        created: None,
        number: None,
        start: edges.last().unwrap().clone(),
        stop: None,
        details: Details::default(),
    };
    let Applied::Full(refusal) = store.apply(at(1), &Command::Change(Change::Put(Box::new(put)))) else { panic!("put") };
    assert_eq!(refusal.what, "label names");
    // Those of the edge that was refused are not there: 1 and 661 times 99.
    assert_eq!(store.tenant("acme").unwrap().index.names(), 65_440);
}

#[test]
fn limits_refuse_with_their_flag() {
    let options = Options { open_events_max: 2, clusters_max: 1, ..Options::default() };
    let store = Store::new(options);
    let start = |entity| Said { state: EdgeState::Start, at: 5, entity, outcome: 0, superseding: false }.edge();
    let mut admission = Admission::default();
    for entity in [1, 2] {
        admit(&store, &start(entity), at(0), &mut admission).unwrap();
    }
    let refused = admit(&store, &start(4), at(0), &mut admission).unwrap_err();
    assert_eq!(refused.to_string(), "open events: 2 are there already, the most that --limit.open-events allows");
    put(&store, &start(1), 1);
    put(&store, &start(2), 1);
    let mut admission = Admission::default();
    assert!(admit(&store, &start(4), at(2), &mut admission).is_err());
    admit(&store, &start(1), at(2), &mut admission).unwrap();
    let other = Edge { cluster: "eu".into(), state: EdgeState::Point, ..start(9) };
    store.admit_edge(&other, other.id(), at(2), &mut admission).unwrap();
    let refused = admit(&store, &Edge { cluster: "us".into(), at: at(6), ..other }, at(2), &mut admission).unwrap_err();
    assert!(refused.to_string().contains("clusters"), "{refused}");
}

/// What is limited has no room any more, and what is there already needs none.
#[test]
fn what_goes_to_a_cluster_that_is_in_use_needs_no_room() {
    let store = Store::new(Options { clusters_max: 1, ..Options::default() });
    let to = |cluster: &str, number| Edge { cluster: cluster.into(), ..point(number, []) };
    assert_eq!(commit(&store, 1, &[to("", 1), to("eu", 2), to("eu", 3), to("", 4)]), (4, None));
    assert_eq!(commit(&store, 2, &[to("eu", 5), to("", 6), to("us", 7)]).0, 2);
    let other = |cluster, number| Edge { organization: "other".into(), ..to(cluster, number) };
    assert_eq!(commit(&store, 3, &[other("", 8), other("us", 9), other("eu", 10)]).0, 2);
}

#[test]
fn an_event_that_is_put_counts_while_it_is_open() {
    let store = Store::new(Options { open_events_max: 1, ..Options::default() });
    let put = |entity, state, at| Change::Put(Box::new(tagged(&Said { state, at, entity, outcome: 0, superseding: false })));
    let (open, closed, point) = (EdgeState::Start, EdgeState::Stop, EdgeState::Point);
    let fits = |changes: &[Change]| {
        let mut admission = Admission::default();
        changes.iter().map(|change| store.admit_change(change, at(100_000), &mut admission).is_ok()).collect::<Vec<_>>()
    };
    assert_eq!(fits(&[put(1, point, 1000), put(2, closed, 1000), put(3, open, 1000), put(4, open, 1000)]), [true, true, true, false]);
    store.apply(at(100_000), &Command::Change(put(3, open, 1000)));
    // What it is put as instead is not one more.
    assert_eq!(fits(&[put(4, open, 1000), put(3, open, 2000), put(4, closed, 1000), put(4, point, 1000)]), [false, true, true, true]);
    store.apply(at(100_000), &Command::Change(put(3, closed, 2000)));
    assert_eq!(fits(&[put(4, open, 1000), put(3, open, 2000)]), [true, false]);
}

#[test]
fn keys_count_in_one_commit_and_after_it() {
    let store = Store::new(Options { claims_max: 2, ..Options::default() });
    let (claims, mut admission) = ([1, 2, 3, 1].map(|key| claim(key, 7, 10)), Admission::default());
    let answers = claims.iter().map(|claim| store.admit_claim(claim, at(10), &mut admission).map_err(|refusal| refusal.flag));
    let again = Claimed::Again { at: at(10) };
    assert_eq!(answers.collect::<Vec<_>>(), [Ok(None), Ok(None), Err("--limit.idempotency-keys"), Ok(Some(again))]);
    store.apply_claim(at(10), &claims[0]);
    let mut admission = Admission::default();
    let left = [2, 3].map(|key| store.admit_claim(&claim(key, 7, 11), at(11), &mut admission).is_ok());
    assert_eq!(left, [true, false]);
}

#[test]
fn open_events_that_have_lapsed_leave_room_for_others() {
    let store = Store::new(Options { open_events_max: 2, ..Options::default() });
    let start = |time, entity| Said { state: EdgeState::Start, at: time, entity, outcome: 0, superseding: false }.edge();
    assert_eq!(commit(&store, 1, &[start(1000, 3), start(1000, 6), start(1000, 1)]).0, 2);
    let later = 1001 + i64::try_from(Options::default().open_max_age.as_millis()).unwrap();
    assert_eq!(commit(&store, later - 1, &[start(2000, 1)]).0, 0);
    assert_eq!(commit(&store, later, &[start(later, 1), start(later, 9), start(later, 2)]).0, 2);
}
