//! What it takes to answer a question, counted while it is answered, so that no question takes a thread, or a lock, for long.
//!
//! A step is about a tenth of a microsecond: a row that is looked at, or some bytes of a text. Nothing here reads a clock: the
//! same question over the same events takes the same steps.

use std::cell::Cell;

/// Most steps of one question: a second or two.
pub const STEPS_MAX: u64 = 16 << 20;
/// Most steps while nobody can write: some milliseconds.
pub(super) const STEPS_AT_ONCE: u64 = 32 << 10;
/// So many bytes of a text are looked at in one step.
const BYTES_A_STEP: u64 = 64;

/// How many steps a question has left. It goes on until it looks, so it may take a few more.
#[derive(Debug)]
pub struct Effort(Cell<u64>);

/// The question would take more steps than one may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it takes more than {STEPS_MAX} steps to answer, a step being a row or 64 bytes of text that are looked at")]
pub struct TooMuch;

impl Default for Effort {
    fn default() -> Self {
        Self::new(STEPS_MAX)
    }
}

impl Effort {
    /// So many steps may be taken.
    pub fn new(most: u64) -> Self {
        Self(Cell::new(most))
    }

    /// One that is never spent, for whoever asks only once.
    pub fn boundless() -> Self {
        Self::new(u64::MAX)
    }

    /// How many are left.
    pub fn left(&self) -> u64 {
        self.0.get()
    }

    /// Takes so many, or what is left.
    pub(crate) fn take(&self, steps: u64) {
        self.0.set(self.0.get().saturating_sub(steps));
    }

    /// Takes what it takes to look at so many bytes.
    pub(super) fn take_bytes(&self, bytes: usize) {
        self.take(1 + bytes as u64 / BYTES_A_STEP);
    }

    /// Whether none is left.
    pub fn is_spent(&self) -> bool {
        self.0.get() == 0
    }

    /// An error when none is left.
    pub fn check(&self) -> Result<(), TooMuch> {
        if self.is_spent() { Err(TooMuch) } else { Ok(()) }
    }

    /// Whether it is time to let others in, when `begun` were left when they were last; or to give up.
    pub(super) fn is_due(&self, begun: u64) -> bool {
        self.is_spent() || begun.saturating_sub(self.0.get()) >= STEPS_AT_ONCE
    }
}
