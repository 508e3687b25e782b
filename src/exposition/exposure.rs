//! What becomes of samples: of each what its sender is told, and of those that no plain page shows how many there are.

use crate::time::Timestamp;

/// What becomes of an applied sample on pages without a window; what the sender is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// It is on the page.
    Shown,
    /// It waits for its predecessor's hold, or for the pace.
    Queued {
        /// When it will be on the page.
        until: Timestamp,
    },
    /// It lies in the future.
    Scheduled {
        /// When it will be on the page.
        at: Timestamp,
    },
    /// A newer heartbeat that waits stands for it.
    Coalesced,
    /// Its series has shown a newer one. Only a page with a window shows it.
    Late,
    /// Its place would come after its age limit. Only a page with a window shows it.
    Old,
    /// Its series has another sample of the same millisecond.
    Duplicate,
    /// Too many samples of its series wait.
    Crowded,
}

/// What never came onto a plain page, each by one reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) coalesced: u64,
    pub(super) late: u64,
    pub(super) old: u64,
    pub(super) duplicate: u64,
    pub(super) crowded: u64,
    /// Late or old, and not on a page with a window either.
    pub(super) beyond: u64,
}
