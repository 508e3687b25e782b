//! How the writer gets at the label index: first the names of what it is about to add, without the tenant's lock, then
//! the values of those names, all held for writing at once.

use super::LabelIndex;
use super::LabelName;
use super::LabelRef;
use super::Values;
use crate::labels::LabelSet;
use crate::store::number::SeriesNo;
use parking_lot::RwLockWriteGuard;
use std::ops::Range;
use std::sync::Arc;

/// The label names of some sets. Those that were new and have no value in the end are forgotten again.
///
/// While the writer has them, no label may be taken off a series: a name that is among them would be forgotten.
#[derive(Debug)]
pub(in crate::store) struct Names<'i> {
    index: &'i LabelIndex,
    /// Each once.
    labels: Vec<Arc<LabelName>>,
    /// Those that are new.
    fresh: Vec<Arc<LabelName>>,
    /// For all labels of all sets where their name is in `labels`.
    slots: Vec<u16>,
    /// Where the slots of each set are.
    sets: Vec<Range<usize>>,
}

/// The values of some label names, held for writing.
#[derive(Debug)]
pub(in crate::store) struct LabelWriter<'a> {
    names: &'a Names<'a>,
    values: Vec<RwLockWriteGuard<'a, Values>>,
    /// The labels of the set looked up last.
    pub(in crate::store) refs: Vec<LabelRef>,
}

impl LabelIndex {
    /// The names of these label sets, made when they are new. `None` when there would be more than 65536, and none is made.
    pub(in crate::store) fn names_of<'l>(&self, sets: impl Iterator<Item = &'l LabelSet>) -> Option<Names<'_>> {
        let mut names = Names { index: self, labels: Vec::new(), fresh: Vec::new(), slots: Vec::new(), sets: Vec::new() };
        let mut before = 0..0;
        for set in sets {
            let begin = names.slots.len();
            for (place, (name, _)) in set.iter().enumerate() {
                // Most sets have the names of the one before.
                let likely = names.slots.get(before.clone()).and_then(|slots| slots.get(place)).copied();
                let is_it = |slot: &u16| names.labels.get(usize::from(*slot)).is_some_and(|label| *label.name == *name);
                let slot = match likely.filter(is_it) {
                    Some(slot) => slot,
                    None => names.slot(name)?,
                };
                names.slots.push(slot);
            }
            before = begin..names.slots.len();
            names.sets.push(before.clone());
        }
        Some(names)
    }
}

impl Names<'_> {
    fn slot(&mut self, name: &str) -> Option<u16> {
        let known = self.labels.iter().position(|label| *label.name == *name);
        if known.is_none() {
            let label = if let Some(label) = self.index.name(name) {
                label
            } else {
                let label = self.index.names.add(name)?;
                self.fresh.push(Arc::clone(&label));
                label
            };
            self.labels.push(label);
        }
        u16::try_from(known.unwrap_or(self.labels.len() - 1)).ok()
    }

    /// Locks all of them. Readers lock one name at a time and nothing else meanwhile.
    pub(in crate::store) fn lock(&self) -> LabelWriter<'_> {
        LabelWriter { names: self, values: self.labels.iter().map(|label| label.values.write()).collect(), refs: Vec::new() }
    }

    fn slots(&self, set: usize) -> &[u16] {
        self.sets.get(set).and_then(|range| self.slots.get(range.clone())).unwrap_or_default()
    }
}

impl Drop for Names<'_> {
    fn drop(&mut self) {
        for label in self.fresh.iter().filter(|label| label.values.read().is_empty()) {
            self.index.names.forget(label);
        }
    }
}

impl LabelWriter<'_> {
    /// Looks up the references of these labels, made when they are new; they are set number `set` of the names.
    pub(in crate::store) fn intern(&mut self, labels: &LabelSet, set: usize) -> Option<()> {
        self.refs.clear();
        for ((_, value), &slot) in labels.iter().zip(self.names.slots(set)) {
            let name = self.names.labels.get(usize::from(slot))?.number;
            let value = self.values.get_mut(usize::from(slot))?.intern(value)?;
            self.refs.push(LabelRef { name, value });
        }
        Some(())
    }

    /// Records that `series` carries the labels that were looked up last, which are set number `set` of the names.
    pub(in crate::store) fn add(&mut self, set: usize, series: SeriesNo) {
        for (label, &slot) in self.refs.iter().zip(self.names.slots(set)) {
            if let Some(values) = self.values.get_mut(usize::from(slot)) {
                values.add(label.value, series);
            }
        }
    }
}
