//! The library behind the `change-events` binary.

pub mod cli;
