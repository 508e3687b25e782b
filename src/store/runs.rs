//! Numbers in the order of the texts they stand for, cheap to add to: a short unsorted tail and few sorted runs.
//!
//! Runs come in levels, each some times as long as those of the level below. As many of one level are merged into one of the
//! next, some numbers of each level whenever as many were added: so a number is merged few times, a merge is done by the time
//! half as many further runs of its level are there, and no addition takes long.

use super::number::ValueNo;
use super::steps;
use std::collections::VecDeque;
use std::hint::black_box;

/// How long the unsorted tail may be, and a chunk of a run.
const TAIL_MAX: usize = 1024;
/// So many runs of a level are merged into one.
const MERGED_AT_ONCE: usize = 8;
/// After so many additions twice as many numbers of each level are merged: one after the other, so that their texts are near.
const MERGED_EVERY: usize = 64;

/// So many texts of each run are asked for before they are compared: a little more than its share.
const TOUCHED: usize = 3 * MERGED_EVERY / MERGED_AT_ONCE;

#[derive(Debug, Default)]
pub(super) struct Runs {
    levels: Vec<Level>,
    tail: Vec<ValueNo>,
}

#[derive(Debug, Default)]
struct Level {
    /// Runs that are not yet merged, the oldest first.
    waiting: VecDeque<Run>,
    merge: Option<Merge>,
}

/// What is left of some runs, and what they have been merged into so far.
#[derive(Debug)]
struct Merge {
    rest: Vec<Run>,
    merged: Run,
}

/// Sorted numbers, in chunks of which none is empty.
#[derive(Debug, Default)]
struct Run {
    chunks: VecDeque<Vec<ValueNo>>,
    /// How many of the first chunk are gone.
    gone: usize,
}

impl Runs {
    /// Adds `number`; `text` tells what each number stands for, and may never change its answer.
    pub(super) fn insert<'a>(&mut self, number: ValueNo, text: impl Fn(ValueNo) -> &'a str) {
        self.tail.push(number);
        if !self.tail.len().is_multiple_of(MERGED_EVERY) {
            return;
        }
        let mut run = None;
        if self.tail.len() >= TAIL_MAX {
            let chunk = std::mem::take(&mut self.tail);
            let mut texts: Vec<(&str, ValueNo)> = chunk.into_iter().map(|number| (touch(text(number)), number)).collect();
            texts.sort_unstable();
            let chunk = texts.into_iter().map(|(_, number)| number).collect();
            run = Some(Run { chunks: VecDeque::from([chunk]), gone: 0 });
        }
        for level in &mut self.levels {
            level.waiting.extend(run.take());
            run = level.advance(&text);
        }
        if let Some(run) = run {
            self.levels.push(Level { waiting: VecDeque::from([run]), merge: None });
        }
    }

    fn all(&self) -> impl Iterator<Item = &Run> {
        self.levels.iter().flat_map(|level| {
            let merge = level.merge.iter().flat_map(|merge| merge.rest.iter().chain([&merge.merged]));
            level.waiting.iter().chain(merge)
        })
    }

    /// Calls `visit` with every number whose text begins with `prefix`, in no order.
    pub(super) fn with_prefix<'a>(&self, prefix: &str, text: impl Fn(ValueNo) -> &'a str, visit: impl FnMut(ValueNo)) {
        let tail = self.tail.iter().filter(|&&number| text(number).starts_with(prefix));
        self.all().flat_map(|run| run.stretch(prefix, &text).chunks()).flatten().chain(tail).copied().for_each(visit);
    }

    /// About how many numbers [`Runs::with_prefix`] would visit.
    pub(super) fn count_prefix<'a>(&self, prefix: &str, text: impl Fn(ValueNo) -> &'a str) -> usize {
        self.tail.len() + self.all().flat_map(|run| run.stretch(prefix, &text).chunks()).map(<[ValueNo]>::len).sum::<usize>()
    }

    /// The bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        let chunks: usize = self.all().map(|run| run.chunks.len()).sum();
        chunks * (TAIL_MAX * size_of::<ValueNo>() + size_of::<Vec<ValueNo>>()) + self.tail.capacity() * size_of::<ValueNo>()
    }
}

impl Level {
    /// Goes on with the merge; returns what it came to when it is done.
    fn advance<'a>(&mut self, text: &impl Fn(ValueNo) -> &'a str) -> Option<Run> {
        if self.merge.is_none() && self.waiting.len() >= MERGED_AT_ONCE {
            self.merge = Some(Merge { rest: self.waiting.drain(..MERGED_AT_ONCE).collect(), merged: Run::default() });
        }
        if self.merge.as_mut()?.go_on(text) { self.merge.take().map(Merge::done) } else { None }
    }
}

impl Merge {
    /// Takes over some numbers more; whether what is left of the runs, as they stand now, follows one behind the other.
    fn go_on<'a>(&mut self, text: &impl Fn(ValueNo) -> &'a str) -> bool {
        self.rest.retain(|run| run.first().is_some());
        self.rest.sort_by_key(|run| run.first().map(text));
        let follow = |pair: &[Run]| matches!(pair, [one, next] if one.last().map(text) <= next.first().map(text));
        if self.rest.windows(2).all(follow) {
            return true;
        }
        for number in self.rest.iter().flat_map(|run| run.chunk(0).iter().take(TOUCHED)) {
            touch(text(*number));
        }
        // The texts that come next, the last of all first, each with its run.
        let mut next: Vec<(&str, usize)> =
            self.rest.iter().enumerate().filter_map(|(run, rest)| Some((text(rest.first()?), run))).collect();
        next.reverse();
        for _ in 0..MERGED_EVERY * 2 {
            let Some((_, index)) = next.pop() else { break };
            let Some(run) = self.rest.get_mut(index) else { break };
            self.merged.push(run.pop());
            if let Some(text) = run.first().map(text) {
                next.insert(next.partition_point(|(other, _)| *other >= text), (text, index));
            }
        }
        false
    }

    fn done(self) -> Run {
        self.rest.into_iter().fold(self.merged, |mut merged, run| {
            merged.extend(run);
            merged
        })
    }
}

/// Asks for a text that is compared soon. Texts are far apart in memory: asked for one after the other without waiting for any
/// they come in together.
fn touch(text: &str) -> &str {
    black_box(text.as_bytes().first());
    text
}

impl Run {
    fn first(&self) -> Option<ValueNo> {
        self.chunks.front()?.get(self.gone).copied()
    }

    fn last(&self) -> Option<ValueNo> {
        self.chunks.back()?.last().copied()
    }

    fn pop(&mut self) -> Option<ValueNo> {
        let first = self.first()?;
        self.gone += 1;
        if self.chunks.front().is_some_and(|chunk| chunk.len() == self.gone) {
            self.chunks.pop_front();
            self.gone = 0;
        }
        Some(first)
    }

    fn push(&mut self, number: Option<ValueNo>) {
        steps::moved(size_of::<ValueNo>());
        if let Some(chunk) = self.chunks.back_mut().filter(|chunk| chunk.len() < TAIL_MAX) {
            return chunk.extend(number);
        }
        let mut chunk = Vec::with_capacity(TAIL_MAX);
        chunk.extend(number);
        self.chunks.push_back(chunk);
    }

    /// Puts another run behind this one.
    fn extend(&mut self, mut other: Self) {
        other.drop_gone();
        steps::moved(other.chunks.len() * size_of::<Vec<ValueNo>>());
        if self.chunks.is_empty() {
            self.chunks = other.chunks;
        } else {
            self.chunks.extend(other.chunks);
        }
    }

    fn drop_gone(&mut self) {
        if let Some(chunk) = self.chunks.front_mut() {
            chunk.drain(..std::mem::take(&mut self.gone));
        }
    }

    /// What is left of a chunk.
    fn chunk(&self, index: usize) -> &[ValueNo] {
        let chunk = self.chunks.get(index).map_or(&[][..], Vec::as_slice);
        if index == 0 { chunk.get(self.gone..).unwrap_or_default() } else { chunk }
    }

    /// How many of the first chunks `is` holds for, which holds for none behind those.
    fn partition(&self, is: impl Fn(&[ValueNo]) -> bool) -> usize {
        let (mut low, mut high) = (0, self.chunks.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if is(self.chunk(middle)) { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// The part whose texts begin with `prefix`.
    fn stretch<'a>(&self, prefix: &str, text: &impl Fn(ValueNo) -> &'a str) -> Stretch<'_> {
        let before = |number: &ValueNo| text(*number) < prefix;
        let upto = |number: &ValueNo| before(number) || text(*number).starts_with(prefix);
        let from = self.partition(|chunk| chunk.last().is_some_and(before));
        let end = self.partition(|chunk| chunk.first().is_some_and(upto));
        let last = end.saturating_sub(1);
        Stretch { run: self, from: (from, self.chunk(from).partition_point(before)), to: (last, self.chunk(last).partition_point(upto)) }
    }
}

/// A part of a run: from a place in one chunk to a place in another, which is before it where there is none.
struct Stretch<'r> {
    run: &'r Run,
    from: (usize, usize),
    to: (usize, usize),
}

impl<'r> Stretch<'r> {
    fn chunks(self) -> impl Iterator<Item = &'r [ValueNo]> {
        let Self { run, from, to } = self;
        (from.0..=to.0).map(move |index| {
            let chunk = run.chunk(index);
            let end = if index == to.0 { to.1 } else { chunk.len() };
            chunk.get(if index == from.0 { from.1 } else { 0 }..end).unwrap_or_default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::number::Number as _;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn finds_what_a_scan_finds(texts in prop::collection::vec("[ab]{0,6}", 0..5000), prefix in "[ab]{0,4}") {
            let text = |number: ValueNo| texts[number.index() as usize].as_str();
            let mut runs = Runs::default();
            for number in 0..texts.len() {
                runs.insert(ValueNo::from_index(u32::try_from(number).unwrap()).unwrap(), text);
            }
            let most = 3 * ((texts.len() / TAIL_MAX + 1).ilog2() as usize + 1);
            prop_assert!(runs.all().count() <= most, "{} runs of {}", runs.all().count(), texts.len());
            check(&runs, text, &prefix, texts.len(), |_| true)?;
        }
    }

    fn check<'a>(
        runs: &Runs,
        text: impl Fn(ValueNo) -> &'a str,
        prefix: &str,
        most: usize,
        is_there: impl Fn(usize) -> bool,
    ) -> Result<(), TestCaseError> {
        let mut found = Vec::new();
        runs.with_prefix(prefix, &text, |number| found.push(number.index() as usize));
        found.sort_unstable();
        let begins = |n: usize| text(ValueNo::from_index(u32::try_from(n).unwrap()).unwrap()).starts_with(prefix);
        let expected: Vec<usize> = (0..most).filter(|&n| is_there(n) && begins(n)).collect();
        let count = runs.count_prefix(prefix, &text);
        prop_assert!((found.len()..found.len() + TAIL_MAX).contains(&count), "{} of {}", count, found.len());
        prop_assert_eq!(found, expected);
        Ok(())
    }

    /// Texts in order, the other way round and in no order: no addition moves more than a few kilobytes, and runs are few.
    #[test]
    fn no_addition_takes_long() {
        const COUNT: u32 = 100_000;
        let orders: [fn(u32) -> u32; 3] = [|place| place, |place| COUNT - place, |place| place * 7919 % COUNT];
        for order in orders {
            let texts: Vec<String> = (0..COUNT).map(|place| format!("{:06}", order(place))).collect();
            let text = |number: ValueNo| texts[number.index() as usize].as_str();
            let (mut runs, mut most) = (Runs::default(), (0, 0));
            for number in (0..COUNT).map(|number| ValueNo::from_index(number).unwrap()) {
                let moved = steps::bytes_of(|| runs.insert(number, text));
                most = (most.0.max(moved), most.1.max(runs.all().count()));
            }
            // A few numbers a level; and where a merge is done, the heads of its chunks.
            assert!(most.0 < 8000 && most.1 <= 24, "{most:?}");
            let pieces = |prefix: &str| runs.count_prefix(prefix, text);
            assert!((pieces("0123"), pieces("")) >= (100, 100_000) && pieces("0123") < 100 + TAIL_MAX);
        }
    }
}
