//! Gathers the events of an answer: the latest first, by id where times are equal, after where an earlier answer ended.

use super::by_time::Looked;
use super::by_time::TimeKey;
use super::core::Core;
use super::edges::edge_id;
use super::effort::Effort;
use super::number::EdgeNo;
use super::number::Number as _;
use super::query::Cursor;
use super::query::Query;
use super::view::Order;
use crate::time::Timestamp;
use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::HashSet;

/// Most events that fit and are held until the answer; with more the steps are used up, whatever is left of them.
const HELD_MAX: usize = 1 << 17;
/// So many events that are only looked through to find their order are one step.
const THROUGH_A_STEP: u64 = 4;

/// Where a walk over all events goes on.
#[derive(Clone, Debug)]
enum Place {
    /// Where the question begins.
    Begin,
    /// Before the event that begins there.
    Before(TimeKey),
    /// After the open event with this id.
    AfterId(Box<str>),
    /// With those that ended, or changed, at this moment at the latest; of those that ended then, with what comes after this one.
    Upto(Timestamp, Option<EdgeNo>),
    /// Nowhere that can be said, although there is more.
    Lost,
    End,
}

/// An event that fits.
#[derive(Clone, Copy, Debug)]
struct Found {
    at: Timestamp,
    /// When it began, where that matters.
    began: Timestamp,
    head: EdgeNo,
    /// Of its first edge: by the time of the answer its number may be another one's.
    id: [u64; 2],
}

/// What was found so far. It is looked for in slices: between two of them nobody holds the tenant's lock.
pub(super) struct Collector<'a> {
    query: &'a Query,
    found: Vec<Found>,
    place: Place,
    /// The last one that a walk looked at.
    last: Option<(Timestamp, EdgeNo)>,
    /// A walk ended because enough was found.
    is_enough: bool,
}

/// How much is looked at in one slice.
pub(super) struct Slice<'a> {
    effort: &'a Effort,
    /// How many steps were left when it began, less those that do not count.
    begun: Cell<u64>,
    /// Most events that are looked at closely.
    most: usize,
}

impl<'a> Slice<'a> {
    pub(super) fn new(effort: &'a Effort, most: usize) -> Self {
        Self { effort, begun: Cell::new(effort.left()), most }
    }

    /// So many were only looked through, which every slice has to do anew: it goes on for as long as without.
    fn look_through(&self, count: usize) {
        let steps = count as u64 / THROUGH_A_STEP;
        self.effort.take(steps);
        self.begun.set(self.begun.get().saturating_sub(steps));
    }

    /// Whether it ends after so many.
    pub(super) fn is_over(&self, asked: usize) -> bool {
        asked >= self.most || self.effort.is_due(self.begun.get())
    }
}

impl<'a> Collector<'a> {
    pub(super) fn new(query: &'a Query) -> Self {
        Self { query, found: Vec::new(), place: Place::Begin, last: None, is_enough: false }
    }

    pub(super) fn query(&self) -> &'a Query {
        self.query
    }

    /// Whether the event lies in the query's times and after its cursor.
    pub(super) fn is_in_range(&self, core: &Core, head: EdgeNo) -> bool {
        let (start, end) = (self.query.start.unwrap_or(Timestamp::MIN), self.query.end);
        let time = self.time(core, head);
        let in_time = match self.query.order {
            Order::Update => time >= start && end.is_none_or(|end| time < end),
            _ => core.end(head) >= start && end.is_none_or(|end| core.row(head).is_some_and(|row| row.at < end)),
        };
        in_time && self.query.after.as_ref().is_none_or(|after| time < after.at || (time == after.at && *core.public_id(head) > *after.id))
    }

    pub(super) fn push(&mut self, core: &Core, head: EdgeNo, effort: &Effort) {
        let Some(row) = core.row(head) else { return };
        self.found.push(Found { at: self.time(core, head), began: self.began(core, head), head, id: row.id });
        self.hold(effort);
        // Bounds what a broad question holds, at a cost that grows no faster than what is pushed.
        if self.found.len() > self.query.most().saturating_add(1).saturating_mul(4).max(4096) {
            self.sort(core);
        }
    }

    fn hold(&self, effort: &Effort) {
        if self.found.len() > HELD_MAX {
            effort.take(u64::MAX);
        }
    }

    /// Walks on over all events in order until enough of them are accepted, or the slice is over. Says whether there is more to
    /// look at.
    pub(super) fn walk(&mut self, core: &Core, accepts: impl Fn(EdgeNo) -> bool, slice: &Slice<'_>) -> bool {
        let query = self.query;
        let from = std::mem::replace(&mut self.place, Place::End);
        let (mut asked, mut began) = (0, false);
        let mut visit = |head: Option<EdgeNo>, time: Timestamp| {
            slice.effort.take(1);
            if began && slice.is_over(asked) {
                let place = self.place_before(core, time).or_else(|| slice.effort.is_spent().then_some(Place::Lost));
                if let Some(place) = place {
                    self.place = place;
                    return false;
                }
            }
            began = true;
            let Some(head) = head else {
                self.last = Some((time, self.last.map_or(EdgeNo::MIN, |(_, head)| head)));
                return true;
            };
            // What is as late as the last one that fits may have to stand before it; what has no end comes in its order, by id or
            // by when it began.
            let is_later = |found: &Found| match query.order {
                Order::EndStart if time == Timestamp::MAX => self.began(core, head) < found.began,
                _ => time < found.at || time == Timestamp::MAX,
            };
            if self.found.len() > query.most() && self.found.last().is_some_and(is_later) {
                self.is_enough = true;
                return false;
            }
            self.last = Some((time, head));
            if self.is_in_range(core, head) {
                asked += 1;
                if accepts(head)
                    && let Some(row) = core.row(head)
                {
                    self.found.push(Found { at: time, began: self.began(core, head), head, id: row.id });
                    self.hold(slice.effort);
                }
            }
            true
        };
        let time = |head: EdgeNo| time_in(core, query.order, head);
        let upto = upto(query);
        match query.order {
            Order::Start => {
                let from = match from {
                    Place::Before(key) => Some(key),
                    _ => upto.map(after_all_at),
                };
                if query.open_at().is_some() {
                    core.open.all_newest_first(from).all(|head| visit(Some(head), time(head)));
                } else {
                    let (key, start) = (super::core::time_key_in(&core.edges), query.start.unwrap_or(Timestamp::MIN));
                    core.by_time.walk_back(from, start, key, |head| core.end(head), |head| visit(Some(head), time(head)));
                }
            }
            Order::End | Order::EndStart => walk_by_end(core, query, &from, |looked| match looked {
                Looked::At(head) => !query.is_past(time(head)) && visit(Some(head), time(head)),
                Looked::Through(count) => {
                    slice.look_through(count);
                    true
                }
            }),
            Order::Update => {
                let from = match from {
                    Place::Upto(upto, _) => upto,
                    _ => upto.unwrap_or(Timestamp::MAX),
                };
                let start = query.start.unwrap_or(Timestamp::MIN);
                core.updated_back(from, |head, at| at >= start && visit(head, at));
            }
        }
        !matches!(self.place, Place::End)
    }

    /// Where to go on with what comes after the last one, the first of which is of this time; `None` where that cannot be said.
    fn place_before(&self, core: &Core, time: Timestamp) -> Option<Place> {
        let (at, last) = self.last?;
        match self.query.order {
            Order::Start => core.row(last).map(|row| Place::Before(row.time_key())),
            Order::EndStart if time == Timestamp::MAX => core.row(last).map(|row| Place::Before(row.time_key())),
            Order::End if time == Timestamp::MAX => Some(Place::AfterId(core.public_id(last))),
            Order::End | Order::EndStart if time == at => Some(Place::Upto(at, Some(last))),
            _ => (time < at).then(|| Place::Upto(before(at), None)),
        }
    }

    /// Where an answer ends that may take no more steps, and another one can go on: everything up to there was looked at. `None`
    /// when nothing was, but for some of one time.
    pub(super) fn stop_early(&mut self) -> Option<Cursor> {
        let (last, _) = self.last?;
        let (at, id) = match &self.place {
            Place::AfterId(id) => return Some(Cursor { at: Timestamp::MAX, id: id.clone() }),
            Place::Upto(at, None) => (*at, "".into()),
            Place::Before(_) | Place::Upto(_, Some(_)) | Place::Lost => (last, "".into()),
            Place::Begin | Place::End => return None,
        };
        let first = self.query.after.as_ref().map_or(Timestamp::MAX, |after| after.at);
        self.found.retain(|found| found.at > at);
        (at < first).then_some(Cursor { at, id })
    }

    /// The events of the answer in order, each with the id of its first edge, and whether there are more.
    pub(super) fn finish(mut self, core: &Core) -> (Vec<(EdgeNo, [u64; 2])>, bool) {
        let mut found = std::mem::take(&mut self.found);
        found.retain_mut(|found| {
            found.at = self.time(core, found.head);
            found.began = self.began(core, found.head);
            core.row(found.head).is_some_and(|row| row.id == found.id && row.part.is_head()) && self.is_in_range(core, found.head)
        });
        self.found = found;
        self.sort(core);
        let more = self.is_enough || self.found.len() > self.query.most();
        let these = self.found.iter().take(self.query.most()).skip(self.query.skip);
        (these.map(|found| (found.head, found.id)).collect(), more)
    }

    /// Leaves what the answer may have and one more, in order.
    fn sort(&mut self, core: &Core) {
        let order = |a: &Found, b: &Found| match (b.at, b.began).cmp(&(a.at, a.began)) {
            Ordering::Equal => core.compare_ids(a.head, b.head),
            by_time => by_time,
        };
        let most = self.query.most().saturating_add(1);
        if self.found.len() > most {
            self.found.select_nth_unstable_by(most, order);
            self.found.truncate(most);
        }
        self.found.sort_unstable_by(order);
    }

    fn time(&self, core: &Core, head: EdgeNo) -> Timestamp {
        time_in(core, self.query.order, head)
    }

    /// When it began, where the order asks for that too; else the same for all.
    fn began(&self, core: &Core, head: EdgeNo) -> Timestamp {
        let by_start = self.query.order == Order::EndStart;
        if by_start { time_in(core, Order::Start, head) } else { Timestamp::MIN }
    }
}

/// The latest time in its order that a question is about.
fn upto(query: &Query) -> Option<Timestamp> {
    let last = query.after.as_ref().map(|after| after.at);
    let come = query.open_at().or(query.over_at()).filter(|_| query.order == Order::Start);
    [last, query.end.map(before), come].into_iter().flatten().min()
}

fn time_in(core: &Core, order: Order, head: EdgeNo) -> Timestamp {
    match order {
        Order::Start => core.row(head).map_or(Timestamp::MIN, |row| row.at),
        Order::End | Order::EndStart => core.end(head),
        Order::Update => core.updated(head),
    }
}

/// What is open first, in the order of ids, or of when it began. Then the rest.
fn walk_by_end(core: &Core, query: &Query, from: &Place, mut visit: impl FnMut(Looked) -> bool) {
    let last = query.after.as_ref().map_or(Timestamp::MAX, |after| after.at);
    let before = query.end.map(before).map(after_all_at);
    let (mut id, mut upto, mut after) = (query.after.as_ref().map_or("", |after| &*after.id), last, None);
    match from {
        Place::AfterId(after) => id = after,
        Place::Upto(at, of) => (upto, after) = (*at, *of),
        _ => {}
    }
    let open_is_wanted = query.over_at().is_none() && upto == Timestamp::MAX;
    upto = query.over_at().map_or(upto, |now| now.min(upto));
    let goes_on = match (open_is_wanted, query.order, from) {
        (false, ..) => true,
        (_, Order::EndStart, Place::Before(key)) => core.open.newest_first(Some(*key)).all(|head| visit(Looked::At(head))),
        (_, Order::EndStart, _) => core.open.newest_first(None).all(|head| visit(Looked::At(head))),
        _ => core.open.after_id(id).all(|head| visit(Looked::At(head))),
    };
    if !goes_on {
        return;
    }
    // Those that end at the same time come in the order of their numbers, the highest first.
    let is_done = |head: EdgeNo| after.is_some_and(|after| head >= after && core.end(head) == upto);
    let visit = |looked: Looked| matches!(looked, Looked::At(head) if is_done(head)) || visit(looked);
    core.by_time.walk_by_end(before, upto, super::core::time_key_in(&core.edges), |head| core.end(head), visit);
}

fn before(moment: Timestamp) -> Timestamp {
    Timestamp::from_millis(moment.millis().saturating_sub(1))
}

/// The place after all that begins at this moment.
fn after_all_at(moment: Timestamp) -> TimeKey {
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

    /// Walks the events that were last changed at or before `before`, the latest first, until `visit` says stop. It is told of
    /// earlier changes of events too, without these.
    fn updated_back(&self, before: Timestamp, mut visit: impl FnMut(Option<EdgeNo>, Timestamp) -> bool) {
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
            let is_last = seen.insert(head) && self.updated(head) == at;
            if !visit(is_last.then_some(head), at) {
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
        let mut found = Collector::new(&query);
        for row in core.edges.iter() {
            found.push(&core, core.find_edge(edge_id(row.id)).unwrap(), &Effort::boundless());
            assert!(found.found.len() <= 4096);
        }
        let (heads, more) = found.finish(&core);
        let times = heads.iter().map(|&(head, _)| core.row(head).unwrap().at.millis());
        assert_eq!((times.collect::<Vec<_>>(), more), ((8990..9000).rev().collect(), true));
    }
}
