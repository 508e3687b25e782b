//! Who goes first when a connection needs the place of another: a pure function of what each is doing.

use std::cmp::Reverse;
use std::time::Duration;

/// A reader that takes less in a second is slow.
const SLOW_READER_BYTES: u64 = 256 * 1024;
/// What the kernel lets a reader take before the writer is woken, about.
const LUMP_BYTES: u64 = 64 * 1024;
/// No reader is judged before it was waited for so long.
pub(super) const READER_GRACE: Duration = Duration::from_millis(50);
/// No sender of a body goes before it was waited for so long, nor is it judged before it was for a while.
const SENDER_BLINK: Duration = Duration::from_millis(1);
const SENDER_GRACE: Duration = Duration::from_secs(1);
/// Who has said nothing for so long may well say nothing.
const SILENT_GRACE: Duration = Duration::from_millis(50);
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
    /// A request waits for its turn.
    Queued { since: Duration },
    /// A request is worked on.
    Working,
}

impl Doing {
    const NAMES: [&'static str; 5] = ["closing", "reading", "silent", "sending", "queued"];

    /// Numbers what may be ended, from 1.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Closing => 1,
            Self::Reading { .. } => 2,
            Self::Silent { .. } => 3,
            Self::Sending { .. } => 4,
            Self::Queued { .. } => 5,
            Self::Working => 0,
        }
    }

    /// The value of the label `was` of the metric that counts them, which has its rows from [`crate::telemetry`].
    pub(super) fn name_of(code: u8) -> Option<&'static str> {
        Self::NAMES.get(usize::from(code).checked_sub(1)?).copied()
    }

    /// Bytes that a reader takes in a second, at most, when it was waited for so long.
    pub(super) fn reads_per_second(self, grace: Duration) -> Option<u64> {
        let Self::Reading { taken, waited, blocked } = self else { return None };
        // What it took at first went to buffers. Since the last write began to wait it has taken less than a lump.
        (waited >= grace).then(|| per_second(taken, waited).min(per_second(LUMP_BYTES, blocked)))
    }
}

/// How many connections who has this one has, and how many there are in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Crowd {
    pub(super) own: usize,
    pub(super) all: usize,
}

/// How much would be lost with a connection: the least first.
///
/// With what is said or not read nothing is lost. Of all others those go first of whom about twice as many are there: places are
/// shared out, and nobody who has few loses one to somebody who has many, however these are kept busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Worth {
    is_lost: bool,
    crowd: Reverse<u32>,
    rank: Rank,
}

/// The same, among those of whom about as many are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Closing,
    /// By what it takes in a second.
    SlowReader(u64),
    /// By crowd, the oldest first.
    Silent(Reverse<usize>, Reverse<Duration>),
    /// By crowd, then by what it sends in a second.
    SlowSender(Reverse<usize>, u64),
    /// A sender that cannot be judged yet: by crowd, the one that was waited for longest first.
    FreshSender(Reverse<usize>, Reverse<Duration>),
    /// By crowd, the youngest first, which would have to wait longest.
    Queued(Reverse<usize>, Duration),
    /// A reader that cannot be judged yet: by crowd, the one that was waited for longest first.
    FreshReader(Reverse<usize>, Reverse<Duration>),
    /// Who has just come, and may be about to ask: by crowd, the oldest first.
    FreshSilent(Reverse<usize>, Reverse<Duration>),
    /// By crowd, then by what it takes in a second.
    Reader(Reverse<usize>, u64),
    /// One of those whose bodies are more than half of all that is done: by what it sends in a second.
    Sender(u64),
}

impl Worth {
    /// Nothing where it may not be ended.
    pub(super) fn of(doing: Doing, crowd: Crowd) -> Option<Self> {
        let rank = Rank::of(doing, crowd)?;
        let is_lost = !matches!(rank, Rank::Closing | Rank::SlowReader(_));
        Some(Self { is_lost, crowd: Reverse(if is_lost { crowd.own.checked_ilog2().unwrap_or(0) } else { 0 }), rank })
    }

    /// Whether the other one is of the same kind.
    pub(super) fn is_like(self, other: Self) -> bool {
        std::mem::discriminant(&self.rank) == std::mem::discriminant(&other.rank)
    }
}

impl Rank {
    fn of(doing: Doing, crowd: Crowd) -> Option<Self> {
        let own = Reverse(crowd.own);
        Some(match doing {
            Doing::Closing => Self::Closing,
            Doing::Reading { waited, .. } => match doing.reads_per_second(READER_GRACE) {
                Some(rate) if rate < SLOW_READER_BYTES => Self::SlowReader(rate),
                Some(rate) => Self::Reader(own, rate),
                None => Self::FreshReader(own, Reverse(waited)),
            },
            Doing::Silent { since } if since < SILENT_GRACE => Self::FreshSilent(own, Reverse(since)),
            Doing::Silent { since } => Self::Silent(own, Reverse(since)),
            Doing::Sending { received, waited } => match per_second(received, waited) {
                _ if waited < SENDER_BLINK => return None,
                _ if waited < SENDER_GRACE => Self::FreshSender(own, Reverse(waited)),
                rate if rate < SLOW_SENDER_BYTES => Self::SlowSender(own, rate),
                rate if crowd.own > crowd.all / 2 => Self::Sender(rate),
                _ => return None,
            },
            Doing::Queued { since } => Self::Queued(own, since),
            Doing::Working => return None,
        })
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

    fn queued(since: u64) -> Doing {
        Doing::Queued { since: Duration::from_millis(since) }
    }

    fn sending(received: u64, waited: u64) -> Doing {
        Doing::Sending { received, waited: Duration::from_millis(waited) }
    }

    #[track_caller]
    fn check(in_order: &[(Doing, usize)]) {
        let worth = |&(doing, own)| Worth::of(doing, Crowd { own, all: 1000 }).unwrap_or_else(|| panic!("{doing:?}"));
        let worth: Vec<Worth> = in_order.iter().map(worth).collect();
        assert!(worth.is_sorted(), "{worth:?}");
    }

    #[test]
    fn the_least_is_lost_first() {
        check(&[
            (Doing::Closing, 1),
            (reading(0, 260, 260), 1),
            // Who does not read, though buffers took much of it at once; the longer the sooner.
            (reading(6 << 20, 9000, 9000), 1),
            (reading(6 << 20, 2000, 2000), 1),
            // A tenth of a megabyte a second.
            (reading(100 * KIB, 1000, 100), 900),
            // Of those who say nothing the oldest of whom the most are there.
            (silent(55), 7),
            (silent(50), 7),
            (silent(9000), 4),
            (silent(100), 4),
            (sending(0, 1000), 6),
            (sending(7 * KIB, 1000), 6),
            (sending(0, 9000), 4),
            (sending(0, 999), 7),
            (sending(0, 100), 7),
            (sending(MIB, 200), 4),
            // Of those who wait for their turn, who would have to wait longest.
            (queued(10), 7),
            (queued(9000), 7),
            (queued(1), 4),
            (reading(0, 49, 49), 6),
            (reading(0, 1, 1), 6),
            (reading(0, 49, 49), 4),
            // Who may be about to ask.
            (silent(5), 7),
            (silent(0), 7),
            (silent(49), 4),
            // A reader who comes again and again, one far away, and one that is quick.
            (reading(50 * MIB, 100, 1), 7),
            (reading(MIB, 1000, 100), 4),
            (reading(50 * MIB, 100, 1), 4),
        ]);
        // Bodies that come at their pace, of somebody who has most of the places.
        check(&[(reading(MIB, 1000, 100), 600), (sending(9 * KIB, 1000), 600), (sending(8 * MIB, 2000), 800)]);
        for doing in [Doing::Working, sending(0, 0), sending(8 * KIB, 1000), sending(100 * MIB, 100_000)] {
            assert_eq!(Worth::of(doing, Crowd { own: 500, all: 1000 }), None, "{doing:?}");
        }
    }

    #[test]
    fn who_has_few_places_loses_none_to_who_has_many() {
        let kinds = [silent(9000), sending(0, 9000), sending(0, 10), queued(5), reading(0, 1, 1), silent(0), reading(50 * MIB, 100, 1)];
        for many in kinds {
            for few in kinds {
                check(&[(many, 340), (few, 1)]);
                check(&[(many, 2), (few, 1)]);
            }
        }
        check(&[(reading(0, 9000, 9000), 1), (silent(0), 340)]);
    }

    const MIB: u64 = 1 << 20;
}
