//! The work on one page, shared with helpers when there is much.

use crate::threads::Helpers;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

/// Most threads that work on one page.
const THREADS_MAX: usize = 4;
/// Fewer pieces of work than this are not worth another thread.
const PIECES_PER_THREAD: usize = 4;

/// Does all the work, with helpers when there is much; each thread has a workspace of its own.
pub(super) fn in_parallel<T: Sync, W>(helpers: &Helpers, pieces: &[T], workspace: impl Fn() -> W + Sync, work: impl Fn(&mut W, &T) + Sync) {
    let threads = THREADS_MAX.min(pieces.len() / PIECES_PER_THREAD).max(1);
    let next = AtomicUsize::new(0);
    helpers.join_in(threads - 1, || {
        let mut own = workspace();
        while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(&mut own, piece);
        }
    });
}
