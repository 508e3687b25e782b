//! The bodies of the fuzz targets, on any toolchain: over the inputs that are kept (`fuzz/corpus`, `fuzz/found`), then over inputs
//! that are made from seeds, for 20 s each (10 minutes with `CHANGE_EVENTS_FULL=1`).
//!
//! An input is the same for its seed on every machine; `CHANGE_EVENTS_SEED` is the first one, and `CHANGE_EVENTS_INPUTS` how many
//! there are, whatever time they take.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a helper that fails fails its test")]
#![expect(clippy::print_stderr, reason = "a test says what it found")]

mod bodies;
mod found;
mod run;
#[path = "../support/splitmix.rs"]
mod splitmix;

#[test]
fn the_store_is_what_the_plain_model_says() {
    run::run("store", bodies::store::run);
}

#[test]
fn a_log_of_any_bytes_opens_with_what_was_written_or_is_damaged() {
    run::run("log", bodies::log::run);
}

#[test]
fn records_of_any_bytes_decode_to_a_stable_form_or_not_at_all() {
    run::run("record", bodies::record::run);
}

#[test]
fn bodies_of_any_bytes_become_valid_edges_or_are_refused() {
    run::run("wire", bodies::wire::run);
}
