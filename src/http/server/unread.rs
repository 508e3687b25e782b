//! What became of the body of the request that is answered on a connection: read, still read, given back, or broken off.

use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::AcqRel;
use std::sync::atomic::Ordering::Acquire;
use std::sync::atomic::Ordering::Release;

use hyper::body::Incoming;
use parking_lot::Mutex;

mod state {
    /// All of it was read.
    pub(super) const READ: u8 = 0;
    /// Somebody reads it, or will.
    pub(super) const OPEN: u8 = 1;
    /// Whoever had it wants no more of it.
    pub(super) const LEFT: u8 = 2;
    /// What follows is not known, or not wanted.
    pub(super) const BROKEN: u8 = 3;
}

/// What became of the body of the request that is answered on a connection.
#[derive(Debug, Default)]
pub(super) struct Unread {
    state: AtomicU8,
    left: Mutex<Option<Left>>,
}

/// A body of which nobody wants more.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) body: Incoming,
    /// Some of it was asked for; until then a sender may wait for a word (`Expect: 100-continue`).
    pub(super) was_asked: bool,
}

/// What is left at the answer.
#[derive(Debug)]
pub(super) enum Rest {
    Nothing,
    Some(Left),
    /// Whatever it is, it is not worth to be read.
    Unknown,
}

impl Unread {
    /// The body of another request begins.
    pub(super) fn begins(&self) {
        self.state.store(state::OPEN, Release);
    }

    /// The body was read to its end.
    pub(super) fn ends(&self) {
        self.state.store(state::READ, Release);
    }

    /// The body broke off.
    pub(super) fn breaks(&self) {
        self.state.store(state::BROKEN, Release);
    }

    /// Whoever had the body gives it back.
    pub(super) fn leave(&self, left: Left) {
        let mut place = self.left.lock();
        // After the answer it is closed with all that it held, or hyper would wait for whoever still has it.
        if self.state.compare_exchange(state::OPEN, state::LEFT, AcqRel, Acquire).is_ok() {
            *place = Some(left);
        }
    }

    /// What is left of it, for whoever reads that away.
    pub(super) fn rest(&self) -> Rest {
        if self.state.load(Acquire) == state::READ {
            return Rest::Nothing;
        }
        let mut place = self.left.lock();
        self.state.store(state::BROKEN, Release);
        place.take().map_or(Rest::Unknown, Rest::Some)
    }
}
