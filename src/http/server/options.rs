//! How connections are treated.

use std::time::Duration;

/// How connections are treated.
#[derive(Clone, Debug)]
pub struct Options {
    /// Connections at the same time (`--limit.connections`).
    pub connections: usize,
    /// Further connections, for when nobody of those can be ended: operators are answered there, and some scrapes, one request each.
    pub reserved_connections: usize,
    /// Time for a request's headers to arrive, counted from the end of the last answer: ends silent and idle connections too.
    pub header_timeout: Duration,
    /// The same on a reserved connection.
    pub reserved_header_timeout: Duration,
    /// Time without progress after which the reader of an answer is given up.
    pub write_stall: Duration,
    /// Time that the writing of one answer may wait for its reader in all; a scraper may say that it waits for less.
    pub write_total: Duration,
    /// Time that requests have to end after a stop.
    pub drain: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections: 10_000,
            reserved_connections: 64,
            header_timeout: Duration::from_secs(10),
            reserved_header_timeout: Duration::from_secs(2),
            write_stall: Duration::from_secs(10),
            write_total: Duration::from_mins(2),
            drain: Duration::from_secs(25),
        }
    }
}
