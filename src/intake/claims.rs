//! `Idempotency-Key`: bound to a body, durably, before anything is made of that.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::StatusCode;
use bytes::Bytes;

use crate::event;
use crate::event::Claim;
use crate::http::app::App;
use crate::http::auth::Grant;
use crate::http::error::ApiError;
use crate::http::refusals::refused_by_writer;
use crate::http::refusals::unavailable;
use crate::intake::actor::Actor;
use crate::intake::wholes;
use crate::intake::wholes::ChangeError;
use crate::intake::wholes::ChangedEvent;
use crate::mapping::whole::Whole;
use crate::store::Claimed;
use crate::store::EventView;
use crate::time::Timestamp;
use crate::writer::Source;
use crate::writer::Writer;

/// The header.
const NAME: &str = "Idempotency-Key";
/// Longest key.
const KEY_BYTES: usize = 255;

/// The key of a request, if it has one.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<Bytes>, ApiError> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    let key = key.as_bytes();
    if key.is_empty() || key.len() > KEY_BYTES {
        return Err(ApiError::malformed(format!("{NAME}: {} bytes; it must have 1 to {KEY_BYTES}", key.len())).at(NAME));
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
    match claimed.map_err(|refused| of_key(refused_by_writer(&refused)))? {
        Claimed::New => Ok(now),
        Claimed::Again { at } => Ok(at),
        Claimed::OtherBody => Err(ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency_key",
            "Idempotency-Key: it was used with another body within the last 24 hours",
        )
        .at(NAME)),
    }
}

/// The key is at fault where there are too many of them.
fn of_key(error: ApiError) -> ApiError {
    if error.status == StatusCode::TOO_MANY_REQUESTS { error.at(NAME) } else { error }
}

/// The event with this id, which the first request with its key created, as it is now; an error if it was deleted since.
pub(crate) async fn earlier(app: &App, actor: &Actor, id: &str) -> Result<Option<EventView>, ApiError> {
    let event = wholes::find(app, actor, id).await?;
    let (store, organization, id) = (Arc::clone(&app.store), Arc::clone(&actor.organization), id.to_owned());
    if event.is_none() && app.heavy(&app.lookups, &actor.source, move || store.remembers(&organization, &id)).await? {
        let message = format!("{NAME}: the event that it created was deleted");
        return Err(ApiError::new(StatusCode::CONFLICT, "conflict", message).at(NAME));
    }
    Ok(event)
}

/// Puts an event that has its id of a key: where that is there already, the same was sent twice at the same time, and the other
/// was faster.
pub(crate) async fn create(app: &App, actor: &Actor, whole: &Whole) -> Result<ChangedEvent, ChangeError> {
    match wholes::create(app, actor, whole).await {
        Err(ChangeError::Exists) => Ok(wholes::find(app, actor, &whole.id).await?.ok_or_else(ApiError::internal)?.into()),
        other => other,
    }
}
