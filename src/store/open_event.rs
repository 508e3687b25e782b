//! An event that is open, or will be, as the tables of these know it.

use super::ClusterId;
use super::by_time::TimeKey;
use super::number::EdgeNo;
use super::number::SeriesNo;

/// An open event by its first start.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenEvent {
    pub(super) edge: EdgeNo,
    pub(super) key: TimeKey,
    pub(super) cluster: ClusterId,
    pub(super) series: SeriesNo,
    /// Identity rule 4: it leaves the gauge with age.
    pub(super) lapses: bool,
}

impl OpenEvent {
    /// Whether it says when it began. Earlier builds took the time that stands for none.
    pub(super) fn is_dated(&self) -> bool {
        !self.key.0.is_zero_time()
    }
}
