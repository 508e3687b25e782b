//! What users copy is run here: the commands of README and docs, and the files of `examples/` that no other test covers
//! (`tests/e2e` has the configurations of the servers, `src/doors` the payloads).
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a helper that fails fails its test")]

mod deploy;
mod readme;
mod shell;
#[path = "../support/mod.rs"]
mod support;
mod workflow;
mod yaml;
