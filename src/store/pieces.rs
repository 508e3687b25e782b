//! A sorted list in pieces: chunks of a few hundred items in stretches of a few hundred chunks. A place of it is found, counted
//! up to, and changed in a time that hardly grows with its length, and nothing long is ever moved.
//!
//! Orders are told by predicates that hold for the first items of the list and for none behind these. A chunk and a stretch
//! have a note each, which is blank whenever something in them has changed.

use super::steps;

/// Most items of a chunk.
pub(super) const CHUNK_MAX: usize = 512;
/// Most chunks of a stretch.
const STRETCH_MAX: usize = 256;

/// Items in order.
#[derive(Debug)]
pub(super) struct Pieces<T, N = ()> {
    stretches: Vec<Stretch<T, N>>,
    len: usize,
}

#[derive(Debug)]
pub(super) struct Stretch<T, N> {
    pub(super) chunks: Vec<Chunk<T, N>>,
    pub(super) note: N,
    len: usize,
}

#[derive(Debug)]
pub(super) struct Chunk<T, N> {
    pub(super) items: Vec<T>,
    pub(super) note: N,
}

/// Where an item is or would be: behind the first of its chunk, but where it is before all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) stretch: usize,
    pub(super) chunk: usize,
    pub(super) item: usize,
}

impl<T, N> Default for Pieces<T, N> {
    fn default() -> Self {
        Self { stretches: Vec::new(), len: 0 }
    }
}

impl<T, N: Default> Pieces<T, N> {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// All of it, in order.
    pub(super) fn stretches(&self) -> &[Stretch<T, N>] {
        &self.stretches
    }

    fn chunks(&self) -> impl DoubleEndedIterator<Item = &Chunk<T, N>> {
        self.stretches.iter().flat_map(|stretch| &stretch.chunks)
    }

    /// All items, in order.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.chunks().flat_map(|chunk| &chunk.items)
    }

    /// The place behind the last item that is `below`. Looks from the end, near which most of what comes in belongs.
    pub(super) fn place(&self, below: impl Fn(&T) -> bool) -> Place {
        let begins = |chunk: &Chunk<T, N>| chunk.items.first().is_some_and(&below);
        let stretch = last_where(&self.stretches, |stretch| stretch.chunks.first().is_some_and(begins));
        let Some(chunks) = self.stretches.get(stretch).map(|stretch| &stretch.chunks) else { return Place::default() };
        let chunk = last_where(chunks, begins);
        let item = chunks.get(chunk).map_or(0, |chunk| chunk.items.partition_point(below));
        Place { stretch, chunk, item }
    }

    fn chunk(&self, place: Place) -> Option<&Chunk<T, N>> {
        self.stretches.get(place.stretch)?.chunks.get(place.chunk)
    }

    /// The last item that is `below`.
    pub(super) fn before(&self, below: impl Fn(&T) -> bool) -> Option<&T> {
        let place = self.place(below);
        self.chunk(place)?.items.get(place.item.checked_sub(1)?)
    }

    /// The first item that is not `below`.
    pub(super) fn after(&self, below: impl Fn(&T) -> bool) -> Option<&T> {
        let place = self.place(below);
        let stretch = self.stretches.get(place.stretch)?;
        let here = stretch.chunks.get(place.chunk).and_then(|chunk| chunk.items.get(place.item));
        let next = || stretch.chunks.get(place.chunk + 1).or_else(|| self.stretches.get(place.stretch + 1)?.chunks.first());
        here.or_else(|| next()?.items.first())
    }

    /// How many items are `below`. Takes a moment for each stretch, and for each chunk of one.
    pub(super) fn count(&self, below: impl Fn(&T) -> bool) -> usize {
        let place = self.place(below);
        let before = self.stretches.get(..place.stretch).unwrap_or_default().iter().map(|stretch| stretch.len);
        let chunks = self.stretches.get(place.stretch).and_then(|stretch| stretch.chunks.get(..place.chunk)).unwrap_or_default();
        steps::count(place.stretch + place.chunk);
        before.sum::<usize>() + chunks.iter().map(|chunk| chunk.items.len()).sum::<usize>() + place.item
    }

    /// Those from one place to another, as slices in order.
    pub(super) fn between(&self, from: Place, to: Place) -> impl DoubleEndedIterator<Item = &[T]> {
        let stretches = self.stretches.get(from.stretch..=to.stretch).unwrap_or_default();
        stretches.iter().enumerate().flat_map(move |(index, stretch)| {
            let (first, last) = (index == 0, from.stretch + index == to.stretch);
            let begin = if first { from.chunk } else { 0 };
            let chunks = stretch.chunks.get(begin..if last { to.chunk + 1 } else { stretch.chunks.len() }).unwrap_or_default();
            chunks.iter().enumerate().map(move |(index, chunk)| {
                let low = if first && index == 0 { from.item } else { 0 };
                let high = if last && begin + index == to.chunk { to.item } else { chunk.items.len() };
                chunk.items.get(low..high).unwrap_or_default()
            })
        })
    }

    /// Adds an item behind those that are `below`.
    pub(super) fn insert(&mut self, item: T, below: impl Fn(&T) -> bool) {
        self.len += 1;
        let appends = self.chunks().next_back().and_then(|chunk| chunk.items.last()).is_none_or(&below);
        if appends {
            return self.append(item);
        }
        let mut place = self.place(below);
        let Some(stretch) = self.stretches.get_mut(place.stretch) else { return };
        let Some(chunk) = stretch.chunks.get_mut(place.chunk) else { return };
        if chunk.items.len() >= CHUNK_MAX {
            let upper = Chunk::new(chunk.items.split_off(CHUNK_MAX / 2));
            moved::<T>(upper.items.len());
            chunk.note = N::default();
            stretch.chunks.insert(place.chunk + 1, upper);
            moved::<Chunk<T, N>>(stretch.chunks.len() - place.chunk);
            if place.item > CHUNK_MAX / 2 {
                (place.chunk, place.item) = (place.chunk + 1, place.item - CHUNK_MAX / 2);
            }
        }
        if let Some(chunk) = stretch.chunks.get_mut(place.chunk) {
            moved::<T>(chunk.items.len() - place.item);
            chunk.items.insert(place.item, item);
            chunk.note = N::default();
        }
        stretch.len += 1;
        stretch.note = N::default();
        self.split(place.stretch);
    }

    /// Adds an item behind all others.
    fn append(&mut self, item: T) {
        if self.stretches.last().is_none_or(Stretch::is_full) {
            moved::<Stretch<T, N>>(if self.stretches.len() == self.stretches.capacity() { self.stretches.len() } else { 0 });
            self.stretches.push(Stretch { chunks: Vec::new(), note: N::default(), len: 0 });
        }
        let Some(stretch) = self.stretches.last_mut() else { return };
        stretch.len += 1;
        stretch.note = N::default();
        match stretch.chunks.last_mut() {
            Some(chunk) if chunk.items.len() < CHUNK_MAX => {
                moved::<T>(if chunk.items.len() == chunk.items.capacity() { chunk.items.len() } else { 0 });
                chunk.items.push(item);
                chunk.note = N::default();
            }
            _ => stretch.chunks.push(Chunk::new(vec![item])),
        }
    }

    /// Makes two of a stretch that has become too long.
    fn split(&mut self, index: usize) {
        let Some(stretch) = self.stretches.get_mut(index).filter(|stretch| stretch.chunks.len() > STRETCH_MAX) else { return };
        let upper = stretch.chunks.split_off(STRETCH_MAX / 2);
        moved::<Chunk<T, N>>(upper.len());
        let len = upper.iter().map(|chunk| chunk.items.len()).sum();
        stretch.len -= len;
        stretch.note = N::default();
        moved::<Stretch<T, N>>(self.stretches.len() - index);
        self.stretches.insert(index + 1, Stretch { chunks: upper, note: N::default(), len });
    }

    /// Takes out the last item that is in `upto`, if `is` says that it is the one. Says whether it was.
    pub(super) fn remove(&mut self, upto: impl Fn(&T) -> bool, is: impl Fn(&T) -> bool) -> bool {
        let place = self.place(upto);
        let Some(item) = place.item.checked_sub(1) else { return false };
        let Some(stretch) = self.stretches.get_mut(place.stretch) else { return false };
        let Some(chunk) = stretch.chunks.get_mut(place.chunk).filter(|chunk| chunk.items.get(item).is_some_and(is)) else {
            return false;
        };
        moved::<T>(chunk.items.len() - item);
        chunk.items.remove(item);
        chunk.note = N::default();
        self.len -= 1;
        stretch.len -= 1;
        stretch.note = N::default();
        stretch.join(place.chunk);
        self.drop_empty(place.stretch);
        true
    }

    /// Takes out the first items as long as they are `below`, and at most so many.
    pub(super) fn take_first(&mut self, most: usize, below: impl Fn(&T) -> bool) -> Vec<T> {
        let Some(stretch) = self.stretches.first_mut() else { return Vec::new() };
        let Some(chunk) = stretch.chunks.first_mut() else { return Vec::new() };
        let count = chunk.items.iter().take(most).take_while(|item| below(item)).count();
        moved::<T>(chunk.items.len());
        let taken: Vec<T> = chunk.items.drain(..count).collect();
        chunk.note = N::default();
        self.len -= count;
        stretch.len -= count;
        stretch.note = N::default();
        stretch.join(0);
        self.drop_empty(0);
        taken
    }

    fn drop_empty(&mut self, index: usize) {
        if self.stretches.get(index).is_some_and(|stretch| stretch.chunks.is_empty()) {
            moved::<Stretch<T, N>>(self.stretches.len() - index);
            self.stretches.remove(index);
        }
    }

    /// What is noted of the chunk at a place, and of its stretch, does not hold any more.
    pub(super) fn forget_notes(&mut self, place: Place) {
        let Some(stretch) = self.stretches.get_mut(place.stretch) else { return };
        stretch.note = N::default();
        if let Some(chunk) = stretch.chunks.get_mut(place.chunk) {
            chunk.note = N::default();
        }
    }
}

impl<T, N: Default> From<Vec<T>> for Pieces<T, N> {
    /// Of what is in order and fits a chunk.
    fn from(items: Vec<T>) -> Self {
        let len = items.len();
        Self { stretches: vec![Stretch { chunks: vec![Chunk::new(items)], note: N::default(), len }], len }
    }
}

impl<T, N> Stretch<T, N> {
    fn is_full(&self) -> bool {
        self.chunks.len() >= STRETCH_MAX && self.chunks.last().is_some_and(|chunk| chunk.items.len() >= CHUNK_MAX)
    }

    /// Makes one of a chunk that has become short and the one beside it, and gives room back.
    fn join(&mut self, index: usize)
    where
        N: Default,
    {
        let len = |index: usize| self.chunks.get(index).map_or(CHUNK_MAX, |chunk| chunk.items.len());
        let fits = |index: usize| len(index) + len(index + 1) <= CHUNK_MAX / 2;
        let into = [Some(index), index.checked_sub(1)].into_iter().flatten().find(|&into| fits(into));
        if let Some(into) = into {
            moved::<Self>(self.chunks.len() - into);
            let upper = self.chunks.remove(into + 1);
            if let Some(chunk) = self.chunks.get_mut(into) {
                moved::<T>(upper.items.len());
                chunk.items.extend(upper.items);
                chunk.note = N::default();
            }
        }
        let index = into.unwrap_or(index);
        let Some(chunk) = self.chunks.get_mut(index) else { return };
        if chunk.items.is_empty() {
            self.chunks.remove(index);
        } else if chunk.items.len() * 4 <= chunk.items.capacity() {
            chunk.items.shrink_to(chunk.items.len() * 2);
        }
    }
}

impl<T, N: Default> Chunk<T, N> {
    fn new(items: Vec<T>) -> Self {
        Self { items, note: N::default() }
    }
}

/// The index of the last one that `is` holds for, which is for the first ones and none behind; 0 if for none. Looks from the end.
fn last_where<C>(list: &[C], is: impl Fn(&C) -> bool) -> usize {
    let (mut end, mut step) = (list.len(), 1);
    while let Some(begin) = end.checked_sub(step) {
        if list.get(begin).is_some_and(&is) {
            return begin + list.get(begin..end).unwrap_or_default().partition_point(is) - 1;
        }
        end = begin;
        step *= 2;
    }
    list.get(..end).unwrap_or_default().partition_point(is).saturating_sub(1)
}

/// So many items were moved in memory.
fn moved<T>(items: usize) {
    steps::moved(items * size_of::<T>());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::ops::Bound;

    const COUNT: u64 = 200_000;

    #[track_caller]
    fn check(pieces: &Pieces<u64, bool>, model: &BTreeSet<u64>, name: &str) {
        assert!(pieces.iter().eq(model), "{name}");
        assert_eq!(pieces.len(), model.len(), "{name}");
        let lens = |stretch: &Stretch<u64, bool>| stretch.chunks.iter().map(|chunk| chunk.items.len()).sum::<usize>() == stretch.len;
        assert!(pieces.stretches().iter().all(|stretch| lens(stretch) && stretch.chunks.len() <= STRETCH_MAX), "{name}");
        assert!(pieces.chunks().all(|chunk| (1..=CHUNK_MAX).contains(&chunk.items.len())), "{name}");
        for bound in (0..=COUNT * 2).step_by(29_973).chain([COUNT * 2 + 1]) {
            let (below, upto) = (|item: &u64| *item < bound, |item: &u64| *item <= bound);
            assert_eq!(pieces.before(below), model.range(..bound).next_back(), "{name}, before {bound}");
            assert_eq!(pieces.after(upto), model.range((Bound::Excluded(bound), Bound::Unbounded)).next(), "{name}, after {bound}");
            assert_eq!(pieces.count(below), model.range(..bound).count(), "{name}, below {bound}");
            let (from, to) = (pieces.place(below), pieces.place(|item| *item < bound + 3000));
            assert!(pieces.between(from, to).flatten().eq(model.range(bound..bound + 3000)), "{name}, from {bound}");
            assert!(pieces.between(from, to).rev().flat_map(|some| some.iter().rev()).eq(model.range(bound..bound + 3000).rev()));
        }
    }

    /// Even numbers go in, those of some of the places in `order` go out again.
    fn check_in(name: &str, order: impl Fn(u64) -> u64) {
        let (mut pieces, mut model) = (Pieces::default(), BTreeSet::new());
        for item in (0..COUNT).map(|place| order(place) * 2) {
            pieces.insert(item, |other| *other < item);
            model.insert(item);
        }
        check(&pieces, &model, name);
        assert!(pieces.stretches().len() > 1, "{name}");
        for item in (0..COUNT).filter(|place| place % 11 != 0).map(|place| order(place) * 2) {
            // One that is not there as well.
            assert!(!pieces.remove(|other| *other <= item + 1, |other| *other == item + 1));
            assert!(pieces.remove(|other| *other <= item, |other| *other == item));
            model.remove(&item);
        }
        check(&pieces, &model, &format!("{name}, most taken out"));
        let room: usize = pieces.chunks().map(|chunk| chunk.items.capacity()).sum();
        assert!(room < pieces.len() * 5, "{name}: room for {room}, and {} are there", pieces.len());
        loop {
            let taken = pieces.take_first(100, |item| *item < COUNT);
            if taken.is_empty() {
                break;
            }
            assert!(taken.into_iter().all(|item| model.pop_first() == Some(item)), "{name}");
        }
        check(&pieces, &model, &format!("{name}, the first half taken out"));
        assert!(model.first().is_some_and(|first| *first >= COUNT), "{name}");
    }

    #[test]
    fn is_a_sorted_set() {
        check_in("in order", |place| place);
        check_in("backwards", |place| COUNT - 1 - place);
        check_in("in no order", |place| place * 7919 % COUNT);
    }

    #[test]
    fn what_is_noted_holds_until_something_changes() {
        let mut pieces: Pieces<u64, std::cell::Cell<bool>> = Pieces::default();
        let note = |pieces: &Pieces<u64, std::cell::Cell<bool>>| {
            for stretch in pieces.stretches() {
                stretch.note.set(true);
                stretch.chunks.iter().for_each(|chunk| chunk.note.set(true));
            }
        };
        // By which of all pieces' notes are blank, that of the stretch first.
        let blank = |pieces: &Pieces<u64, std::cell::Cell<bool>>| {
            let stretch = &pieces.stretches()[0];
            let notes = [&stretch.note].into_iter().chain(stretch.chunks.iter().map(|chunk| &chunk.note));
            notes.enumerate().filter(|(_, note)| !note.get()).map(|(index, _)| index).collect::<Vec<_>>()
        };
        for item in (0..1200).map(|place| place * 2) {
            pieces.insert(item, |other| *other < item);
        }
        note(&pieces);
        assert!(blank(&pieces).is_empty());
        pieces.insert(7, |other| *other < 7);
        assert_eq!(blank(&pieces), [0, 1, 2], "the first is split");
        note(&pieces);
        pieces.insert(2101, |other| *other < 2101);
        assert_eq!(blank(&pieces), [0, 4]);
        note(&pieces);
        pieces.insert(2400, |other| *other < 2400);
        assert_eq!(blank(&pieces), [0, 4]);
        note(&pieces);
        pieces.remove(|other| *other <= 9, |other| *other == 9);
        assert!(blank(&pieces).is_empty(), "it was not there");
        pieces.remove(|other| *other <= 8, |other| *other == 8);
        assert_eq!(blank(&pieces), [0, 1]);
        note(&pieces);
        pieces.take_first(1, |_| true);
        assert_eq!(blank(&pieces), [0, 1]);
        note(&pieces);
        pieces.forget_notes(pieces.place(|other| *other <= 2000));
        assert_eq!(blank(&pieces), [0, 3]);
    }
}
