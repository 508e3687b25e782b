//! What a scrape gets: which sample of each series is on a page now, and its text.
//!
//! A page is a pure function of the log, the clock and what is asked for; there is no state per scraper. [`Pages`] is the second
//! fold of the log, beside the store. Not for our own metrics, which are handed in as text, nor for HTTP.

mod block;
mod body;
mod cache;
mod crowd;
mod filter;
mod gzip;
mod line;
mod lines;
mod load;
mod look;
mod pages;
mod queue;
mod schedule;
mod steps;
mod text;
mod timeline;

#[cfg(test)]
mod tests;

pub use body::PageBody;
pub use pages::Pages;
pub use pages::Receipt;
pub use text::Format;

use crate::account::Account;
use crate::store::Matcher;
use crate::threads::Helpers;
use crate::time::Timestamp;
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

/// What becomes of an applied sample on pages without a window; what the sender is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// It is on the page.
    Shown,
    /// It waits for its predecessor's hold, or for the pace.
    Queued {
        /// When it will be on the page.
        until: Timestamp,
    },
    /// It lies in the future.
    Scheduled {
        /// When it will be on the page.
        at: Timestamp,
    },
    /// A newer heartbeat that waits stands for it.
    Coalesced,
    /// Its series has shown a newer one. Only a page with a window shows it.
    Late,
    /// Its place would come after its age limit. Only a page with a window shows it.
    Old,
    /// Its series has another sample of the same millisecond.
    Duplicate,
    /// Too many samples of its series wait.
    Crowded,
}

/// What a scraper asks for.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// The text format.
    pub format: Format,
    /// Compressed.
    pub gzip: bool,
    /// The scraper's server takes in samples that are out of order by as much as this (URL parameter `window`).
    pub window: Option<Duration>,
    /// Shorter than [`Options::keep`] (URL parameter `keep`).
    pub keep: Option<Duration>,
    /// Selectors of which a sample must match one (`match[]`); empty: all samples.
    pub selectors: Vec<Vec<Matcher>>,
}

/// One answer to a scrape.
#[derive(Clone, Debug)]
pub struct Page {
    /// The text, compressed when that was asked for.
    pub body: PageBody,
    /// The exact content type.
    pub content_type: &'static str,
    /// Whether `body` is one gzip member.
    pub gzip: bool,
    /// Samples of `last9_change_events` on it, before `match[]`.
    pub samples: usize,
    /// How many more were left out because of [`Options::max_samples`]; counted up to as many as that.
    pub cut: usize,
}

/// What the pages without a window show and what they do not, over all clusters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageStats {
    /// Samples on a page now.
    pub shown: usize,
    /// Samples left out now because of [`Options::max_samples`]; of each page counted up to as many as that.
    pub cut: usize,
    /// Samples that wait for their predecessor's hold or for the pace.
    pub queued: usize,
    /// Samples that lie in the future.
    pub scheduled: usize,
    /// How long until all that are queued now are shown.
    pub lag: Duration,
    /// Heartbeats for which a newer one stood.
    pub coalesced: u64,
    /// Samples that were older than what their series had shown.
    pub late: u64,
    /// Samples whose place would have come after their age limit.
    pub old: u64,
    /// Samples of the same series and millisecond as another.
    pub duplicate: u64,
    /// Samples of a series of which too many waited.
    pub crowded: u64,
    /// Samples that were late or old, and that pages with a window will not show either.
    pub beyond: u64,
}

/// The options that place samples, within their bounds.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    hold: Duration,
    keep: Duration,
    samples_max: usize,
}

impl Sizes {
    fn of(options: &Options) -> Self {
        Self {
            hold: options.hold.clamp(Duration::from_millis(1), AGE_MAX),
            keep: options.keep.min(AGE_MAX),
            samples_max: options.max_samples.max(1),
        }
    }
}
