//! Looking through a whole log without changing it: what `check` reports and `repair` acts upon.

use std::io;

use crate::log::Position;
use crate::log::checkpoint;
use crate::log::disk::Disk;
use crate::log::disk::DiskFile;
use crate::log::error::ReadError;
use crate::log::file::BadHeader;
use crate::log::file::FORMAT_VERSION;
use crate::log::file::FileHeader;
use crate::log::file::FileKind;
use crate::log::file::HWM;
use crate::log::file::Listing;
use crate::log::frame;
use crate::log::frame::Frame;
use crate::log::hwm;
use crate::log::hwm::HighWater;
use crate::log::replay::gap;
use crate::log::scan::After;
use crate::log::scan::Chain;
use crate::log::scan::Item;
use crate::log::scan::Walk;
use crate::log::scan::claimed_log_id;
use crate::log::scan::io_error;
use crate::log::scan::read_file_header;

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub path: String,
    pub offset: u64,
    pub what: &'static str,
}

/// What one segment holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentReport {
    pub path: String,
    /// Position of its first record.
    pub first: Position,
    /// Position of its last valid record; before `first` when it has none.
    pub last: Position,
    /// Valid records.
    pub records: u64,
    /// Their bytes, with the lengths.
    pub bytes: u64,
}

/// What [`check`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The segments that a replay reads. Older ones, which a checkpoint stands for, are not looked at.
    pub segments: Vec<SegmentReport>,
    /// The checkpoint that a replay begins with, and the number of its records.
    pub checkpoint: Option<(Position, u64)>,
    /// Position of the last valid record.
    pub last: Position,
    /// Bytes of an append that was never acknowledged. The next opening cuts them; that is no problem.
    pub torn_bytes: u64,
    pub closed_cleanly: bool,
    /// Positions that earlier repairs could not save.
    pub lost: u64,
    /// Empty when the log can be opened.
    pub problems: Vec<Problem>,
}

/// Reads everything that an opening would read, to the end, and changes nothing.
pub fn check<D: Disk>(disk: &D) -> Result<Report, ReadError> {
    check_records(disk, &mut |_| {})
}

/// As [`check`], visiting every valid frame that it reads, those of older checkpoints too.
pub fn check_records<D: Disk>(disk: &D, visit: &mut dyn FnMut(&Frame)) -> Result<Report, ReadError> {
    Ok(survey(disk, visit)?.report)
}

/// A report, and what else a repair has to know.
pub(crate) struct Survey {
    pub(crate) report: Report,
    pub(crate) listing: Listing,
    pub(crate) log_id: u64,
    pub(crate) hwm: Option<HighWater>,
    /// Checkpoints that cannot be read.
    pub(crate) damaged_checkpoints: Vec<u64>,
    /// The last position that a checkpoint stands for.
    pub(crate) base: u64,
    /// The segments that a replay reads, in order.
    pub(crate) segments: Vec<SegmentSurvey>,
}

#[derive(Clone, Debug)]
pub(crate) struct SegmentSurvey {
    pub(crate) first: u64,
    /// The header and its checksum, when it is valid and of this log.
    pub(crate) header: Option<(FileHeader, u32)>,
    pub(crate) damaged: bool,
    /// The chain after its last valid frame.
    pub(crate) end: Chain,
    /// No position from here on was used, as far as valid and damaged frames tell.
    pub(crate) next: u64,
    /// Positions that earlier repairs could not save.
    pub(crate) lost: u64,
}

pub(crate) fn survey<D: Disk>(disk: &D, visit: &mut dyn FnMut(&Frame)) -> Result<Survey, ReadError> {
    let listing = Listing::new(disk.list().map_err(|source| io_error(disk, "", source))?);
    let hwm = hwm::read(disk).map_err(|source| io_error(disk, HWM, source))?;
    let mut survey = Survey {
        report: Report::default(),
        log_id: log_id(disk, &listing, hwm)?,
        listing,
        hwm,
        damaged_checkpoints: Vec::new(),
        base: 0,
        segments: Vec::new(),
    };
    survey.read_checkpoints(disk, visit)?;
    survey.read_segments(disk, visit)?;
    survey.compare_with_marks(disk);
    Ok(survey)
}

impl Survey {
    fn problem<D: Disk>(&mut self, disk: &D, name: &str, offset: u64, what: &'static str) {
        self.report.problems.push(Problem { path: disk.path(name), offset, what });
    }

    fn read_checkpoints<D: Disk>(&mut self, disk: &D, visit: &mut dyn FnMut(&Frame)) -> Result<(), ReadError> {
        for upto in self.listing.checkpoints.clone() {
            let mut records = 0;
            let read = checkpoint::read(disk, self.log_id, upto, &mut |frame| {
                records += frame.len() as u64;
                visit(&frame);
                Ok(())
            });
            match read {
                Ok(_) => {
                    self.base = upto;
                    self.report.checkpoint = Some((Position(upto), records));
                }
                Err(ReadError::Corrupt { offset, what, .. }) => {
                    self.problem(disk, &FileKind::Checkpoint.name(upto), offset, what);
                    self.damaged_checkpoints.push(upto);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn read_segments<D: Disk>(&mut self, disk: &D, visit: &mut dyn FnMut(&Frame)) -> Result<(), ReadError> {
        let all = self.listing.segments.clone();
        if all.is_empty() && self.listing.checkpoints.is_empty() && self.hwm.is_none() {
            return Ok(());
        }
        let start = all.partition_point(|first| *first <= self.base + 1);
        if start == 0 {
            self.problem(disk, &FileKind::Segment.name(self.base + 1), 0, "the segment with the first record is missing");
        }
        let needed = all.get(start.saturating_sub(1)..).unwrap_or_default();
        for first in needed {
            let header = segment_header(disk, *first, self.log_id)?;
            self.segments.push(SegmentSurvey {
                first: *first,
                damaged: header.is_none(),
                header,
                end: Chain { next: *first, crc: 0 },
                next: *first,
                lost: 0,
            });
        }
        for index in 0..self.segments.len() {
            let Some(mut segment) = self.segments.get(index).cloned() else {
                break;
            };
            self.read_segment(disk, &mut segment, visit)?;
            if let Some(place) = self.segments.get_mut(index) {
                *place = segment;
            }
        }
        Ok(())
    }

    fn read_segment<D: Disk>(&mut self, disk: &D, segment: &mut SegmentSurvey, visit: &mut dyn FnMut(&Frame)) -> Result<(), ReadError> {
        let after = self.what_follows(segment);
        let name = FileKind::Segment.name(segment.first);
        if segment.damaged {
            self.problem(disk, &name, 0, "no valid file header of this log");
        }
        let mut report = SegmentReport { path: disk.path(&name), first: Position(segment.first), last: Position(0), records: 0, bytes: 0 };
        let failed = |source| io_error(disk, &name, source);
        let file = disk.open(&name).map_err(failed)?;
        let mut walk = segment.walk(&file, self.log_id, after).map_err(failed)?;
        loop {
            let before = walk.chain().next;
            match walk.next().map_err(failed)? {
                Item::Frame(frame) => {
                    report.records += frame.len() as u64;
                    report.bytes += frame.bytes() as u64;
                    visit(&frame);
                }
                Item::Mark => segment.lost += gap(before, walk.chain().next, self.base),
                Item::Damage(damage) => {
                    segment.damaged = true;
                    segment.next = segment.next.max(damage.next);
                    self.problem(disk, &name, damage.offset, damage.what);
                }
                Item::End { torn } => {
                    self.report.torn_bytes = torn;
                    break;
                }
            }
        }
        segment.end = walk.chain();
        segment.next = segment.next.max(segment.end.next);
        report.last = Position(segment.end.next.saturating_sub(1));
        self.report.last = report.last;
        self.report.lost += segment.lost;
        self.report.closed_cleanly = walk.closed() && self.report.torn_bytes == 0;
        self.report.segments.push(report);
        Ok(())
    }

    pub(crate) fn following(&self, segment: &SegmentSurvey) -> Option<&SegmentSurvey> {
        self.segments.iter().find(|other| other.first > segment.first)
    }

    pub(crate) fn what_follows(&self, segment: &SegmentSurvey) -> After {
        if let Some(next) = self.following(segment) {
            return After::Segment { first: next.first, prev_crc: next.header.map(|(header, _)| header.prev_crc) };
        }
        let mark = self.hwm.filter(|mark| mark.segment == segment.first);
        After::End { durable: mark.map_or(0, |mark| mark.offset) }
    }

    fn compare_with_marks<D: Disk>(&mut self, disk: &D) {
        let segment = self.segments.last().map_or(0, |segment| segment.first);
        let next = self.report.last.0 + 1;
        if self.base >= next && !self.segments.is_empty() {
            self.problem(disk, &FileKind::Segment.name(segment), 0, "the log ends before its checkpoint");
        }
        match self.hwm {
            Some(mark) if mark.log_id != self.log_id => {
                self.problem(disk, HWM, 0, "the high-water mark is of another log");
            }
            Some(mark) if (mark.segment, mark.next) > (segment, next) => {
                let name = FileKind::Segment.name(mark.segment);
                self.problem(disk, &name, mark.offset, "the log ends before its high-water mark");
            }
            _ => {}
        }
    }
}

impl SegmentSurvey {
    pub(crate) fn walk<'a, F: DiskFile>(&self, file: &'a F, log_id: u64, after: After) -> io::Result<Walk<'a, F>> {
        let seed = frame::seed(log_id, self.first);
        match self.header {
            Some((_, crc)) => {
                let next = self.first;
                Walk::new(file, seed, Chain { next, crc }, after)
            }
            None => Walk::unanchored(file, seed, self.first, after),
        }
    }
}

/// The header of a segment when it is valid and of this log. A newer version is nothing to look into.
fn segment_header<D: Disk>(disk: &D, first: u64, log_id: u64) -> Result<Option<(FileHeader, u32)>, ReadError> {
    let found = file_header(disk, FileKind::Segment, first)?;
    Ok(found.filter(|(header, _)| header.position == first && header.log_id == log_id))
}

fn file_header<D: Disk>(disk: &D, kind: FileKind, position: u64) -> Result<Option<(FileHeader, u32)>, ReadError> {
    let name = kind.name(position);
    let failed = |source| io_error(disk, &name, source);
    let file = disk.open(&name).map_err(failed)?;
    match read_file_header(&file, kind).map_err(failed)? {
        Ok(found) => Ok(Some(found)),
        Err(BadHeader::Damaged) => Ok(None),
        Err(BadHeader::Newer(version)) => Err(ReadError::Newer { file: disk.path(&name), version, known: FORMAT_VERSION }),
    }
}

/// The number that all files of the log share: from the newest file that can be trusted.
fn log_id<D: Disk>(disk: &D, listing: &Listing, hwm: Option<HighWater>) -> Result<u64, ReadError> {
    for first in listing.segments.iter().rev() {
        if let Some((header, _)) = file_header(disk, FileKind::Segment, *first)? {
            return Ok(header.log_id);
        }
    }
    if let Some(mark) = hwm {
        return Ok(mark.log_id);
    }
    for upto in listing.checkpoints.iter().rev() {
        if let Some((header, _)) = file_header(disk, FileKind::Checkpoint, *upto)? {
            return Ok(header.log_id);
        }
    }
    let Some(first) = listing.segments.last() else {
        return Ok(0);
    };
    let name = FileKind::Segment.name(*first);
    let failed = |source| io_error(disk, &name, source);
    let file = disk.open(&name).map_err(failed)?;
    claimed_log_id(&file).map_err(failed)
}
