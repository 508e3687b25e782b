//! The bytes of the bodies of one sender, which are of an item of the memory account that all share.

use crate::account;
use crate::account::Account;
use crate::account::Item;
use crate::account::Taker;
use crate::http::error::ApiError;
use crate::http::server;

/// Bodies up to this size are not counted: they lie in the buffer of their connection, whose number is limited.
const FREE_BYTES: usize = 4 * 1024;

/// What the requests of a sender may take.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    account: Account,
    taker: Taker,
}

/// Bytes that are given back when dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    held: account::Lease,
    free: usize,
}

impl Budget {
    /// What this one may take of an account.
    pub(crate) fn new(account: Account, taker: Taker) -> Self {
        Self { account, taker }
    }

    /// A lease of nothing yet.
    pub(crate) fn lease(&self) -> Lease {
        Lease { held: self.account.open_for(Item::Bodies, self.taker), free: FREE_BYTES }
    }

    /// A lease of `bytes`; waits until they are there. More than the whole budget counts as the whole budget.
    pub(crate) async fn wait_for(&self, bytes: usize) -> Lease {
        let mut lease = Lease { free: 0, ..self.lease() };
        server::queued(lease.held.wait_long_to_grow(bytes)).await;
        lease
    }
}

impl Lease {
    /// Takes `bytes` more, or says that the server is busy.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), ApiError> {
        let free = bytes.min(self.free);
        self.held.grow(bytes - free)?;
        self.free -= free;
        Ok(())
    }

    /// Takes `bytes` more when they are there; says that the server is busy when that takes too long.
    pub(crate) async fn wait_to_grow(&mut self, bytes: usize) -> Result<(), ApiError> {
        let free = bytes.min(self.free);
        let (more, share) = (bytes - free, self.held.share());
        if self.held.bytes().saturating_add(more) > share {
            let message =
                format!("the body is larger than the {share} bytes of memory that all bodies may take (a share of --limit.memory)");
            return Err(ApiError::too_large(message));
        }
        server::queued(self.held.wait_to_grow(more)).await?;
        self.free -= free;
        Ok(())
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

    fn account(bodies: usize) -> Account {
        Account::new(bodies, Shares { bodies, ..Shares::divide(0) })
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_come_back() {
        let account = account(12 * 1024);
        let budget = Budget::new(account.clone(), Taker { organization: 1, sender: 2 });
        let mut small = Budget::new(account.clone(), Taker { organization: 2, sender: 1 }).lease();
        small.grow(FREE_BYTES).unwrap();
        assert_eq!(account.leased(Item::Bodies), 0);
        let mut large = budget.lease();
        large.grow(FREE_BYTES + 10 * 1024).unwrap();
        assert_eq!(account.leased(Item::Bodies), 10 * 1024);
        let error = small.grow(2049).unwrap_err();
        assert_eq!((error.status.as_u16(), error.reason, error.retry_after), (503, "memory", Some(5)));
        small.grow(2048).unwrap();
        assert_eq!(small.wait_to_grow(1).await.unwrap_err().message, error.message);
        assert_eq!(budget.lease().wait_to_grow(FREE_BYTES + 12 * 1024 + 1).await.unwrap_err().status, 413);

        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.wait_for(1_000_000).await.held.bytes() }
        });
        tokio::task::yield_now().await;
        drop(large);
        drop(small);
        assert_eq!(waiting.await.unwrap(), 12 * 1024);
        assert_eq!(account.leased(Item::Bodies), 0);
    }
}
