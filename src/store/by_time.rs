//! Events in order of time: numbers of their first edges, sorted by (time, id), in chunks that know how late their events end.

use super::number::EdgeNo;
use crate::time::Timestamp;
use std::collections::BinaryHeap;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;

const CHUNK_MAX: usize = 512;
/// The chunk's latest end must be asked for again.
const UNKNOWN: i64 = i64::MIN;

/// A key in the timeline: time, then id, so that no two are equal and a restart changes no order.
pub(super) type TimeKey = (Timestamp, [u64; 2]);

/// What ends at some time, or at some time at the latest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Item {
    Edge(EdgeNo),
    Chunk(usize),
}

#[derive(Debug, Default)]
pub(super) struct EventsByTime {
    chunks: Vec<Chunk>,
    len: usize,
}

#[derive(Debug)]
struct Chunk {
    edges: Vec<EdgeNo>,
    /// The latest end of an event of this chunk in milliseconds (an open one ends never), or `UNKNOWN`.
    latest_end: AtomicI64,
    /// The same of those that are not open.
    latest_closed: AtomicI64,
}

impl EventsByTime {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds an edge; `key` tells where it and every other in here stand.
    pub(super) fn insert(&mut self, edge: EdgeNo, key: impl Fn(EdgeNo) -> TimeKey) {
        self.len += 1;
        let new = key(edge);
        let appends = self.chunks.last().and_then(|chunk| chunk.edges.last()).is_none_or(|&last| key(last) < new);
        if appends && self.chunks.last().is_none_or(|chunk| chunk.edges.len() >= CHUNK_MAX) {
            self.chunks.push(Chunk::new(vec![edge]));
            return;
        }
        let index = self.chunk_of(new, &key);
        let Some(chunk) = self.chunks.get_mut(index) else { return };
        let position = chunk.edges.partition_point(|&other| key(other) < new);
        chunk.edges.insert(position, edge);
        chunk.forget_end();
        if chunk.edges.len() > CHUNK_MAX {
            let upper = chunk.edges.split_off(CHUNK_MAX / 2);
            self.chunks.insert(index + 1, Chunk::new(upper));
        }
    }

    /// Takes out an edge.
    pub(super) fn remove(&mut self, edge: EdgeNo, key: impl Fn(EdgeNo) -> TimeKey) {
        let index = self.chunk_of(key(edge), &key);
        let Some(chunk) = self.chunks.get_mut(index) else { return };
        let position = chunk.edges.partition_point(|&other| key(other) < key(edge));
        if chunk.edges.get(position) != Some(&edge) {
            return;
        }
        self.len -= 1;
        chunk.edges.remove(position);
        chunk.forget_end();
        if chunk.edges.is_empty() {
            self.chunks.remove(index);
        }
    }

    /// The event of this edge ends at another time than before.
    pub(super) fn end_changed(&mut self, edge: EdgeNo, key: impl Fn(EdgeNo) -> TimeKey) {
        let index = self.chunk_of(key(edge), &key);
        if let Some(chunk) = self.chunks.get(index) {
            chunk.forget_end();
        }
    }

    /// Walks from just before `before` (or the newest) backwards over events that can end at or after `ends_from`, until `visit` says stop.
    pub(super) fn walk_back(
        &self,
        before: Option<TimeKey>,
        ends_from: Timestamp,
        key: impl Fn(EdgeNo) -> TimeKey,
        end: impl Fn(EdgeNo) -> Timestamp,
        mut visit: impl FnMut(EdgeNo) -> bool,
    ) {
        let last = before.map_or(self.chunks.len(), |before| self.chunk_of(before, &key) + 1);
        for chunk in self.chunks.get(..last).unwrap_or_default().iter().rev() {
            if chunk.latest_end(&end) < ends_from {
                continue;
            }
            let edges = match before {
                Some(before) => chunk.edges.get(..chunk.edges.partition_point(|&edge| key(edge) < before)).unwrap_or_default(),
                None => &chunk.edges,
            };
            if edges.iter().rev().any(|&edge| !visit(edge)) {
                return;
            }
        }
    }

    /// Walks over events that are not open from those that end last, at `upto` at the latest, until `visit` says stop.
    /// Leaves out most of what begins at or after `before`.
    pub(super) fn walk_by_end(
        &self,
        before: Option<TimeKey>,
        upto: Timestamp,
        key: impl Fn(EdgeNo) -> TimeKey,
        end: impl Fn(EdgeNo) -> Timestamp,
        mut visit: impl FnMut(EdgeNo) -> bool,
    ) {
        let last = before.map_or(self.chunks.len(), |before| self.chunk_of(before, &key) + 1);
        let chunks = self.chunks.get(..last).unwrap_or_default().iter();
        let mut next: BinaryHeap<(Timestamp, Item)> =
            chunks.enumerate().map(|(index, chunk)| (chunk.latest_closed(&end), Item::Chunk(index))).collect();
        while let Some((_, item)) = next.pop() {
            match item {
                Item::Edge(edge) if !visit(edge) => return,
                Item::Edge(_) => {}
                Item::Chunk(index) => {
                    let edges = self.chunks.get(index).map_or(&[][..], |chunk| &chunk.edges);
                    let ends = edges.iter().map(|&edge| (end(edge), Item::Edge(edge)));
                    next.extend(ends.filter(|(end, _)| *end <= upto && *end < Timestamp::MAX));
                }
            }
        }
    }

    /// The index of the chunk that holds `wanted` or would. Looks from the end, near which most of what comes in belongs.
    fn chunk_of(&self, wanted: TimeKey, key: impl Fn(EdgeNo) -> TimeKey) -> usize {
        let begins_by = |chunk: &Chunk| chunk.edges.first().is_some_and(|&first| key(first) <= wanted);
        let (mut end, mut step) = (self.chunks.len(), 1);
        while let Some(begin) = end.checked_sub(step) {
            if self.chunks.get(begin).is_some_and(begins_by) {
                let stretch = self.chunks.get(begin..end).unwrap_or_default();
                return begin + stretch.partition_point(begins_by) - 1;
            }
            end = begin;
            step *= 2;
        }
        self.chunks.get(..end).unwrap_or_default().partition_point(begins_by).saturating_sub(1)
    }
}

impl Chunk {
    fn new(edges: Vec<EdgeNo>) -> Self {
        Self { edges, latest_end: AtomicI64::new(UNKNOWN), latest_closed: AtomicI64::new(UNKNOWN) }
    }

    fn forget_end(&self) {
        self.latest_end.store(UNKNOWN, Ordering::Relaxed);
        self.latest_closed.store(UNKNOWN, Ordering::Relaxed);
    }

    fn latest_end(&self, end: impl Fn(EdgeNo) -> Timestamp) -> Timestamp {
        self.latest(&self.latest_end, end)
    }

    fn latest_closed(&self, end: impl Fn(EdgeNo) -> Timestamp) -> Timestamp {
        self.latest(&self.latest_closed, |edge| Some(end(edge)).filter(|end| *end < Timestamp::MAX).unwrap_or(Timestamp::MIN))
    }

    fn latest(&self, kept: &AtomicI64, end: impl Fn(EdgeNo) -> Timestamp) -> Timestamp {
        let known = kept.load(Ordering::Relaxed);
        if known != UNKNOWN {
            return Timestamp::from_millis(known);
        }
        let latest = self.edges.iter().map(|&edge| end(edge)).max().unwrap_or(Timestamp::MIN);
        kept.store(latest.millis(), Ordering::Relaxed);
        latest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::number::Number as _;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn walks_as_a_sorted_set(times in prop::collection::vec(0i64..400, 1..2500), remove in prop::collection::vec(any::<prop::sample::Index>(), 0..300), before in 0i64..420, ends_from in 0i64..420) {
            let edge = |key: usize| EdgeNo::from_index(u32::try_from(key).unwrap()).unwrap();
            let key = |edge: EdgeNo| (Timestamp::from_millis(times[edge.index() as usize]), [u64::from(edge.index()), 0]);
            let end = |edge: EdgeNo| Timestamp::from_millis(times[edge.index() as usize] + i64::from(edge.index() % 7) * 20);
            let (mut timeline, mut model) = (EventsByTime::default(), BTreeSet::new());
            for edge in (0..times.len()).map(edge) {
                timeline.insert(edge, key);
                model.insert((key(edge), edge));
            }
            for index in remove {
                let edge = edge(index.index(times.len()));
                timeline.remove(edge, key);
                model.remove(&(key(edge), edge));
            }
            prop_assert_eq!(timeline.len(), model.len());
            let (before, ends_from) = ((Timestamp::from_millis(before), [0; 2]), Timestamp::from_millis(ends_from));
            for limit in [3, usize::MAX] {
                for before in [None, Some(before)] {
                    let mut found = Vec::new();
                    timeline.walk_back(before, ends_from, key, end, |edge| {
                        if end(edge) >= ends_from {
                            found.push(edge);
                        }
                        found.len() < limit
                    });
                    let expected: Vec<EdgeNo> = model.iter().rev().filter(|&&p| before.is_none_or(|b| p.0 < b)).map(|p| p.1).filter(|&e| end(e) >= ends_from).take(limit).collect();
                    prop_assert_eq!(found, expected);
                }
            }
        }
    }
}
