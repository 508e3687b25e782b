//! The rows of edges and identities, and the edges of an identity in their order.

use super::by_time::TimeKey;
use super::number::EdgeNo;
use super::number::IdentityNo;
use super::number::SeriesNo;
use super::rows::Rows;
use super::seq::Seq;
use crate::event::EdgeId;
use crate::event::EdgeState;
use crate::time::Timestamp;
use std::ops::Bound;

/// Identities with more edges than this keep starts, heartbeats and stops apart.
const FEW_MAX: usize = 8;

/// What an edge is to its event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The row is vacant.
    Vacant,
    /// The first start of an event.
    Start {
        /// It is in the table of open events.
        open: bool,
        /// The stop that closes it.
        stop: Option<EdgeNo>,
    },
    /// A further start while the event is open: that of the last [`Part::Start`] before it.
    Beat,
    /// Closes an event.
    Stop {
        /// The event begins just after it, within the skew of its clock.
        early: bool,
        /// The event's first start.
        of: EdgeNo,
    },
    /// A stop with nothing open: an event with only an end.
    Lone,
    /// An event without duration.
    Point,
    /// Part of no event any more: its event was deleted, or was put again without it. It stays known.
    Past {
        /// What it was.
        state: EdgeState,
    },
}

impl Part {
    /// Whether an event is known by this edge.
    pub(super) fn is_head(self) -> bool {
        matches!(self, Self::Start { .. } | Self::Lone | Self::Point)
    }

    /// Whether it begins an event that is open.
    pub(super) fn is_open(self) -> bool {
        matches!(self, Self::Start { open: true, .. })
    }

    /// Whether it is the first start of an event.
    pub(super) fn is_start(self) -> bool {
        matches!(self, Self::Start { .. })
    }

    /// Which end of a change the edge is; those of vacant rows do not matter.
    pub(super) fn state(self) -> EdgeState {
        match self {
            Self::Start { .. } | Self::Beat | Self::Vacant => EdgeState::Start,
            Self::Stop { .. } | Self::Lone => EdgeState::Stop,
            Self::Point => EdgeState::Point,
            Self::Past { state } => state,
        }
    }

    /// What an edge is before its identity is looked at.
    pub(super) fn alone(state: EdgeState) -> Self {
        match state {
            EdgeState::Start => Self::Start { open: false, stop: None },
            EdgeState::Stop => Self::Lone,
            EdgeState::Point => Self::Point,
        }
    }
}

#[derive(Debug)]
pub(super) struct EdgeRow {
    pub(super) id: [u64; 2],
    pub(super) at: Timestamp,
    pub(super) received: Timestamp,
    /// Of the record that brought it, in the log.
    pub(super) position: u64,
    pub(super) series: SeriesNo,
    pub(super) identity: IdentityNo,
    pub(super) part: Part,
}

/// An id as rows keep it.
pub(super) fn halves(wide: u128) -> [u64; 2] {
    let bytes = wide.to_le_bytes();
    let (low, high) = bytes.split_at(8);
    [low, high].map(|half| half.try_into().map_or(0, u64::from_le_bytes))
}

/// The id again.
pub(super) fn edge_id(id: [u64; 2]) -> EdgeId {
    EdgeId((u128::from(id[1]) << 64) | u128::from(id[0]))
}

/// The order of edges within an identity: time, a start before a stop, id.
pub(super) type EdgeKey = (Timestamp, EdgeState, [u64; 2]);

/// After every edge that happened at this time or earlier.
pub(super) fn key_to(at: Timestamp) -> EdgeKey {
    (at, EdgeState::Point, [u64::MAX; 2])
}

impl EdgeRow {
    pub(super) fn key(&self) -> EdgeKey {
        (self.at, self.part.state(), self.id)
    }

    /// Where this edge stands in time.
    pub(super) fn time_key(&self) -> TimeKey {
        (self.at, self.id)
    }
}

pub(super) fn key_in(rows: &Rows<EdgeNo, EdgeRow>) -> impl Fn(EdgeNo) -> EdgeKey {
    |edge| rows.get(edge).map_or((Timestamp::MIN, EdgeState::Start, [0; 2]), EdgeRow::key)
}

#[derive(Debug)]
pub(super) struct IdentityRow {
    pub(super) key: [u64; 2],
    pub(super) members: Members,
    /// Identity rule 4: leaves the gauge after `--open.max-age`.
    pub(super) lapses: bool,
}

/// The present edges of an identity.
#[derive(Debug)]
pub(super) enum Members {
    /// All of them in order.
    Few(Seq),
    /// The same, apart by what they are, so that each can be found in a long list of the others.
    Long(Box<Apart>),
}

#[derive(Debug, Default)]
pub(super) struct Apart {
    heads: Seq,
    beats: Seq,
    stops: Seq,
    points: Seq,
}

impl Default for Members {
    fn default() -> Self {
        Self::Few(Seq::Empty)
    }
}

impl Apart {
    fn of(&mut self, part: Part) -> &mut Seq {
        match part {
            Part::Beat => &mut self.beats,
            Part::Stop { .. } | Part::Lone => &mut self.stops,
            Part::Point => &mut self.points,
            _ => &mut self.heads,
        }
    }
}

impl Members {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Few(all) => all.is_empty(),
            Self::Long(apart) => [&apart.heads, &apart.beats, &apart.stops, &apart.points].into_iter().all(Seq::is_empty),
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(all) => all.len(),
            Self::Long(apart) => [&apart.heads, &apart.beats, &apart.stops, &apart.points].into_iter().map(Seq::len).sum(),
        }
    }

    /// The edge that there is, if there is just one.
    pub(super) fn only(&self) -> Option<EdgeNo> {
        match self {
            Self::Few(Seq::One([only])) => Some(*only),
            _ => None,
        }
    }

    /// All of them, in no order that matters.
    pub(super) fn iter(&self) -> impl Iterator<Item = EdgeNo> {
        let empty = &Seq::Empty;
        let seqs = match self {
            Self::Few(all) => [all, empty, empty, empty],
            Self::Long(apart) => [&apart.heads, &apart.beats, &apart.stops, &apart.points],
        };
        seqs.into_iter().flat_map(Seq::iter)
    }

    /// Adds an edge by what its row says that it is.
    pub(super) fn insert(&mut self, edge: EdgeNo, rows: &Rows<EdgeNo, EdgeRow>) {
        let key = key_in(rows);
        let part = |edge: EdgeNo| rows.get(edge).map_or(Part::Vacant, |row| row.part);
        match self {
            Self::Few(all) => {
                all.insert(edge, key);
                if all.len() > FEW_MAX {
                    let mut apart = Box::<Apart>::default();
                    for edge in all.iter() {
                        apart.of(part(edge)).insert(edge, key_in(rows));
                    }
                    *self = Self::Long(apart);
                }
            }
            Self::Long(apart) => apart.of(part(edge)).insert(edge, key),
        }
    }

    /// Takes an edge out; its row must say what it did when it came in.
    pub(super) fn remove(&mut self, edge: EdgeNo, rows: &Rows<EdgeNo, EdgeRow>) {
        let part = rows.get(edge).map_or(Part::Vacant, |row| row.part);
        match self {
            Self::Few(all) => all.remove(edge, key_in(rows)),
            Self::Long(apart) => apart.of(part).remove(edge, key_in(rows)),
        }
    }

    /// Sets what an edge is.
    pub(super) fn set(&mut self, edge: EdgeNo, part: Part, rows: &mut Rows<EdgeNo, EdgeRow>) {
        let Some(before) = rows.get(edge).map(|row| row.part) else { return };
        let moves = matches!(before, Part::Beat) != matches!(part, Part::Beat);
        if moves && let Self::Long(apart) = self {
            apart.of(before).remove(edge, key_in(rows));
            apart.of(part).insert(edge, key_in(rows));
        }
        if let Some(row) = rows.get_mut(edge) {
            row.part = part;
        }
    }

    fn last_before(
        &self,
        key: &EdgeKey,
        rows: &Rows<EdgeNo, EdgeRow>,
        is: impl Fn(Part) -> bool,
        seq: impl Fn(&Apart) -> &Seq,
    ) -> Option<EdgeNo> {
        match self {
            Self::Few(all) => all.iter().rev().find(|&edge| rows.get(edge).is_some_and(|row| is(row.part) && row.key() < *key)),
            Self::Long(apart) => seq(apart).before(key, key_in(rows)),
        }
    }

    fn first_after(
        &self,
        key: &EdgeKey,
        rows: &Rows<EdgeNo, EdgeRow>,
        is: impl Fn(Part) -> bool,
        seq: impl Fn(&Apart) -> &Seq,
    ) -> Option<EdgeNo> {
        match self {
            Self::Few(all) => all.iter().find(|&edge| rows.get(edge).is_some_and(|row| is(row.part) && row.key() > *key)),
            Self::Long(apart) => seq(apart).after(key, key_in(rows)),
        }
    }
}

/// The edges of an identity with their rows, to be asked.
#[derive(Clone, Copy)]
pub(super) struct IdentityEdges<'a> {
    pub(super) members: &'a Members,
    pub(super) rows: &'a Rows<EdgeNo, EdgeRow>,
}

impl<'a> IdentityEdges<'a> {
    pub(super) fn head_before(self, key: &EdgeKey) -> Option<EdgeNo> {
        self.members.last_before(key, self.rows, Part::is_start, |apart| &apart.heads)
    }

    pub(super) fn head_after(self, key: &EdgeKey) -> Option<EdgeNo> {
        self.members.first_after(key, self.rows, Part::is_start, |apart| &apart.heads)
    }

    pub(super) fn stop_before(self, key: &EdgeKey) -> Option<EdgeNo> {
        self.members.last_before(key, self.rows, |part| part.state() == EdgeState::Stop, |apart| &apart.stops)
    }

    pub(super) fn stop_after(self, key: &EdgeKey) -> Option<EdgeNo> {
        self.members.first_after(key, self.rows, |part| part.state() == EdgeState::Stop, |apart| &apart.stops)
    }

    /// The last start, whether it is an event's first or a heartbeat.
    pub(super) fn start_before(self, key: &EdgeKey) -> Option<EdgeNo> {
        let beat = self.members.last_before(key, self.rows, |part| part == Part::Beat, |apart| &apart.beats);
        [self.head_before(key), beat].into_iter().flatten().max_by_key(|&edge| self.key(edge))
    }

    /// The first start, whether it is an event's first or a heartbeat.
    pub(super) fn start_after(self, key: &EdgeKey) -> Option<EdgeNo> {
        let beat = self.members.first_after(key, self.rows, |part| part == Part::Beat, |apart| &apart.beats);
        [self.head_after(key), beat].into_iter().flatten().min_by_key(|&edge| self.key(edge))
    }

    /// The heartbeats between two keys, in order.
    pub(super) fn beats_between(self, from: EdgeKey, to: Option<EdgeKey>) -> impl Iterator<Item = EdgeNo> + use<'a> {
        let (few, beats) = match self.members {
            Members::Few(all) => (Some(all), &Seq::Empty),
            Members::Long(apart) => (None, &apart.beats),
        };
        let rows = self.rows;
        let is_one = move |edge: &EdgeNo| {
            rows.get(*edge).is_some_and(|row| row.part == Part::Beat && row.key() > from && to.is_none_or(|to| row.key() < to))
        };
        let bounds = (Bound::Excluded(from), to.map_or(Bound::Unbounded, Bound::Excluded));
        let long = beats.between(bounds, key_in(rows)).flatten().copied();
        few.into_iter().flat_map(Seq::iter).filter(is_one).chain(long)
    }

    pub(super) fn key(self, edge: EdgeNo) -> EdgeKey {
        key_in(self.rows)(edge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::core::SeriesRow;
    use crate::store::index::LabelRef;

    #[test]
    fn rows_are_small() {
        assert_eq!((size_of::<Part>(), size_of::<EdgeRow>(), size_of::<Members>(), size_of::<IdentityRow>()), (8, 56, 16, 40));
        assert_eq!((size_of::<Option<EdgeNo>>(), size_of::<SeriesRow>(), size_of::<LabelRef>()), (4, 48, 6));
    }
}
