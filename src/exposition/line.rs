//! All places of one series, compact. Not for what puts them in order: that is `queues`.

use super::place::On;
use super::place::Place;
use crate::time::Timestamp;

/// The places of a series, by `exposed`. Either all are on both kinds of page, or none is.
#[derive(Clone, Debug)]
pub(super) enum Line {
    /// A single one, as most series have: no allocation.
    One(Place),
    /// Any number.
    Many(Vec<Place>),
}

impl Default for Line {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Line {
    /// Of places by `exposed`.
    pub(super) fn of(places: Vec<Place>) -> Self {
        match *places {
            [place] => Self::One(place),
            _ => Self::Many(places),
        }
    }

    /// Its places, by `exposed`.
    pub(super) fn places(&self) -> &[Place] {
        match self {
            Self::One(place) => std::slice::from_ref(place),
            Self::Many(places) => places,
        }
    }

    /// How much memory it takes beside itself, about.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::One(_) => 0,
            Self::Many(places) => allocated(places.capacity() * size_of::<Place>()),
        }
    }

    /// Whether it has no place.
    pub(super) fn is_empty(&self) -> bool {
        self.places().is_empty()
    }

    /// What a kind of page shows at `now`, whatever its age.
    pub(super) fn current(&self, on: On, now: Timestamp) -> Option<&Place> {
        self.begun(now).0.iter().rev().find(|place| place.is_on(on))
    }

    /// The earliest place on a kind of page after `now`.
    pub(super) fn next(&self, on: On, now: Timestamp) -> Option<&Place> {
        self.begun(now).1.iter().find(|place| place.is_on(on))
    }

    /// The places that have begun at `now`, and those that have not.
    fn begun(&self, now: Timestamp) -> (&[Place], &[Place]) {
        let places = self.places();
        places.split_at(places.partition_point(|place| place.exposed <= now))
    }
}

/// What an allocator sets aside for so many bytes: its sizes are an eighth apart.
pub(super) const fn allocated(bytes: usize) -> usize {
    let step = (bytes.next_power_of_two() / 16).next_multiple_of(8);
    bytes.next_multiple_of(if step == 0 { 8 } else { step })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_allocator_sets_aside() {
        for (bytes, expected) in [(0, 0), (1, 8), (40, 40), (64, 64), (65, 72), (320, 320), (330, 352), (40_000, 40_960)] {
            assert_eq!(allocated(bytes), expected, "{bytes}");
        }
    }
}
