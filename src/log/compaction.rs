//! Making a checkpoint of records that are there, step by step, so that whoever appends waits for one step at most. Until the last
//! one the checkpoint has a temporary name, and counts for nothing.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use crate::log::Position;
use crate::log::append::SegmentLog;
use crate::log::batch::PREFIX_BYTES;
use crate::log::checkpoint::Carry;
use crate::log::checkpoint::temporary_name;
use crate::log::disk::Disk;
use crate::log::disk::DiskFile;
use crate::log::error::CheckpointError;
use crate::log::error::ReadError;
use crate::log::file::FILE_HEADER_BYTES;
use crate::log::file::FileKind;
use crate::log::file::RESERVE;
use crate::log::frame;
use crate::log::frame::Frame;
use crate::log::reader::FollowError;
use crate::log::reader::LogReader;
use crate::log::scan::After;
use crate::log::scan::Chain;
use crate::log::scan::Item;
use crate::log::scan::Walk;
use crate::log::scan::io_error;
use crate::log::scan::open_header;

/// A step reads frames until they have this many bytes, or one that has more.
const STEP_BYTES: usize = 256 << 10;
/// A step asks about this many records, or as many as have so many bytes.
const STEP_RECORDS: usize = if cfg!(test) { 4 } else { 512 };
/// What was written is synced when it is this much, so that no sync is long, and whoever appends waits for no long one.
const SYNC_BYTES: u64 = 1 << 20;

/// A checkpoint that is being made of records up to a position.
pub struct Compaction<D: Disk> {
    disk: Arc<D>,
    log_id: u64,
    upto: Position,
    stage: Stage<D>,
}

enum Stage<D: Disk> {
    /// Records are read, from the checkpoint before as long as there is more of it, and pushed.
    Carry { carry: Carry<D::File>, before: Option<Part<D::File>>, reader: LogReader<D>, frames: VecDeque<Frame>, ended: bool },
    /// It is written, and read back up to the chain that it must end with.
    Verify { written: Chain, read: Option<Part<D::File>> },
    /// Nothing is left to do, or it failed.
    Ended,
}

/// A checkpoint that is being read.
struct Part<F> {
    name: String,
    file: F,
    seed: u32,
    offset: u64,
    chain: Chain,
}

impl<F: DiskFile> Part<F> {
    fn open<D: Disk<File = F>>(disk: &D, name: String, log_id: u64, upto: u64) -> Result<Self, ReadError> {
        let file = disk.open(&name).map_err(|source| io_error(disk, &name, source))?;
        let (_, crc) = open_header(disk, &file, &name, FileKind::Checkpoint, upto, Some(log_id))?;
        let (seed, chain) = (frame::seed(log_id, upto), Chain { next: 0, crc });
        Ok(Self { name, file, seed, offset: FILE_HEADER_BYTES as u64, chain })
    }

    /// The next frame with records; `None` at the end.
    fn next<D: Disk<File = F>>(&mut self, disk: &D) -> Result<Option<Frame>, ReadError> {
        let failed = |source| io_error(disk, &self.name, source);
        let mut walk = Walk::resume(&self.file, self.seed, self.chain, self.offset, u64::MAX, After::Footer).map_err(failed)?;
        loop {
            let item = walk.next().map_err(failed)?;
            (self.offset, self.chain) = (walk.offset(), walk.chain());
            match item {
                Item::Frame(frame) => return Ok(Some(frame)),
                Item::Mark => {}
                Item::End { .. } => return Ok(None),
                Item::Damage(damage) => {
                    return Err(ReadError::Corrupt { file: disk.path(&self.name), offset: damage.offset, what: damage.what });
                }
            }
        }
    }
}

impl<D: Disk> Compaction<D> {
    /// Does a little of what is left. Says whether it is written, and was read back as it was written.
    fn step(&mut self, keep: &mut dyn FnMut(Position, &[u8]) -> bool) -> Result<bool, CheckpointError> {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Carry { mut carry, before, reader, frames, ended } if carry.unsynced() >= SYNC_BYTES => {
                carry.sync()?;
                Stage::Carry { carry, before, reader, frames, ended }
            }
            Stage::Carry { carry, frames, ended: true, .. } if frames.is_empty() => Stage::Verify { written: carry.finish()?, read: None },
            Stage::Carry { mut carry, before, reader, mut frames, ended } if !frames.is_empty() => {
                push_some(&mut carry, &mut frames, self.upto, keep)?;
                Stage::Carry { carry, before, reader, frames, ended }
            }
            Stage::Carry { carry, mut before, mut reader, mut frames, mut ended } => {
                if let Some(part) = &mut before {
                    match part.next(&*self.disk)? {
                        Some(frame) => frames.push_back(frame),
                        None => before = None,
                    }
                } else {
                    ended = read_some(&*self.disk, &mut reader, &mut frames, self.upto)?;
                }
                Stage::Carry { carry, before, reader, frames, ended }
            }
            Stage::Verify { written, read: None } => {
                let read = Part::open(&*self.disk, temporary_name(self.upto), self.log_id, self.upto.0);
                Stage::Verify { written, read: Some(read.map_err(CheckpointError::Verify)?) }
            }
            Stage::Verify { written, read: Some(mut part) } => match part.next(&*self.disk).map_err(CheckpointError::Verify)? {
                Some(_) => Stage::Verify { written, read: Some(part) },
                None if part.chain == written => Stage::Ended,
                None => return Err(CheckpointError::Verify(not_as_written(&*self.disk, &part.name))),
            },
            Stage::Ended => Stage::Ended,
        };
        Ok(matches!(self.stage, Stage::Ended))
    }
}

pub(crate) fn not_as_written<D: Disk>(disk: &D, name: &str) -> ReadError {
    ReadError::Corrupt { file: disk.path(name), offset: 0, what: "the file is not the one that was written" }
}

/// Pushes those of some records that are to be kept.
fn push_some<F: DiskFile>(
    carry: &mut Carry<F>,
    frames: &mut VecDeque<Frame>,
    upto: Position,
    keep: &mut dyn FnMut(Position, &[u8]) -> bool,
) -> Result<(), CheckpointError> {
    let (mut left, mut bytes) = (STEP_RECORDS, 0);
    while left > 0 {
        let Some(frame) = frames.pop_front() else { break };
        let mut last = Position(0);
        for (position, record) in frame.records().take(left) {
            (left, bytes, last) = (left - 1, bytes + record.len(), position);
            if position <= upto && keep(position, record) {
                carry.push(position, record)?;
            }
            if bytes >= STEP_BYTES {
                left = 0;
                break;
            }
        }
        if let Some(rest) = frame.after(last.0) {
            frames.push_front(rest);
        }
    }
    Ok(())
}

/// Reads frames from the segments; says whether there are no more up to `upto`.
fn read_some<D: Disk>(disk: &D, reader: &mut LogReader<D>, frames: &mut VecDeque<Frame>, upto: Position) -> Result<bool, CheckpointError> {
    let (mut bytes, mut refused) = (0, false);
    let read = reader.read(&mut |frame| {
        refused = bytes >= STEP_BYTES || frame.first() > upto;
        if refused {
            return Err("it is read later".into());
        }
        bytes += frame.bytes();
        frames.push_back(frame);
        Ok(())
    });
    match read {
        Ok(()) => {}
        Err(FollowError::Read(ReadError::Refused { .. })) if refused => {}
        Err(FollowError::Read(error)) => return Err(error.into()),
        Err(FollowError::Removed { wanted, .. }) => {
            let (file, what) = (disk.path(&FileKind::Segment.name(wanted.0)), "the segment with the first record is missing");
            return Err(ReadError::Corrupt { file, offset: 0, what }.into());
        }
    }
    Ok(reader.next() > upto)
}

impl<D: Disk> SegmentLog<D> {
    /// Begins a checkpoint of some of the records up to `upto`: see [`SegmentLog::compact_step`].
    ///
    /// It is written into the room that is kept back for it, if there is any.
    pub fn begin_compaction(&mut self, upto: Position) -> Result<Compaction<D>, CheckpointError> {
        self.may_checkpoint(upto)?;
        let record_bytes = self.options.frame_bytes.saturating_sub(PREFIX_BYTES);
        let open = |before: u64| Part::open(&*self.disk, FileKind::Checkpoint.name(before), self.log_id, before);
        let before = self.checkpoint.map(open).transpose()?;
        let reader = self.reader(Position(self.checkpoint.map_or(1, |before| before + 1)));
        let kept_back = self.take_reserve(&temporary_name(upto))?;
        let begun = Carry::begin(&*self.disk, self.log_id, upto, record_bytes, kept_back);
        let carry = begun.inspect_err(|_| self.give_back(&temporary_name(upto)))?;
        let stage = Stage::Carry { carry, before, reader, frames: VecDeque::new(), ended: false };
        Ok(Compaction { disk: Arc::clone(&self.disk), log_id: self.log_id, upto, stage })
    }

    /// Does a little of what is left; the checkpoint has those records that `keep` answers `true` for. Says whether it is made:
    /// then it is durable, was read back, and stands for all records up to its position; the one before is kept too, older
    /// ones are removed. After an error there is none, and nothing is left to do.
    pub fn compact_step(
        &mut self,
        compaction: &mut Compaction<D>,
        keep: &mut dyn FnMut(Position, &[u8]) -> bool,
    ) -> Result<bool, CheckpointError> {
        let healthy = self.healthy().map_err(CheckpointError::Latched);
        match healthy.and_then(|()| compaction.step(keep)) {
            Ok(false) => Ok(false),
            written => self.install_checkpoint(compaction.upto, written.map(drop)).map(|()| true),
        }
    }

    /// Gives up a checkpoint that is not made.
    pub fn abandon(&mut self, compaction: Compaction<D>) {
        let temporary = temporary_name(compaction.upto);
        drop(compaction);
        self.give_back(&temporary);
    }

    /// Lets a checkpoint have the file that is kept back for it.
    fn take_reserve(&mut self, temporary: &str) -> Result<Option<D::File>, CheckpointError> {
        if self.reserve.checkpoint == 0 || self.disk.rename(RESERVE, temporary).is_err() {
            return Ok(None);
        }
        // Before it is written, lest a crash leave two names for one file.
        if let Err(error) = self.disk.sync_dir() {
            return Err(CheckpointError::Latched(self.latch("sync of the directory of", temporary, &error)));
        }
        self.reserve.taken = std::mem::take(&mut self.reserve.checkpoint) > 0;
        let opened = self.disk.open_writable(temporary);
        opened.map(Some).map_err(|source| CheckpointError::Write { file: self.disk.path(temporary), source })
    }

    /// What is not to be a checkpoint is kept back again, if it was before. A temporary file that stays is removed by the next
    /// opening.
    pub(crate) fn give_back(&mut self, temporary: &str) {
        if std::mem::take(&mut self.reserve.taken) && self.disk.rename(temporary, RESERVE).is_ok() {
            self.reserve.checkpoint = self.file_bytes(RESERVE).unwrap_or(0);
        } else {
            drop(self.disk.remove(temporary));
        }
    }

    /// Makes a checkpoint of those records up to `upto` that `keep` answers `true` for, at once.
    pub fn compact(&mut self, upto: Position, keep: &mut dyn FnMut(Position, &[u8]) -> bool) -> Result<(), CheckpointError> {
        let mut compaction = self.begin_compaction(upto)?;
        while !self.compact_step(&mut compaction, keep)? {}
        Ok(())
    }
}

impl<D: Disk> fmt::Debug for Compaction<D> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Compaction").field("upto", &self.upto).finish_non_exhaustive()
    }
}
