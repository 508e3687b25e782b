//! Threads that help with what another one does, as many as have nothing to do at that moment.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use rayon::ThreadPool;
use rayon::ThreadPoolBuilder;

/// Most threads that help, however many processors there are.
const HELPERS_MAX: usize = 8;

/// Some threads that help; cheap to clone. None by default: then everybody works alone.
#[derive(Clone, Debug, Default)]
pub struct Helpers(Option<Arc<Pool>>);

#[derive(Debug)]
struct Pool {
    threads: ThreadPool,
    /// How many have nothing to do.
    free: AtomicUsize,
}

/// A helper that is given back when dropped.
struct Taken<'a>(&'a AtomicUsize);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

impl Helpers {
    /// So many, or as many fewer as the system has room for.
    pub fn start(count: usize) -> Self {
        let pool = |count| ThreadPoolBuilder::new().num_threads(count).thread_name(|_| "helper".to_owned()).build().ok();
        let threads = (1..=count).rev().find_map(pool);
        Self(threads.map(|threads| Arc::new(Pool { free: AtomicUsize::new(threads.current_num_threads()), threads })))
    }

    /// As many as are of use: one for each further processor, [`HELPERS_MAX`] at most.
    pub fn usual() -> Self {
        Self::start(Self::usual_count())
    }

    /// How many [`Helpers::usual`] are where there is room for them.
    pub fn usual_count() -> usize {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        HELPERS_MAX.min(processors - 1)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.as_ref().map_or(0, |pool| pool.threads.current_num_threads())
    }

    /// Does `work` on this thread and at the same time on those that are free, `most` at most. Returns when it has ended on all of
    /// them; nobody waits for a helper that helps somebody else. Not to be called by a helper.
    pub fn join_in(&self, most: usize, work: impl Fn() + Sync) {
        let taken: Vec<Taken<'_>> = self.0.iter().flat_map(|pool| pool.take(most)).collect();
        let Some(pool) = self.0.as_ref().filter(|_| !taken.is_empty()) else { return work() };
        pool.threads.in_place_scope(|scope| {
            for helper in taken {
                let work = &work;
                scope.spawn(move |_| {
                    let _helper = helper;
                    work();
                });
            }
            work();
        });
    }
}

impl Pool {
    fn take(&self, most: usize) -> impl Iterator<Item = Taken<'_>> {
        let fewer = |free: usize| free.checked_sub(1);
        let one = move |_| self.free.fetch_update(Ordering::AcqRel, Ordering::Acquire, fewer).ok().map(|_| Taken(&self.free));
        (0..most).map_while(one)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Barrier;

    use parking_lot::Mutex;

    use super::*;

    /// How many threads worked at the same time, with so many asked for.
    fn threads(helpers: &Helpers, most: usize, expected: usize) {
        let (barrier, seen) = (Barrier::new(expected), Mutex::new(HashSet::new()));
        helpers.join_in(most, || {
            seen.lock().insert(std::thread::current().id());
            barrier.wait();
        });
        assert_eq!(seen.into_inner().len(), expected);
    }

    #[test]
    fn those_that_are_free_help() {
        threads(&Helpers::default(), 3, 1);
        threads(&Helpers::start(0), 3, 1);
        let helpers = Helpers::start(3);
        for (most, expected) in [(0, 1), (2, 3), (3, 4), (9, 4), (9, 4)] {
            threads(&helpers, most, expected);
        }
        let inner = helpers.clone();
        // While two help, one is left for somebody else.
        let barrier = Barrier::new(3);
        helpers.join_in(2, || {
            if barrier.wait().is_leader() {
                std::thread::scope(|scope| drop(scope.spawn(|| threads(&inner, 9, 2))));
            }
            barrier.wait();
        });
    }

    #[test]
    fn a_panic_costs_no_helper() {
        let helpers = Helpers::start(2);
        for _ in 0..3 {
            let panics = std::panic::AssertUnwindSafe(|| helpers.join_in(2, || std::panic::resume_unwind(Box::new(()))));
            assert!(std::panic::catch_unwind(panics).is_err());
        }
        threads(&helpers, 2, 3);
    }
}
