//! `Idempotency-Key`: bound to a body, durably, before anything is made of that.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::StatusCode;
use bytes::Bytes;

use crate::event;
use crate::event::Claim;
use crate::http::auth::Grant;
use crate::http::error::ApiError;
use crate::http::refusals::refused_by_writer;
use crate::http::refusals::unavailable;
use crate::store::Claimed;
use crate::time::Timestamp;
use crate::writer::Source;
use crate::writer::Writer;

/// Longest `Idempotency-Key`.
const KEY_BYTES: usize = 255;

/// The key of a request, if it has one.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<Bytes>, ApiError> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    let key = key.as_bytes();
    if key.is_empty() || key.len() > KEY_BYTES {
        return Err(ApiError::malformed(format!("Idempotency-Key: {} bytes; it must have 1 to {KEY_BYTES}", key.len())));
    }
    Ok(Some(Bytes::copy_from_slice(key)))
}

/// Binds the key to the body, durably; answers the time that an absent timestamp means, which is that of the first request.
pub(crate) async fn claim(
    writer: &Writer,
    grant: &Grant,
    source: &Source,
    key: &[u8],
    body: &[u8],
    now: Timestamp,
) -> Result<Timestamp, ApiError> {
    let claim = Claim {
        organization: Arc::clone(&grant.organization),
        key: event::fingerprint([grant.token.as_bytes(), key]),
        body: event::fingerprint([body]),
        at: now,
        former: Some((event::former_fingerprint([grant.token.as_bytes(), key]), event::former_fingerprint([body]))),
    };
    let claimed = writer.claim(source, claim).await.map_err(|error| unavailable(&error))?;
    match claimed.map_err(|refused| refused_by_writer(&refused))? {
        Claimed::New => Ok(now),
        Claimed::Again { at } => Ok(at),
        Claimed::OtherBody => Err(ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency_key",
            "Idempotency-Key: it was used with another body within the last 24 hours",
        )),
    }
}
