//! What the log is folded into, as readers have it.

use crate::exposition::Pages;
use crate::store::Store;
use std::sync::Arc;
use std::time::Duration;

/// What the writer folds the log into.
#[derive(Clone, Debug)]
pub struct Memory {
    /// Events.
    pub store: Arc<Store>,
    /// Which sample is on a page when.
    pub pages: Arc<Pages>,
}

impl Memory {
    /// Empties it for a log whose stops have this skew, where their records say nothing else.
    pub(super) fn begin(&self, skew: Duration) {
        self.store.begin(skew);
        self.pages.begin();
    }
}
