//! All threads of the server, made before anything else, and what is done where the system has no room for some of them.

use std::io;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::runtime::Runtime;

use crate::cli::Failure;
use crate::cli::serve::panics;
use crate::http::threads::Threads;
use crate::telemetry::logging;
use crate::threads::Helpers;
use crate::threads::Panicked;
use crate::writer;

/// Why the server does not begin.
#[derive(Debug, thiserror::Error)]
#[error(
    "there is no room for the threads that the server needs: one for each kind of work, and one that writes; \
     allow more (ulimit -u, pids.max of the control group)"
)]
struct NoRoom {
    source: io::Error,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Made {
    /// For connections, and all that does not take long.
    pub(super) runtime: Runtime,
    pub(super) threads: Threads,
    pub(super) writer: writer::Thread,
    pub(super) helpers: Helpers,
}

/// Makes what the server needs first, and then what is of use, as far as there is room.
pub(super) fn make() -> Result<Made, Failure> {
    let none = |source| Failure::running(NoRoom { source });
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = Threads::start().map_err(none)?;
    let writer = writer::Thread::start("writer").map_err(none)?;
    let (runtime, connections) = runtime(processors).map_err(Failure::running)?;
    let (workers, workers_wanted) = threads.grow();
    let helpers = Helpers::usual();
    let lines = usize::from(logging::start().is_ok());
    let made = connections + workers + helpers.count() + lines;
    let wanted = processors + workers_wanted + Helpers::usual_count() + 1;
    if made < wanted {
        tracing::warn!(
            made,
            wanted,
            "the system has no room for all threads (ulimit -u, pids.max): there are fewer, and what they do takes longer"
        );
    }
    Ok(Made { runtime, threads, writer, helpers })
}

/// Threads for connections, as many as there is room for, or this one alone where there is none; and how many they are. None are
/// made later: what takes long has its own.
fn runtime(processors: usize) -> io::Result<(Runtime, usize)> {
    let attempt = |workers| try_runtime((workers < processors).then_some(workers), |_| "tokio-rt-worker".to_owned());
    if let Some(made) = as_many_as_fit(processors, attempt)? {
        return Ok(made);
    }
    Ok((Builder::new_current_thread().enable_all().max_blocking_threads(1).build()?, 0))
}

/// Tries with fewer and fewer, none at last; `attempt` answers how many there was room for when there was not room for all.
///
/// What an attempt has made and ended takes room for a moment still, and the kernel does not say until when: the same number is
/// tried again a few times.
fn as_many_as_fit<T>(most: usize, attempt: impl Fn(usize) -> io::Result<Result<T, usize>>) -> io::Result<Option<(T, usize)>> {
    const PAUSES: [Duration; 5] =
        [Duration::ZERO, Duration::from_millis(1), Duration::from_millis(4), Duration::from_millis(16), Duration::from_millis(64)];
    let (mut count, mut room) = (most, 0);
    while count > 0 {
        // Before the first attempt there is nothing that could go.
        let pauses = if count == most { PAUSES.get(..1) } else { None };
        for pause in pauses.unwrap_or(&PAUSES) {
            thread::sleep(*pause);
            match attempt(count)? {
                Ok(made) => return Ok(Some((made, count))),
                Err(fit) => room = room.max(fit),
            }
        }
        count = room.min(count - 1);
    }
    Ok(None)
}

/// A runtime with so many threads, or with one for each processor; or how many there was room for. Each is named with how many
/// there are before it.
///
/// The library does not say that there is no room: it panics, and waits for ever for those that it has made. So they do nothing
/// until all are there, and end as soon as it panics.
fn try_runtime(workers: Option<usize>, name: impl Fn(usize) -> String + Send + Sync + 'static) -> io::Result<Result<Runtime, usize>> {
    let (all_there, tried) = (Arc::<OnceLock<bool>>::default(), Arc::<AtomicUsize>::default());
    let mut builder = Builder::new_multi_thread();
    if let Some(workers) = workers {
        builder.worker_threads(workers);
    }
    builder.enable_all().max_blocking_threads(1);
    builder.thread_name_fn({
        let tried = Arc::clone(&tried);
        move || name(tried.fetch_add(1, Ordering::Relaxed))
    });
    builder.on_thread_start({
        let all_there = Arc::clone(&all_there);
        move || {
            if !*all_there.wait() {
                resume_unwind(Box::new("another thread could not be made"));
            }
        }
    });
    let told = Arc::clone(&all_there);
    let built = panics::telling(move |_| told.set(false).unwrap_or_default(), || builder.build());
    all_there.set(matches!(built, Ok(Ok(_)))).ok();
    match built {
        Ok(built) => built.map(Ok),
        Err(panic) => match tried.load(Ordering::Relaxed).checked_sub(1) {
            Some(made) => Ok(Err(made)),
            // It did not come to threads; the environment (`TOKIO_WORKER_THREADS`) may be wrong.
            None => Err(io::Error::other(panic.downcast::<String>().map_or_else(|_| Panicked.to_string(), |why| *why))),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn a_runtime_that_lacks_a_thread_is_not_there_and_ends_those_it_has() {
        for lacking in 0..4 {
            let name = move |made| if made == lacking { panic!("no room") } else { "test".to_owned() };
            assert_eq!(try_runtime(Some(4), name).unwrap().map(drop), Err(lacking));
        }
        let runtime = try_runtime(Some(2), |_| "test".to_owned()).unwrap().unwrap();
        let both = Arc::new(Barrier::new(2));
        let met = [(); 2].map(|()| {
            let both = Arc::clone(&both);
            runtime.spawn(async move { both.wait().is_leader() })
        });
        let leaders = met.map(|met| runtime.block_on(met).unwrap());
        assert!(leaders.contains(&true) && leaders.contains(&false));
    }

    /// With room for so many at each attempt, of which the last goes on.
    fn check(most: usize, room: &[usize], expected: Option<usize>, expected_tried: &[usize]) {
        let tried = RefCell::new(Vec::new());
        let attempt = |count| {
            let room = *room.get(tried.borrow().len()).or(room.last()).unwrap();
            tried.borrow_mut().push(count);
            Ok(if count <= room { Ok(()) } else { Err(room) })
        };
        let made = as_many_as_fit(most, attempt).unwrap().map(|((), count)| count);
        assert_eq!((made, &*tried.into_inner()), (expected, expected_tried), "{room:?}");
    }

    #[test]
    fn there_are_as_many_as_fit() {
        check(4, &[9], Some(4), &[4]);
        check(4, &[0], None, &[4]);
        check(9, &[3], Some(3), &[9, 3]);
        // Those of the attempt before have not gone yet.
        check(9, &[3, 0, 1, 3], Some(3), &[9, 3, 3, 3]);
        // Somebody else has taken what there was.
        check(9, &[3, 1], Some(1), &[9, 3, 3, 3, 3, 3, 2, 2, 2, 2, 2, 1]);
    }
}
