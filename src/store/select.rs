//! Queries: which events a question names, newest first, and how an event looks to whoever asked.

use super::Tenant;
use super::core::Core;
use super::core::edge_id;
use super::core::halves;
use super::core::place_in;
use super::edges::Role;
use super::selector::MatchKind;
use super::selector::Matcher;
use super::timeline::Place;
use crate::event::EdgeId;
use crate::event::EdgeState;
use crate::labels::EVENT_STATE;
use crate::labels::LabelSet;
use crate::time::Timestamp;
use roaring::RoaringBitmap;
use std::collections::HashSet;
use std::sync::Arc;

/// The family whose samples the edges are; what `__name__` is compared with.
pub const FAMILY: &str = "last9_change_events";

/// A question about events.
#[derive(Clone, Debug)]
pub struct Query {
    /// Selectors, any of which may match; none means all events. An event matches when one of its edges satisfies every matcher.
    pub selectors: Vec<Vec<Matcher>>,
    /// Only events that had not ended before this.
    pub start: Option<Timestamp>,
    /// Only events that began before this.
    pub end: Option<Timestamp>,
    /// Only events that are open.
    pub open_only: bool,
    /// Most events in the answer.
    pub limit: usize,
    /// Continue after this event of an earlier answer.
    pub after: Option<Cursor>,
}

impl Default for Query {
    fn default() -> Self {
        Self { selectors: Vec::new(), start: None, end: None, open_only: false, limit: 100, after: None }
    }
}

/// Where an answer ended: the time and id of its last event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    at: Timestamp,
    id: EdgeId,
}

/// The opaque text of a cursor.
impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}{}", self.at.millis(), self.id)
    }
}

/// The text is no cursor of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of an earlier answer")]
pub struct CursorError;

impl std::str::FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let (at, id) = text.split_at_checked(16).ok_or(CursorError)?;
        let at = u64::from_str_radix(at, 16).map_err(|_| CursorError)?.cast_signed();
        Ok(Self { at: Timestamp::from_millis(at), id: EdgeId::parse(id).ok_or(CursorError)? })
    }
}

/// The answer to a [`Query`].
#[derive(Clone, Debug, Default)]
pub struct Selected {
    /// Newest first.
    pub events: Vec<EventView>,
    /// Where to go on when there is more.
    pub next: Option<Cursor>,
}

/// An event as readers see it.
#[derive(Clone, Debug)]
pub struct EventView {
    /// Its first start; for a point, the point.
    pub start: Option<EdgeView>,
    /// Its stop.
    pub stop: Option<EdgeView>,
    /// It has no duration.
    pub point: bool,
    /// It has begun and neither ended nor been superseded.
    pub open: bool,
    /// When a newer start of its supersede group closed it.
    pub superseded_at: Option<Timestamp>,
    /// How many further starts came while it was open.
    pub heartbeats: usize,
    /// The time of the last of these.
    pub last_heartbeat: Option<Timestamp>,
    /// The destination of its samples; empty for the default.
    pub cluster: Arc<str>,
}

/// An edge as readers see it.
#[derive(Clone, Debug)]
pub struct EdgeView {
    /// What its sender was told.
    pub id: EdgeId,
    /// When it happened.
    pub at: Timestamp,
    /// When it was received.
    pub received: Timestamp,
    /// The sample's value.
    pub value: f64,
    /// Its labels, without `event_state`.
    pub labels: LabelSet,
    /// The attributes as sent (a JSON object); `None` when they are the labels without `event_name`.
    pub attributes: Option<Box<str>>,
}

/// Which series the selectors name.
enum Wanted {
    All,
    These(RoaringBitmap),
}

impl Tenant {
    /// The events that `query` names, newest first; events with equal times by id.
    pub fn select(&self, query: &Query) -> Selected {
        let wanted = self.wanted(&query.selectors);
        let core = self.core.read();
        let after = query.after.map(|cursor| (cursor.at, halves(cursor.id.0)));
        // An event that begins exactly at `end` is not in the range.
        let before = [after, query.end.map(|end| (end, [0; 2]))].into_iter().flatten().min();
        // The one more tells whether anything follows.
        let one_more = query.limit.saturating_add(1);
        let mut heads = Vec::new();
        let in_time = |head: u32| query.start.is_none_or(|start| core.end(head) >= start);
        match &wanted {
            _ if query.open_only => {
                let matching = core.open.newest_first(before).filter(|&head| in_time(head) && is_wanted(&core, head, &wanted));
                heads.extend(matching.take(one_more));
            }
            Wanted::These(series) if cheaper_by_series(series.len(), core.timeline.len(), query.limit) => {
                heads = newest_of(&core, series, before, in_time, one_more);
            }
            _ => {
                let place = place_in(&core.edges);
                core.timeline.walk_back(
                    before,
                    query.start.unwrap_or(Timestamp::MIN),
                    place,
                    |head| core.end(head),
                    |head| {
                        if in_time(head) && is_wanted(&core, head, &wanted) {
                            heads.push(head);
                        }
                        heads.len() < one_more
                    },
                );
            }
        }
        let more = heads.len() > query.limit;
        heads.truncate(query.limit);
        let next = heads.last().filter(|_| more).and_then(|&head| core.row(head));
        let next = next.map(|row| Cursor { at: row.at, id: edge_id(row.id) });
        let events = heads.iter().filter_map(|&head| self.event(&core, head)).collect();
        Selected { events, next }
    }

    /// The event that an edge with this id belongs to.
    pub fn find(&self, id: EdgeId) -> Option<EventView> {
        let core = self.core.read();
        let edge = core.find_edge(id)?;
        self.event(&core, core.head(edge))
    }

    /// The series that satisfy one of the selectors, resolved in the label index alone.
    fn wanted(&self, selectors: &[Vec<Matcher>]) -> Wanted {
        if selectors.is_empty() {
            return Wanted::All;
        }
        let mut series = RoaringBitmap::new();
        for selector in selectors {
            series |= self.series_of(selector);
        }
        Wanted::These(series)
    }

    fn series_of(&self, selector: &[Matcher]) -> RoaringBitmap {
        let mut found: Option<RoaringBitmap> = None;
        let all = || self.core.read().all_series();
        let mut matchers: Vec<&Matcher> = Vec::with_capacity(selector.len());
        for matcher in selector {
            match &*matcher.name {
                "__name__" if matcher.matches(FAMILY) => {}
                "__name__" => return RoaringBitmap::new(),
                EVENT_STATE => {
                    let core = self.core.read();
                    let by_state = core.series_with(|stop| matcher.matches(if stop { EdgeState::Stop } else { EdgeState::Start }.label()));
                    found = Some(found.map_or_else(|| by_state.clone(), |found| found & &by_state));
                }
                _ => matchers.push(matcher),
            }
        }
        let estimate = |matcher: &Matcher| self.index.name(&matcher.name).map_or(0, |label| label.estimate(matcher));
        matchers.sort_by_cached_key(|matcher| estimate(matcher));
        for matcher in matchers {
            let absent_matches = matcher.matches("");
            let label = self.index.name(&matcher.name);
            if let (Some(few), Some(label), false) = (&mut found, &label, matches!(matcher.kind, MatchKind::Equal) && !absent_matches)
                && (few.len() <= FEW || few.len() * LABELS_COST < label.effort(matcher))
            {
                self.keep_matching(few, matcher);
                continue;
            }
            let next = match (label, absent_matches) {
                (None, true) => continue,
                (None, false) => return RoaringBitmap::new(),
                (Some(label), false) => match (&matcher.kind, &mut found) {
                    (MatchKind::Equal, Some(found)) => {
                        label.intersect_equal(&matcher.value, found);
                        continue;
                    }
                    (MatchKind::Equal, None) => label.equal(&matcher.value),
                    _ => label.matching(matcher, true),
                },
                // The series without the label match too: all but those whose value does not.
                (Some(label), true) => {
                    let base = found.take().unwrap_or_else(all);
                    found = Some(base - label.matching(matcher, false));
                    continue;
                }
            };
            found = Some(match found {
                Some(found) => found & next,
                None => next,
            });
        }
        found.unwrap_or_else(all)
    }

    /// Drops from few series those that do not satisfy the matcher, by looking at their labels.
    fn keep_matching(&self, few: &mut RoaringBitmap, matcher: &Matcher) {
        let core = self.core.read();
        let kept = few.iter().filter(|&series| {
            let Some(row) = core.series.get(series) else { return false };
            let mut answer = None;
            self.index.texts(&row.labels, |name, value| {
                if *name == *matcher.name {
                    answer = Some(matcher.matches(value));
                }
            });
            answer.unwrap_or_else(|| matcher.matches(""))
        });
        *few = kept.collect();
    }

    fn event(&self, core: &Core, head: u32) -> Option<EventView> {
        let row = core.row(head)?;
        let lone_stop = row.role == Role::LoneStop;
        let stop = if lone_stop { Some(head) } else { core.stop_of(head) };
        let beats = core.beats(head);
        let cluster = core.series.get(row.series)?.cluster;
        Some(EventView {
            start: if lone_stop { None } else { self.edge(core, head) },
            stop: stop.and_then(|stop| self.edge(core, stop)),
            point: row.role == Role::Point,
            open: row.open,
            superseded_at: core.superseded_at(head),
            heartbeats: beats.len(),
            last_heartbeat: beats.last().and_then(|&beat| core.row(beat)).map(|row| row.at),
            cluster: self.cluster_name(cluster),
        })
    }

    fn edge(&self, core: &Core, edge: u32) -> Option<EdgeView> {
        let row = core.row(edge)?;
        let mut texts = Vec::new();
        self.index.texts(&core.series.get(row.series)?.labels, |name, value| texts.push((name.to_owned(), value.to_owned())));
        let labels = LabelSet::from_sorted(texts.iter().map(|(name, value)| (name.as_str(), value.as_str()))).ok()?;
        Some(EdgeView {
            id: edge_id(row.id),
            at: row.at,
            received: row.received,
            value: core.value(edge),
            labels,
            attributes: core.attributes(edge).map(Into::into),
        })
    }
}

fn is_wanted(core: &Core, head: u32, wanted: &Wanted) -> bool {
    let Wanted::These(series) = wanted else { return true };
    let has = |edge: u32| core.row(edge).is_some_and(|row| series.contains(row.series));
    has(head) || core.stop_of(head).is_some_and(has) || core.beats(head).iter().any(|&beat| has(beat))
}

/// So few series are filtered by their labels rather than by the index.
const FEW: u64 = 256;
/// Looking at a series' labels costs as much as looking at this many values of the index.
const LABELS_COST: u64 = 4;

/// Whether to collect the events of the matching series, or to walk the timeline until enough of them were met.
fn cheaper_by_series(matching: u64, events: usize, limit: usize) -> bool {
    let events = events as u64;
    let walked = (limit as u64).saturating_mul(events) / matching.max(1);
    matching <= 1024 || matching.saturating_mul(2) <= walked.min(events)
}

fn newest_of(core: &Core, series: &RoaringBitmap, before: Option<Place>, in_time: impl Fn(u32) -> bool, limit: usize) -> Vec<u32> {
    let mut seen = HashSet::new();
    let mut places: Vec<(Place, u32)> = Vec::new();
    for row in series.iter().filter_map(|series| core.series.get(series)) {
        for head in row.edges.as_slice().iter().map(|&edge| core.head(edge)) {
            let Some(place) = core.row(head).map(super::edges::EdgeRow::place) else { continue };
            if before.is_none_or(|before| place < before) && seen.insert(head) && in_time(head) {
                places.push((place, head));
            }
        }
    }
    if places.len() > limit {
        places.select_nth_unstable_by(limit, |a, b| b.cmp(a));
        places.truncate(limit);
    }
    places.sort_unstable_by(|a, b| b.cmp(a));
    places.into_iter().map(|place| place.1).collect()
}
