//! Whole events: putting one with an id of its own, describing one that came as edges, deleting either.

use super::Added;
use super::Core;
use super::New;
use super::Part;
use crate::event::Delete;
use crate::event::Describe;
use crate::event::Edge;
use crate::event::EdgeId;
use crate::event::Identity;
use crate::event::Key;
use crate::event::Put;
use crate::event::Span;
use crate::event::Version;
use crate::store::Arrival;
use crate::store::ClusterId;
use crate::store::SeriesId;
use crate::store::details::Detailed;
use crate::store::edges::EdgeKey;
use crate::store::edges::EdgeRow;
use crate::store::edges::edge_id;
use crate::store::edges::halves;
use crate::store::index::Interned;
use crate::store::number::EdgeNo;
use crate::store::number::IdentityNo;
use crate::store::number::Number as _;
use crate::time::Timestamp;
use std::ops::Bound;

/// A sample that may have to leave the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Lost {
    pub(in crate::store) cluster: ClusterId,
    pub(in crate::store) series: SeriesId,
    pub(in crate::store) at: Timestamp,
}

fn edge_key((at, state, id): Key) -> EdgeKey {
    (at, state, halves(id.0))
}

impl Core {
    /// The first edge of the event with this id: its own, or that of one of its edges.
    pub(in crate::store) fn resolve(&self, id: &str) -> Option<EdgeNo> {
        self.own(id).or_else(|| {
            let edge = EdgeId::parse(id).and_then(|id| self.find_edge(id))?;
            self.row(edge).filter(|row| !matches!(row.part, Part::Past { .. })).map(|_| self.head(edge))
        })
    }

    /// The identities that an id of its own can have: that of now, or that of the first format.
    fn own_identities(&self, id: &str) -> impl Iterator<Item = IdentityNo> {
        [Identity::of_id(id), Identity::first_of_id(id)].into_iter().filter_map(|identity| self.number_of(identity))
    }

    fn own(&self, id: &str) -> Option<EdgeNo> {
        let anchors = self.own_identities(id).filter_map(|identity| self.details.anchors(identity)).flatten();
        let own = |anchor: &EdgeNo| self.details.get(*anchor).is_some_and(|detailed| detailed.id.as_deref() == Some(id));
        anchors.map(|(_, anchor)| *anchor).find(own).map(|anchor| self.head(anchor))
    }

    /// The number of the event with this id of its own.
    pub(in crate::store) fn own_number(&self, id: &str) -> Option<u64> {
        self.own(id).and_then(|head| self.details(head)?.number)
    }

    /// Whether there is, or was, an event with this id whose edges are still known.
    pub(in crate::store) fn remembers(&self, id: &str) -> bool {
        self.own_identities(id).next().is_some() || EdgeId::parse(id).is_some_and(|id| self.find_edge(id).is_some())
    }

    /// Whether this record of a put, received then, is what an edge or the details that are here come from.
    pub(in crate::store) fn remembers_put(&self, put: &Put, received: Timestamp) -> bool {
        let Some(identity) = self.number_of(put.start.identity) else { return false };
        let from_it = |edge: EdgeNo| self.row(edge).is_some_and(|row| row.identity == identity) && self.came(edge).contains(&received);
        // Another one may have been received at the same time; of the last all edges are present.
        let is_present = |edge: EdgeNo| self.row(edge).is_some_and(|row| !matches!(row.part, Part::Past { .. }));
        let is_last = put.edges().all(|edge| self.find_edge(edge.id()).is_some_and(is_present));
        let mut anchors = self.details.anchors(identity).into_iter().flatten();
        let said = is_last && anchors.any(|(_, anchor)| self.details.get(*anchor).is_some_and(|detailed| detailed.updated == received));
        said || put.edges().filter_map(|edge| self.find_edge(edge.id())).any(from_it)
    }

    /// Whether this deletion still keeps an edge from being part of an event.
    pub(in crate::store) fn remembers_delete(&self, delete: &Delete) -> bool {
        let Some(span) = delete.span else { return self.remembers(&delete.id) };
        self.number_of(span.identity).is_some_and(|identity| self.past_between(identity, &span).next().is_some())
    }

    fn past_between(&self, identity: IdentityNo, span: &Span) -> impl Iterator<Item = EdgeNo> {
        let bounds = (edge_key(span.first), EdgeNo::MIN)..=(edge_key(span.last), EdgeNo::MAX);
        self.past.get(&identity).into_iter().flat_map(move |past| past.range(bounds.clone())).map(|(_, edge)| *edge)
    }

    /// Whether the details that are here, or the stop, come from this record, received then.
    pub(in crate::store) fn remembers_describe(&self, describe: &Describe, received: Timestamp) -> bool {
        let from_it = |edge: EdgeNo| self.row(edge).is_some_and(|row| row.received == received);
        if describe.stop.as_ref().and_then(|stop| self.find_edge(stop.id())).is_some_and(from_it) {
            return true;
        }
        let Some(span) = describe.span else { return self.find_edge(describe.edge).is_some() };
        let Some(detailed) = self.find_edge(span.first.2).and_then(|anchor| self.details.get(anchor)) else { return false };
        let stop = detailed.stop.and_then(|stop| self.row(stop)).map(|stop| edge_id(stop.id));
        // Others may have been received at the same time.
        detailed.updated == received && stop == describe.stop.as_ref().map(Edge::id) && *detailed.details == describe.details
    }

    /// The event with this id as it is now, for a record that is about it. `None` when there is none, or it has an id of its own.
    pub(in crate::store) fn span(&self, id: &str) -> Option<Span> {
        let head = self.resolve(id).filter(|_| self.own(id).is_none())?;
        let (first, last) = self.ends(head)?;
        let key = |(at, state, id): EdgeKey| (at, state, edge_id(id));
        Some(Span { identity: self.identity(head), first: key(first), last: key(last) })
    }

    /// What the edges of the event have in common.
    pub(in crate::store) fn identity(&self, head: EdgeNo) -> Identity {
        let key = self.row(head).and_then(|row| self.identities.get(row.identity)).map_or([0; 2], |row| row.key);
        Identity(edge_id(key).0)
    }

    /// The event that begins with `head` as it is now.
    pub(in crate::store) fn version(&self, head: EdgeNo) -> Version {
        let id = |edge: Option<EdgeNo>| edge.and_then(|edge| self.row(edge)).map_or([0; 2], |row| row.id);
        let described = self.details(head).map_or(0, |detailed| detailed.version.0);
        let mut bytes = Vec::with_capacity(40);
        for half in id(Some(head)).into_iter().chain(id(self.stop_of(head))).chain([described]) {
            bytes.extend_from_slice(&half.to_le_bytes());
        }
        Version::of(&bytes)
    }

    /// Puts an event: its edges take the place of those that it had, but for those that are the same. Returns its edges, those
    /// it had already as duplicates, and the samples that it no longer has. `labels` are those of its edges, in order.
    pub(in crate::store) fn put(
        &mut self,
        labels: &Interned<'_>,
        put: &Put,
        cluster: ClusterId,
        arrival: Arrival,
    ) -> Option<(Vec<Added>, Vec<Lost>)> {
        let Arrival { position, received } = arrival;
        let identity = self.intern_identity(&put.start)?;
        let ids: Vec<EdgeId> = put.edges().map(Edge::id).collect();
        let stays = |edge: &EdgeNo| self.row(*edge).is_some_and(|row| ids.contains(&edge_id(row.id)));
        let gone: Vec<EdgeNo> = self.present(identity).into_iter().filter(|edge| !stays(edge)).collect();
        self.withdraw(identity, &gone);
        self.replaced.extend(gone.iter().map(|&edge| (identity, edge)));
        let mut added = Vec::with_capacity(2);
        for (set, (edge, &id)) in put.edges().zip(&ids).enumerate() {
            added.push(match self.find_edge(id) {
                Some(known) => self.have_again(known, edge, received)?,
                None => self.insert(&New { edge, id, labels: labels.labels(set)?, cluster, arrival })?,
            });
        }
        self.follow();
        if let Some(first) = added.first() {
            let detailed = Detailed::new(&put.details, put.created.unwrap_or(received), received);
            self.insert_details(
                first.edge,
                Detailed { id: Some(put.id.clone()), number: Some(put.number.unwrap_or(position)), ..detailed },
            );
        }
        Some((added, self.lost(&gone)))
    }

    /// The edges that an identity has.
    fn present(&self, identity: IdentityNo) -> Vec<EdgeNo> {
        self.members(identity).into_iter().flat_map(super::Members::iter).collect()
    }

    /// An edge that the event keeps, or has again, with what its id does not say.
    fn have_again(&mut self, known: EdgeNo, edge: &Edge, received: Timestamp) -> Option<Added> {
        match &edge.attributes {
            Some(attributes) => self.attributes.insert(known, attributes.clone()),
            None => self.attributes.remove(known),
        }
        self.renewed.insert(known, received);
        self.values.remove(&known);
        if edge.value.to_bits() != 1f64.to_bits() {
            self.values.insert(known, edge.value);
        }
        let (series, identity, key, part) = self.row(known).map(|row| (row.series, row.identity, row.key(), row.part))?;
        let is_past = matches!(part, Part::Past { .. });
        if is_past {
            if let Some(past) = self.past.get_mut(&identity) {
                past.remove(&(key, known));
            }
            if let Some(row) = self.edges.get_mut(known) {
                row.part = Part::alone(key.1);
            }
            self.replaced.remove(&(identity, known));
            self.enter(known, None)?;
        }
        Some(Added { edge: known, series, duplicate: !is_past })
    }

    /// Sets the details of an event that came as edges: what was said last of any of them stands for it.
    pub(in crate::store) fn describe(&mut self, describe: &Describe, received: Timestamp) {
        let here = |edge: &EdgeNo| self.row(*edge).is_some_and(|row| !matches!(row.part, Part::Past { .. }));
        // Where that edge was deleted or forgotten, what was said of it is too.
        let said_of = describe.span.map_or(describe.edge, |span| span.first.2);
        let Some(anchor) = self.find_edge(said_of).filter(here) else { return };
        if self.details(self.head(anchor)).is_none_or(|detailed| detailed.id.is_none()) {
            let stop = describe.stop.as_ref().and_then(|stop| self.find_edge(stop.id()));
            self.insert_details(anchor, Detailed { stop, ..Detailed::new(&describe.details, received, received) });
        }
    }

    /// Deletes an event; returns its samples, those it no longer had among them.
    pub(in crate::store) fn delete(&mut self, delete: &Delete) -> Vec<Lost> {
        if let Some(span) = &delete.span {
            let Some(identity) = self.number_of(span.identity) else { return Vec::new() };
            let (first, last) = (edge_key(span.first), edge_key(span.last));
            let is_meant = |edge: &EdgeNo| self.row(*edge).is_some_and(|row| (first..=last).contains(&row.key()));
            let parts: Vec<EdgeNo> = self.present(identity).into_iter().filter(is_meant).collect();
            self.withdraw(identity, &parts);
            return self.lost(&parts);
        }
        let is_own = self.own(&delete.id).is_some();
        let Some(head) = self.resolve(&delete.id) else { return Vec::new() };
        let Some(identity) = self.row(head).map(|row| row.identity) else { return Vec::new() };
        let mut parts = self.edges_of(head);
        self.withdraw(identity, &parts);
        if is_own {
            let replaced: Vec<(IdentityNo, EdgeNo)> =
                self.replaced.range((identity, EdgeNo::MIN)..=(identity, EdgeNo::MAX)).copied().collect();
            for replaced in replaced {
                self.replaced.remove(&replaced);
                parts.push(replaced.1);
            }
        } else if let Some(by) = EdgeId::parse(&delete.id).and_then(|id| self.find_edge(id)) {
            self.deleted_by.insert(by, parts.clone());
        }
        self.lost(&parts)
    }

    /// Takes edges of one identity out of their events. They stay known, as past.
    fn withdraw(&mut self, identity: IdentityNo, edges: &[EdgeNo]) {
        self.leave(identity, edges);
        for &edge in edges {
            self.details.remove(edge);
            if let Some(key) = self.row(edge).map(EdgeRow::key) {
                self.past.entry(identity).or_default().insert((key, edge));
            }
        }
    }

    /// The samples of past edges that no present edge has too.
    fn lost(&self, past: &[EdgeNo]) -> Vec<Lost> {
        let sample = |&edge: &EdgeNo| {
            let row = self.row(edge)?;
            let series = self.series.get(row.series)?;
            let bounds = (Bound::Included((row.at, [0; 2])), Bound::Included((row.at, [u64::MAX; 2])));
            let mut same = series.edges.between(bounds, super::time_key_in(&self.edges)).flatten();
            let is_present = |&other: &EdgeNo| self.row(other).is_some_and(|other| !matches!(other.part, Part::Past { .. }));
            (!same.any(is_present)).then_some(Lost { cluster: series.cluster, series: self.series_id(row.series), at: row.at })
        };
        let mut lost: Vec<Lost> = past.iter().filter_map(sample).collect();
        lost.sort_unstable_by_key(|lost| (lost.series, lost.at));
        lost.dedup();
        lost
    }

    fn insert_details(&mut self, anchor: EdgeNo, detailed: Detailed) {
        let head = self.head(anchor);
        let before = self.open_id(head);
        let Some(row) = self.edges.get(anchor) else { return };
        self.details.insert(anchor, row, detailed);
        self.open.rename(head, before, self.open_id(head));
    }
}
