//! When places on a page begin: slots of time, each knowing which series begin a place in it.
//!
//! Keeps the pace. In any window of `SLOTS + 1` slots, and so in any span as long as the hold, at most `limit` places
//! begin; what came in long after it happened may take only four fifths of that, so that an import never blocks the
//! present. A slot may take the whole window's share: bursts up to the limit appear at once.
//! Not for the order of the samples of one series: that is `queue`.

use super::Sizes;
use super::queue::Class;
use super::queue::On;
use super::queue::Place;
use crate::time::Timestamp;
use crate::time::millis_of;
use std::collections::BTreeMap;

/// Slots in a hold. More of them come closer to `limit` places per hold and cost more to look at.
const SLOTS: i64 = 20;
/// Fewer entries in vain than this stay in a slot.
const STALE_MAX: u32 = 64;
/// Slots that share a window with a given one, and the slot itself.
const NEIGHBOURS: usize = 41;

/// The places of one schedule by the time when they begin.
#[derive(Debug)]
pub(super) struct Timeline {
    pub(super) grid: Grid,
    limits: [u32; 2],
    slots: BTreeMap<i64, Slot>,
    hints: [Hint; 2],
    untidy: Vec<i64>,
}

/// How time is cut into slots.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    width: i64,
}

/// The places that begin within one slot.
#[derive(Debug, Default)]
pub(super) struct Slot {
    taken: u32,
    stale: u32,
    queued: u32,
    scheduled: u32,
    /// The series of these places; some may have been placed anew since, some are there twice.
    pub(super) series: Vec<u32>,
}

/// What the last search found: no slot in `from..to` has room, `to` has room for `room` more at least.
#[derive(Clone, Copy, Debug, Default)]
struct Hint {
    from: i64,
    to: i64,
    room: u32,
}

impl Grid {
    /// The slot of a moment.
    pub(super) fn slot_of(self, moment: Timestamp) -> i64 {
        moment.millis().div_euclid(self.width)
    }

    /// When a slot begins.
    pub(super) fn begin_of(self, slot: i64) -> Timestamp {
        Timestamp::from_millis(slot.saturating_mul(self.width))
    }
}

impl Timeline {
    pub(super) fn new(sizes: &Sizes) -> Self {
        let limit = u32::try_from(sizes.samples_max).unwrap_or(u32::MAX).max(1);
        Self {
            grid: Grid { width: (millis_of(sizes.hold) + SLOTS - 1).div_euclid(SLOTS).max(1) },
            limits: [limit, limit - limit / 5],
            slots: BTreeMap::new(),
            hints: [Hint::default(); 2],
            untidy: Vec::new(),
        }
    }

    /// How many places begin in each slot; the rest follows from these and the lines, or only makes looking faster.
    #[cfg(test)]
    pub(super) fn state(&self) -> impl Iterator<Item = (i64, u32)> {
        let Self { grid: _, limits: _, slots, hints: _, untidy: _ } = self;
        slots.iter().filter(|(_, slot)| slot.taken > 0).map(|(at, slot)| (*at, slot.taken))
    }

    /// The earliest moment, not before `earliest`, at which the pace allows one more place to begin.
    pub(super) fn find(&mut self, earliest: Timestamp, class: Class) -> Timestamp {
        let limit = self.limits.get(class as usize).copied().unwrap_or(1);
        let mut hint = self.hints.get(class as usize).copied().unwrap_or_default();
        let wanted = self.grid.slot_of(earliest);
        let mut slot = wanted;
        if (hint.from..=hint.to).contains(&slot) {
            slot = hint.to;
        } else {
            hint = Hint { from: wanted, to: wanted, room: 0 };
        }
        while hint.room == 0 {
            match self.room(slot, limit) {
                Ok(room) => hint = Hint { to: slot, room, ..hint },
                Err(next) => slot = next,
            }
        }
        if let Some(remembered) = self.hints.get_mut(class as usize) {
            *remembered = hint;
        }
        earliest.max(self.grid.begin_of(slot))
    }

    /// How many more places may begin in `slot`, or the next slot that could have room.
    fn room(&self, slot: i64, limit: u32) -> Result<u32, i64> {
        let first = slot.saturating_sub(SLOTS);
        let mut taken = [0_u32; NEIGHBOURS];
        for (neighbour, there) in self.slots.range(first..=slot.saturating_add(SLOTS)) {
            let index = usize::try_from(neighbour.saturating_sub(first)).unwrap_or(0);
            if let Some(count) = taken.get_mut(index) {
                *count = there.taken;
            }
        }
        let mut most = 0;
        for (start, window) in (first..=slot).rev().zip(taken.windows(NEIGHBOURS / 2 + 1).rev()) {
            let sum: u32 = window.iter().fold(0, |sum, count| sum.saturating_add(*count));
            if sum >= limit {
                return Err(start.saturating_add(SLOTS + 1).max(slot.saturating_add(1)));
            }
            most = most.max(sum);
        }
        Ok(limit - most)
    }

    /// A place of `series` begins when it says.
    pub(super) fn take(&mut self, series: u32, place: &Place) {
        let at = self.grid.slot_of(place.exposed);
        let slot = self.slots.entry(at).or_default();
        slot.taken = slot.taken.saturating_add(1);
        slot.series.push(series);
        slot.count(place, 1);
        for hint in &mut self.hints {
            if hint.to.abs_diff(at) <= SLOTS.unsigned_abs() {
                hint.room = hint.room.saturating_sub(1);
            }
        }
    }

    /// A place that was taken will not be used; its room is free again.
    pub(super) fn release(&mut self, place: &Place) {
        let at = self.grid.slot_of(place.exposed);
        if let Some(slot) = self.slots.get_mut(&at) {
            slot.taken = slot.taken.saturating_sub(1);
            slot.count(place, -1);
        }
        self.displaced(place);
        self.hints = [Hint::default(); 2];
    }

    /// Another sample took over a place that still waits.
    pub(super) fn hand_over(&mut self, from: &Place, to: &Place) {
        if let Some(slot) = self.slots.get_mut(&self.grid.slot_of(from.exposed)) {
            slot.count(from, -1);
            slot.count(to, 1);
        }
    }

    /// A place gave way to another one, so that its slot names its series in vain.
    pub(super) fn displaced(&mut self, place: &Place) {
        let at = self.grid.slot_of(place.exposed);
        if let Some(slot) = self.slots.get_mut(&at) {
            slot.stale = slot.stale.saturating_add(1);
            if slot.stale >= STALE_MAX && slot.stale as usize * 2 > slot.series.len() {
                self.untidy.push(at);
            }
        }
    }

    /// A slot of whose entries most are in vain; asked for until there is none.
    pub(super) fn untidy(&mut self) -> Option<(i64, &mut Slot)> {
        while let Some(at) = self.untidy.pop() {
            if self.slots.get(&at).is_some_and(|slot| slot.stale >= STALE_MAX) {
                return self.slots.get_mut(&at).map(|slot| (at, slot));
            }
        }
        None
    }

    /// Takes out the first slot when it ended before `moment`.
    pub(super) fn pop_before(&mut self, moment: Timestamp) -> Option<Slot> {
        let first = self.slots.first_entry()?;
        (*first.key() < self.grid.slot_of(moment)).then(|| first.remove())
    }

    /// The slots from `first` on that have a place, by time, up to `last`.
    pub(super) fn slots(&self, first: i64, last: i64) -> impl DoubleEndedIterator<Item = (i64, &Slot)> {
        self.slots.range(first.min(last)..=last).map(|(slot, there)| (*slot, there))
    }

    /// How many places after the slot of `now` wait for their predecessor or the pace, and how many for their own time.
    pub(super) fn waiting(&self, now: Timestamp) -> (usize, usize) {
        let after = self.slots.range(self.grid.slot_of(now).saturating_add(1)..).map(|(_, slot)| slot);
        after.fold((0, 0), |(queued, scheduled), slot| (queued + slot.queued as usize, scheduled + slot.scheduled as usize))
    }

    /// When the last place begins that waits for its predecessor or the pace.
    pub(super) fn last_queued(&self) -> Option<Timestamp> {
        self.slots.iter().rev().find(|(_, slot)| slot.queued > 0).map(|(slot, _)| self.grid.begin_of(*slot))
    }
}

impl Slot {
    /// Keeps the entries of the series that have a place in this slot.
    pub(super) fn tidy(&mut self, lives: impl Fn(u32) -> bool) {
        self.stale = 0;
        self.series.sort_unstable();
        self.series.dedup();
        self.series.retain(|series| lives(*series));
        self.series.shrink_to_fit();
    }

    fn count(&mut self, place: &Place, by: i32) {
        if place.is_on(On::Plain) {
            let count = if place.exposed == place.at { &mut self.scheduled } else { &mut self.queued };
            *count = count.saturating_add_signed(by);
        }
    }
}
