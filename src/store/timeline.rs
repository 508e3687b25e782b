//! Events in order of time: numbers of their first edges, sorted by (time, number), in chunks that know how late their events end.

use crate::time::Timestamp;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;

const CHUNK_MAX: usize = 512;
/// The chunk's latest end must be asked for again.
const UNKNOWN: i64 = i64::MIN;

/// A place in the timeline: time, then number, so that no two are equal.
pub(super) type Place = (Timestamp, u32);

#[derive(Debug, Default)]
pub(super) struct Timeline {
    chunks: Vec<Chunk>,
    len: usize,
}

#[derive(Debug)]
struct Chunk {
    edges: Vec<u32>,
    /// The latest end of an event of this chunk in milliseconds (an open one ends never), or `UNKNOWN`.
    latest_end: AtomicI64,
}

impl Timeline {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds an edge at `place`; `at` tells the time of every edge in here.
    pub(super) fn insert(&mut self, place: Place, at: impl Fn(u32) -> Timestamp) {
        self.len += 1;
        let index = self.chunk_of(place, &at);
        let appends = self.chunks.last().and_then(|chunk| chunk.edges.last()).is_none_or(|&last| (at(last), last) < place);
        if appends && self.chunks.last().is_none_or(|chunk| chunk.edges.len() >= CHUNK_MAX) {
            self.chunks.push(Chunk::new(vec![place.1]));
            return;
        }
        let Some(chunk) = self.chunks.get_mut(index) else { return };
        let position = chunk.edges.partition_point(|&edge| (at(edge), edge) < place);
        chunk.edges.insert(position, place.1);
        chunk.forget_end();
        if chunk.edges.len() > CHUNK_MAX {
            let upper = chunk.edges.split_off(CHUNK_MAX / 2);
            self.chunks.insert(index + 1, Chunk::new(upper));
        }
    }

    /// Takes out the edge at `place`.
    pub(super) fn remove(&mut self, place: Place, at: impl Fn(u32) -> Timestamp) {
        let index = self.chunk_of(place, &at);
        let Some(chunk) = self.chunks.get_mut(index) else { return };
        let position = chunk.edges.partition_point(|&edge| (at(edge), edge) < place);
        if chunk.edges.get(position) != Some(&place.1) {
            return;
        }
        self.len -= 1;
        chunk.edges.remove(position);
        chunk.forget_end();
        if chunk.edges.is_empty() {
            self.chunks.remove(index);
        }
    }

    /// The event at `place` ends at another time than before.
    pub(super) fn end_changed(&mut self, place: Place, at: impl Fn(u32) -> Timestamp) {
        let index = self.chunk_of(place, &at);
        if let Some(chunk) = self.chunks.get(index) {
            chunk.forget_end();
        }
    }

    /// Walks from just before `before` (or the newest) backwards over events that can end at or after `ends_from`, until `visit` says stop.
    pub(super) fn walk_back(
        &self,
        before: Option<Place>,
        ends_from: Timestamp,
        at: impl Fn(u32) -> Timestamp,
        end: impl Fn(u32) -> Timestamp,
        mut visit: impl FnMut(u32) -> bool,
    ) {
        let last = before.map_or(self.chunks.len(), |place| self.chunk_of(place, &at) + 1);
        for chunk in self.chunks.get(..last).unwrap_or_default().iter().rev() {
            if chunk.latest_end(&end) < ends_from {
                continue;
            }
            let edges = match before {
                Some(place) => chunk.edges.get(..chunk.edges.partition_point(|&edge| (at(edge), edge) < place)).unwrap_or_default(),
                None => &chunk.edges,
            };
            if edges.iter().rev().any(|&edge| !visit(edge)) {
                return;
            }
        }
    }

    /// The index of the chunk that holds `place` or would.
    fn chunk_of(&self, place: Place, at: impl Fn(u32) -> Timestamp) -> usize {
        self.chunks.partition_point(|chunk| chunk.edges.first().is_some_and(|&first| (at(first), first) <= place)).saturating_sub(1)
    }
}

impl Chunk {
    fn new(edges: Vec<u32>) -> Self {
        Self { edges, latest_end: AtomicI64::new(UNKNOWN) }
    }

    fn forget_end(&self) {
        self.latest_end.store(UNKNOWN, Ordering::Relaxed);
    }

    fn latest_end(&self, end: impl Fn(u32) -> Timestamp) -> Timestamp {
        let known = self.latest_end.load(Ordering::Relaxed);
        if known != UNKNOWN {
            return Timestamp::from_millis(known);
        }
        let latest = self.edges.iter().map(|&edge| end(edge)).max().unwrap_or(Timestamp::MIN);
        self.latest_end.store(latest.millis(), Ordering::Relaxed);
        latest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn walks_as_a_sorted_set(times in prop::collection::vec(0i64..400, 1..2500), remove in prop::collection::vec(any::<prop::sample::Index>(), 0..300), before in 0i64..420, ends_from in 0i64..420) {
            let at = |edge: u32| Timestamp::from_millis(times[edge as usize]);
            let end = |edge: u32| Timestamp::from_millis(times[edge as usize] + i64::from(edge % 7) * 20);
            let (mut timeline, mut model) = (Timeline::default(), BTreeSet::new());
            for edge in 0..u32::try_from(times.len()).unwrap() {
                timeline.insert((at(edge), edge), at);
                model.insert((at(edge), edge));
            }
            for index in remove {
                let edge = u32::try_from(index.index(times.len())).unwrap();
                timeline.remove((at(edge), edge), at);
                model.remove(&(at(edge), edge));
            }
            prop_assert_eq!(timeline.len(), model.len());
            let (before, ends_from) = ((Timestamp::from_millis(before), 0), Timestamp::from_millis(ends_from));
            for limit in [3, usize::MAX] {
                for before in [None, Some(before)] {
                    let mut found = Vec::new();
                    timeline.walk_back(before, ends_from, at, end, |edge| {
                        if end(edge) >= ends_from {
                            found.push(edge);
                        }
                        found.len() < limit
                    });
                    let expected: Vec<u32> = model.iter().rev().filter(|&&p| before.is_none_or(|b| p < b)).map(|p| p.1).filter(|&e| end(e) >= ends_from).take(limit).collect();
                    prop_assert_eq!(found, expected);
                }
            }
        }
    }
}
