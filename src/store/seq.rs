//! Numbers of edges in an order that a key gives, which is looked up, and no two have the same: most lists have one or two and
//! take no heap, and a long one is cut into chunks, so that any place of it is found and changed in a time that hardly grows
//! with its length.

use super::number::EdgeNo;
use std::ops::Bound;

/// Most numbers of a chunk.
const CHUNK_MAX: usize = 512;

/// Numbers in order.
#[derive(Debug, Default)]
pub(super) enum Seq {
    #[default]
    Empty,
    One([EdgeNo; 1]),
    Two([EdgeNo; 2]),
    #[expect(clippy::box_collection, reason = "keeps the enum at 16 bytes; there are millions")]
    Few(Box<Vec<EdgeNo>>),
    #[expect(clippy::box_collection, reason = "keeps the enum at 16 bytes; there are millions")]
    Many(Box<Vec<Vec<EdgeNo>>>),
}

impl Seq {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// The chunks, none of them empty.
    fn chunks(&self) -> impl DoubleEndedIterator<Item = &[EdgeNo]> + Clone {
        let (one, many): (&[EdgeNo], &[Vec<EdgeNo>]) = match self {
            Self::Empty => (&[], &[]),
            Self::One(numbers) => (numbers, &[]),
            Self::Two(numbers) => (numbers, &[]),
            Self::Few(numbers) => (numbers, &[]),
            Self::Many(chunks) => (&[], chunks),
        };
        Some(one).filter(|one| !one.is_empty()).into_iter().chain(many.iter().map(Vec::as_slice))
    }

    /// All of them, in order.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = EdgeNo> {
        self.chunks().flatten().copied()
    }

    /// How many there are; takes a moment for each chunk.
    pub(super) fn len(&self) -> usize {
        self.chunks().map(<[EdgeNo]>::len).sum()
    }

    /// The last one whose key is below `bound`.
    pub(super) fn before<K: Ord>(&self, bound: &K, key: impl Fn(EdgeNo) -> K) -> Option<EdgeNo> {
        let chunk = if let Self::Many(chunks) = self {
            let below = chunks.partition_point(|chunk| chunk.first().is_some_and(|&first| key(first) < *bound));
            chunks.get(below.checked_sub(1)?)?
        } else {
            self.chunks().next()?
        };
        chunk.get(chunk.partition_point(|&number| key(number) < *bound).checked_sub(1)?).copied()
    }

    /// The first one whose key is above `bound`.
    pub(super) fn after<K: Ord>(&self, bound: &K, key: impl Fn(EdgeNo) -> K) -> Option<EdgeNo> {
        let chunk = if let Self::Many(chunks) = self {
            let not_above = chunks.partition_point(|chunk| chunk.last().is_some_and(|&last| key(last) <= *bound));
            chunks.get(not_above)?
        } else {
            self.chunks().next()?
        };
        chunk.get(chunk.partition_point(|&number| key(number) <= *bound)).copied()
    }

    /// Those between two bounds, as slices in order.
    pub(super) fn between<K: Ord>(
        &self,
        bounds: (Bound<K>, Bound<K>),
        key: impl Fn(EdgeNo) -> K,
    ) -> impl DoubleEndedIterator<Item = &[EdgeNo]> {
        let (low, high) = bounds;
        let too_low = move |key: &K| match &low {
            Bound::Included(low) => key < low,
            Bound::Excluded(low) => key <= low,
            Bound::Unbounded => false,
        };
        let low_enough = move |key: &K| match &high {
            Bound::Included(high) => key <= high,
            Bound::Excluded(high) => key < high,
            Bound::Unbounded => true,
        };
        let chunks: &[Vec<EdgeNo>] = if let Self::Many(chunks) = self { chunks } else { &[] };
        let first = chunks.partition_point(|chunk| chunk.last().is_some_and(|&last| too_low(&key(last))));
        let end = chunks.partition_point(|chunk| chunk.first().is_some_and(|&first| low_enough(&key(first))));
        let small = if chunks.is_empty() { self.chunks().next() } else { None };
        let inner = chunks.get(first..end).unwrap_or_default();
        let last = inner.len().saturating_sub(1);
        small
            .into_iter()
            .map(|chunk| (true, true, chunk))
            .chain(inner.iter().enumerate().map(move |(index, chunk)| (index == 0, index == last, chunk.as_slice())))
            .map(move |(cut_low, cut_high, chunk)| {
                let begin = if cut_low { chunk.partition_point(|&number| too_low(&key(number))) } else { 0 };
                let end = if cut_high { chunk.partition_point(|&number| low_enough(&key(number))) } else { chunk.len() };
                chunk.get(begin..end).unwrap_or_default()
            })
    }

    /// Adds a number, which is not there, in its place.
    pub(super) fn insert<K: Ord>(&mut self, number: EdgeNo, key: impl Fn(EdgeNo) -> K) {
        let new = key(number);
        *self = match std::mem::take(self) {
            Self::Empty => Self::One([number]),
            Self::One([other]) => Self::Two(if key(other) < new { [other, number] } else { [number, other] }),
            Self::Two(two) => {
                let mut numbers = Vec::with_capacity(4);
                numbers.extend(two);
                place(&mut numbers, number, &new, key);
                Self::Few(Box::new(numbers))
            }
            Self::Few(mut numbers) => {
                place(&mut numbers, number, &new, key);
                if numbers.len() > CHUNK_MAX {
                    let upper = numbers.split_off(CHUNK_MAX / 2);
                    Self::Many(Box::new(vec![*numbers, upper]))
                } else {
                    Self::Few(numbers)
                }
            }
            Self::Many(mut chunks) => {
                insert_into(&mut chunks, number, &new, key);
                Self::Many(chunks)
            }
        };
    }

    /// Takes a number out, if it is there; its key must be what it was when it came in.
    pub(super) fn remove<K: Ord>(&mut self, number: EdgeNo, key: impl Fn(EdgeNo) -> K) {
        *self = match std::mem::take(self) {
            Self::One([only]) if only == number => Self::Empty,
            Self::Two([one, other]) if one == number => Self::One([other]),
            Self::Two([one, other]) if other == number => Self::One([one]),
            Self::Few(mut numbers) => {
                let old = key(number);
                take(&mut numbers, number, &old, key);
                Self::few(numbers)
            }
            Self::Many(mut chunks) => {
                let old = key(number);
                let below = chunks.partition_point(|chunk| chunk.first().is_some_and(|&first| key(first) <= old));
                let index = below.saturating_sub(1);
                if let Some(chunk) = chunks.get_mut(index) {
                    take(chunk, number, &old, key);
                    if chunk.is_empty() {
                        chunks.remove(index);
                    }
                }
                match chunks.as_mut_slice() {
                    // It may have one number or two.
                    [only] => Self::few(Box::new(std::mem::take(only))),
                    _ => Self::Many(chunks),
                }
            }
            same => same,
        };
    }

    /// Those of one chunk.
    #[expect(clippy::box_collection, reason = "as the enum has it")]
    fn few(numbers: Box<Vec<EdgeNo>>) -> Self {
        match *numbers.as_slice() {
            [] => Self::Empty,
            [only] => Self::One([only]),
            [one, other] => Self::Two([one, other]),
            _ => Self::Few(numbers),
        }
    }
}

fn place<K: Ord>(numbers: &mut Vec<EdgeNo>, number: EdgeNo, new: &K, key: impl Fn(EdgeNo) -> K) {
    match numbers.last() {
        Some(&last) if key(last) > *new => {
            let position = numbers.partition_point(|&other| key(other) < *new);
            numbers.insert(position, number);
        }
        _ => numbers.push(number),
    }
}

fn take<K: Ord>(numbers: &mut Vec<EdgeNo>, number: EdgeNo, old: &K, key: impl Fn(EdgeNo) -> K) {
    let position = numbers.partition_point(|&other| key(other) < *old);
    if numbers.get(position) == Some(&number) {
        numbers.remove(position);
    }
}

fn insert_into<K: Ord>(chunks: &mut Vec<Vec<EdgeNo>>, number: EdgeNo, new: &K, key: impl Fn(EdgeNo) -> K) {
    let appends = chunks.last().and_then(|chunk| chunk.last()).is_none_or(|&last| key(last) < *new);
    if appends && chunks.last().is_none_or(|chunk| chunk.len() >= CHUNK_MAX) {
        chunks.push(vec![number]);
        return;
    }
    let index = if appends {
        chunks.len().saturating_sub(1)
    } else {
        chunks.partition_point(|chunk| chunk.first().is_some_and(|&first| key(first) < *new)).saturating_sub(1)
    };
    let Some(chunk) = chunks.get_mut(index) else { return };
    place(chunk, number, new, key);
    if chunk.len() > CHUNK_MAX {
        let upper = chunk.split_off(CHUNK_MAX / 2);
        chunks.insert(index + 1, upper);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::number::Number as _;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn is_small() {
        assert_eq!(size_of::<Seq>(), 16);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn is_a_sorted_set(keys in prop::collection::vec(0u64..4000, 1..2500), remove in prop::collection::vec(any::<prop::sample::Index>(), 0..2500), bounds in prop::collection::vec(0u64..4000, 9), descending in any::<bool>()) {
            let mut keys = keys;
            if descending {
                keys.sort_unstable_by(|a, b| b.cmp(a));
            }
            let number = |place: usize| EdgeNo::from_index(u32::try_from(place).unwrap()).unwrap();
            let key = |number: EdgeNo| (keys[number.index() as usize], number);
            let (mut seq, mut model) = (Seq::default(), BTreeSet::new());
            for number in (0..keys.len()).map(number) {
                seq.insert(number, key);
                model.insert(key(number));
            }
            for number in remove.into_iter().map(|index| number(index.index(keys.len()))) {
                model.remove(&key(number));
                seq.remove(number, key);
            }
            prop_assert_eq!(seq.iter().collect::<Vec<_>>(), model.iter().map(|key| key.1).collect::<Vec<_>>());
            prop_assert_eq!((seq.len(), seq.is_empty()), (model.len(), model.is_empty()));
            // Keys that are there, those before them and those behind, and ones between.
            let of_some = |bound: u64| key(number(usize::try_from(bound).unwrap() % keys.len()));
            let bounds = bounds.windows(2).map(|pair| (pair[0], pair[1])).flat_map(|(one, other)| {
                [((one, EdgeNo::MIN), (other, EdgeNo::MIN)), (of_some(one), of_some(other)), ((one, EdgeNo::MAX), of_some(other))]
            });
            for (one, other) in bounds {
                let (low, high) = (one.min(other), one.max(other));
                prop_assert_eq!(seq.before(&high, key), model.range(..high).next_back().map(|key| key.1));
                prop_assert_eq!(seq.after(&low, key), model.range((Bound::Excluded(low), Bound::Unbounded)).next().map(|key| key.1));
                let between: Vec<EdgeNo> = seq.between((Bound::Excluded(low), Bound::Excluded(high)), key).flatten().copied().collect();
                prop_assert_eq!(between, if low == high { Vec::new() } else { model.range((Bound::Excluded(low), Bound::Excluded(high))).map(|key| key.1).collect() });
                let within: Vec<EdgeNo> = seq.between((Bound::Included(low), Bound::Included(high)), key).flatten().copied().collect();
                prop_assert_eq!(within, model.range(low..=high).map(|key| key.1).collect::<Vec<_>>());
                let all: Vec<EdgeNo> = seq.between((Bound::Included(low), Bound::Unbounded), key).flatten().copied().collect();
                prop_assert_eq!(all, model.range(low..).map(|key| key.1).collect::<Vec<_>>());
            }
            for (_, number) in &model {
                prop_assert_eq!(seq.before(&key(*number), key), model.range(..key(*number)).next_back().map(|key| key.1));
                prop_assert_eq!(seq.after(&key(*number), key), model.range((Bound::Excluded(key(*number)), Bound::Unbounded)).next().map(|key| key.1));
            }
            let numbers: Vec<EdgeNo> = model.iter().map(|key| key.1).collect();
            for (&number, left) in numbers.iter().zip((0..numbers.len()).rev()) {
                seq.remove(number, key);
                // And once more, when it is not there.
                seq.remove(number, key);
                prop_assert_eq!((seq.len(), seq.is_empty()), (left, left == 0));
            }
        }
    }

    #[test]
    fn what_comes_in_order_fills_its_chunks() {
        let count = 20 * CHUNK_MAX;
        let mut seq = Seq::default();
        for number in 0..u32::try_from(count).unwrap() {
            seq.insert(EdgeNo::from_index(number).unwrap(), |number| number);
        }
        assert_eq!((seq.len(), seq.chunks().count()), (count, 20 + 1));
    }
}
