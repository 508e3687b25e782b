//! `PUT` and `POST` of change events: one object, an array, or a stream of lines.

mod answer;
mod groups;
mod sender;
mod stream;

use crate::http::refusals::refusal;
use crate::http::refusals::refused_by_writer;
use crate::http::refusals::unavailable;
use crate::intake::body::is_json;
use crate::intake::body::unsupported;
use crate::intake::claims::claim;
use crate::intake::claims::idempotency_key;
use crate::intake::unmatched::Told;
use crate::intake::warnings::count_warnings;
use std::sync::Arc;

use axum::http::HeaderMap;
use axum::response::Response;

use crate::account::Item;
use crate::account::Lease;
use crate::doors::last9::ingest::answer::BatchAnswer;
use crate::doors::last9::ingest::answer::Item as AnswerItem;
use crate::doors::last9::ingest::sender::Sender;
use crate::doors::last9::wire;
use crate::doors::last9::wire::Body;
use crate::event::Edge;
use crate::event::record::Earlier;
use crate::http::app::App;
use crate::http::body;
use crate::http::error::ApiError;
use crate::http::route::Call;
use crate::mapping::Context;
use crate::mapping::FormatError;
use crate::mapping::Parsed;
use crate::mapping::Warning;
use crate::telemetry::Telemetry;
use crate::time::Timestamp;
use crate::writer::Answers;
use crate::writer::Edges;
use crate::writer::Refused;
use crate::writer::Taken;
use crate::writer::Writer;

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
    let sender = Sender::of(&call)?;
    if payload == Payload::Lines && key.is_none() {
        return stream::ingest(app, &call.parts.headers, call.body, sender).await;
    }
    let whole = body::read_whole(&call.parts.headers, call.body, &call.settings.limits, &app.bodies_of(sender.source)).await?;
    let writer = app.writer()?;
    let now = match key {
        Some(key) => claim(writer, &sender.grant, &sender.source, &key, &whole.bytes, app.clock.now()).await?,
        None => app.clock.now(),
    };
    if payload == Payload::Lines {
        return stream::ingest_whole(&app, whole.bytes, sender, now).await;
    }
    let sizes = (whole.bytes.len(), most_bytes(whole.bytes.len(), sender.settings.mapping.limits().batch_items));
    let (body_bytes, _) = sizes;
    let (earlier, by) = (writer.earlier(), sender.clone());
    let (parsed, room) = app.parse(&sender.source, sizes, move || parse(&whole.bytes, &by, (now, earlier))).await?;
    match parsed.map_err(|error| refusal(&error))? {
        Sent::One(event) => one(&app, writer, &sender, event, room).await,
        Sent::Many(events) => many(&app, writer, &sender, (events, body_bytes), room).await,
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

fn payload(headers: &HeaderMap) -> Result<Payload, ApiError> {
    let media_type = body::media_type(headers);
    match media_type.as_str() {
        json if is_json(json) => Ok(Payload::Json),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/x-jsonlines" | "application/json-lines" => {
            Ok(Payload::Lines)
        }
        _ => Err(unsupported(&media_type, "application/json, or application/x-ndjson with one event a line")),
    }
}

fn parse(body: &[u8], by: &Sender, (now, earlier): (Timestamp, Earlier)) -> Result<Sent, FormatError> {
    let context = Context { earlier, ..by.settings.context(&by.grant.organization, now) };
    Ok(match wire::parse_body(body, &context)? {
        Body::One(event) => Sent::One(event?),
        Body::Many(events) => Sent::Many(Many::of(events)),
    })
}

async fn one(app: &App, writer: &Writer, sender: &Sender, parsed: Parsed, room: Lease) -> Result<Response, ApiError> {
    let Parsed { edge, warnings } = parsed;
    count_warnings(&app.telemetry, &warnings);
    let at = edge.at;
    let mut edges: Edges = [edge].into_iter().collect();
    if room.bytes() > 0 {
        edges.hold(room);
    }
    let taken = writer.edges(&sender.source, edges).await.map_err(|error| unavailable(&error))?;
    let taken = taken.into_iter().next().ok_or_else(ApiError::internal)?;
    let taken = taken.map_err(|refused| refused_by_writer(&refused))?;
    let told = sender.told(app, [&taken]).await;
    Ok(answer::taken(taken.id, at, &answer::warnings_of(&warnings, &taken, &told)))
}

async fn many(
    app: &App,
    writer: &Writer,
    sender: &Sender,
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
    let mut answer_room = app.store.account().open_for(Item::Answers, sender.source.taker());
    answer_room.wait_to_grow(answer_bytes).await?;
    let taken = writer.edges(&sender.source, edges).await.map_err(|error| unavailable(&error))?;
    let told = sender.told(app, taken.iter().flatten()).await;
    if items.len() <= ANSWER_INLINE_EVENTS {
        return answer_many(batch, items, (taken, told), &app.telemetry, answer_room);
    }
    let telemetry = Arc::clone(&app.telemetry);
    app.places.work(move || answer_many(batch, items, (taken, told), &telemetry, answer_room)).await?
}

fn answer_many(
    mut batch: BatchAnswer,
    items: Vec<Result<(Timestamp, Vec<Warning>), FormatError>>,
    (taken, told): (Answers, Told),
    telemetry: &Telemetry,
    room: Lease,
) -> Result<Response, ApiError> {
    let mut taken = taken.into_iter();
    for item in items {
        batch.push(match item {
            Ok((at, warnings)) => {
                count_warnings(telemetry, &warnings);
                judge(taken.next(), at, &warnings, &told)
            }
            Err(error) => AnswerItem::refused(refusal(&error)),
        });
    }
    batch.count_refused(telemetry);
    batch.respond(room)
}

/// What the sender is told about one edge of a batch.
fn judge(taken: Option<Result<Taken, Refused>>, at: Timestamp, warnings: &[Warning], told: &Told) -> AnswerItem {
    match taken {
        Some(Ok(taken)) => AnswerItem::taken(taken.id, at, answer::warnings_of(warnings, &taken, told)),
        Some(Err(refused)) => AnswerItem::refused(refused_by_writer(&refused)),
        None => AnswerItem::refused(ApiError::internal()),
    }
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
