//! What one command costs where much is there already, of others or of the same sender: rows looked at, and bytes moved.

use super::edge;
use crate::event::Claim;
use crate::event::Command;
use crate::event::Edge;
use crate::event::EdgeState;
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
