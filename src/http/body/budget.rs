//! The bytes of all request bodies together (`--limit.bytes-in-flight`).

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;

use crate::http::error::ApiError;

/// Bodies up to this size are not counted: they lie in the buffer of their connection, whose number is limited.
const FREE_BYTES: usize = 4 * 1024;

/// A number of bytes that requests share.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    most: usize,
    used: AtomicUsize,
    shown: Gauge,
    freed: Notify,
}

impl Budget {
    /// A budget of `most` bytes, whose use is shown by a gauge.
    pub(crate) fn new(most: usize, shown: Gauge) -> Self {
        Self(Arc::new(Shared { most, used: AtomicUsize::new(0), shown, freed: Notify::new() }))
    }

    /// A lease of nothing yet.
    pub(crate) fn lease(&self) -> Lease {
        Lease { budget: self.clone(), bytes: 0, free: FREE_BYTES }
    }

    /// A lease of `bytes`; waits until they are there. More than the whole budget counts as the whole budget.
    pub(crate) async fn wait_for(&self, bytes: usize) -> Lease {
        let mut lease = Lease { budget: self.clone(), bytes: 0, free: 0 };
        let wanted = bytes.min(self.0.most);
        loop {
            let freed = self.0.freed.notified();
            if lease.grow(wanted).is_ok() {
                return lease;
            }
            freed.await;
        }
    }
}

/// Bytes that are given back when dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    budget: Budget,
    bytes: usize,
    free: usize,
}

impl Lease {
    /// Takes `bytes` more, or says that the server is busy.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), ApiError> {
        let free = bytes.min(self.free);
        let bytes = bytes - free;
        if bytes > 0 {
            let shared = &*self.budget.0;
            let taken = shared
                .used
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| used.checked_add(bytes).filter(|sum| *sum <= shared.most));
            if taken.is_err() {
                return Err(ApiError::unavailable(
                    "bytes_in_flight",
                    "busy: too many bytes of requests in flight (--limit.bytes-in-flight)",
                ));
            }
            shared.shown.inc_by(i64::try_from(bytes).unwrap_or(0));
        }
        self.free -= free;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.bytes > 0 {
            let shared = &*self.budget.0;
            shared.used.fetch_sub(self.bytes, Ordering::AcqRel);
            shared.shown.dec_by(i64::try_from(self.bytes).unwrap_or(0));
            shared.freed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_come_back() {
        let shown = Gauge::default();
        let budget = Budget::new(10_000, shown.clone());
        let mut small = budget.lease();
        small.grow(FREE_BYTES).unwrap();
        assert_eq!(shown.get(), 0);
        let mut large = budget.lease();
        large.grow(FREE_BYTES + 9_000).unwrap();
        assert_eq!(shown.get(), 9_000);
        assert_eq!(small.grow(1_001).unwrap_err().status, 503);
        small.grow(1_000).unwrap();

        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.wait_for(1_000_000).await.bytes }
        });
        tokio::task::yield_now().await;
        drop(large);
        drop(small);
        assert_eq!(waiting.await.unwrap(), 10_000);
        assert_eq!(shown.get(), 0);
    }
}
