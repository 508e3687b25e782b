//! Numbers in the order of the texts they stand for, cheap to add to: a short unsorted tail and few sorted runs.
//!
//! A run is merged with the one before it when that is not longer, so each number is merged as often as the count doubled.

use super::number::ValueNo;

/// How long the unsorted tail may be.
const TAIL_MAX: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Runs {
    runs: Vec<Vec<ValueNo>>,
    tail: Vec<ValueNo>,
}

impl Runs {
    /// Adds `number`; `text` tells what each number stands for, and may never change its answer.
    pub(super) fn insert<'a>(&mut self, number: ValueNo, text: impl Fn(ValueNo) -> &'a str) {
        self.tail.push(number);
        if self.tail.len() < TAIL_MAX {
            return;
        }
        let mut run = std::mem::take(&mut self.tail);
        run.sort_unstable_by(|&a, &b| text(a).cmp(text(b)));
        while let Some(before) = self.runs.pop_if(|before| before.len() <= run.len()) {
            run = merge(before, run, &text);
        }
        self.runs.push(run);
    }

    /// Calls `visit` with every number whose text begins with `prefix`, in no order.
    pub(super) fn with_prefix<'a>(&self, prefix: &str, text: impl Fn(ValueNo) -> &'a str, visit: impl FnMut(ValueNo)) {
        let tail = self.tail.iter().filter(|&&number| text(number).starts_with(prefix));
        self.runs.iter().flat_map(|run| stretch(run, prefix, &text)).chain(tail).copied().for_each(visit);
    }

    /// About how many numbers [`Runs::with_prefix`] would visit.
    pub(super) fn count_prefix<'a>(&self, prefix: &str, text: impl Fn(ValueNo) -> &'a str) -> usize {
        self.tail.len() + self.runs.iter().map(|run| stretch(run, prefix, &text).len()).sum::<usize>()
    }
}

/// The part of a sorted run whose texts begin with `prefix`.
fn stretch<'r, 'a>(run: &'r [ValueNo], prefix: &str, text: &impl Fn(ValueNo) -> &'a str) -> &'r [ValueNo] {
    let from = run.partition_point(|&number| text(number) < prefix);
    let rest = run.get(from..).unwrap_or_default();
    rest.get(..rest.partition_point(|&number| text(number).starts_with(prefix))).unwrap_or_default()
}

fn merge<'a>(mut left: Vec<ValueNo>, right: Vec<ValueNo>, text: impl Fn(ValueNo) -> &'a str) -> Vec<ValueNo> {
    let (Some(&last), Some(&first)) = (left.last(), right.first()) else {
        left.extend(right);
        return left;
    };
    if text(last) <= text(first) {
        left.extend(right);
        return left;
    }
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some(&a), Some(&b)) = (left.peek(), right.peek()) {
        let next = if text(a) <= text(b) { left.next() } else { right.next() };
        merged.extend(next);
    }
    merged.extend(left);
    merged.extend(right);
    merged
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
            prop_assert!(runs.runs.len() <= (texts.len() / TAIL_MAX + 1).ilog2() as usize + 1, "{} runs of {}", runs.runs.len(), texts.len());
            let mut found = Vec::new();
            runs.with_prefix(&prefix, text, |number| found.push(number.index() as usize));
            found.sort_unstable();
            let expected: Vec<usize> = (0..texts.len()).filter(|&n| texts[n].starts_with(&prefix)).collect();
            let count = runs.count_prefix(&prefix, text);
            prop_assert!((found.len()..found.len() + TAIL_MAX).contains(&count), "{} of {}", count, found.len());
            prop_assert_eq!(found, expected);
        }
    }
}
