//! What the log has of the disk's room beside the segment that is appended to: what closed segments take, and what is kept back.

use std::collections::VecDeque;

use crate::log::disk::Disk;
use crate::log::disk::DiskFile;
use crate::log::file::RESERVE;
use crate::log::file::SEGMENT_RESERVE;

/// What the segments before the last take. It is asked with every commit, however many there are.
#[derive(Debug, Default)]
pub(crate) struct Closed {
    each: VecDeque<u64>,
    sum: u64,
}

impl Closed {
    /// Adds the newest.
    pub(crate) fn push(&mut self, bytes: u64) {
        self.each.push_back(bytes);
        self.sum = self.sum.saturating_add(bytes);
    }

    /// Takes away the oldest; 0 where there is none.
    pub(crate) fn pop(&mut self) -> u64 {
        let bytes = self.each.pop_front().unwrap_or(0);
        self.sum = self.sum.saturating_sub(bytes);
        bytes
    }

    /// How many they are.
    pub(crate) fn len(&self) -> usize {
        self.each.len()
    }

    /// Of all of them.
    pub(crate) fn sum(&self) -> u64 {
        self.sum
    }

    /// Of each, from the oldest on.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> {
        self.each.iter().copied()
    }

    /// Of so many of the oldest.
    pub(crate) fn oldest(&self, segments: usize) -> u64 {
        if segments < self.each.len() { self.iter().take(segments).fold(0, u64::saturating_add) } else { self.sum }
    }
}

impl FromIterator<u64> for Closed {
    fn from_iter<I: IntoIterator<Item = u64>>(sizes: I) -> Self {
        let mut all = Self::default();
        sizes.into_iter().for_each(|bytes| all.push(bytes));
        all
    }
}

/// What is kept back.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reserve {
    /// Bytes of the file that becomes a checkpoint; 0 when there is none.
    pub(crate) checkpoint: u64,
    /// The same of the one that becomes a segment.
    pub(crate) segment: u64,
    /// The checkpoint that is being made has the file.
    pub(crate) taken: bool,
    /// What is written now may have it.
    pub(crate) is_open: bool,
}

impl Reserve {
    /// What an earlier process kept back.
    pub(crate) fn find<D: Disk>(disk: &D) -> Self {
        Self { checkpoint: filled(disk, RESERVE), segment: filled(disk, SEGMENT_RESERVE), taken: false, is_open: false }
    }
}

/// Sees to it that a file has room for all of its bytes, which a copy of it may not have; how many it has.
fn filled<D: Disk>(disk: &D, name: &str) -> u64 {
    let Ok(mut file) = disk.open_writable(name) else { return 0 };
    let bytes = file.len().unwrap_or(0);
    if bytes == 0 || file.allocate(bytes).is_ok() {
        return bytes;
    }
    // It is made again when there is room.
    drop(file.truncate(0));
    0
}
