//! Edges in the order of their receipt, which is that of the log, in chunks, so that any of them is taken out, and any place found, without moving the rest.

use super::number::EdgeNo;
use crate::time::Timestamp;
use std::collections::VecDeque;

/// Most edges of a chunk.
const CHUNK_MAX: usize = 512;

#[derive(Debug, Default)]
pub(super) struct Arrivals {
    chunks: VecDeque<Chunk>,
    len: usize,
}

#[derive(Debug)]
struct Chunk {
    /// When the first one that was ever in it was received: before all that are in it, and after all of the chunks before.
    since: Timestamp,
    edges: Vec<EdgeNo>,
}

/// A place between two edges, which stays the same place while edges are taken out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    chunk: usize,
    offset: usize,
    /// How many edges are before it.
    pub(super) rank: usize,
}

impl Arrivals {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        let edges = if self.chunks.len() > 1 { CHUNK_MAX } else { self.len.next_power_of_two() };
        self.chunks.capacity() * size_of::<Chunk>() + self.chunks.len() * edges * size_of::<EdgeNo>()
    }

    /// All of them, in order.
    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = EdgeNo> {
        self.chunks.iter().flat_map(|chunk| &chunk.edges).copied()
    }

    /// Adds an edge, received when the last one was or later.
    pub(super) fn push(&mut self, edge: EdgeNo, received: Timestamp) {
        self.len += 1;
        if let Some(last) = self.chunks.back_mut().filter(|last| last.edges.len() < CHUNK_MAX) {
            last.edges.push(edge);
        } else {
            // The first chunk grows as it is needed: most tenants are small.
            let mut edges = Vec::with_capacity(if self.chunks.is_empty() { 0 } else { CHUNK_MAX });
            edges.push(edge);
            self.chunks.push_back(Chunk { since: received, edges });
        }
    }

    /// Takes out an edge that was received then, if it is there; `place` goes on to say the same place.
    pub(super) fn remove(&mut self, edge: EdgeNo, received: Timestamp, place: &mut Place) {
        // Forward: of many that were received at once, what goes first is in front.
        let mut index = self.chunks.partition_point(|chunk| chunk.since < received).saturating_sub(1);
        while let Some(chunk) = self.chunks.get_mut(index).filter(|chunk| chunk.since <= received) {
            if let Some(offset) = chunk.edges.iter().position(|&other| other == edge) {
                chunk.edges.remove(offset);
                self.len -= 1;
                if (index, offset) < (place.chunk, place.offset) {
                    place.rank -= 1;
                    place.offset -= usize::from(index == place.chunk);
                }
                if chunk.edges.is_empty() {
                    self.chunks.remove(index);
                    place.chunk -= usize::from(index < place.chunk);
                }
                return;
            }
            index += 1;
        }
    }

    /// How many were received before `before`.
    pub(super) fn before(&self, before: Timestamp, received: impl Fn(EdgeNo) -> Timestamp) -> usize {
        self.place_of(|time| time < before, received).rank
    }

    /// Those that were received at or before `upto`, the latest first.
    pub(super) fn back(&self, upto: Timestamp, received: impl Fn(EdgeNo) -> Timestamp) -> impl Iterator<Item = EdgeNo> {
        let Place { chunk, offset, .. } = self.place_of(|time| time <= upto, received);
        let part = self.chunks.get(chunk).and_then(|chunk| chunk.edges.get(..offset)).unwrap_or_default();
        let before = self.chunks.range(..chunk.min(self.chunks.len())).rev().flat_map(|chunk| chunk.edges.iter().rev());
        part.iter().rev().chain(before).copied()
    }

    /// Those that the record at this position of the log brought.
    pub(super) fn at(&self, position: u64, position_of: impl Fn(EdgeNo) -> u64) -> impl Iterator<Item = EdgeNo> {
        let is_before = |&edge: &EdgeNo| position_of(edge) < position;
        // The first that is not before may be the first of its chunk.
        let index = self.chunks.partition_point(|chunk| chunk.edges.first().is_some_and(is_before)).saturating_sub(1);
        let offset = self.chunks.get(index).map_or(0, |chunk| chunk.edges.partition_point(is_before));
        let behind = self.chunks.range(index.min(self.chunks.len())..).flat_map(|chunk| &chunk.edges).skip(offset);
        behind.copied().take_while(move |&edge| position_of(edge) == position)
    }

    /// So many behind the first `skip`, and the place behind them.
    pub(super) fn stretch(&self, skip: usize, most: usize) -> (Vec<EdgeNo>, Place) {
        let (mut found, mut place, mut left) = (Vec::with_capacity(most.min(self.len)), Place::default(), skip);
        for (index, Chunk { edges, .. }) in self.chunks.iter().enumerate() {
            if left > edges.len() {
                left -= edges.len();
                place = Place { chunk: index, offset: edges.len(), rank: place.rank + edges.len() };
                continue;
            }
            let rest = edges.get(left..).unwrap_or_default();
            let taken = rest.get(..most - found.len()).unwrap_or(rest);
            found.extend_from_slice(taken);
            place = Place { chunk: index, offset: left + taken.len(), rank: place.rank + left + taken.len() };
            left = 0;
            if found.len() == most {
                break;
            }
        }
        (found, place)
    }

    /// The place behind those whose time of receipt is so.
    fn place_of(&self, is_so: impl Fn(Timestamp) -> bool, received: impl Fn(EdgeNo) -> Timestamp) -> Place {
        let chunk = self.chunks.partition_point(|chunk| is_so(chunk.since)).saturating_sub(1);
        let offset = self.chunks.get(chunk).map_or(0, |chunk| chunk.edges.partition_point(|&edge| is_so(received(edge))));
        let before: usize = self.chunks.range(..chunk).map(|chunk| chunk.edges.len()).sum();
        Place { chunk, offset, rank: before + offset }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::number::Number as _;
    use proptest::prelude::*;

    fn check(received: &[i64], removed: &[prop::sample::Index], times: &[i64], skip: usize, most: usize) {
        let number = |place: usize| EdgeNo::from_index(u32::try_from(place).unwrap()).unwrap();
        let time = |edge: EdgeNo| Timestamp::from_millis(received[edge.index() as usize]);
        let (mut arrivals, mut model) = (Arrivals::default(), Vec::new());
        for edge in (0..received.len()).map(number) {
            arrivals.push(edge, time(edge));
            model.push(edge);
        }
        let (found, mut place) = arrivals.stretch(skip, most);
        let end = (skip + most).min(model.len());
        assert_eq!((&found[..], place.rank), (model.get(skip..end).unwrap_or_default(), end.max(skip.min(model.len()))));
        let mut behind = model.split_off(place.rank);
        for edge in removed.iter().map(|index| number(index.index(received.len()))) {
            // And once more, when it is not there.
            arrivals.remove(edge, time(edge), &mut place);
            arrivals.remove(edge, time(edge), &mut place);
            model.retain(|other| *other != edge);
            behind.retain(|other| *other != edge);
            assert_eq!((place.rank, arrivals.stretch(place.rank, usize::MAX).0), (model.len(), behind.clone()));
        }
        model.extend(behind);
        assert_eq!((arrivals.iter().collect::<Vec<_>>(), arrivals.len()), (model.clone(), model.len()));
        for upto in times.iter().copied().map(Timestamp::from_millis) {
            let back: Vec<EdgeNo> = model.iter().rev().copied().filter(|&edge| time(edge) <= upto).collect();
            assert_eq!(arrivals.back(upto, time).collect::<Vec<_>>(), back);
            if let Ok(position) = u64::try_from(upto.millis()) {
                // As if those that came at one time had come in one record.
                let of_one: Vec<EdgeNo> = model.iter().copied().filter(|&edge| time(edge) == upto).collect();
                assert_eq!(arrivals.at(position, |edge| time(edge).millis().unsigned_abs()).collect::<Vec<_>>(), of_one);
            }
            assert_eq!(arrivals.before(upto, time), model.iter().filter(|&&edge| time(edge) < upto).count());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn is_a_list(received in prop::collection::vec(0i64..40, 1..2000), removed in prop::collection::vec(any::<prop::sample::Index>(), 0..300), times in prop::collection::vec(-1i64..42, 1..8), skip in 0usize..2200, most in 0usize..2200) {
            let mut received = received;
            received.sort_unstable();
            check(&received, &removed, &times, skip, most);
        }
    }
}
