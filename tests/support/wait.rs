//! Awaiting a condition of another process, by asking it again and again up to a deadline.

use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(100);

/// What `probe` answers as soon as it is `Some`. Fails the test when that takes longer than `limit`.
pub(crate) fn until<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    until_ok(what, limit, || probe().ok_or("not yet"))
}

/// Like [`until`], where the probe says what it still lacks: the last answer is part of the failure.
pub(crate) fn until_ok<T, E: std::fmt::Display>(what: &str, limit: Duration, mut probe: impl FnMut() -> Result<T, E>) -> T {
    let began = Instant::now();
    loop {
        match probe() {
            Ok(found) => return found,
            Err(lacking) => assert!(began.elapsed() < limit, "waited {limit:?} for {what}; last seen: {lacking}"),
        }
        std::thread::sleep(PAUSE);
    }
}
