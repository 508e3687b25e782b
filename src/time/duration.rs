//! Spans of time as Prometheus writes them: `30s`, `2m15s`, `7d`.

use std::time::Duration;

use crate::shown::cut;

/// Units from long to short, in milliseconds.
const UNITS: [(&str, u64); 7] =
    [("y", 365 * 86_400_000), ("w", 7 * 86_400_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// A text is no span of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a duration such as 30s, 2m15s or 7d")]
pub struct DurationError(String);

/// Reads whole numbers with units, each unit at most once, from long to short. A bare `0` is no time at all.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let wrong = || DurationError(cut(text).into());
    let mut rest = text;
    let mut millis: u64 = 0;
    let mut units = UNITS.iter();
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let (unit, tail) = tail.split_at(letters);
        let size = units.find(|(name, _)| *name == unit).map(|(_, size)| *size).ok_or_else(wrong)?;
        let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(size));
        millis = part.and_then(|part| millis.checked_add(part)).ok_or_else(wrong)?;
        rest = tail;
    }
    if text.is_empty() { Err(wrong()) } else { Ok(Duration::from_millis(millis)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_prometheus_reads() {
        #[track_caller]
        fn check(text: &str, millis: Option<u64>) {
            assert_eq!(parse(text).ok(), millis.map(Duration::from_millis), "{text:?}");
        }
        check("0", Some(0));
        check("0s", Some(0));
        check("30s", Some(30_000));
        check("2m15s", Some(135_000));
        check("1h30m", Some(5_400_000));
        check("7d", Some(604_800_000));
        check("1y2w", Some(32_745_600_000));
        check("250ms", Some(250));
        check("1s500ms", Some(1500));
        for wrong in ["", "5", "s", "-1s", "1.5s", "1s1m", "1s1s", "1 s", " 1s", "1S", "99999999999999999999s", "9999999999999999y"] {
            check(wrong, None);
        }
    }
}
