//! One tenant's rows behind its lock: edges, identities and series, and what is derived from them.

mod retire;
mod whole;

pub(super) use whole::Lost;

use super::SeriesId;
use super::details::DetailTable;
use super::edges::Changed;
use super::edges::EdgeList;
use super::edges::EdgeRow;
use super::edges::IdentityRow;
use super::edges::NONE;
use super::edges::Role;
use super::edges::fold;
use super::index::LabelIndex;
use super::index::LabelRef;
use super::index::LabelWriter;
use super::open::OpenEvents;
use super::rows::Rows;
use super::timeline::Place;
use super::timeline::Timeline;
use crate::event::Edge;
use crate::event::EdgeId;
use crate::event::EdgeState;
use crate::event::Identity;
use crate::time::Timestamp;
use hashbrown::DefaultHashBuilder;
use hashbrown::HashTable;
use roaring::RoaringBitmap;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::hash::BuildHasher;
use std::hint::black_box;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct SeriesRow {
    pub(super) labels: Box<[LabelRef]>,
    pub(super) edges: EdgeList,
    pub(super) cluster: u16,
    pub(super) stop: bool,
    /// Of all of these but the edges; keeps the table from looking at the labels when it grows.
    hash: u32,
    /// Tells it from every other series that had its number before or has it later.
    pub(super) generation: u32,
}

/// A supersede group.
#[derive(Debug, Default)]
struct Group {
    key: u128,
    /// How many identities belong to it; without one it is forgotten.
    identities: u32,
    /// The starts in it, in order.
    starts: BTreeMap<Place, u32>,
}

#[derive(Debug, Default)]
pub(super) struct Core {
    pub(super) edges: Rows<EdgeRow>,
    by_edge: HashTable<u32>,
    pub(super) identities: Rows<IdentityRow>,
    by_identity: HashTable<u32>,
    pub(super) series: Rows<SeriesRow>,
    /// How many series there ever were, around 2^32.
    generations: u32,
    by_series: HashTable<u32>,
    start_series: RoaringBitmap,
    stop_series: RoaringBitmap,
    hasher: DefaultHashBuilder,
    pub(super) timeline: Timeline,
    pub(super) open: OpenEvents,
    groups: Rows<Group>,
    by_group: HashMap<u128, u32>,
    values: HashMap<u32, f64>,
    attributes: HashMap<u32, Box<str>>,
    pub(super) details: DetailTable,
    /// Per identity the edges that are past.
    past: HashMap<u32, Vec<u32>>,
    /// Edges in order of receipt, for retirement; first those that an earlier retirement had to keep.
    arrivals: VecDeque<u32>,
    changed: Vec<Changed>,
}

pub(super) fn place_in(rows: &Rows<EdgeRow>) -> impl Fn(u32) -> Place {
    |edge| rows.get(edge).map_or((Timestamp::MIN, [0; 2]), EdgeRow::place)
}

/// An edge to be added, its id, to which cluster, and when it was received.
#[derive(Clone, Copy)]
pub(super) struct New<'a> {
    pub(super) edge: &'a Edge,
    pub(super) id: EdgeId,
    pub(super) cluster: u16,
    pub(super) received: Timestamp,
}

/// What the sender of an edge added.
pub(super) struct Added {
    pub(super) edge: u32,
    pub(super) series: u32,
    pub(super) duplicate: bool,
}

pub(super) fn halves(wide: u128) -> [u64; 2] {
    let bytes = wide.to_le_bytes();
    let (low, high) = bytes.split_at(8);
    [low, high].map(|half| half.try_into().map_or(0, u64::from_le_bytes))
}

pub(super) fn edge_id(id: [u64; 2]) -> EdgeId {
    EdgeId((u128::from(id[1]) << 64) | u128::from(id[0]))
}

/// For tables of what is known by a hash already: half of it, mixed so that nobody can choose it.
fn id_hash(hasher: &DefaultHashBuilder, id: [u64; 2]) -> u64 {
    hasher.hash_one(id[0])
}

/// For tables: as much of a hash as a row keeps.
pub(super) fn series_hash(hasher: &DefaultHashBuilder, labels: &[LabelRef], stop: bool, cluster: u16) -> u32 {
    let hash = hasher.hash_one((labels, stop, cluster));
    u32::try_from(hash >> 32).unwrap_or(0)
}

/// The hash of a table that has one half of it in its upper bits and one in its lower bits.
pub(super) fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

impl Core {
    pub(super) fn edge_count(&self) -> usize {
        self.arrivals.len()
    }

    pub(super) fn series_count(&self) -> usize {
        self.by_series.len()
    }

    /// The series that has this number now.
    pub(super) fn series_id(&self, number: u32) -> SeriesId {
        SeriesId { number, generation: self.series.get(number).map_or(0, |row| row.generation) }
    }

    pub(super) fn row(&self, edge: u32) -> Option<&EdgeRow> {
        self.edges.get(edge)
    }

    fn hash_of(&self, id: [u64; 2]) -> u64 {
        id_hash(&self.hasher, id)
    }

    pub(super) fn find_edge(&self, id: EdgeId) -> Option<u32> {
        let id = halves(id.0);
        self.by_edge.find(self.hash_of(id), |&edge| self.row(edge).is_some_and(|row| row.id == id)).copied()
    }

    /// The edges received at or before `before` that are part of an event, the latest first: when, and the event's first edge.
    pub(super) fn arrivals_back(&self, before: Timestamp) -> impl Iterator<Item = (Timestamp, u32)> {
        let count = self.arrivals.partition_point(|&edge| self.row(edge).is_some_and(|row| row.received <= before));
        let present =
            self.arrivals.range(..count).rev().filter_map(|&edge| Some((edge, self.row(edge).filter(|row| row.role != Role::Past)?)));
        present.map(|(edge, row)| (row.received, self.head(edge)))
    }

    pub(super) fn value(&self, edge: u32) -> f64 {
        self.values.get(&edge).copied().unwrap_or(1.0)
    }

    pub(super) fn attributes(&self, edge: u32) -> Option<&str> {
        self.attributes.get(&edge).map(|attributes| &**attributes)
    }

    /// The edges of the identity that `edge` belongs to, in order.
    pub(super) fn siblings(&self, edge: u32) -> &[u32] {
        self.row(edge).and_then(|row| self.identities.get(row.identity)).map_or(&[], |identity| identity.edges.as_slice())
    }

    /// The first edge of the event that `edge` belongs to.
    pub(super) fn head(&self, edge: u32) -> u32 {
        match self.row(edge) {
            Some(row) if matches!(row.role, Role::Beat | Role::Stop | Role::SkewStop) => row.link,
            _ => edge,
        }
    }

    pub(super) fn stop_of(&self, head: u32) -> Option<u32> {
        self.row(head).filter(|row| row.role == Role::Start && row.link != NONE).map(|row| row.link)
    }

    /// When the event ends: its stop, the start that superseded it, or never.
    pub(super) fn end(&self, head: u32) -> Timestamp {
        let Some(row) = self.row(head) else { return Timestamp::MIN };
        match row.role {
            _ if row.open => Timestamp::MAX,
            Role::Start => match self.stop_of(head).and_then(|stop| self.row(stop)) {
                Some(stop) => stop.at.max(row.at),
                None => self.superseded_at(head).unwrap_or(row.at),
            },
            _ => row.at,
        }
    }

    /// When a newer start of the same supersede group closed the event.
    pub(super) fn superseded_at(&self, head: u32) -> Option<Timestamp> {
        let row = self.row(head).filter(|row| row.role == Role::Start && row.link == NONE)?;
        let group = self.groups.get(self.identities.get(row.identity)?.group)?;
        let mut later =
            group.starts.range(row.place()..).filter_map(|(place, &edge)| self.row(edge).map(|other| (place.0, other.identity)));
        later.find(|(_, identity)| *identity != row.identity).map(|(at, _)| at)
    }

    /// Touches the tables where these edges will be looked up: those places are far apart in memory, and asked for one after
    /// the other without waiting they come in together.
    pub(super) fn look_ahead(&self, edges: &[(Timestamp, &Edge)], ids: &[EdgeId]) {
        for ((_, edge), id) in edges.iter().zip(ids) {
            black_box((self.find_edge(*id), self.find_identity(halves(edge.identity.0))));
        }
    }

    fn find_identity(&self, key: [u64; 2]) -> Option<u32> {
        self.by_identity.find(self.hash_of(key), |&candidate| self.identities.get(candidate).is_some_and(|row| row.key == key)).copied()
    }

    /// Adds an edge; everything derived follows. Its labels are set number `set` of those that are held.
    pub(super) fn add(&mut self, labels: &mut LabelWriter<'_>, set: usize, new: &New<'_>, skew: Duration) -> Option<Added> {
        let id = new.id;
        if let Some(found) = self.find_edge(id) {
            let series = self.row(found)?.series;
            return Some(Added { edge: found, series, duplicate: true });
        }
        self.insert(labels, set, new, skew)
    }

    /// Adds an edge that is not there, unless as one of the past.
    fn insert(&mut self, labels: &mut LabelWriter<'_>, set: usize, new: &New<'_>, skew: Duration) -> Option<Added> {
        let New { edge, id, received, .. } = *new;
        let series = self.intern_series(labels, set, new)?;
        let identity = self.intern_identity(edge.identity, edge.supersede, edge.lapses)?;
        let row = EdgeRow {
            id: halves(id.0),
            at: edge.at,
            received,
            series,
            identity,
            link: NONE,
            role: Role::Vacant,
            state: edge.state,
            open: false,
        };
        let new = self.edges.place(row)?;
        let (hash, rows, hasher) = (self.hash_of(halves(id.0)), &self.edges, &self.hasher);
        let is_same = |&edge: &u32| rows.get(edge).is_some_and(|row| row.id == halves(id.0));
        match if self.past.is_empty() { None } else { self.by_edge.find_mut(hash, is_same) } {
            // One of the past, which its event has again.
            Some(past) => *past = new,
            None => drop(self.by_edge.insert_unique(hash, new, |&edge| rows.get(edge).map_or(0, |row| id_hash(hasher, row.id)))),
        }
        if edge.value.to_bits() != 1f64.to_bits() {
            self.values.insert(new, edge.value);
        }
        if let Some(attributes) = &edge.attributes {
            self.attributes.insert(new, attributes.clone());
        }
        self.series.get_mut(series)?.edges.push(new);
        self.arrivals.push_back(new);
        self.fold_in(new, identity, skew);
        Some(Added { edge: new, series, duplicate: false })
    }

    fn intern_series(&mut self, writer: &mut LabelWriter<'_>, set: usize, new: &New<'_>) -> Option<u32> {
        let (stop, cluster) = (new.edge.state == EdgeState::Stop, new.cluster);
        writer.intern(&new.edge.labels, set)?;
        let labels = writer.refs.as_slice();
        let hash = series_hash(&self.hasher, labels, stop, cluster);
        let same = |row: &SeriesRow| row.hash == hash && *row.labels == *labels && row.stop == stop && row.cluster == cluster;
        if let Some(&found) = self.by_series.find(spread(hash), |&series| self.series.get(series).is_some_and(same)) {
            return Some(found);
        }
        self.generations = self.generations.wrapping_add(1);
        let row = SeriesRow { labels: labels.into(), edges: EdgeList::Empty, cluster, stop, hash, generation: self.generations };
        let new = self.series.place(row)?;
        let rows = &self.series;
        self.by_series.insert_unique(spread(hash), new, |&series| spread(rows.get(series).map_or(0, |row| row.hash)));
        writer.add(set, new);
        self.state_series(stop).insert(new);
        Some(new)
    }

    fn intern_identity(&mut self, identity: Identity, supersede: Option<Identity>, lapses: bool) -> Option<u32> {
        let key = halves(identity.0);
        if let Some(found) = self.find_identity(key) {
            return Some(found);
        }
        let hash = self.hash_of(key);
        let group = match supersede {
            Some(group) => self.join_group(group.0)?,
            None => NONE,
        };
        let row = IdentityRow { key, edges: EdgeList::Empty, group, lapses };
        let new = self.identities.place(row)?;
        let (rows, hasher) = (&self.identities, &self.hasher);
        self.by_identity.insert_unique(hash, new, |&identity| rows.get(identity).map_or(0, |row| id_hash(hasher, row.key)));
        Some(new)
    }

    /// The number of the supersede group, which gets one identity more.
    fn join_group(&mut self, key: u128) -> Option<u32> {
        let number = match self.by_group.entry(key) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(free) => *free.insert(self.groups.place(Group { key, ..Group::default() })?),
        };
        self.groups.get_mut(number)?.identities += 1;
        Some(number)
    }

    /// Puts the edge into its identity's order, folds, and brings timeline and open events up to date.
    fn fold_in(&mut self, new: u32, identity: u32, skew: Duration) {
        let Some(identity) = self.identities.get_mut(identity) else { return };
        let rows = &self.edges;
        let key = |edge: u32| rows.get(edge).map(EdgeRow::key);
        let list = identity.edges.as_slice();
        let position = match list.last() {
            Some(&latest) if key(latest) > key(new) => list.partition_point(|&edge| key(edge) < key(new)),
            _ => list.len(),
        };
        identity.edges.insert(position, new);
        let mut changed = std::mem::take(&mut self.changed);
        fold(&mut self.edges, identity.edges.as_slice(), position, skew, &mut changed);
        self.follow_all(changed);
    }

    /// Brings everything derived up to date about what a fold changed.
    fn follow_all(&mut self, mut changed: Vec<Changed>) {
        for index in 0..changed.len() {
            if let Some(&change) = changed.get(index) {
                // The fold may set an edge twice; only what it was first is what the derived parts know.
                if !changed.iter().take(index).any(|earlier| earlier.edge == change.edge) {
                    self.follow(change);
                }
            }
        }
        if !self.details.is_empty() {
            for change in &changed {
                self.move_details(change.edge);
            }
        }
        changed.clear();
        self.changed = changed;
    }

    fn follow(&mut self, change: Changed) {
        let Some(row) = self.edges.get(change.edge) else { return };
        let place = row.place();
        let is_head = row.role.is_head();
        let starts = |role: Role| role == Role::Start;
        let (was_start, is_start) = (starts(change.role), starts(row.role));
        let identity = row.identity;
        self.follow_in_time(change.edge, change.role.is_head(), is_head);
        let group = self.identities.get(identity).map_or(NONE, |identity| identity.group);
        let Some(Group { starts, .. }) = self.groups.get_mut(group) else {
            self.settle(change.edge);
            return;
        };
        let last_before = starts.values().next_back().copied();
        if was_start && !is_start {
            starts.remove(&place);
        }
        if is_start && !was_start {
            starts.insert(place, change.edge);
        }
        let last = starts.values().next_back().copied();
        for edge in [Some(change.edge), last_before, last].into_iter().flatten() {
            self.settle(edge);
        }
    }

    fn follow_in_time(&mut self, edge: u32, was_head: bool, is_head: bool) {
        let place = place_in(&self.edges);
        match (was_head, is_head) {
            (false, true) => self.timeline.insert(edge, place),
            (true, false) => self.timeline.remove(edge, place),
            (true, true) => self.timeline.end_changed(edge, place),
            (false, false) => {}
        }
    }

    /// Brings the table of open events up to date about one edge.
    fn settle(&mut self, edge: u32) {
        let Some(row) = self.row(edge) else { return };
        let open = row.role == Role::Start && row.link == NONE && self.superseded_at(edge).is_none();
        let (place, series, was_open) = (row.place(), row.series, row.open);
        let lapses = self.identities.get(row.identity).is_some_and(|identity| identity.lapses);
        if open == was_open {
            return;
        }
        let cluster = self.series.get(series).map_or(0, |series| series.cluster);
        if open {
            self.open.insert(edge, self.public_id(edge), place, cluster, series, lapses);
        } else {
            self.open.remove(edge, self.public_id(edge), place, cluster, series);
        }
        if let Some(row) = self.edges.get_mut(edge) {
            row.open = open;
        }
        self.timeline.end_changed(edge, place_in(&self.edges));
    }

    /// The heartbeats of the event, in order.
    pub(super) fn beats(&self, head: u32) -> &[u32] {
        let Some(row) = self.row(head).filter(|row| row.role == Role::Start) else { return &[] };
        let list = self.siblings(head);
        let first = list.partition_point(|&edge| self.row(edge).is_some_and(|other| other.key() <= row.key()));
        let rest = list.get(first..).unwrap_or_default();
        let is_beat = |edge: u32| self.row(edge).is_some_and(|other| other.role == Role::Beat && other.link == head);
        let count = match self.stop_of(head).and_then(|stop| self.row(stop)).filter(|stop| stop.key() > row.key()) {
            Some(stop) => rest.partition_point(|&edge| self.row(edge).is_some_and(|other| other.key() < stop.key())),
            None if row.link == NONE => rest.len(),
            // Closed by a stop before it: there are few, within the skew.
            None => rest.iter().take_while(|&&edge| is_beat(edge)).count(),
        };
        rest.get(..count).unwrap_or_default()
    }
}

impl Core {
    /// Every series that has an edge.
    pub(super) fn all_series(&self) -> RoaringBitmap {
        self.series_with(|_| true)
    }

    /// Every series whose being a stop `wanted` accepts.
    pub(super) fn series_with(&self, wanted: impl Fn(bool) -> bool) -> RoaringBitmap {
        let mut bitmaps = RoaringBitmap::new();
        for (stop, bitmap) in [(false, &self.start_series), (true, &self.stop_series)] {
            if wanted(stop) {
                bitmaps |= bitmap;
            }
        }
        bitmaps
    }

    fn state_series(&mut self, stop: bool) -> &mut RoaringBitmap {
        if stop { &mut self.stop_series } else { &mut self.start_series }
    }
}
