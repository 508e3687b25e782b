//! One tenant's rows behind its lock: edges, identities and series, and what is derived from them.

mod ask;
mod bytes;
mod intern;
mod label_bytes;
mod retire;
#[cfg(test)]
mod state;
mod sweep;
mod whole;

pub(super) use ask::Opening;
pub(super) use whole::Lost;

use super::Arrival;
use super::ClusterId;
use super::arrivals::Arrivals;
use super::by_time::EventsByTime;
use super::by_time::TimeKey;
use super::details::DetailTable;
use super::edges::EdgeKey;
use super::edges::EdgeRow;
use super::edges::IdentityEdges;
use super::edges::IdentityRow;
use super::edges::Members;
use super::edges::Part;
use super::edges::halves;
use super::fold::Changes;
use super::fold::Fold;
use super::fold::Look;
use super::fold::Skews;
use super::groups::Groups;
use super::groups::Member;
use super::index::LabelIndex;
use super::index::LabelRef;
use super::number::EdgeNo;
use super::number::IdentityNo;
use super::number::SeriesNo;
use super::number::Set;
use super::odd::OddStarts;
use super::odd::odd_name;
use super::open::OpenEvents;
use super::open::OpenId;
use super::open_event::OpenEvent;
use super::rows::Rows;
use super::seed::Seed;
use super::seq::Seq;
use super::table::Table;
use super::texts::Texts;
use crate::event::Edge;
use crate::event::EdgeId;
use crate::event::EdgeState;
use crate::time::Timestamp;
use label_bytes::LabelBytes;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

/// Which end of changes the samples of a series are: what `event_state` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum End {
    /// Starts and points.
    Start,
    Stop,
}

#[derive(Debug)]
pub(super) struct SeriesRow {
    pub(super) labels: Box<[LabelRef]>,
    /// Its edges in order of time, those of the past among them.
    pub(super) edges: Seq,
    pub(super) cluster: ClusterId,
    pub(super) end: End,
    /// Of all of these but the edges; keeps the table from looking at the labels when it grows.
    hash: u32,
    /// How many series there ever were when it came, itself among them: tells it from every other series that had its number
    /// before or has it later, and what was there at some moment from what came after.
    pub(super) born: u64,
}

#[derive(Debug, Default)]
pub(super) struct Core {
    pub(super) edges: Rows<EdgeNo, EdgeRow>,
    by_edge: Table<EdgeNo>,
    pub(super) identities: Rows<IdentityNo, IdentityRow>,
    by_identity: Table<IdentityNo>,
    pub(super) series: Rows<SeriesNo, SeriesRow>,
    /// How many series there ever were.
    pub(super) born: u64,
    by_series: Table<SeriesNo>,
    series_by_cluster: BTreeMap<ClusterId, u32>,
    /// Numbers of clusters that no series has, but for the default one.
    unused_clusters: BTreeSet<ClusterId>,
    /// Series that the label index does not know of yet.
    unpublished: Vec<SeriesNo>,
    start_series: Set<SeriesNo>,
    stop_series: Set<SeriesNo>,
    label_bytes: LabelBytes,
    seed: Seed,
    pub(super) by_time: EventsByTime,
    pub(super) open: OpenEvents,
    /// When the last edge was received.
    received: Timestamp,
    pub(super) groups: Groups,
    pub(super) skews: Skews,
    pub(super) odd: OddStarts,
    values: BTreeMap<EdgeNo, f64>,
    attributes: Texts,
    pub(super) details: DetailTable,
    /// Per identity the edges that are past, in order.
    past: BTreeMap<IdentityNo, BTreeSet<(EdgeKey, EdgeNo)>>,
    /// Edges of the past, by identity, whose event was put without them and not deleted since: their samples may be shown.
    replaced: BTreeSet<(IdentityNo, EdgeNo)>,
    /// Edges that came again later, and when they last did: those that a whole event has again, and those that logs of the
    /// first format repeat.
    renewed: BTreeMap<EdgeNo, Timestamp>,
    /// The edges that a deletion named an edge for, by that edge: only of deletions of the first format.
    deleted_by: BTreeMap<EdgeNo, Vec<EdgeNo>>,
    /// Edges in order of receipt.
    arrivals: Arrivals,
    /// What folds changed that is not yet followed by what is derived: events by time, and what is open.
    changed: Changes,
    /// Starts whose events may be superseded by another start now.
    rivalled: Vec<EdgeNo>,
}

impl End {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Start => EdgeState::Start.label(),
            Self::Stop => EdgeState::Stop.label(),
        }
    }
}

impl From<EdgeState> for End {
    fn from(state: EdgeState) -> Self {
        match state {
            EdgeState::Start | EdgeState::Point => Self::Start,
            EdgeState::Stop => Self::Stop,
        }
    }
}

impl SeriesRow {
    /// What a page knows it by, beside its number; around 2^32.
    pub(super) fn generation(&self) -> u32 {
        u32::try_from(self.born & u64::from(u32::MAX)).unwrap_or_default()
    }
}

pub(super) fn time_key_in(rows: &Rows<EdgeNo, EdgeRow>) -> impl Fn(EdgeNo) -> TimeKey {
    |edge| rows.get(edge).map_or((Timestamp::MIN, [0; 2]), EdgeRow::time_key)
}

/// An edge to be added, its id, its labels in the index, to which cluster, and by which record.
#[derive(Clone, Copy)]
pub(super) struct New<'a> {
    pub(super) edge: &'a Edge,
    pub(super) id: EdgeId,
    pub(super) labels: &'a [LabelRef],
    pub(super) cluster: ClusterId,
    pub(super) arrival: Arrival,
}

/// What the sender of an edge added.
pub(super) struct Added {
    pub(super) edge: EdgeNo,
    pub(super) series: SeriesNo,
    pub(super) duplicate: bool,
}

/// For tables of what is known by a hash already: half of it, mixed so that nobody can choose it.
fn id_hash(seed: &Seed, id: [u64; 2]) -> u64 {
    seed.hash(id[0])
}

impl Core {
    /// Nothing yet. `skew` is that of stops whose records say nothing else.
    pub(super) fn new(skew: Duration, seed: Seed) -> Self {
        Self { skews: Skews { usual: skew, ..Skews::default() }, seed, ..Self::default() }
    }

    /// Adds an edge; call [`Core::follow`] and [`Core::publish`] after the last of some.
    pub(super) fn add(&mut self, new: &New<'_>) -> Option<Added> {
        if let Some(found) = self.find_edge(new.id) {
            let row = self.row(found)?;
            let series = row.series;
            if new.arrival.received > row.received {
                self.renewed.insert(found, new.arrival.received);
            }
            return Some(Added { edge: found, series, duplicate: true });
        }
        let added = self.insert(new)?;
        if let Some(name) = odd_name(new.edge) {
            self.odd.insert(added.edge, name);
        }
        Some(added)
    }

    /// Adds an edge that is not there.
    fn insert(&mut self, new: &New<'_>) -> Option<Added> {
        let New { edge, id, arrival: Arrival { position, received }, .. } = *new;
        let series = self.intern_series(new)?;
        let identity = self.intern_identity(edge)?;
        let part = Part::alone(edge.state);
        self.received = self.received.max(received);
        let number = self.edges.insert(EdgeRow { id: halves(id.0), at: edge.at, received, position, series, identity, part })?;
        self.know(id, number);
        if edge.value.to_bits() != 1f64.to_bits() {
            self.values.insert(number, edge.value);
        }
        if let Some(attributes) = &edge.attributes {
            self.attributes.insert(number, attributes.clone());
        }
        if let Some(skew) = edge.skew.filter(|_| edge.state == EdgeState::Stop) {
            self.skews.insert(number, skew);
        }
        self.series.get_mut(series)?.edges.insert(number, time_key_in(&self.edges));
        self.arrivals.push(number, received);
        self.enter(number, edge.supersede.map(|group| group.0))?;
        Some(Added { edge: number, series, duplicate: false })
    }

    /// Puts the edge into its identity's order and its group's, and folds.
    fn enter(&mut self, edge: EdgeNo, group: Option<u128>) -> Option<()> {
        let row = self.row(edge)?;
        let (identity, key, state) = (row.identity, row.key(), row.part.state());
        let members = &mut self.identities.get_mut(identity)?.members;
        let is_alone = members.is_empty();
        let only = members.only();
        members.insert(edge, &self.edges);
        self.changed.insert(edge, Part::Vacant);
        if state == EdgeState::Stop && only.is_some_and(|only| self.closes_only(edge, only)) {
            return Some(());
        }
        if state == EdgeState::Point {
            return Some(());
        }
        let member = Member { key: (key.0, key.2), edge, identity };
        if let Some(group) = group.filter(|_| state == EdgeState::Start) {
            self.groups.insert(group, member)?;
        }
        if !is_alone {
            self.fold_around(identity, key, Some(edge), None);
        }
        if !self.groups.is_empty() {
            self.rivalled.push(edge);
            if let Some(rival) = self.groups.rival_before(member) {
                self.rivalled.push(rival.edge);
                self.look_at_rival(rival);
            }
        }
        Some(())
    }

    /// Whether a stop is the second edge of its identity after a start, which it then closes: what most stops do, and what the
    /// fold would find.
    fn closes_only(&mut self, stop: EdgeNo, only: EdgeNo) -> bool {
        let key = |edge: EdgeNo| self.row(edge).map(EdgeRow::key);
        let Some(part @ Part::Start { open, .. }) = self.row(only).map(|row| row.part).filter(|_| key(only) < key(stop)) else {
            return false;
        };
        self.changed.entry(only).or_insert(part);
        self.set_part(only, Part::Start { open, stop: Some(stop) });
        self.set_part(stop, Part::Stop { early: false, of: only });
        true
    }

    /// A start that closes `rival`'s event came or went: the next start of its identity may begin anew, or no longer.
    fn look_at_rival(&mut self, rival: Member) {
        let key = (rival.key.0, EdgeState::Start, rival.key.1);
        let next = self.edges_of_identity(rival.identity).and_then(|edges| edges.start_after(&key).map(|next| (next, edges.key(next))));
        if let Some((next, key)) = next {
            self.fold_around(rival.identity, key, Some(next), None);
        }
    }

    fn fold_around(&mut self, identity: IdentityNo, key: EdgeKey, here: Option<EdgeNo>, gone: Option<Duration>) {
        let Self { edges, identities, groups, skews, changed, .. } = self;
        if let Some(row) = identities.get_mut(identity) {
            Fold { rows: edges, members: &mut row.members, groups, skews, changed }.around(key, here, gone);
        }
    }

    /// Brings everything derived up to date about what folds changed: once for many edges, since most of what one makes first
    /// of an event the next of the same makes a heartbeat.
    pub(super) fn follow(&mut self) {
        let mut changed = std::mem::take(&mut self.changed);
        for (&edge, &before) in &changed {
            self.follow_one(edge, before);
        }
        for (edge, _) in changed.drain() {
            self.settle(edge);
            self.note_end(edge);
        }
        self.changed = changed;
        let mut rivalled = std::mem::take(&mut self.rivalled);
        for start in rivalled.drain(..) {
            self.settle_event_of(start);
        }
        self.rivalled = rivalled;
        self.open.forget_over(self.received);
    }

    /// Tells the label index of series that are new, so that whoever finds their edges finds them by their labels too. To be
    /// called before the tenant's lock is given up, while their labels are still pinned.
    pub(super) fn publish(&mut self, index: &LabelIndex) {
        let mut new = std::mem::take(&mut self.unpublished);
        if !new.is_empty() {
            let labels = |&series: &SeriesNo| self.series.get(series).map(|row| (series, &*row.labels));
            index.add(new.iter().filter_map(labels));
        }
        new.clear();
        self.unpublished = new;
    }

    fn follow_one(&mut self, edge: EdgeNo, before: Part) {
        let Some(part) = self.row(edge).map(|row| row.part) else { return };
        if before.is_open() {
            match part {
                // It was something else in between.
                Part::Start { stop, .. } => self.set_part(edge, Part::Start { open: true, stop }),
                _ => self.close(edge),
            }
        }
        let key = time_key_in(&self.edges);
        match (before.is_head(), part.is_head()) {
            (false, true) => self.by_time.insert(edge, key),
            (true, false) => self.by_time.remove(edge, key),
            (true, true) => self.by_time.end_changed(edge, key),
            (false, false) => {}
        }
    }

    fn set_part(&mut self, edge: EdgeNo, part: Part) {
        if let Some(row) = self.edges.get_mut(edge) {
            row.part = part;
        }
    }

    /// Brings the table of open events up to date about the event that begins with this edge, if one does.
    fn settle(&mut self, head: EdgeNo) {
        let Some(row) = self.row(head) else { return };
        let Part::Start { open: was_open, stop } = row.part else { return };
        let open = stop.is_none() && self.superseded_at(head).is_none();
        if open == was_open {
            return;
        }
        self.set_part(head, Part::Start { open, stop });
        if open {
            self.note_open(head);
        } else {
            self.close(head);
        }
        self.by_time.end_changed(head, time_key_in(&self.edges));
    }

    /// The same of the event of a start, whose end may have changed because it is superseded by another one.
    fn settle_event_of(&mut self, start: EdgeNo) {
        let head = self.head(start);
        self.settle(head);
        if self.row(head).is_some_and(|row| row.part.is_start()) {
            self.by_time.end_changed(head, time_key_in(&self.edges));
        }
        self.note_end(head);
    }

    /// Brings the table of what ends later up to date about this edge.
    fn note_end(&mut self, head: EdgeNo) {
        let has_end = self.row(head).is_some_and(|row| row.part.is_start() && !row.part.is_open());
        let end = if has_end { self.end(head) } else { Timestamp::MIN };
        let is_ahead = end > self.received && self.row(head).is_some_and(|row| end > row.at);
        self.open.set_end(head, if is_ahead { self.open_event(head).map(|event| (event, end)) } else { None });
    }

    fn note_open(&mut self, head: EdgeNo) {
        if let Some(event) = self.open_event(head) {
            self.open.insert(&event, self.open_id(head));
        }
    }

    fn close(&mut self, head: EdgeNo) {
        if let Some(event) = self.open_event(head) {
            self.open.remove(&event, self.open_id(head));
        }
    }

    /// What the event answers to.
    fn open_id(&self, head: EdgeNo) -> OpenId {
        let own = self.details(head).and_then(|detailed| detailed.id.clone());
        own.map_or_else(|| OpenId::Edge(self.row(head).map_or([0; 2], |row| row.id)), OpenId::Own)
    }

    fn open_event(&self, head: EdgeNo) -> Option<OpenEvent> {
        let row = self.row(head)?;
        let lapses = self.identities.get(row.identity).is_some_and(|identity| identity.lapses);
        let cluster = self.series.get(row.series)?.cluster;
        Some(OpenEvent { edge: head, key: row.time_key(), cluster, series: row.series, lapses })
    }

    /// Takes edges of one identity, all that there are between two, out of their events. Their rows say what they were.
    fn leave(&mut self, identity: IdentityNo, edges: &[EdgeNo]) {
        let mut rivals: BTreeSet<(TimeKey, EdgeNo, IdentityNo)> = BTreeSet::new();
        let mut last: Option<(EdgeKey, Option<Duration>)> = None;
        for &edge in edges {
            let Some(row) = self.row(edge) else { continue };
            let (key, part) = (row.key(), row.part);
            if part.is_open() {
                self.close(edge);
            }
            if part.is_head() {
                self.by_time.remove(edge, time_key_in(&self.edges));
                self.open.set_end(edge, None);
            }
            if let Some(row) = self.identities.get_mut(identity) {
                row.members.remove(edge, &self.edges);
            }
            let rival = self.groups.remove(Member { key: (key.0, key.2), edge, identity });
            rivals.extend(rival.map(|rival| (rival.key, rival.edge, rival.identity)));
            let skew = (key.1 == EdgeState::Stop).then(|| self.skews.of(edge));
            if last.is_none_or(|(last, _)| last <= key) && key.1 != EdgeState::Point {
                last = Some((key, skew));
            }
            self.set_part(edge, Part::Past { state: key.1 });
        }
        if let Some((key, skew)) = last {
            self.fold_around(identity, key, None, skew);
        }
        for (key, edge, identity) in rivals {
            self.look_at_rival(Member { key, edge, identity });
            self.rivalled.push(edge);
        }
        self.follow();
    }

    fn know(&mut self, id: EdgeId, number: EdgeNo) {
        let hash = id_hash(&self.seed, halves(id.0));
        self.by_edge.insert(hash, number);
    }

    pub(super) fn edges_of_identity(&self, identity: IdentityNo) -> Option<IdentityEdges<'_>> {
        self.identities.get(identity).map(|row| IdentityEdges { members: &row.members, rows: &self.edges })
    }

    pub(super) fn look(&self, identity: IdentityNo) -> Option<Look<'_>> {
        self.edges_of_identity(identity).map(|edges| Look { edges, skews: &self.skews })
    }

    pub(super) fn members(&self, identity: IdentityNo) -> Option<&Members> {
        self.identities.get(identity).map(|row| &row.members)
    }
}
