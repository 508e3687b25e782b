//! Which sample of each series is on a page at a time: a pure fold of the samples of one cluster in the order of the log.
//!
//! A sample's place begins at the latest of its receipt, its own time, its predecessor's place plus the hold, and what
//! the pace allows. Every place is settled when its sample is applied; a page only looks. Holds just what waits or
//! was exposed within [`AGE_MAX`]: what is forgotten then has had its hold, and whatever comes in later and is older
//! than it is too old for a plain page anyway.

use super::AGE_MAX;
use super::Exposure;
use super::Sizes;
use super::WINDOW_SLACK;
use super::block::Entry;
use super::crowd::Crowds;
use super::line::Line;
use super::line::Queues;
use super::lines::Lines;
use super::queue::Class;
use super::queue::On;
use super::queue::Place;
use super::queue::Placing;
use super::queue::Reach;
use super::timeline::Slot;
use super::timeline::Timeline;
use crate::store::SeriesId;
use crate::time::Timestamp;
use std::time::Duration;

/// A sample to be shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) series: SeriesId,
    pub(super) at: Timestamp,
    pub(super) value: f64,
    /// Orders samples of the same times, whatever the numbers of their series; part of the edge's id.
    pub(super) tie: u32,
    /// It says nothing new, so a later one may stand for it.
    pub(super) heartbeat: bool,
}

/// The samples of one cluster of one tenant.
#[derive(Debug)]
pub(super) struct Schedule {
    sizes: Sizes,
    received: Timestamp,
    version: u64,
    lines: Lines,
    timeline: Timeline,
    crowds: Crowds,
    pub(super) counts: Counts,
}

/// What never came onto a plain page, each by one reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) coalesced: u64,
    pub(super) late: u64,
    pub(super) old: u64,
    pub(super) duplicate: u64,
    pub(super) crowded: u64,
    /// Late or old, and not on a page with a window either.
    pub(super) beyond: u64,
}

/// A kind of page at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct View {
    on: On,
    pub(super) now: Timestamp,
    keep: Duration,
    age: Duration,
}

/// The samples of a page.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Shown {
    /// The last exposed of each series, in the order of exposure.
    pub(super) rows: Vec<Entry>,
    /// How many more there are that were exposed before these; counted up to as many as fit on a page.
    pub(super) cut: usize,
    /// As long as nothing is applied, the page is the same before this.
    pub(super) until: Timestamp,
}

/// What waits at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Waiting {
    /// For the predecessor or the pace.
    pub(super) queued: usize,
    /// For their own time.
    pub(super) scheduled: usize,
    /// How long until all that is queued now is exposed.
    pub(super) lag: Duration,
}

impl View {
    /// The page of `now` for a scraper with this out-of-order window, if it has one. `keep` can only shorten.
    pub(super) fn new(now: Timestamp, window: Option<Duration>, keep: Option<Duration>, sizes: &Sizes) -> Self {
        let keep = keep.map_or(sizes.keep, |keep| keep.min(sizes.keep));
        let age = window.map(|window| window.saturating_sub(WINDOW_SLACK).min(On::Windowed.age_max()));
        match age.filter(|age| !age.is_zero()) {
            Some(age) => Self { on: On::Windowed, now, keep, age },
            None => Self { on: On::Plain, now, keep, age: AGE_MAX },
        }
    }

    /// Whether the page is for a scraper with a window.
    pub(super) fn is_windowed(&self) -> bool {
        self.on == On::Windowed
    }

    /// Whether it is the same page at another time.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        Self { now: other.now, ..*self } == *other
    }

    /// From when on the page no longer shows this. What is in order is accepted up to [`AGE_MAX`] by every server.
    fn end_of(&self, place: &Place) -> Timestamp {
        let age = if place.behind { self.age } else { self.age.max(AGE_MAX) };
        place.exposed.plus(self.keep).min(place.at.plus(age))
    }
}

impl Schedule {
    pub(super) fn new(sizes: Sizes) -> Self {
        let timeline = Timeline::new(&sizes);
        Self {
            sizes,
            received: Timestamp::MIN,
            version: 0,
            lines: Lines::default(),
            timeline,
            crowds: Crowds::default(),
            counts: Counts::default(),
        }
    }

    /// All that samples are folded into, in lines; what is left out is made again, or makes only looking faster.
    #[cfg(test)]
    pub(super) fn state(&self) -> Vec<String> {
        let Self { sizes: _, received, version: _, lines, timeline, crowds: _, counts } = self;
        let mut all = vec![format!("received {} {counts:?}", received.millis())];
        all.extend(timeline.state().map(|(slot, taken)| format!("slot {slot}: {taken}")));
        all.extend(lines.state().map(|(series, places)| format!("series {series}: {places:?}")));
        all
    }

    /// Changes whenever something is applied.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Folds in the next sample of the log. `received` never decreases.
    pub(super) fn apply(&mut self, received: Timestamp, sample: &Sample) -> Exposure {
        self.advance(received);
        if let Some(exposure) = self.crowds.turn_away(self.received, sample, &mut self.counts) {
            return exposure;
        }
        self.version += 1;
        let Self { sizes, received, lines, timeline, crowds, counts, .. } = self;
        let mut context = Placing { series: sample.series, received: *received, sizes, timeline };
        let place = Place {
            exposed: Timestamp::MIN,
            at: sample.at,
            value: sample.value,
            tie: sample.tie,
            generation: sample.series.generation,
            heartbeat: sample.heartbeat,
            class: if sample.at.plus(sizes.hold) < *received { Class::Bulk } else { Class::Live },
            on: On::Both,
            behind: false,
            hidden: false,
        };
        let mut queues = Queues::open(lines.get(sample.series.number).map_or(&[], Line::places), &mut context);
        let exposure = queues.apply(place, &mut context, counts);
        if matches!(exposure, Exposure::Old | Exposure::Late | Exposure::Crowded) && !sample.heartbeat {
            crowds.note(*received, sample, &queues, sizes);
        } else {
            crowds.forget(sample.series.number);
        }
        lines.set(sample.series.number, queues.close(&mut context));
        self.tidy();
        exposure
    }

    /// Takes off the sample of this time: one that waits goes, one that was exposed as `reach` says.
    pub(super) fn withdraw(&mut self, received: Timestamp, series: SeriesId, at: Timestamp, reach: Reach) {
        self.advance(received);
        self.version += 1;
        let Self { sizes, received, lines, timeline, .. } = self;
        let mut context = Placing { series, received: *received, sizes, timeline };
        let mut queues = Queues::open(lines.get(series.number).map_or(&[], Line::places), &mut context);
        queues.withdraw(at, reach, &mut context);
        self.crowds.forget(series.number);
        lines.set(series.number, queues.close(&mut context));
        self.tidy();
    }

    /// Takes entries in vain out of slots that have too many.
    fn tidy(&mut self) {
        let Self { lines, timeline, .. } = self;
        let grid = timeline.grid;
        while let Some((at, slot)) = timeline.untidy() {
            let is_there = |line: &Line| line.places().iter().any(|place| grid.slot_of(place.exposed) == at);
            slot.tidy(|series| lines.get(series).is_some_and(is_there));
        }
    }

    /// Forgets what was exposed longer than [`AGE_MAX`] before `received`.
    fn advance(&mut self, received: Timestamp) {
        if received <= self.received {
            return;
        }
        self.received = received;
        let forgotten = received.minus(AGE_MAX);
        while let Some(slot) = self.timeline.pop_before(forgotten) {
            for series in slot.series {
                if self.lines.get(series).is_some_and(|line| line.places().iter().all(|place| place.exposed <= forgotten)) {
                    self.lines.set(series, Line::default());
                    self.crowds.forget(series);
                }
            }
        }
    }

    /// The times of the samples that a series still has places for.
    #[cfg(test)]
    fn places_of(&self, series: u32) -> Vec<Timestamp> {
        self.lines.get(series).map(|line| line.places().iter().map(|place| place.at).collect()).unwrap_or_default()
    }

    /// The samples of a page. Before the last receipt there is no page: it is that of the last receipt then.
    pub(super) fn shown(&self, view: &View) -> Shown {
        let now = view.now.max(self.received);
        let present = self.timeline.grid.slot_of(now);
        let mut shown = Shown { rows: Vec::new(), cut: 0, until: self.next_change(view.on, now) };
        let first = self.timeline.grid.slot_of(now.minus(view.keep));
        for (at, slot) in self.timeline.slots(first, present).rev() {
            let mut rows = self.rows_of(at, slot, view, now);
            let room = self.sizes.samples_max - shown.rows.len();
            if rows.len() > room {
                shown.cut += rows.len() - room;
                rows.truncate(room);
            }
            for (row, end) in rows {
                shown.until = shown.until.min(end);
                shown.rows.push(row);
            }
            if shown.cut >= self.sizes.samples_max {
                break;
            }
        }
        shown.rows.reverse();
        shown
    }

    /// What a page shows of the places that begin in this slot, latest first, and until when.
    fn rows_of(&self, at: i64, slot: &Slot, view: &View, now: Timestamp) -> Vec<(Entry, Timestamp)> {
        let mut rows = Vec::with_capacity(slot.series.len());
        for &series in &slot.series {
            let Some(place) = self.lines.get(series).and_then(|line| line.current(view.on, now)) else { continue };
            let end = view.end_of(place);
            if self.timeline.grid.slot_of(place.exposed) == at && now < end && !place.hidden && place.at >= Timestamp::from_millis(0) {
                let series = SeriesId { number: series, generation: place.generation };
                rows.push((place.tie, Entry { series, exposed: place.exposed, at: place.at, value: place.value }, end));
            }
        }
        rows.sort_unstable_by_key(|(tie, entry, _)| std::cmp::Reverse((entry.exposed, entry.at, *tie, entry.series)));
        rows.dedup_by_key(|(_, entry, _)| entry.series);
        rows.into_iter().map(|(_, entry, end)| (entry, end)).collect()
    }

    /// A moment after `now` before which no further place begins.
    fn next_change(&self, on: On, now: Timestamp) -> Timestamp {
        let grid = self.timeline.grid;
        for (at, slot) in self.timeline.slots(grid.slot_of(now), i64::MAX) {
            if grid.begin_of(at) > now {
                return grid.begin_of(at);
            }
            let next = |series: &u32| self.lines.get(*series)?.next(on, now).map(|place| place.exposed);
            if let Some(next) = slot.series.iter().filter_map(next).filter(|next| grid.slot_of(*next) == at).min() {
                return next;
            }
        }
        Timestamp::MAX
    }

    /// What waits for a plain page.
    pub(super) fn waiting(&self, now: Timestamp) -> Waiting {
        let now = now.max(self.received);
        let present = self.timeline.grid.slot_of(now);
        let (mut queued, mut scheduled) = self.timeline.waiting(now);
        let mut series: Vec<u32> = self.timeline.slots(present, present).flat_map(|(_, slot)| slot.series.iter().copied()).collect();
        series.sort_unstable();
        series.dedup();
        for line in series.iter().filter_map(|series| self.lines.get(*series)) {
            let Some(next) = line.next(On::Plain, now) else { continue };
            if self.timeline.grid.slot_of(next.exposed) == present {
                *(if next.exposed == next.at { &mut scheduled } else { &mut queued }) += 1;
            }
        }
        let lag = if queued == 0 { Duration::ZERO } else { self.timeline.last_queued().map_or(Duration::ZERO, |last| last.since(now)) };
        Waiting { queued, scheduled, lag }
    }
}

#[cfg(test)]
mod tests;
