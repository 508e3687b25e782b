//! Series of which so many samples wait that further ones find no place: what comes of those, without taking their lines
//! apart. Holds no truth: a sample comes to the same without it, only slower.

use super::exposure::Counts;
use super::exposure::Exposure;
use super::line::allocated;
use super::options::AGE_MAX;
use super::options::Sizes;
use super::place::Sample;
use super::queue::BEHIND_MAX;
use super::queue::WAITING_MAX;
use super::queues::Queues;
use crate::time::Timestamp;
use hashbrown::HashMap;
use hashbrown::HashSet;

/// Crowded series by number.
#[derive(Debug, Default)]
pub(super) struct Crowds {
    by_series: HashMap<u32, Crowd>,
    bytes: usize,
}

/// What is known of a line until one of its samples is exposed.
#[derive(Debug)]
struct Crowd {
    generation: u32,
    until: Timestamp,
    /// No more can wait for a page without a window.
    plain: bool,
    /// No more can wait for one with a window.
    windowed: bool,
    /// When the next place for what is behind would begin at the earliest.
    behind_from: Option<Timestamp>,
    /// The time of what a page without a window showed last.
    last: Option<Timestamp>,
    times: HashSet<Timestamp>,
}

impl Crowds {
    /// What becomes of a sample received at `received`, if that is known: there is no room for it.
    pub(super) fn turn_away(&self, received: Timestamp, sample: &Sample, counts: &mut Counts) -> Option<Exposure> {
        if self.by_series.is_empty() || sample.heartbeat {
            return None;
        }
        let crowd = self.by_series.get(&sample.series.number)?;
        if crowd.generation != sample.series.generation || received >= crowd.until || crowd.times.contains(&sample.at) {
            return None;
        }
        let is_old = sample.at.plus(AGE_MAX) <= received;
        if is_old || crowd.last.is_some_and(|last| sample.at < last) {
            let full = crowd.windowed || crowd.behind_from.is_some_and(|from| from >= received.plus(BEHIND_MAX));
            counts.beyond += u64::from(full);
            return full.then_some(if is_old { Exposure::Old } else { Exposure::Late });
        }
        let full = crowd.plain && crowd.windowed;
        counts.crowded += u64::from(full);
        full.then_some(Exposure::Crowded)
    }

    /// Remembers a line that `sample` found no place in, if it is full; forgets what was known of it.
    pub(super) fn note(&mut self, received: Timestamp, sample: &Sample, queues: &Queues, sizes: &Sizes) {
        self.forget(sample.series.number);
        let is_full = |waiting: usize| waiting >= WAITING_MAX;
        let plain = is_full(queues.plain.waiting.len());
        let windowed = queues.windowed.as_ref().map_or(plain, |windowed| is_full(windowed.waiting.len()));
        // What is behind stands after all others that are.
        let last = queues.windowed.as_ref().and_then(|windowed| windowed.waiting.last()).filter(|last| last.behind);
        let behind_from = last.map(|last| last.exposed.plus(sizes.hold));
        if !plain && !windowed && behind_from.is_none_or(|from| from < received.plus(BEHIND_MAX)) {
            return;
        }
        let waiting = std::iter::once(&queues.plain).chain(&queues.windowed).filter_map(|queue| queue.waiting.first());
        let crowd = Crowd {
            generation: sample.series.generation,
            until: waiting.map(|place| place.exposed).min().unwrap_or(Timestamp::MIN),
            plain,
            windowed,
            behind_from,
            last: queues.plain.last.map(|place| place.at),
            times: queues.places().map(|place| place.at).collect(),
        };
        self.bytes += crowd.bytes();
        self.by_series.insert(sample.series.number, crowd);
    }

    /// The line of the series is about to change.
    pub(super) fn forget(&mut self, series: u32) {
        if self.by_series.is_empty() {
            return;
        }
        if let Some(crowd) = self.by_series.remove(&series) {
            self.bytes -= crowd.bytes();
        }
    }

    /// How much memory it takes, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Crowd {
    fn bytes(&self) -> usize {
        allocated(self.times.allocation_size()) + 2 * size_of::<Self>()
    }
}
