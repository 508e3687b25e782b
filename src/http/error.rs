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

/// An answer that is not a success. Each door has a shape of its own for it.
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
    /// The field, parameter or header at fault, where there is one; some doors say it.
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

/// The error in the shape `{"error": "..."}`, which is the machinery's own.
pub(crate) fn plain(error: &ApiError) -> Response {
    error.respond_with(json!({ "error": error.message }).to_string())
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        plain(&self)
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
