//! What the label index takes of memory, and which texts it has.

use super::LabelIndex;
use super::LabelName;
use super::name::Values;
use crate::store::sizes::Sum;

/// A name, in all tables, without its values.
const NAME_BYTES: usize = 512;

impl LabelIndex {
    /// The bytes that names and values take.
    pub(in crate::store) fn bytes(&self) -> usize {
        self.bytes.bytes() + self.names() * NAME_BYTES
    }
}

impl LabelName {
    /// Whether it has this value.
    pub(in crate::store) fn has(&self, value: &str) -> bool {
        self.values.read().postings(value).is_some()
    }
}

impl Values {
    /// Tells what they take now; none is about to take nothing.
    pub(super) fn report(&mut self, sum: &Sum) {
        let anew = || self.anew.as_ref().map_or(0, |anew| anew.sorted.bytes());
        let all = || self.rows.bytes() + self.by_text.bytes() + self.sorted.bytes() + anew() + self.text_bytes;
        let now = if self.is_empty() { 0 } else { all() };
        sum.report(std::mem::replace(&mut self.reported, now), now);
    }
}
