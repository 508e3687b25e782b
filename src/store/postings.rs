//! Which series carry a label value, or which anchors a tag: up to two inline, else a compressed set.

use super::number::Number;
use super::number::Set;

/// So few are added one by one, which is cheaper than a union of sets.
const FEW: u64 = 16;

/// A set of numbers. Most values of an identifying label are on one series, or on those of a start and a stop, so
/// those cases take no heap.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Postings<N> {
    #[default]
    None,
    One(N),
    Two(N, N),
    Many(Box<Set<N>>),
}

impl<N: Number> Postings<N> {
    pub(super) fn insert(&mut self, number: N) {
        match self {
            Self::None => *self = Self::One(number),
            Self::One(one) if *one != number => *self = Self::Two(*one, number),
            Self::Two(one, other) if *one != number && *other != number => {
                *self = Self::Many(Box::new([*one, *other, number].into_iter().collect()));
            }
            Self::One(_) | Self::Two(..) => {}
            Self::Many(many) => {
                many.insert(number);
            }
        }
    }

    pub(super) fn remove(&mut self, number: N) {
        match self {
            Self::One(only) if *only == number => *self = Self::None,
            Self::Two(one, other) if *one == number => *self = Self::One(*other),
            Self::Two(one, other) if *other == number => *self = Self::One(*one),
            Self::Many(many) => {
                many.remove(number);
                if many.is_empty() {
                    *self = Self::None;
                }
            }
            Self::None | Self::One(_) | Self::Two(..) => {}
        }
    }

    pub(super) fn len(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::One(_) => 1,
            Self::Two(..) => 2,
            Self::Many(many) => many.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Adds these to `into`; few ones go to `singles`, which the caller adds in one go.
    pub(super) fn add_to(&self, into: &mut Set<N>, singles: &mut Vec<N>) {
        match self {
            Self::Many(many) if many.len() > FEW => *into |= &**many,
            _ => self.for_each(|number| singles.push(number)),
        }
    }

    /// Keeps in `set` only what is also here.
    pub(super) fn intersect(&self, set: &mut Set<N>) {
        match self {
            Self::Many(many) => *set &= &**many,
            _ => *set &= &self.to_set(),
        }
    }

    pub(super) fn to_set(&self) -> Set<N> {
        if let Self::Many(many) = self {
            return (**many).clone();
        }
        let mut found = Set::default();
        self.for_each(|number| {
            found.insert(number);
        });
        found
    }

    /// The first of them, so many at most.
    pub(super) fn first(&self, most: usize) -> Vec<N> {
        match self {
            Self::Many(many) => many.iter().take(most).collect(),
            Self::None => Vec::new(),
            Self::One(only) => vec![*only],
            Self::Two(one, other) => vec![*one, *other],
        }
    }

    fn for_each(&self, mut visit: impl FnMut(N)) {
        match self {
            Self::None => {}
            Self::One(only) => visit(*only),
            Self::Two(one, other) => [*one, *other].into_iter().for_each(visit),
            Self::Many(many) => many.iter().for_each(visit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::number::SeriesNo;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn number(place: u32) -> SeriesNo {
        SeriesNo::from_index(place).unwrap()
    }

    #[test]
    fn one_or_two_take_no_heap_however_often_they_come() {
        let mut postings = Postings::default();
        for (place, expected) in [(1, Postings::One(number(1))), (2, Postings::Two(number(1), number(2)))] {
            for again in 1..=place {
                postings.insert(number(again));
                postings.insert(number(place));
            }
            assert_eq!(postings, expected);
        }
    }

    proptest! {
        #[test]
        fn holds_what_a_set_holds(changes in prop::collection::vec((any::<bool>(), 0u32..24), 0..60), others in prop::collection::btree_set(0u32..24, 0..24)) {
            let (mut postings, mut model) = (Postings::default(), BTreeSet::new());
            for (inserts, series) in changes.into_iter().map(|(inserts, place)| (inserts, number(place))) {
                if inserts {
                    postings.insert(series);
                    model.insert(series);
                } else {
                    postings.remove(series);
                    model.remove(&series);
                }
                prop_assert_eq!(postings.len(), model.len() as u64);
                prop_assert_eq!(postings.is_empty(), model.is_empty());
                prop_assert_eq!(postings.to_set().iter().collect::<BTreeSet<_>>(), model.clone());
                let (mut all, mut singles) = (Set::default(), Vec::new());
                postings.add_to(&mut all, &mut singles);
                all.add_all(singles);
                prop_assert_eq!(all.iter().collect::<BTreeSet<_>>(), model.clone());
                let others: BTreeSet<SeriesNo> = others.iter().copied().map(number).collect();
                let mut both: Set<SeriesNo> = others.iter().copied().collect();
                postings.intersect(&mut both);
                prop_assert_eq!(both.iter().collect::<BTreeSet<_>>(), &model & &others);
            }
        }
    }
}
