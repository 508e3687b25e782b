//! The samples of one series on one kind of page: what was exposed last, and what waits, in the order it will be shown.
//!
//! Samples that are newer than all exposed before are shown in the order of their times, whatever order they came in;
//! those that came too late for that (`behind`) wait for gaps between them, in the order they came in. Each holds its
//! place for `hold`. Not for which series are on a page: that is `schedule`.

use super::options::Sizes;
use super::place::On;
use super::place::Place;
use super::timeline::Anew;
use super::timeline::Timeline;
use crate::store::SeriesId;
use crate::time::Timestamp;
use std::time::Duration;

/// Most samples of one series that can wait for one kind of page.
pub(super) const WAITING_MAX: usize = 1024;
/// How long after receipt a sample that is behind can wait for a gap.
pub(super) const BEHIND_MAX: Duration = Duration::from_hours(24);

/// What a queue needs to know to place a sample.
#[derive(Debug)]
pub(super) struct Placing<'a> {
    pub(super) series: SeriesId,
    pub(super) received: Timestamp,
    pub(super) sizes: &'a Sizes,
    pub(super) timeline: &'a mut Timeline,
}

/// One series on one kind of page.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    /// What was exposed last.
    pub(super) last: Option<Place>,
    /// What was exposed with the latest time, when that is not `last`.
    pub(super) newest: Option<Place>,
    /// What waits, by `exposed`.
    pub(super) waiting: Vec<Place>,
}

/// How far a sample is taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Only as long as it waits: what was exposed stays.
    Waiting,
    /// It is hidden where it was exposed, too.
    Exposed,
}

/// What came of a sample that was put into a queue.
#[derive(Debug, PartialEq)]
pub(super) enum Inserted {
    /// It has its place; those in `evicted`, itself perhaps among them, would have had theirs after their age limit.
    Placed { evicted: Vec<Place> },
    /// Of two waiting heartbeats the newer took the place.
    Coalesced(Coalesced),
    /// [`WAITING_MAX`] samples of the series wait already.
    Crowded,
}

/// Which of two waiting heartbeats gave way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coalesced {
    /// The one that came in now.
    This,
    /// One that waited before.
    Earlier,
}

impl Queue {
    /// The queue of these places, which are sorted by `exposed`, as it stands at `moment`.
    pub(super) fn at(mut places: impl Iterator<Item = Place>, moment: Timestamp) -> Self {
        let mut queue = Self::default();
        while let Some(place) = places.next() {
            if place.exposed > moment {
                // So do all that come.
                queue.waiting.reserve(1 + places.size_hint().1.unwrap_or_default());
                queue.waiting.push(place);
                queue.waiting.extend(places);
                break;
            }
            queue.newest = [queue.newest, queue.last].into_iter().flatten().filter(|past| past.at > place.at).max_by_key(|past| past.at);
            queue.last = Some(place);
        }
        queue
    }

    /// The same queue with its places on another kind of page.
    pub(super) fn on(self, on: On) -> Self {
        let moved = |place: Place| Place { on, ..place };
        let waiting = self.waiting.into_iter().map(moved).collect();
        Self { last: self.last.map(moved), newest: self.newest.map(moved), waiting }
    }

    /// Its places, sorted by `exposed`.
    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        self.newest.iter().chain(&self.last).chain(&self.waiting)
    }

    /// Whether the places are the same, on whatever kind of page.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        let on_both = |place: &Place| Place { on: On::Both, ..*place };
        self.places().map(on_both).eq(other.places().map(on_both))
    }

    /// The latest time of all that was exposed.
    pub(super) fn newest_at(&self) -> Option<Timestamp> {
        self.newest.or(self.last).map(|place| place.at)
    }

    /// Takes off the sample of this time: what waits goes, what was exposed as `reach` says.
    pub(super) fn withdraw(&mut self, at: Timestamp, reach: Reach, context: &mut Placing<'_>) {
        self.waiting.retain(|place| {
            if place.at == at {
                context.timeline.release(place);
            }
            place.at != at
        });
        for place in [&mut self.last, &mut self.newest].into_iter().flatten().filter(|place| reach == Reach::Exposed && place.at == at) {
            place.hidden = true;
        }
    }

    /// Takes in a sample that is newer than all exposed before: shown in its order, before all that is behind.
    pub(super) fn insert(&mut self, sample: Place, context: &mut Placing<'_>) -> Inserted {
        if sample.heartbeat
            && let Some(coalesced) = self.coalesce(&sample, context)
        {
            return Inserted::Coalesced(coalesced);
        }
        let earliest = sample.at.max(context.received);
        let overtakes = |waits: &Place| if waits.behind { waits.exposed.plus(context.sizes.hold) > earliest } else { waits.at > sample.at };
        let position = self.waiting.iter().position(overtakes).unwrap_or(self.waiting.len());
        self.place_from(position, sample, context)
    }

    /// Takes in a sample that can no longer be shown in its order: it waits for a gap.
    pub(super) fn insert_behind(&mut self, sample: Place, context: &mut Placing<'_>) -> Inserted {
        let position = self.waiting.iter().rposition(|waits| waits.behind).map_or(0, |last| last + 1);
        if sample.heartbeat
            && let Some(waits) = position.checked_sub(1).and_then(|last| self.waiting.get_mut(last)).filter(|waits| waits.heartbeat)
        {
            let coalesced = if waits.at < sample.at { replace(waits, &sample, context) } else { Coalesced::This };
            return Inserted::Coalesced(coalesced);
        }
        self.place_from(position, sample, context)
    }

    /// Of two neighbouring heartbeats the older gives way when the newer is due by the time that the older is shown.
    fn coalesce(&mut self, sample: &Place, context: &mut Placing<'_>) -> Option<Coalesced> {
        let mut ready = sample.at.max(context.received).max(self.last.map_or(Timestamp::MIN, |last| last.exposed.plus(context.sizes.hold)));
        let mut fresh = self.waiting.iter_mut().filter(|waits| !waits.behind);
        let mut before = None;
        let after = fresh.find_map(|waits| {
            if waits.at > sample.at {
                return Some(&*waits);
            }
            before = Some(waits);
            None
        });
        if let Some(before) = before {
            if before.heartbeat && sample.at <= before.exposed {
                return Some(replace(before, sample, context));
            }
            ready = ready.max(before.exposed.plus(context.sizes.hold));
        }
        after.filter(|after| after.heartbeat && after.at <= ready).map(|_| Coalesced::This)
    }

    /// Takes in a sample that only pages with a window can show, into a copy of the other queue that the timeline does not know
    /// yet: [`Queue::begin`] tells it.
    pub(super) fn begin_behind(&mut self, sample: Place, context: &mut Placing<'_>) -> Inserted {
        if self.waiting.len() >= WAITING_MAX {
            return Inserted::Crowded;
        }
        let fresh = std::mem::take(&mut self.waiting);
        Inserted::Placed { evicted: self.place_all(fresh, vec![sample], &[], context) }
    }

    /// Tells the timeline of all that waits.
    pub(super) fn begin(&self, context: &mut Placing<'_>) {
        context.timeline.settle(Anew { before: &[], after: &self.waiting });
    }

    /// Gives `sample` and all that waits from `position` on their places. That looks at each of them, and tells the timeline
    /// only of those whose place is another one than before.
    fn place_from(&mut self, position: usize, sample: Place, context: &mut Placing<'_>) -> Inserted {
        if self.waiting.len() >= WAITING_MAX {
            return Inserted::Crowded;
        }
        let before = self.waiting.split_off(position);
        let (mut behind, mut fresh): (Vec<Place>, Vec<Place>) = before.iter().copied().partition(|place| place.behind);
        if sample.behind {
            behind.push(sample);
        } else {
            let order = fresh.partition_point(|waits| waits.at < sample.at);
            fresh.insert(order, sample);
        }
        let evicted = self.place_all(fresh, behind, &before, context);
        context.timeline.settle(Anew { before: &before, after: self.waiting.get(position..).unwrap_or_default() });
        Inserted::Placed { evicted }
    }

    /// Gives all of these their places after what waits. The timeline has the places `before`, which they had, and is told of
    /// the new ones by the caller.
    fn place_all(&mut self, fresh: Vec<Place>, behind: Vec<Place>, before: &[Place], context: &mut Placing<'_>) -> Vec<Place> {
        let hold = context.sizes.hold;
        let kept = self.waiting.len();
        let mut evicted = Vec::new();
        let mut fresh = fresh.into_iter().peekable();
        let mut behind = behind.into_iter().peekable();
        loop {
            let anew = Anew { before, after: self.waiting.get(kept..).unwrap_or_default() };
            let previous = self.waiting.last().or(self.last.as_ref());
            let free = previous.map_or(Timestamp::MIN, |place| place.exposed.plus(hold)).max(context.received);
            let gap = behind.peek().map(|next| context.timeline.find(free, next.class, anew));
            let gap = gap.filter(|gap| match (fresh.peek(), behind.peek()) {
                (Some(in_order), Some(next)) => {
                    // A series that beats faster than `hold` leaves no gap: then every other place is for what is behind.
                    let alternates = in_order.heartbeat && next.at < in_order.at && previous.is_some_and(|place| !place.behind);
                    alternates || gap.plus(hold) <= in_order.at.max(free)
                }
                _ => true,
            });
            let place = match gap {
                Some(gap) => behind.next().map(|next| Place { exposed: gap, ..next }),
                None => fresh.next().map(|next| Place { exposed: context.timeline.find(free.max(next.at), next.class, anew), ..next }),
            };
            let Some(place) = place else { return evicted };
            if place.exposed >= context.age_limit(&place) {
                evicted.push(place);
            } else {
                self.waiting.push(place);
            }
        }
    }
}

impl Placing<'_> {
    /// When a sample's place must have begun at the latest.
    fn age_limit(&self, place: &Place) -> Timestamp {
        let on_page = place.at.plus(place.on.age_max());
        if place.behind { on_page.min(self.received.plus(BEHIND_MAX)) } else { on_page }
    }
}

/// Puts the newer heartbeat in the place of the older one.
fn replace(waits: &mut Place, sample: &Place, context: &mut Placing<'_>) -> Coalesced {
    let newer = Place { exposed: waits.exposed, ..*sample };
    context.timeline.hand_over(waits, &newer);
    *waits = newer;
    Coalesced::Earlier
}
