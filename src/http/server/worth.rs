//! Who goes first when a connection needs the place of another: a pure function of what each is doing.

use std::cmp::Reverse;
use std::time::Duration;

/// A reader that takes less in a second is slow.
const SLOW_READER_BYTES: u64 = 256 * 1024;
/// What the kernel lets a reader take before the writer is woken, about.
const LUMP_BYTES: u64 = 64 * 1024;
/// No reader is judged before it was waited for so long.
const READER_GRACE: Duration = Duration::from_millis(50);
/// No sender of a body is judged before it was waited for so long.
const SENDER_GRACE: Duration = Duration::from_secs(1);
/// A sender that sends less in a second is slow.
const SLOW_SENDER_BYTES: u64 = 8 * 1024;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// All is said, and the other side has not closed yet.
    Closing,
    /// A write waits: of its answer so many bytes were taken, while writes waited for so long in all, and the last for so long.
    Reading { taken: u64, waited: Duration, blocked: Duration },
    /// No request is there, or not all of its headers.
    Silent { since: Duration },
    /// The body of a request is waited for: so much came, in so long.
    Sending { received: u64, waited: Duration },
    /// A request is worked on.
    Working,
}

impl Doing {
    const NAMES: [&'static str; 4] = ["closing", "reading", "silent", "sending"];

    /// Numbers what may be ended, from 1.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Closing => 1,
            Self::Reading { .. } => 2,
            Self::Silent { .. } => 3,
            Self::Sending { .. } => 4,
            Self::Working => 0,
        }
    }

    /// The value of the label `was` of the metric that counts them, which has its rows from [`crate::telemetry`].
    pub(super) fn name_of(code: u8) -> Option<&'static str> {
        Self::NAMES.get(usize::from(code).checked_sub(1)?).copied()
    }

    /// Bytes that a reader takes in a second, at most.
    pub(super) fn reads_per_second(self) -> Option<u64> {
        let Self::Reading { taken, waited, blocked } = self else { return None };
        // What it took at first went to buffers. Since the last write began to wait it has taken less than a lump.
        (waited >= READER_GRACE).then(|| per_second(taken, waited).min(per_second(LUMP_BYTES, blocked)))
    }
}

/// How much would be lost with a connection: the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Worth {
    Closing,
    /// By what it takes in a second.
    SlowReader(u64),
    /// By how many connections its network has, the most first, then by age, the oldest first.
    Silent(Reverse<usize>, Reverse<Duration>),
    /// By how many connections its network has, the most first, then by what it sends in a second.
    SlowSender(Reverse<usize>, u64),
    /// By what it takes in a second.
    Reader(u64),
}

impl Worth {
    /// Of a connection whose network has so many; nothing where it may not be ended.
    pub(super) fn of(doing: Doing, of_its_network: usize) -> Option<Self> {
        match doing {
            Doing::Closing => Some(Self::Closing),
            Doing::Reading { .. } => {
                let rate = doing.reads_per_second()?;
                Some(if rate < SLOW_READER_BYTES { Self::SlowReader(rate) } else { Self::Reader(rate) })
            }
            Doing::Silent { since } => Some(Self::Silent(Reverse(of_its_network), Reverse(since))),
            Doing::Sending { received, waited } => {
                let rate = per_second(received, waited);
                (waited >= SENDER_GRACE && rate < SLOW_SENDER_BYTES).then_some(Self::SlowSender(Reverse(of_its_network), rate))
            }
            Doing::Working => None,
        }
    }
}

fn per_second(bytes: u64, time: Duration) -> u64 {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
    bytes.saturating_mul(1000) / millis
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1024;

    fn reading(taken: u64, waited: u64, blocked: u64) -> Doing {
        Doing::Reading { taken, waited: Duration::from_millis(waited), blocked: Duration::from_millis(blocked) }
    }

    fn silent(since: u64) -> Doing {
        Doing::Silent { since: Duration::from_millis(since) }
    }

    fn sending(received: u64, waited: u64) -> Doing {
        Doing::Sending { received, waited: Duration::from_millis(waited) }
    }

    #[test]
    fn the_least_is_lost_first() {
        let in_order = [
            (Doing::Closing, 1),
            (reading(0, 260, 260), 1),
            // Who does not read, though buffers took much of it at once; the longer the sooner.
            (reading(6 << 20, 9000, 9000), 1),
            (reading(6 << 20, 2000, 2000), 1),
            // A tenth of a megabyte a second.
            (reading(100 * KIB, 1000, 100), 900),
            // Of those who say nothing the oldest of the network that has the most.
            (silent(5), 500),
            (silent(0), 500),
            (silent(9000), 1),
            (silent(100), 1),
            (sending(0, 1000), 200),
            (sending(7 * KIB, 1000), 200),
            (sending(0, 9000), 1),
            // A reader far away, and one that is quick.
            (reading(MIB, 1000, 100), 1),
            (reading(50 * MIB, 100, 1), 1),
        ];
        let worth = in_order.map(|(doing, crowd)| Worth::of(doing, crowd).unwrap_or_else(|| panic!("{doing:?} may not be ended")));
        assert!(worth.is_sorted(), "{worth:?}");
        for doing in [Doing::Working, reading(0, 49, 49), sending(0, 999), sending(8 * KIB, 1000)] {
            assert_eq!(Worth::of(doing, 9), None, "{doing:?}");
        }
    }

    const MIB: u64 = 1 << 20;
}
