//! What is open: by time for listing and counting, and by series for the gauge.
//!
//! Open is between start and stop by the clock. What has a start and no end is open from its start on; what has an end that is
//! still to come is kept beside it (`ahead`). Nothing here knows the time: whoever asks says it.

use super::ClusterId;
use super::ahead::Ahead;
use super::by_time::TimeKey;
use super::edges::edge_id;
use super::number::EdgeNo;
use super::number::Number as _;
use super::number::SeriesNo;
use super::open_event::OpenEvent;
use super::pieces::Pieces;
use super::sizes::allocated;
use super::sizes::tree;
use crate::time::Timestamp;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::ops::Bound;
use std::time::Duration;

/// How many of the latest changes are remembered.
const CHANGES_MAX: usize = 4096;
/// So many that have ended leave with one command at most.
const OVER_AT_ONCE: usize = 64;
/// After all.
const LAST: TimeKey = (Timestamp::MAX, [u64::MAX; 2]);

/// The place after all that begins at this moment.
fn after_all_at(moment: Timestamp) -> TimeKey {
    (moment, [u64::MAX; 2])
}

#[derive(Debug, Default)]
pub(super) struct OpenEvents {
    by_time: BTreeMap<TimeKey, EdgeNo>,
    /// The same by cluster, with the series of the start.
    by_cluster: BTreeMap<(ClusterId, TimeKey), SeriesNo>,
    /// By what they answer to: the order of what has no end.
    by_id: BTreeSet<(OpenId, EdgeNo)>,
    /// Those of identity rule 4, which leave the gauge with age: to be counted up to a time.
    lapsing: Pieces<TimeKey>,
    /// (cluster, series of the start) to the starts of its open events and whether they lapse.
    by_series: BTreeMap<(ClusterId, SeriesNo), Starts>,
    /// What ids of their own take.
    id_bytes: usize,
    /// What ends later.
    ahead: Ahead,
    /// How many changes there were.
    version: u64,
    /// The series of the latest of them.
    changes: VecDeque<(ClusterId, SeriesNo)>,
}

/// What an open event answers to, in the order of the texts.
#[derive(Clone, Debug)]
pub(super) enum OpenId {
    /// The id of its first start, which is a number: compared as one, and without a text of its own.
    Edge([u64; 2]),
    /// Its own.
    Own(Box<str>),
}

impl OpenId {
    /// What it takes beside itself.
    fn bytes(&self) -> usize {
        if let Self::Own(text) = self { allocated(text.len()) } else { 0 }
    }

    /// Calls `with` with its text.
    fn with_text<T>(&self, with: impl FnOnce(&[u8]) -> T) -> T {
        match self {
            Self::Own(text) => with(text.as_bytes()),
            Self::Edge(id) => with(edge_id(*id).to_string().as_bytes()),
        }
    }
}

impl Ord for OpenId {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            // Their texts are of one length, so they are in the order of the numbers.
            (Self::Edge(one), Self::Edge(other)) => edge_id(*one).cmp(&edge_id(*other)),
            _ => self.with_text(|one| other.with_text(|other| one.cmp(other))),
        }
    }
}

impl PartialOrd for OpenId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for OpenId {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for OpenId {}

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

    fn oldest(&self, now: Timestamp, lapsed: Timestamp) -> Option<TimeKey> {
        let oldest = match self {
            Self::One(only, its) => Some(*only).filter(|only| !its || only.0 >= lapsed),
            Self::Many(apart) => {
                let lapsing = apart.lapse.range((lapsed, [0; 2])..).next();
                [apart.stay.first(), lapsing].into_iter().flatten().min().copied()
            }
        };
        oldest.filter(|oldest| oldest.0 <= now)
    }
}

impl OpenEvents {
    /// How many have no end.
    pub(super) fn len(&self) -> usize {
        self.by_time.len()
    }

    /// How many more there are whose ends may still be to come: none that is open at any moment is missing.
    pub(super) fn ahead(&self) -> &Ahead {
        &self.ahead
    }

    /// How many are open at `now`.
    pub(super) fn open_at(&self, now: Timestamp) -> usize {
        self.len() - self.by_time.range((Bound::Excluded(after_all_at(now)), Bound::Unbounded)).count() - self.undated()
            + self.ahead.open_at(now)
    }

    /// How many began at the time that stands for none.
    fn undated(&self) -> usize {
        let year = Duration::from_hours(24 * 367);
        let around = (Timestamp::ZERO_TIME.minus(year), [0; 2])..=after_all_at(Timestamp::ZERO_TIME.plus(year));
        self.by_time.range(around).filter(|(key, _)| key.0.is_zero_time()).count()
    }

    /// Sets when the event that begins with `edge` ends, where that is still to come.
    pub(super) fn set_end(&mut self, edge: EdgeNo, ending: Option<(OpenEvent, Timestamp)>) {
        if let Some(event) = self.ahead.set(edge, ending.filter(|(event, _)| event.is_dated())) {
            self.note_change(event.cluster, event.series);
        }
    }

    /// Forgets some of what had ended at `now`.
    pub(super) fn forget_over(&mut self, now: Timestamp) {
        let over: Vec<EdgeNo> = self.ahead.over(now).take(OVER_AT_ONCE).collect();
        for edge in over {
            self.set_end(edge, None);
        }
    }

    /// When the clock alone next changes what is open: something begins, ends, or leaves the gauge with its age.
    pub(super) fn next_change(&self, now: Timestamp, max_age: Duration) -> Option<Timestamp> {
        let begins = self.by_time.range((Bound::Excluded(after_all_at(now)), Bound::Unbounded)).next().map(|(key, _)| key.0);
        let lapses = self.next_lapsing(now.minus(max_age)).map(|began| began.plus(max_age).plus(Duration::from_millis(1)));
        [begins, lapses, self.ahead.next_change(now)].into_iter().flatten().min()
    }

    /// The first starts of all.
    pub(super) fn heads(&self) -> impl Iterator<Item = EdgeNo> {
        self.by_time.values().copied()
    }

    /// The bytes that they take. Series are taken to have one each.
    pub(super) fn bytes(&self) -> usize {
        let by_time = tree(self.len(), size_of::<(TimeKey, EdgeNo)>()) + self.lapsing.len() * size_of::<TimeKey>();
        let by_cluster = tree(self.len(), size_of::<((ClusterId, TimeKey), SeriesNo)>());
        let by_id = tree(self.by_id.len(), size_of::<(OpenId, EdgeNo)>()) + self.id_bytes;
        by_time
            + by_cluster
            + by_id
            + tree(self.by_series.len(), size_of::<((ClusterId, SeriesNo), Starts)>())
            + self.len().saturating_sub(self.by_series.len()) * 48
            + self.ahead.bytes()
    }

    /// Grows whenever an event opens or closes.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// `id` is what the event answers to; see [`OpenEvents::rename`].
    pub(super) fn insert(&mut self, event: &OpenEvent, id: OpenId) {
        let OpenEvent { edge, key, cluster, series, lapses } = *event;
        self.id_bytes += id.bytes();
        self.note_change(cluster, series);
        self.by_id.insert((id, edge));
        self.by_time.insert(key, edge);
        if !event.is_dated() {
            return;
        }
        self.by_cluster.insert((cluster, key), series);
        if lapses {
            self.lapsing.insert(key, |other| *other < key);
        }
        self.by_series.entry((cluster, series)).and_modify(|starts| starts.insert(event)).or_insert(Starts::One(key, lapses));
    }

    pub(super) fn remove(&mut self, event: &OpenEvent, id: OpenId) {
        let OpenEvent { edge, key, cluster, series, .. } = *event;
        self.note_change(cluster, series);
        let bytes = id.bytes();
        if self.by_id.remove(&(id, edge)) {
            self.id_bytes -= bytes;
        }
        self.by_time.remove(&key);
        self.by_cluster.remove(&(cluster, key));
        self.lapsing.remove(|other| *other <= key, |other| *other == key);
        if self.by_series.get_mut(&(cluster, series)).is_some_and(|starts| starts.remove(key)) {
            self.by_series.remove(&(cluster, series));
        }
    }

    /// The event answers to another id now.
    pub(super) fn rename(&mut self, edge: EdgeNo, before: OpenId, after: OpenId) {
        let (gone, new) = (before.bytes(), after.bytes());
        if self.by_id.remove(&(before, edge)) {
            self.by_id.insert((after, edge));
            self.id_bytes = self.id_bytes + new - gone;
        }
    }

    /// The open events whose ids come after `id`, in the order of those.
    pub(super) fn after_id(&self, id: &str) -> impl Iterator<Item = EdgeNo> {
        self.by_id.range((Bound::Excluded((OpenId::Own(id.into()), EdgeNo::MAX)), Bound::Unbounded)).map(|(_, edge)| *edge)
    }

    /// How many of rule 4 began before `lapsed`.
    pub(super) fn lapsed(&self, lapsed: Timestamp) -> usize {
        self.lapsing.count(|key| key.0 < lapsed)
    }

    /// When the next one of rule 4 that began at or after `lapsed` began.
    fn next_lapsing(&self, lapsed: Timestamp) -> Option<Timestamp> {
        self.lapsing.after(|key| key.0 < lapsed).map(|key| key.0)
    }

    /// The first starts of the cluster after `after` that have no end and lie not after `now`, oldest first: each whether it
    /// stands for its series, as the oldest of them that has not lapsed.
    pub(super) fn gauges(
        &self,
        cluster: ClusterId,
        now: Timestamp,
        lapsed: Timestamp,
        after: Option<TimeKey>,
    ) -> impl Iterator<Item = (TimeKey, SeriesNo, bool)> {
        // In the order of time, so that a page is the same after a restart, whatever numbers the series have then.
        let from = after.map_or(Bound::Included((cluster, (Timestamp::MIN, [0; 2]))), |after| Bound::Excluded((cluster, after)));
        let here = self.by_cluster.range((from, Bound::Unbounded)).take_while(move |((of, key), _)| *of == cluster && key.0 <= now);
        here.map(move |((_, key), series)| (*key, *series, self.oldest(cluster, *series, now, lapsed) == Some(*key)))
    }

    fn oldest(&self, cluster: ClusterId, series: SeriesNo, now: Timestamp, lapsed: Timestamp) -> Option<TimeKey> {
        self.by_series.get(&(cluster, series)).and_then(|starts| starts.oldest(now, lapsed))
    }

    /// The oldest start of a series that is open at `now` and has not lapsed.
    pub(super) fn gauge(&self, cluster: ClusterId, series: SeriesNo, now: Timestamp, lapsed: Timestamp) -> Option<TimeKey> {
        let endless = self.oldest(cluster, series, now, lapsed);
        [endless, self.ahead.oldest(cluster, series, now)].into_iter().flatten().min()
    }

    /// The series of the cluster of which something opened or closed since `version`; `None` when that is not known any more.
    pub(super) fn changed_since(&self, cluster: ClusterId, version: u64) -> Option<BTreeSet<SeriesNo>> {
        let most = usize::try_from(self.version.checked_sub(version)?).ok()?;
        let first = self.changes.len().checked_sub(most)?;
        Some(self.changes.range(first..).filter(|(of, _)| *of == cluster).map(|(_, series)| *series).collect())
    }

    fn note_change(&mut self, cluster: ClusterId, series: SeriesNo) {
        self.version += 1;
        if self.changes.len() == CHANGES_MAX {
            self.changes.pop_front();
        }
        self.changes.push_back((cluster, series));
    }

    /// The oldest event without an end of a series.
    pub(super) fn endless_of(&self, cluster: ClusterId, series: SeriesNo) -> Option<EdgeNo> {
        let oldest = self.oldest(cluster, series, Timestamp::MAX, Timestamp::MIN)?;
        self.by_time.get(&oldest).copied()
    }

    /// The events without an end before `before`, newest first.
    pub(super) fn newest_first(&self, before: Option<TimeKey>) -> impl Iterator<Item = EdgeNo> {
        self.endless_before(before.unwrap_or(LAST)).map(|(_, edge)| edge)
    }

    /// The same and those whose ends may still be to come.
    pub(super) fn all_newest_first(&self, before: Option<TimeKey>) -> impl Iterator<Item = EdgeNo> {
        let before = before.unwrap_or(LAST);
        let (mut endless, mut ahead) = (self.endless_before(before).peekable(), self.ahead.newest_first(before).peekable());
        std::iter::from_fn(move || {
            let first = endless.peek().map(|(key, _)| *key) >= ahead.peek().map(|(key, _)| *key);
            if first { endless.next() } else { ahead.next() }.map(|(_, edge)| edge)
        })
    }

    fn endless_before(&self, before: TimeKey) -> impl Iterator<Item = (TimeKey, EdgeNo)> {
        self.by_time.range(..before).rev().map(|(key, edge)| (*key, *edge))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id() -> impl Strategy<Value = OpenId> {
        // Texts that look like the others, some of which are the beginning of one.
        let text = |id: u128| format!("{id:032x}");
        prop_oneof![
            any::<[u64; 2]>().prop_map(OpenId::Edge),
            any::<u128>().prop_map(move |id| OpenId::Own(text(id).into())),
            (any::<u128>(), 0..32usize).prop_map(move |(id, len)| OpenId::Own(text(id).get(..len).unwrap().into())),
            ".{0,3}".prop_map(|text| OpenId::Own(text.into())),
        ]
    }

    fn text(id: &OpenId) -> String {
        match id {
            OpenId::Own(text) => text.to_string(),
            OpenId::Edge(id) => edge_id(*id).to_string(),
        }
    }

    proptest! {
        #[test]
        fn ids_are_in_the_order_of_their_texts(one in id(), other in id()) {
            prop_assert_eq!(one.cmp(&other), text(&one).cmp(&text(&other)));
            let same = OpenId::Own(text(&one).into());
            prop_assert!(one == same && one.cmp(&other) == same.cmp(&other));
        }
    }
}
