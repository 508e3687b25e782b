//! Leases of an item of the account: of all that there is, and of what each that takes of it may have.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;

use crate::account::Account;
use crate::account::Full;
use crate::account::Item;
use crate::account::UNIT;
use crate::account::Whose;
use crate::account::takers::Key;
use crate::account::takers::Taker;
use crate::account::units;

/// How long anybody waits for memory before being told that there is none.
const PATIENCE: Duration = Duration::from_secs(10);

/// Units that are held of something that has so many.
#[derive(Debug)]
struct Part {
    free: Arc<Semaphore>,
    whose: Whose,
    most: u32,
    held: Option<OwnedSemaphorePermit>,
}

impl Part {
    fn units(&self) -> u32 {
        self.held.as_ref().map_or(0, |held| u32::try_from(held.num_permits()).unwrap_or(u32::MAX))
    }

    /// How many are missing to so many; more than there are count as all.
    fn missing_to(&self, units: u32) -> u32 {
        units.min(self.most).saturating_sub(self.units())
    }

    fn hold(&mut self, more: OwnedSemaphorePermit) {
        match &mut self.held {
            Some(held) => held.merge(more),
            none => *none = Some(more),
        }
    }

    /// Holds so many, if they are there.
    fn grow_to(&mut self, units: u32) -> Option<()> {
        let missing = self.missing_to(units);
        if missing > 0 {
            self.hold(Arc::clone(&self.free).try_acquire_many_owned(missing).ok()?);
        }
        Some(())
    }

    /// Holds so many when they are there: who waits first is served first.
    async fn wait_to_grow_to(&mut self, units: u32) {
        let missing = self.missing_to(units);
        // It is never closed.
        if missing > 0
            && let Ok(more) = Arc::clone(&self.free).acquire_many_owned(missing).await
        {
            self.hold(more);
        }
    }

    fn shrink_to(&mut self, units: u32) {
        let spare = self.units().saturating_sub(units);
        if let Some(held) = &mut self.held {
            drop(held.split(spare as usize));
        }
    }
}

impl Account {
    /// A lease of nothing yet.
    pub fn open(&self, item: Item) -> Lease {
        Lease::new(self.clone(), item, None)
    }

    /// The same for one of many who take of an item, none of whom gets all of it.
    pub fn open_for(&self, item: Item, taker: Taker) -> Lease {
        Lease::new(self.clone(), item, Some(taker))
    }

    /// A lease of so many bytes, if they are there. What nobody shares of pages may take what is free of the first half of what all
    /// share, which needs no more than the other half.
    pub fn lease(&self, item: Item, bytes: usize) -> Result<Lease, Full> {
        let taken = |item| self.leased(item).saturating_add(bytes);
        let borrows = item == Item::PrivatePages
            && taken(Item::PrivatePages) > self.shares().private_pages
            && taken(Item::Pages) <= self.shares().pages / 2;
        let mut lease = self.open(if borrows { Item::Pages } else { item });
        lease.grow(bytes)?;
        Ok(lease)
    }
}

/// Of which one has what part.
fn parts(taker: Taker) -> [(Key, Whose, u32); 2] {
    [((taker.organization, Some(taker.sender)), Whose::Sender, 4), ((taker.organization, None), Whose::Organization, 2)]
}

/// Bytes of an item that are given back when this is dropped.
#[derive(Debug)]
pub struct Lease {
    account: Account,
    item: Item,
    taker: Option<Taker>,
    bytes: usize,
    /// Of the sender, of its organization and of the item, in the order in which they are taken; none while it holds nothing.
    parts: Vec<Part>,
}

impl Lease {
    /// Of nothing yet.
    fn new(account: Account, item: Item, taker: Option<Taker>) -> Self {
        Self { account, item, taker, bytes: 0, parts: Vec::new() }
    }

    /// How many bytes it is of.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The share of what it is a lease of.
    pub fn share(&self) -> usize {
        self.account.shares().of(self.item)
    }

    /// Takes so many bytes more, if they are there.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Full> {
        let all = self.bytes.saturating_add(bytes);
        let has_grown = self.grow_at_once(all);
        self.settle(all, has_grown)
    }

    /// The same, where nobody is refused for it; answers whether they were.
    pub fn grow_if_there(&mut self, bytes: usize) -> bool {
        let all = self.bytes.saturating_add(bytes);
        let has_grown = self.grow_at_once(all);
        if has_grown {
            self.grew_to(all);
        } else {
            self.shrink_to(self.bytes);
        }
        has_grown
    }

    fn grow_at_once(&mut self, all: usize) -> bool {
        self.begin(all);
        // What is beyond all that there is cannot be there.
        units(all) <= self.account.pool(self.item).most && self.parts.iter_mut().all(|part| part.grow_to(units(all)).is_some())
    }

    /// Takes so many bytes more when they are there, but does not wait for long. More than there is counts as all that there is.
    pub async fn wait_to_grow(&mut self, bytes: usize) -> Result<(), Full> {
        let all = self.bytes.saturating_add(bytes);
        let grown = tokio::time::timeout(PATIENCE, self.grow_when_there(all)).await;
        self.settle(all, grown.is_ok())
    }

    /// The same, however long it takes.
    pub async fn wait_long_to_grow(&mut self, bytes: usize) {
        let all = self.bytes.saturating_add(bytes);
        self.grow_when_there(all).await;
        self.grew_to(all);
    }

    async fn grow_when_there(&mut self, all: usize) {
        self.begin(all);
        for part in &mut self.parts {
            part.wait_to_grow_to(units(all)).await;
        }
    }

    /// Looks up of what it takes.
    fn begin(&mut self, all: usize) {
        if all == 0 || !self.parts.is_empty() {
            return;
        }
        let pool = self.account.pool(self.item);
        let of_taker = |(key, whose, part): (Key, Whose, u32)| {
            let most = (pool.most / part).max(1);
            Part { free: pool.takers.of(key, most), whose, most, held: None }
        };
        self.parts = self.taker.into_iter().flat_map(parts).map(of_taker).collect();
        self.parts.push(Part { free: Arc::clone(&pool.free), whose: Whose::All, most: pool.most, held: None });
    }

    fn settle(&mut self, all: usize, has_grown: bool) -> Result<(), Full> {
        if has_grown {
            self.grew_to(all);
            return Ok(());
        }
        let missing = self.parts.iter().find(|part| part.missing_to(units(all)) > 0).or(self.parts.last());
        let (whose, most) = missing.map_or((Whose::All, 0), |part| (part.whose, part.most));
        let full = Full { item: self.item, whose, share: most as usize * UNIT };
        self.shrink_to(self.bytes);
        self.account.pool(self.item).refused.fetch_add(1, Ordering::Relaxed);
        Err(full)
    }

    fn grew_to(&mut self, all: usize) {
        self.bytes = all.min(self.account.pool(self.item).most as usize * UNIT);
    }

    /// Gives back what is beyond so many bytes.
    pub fn shrink_to(&mut self, bytes: usize) {
        self.bytes = self.bytes.min(bytes);
        for part in &mut self.parts {
            part.shrink_to(units(self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Shares;
    use futures_util::FutureExt as _;

    fn account(bytes: usize) -> Account {
        Account::new(5 * bytes, Shares { bodies: bytes, commands: bytes, events: 10_000, ..Shares::divide(0) })
    }

    #[test]
    fn leases_grow_shrink_and_come_back() {
        let account = account(10 * UNIT);
        let mut lease = account.open(Item::Bodies);
        for (grow, held) in [(1, 1), (UNIT - 1, 1), (1, 2), (7 * UNIT, 9)] {
            lease.grow(grow).unwrap();
            assert_eq!(account.leased(Item::Bodies), held * UNIT);
        }
        let full = lease.grow(2 * UNIT).unwrap_err();
        assert_eq!(full.to_string(), "busy: bodies take all of their 10240 bytes of memory, a share of --limit.memory");
        assert_eq!((lease.bytes(), account.leased(Item::Bodies), account.refused(Item::Bodies)), (8 * UNIT + 1, 9 * UNIT, 1));
        assert!(account.lease(Item::Commands, 10 * UNIT).is_ok(), "each item has its own");
        lease.shrink_to(100);
        lease.shrink_to(5000);
        assert_eq!((lease.bytes(), account.leased(Item::Bodies)), (100, UNIT));
        drop(lease);
        assert_eq!(account.leased(Item::Bodies), 0);
    }

    #[tokio::test]
    async fn who_waits_first_is_served_first() {
        let account = account(10 * UNIT);
        let mut held = account.open(Item::Commands);
        held.wait_to_grow(99 * UNIT).await.unwrap();
        assert_eq!(held.bytes(), 10 * UNIT);
        let wait = |bytes| {
            let account = account.clone();
            tokio::spawn(async move {
                let mut lease = account.open(Item::Commands);
                lease.wait_long_to_grow(bytes).await;
                lease
            })
        };
        let large = wait(10 * UNIT);
        tokio::task::yield_now().await;
        let small = wait(UNIT);
        tokio::task::yield_now().await;
        drop(held);
        let large = large.await.unwrap();
        assert!(!small.is_finished(), "it overtook");
        assert!(account.lease(Item::Commands, 1).is_err(), "nor does who does not wait");
        drop(large);
        assert_eq!(small.await.unwrap().bytes(), UNIT);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_takes_leaves_room_for_others() {
        let account = account(16 * UNIT);
        let of = |organization, sender, units: usize| {
            let mut lease = account.open_for(Item::Bodies, Taker { organization, sender });
            async move { lease.wait_to_grow(units * UNIT).await.map(|()| lease) }
        };
        let first = of(1, 1, 3).await.unwrap();
        let full = of(1, 1, 2).await.unwrap_err();
        assert_eq!(full.to_string(), "busy: bodies of this sender take all of their 4096 bytes of memory, a share of --limit.memory");
        let second = of(1, 1, 1).await.unwrap();
        let third = of(1, 2, 4).await.unwrap();
        assert_eq!(of(1, 3, 1).await.map(drop), Err(Full { item: Item::Bodies, whose: Whose::Organization, share: 8 * UNIT }));
        let other = of(2, 1, 8).await.unwrap();
        assert_eq!(account.leased(Item::Bodies), 16 * UNIT, "what is larger than a quarter is one alone");
        assert!(of(3, 1, 1).await.is_err(), "all of it is taken");
        drop((first, second));
        let again = of(1, 1, 4).await.unwrap();
        let mut waiting = Box::pin(of(1, 1, 1));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(again);
        assert!(waiting.await.is_ok());
        drop((third, other));
        assert_eq!(account.leased(Item::Bodies), 0);
        for sender in 0..1000 {
            drop(of(4, sender, 1).await.unwrap());
        }
        assert!(account.pool(Item::Bodies).takers.known() < 100, "who takes nothing is forgotten");
    }

    #[test]
    fn what_does_not_fit_takes_nothing() {
        let account = account(16 * UNIT);
        let taker = Taker { organization: 1, sender: 1 };
        let mut held = account.open_for(Item::Bodies, Taker { organization: 2, sender: 1 });
        held.grow(14 * UNIT).unwrap();
        let mut lease = account.open_for(Item::Bodies, taker);
        assert!(lease.grow(3 * UNIT).is_err());
        let mut all = account.open_for(Item::Bodies, taker);
        all.grow(2 * UNIT).unwrap();
        assert!(all.grow(UNIT).is_err());
        drop(held);
        lease.grow(2 * UNIT).unwrap();
        assert!(lease.grow(UNIT).is_err(), "of the quarter");
        all.shrink_to(0);
        lease.grow(2 * UNIT).unwrap();
        assert!(lease.grow(13 * UNIT).is_err(), "more than there is");
        assert_eq!((lease.bytes(), account.leased(Item::Bodies)), (4 * UNIT, 4 * UNIT));
    }
}
