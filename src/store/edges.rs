//! The rows of edges and identities, and the fold of an identity's edges into events.
//!
//! Per identity the edges are sorted by time (a start before a stop at equal times, then by id), so the events are a
//! function of the set of edges, not of their order of arrival (DESIGN section 4).

use super::rows::Rows;
use super::timeline::Place;
use crate::event::EdgeState;
use crate::time::Timestamp;
use std::time::Duration;

/// No edge.
pub(super) const NONE: u32 = u32::MAX;

/// What an edge is to its event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The row is vacant.
    Vacant,
    /// The first start of an event; `link` is the stop that closes it.
    Start,
    /// A further start while the event is open; `link` is the event's first start.
    Beat,
    /// Closes an event; `link` is that event's first start.
    Stop,
    /// Closes an event that begins just after it (`--pairing.skew`); `link` is that event's first start.
    SkewStop,
    /// A stop with nothing open: an event with only an end.
    LoneStop,
    /// An event without duration.
    Point,
    /// Part of no event any more: its event was deleted, or was put again without it. Its sample was taken in and stays known.
    /// `link` is the edge by which an event that came as edges was deleted.
    Past,
}

impl Role {
    /// Whether an event is known by this edge.
    pub(super) fn is_head(self) -> bool {
        matches!(self, Self::Start | Self::LoneStop | Self::Point)
    }
}

#[derive(Debug)]
pub(super) struct EdgeRow {
    pub(super) id: [u64; 2],
    pub(super) at: Timestamp,
    pub(super) received: Timestamp,
    pub(super) series: u32,
    pub(super) identity: u32,
    pub(super) link: u32,
    pub(super) role: Role,
    pub(super) state: EdgeState,
    /// The event is in the table of open events.
    pub(super) open: bool,
}

impl EdgeRow {
    /// The order of edges within an identity.
    pub(super) fn key(&self) -> (Timestamp, EdgeState, [u64; 2]) {
        (self.at, self.state, self.id)
    }

    /// Where this edge stands, or would, in the timeline.
    pub(super) fn place(&self) -> Place {
        (self.at, self.id)
    }
}

#[derive(Debug)]
pub(super) struct IdentityRow {
    pub(super) key: [u64; 2],
    pub(super) edges: EdgeList,
    /// Number of the supersede group, or `NONE`.
    pub(super) group: u32,
    /// Identity rule 4: leaves the gauge after `--open.max-age`.
    pub(super) lapses: bool,
}

/// Edge numbers in order; most identities have one or two, which take no heap.
#[derive(Debug, Default)]
pub(super) enum EdgeList {
    #[default]
    Empty,
    One([u32; 1]),
    Two([u32; 2]),
    #[expect(clippy::box_collection, reason = "keeps the enum at 16 bytes; there are millions")]
    Many(Box<Vec<u32>>),
}

impl EdgeList {
    pub(super) fn as_slice(&self) -> &[u32] {
        match self {
            Self::Empty => &[],
            Self::One(edges) => edges,
            Self::Two(edges) => edges,
            Self::Many(edges) => edges,
        }
    }

    pub(super) fn insert(&mut self, index: usize, edge: u32) {
        *self = match std::mem::take(self) {
            Self::Empty => Self::One([edge]),
            Self::One([other]) => Self::Two(if index == 0 { [edge, other] } else { [other, edge] }),
            Self::Two([a, b]) => {
                let mut edges = Vec::with_capacity(4);
                edges.extend([a, b]);
                edges.insert(index.min(2), edge);
                Self::Many(Box::new(edges))
            }
            Self::Many(mut edges) => {
                edges.insert(index.min(edges.len()), edge);
                Self::Many(edges)
            }
        };
    }

    pub(super) fn retain(&mut self, keep: impl Fn(u32) -> bool) {
        let kept: Vec<u32> = self.as_slice().iter().copied().filter(|&edge| keep(edge)).collect();
        *self = match *kept.as_slice() {
            [] => Self::Empty,
            [only] => Self::One([only]),
            [a, b] => Self::Two([a, b]),
            _ => Self::Many(Box::new(kept)),
        };
    }
}

/// What a fold changed: the edge, and what it was to its event before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Changed {
    pub(super) edge: u32,
    pub(super) role: Role,
}

/// Where the fold stands between two edges.
#[derive(Clone, Copy)]
enum Now {
    Closed,
    /// An event is open, by its first start; `true` when a stop shortly before it closed it (`--pairing.skew`).
    Open(u32, bool),
}

/// Folds `list` again after an edge was inserted at `position`, setting roles and links in `rows`; returns what changed.
///
/// Touches only the edges whose event can have changed: from the insertion to the next stop that plays the same part as before.
pub(super) fn fold(rows: &mut Rows<EdgeRow>, list: &[u32], position: usize, skew: Duration, changed: &mut Vec<Changed>) {
    let mut fold = Fold { rows, list, skew, changed };
    let (mut index, mut now) = fold.resume(position);
    while let Some(&edge) = list.get(index) {
        let before = fold.part(edge);
        now = fold.step(index, edge, now);
        let is_stop = fold.rows.get(edge).is_some_and(|row| row.state == EdgeState::Stop);
        if index > position && is_stop && before == fold.part(edge) {
            return;
        }
        index += 1;
    }
}

/// Folds all of `list` anew, after edges were taken out of it.
pub(super) fn fold_all(rows: &mut Rows<EdgeRow>, list: &[u32], skew: Duration, changed: &mut Vec<Changed>) {
    let mut fold = Fold { rows, list, skew, changed };
    let mut now = Now::Closed;
    for (index, &edge) in list.iter().enumerate() {
        now = fold.step(index, edge, now);
    }
}

struct Fold<'a> {
    rows: &'a mut Rows<EdgeRow>,
    list: &'a [u32],
    skew: Duration,
    changed: &'a mut Vec<Changed>,
}

impl Fold<'_> {
    fn row(&self, edge: u32) -> Option<&EdgeRow> {
        self.rows.get(edge)
    }

    fn part(&self, edge: u32) -> Option<Role> {
        self.row(edge).map(|row| row.role)
    }

    /// From where to fold so that the edge at `position` gets its part, and the state there.
    fn resume(&self, position: usize) -> (usize, Now) {
        let Some(previous) =
            position.checked_sub(1).and_then(|index| self.list.get(index)).and_then(|&edge| self.row(edge).map(|row| (edge, row)))
        else {
            return (position, Now::Closed);
        };
        let head = match previous {
            (edge, row) if row.role == Role::Start => edge,
            (_, row) if row.role == Role::Beat => row.link,
            // The start that it closes may find another stop now.
            (_, row) if row.role == Role::SkewStop => return (position - 1, Now::Closed),
            _ => return (position, Now::Closed),
        };
        let Some(head_row) = self.row(head) else { return (position, Now::Closed) };
        let first = self.list.partition_point(|&edge| self.row(edge).is_some_and(|row| row.key() < head_row.key()));
        let before = first.checked_sub(1).and_then(|index| self.list.get(index)).and_then(|&edge| self.row(edge));
        match before {
            // Whether that stop closes the event depends on what follows, so fold from there.
            Some(stop) if matches!(stop.role, Role::LoneStop | Role::SkewStop) && head_row.at.since(stop.at) <= self.skew => {
                (first - 1, Now::Closed)
            }
            _ => (position, Now::Open(head, false)),
        }
    }

    fn step(&mut self, index: usize, edge: u32, now: Now) -> Now {
        let Some((state, at)) = self.row(edge).map(|row| (row.state, row.at)) else { return now };
        match (state, now) {
            (EdgeState::Point, _) => {
                self.set(edge, Role::Point, NONE);
                now
            }
            (EdgeState::Stop, Now::Open(head, _)) => {
                self.set(edge, Role::Stop, head);
                self.set(head, Role::Start, edge);
                Now::Closed
            }
            (EdgeState::Stop, Now::Closed) => {
                self.set(edge, Role::LoneStop, NONE);
                Now::Closed
            }
            (EdgeState::Start, Now::Open(head, skewed)) if !skewed || self.near_stop(head, at) => {
                self.set(edge, Role::Beat, head);
                now
            }
            // The start follows a skew-closed event too late to belong to it: the entity entered the state again.
            (EdgeState::Start, _) => {
                let stop = self.skewed_stop(index, at);
                if let Some(stop) = stop {
                    self.set(stop, Role::SkewStop, edge);
                }
                self.set(edge, Role::Start, stop.unwrap_or(NONE));
                Now::Open(edge, stop.is_some())
            }
        }
    }

    /// The lone stop just before the start at `index` that closes it: within the skew, and the next edge beyond the skew is no stop.
    fn skewed_stop(&self, index: usize, at: Timestamp) -> Option<u32> {
        let previous = *self.list.get(index.checked_sub(1)?)?;
        let stop = self.row(previous)?;
        if stop.role != Role::LoneStop || at.since(stop.at) > self.skew {
            return None;
        }
        let mut later = self.list.get(index..)?.iter().filter_map(|&edge| self.row(edge));
        let next = later.find(|row| row.state == EdgeState::Stop || row.at.since(stop.at) > self.skew);
        next.is_none_or(|row| row.state != EdgeState::Stop).then_some(previous)
    }

    fn near_stop(&self, head: u32, at: Timestamp) -> bool {
        let stop = self.row(head).and_then(|row| self.row(row.link));
        stop.is_some_and(|stop| at.since(stop.at) <= self.skew)
    }

    fn set(&mut self, edge: u32, role: Role, link: u32) {
        let Some(row) = self.rows.get_mut(edge) else { return };
        if (row.role, row.link) != (role, link) {
            self.changed.push(Changed { edge, role: row.role });
            row.role = role;
            row.link = link;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SKEW: Duration = Duration::from_millis(5);

    /// DESIGN section 4, read literally: events as (first start, stop, number of heartbeats).
    fn model(edges: &[(i64, EdgeState)]) -> Vec<(Option<usize>, Option<usize>, usize)> {
        let mut events = Vec::new();
        let mut index = 0;
        while let Some(&(at, state)) = edges.get(index) {
            if state == EdgeState::Stop {
                let is_group = |&&(time, state): &&(i64, EdgeState)| state == EdgeState::Start && time - at <= 5;
                let group = edges[index + 1..].iter().take_while(is_group).count();
                let lone = (Some(index), 0);
                match edges.get(index + 1 + group) {
                    next if group > 0 && next.is_none_or(|next| next.1 == EdgeState::Start) => {
                        events.push((Some(index + 1), lone.0, group - 1));
                        index += 1 + group;
                    }
                    _ => {
                        events.push((None, lone.0, 0));
                        index += 1;
                    }
                }
                continue;
            }
            let run = edges[index..].iter().take_while(|edge| edge.1 == EdgeState::Start).count();
            let stop = (index + run < edges.len()).then_some(index + run);
            events.push((Some(index), stop, run - 1));
            index += run + usize::from(stop.is_some());
        }
        events
    }

    fn events(rows: &Rows<EdgeRow>, list: &[u32]) -> Vec<(Option<usize>, Option<usize>, usize)> {
        let index = |edge: u32| list.iter().position(|&other| other == edge);
        let heads = list.iter().filter(|&&edge| rows.get(edge).unwrap().role.is_head());
        let mut found: Vec<_> = heads
            .map(|&edge| {
                let row = rows.get(edge).unwrap();
                match row.role {
                    Role::LoneStop => (None, index(edge), 0),
                    _ => (index(edge), index(row.link), rows.iter().filter(|row| row.role == Role::Beat && row.link == edge).count()),
                }
            })
            .collect();
        found.sort_by_key(|event| event.0.into_iter().chain(event.1).min());
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn events_do_not_depend_on_the_order_of_arrival(edges in prop::collection::vec((0i64..40, any::<bool>()), 1..14)) {
            let mut rows: Rows<EdgeRow> = Rows::default();
            let mut list: Vec<u32> = Vec::new();
            for (number, &(at, stop)) in edges.iter().enumerate() {
                let edge = u32::try_from(number).unwrap();
                let state = if stop { EdgeState::Stop } else { EdgeState::Start };
                let at = Timestamp::from_millis(at);
                rows.place(EdgeRow { id: [number as u64, 0], at, received: at, series: 0, identity: 0, link: NONE, role: Role::Vacant, state, open: false }).unwrap();
                let position = list.partition_point(|&other| rows.get(other).unwrap().key() < rows.get(edge).unwrap().key());
                list.insert(position, edge);
                fold(&mut rows, &list, position, SKEW, &mut Vec::new());
                let sorted: Vec<(i64, EdgeState)> = list.iter().map(|&e| rows.get(e).map(|row| (row.at.millis(), row.state)).unwrap()).collect();
                prop_assert_eq!(events(&rows, &list), model(&sorted), "{:?}", sorted);
            }
        }
    }
}
