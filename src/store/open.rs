//! What is open: by time for listing and counting, and by series for the gauge.

use super::timeline::Place;
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

#[derive(Debug, Default)]
pub(super) struct OpenEvents {
    by_time: BTreeSet<Place>,
    /// Those of identity rule 4, which leave the gauge with age.
    lapsing: BTreeSet<Place>,
    /// (cluster, series of the start) to the starts of its open events and whether they lapse.
    by_series: BTreeMap<(u16, u32), BTreeMap<Place, bool>>,
    version: u64,
}

impl OpenEvents {
    pub(super) fn len(&self) -> usize {
        self.by_time.len()
    }

    /// Grows whenever an event opens or closes.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn insert(&mut self, place: Place, cluster: u16, series: u32, lapses: bool) {
        self.version += 1;
        self.by_time.insert(place);
        if lapses {
            self.lapsing.insert(place);
        }
        self.by_series.entry((cluster, series)).or_default().insert(place, lapses);
    }

    pub(super) fn remove(&mut self, place: Place, cluster: u16, series: u32) {
        self.version += 1;
        self.by_time.remove(&place);
        self.lapsing.remove(&place);
        if let Some(starts) = self.by_series.get_mut(&(cluster, series)) {
            starts.remove(&place);
            if starts.is_empty() {
                self.by_series.remove(&(cluster, series));
            }
        }
    }

    /// How many of rule 4 began before `lapsed`.
    pub(super) fn lapsed(&self, lapsed: Timestamp) -> usize {
        self.lapsing.range(..(lapsed, 0)).count()
    }

    /// When the next one of rule 4 that began at or after `lapsed` began.
    pub(super) fn next_lapsing(&self, lapsed: Timestamp) -> Option<Timestamp> {
        self.lapsing.range((lapsed, 0)..).next().map(|place| place.0)
    }

    /// Per series of the cluster the oldest open start that has not lapsed.
    pub(super) fn gauges(&self, cluster: u16, lapsed: Timestamp) -> impl Iterator<Item = (u32, Timestamp)> {
        self.by_series.range((cluster, 0)..=(cluster, u32::MAX)).filter_map(move |(&(_, series), starts)| {
            let shown = starts.iter().find(|((at, _), lapses)| !**lapses || *at >= lapsed);
            shown.map(|((at, _), _)| (series, *at))
        })
    }

    /// The open events before `before`, newest first.
    pub(super) fn newest_first(&self, before: Option<Place>) -> impl Iterator<Item = u32> {
        let before = before.unwrap_or((Timestamp::MAX, u32::MAX));
        self.by_time.range(..before).rev().map(|place| place.1)
    }
}
