//! The library behind the `change-events` binary.
