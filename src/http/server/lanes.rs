//! Places for connections: open ones for everybody, and a few reserved for scrapes and health checks, so that senders who
//! take every open place cannot blind the operator.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;

/// Which kind of place a connection has. A request on a reserved one carries this in its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Any request is answered.
    Open,
    /// Only scrapes and health checks are answered, one a connection.
    Reserved,
}

/// The places of a server.
#[derive(Debug)]
pub(super) struct Lanes {
    open: Arc<Semaphore>,
    reserved: Arc<Semaphore>,
}

impl Lanes {
    pub(super) fn new(open: usize, reserved: usize) -> Self {
        let places = |count: usize| Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        Self { open: places(open), reserved: places(reserved) }
    }

    /// A place, an open one if there is one; waits when all are taken.
    pub(super) async fn admit(&self) -> Permit {
        let (open, reserved) = (Arc::clone(&self.open), Arc::clone(&self.reserved));
        tokio::select! {
            biased;
            permit = open.acquire_owned() => Permit { lane: Lane::Open, _place: permit.ok() },
            permit = reserved.acquire_owned() => Permit { lane: Lane::Reserved, _place: permit.ok() },
        }
    }
}

/// A place that is given back when dropped.
#[derive(Debug)]
pub(super) struct Permit {
    lane: Lane,
    /// Always there: the semaphores are never closed.
    _place: Option<OwnedSemaphorePermit>,
}

impl Permit {
    pub(super) fn lane(&self) -> Lane {
        self.lane
    }
}
