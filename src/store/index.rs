//! The label index: name to values to series. Its leaf map is concurrent, so readers resolve matchers without the
//! tenant's lock; what they find is a set of series numbers, copied out.
//!
//! Lock order: a tenant's core before a label's values, never the other way round.

use super::postings::Postings;
use super::runs::Runs;
use super::selector::MatchKind;
use super::selector::Matcher;
use dashmap::DashMap;
use hashbrown::DefaultHashBuilder;
use hashbrown::HashTable;
use parking_lot::RwLock;
use roaring::RoaringBitmap;
use std::hash::BuildHasher;
use std::sync::Arc;

/// How many values a regular expression is tried on before the label's lock is given up for a moment.
const SCAN_SLICE: usize = 4096;
/// Forgotten values are swept out of the sorted runs when there are more than this many, and more than half are forgotten.
const DEAD_MIN: usize = 1024;

/// A label of a series: which name, which of its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C, packed(2))]
pub(super) struct LabelRef {
    pub(super) name: u16,
    pub(super) value: u32,
}

#[derive(Debug, Default)]
pub(super) struct LabelIndex {
    names: DashMap<Box<str>, Arc<LabelName>, DefaultHashBuilder>,
    by_number: RwLock<Vec<Arc<LabelName>>>,
}

/// One label name with its values.
#[derive(Debug)]
pub(super) struct LabelName {
    pub(super) number: u16,
    pub(super) name: Box<str>,
    values: RwLock<Values>,
}

#[derive(Debug, Default)]
struct Values {
    rows: Vec<Value>,
    vacant: Vec<u32>,
    dead: Vec<u32>,
    by_text: HashTable<u32>,
    hasher: DefaultHashBuilder,
    sorted: Runs,
}

#[derive(Debug)]
struct Value {
    text: Box<str>,
    series: Postings,
}

impl LabelIndex {
    /// How many label names there are.
    pub(super) fn names(&self) -> usize {
        self.names.len()
    }

    /// Whether the name is known.
    pub(super) fn has_name(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    pub(super) fn name(&self, name: &str) -> Option<Arc<LabelName>> {
        self.names.get(name).map(|entry| Arc::clone(entry.value()))
    }

    /// The label's reference, made when it is new. `None` when there are 65536 names already.
    pub(super) fn intern(&self, name: &str, value: &str) -> Option<LabelRef> {
        let label = match self.name(name) {
            Some(label) => label,
            None => self.add_name(name)?,
        };
        let value = label.values.write().intern(value)?;
        Some(LabelRef { name: label.number, value })
    }

    fn add_name(&self, name: &str) -> Option<Arc<LabelName>> {
        let mut by_number = self.by_number.write();
        let number = u16::try_from(by_number.len()).ok()?;
        let label = Arc::new(LabelName { number, name: name.into(), values: RwLock::default() });
        by_number.push(Arc::clone(&label));
        self.names.insert(name.into(), Arc::clone(&label));
        Some(label)
    }

    /// Records that `series` carries these labels.
    pub(super) fn add(&self, labels: &[LabelRef], series: u32) {
        self.each(labels, |values, value| values.add(value, series));
    }

    /// Takes `series` off these labels; a value that is left on no series is forgotten.
    pub(super) fn remove(&self, labels: &[LabelRef], series: u32) {
        self.each(labels, |values, value| values.remove(value, series));
    }

    fn each(&self, labels: &[LabelRef], mut act: impl FnMut(&mut Values, u32)) {
        let by_number = self.by_number.read();
        for label in labels {
            if let Some(name) = by_number.get(usize::from(label.name)) {
                act(&mut name.values.write(), label.value);
            }
        }
    }

    /// Calls `visit` with the names and texts of these labels.
    pub(super) fn texts(&self, labels: &[LabelRef], mut visit: impl FnMut(&str, &str)) {
        let by_number = self.by_number.read();
        for label in labels {
            if let Some(name) = by_number.get(usize::from(label.name)) {
                let values = name.values.read();
                if let Some(value) = values.rows.get(label.value as usize) {
                    visit(&name.name, &value.text);
                }
            }
        }
    }
}

impl LabelName {
    /// How many series a matcher of this label could select at most, for ordering matchers; cheap.
    pub(super) fn estimate(&self, matcher: &Matcher) -> u64 {
        match matcher.kind {
            MatchKind::Equal => self.values.read().postings(&matcher.value).map_or(0, Postings::len),
            _ => u64::MAX,
        }
    }

    /// How many values [`LabelName::matching`] would look at.
    pub(super) fn effort(&self, matcher: &Matcher) -> u64 {
        let values = self.values.read();
        let text = |number: u32| values.rows.get(number as usize).map_or("", |value| &*value.text);
        let looked_at = match matcher.kind {
            MatchKind::Regex(_) => values.sorted.count_prefix(&matcher.literal_prefix().0, text),
            _ => values.rows.len(),
        };
        looked_at as u64
    }

    /// Keeps in `set` the series that have this label with exactly this value.
    pub(super) fn intersect_equal(&self, value: &str, set: &mut RoaringBitmap) {
        match self.values.read().postings(value) {
            Some(postings) => postings.intersect(set),
            None => set.clear(),
        }
    }

    /// The series that have this label with exactly this value.
    pub(super) fn equal(&self, value: &str) -> RoaringBitmap {
        self.values.read().postings(value).map(Postings::to_bitmap).unwrap_or_default()
    }

    /// The series that have this label, with a value for which `wanted` is the matcher's answer.
    pub(super) fn matching(&self, matcher: &Matcher, wanted: bool) -> RoaringBitmap {
        let mut found = RoaringBitmap::new();
        let mut singles = Vec::new();
        if let (MatchKind::Regex(_), true) = (&matcher.kind, wanted) {
            let (prefix, free) = matcher.literal_prefix();
            if !prefix.is_empty() {
                self.with_prefix(&prefix, |text| free || matcher.matches(text), &mut found, &mut singles);
                return union(found, singles);
            }
        }
        let mut from = 0;
        loop {
            let values = self.values.read();
            let slice = values.rows.get(from..).unwrap_or_default();
            for value in slice.iter().take(SCAN_SLICE) {
                if !value.series.is_empty() && matcher.matches(&value.text) == wanted {
                    value.series.add_to(&mut found, &mut singles);
                }
            }
            if slice.len() <= SCAN_SLICE {
                return union(found, singles);
            }
            from += SCAN_SLICE;
        }
    }

    fn with_prefix(&self, prefix: &str, keep: impl Fn(&str) -> bool, found: &mut RoaringBitmap, singles: &mut Vec<u32>) {
        let values = self.values.read();
        let text = |number: u32| values.rows.get(number as usize).map_or("", |value| &*value.text);
        values.sorted.with_prefix(prefix, text, |number| {
            if let Some(value) = values.rows.get(number as usize)
                && !value.series.is_empty()
                && keep(&value.text)
            {
                value.series.add_to(found, singles);
            }
        });
    }
}

fn union(mut found: RoaringBitmap, mut singles: Vec<u32>) -> RoaringBitmap {
    singles.sort_unstable();
    singles.dedup();
    if let Ok(bitmap) = RoaringBitmap::from_sorted_iter(singles) {
        found |= bitmap;
    }
    found
}

impl Values {
    fn find(&self, text: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(text);
        self.by_text.find(hash, |&number| self.rows.get(number as usize).is_some_and(|value| *value.text == *text)).copied()
    }

    fn postings(&self, text: &str) -> Option<&Postings> {
        self.find(text).and_then(|number| self.rows.get(number as usize)).map(|value| &value.series)
    }

    fn intern(&mut self, text: &str) -> Option<u32> {
        if let Some(number) = self.find(text) {
            return Some(number);
        }
        let value = Value { text: text.into(), series: Postings::None };
        let number = if let Some(number) = self.vacant.pop() {
            *self.rows.get_mut(number as usize)? = value;
            number
        } else {
            self.rows.push(value);
            u32::try_from(self.rows.len() - 1).ok()?
        };
        let (rows, hasher) = (&self.rows, &self.hasher);
        let text_of = |number: u32| rows.get(number as usize).map_or("", |value| &*value.text);
        self.by_text.insert_unique(hasher.hash_one(text), number, |&number| hasher.hash_one(text_of(number)));
        self.sorted.insert(number, text_of);
        Some(number)
    }

    fn add(&mut self, number: u32, series: u32) {
        if let Some(value) = self.rows.get_mut(number as usize) {
            value.series.insert(series);
        }
    }

    fn remove(&mut self, number: u32, series: u32) {
        let Some(value) = self.rows.get_mut(number as usize) else { return };
        value.series.remove(series);
        if !value.series.is_empty() {
            return;
        }
        let hash = self.hasher.hash_one(&*value.text);
        if let Ok(entry) = self.by_text.find_entry(hash, |&candidate| candidate == number) {
            entry.remove();
        }
        // Its text stays until the sorted runs are made anew: they are searched by it.
        self.dead.push(number);
        if self.dead.len() > DEAD_MIN && self.dead.len() * 2 > self.rows.len() {
            let rows = &mut self.rows;
            self.sorted.retain(|number| rows.get(number as usize).is_some_and(|value| !value.series.is_empty()));
            for &number in &self.dead {
                if let Some(value) = rows.get_mut(number as usize) {
                    value.text = Box::default();
                }
            }
            self.vacant.append(&mut self.dead);
        }
    }
}
