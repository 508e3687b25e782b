//! What is open: by time for listing and counting, and by series for the gauge.

use super::ClusterId;
use super::by_time::TimeKey;
use super::bytes::allocated;
use super::bytes::tree;
use super::number::EdgeNo;
use super::number::Number as _;
use super::number::SeriesNo;
use super::pieces::Pieces;
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Bound;

#[derive(Debug, Default)]
pub(super) struct OpenEvents {
    by_time: BTreeMap<TimeKey, OpenStart>,
    /// By what they answer to: the order of what has no end.
    by_id: BTreeSet<(Box<str>, EdgeNo)>,
    /// Those of identity rule 4, which leave the gauge with age: to be counted up to a time.
    lapsing: Pieces<TimeKey>,
    /// (cluster, series of the start) to the starts of its open events and whether they lapse.
    by_series: BTreeMap<(ClusterId, SeriesNo), Starts>,
    /// What the ids take.
    id_bytes: usize,
    version: u64,
}

#[derive(Clone, Copy, Debug)]
struct OpenStart {
    edge: EdgeNo,
    cluster: ClusterId,
    series: SeriesNo,
}

/// An open event by its first start.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenEvent {
    pub(super) edge: EdgeNo,
    pub(super) key: TimeKey,
    pub(super) cluster: ClusterId,
    pub(super) series: SeriesNo,
    /// Identity rule 4: it leaves the gauge with age.
    pub(super) lapses: bool,
}

/// The open starts of one series: nearly always one.
#[derive(Debug)]
enum Starts {
    One(TimeKey, bool),
    Many(Box<Apart>),
}

/// The same, those that lapse apart, so that the first that has not is found however many have.
#[derive(Debug, Default)]
struct Apart {
    stay: BTreeSet<TimeKey>,
    lapse: BTreeSet<TimeKey>,
}

impl Apart {
    fn of(&mut self, lapses: bool) -> &mut BTreeSet<TimeKey> {
        if lapses { &mut self.lapse } else { &mut self.stay }
    }
}

impl Starts {
    fn insert(&mut self, event: &OpenEvent) {
        if let Self::One(only, its) = *self {
            let mut apart = Box::<Apart>::default();
            apart.of(its).insert(only);
            *self = Self::Many(apart);
        }
        if let Self::Many(apart) = self {
            apart.of(event.lapses).insert(event.key);
        }
    }

    /// Takes one out; says whether none is left.
    fn remove(&mut self, key: TimeKey) -> bool {
        match self {
            Self::One(only, _) => *only == key,
            Self::Many(apart) => {
                // It may lapse by now, and did not when it came.
                if !apart.stay.remove(&key) {
                    apart.lapse.remove(&key);
                }
                apart.stay.is_empty() && apart.lapse.is_empty()
            }
        }
    }

    fn oldest(&self, lapsed: Timestamp) -> Option<TimeKey> {
        match self {
            Self::One(only, its) => Some(*only).filter(|only| !its || only.0 >= lapsed),
            Self::Many(apart) => {
                let lapsing = apart.lapse.range((lapsed, [0; 2])..).next();
                [apart.stay.first(), lapsing].into_iter().flatten().min().copied()
            }
        }
    }
}

impl OpenEvents {
    pub(super) fn len(&self) -> usize {
        self.by_time.len()
    }

    /// The bytes that they take. Series are taken to have one each.
    pub(super) fn bytes(&self) -> usize {
        let by_time = tree(self.len(), size_of::<(TimeKey, OpenStart)>()) + self.lapsing.len() * size_of::<TimeKey>();
        let by_id = tree(self.by_id.len(), size_of::<(Box<str>, EdgeNo)>()) + self.id_bytes;
        by_time
            + by_id
            + tree(self.by_series.len(), size_of::<((ClusterId, SeriesNo), Starts)>())
            + (self.len() - self.by_series.len()) * 48
    }

    /// Grows whenever an event opens or closes.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// `id` is what the event answers to; see [`OpenEvents::rename`].
    pub(super) fn insert(&mut self, event: &OpenEvent, id: Box<str>) {
        let OpenEvent { edge, key, cluster, series, lapses } = *event;
        self.version += 1;
        self.id_bytes += allocated(id.len());
        self.by_id.insert((id, edge));
        self.by_time.insert(key, OpenStart { edge, cluster, series });
        if lapses {
            self.lapsing.insert(key, |other| *other < key);
        }
        self.by_series.entry((cluster, series)).and_modify(|starts| starts.insert(event)).or_insert(Starts::One(key, lapses));
    }

    pub(super) fn remove(&mut self, event: &OpenEvent, id: Box<str>) {
        let OpenEvent { edge, key, cluster, series, .. } = *event;
        self.version += 1;
        let bytes = allocated(id.len());
        if self.by_id.remove(&(id, edge)) {
            self.id_bytes -= bytes;
        }
        self.by_time.remove(&key);
        self.lapsing.remove(|other| *other <= key, |other| *other == key);
        if self.by_series.get_mut(&(cluster, series)).is_some_and(|starts| starts.remove(key)) {
            self.by_series.remove(&(cluster, series));
        }
    }

    /// The event answers to another id now.
    pub(super) fn rename(&mut self, edge: EdgeNo, before: Box<str>, after: Box<str>) {
        let (gone, new) = (allocated(before.len()), allocated(after.len()));
        if self.by_id.remove(&(before, edge)) {
            self.by_id.insert((after, edge));
            self.id_bytes = self.id_bytes + new - gone;
        }
    }

    /// The open events whose ids come after `id`, in the order of those.
    pub(super) fn after_id(&self, id: &str) -> impl Iterator<Item = EdgeNo> {
        self.by_id.range((Bound::Excluded((id.into(), EdgeNo::MAX)), Bound::Unbounded)).map(|(_, edge)| *edge)
    }

    /// How many of rule 4 began before `lapsed`.
    pub(super) fn lapsed(&self, lapsed: Timestamp) -> usize {
        self.lapsing.count(|key| key.0 < lapsed)
    }

    /// When the next one of rule 4 that began at or after `lapsed` began.
    pub(super) fn next_lapsing(&self, lapsed: Timestamp) -> Option<Timestamp> {
        self.lapsing.after(|key| key.0 < lapsed).map(|key| key.0)
    }

    /// Per series of the cluster the oldest open start that has not lapsed.
    pub(super) fn gauges(&self, cluster: ClusterId, lapsed: Timestamp) -> impl Iterator<Item = (SeriesNo, Timestamp)> {
        // In the order of time, so that a page is the same after a restart, whatever numbers the series have then.
        let here = self.by_time.iter().filter(move |(_, start)| start.cluster == cluster);
        let oldest = move |series: SeriesNo| self.by_series.get(&(cluster, series)).and_then(|starts| starts.oldest(lapsed));
        here.filter_map(move |(key, start)| oldest(start.series).filter(|oldest| oldest == key).map(|oldest| (start.series, oldest.0)))
    }

    /// The open events before `before`, newest first.
    pub(super) fn newest_first(&self, before: Option<TimeKey>) -> impl Iterator<Item = EdgeNo> {
        let before = before.unwrap_or((Timestamp::MAX, [u64::MAX; 2]));
        self.by_time.range(..before).rev().map(|(_, start)| start.edge)
    }
}
