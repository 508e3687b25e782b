//! Questions about edges and the events they are part of.

use super::Core;
use super::EdgeRow;
use super::Member;
use super::Part;
use super::SeriesRow;
use crate::event::Edge;
use crate::event::EdgeId;
use crate::event::EdgeState;
use crate::event::Identity;
use crate::store::SeriesId;
use crate::store::details::Detailed;
use crate::store::edges::EdgeKey;
use crate::store::edges::edge_id;
use crate::store::edges::halves;
use crate::store::edges::key_to;
use crate::store::number::EdgeNo;
use crate::store::number::Number as _;
use crate::store::number::SeriesNo;
use crate::store::view::Phase;
use crate::time::Timestamp;

/// What a start makes of how many events are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Opening {
    /// One more is open.
    Another,
    /// Its event is open already.
    Heartbeat,
    /// A stop behind it closes its event, which is over.
    Closed,
    /// It supersedes the open event of this identity, which it closes.
    InsteadOf(Identity),
}

impl Core {
    /// The series that has this number now.
    pub(in crate::store) fn series_id(&self, number: SeriesNo) -> SeriesId {
        SeriesId { number: number.index(), generation: self.series.get(number).map_or(0, SeriesRow::generation) }
    }

    pub(in crate::store) fn row(&self, edge: EdgeNo) -> Option<&EdgeRow> {
        self.edges.get(edge)
    }

    /// Whether an event of this identity is open: the last one, if any.
    pub(in crate::store) fn has_open(&self, identity: Identity) -> bool {
        self.open_head(identity).is_some()
    }

    /// The first start of the open event of this identity, if one is.
    pub(in crate::store) fn open_head(&self, identity: Identity) -> Option<EdgeNo> {
        let edges = self.number_of(identity).and_then(|identity| self.edges_of_identity(identity))?;
        edges.head_before(&key_to(Timestamp::MAX)).filter(|head| self.row(*head).is_some_and(|row| row.part.is_open()))
    }

    /// What a start that is not known would make of how many events are open or planned at `now`.
    pub(in crate::store) fn opening(&self, start: &Edge, id: EdgeId, now: Timestamp) -> Opening {
        let id = halves(id.0);
        if let Some(edges) = self.number_of(start.identity).and_then(|identity| self.edges_of_identity(identity)) {
            if self.has_open(start.identity) {
                return Opening::Heartbeat;
            }
            // Behind the last stop nothing begins, and each run before it ends with a stop.
            let last = edges.stop_before(&key_to(Timestamp::MAX)).map(|stop| edges.key(stop));
            if last.is_some_and(|last| last > (start.at, EdgeState::Start, id) && edges.start_after(&last).is_none()) {
                return if last.is_some_and(|last| last.0 > now) { Opening::Another } else { Opening::Closed };
            }
        }
        let rival = start.supersede.and_then(|group| self.groups.before(group.0, (start.at, id)));
        // What it supersedes later stays until then.
        let rival = rival.filter(|_| start.at <= now).and_then(|rival| self.open_and_ends_with(rival));
        rival.map_or(Opening::Another, Opening::InsteadOf)
    }

    /// The identity of a start that is the last of an open event.
    fn open_and_ends_with(&self, start: Member) -> Option<Identity> {
        let identity = Identity(edge_id(self.identities.get(start.identity)?.key).0);
        let head = self.open_head(identity)?;
        (self.look(start.identity)?.last_start(head) == start.edge).then_some(identity)
    }

    /// The edges received at or before `before` that are part of an event, the latest first: when, and the event's first edge.
    pub(in crate::store) fn arrivals_back(&self, before: Timestamp) -> impl Iterator<Item = (Timestamp, EdgeNo)> {
        let received = |edge: EdgeNo| self.row(edge).map_or(Timestamp::MIN, |row| row.received);
        let is_present = |row: &&EdgeRow| !matches!(row.part, Part::Past { .. });
        let present = self.arrivals.back(before, received).filter_map(move |edge| Some((edge, self.row(edge).filter(is_present)?)));
        present.map(|(edge, row)| (row.received, self.head(edge)))
    }

    /// When an edge was received; of an event with an id of its own, when that was put as it is: what it was before may be
    /// forgotten.
    pub(in crate::store) fn received(&self, edge: EdgeNo) -> Timestamp {
        let put = self.details(self.head(edge)).filter(|detailed| detailed.id.is_some());
        let received = || self.row(edge).map_or(Timestamp::MIN, |row| row.received);
        put.map_or_else(received, |detailed| detailed.updated)
    }

    /// When the records were received that it came in: the first, and the last that had it again.
    pub(super) fn came(&self, edge: EdgeNo) -> [Timestamp; 2] {
        let first = self.row(edge).map_or(Timestamp::MIN, |row| row.received);
        [first, self.renewed.get(&edge).copied().unwrap_or(first)]
    }

    /// The position in the log of the record that brought the edge.
    pub(in crate::store) fn position(&self, edge: EdgeNo) -> u64 {
        self.row(edge).map_or(u64::MAX, |row| row.position)
    }

    /// The first edge of the event with this number.
    pub(in crate::store) fn numbered(&self, number: u64) -> Option<EdgeNo> {
        if let Some(anchor) = self.details.numbered(number) {
            return Some(self.head(anchor));
        }
        let is_present = |edge: &EdgeNo| self.row(*edge).is_some_and(|row| !matches!(row.part, Part::Past { .. }));
        let heads = self.arrivals.at(number, |edge| self.position(edge)).filter(is_present).map(|edge| self.head(edge));
        // What has an id of its own has one number only, whatever edges it was given since.
        let has_it = |head: &EdgeNo| self.details(*head).and_then(|detailed| detailed.number).is_none_or(|own| own == number);
        let mut heads = heads.filter(has_it);
        heads.next()
    }

    pub(in crate::store) fn value(&self, edge: EdgeNo) -> f64 {
        self.values.get(&edge).copied().unwrap_or(1.0)
    }

    pub(in crate::store) fn attributes(&self, edge: EdgeNo) -> Option<&str> {
        self.attributes.get(edge)
    }

    /// The first edge of the event that `edge` belongs to.
    pub(in crate::store) fn head(&self, edge: EdgeNo) -> EdgeNo {
        match self.row(edge).map(|row| (row.part, row.identity)) {
            Some((Part::Stop { of, .. }, _)) => of,
            Some((Part::Beat, identity)) => self.look(identity).and_then(|look| look.head(edge)).unwrap_or(edge),
            _ => edge,
        }
    }

    pub(in crate::store) fn stop_of(&self, head: EdgeNo) -> Option<EdgeNo> {
        match self.row(head)?.part {
            Part::Start { stop, .. } => stop,
            _ => None,
        }
    }

    /// When the event ends: its stop, the start that superseded it, or never.
    pub(in crate::store) fn end(&self, head: EdgeNo) -> Timestamp {
        let Some(row) = self.row(head) else { return Timestamp::MIN };
        match row.part {
            Part::Start { open: true, .. } => Timestamp::MAX,
            Part::Start { .. } => match self.stop_of(head).and_then(|stop| self.row(stop)) {
                Some(stop) => stop.at.max(row.at),
                None => self.superseded_at(head).unwrap_or(row.at),
            },
            _ => row.at,
        }
    }

    /// What the clock says of the event at `now`.
    pub(in crate::store) fn phase(&self, head: EdgeNo, now: Timestamp) -> Phase {
        Phase::of(self.row(head).map_or(Timestamp::MIN, |row| row.at), self.end(head), now)
    }

    /// When a newer start of the same supersede group closed the event.
    pub(in crate::store) fn superseded_at(&self, head: EdgeNo) -> Option<Timestamp> {
        if self.groups.is_empty() {
            return None;
        }
        self.superseding(head).map(|rival| rival.key.0)
    }

    /// The start that closed an event which no stop closes.
    pub(super) fn superseding(&self, head: EdgeNo) -> Option<Member> {
        let row = self.row(head).filter(|row| matches!(row.part, Part::Start { stop: None, .. }))?;
        let last = self.look(row.identity)?.last_start(head);
        self.groups.rival_after(self.member(last)?)
    }

    pub(super) fn member(&self, start: EdgeNo) -> Option<Member> {
        self.row(start).map(|row| Member { key: row.time_key(), edge: start, identity: row.identity })
    }

    /// The heartbeats of the event, in order.
    pub(in crate::store) fn beats(&self, head: EdgeNo) -> impl Iterator<Item = EdgeNo> {
        let row = self.row(head).filter(|row| row.part.is_start());
        let edges = row.and_then(|row| Some((row.key(), self.edges_of_identity(row.identity)?)));
        let beats = edges.map(|(key, edges)| {
            let next = edges.head_after(&key).map(|next| edges.key(next));
            edges.beats_between(key, next)
        });
        beats.into_iter().flatten()
    }

    /// The keys of the first and the last edge of the event.
    pub(in crate::store) fn ends(&self, head: EdgeNo) -> Option<(EdgeKey, EdgeKey)> {
        let row = self.row(head)?;
        let key = row.key();
        if !row.part.is_start() {
            return Some((key, key));
        }
        let edges = self.edges_of_identity(row.identity)?;
        let last = self.look(row.identity).map_or(head, |look| look.last_start(head));
        let stop = self.stop_of(head).map(|stop| edges.key(stop));
        Some((stop.unwrap_or(key).min(key), stop.unwrap_or(key).max(edges.key(last))))
    }

    /// Every edge of the event, in order.
    pub(super) fn edges_of(&self, head: EdgeNo) -> Vec<EdgeNo> {
        let mut edges = vec![head];
        edges.extend(self.beats(head));
        edges.extend(self.stop_of(head));
        edges.sort_by_key(|&edge| self.row(edge).map(EdgeRow::key));
        edges
    }

    /// What the event says of itself beside its edges: what was said last.
    pub(in crate::store) fn details(&self, head: EdgeNo) -> Option<&Detailed> {
        self.anchor(head).and_then(|anchor| self.details.get(anchor))
    }

    /// The edge of the event that its details were said of.
    pub(super) fn anchor(&self, head: EdgeNo) -> Option<EdgeNo> {
        if self.details.is_empty() {
            return None;
        }
        let identity = self.row(head)?.identity;
        let anchors = self.details.anchors(identity)?;
        if let Some(only) = anchors.iter().next().filter(|_| anchors.len() == 1) {
            return (self.head(only.1) == head).then_some(only.1);
        }
        let (first, last) = self.ends(head)?;
        let said = anchors.range((first, EdgeNo::MIN)..=(last, EdgeNo::MAX)).map(|(_, anchor)| *anchor);
        said.max_by_key(|&anchor| self.details.turn(anchor))
    }
}
