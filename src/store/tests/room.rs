//! What goes on at a limit: whoever needs no more of what is limited is taken, and what ends something is, whatever it needs.

use super::*;

/// Admits and applies as one commit; what each of the edges came to, `less` being how many labels it lost, and what was taken.
fn commit(store: &Store, received: i64, sender: u64, edges: &[Edge]) -> Vec<Result<usize, &'static str>> {
    let mut admission = Admission::of(edges.len());
    let mut answers = Vec::new();
    let mut taken: Vec<(Edge, EdgeId)> = Vec::new();
    for edge in edges {
        let admitted = store.admit_edge(edge, edge.id(), at(received), admission.by(sender));
        answers.push(match admitted {
            Ok(Admitted::New) => {
                taken.push((edge.clone(), edge.id()));
                Ok(0)
            }
            Ok(Admitted::Less(less)) => {
                assert_eq!((less.what.id(), less.what.identity), (edge.id(), edge.identity), "it is the same edge");
                let lost = 1 + less.lost.more;
                taken.push((less.what, edge.id()));
                Ok(lost)
            }
            Ok(Admitted::Known) => Ok(0),
            Err(refusal) => Err(refusal.what),
        });
    }
    let all: Vec<Arrived<'_>> = taken.iter().map(|(edge, id)| (arriving(at(received)), edge, *id)).collect();
    let mut applied = Vec::new();
    for run in all.chunks(64) {
        store.apply_edges(run, &mut applied);
    }
    assert!(applied.iter().all(Result::is_ok), "admitted, and not taken");
    store.note_senders(&admission);
    answers
}

fn edge(state: EdgeState, entity: u8, time: i64) -> Edge {
    Said { state, at: time, entity, outcome: 0, superseding: false }.edge()
}

fn start(entity: u8, time: i64) -> Edge {
    edge(EdgeState::Start, entity, time)
}

fn stop(entity: u8, time: i64) -> Edge {
    edge(EdgeState::Stop, entity, time)
}

fn superseding(entity: u8, time: i64) -> Edge {
    Said { state: EdgeState::Start, at: time, entity, outcome: 0, superseding: true }.edge()
}

/// A point with labels of these names.
fn named(time: i64, names: impl IntoIterator<Item = String>) -> Edge {
    let names: BTreeSet<String> = names.into_iter().chain(["event_name".to_owned()]).collect();
    let labels = LabelSet::from_sorted(names.iter().map(|name| (name.as_str(), "x"))).unwrap();
    Edge { labels, identity: Identity::of([&*time.to_string()]), ..edge(EdgeState::Point, 1, time) }
}

/// Some, each with 30 names that none before it has.
fn many_named(first: i64, count: i64) -> Vec<Edge> {
    let names = |number: i64| (0..30).map(move |name| format!("n{number:05}_{name:02}"));
    (first..first + count).map(|number| named(number, names(number))).collect()
}

const OPEN: Result<usize, &str> = Err("open events");

#[test]
fn only_what_opens_needs_room_among_open_events() {
    #[track_caller]
    fn check(what: &str, before: &[Edge], now: &[Edge], expected: &[Result<usize, &'static str>], open: usize) {
        for apart in [false, true] {
            let store = Store::new(Options { open_events_max: 2, ..Options::default() });
            assert!(before.iter().all(|edge| commit(&store, 100_001, 0, std::slice::from_ref(edge)) == [Ok(0)]), "{what}");
            let answers: Vec<_> = now.chunks(if apart { 1 } else { now.len() }).flat_map(|some| commit(&store, 100_002, 0, some)).collect();
            assert_eq!(
                (&*answers, store.stats(at(100_002)).open),
                (expected, open),
                "{what}, {}",
                if apart { "in commits of one" } else { "in one" }
            );
        }
    }
    let full = [start(1, 1000), start(2, 1000)];
    check("a heartbeat", &full, &[start(1, 2000), start(2, 500), start(3, 3000)], &[Ok(0), Ok(0), OPEN], 2);
    check("a heartbeat of what has just opened", &full[..1], &[start(2, 1000), start(2, 2000), start(3, 1000)], &[Ok(0), Ok(0), OPEN], 2);
    check(
        "a start that a stop behind it closes",
        &[&full[..], &[stop(3, 9000)]].concat(),
        &[start(3, 5000), start(3, 6000)],
        &[Ok(0), Ok(0)],
        2,
    );
    check("a start behind the stop", &[&full[..], &[stop(3, 9000)]].concat(), &[start(3, 20_000)], &[OPEN], 2);
    let deployed = [superseding(1, 1000), start(2, 1000)];
    check("one that supersedes another", &deployed, &[superseding(3, 2000)], &[Ok(0)], 2);
    check("one that is superseded is open no more", &deployed, &[superseding(3, 2000), start(4, 2000)], &[Ok(0), OPEN], 2);
    check("one before what it does not supersede", &deployed, &[superseding(3, 500)], &[OPEN], 2);
}

#[test]
fn what_ends_makes_room_for_what_begins() {
    let store = Store::new(Options { open_events_max: 1, ..Options::default() });
    assert_eq!(commit(&store, 100_001, 0, &[start(1, 1000)]), [Ok(0)]);
    assert_eq!(commit(&store, 100_002, 0, &[start(2, 2000)]), [OPEN]);
    assert_eq!(commit(&store, 100_003, 0, &[stop(1, 3000)]), [Ok(0)]);
    assert_eq!(commit(&store, 100_004, 0, &[start(2, 2000)]), [Ok(0)]);
}

/// What ends later counts until then, whether it was open before, its stop came first, or something supersedes it; and what begins later
/// counts from now on.
#[test]
fn what_ends_or_begins_later_needs_room() {
    let (before, after) = (5000, 9001);
    let check = |what: &str, these: &[Edge]| {
        let store = Store::new(Options { open_events_max: 1, ..Options::default() });
        for edge in these {
            assert_eq!(commit(&store, before, 0, std::slice::from_ref(edge)), [Ok(0)], "{what}");
        }
        assert_eq!(commit(&store, before, 0, &[start(7, 1000)]), [OPEN], "{what}");
        assert_eq!(commit(&store, after, 0, &[start(7, 1000)]), [Ok(0)], "{what}, when it is over");
    };
    check("a stop ahead", &[start(1, 1000), stop(1, 9000)]);
    check("a stop ahead that came first", &[stop(1, 9000), start(1, 1000)]);
    check("a window ahead", &[start(1, 8000), stop(1, 9000)]);
    let store = Store::new(Options { open_events_max: 1, ..Options::default() });
    assert_eq!(commit(&store, before, 0, &[superseding(1, 1000)]), [Ok(0)]);
    assert_eq!(commit(&store, before, 0, &[superseding(2, 9000)]), [OPEN], "what it supersedes later is open until then");
    assert_eq!(commit(&store, before, 0, &[superseding(2, 4000)]), [Ok(0)]);
}

proptest! {
    #[test]
    fn no_more_is_open_than_may_be(commits in prop::collection::vec(prop::collection::vec(said(), 1..12), 1..12), most in 1usize..4) {
        let store = Store::new(Options { open_events_max: most, ..Options::default() });
        for (received, commit_of) in (0..).zip(&commits) {
            let edges: Vec<Edge> = commit_of.iter().map(Said::edge).collect();
            commit(&store, received, 0, &edges);
            prop_assert!(store.stats(LATER).open <= most, "{commit_of:?}");
        }
    }

    /// But for what ends something, which has the labels of its start then: at most one more for each.
    #[test]
    fn there_are_no_more_label_sets_than_may_be(commits in prop::collection::vec(prop::collection::vec(said(), 1..12), 1..12), most in 1usize..6) {
        let store = Store::new(Options { label_sets_max: most, ..Options::default() });
        for (received, commit_of) in (0..).zip(&commits) {
            let edges: Vec<Edge> = commit_of.iter().map(Said::edge).collect();
            let before = store.stats(at(0)).series;
            let answers = commit(&store, received, 0, &edges);
            prop_assert!(store.stats(at(0)).series <= 2 * most, "{commit_of:?}");
            // Who has a label set is taken.
            for (edge, answer) in edges.iter().zip(&answers) {
                let Some(tenant) = store.tenant("acme") else { continue };
                prop_assert!(answer.is_ok() || !tenant.has_series_of(edge) || before < most, "{edge:?}");
            }
        }
    }
}

#[test]
fn at_the_limit_of_label_sets_what_has_one_is_taken_and_what_ends_something() {
    let store = Store::new(Options { label_sets_max: 2, ..Options::default() });
    assert_eq!(
        commit(&store, 1, 0, &[start(1, 1000), start(2, 1000), start(1, 1500), start(3, 1000)])[..],
        [Ok(0), Ok(0), Ok(0), Err("label sets")]
    );
    // Its own outcome would be a label set of its own.
    let failed = Edge { ..Said { state: EdgeState::Stop, at: 3000, entity: 1, outcome: 2, superseding: false }.edge() };
    let alone = stop(5, 3000);
    assert_eq!(commit(&store, 2, 0, &[start(1, 2000), failed.clone(), alone, start(2, 2500)]), [Ok(0), Ok(1), Err("label sets"), Ok(0)]);
    let event = store.tenant("acme").unwrap().event(&start(1, 1000).id().to_string()).unwrap();
    let stop = event.stop.unwrap();
    assert_eq!((stop.id, &stop.labels), (failed.id(), &start(1, 1000).labels), "the labels of its start");
    assert_eq!(stop.attributes.as_deref(), Some(r#"{"entity_id":"job-1","outcome":"failed"}"#), "and what was sent");
    assert_eq!(commit(&store, 3, 0, &[failed]), [Ok(0)], "it is known again");
}

#[test]
fn whole_events_end_at_the_limit_of_label_sets() {
    let store = Store::new(Options { label_sets_max: 1, ..Options::default() });
    let said = |state, outcome, entity| Said { state, at: 1000, entity, outcome, superseding: false };
    let admit = |what: &Said| store.admit_change(&Change::Put(Box::new(tagged(what))), at(1), &mut Admission::default());
    store.apply(at(1), &Command::Change(Change::Put(Box::new(tagged(&said(EdgeState::Start, 0, 1))))));
    assert_eq!(admit(&said(EdgeState::Start, 0, 2)).unwrap_err().what, "label sets", "another event");
    assert_eq!(admit(&said(EdgeState::Start, 2, 1)).unwrap_err().what, "label sets", "other labels while it is open");
    let less = admit(&said(EdgeState::Stop, 2, 1)).unwrap().expect("it has the labels of its start");
    let Change::Put(put) = &less.what else { panic!("{less:?}") };
    let labels = tagged(&said(EdgeState::Start, 0, 1)).start.labels;
    assert!(put.edges().all(|edge| edge.labels == labels && edge.attributes.is_some()), "{put:?}");
    store.apply(at(2), &Command::Change(less.what));
    assert_eq!(store.stats(at(2)).series, 2);
}

#[test]
fn a_sender_with_thousands_of_names_leaves_some_to_others() {
    let store = Store::new(Options::default());
    let names = || store.tenant("acme").unwrap().index.names();
    let flood = many_named(0, 400);
    let lost: usize = commit(&store, 1, 7, &flood).iter().map(|taken| taken.unwrap()).sum();
    // Half of all, and `event_name`, which each has.
    assert_eq!((lost, names()), (400 * 30 - LABEL_NAMES_MAX / 2 + 1, LABEL_NAMES_MAX / 2));
    assert_eq!(commit(&store, 2, 7, &many_named(400, 1)), [Ok(30)], "and no more after it");
    assert_eq!(commit(&store, 3, 8, &many_named(500, 1)), [Ok(0)], "others have theirs");
    assert_eq!(
        commit(&store, 4, 7, &[named(501, many_named(500, 1)[0].labels.iter().map(|(name, _)| name.to_owned()))]),
        [Ok(0)],
        "what is known needs no room"
    );
    for sender in 9..16 {
        commit(&store, 5, sender, &many_named(1000 * i64::try_from(sender).unwrap(), 40));
    }
    assert!(names() <= LABEL_NAMES_MAX);
    assert_eq!(commit(&store, 6, 1000, &[named(600, ["service_name".to_owned()])]), [Ok(0)], "where eight flood it, there is one left");
}

#[test]
fn names_come_free_with_their_last_values_for_who_brought_them() {
    let store = Store::new(Options::default());
    for round in 0..14 {
        let lost: usize = commit(&store, 1, 7, &many_named(1000 * round, 166)).iter().map(|taken| taken.unwrap()).sum();
        assert_eq!(lost, 0, "after {round} times 5 000 names, of which 65 536 can have a number");
        store.apply(at(1 << 40), &Command::Retire { before: at(1 << 40), upto: 0 });
        assert_eq!((store.stats(at(0)).edges, store.tenant("acme").unwrap().index.names()), (0, 0));
    }
}

#[test]
fn what_loses_a_label_is_the_same_event() {
    let store = Store::new(Options::default());
    commit(&store, 1, 7, &many_named(0, 200));
    let sent = named(300, ["a\"b\\c\u{1}".to_owned(), "n00000_00".to_owned(), "zone".to_owned()]);
    assert_eq!(commit(&store, 2, 7, std::slice::from_ref(&sent)), [Ok(2)]);
    let event = store.tenant("acme").unwrap().event(&sent.id().to_string()).unwrap();
    let kept = event.start.unwrap();
    assert_eq!(kept.labels.iter().collect::<Vec<_>>(), [("event_name", "x"), ("n00000_00", "x")]);
    assert_eq!(kept.attributes.as_deref(), Some(r#"{"a\"b\\c\u0001":"x","n00000_00":"x","zone":"x"}"#));
    assert_eq!(commit(&store, 3, 8, &[sent]), [Ok(0)], "known, also when another sends it who might have the label");
}

#[test]
fn what_is_refused_counts_nowhere() {
    let store = Store::new(Options { open_events_max: 1, clusters_max: 1, tenants_max: 2, ..Options::default() });
    let to = |cluster: &str, entity| Edge { cluster: cluster.into(), ..start(entity, 1000) };
    let of = |organization: &str, edge: Edge| Edge { organization: organization.into(), ..edge };
    let all = [
        start(1, 1000),
        to("refused", 2),
        Edge { cluster: "eu".into(), ..stop(3, 1000) },
        of("b", start(1, 1)),
        of("c", start(1, 1)),
        Edge { cluster: "us".into(), ..stop(4, 1000) },
    ];
    assert_eq!(commit(&store, 1, 0, &all), [Ok(0), OPEN, Ok(0), Ok(0), Err("organizations"), Err("clusters (data_source_name)")]);
}

#[test]
fn clusters_of_the_configuration_need_no_room() {
    let store = Store::new(Options { clusters_max: 1, ..Options::default() });
    let to = |cluster: &str, time, configured| Edge { cluster: cluster.into(), configured, ..edge(EdgeState::Point, 1, time) };
    let all = [to("a", 1, true), to("b", 2, true), to("c", 3, true)];
    assert_eq!(commit(&store, 1, 0, &all), [Ok(0), Ok(0), Ok(0)]);
    assert_eq!(commit(&store, 2, 0, &[to("d", 4, true), to("e", 5, false)]), [Ok(0), Err("clusters (data_source_name)")]);
}

#[test]
fn a_refusal_says_when_the_same_may_be_taken() {
    let store = Store::new(Options { claims_max: 1, open_events_max: 0, ..Options::default() });
    let wait = |now: i64, key: u128| {
        let refused = store.admit_claim(&claim(key, 7, now), at(now), &mut Admission::default()).unwrap_err();
        (refused.wait.as_secs(), refused.of)
    };
    store.apply_claim(at(5000), &claim(1, 7, 5000));
    assert_eq!(wait(5000, 2), (24 * 3600, Limited::Organization), "until the first key lapses");
    assert_eq!(wait(5000 + 23 * 3_600_000, 2), (3600, Limited::Organization));
    assert_eq!(wait(5000 + 24 * 3_600_000 - 1000, 2), (60, Limited::Organization), "a minute at least");
    let refused = store.admit_edge(&start(1, 1), start(1, 1).id(), at(1), &mut Admission::default()).unwrap_err();
    assert_eq!((refused.what, refused.wait.as_secs()), ("open events", 60));
}
