//! Reading a log beside whoever appends to it: records in order, as far as they are durable, again and again from where it ended.

use std::sync::Arc;

use parking_lot::RwLock;

use crate::log::Position;
use crate::log::append::SegmentLog;
use crate::log::disk::Disk;
use crate::log::error::ReadError;
use crate::log::error::VisitError;
use crate::log::extent::Extent;
use crate::log::file::FILE_HEADER_BYTES;
use crate::log::file::FileKind;
use crate::log::frame;
use crate::log::frame::Frame;
use crate::log::scan::After;
use crate::log::scan::Chain;
use crate::log::scan::Item;
use crate::log::scan::Walk;
use crate::log::scan::io_error;
use crate::log::scan::open_header;

/// Reads the records of a [`SegmentLog`], on any thread. It holds nothing up: what was removed before it came there is gone.
pub struct LogReader<D: Disk> {
    disk: Arc<D>,
    log_id: u64,
    extent: Arc<RwLock<Extent>>,
    /// Position of the record to be read next.
    next: u64,
    /// Where that is, if something was read before.
    place: Option<Place<D::File>>,
}

/// A place in an open segment, which can be read from even when it is removed.
struct Place<F> {
    segment: u64,
    file: F,
    offset: u64,
    chain: Chain,
}

/// What is read at once: a part of a segment.
struct Stretch {
    segment: u64,
    /// The segment after it.
    following: Option<u64>,
    /// Where its durable bytes end, if it is the last.
    limit: u64,
    /// Position that a checkpoint stands for.
    checkpoint: u64,
}

fn removed(wanted: u64, extent: &Extent) -> FollowError {
    FollowError::Removed { wanted: Position(wanted), oldest: Position(extent.segments.first().copied().unwrap_or(extent.next)) }
}

/// Why a reader cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The records from `wanted` on were removed as too old; the oldest segment begins at `oldest`.
    #[error("the records from {wanted} on were removed, the oldest there is {oldest}")]
    Removed { wanted: Position, oldest: Position },
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl<D: Disk> SegmentLog<D> {
    /// A reader that begins with the record at `from`.
    pub fn reader(&self, from: Position) -> LogReader<D> {
        LogReader { disk: Arc::clone(&self.disk), log_id: self.log_id, extent: Arc::clone(&self.extent), next: from.0.max(1), place: None }
    }

    /// Lets readers see what is durable.
    pub(crate) fn publish(&self) {
        let mut extent = self.extent.write();
        if extent.segments.first() != self.segments.first() || extent.segments.last() != self.segments.last() {
            extent.segments.clone_from(&self.segments);
        }
        (extent.offset, extent.next, extent.checkpoint) = (self.active.offset, self.chain.next, self.checkpoint.unwrap_or(0));
    }
}

impl<D: Disk> LogReader<D> {
    /// Position of the record to be read next.
    pub fn next(&self) -> Position {
        Position(self.next)
    }

    /// Goes on with the record at `from`.
    pub fn seek(&mut self, from: Position) {
        self.next = from.0.max(1);
        self.place = None;
    }

    /// Visits, frame by frame, the records that are durable now and were not visited yet. A frame that is refused comes again next
    /// time.
    pub fn read(&mut self, visit: &mut dyn FnMut(Frame) -> Result<(), VisitError>) -> Result<(), FollowError> {
        while let Some(stretch) = self.stretch()? {
            let before = self.next;
            self.read_stretch(&stretch, visit).map_err(|error| self.explain(error))?;
            if self.next == before {
                return Err(self.corrupt(stretch.segment, stretch.limit, "the segment ends before what is durable").into());
            }
        }
        Ok(())
    }

    /// What to read now; `None` when there is nothing new.
    fn stretch(&self) -> Result<Option<Stretch>, FollowError> {
        let extent = self.extent.read();
        if self.next >= extent.next {
            return Ok(None);
        }
        let following = extent.segments.partition_point(|first| *first <= self.next);
        let found = following.checked_sub(1).and_then(|at| extent.segments.get(at)).copied();
        // One that is open can be read when it is removed.
        let open = self.place.as_ref().map(|place| place.segment);
        let segment = open.max(found).ok_or_else(|| removed(self.next, &extent))?;
        let following = extent.segments.get(following).copied();
        let limit = following.map_or(extent.offset, |_| u64::MAX);
        Ok(Some(Stretch { segment, following, limit, checkpoint: extent.checkpoint }))
    }

    /// What was removed while it was about to be read is not damaged.
    fn explain(&self, error: FollowError) -> FollowError {
        let is_reading = matches!(error, FollowError::Read(ReadError::Io { .. } | ReadError::Corrupt { .. }));
        let extent = self.extent.read();
        let is_gone = extent.segments.first().is_some_and(|first| *first > self.next);
        if is_reading && is_gone { removed(self.next, &extent) } else { error }
    }

    fn read_stretch(&mut self, stretch: &Stretch, visit: &mut dyn FnMut(Frame) -> Result<(), VisitError>) -> Result<(), FollowError> {
        let Stretch { segment, following, limit, checkpoint } = *stretch;
        let name = FileKind::Segment.name(segment);
        let failed = |source| io_error(&*self.disk, &name, source);
        let mut place = match self.place.take().filter(|place| place.segment == segment) {
            Some(place) => place,
            None => self.open(segment)?,
        };
        let after = match following {
            // A checkpoint stands for what is between the two, where that was removed and this one came back after a power loss.
            Some(first) if first <= checkpoint + 1 => After::Covered { first },
            Some(first) => After::Segment { first, prev_crc: None },
            None => After::End { durable: limit },
        };
        let seed = frame::seed(self.log_id, segment);
        let mut walk = Walk::resume(&place.file, seed, place.chain, place.offset, limit, after).map_err(failed)?;
        let mut end = Ok(());
        while walk.offset() < limit {
            match walk.next().map_err(failed)? {
                Item::Frame(frame) => {
                    let first = frame.first();
                    if let Err(source) = frame.after(self.next - 1).map_or(Ok(()), &mut *visit) {
                        end = Err(ReadError::Refused { first, source }.into());
                        break;
                    }
                }
                Item::Mark => {}
                Item::Damage(damage) => {
                    end = Err(self.corrupt(segment, damage.offset, damage.what).into());
                    break;
                }
                Item::End { .. } => {
                    self.next = self.next.max(walk.chain().next);
                    let oldest = following.filter(|first| *first > self.next).map(Position);
                    end = oldest.map_or(Ok(()), |oldest| Err(FollowError::Removed { wanted: Position(self.next), oldest }));
                    break;
                }
            }
            (place.offset, place.chain) = (walk.offset(), walk.chain());
            self.next = self.next.max(place.chain.next);
        }
        self.place = Some(place);
        end
    }

    fn corrupt(&self, segment: u64, offset: u64, what: &'static str) -> ReadError {
        ReadError::Corrupt { file: self.disk.path(&FileKind::Segment.name(segment)), offset, what }
    }

    fn open(&self, segment: u64) -> Result<Place<D::File>, ReadError> {
        let name = FileKind::Segment.name(segment);
        let file = self.disk.open(&name).map_err(|source| io_error(&*self.disk, &name, source))?;
        let (_, crc) = open_header(&*self.disk, &file, &name, FileKind::Segment, segment, Some(self.log_id))?;
        Ok(Place { segment, file, offset: FILE_HEADER_BYTES as u64, chain: Chain { next: segment, crc } })
    }
}

impl<D: Disk> std::fmt::Debug for LogReader<D> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("LogReader").field("next", &self.next).finish_non_exhaustive()
    }
}
