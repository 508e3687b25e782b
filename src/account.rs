//! Who may have how much memory: an account that lends bytes and takes them back.
//!
//! What is lent is given back when the [`Lease`] is dropped. Not an allocator: whoever borrows says how much it is.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

/// What memory is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// Blocks of pages that all scrapers share.
    Pages,
    /// Blocks of pages that hardly anybody shares; at most half of what pages may have, so that these never crowd out the others.
    PrivatePages,
}

/// The memory that can be lent.
#[derive(Debug)]
pub struct Account {
    limit: usize,
    lent: Arc<[AtomicUsize; 2]>,
}

/// Bytes that were lent.
#[derive(Debug)]
pub struct Lease {
    item: Item,
    bytes: usize,
    lent: Arc<[AtomicUsize; 2]>,
}

/// There is no room for so much more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Account {
    /// So many bytes for pages.
    pub fn new(limit: usize) -> Self {
        Self { limit, lent: Arc::default() }
    }

    /// Lends so many bytes until the lease is dropped.
    pub fn lease(&self, item: Item, bytes: usize) -> Result<Lease, Full> {
        let lease = Lease { item, bytes, lent: Arc::clone(&self.lent) };
        let [pages, private] = &*self.lent;
        let of_item = item.of(&self.lent).fetch_add(bytes, Ordering::AcqRel).saturating_add(bytes);
        let all = pages.load(Ordering::Acquire).saturating_add(private.load(Ordering::Acquire));
        let is_full = all > self.limit || item == Item::PrivatePages && of_item > self.limit / 2;
        if is_full { Err(Full) } else { Ok(lease) }
    }

    /// How many bytes are lent.
    pub fn lent(&self) -> usize {
        self.lent.iter().map(|lent| lent.load(Ordering::Acquire)).sum()
    }
}

impl Default for Account {
    /// All that anybody asks for.
    fn default() -> Self {
        Self::new(usize::MAX)
    }
}

impl Item {
    fn of(self, [pages, private]: &[AtomicUsize; 2]) -> &AtomicUsize {
        match self {
            Self::Pages => pages,
            Self::PrivatePages => private,
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.item.of(&self.lent).fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lends_what_there_is_and_takes_it_back() {
        let account = Account::new(100);
        let lease = |item, bytes| account.lease(item, bytes);
        assert_eq!(lease(Item::Pages, 101).err(), Some(Full));
        let first = lease(Item::Pages, 60).unwrap();
        assert_eq!((lease(Item::Pages, 41).err(), lease(Item::PrivatePages, 41).err()), (Some(Full), Some(Full)));
        let second = lease(Item::PrivatePages, 40).unwrap();
        assert_eq!(account.lent(), 100);
        drop(first);
        assert_eq!((lease(Item::PrivatePages, 11).err(), account.lent()), (Some(Full), 40));
        drop((lease(Item::PrivatePages, 10).unwrap(), lease(Item::Pages, 50).unwrap(), second));
        assert_eq!(account.lent(), 0);
        assert!(Account::default().lease(Item::PrivatePages, 1 << 40).is_ok());
    }
}
