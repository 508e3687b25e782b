//! The HTTP edge: through the router with a clock that tests set, and through real sockets.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a failed helper fails its test")]

mod apitraffic;
mod apitraffic_hostile;
mod apitraffic_list;
mod apitraffic_model;
mod by_clock;
mod ets;
mod ets_hostile;
mod ets_model;
mod extensions;
mod grafana;
mod grafana_at_once;
mod grafana_hostile;
mod grafana_list;
mod grafana_model;
#[path = "../support/mod.rs"]
mod harness;
mod ingest;
mod labels;
mod limits;
mod lines;
mod listing;
mod operating;
mod pages;
mod pairing;
mod poison;
mod process;
mod proxies;
mod questions;
mod sockets;
mod support;
mod too_large;
mod trouble;
mod wire;
