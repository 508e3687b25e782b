//! Rows by number, in chunks that never move: growing copies nothing, and numbers of rows that are gone are used again.

use super::number::Number;
use super::number::Set;
use super::steps;

/// Rows in a chunk; one takes some hundred kilobytes, so that what the allocator adds to it does not count, and the first one can
/// double.
const CHUNK: usize = 1 << 12;
/// So many chunks are given back at once at most.
const GIVEN_BACK_AT_ONCE: usize = 8;

#[derive(Debug)]
pub(super) struct Rows<N, T> {
    chunks: Vec<Chunk<T>>,
    /// Numbers that are used again, the least first, so that the last chunks become vacant.
    vacant: Set<N>,
}

#[derive(Debug)]
struct Chunk<T> {
    rows: Vec<T>,
    vacant: usize,
}

impl<N, T> Default for Rows<N, T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), vacant: Set::default() }
    }
}

impl<N: Number, T> Rows<N, T> {
    /// How many numbers are in use or vacant.
    pub(super) fn len(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.rows.len())
    }

    pub(super) fn get(&self, number: N) -> Option<&T> {
        steps::count(1);
        let index = number.index() as usize;
        self.chunks.get(index / CHUNK)?.rows.get(index % CHUNK)
    }

    pub(super) fn get_mut(&mut self, number: N) -> Option<&mut T> {
        steps::count(1);
        let index = number.index() as usize;
        self.chunks.get_mut(index / CHUNK)?.rows.get_mut(index % CHUNK)
    }

    /// Puts `row` into the first vacant place or at the end. `None` when all numbers are taken.
    pub(super) fn insert(&mut self, row: T) -> Option<N> {
        if let Some(free) = self.vacant.first() {
            *self.get_mut(free)? = row;
            self.vacant.remove(free);
            self.chunks.get_mut(free.index() as usize / CHUNK)?.vacant -= 1;
            return Some(free);
        }
        let number = u32::try_from(self.len()).ok().and_then(N::from_index)?;
        match self.chunks.last_mut() {
            Some(last) if last.rows.len() < CHUNK => {
                let moved = if last.rows.len() == last.rows.capacity() { last.rows.len() } else { 0 };
                steps::moved(moved * size_of::<T>());
                last.rows.push(row);
            }
            // The first chunk grows as it is needed: most tenants are small.
            last => {
                let mut rows = Vec::with_capacity(if last.is_some() { CHUNK } else { 0 });
                rows.push(row);
                self.chunks.push(Chunk { rows, vacant: 0 });
            }
        }
        Some(number)
    }

    /// The number may be used again; its row stays readable until it is, or until all rows of the last chunk are vacant, which
    /// then go.
    pub(super) fn vacate(&mut self, number: N) {
        let Some(chunk) = self.chunks.get_mut(number.index() as usize / CHUNK) else { return };
        chunk.vacant += 1;
        self.vacant.insert(number);
        for _ in 0..GIVEN_BACK_AT_ONCE {
            let Some(gone) = self.chunks.pop_if(|last| last.vacant == last.rows.len()) else { return };
            let first = self.chunks.len() * CHUNK;
            self.vacant.remove_range(first..first + gone.rows.len());
        }
    }

    /// The bytes that it takes, but for what its rows refer to. What is allocated for rows that are yet to come is not touched yet,
    /// and the set of the vacant ones takes a bit for each number at most.
    pub(super) fn bytes(&self) -> usize {
        self.len() * size_of::<T>() + self.chunks.capacity() * size_of::<Chunk<T>>() + self.len() / 8
    }

    /// The rows that are not vacant, by number.
    #[cfg(test)]
    pub(super) fn state(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(self.iter()).filter(|(number, _)| N::from_index(*number).is_some_and(|number| !self.vacant.contains(number)))
    }

    /// The numbers that are used next.
    #[cfg(test)]
    pub(super) fn vacant(&self) -> Vec<N> {
        self.vacant.iter().collect()
    }

    /// All rows in order of their numbers, vacant ones included.
    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| &chunk.rows)
    }

    /// So many rows from this index on, or fewer; none only at the end.
    pub(super) fn stretch(&self, index: usize, most: usize) -> &[T] {
        let rest = self.chunks.get(index / CHUNK).and_then(|chunk| chunk.rows.get(index % CHUNK..)).unwrap_or_default();
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
        rows.vacate(number(4096));
        rows.vacate(number(7));
        assert_eq!((rows.insert(70), rows.insert(60)), (Some(number(7)), Some(number(4096))));
        let at = |place: u32| rows.get(number(place)).copied();
        assert_eq!((at(7), at(4096), at(8192), at(8193)), (Some(70), Some(60), Some(8192), None));
        assert_eq!((rows.len(), rows.iter().count()), (8193, 8193));
        let stretch = |index: usize, most: usize| rows.stretch(index, most).iter().map(|&row| row as usize).collect::<Vec<_>>();
        for (index, most, expected) in [(0, 3, 0..3), (8189, 2, 8189..8191), (8189, 9, 8189..8192), (8192, 9, 8192..8193), (8193, 9, 0..0)]
        {
            assert_eq!(stretch(index, most), expected.collect::<Vec<_>>(), "{most} from {index}");
        }
    }

    #[test]
    fn what_is_vacant_at_the_end_is_given_back() {
        let number = |place: usize| ValueNo::from_index(u32::try_from(place).unwrap()).unwrap();
        let mut rows = Rows::default();
        let fill = |rows: &mut Rows<ValueNo, usize>, count: usize| (0..count).for_each(|_| assert!(rows.insert(0).is_some()));
        fill(&mut rows, CHUNK * 3);
        (1..CHUNK * 3).for_each(|place| rows.vacate(number(place)));
        assert_eq!((rows.len(), rows.bytes() < CHUNK * 10, rows.get(number(CHUNK)), rows.get(number(7))), (CHUNK, true, None, Some(&0)));
        fill(&mut rows, CHUNK * 2);
        assert_eq!((rows.len(), rows.vacant()), (CHUNK * 2 + 1, Vec::new()), "filled from the first");
        (0..=CHUNK * 2).for_each(|place| rows.vacate(number(place)));
        assert_eq!((rows.len(), rows.vacant(), rows.insert(7)), (0, Vec::new(), Some(number(0))));
    }
}
