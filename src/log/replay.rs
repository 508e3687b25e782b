//! Reading the records of a log in order: the newest checkpoint, then the segments after it, all verified.

use crate::log::checkpoint;
use crate::log::disk::Disk;
use crate::log::error::ReadError;
use crate::log::error::VisitError;
use crate::log::file::FileKind;
use crate::log::file::HWM;
use crate::log::frame;
use crate::log::frame::Frame;
use crate::log::hwm::HighWater;
use crate::log::scan::After;
use crate::log::scan::Chain;
use crate::log::scan::Item;
use crate::log::scan::Walk;
use crate::log::scan::io_error;
use crate::log::scan::open_header;

/// What to read.
pub(crate) struct Source<'a, D> {
    pub(crate) disk: &'a D,
    pub(crate) log_id: u64,
    /// First positions of all segments, ascending.
    pub(crate) segments: &'a [u64],
    /// The checkpoint to begin with; it was verified.
    pub(crate) checkpoint: Option<u64>,
    /// How far the log was durable at least.
    pub(crate) hwm: Option<HighWater>,
    /// The last position of interest; segments that begin after it are not read.
    pub(crate) upto: u64,
}

/// Where and how a log ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tail {
    /// First position of the last segment.
    pub(crate) segment: u64,
    /// Offset after its last frame.
    pub(crate) offset: u64,
    pub(crate) chain: Chain,
    /// Bytes that were durable when the last frame was written.
    pub(crate) durable_upto: u64,
    pub(crate) closed: bool,
    /// Bytes after the last frame that were never acknowledged.
    pub(crate) torn: u64,
}

/// What was read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) segments: usize,
    /// Positions that a repair could not save.
    pub(crate) lost: u64,
}

pub(crate) type Visit<'a> = &'a mut dyn FnMut(Frame) -> Result<(), VisitError>;

impl<D: Disk> Source<'_, D> {
    /// Visits all records after `after`.
    pub(crate) fn read(&self, mut after: u64, visit: Visit<'_>) -> Result<(Tail, Counts), ReadError> {
        let mut counts = Counts::default();
        if let Some(checkpoint) = self.checkpoint.filter(|checkpoint| after < *checkpoint) {
            checkpoint::read(self.disk, self.log_id, checkpoint, &mut |frame| counts.deliver(frame, after, visit)).map(drop)?;
            after = checkpoint;
        }
        let tail = self.read_segments(after, &mut counts, visit)?;
        if self.segments.last() == Some(&tail.segment) {
            self.compare_with_marks(&tail)?;
        }
        Ok((tail, counts))
    }

    fn read_segments(&self, after: u64, counts: &mut Counts, visit: Visit<'_>) -> Result<Tail, ReadError> {
        let start = self.segments.partition_point(|first| *first <= after + 1).checked_sub(1);
        let needed = start.and_then(|start| self.segments.get(start..)).unwrap_or_default();
        let mut tail = None;
        for (index, first) in needed.iter().enumerate().take_while(|(_, first)| **first <= self.upto) {
            tail = Some(self.read_segment(*first, needed.get(index + 1).copied(), after, counts, visit)?);
        }
        tail.ok_or_else(|| ReadError::Corrupt {
            file: self.disk.path(&FileKind::Segment.name(after + 1)),
            offset: 0,
            what: "the segment with the first record is missing",
        })
    }

    fn read_segment(&self, first: u64, next: Option<u64>, after: u64, counts: &mut Counts, visit: Visit<'_>) -> Result<Tail, ReadError> {
        let name = FileKind::Segment.name(first);
        let failed = |source| io_error(self.disk, &name, source);
        let file = self.disk.open(&name).map_err(failed)?;
        let (_, crc) = open_header(self.disk, &file, &name, FileKind::Segment, first, Some(self.log_id))?;
        let seed = frame::seed(self.log_id, first);
        let chain = Chain { next: first, crc };
        let mut walk = Walk::new(&file, seed, chain, self.what_follows(first, next)?).map_err(failed)?;
        counts.segments += 1;
        loop {
            let before = walk.chain().next;
            match walk.next().map_err(failed)? {
                Item::Frame(frame) => counts.deliver(frame, after, visit)?,
                Item::Mark => counts.lost += gap(before, walk.chain().next, after),
                Item::Damage(damage) => {
                    return Err(ReadError::Corrupt { file: self.disk.path(&name), offset: damage.offset, what: damage.what });
                }
                Item::End { torn } => {
                    return Ok(Tail {
                        segment: first,
                        offset: walk.offset(),
                        chain: walk.chain(),
                        durable_upto: walk.durable_upto(),
                        closed: walk.closed(),
                        torn,
                    });
                }
            }
        }
    }

    /// What comes after the segment that begins at `first`.
    fn what_follows(&self, first: u64, next: Option<u64>) -> Result<After, ReadError> {
        let Some(next) = next else {
            let durable = self.hwm.filter(|mark| mark.segment == first).map_or(0, |mark| mark.offset);
            return Ok(After::End { durable });
        };
        let name = FileKind::Segment.name(next);
        let file = self.disk.open(&name).map_err(|source| io_error(self.disk, &name, source))?;
        let (header, _) = open_header(self.disk, &file, &name, FileKind::Segment, next, Some(self.log_id))?;
        Ok(After::Segment { first: next, prev_crc: Some(header.prev_crc) })
    }

    /// A log that ends before what is known to have been durable has lost its end.
    fn compare_with_marks(&self, tail: &Tail) -> Result<(), ReadError> {
        let corrupt = |name: &str, offset, what| Err(ReadError::Corrupt { file: self.disk.path(name), offset, what });
        if self.checkpoint.is_some_and(|checkpoint| tail.chain.next <= checkpoint) {
            return corrupt(&FileKind::Segment.name(tail.segment), tail.offset, "the log ends before its checkpoint");
        }
        match self.hwm {
            Some(mark) if mark.log_id != self.log_id => corrupt(HWM, 0, "the high-water mark is of another log"),
            Some(mark) if (mark.segment, mark.next) > (tail.segment, tail.chain.next) => {
                corrupt(&FileKind::Segment.name(mark.segment), mark.offset, "the log ends before its high-water mark")
            }
            _ => Ok(()),
        }
    }
}

impl Counts {
    fn deliver(&mut self, frame: Frame, after: u64, visit: Visit<'_>) -> Result<(), ReadError> {
        let Some(frame) = frame.after(after) else {
            return Ok(());
        };
        self.records += frame.len() as u64;
        self.bytes += frame.bytes() as u64;
        let first = frame.first();
        visit(frame).map_err(|source| ReadError::Refused { first, source })
    }
}

/// Positions after `after` that a splice leaves empty.
pub(crate) fn gap(from: u64, to: u64, after: u64) -> u64 {
    to.saturating_sub(from.max(after + 1))
}
