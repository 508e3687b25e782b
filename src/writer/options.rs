//! What shapes the writer.

use std::time::Duration;

/// What the writer needs besides its log.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long after its receipt an edge is kept; `None` for ever (`--storage.retention.time`).
    pub retention: Option<Duration>,
    /// How many bytes the log may take before its oldest segments go; `None` for any number (`--storage.retention.size`).
    pub retention_size: Option<u64>,
    /// How many bytes of the disk new events leave free; `None` for what suits the disk (`--storage.min-free`).
    pub min_free: Option<u64>,
    /// How long a sender waits while the disk does not answer (`--storage.sync-timeout`).
    pub sync_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { retention: None, retention_size: None, min_free: None, sync_timeout: Duration::from_secs(5) }
    }
}
