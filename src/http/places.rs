//! Places for work on bodies, and the threads that do it: not more at once than the processors can do, and in turns between
//! those who send.
//!
//! A place is taken when there are bytes to work on, never while more of them are awaited, and given back when it is dropped.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::http::error::ApiError;
use crate::http::server;
use crate::telemetry::Telemetry;
use crate::threads::Panicked;
use crate::threads::Workers;
use crate::writer::Source;
use crate::writer::Turns;

/// How many may wait, as [`Turns::room`] counts.
const WAITING_MAX: usize = 128 * 1024;

/// Some places; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    shared: Arc<Mutex<Shared>>,
    workers: Workers,
    telemetry: Arc<Telemetry>,
}

#[derive(Debug)]
struct Shared {
    free: usize,
    waiting: Turns<oneshot::Sender<Place>>,
}

impl Places {
    /// So many, for work that these do.
    pub(crate) fn new(count: usize, workers: Workers, telemetry: Arc<Telemetry>) -> Self {
        Self { shared: Arc::new(Mutex::new(Shared { free: count, waiting: Turns::default() })), workers, telemetry }
    }

    /// Begins work off the async threads, and waits for it. When it panics that is counted, and an internal error.
    pub(crate) fn work<T, F>(&self, work: F) -> impl Future<Output = Result<T, ApiError>> + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        on(&self.workers, &self.telemetry, work)
    }

    /// Does work on so many bytes when it is the turn of who sent them.
    pub(crate) async fn take_for<T: Send + 'static>(
        &self,
        source: &Source,
        bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let place = self.take(source, bytes).await?;
        let done = self.work(move || {
            let result = work();
            drop(place);
            result
        });
        done.await
    }

    /// A place for work on so many bytes; waits until it is the turn of who sent them.
    pub(crate) async fn take(&self, source: &Source, bytes: usize) -> Result<Place, ApiError> {
        let handed = {
            let mut shared = self.shared.lock();
            if shared.free > 0 {
                shared.free -= 1;
                return Ok(Place(Some(Arc::clone(&self.shared))));
            }
            if !shared.waiting.has_room(source, WAITING_MAX) {
                return Err(ApiError::unavailable("busy", "busy: too many bodies wait to be read; send it again"));
            }
            let (sender, handed) = oneshot::channel();
            shared.waiting.push(source, bytes as u64 >> 10, sender);
            handed
        };
        // Whoever waits is never forgotten: a place that is given back goes to the next.
        server::queued(handed).await.map_err(|_| ApiError::internal())
    }
}

/// Work that these workers do.
pub(crate) fn on<T, F>(workers: &Workers, telemetry: &Arc<Telemetry>, work: F) -> impl Future<Output = Result<T, ApiError>> + use<T, F>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let (done, telemetry) = (workers.run(work), Arc::clone(telemetry));
    async move {
        done.await.map_err(|Panicked| {
            telemetry.panics.inc();
            ApiError::internal()
        })
    }
}

/// A place that is given back when dropped.
#[derive(Debug)]
pub(crate) struct Place(Option<Arc<Mutex<Shared>>>);

impl Drop for Place {
    fn drop(&mut self) {
        let Some(places) = self.0.take() else { return };
        loop {
            let next = {
                let mut shared = places.lock();
                let Some(next) = shared.waiting.pop() else {
                    shared.free += 1;
                    return;
                };
                next.item
            };
            match next.send(Self(Some(Arc::clone(&places)))) {
                Ok(()) => return,
                // Nobody waits there any more.
                Err(mut unwanted) => unwanted.0 = None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;
    use std::pin::pin;

    use super::*;

    fn source(organization: &str, connection: u64) -> Source {
        Source::new(organization, "", connection)
    }

    #[tokio::test]
    async fn a_place_goes_to_whose_turn_it_is_and_who_went_away_is_passed_over() {
        let places = Places::new(1, Workers::start("bodies").unwrap(), Arc::default());
        let first = places.take(&source("a", 0), 1).await.unwrap();
        let of_a: Vec<_> = (1..=3).map(|connection| source("a", connection)).collect();
        let mut waiting: Vec<_> = of_a.iter().map(|source| Box::pin(places.take(source, 1 << 20))).collect();
        for wait in &mut waiting {
            assert!(poll!(wait).is_pending());
        }
        let b = source("b", 9);
        let mut of_b = pin!(places.take(&b, 1 << 20));
        assert!(poll!(&mut of_b).is_pending());
        drop(waiting.remove(0));
        drop(first);
        // The first of `a` is gone; then it is the turn of `b`, and then that of the next of `a`.
        let std::task::Poll::Ready(second) = poll!(&mut of_b) else { panic!("`b` waits behind all of `a`") };
        assert!(poll!(&mut waiting[0]).is_pending());
        drop(second);
        let std::task::Poll::Ready(third) = poll!(&mut waiting[0]) else { panic!("nobody has the place") };
        assert!(poll!(&mut waiting[1]).is_pending());
        // Handed over and never looked at.
        drop(third);
        drop(waiting);
        let _place = places.take(&b, 1).await.unwrap();
        let shared = places.shared.lock();
        assert_eq!((shared.free, shared.waiting.len()), (0, 0));
    }
}
