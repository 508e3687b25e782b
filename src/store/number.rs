//! Numbers of rows, each of a type of its own, so that none is taken for another, and sets of them.

use roaring::RoaringBitmap;
use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::ops::BitAnd;
use std::ops::BitAndAssign;
use std::ops::BitOr;
use std::ops::BitOrAssign;
use std::ops::Range;
use std::ops::Sub;

/// The number of a row in one kind of table.
pub(super) trait Number: Copy + Ord {
    /// The least, and the greatest: where a range of them begins and ends.
    const MIN: Self;
    const MAX: Self;

    /// The number of the row at this index, counted from 0. `None` behind the last that there can be.
    fn from_index(index: u32) -> Option<Self>;

    /// The index of its row.
    fn index(self) -> u32;
}

/// Defines kinds of numbers. None of them takes room beside: an `Option` of one is as large as it is.
macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(in crate::store) struct $name(NonZeroU32);

        impl Number for $name {
            const MIN: Self = Self(NonZeroU32::MIN);
            const MAX: Self = Self(NonZeroU32::MAX);

            fn from_index(index: u32) -> Option<Self> {
                index.checked_add(1).and_then(NonZeroU32::new).map(Self)
            }

            fn index(self) -> u32 {
                self.0.get() - 1
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.index())
            }
        }
    )*};
}

numbers! {
    /// An edge of a tenant.
    EdgeNo;
    /// A series of a tenant.
    SeriesNo;
    /// What some edges of a tenant pair by.
    IdentityNo;
    /// A supersede group of a tenant.
    GroupNo;
    /// A value of a label.
    ValueNo;
}

/// A set of numbers, compressed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Set<N>(RoaringBitmap, PhantomData<N>);

impl<N> Default for Set<N> {
    fn default() -> Self {
        Self(RoaringBitmap::new(), PhantomData)
    }
}

impl<N: Number> Set<N> {
    pub(super) fn insert(&mut self, number: N) {
        self.0.insert(number.index());
    }

    pub(super) fn remove(&mut self, number: N) {
        self.0.remove(number.index());
    }

    pub(super) fn contains(&self, number: N) -> bool {
        self.0.contains(number.index())
    }

    pub(super) fn len(&self) -> u64 {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// All of them, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = N> {
        self.0.iter().filter_map(N::from_index)
    }

    /// The least.
    pub(super) fn first(&self) -> Option<N> {
        self.0.min().and_then(N::from_index)
    }

    /// Takes out those that have these indexes.
    pub(super) fn remove_range(&mut self, indexes: Range<usize>) {
        let [start, end] = [indexes.start, indexes.end].map(|index| u32::try_from(index).unwrap_or(u32::MAX));
        self.0.remove_range(start..end);
    }

    /// Adds numbers in any order, each once or more.
    pub(super) fn add_all(&mut self, mut numbers: Vec<N>) {
        // They often come in a few ascending stretches, which this sort makes use of.
        numbers.sort();
        numbers.dedup();
        if let Ok(bitmap) = RoaringBitmap::from_sorted_iter(numbers.into_iter().map(N::index)) {
            self.0 |= bitmap;
        }
    }
}

impl<N: Number> FromIterator<N> for Set<N> {
    fn from_iter<I: IntoIterator<Item = N>>(numbers: I) -> Self {
        Self(numbers.into_iter().map(N::index).collect(), PhantomData)
    }
}

impl<N> BitOrAssign<&Self> for Set<N> {
    fn bitor_assign(&mut self, other: &Self) {
        self.0 |= &other.0;
    }
}

impl<N> BitAndAssign<&Self> for Set<N> {
    fn bitand_assign(&mut self, other: &Self) {
        self.0 &= &other.0;
    }
}

impl<N> BitOr for Set<N> {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0, PhantomData)
    }
}

impl<N> BitAnd for Set<N> {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0, PhantomData)
    }
}

impl<N> Sub for Set<N> {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0, PhantomData)
    }
}
