//! Time as the whole program knows it: milliseconds since 1970, UTC, and a clock that is passed in.
//!
//! Not for calendars or text: ISO 8601 lives in [`iso8601`]. What a server believes of its clock is [`BelievedClock`].

mod believed;
pub mod duration;
pub mod iso8601;
pub mod unix;

pub use believed::BelievedClock;
use rustix::time::ClockId;
use rustix::time::clock_gettime;
use std::fmt;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A moment, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Before every moment an event can have.
    pub const MIN: Self = Self(i64::MIN);
    /// After every moment an event can have.
    pub const MAX: Self = Self(i64::MAX);

    /// `0001-01-01T00:00:00Z`; see [`Timestamp::is_zero_time`].
    pub const ZERO_TIME: Self = Self(-62_135_596_800_000);

    /// The moment that many milliseconds after 1970.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Seconds since 1970; exact to the millisecond for every year a calendar names.
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of any calendar year stay below 2^53")]
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// Later by `span`, or [`Timestamp::MAX`].
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis_of(span)))
    }

    /// Earlier by `span`, or [`Timestamp::MIN`].
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(millis_of(span)))
    }

    /// How long after `earlier` this is; zero when it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// `span` in whole milliseconds; more than an `i64` holds becomes its maximum.
pub fn millis_of(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// What a clock says at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The present moment.
    pub now: Timestamp,
    /// The present moment as the machine's wall clock has it; not the same where a [`BelievedClock`] does not follow it.
    pub wall: Timestamp,
    /// Time since some moment in the past, the same one as long as the program runs: it never goes back, nobody sets it, and
    /// it counts the time that the machine was suspended.
    pub steady: Duration,
}

/// Where "now" comes from. Everything that needs the time is handed one.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The present moment, and what it is measured by.
    fn read(&self) -> Reading;

    /// The present moment.
    fn now(&self) -> Timestamp {
        self.read().now
    }
}

/// The machine's clocks: the wall clock, and since the start of the machine the steady one.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn read(&self) -> Reading {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clocks")]
        let (wall, since_boot) = (std::time::SystemTime::now(), clock_gettime(ClockId::Boottime));
        let wall = match wall.duration_since(std::time::UNIX_EPOCH) {
            Ok(span) => Timestamp::from_millis(millis_of(span)),
            Err(before) => Timestamp::from_millis(-millis_of(before.duration())),
        };
        Reading { now: wall, wall, steady: Duration::try_from(since_boot).unwrap_or_default() }
    }
}

/// A clock that moves only when told to; for tests and simulations.
#[derive(Debug, Default)]
pub struct ManualClock {
    wall: AtomicI64,
    steady: AtomicU64,
}

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn at(now: Timestamp) -> Self {
        Self { wall: AtomicI64::new(now.millis()), steady: AtomicU64::new(0) }
    }

    /// Somebody sets the wall clock, ahead or back; no time passes.
    pub fn set(&self, now: Timestamp) {
        self.wall.store(now.millis(), Ordering::SeqCst);
    }

    /// Time passes.
    pub fn advance(&self, span: Duration) {
        self.steady.fetch_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
        self.wall.fetch_add(millis_of(span), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn read(&self) -> Reading {
        let wall = Timestamp::from_millis(self.wall.load(Ordering::SeqCst));
        Reading { now: wall, wall, steady: Duration::from_millis(self.steady.load(Ordering::SeqCst)) }
    }
}
