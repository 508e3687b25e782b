//! The label index: name to values to series. Its leaf map is concurrent, so readers resolve matchers without the
//! tenant's lock; what they find is a set of series numbers, copied out.
//!
//! Lock order: a tenant's core, then the names by number, then values. Values cannot come before the core: whoever reads the
//! labels of a series holds the core, so that none of them is forgotten meanwhile. Several labels' values at once are held
//! only by readers who hold the core, and by the writer while it holds it for writing; without the core one label's values
//! are held at a time, and nothing is waited for meanwhile. So texts are interned before the core is taken, and only the
//! numbers of series that are new are added under it.

mod bytes;
mod interned;
mod name;
mod places;
mod scan;

pub(super) use interned::Interned;
pub(super) use name::LabelName;
pub(super) use name::LabelRef;
pub(super) use name::NameNo;

use super::names::LabelNames;
use super::number::SeriesNo;
use super::seed::Seed;
use super::sizes::Sum;
use crate::labels::EVENT_STATE;
use name::Values;
use parking_lot::RwLockWriteGuard;
use places::Places;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct LabelIndex {
    names: LabelNames,
    /// What the values of all names take.
    bytes: Sum,
}

impl LabelIndex {
    /// No label yet; tables are to hash by this seed.
    pub(super) fn new(seed: Seed) -> Self {
        Self { names: LabelNames::new(seed), bytes: Sum::default() }
    }

    /// How many label names there are.
    pub(super) fn names(&self) -> usize {
        self.names.len()
    }

    /// Whether the name is known.
    pub(super) fn has_name(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    pub(super) fn name(&self, name: &str) -> Option<Arc<LabelName>> {
        self.names.get(name)
    }

    /// Records that these series carry these labels.
    pub(super) fn add<'s>(&self, new: impl Iterator<Item = (SeriesNo, &'s [LabelRef])>) {
        let by_number = self.names.by_number();
        let (mut held, mut places): (Vec<(NameNo, RwLockWriteGuard<'_, Values>)>, _) = (Vec::new(), Places::default());
        for (series, labels) in new {
            for (place, label) in labels.iter().enumerate() {
                // Most have the names of the first.
                let likely = held.get(place).is_some_and(|(name, _)| *name == label.name).then_some(place);
                let found = likely.or_else(|| places.find(label.name, &held, |(name, _)| *name));
                if let Some((_, values)) = found.and_then(|found| held.get_mut(found)) {
                    values.add(label.value, series);
                } else if let Some(name) = by_number.get(label.name) {
                    let mut values = name.values.write();
                    values.add(label.value, series);
                    held.push((label.name, values));
                }
            }
        }
    }

    /// Takes `series` off these labels; a value that is left on no series is forgotten, and a name that is left with no value.
    pub(super) fn remove(&self, labels: &[LabelRef], series: SeriesNo) {
        let mut unused = Vec::new();
        let by_number = self.names.by_number();
        for label in labels {
            if let Some(name) = by_number.get(label.name) {
                let mut values = name.values.write();
                values.remove(label.value, series, name);
                values.report(&self.bytes);
                if values.is_empty() {
                    unused.push(Arc::clone(name));
                }
            }
        }
        drop(by_number);
        for name in unused {
            self.names.forget(&name);
        }
    }

    /// Calls `visit` with the number of the set, and name and text of each of its labels in order, `event_state` with the
    /// state of the set among them. Looks up names once for all sets; an empty set has nothing, nor a state.
    pub(super) fn texts_of(&self, sets: &[(&[LabelRef], &str)], visit: &mut dyn FnMut(usize, &str, &str)) {
        let mut numbers: Vec<NameNo> = sets.iter().flat_map(|(set, _)| set.iter().map(|label| label.name)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let by_number = self.names.by_number();
        let names: Vec<Arc<LabelName>> = numbers.iter().filter_map(|&number| by_number.get(number)).map(Arc::clone).collect();
        drop(by_number);
        let values: Vec<_> = names.iter().map(|name| name.values.read()).collect();
        for (set, (labels, state)) in sets.iter().enumerate() {
            let mut state = (!labels.is_empty()).then_some(*state);
            for label in *labels {
                let (name, value) = (label.name, label.value);
                let slot = numbers.partition_point(|&number| number < name);
                if let (Some(name), Some(value)) = (names.get(slot), values.get(slot).and_then(|values| values.rows.get(value))) {
                    if let Some(state) = state.take_if(|_| *name.name > *EVENT_STATE) {
                        visit(set, EVENT_STATE, state);
                    }
                    visit(set, &name.name, &value.text);
                }
            }
            if let Some(state) = state {
                visit(set, EVENT_STATE, state);
            }
        }
    }

    /// Calls `visit` with the names and texts of these labels.
    pub(super) fn texts(&self, labels: &[LabelRef], mut visit: impl FnMut(&str, &str)) {
        let by_number = self.names.by_number();
        for label in labels {
            if let Some(name) = by_number.get(label.name) {
                let values = name.values.read();
                if let Some(value) = values.rows.get(label.value) {
                    visit(&name.name, &value.text);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
