//! Inputs that failed once, each with a name for what was wrong. They are in `fuzz/found`, under the names of their tests.

use crate::bodies;
use crate::run::kept;

#[track_caller]
fn check(target: &str, name: &str, body: fn(&[u8])) {
    let input = kept("found", target).into_iter().find(|(file, _)| file == name);
    body(&input.unwrap_or_else(|| panic!("there is no fuzz/found/{target}/{name}")).1);
}

/// Nothing can follow it: looking for what does overflowed.
#[test]
fn a_checkpoint_after_the_last_number() {
    check("log", "a_checkpoint_after_the_last_number", bodies::log::run);
}

/// Checking found nothing wrong with a log that does not open.
#[test]
fn a_segment_before_the_first_number() {
    check("log", "a_segment_before_the_first_number", bodies::log::run);
}
/// A checkpoint kept the record of the one that was replaced, and a restart brought back an edge that had been forgotten.
#[test]
fn a_put_that_another_one_of_the_same_time_replaced() {
    check("store", "a_put_that_another_one_of_the_same_time_replaced", bodies::store::run);
}
