//! The forms of time that ETS clients send, and the one they are sent.

use crate::time::Timestamp;
use crate::time::iso8601::TimeError;
use crate::time::iso8601::looks_like_a_date;

/// The years that the clients of ETS can hold, in Unix seconds.
const SECONDS: std::ops::Range<f64> = -62_135_596_800.0..253_402_300_800.0;

/// Reads ISO 8601, Unix seconds, or `12/05/16:10:25:00` (month, day, year; UTC).
pub fn parse(text: &str) -> Result<Timestamp, TimeError> {
    if let Some(iso) = from_slashes(text) {
        return Timestamp::parse(&iso);
    }
    if looks_like_a_date(text) || text.parse::<f64>().is_err() {
        return Timestamp::parse(text);
    }
    of_seconds(text).ok_or(TimeError { part: "Unix seconds", rule: "must lie between the years 1 and 9999" })
}

/// Unix seconds as a moment, cut to milliseconds; `None` when they are no number, or none of these years.
pub(super) fn of_seconds(text: &str) -> Option<Timestamp> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| SECONDS.contains(seconds))?;
    // What is beyond microseconds is the rounding of the float.
    #[expect(clippy::cast_possible_truncation, reason = "bounded by the filter")]
    let of_float = ((seconds * 1e6).round() / 1e3).floor() as i64;
    Some(Timestamp::from_millis(of_decimal(text).unwrap_or(of_float)))
}

/// The milliseconds in plain decimal digits, which a float does not hold for every year.
fn of_decimal(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) || !whole.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (thousandths, rest) = fraction.split_at_checked(3).unwrap_or((fraction, ""));
    let millis = format!("{whole}{thousandths:0<3}").parse::<i64>().ok()?;
    let is_beyond = rest.bytes().any(|byte| byte != b'0');
    Some(if digits.len() == text.len() { millis } else { -millis - i64::from(is_beyond) })
}

/// `MM/DD/YY:HH:MM:SS` as ISO 8601. The century is that of Python's `%y`: 69 is 1969, 68 is 2068.
fn from_slashes(text: &str) -> Option<String> {
    let (date, time) = text.split_once(':')?;
    let mut parts = date.split('/');
    let (month, day, year) = (parts.next()?, parts.next()?, parts.next()?);
    let two_digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    if parts.next().is_some() || ![month, day, year].into_iter().all(two_digits) || !time.split(':').all(two_digits) {
        return None;
    }
    let century = if year < "69" { "20" } else { "19" };
    Some(format!("{century}{year}-{month}-{day}T{time}"))
}

/// The time as Python's `isoformat()` writes it: `2018-12-31T18:38:52.345000+00:00`, without a fraction when there is none.
pub fn isoformat(at: Timestamp) -> String {
    let text = at.to_string();
    let Some(text) = text.strip_suffix('Z') else { return text };
    match text.strip_suffix(".000") {
        Some(whole) => format!("{whole}+00:00"),
        None => format!("{text}000+00:00"),
    }
}
