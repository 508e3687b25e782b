//! A look at what is open on a cluster, a part at a time, so that the writer can go on in between; of one moment all the same.
//!
//! What opened or closed meanwhile is looked up again at the end.

use super::ClusterId;
use super::SeriesId;
use super::by_time::TimeKey;
use super::number::SeriesNo;
use super::open::OpenEvents;
use crate::time::Timestamp;

/// The oldest open start of a label set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenGauge {
    /// The series of the start.
    pub series: SeriesId,
    /// Since when it is open.
    pub since: Timestamp,
}

/// What was seen so far.
#[derive(Debug)]
pub(super) struct GaugeLook {
    cluster: ClusterId,
    now: Timestamp,
    lapsed: Timestamp,
    /// The version when it began.
    begun: u64,
    after: Option<TimeKey>,
    /// It looks at what has an end to come; what has none is done.
    at_ahead: bool,
    /// The oldest open start of each series, oldest first; then those of what has an end to come.
    gauges: Vec<(TimeKey, SeriesNo, SeriesId)>,
}

impl GaugeLook {
    /// Nothing seen yet. What began before `lapsed` and lapses is open no more at `now`.
    pub(super) fn new(cluster: ClusterId, now: Timestamp, lapsed: Timestamp, open: &OpenEvents) -> Self {
        Self { cluster, now, lapsed, begun: open.version(), after: None, at_ahead: false, gauges: Vec::new() }
    }

    /// Looks at `most` more events at most; whether there are more. `id` says which series has a number now.
    pub(super) fn go_on(&mut self, open: &OpenEvents, most: usize, id: impl Fn(SeriesNo) -> SeriesId) -> bool {
        if self.at_ahead {
            let mut rest = open.ahead().of_cluster(self.cluster, self.now, self.after);
            for (key, series, end) in rest.by_ref().take(most) {
                self.after = Some(key);
                self.gauges.extend((end > self.now).then(|| (key, series, id(series))));
            }
            return rest.next().is_some();
        }
        let mut rest = open.gauges(self.cluster, self.now, self.lapsed, self.after);
        for (key, series, is_oldest) in rest.by_ref().take(most) {
            self.after = Some(key);
            self.gauges.extend(is_oldest.then(|| (key, series, id(series))));
        }
        if rest.next().is_some() {
            return true;
        }
        (self.at_ahead, self.after) = (true, None);
        open.ahead().len() > 0
    }

    /// What is open now, oldest first; `None` when more changed meanwhile than is remembered.
    pub(super) fn end(mut self, open: &OpenEvents, id: impl Fn(SeriesNo) -> SeriesId) -> Option<Vec<(Timestamp, SeriesId)>> {
        let changed = open.changed_since(self.cluster, self.begun)?;
        let is_in_order = changed.is_empty() && open.ahead().len() == 0 && self.gauges.is_sorted_by_key(|(key, ..)| *key);
        if !changed.is_empty() {
            self.gauges.retain(|(_, series, _)| !changed.contains(series));
            let now_open = |series: SeriesNo| Some((open.gauge(self.cluster, series, self.now, self.lapsed)?, series, id(series)));
            self.gauges.extend(changed.into_iter().filter_map(now_open));
        }
        if !is_in_order {
            self.gauges.sort_unstable_by_key(|(key, series, _)| (*series, *key));
            self.gauges.dedup_by_key(|(_, series, _)| *series);
            self.gauges.sort_unstable_by_key(|(key, ..)| *key);
        }
        Some(self.gauges.into_iter().map(|((since, _), _, series)| (since, series)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::number::EdgeNo;
    use crate::store::number::Number as _;
    use crate::store::open::OpenId;
    use crate::store::open_event::OpenEvent;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const CLUSTER: ClusterId = ClusterId(1);
    const LAPSED: i64 = 20;
    const NOW: i64 = 50;

    /// The event of this number: a few series and clusters, times in no order.
    fn event(number: u32) -> OpenEvent {
        let at = Timestamp::from_millis(i64::from(number * 37 % 64));
        OpenEvent {
            edge: EdgeNo::from_index(number).unwrap(),
            key: (at, [u64::from(number); 2]),
            cluster: ClusterId(u16::from(!number.is_multiple_of(5))),
            series: SeriesNo::from_index(number % 12).unwrap(),
            lapses: number.is_multiple_of(3),
        }
    }

    /// When the event of this number ends, if it does: before and after the moment of the look.
    fn end(number: u32) -> Option<Timestamp> {
        number.is_multiple_of(4).then(|| Timestamp::from_millis(i64::from(number * 37 % 64) + i64::from(number % 7) * 9))
    }

    fn id(series: SeriesNo) -> SeriesId {
        SeriesId { number: series.index(), generation: 1 }
    }

    /// What is open, by events alone.
    fn model(open: &BTreeMap<u32, OpenEvent>) -> Vec<(Timestamp, SeriesId)> {
        let mut oldest: BTreeMap<SeriesNo, TimeKey> = BTreeMap::new();
        let is_shown = |number: u32, event: &OpenEvent| match end(number) {
            Some(end) => end.millis() > NOW,
            None => !event.lapses || event.key.0.millis() >= LAPSED,
        };
        let here = open.iter().filter(|(_, event)| event.cluster == CLUSTER && event.key.0.millis() <= NOW);
        for (_, event) in here.filter(|(number, event)| is_shown(**number, event)) {
            let key = oldest.entry(event.series).or_insert(event.key);
            *key = event.key.min(*key);
        }
        let mut all: Vec<(TimeKey, SeriesNo)> = oldest.into_iter().map(|(series, key)| (key, series)).collect();
        all.sort_unstable();
        all.into_iter().map(|((since, _), series)| (since, id(series))).collect()
    }

    proptest! {
        #[test]
        fn a_look_sees_what_is_open_when_it_ends(
            before in prop::collection::vec(0..64_u32, 0..80),
            between in prop::collection::vec(prop::option::of(0..64_u32), 0..60),
            most in 1..6_usize,
        ) {
            let (mut open, mut there) = (OpenEvents::default(), BTreeMap::new());
            let toggle = |open: &mut OpenEvents, there: &mut BTreeMap<u32, OpenEvent>, number: u32| {
                let (event, name) = (event(number), || OpenId::Own(number.to_string().into()));
                let comes = there.remove(&number).is_none();
                match end(number) {
                    Some(end) => open.set_end(event.edge, comes.then_some((event, end))),
                    None if comes => open.insert(&event, name()),
                    None => open.remove(&event, name()),
                }
                if comes {
                    there.insert(number, event);
                }
            };
            for number in before {
                toggle(&mut open, &mut there, number);
            }
            let (now, lapsed) = (Timestamp::from_millis(NOW), Timestamp::from_millis(LAPSED));
            let (mut look, mut between) = (GaugeLook::new(CLUSTER, now, lapsed, &open), between.into_iter());
            while look.go_on(&open, most, id) {
                if let Some(number) = between.next().flatten() {
                    toggle(&mut open, &mut there, number);
                }
            }
            prop_assert_eq!(look.end(&open, id), Some(model(&there)));
        }
    }

    /// Then whoever looks begins again.
    #[test]
    fn more_changes_than_are_remembered_are_noticed() {
        for (changes, is_known) in [(4096, true), (4098, false)] {
            let mut open = OpenEvents::default();
            let look = GaugeLook::new(CLUSTER, Timestamp::MAX, Timestamp::MIN, &open);
            for _ in 0..changes / 2 {
                open.insert(&event(1), OpenId::Edge([1; 2]));
                open.remove(&event(1), OpenId::Edge([1; 2]));
            }
            assert_eq!(look.end(&open, id).is_some(), is_known, "{changes}");
        }
    }
}
