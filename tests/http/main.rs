//! The HTTP edge: through the router with a clock that tests set, and through real sockets.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failed helper fails its test, and a skipped one says so"
)]

mod ingest;
mod lines;
mod listing;
mod operating;
mod pages;
mod poison;
#[expect(dead_code, reason = "other tests use the rest of it")]
#[path = "../support/servers.rs"]
mod servers;
mod sockets;
mod support;
