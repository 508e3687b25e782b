//! The log while it is open: appending, going on to the next segment, closing.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use parking_lot::RwLock;

use crate::log::Appended;
use crate::log::Options;
use crate::log::Position;
use crate::log::batch::Batch;
use crate::log::batch::PREFIX_BYTES;
use crate::log::disk::Disk;
use crate::log::disk::DiskFile;
use crate::log::error::AppendError;
use crate::log::error::ReadError;
use crate::log::error::Unhealthy;
use crate::log::error::VisitError;
use crate::log::error::is_disk_full;
use crate::log::extent::Extent;
use crate::log::file::FILE_HEADER_BYTES;
use crate::log::file::FileHeader;
use crate::log::file::FileKind;
use crate::log::file::HWM;
use crate::log::file::SEGMENT_RESERVE;
use crate::log::file::TEMPORARY;
use crate::log::frame;
use crate::log::frame::FRAME_HEADER_BYTES;
use crate::log::frame::Frame;
use crate::log::frame::FrameHeader;
use crate::log::frame::FrameKind;
use crate::log::hwm::HighWater;
use crate::log::hwm::HwmFile;
use crate::log::replay::Source;
use crate::log::scan::Chain;
use crate::log::taken::Closed;
use crate::log::taken::Reserve;

/// Room that the frame buffer keeps between appends.
const KEPT_BUFFER_BYTES: usize = 4 << 20;

/// The segment that is appended to.
pub(crate) struct Active<F> {
    pub(crate) file: F,
    /// First position.
    pub(crate) first: u64,
    pub(crate) seed: u32,
    /// End of the last durable frame.
    pub(crate) offset: u64,
    /// Length of the file.
    pub(crate) allocated: u64,
}

/// A log on a [`Disk`], held by one process.
pub struct SegmentLog<D: Disk> {
    pub(crate) disk: Arc<D>,
    pub(crate) options: Options,
    pub(crate) log_id: u64,
    /// First positions of all segments, ascending; the last one is the active one's.
    pub(crate) segments: Vec<u64>,
    pub(crate) active: Active<D::File>,
    /// Bytes of the others, in their order.
    pub(crate) closed: Closed,
    /// The checkpoints there are, oldest first, and how many bytes they have.
    pub(crate) checkpoints: Vec<(u64, u64)>,
    /// What is kept back for when there is no room.
    pub(crate) reserve: Reserve,
    pub(crate) chain: Chain,
    /// The checkpoint that a replay starts with. It was read back and is durable.
    pub(crate) checkpoint: Option<u64>,
    pub(crate) hwm: HwmFile<D::File>,
    /// Bytes appended since the last mark.
    pub(crate) unmarked: u64,
    pub(crate) latched: Option<Unhealthy>,
    /// What was proposed, which is durable.
    pub(crate) proposed: Option<Appended>,
    /// Frames on their way to the disk.
    pub(crate) buffer: Vec<u8>,
    /// What readers see.
    pub(crate) extent: Arc<RwLock<Extent>>,
}

impl<D: Disk> SegmentLog<D> {
    /// Appends all records of the batch and returns when they are durable, with the position of the last one.
    ///
    /// A batch up to [`Options::frame_bytes`] is atomic: after a crash it is there whole or not at all. Of a larger one,
    /// which was not acknowledged, the first parts may be there. After an error other than [`AppendError::Latched`]
    /// nothing of the batch was kept, and appending goes on. An empty batch writes nothing.
    pub fn append(&mut self, batch: &Batch) -> Result<Appended, AppendError> {
        self.healthy().map_err(AppendError::Latched)?;
        if batch.is_empty() {
            return Ok(Appended { last: self.last(), ..Appended::default() });
        }
        let need = self.frames_bytes(batch)?;
        self.with_reserve(need, |log| log.make_room(need))?;
        let chain = self.encode(batch);
        let sync = self.write_out()?;
        self.chain = chain;
        let bytes = self.buffer.len() as u64;
        self.buffer.clear();
        self.buffer.shrink_to(KEPT_BUFFER_BYTES);
        self.unmarked += bytes;
        self.publish();
        if self.unmarked >= self.options.hwm_bytes {
            self.mark();
        }
        Ok(Appended { last: self.last(), bytes, sync })
    }

    /// Visits the durable records from `from` on, in order, frame by frame.
    pub fn replay(&self, from: Position, visit: &mut dyn FnMut(Frame) -> Result<(), VisitError>) -> Result<(), ReadError> {
        self.source().read(from.0.saturating_sub(1), visit).map(drop)
    }

    /// Position of the last durable record.
    pub fn last(&self) -> Position {
        Position(self.chain.next.saturating_sub(1))
    }

    /// The failure after which nothing more is accepted, if there was one. A full disk is none.
    pub fn healthy(&self) -> Result<(), Unhealthy> {
        self.latched.clone().map_or(Ok(()), Err)
    }

    /// Ends the log cleanly, so that nothing has to be searched for on the next opening. Without it nothing is lost.
    pub fn close(mut self) -> Result<(), AppendError> {
        self.healthy().map_err(AppendError::Latched)?;
        self.buffer.clear();
        let header = FrameHeader {
            kind: FrameKind::Footer,
            len: 0,
            first: self.chain.next,
            count: 0,
            prev_crc: self.chain.crc,
            durable_upto: self.active.offset,
            payload_crc: 0,
        };
        self.chain.crc = header.encode(self.active.seed, &mut self.buffer);
        self.write_out()?;
        self.mark();
        let marked = self.hwm.sync().and_then(|()| self.disk.sync_dir());
        marked.map_err(|error| AppendError::Latched(self.latch("sync of", HWM, &error)))
    }

    /// Begins a new segment, so that the one before can be removed when it has had its time. It may be the one that is kept back.
    pub fn rotate(&mut self) -> Result<(), AppendError> {
        self.healthy().map_err(AppendError::Latched)?;
        if !self.has_records() {
            return Ok(());
        }
        let was_open = std::mem::replace(&mut self.reserve.is_open, true);
        let begun = self.with_reserve(0, |log| log.begin_segment(0));
        self.reserve.is_open = was_open;
        begun
    }

    /// Lets what is written take what is kept back, where there is no other room, until it is told not to.
    pub fn open_reserve(&mut self, is_open: bool) {
        self.reserve.is_open = is_open;
    }

    /// Bytes of the largest record that can be appended.
    pub fn record_bytes_max(&self) -> usize {
        self.options.frame_bytes.saturating_sub(PREFIX_BYTES)
    }

    /// Bytes that the batch takes in a segment.
    fn frames_bytes(&self, batch: &Batch) -> Result<u64, AppendError> {
        let limit = self.record_bytes_max();
        if batch.largest() > limit {
            return Err(AppendError::RecordTooLarge { bytes: batch.largest(), limit });
        }
        if batch.bytes() > self.options.batch_bytes {
            return Err(AppendError::BatchTooLarge { bytes: batch.bytes(), limit: self.options.batch_bytes });
        }
        let frames = batch.parts(self.options.frame_bytes).count();
        Ok((batch.bytes() + frames * FRAME_HEADER_BYTES) as u64)
    }

    /// Sees to it that the active segment has room for the frames of one batch, which never span two segments.
    fn make_room(&mut self, need: u64) -> Result<(), AppendError> {
        let end = self.active.offset + need;
        if end > self.options.segment_bytes && self.has_records() {
            return match self.begin_segment(need) {
                // It is longer then, rather than nothing is taken while there is room: without another file, or ahead of it.
                Err(AppendError::DiskFull { .. }) => self.extend(end),
                begun => begun,
            };
        }
        match self.extend(end) {
            Err(AppendError::DiskFull { source, .. }) if self.has_reserve_of(need, &source) && self.has_records() => {
                self.begin_segment(need)
            }
            extended => extended,
        }
    }

    /// Sees to it that the active segment reaches `end`. After a failure it is as long as it was.
    fn extend(&mut self, end: u64) -> Result<(), AppendError> {
        if end > self.active.allocated {
            let len = self.reach(self.active.allocated, end);
            if let Err(error) = self.active.file.allocate(len) {
                return Err(self.cut_back(self.active.allocated, error));
            }
            self.active.allocated = len;
        }
        Ok(())
    }

    /// Whether the active segment has any; only then another one has another name.
    fn has_records(&self) -> bool {
        self.chain.next > self.active.first
    }

    fn begin_segment(&mut self, need: u64) -> Result<(), AppendError> {
        let header = FileHeader { kind: FileKind::Segment, log_id: self.log_id, position: self.chain.next, prev_crc: self.chain.crc };
        let len = self.reach(0, FILE_HEADER_BYTES as u64 + need);
        let mut created = create_segment(&*self.disk, &header, Origin::New(len));
        if let Err(CreateError::Write(error)) = &created
            && self.has_reserve_of(need, error)
        {
            let len = std::mem::take(&mut self.reserve.segment);
            created = create_segment(&*self.disk, &header, Origin::Reserve(len));
        }
        let (active, crc) = match created {
            Ok(created) => created,
            Err(CreateError::Write(source)) => {
                return Err(write_error(self.disk.path(&header.kind.name(header.position)), source));
            }
            Err(CreateError::Sync(source)) => {
                let name = header.kind.name(header.position);
                return Err(AppendError::Latched(self.latch("creating", &name, &source)));
            }
        };
        self.segments.push(active.first);
        let mut before = std::mem::replace(&mut self.active, active);
        // What it had ahead is of no use any more. It is not synced: one that is longer does no harm.
        let cut = before.allocated > before.offset && before.file.truncate(before.offset).is_ok();
        self.closed.push(if cut { before.offset } else { before.allocated });
        self.chain.crc = crc;
        self.publish();
        self.mark();
        Ok(())
    }

    /// Encodes the batch for the end of the active segment, answering the chain after it.
    fn encode(&mut self, batch: &Batch) -> Chain {
        self.buffer.clear();
        let mut chain = self.chain;
        for part in batch.parts(self.options.frame_bytes) {
            let header = FrameHeader {
                kind: FrameKind::Records,
                len: u32::try_from(part.payload.len()).unwrap_or(u32::MAX),
                first: chain.next,
                count: part.count,
                prev_crc: chain.crc,
                durable_upto: self.active.offset,
                payload_crc: crc32c::crc32c(part.payload),
            };
            chain.crc = header.encode(self.active.seed, &mut self.buffer);
            chain.next = header.next();
            self.buffer.extend_from_slice(part.payload);
        }
        chain
    }

    /// Writes the buffer at the end of the active segment and makes it durable, answering how long that took.
    fn write_out(&mut self) -> Result<Duration, AppendError> {
        if let Err(error) = self.active.file.write_at(&self.buffer, self.active.offset) {
            return Err(self.cut_back(self.active.offset, error));
        }
        let begun = Instant::now();
        if let Err(error) = self.active.file.sync() {
            return Err(AppendError::Latched(self.latch("sync of", &self.active_name(), &error)));
        }
        self.active.offset += self.buffer.len() as u64;
        self.active.allocated = self.active.allocated.max(self.active.offset);
        Ok(begun.elapsed())
    }

    /// After a failed write: nothing of it may stay, now or after a crash, before anything else is written.
    fn cut_back(&mut self, len: u64, error: io::Error) -> AppendError {
        self.active.allocated = len;
        let cut = self.active.file.truncate(len).and_then(|()| self.active.file.sync());
        match cut {
            Ok(()) => write_error(self.disk.path(&self.active_name()), error),
            Err(error) => AppendError::Latched(self.latch("cutting back", &self.active_name(), &error)),
        }
    }

    /// After a failed sync it is unknown what is on the disk, and asking again would be answered wrongly.
    pub(crate) fn latch(&mut self, act: &'static str, name: &str, error: &io::Error) -> Unhealthy {
        let unhealthy = Unhealthy { act, file: self.disk.path(name), cause: error.to_string() };
        self.latched.insert(unhealthy).clone()
    }

    /// All that is durable.
    pub(crate) fn source(&self) -> Source<'_, D> {
        Source {
            disk: &*self.disk,
            log_id: self.log_id,
            segments: &self.segments,
            checkpoint: self.checkpoint,
            hwm: Some(self.high_water()),
            upto: u64::MAX,
        }
    }

    pub(crate) fn high_water(&self) -> HighWater {
        HighWater { log_id: self.log_id, segment: self.active.first, offset: self.active.offset, next: self.chain.next }
    }

    /// Writes the high-water mark. It is only a witness: where it cannot be written, the one before goes on to count.
    pub(crate) fn mark(&mut self) {
        self.unmarked = 0;
        let mark = self.high_water();
        drop(self.hwm.write(&*self.disk, &mark));
    }

    fn active_name(&self) -> String {
        FileKind::Segment.name(self.active.first)
    }
}

impl<D: Disk> fmt::Debug for SegmentLog<D> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SegmentLog")
            .field("segments", &self.segments)
            .field("last", &self.last())
            .field("latched", &self.latched)
            .finish_non_exhaustive()
    }
}

/// Why there is no new segment.
pub(crate) enum CreateError {
    /// Nothing is there under its name.
    Write(io::Error),
    /// It is unknown what is there.
    Sync(io::Error),
}

/// Where a new segment comes from, and how many bytes it has.
#[derive(Clone, Copy)]
pub(crate) enum Origin {
    New(u64),
    /// It was kept back.
    Reserve(u64),
}

/// Makes a segment that holds nothing. It gets its name when its header is durable, so that a segment whose header is
/// not valid is damaged and never just new.
pub(crate) fn create_segment<D: Disk>(disk: &D, header: &FileHeader, origin: Origin) -> Result<(Active<D::File>, u32), CreateError> {
    let name = header.kind.name(header.position);
    let temporary = format!("{name}{TEMPORARY}");
    let (bytes, crc) = header.encode();
    let file = match origin {
        Origin::New(len) => disk.create(&temporary).and_then(|mut file| file.allocate(len).map(|()| file)),
        Origin::Reserve(_) => {
            disk.rename(SEGMENT_RESERVE, &temporary).map_err(CreateError::Write)?;
            // Before it is written, lest a crash leave two names for one file.
            disk.sync_dir().map_err(CreateError::Sync)?;
            disk.open_writable(&temporary)
        }
    };
    let prepared = file.and_then(|mut file| file.write_at(&bytes, 0).map(|()| file));
    let discard = |error| {
        // A temporary file that stays is removed by the next opening.
        drop(disk.remove(&temporary));
        CreateError::Write(error)
    };
    let mut file = prepared.map_err(discard)?;
    file.sync().map_err(CreateError::Sync)?;
    disk.rename(&temporary, &name).map_err(|error| {
        // Only a full disk promises that nothing has happened.
        if is_disk_full(&error) { discard(error) } else { CreateError::Sync(error) }
    })?;
    disk.sync_dir().map_err(CreateError::Sync)?;
    let active = Active {
        file,
        first: header.position,
        seed: frame::seed(header.log_id, header.position),
        offset: FILE_HEADER_BYTES as u64,
        allocated: match origin {
            Origin::New(len) | Origin::Reserve(len) => len,
        },
    };
    Ok((active, crc))
}

/// A full disk is told from other failures: it is nobody's fault and goes away.
fn write_error(file: String, source: io::Error) -> AppendError {
    if is_disk_full(&source) { AppendError::DiskFull { file, source } } else { AppendError::Write { file, source } }
}
