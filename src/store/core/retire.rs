//! Forgetting: taking edges that are old out of everything, all at once or some at a time. [`super::sweep`] finds which may go.

use super::Core;
use super::LabelIndex;
use super::Part;
use super::sweep::Sweep;
use super::time_key_in;
use crate::event::EdgeState;
use crate::event::RetirePart;
use crate::store::RetiredPart;
use crate::store::arrivals::Place;
use crate::store::edges::EdgeRow;
use crate::store::number::EdgeNo;
use crate::store::rows::Rows;
use crate::time::Timestamp;
use std::collections::BTreeSet;
use std::collections::HashSet;
use std::time::Duration;

/// So long after its own time an edge stays in any case: its sample may be due, or hold the place of another one.
const RECENT: Duration = Duration::from_hours(25);

fn received_in(rows: &Rows<EdgeNo, EdgeRow>) -> impl Fn(EdgeNo) -> Timestamp {
    |edge| rows.get(edge).map_or(Timestamp::MIN, |row| row.received)
}

impl Core {
    /// Forgets the edges received before `before`: a closed event when all of it is that old, heartbeats one by one.
    /// What is open stays, and what lies less than a day and an hour before `now`. Returns how many went.
    pub(in crate::store) fn retire(&mut self, index: &LabelIndex, before: Timestamp, now: Timestamp) -> usize {
        let (candidates, mut place) = self.arrivals.stretch(0, self.old(before));
        let stays = Sweep::new(self, before, now.minus(RECENT)).run(&candidates);
        let old: Vec<EdgeNo> = candidates.into_iter().filter(|edge| !stays.contains(edge)).collect();
        self.forget(index, &old, &mut place);
        old.len()
    }

    /// The same of a part of them, with what belongs to it. What is not looked at stays, and what stays for its sake.
    pub(in crate::store) fn retire_part(&mut self, index: &LabelIndex, part: &RetirePart, now: Timestamp) -> RetiredPart {
        let (skip, old, most) = (part.skip as usize, self.old(part.before), part.edges as usize);
        let (seeds, _) = self.arrivals.stretch(skip, most.min(old.saturating_sub(skip)));
        let mut sweep = Sweep::new(self, part.before, now.minus(RECENT));
        let (candidates, looked_at) = sweep.candidates(&seeds, most);
        let (stays, again) = (sweep.run(&candidates), sweep.again);
        let gone: Vec<EdgeNo> = candidates.into_iter().filter(|edge| !stays.contains(edge)).collect();
        let (_, mut place) = self.arrivals.stretch(skip, looked_at);
        self.forget(index, &gone, &mut place);
        RetiredPart { gone: gone.len(), next: u32::try_from(place.rank).unwrap_or(u32::MAX), again }
    }

    /// How many edges were received before `before`.
    pub(in crate::store) fn old(&self, before: Timestamp) -> usize {
        self.arrivals.before(before, received_in(&self.edges))
    }

    /// Takes the edges out of everything. What is left folds to what it is.
    fn forget(&mut self, index: &LabelIndex, old: &[EdgeNo], place: &mut Place) {
        let (mut identities, mut series) = (BTreeSet::new(), BTreeSet::new());
        self.forget_deleted(old);
        for &edge in old {
            let Some(row) = self.edges.get(edge) else { continue };
            let (part, id, key, identity) = (row.part, row.id, row.key(), row.identity);
            self.arrivals.remove(edge, row.received, place);
            identities.insert(identity);
            series.insert(row.series);
            if let Part::Past { .. } = part {
                if let Some(past) = self.past.get_mut(&identity) {
                    past.remove(&(key, edge));
                }
                self.replaced.remove(&(identity, edge));
            } else {
                if part.is_head() {
                    self.by_time.remove(edge, time_key_in(&self.edges));
                    self.open.set_end(edge, None);
                }
                if let Some(member) = self.member(edge).filter(|_| key.1 == EdgeState::Start) {
                    self.groups.remove(member);
                }
                if let Some(row) = self.identities.get_mut(identity) {
                    row.members.remove(edge, &self.edges);
                }
                self.details.remove(edge);
            }
            if let Some(series) = self.edges.get(edge).and_then(|row| self.series.get_mut(row.series)) {
                series.edges.remove(edge, time_key_in(&self.edges));
            }
            self.forget_id(edge, id);
            self.values.remove(&edge);
            self.attributes.remove(edge);
            self.skews.remove(edge);
            self.odd.remove(edge);
            self.renewed.remove(&edge);
        }
        for identity in identities {
            if self.past.get(&identity).is_some_and(BTreeSet::is_empty) {
                self.past.remove(&identity);
            }
            self.sweep_identity(identity);
        }
        for series in series {
            self.sweep_series(index, series);
        }
        for &edge in old {
            if let Some(row) = self.edges.get_mut(edge) {
                row.part = Part::Vacant;
            }
            self.edges.vacate(edge);
        }
    }

    /// Takes the edges off what deletions of the first format took: their numbers will be those of others.
    fn forget_deleted(&mut self, old: &[EdgeNo]) {
        if self.deleted_by.is_empty() {
            return;
        }
        let old: HashSet<EdgeNo> = old.iter().copied().collect();
        self.deleted_by.retain(|by, deleted| {
            deleted.retain(|edge| !old.contains(edge));
            !old.contains(by)
        });
    }
}
