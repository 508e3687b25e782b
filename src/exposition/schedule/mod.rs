//! Which sample of each series is on a page at a time: a pure fold of the samples of one cluster in the order of the log.
//!
//! A sample's place begins at the latest of its receipt, its own time, its predecessor's place plus the hold, and what
//! the pace allows. Every place is settled when its sample is applied; a page only looks. Holds just what waits or
//! was exposed within [`AGE_MAX`]: what is forgotten then has had its hold, and whatever comes in later and is older
//! than it is too old for a plain page anyway.

use super::crowd::Crowds;
use super::exposure::Counts;
use super::exposure::Exposure;
use super::line::Line;
use super::lines::Changed;
use super::lines::Lines;
use super::look::Count;
use super::look::Look;
#[cfg(test)]
use super::look::Shown;
use super::look::View;
use super::look::Waiting;
use super::options::AGE_MAX;
use super::options::Sizes;
use super::place::Class;
use super::place::On;
use super::place::Place;
use super::place::Sample;
use super::queue::Placing;
use super::queue::Reach;
use super::queues::Queues;
use super::timeline::Forgotten;
use super::timeline::Timeline;
use crate::store::SeriesId;
use crate::time::Timestamp;

/// How much of what is forgotten each sample takes out. It adds less than that.
const FORGOTTEN_AT_ONCE: usize = 64;

/// The samples of one cluster of one tenant.
#[derive(Debug)]
pub(super) struct Schedule {
    pub(super) sizes: Sizes,
    pub(super) received: Timestamp,
    version: u64,
    lines: Lines,
    pub(super) timeline: Timeline,
    crowds: Crowds,
    pub(super) counts: Counts,
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
        let lines = lines.state().filter(|(_, line)| !timeline.is_forgotten(line));
        all.extend(lines.map(|(series, line)| format!("series {series}: {:?}", line.places())));
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
        let before = places_of(lines, context.timeline, sample.series.number);
        let mut queues = Queues::open(before, &mut context);
        let exposure = queues.apply(place, &mut context, counts);
        if matches!(exposure, Exposure::Old | Exposure::Late | Exposure::Crowded) && !sample.heartbeat {
            crowds.note(*received, sample, &queues, sizes);
        } else {
            crowds.forget(sample.series.number);
        }
        let line = queues.close(&mut context);
        context.timeline.name(sample.series.number, before, line.places());
        lines.set(sample.series.number, line);
        exposure
    }

    /// Takes off the sample of this time: one that waits goes, one that was exposed as `reach` says.
    pub(super) fn withdraw(&mut self, received: Timestamp, series: SeriesId, at: Timestamp, reach: Reach) {
        self.advance(received);
        self.version += 1;
        let Self { sizes, received, lines, timeline, .. } = self;
        let mut context = Placing { series, received: *received, sizes, timeline };
        let before = places_of(lines, context.timeline, series.number);
        let mut queues = Queues::open(before, &mut context);
        queues.withdraw(at, reach, &mut context);
        self.crowds.forget(series.number);
        // What is left may be nothing but what was to be forgotten before.
        let line = Some(queues.close(&mut context)).filter(|line| !context.timeline.is_forgotten(line)).unwrap_or_default();
        context.timeline.name(series.number, before, line.places());
        lines.set(series.number, line);
    }

    /// Forgets what was exposed longer than [`AGE_MAX`] before `received`: nobody sees it any more from now on, and its memory
    /// is given back as further samples come.
    fn advance(&mut self, received: Timestamp) {
        if received > self.received {
            self.received = received;
            self.timeline.forget_before(received.minus(AGE_MAX));
        }
        // Who looks at this moment may still see it.
        if self.lines.is_looked_at() {
            return;
        }
        for _ in 0..FORGOTTEN_AT_ONCE {
            match self.timeline.pop_forgotten() {
                None => return,
                Some(Forgotten::Slot) => {}
                Some(Forgotten::Series(series)) => {
                    if self.lines.get(series).is_some_and(|line| self.timeline.is_forgotten(line)) {
                        self.lines.set(series, Line::default());
                        self.crowds.forget(series);
                    }
                }
            }
        }
    }

    /// How much memory it takes, about.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.lines.bytes() + self.timeline.bytes() + self.crowds.bytes()
    }

    /// The lines that are not forgotten, by series.
    #[cfg(test)]
    fn lines_there(&self) -> impl Iterator<Item = (u32, &[Place])> {
        self.lines.state().filter(|(_, line)| !self.timeline.is_forgotten(line)).map(|(series, line)| (series, line.places()))
    }

    /// The times of the samples that a series still has places for.
    #[cfg(test)]
    fn places_of(&self, series: u32) -> Vec<Timestamp> {
        places_of(&self.lines, &self.timeline, series).iter().map(|place| place.at).collect()
    }

    /// Begins to look at what a page shows. Until [`Schedule::end_look`] every change is noted; one can look at a time.
    /// Before the last receipt there is no page: it is that of the last receipt then.
    pub(super) fn begin_look(&mut self, view: &View) -> Look {
        self.lines.begin_look();
        Look::new(*view, self.received, &self.sizes, &self.timeline)
    }

    /// Looks at the lines of `most` more series at most; whether there are more.
    pub(super) fn look(&self, look: &mut Look, most: usize) -> bool {
        look.go_on(&self.timeline, &self.lines, most)
    }

    /// Has seen enough. What was looked at was changed by this meanwhile.
    pub(super) fn end_look(&mut self) -> Changed {
        self.lines.end_look()
    }

    /// The samples of a page.
    #[cfg(test)]
    pub(super) fn shown(&self, view: &View) -> Shown {
        let mut look = Look::new(*view, self.received, &self.sizes, &self.timeline);
        while self.look(&mut look, 3) {}
        look.end(&Changed::new())
    }

    /// Begins to count what waits for a plain page.
    pub(super) fn begin_count(&self, now: Timestamp) -> Count {
        Count::new(now.max(self.received))
    }

    /// Counts `most` more at most; whether there are more.
    pub(super) fn count(&mut self, count: &mut Count, most: usize) -> bool {
        count.go_on(&mut self.timeline, &self.lines, most)
    }

    /// What waits, when all is counted.
    pub(super) fn end_count(&mut self, count: &Count) -> Waiting {
        count.end(&mut self.timeline)
    }

    /// What waits for a plain page.
    #[cfg(test)]
    pub(super) fn waiting(&mut self, now: Timestamp) -> Waiting {
        let mut count = self.begin_count(now);
        while self.count(&mut count, 3) {}
        self.end_count(&count)
    }
}

/// The places of a series.
fn places_of<'a>(lines: &'a Lines, timeline: &Timeline, series: u32) -> &'a [Place] {
    lines.get(series).filter(|line| !timeline.is_forgotten(line)).map_or(&[], Line::places)
}

#[cfg(test)]
mod tests;
