//! Events in order of time: numbers of their first edges, sorted by (time, id), in pieces that know how late their events end.

use super::number::EdgeNo;
use super::pieces::Pieces;
use super::pieces::Place;
use super::pieces::Stretch;
use crate::time::Timestamp;
use std::collections::BinaryHeap;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;

/// The latest end must be asked for again.
const UNKNOWN: i64 = i64::MIN;

/// Where something stands in time: when, then id, so that no two are equal and a restart changes no order.
pub(super) type TimeKey = (Timestamp, [u64; 2]);

/// What ends at some time, or at some time at the latest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Item {
    Edge(EdgeNo),
    Chunk(usize, usize),
    Stretch(usize),
}

/// What a walk by ends comes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looked {
    /// An event, in its order.
    At(EdgeNo),
    /// So many, to find their order.
    Through(usize),
}

#[derive(Debug, Default)]
pub(super) struct EventsByTime {
    edges: Pieces<EdgeNo, Ends>,
}

/// What is known of when the events of a piece end.
#[derive(Debug)]
struct Ends {
    /// The latest end of one in milliseconds (an open one ends never), or `UNKNOWN`.
    latest: AtomicI64,
    /// The same of those that are not open.
    latest_closed: AtomicI64,
}

/// Which of the ends of a piece are asked for.
#[derive(Clone, Copy)]
enum Which {
    All,
    Closed,
}

type Chunk = super::pieces::Chunk<EdgeNo, Ends>;

impl EventsByTime {
    pub(super) fn len(&self) -> usize {
        self.edges.len()
    }

    /// Adds an edge; `key` tells where it and every other in here stand.
    pub(super) fn insert(&mut self, edge: EdgeNo, key: impl Fn(EdgeNo) -> TimeKey) {
        let new = key(edge);
        self.edges.insert(edge, |&other| key(other) < new);
    }

    /// Takes out an edge.
    pub(super) fn remove(&mut self, edge: EdgeNo, key: impl Fn(EdgeNo) -> TimeKey) {
        let old = key(edge);
        self.edges.remove(|&other| key(other) <= old, |&other| other == edge);
    }

    /// The event of this edge ends at another time than before.
    pub(super) fn end_changed(&mut self, edge: EdgeNo, key: impl Fn(EdgeNo) -> TimeKey) {
        let key_of_it = key(edge);
        let place = self.edges.place(|&other| key(other) <= key_of_it);
        self.edges.forget_notes(place);
    }

    /// Where what stands before `before` ends: everything, if there is none.
    fn end_of(&self, before: Option<TimeKey>, key: impl Fn(EdgeNo) -> TimeKey) -> Place {
        before.map_or(Place { stretch: usize::MAX, chunk: usize::MAX, item: usize::MAX }, |before| {
            self.edges.place(|&edge| key(edge) < before)
        })
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
        let last = self.end_of(before, key);
        for (index, stretch) in self.edges.stretches().iter().enumerate().rev() {
            if index > last.stretch || latest_of_all(stretch, Which::All, &end) < ends_from {
                continue;
            }
            let is_last = index == last.stretch;
            for (index, chunk) in stretch.chunks.iter().enumerate().rev() {
                let to = match index.cmp(&last.chunk) {
                    _ if !is_last => usize::MAX,
                    std::cmp::Ordering::Less => usize::MAX,
                    std::cmp::Ordering::Equal => last.item,
                    std::cmp::Ordering::Greater => continue,
                };
                if latest(chunk, Which::All, &end) >= ends_from && chunk.items.iter().take(to).rev().any(|&edge| !visit(edge)) {
                    return;
                }
            }
        }
    }

    /// Walks over events that are not open from those that end last, at `upto` at the latest, until `visit` says stop.
    /// Leaves out most of what begins at or after `before`, and what begins after `upto`.
    pub(super) fn walk_by_end(
        &self,
        before: Option<TimeKey>,
        upto: Timestamp,
        key: impl Fn(EdgeNo) -> TimeKey,
        end: impl Fn(EdgeNo) -> Timestamp,
        mut visit: impl FnMut(Looked) -> bool,
    ) {
        let last = self.end_of(before, &key);
        let stretches = self.edges.stretches();
        // Nothing ends before it begins.
        let is_late = |chunk: Option<&Chunk>| chunk.and_then(|chunk| chunk.items.first()).is_some_and(|&first| key(first).0 > upto);
        let first = stretches.iter().enumerate().filter(|(index, stretch)| *index <= last.stretch && !is_late(stretch.chunks.first()));
        let mut next: BinaryHeap<(Timestamp, Item)> =
            first.map(|(index, stretch)| (latest_of_all(stretch, Which::Closed, &end), Item::Stretch(index))).collect();
        while let Some((_, item)) = next.pop() {
            match item {
                Item::Edge(edge) if !visit(Looked::At(edge)) => return,
                Item::Edge(_) => {}
                Item::Chunk(stretch, chunk) => {
                    let chunk = stretches.get(stretch).and_then(|stretch| stretch.chunks.get(chunk)).filter(|chunk| !is_late(Some(chunk)));
                    let edges = chunk.map_or(&[][..], |chunk| &chunk.items);
                    visit(Looked::Through(edges.len()));
                    let ends = edges.iter().map(|&edge| (end(edge), Item::Edge(edge)));
                    next.extend(ends.filter(|(end, _)| *end <= upto && *end < Timestamp::MAX));
                }
                Item::Stretch(index) => {
                    let chunks = stretches.get(index).map_or(&[][..], |stretch| &stretch.chunks);
                    let chunks = chunks.iter().enumerate().filter(|(chunk, _)| index < last.stretch || *chunk <= last.chunk);
                    next.extend(chunks.map(|(chunk, edges)| (latest(edges, Which::Closed, &end), Item::Chunk(index, chunk))));
                }
            }
        }
    }
}

impl Default for Ends {
    fn default() -> Self {
        Self { latest: AtomicI64::new(UNKNOWN), latest_closed: AtomicI64::new(UNKNOWN) }
    }
}

impl Ends {
    /// The latest, which is found out where it is not known.
    fn latest(&self, which: Which, find: impl FnOnce() -> Timestamp) -> Timestamp {
        let kept = match which {
            Which::All => &self.latest,
            Which::Closed => &self.latest_closed,
        };
        let known = kept.load(Ordering::Relaxed);
        if known != UNKNOWN {
            return Timestamp::from_millis(known);
        }
        let latest = find();
        kept.store(latest.millis(), Ordering::Relaxed);
        latest
    }
}

fn latest(chunk: &Chunk, which: Which, end: impl Fn(EdgeNo) -> Timestamp) -> Timestamp {
    let counts = |end: &Timestamp| matches!(which, Which::All) || *end < Timestamp::MAX;
    chunk.note.latest(which, || chunk.items.iter().map(|&edge| end(edge)).filter(counts).max().unwrap_or(Timestamp::MIN))
}

fn latest_of_all(stretch: &Stretch<EdgeNo, Ends>, which: Which, end: impl Fn(EdgeNo) -> Timestamp) -> Timestamp {
    stretch.note.latest(which, || stretch.chunks.iter().map(|chunk| latest(chunk, which, &end)).max().unwrap_or(Timestamp::MIN))
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
        by_time.walk_by_end(before, upto, key, end, |looked| {
            let Looked::At(edge) = looked else { return true };
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
        assert_eq!(by_time.edges.stretches().iter().map(|stretch| stretch.chunks.len()).collect::<Vec<_>>(), [4]);
    }
}
