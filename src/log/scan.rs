//! Reading one segment or checkpoint from its header to its end, telling a torn tail from damage.
//! Opening, checking and repairing all read files this way; none of them decides anew what is valid.

use std::io;

use bytes::Buf;
use bytes::Bytes;
use bytes::BytesMut;

use crate::log::disk::Disk;
use crate::log::disk::DiskFile;
use crate::log::error::ReadError;
use crate::log::file::BadHeader;
use crate::log::file::FILE_HEADER_BYTES;
use crate::log::file::FORMAT_VERSION;
use crate::log::file::FileHeader;
use crate::log::file::FileKind;
use crate::log::frame::FRAME_HEADER_BYTES;
use crate::log::frame::FRAME_MAGIC;
use crate::log::frame::Frame;
use crate::log::frame::FrameHeader;
use crate::log::frame::FrameKind;
use crate::log::frame::Splice;

/// Bytes read at once, unless a frame is larger.
const CHUNK_BYTES: usize = 1 << 20;
/// Bytes compared with zeros at once.
const BLOCK_BYTES: usize = 128 << 10;
static ZEROS: [u8; BLOCK_BYTES] = [0; BLOCK_BYTES];

/// What the next frame, or the next segment's header, must say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    /// Its first position.
    pub(crate) next: u64,
    /// Its `prev_crc`.
    pub(crate) crc: u32,
}

/// What comes after the file; it decides where the file ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum After {
    /// Nothing: the file is the last segment. The high-water mark says that its bytes up to `durable` were durable.
    End { durable: u64 },
    /// The same as `Segment`, or nothing up to there: what was between is not needed any more.
    Covered { first: u64 },
    /// A segment that begins at `first`; `prev_crc` is unknown when its header is damaged.
    Segment { first: u64, prev_crc: Option<u32> },
    /// The file is a checkpoint and ends with a footer.
    Footer,
}

#[derive(Debug)]
pub(crate) enum Item {
    Frame(Frame),
    /// A splice or a footer: no records.
    Mark,
    /// Bytes that are not what was written. Reading goes on with the next valid frame, if there is one.
    Damage(Damage),
    /// Everything was read. The file has `torn` bytes after the last frame that were never acknowledged.
    End {
        torn: u64,
    },
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Damage {
    pub(crate) offset: u64,
    pub(crate) what: &'static str,
    /// No position from here on was used before the damage, as far as the damaged bytes tell.
    pub(crate) next: u64,
}

/// The header of a file, read on its own.
pub(crate) fn read_file_header<F: DiskFile>(file: &F, kind: FileKind) -> io::Result<Result<(FileHeader, u32), BadHeader>> {
    let mut reader = Reader::new(file)?;
    Ok(FileHeader::decode(kind, reader.peek(FILE_HEADER_BYTES)?))
}

/// The log's number in a header that is not valid.
pub(crate) fn claimed_log_id<F: DiskFile>(file: &F) -> io::Result<u64> {
    let mut reader = Reader::new(file)?;
    Ok(FileHeader::claimed_log_id(reader.peek(FILE_HEADER_BYTES)?).unwrap_or(0))
}

/// A position in a file that moves forward through a buffer.
struct Reader<'a, F> {
    file: &'a F,
    /// Length of the file.
    end: u64,
    /// Offset of the first byte in the buffer.
    at: u64,
    buffer: BytesMut,
}

impl<'a, F: DiskFile> Reader<'a, F> {
    fn new(file: &'a F) -> io::Result<Self> {
        Ok(Self { end: file.len()?, file, at: 0, buffer: BytesMut::new() })
    }

    /// The next `wanted` bytes, or what the file still has.
    fn peek(&mut self, wanted: usize) -> io::Result<&[u8]> {
        let mut have = self.buffer.len();
        if have < wanted {
            let left = self.end.saturating_sub(self.at + have as u64);
            let more = (wanted - have).max(CHUNK_BYTES);
            let more = usize::try_from(left).map_or(more, |left| more.min(left));
            self.buffer.resize(have + more, 0);
            while let Some(room) = self.buffer.get_mut(have..).filter(|room| !room.is_empty()) {
                match self.file.read_at(room, self.at + have as u64)? {
                    0 => break,
                    read => have += read,
                }
            }
            self.buffer.truncate(have);
        }
        Ok(self.buffer.get(..wanted).unwrap_or(&self.buffer))
    }

    /// Takes bytes that were peeked.
    fn take(&mut self, len: usize) -> Bytes {
        let len = len.min(self.buffer.len());
        self.at += len as u64;
        self.buffer.split_to(len).freeze()
    }

    fn seek(&mut self, offset: u64) {
        let ahead = offset.checked_sub(self.at).and_then(|ahead| usize::try_from(ahead).ok());
        match ahead.filter(|ahead| *ahead <= self.buffer.len()) {
            Some(ahead) => self.buffer.advance(ahead),
            None => self.buffer.clear(),
        }
        self.at = offset;
    }

    /// Bytes from `offset` up to the last one that is not zero. Reserved room is long, so it does not go through the buffer.
    fn used_bytes_from(&self, offset: u64) -> io::Result<u64> {
        let mut chunk = vec![0; BLOCK_BYTES];
        let (mut passed, mut used) = (0, 0);
        loop {
            let read = self.file.read_at(&mut chunk, offset + passed)?;
            let block = chunk.get(..read).unwrap_or_default();
            if block.is_empty() {
                return Ok(used);
            }
            if ZEROS.get(..read) != Some(block) {
                let last = block.iter().rposition(|byte| *byte != 0).unwrap_or(0);
                used = passed + last as u64 + 1;
            }
            passed += read as u64;
        }
    }
}

/// Reads the frames of one file.
pub(crate) struct Walk<'a, F> {
    reader: Reader<'a, F>,
    seed: u32,
    after: After,
    chain: Chain,
    /// False right after damage: the next frame starts a new chain.
    anchored: bool,
    /// The last frame read.
    last: Option<FrameHeader>,
    ended: bool,
}

impl<'a, F: DiskFile> Walk<'a, F> {
    /// Starts after the file's header. `chain` is what the header says: the position and its own checksum.
    pub(crate) fn new(file: &'a F, seed: u32, chain: Chain, after: After) -> io::Result<Self> {
        let mut reader = Reader::new(file)?;
        reader.seek(FILE_HEADER_BYTES as u64);
        Ok(Self { reader, seed, after, chain, anchored: true, last: None, ended: false })
    }

    /// Goes on at `offset`, where `chain` says what must follow, and knows nothing of the bytes from `limit` on.
    pub(crate) fn resume(file: &'a F, seed: u32, chain: Chain, offset: u64, limit: u64, after: After) -> io::Result<Self> {
        let mut walk = Self::new(file, seed, chain, after)?;
        walk.reader.end = walk.reader.end.min(limit);
        walk.reader.seek(offset);
        Ok(walk)
    }

    /// Starts after a header that cannot be trusted: the first valid frame is taken as it is.
    pub(crate) fn unanchored(file: &'a F, seed: u32, first: u64, after: After) -> io::Result<Self> {
        let mut walk = Self::new(file, seed, Chain { next: first, crc: 0 }, after)?;
        walk.anchored = false;
        Ok(walk)
    }

    /// Offset after the last frame read.
    pub(crate) fn offset(&self) -> u64 {
        self.reader.at
    }

    pub(crate) fn chain(&self) -> Chain {
        self.chain
    }

    /// The last frame is a footer, so nothing was going on when the file was left.
    pub(crate) fn closed(&self) -> bool {
        self.last.is_some_and(|header| header.kind == FrameKind::Footer)
    }

    /// Bytes that were durable when the last frame was written, so that at most those after it were not.
    pub(crate) fn durable_upto(&self) -> u64 {
        self.last.map_or(FILE_HEADER_BYTES as u64, |header| header.durable_upto)
    }

    /// The next frame, or what is there instead of one.
    pub(crate) fn next(&mut self) -> io::Result<Item> {
        if self.ended {
            return Ok(Item::End { torn: 0 });
        }
        let offset = self.reader.at;
        match self.read_frame()? {
            Ok(item) => Ok(item),
            Err(what) => {
                self.reader.seek(offset);
                self.judge(what)
            }
        }
    }

    /// The frame at the current offset, or what is wrong with it.
    fn read_frame(&mut self) -> io::Result<Result<Item, &'static str>> {
        let bytes = self.reader.peek(FRAME_HEADER_BYTES)?;
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(Err("the log went on here, but there is nothing any more"));
        }
        let Some((header, crc)) = FrameHeader::decode(self.seed, bytes) else {
            return Ok(Err("no valid frame header"));
        };
        let continues = if self.anchored {
            header.first == self.chain.next && header.prev_crc == self.chain.crc
        } else {
            header.first >= self.chain.next
        };
        if !continues {
            return Ok(Err("the frame does not continue the one before"));
        }
        if !self.payload_is_whole(&header)? {
            return Ok(Err("the payload of the frame does not match its checksum"));
        }
        let payload = self.reader.take(header.len as usize + FRAME_HEADER_BYTES);
        let Some((item, chain)) = Self::parse(&header, crc, payload.slice(FRAME_HEADER_BYTES..)) else {
            return Ok(Err("the payload of the frame is not what its header says"));
        };
        self.chain = chain;
        self.anchored = true;
        self.last = Some(header);
        Ok(Ok(item))
    }

    /// What the frame holds, and what must follow it.
    fn parse(header: &FrameHeader, crc: u32, payload: Bytes) -> Option<(Item, Chain)> {
        let next = header.next();
        let chain = Chain { next, crc };
        match header.kind {
            FrameKind::Records | FrameKind::Carried => Some((Item::Frame(Frame::parse(header, payload)?), chain)),
            FrameKind::Footer => Some((Item::Mark, chain)),
            FrameKind::Splice => {
                let Splice { resume, crc } = Splice::decode(&payload).filter(|splice| splice.resume >= next)?;
                Some((Item::Mark, Chain { next: resume, crc }))
            }
        }
    }

    /// Whether the payload of the frame at the current offset is there and matches its checksum.
    fn payload_is_whole(&mut self, header: &FrameHeader) -> io::Result<bool> {
        if self.reader.at.saturating_add(header.frame_bytes()) > self.reader.end {
            return Ok(false);
        }
        let whole = FRAME_HEADER_BYTES + header.len as usize;
        let frame = self.reader.peek(whole)?;
        let payload = frame.get(FRAME_HEADER_BYTES..whole);
        Ok(payload.is_some_and(|payload| crc32c::crc32c(payload) == header.payload_crc))
    }

    /// No valid frame at the current offset: is that the end?
    fn judge(&mut self, what: &'static str) -> io::Result<Item> {
        let offset = self.reader.at;
        let mut torn = 0;
        let is_end = self.anchored
            && match self.after {
                After::Segment { first, prev_crc } => first == self.chain.next && prev_crc.is_none_or(|crc| crc == self.chain.crc),
                After::Covered { first } => {
                    first == self.chain.next || (first > self.chain.next && self.reader.used_bytes_from(offset)? == 0)
                }
                After::Footer => self.closed() && offset == self.reader.end,
                After::End { durable } => {
                    torn = self.reader.used_bytes_from(offset)?;
                    offset >= durable && (torn == 0 || !self.was_durable(offset)?)
                }
            };
        if is_end {
            self.ended = true;
            self.reader.seek(offset);
            return Ok(Item::End { torn });
        }
        let next = self.resume_after(offset)?;
        Ok(Item::Damage(Damage { offset, what, next }))
    }

    /// Whether a frame that was written later says that the bytes at `offset` were durable.
    fn was_durable(&mut self, offset: u64) -> io::Result<bool> {
        let mut from = offset;
        while let Some((at, header)) = self.find_header(from)? {
            if header.durable_upto > offset {
                return Ok(true);
            }
            from = at + 1;
        }
        Ok(false)
    }

    /// Moves to the next valid frame after the damage at `offset`, or to the end of the file.
    fn resume_after(&mut self, offset: u64) -> io::Result<u64> {
        let mut next = self.chain.next;
        let mut from = offset;
        self.anchored = false;
        while let Some((at, header)) = self.find_header(from)? {
            self.reader.seek(at);
            let ahead = header.first >= self.chain.next;
            if ahead && at > offset && self.payload_is_whole(&header)? {
                self.reader.seek(at);
                return Ok(next);
            }
            if ahead {
                next = next.max(header.next());
            }
            from = at + 1;
        }
        self.reader.seek(self.reader.end);
        self.ended = true;
        Ok(next)
    }

    /// The next header at or after `from` that is valid by its checksum, whatever comes before and after.
    fn find_header(&mut self, from: u64) -> io::Result<Option<(u64, FrameHeader)>> {
        self.reader.seek(from);
        loop {
            let at = self.reader.at;
            let window = self.reader.peek(CHUNK_BYTES)?;
            let Some(starts) = (window.len() + 1).checked_sub(FRAME_HEADER_BYTES).filter(|n| *n > 0) else {
                return Ok(None);
            };
            let found = memchr::memmem::find(window.get(..starts + FRAME_MAGIC.len() - 1).unwrap_or_default(), &FRAME_MAGIC);
            let Some(found) = found else {
                self.reader.seek(at + starts as u64);
                continue;
            };
            let bytes = window.get(found..).unwrap_or_default();
            if let Some((header, _)) = FrameHeader::decode(self.seed, bytes) {
                return Ok(Some((at + found as u64, header)));
            }
            self.reader.seek(at + found as u64 + 1);
        }
    }
}

/// Reads the header of a file and compares it with the file's name, and with the log that it should belong to.
pub(crate) fn open_header<D: Disk>(
    disk: &D,
    file: &D::File,
    name: &str,
    kind: FileKind,
    position: u64,
    log_id: Option<u64>,
) -> Result<(FileHeader, u32), ReadError> {
    let corrupt = |what| ReadError::Corrupt { file: disk.path(name), offset: 0, what };
    match read_file_header(file, kind).map_err(|source| io_error(disk, name, source))? {
        Err(BadHeader::Damaged) => Err(corrupt("no valid file header")),
        Err(BadHeader::Newer(version)) => Err(ReadError::Newer { file: disk.path(name), version, known: FORMAT_VERSION }),
        Ok((header, _)) if header.position != position => Err(corrupt("the header belongs to a file of another name")),
        Ok((header, _)) if log_id.is_some_and(|log_id| header.log_id != log_id) => Err(corrupt("the file belongs to another log")),
        Ok(found) => Ok(found),
    }
}

/// A call on the file of this name failed.
pub(crate) fn io_error<D: Disk>(disk: &D, name: &str, source: io::Error) -> ReadError {
    ReadError::Io { file: disk.path(name), source }
}
