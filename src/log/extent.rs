//! How far a log is durable: what whoever appends to it tells those that read it.

/// How far a log is durable, as its readers see it.
#[derive(Debug, Default)]
pub(crate) struct Extent {
    /// First positions of all segments, ascending.
    pub(crate) segments: Vec<u64>,
    /// End of the last durable frame of the last one.
    pub(crate) offset: u64,
    /// Position after the last durable record.
    pub(crate) next: u64,
    /// Position that the newest checkpoint stands for.
    pub(crate) checkpoint: u64,
}
