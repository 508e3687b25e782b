//! Salvage: makes a damaged log open again with every record that is still valid, each at its position.
//! Positions whose records are gone stay empty: a splice says where the log goes on. The damaged files are kept beside
//! the log under another name. Every step leaves a log that can be repaired again.

use std::io;

use crate::log::Position;
use crate::log::checkpoint::Carry;
use crate::log::checkpoint::temporary_name;
use crate::log::disk::Disk;
use crate::log::disk::DiskFile;
use crate::log::error::CheckpointError;
use crate::log::error::ReadError;
use crate::log::file::DAMAGED;
use crate::log::file::FILE_HEADER_BYTES;
use crate::log::file::FileHeader;
use crate::log::file::FileKind;
use crate::log::file::HWM;
use crate::log::file::TEMPORARY;
use crate::log::frame;
use crate::log::frame::Frame;
use crate::log::frame::FrameHeader;
use crate::log::frame::FrameKind;
use crate::log::frame::Splice;
use crate::log::inspect::Problem;
use crate::log::inspect::SegmentSurvey;
use crate::log::inspect::Survey;
use crate::log::inspect::survey;
use crate::log::replay::gap;
use crate::log::scan::After;
use crate::log::scan::Chain;
use crate::log::scan::Item;
use crate::log::scan::Walk;
use crate::log::scan::io_error;

/// Bytes copied at once.
const CHUNK_BYTES: usize = 1 << 20;

/// What a repair did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// What was wrong before.
    pub problems: Vec<Problem>,
    /// Copies of the damaged files, by path.
    pub set_aside: Vec<String>,
    /// Valid records in the files that were written anew.
    pub salvaged: u64,
    /// Positions whose records are gone.
    pub lost: u64,
    /// Records that a damaged checkpoint had and that are gone, as far as it still tells.
    pub lost_carried: u64,
}

/// Why a repair was given up. It can be tried again.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("{file} cannot be written")]
    Write {
        file: String,
        #[source]
        source: io::Error,
    },
    #[error("the checkpoint cannot be written anew")]
    Checkpoint(#[source] CheckpointError),
}

/// Repairs a log that [`check`](crate::log::check) finds problems in; a log without any is not touched.
pub fn repair<D: Disk>(disk: &D) -> Result<Repaired, RepairError> {
    let found = survey(disk, &mut |_| {})?;
    let mut repair = Repair { disk, done: Repaired { problems: found.report.problems.clone(), ..Repaired::default() } };
    if found.report.problems.is_empty() {
        return Ok(repair.done);
    }
    repair.checkpoints(&found)?;
    let found = survey(disk, &mut |_| {})?;
    repair.segments(&found)?;
    // The old mark may lie beyond what could be saved.
    if found.hwm.is_some() {
        disk.remove(HWM).map_err(|source| write_error(disk, HWM, source))?;
    }
    disk.sync_dir().map_err(|source| write_error(disk, "", source))?;
    Ok(repair.done)
}

struct Repair<'a, D> {
    disk: &'a D,
    done: Repaired,
}

impl<D: Disk> Repair<'_, D> {
    /// Afterwards the newest checkpoint is valid, or there is none and none is needed.
    fn checkpoints(&mut self, found: &Survey) -> Result<(), RepairError> {
        let newest = found.damaged_checkpoints.last().copied().filter(|upto| *upto > found.base);
        let reachable = found.listing.segments.first().is_some_and(|first| *first <= found.base + 1);
        let needed = newest.filter(|_| !reachable);
        for upto in &found.damaged_checkpoints {
            let name = FileKind::Checkpoint.name(*upto);
            self.set_aside(&name)?;
            if needed == Some(*upto) {
                self.salvage_checkpoint(found.log_id, *upto)?;
            } else {
                self.disk.remove(&name).map_err(|source| write_error(self.disk, &name, source))?;
            }
        }
        Ok(())
    }

    fn salvage_checkpoint(&mut self, log_id: u64, upto: u64) -> Result<(), RepairError> {
        let (name, temporary) = (FileKind::Checkpoint.name(upto), temporary_name(Position(upto)));
        let failed = |source| io_error(self.disk, &name, source);
        let file = self.disk.open(&name).map_err(failed)?;
        let mut walk = Walk::unanchored(&file, frame::seed(log_id, upto), 0, After::Footer).map_err(failed)?;
        let mut carry = Carry::begin(self.disk, log_id, Position(upto), usize::MAX, None).map_err(RepairError::Checkpoint)?;
        let (mut salvaged, mut known) = (0, 0);
        loop {
            match walk.next().map_err(failed)? {
                Item::Frame(frame) => {
                    for (position, record) in frame.records() {
                        carry.push(position, record).map_err(RepairError::Checkpoint)?;
                        salvaged += 1;
                    }
                }
                Item::Mark => {}
                Item::Damage(damage) => known = known.max(damage.next),
                Item::End { .. } => break,
            }
        }
        known = known.max(walk.chain().next);
        carry.finish().map_err(RepairError::Checkpoint)?;
        self.take_place(&temporary, &name)?;
        self.done.salvaged += salvaged;
        self.done.lost_carried += known.saturating_sub(salvaged);
        Ok(())
    }

    /// Afterwards the segments follow each other from the checkpoint on.
    fn segments(&mut self, found: &Survey) -> Result<(), RepairError> {
        let begin = found.base + 1;
        let marked = found.hwm.filter(|mark| mark.log_id == found.log_id);
        let next = marked.map_or(begin, |mark| mark.next).max(begin);
        let mut end = Chain { next: begin, crc: 0 };
        match found.segments.first() {
            Some(segment) if segment.first > begin => {
                let crc = segment.header.map_or(0, |(header, _)| header.prev_crc);
                let resume = segment.first;
                end = self.bridge(found, end, Splice { resume, crc })?;
            }
            Some(_) => {}
            None => drop(self.bridge(found, end, Splice { resume: next, crc: 0 })?),
        }
        for (index, segment) in found.segments.iter().enumerate() {
            let cut_short = index + 1 == found.segments.len() && segment.end.next < next;
            end = if segment.damaged || cut_short { self.salvage_segment(found, segment, end, next)? } else { segment.end };
        }
        Ok(())
    }

    /// Writes a segment without records that leads from the end of one segment to the beginning of another.
    fn bridge(&mut self, found: &Survey, from: Chain, to: Splice) -> Result<Chain, RepairError> {
        let name = FileKind::Segment.name(from.next);
        let mut writer = Salvage::begin(self.disk, found, from.next, from.crc)?;
        writer.splice(to)?;
        let chain = writer.finish()?;
        self.take_place(&format!("{name}{TEMPORARY}"), &name)?;
        self.done.lost += gap(from.next, to.resume, found.base);
        Ok(chain)
    }

    /// Writes a damaged segment anew with its valid records, to follow `before`; the log goes on at `next`, or later.
    fn salvage_segment(&mut self, found: &Survey, segment: &SegmentSurvey, before: Chain, next: u64) -> Result<Chain, RepairError> {
        let name = FileKind::Segment.name(segment.first);
        let failed = |source| io_error(self.disk, &name, source);
        let file = self.disk.open(&name).map_err(failed)?;
        let following = found.following(segment);
        let limit = following.map_or(u64::MAX, |next| next.first);
        let mut walk = segment.walk(&file, found.log_id, found.what_follows(segment)).map_err(failed)?;
        let mut writer = Salvage::begin(self.disk, found, segment.first, before.crc)?;
        loop {
            match walk.next().map_err(failed)? {
                Item::Frame(frame) if walk.chain().next <= limit => writer.frame(&frame)?,
                Item::Frame(_) | Item::Mark | Item::Damage(_) => {}
                Item::End { .. } => break,
            }
        }
        match following.map(|next| (next.first, next.header)) {
            Some((resume, Some((header, _)))) => writer.splice(Splice { resume, crc: header.prev_crc })?,
            Some((resume, None)) => writer.skip_to(resume)?,
            None => writer.skip_to(segment.next.max(next))?,
        }
        self.done.salvaged += writer.records;
        self.done.lost += writer.skipped.saturating_sub(segment.lost);
        let chain = writer.finish()?;
        self.set_aside(&name)?;
        self.take_place(&format!("{name}{TEMPORARY}"), &name)?;
        Ok(chain)
    }

    /// Copies a damaged file, so that nothing of it is lost whatever happens next.
    fn set_aside(&mut self, name: &str) -> Result<(), RepairError> {
        let copy = self.unused_name(name)?;
        let copied = self.disk.open(name).and_then(|from| {
            let mut to = self.disk.create(&copy)?;
            let mut chunk = vec![0; CHUNK_BYTES];
            let mut at = 0;
            loop {
                let read = from.read_at(&mut chunk, at)?;
                match chunk.get(..read) {
                    Some(bytes) if !bytes.is_empty() => to.write_at(bytes, at)?,
                    _ => break,
                }
                at += read as u64;
            }
            to.sync()
        });
        copied.and_then(|()| self.disk.sync_dir()).map_err(|source| write_error(self.disk, &copy, source))?;
        self.done.set_aside.push(self.disk.path(&copy));
        Ok(())
    }

    fn unused_name(&self, name: &str) -> Result<String, RepairError> {
        let names = self.disk.list().map_err(|source| io_error(self.disk, "", source))?;
        let candidates = (1u32..).map(|number| match number {
            1 => format!("{name}{DAMAGED}"),
            _ => format!("{name}{DAMAGED}-{number}"),
        });
        let mut unused = candidates.filter(|candidate| !names.contains(candidate));
        Ok(unused.next().unwrap_or_default())
    }

    /// Puts a file that is complete and durable in the place of another.
    fn take_place(&self, temporary: &str, name: &str) -> Result<(), RepairError> {
        self.disk.rename(temporary, name).and_then(|()| self.disk.sync_dir()).map_err(|source| write_error(self.disk, name, source))
    }
}

/// A segment that is written anew.
struct Salvage<F> {
    file: F,
    path: String,
    seed: u32,
    chain: Chain,
    offset: u64,
    records: u64,
    /// Positions left empty that no checkpoint stands for.
    skipped: u64,
    base: u64,
}

impl<F: DiskFile> Salvage<F> {
    fn begin<D: Disk<File = F>>(disk: &D, found: &Survey, first: u64, prev_crc: u32) -> Result<Self, RepairError> {
        let Survey { log_id, base, .. } = *found;
        let header = FileHeader { kind: FileKind::Segment, log_id, position: first, prev_crc };
        let (bytes, crc) = header.encode();
        let temporary = format!("{}{TEMPORARY}", FileKind::Segment.name(first));
        let created = disk.create(&temporary).and_then(|mut file| {
            file.write_at(&bytes, 0)?;
            Ok(file)
        });
        Ok(Self {
            file: created.map_err(|source| write_error(disk, &temporary, source))?,
            path: disk.path(&temporary),
            seed: frame::seed(log_id, first),
            chain: Chain { next: first, crc },
            offset: FILE_HEADER_BYTES as u64,
            records: 0,
            skipped: 0,
            base,
        })
    }

    fn frame(&mut self, frame: &Frame) -> Result<(), RepairError> {
        self.skip_to(frame.first().0)?;
        self.records += frame.len() as u64;
        self.write(FrameKind::Records, u32::try_from(frame.len()).unwrap_or(u32::MAX), frame.payload())
    }

    /// Leaves the positions before `position` empty, if there are any.
    fn skip_to(&mut self, position: u64) -> Result<(), RepairError> {
        if position <= self.chain.next {
            return Ok(());
        }
        self.splice(Splice { resume: position, crc: self.chain.crc })
    }

    fn splice(&mut self, splice: Splice) -> Result<(), RepairError> {
        self.skipped += gap(self.chain.next, splice.resume, self.base);
        self.write(FrameKind::Splice, 0, &splice.encode())?;
        self.chain = Chain { next: splice.resume, crc: splice.crc };
        Ok(())
    }

    fn write(&mut self, kind: FrameKind, count: u32, payload: &[u8]) -> Result<(), RepairError> {
        let header = FrameHeader {
            kind,
            len: u32::try_from(payload.len()).unwrap_or(u32::MAX),
            first: self.chain.next,
            count,
            prev_crc: self.chain.crc,
            durable_upto: self.offset,
            payload_crc: crc32c::crc32c(payload),
        };
        let mut bytes = Vec::with_capacity(payload.len() + 64);
        self.chain.crc = header.encode(self.seed, &mut bytes);
        self.chain.next = header.next();
        bytes.extend_from_slice(payload);
        let written = self.file.write_at(&bytes, self.offset);
        written.map_err(|source| RepairError::Write { file: self.path.clone(), source })?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// Makes the file durable, answering the chain at its end.
    fn finish(mut self) -> Result<Chain, RepairError> {
        self.file.sync().map_err(|source| RepairError::Write { file: self.path, source })?;
        Ok(self.chain)
    }
}

fn write_error<D: Disk>(disk: &D, name: &str, source: io::Error) -> RepairError {
    RepairError::Write { file: disk.path(name), source }
}
