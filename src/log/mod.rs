//! The durable log: batches of opaque records, in order, on one machine's disk. It knows nothing of events.
//! A batch is one checksummed frame in a preallocated segment, durable before it is acknowledged. On opening, only an
//! incomplete tail that was never acknowledged is cut; anything else that is not as it was written stops the opening
//! and is named by file and offset. The format, the recovery rules and the crash cases are in ARCHITECTURE.md, "The log".
//! No thread, no clock but for measuring syncs, no tracing: outcomes say what happened, the caller reports it.

mod append;
mod batch;
mod checkpoint;
mod compaction;
mod disk;
mod error;
mod extent;
#[doc(hidden)]
pub mod faulty;
mod file;
mod frame;
mod hwm;
mod inspect;
mod open;
mod proposed;
mod reader;
mod repair;
mod replay;
mod retention;
mod room;
mod scan;
mod taken;

use std::fmt;
use std::time::Duration;

pub use append::SegmentLog;
pub use batch::Batch;
pub use checkpoint::Carry;
pub use compaction::Compaction;
pub use disk::Disk;
pub use disk::DiskFile;
pub use disk::FsDisk;
pub use disk::Space;
pub use error::AppendError;
pub use error::CheckpointError;
pub use error::OpenError;
pub use error::ReadError;
pub use error::Unhealthy;
pub use error::VisitError;
pub use frame::Frame;
pub use frame::Records;
pub use inspect::Problem;
pub use inspect::Report;
pub use inspect::SegmentReport;
pub use inspect::check;
pub use inspect::check_records;
pub use open::Replayed;
pub use open::id_of;
pub use proposed::Committed;
pub use proposed::Log;
pub use reader::FollowError;
pub use reader::LogReader;
pub use repair::RepairError;
pub use repair::Repaired;
pub use repair::repair;
pub use retention::Removed;
pub use retention::SegmentInfo;
pub use room::Room;

/// The place of a record: 1 for the first, one more for each that follows, never reused. 0 means "nothing".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What an append did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Appended {
    /// Position of the batch's last record.
    pub last: Position,
    /// Bytes written.
    pub bytes: u64,
    /// Time that the sync took.
    pub sync: Duration,
}

/// Sizes of a log's files. They may differ from one opening to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Room reserved for a segment, in bytes. A larger batch gets a larger segment.
    pub segment_bytes: u64,
    /// Largest payload of a frame, and with its four bytes of length the largest record.
    pub frame_bytes: usize,
    /// Largest batch, with the lengths of its records.
    pub batch_bytes: usize,
    /// Bytes appended between two high-water marks.
    pub hwm_bytes: u64,
}

impl Options {
    /// The smaller segments that suit a smaller disk, or a log that is to be no larger than this.
    #[must_use]
    pub fn fitting(self, disk_bytes: u64, log_bytes: Option<u64>) -> Self {
        let fit = log_bytes.map_or(u64::MAX, |bytes| bytes / LOG_SEGMENTS).min(disk_bytes / DISK_SEGMENTS);
        Self { segment_bytes: self.segment_bytes.min(fit.max(SEGMENT_BYTES_MIN)), ..self }
    }
}

/// A disk has room for so many segments at least, and a log of a limited size has so many.
const DISK_SEGMENTS: u64 = 32;
const LOG_SEGMENTS: u64 = 10;
const SEGMENT_BYTES_MIN: u64 = 1 << 20;

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, frame_bytes: 16 << 20, batch_bytes: 256 << 20, hwm_bytes: 256 << 10 }
    }
}
