//! ISO 8601 text to a [`Timestamp`] and back.

use super::Timestamp;
use chrono::{DateTime, SecondsFormat, Utc};
use std::fmt;

/// Writes `2026-02-20T10:00:00.000Z`; outside the calendar's years, the milliseconds as a number.
pub(super) fn write(at: Timestamp, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match DateTime::<Utc>::from_timestamp_millis(at.millis()) {
        Some(moment) => f.write_str(&moment.to_rfc3339_opts(SecondsFormat::Millis, true)),
        None => write!(f, "{}ms", at.millis()),
    }
}
