//! A look at what a page shows, a part at a time, so that the writer can go on in between; of one moment all the same.
//!
//! What changes meanwhile is kept as it was at first (`lines`), and stands for what it is by then. Not for the text of a page.

use super::entry::Entry;
use super::line::Line;
use super::lines::Changed;
use super::lines::Lines;
use super::options::AGE_MAX;
use super::options::Sizes;
use super::options::WINDOW_SLACK;
use super::place::On;
use super::place::Place;
use super::steps;
use super::timeline::Grid;
use super::timeline::Timeline;
use crate::store::SeriesId;
use crate::time::Timestamp;
use std::cmp::Reverse;
use std::ops::Bound;
use std::time::Duration;

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

/// What was seen so far.
#[derive(Debug)]
pub(super) struct Look {
    view: View,
    now: Timestamp,
    grid: Grid,
    samples_max: usize,
    /// The first slot of which the page could show something.
    first: i64,
    /// The next slot to look at, latest first, and up to which series that is done already.
    slot: i64,
    done: Option<u32>,
    rows: Vec<Row>,
    /// Until when no further place begins.
    until: Timestamp,
}

/// A line of a page to be.
#[derive(Clone, Copy, Debug)]
struct Row {
    entry: Entry,
    tie: u32,
    /// From when on the page no longer shows it.
    end: Timestamp,
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
    pub(super) fn end_of(&self, place: &Place) -> Timestamp {
        let age = if place.behind { self.age } else { self.age.max(AGE_MAX) };
        place.exposed.plus(self.keep).min(place.at.plus(age))
    }
}

/// What was counted so far of what waits.
#[derive(Debug)]
pub(super) struct Count {
    now: Timestamp,
    /// Up to which series those are counted that begin a place in the slot of now.
    done: Option<u32>,
    queued: usize,
    scheduled: usize,
}

impl Look {
    /// Nothing seen yet.
    pub(super) fn new(view: View, received: Timestamp, sizes: &Sizes, timeline: &Timeline) -> Self {
        let (now, grid) = (view.now.max(received), timeline.grid);
        let (first, slot) = (grid.slot_of(now.minus(view.keep)), grid.slot_of(now));
        let next = timeline.slots(slot.saturating_add(1), i64::MAX).next();
        let until = next.map_or(Timestamp::MAX, |(at, _)| grid.begin_of(at));
        Self { view, now, grid, samples_max: sizes.samples_max, first, slot, done: None, rows: Vec::new(), until }
    }

    /// Looks at so many more lines at most; whether there are more.
    pub(super) fn go_on(&mut self, timeline: &Timeline, lines: &Lines, most: usize) -> bool {
        let mut left = most;
        loop {
            if self.done.is_none() && self.rows.len() >= self.samples_max.saturating_mul(2) {
                return false;
            }
            let Some((at, slot)) = timeline.slots(self.first, self.slot).next_back().filter(|(at, _)| *at >= self.first) else {
                return false;
            };
            if at != self.slot {
                (self.slot, self.done) = (at, None);
                continue;
            }
            let after = self.done.map_or(Bound::Unbounded, Bound::Excluded);
            for (series, line) in lines.of(slot.series.range((after, Bound::Unbounded)).copied()) {
                if left == 0 {
                    return true;
                }
                left -= 1;
                steps::count();
                self.done = Some(series);
                if let Some(line) = line.filter(|_| !lines.is_changed(series)) {
                    self.see(series, line, Some(at));
                }
            }
            (self.slot, self.done) = (at.saturating_sub(1), None);
        }
    }

    /// What the page shows of a line, if that is in the slot looked at.
    fn see(&mut self, series: u32, line: &Line, slot: Option<i64>) {
        let next = line.next(self.view.on, self.now).map(|next| next.exposed);
        self.until = self.until.min(next.unwrap_or(Timestamp::MAX));
        let Some(place) = line.current(self.view.on, self.now) else { return };
        let (at, end) = (self.grid.slot_of(place.exposed), self.view.end_of(place));
        let is_here = slot.map_or(at >= self.first, |slot| at == slot);
        if is_here && self.now < end && !place.hidden && place.at >= Timestamp::from_millis(0) {
            let series = SeriesId { number: series, generation: place.generation };
            let entry = Entry { series, exposed: place.exposed, at: place.at, value: place.value };
            self.rows.push(Row { entry, tie: place.tie, end });
        }
    }

    /// The page. What changed meanwhile counts as it was.
    pub(super) fn end(mut self, changed: &Changed) -> Shown {
        for (series, line) in changed {
            self.see(*series, line, None);
        }
        // Latest first. What was seen before it changed is there twice.
        self.rows.sort_unstable_by_key(|row| Reverse((row.entry.exposed, row.entry.at, row.tie, row.entry.series)));
        self.rows.dedup_by_key(|row| row.entry.series);
        let mut cut = self.rows.len().saturating_sub(self.samples_max);
        if cut > self.samples_max {
            // Counted up to the end of the slot in which there are as many as fit.
            let last = self.rows.get(self.samples_max.saturating_mul(2) - 1).map(|row| self.grid.slot_of(row.entry.exposed));
            cut = self.rows.partition_point(|row| Some(self.grid.slot_of(row.entry.exposed)) >= last) - self.samples_max;
        }
        self.rows.truncate(self.samples_max);
        let until = self.rows.iter().map(|row| row.end).min().map_or(self.until, |end| end.min(self.until));
        Shown { rows: self.rows.into_iter().rev().map(|row| row.entry).collect(), cut, until }
    }
}

impl Count {
    /// Nothing counted yet.
    pub(super) fn new(now: Timestamp) -> Self {
        Self { now, done: None, queued: 0, scheduled: 0 }
    }

    /// Counts so many more at most; whether there are more. Each counts as it stands by then.
    pub(super) fn go_on(&mut self, timeline: &mut Timeline, lines: &Lines, most: usize) -> bool {
        if !timeline.look_ahead(self.now, most) {
            return true;
        }
        let present = timeline.grid.slot_of(self.now);
        let Some((_, slot)) = timeline.slots(present, present).next() else { return false };
        let after = self.done.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = lines.of(slot.series.range((after, Bound::Unbounded)).copied());
        for (series, line) in rest.by_ref().take(most) {
            self.done = Some(series);
            steps::count();
            let next = line.and_then(|line| line.next(On::Plain, self.now));
            if let Some(next) = next.filter(|next| timeline.grid.slot_of(next.exposed) == present) {
                *(if next.exposed == next.at { &mut self.scheduled } else { &mut self.queued }) += 1;
            }
        }
        rest.next().is_some()
    }

    /// All that waits.
    pub(super) fn end(&self, timeline: &mut Timeline) -> Waiting {
        timeline.look_ahead(self.now, usize::MAX);
        let (queued, scheduled) = timeline.ahead();
        let (queued, scheduled) = (queued + self.queued, scheduled + self.scheduled);
        let last = timeline.last_queued().filter(|_| queued > 0);
        Waiting { queued, scheduled, lag: last.map_or(Duration::ZERO, |last| last.since(self.now)) }
    }
}
