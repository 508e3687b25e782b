//! A queue in chunks: growing moves none of what is in it.

use super::steps;
use std::collections::VecDeque;
use std::ops::RangeTo;

/// Most items of a chunk.
const CHUNK_MAX: usize = 4096;

/// Items in the order in which they came.
#[derive(Debug)]
pub(super) struct Queue<T> {
    /// None of them empty; all but the first and the last full, or what was put before others later.
    chunks: VecDeque<VecDeque<T>>,
    len: usize,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { chunks: VecDeque::new(), len: 0 }
    }
}

impl<T> Queue<T> {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        let ends = [self.chunks.front(), self.chunks.back()].into_iter().flatten().map(VecDeque::capacity).sum::<usize>();
        let between = self.chunks.len().saturating_sub(2) * CHUNK_MAX;
        self.chunks.capacity() * size_of::<VecDeque<T>>() + (ends + between) * size_of::<T>()
    }

    /// All of them, in order.
    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    /// The first so many, or all where there are fewer.
    pub(super) fn range(&self, RangeTo { end }: RangeTo<usize>) -> impl DoubleEndedIterator<Item = &T> {
        let (mut full, mut rest) = (0, end);
        while let Some(chunk) = self.chunks.get(full).filter(|chunk| chunk.len() <= rest) {
            (full, rest) = (full + 1, rest - chunk.len());
        }
        let cut = self.chunks.get(full).into_iter().flat_map(move |chunk| chunk.range(..rest));
        self.chunks.range(..full).flatten().chain(cut)
    }

    /// How many of the first ones `is` holds for, which holds for none behind those.
    pub(super) fn partition_point(&self, is: impl Fn(&T) -> bool) -> usize {
        let full = self.chunks.partition_point(|chunk| chunk.back().is_some_and(&is));
        let before = self.chunks.range(..full).map(VecDeque::len).sum::<usize>();
        before + self.chunks.get(full).map_or(0, |chunk| chunk.partition_point(is))
    }

    pub(super) fn push_back(&mut self, item: T) {
        self.len += 1;
        if let Some(chunk) = self.chunks.back_mut().filter(|chunk| chunk.len() < CHUNK_MAX) {
            return push(chunk, item, VecDeque::push_back);
        }
        steps::moved(if self.chunks.len() == self.chunks.capacity() { self.chunks.len() * size_of::<VecDeque<T>>() } else { 0 });
        self.chunks.push_back(VecDeque::from([item]));
    }

    pub(super) fn push_front(&mut self, item: T) {
        self.len += 1;
        if let Some(chunk) = self.chunks.front_mut().filter(|chunk| chunk.len() < CHUNK_MAX) {
            return push(chunk, item, VecDeque::push_front);
        }
        steps::moved(if self.chunks.len() == self.chunks.capacity() { self.chunks.len() * size_of::<VecDeque<T>>() } else { 0 });
        self.chunks.push_front(VecDeque::from([item]));
    }

    pub(super) fn pop_front(&mut self) -> Option<T> {
        let chunk = self.chunks.front_mut()?;
        let item = chunk.pop_front();
        self.len -= usize::from(item.is_some());
        if chunk.is_empty() {
            self.chunks.pop_front();
        }
        item
    }

    /// Takes out the first so many, or all where there are fewer.
    pub(super) fn drain(&mut self, RangeTo { end }: RangeTo<usize>) -> impl Iterator<Item = T> {
        (0..end).map_while(|_| self.pop_front())
    }
}

fn push<T>(chunk: &mut VecDeque<T>, item: T, push: impl Fn(&mut VecDeque<T>, T)) {
    steps::moved(if chunk.len() == chunk.capacity() { chunk.len() * size_of::<T>() } else { 0 });
    push(chunk, item);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_queue_and_moves_little_at_once() {
        let (mut queue, mut model) = (Queue::default(), VecDeque::new());
        let mut most = 0;
        for item in 10_000..50_000u32 {
            most = most.max(steps::bytes_of(|| queue.push_back(item)));
            model.push_back(item);
        }
        for (drained, kept) in [(0, 0), (1, 1), (4095, 0), (9000, 5000), (20_000, 10), (100_000, 7)] {
            for count in [0, 1, 100, 4096, 15_000, model.len(), model.len() + 9] {
                let end = count.min(model.len());
                assert!(queue.range(..count).eq(model.range(..end)), "{count}");
                assert!(queue.range(..count).rev().eq(model.range(..end).rev()), "{count}");
                let bound = model.get(end).copied().unwrap_or(u32::MAX);
                assert_eq!(queue.partition_point(|item| *item < bound), end, "{count}");
            }
            let gone: Vec<u32> = queue.drain(..drained).collect();
            assert!(gone.iter().copied().eq(model.drain(..drained.min(model.len()))));
            for item in gone.into_iter().take(kept).rev() {
                most = most.max(steps::bytes_of(|| queue.push_front(item)));
                model.push_front(item);
            }
            assert!(queue.iter().eq(&model) && queue.len() == model.len());
        }
        assert!(most <= (CHUNK_MAX * size_of::<u32>()) as u64, "{most} bytes moved at once");
    }
}
