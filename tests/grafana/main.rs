//! Every dashboard of `grafana/`: its JSON is whole, its queries answer, its annotations are where the events are.
//!
//! What Grafana does between a dashboard and Prometheus (putting in variables, turning an answer into annotations) is
//! done here by small models of it; how a panel looks is not tested.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a helper that fails fails its test")]

mod annotations;
mod choices;
mod dashboards;
mod history;
mod outcomes;
mod published;
mod queries;
mod stage;
mod structure;
#[path = "../support/mod.rs"]
mod support;
