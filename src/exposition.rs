//! Which sample is on a page when. Placeholder of the seam until `exposition/` lands; delete this file then.

use crate::store::AppliedEdge;
use crate::store::SeriesId;
use crate::store::Tenant;
use crate::time::Timestamp;

/// What shapes the pages.
#[derive(Clone, Debug, Default)]
pub struct Options {}

/// The second fold of the log.
#[derive(Debug)]
pub struct Pages {}

/// What becomes of a sample on a page without a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// It is on the page.
    Shown,
}

impl Pages {
    /// Empty pages.
    pub fn new(_options: Options) -> Self {
        Self {}
    }

    /// Folds a sample in.
    pub fn apply(&self, _received: Timestamp, _edge: &AppliedEdge) -> Exposure {
        Exposure::Shown
    }

    /// Whether a sample is still to be shown.
    pub fn is_due(&self, _tenant: &Tenant, _series: SeriesId, _at: Timestamp) -> bool {
        false
    }
}
