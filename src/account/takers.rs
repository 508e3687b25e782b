//! Who takes of an item of the account, and what is free of what each of them may have.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::Weak;

use parking_lot::Mutex;
use tokio::sync::Semaphore;

/// Who takes of an item: of all that there is an organization has at most half, and one sender a quarter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taker {
    /// By a hash of its name.
    pub organization: u64,
    /// The same of a token, or an address.
    pub sender: u64,
}

/// An organization, or one of its senders.
pub(super) type Key = (u64, Option<u64>);

/// What each that takes of an item may still take. Who takes nothing is forgotten.
#[derive(Default)]
pub(super) struct Takers(Mutex<Known>);

#[derive(Default)]
struct Known {
    free: HashMap<Key, Weak<Semaphore>>,
    /// When so many are known, those are looked for who take nothing any more.
    swept_at: usize,
}

impl fmt::Debug for Takers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Takers({})", self.0.lock().free.len())
    }
}

impl Takers {
    /// What is free of what it may have at most.
    pub(super) fn of(&self, key: Key, most: u32) -> Arc<Semaphore> {
        const FEW: usize = 64;
        let mut known = self.0.lock();
        if let Some(free) = known.free.get(&key).and_then(Weak::upgrade) {
            return free;
        }
        if known.free.len() >= known.swept_at {
            known.free.retain(|_, free| free.strong_count() > 0);
            known.swept_at = FEW + 2 * known.free.len();
        }
        let free = Arc::new(Semaphore::new(most as usize));
        known.free.insert(key, Arc::downgrade(&free));
        free
    }

    /// How many are known.
    #[cfg(test)]
    pub(super) fn known(&self) -> usize {
        self.0.lock().free.len()
    }
}
