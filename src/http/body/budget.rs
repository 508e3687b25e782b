//! The bytes of the bodies of one sender, which are of an item of the memory account that all share.

use crate::account;
use crate::account::Account;
use crate::account::Item;
use crate::account::Taker;
use crate::http::error::ApiError;
use crate::http::server;

/// Bodies up to this size are not counted: they lie in the buffer of their connection, whose number is limited.
pub(super) const FREE_BYTES: usize = 4 * 1024;
/// Bodies up to this size have memory of their own: single events do not wait for arrays.
pub(super) const SMALL_BYTES: usize = 64 * 1024;

/// What the requests of a sender may take.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    account: Account,
    taker: Taker,
}

/// Bytes that are given back when dropped.
#[derive(Debug)]
pub(crate) struct Lease(Option<account::Lease>);

impl Budget {
    /// What this one may take of an account.
    pub(crate) fn new(account: Account, taker: Taker) -> Self {
        Self { account, taker }
    }

    /// Bytes that all bodies may take.
    pub(crate) fn share(&self) -> usize {
        self.account.shares().bodies
    }

    /// Whether a body of so many bytes is of those that have memory of their own.
    pub(crate) fn is_small(&self, bytes: usize) -> bool {
        bytes <= SMALL_BYTES && SMALL_BYTES <= self.account.shares().small_bodies
    }

    /// For a body that takes so many bytes at most; waits until they are there, and says that the server is busy when that takes too
    /// long. All of them are taken at once: of those who take some and then wait for more, none might ever get it.
    pub(crate) async fn take(&self, most: usize) -> Result<Lease, ApiError> {
        if most <= FREE_BYTES {
            return Ok(Lease(None));
        }
        let item = if self.is_small(most) { Item::SmallBodies } else { Item::Bodies };
        let mut held = self.account.open_for(item, self.taker);
        server::queued(held.wait_to_grow(most)).await?;
        Ok(Lease(Some(held)))
    }

    /// The same, however long it takes.
    pub(crate) async fn wait_for(&self, bytes: usize) -> Lease {
        let mut held = self.account.open_for(Item::Bodies, self.taker);
        server::queued(held.wait_long_to_grow(bytes)).await;
        Lease(Some(held))
    }
}

impl Lease {
    /// Gives back what is beyond so many bytes.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        if let Some(held) = &mut self.0 {
            held.shrink_to(bytes);
        }
    }
}

impl From<account::Full> for ApiError {
    fn from(full: account::Full) -> Self {
        Self::unavailable("memory", full.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Shares;

    #[tokio::test(start_paused = true)]
    async fn bytes_come_back() {
        let account = Account::new(80 * 1024, Shares { bodies: 80 * 1024, small_bodies: 64 * 1024, ..Shares::divide(0) });
        let of = |sender| Budget::new(account.clone(), Taker { organization: sender, sender });
        let leased = || (account.leased(Item::Bodies) >> 10, account.leased(Item::SmallBodies) >> 10);
        let free = of(1).take(FREE_BYTES).await.unwrap();
        assert_eq!(leased(), (0, 0));
        let large = of(1).take(80 * 1024).await.unwrap();
        let small = of(1).take(16 * 1024).await.unwrap();
        assert_eq!(leased(), (80, 16), "what is small does not wait for what is large");
        let error = of(2).take(65 * 1024).await.unwrap_err();
        assert_eq!((error.status.as_u16(), error.reason, error.retry_after), (503, "memory", Some(5)));
        assert!(of(1).take(5 * 1024).await.is_err(), "of what is small too a sender has a quarter");
        let mut second = of(2).take(10 * 1024).await.unwrap();
        second.shrink_to(100);
        assert_eq!(leased(), (80, 17));
        let waiting = tokio::spawn({
            let budget = of(2);
            async move { budget.wait_for(1_000_000).await }
        });
        tokio::task::yield_now().await;
        drop((free, large, small, second));
        let all = waiting.await.unwrap();
        assert_eq!(leased(), (80, 0));
        drop(all);
        assert_eq!(leased(), (0, 0));
    }
}
