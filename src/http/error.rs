//! How a handler says no: a status, a reason for our metrics, and a text for the sender.

use std::borrow::Cow;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;
use bytes::Bytes;
use serde_json::json;

use crate::account::Lease;

/// Seconds after which a busy server may be asked again.
const RETRY_AFTER_SECONDS: u32 = 5;

/// An answer that is not a success, in the shape `{"error": "..."}`.
#[derive(Clone, Debug)]
pub struct ApiError {
    /// The status of the answer.
    pub status: StatusCode,
    /// The value of the label `reason` of `change_events_refused_total`.
    pub reason: &'static str,
    /// Names the field, the value and the rule.
    pub message: Cow<'static, str>,
    /// For 429 and 503: when to try again, in seconds.
    pub retry_after: Option<u32>,
    /// The field, parameter or header at fault, where there is one; [`ErrorForm::ApiTraffic`] says it.
    pub field: Option<Box<str>>,
}

impl ApiError {
    /// An error with any status.
    pub fn new(status: StatusCode, reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, reason, message: message.into(), retry_after: None, field: None }
    }

    /// The same, naming what is at fault.
    pub(crate) fn at(self, field: impl Into<Box<str>>) -> Self {
        let field = field.into();
        Self { field: (!field.is_empty()).then_some(field), ..self }
    }

    /// 400: the request is malformed.
    pub(crate) fn malformed(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", message)
    }

    /// 413: something is larger than a limit.
    pub(crate) fn too_large(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    /// 422: the same can never be answered; the message says how to ask less.
    pub(crate) fn too_much(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "too_much", message)
    }

    /// 429: others of the same sender are being answered; worth trying again later.
    pub(crate) fn too_many(reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { retry_after: Some(RETRY_AFTER_SECONDS), ..Self::new(StatusCode::TOO_MANY_REQUESTS, reason, message) }
    }

    /// 500: our own fault; the log line says more than the sender is told.
    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "internal error")
    }

    /// 429: too many wrong tokens from one address, which may send the next one after `wait`.
    pub(crate) fn wrong_tokens(wait: Duration) -> Self {
        let seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(u32::from(wait.subsec_nanos() > 0));
        let message =
            format!("too many wrong tokens from this address: send the next one in {seconds} s; a right one is taken at any time");
        Self { retry_after: Some(seconds), ..Self::new(StatusCode::TOO_MANY_REQUESTS, "wrong_tokens", message) }
    }

    /// 503: worth trying again later.
    pub(crate) fn unavailable(reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { retry_after: Some(RETRY_AFTER_SECONDS), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, reason, message) }
    }
}

/// The shape of errors of one front door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorForm {
    /// `{"error": "..."}`.
    Last9,
    /// `{"success": false, "error": {"code", "message", "details"}}`.
    ApiTraffic,
    /// `{"result": "...", "success": false, "code": 400, "headers": {}}`.
    Ets,
}

impl ErrorForm {
    /// The error as this door's clients know it.
    pub(crate) fn refuse(self, error: &ApiError) -> Response {
        let body = match self {
            Self::Last9 => json!({ "error": error.message }),
            Self::ApiTraffic => {
                let code = apitraffic_code(error.status);
                let details = error.field.as_ref().map_or_else(|| json!({}), |field| json!({ "field": field }));
                json!({ "success": false, "error": { "code": code, "message": error.message, "details": details } })
            }
            Self::Ets => {
                // In tycho's order.
                let (message, code) = (json!(error.message), error.status.as_u16());
                return error.respond_with(format!(r#"{{"result":{message},"success":false,"code":{code},"headers":{{}}}}"#));
            }
        };
        error.respond_with(body.to_string())
    }
}

/// The codes that `ApiTraffic` documents, and the like for what it does not.
fn apitraffic_code(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "VALIDATION_ERROR",
        401 => "INVALID_TOKEN",
        403 => "FORBIDDEN",
        404 => "RESOURCE_NOT_FOUND",
        405 => "METHOD_NOT_ALLOWED",
        408 => "REQUEST_TIMEOUT",
        409 => "CONFLICT",
        412 => "PRECONDITION_FAILED",
        413 => "PAYLOAD_TOO_LARGE",
        415 => "UNSUPPORTED_MEDIA_TYPE",
        421 => "MISDIRECTED_REQUEST",
        422 => "LIMIT_EXCEEDED",
        429 => "RATE_LIMIT_EXCEEDED",
        431 => "REQUEST_HEADERS_TOO_LARGE",
        501 => "NOT_IMPLEMENTED",
        503 => "SERVICE_UNAVAILABLE",
        _ => "INTERNAL_ERROR",
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        ErrorForm::Last9.refuse(&self)
    }
}

impl ApiError {
    /// The answer with a JSON body that says more than the message.
    pub(crate) fn respond_with(&self, body: String) -> Response {
        let mut response = json_response(self.status, body);
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// An answer that is JSON text.
pub(crate) fn json_response(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Text and the memory that it is in.
struct Held {
    text: Vec<u8>,
    _room: Lease,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

/// The same of a text that may be long: what it takes is held until it is sent.
pub(crate) fn held_json_response(status: StatusCode, text: Vec<u8>, mut room: Lease) -> Response {
    room.shrink_to(text.capacity());
    json_response(status, Bytes::from_owner(Held { text, _room: room }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::FormatError;
    use crate::http::change_events;
    use crate::http::wholes::ChangeError;
    use crate::store::Limited;
    use crate::store::Refusal;
    use crate::writer::Refused;
    use crate::writer::SubmitError;

    /// Errors of a log that fails are in `tests/http/trouble.rs`, where one does.
    #[test]
    fn every_error_has_its_status_and_its_sentence() {
        #[track_caller]
        fn check(error: impl Into<ApiError>, status: u16, reason: &str, message: &str) {
            let error = error.into();
            assert_eq!((error.status.as_u16(), error.reason, &*error.message), (status, reason, message));
            assert_eq!(error.retry_after.is_some(), [429, 503].contains(&status));
        }
        let submit = |error| change_events::unavailable(&error);
        check(submit(SubmitError::Busy), 503, "busy", "busy: too many requests are waiting to be written; send it again");
        check(submit(SubmitError::Closed), 503, "stopping", "the server is stopping; send it again");
        let format = |error| change_events::refusal(&error);
        let malformed = FormatError::Malformed { subject: "value".into(), rule: "must be a number".into() };
        check(format(malformed), 400, "malformed", "value: must be a number");
        check(format(FormatError::TooLong { limit: 9 }), 413, "too_large", "the event is longer than 9 bytes");
        let many = FormatError::TooMany { items: 3, limit: 2 };
        check(format(many), 413, "too_large", "3 events in one array: at most 2; send more of them as NDJSON");
        check(ChangeError::Exists, 409, "conflict", "id: an event with this id is there already");
        check(ChangeError::Unknown, 404, "unknown", "no such event");
        let stale = "If-Match: the event has changed since; read it again, and send the `ETag` of that answer";
        check(ChangeError::Stale, 412, "stale", stale);
        let refused = |refused| change_events::refused_by_writer(&refused);
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
