//! When to try again: the pace that Last9's own clients keep, and what `Retry-After` says.

use std::time::Duration;

use chrono::DateTime;

use super::error::ClientError;
use crate::time::Timestamp;

/// Before the second try.
const DELAY_FIRST: Duration = Duration::from_millis(500);
/// No two tries are further apart, unless the server asks for it.
const DELAY_MAX: Duration = Duration::from_secs(10);
/// Longest `Retry-After` that is believed.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// Tries until it works, until trying again is pointless, or until `wait` does not want to wait any more.
///
/// `wait` gets the error and the time until the next try, waits, and says whether to go on.
pub fn until_done<T>(
    mut attempt: impl FnMut() -> Result<T, ClientError>,
    mut wait: impl FnMut(&ClientError, Duration) -> bool,
) -> Result<T, ClientError> {
    let mut delay = DELAY_FIRST;
    loop {
        let error = match attempt() {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let pause = error.retry_after().unwrap_or_else(|| jittered(delay));
        if !error.is_transient() || !wait(&error, pause) {
            return Err(error);
        }
        delay = (delay * 2).min(DELAY_MAX);
    }
}

/// Whether the server may say otherwise to the same request: 429 and 5xx (the contract of Last9's clients), what came too slowly
/// (408) or too early (425), and what came to a server that is not meant (421). All other 4xx are final.
pub(super) fn may_pass(status: u16) -> bool {
    matches!(status, 408 | 421 | 425 | 429) || status >= 500
}

/// The value of a `Retry-After` header as a time from `now`: seconds, or an HTTP date.
pub(super) fn after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    let span = if let Ok(seconds) = value.parse() {
        Duration::from_secs(seconds)
    } else {
        let date = DateTime::parse_from_rfc2822(value).ok()?;
        Timestamp::from_millis(date.timestamp_millis()).since(now)
    };
    Some(span.min(RETRY_AFTER_MAX))
}

/// Up to 30 % longer, so that senders that failed together do not come back together.
fn jittered(delay: Duration) -> Duration {
    let share = getrandom::u32().map_or(0.0, |random| f64::from(random) / f64::from(u32::MAX));
    delay.mul_f64(1.0 + 0.3 * share)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::ClientError;
    use super::after;
    use super::may_pass;
    use super::until_done;
    use crate::time::Timestamp;

    fn busy(retry_after: Option<u64>) -> ClientError {
        ClientError::Busy {
            url: "http://a".to_owned(),
            status: 503,
            message: String::new(),
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    fn refused(status: u16) -> ClientError {
        ClientError::Refused { url: "http://a".to_owned(), status, message: String::new() }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        #[track_caller]
        fn check(value: &str, expected: Option<u64>) {
            let now = Timestamp::from_millis(784_111_777_000); // Sun, 06 Nov 1994 08:49:37 GMT
            assert_eq!(after(value, now), expected.map(Duration::from_secs), "{value}");
        }
        check("0", Some(0));
        check("120", Some(120));
        check(" 5 ", Some(5));
        check("Sun, 06 Nov 1994 08:50:37 GMT", Some(60));
        check("Sun, 06 Nov 1994 08:49:30 GMT", Some(0));
        check("99999999", Some(3600));
        check("-1", None);
        check("soon", None);
        check("", None);
    }

    #[test]
    fn delays_double_up_to_a_limit_and_give_way_to_the_server() {
        let mut tries = 0;
        let mut delays = Vec::new();
        let end: Result<(), _> = until_done(
            || {
                tries += 1;
                Err(busy((tries == 4).then_some(42)))
            },
            |_, delay| {
                delays.push(delay);
                delays.len() < 8
            },
        );
        assert!(end.is_err());
        let expected = [0.5, 1.0, 2.0, 42.0, 8.0, 10.0, 10.0, 10.0];
        assert_eq!(delays.len(), expected.len());
        for (delay, expected) in delays.iter().zip(expected) {
            let longest = if expected > 40.0 { expected } else { expected * 1.3 };
            assert!((expected..=longest + 0.001).contains(&delay.as_secs_f64()), "{delay:?} for {expected}");
        }
    }

    #[test]
    fn what_passes_is_told_from_what_is_final() {
        for (passes, statuses) in
            [(true, &[408, 421, 425, 429, 500, 502, 503, 504][..]), (false, &[301, 400, 401, 403, 404, 405, 409, 412, 413, 415, 422, 431])]
        {
            assert!(statuses.iter().all(|status| may_pass(*status) == passes), "{passes}: {statuses:?}");
        }
    }

    #[test]
    fn other_4xx_are_never_tried_again() {
        for status in [400, 401, 403, 404, 409, 413, 415, 422] {
            let mut tries = 0;
            let end: Result<(), _> = until_done(
                || {
                    tries += 1;
                    Err(refused(status))
                },
                |_, _| true,
            );
            assert!(end.is_err());
            assert_eq!(tries, 1, "{status}");
        }
    }
}
