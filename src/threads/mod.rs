//! Threads, all of which are made at the start: what they do later waits for one of them, and none is made for it, so that a
//! system without room for another thread holds up nothing.
//!
//! Each kind of work has [`Workers`] of its own, which wait for no other kind. [`Spare`] is for one long work that begins
//! later, [`Helpers`] are for what is done in parallel and could be done alone.

mod helpers;
mod spare;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::thread;
use std::thread::Thread;

use parking_lot::Mutex;
use tokio::sync::oneshot;

pub use crate::threads::helpers::Helpers;
pub use crate::threads::spare::Spare;

type Work = Box<dyn FnOnce() + Send>;

/// The work panicked. The thread that it was on goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it panicked: this program has a fault")]
pub struct Panicked;

/// Threads for one kind of work, and what of it waits for them, in its order; cheap to clone. They end with the last clone, when
/// nothing waits any more.
#[derive(Clone, Debug)]
pub struct Workers(Arc<Owner>);

#[derive(Debug)]
struct Owner {
    name: &'static str,
    shared: Arc<Shared>,
    threads: Mutex<usize>,
}

#[derive(Debug, Default)]
struct Shared(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: VecDeque<Work>,
    /// Those that have nothing to do. The last one is the first that gets something: what it used is still at hand.
    idle: Vec<Thread>,
    is_over: bool,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("waiting", &self.waiting.len()).field("idle", &self.idle.len()).finish_non_exhaustive()
    }
}

impl Workers {
    /// One thread with this name, of at most 15 bytes; see [`Workers::grow`].
    pub fn start(name: &'static str) -> io::Result<Self> {
        let owner = Owner { name, shared: Arc::default(), threads: Mutex::default() };
        owner.add()?;
        Ok(Self(Arc::new(owner)))
    }

    /// Makes more threads until there are `count`; answers how many there are, which is fewer when the system has no room.
    pub fn grow(&self, count: usize) -> usize {
        while self.threads() < count && self.0.add().is_ok() {}
        self.threads()
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        *self.0.threads.lock()
    }

    /// Hands over work at once, and waits for what comes of it. Ending the wait does not end the work.
    pub fn run<T, F>(&self, work: F) -> impl Future<Output = Result<T, Panicked>> + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (sender, done) = oneshot::channel();
        self.0.shared.push(Box::new(move || drop(sender.send(work()))));
        async move { done.await.map_err(|_| Panicked) }
    }
}

impl Owner {
    fn add(&self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        thread::Builder::new().name(self.name.to_owned()).spawn(move || shared.serve())?;
        *self.threads.lock() += 1;
        Ok(())
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let mut state = self.shared.0.lock();
        state.is_over = true;
        state.idle.drain(..).for_each(|thread| thread.unpark());
    }
}

impl Shared {
    fn push(&self, work: Work) {
        let mut state = self.0.lock();
        state.waiting.push_back(work);
        if let Some(thread) = state.idle.pop() {
            thread.unpark();
        }
    }

    fn serve(&self) {
        let own = thread::current();
        loop {
            let work = {
                let mut state = self.0.lock();
                // It may have been woken by nobody.
                state.idle.retain(|thread| thread.id() != own.id());
                let work = state.waiting.pop_front();
                if work.is_none() {
                    if state.is_over {
                        return;
                    }
                    state.idle.push(own.clone());
                }
                work
            };
            match work {
                // Whoever waits for it sees that nothing came of it.
                Some(work) => drop(catch_unwind(AssertUnwindSafe(work))),
                None => thread::park(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn work_is_done_in_its_order_by_the_threads_there_are() {
        let workers = Workers::start("test").unwrap();
        assert_eq!((workers.grow(3), workers.grow(2), workers.threads()), (3, 3, 3));
        let all_at_once = Arc::new(Barrier::new(3));
        let met = [(); 3].map(|()| {
            let barrier = Arc::clone(&all_at_once);
            workers.run(move || barrier.wait().is_leader())
        });
        for met in met {
            met.await.unwrap();
        }
        let single = Workers::start("test").unwrap();
        let (sender, order) = mpsc::channel();
        for number in 0..100 {
            let sender = sender.clone();
            // Nobody waits for it.
            drop(single.run(move || sender.send(number)));
        }
        drop(sender);
        assert_eq!(order.into_iter().collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_panic_costs_no_thread() {
        let workers = Workers::start("test").unwrap();
        for _ in 0..3 {
            assert_eq!(workers.run(|| std::panic::resume_unwind(Box::new(()))).await, Err::<(), _>(Panicked));
        }
        assert_eq!(workers.run(|| 7).await, Ok(7));
    }

    #[test]
    fn threads_end_with_the_last_of_their_owners_when_all_is_done() {
        struct Ended(mpsc::Sender<()>);
        impl Drop for Ended {
            fn drop(&mut self) {
                self.0.send(()).ok();
            }
        }
        thread_local! { static ENDED: std::cell::RefCell<Option<Ended>> = const { std::cell::RefCell::new(None) } }
        let (sender, ended) = mpsc::channel();
        let workers = Workers::start("test").unwrap();
        let (go, wait) = mpsc::channel::<()>();
        drop(workers.run(move || {
            ENDED.set(Some(Ended(sender)));
            wait.recv().ok();
        }));
        let (last, done) = mpsc::channel();
        drop(workers.run(move || last.send(())));
        drop(workers);
        assert!(ended.try_recv().is_err());
        drop(go);
        done.recv().unwrap();
        ended.recv().unwrap();
    }

    #[test]
    fn threads_without_work_end_with_the_last_of_their_owners() {
        let workers = Workers::start("test").unwrap();
        let shared = Arc::clone(&workers.0.shared);
        while shared.0.lock().idle.is_empty() {
            thread::yield_now();
        }
        drop(workers);
        while Arc::strong_count(&shared) > 1 {
            thread::yield_now();
        }
    }
}
