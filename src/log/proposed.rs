//! The seam between the writer and its log, and the log of one machine's disk behind it.

use std::io;

use crate::log::Appended;
use crate::log::Position;
use crate::log::Removed;
use crate::log::Room;
use crate::log::SegmentInfo;
use crate::log::append::SegmentLog;
use crate::log::batch::Batch;
use crate::log::compaction::Compaction;
use crate::log::disk::Disk;
use crate::log::error::AppendError;
use crate::log::error::CheckpointError;
use crate::log::error::Unhealthy;
use crate::log::frame::Frame;

/// The durable order of records, as the writer needs it: what is proposed is committed later or never, and what is committed
/// may have been proposed elsewhere. Where it is one machine's disk ([`SegmentLog`]), proposing commits.
pub trait Log: Send {
    /// A checkpoint that is being made.
    type Compaction: Send;

    /// Hands over a batch that is not empty, whose records are to follow all that is committed; the position that the last of them
    /// is to have. There is one on its way at most. Of errors the same holds as of those of [`SegmentLog::append`].
    fn propose(&mut self, batch: &Batch) -> Result<Position, AppendError>;

    /// What is durable next, in the order of positions. Waits for it while something that was proposed here is on its way, which
    /// then comes next; an error means that it is not coming. `None` when nothing is on its way.
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
    fn segments(&self) -> Vec<SegmentInfo>;

    /// How much room there is on this machine's disk: see [`SegmentLog::room`].
    fn room(&self) -> io::Result<Room>;

    /// At most so many bytes a checkpoint takes that stands for this many of the oldest segments.
    fn checkpoint_bytes(&self, segments: usize) -> u64;

    /// Keeps room back for when there is none: see [`SegmentLog::keep_reserve`].
    fn keep_reserve(&mut self, carried: u64, leave: u64) -> bool;

    /// About as many bytes a checkpoint takes that carries no more than so many records.
    fn carried_bytes(&self, records: u64) -> u64;

    /// Lets what is written take what is kept back, where there is no other room, until it is told not to.
    fn open_reserve(&mut self, is_open: bool);

    /// Gives up what is of no use but in an emergency: see [`SegmentLog::make_way`].
    fn make_way(&mut self);

    /// Ends the last segment: see [`SegmentLog::rotate`].
    fn rotate(&mut self) -> Result<(), AppendError>;

    /// The position up to which a start reads a checkpoint instead of segments.
    fn checkpoint_position(&self) -> Option<Position>;

    /// Begins a checkpoint on this machine's disk: see [`SegmentLog::begin_compaction`].
    fn begin_compaction(&mut self, upto: Position) -> Result<Self::Compaction, CheckpointError>;

    /// Goes on with it: see [`SegmentLog::compact_step`].
    fn compact_step(
        &mut self,
        compaction: &mut Self::Compaction,
        keep: &mut dyn FnMut(Position, &[u8]) -> bool,
    ) -> Result<bool, CheckpointError>;

    /// Gives it up.
    fn abandon(&mut self, compaction: Self::Compaction);

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

impl<D: Disk> Log for SegmentLog<D>
where
    Self: Send,
{
    type Compaction = Compaction<D>;

    fn propose(&mut self, batch: &Batch) -> Result<Position, AppendError> {
        let appended = self.append(batch)?;
        self.proposed = Some(appended);
        Ok(appended.last)
    }

    fn committed(&mut self) -> Result<Option<Committed>, AppendError> {
        Ok(self.proposed.take().map(Committed::Own))
    }

    fn last(&self) -> Position {
        self.last()
    }

    fn healthy(&self) -> Result<(), Unhealthy> {
        self.healthy()
    }

    fn record_bytes_max(&self) -> usize {
        self.record_bytes_max()
    }

    fn close(self) -> Result<(), AppendError> {
        self.close()
    }

    fn segments(&self) -> Vec<SegmentInfo> {
        self.segments()
    }

    fn room(&self) -> io::Result<Room> {
        self.room()
    }

    fn checkpoint_bytes(&self, segments: usize) -> u64 {
        self.checkpoint_bytes(segments)
    }

    fn keep_reserve(&mut self, carried: u64, leave: u64) -> bool {
        self.keep_reserve(carried, leave)
    }

    fn carried_bytes(&self, records: u64) -> u64 {
        self.carried_bytes(records)
    }

    fn open_reserve(&mut self, is_open: bool) {
        self.open_reserve(is_open);
    }

    fn make_way(&mut self) {
        self.make_way();
    }

    fn rotate(&mut self) -> Result<(), AppendError> {
        self.rotate()
    }

    fn checkpoint_position(&self) -> Option<Position> {
        self.checkpoint_position()
    }

    fn begin_compaction(&mut self, upto: Position) -> Result<Self::Compaction, CheckpointError> {
        self.begin_compaction(upto)
    }

    fn compact_step(
        &mut self,
        compaction: &mut Self::Compaction,
        keep: &mut dyn FnMut(Position, &[u8]) -> bool,
    ) -> Result<bool, CheckpointError> {
        self.compact_step(compaction, keep)
    }

    fn abandon(&mut self, compaction: Self::Compaction) {
        self.abandon(compaction);
    }

    fn remove_segments_below(&mut self, position: Position) -> Result<Removed, CheckpointError> {
        self.remove_segments_below(position)
    }
}
