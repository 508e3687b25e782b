//! What has an end that is still to come: open by the clock until then, although nothing is missing of it.
//!
//! An event comes in when its end lies after the last time of receipt, and leaves when it has another end, or when some record
//! is received after that one, a few at a time. So at any moment that is not before the last time of receipt all that end later
//! are here; whoever asks compares their ends with the moment.

use super::ClusterId;
use super::by_time::TimeKey;
use super::number::EdgeNo;
use super::number::Number as _;
use super::number::SeriesNo;
use super::open_event::OpenEvent;
use super::sizes::tree;
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Bound;

#[derive(Debug, Default)]
pub(super) struct Ahead {
    of: BTreeMap<EdgeNo, (OpenEvent, Timestamp)>,
    by_end: BTreeSet<(Timestamp, EdgeNo)>,
    by_time: BTreeMap<TimeKey, EdgeNo>,
    /// By cluster in order of time, with the series and the end.
    by_cluster: BTreeMap<(ClusterId, TimeKey), (SeriesNo, Timestamp)>,
    by_series: BTreeMap<(ClusterId, SeriesNo, TimeKey), Timestamp>,
}

/// The place after all that begins at this moment.
fn after_all_at(moment: Timestamp) -> TimeKey {
    (moment, [u64::MAX; 2])
}

impl Ahead {
    pub(super) fn len(&self) -> usize {
        self.of.len()
    }

    /// The bytes that they take.
    pub(super) fn bytes(&self) -> usize {
        let each = [
            size_of::<(EdgeNo, (OpenEvent, Timestamp))>(),
            size_of::<(Timestamp, EdgeNo)>(),
            size_of::<(TimeKey, EdgeNo)>(),
            size_of::<((ClusterId, TimeKey), (SeriesNo, Timestamp))>(),
            size_of::<((ClusterId, SeriesNo, TimeKey), Timestamp)>(),
        ];
        each.into_iter().map(|bytes| tree(self.len(), bytes)).sum()
    }

    /// Sets when the event that begins with `edge` ends, or that it is none of these. Returns it as it was, where that is not the
    /// same.
    pub(super) fn set(&mut self, edge: EdgeNo, ending: Option<(OpenEvent, Timestamp)>) -> Option<OpenEvent> {
        let before = self.of.get(&edge).copied();
        if before.map(|(event, end)| (event.key, end)) == ending.as_ref().map(|(event, end)| (event.key, *end)) {
            return None;
        }
        if let Some((event, end)) = before {
            self.of.remove(&edge);
            self.by_end.remove(&(end, edge));
            self.by_time.remove(&event.key);
            self.by_cluster.remove(&(event.cluster, event.key));
            self.by_series.remove(&(event.cluster, event.series, event.key));
        }
        if let Some((event, end)) = ending {
            self.of.insert(edge, (event, end));
            self.by_end.insert((end, edge));
            self.by_time.insert(event.key, edge);
            self.by_cluster.insert((event.cluster, event.key), (event.series, end));
            self.by_series.insert((event.cluster, event.series, event.key), end);
        }
        before.or(ending).map(|(event, _)| event)
    }

    /// Some of those that had ended at `now`, the first to end first.
    pub(super) fn over(&self, now: Timestamp) -> impl Iterator<Item = EdgeNo> {
        self.by_end.range(..=(now, EdgeNo::MAX)).map(|(_, edge)| *edge)
    }

    /// How many of them are open at `now`.
    pub(super) fn open_at(&self, now: Timestamp) -> usize {
        let later = self.by_end.range((Bound::Excluded((now, EdgeNo::MAX)), Bound::Unbounded));
        later.filter(|(_, edge)| self.of.get(edge).is_some_and(|(event, _)| event.key.0 <= now)).count()
    }

    /// Whether this one is here.
    pub(super) fn has(&self, edge: EdgeNo) -> bool {
        self.of.contains_key(&edge)
    }

    /// When the next one after `now` begins or ends.
    pub(super) fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let begins = self.by_time.range((Bound::Excluded(after_all_at(now)), Bound::Unbounded)).next().map(|(key, _)| key.0);
        let ends = self.by_end.range((Bound::Excluded((now, EdgeNo::MAX)), Bound::Unbounded)).next().map(|(end, _)| *end);
        [begins, ends].into_iter().flatten().min()
    }

    /// Those of a cluster that have begun at `now`, after `after`, oldest first, with when they end.
    pub(super) fn of_cluster(
        &self,
        cluster: ClusterId,
        now: Timestamp,
        after: Option<TimeKey>,
    ) -> impl Iterator<Item = (TimeKey, SeriesNo, Timestamp)> {
        let from = after.map_or(Bound::Included((cluster, (Timestamp::MIN, [0; 2]))), |after| Bound::Excluded((cluster, after)));
        let here = self.by_cluster.range((from, Bound::Unbounded));
        let here = here.take_while(move |((of, key), _)| *of == cluster && key.0 <= now);
        here.map(|((_, key), (series, end))| (*key, *series, *end))
    }

    /// The oldest of a series that is open at `now`.
    pub(super) fn oldest(&self, cluster: ClusterId, series: SeriesNo, now: Timestamp) -> Option<TimeKey> {
        let begun = (cluster, series, (Timestamp::MIN, [0; 2]))..=(cluster, series, after_all_at(now));
        self.by_series.range(begun).find(|(_, end)| **end > now).map(|((.., key), _)| *key)
    }

    /// Those that begin before `before`, newest first.
    pub(super) fn newest_first(&self, before: TimeKey) -> impl Iterator<Item = (TimeKey, EdgeNo)> {
        self.by_time.range(..before).rev().map(|(key, edge)| (*key, *edge))
    }
}
