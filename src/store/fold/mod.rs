//! The fold of an identity's edges into events: a function of the set of its edges and of their groups, not of their order
//! of arrival (DESIGN section 4).
//!
//! The edges stand in the order of time, a start before a stop at equal times, then id. Between two stops all starts are one
//! *run*. A run is one event, closed by the stop behind it, and begins anew where a rival of its group stands between two of
//! its starts. A stop with no run before it is alone, unless it is *early*: the first start behind it follows within its
//! skew, and no stop takes that start: the run has a start beyond the skew, which then begins anew, or no stop behind it.
//!
//! What an edge is depends on its neighbours alone. So when one comes or goes, the few that can have changed are looked at
//! again, however many there are.

use super::edges::EdgeKey;
use super::edges::EdgeRow;
use super::edges::IdentityEdges;
use super::edges::Members;
use super::edges::Part;
use super::edges::key_to;
use super::groups::Groups;
use super::number::EdgeNo;
use super::number::Set;
use super::rows::Rows;
use crate::event::EdgeState;
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// How far before a start a stop may be and still close it.
#[derive(Debug, Default)]
pub(super) struct Skews {
    pub(super) usual: Duration,
    /// The stops that have others: those about entities with ids of their own, and those received under another setting. There are
    /// few such times.
    pub(super) own: BTreeMap<Duration, Set<EdgeNo>>,
}

impl Skews {
    pub(super) fn of(&self, stop: EdgeNo) -> Duration {
        self.own.iter().find(|(_, stops)| stops.contains(stop)).map_or(self.usual, |(skew, _)| *skew)
    }

    /// A stop that has another than the usual one.
    pub(super) fn insert(&mut self, stop: EdgeNo, skew: Duration) {
        if skew != self.usual {
            self.own.entry(skew).or_default().insert(stop);
        }
    }

    pub(super) fn remove(&mut self, edge: EdgeNo) {
        self.own.retain(|_, stops| {
            stops.remove(edge);
            !stops.is_empty()
        });
    }

    /// What they take: two bytes a stop at most, as sets of numbers are.
    pub(super) fn bytes(&self) -> usize {
        usize::try_from(self.own.values().map(|stops| stops.len() * 2).sum::<u64>()).unwrap_or(usize::MAX)
    }

    /// Those that say something else than the log, in lines.
    #[cfg(test)]
    pub(super) fn state(&self) -> impl Iterator<Item = String> {
        self.own.iter().map(|(skew, stops)| format!("skew {skew:?} of {:?}", stops.iter().collect::<Vec<_>>()))
    }
}

/// What folds changed: each edge with what it was to its event before the first of them.
pub(super) type Changes = hashbrown::HashMap<EdgeNo, Part>;

/// One identity, to be folded.
pub(super) struct Fold<'a> {
    pub(super) rows: &'a mut Rows<EdgeNo, EdgeRow>,
    pub(super) members: &'a mut Members,
    pub(super) groups: &'a Groups,
    pub(super) skews: &'a Skews,
    pub(super) changed: &'a mut Changes,
}

/// Questions about an identity that its edges answer, whatever they are to their events; but for whether a start is the
/// first of one.
#[derive(Clone, Copy)]
pub(super) struct Look<'a> {
    pub(super) edges: IdentityEdges<'a>,
    pub(super) skews: &'a Skews,
}

impl Look<'_> {
    /// Whether a stop has no run before it.
    fn is_alone(self, stop: EdgeNo) -> bool {
        let key = self.edges.key(stop);
        match (self.edges.start_before(&key), self.edges.stop_before(&key)) {
            (None, _) => true,
            (Some(start), Some(before)) => self.edges.key(before) > self.edges.key(start),
            (Some(_), None) => false,
        }
    }

    /// The first start after a stop that does not follow within its skew.
    pub(super) fn beyond(self, stop: EdgeNo) -> Option<EdgeNo> {
        let at = self.edges.key(stop).0;
        self.edges.start_after(&key_to(at.plus(self.skews.of(stop))))
    }

    /// The start just behind a stop, when it follows within the skew and before another stop.
    pub(super) fn near_start(self, stop: EdgeNo) -> Option<EdgeNo> {
        let key = self.edges.key(stop);
        let start = self.edges.start_after(&key)?;
        let (at, next) = (self.edges.key(start).0, self.edges.stop_after(&key));
        let follows = next.is_none_or(|next| self.edges.key(next) > self.edges.key(start));
        (follows && at.since(key.0) <= self.skews.of(stop)).then_some(start)
    }

    /// The start that a stop just before it closes.
    pub(super) fn early_for(self, stop: EdgeNo) -> Option<EdgeNo> {
        let start = self.near_start(stop).filter(|_| self.is_alone(stop))?;
        let Some(next) = self.edges.stop_after(&self.edges.key(stop)) else { return Some(start) };
        self.beyond(stop).filter(|&beyond| self.edges.key(beyond) < self.edges.key(next)).map(|_| start)
    }

    /// The first start of the event that a start belongs to.
    pub(super) fn head(self, start: EdgeNo) -> Option<EdgeNo> {
        match self.edges.rows.get(start)?.part {
            Part::Beat => self.edges.head_before(&self.edges.key(start)),
            _ => Some(start),
        }
    }

    /// The stop that closes the event that begins with this start.
    fn closing(self, head: EdgeNo) -> Option<EdgeNo> {
        let key = self.edges.key(head);
        if let Some(early) = self.edges.stop_before(&key).filter(|&stop| self.early_for(stop) == Some(head)) {
            return Some(early);
        }
        let stop = self.edges.stop_after(&key)?;
        self.edges.head_after(&key).is_none_or(|next| self.edges.key(next) > self.edges.key(stop)).then_some(stop)
    }

    /// The last start of an event.
    pub(super) fn last_start(self, head: EdgeNo) -> EdgeNo {
        let key = self.edges.key(head);
        let next = self.edges.head_after(&key).map(|next| self.edges.key(next));
        let stop = self.edges.stop_after(&key).map(|stop| self.edges.key(stop));
        let end = [next, stop].into_iter().flatten().min().unwrap_or(key_to(Timestamp::MAX));
        self.edges.start_before(&end).unwrap_or(head)
    }
}

impl Fold<'_> {
    fn look(&self) -> Look<'_> {
        Look { edges: IdentityEdges { members: self.members, rows: self.rows }, skews: self.skews }
    }

    /// Looks again at what can have changed around `key`: where the edge `here` has come or may be something else now, or
    /// where one has gone, which if it was a stop had the skew `gone`.
    pub(super) fn around(&mut self, key: EdgeKey, here: Option<EdgeNo>, gone: Option<Duration>) {
        let (touched, stops) = self.touched(key, here, gone);
        for &edge in &touched {
            if self.state(edge) == Some(EdgeState::Start) {
                self.set_start(edge);
            }
        }
        let mut heads = Vec::with_capacity(touched.len() + stops.len() + 1);
        let look = self.look();
        heads.extend(look.edges.head_before(&key));
        heads.extend(stops.iter().filter_map(|&stop| look.edges.head_before(&look.edges.key(stop))));
        heads.extend(touched.iter().filter(|&&edge| self.rows.get(edge).is_some_and(|row| row.part.is_start())));
        for stop in stops {
            self.set_stop(stop);
        }
        for head in heads {
            self.set_closing(head);
        }
    }

    /// The edges that can be something else now, in order, and which of them are stops.
    fn touched(&self, key: EdgeKey, here: Option<EdgeNo>, gone: Option<Duration>) -> (Vec<EdgeNo>, Vec<EdgeNo>) {
        let look = self.look();
        let edges = look.edges;
        let mut touched = Vec::with_capacity(16);
        let next_stop = edges.stop_after(&key);
        let mut stops: Vec<EdgeNo> =
            [edges.stop_before(&key), here.filter(|_| key.1 == EdgeState::Stop), next_stop].into_iter().flatten().collect();
        for &stop in &stops {
            touched.extend(edges.start_after(&edges.key(stop)));
            touched.extend(look.beyond(stop));
        }
        stops.extend(next_stop.and_then(|stop| edges.stop_after(&edges.key(stop))));
        touched.extend(here.filter(|_| key.1 == EdgeState::Start));
        touched.extend(edges.start_after(&key));
        touched.extend(gone.and_then(|skew| edges.start_after(&key_to(key.0.plus(skew)))));
        touched.sort_unstable_by_key(|&edge| edges.key(edge));
        touched.dedup();
        (touched, stops)
    }

    fn state(&self, edge: EdgeNo) -> Option<EdgeState> {
        self.rows.get(edge).map(|row| row.part.state())
    }

    /// Whether a start begins an event, or is a heartbeat.
    fn set_start(&mut self, edge: EdgeNo) {
        let begins = self.begins(edge);
        let Some(part) = self.rows.get(edge).map(|row| row.part) else { return };
        match (begins, part) {
            (true, Part::Beat) => self.set(edge, Part::Start { open: false, stop: None }),
            (false, Part::Start { .. }) => self.set(edge, Part::Beat),
            _ => {}
        }
    }

    fn begins(&self, edge: EdgeNo) -> bool {
        let look = self.look();
        let edges = look.edges;
        let key = edges.key(edge);
        let Some(before) = edges.start_before(&key) else { return true };
        let stop = edges.stop_before(&key);
        let before_key = edges.key(before);
        if stop.is_some_and(|stop| edges.key(stop) > before_key) {
            return true;
        }
        if !self.groups.is_empty() && self.groups.has_rival_between(before, (before_key.0, before_key.2), (key.0, key.2)) {
            return true;
        }
        // It follows an event that a stop before it has closed, too late to belong to it: the entity entered the state again.
        stop.is_some_and(|stop| {
            key.0.since(edges.key(stop).0) > self.skews.of(stop)
                && look.early_for(stop).is_some_and(|first| look.head(before) == Some(first))
        })
    }

    fn set_stop(&mut self, stop: EdgeNo) {
        let look = self.look();
        let part = if look.is_alone(stop) {
            look.early_for(stop).map_or(Part::Lone, |of| Part::Stop { early: true, of })
        } else {
            look.edges.head_before(&look.edges.key(stop)).map_or(Part::Lone, |of| Part::Stop { early: false, of })
        };
        self.set(stop, part);
    }

    fn set_closing(&mut self, head: EdgeNo) {
        let Some(Part::Start { open, .. }) = self.rows.get(head).map(|row| row.part) else { return };
        let stop = self.look().closing(head);
        self.set(head, Part::Start { open, stop });
    }

    fn set(&mut self, edge: EdgeNo, part: Part) {
        let Some(before) = self.rows.get(edge).map(|row| row.part) else { return };
        if before == part {
            return;
        }
        self.changed.entry(edge).or_insert(before);
        self.members.set(edge, part, self.rows);
    }
}

#[cfg(test)]
mod tests;
