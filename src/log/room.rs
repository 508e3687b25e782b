//! Room on the disk: how much there is, how much of it a segment takes before it needs it, and what is kept back of it, so that
//! what is old can go when there is none.
//!
//! Kept back are two files: one that becomes the next checkpoint, and one that becomes the next segment. They get their room
//! while there is some, and need none, nor a new file, when they take their names.

use std::io;

use crate::log::Options;
use crate::log::SegmentLog;
use crate::log::disk::Disk;
use crate::log::disk::DiskFile;
use crate::log::disk::Space;
use crate::log::error::AppendError;
use crate::log::error::is_disk_full;
use crate::log::file::FILE_HEADER_BYTES;
use crate::log::file::FileKind;
use crate::log::file::RESERVE;
use crate::log::file::SEGMENT_RESERVE;
use crate::log::frame::FRAME_HEADER_BYTES;
use crate::log::taken::Reserve;

/// A segment takes this part of what is free ahead of its needs, at most.
const AHEAD_PART: u64 = 16;
/// What is kept back grows by as much at a time, and what is kept back for a segment has no more; nor than a quarter of a segment.
const RESERVE_STEP_BYTES: u64 = 1 << 20;
/// This part of what is free, and kept back, is left when that is not enough.
const LEFT_PART: u64 = 8;
/// A record of a segment takes so many bytes more in a checkpoint.
const CARRIED_BYTES: u64 = 8;
/// A frame of a checkpoint may be filled no further than this.
const CARRIED_FRAME_BYTES: u64 = 1 << 19;

/// What there is of room, and what the log takes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    pub space: Space,
    /// Bytes of all segments and checkpoints, with what they have ahead.
    pub log_bytes: u64,
    /// Bytes kept back.
    pub reserve_bytes: u64,
    /// Bytes of the newest checkpoint.
    pub carried_bytes: u64,
    /// At most so many bytes the next checkpoint takes, if it stands for the oldest segment.
    pub checkpoint_bytes: u64,
}

pub(crate) fn reach<D: Disk>(disk: &D, options: &Options, allocated: u64, end: u64) -> u64 {
    let need = end.saturating_sub(allocated);
    let ahead = disk.space().map_or(0, |space| space.free.saturating_sub(need) / AHEAD_PART);
    options.segment_bytes.min(end.saturating_add(ahead)).max(end)
}

impl<D: Disk> SegmentLog<D> {
    /// How much room there is now. Waits for the disk.
    pub fn room(&self) -> io::Result<Room> {
        let space = self.disk.space()?;
        let Reserve { checkpoint, segment, .. } = self.reserve;
        Ok(Room {
            space,
            log_bytes: self.log_bytes(),
            reserve_bytes: checkpoint.saturating_add(segment),
            carried_bytes: self.checkpoints.last().map_or(0, |(_, bytes)| *bytes),
            checkpoint_bytes: self.checkpoint_bytes(1),
        })
    }

    /// Bytes of all segments and checkpoints, with what they have ahead.
    fn log_bytes(&self) -> u64 {
        let checkpoints = self.checkpoints.iter().map(|(_, bytes)| *bytes);
        checkpoints.fold(self.closed.sum().saturating_add(self.active.allocated), u64::saturating_add)
    }

    /// At most so many bytes a checkpoint takes that stands for this many of the oldest segments.
    pub fn checkpoint_bytes(&self, segments: usize) -> u64 {
        let before = self.checkpoints.last().map_or(0, |(_, bytes)| *bytes);
        let active = if segments > self.closed.len() { self.active.offset } else { 0 };
        let used = self.closed.oldest(segments).saturating_add(active);
        let next = self.segments.get(segments).copied().unwrap_or(self.chain.next);
        let records = next.saturating_sub(self.segments.first().copied().unwrap_or(next));
        let carried = before.saturating_add(used).saturating_add(records.saturating_mul(CARRIED_BYTES));
        let frames = carried / CARRIED_FRAME_BYTES + 2;
        carried.saturating_add(frames * FRAME_HEADER_BYTES as u64 + FILE_HEADER_BYTES as u64)
    }

    /// About as many bytes a checkpoint takes that carries no more than so many records, by what records take here; rather more.
    pub fn carried_bytes(&self, records: u64) -> u64 {
        let used = self.closed.sum().saturating_add(self.active.offset);
        let all = self.chain.next.saturating_sub(self.segments.first().copied().unwrap_or(0)).max(1);
        (used / all + CARRIED_BYTES).saturating_mul(records).saturating_mul(3) / 2 + self.step()
    }

    /// Keeps back what the next checkpoint takes at most, or about what one takes that stands for all segments, if so many records are
    /// carried on, and something for a segment, as far as there is room, of which it leaves so much; gives back what is too much.
    /// Waits for the disk where there is something to do, and says whether there was.
    ///
    /// It is not synced: after a power loss there may be less of it, or none, and it is made again.
    pub fn keep_reserve(&mut self, carried: u64, leave: u64) -> bool {
        let step = self.step();
        let all = if carried > 0 { self.carried_bytes(carried).min(self.checkpoint_bytes(self.segments.len())) } else { 0 };
        let wanted = self.checkpoint_bytes(1).max(all).div_ceil(step).saturating_mul(step);
        let Reserve { checkpoint, segment, .. } = self.reserve;
        // First what cannot be done without.
        self.reserve.checkpoint = self.keep(RESERVE, checkpoint, (wanted, step), leave);
        self.reserve.segment = self.keep(SEGMENT_RESERVE, segment, (step, step), leave);
        (checkpoint, segment) != (self.reserve.checkpoint, self.reserve.segment)
    }

    /// By how much what is kept back grows, and how much of it is for a segment.
    fn step(&self) -> u64 {
        RESERVE_STEP_BYTES.min(self.options.segment_bytes / 4)
    }

    /// Makes a file of what is kept back as large as it should be, or as it can be if that is a step at least; how large it is.
    fn keep(&self, name: &str, bytes: u64, (wanted, step): (u64, u64), leave: u64) -> u64 {
        if bytes > wanted.saturating_mul(2) {
            let cut = self.disk.open_writable(name).and_then(|mut file| file.truncate(wanted));
            return if cut.is_ok() { wanted } else { bytes };
        }
        // With each commit nearly always.
        if bytes >= wanted {
            return bytes;
        }
        let Ok(space) = self.disk.space() else { return bytes };
        // However often it is looked at, it comes to the same.
        let room = bytes.saturating_add(space.free);
        let to = wanted.min(room.saturating_sub(leave.max(room / LEFT_PART)));
        if to <= bytes || to < wanted && to - bytes < step {
            return bytes;
        }
        let kept = if bytes == 0 { self.disk.create(name) } else { self.disk.open_writable(name) };
        let Ok(mut file) = kept else { return bytes };
        match file.allocate(to) {
            Ok(()) => to,
            // Some of it may be there.
            Err(_) => file.len().unwrap_or(bytes),
        }
    }

    /// How far a segment that must reach `end` is extended: ahead of its needs, but not where there is little room.
    pub(crate) fn reach(&self, allocated: u64, end: u64) -> u64 {
        reach(&*self.disk, &self.options, allocated, end)
    }

    /// Gives up what is of no use but in an emergency, because there is one: checkpoints before the newest, and what the last
    /// segment has ahead, where nothing else is kept back.
    pub fn make_way(&mut self) {
        let newest = self.checkpoints.last().map_or(0, |(upto, _)| *upto);
        let is_gone = |upto: u64| match self.disk.remove(&FileKind::Checkpoint.name(upto)) {
            Ok(()) => true,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        self.checkpoints.retain(|(upto, _)| *upto == newest || !is_gone(*upto));
        let left = self.active.offset.saturating_add(self.step());
        if self.reserve.checkpoint == 0 && self.active.allocated > left {
            self.active.allocated = match self.active.file.truncate(left) {
                Ok(()) => left,
                Err(_) => self.active.file.len().unwrap_or(self.active.offset),
            };
        }
    }

    /// Does something that needs so many bytes of room; once more where there is none, with a part of what is kept back for a
    /// checkpoint, if that is open.
    pub(crate) fn with_reserve(&mut self, need: u64, act: impl Fn(&mut Self) -> Result<(), AppendError>) -> Result<(), AppendError> {
        let done = act(self);
        let need = need.saturating_add(self.step());
        if !matches!(done, Err(AppendError::DiskFull { .. })) || !self.reserve.is_open || self.reserve.checkpoint < need {
            return done;
        }
        let left = self.reserve.checkpoint - need;
        match self.disk.open_writable(RESERVE).and_then(|mut file| file.truncate(left)) {
            Ok(()) => self.reserve.checkpoint = left,
            Err(_) => return done,
        }
        act(self)
    }

    /// Whether what is kept back for a segment may become the next one, which needs so many bytes.
    pub(crate) fn has_reserve_of(&self, need: u64, error: &io::Error) -> bool {
        self.reserve.is_open && is_disk_full(error) && self.reserve.segment >= need.saturating_add(FILE_HEADER_BYTES as u64)
    }
}
