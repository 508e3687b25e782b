//! When places on a page begin: slots of time, each knowing which series begin a place in it.
//!
//! Keeps the pace. In any window of `SLOTS + 1` slots, and so in any span as long as the hold, at most `limit` places
//! begin; what came in long after it happened may take only four fifths of that, so that an import never blocks the
//! present. A slot may take the whole window's share: bursts up to the limit appear at once.
//! Not for the order of the samples of one series: that is `queue`.

use super::line::Line;
use super::load::Load;
use super::options::Sizes;
use super::place::Class;
use super::place::On;
use super::place::Place;
use super::steps;
use crate::time::Timestamp;
use crate::time::millis_of;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// Slots in a hold. More of them come closer to `limit` places per hold and cost more to look at.
const SLOTS: i64 = 20;
/// Slots that share a window with a given one, and the slot itself.
const NEIGHBOURS: usize = 41;
/// What a slot takes, with its share of the tables that know it.
const SLOT_BYTES: usize = 160;
/// What a name takes in a slot.
const NAME_BYTES: usize = 10;

/// The places of one schedule by the time when they begin.
#[derive(Debug)]
pub(super) struct Timeline {
    pub(super) grid: Grid,
    limits: [u32; 2],
    slots: BTreeMap<i64, Slot>,
    /// Slots before this one are forgotten: nobody looks at them, and they are taken out a few at a time.
    cut: i64,
    load: Load,
    /// Slots with a place that waits for its predecessor or the pace.
    queued: BTreeSet<i64>,
    ahead: Ahead,
    hints: [Hint; 2],
    names: usize,
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
    queued: u32,
    scheduled: u32,
    /// The series of these places.
    pub(super) series: BTreeSet<u32>,
}

/// How many places wait in all slots after `slot`.
#[derive(Clone, Copy, Debug)]
struct Ahead {
    slot: i64,
    queued: usize,
    scheduled: usize,
}

/// What the last search found: no slot in `from..to` has room, `to` has room for `room` more at least.
#[derive(Clone, Copy, Debug, Default)]
struct Hint {
    from: i64,
    to: i64,
    room: u32,
}

/// Places of one queue that are being settled anew, each sorted by `exposed`. The timeline hears of it afterwards.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Anew<'a> {
    /// What has its room on the timeline, and gives it up.
    pub(super) before: &'a [Place],
    /// What has taken room instead so far.
    pub(super) after: &'a [Place],
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
        let least = limit - limit / 5;
        Self {
            grid: Grid { width: (millis_of(sizes.hold) + SLOTS - 1).div_euclid(SLOTS).max(1) },
            limits: [limit, least],
            slots: BTreeMap::new(),
            cut: i64::MIN,
            load: Load::new(least),
            queued: BTreeSet::new(),
            ahead: Ahead { slot: i64::MIN, queued: 0, scheduled: 0 },
            hints: [Hint::default(); 2],
            names: 0,
        }
    }

    /// How many places begin in each slot; the rest follows from these and the lines, or only makes looking faster.
    #[cfg(test)]
    pub(super) fn state(&self) -> impl Iterator<Item = (i64, u32)> {
        let Self { grid: _, limits: _, slots, cut, load: _, queued: _, ahead: _, hints: _, names: _ } = self;
        slots.range(cut..).filter(|(_, slot)| slot.taken > 0).map(|(at, slot)| (*at, slot.taken))
    }

    /// What follows from the slots is as they say.
    #[cfg(test)]
    pub(super) fn check(&self) {
        self.load.check(self.slots.iter().map(|(at, slot)| (*at, slot.taken)));
        assert_eq!(self.names, self.slots.values().map(|slot| slot.series.len()).sum::<usize>());
        let queued: BTreeSet<i64> = self.slots.iter().filter(|(_, slot)| slot.queued > 0).map(|(at, _)| *at).collect();
        assert_eq!(self.queued, queued);
        assert!(self.slots.values().all(|slot| slot.taken > 0 || !slot.series.is_empty()), "a slot without places is kept");
    }

    /// How much memory it takes, about.
    pub(super) fn bytes(&self) -> usize {
        self.slots.len() * SLOT_BYTES + self.names * NAME_BYTES
    }

    /// The earliest moment, not before `earliest`, at which the pace allows one more place to begin.
    pub(super) fn find(&mut self, earliest: Timestamp, class: Class, anew: Anew<'_>) -> Timestamp {
        let wanted = self.grid.slot_of(earliest);
        if self.load.is_light(wanted) {
            return earliest;
        }
        let limit = self.limits.get(class as usize).copied().unwrap_or(1);
        let hint = self.hints.get(class as usize).copied().filter(|_| anew.is_empty()).unwrap_or_default();
        let (mut slot, mut from) = (wanted, wanted);
        let mut room = 0;
        if (hint.from..=hint.to).contains(&slot) {
            (slot, from, room) = (hint.to, hint.from, hint.room);
        }
        while room == 0 {
            match self.room(slot, limit, anew) {
                Ok(there) => room = there,
                Err(next) => slot = next,
            }
        }
        if let Some(remembered) = self.hints.get_mut(class as usize).filter(|_| anew.is_empty()) {
            *remembered = Hint { from, to: slot, room };
        }
        earliest.max(self.grid.begin_of(slot))
    }

    /// How many more places may begin in `slot`, or the next slot that could have room.
    fn room(&self, slot: i64, limit: u32, anew: Anew<'_>) -> Result<u32, i64> {
        steps::count();
        let (first, last) = (slot.saturating_sub(SLOTS), slot.saturating_add(SLOTS));
        let mut taken = [0_u32; NEIGHBOURS];
        for (neighbour, there) in self.slots.range(first.max(self.cut)..=last.max(self.cut)) {
            if let Some(count) = usize::try_from(neighbour.saturating_sub(first)).ok().and_then(|index| taken.get_mut(index)) {
                *count = there.taken;
            }
        }
        for (places, by) in [(anew.before, -1), (anew.after, 1)] {
            let begin = places.partition_point(|place| self.grid.slot_of(place.exposed) < first);
            for place in places.iter().skip(begin) {
                let index = usize::try_from(self.grid.slot_of(place.exposed).saturating_sub(first)).unwrap_or(usize::MAX);
                let Some(count) = taken.get_mut(index) else { break };
                *count = count.saturating_add_signed(by);
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

    /// A place begins when it says.
    pub(super) fn take(&mut self, place: &Place) {
        steps::count();
        let at = self.grid.slot_of(place.exposed);
        let slot = self.slots.entry(at).or_default();
        slot.taken = slot.taken.saturating_add(1);
        self.load.add(at, 1);
        self.count(at, place, 1);
        for hint in &mut self.hints {
            if hint.to.abs_diff(at) <= SLOTS.unsigned_abs() {
                hint.room = hint.room.saturating_sub(1);
            }
        }
    }

    /// A place that was taken will not be used; its room is free again.
    pub(super) fn release(&mut self, place: &Place) {
        steps::count();
        let at = self.grid.slot_of(place.exposed);
        let Some(slot) = self.slots.get_mut(&at) else { return };
        slot.taken = slot.taken.saturating_sub(1);
        self.load.add(at, -1);
        self.count(at, place, -1);
        self.drop_empty(at);
        for hint in &mut self.hints {
            if (hint.from.saturating_sub(SLOTS)..=hint.to.saturating_add(SLOTS)).contains(&at) {
                *hint = Hint::default();
            }
        }
    }

    /// What was settled anew is so: releases and takes what differs.
    pub(super) fn settle(&mut self, Anew { before, after }: Anew<'_>) {
        let (mut gone, mut come) = (before.iter().peekable(), after.iter().peekable());
        loop {
            match (gone.peek(), come.peek()) {
                (Some(old), Some(new)) if old == new => {
                    gone.next();
                    come.next();
                }
                (Some(old), new) if new.is_none_or(|new| old.exposed <= new.exposed) => {
                    self.release(old);
                    gone.next();
                }
                (_, Some(new)) => {
                    self.take(new);
                    come.next();
                }
                (_, None) => return,
            }
        }
    }

    /// Another sample took over a place that still waits.
    pub(super) fn hand_over(&mut self, from: &Place, to: &Place) {
        let at = self.grid.slot_of(from.exposed);
        self.count(at, from, -1);
        self.count(at, to, 1);
    }

    /// The series had these places and has those now, each sorted by `exposed`: slots name it accordingly.
    pub(super) fn name(&mut self, series: u32, before: &[Place], after: &[Place]) {
        let grid = self.grid;
        let same = |(old, new): &(&Place, &Place)| old.exposed == new.exposed;
        let head = before.iter().zip(after).take_while(same).count();
        let (before, rest) = (before.get(head..).unwrap_or_default(), after.get(head..).unwrap_or_default());
        let tail = before.iter().rev().zip(rest.iter().rev()).take_while(same).count();
        let but_tail = |places: &[Place]| places.len() - tail;
        for place in before.iter().take(but_tail(before)) {
            steps::count();
            let at = grid.slot_of(place.exposed);
            let next = after.partition_point(|place| grid.slot_of(place.exposed) < at);
            if after.get(next).is_some_and(|place| grid.slot_of(place.exposed) == at) {
                continue;
            }
            if self.slots.get_mut(&at).is_some_and(|slot| slot.series.remove(&series)) {
                self.names -= 1;
                self.drop_empty(at);
            }
        }
        for place in rest.iter().take(but_tail(rest)) {
            steps::count();
            let slot = self.slots.entry(grid.slot_of(place.exposed)).or_default();
            self.names += usize::from(slot.series.insert(series));
        }
    }

    fn drop_empty(&mut self, at: i64) {
        if self.slots.get(&at).is_some_and(|slot| slot.taken == 0 && slot.series.is_empty()) {
            self.slots.remove(&at);
        }
    }

    /// So many more places like this one wait in a slot for their predecessor or the pace, or for their own time.
    fn count(&mut self, at: i64, place: &Place, by: i32) {
        let Some(slot) = self.slots.get_mut(&at).filter(|_| place.is_on(On::Plain)) else { return };
        let is_scheduled = place.exposed == place.at;
        let count = if is_scheduled { &mut slot.scheduled } else { &mut slot.queued };
        *count = count.saturating_add_signed(by);
        if !is_scheduled && slot.queued == 0 {
            self.queued.remove(&at);
        } else if !is_scheduled && slot.queued == 1 {
            self.queued.insert(at);
        }
        if at > self.ahead.slot {
            let ahead = if is_scheduled { &mut self.ahead.scheduled } else { &mut self.ahead.queued };
            *ahead = ahead.saturating_add_signed(by as isize);
        }
    }

    /// What began in a slot that ended before `moment` is forgotten.
    pub(super) fn forget_before(&mut self, moment: Timestamp) {
        self.cut = self.cut.max(self.grid.slot_of(moment));
    }

    /// Whether all of a line is forgotten.
    pub(super) fn is_forgotten(&self, line: &Line) -> bool {
        line.places().last().is_none_or(|last| self.grid.slot_of(last.exposed) < self.cut)
    }

    /// Takes out the first slot that is forgotten, one name at a time; `None` when there is no more.
    pub(super) fn pop_forgotten(&mut self) -> Option<Forgotten> {
        steps::count();
        let mut first = self.slots.first_entry().filter(|first| *first.key() < self.cut)?;
        if let Some(series) = first.get_mut().series.pop_first() {
            self.names -= 1;
            return Some(Forgotten::Series(series));
        }
        let (at, slot) = first.remove_entry();
        self.queued.remove(&at);
        self.load.add(at, -i32::try_from(slot.taken).unwrap_or(i32::MAX));
        if at > self.ahead.slot {
            self.ahead.queued = self.ahead.queued.saturating_sub(slot.queued as usize);
            self.ahead.scheduled = self.ahead.scheduled.saturating_sub(slot.scheduled as usize);
        }
        Some(Forgotten::Slot)
    }

    /// The slots from `first` on that have a place, by time, up to `last`.
    pub(super) fn slots(&self, first: i64, last: i64) -> impl DoubleEndedIterator<Item = (i64, &Slot)> {
        self.slots.range(first.min(last)..=last).map(|(slot, there)| (*slot, there))
    }

    /// Counts what waits after the slot of `now`, over `most` slots at most; whether that is all.
    pub(super) fn look_ahead(&mut self, now: Timestamp, most: usize) -> bool {
        let present = self.grid.slot_of(now);
        let mut ahead = self.ahead;
        let (first, last) = (present.min(ahead.slot), present.max(ahead.slot));
        let between = self.slots.range((std::ops::Bound::Excluded(first), std::ops::Bound::Included(last)));
        let is_back = present < ahead.slot;
        let mut slots: Box<dyn Iterator<Item = (&i64, &Slot)>> = if is_back { Box::new(between.rev()) } else { Box::new(between) };
        for (at, slot) in slots.by_ref().take(most) {
            steps::count();
            let (queued, scheduled) = (slot.queued as usize, slot.scheduled as usize);
            ahead = if is_back {
                Ahead { slot: at - 1, queued: ahead.queued + queued, scheduled: ahead.scheduled + scheduled }
            } else {
                let (queued, scheduled) = (ahead.queued.saturating_sub(queued), ahead.scheduled.saturating_sub(scheduled));
                Ahead { slot: *at, queued, scheduled }
            };
        }
        let is_all = slots.next().is_none();
        drop(slots);
        self.ahead = if is_all { Ahead { slot: present, ..ahead } } else { ahead };
        is_all
    }

    /// How many places wait for their predecessor or the pace, and how many for their own time, after the slot that was looked
    /// ahead of last.
    pub(super) fn ahead(&self) -> (usize, usize) {
        (self.ahead.queued, self.ahead.scheduled)
    }

    /// When the last place begins that waits for its predecessor or the pace.
    pub(super) fn last_queued(&self) -> Option<Timestamp> {
        self.queued.last().map(|slot| self.grid.begin_of(*slot))
    }
}

/// What was taken out of the slots that are forgotten.
#[derive(Clone, Copy, Debug)]
pub(super) enum Forgotten {
    /// A name of this series.
    Series(u32),
    /// A slot without names.
    Slot,
}

impl Anew<'_> {
    fn is_empty(self) -> bool {
        self.before.is_empty() && self.after.is_empty()
    }
}
