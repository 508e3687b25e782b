//! Whole events: putting one with an id of its own, describing one that came as edges, deleting either.

use super::Added;
use super::Core;
use super::EdgeList;
use super::LabelWriter;
use super::NONE;
use super::New;
use super::Role;
use super::halves;
use super::place_in;
use crate::event::Describe;
use crate::event::EdgeId;
use crate::event::Identity;
use crate::event::Put;
use crate::event::Version;
use crate::store::SeriesId;
use crate::store::details::Detailed;
use crate::store::edges::fold_all;
use crate::time::Timestamp;
use std::collections::HashSet;
use std::time::Duration;

/// A sample that may have to leave the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Lost {
    pub(in crate::store) cluster: u16,
    pub(in crate::store) series: SeriesId,
    pub(in crate::store) at: Timestamp,
}

impl Core {
    /// The first edge of the event with this id: its own, or that of one of its edges.
    pub(in crate::store) fn resolve(&self, id: &str) -> Option<u32> {
        self.own(id).or_else(|| {
            let edge = EdgeId::parse(id).and_then(|id| self.find_edge(id))?;
            self.row(edge).filter(|row| row.role != Role::Past).map(|_| self.head(edge))
        })
    }

    fn own(&self, id: &str) -> Option<u32> {
        let identity = self.number_of(Identity::of_id(id))?;
        let &first = self.identities.get(identity)?.edges.as_slice().first()?;
        let head = self.head(first);
        self.details.get(head).filter(|detailed| detailed.id.as_deref() == Some(id)).map(|_| head)
    }

    /// Whether a record about this id still has an effect on what is here.
    pub(in crate::store) fn remembers(&self, id: &str) -> bool {
        self.number_of(Identity::of_id(id)).is_some() || EdgeId::parse(id).is_some_and(|id| self.find_edge(id).is_some())
    }

    /// Whether one of the edges that were put at `received` is still here.
    pub(in crate::store) fn remembers_put(&self, put: &Put, received: Timestamp) -> bool {
        let Some(identity) = self.number_of(put.start.identity) else { return false };
        let current = self.identities.get(identity).map_or(&[][..], |identity| identity.edges.as_slice());
        let past = self.past.get(&identity).map_or(&[][..], Vec::as_slice);
        let ids: Vec<_> = put.edges().map(|edge| halves(edge.id().0)).collect();
        current.iter().chain(past).filter_map(|&edge| self.row(edge)).any(|row| row.received == received && ids.contains(&row.id))
    }

    pub(in crate::store) fn number_of(&self, identity: Identity) -> Option<u32> {
        self.find_identity(halves(identity.0))
    }

    /// What the edges of the event have in common.
    pub(in crate::store) fn identity(&self, head: u32) -> Identity {
        let key = self.row(head).and_then(|row| self.identities.get(row.identity)).map_or([0; 2], |row| row.key);
        Identity((u128::from(key[1]) << 64) | u128::from(key[0]))
    }

    /// The event that begins with `head` as it is now.
    pub(in crate::store) fn version(&self, head: u32) -> Version {
        let id = |edge: Option<u32>| edge.and_then(|edge| self.row(edge)).map_or([0; 2], |row| row.id);
        let described = self.details.get(head).map_or(0, |detailed| detailed.version.0);
        let mut bytes = Vec::with_capacity(40);
        for half in id(Some(head)).into_iter().chain(id(self.stop_of(head))).chain([described]) {
            bytes.extend_from_slice(&half.to_le_bytes());
        }
        Version::of(&bytes)
    }

    /// Puts an event: its edges take the place of those that it had. Returns its edges, those it had already as duplicates,
    /// and the samples that it no longer has.
    pub(in crate::store) fn put(
        &mut self,
        labels: &mut LabelWriter<'_>,
        put: &Put,
        cluster: u16,
        received: Timestamp,
        skew: Duration,
    ) -> Option<(Vec<Added>, Vec<Lost>)> {
        let identity = self.intern_identity(put.start.identity, None, false)?;
        let old = self.identities.get(identity)?.edges.as_slice().to_vec();
        let known: HashSet<[u64; 2]> = old.iter().filter_map(|&edge| self.row(edge)).map(|row| row.id).collect();
        self.withdraw(identity, &old);
        let mut added = Vec::with_capacity(2);
        for (set, edge) in put.edges().enumerate() {
            let new = self.insert(labels, set, &New { edge, id: edge.id(), cluster, received }, skew)?;
            added.push(Added { duplicate: self.row(new.edge).is_some_and(|row| known.contains(&row.id)), ..new });
        }
        if let Some(first) = added.first() {
            let detailed = Detailed::new(&put.details, put.created.unwrap_or(received), received);
            self.insert_details(self.head(first.edge), Detailed { id: Some(put.id.clone()), ..detailed });
        }
        Some((added, self.lost(&old)))
    }

    /// Sets the details of an event that came as edges.
    pub(in crate::store) fn describe(&mut self, describe: &Describe, received: Timestamp) {
        let Some(edge) = self.find_edge(describe.edge) else { return };
        let head = self.head(edge);
        let Some(row) = self.row(head).filter(|row| row.role.is_head()) else { return };
        if self.details.get(head).is_none_or(|detailed| detailed.id.is_none()) {
            let detailed = Detailed::new(&describe.details, row.received, received);
            self.insert_details(head, Detailed { by: Some(edge), ..detailed });
        }
    }

    /// Deletes the event with this id; returns its samples, those it no longer had among them. `None` when there is none.
    pub(in crate::store) fn delete(&mut self, id: &str, skew: Duration) -> Option<Vec<Lost>> {
        let head = self.resolve(id)?;
        let identity = self.row(head)?.identity;
        let mut parts = vec![head];
        parts.extend(self.beats(head));
        parts.extend(self.stop_of(head));
        let is_own = self.details.get(head).is_some_and(|detailed| detailed.id.is_some());
        self.withdraw(identity, &parts);
        if is_own {
            parts = self.past.get(&identity).cloned().unwrap_or_default();
        } else {
            let by = EdgeId::parse(id).and_then(|id| self.find_edge(id))?;
            for &edge in &parts {
                if let Some(row) = self.edges.get_mut(edge) {
                    row.link = by;
                }
            }
            self.refold(identity, skew);
        }
        Some(self.lost(&parts))
    }

    /// Takes edges of one identity out of their events. They stay known, as past.
    fn withdraw(&mut self, identity: u32, edges: &[u32]) {
        let going: HashSet<u32> = edges.iter().copied().collect();
        let Some(row) = self.identities.get_mut(identity) else { return };
        row.edges.retain(|edge| !going.contains(&edge));
        let group = row.group;
        for &edge in edges {
            let Some((role, place, series, open)) = self.row(edge).map(|row| (row.role, row.place(), row.series, row.open)) else {
                continue;
            };
            if role.is_head() {
                self.timeline.remove(edge, place_in(&self.edges));
                self.remove_details(edge);
            }
            if open {
                let cluster = self.series.get(series).map_or(0, |series| series.cluster);
                self.open.remove(edge, self.public_id(edge), place, cluster, series);
            }
            if let Some(row) = self.edges.get_mut(edge) {
                (row.role, row.link, row.open) = (Role::Past, NONE, false);
            }
            if let Some(group) = self.groups.get_mut(group) {
                group.starts.remove(&place);
            }
            self.past.entry(identity).or_default().push(edge);
        }
        // What a start that is gone had superseded may be open again.
        if let Some(last) = self.groups.get(group).and_then(|group| group.starts.values().next_back().copied()) {
            self.settle(last);
        }
    }

    fn refold(&mut self, identity: u32, skew: Duration) {
        let mut changed = std::mem::take(&mut self.changed);
        if let Some(identity) = self.identities.get(identity) {
            fold_all(&mut self.edges, identity.edges.as_slice(), skew, &mut changed);
        }
        self.follow_all(changed);
    }

    /// The samples of past edges that no present edge has too.
    fn lost(&self, past: &[u32]) -> Vec<Lost> {
        let sample = |&edge: &u32| {
            let row = self.row(edge)?;
            let series = self.series.get(row.series)?;
            let also = |&other: &u32| self.row(other).is_some_and(|other| other.role != Role::Past && other.at == row.at);
            let id = SeriesId { number: row.series, generation: series.generation };
            (!series.edges.as_slice().iter().any(also)).then_some(Lost { cluster: series.cluster, series: id, at: row.at })
        };
        let mut lost: Vec<Lost> = past.iter().filter_map(sample).collect();
        lost.sort_unstable_by_key(|lost| (lost.series, lost.at));
        lost.dedup();
        lost
    }

    /// Follows an event's details to its new first edge, after a fold.
    pub(super) fn move_details(&mut self, edge: u32) {
        if self.row(edge).is_some_and(|row| row.role.is_head()) {
            return;
        }
        let head = self.head(edge);
        if let Some(detailed) = self.remove_details(edge)
            && self.details.get(head).is_none_or(|other| other.updated < detailed.updated)
        {
            self.insert_details(head, detailed);
        }
    }

    fn insert_details(&mut self, head: u32, detailed: Detailed) {
        let before = self.public_id(head);
        self.details.insert(head, detailed);
        self.open.rename(head, before, self.public_id(head));
    }

    pub(super) fn remove_details(&mut self, head: u32) -> Option<Detailed> {
        let before = self.public_id(head);
        let detailed = self.details.remove(head);
        self.open.rename(head, before, self.public_id(head));
        detailed
    }
}

impl EdgeList {
    pub(super) fn push(&mut self, edge: u32) {
        self.insert(self.as_slice().len(), edge);
    }
}
