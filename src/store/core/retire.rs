//! Forgetting: which edges go when they are old, and taking them out of everything.
//!
//! A log of what stays must fold to what stays. An event's edges stay or go together, heartbeats apart; and an event can be
//! as it is only because of another one, which then stays too (*needs* it):
//!
//! 1. a lone stop that a start follows within its skew needs the next stop, which is why it did not take that start;
//! 2. an early stop needs the first start beyond its skew, for with nothing but a stop behind it would have been alone;
//! 3. an event that no stop closes needs the start that superseded it, and the next start of its identity, which keeps the
//!    next stop from closing it;
//! 4. details need the stop that their record has, which would come back with them.
//!
//! An event with an id of its own stays as long as an edge that it had before: the record of that would put it again.

use super::Core;
use super::LabelIndex;
use super::Part;
use super::time_key_in;
use crate::event::EdgeState;
use crate::store::details::Detailed;
use crate::store::edges::EdgeRow;
use crate::store::number::EdgeNo;
use crate::store::number::IdentityNo;
use crate::time::Timestamp;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::time::Duration;

/// So long after its own time an edge stays in any case: its sample may be due, or hold the place of another one.
const RECENT: Duration = Duration::from_hours(25);

impl Core {
    /// Forgets the edges received before `before`: a closed event when all of it is that old, heartbeats one by one.
    /// What is open stays, and what lies less than a day and an hour before `now`. Returns how many went.
    pub(in crate::store) fn retire(&mut self, index: &LabelIndex, before: Timestamp, now: Timestamp) -> usize {
        let count = self.arrivals.partition_point(|&edge| self.row(edge).is_some_and(|row| row.received < before));
        let candidates: Vec<EdgeNo> = self.arrivals.drain(..count).collect();
        let stays = Sweep::new(self, before, now.minus(RECENT)).run(&candidates);
        let (kept, old): (Vec<EdgeNo>, Vec<EdgeNo>) = candidates.into_iter().partition(|edge| stays.contains(edge));
        self.forget(index, &old);
        for edge in kept.into_iter().rev() {
            self.arrivals.push_front(edge);
        }
        old.len()
    }

    /// Takes the edges out of everything. What is left folds to what it is.
    fn forget(&mut self, index: &LabelIndex, old: &[EdgeNo]) {
        let (mut identities, mut series) = (BTreeSet::new(), BTreeSet::new());
        self.forget_deleted(old);
        for &edge in old {
            let Some(row) = self.edges.get(edge) else { continue };
            let (part, id, key, identity) = (row.part, row.id, row.key(), row.identity);
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
            self.skews.own.remove(&edge);
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

/// Finds what stays of some edges.
struct Sweep<'a> {
    core: &'a Core,
    before: Timestamp,
    recent: Timestamp,
    /// The events that some of these edges are part of.
    heads: HashSet<EdgeNo>,
    /// What an event needs, if it stays: events, and edges of them.
    needs: HashMap<EdgeNo, Vec<(EdgeNo, EdgeNo)>>,
    /// Events that stay.
    stays: HashSet<EdgeNo>,
    queue: Vec<EdgeNo>,
    /// Edges that stay as long as what needs them.
    needed: HashSet<EdgeNo>,
}

impl<'a> Sweep<'a> {
    fn new(core: &'a Core, before: Timestamp, recent: Timestamp) -> Self {
        let (heads, needs, stays, queue, needed) = Default::default();
        Self { core, before, recent, heads, needs, stays, queue, needed }
    }

    /// Which of the edges stay.
    fn run(mut self, candidates: &[EdgeNo]) -> HashSet<EdgeNo> {
        let core = self.core;
        let present = || candidates.iter().copied().filter(|&edge| !matches!(self.part(edge), Part::Past { .. }));
        let present: Vec<EdgeNo> = present().collect();
        self.heads = present.iter().map(|&edge| core.head(edge)).collect();
        let by_themselves: Vec<EdgeNo> = self.heads.iter().copied().filter(|&head| self.stays_by_itself(head)).collect();
        for head in by_themselves {
            self.keep(head);
        }
        for &edge in &present {
            for needer in self.needers(edge) {
                let need = (core.head(edge), edge);
                if self.heads.contains(&needer) {
                    self.needs.entry(needer).or_default().push(need);
                } else {
                    self.needed.insert(edge);
                    self.keep(need.0);
                }
            }
        }
        while let Some(head) = self.queue.pop() {
            for (head, edge) in self.needs.remove(&head).unwrap_or_default() {
                self.needed.insert(edge);
                self.keep(head);
            }
        }
        let mut stays: HashSet<EdgeNo> = candidates.iter().copied().filter(|&edge| self.stays(edge)).collect();
        self.keep_siblings(candidates, &mut stays);
        stays
    }

    /// What is past and came with an edge that stays, stays too: their record does, which would bring it back.
    fn keep_siblings(&self, candidates: &[EdgeNo], stays: &mut HashSet<EdgeNo>) {
        if self.core.past.is_empty() {
            return;
        }
        let identity_of =
            |edge: EdgeNo| self.core.row(edge).map(|row| row.identity).filter(|identity| self.core.past.contains_key(identity));
        // By the record that each came in, or by the first and the last where it came again: which were between nobody knows.
        let mut once: HashMap<(IdentityNo, Timestamp), Vec<EdgeNo>> = HashMap::new();
        let mut again: HashMap<IdentityNo, Vec<([Timestamp; 2], EdgeNo)>> = HashMap::new();
        for &edge in candidates.iter().filter(|&&edge| matches!(self.part(edge), Part::Past { .. }) && !stays.contains(&edge)) {
            let Some(identity) = identity_of(edge) else { continue };
            match self.core.came(edge) {
                [first, last] if first == last => once.entry((identity, first)).or_default().push(edge),
                came => again.entry(identity).or_default().push((came, edge)),
            }
        }
        let mut kept: Vec<EdgeNo> = stays.iter().copied().collect();
        while let Some(edge) = kept.pop() {
            let Some(identity) = identity_of(edge) else { continue };
            for record in self.core.came(edge) {
                let mut with = once.remove(&(identity, record)).unwrap_or_default();
                if let Some(again) = again.get_mut(&identity) {
                    with.extend(again.extract_if(.., |([first, last], _)| *first <= record && record <= *last).map(|(_, edge)| edge));
                }
                kept.extend(with.into_iter().filter(|edge| stays.insert(*edge)));
            }
        }
    }

    fn keep(&mut self, head: EdgeNo) {
        if self.stays.insert(head) {
            self.queue.push(head);
        }
    }

    fn part(&self, edge: EdgeNo) -> Part {
        self.core.row(edge).map_or(Part::Vacant, |row| row.part)
    }

    /// Whether the edge is not old: it came, or came again, since, or happened lately.
    fn is_new(&self, edge: EdgeNo) -> bool {
        let Some(row) = self.core.row(edge) else { return false };
        let renewed = || self.core.renewed.get(&edge).is_some_and(|&renewed| renewed >= self.before);
        row.received >= self.before || row.at > self.recent || renewed()
    }

    fn stays_by_itself(&self, head: EdgeNo) -> bool {
        let core = self.core;
        let past = || core.row(head).and_then(|row| core.past.get(&row.identity)).into_iter().flatten().map(|(_, edge)| *edge);
        let is_put =
            |detailed: &Detailed| detailed.id.is_some() && (detailed.updated >= self.before || past().any(|edge| self.is_new(edge)));
        let put = || core.details(head).is_some_and(is_put);
        matches!(self.part(head), Part::Start { open: true, .. })
            || [Some(head), core.stop_of(head)].into_iter().flatten().any(|edge| self.is_new(edge))
            || core.beats(head).any(|beat| self.is_new(beat))
            || put()
    }

    /// The events that are as they are because of this edge.
    fn needers(&self, edge: EdgeNo) -> Vec<EdgeNo> {
        let some = match self.core.row(edge).map(|row| row.part.state()) {
            Some(EdgeState::Stop) => [self.needs_next_stop(edge), None, None],
            Some(EdgeState::Start) => [self.needs_beyond(edge), self.needs_superseding(edge), self.needs_next_start(edge)],
            _ => [None; 3],
        };
        some.into_iter().flatten().chain(self.described_with(edge)).collect()
    }

    /// The events of whose details the record has this stop.
    fn described_with(&self, stop: EdgeNo) -> impl Iterator<Item = EdgeNo> {
        self.core.details.with_stop(stop).map(|anchor| self.core.head(anchor))
    }

    fn needs_next_stop(&self, stop: EdgeNo) -> Option<EdgeNo> {
        let row = self.core.row(stop)?;
        let look = self.core.look(row.identity)?;
        let before = look.edges.stop_before(&row.key())?;
        let start = look.edges.start_after(&look.edges.key(before))?;
        let near = look.edges.key(start).0.since(look.edges.key(before).0) <= self.core.skews.of(before);
        (near && self.part(before) == Part::Lone).then_some(before)
    }

    fn needs_beyond(&self, start: EdgeNo) -> Option<EdgeNo> {
        let row = self.core.row(start)?;
        let look = self.core.look(row.identity)?;
        let stop = look.edges.stop_before(&row.key())?;
        let Part::Stop { early: true, of } = self.part(stop) else { return None };
        (look.beyond(stop) == Some(start)).then_some(of)
    }

    fn needs_superseding(&self, start: EdgeNo) -> Option<EdgeNo> {
        let rival = self.core.groups.rival_before(self.core.member(start)?)?;
        let head = self.core.head(rival.edge);
        let open_end = match self.part(head) {
            Part::Start { stop: None, .. } => true,
            Part::Start { stop: Some(stop), .. } => matches!(self.part(stop), Part::Stop { early: true, .. }),
            _ => false,
        };
        open_end.then_some(head)
    }

    fn needs_next_start(&self, start: EdgeNo) -> Option<EdgeNo> {
        let row = self.core.row(start).filter(|row| row.part.is_start())?;
        let edges = self.core.edges_of_identity(row.identity)?;
        let before = edges.start_before(&row.key())?;
        let stop = edges.stop_before(&row.key());
        let follows = stop.is_none_or(|stop| edges.key(stop) < edges.key(before));
        let head = self.core.head(before);
        (follows && matches!(self.part(head), Part::Start { stop: None, .. })).then_some(head)
    }

    fn stays(&self, edge: EdgeNo) -> bool {
        let core = self.core;
        match self.part(edge) {
            Part::Past { .. } => {
                let names = core.deleted_by.get(&edge).into_iter().flatten();
                let is_kept = |head: EdgeNo| !self.heads.contains(&head) || self.stays.contains(&head);
                self.is_new(edge)
                    || names.into_iter().any(|&deleted| deleted != edge && self.is_new(deleted))
                    || self.described_with(edge).any(is_kept)
            }
            Part::Beat => {
                self.stays.contains(&core.head(edge))
                    && (self.is_new(edge) || self.needed.contains(&edge) || core.details.get(edge).is_some() || self.changes_group(edge))
            }
            _ => self.stays.contains(&core.head(edge)),
        }
    }

    /// Whether the start before this one is of another group, so that other rivals count from here on.
    fn changes_group(&self, beat: EdgeNo) -> bool {
        if self.core.groups.is_empty() {
            return false;
        }
        let before = self.core.row(beat).and_then(|row| self.core.edges_of_identity(row.identity)?.start_before(&EdgeRow::key(row)));
        before.is_some_and(|before| self.core.groups.of(before) != self.core.groups.of(beat))
    }
}
