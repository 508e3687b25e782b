//! The library behind the `change-events` binary. ARCHITECTURE.md is its map; lower modules never use higher ones.

// The plain model of events, which tests and fuzz targets share, calls this crate by its name.
#[cfg(test)]
extern crate self as change_events;

pub mod account;
pub mod cli;
pub mod client;
pub mod config;
pub mod doors;
pub mod event;
pub mod exposition;
pub mod files;
pub mod http;
pub mod intake;
pub mod labels;
pub mod log;
pub mod mapping;
pub mod rules;
pub mod shown;
pub mod store;
pub mod telemetry;
pub mod threads;
pub mod time;
pub mod words;
pub mod writer;
