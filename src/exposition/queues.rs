//! A line taken apart: one or two queues (pages without and with a window), which are one until a sample comes that only
//! pages with a window can show.

use super::exposure::Counts;
use super::exposure::Exposure;
use super::line::Line;
use super::options::AGE_MAX;
use super::place::On;
use super::place::Place;
use super::queue::Coalesced;
use super::queue::Inserted;
use super::queue::Placing;
use super::queue::Queue;
use super::queue::Reach;
use crate::time::Timestamp;

/// A line taken apart.
#[derive(Debug)]
pub(super) struct Queues {
    pub(super) plain: Queue,
    /// `None`: the same as `plain`.
    pub(super) windowed: Option<Queue>,
}

impl Queues {
    /// The queues as they stand at the time of receipt. What waits of a series that is gone and had the same number is taken
    /// off the timeline.
    pub(super) fn open(places: &[Place], context: &mut Placing<'_>) -> Self {
        let generation = context.series.generation;
        let own = || places.iter().filter(move |place| place.generation == generation);
        let queue = |on| Queue::at(own().filter(|place| place.is_on(on)).copied(), context.received);
        let plain = queue(On::Plain);
        let windowed = own().any(|place| place.on != On::Both).then(|| queue(On::Windowed));
        for place in places.iter().filter(|place| place.generation != generation && place.exposed > context.received) {
            context.timeline.release(place);
        }
        Self { plain, windowed }
    }

    /// Takes in a sample.
    pub(super) fn apply(&mut self, sample: Place, context: &mut Placing<'_>, counts: &mut Counts) -> Exposure {
        if self.unhide(sample.at) {
            return Exposure::Shown;
        }
        if self.places().any(|place| place.at == sample.at) {
            counts.duplicate += 1;
            return Exposure::Duplicate;
        }
        let is_old = sample.at.plus(AGE_MAX) <= context.received;
        if is_old || self.plain.last.is_some_and(|last| sample.at < last.at) {
            let (count, exposure) = if is_old { (&mut counts.old, Exposure::Old) } else { (&mut counts.late, Exposure::Late) };
            *(if self.show_behind(sample, context) { count } else { &mut counts.beyond }) += 1;
            return exposure;
        }
        if let Some(windowed) = &mut self.windowed {
            let sample = Place { on: On::Windowed, behind: windowed.newest_at().is_some_and(|newest| sample.at < newest), ..sample };
            // What finds no place here is on a plain page nevertheless, or is counted there.
            drop(if sample.behind { windowed.insert_behind(sample, context) } else { windowed.insert(sample, context) });
        }
        let on = if self.windowed.is_some() { On::Plain } else { On::Both };
        match self.plain.insert(Place { on, ..sample }, context) {
            Inserted::Placed { evicted } => {
                for place in &evicted {
                    let shown = on == On::Plain || self.show_behind(*place, context);
                    *(if shown { &mut counts.old } else { &mut counts.beyond }) += 1;
                }
                self.exposure(sample.at, context.received)
            }
            Inserted::Coalesced(which) => {
                counts.coalesced += 1;
                if which == Coalesced::This { Exposure::Coalesced } else { self.exposure(sample.at, context.received) }
            }
            Inserted::Crowded => {
                counts.crowded += 1;
                Exposure::Crowded
            }
        }
    }

    /// Takes off the sample of this time, from both kinds of page.
    pub(super) fn withdraw(&mut self, at: Timestamp, reach: Reach, context: &mut Placing<'_>) {
        self.plain.withdraw(at, reach, context);
        if let Some(windowed) = &mut self.windowed {
            windowed.withdraw(at, reach, context);
        }
    }

    /// Shows what was hidden again; says whether there was such a sample.
    fn unhide(&mut self, at: Timestamp) -> bool {
        let mut found = false;
        for queue in std::iter::once(&mut self.plain).chain(&mut self.windowed) {
            for place in [&mut queue.last, &mut queue.newest].into_iter().flatten().filter(|place| place.at == at && place.hidden) {
                place.hidden = false;
                found = true;
            }
        }
        found
    }

    /// Takes in a sample that only pages with a window can show; answers whether they will.
    fn show_behind(&mut self, sample: Place, context: &mut Placing<'_>) -> bool {
        let sample = Place { on: On::Windowed, behind: true, ..sample };
        let inserted = match &mut self.windowed {
            Some(windowed) => windowed.insert_behind(sample, context),
            None => self.part_behind(sample, context),
        };
        match inserted {
            Inserted::Placed { evicted } => evicted.iter().all(|place| place.at != sample.at),
            Inserted::Coalesced(_) => true,
            Inserted::Crowded => false,
        }
    }

    /// What the sender is told of a sample that was put into the plain queue.
    fn exposure(&self, at: Timestamp, received: Timestamp) -> Exposure {
        match self.plain.waiting.iter().find(|place| place.at == at) {
            None => Exposure::Old,
            Some(place) if place.exposed <= received => Exposure::Shown,
            Some(place) if at > received => Exposure::Scheduled { at: place.exposed },
            Some(place) => Exposure::Queued { until: place.exposed },
        }
    }

    /// Every place of both.
    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        self.plain.places().chain(self.windowed.iter().flat_map(Queue::places))
    }

    /// Takes in a sample that only pages with a window can show, of which there is no queue apart yet. There is one from now
    /// on if it says something else; what waits is on the timeline twice then.
    fn part_behind(&mut self, sample: Place, context: &mut Placing<'_>) -> Inserted {
        let mut windowed = self.plain.clone().on(On::Windowed);
        let inserted = windowed.begin_behind(sample, context);
        if !windowed.says_the_same(&self.plain) {
            windowed.begin(context);
            self.plain = std::mem::take(&mut self.plain).on(On::Plain);
            self.windowed = Some(windowed);
        }
        inserted
    }

    /// The line again. Queues that say the same are one, and on the timeline once.
    pub(super) fn close(self, context: &mut Placing<'_>) -> Line {
        let Some(windowed) = self.windowed else { return Line::of(self.plain.places().copied().collect()) };
        if windowed.says_the_same(&self.plain) {
            for place in &windowed.waiting {
                context.timeline.release(place);
            }
            return Line::of(self.plain.on(On::Both).places().copied().collect());
        }
        Line::of(merged(self.plain.places(), windowed.places()))
    }
}

/// Both, by `exposed`, as each is; of two at the same time the first of `plain`.
fn merged<'a>(plain: impl Iterator<Item = &'a Place>, windowed: impl Iterator<Item = &'a Place>) -> Vec<Place> {
    let (mut plain, mut windowed) = (plain.peekable(), windowed.peekable());
    let mut places = Vec::with_capacity(plain.size_hint().0 + windowed.size_hint().0);
    while let Some(next) = windowed.peek() {
        let exposed = next.exposed;
        let before = plain.next_if(|place| place.exposed <= exposed);
        places.extend(before.or_else(|| windowed.next()));
    }
    places.extend(plain);
    places
}
