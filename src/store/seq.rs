//! Numbers of edges in an order that a key gives, which is looked up, and no two have the same: most lists have one or two and
//! take no heap, and a long one is cut into pieces, so that any place of it is found and changed in a time that hardly grows
//! with its length.

use super::number::EdgeNo;
use super::pieces::CHUNK_MAX;
use super::pieces::Pieces;
use super::steps;
use std::ops::Bound;

/// Numbers in order.
#[derive(Debug, Default)]
pub(super) enum Seq {
    #[default]
    Empty,
    One([EdgeNo; 1]),
    Two([EdgeNo; 2]),
    #[expect(clippy::box_collection, reason = "keeps the enum at 16 bytes; there are millions")]
    Few(Box<Vec<EdgeNo>>),
    Many(Box<Pieces<EdgeNo>>),
}

impl Seq {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// Those of a list that is in one piece.
    fn few(&self) -> &[EdgeNo] {
        match self {
            Self::Empty | Self::Many(_) => &[],
            Self::One(numbers) => numbers,
            Self::Two(numbers) => numbers,
            Self::Few(numbers) => numbers,
        }
    }

    fn many(&self) -> Option<&Pieces<EdgeNo>> {
        if let Self::Many(pieces) = self { Some(pieces) } else { None }
    }

    /// All of them, in order.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = EdgeNo> {
        self.few().iter().chain(self.many().into_iter().flat_map(Pieces::iter)).copied()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.many().map_or(self.few().len(), Pieces::len)
    }

    /// The last one whose key is below `bound`.
    pub(super) fn before<K: Ord>(&self, bound: &K, key: impl Fn(EdgeNo) -> K) -> Option<EdgeNo> {
        let below = |&number: &EdgeNo| key(number) < *bound;
        match self {
            Self::Many(pieces) => pieces.before(below).copied(),
            _ => self.few().get(self.few().partition_point(below).checked_sub(1)?).copied(),
        }
    }

    /// The first one whose key is above `bound`.
    pub(super) fn after<K: Ord>(&self, bound: &K, key: impl Fn(EdgeNo) -> K) -> Option<EdgeNo> {
        let upto = |&number: &EdgeNo| key(number) <= *bound;
        match self {
            Self::Many(pieces) => pieces.after(upto).copied(),
            _ => self.few().get(self.few().partition_point(upto)).copied(),
        }
    }

    /// Those between two bounds, as slices in order.
    pub(super) fn between<K: Ord>(
        &self,
        (low, high): (Bound<K>, Bound<K>),
        key: impl Fn(EdgeNo) -> K,
    ) -> impl DoubleEndedIterator<Item = &[EdgeNo]> {
        let too_low = |&number: &EdgeNo| match &low {
            Bound::Included(low) => key(number) < *low,
            Bound::Excluded(low) => key(number) <= *low,
            Bound::Unbounded => false,
        };
        let low_enough = |&number: &EdgeNo| match &high {
            Bound::Included(high) => key(number) <= *high,
            Bound::Excluded(high) => key(number) < *high,
            Bound::Unbounded => true,
        };
        let few = self.few();
        let few = few.get(few.partition_point(too_low)..few.partition_point(low_enough));
        let many = self.many().map(|pieces| pieces.between(pieces.place(too_low), pieces.place(low_enough)));
        few.into_iter().chain(many.into_iter().flatten())
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
            Self::Few(numbers) if numbers.len() >= CHUNK_MAX => {
                let mut pieces = Box::new(Pieces::from(*numbers));
                pieces.insert(number, |&other| key(other) < new);
                Self::Many(pieces)
            }
            Self::Few(mut numbers) => {
                place(&mut numbers, number, &new, key);
                Self::Few(numbers)
            }
            Self::Many(mut pieces) => {
                pieces.insert(number, |&other| key(other) < new);
                Self::Many(pieces)
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
                match *numbers.as_slice() {
                    [] => Self::Empty,
                    [only] => Self::One([only]),
                    [one, other] => Self::Two([one, other]),
                    _ => Self::Few(numbers),
                }
            }
            Self::Many(mut pieces) => {
                let old = key(number);
                pieces.remove(|&other| key(other) <= old, |&other| other == number);
                // Far below where they became many, so that they do not go to and fro.
                if pieces.len() <= CHUNK_MAX / 4 { Self::Few(Box::new(pieces.iter().copied().collect())) } else { Self::Many(pieces) }
            }
            same => same,
        };
    }
}

fn place<K: Ord>(numbers: &mut Vec<EdgeNo>, number: EdgeNo, new: &K, key: impl Fn(EdgeNo) -> K) {
    let position = match numbers.last() {
        Some(&last) if key(last) > *new => numbers.partition_point(|&other| key(other) < *new),
        _ => numbers.len(),
    };
    steps::moved((numbers.len() - position) * size_of::<EdgeNo>());
    numbers.insert(position, number);
}

fn take<K: Ord>(numbers: &mut Vec<EdgeNo>, number: EdgeNo, old: &K, key: impl Fn(EdgeNo) -> K) {
    let position = numbers.partition_point(|&other| key(other) < *old);
    if numbers.get(position) == Some(&number) {
        steps::moved((numbers.len() - position) * size_of::<EdgeNo>());
        numbers.remove(position);
        if numbers.len() * 4 <= numbers.capacity() {
            numbers.shrink_to(numbers.len() * 2);
        }
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
        let count = 300 * CHUNK_MAX;
        let mut seq = Seq::default();
        for number in 0..u32::try_from(count).unwrap() {
            seq.insert(EdgeNo::from_index(number).unwrap(), |number| number);
        }
        let Seq::Many(pieces) = &seq else { panic!("so many are in one piece") };
        assert_eq!((seq.len(), pieces.stretches().iter().map(|stretch| stretch.chunks.len()).collect::<Vec<_>>()), (count, vec![256, 44]));
    }
}
