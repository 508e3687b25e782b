//! The proof: the exporter's binary between real senders, real scrapers and a real Alertmanager.
//!
//! Every configuration comes from `examples/` and `alerts/`, with only addresses, intervals and thresholds changed.
//! What the servers stored is asked of them by query; nothing is concluded from the exporter's own page.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a helper that fails fails its test")]

mod agents;
mod alerts;
mod allocator;
mod crowd;
mod disk;
mod events;
mod examples;
mod lines;
mod pages;
mod planned;
mod poison;
mod stalls;
#[path = "../support/mod.rs"]
mod support;
mod threads;
mod updates;
mod upgrade;
