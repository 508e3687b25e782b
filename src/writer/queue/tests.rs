use super::*;
use crate::event::Change;
use crate::event::Delete;
use crate::event::Edge;
use crate::event::EdgeState;
use crate::event::Expect;
use crate::event::Identity;
use crate::event::Version;
use crate::labels::LabelSet;
use crate::time::Timestamp;
use crate::writer::submission::Ask;
use crate::writer::submission::Conditioned;
use crate::writer::submission::Edges;
use crate::writer::submission::Encoded;
use crate::writer::submission::Held;
use crate::writer::submission::cost;
use proptest::prelude::*;

fn source(organization: usize, connection: usize) -> Source {
    Source::new(&organization.to_string(), "", connection as u64)
}

fn edges(count: usize) -> Submission {
    let labels = LabelSet::from_sorted([("event_name", "job")]).unwrap();
    let edge = Edge::new(EdgeState::Point, Timestamp::default(), Identity::of(["job"]), labels);
    Submission::Edges(Ask::new(std::iter::repeat_n(edge, count).collect::<Edges>(), &Source::default()).0)
}

fn change(id: &str) -> Submission {
    let delete = Change::Delete(Delete { organization: "".into(), id: id.into(), span: None });
    let change = Encoded::of(delete, usize::MAX).unwrap();
    Submission::Change(Ask::new(Conditioned { change, expect: Expect::Version(Version(0)), _held: Held::of(()) }, &Source::default()).0)
}

/// What went into a turn: what it cost, by kind.
#[derive(Clone, Copy, Debug, Default)]
struct Filled([u64; 3]);

impl Filled {
    fn of(turn: &Turn) -> Self {
        let mut filled = Self::default();
        // Edges wait in the order of what was waited.
        let mut edges = turn.waiting.edges.iter();
        for (kind, _) in &turn.waited {
            let ask = edges.next().unwrap();
            filled.0[*kind as usize] += cost(ask.work.len(), 0);
        }
        filled
    }
}

/// Fills turns while so many of each kind, of so many records, always wait; all that went in, and the largest turn.
fn filled(wait: [(usize, usize); 3], turns: usize) -> ([u64; 3], u64) {
    let (entrance, exit) = queue(&Telemetry::new());
    let (mut all, mut largest) = ([0; 3], 0);
    for _ in 0..turns {
        for (kind, (count, records)) in Kind::ALL.into_iter().zip(wait) {
            while exit.queue.state.lock().line(kind).turns.len() < count {
                let number = exit.queue.state.lock().line(kind).turns.len();
                entrance.push(kind, &source(number % 3, number), edges(records)).unwrap();
            }
        }
        let mut turn = Turn::default();
        exit.queue.state.lock().fill(&mut turn);
        let filled = Filled::of(&turn);
        largest = largest.max(turn.cost);
        all.iter_mut().zip(filled.0).for_each(|(all, one)| *all += one);
    }
    (all, largest)
}

#[test]
fn kinds_share_turns_of_bounded_size() {
    #[track_caller]
    fn check(wait: [(usize, usize); 3], percent: [u64; 3], size: u64) {
        let is_large = wait.iter().any(|(_, records)| *records > 1000);
        let (all, most) = filled(wait, if is_large { 40 } else { 8 });
        let total: u64 = all.iter().sum();
        let shares = all.map(|one| (one * 100 + total / 2) / total);
        assert!(shares.iter().zip(percent).all(|(share, expected)| share.abs_diff(expected) <= 4), "{shares:?} is not {percent:?}");
        // But for the last that goes into it.
        let last = wait.iter().map(|(_, records)| *records as u64 * 11 / 10 + 1).max().unwrap();
        assert!((size..size + last).contains(&most), "a turn of {most}");
    }
    let none = (0, 0);
    check([(1200, 1), (25, 100), (25, 100)], [50, 25, 25], TURN);
    check([(1800, 1), none, (25, 100)], [67, 0, 33], TURN);
    check([none, (25, 100), (25, 100)], [0, 50, 50], TURN);
    // Few events are in the next turn, all of them.
    check([(10, 1), (25, 100), (25, 100)], [0, 50, 50], TURN);
    check([(4200, 1), none, none], [100, 0, 0], TURN_ALONE);
    check([none, none, (50, 100)], [0, 0, 100], TURN_ALONE);
    // What comes as one goes as one, and its kind waits until the others have had as much.
    check([(1800, 1), (1, 10_000), (25, 100)], [50, 25, 25], TURN);
}

#[test]
fn a_single_event_is_in_the_next_turn() {
    let (entrance, mut exit) = queue(&Telemetry::new());
    for number in 0..200 {
        entrance.push(Kind::Array, &source(0, number), edges(1000)).unwrap();
        entrance.push(Kind::Stream, &source(0, number), edges(100)).unwrap();
    }
    for number in 0..20 {
        entrance.push(Kind::Single, &source(0, number), edges(1)).unwrap();
        let turn = exit.next_turn(Duration::from_hours(1), |_| false).unwrap();
        assert_eq!(turn.edges[0].work.len(), 1, "turn {number}");
    }
}

#[test]
fn changes_of_one_event_go_one_by_one() {
    let (entrance, mut exit) = queue(&Telemetry::new());
    let turns = |exit: &mut Exit| {
        std::iter::from_fn(|| exit.next_turn(Duration::from_hours(1), |_| false))
            .map(|turn| (turn.changes.len(), turn.edges.len()))
            .collect::<Vec<_>>()
    };
    // The event of the second change of connection 1 is free, but what comes before it is not.
    for (id, connection) in [("a", 0), ("a", 1), ("b", 1), ("c", 2), ("a", 3)] {
        entrance.push(Kind::Single, &source(0, connection), change(id)).unwrap();
    }
    entrance.push(Kind::Single, &source(0, 9), edges(1)).unwrap();
    drop(entrance);
    assert_eq!(turns(&mut exit), [(2, 1), (2, 0), (1, 0)]);
    // Many of them do not hold up a turn for long, and others get into it.
    let (entrance, mut exit) = queue(&Telemetry::new());
    for connection in 0..1000 {
        entrance.push(Kind::Single, &source(0, connection), change("a")).unwrap();
    }
    entrance.push(Kind::Single, &source(1, 9), edges(1)).unwrap();
    entrance.push(Kind::Stream, &source(0, 9), edges(1)).unwrap();
    let first: Vec<_> = (0..3)
        .map(|_| exit.next_turn(Duration::from_hours(1), |_| false).unwrap())
        .map(|turn| (turn.changes.len(), turn.edges.len()))
        .collect();
    assert_eq!(first.iter().map(|(changes, _)| *changes).collect::<Vec<_>>(), [1, 1, 1]);
    assert_eq!(first.iter().map(|(_, edges)| *edges).sum::<usize>(), 2, "{first:?}");
    drop(entrance);
    assert_eq!(turns(&mut exit).len(), 997);
}

#[test]
fn nobody_fills_the_queue_for_others() {
    let telemetry = Telemetry::new();
    let (entrance, _exit) = queue(&telemetry);
    let fill = |source: &dyn Fn(usize) -> Source, kind| {
        (0..=QUEUE_MAX).take_while(|&number| entrance.push(kind, &source(number), edges(1)).is_ok()).count()
    };
    let of =
        |organization: &'static str, sender: &'static str| move |connection: usize| Source::new(organization, sender, connection as u64);
    assert_eq!(fill(&|_| source(0, 0), Kind::Stream), QUEUE_MAX / 4, "a connection");
    let one = fill(&of("a", "x"), Kind::Single);
    assert_eq!(one, QUEUE_MAX.div_ceil(3), "a sender");
    assert!(one > 10_000, "as many as have connections");
    let other = fill(&of("a", "y"), Kind::Single);
    assert!(other > 3000, "another sender of that organization: {other}");
    let third = fill(&of("b", "x"), Kind::Single);
    assert!(third > 3000, "another organization: {third}");
    assert!(fill(&of("c", "x"), Kind::Single) > 1000);
    assert!(fill(&of("a", "x"), Kind::Array) == QUEUE_MAX.div_ceil(3), "another kind");
}

#[test]
fn what_waits_when_no_more_comes_is_given_out_and_what_comes_when_nothing_is_taken_is_not_kept() {
    let telemetry = Telemetry::new();
    let (entrance, mut exit) = queue(&telemetry);
    entrance.push(Kind::Single, &source(0, 0), edges(1)).unwrap();
    assert_eq!(entrance.depth(), [("single", 1), ("array", 0), ("stream", 0)]);
    drop(entrance);
    assert_eq!(exit.next_turn(Duration::from_hours(1), |_| false).unwrap().records, 1);
    assert!(exit.next_turn(Duration::from_hours(1), |_| false).is_none());
    let waited = telemetry.render_text();
    assert!(waited.contains("change_events_writer_wait_seconds_count{kind=\"single\"} 1\n"), "{waited}");

    let (entrance, exit) = queue(&telemetry);
    let (ask, mut reply) = Ask::new(Edges::default(), &Source::default());
    entrance.push(Kind::Single, &source(0, 0), Submission::Edges(ask)).unwrap();
    drop(exit);
    assert!(matches!(reply.try_recv().map(|reply| reply.answer), Ok(Err(SubmitError::Closed))));
    assert!(matches!(entrance.push(Kind::Single, &source(0, 0), edges(1)), Err(SubmitError::Closed)));
}

/// The writer waits for what comes from other threads.
#[test]
fn the_writer_is_woken() {
    let (entrance, mut exit) = queue(&Telemetry::new());
    let writer = std::thread::spawn(move || {
        std::iter::from_fn(|| exit.next_turn(Duration::from_hours(1), |_| false)).map(|turn| turn.records).sum::<usize>()
    });
    for number in 0..100 {
        entrance.push(Kind::Single, &source(0, number), edges(1)).unwrap();
        std::thread::yield_now();
    }
    drop(entrance);
    assert_eq!(writer.join().unwrap(), 100);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever waits: all of it is given out, in turns that are bounded, and none is empty.
    #[test]
    fn everything_is_given_out(sent in prop::collection::vec((0..3_usize, 0..4_usize, 1..3000_usize, 0..3_usize), 1..60)) {
        let (entrance, mut exit) = queue(&Telemetry::new());
        let mut expected = 0;
        for (number, (kind, connection, records, id)) in sent.into_iter().enumerate() {
            if kind == 0 && id > 0 {
                entrance.push(Kind::Single, &source(number % 2, connection), change(&id.to_string())).unwrap();
                expected += 1;
            } else {
                entrance.push(Kind::ALL[kind], &source(number % 2, connection), edges(records)).unwrap();
                expected += records;
            }
        }
        drop(entrance);
        let mut given = 0;
        while let Some(turn) = exit.next_turn(Duration::from_hours(1), |_| false) {
            prop_assert!(turn.records > 0);
            let last = turn.edges.iter().map(|ask| ask.work.len()).max().unwrap_or(1);
            prop_assert!(turn.records as u64 <= TURN_ALONE + last as u64 + SINGLES);
            given += turn.records;
        }
        prop_assert_eq!(given, expected);
    }
}

#[test]
fn who_waits_for_something_looks_again_when_time_has_passed() {
    let (entrance, mut exit) = queue(&Telemetry::default());
    let mut looks = Vec::new();
    let mut entrance = Some(entrance);
    let turn = exit.next_turn(Duration::from_millis(1), |has_passed| {
        looks.push(has_passed);
        if looks.len() == 5 {
            entrance = None;
        }
        // Once there is more to do at once.
        looks.len() == 2
    });
    assert!(turn.is_none());
    assert_eq!(looks, [false, true, false, true, true]);
}
