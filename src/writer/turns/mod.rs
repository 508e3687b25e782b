//! Whose turn it is: what waits, given out fairly between organizations, between the senders of each, and between the
//! connections of each of these; what came by one connection stays in its order.
//!
//! Fair queueing by start and finish times that are counted in cost: who was given more waits until the others have had as
//! much, and who comes anew is not behind what others have left waiting. Nothing here reads a clock.

use crate::account::Taker;
use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::fmt;
use std::hash::DefaultHasher;
use std::hash::Hash as _;
use std::hash::Hasher as _;

/// Of so many that are given out one is the oldest that waits, whosever it is.
const OLDEST_EVERY: u64 = 4;

/// So many wait at most without a turn, while nothing waits that has one.
const FRESH_MAX: usize = 1024;

/// Who hands something over. Its names are hashed: it is copied more often than anything else of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Source(Path);

/// Organization, sender, connection.
type Path = (u64, (u64, (u64, ())));

impl Source {
    /// A connection of a sender of an organization. The sender is known by its token, or else by its address.
    pub fn new(organization: &str, sender: &str, connection: u64) -> Self {
        let hash = |name: &str| {
            let mut hasher = DefaultHasher::new();
            name.hash(&mut hasher);
            hasher.finish()
        };
        Self((hash(organization), (hash(sender), (connection, ()))))
    }

    /// Who sends, whatever the organization and the connection.
    pub fn sender(&self) -> u64 {
        let Self((_, (sender, _))) = *self;
        sender
    }

    /// The sender, of whatever connection. Where there are no organizations each address is one.
    pub fn taker(&self) -> Taker {
        let Self((organization, (sender, _))) = *self;
        let Self((nobody, _)) = Self::new("", "", 0);
        Taker { organization: if organization == nobody { sender } else { organization }, sender }
    }
}

/// Some that wait, each with its source and its cost.
///
/// One that found `k` others waiting is passed by at most `3 (k + 1)` that came later.
#[derive(Debug)]
pub struct Turns<T> {
    /// What came while nothing was in turn, in that order: where all of it is taken at once nobody's turn has to be known.
    fresh: VecDeque<Given<T>>,
    /// What that costs.
    fresh_cost: u64,
    all: Ring<Ring<Ring<Flow<T>>>>,
    /// By number, which is the order in which they came.
    by_age: BTreeMap<u64, Source>,
    /// Of the next that comes.
    number: u64,
    /// How many were given out.
    given: u64,
}

/// One whose turn it is.
#[derive(Debug)]
pub struct Given<T> {
    /// What waited.
    pub item: T,
    /// What it costs.
    pub cost: u64,
    /// Whose it is.
    pub source: Source,
    number: u64,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self { fresh: VecDeque::new(), fresh_cost: 0, all: Ring::default(), by_age: BTreeMap::new(), number: 0, given: 0 }
    }
}

impl<T> Turns<T> {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.all.count + self.fresh.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether one more may come from a source where `most` may wait: each that waits takes a place of all, one of its organization,
    /// one of its sender and one of its connection. So an organization leaves half of what the others leave, and so on.
    pub fn has_room(&mut self, source: &Source, most: usize) -> bool {
        // None takes more than those four.
        self.len() < most / 4 || self.room(source, most) > 0
    }

    /// How many more may come from it.
    fn room(&mut self, source: &Source, most: usize) -> usize {
        self.put_in_turn();
        self.all.room(&source.0, most)
    }

    /// Adds one. What it costs is in any unit.
    pub fn push(&mut self, source: &Source, cost: u64, item: T) {
        let (number, cost) = (self.number, cost.max(1));
        self.number += 1;
        if self.all.count == 0 && self.fresh.len() < FRESH_MAX {
            self.fresh_cost = self.fresh_cost.saturating_add(cost);
            self.fresh.push_back(Given { item, cost, source: *source, number });
        } else {
            self.put_in_turn();
            self.add(Given { item, cost, source: *source, number }, End::Back);
        }
    }

    fn put_in_turn(&mut self) {
        self.fresh_cost = 0;
        while let Some(given) = self.fresh.pop_front() {
            self.add(given, End::Back);
        }
    }

    fn add(&mut self, given: Given<T>, end: End) {
        let Given { item, cost, source, number } = given;
        self.by_age.insert(number, source);
        self.all.push(&source.0, Queued { number, cost, item }, end);
    }

    /// All that waits, in the order in which it came, if it costs no more than this and nothing was left of it before.
    pub fn take_within(&mut self, most: u64) -> VecDeque<Given<T>> {
        if self.all.count > 0 || self.fresh_cost > most {
            return VecDeque::new();
        }
        self.fresh_cost = 0;
        self.given += self.fresh.len() as u64;
        std::mem::take(&mut self.fresh)
    }

    /// The next.
    pub fn pop(&mut self) -> Option<Given<T>> {
        self.put_in_turn();
        let is_by_age = self.given % OLDEST_EVERY == OLDEST_EVERY - 1;
        let oldest = if is_by_age { self.by_age.first_key_value() } else { None };
        let Queued { number, cost, item } = self.all.take(oldest.map(|(_, source)| &source.0))?;
        self.given += 1;
        let source = self.by_age.remove(&number).unwrap_or_default();
        Some(Given { item, cost, source, number })
    }

    /// Puts one back to where it was. Several of one source come back in the opposite order.
    pub fn put_back(&mut self, given: Given<T>) {
        self.given -= 1;
        self.put_in_turn();
        self.add(given, End::Front);
    }
}

#[derive(Debug)]
struct Queued<T> {
    number: u64,
    cost: u64,
    item: T,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Front,
    Back,
}

/// A part of what waits.
trait Level: Default {
    type Path;
    type Item;

    fn count(&self) -> usize;

    /// What the next one costs, where the choice of it is settled.
    fn ahead(&self) -> u64;

    fn room(&self, path: &Self::Path, most: usize) -> usize;

    fn push(&mut self, path: &Self::Path, queued: Queued<Self::Item>, end: End);

    /// The next, or the next of one source.
    fn take(&mut self, of: Option<&Self::Path>) -> Option<Queued<Self::Item>>;
}

/// What came by one connection.
struct Flow<T>(VecDeque<Queued<T>>);

impl<T> Default for Flow<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> fmt::Debug for Flow<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flow({} wait)", self.0.len())
    }
}

impl<T> Level for Flow<T> {
    type Path = ();
    type Item = T;

    fn count(&self) -> usize {
        self.0.len()
    }

    fn ahead(&self) -> u64 {
        self.0.front().map_or(0, |queued| queued.cost)
    }

    fn room(&self, (): &(), most: usize) -> usize {
        most.saturating_sub(self.0.len())
    }

    fn push(&mut self, (): &(), queued: Queued<T>, end: End) {
        match end {
            End::Front => self.0.push_front(queued),
            End::Back => self.0.push_back(queued),
        }
    }

    fn take(&mut self, _: Option<&()>) -> Option<Queued<T>> {
        self.0.pop_front()
    }
}

/// Members that take turns.
#[derive(Debug)]
struct Ring<L> {
    /// In all members.
    count: usize,
    /// How far those are who have had least.
    now: u64,
    /// Of the next place.
    serial: u64,
    members: HashMap<u64, Member<L>>,
    /// Who is next: who will have had least; of those that are even, who waits longest for it.
    order: BTreeMap<Place, u64>,
}

/// What a member will have had, and a number.
type Place = (u64, u64);

#[derive(Debug)]
struct Member<L> {
    level: L,
    /// What it has had, or what others had when it came.
    had: u64,
    place: Option<Place>,
}

impl<L> Default for Ring<L> {
    fn default() -> Self {
        Self { count: 0, now: 0, serial: 0, members: HashMap::new(), order: BTreeMap::new() }
    }
}

impl<L: Level> Ring<L> {
    /// Gives a member its place among the others.
    fn settle(&mut self, key: u64) {
        let Some(member) = self.members.get_mut(&key) else { return };
        if let Some(before) = member.place.take() {
            self.order.remove(&before);
        }
        let place = (member.had.saturating_add(member.level.ahead()), self.serial);
        self.serial += 1;
        member.place = Some(place);
        self.order.insert(place, key);
    }

    fn remove(&mut self, key: u64) {
        let place = self.members.remove(&key).and_then(|member| member.place);
        if let Some(place) = place {
            self.order.remove(&place);
        }
    }
}

impl<L: Level> Level for Ring<L> {
    type Path = (u64, L::Path);
    type Item = L::Item;

    fn count(&self) -> usize {
        self.count
    }

    fn ahead(&self) -> u64 {
        0
    }

    fn room(&self, (key, path): &Self::Path, most: usize) -> usize {
        let left = most.saturating_sub(self.count);
        self.members.get(key).map_or(left, |member| member.level.room(path, left))
    }

    fn push(&mut self, (key, path): &Self::Path, queued: Queued<Self::Item>, end: End) {
        self.count += 1;
        let now = self.now;
        let member = self.members.entry(*key).or_insert_with(|| Member { level: L::default(), had: now, place: None });
        let ahead = member.level.ahead();
        member.level.push(path, queued, end);
        if member.place.is_none() || member.level.ahead() != ahead {
            self.settle(*key);
        }
    }

    fn take(&mut self, of: Option<&Self::Path>) -> Option<Queued<Self::Item>> {
        loop {
            let next = self.order.first_key_value().map(|(_, key)| *key);
            let key = of.map(|(key, _)| *key).or(next)?;
            let is_alone = self.members.len() == 1;
            let member = self.members.get_mut(&key)?;
            if of.is_none() {
                self.now = self.now.max(member.place.map_or(0, |(had, _)| had));
            }
            let taken = member.level.take(of.map(|(_, path)| path));
            if let Some(queued) = &taken {
                self.count -= 1;
                // Who is alone has too much of nothing.
                member.had = if is_alone { self.now } else { member.had.saturating_add(queued.cost) };
            }
            // Who has had too much and wants nothing more is kept until the others have had as much, or want nothing either.
            if self.count == 0 {
                *self = Self::default();
            } else if member.level.count() == 0 && member.had <= self.now {
                self.remove(key);
            } else if !is_alone || member.level.ahead() > 0 {
                self.settle(key);
            }
            if taken.is_some() || of.is_some() {
                return taken;
            }
        }
    }
}

#[cfg(test)]
mod tests;
