//! Starts whose names say that something is over: from the first of a name on, what has that name pairs with itself alone. A
//! function of the edges that are there, so it ends with the last of them.

use super::number::EdgeNo;
use super::sizes::allocated;
use super::sizes::tree;
use crate::event::Edge;
use crate::event::EdgeState;
use crate::words::ends;
use crate::words::ends::End;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The name of a start that says that something is over.
pub(crate) fn odd_name(edge: &Edge) -> Option<&str> {
    let name = (edge.state == EdgeState::Start).then(|| edge.labels.event_name())?;
    matches!(ends::of(name), Some((_, End::Finishing))).then_some(name)
}

#[derive(Debug, Default)]
pub(super) struct OddStarts {
    names: BTreeMap<EdgeNo, Arc<str>>,
    counts: BTreeMap<Arc<str>, usize>,
}

impl OddStarts {
    pub(super) fn insert(&mut self, edge: EdgeNo, name: &str) {
        let name = match self.counts.get_key_value(name) {
            Some((name, _)) => Arc::clone(name),
            None => name.into(),
        };
        if self.names.insert(edge, Arc::clone(&name)).is_none() {
            *self.counts.entry(name).or_default() += 1;
        }
    }

    pub(super) fn remove(&mut self, edge: EdgeNo) {
        let Some(name) = self.names.remove(&edge) else { return };
        if let Some(count) = self.counts.get_mut(&name) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&name);
            }
        }
    }

    /// Whether there is one of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.counts.contains_key(name)
    }

    /// What they take; a name is taken to be of some length.
    pub(super) fn bytes(&self) -> usize {
        let names = self.counts.len() * allocated(64);
        tree(self.names.len(), size_of::<(EdgeNo, Arc<str>)>()) + tree(self.counts.len(), size_of::<(Arc<str>, usize)>()) + names
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::number::Number as _;

    #[test]
    fn a_name_is_there_until_its_last_start_went() {
        let [one, other] = [1, 2].map(|number| EdgeNo::from_index(number).unwrap());
        let mut odd = OddStarts::default();
        odd.insert(one, "job_done");
        odd.insert(other, "job_done");
        odd.insert(other, "job_done");
        for (gone, has) in [(one, true), (one, true), (other, false)] {
            odd.remove(gone);
            assert_eq!(odd.has("job_done"), has, "{gone:?}");
        }
        assert_eq!(odd.bytes(), OddStarts::default().bytes());
    }
}
