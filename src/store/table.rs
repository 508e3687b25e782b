//! A table of numbers by a hash of what they stand for, which is looked up: in leaves of a few thousand places, so that no
//! growth of it moves more than one of them, however many there are.
//!
//! By extendible hashing: some bits of the hash lead through a directory to a leaf, which makes two of itself when it is full,
//! and one again with its sibling when both have become small. Where a number is follows from its hash and from how it came
//! about; nobody is told the order. Half of each hash stands beside its number, so that neither a split nor another one of the
//! same place looks at what the numbers stand for.

use super::steps;
use hashbrown::HashTable;

/// Most numbers of a leaf: seven eighths of 2048 places.
const LEAF_MAX: usize = 1792;
/// The places of a leaf.
const LEAF_PLACES: usize = 1 << PLACE_BITS;
/// A leaf that has no place any more which was never used is made anew where it has so many numbers, and with more is split, so
/// that there are some before it is so again.
const ANEW_MAX: usize = LEAF_MAX / 8 * 7;
/// Two leaves that have so many together, or fewer, become one.
const SMALL: usize = LEAF_MAX / 2;
/// Bits of the hash that the places of a leaf go by, and the most of those behind them that the directory goes by.
const PLACE_BITS: u32 = 11;
const DEPTH_MAX: u32 = 32 - PLACE_BITS;

#[derive(Debug)]
pub(super) struct Table<T> {
    /// By some bits of the hash, which leaf: 2 to the power of `depth`.
    directory: Vec<u32>,
    leaves: Vec<Leaf<T>>,
    /// Leaves that are not in use.
    vacant: Vec<u32>,
    depth: u32,
    len: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Leaf<T> {
    items: HashTable<Item<T>>,
    /// How many bits of the hash those of this leaf have in common.
    depth: u32,
}

/// A number and its hash, folded.
type Item<T> = (T, u32);

impl<T> Leaf<T> {
    /// Whether numbers that were taken out have left it no place that was never used: it would double for one more.
    fn is_worn(&self) -> bool {
        self.depth < DEPTH_MAX && self.items.num_buckets() >= LEAF_PLACES && self.items.capacity() == self.items.len()
    }

    /// Makes all places new.
    fn make_anew(&mut self) {
        let worn = std::mem::replace(&mut self.items, HashTable::with_capacity(LEAF_MAX));
        steps::moved(worn.len() * size_of::<Item<T>>());
        for item in worn {
            self.items.insert_unique(rehash(&item), item, rehash);
        }
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        let (directory, leaves, vacant) = Default::default();
        Self { directory, leaves, vacant, depth: 0, len: 0, bytes: 0 }
    }
}

/// The half of a hash that is kept.
fn fold(hash: u64) -> u32 {
    u32::try_from(hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32).unwrap_or_default()
}

/// What a leaf makes of that: places go by its lowest bits, and what tells them apart by the highest.
fn wide(hash: u32) -> u64 {
    u64::from(hash.wrapping_mul(0x9e37_79b1)) << 32 | u64::from(hash)
}

/// The bits of a hash that the directory goes by, as an index, of which the lowest `depth` bits count.
fn index_of(hash: u32, depth: u32) -> usize {
    ((hash >> PLACE_BITS) & ((1 << depth) - 1)) as usize
}

fn rehash<T>(item: &Item<T>) -> u64 {
    wide(item.1)
}

impl<T: Copy> Table<T> {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.directory.capacity() * size_of::<u32>() + self.leaves.capacity() * size_of::<Leaf<T>>()
    }

    fn leaf_of(&self, hash: u32) -> Option<usize> {
        self.directory.get(index_of(hash, self.depth)).map(|&leaf| leaf as usize)
    }

    /// The one of this hash that `is` accepts.
    pub(super) fn find(&self, hash: u64, is: impl Fn(T) -> bool) -> Option<T> {
        let hash = fold(hash);
        let found = self.leaves.get(self.leaf_of(hash)?)?.items.find(wide(hash), |&(item, other)| other == hash && is(item));
        found.map(|(item, _)| *item)
    }

    /// Adds one that is not there.
    pub(super) fn insert(&mut self, hash: u64, item: T) {
        let hash = fold(hash);
        if self.directory.is_empty() {
            self.directory.push(0);
            self.leaves.push(Leaf { items: HashTable::new(), depth: 0 });
        }
        while let Some(full) = self.leaf_of(hash).filter(|&leaf| self.is_full(leaf)) {
            self.split(full, index_of(hash, self.depth));
        }
        let Some(leaf) = self.leaf_of(hash).and_then(|leaf| self.leaves.get_mut(leaf)) else { return };
        let before = leaf.items.allocation_size();
        if leaf.is_worn() {
            leaf.make_anew();
        }
        let room = leaf.items.capacity();
        leaf.items.insert_unique(wide(hash), (item, hash), rehash);
        if leaf.items.capacity() != room {
            steps::moved(leaf.items.len() * size_of::<Item<T>>());
        }
        self.bytes = self.bytes + leaf.items.allocation_size() - before;
        self.len += 1;
    }

    fn is_full(&self, leaf: usize) -> bool {
        let has_many = |leaf: &Leaf<T>| leaf.items.len() >= LEAF_MAX || (leaf.items.len() > ANEW_MAX && leaf.is_worn());
        self.leaves.get(leaf).is_some_and(|leaf| has_many(leaf) && leaf.depth < DEPTH_MAX)
    }

    /// Takes out the one of this hash that `is` accepts. Says whether there was one.
    pub(super) fn remove(&mut self, hash: u64, is: impl Fn(T) -> bool) -> bool {
        let hash = fold(hash);
        let Some(index) = self.leaf_of(hash) else { return false };
        let Some(leaf) = self.leaves.get_mut(index) else { return false };
        let Ok(entry) = leaf.items.find_entry(wide(hash), |&(item, other)| other == hash && is(item)) else { return false };
        entry.remove();
        self.len -= 1;
        if leaf.items.len() * 2 <= SMALL {
            self.join(index, index_of(hash, self.depth));
        }
        true
    }

    /// Makes two of a leaf, which this index of the directory leads to.
    fn split(&mut self, leaf: usize, index: usize) {
        let Some(lower) = self.leaves.get_mut(leaf) else { return };
        let depth = lower.depth;
        lower.depth += 1;
        let whole = std::mem::replace(&mut lower.items, HashTable::with_capacity(LEAF_MAX));
        let mut upper = HashTable::with_capacity(LEAF_MAX);
        steps::moved(whole.len() * size_of::<Item<T>>());
        self.bytes = self.bytes + lower.items.allocation_size() + upper.allocation_size() - whole.allocation_size();
        for item in whole {
            let into = if index_of(item.1, depth + 1) >> depth == 0 { &mut lower.items } else { &mut upper };
            into.insert_unique(rehash(&item), item, rehash);
        }
        let upper = Leaf { items: upper, depth: depth + 1 };
        let vacant = self.vacant.pop();
        let number = vacant.unwrap_or_else(|| u32::try_from(self.leaves.len()).unwrap_or(u32::MAX));
        if let Some(place) = self.leaves.get_mut(number as usize) {
            *place = upper;
        } else {
            steps::moved(if self.leaves.len() == self.leaves.capacity() { self.leaves.len() * size_of::<Leaf<T>>() } else { 0 });
            self.leaves.push(upper);
        }
        if depth == self.depth {
            steps::moved(self.directory.len() * 2 * size_of::<u32>());
            self.directory.extend_from_within(..);
            self.depth += 1;
        }
        self.lead(index & ((1 << depth) - 1) | 1 << depth, depth + 1, number);
    }

    /// Lets the directory lead to a leaf from all indexes that end in the lowest `depth` bits of this one.
    fn lead(&mut self, index: usize, depth: u32, leaf: u32) {
        for place in self.directory.iter_mut().skip(index).step_by(1 << depth) {
            *place = leaf;
        }
    }

    /// Makes one of a leaf and its sibling, where both are small; gives back most of the room of a single one.
    fn join(&mut self, leaf: usize, index: usize) {
        let Some(depth) = self.leaves.get(leaf).map(|leaf| leaf.depth) else { return };
        if depth == 0 {
            if let Some(only) = self.leaves.get_mut(leaf).filter(|only| only.items.len() * 8 < only.items.capacity()) {
                steps::moved(only.items.len() * size_of::<Item<T>>());
                let before = only.items.allocation_size();
                only.items.shrink_to(only.items.len() * 2, rehash);
                self.bytes = self.bytes + only.items.allocation_size() - before;
            }
            return;
        }
        let Some(&sibling) = self.directory.get(index ^ 1 << (depth - 1)) else { return };
        let of = |leaf: usize| self.leaves.get(leaf).map(|leaf| (leaf.depth, leaf.items.len()));
        let (Some((_, here)), Some((its_depth, there))) = (of(leaf), of(sibling as usize)) else { return };
        if its_depth != depth || here + there > SMALL {
            return;
        }
        let Some(gone) = self.leaves.get_mut(sibling as usize).map(|sibling| std::mem::take(&mut sibling.items)) else { return };
        let Some(into) = self.leaves.get_mut(leaf) else { return };
        steps::moved(gone.len() * size_of::<Item<T>>());
        self.bytes = self.bytes - gone.allocation_size() - into.items.allocation_size();
        for item in gone {
            into.items.insert_unique(rehash(&item), item, rehash);
        }
        into.depth -= 1;
        self.bytes += into.items.allocation_size();
        self.vacant.push(sibling);
        self.lead(index & ((1 << (depth - 1)) - 1), depth - 1, u32::try_from(leaf).unwrap_or(u32::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// As good as any, and never the same for two.
    fn hash_of(item: u32) -> u64 {
        (u64::from(item) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    }

    #[track_caller]
    fn check(table: &Table<u32>, model: &HashSet<u32>, most: u32) {
        assert_eq!((table.len(), table.is_empty()), (model.len(), model.is_empty()));
        for item in 0..most {
            let found = table.find(hash_of(item), |other| other == item);
            assert_eq!(found, model.contains(&item).then_some(item));
        }
        let bytes: usize = table.leaves.iter().map(|leaf| leaf.items.allocation_size()).sum();
        assert_eq!(table.bytes, bytes);
        assert!(bytes <= model.len() * 40 + 400, "{bytes} bytes with {}", model.len());
        assert!(table.leaves.iter().all(|leaf| leaf.items.len() <= LEAF_MAX));
    }

    #[test]
    fn holds_what_a_set_holds_and_moves_little_at_once() {
        const MOST: u32 = 60_000;
        let (mut table, mut model) = (Table::default(), HashSet::new());
        // Grows, shrinks to some, grows again, and is emptied.
        for (from, to, adds) in [(0, MOST, true), (700, MOST, false), (700, MOST / 2, true), (0, MOST, false)] {
            let mut most = 0;
            for item in from..to {
                most = most.max(steps::bytes_of(|| {
                    if adds {
                        table.insert(hash_of(item), item);
                        model.insert(item);
                    } else {
                        assert_eq!(table.remove(hash_of(item), |other| other == item), model.remove(&item));
                    }
                }));
            }
            check(&table, &model, MOST);
            assert!(most <= 32_000, "{most} bytes moved at once");
        }
        assert_eq!(table.leaves.len() - table.vacant.len(), 1);
    }

    /// As many go as come, over and over: it stays as large as it was.
    #[test]
    fn what_comes_and_goes_takes_no_more_than_what_stays() {
        const COUNT: u32 = 20_000;
        let mut table = Table::default();
        (0..COUNT).for_each(|item| table.insert(hash_of(item), item));
        let (before, mut most) = (table.bytes(), 0);
        for item in 0..5 * COUNT {
            most = most.max(steps::bytes_of(|| {
                assert!(table.remove(hash_of(item), |other| other == item));
                table.insert(hash_of(item + COUNT), item + COUNT);
            }));
        }
        assert!(table.bytes() <= before && most <= 32_000, "{} bytes, {before} before; {most} moved at once", table.bytes());
        // A half goes at once, and comes again.
        for half in 0..6 {
            (0..COUNT / 2).for_each(|item| assert!(table.remove(hash_of(5 * COUNT + half * COUNT / 2 + item), |_| true)));
            (0..COUNT / 2).for_each(|item| table.insert(hash_of(6 * COUNT + half * COUNT / 2 + item), 6 * COUNT + half * COUNT / 2 + item));
        }
        assert!(table.bytes() <= before, "{} bytes, {before} before", table.bytes());
    }

    #[test]
    fn two_of_one_hash_are_told_apart() {
        let mut table = Table::default();
        for item in 0..5000u32 {
            table.insert(hash_of(item / 2), item);
        }
        for item in 0..5000 {
            assert_eq!(table.find(hash_of(item / 2), |other| other == item), Some(item));
        }
    }
}
