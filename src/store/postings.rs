//! Which series carry a label value: one inline when there is one, else a compressed bitmap.

use roaring::RoaringBitmap;

/// A set of series numbers. Most values of an identifying label are on one series only, so that case takes no heap.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Postings {
    #[default]
    None,
    One(u32),
    Many(Box<RoaringBitmap>),
}

impl Postings {
    pub(super) fn insert(&mut self, series: u32) {
        match self {
            Self::None => *self = Self::One(series),
            Self::One(only) if *only == series => {}
            Self::One(only) => *self = Self::Many(Box::new([*only, series].into_iter().collect())),
            Self::Many(bitmap) => {
                bitmap.insert(series);
            }
        }
    }

    pub(super) fn remove(&mut self, series: u32) {
        match self {
            Self::One(only) if *only == series => *self = Self::None,
            Self::Many(bitmap) => {
                bitmap.remove(series);
                if bitmap.is_empty() {
                    *self = Self::None;
                }
            }
            Self::None | Self::One(_) => {}
        }
    }

    pub(super) fn len(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::One(_) => 1,
            Self::Many(bitmap) => bitmap.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Adds these to `into`; single ones go to `singles`, which the caller adds in one go.
    pub(super) fn add_to(&self, into: &mut RoaringBitmap, singles: &mut Vec<u32>) {
        match self {
            Self::None => {}
            Self::One(only) => singles.push(*only),
            Self::Many(bitmap) => *into |= &**bitmap,
        }
    }

    /// Keeps in `set` only what is also here.
    pub(super) fn intersect(&self, set: &mut RoaringBitmap) {
        match self {
            Self::None => set.clear(),
            Self::One(only) => {
                let kept = set.contains(*only);
                set.clear();
                if kept {
                    set.insert(*only);
                }
            }
            Self::Many(bitmap) => *set &= &**bitmap,
        }
    }

    pub(super) fn to_bitmap(&self) -> RoaringBitmap {
        match self {
            Self::None => RoaringBitmap::new(),
            Self::One(only) => std::iter::once(*only).collect(),
            Self::Many(bitmap) => (**bitmap).clone(),
        }
    }
}
