//! What a scrape gets: which sample of each series is on a page now, and its text.
//!
//! A page is a pure function of the log, the clock and what is asked for; there is no state per scraper. [`Pages`] is the second
//! fold of the log, beside the store. Not for our own metrics, which are handed in as text, nor for HTTP.

mod block;
mod body;
mod cache;
mod crowd;
mod entry;
mod exposure;
mod filter;
mod gzip;
mod line;
mod lines;
mod load;
mod look;
mod options;
mod page;
mod pages;
mod parallel;
mod place;
mod queue;
mod queues;
mod schedule;
mod steps;
mod text;
mod timeline;

#[cfg(test)]
mod tests;

pub use body::PageBody;
pub use exposure::Exposure;
pub use options::AGE_MAX;
pub use options::Options;
pub use options::WINDOW_MAX;
pub use options::WINDOW_SLACK;
pub use page::Page;
pub use page::PageRequest;
pub use page::PageStats;
pub use pages::Pages;
pub use pages::Receipt;
pub use text::Format;
