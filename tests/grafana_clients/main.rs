//! Clients of Grafana's annotations, unmodified and of one version each (`tests/servers/install grafana-clients`), against our
//! own binary: what they return, what we answer, and what is on the page then.
//!
//! What Grafana itself makes of our answers is in `infinity`, with small models of the two programs in between.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a helper that fails fails its test")]

mod clients;
mod commands;
mod infinity;
mod life;
mod mapping;
mod server;
#[path = "../support/mod.rs"]
mod support;
