//! Events in order of time: numbers of their first edges, sorted by (time, id), in chunks that know how late their events end.

use super::number::EdgeNo;
use crate::time::Timestamp;
use std::collections::BinaryHeap;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;

const CHUNK_MAX: usize = 512;
/// The chunk's latest end must be asked for again.
const UNKNOWN: i64 = i64::MIN;

/// Where something stands in time: when, then id, so that no two are equal and a restart changes no order.
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

    fn number(index: usize) -> EdgeNo {
        EdgeNo::from_index(u32::try_from(index).unwrap()).unwrap()
    }

    /// When each edge happened and its event ends, in milliseconds; `None` while it is open.
    type Times = [(i64, Option<i64>)];

    fn key(times: &Times) -> impl Fn(EdgeNo) -> TimeKey + Copy {
        |edge| (Timestamp::from_millis(times[edge.index() as usize].0), [u64::from(edge.index()), 0])
    }

    fn end(times: &Times) -> impl Fn(EdgeNo) -> Timestamp + Copy {
        |edge| times[edge.index() as usize].1.map_or(Timestamp::MAX, Timestamp::from_millis)
    }

    /// Walks back over `by_time` from `before`, or the newest: the first `limit` that end at `ends_from` or later.
    #[track_caller]
    fn check_back(
        by_time: &EventsByTime,
        model: &BTreeSet<(TimeKey, EdgeNo)>,
        times: &Times,
        before: Option<TimeKey>,
        ends_from: Timestamp,
        limit: usize,
    ) {
        let (key, end) = (key(times), end(times));
        let mut found = Vec::new();
        by_time.walk_back(before, ends_from, key, end, |edge| {
            assert!(before.is_none_or(|before| key(edge) < before));
            found.extend((end(edge) >= ends_from).then_some(edge));
            found.len() < limit
        });
        let all = model.iter().rev().filter(|(key, _)| before.is_none_or(|before| *key < before)).map(|(_, edge)| *edge);
        assert_eq!(found, all.filter(|&edge| end(edge) >= ends_from).take(limit).collect::<Vec<_>>());
    }

    /// The same from what ends last, at `upto` at the latest.
    #[track_caller]
    fn check_by_end(
        by_time: &EventsByTime,
        model: &BTreeSet<(TimeKey, EdgeNo)>,
        times: &Times,
        before: Option<TimeKey>,
        upto: Timestamp,
        limit: usize,
    ) {
        let (key, end) = (key(times), end(times));
        let mut found = Vec::new();
        by_time.walk_by_end(before, upto, key, end, |edge| {
            found.extend(before.is_none_or(|before| key(edge) < before).then_some(edge));
            found.len() < limit
        });
        let closed = model
            .iter()
            .filter(|(key, edge)| before.is_none_or(|before| *key < before) && end(*edge) <= upto && end(*edge) < Timestamp::MAX);
        let mut closed: Vec<(Timestamp, EdgeNo)> = closed.map(|(_, edge)| (end(*edge), *edge)).collect();
        closed.sort_unstable_by(|one, other| other.cmp(one));
        assert_eq!(found, closed.into_iter().map(|(_, edge)| edge).take(limit).collect::<Vec<_>>());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn walks_as_a_sorted_set(
            times in prop::collection::vec((0i64..400, prop::option::weighted(0.9, 0i64..120)), 1..2500),
            remove in prop::collection::vec(any::<prop::sample::Index>(), 0..300), change in prop::collection::vec((any::<prop::sample::Index>(), prop::option::of(0i64..900)), 0..4),
            places in prop::collection::vec(any::<prop::sample::Index>(), 2), open in any::<bool>(),
        ) {
            let mut times: Vec<(i64, Option<i64>)> = times.into_iter().map(|(at, lasts)| (at, lasts.or((!open).then_some(0)).map(|lasts| at + lasts))).collect();
            let (mut by_time, mut model) = (EventsByTime::default(), BTreeSet::new());
            let check = |by_time: &EventsByTime, model: &BTreeSet<(TimeKey, EdgeNo)>, times: &Times| {
                // From and to where something is, and to where the last of all is.
                let last = times.iter().filter_map(|(_, end)| *end).max().unwrap_or_default();
                for place in &places {
                    let (at, end) = times[place.index(times.len())];
                    let (before, end) = (key(times)(number(place.index(times.len()))), end.unwrap_or(at));
                    for (before, end) in [(None, last), (Some(before), end), (Some((before.0, [0; 2])), last)] {
                        for limit in [3, usize::MAX] {
                            check_back(by_time, model, times, before, Timestamp::from_millis(end), limit);
                            check_by_end(by_time, model, times, before, Timestamp::from_millis(end), limit);
                        }
                    }
                }
            };
            for edge in 0..times.len() {
                by_time.insert(number(edge), key(&times));
                model.insert((key(&times)(number(edge)), number(edge)));
                if edge == times.len() / 2 {
                    check(&by_time, &model, &times);
                }
            }
            check(&by_time, &model, &times);
            for index in remove {
                let edge = number(index.index(times.len()));
                by_time.remove(edge, key(&times));
                model.remove(&(key(&times)(edge), edge));
            }
            prop_assert_eq!(by_time.len(), model.len());
            check(&by_time, &model, &times);
            for (index, lasts) in change {
                let edge = index.index(times.len());
                times[edge].1 = lasts.map(|lasts| times[edge].0 + lasts);
                by_time.end_changed(number(edge), key(&times));
                check(&by_time, &model, &times);
            }
        }
    }

    #[test]
    fn what_comes_in_order_fills_its_chunks() {
        let times: Vec<(i64, Option<i64>)> = (0..4 * 512).map(|at| (at, None)).collect();
        let mut by_time = EventsByTime::default();
        (0..times.len()).for_each(|edge| by_time.insert(number(edge), key(&times)));
        assert_eq!(by_time.chunks.len(), 4);
    }
}
