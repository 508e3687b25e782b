//! Who does something comes one after the other within this process, by what it is done to.

use tokio::sync::Mutex;
use tokio::sync::MutexGuard;

use crate::event::fingerprint;

/// Different things share a turn now and then, so whoever has one takes no other of the same.
#[derive(Debug)]
pub(crate) struct Turns([Mutex<()>; 64]);

impl Default for Turns {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::new(())))
    }
}

impl Turns {
    /// Waits for one's turn at what these texts name, and has it until the guard goes.
    pub(crate) async fn take(&self, what: [&str; 2]) -> MutexGuard<'_, ()> {
        let hash = fingerprint(what.map(str::as_bytes));
        let count = self.0.len() as u128;
        #[expect(clippy::indexing_slicing, reason = "a remainder of the length")]
        self.0[(hash % count) as usize].lock().await
    }
}
