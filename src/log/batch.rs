//! A batch of records under construction.

use std::ops::Range;

/// Bytes before each record: its length.
pub(crate) const PREFIX_BYTES: usize = 4;

/// Records that are appended together, in one buffer that keeps its room from commit to commit.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    records: usize,
    largest: usize,
}

/// A part of a batch that goes into one frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    pub(crate) payload: &'a [u8],
    pub(crate) count: u32,
}

impl Batch {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a record.
    pub fn push(&mut self, record: &[u8]) {
        self.push_with(|bytes| bytes.extend_from_slice(record));
    }

    /// Adds the record that `encode` appends to the buffer; it must leave alone what is there already.
    pub fn push_with<T>(&mut self, encode: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; PREFIX_BYTES]);
        let outcome = encode(&mut self.bytes);
        let len = self.bytes.len().saturating_sub(start + PREFIX_BYTES);
        self.largest = self.largest.max(len);
        // A record that is too long for its prefix is refused by `append` because of `largest`.
        let prefix = u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes();
        if let Some(place) = self.bytes.get_mut(start..start + PREFIX_BYTES) {
            place.copy_from_slice(&prefix);
        }
        self.records += 1;
        outcome
    }

    /// Empties the batch and keeps its buffer, unless that has become larger than `keep` bytes.
    pub fn clear(&mut self, keep: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(keep);
        self.records = 0;
        self.largest = 0;
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.records
    }

    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Size of all records with their length prefixes.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Size of the largest record.
    pub(crate) fn largest(&self) -> usize {
        self.largest
    }

    /// The batch in parts of at most `limit` bytes, cut between records.
    pub(crate) fn parts(&self, limit: usize) -> Parts<'_> {
        Parts { rest: &self.bytes, records: self.records, limit }
    }
}

#[derive(Debug)]
pub(crate) struct Parts<'a> {
    rest: &'a [u8],
    records: usize,
    limit: usize,
}

impl Parts<'_> {
    /// As many whole records as fit, at least one.
    fn next_part(&self) -> (Range<usize>, u32) {
        let whole = u32::try_from(self.records).ok();
        if let Some(count) = whole.filter(|_| self.rest.len() <= self.limit) {
            return (0..self.rest.len(), count);
        }
        let (mut end, mut count) = (0, 0);
        while let Some(prefix) = self.rest.get(end..).and_then(|rest| rest.first_chunk()) {
            let next = end + PREFIX_BYTES + u32::from_le_bytes(*prefix) as usize;
            if count > 0 && (next > self.limit || count == u32::MAX) {
                break;
            }
            end = next;
            count += 1;
        }
        (0..end, count)
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let (range, count) = self.next_part();
        let (payload, rest) = self.rest.split_at_checked(range.end)?;
        self.rest = rest;
        self.records = self.records.saturating_sub(count as usize);
        Some(Part { payload, count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sizes: &[usize], limit: usize, expected: &[(usize, u32)]) {
        let mut batch = Batch::new();
        for size in sizes {
            batch.push(&vec![7; *size]);
        }
        let parts: Vec<_> = batch.parts(limit).map(|part| (part.payload.len(), part.count)).collect();
        assert_eq!(parts, expected);
        assert_eq!(batch.len(), sizes.len());
        assert_eq!(batch.bytes(), sizes.iter().map(|size| size + 4).sum::<usize>());
        assert_eq!(batch.largest(), sizes.iter().copied().max().unwrap_or(0));
    }

    #[test]
    fn batches_are_cut_between_records() {
        check(&[], 10, &[]);
        check(&[0], 10, &[(4, 1)]);
        check(&[6, 6], 20, &[(20, 2)]);
        check(&[6, 6, 6], 20, &[(20, 2), (10, 1)]);
        check(&[30, 1, 1], 20, &[(34, 1), (10, 2)]);
    }

    #[test]
    fn a_cleared_batch_is_empty_and_keeps_a_bounded_buffer() {
        let mut batch = Batch::new();
        batch.push(&[1; 1000]);
        batch.clear(100);
        assert!(batch.is_empty() && batch.bytes() == 0 && batch.largest() == 0);
        assert!(batch.bytes.capacity() < 1000);
    }
}
