//! Forgetting: which edges may go when they are old.
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
//! An event is known by the number of the edge that came first, so that stays with it: a heartbeat stays as long as its event if it
//! came before those edges of it that are beside it, and its ends. When those beside it went, others are.
//!
//! An event with an id of its own stays as long as an edge that it had before: the record of that would put it again.

use super::Core;
use super::Members;
use super::Part;
use crate::event::EdgeState;
use crate::store::details::Detailed;
use crate::store::edges::EdgeRow;
use crate::store::number::EdgeNo;
use crate::store::number::IdentityNo;
use crate::time::Timestamp;
use std::collections::HashMap;
use std::collections::HashSet;

/// An event with more heartbeats than this loses those first that may go alone, and an identity with a past and more edges than
/// this loses those of its past first, so that what goes at once is little.
const LARGE: usize = if cfg!(test) { 3 } else { 256 };

/// Finds what stays of some edges.
pub(super) struct Sweep<'a> {
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
    /// Events that stay for now, because not all of their edges are looked at.
    pinned: HashSet<EdgeNo>,
    /// The same of identities that have a past.
    large: HashSet<IdentityNo>,
    /// Something stays that may go when what it stays for was looked at.
    pub(super) again: bool,
}

impl<'a> Sweep<'a> {
    pub(super) fn new(core: &'a Core, before: Timestamp, recent: Timestamp) -> Self {
        let (heads, needs, stays, queue, needed, pinned, large) = Default::default();
        Self { core, before, recent, heads, needs, stays, queue, needed, pinned, large, again: false }
    }

    /// The edges to be looked at with these, until they are so many: events are looked at as a whole, and so are identities that
    /// have a past, for what one record brought goes together. Says how many of these it came to.
    pub(super) fn candidates(&mut self, seeds: &[EdgeNo], most: usize) -> (Vec<EdgeNo>, usize) {
        let core = self.core;
        let (mut candidates, mut heads, mut identities) = (Vec::new(), HashSet::new(), HashSet::new());
        let mut looked_at = 0;
        for &seed in seeds {
            if candidates.len() >= most {
                break;
            }
            looked_at += 1;
            let Some(identity) = core.row(seed).map(|row| row.identity) else { continue };
            let head = core.head(seed);
            if let Some(past) = core.past.get(&identity) {
                let present = core.members(identity);
                if past.len() + present.map_or(0, Members::len) > LARGE {
                    self.large.insert(identity);
                    self.pin(head);
                    candidates.push(seed);
                } else if identities.insert(identity) {
                    candidates.extend(present.into_iter().flat_map(Members::iter).chain(past.iter().map(|(_, edge)| *edge)));
                }
            } else if self.pinned.contains(&head) || (!heads.contains(&head) && self.is_large(head)) {
                self.pinned.insert(head);
                candidates.push(seed);
            } else if heads.insert(head) {
                candidates.extend(core.edges_of(head));
            }
        }
        candidates.retain(|&edge| core.row(edge).is_some_and(|row| row.received < self.before));
        (candidates, looked_at)
    }

    /// The event of this edge stays for now.
    fn pin(&mut self, head: EdgeNo) {
        self.again = true;
        self.pinned.insert(head);
    }

    /// Whether the event stays in any case, or for now, so that its edges are looked at one by one.
    fn is_large(&mut self, head: EdgeNo) -> bool {
        let is_open = matches!(self.part(head), Part::Start { open: true, .. });
        let goes_alone = |beat: EdgeNo| {
            !self.is_new(beat) && self.core.details.get(beat).is_none() && !self.changes_group(beat) && !self.may_number(beat)
        };
        let has_many = || self.core.beats(head).nth(LARGE).is_some() && self.core.beats(head).take(LARGE).any(goes_alone);
        let is_long = !is_open && has_many();
        self.again |= is_long;
        is_open || is_long
    }

    /// Which of the edges stay.
    pub(super) fn run(&mut self, candidates: &[EdgeNo]) -> HashSet<EdgeNo> {
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
                    self.again |= !self.part(needer).is_open();
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
        kept.extend(self.not_looked_at(candidates));
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

    /// The other edges of identities that are not looked at as a whole.
    fn not_looked_at(&self, candidates: &[EdgeNo]) -> Vec<EdgeNo> {
        if self.large.is_empty() {
            return Vec::new();
        }
        let looked_at: HashSet<EdgeNo> = candidates.iter().copied().collect();
        let of = |&identity: &IdentityNo| {
            let past = self.core.past.get(&identity).into_iter().flatten().map(|(_, edge)| *edge);
            self.core.members(identity).into_iter().flat_map(Members::iter).chain(past)
        };
        self.large.iter().flat_map(of).filter(|edge| !looked_at.contains(edge)).collect()
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
        self.pinned.contains(&head)
            || self.part(head).is_open()
            || core.end(head) > self.recent
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
                    && (self.is_new(edge)
                        || self.needed.contains(&edge)
                        || core.details.get(edge).is_some()
                        || self.changes_group(edge)
                        || self.may_number(edge))
            }
            _ => self.stays.contains(&core.head(edge)),
        }
    }

    /// Whether a heartbeat may be the edge that came first of its event: the ends of that, and the starts beside it, came later. What
    /// is between is not looked at, however much there is.
    fn may_number(&self, beat: EdgeNo) -> bool {
        let core = self.core;
        let head = core.head(beat);
        let Some((row, edges)) = core.row(beat).and_then(|row| Some((row, core.edges_of_identity(row.identity)?))) else { return false };
        let before = edges.start_before(&row.key());
        let after = edges.start_after(&row.key()).filter(|&after| self.part(after) == Part::Beat);
        let others = [Some(head), core.stop_of(head), before, after];
        others.into_iter().flatten().all(|other| core.position(other) > row.position)
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
