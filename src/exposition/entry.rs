//! A line of a page before it is text: which series, since when, and what it says.

use crate::store::SeriesId;
use crate::time::Timestamp;

/// A line to be: of an edge, or of an open gauge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) series: SeriesId,
    /// When the sample's place began; of an open gauge the beginning of time.
    pub(super) exposed: Timestamp,
    pub(super) at: Timestamp,
    pub(super) value: f64,
}

impl Entry {
    /// What it shares with no other sample that ever was on a page of this family.
    pub(super) fn place(&self) -> (SeriesId, Timestamp, Timestamp) {
        (self.series, self.exposed, self.at)
    }
}
