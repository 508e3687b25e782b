//! A sample to be shown, and its place: when it begins to be, and on which pages.

use super::options::AGE_MAX;
use super::options::WINDOW_MAX;
use super::options::WINDOW_SLACK;
use crate::store::SeriesId;
use crate::time::Timestamp;
use std::time::Duration;

/// A sample to be shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) series: SeriesId,
    pub(super) at: Timestamp,
    pub(super) value: f64,
    /// Orders samples of the same times, whatever the numbers of their series; part of the edge's id.
    pub(super) tie: u32,
    /// It says nothing new, so a later one may stand for it.
    pub(super) heartbeat: bool,
}

/// Which pages a place is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum On {
    /// On pages with and without a window.
    Both,
    /// On pages without a window.
    Plain,
    /// On pages with a window.
    Windowed,
}

/// Who may use how much of the pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Came in within a hold of its time.
    Live,
    /// Came in later than that, an import most likely.
    Bulk,
}

/// A sample and when its place begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) exposed: Timestamp,
    pub(super) at: Timestamp,
    pub(super) value: f64,
    /// Orders samples of the same times; part of the edge's id.
    pub(super) tie: u32,
    /// Which of the series that had the number of the line it belongs to.
    pub(super) generation: u32,
    pub(super) heartbeat: bool,
    pub(super) class: Class,
    pub(super) on: On,
    /// Older than something exposed before it, or too old for a plain page; never on one.
    pub(super) behind: bool,
    /// Its event was deleted: it is on no page, and holds its place all the same.
    pub(super) hidden: bool,
}

impl On {
    /// The oldest that any such page shows.
    pub(super) fn age_max(self) -> Duration {
        match self {
            Self::Windowed => WINDOW_MAX.saturating_sub(WINDOW_SLACK),
            Self::Both | Self::Plain => AGE_MAX,
        }
    }
}

impl Place {
    /// Whether the place is on this kind of page, or on one of them when asked for both.
    pub(super) fn is_on(&self, on: On) -> bool {
        self.on == on || self.on == On::Both || on == On::Both
    }
}
