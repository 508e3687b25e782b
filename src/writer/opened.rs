//! A log that was read into memory, before the writer begins.

use super::state::State;
use crate::log::Disk;
use crate::log::LogReader;
use crate::log::Position;
use crate::log::Replayed;
use crate::log::SegmentLog;
use crate::time::Timestamp;

/// A log that was read into memory.
#[derive(Debug)]
pub struct Opened<L> {
    pub(super) log: L,
    pub(super) state: State,
    /// What the log says of the reading.
    pub replayed: Replayed,
}

impl<D: Disk> Opened<SegmentLog<D>> {
    /// Reads the log beside the writer, from this record on; what [`super::Writer::applied`] says is durable is there.
    pub fn reader(&self, from: Position) -> LogReader<D> {
        self.log.reader(from)
    }
}

impl<L> Opened<L> {
    /// When the last record was received; [`Timestamp::MIN`] when there is none.
    pub fn received(&self) -> Timestamp {
        self.state.course.received
    }
}
