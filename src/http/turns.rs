//! Who does something comes one after the other within this process, by what it is done to.

use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::Mutex;
use tokio::sync::OwnedMutexGuard;

use crate::event::fingerprint;

/// Of each thing that somebody does something to, whose turn it is. Nobody waits for who has to do with another thing.
#[derive(Debug, Default)]
pub(crate) struct Turns(DashMap<u128, Arc<Mutex<()>>>);

/// A turn, until it goes.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    what: u128,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits for one's turn at what these texts name: an organization, and something of it.
    pub(crate) async fn take(&self, what: [&str; 2]) -> Turn<'_> {
        let what = fingerprint(what.map(str::as_bytes));
        let mut turn = Turn { turns: self, what, guard: None };
        let place = Arc::clone(&self.0.entry(what).or_default());
        turn.guard = Some(place.lock_owned().await);
        turn
    }
}

/// Also where somebody waits no longer.
impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.guard = None;
        // Whoever has it, or waits, has a share; those come to it behind this lock only.
        self.turns.0.remove_if(&self.what, |_, place| Arc::strong_count(place) == 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use std::time::Duration;

    #[tokio::test]
    async fn a_turn_is_of_one_thing_and_leaves_nothing() {
        let turns = Turns::default();
        let first = turns.take(["a", "1"]).await;
        let mut next = Box::pin(turns.take(["a", "1"]));
        assert!(next.as_mut().now_or_never().is_none(), "it is another one's turn");
        let gone = Box::pin(turns.take(["a", "1"]));
        drop(gone);
        let others = async {
            for number in 2..1000 {
                drop(turns.take(["a", &number.to_string()]).await);
            }
        };
        tokio::time::timeout(Duration::from_secs(10), others).await.unwrap();
        assert_eq!(turns.0.len(), 1);
        drop(first);
        drop(next.await);
        assert!(turns.0.is_empty());
    }
}
