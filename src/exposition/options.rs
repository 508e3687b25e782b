//! What shapes the pages, and the ages that no option goes beyond.

use crate::account::Account;
use crate::threads::Helpers;
use std::time::Duration;

/// How old a sample on a page without a window can be: Prometheus refuses what is an hour behind its head, its head can
/// be ten minutes ahead of us, and a minute is for the way.
pub const AGE_MAX: Duration = Duration::from_mins(49);
/// How much of a scraper's out-of-order window is left unused, for the same reasons.
pub const WINDOW_SLACK: Duration = Duration::from_mins(11);
/// The longest out-of-order window that makes a difference.
pub const WINDOW_MAX: Duration = Duration::from_hours(366 * 24);

/// What shapes the pages.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long a sample holds its place before its successor may take it (`--exposure.hold`); at most [`AGE_MAX`].
    pub hold: Duration,
    /// How long the last sample of a series stays after it was exposed (`--exposure.keep`); at most [`AGE_MAX`].
    pub keep: Duration,
    /// Most samples of `last9_change_events` on a page (`--exposure.max-samples`).
    pub max_samples: usize,
    /// Whether pages have `last9_change_events_timestamp_seconds` too (`--no-exposure.timestamp-family`).
    pub timestamp_family: bool,
    /// What memory there is (`--limit.memory`).
    pub account: Account,
    /// Who helps with large pages.
    pub helpers: Helpers,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            hold: Duration::from_secs(135),
            keep: AGE_MAX,
            max_samples: 50_000,
            timestamp_family: true,
            account: Account::boundless(),
            helpers: Helpers::default(),
        }
    }
}

/// The options that place samples, within their bounds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) hold: Duration,
    pub(super) keep: Duration,
    pub(super) samples_max: usize,
}

impl Sizes {
    pub(super) fn of(options: &Options) -> Self {
        Self {
            hold: options.hold.clamp(Duration::from_millis(1), AGE_MAX),
            keep: options.keep.min(AGE_MAX),
            samples_max: options.max_samples.max(1),
        }
    }
}
