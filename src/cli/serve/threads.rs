//! All threads of the server, made before anything else, and what is done where the system has no room for some of them.

use std::io;
use std::sync::mpsc;

use tokio::runtime::Builder;
use tokio::runtime::Runtime;

use crate::cli::Failure;
use crate::http::threads::Threads;
use crate::threads::Helpers;
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
    let connections = room_for(processors);
    let runtime = runtime(connections, processors).map_err(Failure::running)?;
    let (workers, workers_wanted) = threads.grow();
    let helpers = Helpers::usual();
    let (made, wanted) = (connections + workers + helpers.count(), processors + workers_wanted + Helpers::usual_count());
    if made < wanted {
        tracing::warn!(
            made,
            wanted,
            "the system has no room for all threads (ulimit -u, pids.max): there are fewer, and what they do takes longer"
        );
    }
    Ok(Made { runtime, threads, writer, helpers })
}

/// Threads for connections, or this one alone where there is no room. None are made later: what takes long has its own.
fn runtime(room: usize, processors: usize) -> io::Result<Runtime> {
    if room == 0 {
        return Builder::new_current_thread().enable_all().max_blocking_threads(1).build();
    }
    let mut runtime = Builder::new_multi_thread();
    if room < processors {
        runtime.worker_threads(room);
    }
    runtime.enable_all().max_blocking_threads(1).build()
}

/// For how many more threads there is room, `most` at most. The runtime would panic instead of saying so.
fn room_for(most: usize) -> usize {
    let (end, ended) = mpsc::channel::<()>();
    let ended = parking_lot::Mutex::new(ended);
    std::thread::scope(|scope| {
        let wait = || {
            // Nothing is ever sent.
            ended.lock().recv().ok();
        };
        let made = (0..most).map_while(|_| std::thread::Builder::new().spawn_scoped(scope, wait).ok()).count();
        drop(end);
        made
    })
}
