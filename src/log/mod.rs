//! The durable log: batches of opaque records, in order, on one machine's disk. It knows nothing of events.
//! A batch is one checksummed frame in a preallocated segment, durable before it is acknowledged. On opening, only an
//! incomplete tail that was never acknowledged is cut; anything else that is not as it was written stops the opening
//! and is named by file and offset. The format, the recovery rules and the crash cases are in ARCHITECTURE.md, "The log".
//! No thread, no clock but for measuring syncs, no tracing: outcomes say what happened, the caller reports it.

mod append;
mod batch;
mod checkpoint;
mod disk;
mod error;
#[doc(hidden)]
pub mod faulty;
mod file;
mod frame;
mod hwm;
mod inspect;
mod open;
mod reader;
mod repair;
mod replay;
mod retention;
mod scan;

use std::fmt;
use std::time::Duration;

pub use append::SegmentLog;
pub use append::Stats;
pub use batch::Batch;
pub use checkpoint::Carry;
pub use disk::Disk;
pub use disk::DiskFile;
pub use disk::FsDisk;
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
pub use reader::FollowError;
pub use reader::LogReader;
pub use repair::RepairError;
pub use repair::Repaired;
pub use repair::repair;
pub use retention::Removed;
pub use retention::SegmentInfo;

/// The place of a record: 1 for the first, one more for each that follows, never reused. 0 means "nothing".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The durable order of records, as the writer needs it: what is proposed is committed later or never, and what is committed
/// may have been proposed elsewhere. Where it is one machine's disk ([`SegmentLog`]), proposing commits.
pub trait Log: Send {
    /// Hands over a batch that is not empty, whose records are to follow all that was proposed before; the position that the
    /// last of them is to have. After an error nothing of it was kept, as in [`SegmentLog::append`].
    fn propose(&mut self, batch: &Batch) -> Result<Position, AppendError>;

    /// What is durable next, in the order of positions. Waits for it while something that was proposed here is on its way; an
    /// error means that this is not coming. `None` when nothing is.
    fn committed(&mut self) -> Result<Option<Committed>, AppendError>;

    /// Position of the last durable record.
    fn last(&self) -> Position;

    /// The failure after which nothing more is accepted, if there was one. A full disk is none.
    fn healthy(&self) -> Result<(), Unhealthy>;

    /// Bytes of the largest record that can be proposed.
    fn record_bytes_max(&self) -> usize;

    /// Ends the log cleanly. Without it nothing is lost.
    fn close(self) -> Result<(), AppendError>
    where
        Self: Sized;

    /// What of it is on this machine's disk, in order: see [`SegmentLog::segments`].
    fn segments(&self) -> Result<Vec<SegmentInfo>, ReadError>;

    /// Ends the last segment: see [`SegmentLog::rotate`].
    fn rotate(&mut self) -> Result<(), AppendError>;

    /// The position up to which a start reads a checkpoint instead of segments.
    fn checkpoint_position(&self) -> Option<Position>;

    /// Makes a checkpoint on this machine's disk: see [`SegmentLog::compact`].
    fn compact(&mut self, upto: Position, keep: &mut dyn FnMut(Position, &[u8]) -> bool) -> Result<(), CheckpointError>;

    /// Removes segments from this machine's disk: see [`SegmentLog::remove_segments_below`].
    fn remove_segments_below(&mut self, position: Position) -> Result<Removed, CheckpointError>;
}

/// What is durable.
#[derive(Debug)]
pub enum Committed {
    /// The batch that was proposed here first of those that are on their way.
    Own(Appended),
    /// Records that were proposed elsewhere.
    Foreign(Frame),
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

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, frame_bytes: 16 << 20, batch_bytes: 256 << 20, hwm_bytes: 256 << 10 }
    }
}
