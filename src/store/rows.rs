//! Rows by number, in chunks that never move: growing copies nothing, and numbers of rows that are gone are used again.

use super::number::Number;
use super::steps;

/// Rows in a chunk; one takes about a megabyte, so that what the allocator adds to it does not count.
const CHUNK: usize = 1 << 15;

#[derive(Debug)]
pub(super) struct Rows<N, T> {
    chunks: Vec<Vec<T>>,
    vacant: Vec<N>,
}

impl<N, T> Default for Rows<N, T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), vacant: Vec::new() }
    }
}

impl<N: Number, T> Rows<N, T> {
    /// How many numbers are in use or vacant.
    pub(super) fn len(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len())
    }

    pub(super) fn get(&self, number: N) -> Option<&T> {
        steps::count(1);
        let index = number.index() as usize;
        self.chunks.get(index / CHUNK)?.get(index % CHUNK)
    }

    pub(super) fn get_mut(&mut self, number: N) -> Option<&mut T> {
        steps::count(1);
        let index = number.index() as usize;
        self.chunks.get_mut(index / CHUNK)?.get_mut(index % CHUNK)
    }

    /// Puts `row` into a vacant place or at the end. `None` when all numbers are taken.
    pub(super) fn insert(&mut self, row: T) -> Option<N> {
        if let Some(free) = self.vacant.pop() {
            *self.get_mut(free)? = row;
            return Some(free);
        }
        let number = u32::try_from(self.len()).ok().and_then(N::from_index)?;
        match self.chunks.last_mut() {
            Some(last) if last.len() < CHUNK => last.push(row),
            // The first chunk grows as it is needed: most tenants are small.
            last => {
                let mut chunk = Vec::with_capacity(if last.is_some() { CHUNK } else { 0 });
                chunk.push(row);
                self.chunks.push(chunk);
            }
        }
        Some(number)
    }

    /// The number may be used again; its row stays readable until it is.
    pub(super) fn vacate(&mut self, number: N) {
        self.vacant.push(number);
    }

    /// The rows that are not vacant, by number.
    #[cfg(test)]
    pub(super) fn state(&self) -> impl Iterator<Item = (u32, &T)> {
        let vacant: std::collections::HashSet<u32> = self.vacant.iter().map(|number| number.index()).collect();
        (0..).zip(self.iter()).filter(move |(number, _)| !vacant.contains(number))
    }

    /// The numbers that are used next, the last of them first.
    #[cfg(test)]
    pub(super) fn vacant(&self) -> &[N] {
        &self.vacant
    }

    /// All rows in order of their numbers, vacant ones included.
    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    /// So many rows from this index on, or fewer; none only at the end.
    pub(super) fn stretch(&self, index: usize, most: usize) -> &[T] {
        let rest = self.chunks.get(index / CHUNK).and_then(|chunk| chunk.get(index % CHUNK..)).unwrap_or_default();
        let rows = rest.get(..most).unwrap_or(rest);
        steps::count(rows.len());
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::number::ValueNo;

    #[test]
    fn numbers_are_dense_and_used_again() {
        let number = |place: u32| ValueNo::from_index(place).unwrap();
        let mut rows = Rows::default();
        for place in 0..u32::try_from(CHUNK * 2 + 1).unwrap() {
            assert_eq!(rows.insert(place), Some(number(place)));
        }
        rows.vacate(number(32_768));
        rows.vacate(number(7));
        assert_eq!((rows.insert(70), rows.insert(60)), (Some(number(7)), Some(number(32_768))));
        let at = |place: u32| rows.get(number(place)).copied();
        assert_eq!((at(7), at(32_768), at(65_536), at(65_537)), (Some(70), Some(60), Some(65_536), None));
        assert_eq!((rows.len(), rows.iter().count()), (65_537, 65_537));
        let stretch = |index: usize, most: usize| rows.stretch(index, most).iter().map(|&row| row as usize).collect::<Vec<_>>();
        for (index, most, expected) in
            [(0, 3, 0..3), (65_533, 2, 65_533..65_535), (65_533, 9, 65_533..65_536), (65_536, 9, 65_536..65_537), (65_537, 9, 0..0)]
        {
            assert_eq!(stretch(index, most), expected.collect::<Vec<_>>(), "{most} from {index}");
        }
    }
}
