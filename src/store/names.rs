//! The label names of a tenant, by text and by number: there are as many as have values, and the number of one that has
//! none left is used again.
//!
//! A number means a name as long as a series with that label is there, which whoever reads a series' labels makes sure of by
//! the tenant's lock, or as long as the name is pinned; a reader that holds the name itself finds it empty then.

use super::index::LabelName;
use super::index::NameNo;
use super::seed::Seed;
use dashmap::DashMap;
use hashbrown::DefaultHashBuilder;
use parking_lot::RwLock;
use parking_lot::RwLockReadGuard;
use std::collections::HashMap;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct LabelNames {
    seed: Seed,
    by_text: DashMap<Box<str>, Arc<LabelName>, DefaultHashBuilder>,
    by_number: RwLock<Numbers>,
}

/// Names by number.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    names: Vec<Option<Arc<LabelName>>>,
    free: Vec<NameNo>,
    /// How many of them each sender brought, as far as that is known: since the start.
    brought: HashMap<u64, usize>,
}

impl LabelNames {
    pub(super) fn new(seed: Seed) -> Self {
        Self { seed, by_text: DashMap::default(), by_number: RwLock::default() }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_text.len()
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.by_text.contains_key(name)
    }

    pub(super) fn get(&self, name: &str) -> Option<Arc<LabelName>> {
        self.by_text.get(name).map(|entry| Arc::clone(entry.value()))
    }

    /// Notes who brought a name, if it is there and nobody is known to have.
    pub(super) fn note_sender(&self, name: &str, sender: u64) {
        let mut by_number = self.by_number.write();
        if self.get(name).is_some_and(|label| label.note_sender(sender)) {
            *by_number.brought.entry(sender).or_default() += 1;
        }
    }

    /// How many of those that are there a sender brought since the start.
    pub(super) fn brought_by(&self, sender: u64) -> usize {
        self.by_number.read().brought.get(&sender).copied().unwrap_or(0)
    }

    /// All by number; no name comes or goes meanwhile.
    pub(super) fn by_number(&self) -> RwLockReadGuard<'_, Numbers> {
        self.by_number.read()
    }

    /// Adds a name if it is not there. `None` when all numbers are taken.
    pub(super) fn add(&self, name: &str) -> Option<Arc<LabelName>> {
        let mut by_number = self.by_number.write();
        if let Some(known) = self.get(name) {
            return Some(known);
        }
        let number = match by_number.free.pop() {
            Some(free) => free,
            None => NameNo(u16::try_from(by_number.names.len()).ok()?),
        };
        let label = Arc::new(LabelName::new(number, name, self.seed.clone()));
        match by_number.names.get_mut(usize::from(number.0)) {
            Some(place) => *place = Some(Arc::clone(&label)),
            None => by_number.names.push(Some(Arc::clone(&label))),
        }
        self.by_text.insert(name.into(), Arc::clone(&label));
        Some(label)
    }

    /// Forgets a name if it has no values and is not pinned.
    pub(super) fn forget(&self, label: &LabelName) {
        let mut by_number = self.by_number.write();
        if !label.forget() {
            return;
        }
        if let Some(place) = by_number.names.get_mut(usize::from(label.number.0))
            && place.take().is_some()
        {
            by_number.free.push(label.number);
            by_number.goes(label);
            self.by_text.remove(&label.name);
        }
    }
}

impl Numbers {
    pub(super) fn get(&self, number: NameNo) -> Option<&Arc<LabelName>> {
        self.names.get(usize::from(number.0))?.as_ref()
    }

    fn goes(&mut self, label: &LabelName) {
        let Some(sender) = label.sender() else { return };
        let left = self.brought.get(&sender).map_or(0, |count| count.saturating_sub(1));
        if left == 0 {
            self.brought.remove(&sender);
        } else {
            self.brought.insert(sender, left);
        }
    }
}
