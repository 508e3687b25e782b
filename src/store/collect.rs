//! Gathers the events of an answer: the latest first, by id where times are equal, after where an earlier answer ended.

use super::core::Core;
use super::core::edge_id;
use super::number::EdgeNo;
use super::select::Cursor;
use super::select::Order;
use super::select::Query;
use crate::time::Timestamp;
use std::cmp::Ordering;
use std::collections::HashSet;

pub(super) struct Collector<'a> {
    core: &'a Core,
    query: &'a Query,
    found: Vec<(Timestamp, EdgeNo)>,
    /// Where a walk stopped that is not at its end: everything up to there was looked at, nothing else.
    stopped: Option<Cursor>,
}

impl<'a> Collector<'a> {
    pub(super) fn new(core: &'a Core, query: &'a Query) -> Self {
        Self { core, query, found: Vec::new(), stopped: None }
    }

    /// Whether the event lies in the query's times and after its cursor.
    pub(super) fn is_in_range(&self, head: EdgeNo) -> bool {
        let (start, end) = (self.query.start.unwrap_or(Timestamp::MIN), self.query.end);
        let time = self.time(head);
        let in_time = match self.query.order {
            Order::Update => time >= start && end.is_none_or(|end| time < end),
            _ => self.core.end(head) >= start && end.is_none_or(|end| self.core.row(head).is_some_and(|row| row.at < end)),
        };
        in_time
            && self.query.after.as_ref().is_none_or(|after| time < after.at || (time == after.at && *self.core.public_id(head) > *after.id))
    }

    pub(super) fn push(&mut self, head: EdgeNo) {
        self.found.push((self.time(head), head));
        // Bounds what a broad question holds, at a cost that grows no faster than what is pushed.
        if self.found.len() > self.query.most().saturating_add(1).saturating_mul(4).max(4096) {
            self.sort();
        }
    }

    /// Walks all events in order until enough of them are accepted, or `most` were asked of `accepts` and the time
    /// changes, or what is open goes on by its ids.
    pub(super) fn walk(&mut self, accepts: impl Fn(EdgeNo) -> bool, most: usize) {
        let last = self.query.after.as_ref().map(|after| after.at);
        let (core, query) = (self.core, self.query);
        let (mut asked, mut last_asked) = (0, None::<(Timestamp, EdgeNo)>);
        let mut visit = |head: EdgeNo| {
            let time = self.time(head);
            // What is as late as the last one that fits may have to stand before it; what has no end comes in its order.
            let is_later = |&(last, _): &(Timestamp, EdgeNo)| time < last || time == Timestamp::MAX;
            if self.found.len() > query.most() && self.found.last().is_some_and(is_later) {
                return false;
            }
            if self.is_in_range(head) {
                if let Some((at, last)) = last_asked.filter(|_| asked >= most) {
                    // What is open comes in the order of ids where it is by ends.
                    if time == Timestamp::MAX {
                        self.stopped = Some(Cursor { at, id: core.public_id(last) });
                        return false;
                    }
                    if time < at {
                        self.stopped = Some(Cursor { at: before(at), id: "".into() });
                        return false;
                    }
                }
                (asked, last_asked) = (asked + 1, Some((time, head)));
                if accepts(head) {
                    self.found.push((time, head));
                }
            }
            true
        };
        match query.order {
            Order::Start if query.open == Some(true) => {
                let before = [last, query.end.map(before)].into_iter().flatten().min();
                core.open.newest_first(before.map(after_all_at)).all(visit);
            }
            Order::Start => {
                let before = [last, query.end.map(before)].into_iter().flatten().min();
                let key = super::core::time_key_in(&core.edges);
                let start = query.start.unwrap_or(Timestamp::MIN);
                core.by_time.walk_back(before.map(after_all_at), start, key, |head| core.end(head), visit);
            }
            Order::End => walk_by_end(core, query, visit),
            Order::Update => {
                let before = [last, query.end.map(before)].into_iter().flatten().min().unwrap_or(Timestamp::MAX);
                let start = query.start.unwrap_or(Timestamp::MIN);
                core.updated_back(before, |head, updated| updated >= start && visit(head));
            }
        }
    }

    /// What is still to be asked after a walk that stopped early: for what the answer lacks, and for whether there are more.
    pub(super) fn rest(&self) -> Option<Query> {
        let stopped = self.stopped.clone().filter(|_| self.found.len() <= self.query.most())?;
        let skipped = self.query.skip.min(self.found.len());
        Some(Query {
            skip: self.query.skip - skipped,
            limit: self.query.limit - (self.found.len() - skipped),
            after: Some(stopped),
            ..self.query.clone()
        })
    }

    /// The events of the answer, and whether there are more.
    pub(super) fn finish(mut self) -> (Vec<EdgeNo>, bool) {
        self.sort();
        let more = self.found.len() > self.query.most();
        (self.found.iter().take(self.query.most()).skip(self.query.skip).map(|&(_, head)| head).collect(), more)
    }

    /// Leaves what the answer may have and one more, in order.
    fn sort(&mut self) {
        let core = self.core;
        let order = |a: &(Timestamp, EdgeNo), b: &(Timestamp, EdgeNo)| match b.0.cmp(&a.0) {
            Ordering::Equal => core.compare_ids(a.1, b.1),
            by_time => by_time,
        };
        let most = self.query.most().saturating_add(1);
        if self.found.len() > most {
            self.found.select_nth_unstable_by(most, order);
            self.found.truncate(most);
        }
        self.found.sort_unstable_by(order);
    }

    fn time(&self, head: EdgeNo) -> Timestamp {
        match self.query.order {
            Order::Start => self.core.row(head).map_or(Timestamp::MIN, |row| row.at),
            Order::End => self.core.end(head),
            Order::Update => self.core.updated(head),
        }
    }
}

/// What is open first, in the order of ids. Then the rest.
fn walk_by_end(core: &Core, query: &Query, mut visit: impl FnMut(EdgeNo) -> bool) {
    let last = query.after.as_ref().map_or(Timestamp::MAX, |after| after.at);
    let before = query.end.map(before).map(after_all_at);
    let open_is_wanted = query.open != Some(false) && last == Timestamp::MAX;
    let id = query.after.as_ref().map_or("", |after| &*after.id);
    if open_is_wanted && !core.open.after_id(id).all(&mut visit) {
        return;
    }
    if query.open != Some(true) {
        core.by_time.walk_by_end(before, last, super::core::time_key_in(&core.edges), |head| core.end(head), visit);
    }
}

fn before(moment: Timestamp) -> Timestamp {
    Timestamp::from_millis(moment.millis().saturating_sub(1))
}

/// The place after all that begins at this moment.
fn after_all_at(moment: Timestamp) -> super::by_time::TimeKey {
    (moment, [u64::MAX; 2])
}

impl Core {
    /// What the event answers to: its own id, else that of its first edge.
    pub(super) fn public_id(&self, head: EdgeNo) -> Box<str> {
        let own = self.details(head).and_then(|detailed| detailed.id.clone());
        own.unwrap_or_else(|| self.row(head).map(|row| edge_id(row.id).to_string()).unwrap_or_default().into())
    }

    /// The order of what two events answer to.
    fn compare_ids(&self, one: EdgeNo, other: EdgeNo) -> Ordering {
        let own = |head: EdgeNo| self.details(head).and_then(|detailed| detailed.id.as_deref());
        match (own(one), own(other)) {
            (Some(one), Some(other)) => one.cmp(other),
            // Their texts are of one length, so they are in the order of the numbers.
            (None, None) => self.row(one).map(|row| edge_id(row.id)).cmp(&self.row(other).map(|row| edge_id(row.id))),
            _ => self.public_id(one).cmp(&self.public_id(other)),
        }
    }

    /// When the first of its start and stop was received.
    pub(super) fn first_received(&self, head: EdgeNo) -> Timestamp {
        let received = |edge: EdgeNo| self.row(edge).map(|row| row.received);
        [received(head), self.stop_of(head).and_then(received)].into_iter().flatten().min().unwrap_or(Timestamp::MIN)
    }

    /// When the last edge or detail of the event was received.
    pub(super) fn updated(&self, head: EdgeNo) -> Timestamp {
        let received = |edge: EdgeNo| self.row(edge).map(|row| row.received);
        let beats = self.beats(head).filter_map(received).max();
        let described = self.details(head).map(|detailed| detailed.updated);
        [received(head), self.stop_of(head).and_then(received), beats, described].into_iter().flatten().max().unwrap_or(Timestamp::MIN)
    }

    /// Walks the events that were last changed at or before `before`, the latest first, until `visit` says stop.
    fn updated_back(&self, before: Timestamp, mut visit: impl FnMut(EdgeNo, Timestamp) -> bool) {
        let after = before.plus(std::time::Duration::from_millis(1));
        let mut described = self.details.said_back(after).map(|(at, anchor)| (at, self.head(anchor))).peekable();
        let mut received = self.arrivals_back(before).peekable();
        let mut seen = HashSet::new();
        loop {
            let (at, head) = match (described.peek(), received.peek()) {
                (Some(&one), Some(&other)) if one.0 >= other.0 => {
                    described.next();
                    one
                }
                (_, Some(&other)) => {
                    received.next();
                    other
                }
                (Some(&one), None) => {
                    described.next();
                    one
                }
                (None, None) => return,
            };
            // An earlier edge or detail of an event that changed again since.
            if seen.insert(head) && self.updated(head) == at && !visit(head, at) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Command;
    use crate::event::Edge;
    use crate::event::EdgeState;
    use crate::event::Identity;
    use crate::labels::LabelSet;
    use crate::store::Options;
    use crate::store::Store;

    #[test]
    fn a_broad_question_holds_no_more_than_a_few_thousand_events() {
        let store = Store::new(Options::default());
        for number in 0..9000 {
            let labels = LabelSet::from_sorted([("event_name", "job")]).unwrap();
            let edge = Edge::new(EdgeState::Point, Timestamp::from_millis(number), Identity::of([&*number.to_string()]), labels);
            store.apply(Timestamp::from_millis(number), &Command::Edge(edge));
        }
        let tenant = store.tenant("").unwrap();
        let (core, query) = (tenant.core.read(), Query { limit: 10, ..Query::default() });
        let mut found = Collector::new(&core, &query);
        for row in core.edges.iter() {
            found.push(core.find_edge(edge_id(row.id)).unwrap());
            assert!(found.found.len() <= 4096);
        }
        let (heads, more) = found.finish();
        let times = heads.iter().map(|&head| core.row(head).unwrap().at.millis());
        assert_eq!((times.collect::<Vec<_>>(), more), ((8990..9000).rev().collect(), true));
    }
}
