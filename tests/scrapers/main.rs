//! The page in the hands of those who read it beside Prometheus and VictoriaMetrics: how little it is before anything happened,
//! parsers of several languages, and the OpenTelemetry Collector.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails fails its test")]

mod collector;
mod fresh;
mod lines;
mod parsers;
#[path = "../support/mod.rs"]
mod support;
