//! What the parts below refuse, as answers: the status of each, its reason for our metrics, one sentence for the sender.

use axum::http::StatusCode;

use crate::http::error::ApiError;
use crate::mapping::FormatError;
use crate::store::Limited;
use crate::store::Refusal;
use crate::writer::Refused;
use crate::writer::SubmitError;

/// Seconds after which there may be room on the disk: it comes free by retention, not soon.
const ROOM_RETRY_SECONDS: u32 = 60;

/// Bytes that are no event.
pub(crate) fn refusal(error: &FormatError) -> ApiError {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
    ApiError::new(status, reason(error.status()), error.to_string())
}

/// The reason that our metrics give for a refused event.
pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        400 => "malformed",
        413 => "too_large",
        422 => "limit",
        _ => "internal",
    }
}

/// What the writer did not take: all of its limits pass, so the sender is told when to come back.
pub(crate) fn refused_by_writer(refused: &Refused) -> ApiError {
    let error = match refused {
        Refused::TooLarge { .. } => return ApiError::too_large(refused.to_string()),
        Refused::NoRoom(_) => {
            return ApiError { retry_after: Some(ROOM_RETRY_SECONDS), ..ApiError::unavailable("disk", refused.to_string()) };
        }
        Refused::Limit(refusal) if refusal.is_of_memory() => ApiError::unavailable("memory", refused.to_string()),
        Refused::Limit(Refusal { of: Limited::Server, .. }) => ApiError::unavailable("limit", refused.to_string()),
        Refused::Limit(Refusal { of: Limited::Organization, .. }) => ApiError::too_many("limit", refused.to_string()),
    };
    let Refused::Limit(refusal) = refused else { return error };
    let seconds = refusal.wait.as_secs() + u64::from(refusal.wait.subsec_nanos() > 0);
    ApiError { retry_after: Some(u32::try_from(seconds).unwrap_or(u32::MAX)), ..error }
}

/// One sentence for each, and nothing of the cause: that is the business of who runs the server.
pub(crate) fn unavailable(error: &SubmitError) -> ApiError {
    let (reason, message) = match error {
        SubmitError::Log(error) if error.is_of_room() => {
            let message = "the event log cannot be written now; nothing was kept, send it again";
            return ApiError { retry_after: Some(ROOM_RETRY_SECONDS), ..ApiError::unavailable("disk", message) };
        }
        SubmitError::Busy => ("busy", "busy: too many requests are waiting to be written; send it again"),
        SubmitError::Log(_) => ("log", "the event log cannot be written now; nothing was kept, send it again"),
        SubmitError::Latched(_) => ("latched", "the event log takes nothing more until the server is restarted; send it again then"),
        SubmitError::Stalled => ("disk", "the event log does not answer; nothing was kept, send it again"),
        SubmitError::Unknown => (
            "unknown",
            "the event log does not answer: it is not known whether this was kept; send it again with the same Idempotency-Key, id or timestamp, and it is kept once",
        ),
        SubmitError::Closed => ("stopping", "the server is stopping; send it again"),
    };
    ApiError::unavailable(reason, message)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Errors of a log that fails are in `tests/http/trouble.rs`, where one does.
    #[test]
    fn every_error_has_its_status_and_its_sentence() {
        #[track_caller]
        fn check(error: impl Into<ApiError>, status: u16, reason: &str, message: &str) {
            let error = error.into();
            assert_eq!((error.status.as_u16(), error.reason, &*error.message), (status, reason, message));
            assert_eq!(error.retry_after.is_some(), [429, 503].contains(&status));
        }
        let submit = |error| unavailable(&error);
        check(submit(SubmitError::Busy), 503, "busy", "busy: too many requests are waiting to be written; send it again");
        check(submit(SubmitError::Closed), 503, "stopping", "the server is stopping; send it again");
        let format = |error| refusal(&error);
        let malformed = FormatError::Malformed { subject: "value".into(), rule: "must be a number".into() };
        check(format(malformed), 400, "malformed", "value: must be a number");
        check(format(FormatError::TooLong { limit: 9 }), 413, "too_large", "the event is longer than 9 bytes");
        let many = FormatError::TooMany { items: 3, limit: 2 };
        check(format(many), 413, "too_large", "3 events in one array: at most 2; send more of them as NDJSON");
        let refused = |refused| refused_by_writer(&refused);
        let limit = |of, flag| Refused::Limit(Refusal { what: "keys", limit: 2, flag, of, wait: Duration::from_millis(60_001) });
        let own = limit(Limited::Organization, "--limit.keys");
        check(refused(own.clone()), 429, "limit", "keys: 2 are there already, the most that --limit.keys allows");
        assert_eq!(refused(own).retry_after, Some(61));
        let text = "keys: 2 are there already, the most that --limit.memory allows";
        check(refused(limit(Limited::Server, "--limit.memory")), 503, "memory", text);
        check(refused(limit(Limited::Server, "a flag")), 503, "limit", "keys: 2 are there already, the most that a flag allows");
        let too_large = "the event is too large: it would be stored as 9 bytes, at most 8";
        check(refused(Refused::TooLarge { bytes: 9, limit: 8 }), 413, "too_large", too_large);
        check(ApiError::internal(), 500, "internal", "internal error");
        let wrong = "too many wrong tokens from this address: send the next one in 1 s; a right one is taken at any time";
        check(ApiError::wrong_tokens(Duration::from_millis(100)), 429, "wrong_tokens", wrong);
    }
}
