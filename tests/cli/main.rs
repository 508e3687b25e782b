//! The command line, seen from outside: the built binary against a server that does what the test wants.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a failed helper fails its test")]

mod check;
mod exec;
mod exec_foreign;
mod exec_signals;
mod exec_spool;
mod files;
mod open_close;
mod real;
mod rules;
mod send;
mod support;
mod tiny;
mod token;
mod users;
