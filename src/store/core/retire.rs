//! Forgetting: which edges go when they are old, and taking them out of everything.

use super::Core;
use super::EdgeRow;
use super::LabelIndex;
use super::Role;
use super::id_hash;
use super::place_in;
use super::spread;
use crate::store::SeriesId;
use crate::time::Timestamp;
use std::collections::BTreeSet;
use std::collections::VecDeque;

impl Core {
    /// Forgets the edges received before `before`: a closed event when all of it is that old, heartbeats one by one.
    /// What is open stays, and what `due` says is still to be shown. Returns how many went.
    ///
    /// What kept an edge may itself go, so this repeats until nothing more goes: doing it again later changes nothing.
    pub(in crate::store) fn retire(&mut self, index: &LabelIndex, before: Timestamp, due: &dyn Fn(SeriesId, Timestamp) -> bool) -> usize {
        let passes = std::iter::from_fn(|| Some(self.retire_once(index, before, due)));
        passes.take_while(|&gone| gone > 0).sum()
    }

    fn retire_once(&mut self, index: &LabelIndex, before: Timestamp, due: &dyn Fn(SeriesId, Timestamp) -> bool) -> usize {
        let mut kept = VecDeque::new();
        let mut old = Vec::new();
        while let Some(&edge) = self.arrivals.front() {
            if self.row(edge).is_some_and(|row| row.received >= before) {
                break;
            }
            self.arrivals.pop_front();
            if self.stays(edge, before, due) { kept.push_back(edge) } else { old.push(edge) }
        }
        self.forget(index, &old);
        while let Some(edge) = kept.pop_back() {
            self.arrivals.push_front(edge);
        }
        old.len()
    }

    fn stays(&self, edge: u32, before: Timestamp, due: &dyn Fn(SeriesId, Timestamp) -> bool) -> bool {
        let Some(row) = self.row(edge) else { return false };
        let is_due = |edge: u32| self.row(edge).is_some_and(|row| due(self.series_id(row.series), row.at));
        let head = self.head(edge);
        match row.role {
            Role::Beat => return is_due(edge) || self.details.get(head).is_some_and(|detailed| detailed.by == Some(edge)),
            // The edge that a deletion names stays as long as one that it deleted: only with it the record is understood.
            Role::Past if row.link == edge => {
                let deleted =
                    self.past.get(&row.identity).into_iter().flatten().filter_map(|&other| self.row(other).map(|row| (other, row)));
                let mut deleted = deleted.filter(|(_, other)| other.link == edge);
                return deleted.any(|(other, row)| row.received >= before || is_due(other));
            }
            Role::Past => return is_due(edge),
            _ => {}
        }
        let parts = [Some(head), self.stop_of(head)];
        let needed =
            |part: u32| self.row(part).is_some_and(|row| row.open || row.received >= before || self.supersedes(row)) || is_due(part);
        let new_beat = |&beat: &u32| self.row(beat).is_some_and(|row| row.received >= before) || is_due(beat);
        self.shields(head) || parts.into_iter().flatten().any(needed) || self.beats(head).iter().rev().any(new_beat)
    }

    /// Whether the event just before this one is closed by a stop before its start, which only what follows it makes so.
    fn shields(&self, head: u32) -> bool {
        let Some(row) = self.row(head) else { return false };
        let list = self.siblings(head);
        let index = list.partition_point(|&edge| self.row(edge).is_some_and(|other| other.key() < row.key()));
        let previous = index.checked_sub(1).and_then(|index| list.get(index)).map(|&edge| self.head(edge));
        let stop =
            previous.filter(|&previous| previous != head).and_then(|previous| self.stop_of(previous)).and_then(|stop| self.row(stop));
        stop.is_some_and(|stop| stop.role == Role::SkewStop)
    }

    /// Whether an older event of the group is closed only because of this one.
    fn supersedes(&self, row: &EdgeRow) -> bool {
        let group = self.identities.get(row.identity).and_then(|identity| self.groups.get(identity.group));
        row.role == Role::Start && group.and_then(|group| group.starts.keys().next()).is_some_and(|first| first.1 != row.id)
    }

    /// Takes the edges out of everything; their events go as a whole, so no other edge changes its part.
    fn forget(&mut self, index: &LabelIndex, old: &[u32]) {
        let (mut identities, mut series) = (BTreeSet::new(), BTreeSet::new());
        for &edge in old {
            let Some(row) = self.edges.get_mut(edge) else { continue };
            let (role, id) = (std::mem::replace(&mut row.role, Role::Vacant), row.id);
            identities.insert(row.identity);
            series.insert(row.series);
            if role.is_head() {
                self.timeline.remove(edge, place_in(&self.edges));
                self.remove_details(edge);
            }
            if let Ok(entry) = self.by_edge.find_entry(self.hash_of(id), |&candidate| candidate == edge) {
                entry.remove();
            }
            self.values.remove(&edge);
            self.attributes.remove(&edge);
        }
        for identity in identities {
            self.sweep_identity(identity);
        }
        for series in series {
            self.sweep_series(index, series);
        }
        for &edge in old {
            self.edges.vacate(edge);
        }
    }

    fn sweep_identity(&mut self, identity: u32) {
        let rows = &self.edges;
        let lives = |edge: u32| rows.get(edge).is_some_and(|row| row.role != Role::Vacant);
        let Some(row) = self.identities.get_mut(identity) else { return };
        row.edges.retain(lives);
        if let Some(group) = self.groups.get_mut(row.group) {
            group.starts.retain(|_, &mut edge| lives(edge));
        }
        let is_past = self.past.get_mut(&identity).is_some_and(|past| {
            past.retain(|&edge| lives(edge));
            !past.is_empty()
        });
        if is_past || !row.edges.as_slice().is_empty() {
            return;
        }
        self.past.remove(&identity);
        if let Ok(entry) = self.by_identity.find_entry(id_hash(&self.hasher, row.key), |&candidate| candidate == identity) {
            entry.remove();
            let group = row.group;
            self.identities.vacate(identity);
            self.leave_group(group);
        }
    }

    fn leave_group(&mut self, number: u32) {
        let Some(group) = self.groups.get_mut(number) else { return };
        group.identities -= 1;
        if group.identities == 0 {
            self.by_group.remove(&group.key);
            group.starts.clear();
            self.groups.vacate(number);
        }
    }

    /// How many supersede groups there are.
    #[cfg(test)]
    pub(in crate::store) fn group_count(&self) -> usize {
        self.by_group.len()
    }

    fn sweep_series(&mut self, index: &LabelIndex, series: u32) {
        let rows = &self.edges;
        let Some(row) = self.series.get_mut(series) else { return };
        row.edges.retain(|edge| rows.get(edge).is_some_and(|row| row.role != Role::Vacant));
        if !row.edges.as_slice().is_empty() {
            return;
        }
        let (labels, stop, hash) = (std::mem::take(&mut row.labels), row.stop, spread(row.hash));
        index.remove(&labels, series);
        self.state_series(stop).remove(series);
        if let Ok(entry) = self.by_series.find_entry(hash, |&candidate| candidate == series) {
            entry.remove();
            self.series.vacate(series);
        }
    }
}
