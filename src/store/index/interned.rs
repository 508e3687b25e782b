//! Label sets as references to names and values, made before a tenant's lock is taken and without it.

use super::LabelIndex;
use super::LabelName;
use super::LabelRef;
use super::places::Places;
use crate::labels::LabelSet;
use crate::store::Refusal;
use crate::store::admission::FULL;
use crate::store::admission::FULL_OF_NAMES;
use crate::store::number::SeriesNo;
use std::ops::Range;
use std::sync::Arc;

/// The references of some label sets. What they refer to is neither forgotten nor replaced as long as this is there, whatever
/// is retired meanwhile; what is on no series when it goes is forgotten then.
#[derive(Debug)]
pub(in crate::store) struct Interned<'i> {
    index: &'i LabelIndex,
    /// Names that are pinned, each once.
    pinned: Vec<Arc<LabelName>>,
    /// The references of all sets.
    refs: Vec<LabelRef>,
    /// Where those of each set are.
    sets: Vec<Range<usize>>,
}

/// The values that some sets have of one name.
struct Column<'l> {
    name: &'l str,
    /// Each with the place of its reference.
    values: Vec<(usize, &'l str)>,
}

impl LabelIndex {
    /// The references of these sets, made where they are new. Refused, and none is made, when there would be more than 65536
    /// names, or too many values.
    ///
    /// Each label's values are locked once for all sets, and nothing else meanwhile.
    pub(in crate::store) fn intern<'l>(&self, sets: impl Iterator<Item = &'l LabelSet>) -> Result<Interned<'_>, Refusal> {
        let mut interned = Interned { index: self, pinned: Vec::new(), refs: Vec::new(), sets: Vec::new() };
        let mut columns: Vec<Column<'l>> = Vec::new();
        let mut places = Places::default();
        let mut count = 0;
        for set in sets {
            let begin = count;
            for (place, (name, value)) in set.iter().enumerate() {
                // Most sets have the names of the first.
                let is_it = |column: &Column<'_>| *column.name == *name;
                let likely = columns.get(place).is_some_and(is_it).then_some(place);
                let found = likely.or_else(|| places.find(name, &columns, |column| column.name));
                match found.and_then(|found| columns.get_mut(found)) {
                    Some(column) => column.values.push((count, value)),
                    None => columns.push(Column { name, values: vec![(count, value)] }),
                }
                count += 1;
            }
            interned.sets.push(begin..count);
        }
        interned.refs.resize(count, LabelRef::NONE);
        columns.iter().try_for_each(|column| interned.fill(column))?;
        Ok(interned)
    }

    /// Notes who brought a name; see `LabelNames::note_sender`.
    pub(in crate::store) fn note_sender(&self, name: &str, sender: u64) {
        self.names.note_sender(name, sender);
    }

    /// How many of the names a sender brought since the start.
    pub(in crate::store) fn names_of(&self, sender: u64) -> usize {
        self.names.brought_by(sender)
    }

    /// The labels as series have them, if each is there.
    pub(in crate::store) fn references(&self, labels: &LabelSet) -> Option<Vec<LabelRef>> {
        let reference = |(name, text): (&str, &str)| {
            let label = self.names.get(name)?;
            let values = label.values.read();
            let value = values.find(values.seed.hash(text), text)?;
            Some(LabelRef { name: label.number, value })
        };
        labels.iter().map(reference).collect()
    }
}

impl LabelName {
    /// The first series that have it with this value, so many at most.
    pub(in crate::store) fn first_with(&self, value: &str, most: usize) -> Vec<SeriesNo> {
        self.values.read().postings(value).map_or_else(Vec::new, |series| series.first(most))
    }

    /// Says who brought it; whether nobody was known to have.
    pub(in crate::store) fn note_sender(&self, sender: u64) -> bool {
        self.sender.set(sender).is_ok()
    }

    /// Who brought it, if that is known.
    pub(in crate::store) fn sender(&self) -> Option<u64> {
        self.sender.get().copied()
    }
}

impl Interned<'_> {
    /// The references of set number `set`, in its order; `None` when there are not so many sets.
    pub(in crate::store) fn labels(&self, set: usize) -> Option<&[LabelRef]> {
        self.sets.get(set).and_then(|range| self.refs.get(range.clone()))
    }

    fn fill(&mut self, column: &Column<'_>) -> Result<(), Refusal> {
        loop {
            let label = match self.index.names.get(column.name) {
                Some(label) => label,
                None => self.index.names.add(column.name).ok_or(FULL_OF_NAMES)?,
            };
            let mut values = label.values.write();
            if values.forgotten {
                // In between; it has no values, and the next of its name is another one.
                continue;
            }
            label.pin();
            self.pinned.push(Arc::clone(&label));
            for (place, text) in &column.values {
                let value = values.intern(text, &label).ok_or(FULL)?;
                if let Some(reference) = self.refs.get_mut(*place) {
                    *reference = LabelRef { name: label.number, value };
                }
            }
            values.report(&self.index.bytes);
            return Ok(());
        }
    }
}

impl Drop for Interned<'_> {
    fn drop(&mut self) {
        for label in &self.pinned {
            if label.unpin(&self.index.bytes) {
                self.index.names.forget(label);
            }
        }
    }
}
