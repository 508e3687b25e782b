//! Opening a log: reading all of it, cutting a torn tail, and refusing anything else that is not as it was written.

use std::io;
use std::sync::Arc;

use crate::log::Options;
use crate::log::Position;
use crate::log::append::Active;
use crate::log::append::CreateError;
use crate::log::append::Origin;
use crate::log::append::SegmentLog;
use crate::log::append::create_segment;
use crate::log::checkpoint;
use crate::log::disk::Disk;
use crate::log::disk::DiskFile;
use crate::log::error::OpenError;
use crate::log::error::ReadError;
use crate::log::error::VisitError;
use crate::log::error::is_disk_full;
use crate::log::file::FILE_HEADER_BYTES;
use crate::log::file::FileHeader;
use crate::log::file::FileKind;
use crate::log::file::HWM;
use crate::log::file::Listing;
use crate::log::frame;
use crate::log::frame::Frame;
use crate::log::hwm::HighWater;
use crate::log::hwm::HwmFile;
use crate::log::replay::Counts;
use crate::log::replay::Source;
use crate::log::replay::Tail;
use crate::log::replay::Visit;
use crate::log::room::reach;
use crate::log::scan::Chain;
use crate::log::scan::io_error;
use crate::log::scan::open_header;
use crate::log::taken::Closed;
use crate::log::taken::Reserve;

/// Bytes copied at once.
const CHUNK_BYTES: u64 = 1 << 20;

/// What an opening found.
#[derive(Debug, Default)]
pub struct Replayed {
    /// Records visited.
    pub records: u64,
    /// Their bytes, with the lengths.
    pub bytes: u64,
    /// Segments read.
    pub segments: usize,
    /// The checkpoint that was begun with.
    pub checkpoint: Option<Position>,
    /// A newer checkpoint that is damaged. The segments after the older one are there, so nothing is missing.
    pub damaged_checkpoint: Option<ReadError>,
    /// Bytes of an append that was never acknowledged; they were cut.
    pub torn_bytes: u64,
    /// The log was closed when it was last used.
    pub closed_cleanly: bool,
    /// Positions that earlier repairs could not save.
    pub lost: u64,
    /// Position of the last record.
    pub last: Position,
}

/// The number of the log that is on the disk; `None` when there is none. It is the same for ever.
pub fn id_of<D: Disk>(disk: &D) -> Result<Option<u64>, OpenError> {
    let names = disk.list().map_err(|source| open_error(disk, "", source))?;
    Ok(Listing::new(names).segments.last().map(|last| log_id(disk, *last)).transpose()?)
}

impl<D: Disk> SegmentLog<D> {
    /// Its number: chosen by chance when the log was begun, and the same for ever.
    pub fn id(&self) -> u64 {
        self.log_id
    }

    /// Opens the log, visiting all its records in order, frame by frame; an empty directory becomes an empty log.
    ///
    /// A frame can be handed to another thread as it is. What was visited before an error is to be thrown away.
    pub fn open(disk: D, options: Options, visit: &mut dyn FnMut(Frame) -> Result<(), VisitError>) -> Result<(Self, Replayed), OpenError> {
        let listing = prepare(&disk)?;
        let (hwm, mark) = HwmFile::open(&disk).map_err(|source| io_error(&disk, HWM, source))?;
        match listing.segments.last() {
            Some(last) => Self::resume(disk, options, &listing, *last, (hwm, mark), visit),
            None if listing.checkpoints.is_empty() && mark.is_none() => Self::create(disk, options, hwm),
            None => Err(OpenError::Read(ReadError::Corrupt {
                file: disk.path(&FileKind::Segment.name(1)),
                offset: 0,
                what: "all segments are missing",
            })),
        }
    }

    fn create(disk: D, options: Options, hwm: HwmFile<D::File>) -> Result<(Self, Replayed), OpenError> {
        let header = FileHeader {
            kind: FileKind::Segment,
            log_id: getrandom::u64().map_err(|error| open_error(&disk, LOG_ID, io::Error::other(error.to_string())))?,
            position: 1,
            prev_crc: 0,
        };
        let (active, crc) = create_segment(&disk, &header, Origin::New(reach(&disk, &options, 0, FILE_HEADER_BYTES as u64))).map_err(
            |error| match error {
                CreateError::Write(source) | CreateError::Sync(source) => open_error(&disk, &FileKind::Segment.name(1), source),
            },
        )?;
        let log = Self {
            reserve: Reserve::find(&disk),
            disk: Arc::new(disk),
            options,
            log_id: header.log_id,
            segments: vec![1],
            active,
            closed: Closed::default(),
            checkpoints: Vec::new(),
            chain: Chain { next: 1, crc },
            checkpoint: None,
            hwm,
            unmarked: 0,
            latched: None,
            proposed: None,
            buffer: Vec::new(),
            extent: Arc::default(),
        };
        log.publish();
        let replayed = Replayed { closed_cleanly: true, ..Replayed::default() };
        Ok((log, replayed))
    }

    fn resume(
        disk: D,
        options: Options,
        listing: &Listing,
        last: u64,
        (hwm, mark): (HwmFile<D::File>, Option<HighWater>),
        visit: Visit<'_>,
    ) -> Result<(Self, Replayed), OpenError> {
        let log_id = log_id(&disk, last)?;
        let choice = checkpoint::choose(&disk, log_id, &listing.checkpoints, &listing.segments)?;
        let source = Source { disk: &disk, log_id, segments: &listing.segments, checkpoint: choice.upto, hwm: mark, upto: u64::MAX };
        let (tail, counts) = source.read(0, visit)?;
        let active = recover(&disk, log_id, &tail, mark)?;
        let replayed =
            Replayed { checkpoint: choice.upto.map(Position), damaged_checkpoint: choice.passed_over, ..replayed(&tail, &counts) };
        let bytes = |name: String| disk.open(&name).and_then(|file| file.len()).map_err(|source| open_error(&disk, &name, source));
        let closed = listing.segments.iter().filter(|first| **first != last);
        let closed = closed.map(|first| bytes(FileKind::Segment.name(*first))).collect::<Result<_, _>>()?;
        let checkpoints = listing.checkpoints.iter().filter(|upto| Some(**upto) <= choice.upto);
        let checkpoints =
            checkpoints.map(|upto| Ok((*upto, bytes(FileKind::Checkpoint.name(*upto))?))).collect::<Result<_, OpenError>>()?;
        let mut log = Self {
            reserve: Reserve::find(&disk),
            disk: Arc::new(disk),
            options,
            log_id,
            segments: listing.segments.clone(),
            active,
            closed,
            checkpoints,
            chain: tail.chain,
            checkpoint: choice.upto,
            hwm,
            unmarked: 0,
            latched: None,
            proposed: None,
            buffer: Vec::new(),
            extent: Arc::default(),
        };
        log.mark();
        log.publish();
        Ok((log, replayed))
    }
}

/// What stands in an error for the number that a new log gets.
const LOG_ID: &str = "the log's id";

/// The names of all files, after those that were never completed are gone.
fn prepare<D: Disk>(disk: &D) -> Result<Listing, OpenError> {
    let failed = |source| open_error(disk, "", source);
    let listing = Listing::new(disk.list().map_err(failed)?);
    for name in &listing.temporary {
        match disk.remove(name) {
            // Some file systems need room for it; then it stays until there is some.
            Err(source) if !is_disk_full(&source) => return Err(open_error(disk, name, source)),
            _ => {}
        }
    }
    // What a process that died renamed may be visible without being durable yet.
    disk.sync_dir().map_err(failed)?;
    Ok(listing)
}

fn log_id<D: Disk>(disk: &D, segment: u64) -> Result<u64, ReadError> {
    let name = FileKind::Segment.name(segment);
    let file = disk.open(&name).map_err(|source| io_error(disk, &name, source))?;
    let (header, _) = open_header(disk, &file, &name, FileKind::Segment, segment, None)?;
    Ok(header.log_id)
}

fn replayed(tail: &Tail, counts: &Counts) -> Replayed {
    Replayed {
        records: counts.records,
        bytes: counts.bytes,
        segments: counts.segments,
        torn_bytes: tail.torn,
        closed_cleanly: tail.closed && tail.torn == 0,
        lost: counts.lost,
        last: Position(tail.chain.next.saturating_sub(1)),
        ..Replayed::default()
    }
}

/// Makes the last segment ready to be appended to: a torn tail is cut, and what was read is durable.
fn recover<D: Disk>(disk: &D, log_id: u64, tail: &Tail, mark: Option<HighWater>) -> Result<Active<D::File>, OpenError> {
    let name = FileKind::Segment.name(tail.segment);
    let failed = |source| open_error(disk, &name, source);
    let mut file = disk.open_writable(&name).map_err(failed)?;
    if tail.torn > 0 {
        file.truncate(tail.offset).map_err(failed)?;
    }
    let marked = mark.filter(|mark| mark.segment == tail.segment).map_or(0, |mark| mark.offset);
    rewrite(&mut file, tail.durable_upto.max(marked), tail.offset).map_err(failed)?;
    // Also when nothing was written: a cut that failed in the process before may be seen without being durable.
    file.sync().map_err(failed)?;
    disk.sync_dir().map_err(failed)?;
    Ok(Active {
        seed: frame::seed(log_id, tail.segment),
        first: tail.segment,
        offset: tail.offset,
        allocated: file.len().map_err(failed)?,
        file,
    })
}

/// Writes bytes again as they are. After a failed sync the system may hold them as if they were on the disk; only bytes
/// that are written again are synced again.
fn rewrite<F: DiskFile>(file: &mut F, from: u64, to: u64) -> io::Result<()> {
    let mut at = from;
    while at < to {
        let len = CHUNK_BYTES.min(to - at);
        let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
        let read = file.read_at(&mut bytes, at)?;
        let bytes = bytes.get(..read).filter(|bytes| !bytes.is_empty());
        let bytes = bytes.ok_or(io::ErrorKind::UnexpectedEof)?;
        file.write_at(bytes, at)?;
        at += read as u64;
    }
    Ok(())
}

fn open_error<D: Disk>(disk: &D, name: &str, source: io::Error) -> OpenError {
    OpenError::Io { file: disk.path(name), source }
}
