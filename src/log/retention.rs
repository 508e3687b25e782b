//! Checkpoints and the removal of segments: how a log stays bounded.

use std::io;

use crate::log::Position;
use crate::log::append::SegmentLog;
use crate::log::batch::PREFIX_BYTES;
use crate::log::checkpoint;
use crate::log::checkpoint::Carry;
use crate::log::checkpoint::temporary_name;
use crate::log::compaction::not_as_written;
use crate::log::disk::Disk;
use crate::log::disk::DiskFile;
use crate::log::error::CheckpointError;
use crate::log::file::FileKind;
use crate::log::file::Listing;

/// One segment of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Position of its first record.
    pub first: Position,
    /// Position of its last record; before `first` when it has none.
    pub last: Position,
    /// Bytes that it takes on the disk.
    pub bytes: u64,
    pub path: String,
}

/// What a removal did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    pub segments: usize,
    pub bytes: u64,
}

impl<D: Disk> SegmentLog<D> {
    /// The segments in order. The last one is appended to and cannot be removed; see [`SegmentLog::rotate`].
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let nexts = self.segments.iter().skip(1).copied().chain([self.chain.next]);
        let bytes = self.closed.iter().chain([self.active.allocated]);
        let segments = self.segments.iter().zip(nexts).zip(bytes);
        let info = |((first, next), bytes): ((&u64, u64), u64)| SegmentInfo {
            first: Position(*first),
            last: Position(next.saturating_sub(1)),
            bytes,
            path: self.disk.path(&FileKind::Segment.name(*first)),
        };
        segments.map(info).collect()
    }

    /// The position up to which a replay reads a checkpoint instead of segments.
    pub fn checkpoint_position(&self) -> Option<Position> {
        self.checkpoint.map(Position)
    }

    /// Makes a checkpoint that stands for all records up to `upto`: of these, a replay visits only what `fill` pushes.
    /// It is durable and was read back when this returns; the one before is kept too, older ones are removed.
    pub fn checkpoint(
        &mut self,
        upto: Position,
        fill: impl FnOnce(&mut Carry<D::File>) -> Result<(), CheckpointError>,
    ) -> Result<(), CheckpointError> {
        self.may_checkpoint(upto)?;
        let written = self.write_checkpoint(upto, fill);
        self.install_checkpoint(upto, written)
    }

    /// Removes the segments whose records are all before `position` and are covered by the checkpoint.
    pub fn remove_segments_below(&mut self, position: Position) -> Result<Removed, CheckpointError> {
        self.healthy().map_err(CheckpointError::Latched)?;
        let covered = self.checkpoint.map_or(0, |upto| upto + 1).min(position.0);
        let mut removed = Removed::default();
        while let Some([first, next]) = self.segments.first_chunk().copied() {
            if next > covered {
                break;
            }
            let name = FileKind::Segment.name(first);
            match self.disk.remove(&name) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    let file = self.disk.path(&name);
                    return Err(CheckpointError::Write { file, source });
                }
                _ => {}
            }
            self.segments.remove(0);
            removed.segments += 1;
            removed.bytes += self.closed.pop();
            self.publish();
        }
        Ok(removed)
    }

    pub(crate) fn may_checkpoint(&self, upto: Position) -> Result<(), CheckpointError> {
        self.healthy().map_err(CheckpointError::Latched)?;
        let last = self.last();
        if upto > last {
            return Err(CheckpointError::BeyondEnd { upto, last });
        }
        let newest = self.checkpoint.map(Position).unwrap_or_default();
        if upto <= newest {
            return Err(CheckpointError::NotNewer { upto, newest });
        }
        Ok(())
    }

    /// Writes a checkpoint under a temporary name and reads it back.
    fn write_checkpoint(
        &self,
        upto: Position,
        fill: impl FnOnce(&mut Carry<D::File>) -> Result<(), CheckpointError>,
    ) -> Result<(), CheckpointError> {
        let record_bytes = self.options.frame_bytes.saturating_sub(PREFIX_BYTES);
        let mut carry = Carry::begin(&*self.disk, self.log_id, upto, record_bytes, None)?;
        fill(&mut carry)?;
        let written = carry.finish()?;
        let name = temporary_name(upto);
        let read = checkpoint::read_named(&*self.disk, &name, self.log_id, upto.0, &mut |_| Ok(())).map_err(CheckpointError::Verify)?;
        if read != written {
            return Err(CheckpointError::Verify(not_as_written(&*self.disk, &name)));
        }
        Ok(())
    }

    /// Gives a checkpoint its name, if it was written. Until then it does not exist.
    pub(crate) fn install_checkpoint(&mut self, upto: Position, written: Result<(), CheckpointError>) -> Result<(), CheckpointError> {
        let (temporary, name) = (temporary_name(upto), FileKind::Checkpoint.name(upto.0));
        if let Err(error) = written {
            self.give_back(&temporary);
            return Err(error);
        }
        if let Err(source) = self.disk.rename(&temporary, &name) {
            self.give_back(&temporary);
            self.take_back(&name)?;
            return Err(CheckpointError::Write { file: self.disk.path(&name), source });
        }
        if let Err(error) = self.disk.sync_dir() {
            return Err(CheckpointError::Latched(self.latch("sync of the directory of", &name, &error)));
        }
        self.reserve.taken = false;
        let previous = self.checkpoint.replace(upto.0);
        self.checkpoints.push((upto.0, self.file_bytes(&name).unwrap_or(0)));
        self.publish();
        self.remove_checkpoints_before(previous.unwrap_or(upto.0));
        Ok(())
    }

    /// Sees to it that a file is not there whose renaming failed, which it may be. A checkpoint that counts for nothing now must not
    /// count after a crash: what is retired until then would come back.
    fn take_back(&mut self, name: &str) -> Result<(), CheckpointError> {
        let removed = match self.disk.remove(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            removed => removed.and_then(|()| self.disk.sync_dir()),
        };
        removed.map_err(|error| CheckpointError::Latched(self.latch("removing", name, &error)))
    }

    /// Removes checkpoints that are too old to be of use. What cannot be removed does no harm and is tried again.
    fn remove_checkpoints_before(&mut self, oldest: u64) {
        let listing = Listing::new(self.disk.list().unwrap_or_default());
        for upto in listing.checkpoints.iter().filter(|upto| **upto < oldest) {
            if self.disk.remove(&FileKind::Checkpoint.name(*upto)).is_ok() {
                self.checkpoints.retain(|(known, _)| known != upto);
            }
        }
    }

    pub(crate) fn file_bytes(&self, name: &str) -> io::Result<u64> {
        self.disk.open(name)?.len()
    }
}
