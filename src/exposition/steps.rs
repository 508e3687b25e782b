//! What placing and looking costs, in places that move, slots and lines that are looked at: counted in tests only.

#[cfg(test)]
use std::cell::Cell;

#[cfg(test)]
thread_local! {
    static TAKEN: Cell<u64> = const { Cell::new(0) };
}

/// One more.
#[cfg(not(test))]
pub(super) const fn count() {}

/// One more.
#[cfg(test)]
pub(super) fn count() {
    TAKEN.set(TAKEN.get() + 1);
}

/// How many this thread takes to do `work`.
#[cfg(test)]
pub(super) fn of(work: impl FnOnce()) -> u64 {
    let before = TAKEN.get();
    work();
    TAKEN.get() - before
}
