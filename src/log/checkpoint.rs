//! Checkpoint files: the records that a replay begins with, carried over from segments that may then be removed.

use std::fmt;
use std::io;

use crate::log::Position;
use crate::log::disk::Disk;
use crate::log::disk::DiskFile;
use crate::log::error::CheckpointError;
use crate::log::error::ReadError;
use crate::log::file::FILE_HEADER_BYTES;
use crate::log::file::FileHeader;
use crate::log::file::FileKind;
use crate::log::file::TEMPORARY;
use crate::log::frame;
use crate::log::frame::Frame;
use crate::log::frame::FrameHeader;
use crate::log::frame::FrameKind;
use crate::log::scan::After;
use crate::log::scan::Chain;
use crate::log::scan::Item;
use crate::log::scan::Walk;
use crate::log::scan::io_error;
use crate::log::scan::open_header;

/// A frame of a checkpoint is written when its payload has reached this size.
const FRAME_BYTES: usize = 1 << 20;
/// Bytes before each carried record: its position and its length.
const PREFIX_BYTES: usize = 12;

/// Takes the records of a checkpoint that is being written.
pub struct Carry<F> {
    file: F,
    path: String,
    seed: u32,
    /// Its `next` counts the records in frames already written.
    chain: Chain,
    offset: u64,
    /// Records of the frame under construction, behind room for its header.
    payload: Vec<u8>,
    count: u32,
    last: Position,
    upto: Position,
    record_bytes: usize,
    /// Bytes that were written since the last sync.
    unsynced: u64,
}

impl<F: DiskFile> Carry<F> {
    /// Begins a checkpoint file under a temporary name, which `kept_back` has already.
    pub(crate) fn begin<D: Disk<File = F>>(
        disk: &D,
        log_id: u64,
        upto: Position,
        record_bytes: usize,
        kept_back: Option<F>,
    ) -> Result<Self, CheckpointError> {
        let header = FileHeader { kind: FileKind::Checkpoint, log_id, position: upto.0, prev_crc: 0 };
        let (bytes, crc) = header.encode();
        let temporary = temporary_name(upto);
        let path = disk.path(&temporary);
        let created = kept_back.map_or_else(|| disk.create(&temporary), Ok).and_then(|mut file| {
            file.write_at(&bytes, 0)?;
            Ok(file)
        });
        let file = created.map_err(|source| CheckpointError::Write { file: path.clone(), source })?;
        Ok(Self {
            file,
            path,
            seed: frame::seed(log_id, upto.0),
            chain: Chain { next: 0, crc },
            offset: FILE_HEADER_BYTES as u64,
            payload: Vec::new(),
            count: 0,
            last: Position(0),
            upto,
            record_bytes,
            unsynced: 0,
        })
    }

    /// Adds a record with its original position. Positions ascend.
    pub fn push(&mut self, position: Position, record: &[u8]) -> Result<(), CheckpointError> {
        if position <= self.last || position > self.upto {
            return Err(CheckpointError::OutOfOrder { position, upto: self.upto });
        }
        let fits = record.len() <= self.record_bytes;
        let len = u32::try_from(record.len()).ok().filter(|_| fits);
        let len = len.ok_or(CheckpointError::RecordTooLarge { bytes: record.len(), limit: self.record_bytes })?;
        if self.count > 0 && self.payload.len() + PREFIX_BYTES + record.len() > FRAME_BYTES {
            self.write_frame(FrameKind::Carried)?;
        }
        self.payload.extend_from_slice(&position.0.to_le_bytes());
        self.payload.extend_from_slice(&len.to_le_bytes());
        self.payload.extend_from_slice(record);
        self.count += 1;
        self.last = position;
        Ok(())
    }

    /// Ends the file and makes it durable, answering the chain that a reader must arrive at.
    pub(crate) fn finish(mut self) -> Result<Chain, CheckpointError> {
        if self.count > 0 {
            self.write_frame(FrameKind::Carried)?;
        }
        self.write_frame(FrameKind::Footer)?;
        // What was kept back for it may be more than it took.
        let cut = self.file.len().and_then(|len| if len > self.offset { self.file.truncate(self.offset) } else { Ok(()) });
        cut.map_err(|source| self.write_error(source))?;
        self.sync()?;
        Ok(self.chain)
    }

    /// How many bytes were written and not synced.
    pub(crate) fn unsynced(&self) -> u64 {
        self.unsynced
    }

    /// Makes durable what was written.
    pub(crate) fn sync(&mut self) -> Result<(), CheckpointError> {
        let synced = self.file.sync();
        synced.map_err(|source| self.write_error(source))?;
        self.unsynced = 0;
        Ok(())
    }

    fn write_frame(&mut self, kind: FrameKind) -> Result<(), CheckpointError> {
        let header = FrameHeader {
            kind,
            len: u32::try_from(self.payload.len()).unwrap_or(u32::MAX),
            first: self.chain.next,
            count: self.count,
            prev_crc: self.chain.crc,
            durable_upto: 0,
            payload_crc: crc32c::crc32c(&self.payload),
        };
        let mut bytes = Vec::new();
        self.chain.crc = header.encode(self.seed, &mut bytes);
        self.chain.next = header.next();
        let written =
            self.file.write_at(&bytes, self.offset).and_then(|()| self.file.write_at(&self.payload, self.offset + bytes.len() as u64));
        written.map_err(|source| self.write_error(source))?;
        self.offset += header.frame_bytes();
        self.unsynced += header.frame_bytes();
        self.payload.clear();
        self.count = 0;
        Ok(())
    }

    fn write_error(&self, source: io::Error) -> CheckpointError {
        CheckpointError::Write { file: self.path.clone(), source }
    }
}

impl<F> fmt::Debug for Carry<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Carry").field("path", &self.path).field("last", &self.last).finish_non_exhaustive()
    }
}

pub(crate) fn temporary_name(upto: Position) -> String {
    format!("{}{TEMPORARY}", FileKind::Checkpoint.name(upto.0))
}

/// Visits the records of the checkpoint at `upto`, answering the chain at its end.
pub(crate) fn read<D: Disk>(
    disk: &D,
    log_id: u64,
    upto: u64,
    visit: &mut dyn FnMut(Frame) -> Result<(), ReadError>,
) -> Result<Chain, ReadError> {
    read_named(disk, &FileKind::Checkpoint.name(upto), log_id, upto, visit)
}

/// The same, of a file that may not have its name yet.
pub(crate) fn read_named<D: Disk>(
    disk: &D,
    name: &str,
    log_id: u64,
    upto: u64,
    visit: &mut dyn FnMut(Frame) -> Result<(), ReadError>,
) -> Result<Chain, ReadError> {
    let failed = |source| io_error(disk, name, source);
    let file = disk.open(name).map_err(failed)?;
    let (_, crc) = open_header(disk, &file, name, FileKind::Checkpoint, upto, Some(log_id))?;
    let chain = Chain { next: 0, crc };
    let mut walk = Walk::new(&file, frame::seed(log_id, upto), chain, After::Footer).map_err(failed)?;
    loop {
        match walk.next().map_err(failed)? {
            Item::Frame(frame) => visit(frame)?,
            Item::Mark => {}
            Item::End { .. } => return Ok(walk.chain()),
            Item::Damage(damage) => {
                return Err(ReadError::Corrupt { file: disk.path(name), offset: damage.offset, what: damage.what });
            }
        }
    }
}

/// The checkpoint to begin a replay with.
#[derive(Debug, Default)]
pub(crate) struct Choice {
    pub(crate) upto: Option<u64>,
    /// A newer one that is damaged and was passed over.
    pub(crate) passed_over: Option<ReadError>,
}

/// The newest valid checkpoint. An older one, or none, only does when the segments after it are still there.
pub(crate) fn choose<D: Disk>(disk: &D, log_id: u64, checkpoints: &[u64], segments: &[u64]) -> Result<Choice, ReadError> {
    let mut choice = Choice::default();
    for upto in checkpoints.iter().rev() {
        match read(disk, log_id, *upto, &mut |_| Ok(())) {
            Ok(_) => {
                choice.upto = Some(*upto);
                break;
            }
            Err(error @ ReadError::Corrupt { .. }) => {
                choice.passed_over.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    let needed = choice.upto.map_or(1, |upto| upto + 1);
    match choice.passed_over {
        Some(error) if segments.first().is_none_or(|first| *first > needed) => Err(error),
        passed_over => Ok(Choice { passed_over, ..choice }),
    }
}
