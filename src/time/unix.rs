//! Unix times where a text is wanted: what to say to whoever sends one, with the text to send instead.

use crate::time::Timestamp;
use crate::time::iso8601::EventTimeError;

const RULE: &str = "must be an ISO 8601 text, not a Unix time";

/// The rule that a number breaks, and what it would be as a text.
pub fn rule(number: &str) -> String {
    moment(number).map_or_else(|| RULE.to_owned(), |at| format!("{RULE}: if it is one, send \"{at}\""))
}

/// The rule that a text breaks which is no ISO 8601: it may be a Unix time.
pub fn rule_of_text(text: &str, error: &EventTimeError) -> String {
    if moment(text).is_some() { rule(text) } else { error.to_string() }
}

/// What digits say as a Unix time of these centuries: how many there are tells seconds from parts of them.
fn moment(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !are_digits(whole) || !are_digits(fraction) {
        return None;
    }
    let number: i64 = whole.parse().ok()?;
    let millis = match whole.len() {
        10 => {
            let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
            number * 1000 + thousandths.parse::<i64>().ok()?
        }
        13 => number,
        16 => number / 1000,
        19 => number / 1_000_000,
        _ => return None,
    };
    Some(Timestamp::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unix_time_is_told_what_to_send_instead() {
        #[track_caller]
        fn check(text: &str, expected: Option<&str>) {
            assert_eq!(moment(text).map(|at| at.to_string()).as_deref(), expected, "{text}");
            assert_eq!(rule(text).contains("send"), expected.is_some(), "{text}");
            let error = Timestamp::parse_event(text).err();
            assert!(error.is_some_and(|error| rule_of_text(text, &error).contains("not a Unix time") == expected.is_some()), "{text}");
        }
        check("1770650000", Some("2026-02-09T15:13:20.000Z"));
        check("1770650000.5", Some("2026-02-09T15:13:20.500Z"));
        check("1770650000.123456", Some("2026-02-09T15:13:20.123Z"));
        check("1770650000123", Some("2026-02-09T15:13:20.123Z"));
        check("1770650000123456", Some("2026-02-09T15:13:20.123Z"));
        check("1770650000123456789", Some("2026-02-09T15:13:20.123Z"));
        check("9999999999999999999", None);
        check("0", None);
        check("-1770650000", None);
        check("1.77e9", None);
        check("", None);
        check(".", None);
        check("17706500\u{0660}\u{0660}", None);
        check("yesterday", None);
    }
}
