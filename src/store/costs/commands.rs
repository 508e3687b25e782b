//! What one command costs where much is there already, of others or of the same sender: rows looked at, and bytes moved.

use super::edge;
use crate::event::Change;
use crate::event::Claim;
use crate::event::Command;
use crate::event::Delete;
use crate::event::Describe;
use crate::event::Details;
use crate::event::Edge;
use crate::event::EdgeState;
use crate::event::Identity;
use crate::event::Put;
use crate::store::Admission;
use crate::store::CLAIM_AGE;
use crate::store::Options;
use crate::store::Store;
use crate::store::steps;
use crate::time::Timestamp;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

const FEW: i64 = 1000;
const MANY: i64 = 20_000;
/// The first chunk of rows when it doubles last, or a leaf of each table and of those of each label, chunks of lists, some numbers of
/// runs: none of it grows with what is there.
const MOVED_MAX: u64 = 128 << 10;

/// What one costs of two that differ by how much is there: no more than the logarithm of that allows.
#[track_caller]
fn check(name: &str, cost: impl Fn(i64) -> u64) {
    let (few, many) = (cost(FEW), cost(MANY));
    // A count takes a moment for each chunk of one stretch.
    assert!(many < few * 2 + 256, "{name}: {few} where {FEW} are there, {many} where {MANY} are");
}

/// A start that leaves the gauge with age.
fn lapsing(number: i64) -> Edge {
    Edge { lapses: true, ..edge(EdgeState::Start, number, number, false) }
}

#[test]
fn a_start_beyond_the_limit_costs_the_same_however_many_have_lapsed() {
    check("admitted", |count| {
        let options = Options { open_events_max: 10, ..Options::default() };
        let now = at(0).plus(options.open_max_age).plus(options.open_max_age);
        let store = Store::new(options);
        for number in 0..count {
            store.apply(now, &Command::Edge(lapsing(number)));
        }
        let new = lapsing(-1);
        let mut admission = Admission::default();
        steps::of(|| assert!(store.admit_edge(&new, new.id(), now, &mut admission).is_ok()))
    });
}

#[test]
fn a_claim_forgets_a_few_others_at_most() {
    check("claimed a day later", |count| {
        let store = Store::new(Options::default());
        let claim = |key: i64| Claim { organization: "acme".into(), key: key.unsigned_abs().into(), body: 7, at: at(0), former: None };
        for key in 0..count {
            store.apply(at(key), &Command::Claim(claim(key)));
        }
        let late = at(count).plus(CLAIM_AGE).plus(CLAIM_AGE);
        let mut admission = Admission::default();
        let cost = steps::bytes_of(|| {
            assert_eq!(store.admit_claim(&claim(1), late, &mut admission), Ok(None), "it is forgotten");
            store.apply(late, &Command::Claim(claim(1)));
        });
        let tenant = store.tenant("acme").unwrap();
        let counted = tenant.claims.lock().len(late);
        assert_eq!((counted, tenant.every_key(late).len()), (1, 1));
        cost
    });
}

/// Organizations with much of everything: starts, stops, heartbeats and points of one identity and of others, of label sets of
/// their own and of the same, in order and not, described and put. What the command that moved the most did.
struct Filled {
    store: Store,
    count: i64,
    most_moved: u64,
}

fn put(id: &str, at: i64, text: i64) -> Command {
    let start = Edge { identity: Identity::of_id(id), ..edge(EdgeState::Start, at, 7, false) };
    let details = Details { description: text.to_string().into(), ..Details::default() };
    Command::Change(Change::Put(Box::new(Put { id: id.into(), created: None, number: None, start, stop: None, details })))
}

impl Filled {
    fn new(count: i64) -> Self {
        let (store, mut most_moved) = (Store::new(Options { open_events_max: usize::MAX, ..Options::default() }), 0);
        for number in 0..count {
            let time = if number % 3 == 0 { count - number } else { number } * 1000;
            let command = match number % 8 {
                0 => Command::Edge(edge(EdgeState::Start, time, number, false)),
                1 => Command::Edge(edge(EdgeState::Start, time, 1, false)),
                2 => Command::Edge(edge(EdgeState::Stop, time + count * 2000, number - 2, false)),
                3 => Command::Edge(edge(EdgeState::Point, time, number, false)),
                4 => Command::Edge(Edge { identity: Identity::of([&*number.to_string()]), ..edge(EdgeState::Start, time, 2, false) }),
                5 => put(&format!("own {number}"), time, number),
                6 => Command::Edge(lapsing(number)),
                _ => {
                    let claim = Claim { organization: "acme".into(), key: number.unsigned_abs().into(), body: 7, at: at(0), former: None };
                    Command::Claim(claim)
                }
            };
            most_moved = most_moved.max(steps::bytes_of(|| drop(store.apply(at(number), &command))));
        }
        Self { store, count, most_moved }
    }

    /// The rows that are looked at for a command that is admitted and applied, and the bytes that are moved.
    fn cost(&self, command: &Command) -> (u64, u64) {
        let (store, now) = (&self.store, at(self.count));
        let (mut looked_at, mut admission) = (0, Admission::default());
        let moved = steps::bytes_of(|| {
            looked_at = steps::of(|| {
                match command {
                    Command::Edge(edge) => assert!(store.admit_edge(edge, edge.id(), now, &mut admission).is_ok()),
                    Command::Change(change) => assert!(store.admit_change(change, now, &mut admission).is_ok()),
                    Command::Claim(claim) => assert!(store.admit_claim(claim, now, &mut admission).is_ok()),
                    _ => {}
                }
                store.apply(now, command);
            });
        });
        (looked_at, moved)
    }

    /// One after the other: a command of each kind.
    fn commands(&self) -> Vec<(&'static str, Command)> {
        use EdgeState::Point;
        use EdgeState::Start;
        use EdgeState::Stop;
        let (middle, end) = (self.count * 500 + 1, self.count * 5000);
        let first = edge(Start, middle, -1, false);
        let details = Details { description: "said".into(), ..Details::default() };
        let describe = Describe { organization: "acme".into(), edge: first.id(), span: None, stop: None, details };
        let delete = |id: String| Command::Change(Change::Delete(Delete { organization: "acme".into(), id: id.into(), span: None }));
        let claim = Claim { organization: "acme".into(), key: 1 << 100, body: 7, at: at(0), former: None };
        let first_id = first.id().to_string();
        vec![
            ("a start in the middle", Command::Edge(first)),
            ("a start of labels that many have", Command::Edge(Edge { identity: Identity::of(["new"]), ..edge(Start, middle, 2, false) })),
            ("a heartbeat behind it", Command::Edge(edge(Start, middle + 5, -1, false))),
            ("a heartbeat before it", Command::Edge(edge(Start, middle - 5, -1, false))),
            ("a description", Command::Change(Change::Describe(Box::new(describe)))),
            ("a stop that closes it", Command::Edge(edge(Stop, end, -1, false))),
            ("its deletion", delete(first_id)),
            ("a heartbeat among many", Command::Edge(edge(Start, middle, 1, false))),
            ("a stop among many heartbeats", Command::Edge(edge(Stop, middle + 1, 1, false))),
            ("a stop with nothing open", Command::Edge(edge(Stop, middle, -2, false))),
            ("a point", Command::Edge(edge(Point, end, -3, false))),
            ("a start that supersedes", Command::Edge(edge(Start, end, -4, true))),
            ("a start that lapses", Command::Edge(lapsing(-5))),
            ("an event put", put("own -1", middle, 1)),
            ("said something else of", put("own -1", middle, 2)),
            ("moved", put("own -1", end, 2)),
            ("and deleted", delete("own -1".to_owned())),
            ("a claim", Command::Claim(claim)),
        ]
    }
}

#[test]
fn a_command_costs_what_it_changes_however_much_there_is() {
    let (few, many) = (Filled::new(FEW), Filled::new(MANY));
    for ((name, one), (_, other)) in few.commands().iter().zip(many.commands()) {
        let (few, many) = (few.cost(one), many.cost(&other));
        assert!(many.0 < few.0 * 2 + 64, "{name}: {} rows where {FEW} are there, {} where {MANY} are", few.0, many.0);
        assert!(few.1.max(many.1) < MOVED_MAX, "{name}: {few:?} and {many:?}");
    }
    assert!(many.most_moved < MOVED_MAX, "{} bytes moved at once", many.most_moved);
}
