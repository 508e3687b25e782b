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
    lapsed: Timestamp,
    /// The version when it began.
    begun: u64,
    after: Option<TimeKey>,
    /// The oldest open start of each series, oldest first.
    gauges: Vec<(TimeKey, SeriesNo, SeriesId)>,
}

impl GaugeLook {
    /// Nothing seen yet. What began before `lapsed` and lapses is open no more.
    pub(super) fn new(cluster: ClusterId, lapsed: Timestamp, open: &OpenEvents) -> Self {
        Self { cluster, lapsed, begun: open.version(), after: None, gauges: Vec::new() }
    }

    /// Looks at `most` more events at most; whether there are more. `id` says which series has a number now.
    pub(super) fn go_on(&mut self, open: &OpenEvents, most: usize, id: impl Fn(SeriesNo) -> SeriesId) -> bool {
        let mut rest = open.gauges(self.cluster, self.lapsed, self.after);
        for (key, series, is_oldest) in rest.by_ref().take(most) {
            self.after = Some(key);
            self.gauges.extend(is_oldest.then(|| (key, series, id(series))));
        }
        rest.next().is_some()
    }

    /// What is open now, oldest first; `None` when more changed meanwhile than is remembered.
    pub(super) fn end(mut self, open: &OpenEvents, id: impl Fn(SeriesNo) -> SeriesId) -> Option<Vec<(Timestamp, SeriesId)>> {
        let changed = open.changed_since(self.cluster, self.begun)?;
        if !changed.is_empty() {
            self.gauges.retain(|(_, series, _)| !changed.contains(series));
            let now_open = |series: SeriesNo| Some((open.gauge(self.cluster, series, self.lapsed)?, series, id(series)));
            self.gauges.extend(changed.into_iter().filter_map(now_open));
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
    use crate::store::open::OpenEvent;
    use crate::store::open::OpenId;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const CLUSTER: ClusterId = ClusterId(1);
    const LAPSED: i64 = 20;

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

    fn id(series: SeriesNo) -> SeriesId {
        SeriesId { number: series.index(), generation: 1 }
    }

    /// What is open, by events alone.
    fn model(open: &BTreeMap<u32, OpenEvent>) -> Vec<(Timestamp, SeriesId)> {
        let mut oldest: BTreeMap<SeriesNo, TimeKey> = BTreeMap::new();
        for event in open.values().filter(|event| event.cluster == CLUSTER && (!event.lapses || event.key.0.millis() >= LAPSED)) {
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
                if there.remove(&number).is_some() {
                    open.remove(&event, name());
                } else {
                    open.insert(&event, name());
                    there.insert(number, event);
                }
            };
            for number in before {
                toggle(&mut open, &mut there, number);
            }
            let lapsed = Timestamp::from_millis(LAPSED);
            let (mut look, mut between) = (GaugeLook::new(CLUSTER, lapsed, &open), between.into_iter());
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
            let look = GaugeLook::new(CLUSTER, Timestamp::MIN, &open);
            for _ in 0..changes / 2 {
                open.insert(&event(1), OpenId::Edge([1; 2]));
                open.remove(&event(1), OpenId::Edge([1; 2]));
            }
            assert_eq!(look.end(&open, id).is_some(), is_known, "{changes}");
        }
    }
}
