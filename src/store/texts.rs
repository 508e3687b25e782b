//! Texts that few edges have, by edge.

use super::number::EdgeNo;
use super::sizes::allocated;
use super::sizes::tree;
use std::collections::BTreeMap;

/// Texts, and how much they take.
#[derive(Debug, Default)]
pub(super) struct Texts {
    by_edge: BTreeMap<EdgeNo, Box<str>>,
    bytes: usize,
}

impl Texts {
    pub(super) fn get(&self, edge: EdgeNo) -> Option<&str> {
        self.by_edge.get(&edge).map(|text| &**text)
    }

    /// Sets the text of an edge.
    pub(super) fn insert(&mut self, edge: EdgeNo, text: Box<str>) {
        self.bytes += allocated(text.len());
        let before = self.by_edge.insert(edge, text);
        self.bytes -= before.map_or(0, |before| allocated(before.len()));
    }

    pub(super) fn remove(&mut self, edge: EdgeNo) {
        let before = self.by_edge.remove(&edge);
        self.bytes -= before.map_or(0, |before| allocated(before.len()));
    }

    /// The bytes that they take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + tree(self.by_edge.len(), 20)
    }

    /// All of them.
    #[cfg(test)]
    pub(super) fn state(&self) -> &BTreeMap<EdgeNo, Box<str>> {
        &self.by_edge
    }
}
