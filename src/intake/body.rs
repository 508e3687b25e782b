//! From the body of a request to what a door makes of it: which media types mean JSON, and parsing where it holds up nobody.

use std::sync::Arc;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use bytes::Bytes;

use crate::http::app::App;
use crate::http::body;
use crate::http::body::WholeBody;
use crate::http::error::ApiError;
use crate::intake::actor::Actor;
use crate::shown::cut;

/// Bytes of a whole event as it is sent, on the wire and inflated.
const EVENT_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Whether a body of this media type is JSON: also what curl and Python send unless told otherwise, since no other reading of
/// such a body makes sense.
pub(crate) fn is_json(media_type: &str) -> bool {
    matches!(
        media_type,
        "" | "application/json" | "text/plain" | "text/json" | "application/x-www-form-urlencoded" | "application/octet-stream"
    )
}

/// 415: a body of this media type means nothing here; `instead` says what to send.
pub(crate) fn unsupported(media_type: &str, instead: &str) -> ApiError {
    let message = format!("Content-Type `{}` is not supported: send {instead}", cut(media_type));
    ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type", message)
}

/// The body of a change of a whole event, which has a bound of its own beside those of the flags.
pub(crate) async fn read_event(app: &App, headers: &HeaderMap, body: Body, actor: &Actor) -> Result<WholeBody, ApiError> {
    let mut limits = actor.settings.limits.clone();
    limits.body_bytes = limits.body_bytes.min(EVENT_BYTES_MAX);
    limits.inflated_bytes = limits.inflated_bytes.min(EVENT_BYTES_MAX);
    body::read_whole(headers, body, &limits, &app.bodies_of(actor.source)).await.map_err(|error| match error.status {
        // The message of others names a flag.
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::too_large(format!("the body is longer than {} bytes", limits.inflated_bytes)),
        _ => error,
    })
}

/// Parses the body of a change of a whole event, off the async threads if it is large. The actor holds what it takes from then on.
pub(crate) async fn parse<T: Send + 'static>(
    app: &App,
    actor: &mut Actor,
    bytes: Bytes,
    parse: impl FnOnce(&Bytes) -> T + Send + 'static,
) -> Result<T, ApiError> {
    let sizes = (bytes.len(), most_bytes(bytes.len()));
    let (parsed, room) = app.parse(&actor.source, sizes, move || parse(&bytes)).await?;
    actor.room = Some(Arc::new(room));
    Ok(parsed)
}

/// What an event of a body of so many bytes takes at most: as it was read, as it is to be kept, and as its record.
fn most_bytes(body: usize) -> usize {
    body * 4
}
