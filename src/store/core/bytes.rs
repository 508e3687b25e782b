//! What a core takes of memory.

use super::Core;
use super::EdgeKey;
use crate::store::number::EdgeNo;
use crate::store::sizes::lists;
use crate::store::sizes::tree;

impl Core {
    /// In bytes; takes a moment, however much there is. Of what is past, whoever has some is taken to have a few.
    pub(in crate::store) fn bytes(&self) -> usize {
        let Self { edges, by_edge, identities, by_identity, series, by_series, arrivals, values, attributes, past, replaced, .. } = self;
        let rows = edges.bytes() + identities.bytes() + series.bytes();
        let tables = by_edge.bytes() + by_identity.bytes() + by_series.bytes();
        let count = arrivals.len();
        // Each edge is in the list of its identity, in that of its series, and if it begins an event in that of all.
        let in_lists = lists(count, by_identity.len()) + lists(count, by_series.len()) + self.by_time.len() * 6;
        // Most series are in the set of one end, with a bit, and in those of their labels that others have, with two bytes.
        let labels = self.label_bytes.allocated + self.label_bytes.count * 2 + series.len() / 4;
        let some = tree(values.len(), 12) + tree(self.renewed.len(), 12) + tree(self.deleted_by.len(), 28);
        let past = tree(past.len(), 28) + past.len() * tree(1, size_of::<(EdgeKey, EdgeNo)>()) + tree(replaced.len(), 8);
        let derived = self.skews.bytes() + self.odd.bytes() + self.open.bytes() + self.details.bytes() + self.groups.bytes();
        rows + tables + in_lists + labels + arrivals.bytes() + some + attributes.bytes() + past + derived
    }
}
