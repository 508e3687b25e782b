//! What a scraper asks for, what it gets, and how many samples pages show.

use super::body::PageBody;
use super::text::Format;
use crate::store::Matcher;
use std::time::Duration;

/// What a scraper asks for.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// The text format.
    pub format: Format,
    /// Compressed.
    pub gzip: bool,
    /// The scraper's server takes in samples that are out of order by as much as this (URL parameter `window`).
    pub window: Option<Duration>,
    /// Shorter than [`Options::keep`](super::Options::keep) (URL parameter `keep`).
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
    /// How many more were left out because of [`Options::max_samples`](super::Options::max_samples); counted up to as many as that.
    pub cut: usize,
}

/// What the pages without a window show and what they do not, over all clusters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageStats {
    /// Samples on a page now.
    pub shown: usize,
    /// Samples left out now because of [`Options::max_samples`](super::Options::max_samples); of each page counted up to as many as that.
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
