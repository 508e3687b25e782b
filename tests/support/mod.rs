//! Real processes for the tests: the exporter's own binary, and the servers that `tests/servers/install` brings.
//!
//! A server listens on a free loopback port, keeps its data and its log in a temporary directory, and is killed when
//! its value is dropped. Nothing here sleeps for an effect: whoever needs one awaits it with [`wait::until`].
#![allow(dead_code, reason = "every test binary uses its own part")]
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a helper that fails fails its test")]
#![expect(clippy::print_stderr, reason = "a test says what it leaves out")]

pub(crate) mod alertmanager;
pub(crate) mod disk;
pub(crate) mod examples;
pub(crate) mod exporter;
pub(crate) mod http;
pub(crate) mod process;
pub(crate) mod prometheus;
pub(crate) mod query;
pub(crate) mod servers;
pub(crate) mod small_disk;
pub(crate) mod splitmix;
pub(crate) mod victoria;
pub(crate) mod wait;
pub(crate) mod webhook;
