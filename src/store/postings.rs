//! Which series carry a label value: up to two inline, else a compressed bitmap.

use roaring::RoaringBitmap;

/// So few are added one by one, which is cheaper than a union of bitmaps.
const FEW: u64 = 16;

/// A set of series numbers. Most values of an identifying label are on one series, or on those of a start and a stop, so
/// those cases take no heap.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Postings {
    #[default]
    None,
    One(u32),
    Two(u32, u32),
    Many(Box<RoaringBitmap>),
}

impl Postings {
    pub(super) fn insert(&mut self, series: u32) {
        match self {
            Self::None => *self = Self::One(series),
            Self::One(one) if *one != series => *self = Self::Two(*one, series),
            Self::Two(one, other) if *one != series && *other != series => {
                *self = Self::Many(Box::new([*one, *other, series].into_iter().collect()));
            }
            Self::One(_) | Self::Two(..) => {}
            Self::Many(bitmap) => {
                bitmap.insert(series);
            }
        }
    }

    pub(super) fn remove(&mut self, series: u32) {
        match self {
            Self::One(only) if *only == series => *self = Self::None,
            Self::Two(one, other) if *one == series => *self = Self::One(*other),
            Self::Two(one, other) if *other == series => *self = Self::One(*one),
            Self::Many(bitmap) => {
                bitmap.remove(series);
                if bitmap.is_empty() {
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
            Self::Many(bitmap) => bitmap.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Adds these to `into`; few ones go to `singles`, which the caller adds in one go.
    pub(super) fn add_to(&self, into: &mut RoaringBitmap, singles: &mut Vec<u32>) {
        match self {
            Self::Many(bitmap) if bitmap.len() > FEW => *into |= &**bitmap,
            _ => self.for_each(|series| singles.push(series)),
        }
    }

    /// Keeps in `set` only what is also here.
    pub(super) fn intersect(&self, set: &mut RoaringBitmap) {
        match self {
            Self::Many(bitmap) => *set &= &**bitmap,
            _ => *set &= self.to_bitmap(),
        }
    }

    pub(super) fn to_bitmap(&self) -> RoaringBitmap {
        if let Self::Many(bitmap) = self {
            return (**bitmap).clone();
        }
        let mut found = RoaringBitmap::new();
        self.for_each(|series| {
            found.insert(series);
        });
        found
    }

    fn for_each(&self, mut visit: impl FnMut(u32)) {
        match self {
            Self::None => {}
            Self::One(only) => visit(*only),
            Self::Two(one, other) => [*one, *other].into_iter().for_each(visit),
            Self::Many(bitmap) => bitmap.iter().for_each(visit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn holds_what_a_set_holds(changes in prop::collection::vec((any::<bool>(), 0u32..24), 0..60), others in prop::collection::btree_set(0u32..24, 0..24)) {
            let (mut postings, mut model) = (Postings::default(), BTreeSet::new());
            for (inserts, series) in changes {
                if inserts {
                    postings.insert(series);
                    model.insert(series);
                } else {
                    postings.remove(series);
                    model.remove(&series);
                }
                prop_assert_eq!(postings.len(), model.len() as u64);
                prop_assert_eq!(postings.is_empty(), model.is_empty());
                prop_assert_eq!(postings.to_bitmap().into_iter().collect::<BTreeSet<_>>(), model.clone());
                let (mut all, mut singles) = (RoaringBitmap::new(), Vec::new());
                postings.add_to(&mut all, &mut singles);
                all.extend(singles);
                prop_assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), model.clone());
                let mut both: RoaringBitmap = others.iter().copied().collect();
                postings.intersect(&mut both);
                prop_assert_eq!(both.into_iter().collect::<BTreeSet<_>>(), &model & &others);
            }
        }
    }
}
