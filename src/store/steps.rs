//! What a test of costs counts instead of time: how many rows were looked at, and how many bytes were moved for room. Outside
//! of tests nothing is counted.

#[cfg(test)]
use std::cell::Cell;

#[cfg(test)]
thread_local! {
    static TAKEN: Cell<u64> = const { Cell::new(0) };
    static MOVED: Cell<u64> = const { Cell::new(0) };
}

/// So many rows were looked at.
#[cfg(test)]
pub(super) fn count(rows: usize) {
    TAKEN.set(TAKEN.get() + rows as u64);
}

/// So many bytes were moved.
#[cfg(test)]
pub(super) fn moved(bytes: usize) {
    MOVED.set(MOVED.get() + bytes as u64);
}

#[cfg(not(test))]
pub(super) const fn count(_rows: usize) {}

#[cfg(not(test))]
pub(super) const fn moved(_bytes: usize) {}

/// How many rows this thread looks at to do `work`.
#[cfg(test)]
pub(in crate::store) fn of(work: impl FnOnce()) -> u64 {
    let before = TAKEN.get();
    work();
    TAKEN.get() - before
}

/// How many bytes this thread moves to do `work`.
#[cfg(test)]
pub(in crate::store) fn bytes_of(work: impl FnOnce()) -> u64 {
    let before = MOVED.get();
    work();
    MOVED.get() - before
}
