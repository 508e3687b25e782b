//! What the labels of a core's series take of memory.

use crate::store::sizes::allocated;

/// What the labels of all series take.
#[derive(Debug, Default)]
pub(super) struct LabelBytes {
    pub(super) allocated: usize,
    pub(super) count: usize,
}

impl LabelBytes {
    /// So many labels of a series came, each of so many bytes.
    pub(super) fn add(&mut self, labels: usize, bytes: usize) {
        self.allocated += allocated(labels * bytes);
        self.count += labels;
    }

    /// So many went.
    pub(super) fn remove(&mut self, labels: usize, bytes: usize) {
        self.allocated -= allocated(labels * bytes);
        self.count -= labels;
    }
}
