//! `PUT` and `POST` of change events: one object, an array, or a stream of lines.

mod answer;
mod groups;
mod stream;

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;

use crate::account::Item;
use crate::account::Lease;
use crate::event;
use crate::event::Claim;
use crate::event::Edge;
use crate::formats::Context;
use crate::formats::FormatError;
use crate::formats::Parsed;
use crate::formats::Warning;
use crate::formats::last9;
use crate::formats::last9::Body;
use crate::http::app::App;
use crate::http::app::Settings;
use crate::http::auth::Grant;
use crate::http::body;
use crate::http::change_events::answer::BatchAnswer;
use crate::http::change_events::answer::Item as AnswerItem;
pub(crate) use crate::http::change_events::answer::warnings;
use crate::http::error::ApiError;
use crate::http::routes::Call;
use crate::store::Claimed;
use crate::store::Limited;
use crate::store::Refusal;
use crate::telemetry::Telemetry;
use crate::time::Timestamp;
use crate::writer::Answers;
use crate::writer::Edges;
use crate::writer::Refused;
use crate::writer::Source;
use crate::writer::SubmitError;
use crate::writer::Taken;
use crate::writer::Writer;

/// Seconds after which there may be room on the disk: it comes free by retention, not soon.
const ROOM_RETRY_SECONDS: u32 = 60;
/// Longest `Idempotency-Key`.
const KEY_BYTES: usize = 255;
/// Answers to more events than this are made off the async threads.
const ANSWER_INLINE_EVENTS: usize = 256;

/// What a body holds, by its media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Payload {
    /// An object or an array.
    Json,
    /// One object a line.
    Lines,
}

/// Takes in what the body holds; a 2xx means that it is durable and visible.
pub(crate) async fn ingest(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    let payload = payload(&call.parts.headers)?;
    let key = idempotency_key(&call.parts.headers)?;
    app.taking()?;
    let (grant, source) = (call.grant()?.clone(), call.source());
    if payload == Payload::Lines && key.is_none() {
        return stream::ingest(app, &call.parts.headers, call.body, call.settings, grant, source).await;
    }
    let whole = body::read_whole(&call.parts.headers, call.body, &call.settings.limits, &app.bodies_of(source)).await?;
    let writer = app.writer()?;
    let now = match key {
        Some(key) => claim(writer, &grant, &source, &key, &whole.bytes, app.clock.now()).await?,
        None => app.clock.now(),
    };
    if payload == Payload::Lines {
        return stream::ingest_whole(&app, whole.bytes, call.settings, grant, source, now).await;
    }
    let sizes = (whole.bytes.len(), most_bytes(whole.bytes.len(), call.settings.mapping.limits().batch_items));
    let (body_bytes, _) = sizes;
    let (parsed, room) = app.parse(&source, sizes, move || parse(&whole.bytes, &call.settings, &grant, now)).await?;
    match parsed.map_err(|error| refusal(&error))? {
        Sent::One(event) => one(&app, writer, &source, event, room).await,
        Sent::Many(events) => many(&app, writer, &source, (events, body_bytes), room).await,
    }
}

/// What the events of an array of so many bytes take at most: each that has the least that an event has, and their texts, as they
/// were read, as they are kept, and as their records.
fn most_bytes(body: usize, items: usize) -> usize {
    /// `{"event_name":"e"}` and a comma.
    const LEAST: usize = 19;
    body * 4 + (body / LEAST).min(items) * (size_of::<Edge>() + 512)
}

/// What a body holds, ready for the writer.
enum Sent {
    One(Parsed),
    Many(Many),
}

/// The events of an array.
struct Many {
    edges: Edges,
    /// Of each event its time and its warnings, or why it is refused.
    items: Vec<Result<(Timestamp, Vec<Warning>), FormatError>>,
}

impl Many {
    fn of(events: Vec<Result<Parsed, FormatError>>) -> Self {
        let mut many = Self { edges: Edges::with_capacity(events.len()), items: Vec::with_capacity(events.len()) };
        for event in events {
            many.items.push(event.map(|Parsed { edge, warnings }| {
                let at = edge.at;
                many.edges.push(edge);
                (at, warnings)
            }));
        }
        many
    }
}

/// `application/json`; also what curl and Python send unless told otherwise, since no other reading of such a body makes sense.
fn payload(headers: &HeaderMap) -> Result<Payload, ApiError> {
    let media_type = body::media_type(headers);
    match media_type.as_str() {
        "" | "application/json" | "text/plain" | "text/json" | "application/x-www-form-urlencoded" | "application/octet-stream" => {
            Ok(Payload::Json)
        }
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/x-jsonlines" | "application/json-lines" => {
            Ok(Payload::Lines)
        }
        _ => {
            let shown: String = media_type.chars().take(80).collect();
            let message =
                format!("Content-Type `{shown}` is not supported: send application/json, or application/x-ndjson with one event a line");
            Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type", message))
        }
    }
}

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

fn parse(body: &[u8], settings: &Settings, grant: &Grant, now: Timestamp) -> Result<Sent, FormatError> {
    Ok(match last9::parse_body(body, &context(settings, &grant.organization, now))? {
        Body::One(event) => Sent::One(event?),
        Body::Many(events) => Sent::Many(Many::of(events)),
    })
}

pub(crate) fn context<'a>(settings: &'a Settings, organization: &Arc<str>, now: Timestamp) -> Context<'a> {
    Context { organization: Arc::clone(organization), now, mapping: &settings.mapping, clusters: settings.clusters(organization) }
}

async fn one(app: &App, writer: &Writer, source: &Source, parsed: Parsed, room: Lease) -> Result<Response, ApiError> {
    let Parsed { edge, warnings } = parsed;
    count_warnings(&app.telemetry, &warnings);
    let at = edge.at;
    let mut edges: Edges = [edge].into_iter().collect();
    if room.bytes() > 0 {
        edges.hold(room);
    }
    let taken = writer.edges(source, edges).await.map_err(|error| unavailable(&error))?;
    let taken = taken.into_iter().next().ok_or_else(ApiError::internal)?;
    let taken = taken.map_err(|refused| refused_by_writer(&refused))?;
    Ok(answer::taken(taken.id, at, &answer::warnings_of(&warnings, &taken)))
}

async fn many(
    app: &App,
    writer: &Writer,
    source: &Source,
    (many, body_bytes): (Many, usize),
    mut room: Lease,
) -> Result<Response, ApiError> {
    /// What one event takes in the answer: while that is made, and as text.
    const ITEM_BYTES: usize = 512;
    let Many { mut edges, items } = many;
    let batch = BatchAnswer::to(body_bytes);
    room.shrink_to(edges.bytes());
    edges.hold(room);
    let answer_bytes = if items.len() > ANSWER_INLINE_EVENTS { items.len() * ITEM_BYTES } else { 0 };
    let mut answer_room = app.store.account().open_for(Item::Answers, source.taker());
    answer_room.wait_to_grow(answer_bytes).await?;
    let taken = writer.edges(source, edges).await.map_err(|error| unavailable(&error))?;
    if items.len() <= ANSWER_INLINE_EVENTS {
        return answer_many(batch, items, taken, &app.telemetry, answer_room);
    }
    let telemetry = Arc::clone(&app.telemetry);
    app.places.work(move || answer_many(batch, items, taken, &telemetry, answer_room)).await?
}

fn answer_many(
    mut batch: BatchAnswer,
    items: Vec<Result<(Timestamp, Vec<Warning>), FormatError>>,
    taken: Answers,
    telemetry: &Telemetry,
    room: Lease,
) -> Result<Response, ApiError> {
    let mut taken = taken.into_iter();
    for item in items {
        batch.push(match item {
            Ok((at, warnings)) => {
                count_warnings(telemetry, &warnings);
                judge(taken.next(), at, &warnings)
            }
            Err(error) => AnswerItem::refused(refusal(&error)),
        });
    }
    batch.count_refused(telemetry);
    batch.respond(room)
}

/// What the sender is told about one edge of a batch.
fn judge(taken: Option<Result<Taken, Refused>>, at: Timestamp, warnings: &[Warning]) -> AnswerItem {
    match taken {
        Some(Ok(taken)) => AnswerItem::taken(taken.id, at, answer::warnings_of(warnings, &taken)),
        Some(Err(refused)) => AnswerItem::refused(refused_by_writer(&refused)),
        None => AnswerItem::refused(ApiError::internal()),
    }
}

pub(crate) fn count_warnings(telemetry: &Telemetry, warnings: &[Warning]) {
    for warning in warnings {
        match warning {
            Warning::Cut { .. } => telemetry.label_values_cut.inc(),
            Warning::Collision { .. } => telemetry.label_collisions.inc(),
        };
    }
}

pub(crate) fn refusal(error: &FormatError) -> ApiError {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
    ApiError::new(status, reason(error.status()), error.to_string())
}

/// The reason that our metrics give for a refused event.
fn reason(status: u16) -> &'static str {
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
    use axum::http::header;

    use super::*;

    #[test]
    fn media_types() {
        for (media_type, expected) in [
            ("application/json", Some(Payload::Json)),
            ("Application/JSON; charset=utf-8", Some(Payload::Json)),
            ("application/x-www-form-urlencoded", Some(Payload::Json)),
            ("text/plain", Some(Payload::Json)),
            ("application/x-ndjson", Some(Payload::Lines)),
            ("application/x-ndjson; charset=utf-8", Some(Payload::Lines)),
            ("application/xml", None),
            ("multipart/form-data; boundary=x", None),
            ("application/x-protobuf", None),
        ] {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, media_type.parse().unwrap())]);
            assert_eq!(payload(&headers).ok(), expected, "{media_type}");
        }
        assert_eq!(payload(&HeaderMap::new()).ok(), Some(Payload::Json));
    }
}
