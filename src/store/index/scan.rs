//! Values of a label that match: many are looked at, and others are let in between.

use super::LabelName;
use super::name::Value;
use crate::store::effort::Effort;
use crate::store::number::SeriesNo;
use crate::store::number::Set;
use crate::store::number::ValueNo;
use crate::store::selector::MatchKind;
use crate::store::selector::Matcher;

/// How many values a regular expression is tried on before the label's lock is given up for a moment.
const SCAN_SLICE: usize = 4096;
/// Most values with a prefix that are written down at once.
const PREFIXED_MAX: usize = 1 << 20;

impl LabelName {
    /// The series that have this label with a value that does not satisfy the matcher.
    pub(in crate::store) fn not_matching(&self, matcher: &Matcher, effort: &Effort) -> Set<SeriesNo> {
        self.whose(|text| !matcher.matches_within(text, effort), effort)
    }

    /// The series that have this label with a value that satisfies the matcher.
    pub(in crate::store) fn matching(&self, matcher: &Matcher, effort: &Effort) -> Set<SeriesNo> {
        if let MatchKind::Regex(_) = &matcher.kind {
            let (prefix, free) = matcher.literal_prefix();
            if !prefix.is_empty()
                && let Some(found) = self.with_prefix(&prefix, |text| free || matcher.matches_within(text, effort), effort)
            {
                return found;
            }
        }
        self.whose(|text| matcher.matches_within(text, effort), effort)
    }

    /// The series that have this label with a value that `keep` accepts; too few when the effort is spent.
    pub(in crate::store) fn whose(&self, keep: impl Fn(&str) -> bool, effort: &Effort) -> Set<SeriesNo> {
        let mut found = Set::default();
        let mut singles = Vec::new();
        let mut from = 0;
        loop {
            let (values, begun) = (self.values.read(), effort.left());
            let slice = values.rows.stretch(from, SCAN_SLICE);
            for value in slice {
                effort.take(1);
                from += 1;
                if !value.series.is_empty() && keep(&value.text) {
                    value.series.add_to(&mut found, &mut singles);
                }
                if effort.is_due(begun) {
                    break;
                }
            }
            if slice.is_empty() || effort.is_spent() {
                found.add_all(singles);
                return found;
            }
        }
    }

    /// The same of those that begin with `prefix`; `None` when these are so many that it is better to look at all.
    fn with_prefix(&self, prefix: &str, keep: impl Fn(&str) -> bool, effort: &Effort) -> Option<Set<SeriesNo>> {
        let (numbers, vacated) = {
            let values = self.values.read();
            let text = |number: ValueNo| values.rows.get(number).map_or("", |value| &*value.text);
            if values.sorted.count_prefix(prefix, text) > PREFIXED_MAX {
                return None;
            }
            let mut numbers = Vec::new();
            values.sorted.with_prefix(prefix, text, |number| numbers.push(number));
            (numbers, values.vacated)
        };
        let (mut found, mut singles) = (Set::default(), Vec::with_capacity(numbers.len()));
        let mut numbers = numbers.into_iter();
        while !numbers.as_slice().is_empty() && !effort.is_spent() {
            let (values, begun) = (self.values.read(), effort.left());
            let same = values.vacated == vacated;
            for number in numbers.by_ref() {
                effort.take(1);
                // Texts are far apart in memory: they are looked at again only where it may be the number of another one by now.
                let has_prefix = |value: &&Value| same || value.text.starts_with(prefix);
                let value = values.rows.get(number).filter(|value| !value.series.is_empty()).filter(has_prefix);
                if let Some(value) = value.filter(|value| keep(&value.text)) {
                    value.series.add_to(&mut found, &mut singles);
                }
                if effort.is_due(begun) {
                    break;
                }
            }
        }
        found.add_all(singles);
        Some(found)
    }
}
