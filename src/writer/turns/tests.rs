use super::*;
use proptest::prelude::*;

fn source(organization: u8, sender: u8, connection: u8) -> Source {
    Source::new(&organization.to_string(), &sender.to_string(), connection.into())
}

#[derive(Clone, Debug)]
enum Step {
    Push(u8, u8, u8, u64),
    Pop,
    /// Takes all that waits, if it costs no more than this.
    All(u64),
    /// Takes so many and puts them back.
    Peek(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let push = || (0..3_u8, 0..2_u8, 0..3_u8, prop_oneof![Just(1), 1..2000_u64]).prop_map(|(a, b, c, cost)| Step::Push(a, b, c, cost));
    prop::collection::vec(
        prop_oneof![4 => push(), 3 => Just(Step::Pop), 1 => (0..4000_u64).prop_map(Step::All), 1 => (1..4_u8).prop_map(Step::Peek)],
        0..200,
    )
}

/// What is known of one that waits.
#[derive(Clone, Debug)]
struct Waits {
    number: usize,
    source: Source,
    /// How many waited when it came.
    older: usize,
    /// How many that came later were given out since.
    passed: usize,
}

/// All that wait, in the order in which they came.
#[derive(Default)]
struct Model(Vec<Waits>);

impl Model {
    fn push(&mut self, number: usize, source: Source) {
        self.0.push(Waits { number, source, older: self.0.len(), passed: 0 });
    }

    fn given(&mut self, given: &Given<usize>) {
        let place = self.0.iter().position(|waits| waits.number == given.item).expect("it waits, and is given out once");
        let waits = self.0.remove(place);
        assert_eq!(waits.source, given.source);
        let before = &mut self.0[..place];
        assert!(before.iter().all(|other| other.source != given.source), "a connection keeps its order");
        for other in before {
            other.passed += 1;
            assert!(other.passed <= 3 * (other.older + 1), "{other:?} is passed too often");
        }
    }

    fn room(&self, source: &Source, most: usize) -> usize {
        let Source((organization, (sender, (connection, ())))) = source;
        let count = |is_of: &dyn Fn(&Path) -> bool| self.0.iter().filter(|waits| is_of(&waits.source.0)).count();
        let of_organization = |path: &Path| path.0 == *organization;
        let of_sender = |path: &Path| of_organization(path) && path.1.0 == *sender;
        let of_connection = |path: &Path| of_sender(path) && path.1.1.0 == *connection;
        most.saturating_sub(count(&|_| true) + count(&of_organization) + count(&of_sender) + count(&of_connection))
    }
}

/// Plays the steps, holding what comes out against the model; what was given out in which order.
fn play(steps: &[Step]) -> Vec<usize> {
    let (mut turns, mut model, mut order) = (Turns::default(), Model::default(), Vec::new());
    let mut pushed = 0;
    for step in steps {
        match *step {
            Step::Push(organization, sender, connection, cost) => {
                let source = source(organization, sender, connection);
                let room = model.room(&source, 20);
                assert_eq!(turns.has_room(&source, 20), room > 0);
                if cost % 8 == 0 {
                    assert_eq!(turns.room(&source, 20), room);
                }
                turns.push(&source, cost, pushed);
                model.push(pushed, source);
                pushed += 1;
            }
            Step::Pop => {
                let given = turns.pop();
                assert_eq!(given.is_some(), !model.0.is_empty());
                if let Some(given) = given {
                    model.given(&given);
                    order.push(given.item);
                }
            }
            Step::All(most) => {
                let all = turns.take_within(most);
                assert!(all.is_empty() || all.len() == model.0.len() && all.iter().map(|given| given.cost).sum::<u64>() <= most);
                for given in all {
                    model.given(&given);
                    order.push(given.item);
                }
            }
            Step::Peek(count) => {
                let taken: Vec<_> = (0..count).map_while(|_| turns.pop()).collect();
                taken.into_iter().rev().for_each(|given| turns.put_back(given));
            }
        }
        assert_eq!((turns.len(), turns.is_empty()), (model.0.len(), model.0.is_empty()));
    }
    while let Some(given) = turns.pop() {
        model.given(&given);
        order.push(given.item);
    }
    assert!(model.0.is_empty() && turns.by_age.is_empty(), "nothing is lost");
    assert!(turns.all.members.is_empty() && turns.all.order.is_empty(), "nothing is left behind");
    order
}

proptest! {
    #[test]
    fn each_comes_out_once_in_the_order_of_its_connection_and_is_not_passed_for_ever(steps in steps()) {
        prop_assert_eq!(play(&steps), play(&steps), "the same comes out of the same");
    }
}

/// What some sources, each of which always has something waiting, have had when something was given out so often.
fn shares(sources: &[(Source, u64)], given: usize) -> Vec<u64> {
    let mut turns = Turns::default();
    for (number, (source, cost)) in sources.iter().enumerate() {
        turns.push(source, *cost, number);
    }
    let mut had = vec![0; sources.len()];
    for _ in 0..given {
        let Given { item, cost, source, .. } = turns.pop().unwrap();
        had[item] += cost;
        turns.push(&source, cost, item);
    }
    had
}

#[test]
fn what_is_given_out_is_shared_between_organizations_then_senders_then_connections() {
    let mut sources = Vec::new();
    // One has many connections, one sends large ones, one has two senders, of which one has many connections.
    sources.extend((0..50).map(|connection| (source(0, 0, connection), 10)));
    sources.push((source(1, 0, 0), 200));
    sources.extend((0..9).map(|connection| (source(2, 0, connection), 10)));
    sources.push((source(2, 1, 0), 10));
    let had = shares(&sources, 30_000);
    let total: u64 = had.iter().sum();
    let of = |range: std::ops::Range<usize>| had[range].iter().sum::<u64>() * 100 / total;
    for (share, expected) in [(of(0..50), 33), (of(50..51), 33), (of(51..61), 33), (of(51..60), 16), (of(60..61), 16)] {
        assert!(share.abs_diff(expected) <= 2, "{share} % is not {expected} %: {had:?}");
    }
    assert!(had[0..50].iter().all(|one| one.abs_diff(had[0]) <= had[0] / 10), "{had:?}");
}

#[test]
fn who_comes_anew_is_behind_nobody_elses_heap() {
    let mut turns = Turns::default();
    for connection in (0..100_u8).cycle().take(10_000) {
        turns.push(&source(0, 0, connection), 100, "heap");
    }
    for _ in 0..1000 {
        turns.pop().unwrap();
    }
    // Another organization, another sender of the same, another connection of that.
    for (who, within) in [(source(1, 0, 0), 2), (source(0, 1, 0), 3), (source(0, 0, 200), 140)] {
        turns.push(&who, 1, "new");
        let waited = std::iter::from_fn(|| turns.pop()).take_while(|given| given.item != "new").count();
        assert!(waited <= within, "{who:?} waited for {waited}");
    }
}

#[test]
fn who_had_too_much_waits_as_long_as_others_do() {
    let mut turns = Turns::default();
    let (large, small) = (source(0, 0, 0), source(1, 0, 0));
    for _ in 0..100 {
        turns.push(&small, 1, "small");
    }
    turns.push(&large, 50, "large");
    while turns.pop().unwrap().item != "large" {}
    // It was away in between, which does not make it new.
    turns.push(&large, 50, "large");
    let waited = std::iter::from_fn(|| turns.pop()).take_while(|given| given.item != "large").count();
    assert!(waited >= 40, "it waited for {waited}");
}
