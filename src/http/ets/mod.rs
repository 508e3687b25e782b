//! The front door of ETS (zillow/tycho): `/api/v1/event/` and what lies below it.
//!
//! Its paths name no organization, so the token decides. What differs from the original, and why, is in `docs/ets.md`.

mod answer;
mod list;
mod page;
mod tree;
mod view;

pub(crate) use list::list;
pub(crate) use page::page;

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::Response;
use bytes::Bytes;
use serde_json::json;

use crate::formats::ets;
use crate::formats::ets::EtsError;
use crate::formats::ets::Event;
use crate::formats::ets::Request;
use crate::http::app::App;
use crate::http::body;
use crate::http::error::ApiError;
use crate::http::ets::answer::Notation;
use crate::http::ets::tree::Trace;
use crate::http::negotiate;
use crate::http::routes::Call;
use crate::http::wholes;
use crate::http::wholes::Actor;
use crate::http::wholes::ChangeError;
use crate::http::wholes::ChangedEvent;
use crate::http::wholes::IfMatch;
use crate::store::EventView;
use crate::store::Keep;
use crate::store::Order;
use crate::store::Query;
use crate::store::Tenant;

/// How often a POST is tried while others put and delete the same event.
const TRIES: usize = 8;

/// Puts an event that is not there.
pub(crate) async fn put(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    let sent = Sent::of(&app, call).await?;
    if sent.if_match != IfMatch::Absent {
        return Err(ChangeError::Stale.into());
    }
    let event = Event::new(sent.request.change, uuid4()?, sent.actor.now).map_err(refusal)?;
    match wholes::create(&app, &sent.actor, &view::whole(&event)).await {
        Ok(changed) => Ok(answer_changed(sent.format, &changed)),
        Err(ChangeError::Exists) => {
            Err(ApiError::new(StatusCode::BAD_REQUEST, "conflict", format!("Error: id '{}' already exists", event.id)))
        }
        Err(error) => Err(error.into()),
    }
}

/// Merges into an event, or updates it; puts it when it is not there and the body says `insert`.
pub(crate) async fn post(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    let Sent { request, format, if_match, actor } = Sent::of(&app, call).await?;
    let Request { change, operation, insert } = request;
    let new = Event::new(change.clone(), uuid4()?, actor.now);
    let id = new.as_ref().map_or_else(|_| change.id.clone().unwrap_or_default(), |new| new.id.clone());
    for _ in 0..TRIES {
        let edit = |event: &EventView, whole| {
            let shown = view::event(event);
            let after = ets::apply(operation, shown.clone(), &change).map_err(refusal)?;
            Ok::<_, ApiError>(view::written(event, &shown, after, whole))
        };
        match wholes::update(&app, &actor, &id, &if_match, edit).await {
            Ok(changed) => return Ok(answer_changed(format, &changed)),
            Err(ChangeError::Unknown) if if_match != IfMatch::Absent => return Err(ChangeError::Stale.into()),
            Err(ChangeError::Unknown) => {}
            Err(error) => return Err(error.into()),
        }
        let new = new.clone().map_err(refusal)?;
        if !insert {
            return if app.web.ets_strict { Err(not_found()) } else { Ok(format.respond(&answer::event(&new))) };
        }
        match wholes::create(&app, &actor, &view::whole(&new)).await {
            Ok(changed) => return Ok(answer_changed(format, &changed)),
            Err(ChangeError::Exists) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(ApiError::unavailable("busy", "busy: others keep putting and deleting this event"))
}

/// One event.
pub(crate) async fn get(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    app.writer()?;
    let actor = call.actor(app.clock.now())?;
    let event = wholes::find(&app, &actor, call.parameter(0)).await?.ok_or_else(not_found)?;
    let mut response = Notation::of(&call.parts.headers).respond(&answer::event(&view::event(&event)));
    response.headers_mut().insert(header::ETAG, wholes::etag(event.version));
    Ok(response)
}

/// Deletes an event.
pub(crate) async fn delete(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    app.taking()?;
    let (actor, id) = (call.actor(app.clock.now())?, call.parameter(0));
    let if_match = IfMatch::of(&call.parts.headers);
    match wholes::delete(&app, &actor, id, &if_match).await {
        Ok(_) => {
            let message = json!({ "message": format!("Event: {id} deleted successfully") });
            Ok(Notation::of(&call.parts.headers).respond(&message.to_string()))
        }
        Err(ChangeError::Unknown) => Err(ApiError::new(StatusCode::BAD_REQUEST, "unknown", format!("Can not delete event with id: {id}"))),
        Err(error) => Err(error.into()),
    }
}

/// The events that an event caused, whether it is there or not.
pub(crate) async fn children(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    app.writer()?;
    let query = children_of(call.parameter(0), usize::MAX);
    let (format, asked) = (Notation::of(&call.parts.headers), list::Asked { source: call.asker(), tenant: call.tenant(&app)?, query });
    list::respond(app, asked, list::Shape::Array, format).await
}

/// An event, what caused it, what caused that, and so on.
pub(crate) async fn trace(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    app.writer()?;
    let (tenant, id) = (call.tenant(&app)?, call.parameter(0).to_owned());
    let found = app.query(call.asker(), move |effort| tenant.map(|tenant| tree::trace(&tenant, &id, effort)).unwrap_or_default());
    let (Trace { events, is_cut }, room) = found.await?;
    let format = Notation::of(&call.parts.headers);
    let count = events.len();
    let items = events.into_iter().enumerate().map(|(place, event)| {
        let comma = if place > 0 { "," } else { "" };
        format!("{comma}{}", answer::event(&view::event(&event)))
    });
    let mut response =
        format.stream(std::iter::once("[".to_owned()).chain(items).chain(std::iter::once("]".to_owned())).chain(answer::held(room)));
    if is_cut {
        wholes::warn(&mut response, &[format!("cut after {count} events; ask for the trace of the last one")]);
    }
    Ok(response)
}

/// An event and everything that it caused, as a tree.
pub(crate) async fn impact(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    app.writer()?;
    let (tenant, id) = (call.tenant(&app)?, call.parameter(0).to_owned());
    let grown =
        app.query(call.asker(), move |effort| tenant.and_then(|tenant| Some(tree::Tree::below(&tenant, tenant.event(&id)?, effort))));
    let (grown, room) = grown.await?;
    let tree = grown.ok_or_else(not_found)?;
    let warnings = tree.warnings();
    let mut response = Notation::of(&call.parts.headers).stream(answer::impact(tree).chain(answer::held(room)));
    wholes::warn(&mut response, &warnings);
    Ok(response)
}

/// The question for what an event caused.
fn children_of(id: &str, limit: usize) -> Query {
    let parent: Box<str> = id.into();
    // A tag may be called `parent_id` too.
    let keep = Keep(Arc::new({
        let parent = parent.clone();
        move |event| view::parent(event) == &*parent
    }));
    let tags = vec![("parent_id".into(), parent.clone())];
    Query { tags, parent: Some(parent), keep: Some(keep), order: Order::End, limit, ..Query::default() }
}

impl Call {
    /// The events of the organization, if it has any.
    fn tenant(&self, app: &App) -> Result<Option<Arc<Tenant>>, ApiError> {
        Ok(app.store.tenant(&self.grant()?.organization))
    }
}

/// A request that changes something.
struct Sent {
    request: Request,
    format: Notation,
    if_match: IfMatch,
    actor: Actor,
}

impl Sent {
    async fn of(app: &App, call: Call) -> Result<Self, ApiError> {
        app.taking()?;
        let mut actor = call.actor(app.clock.now())?;
        let (format, if_match) = (Notation::of(&call.parts.headers), IfMatch::of(&call.parts.headers));
        let parse = parser(&call.parts.headers)?;
        let whole = body::read_whole(&call.parts.headers, call.body, &call.settings.limits, &app.bodies_of(actor.source)).await?;
        let sizes = (whole.bytes.len(), wholes::most_bytes(whole.bytes.len()));
        let (request, room) = app.parse(&actor.source, sizes, move || parse(&whole.bytes)).await?;
        actor.room = Some(Arc::new(room));
        Ok(Self { request: request.map_err(refusal)?, format, if_match, actor })
    }
}

/// What reads a body.
type Parse = fn(&Bytes) -> Result<Request, EtsError>;

fn parser(headers: &HeaderMap) -> Result<Parse, ApiError> {
    let media_type = body::media_type(headers);
    match media_type.as_str() {
        yaml if negotiate::is_yaml(yaml) => Ok(|body| ets::parse_yaml(body)),
        // Also what curl and Python send unless told otherwise.
        "" | "application/json" | "text/plain" | "text/json" | "application/x-www-form-urlencoded" | "application/octet-stream" => {
            Ok(|body| ets::parse_json(body))
        }
        _ => {
            let shown: String = media_type.chars().take(80).collect();
            let message = format!("Content-Type `{shown}` is not supported: send application/json or application/yaml");
            Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type", message))
        }
    }
}

fn answer_changed(format: Notation, changed: &ChangedEvent) -> Response {
    let mut response = format.respond(&answer::event(&view::event(&changed.event)));
    response.headers_mut().insert(header::ETAG, wholes::etag(changed.event.version));
    wholes::warn(&mut response, &changed.warnings);
    response
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn refusal(error: EtsError) -> ApiError {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let reason = match error.status() {
        409 => "conflict",
        413 => "too_large",
        422 => "limit",
        _ => "malformed",
    };
    ApiError::new(status, reason, error.to_string())
}

fn not_found() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "unknown", "Not Found")
}

/// What gives an event an id (RFC 9562, version 4).
fn uuid4() -> Result<impl FnOnce() -> Box<str>, ApiError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| ApiError::internal())?;
    let bits = u128::from_be_bytes(bytes) & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    Ok(move || {
        let hex = format!("{bits:032x}");
        let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
        [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-").into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_ids_are_uuids_of_version_4() {
        let id = uuid4().unwrap()();
        let is_uuid = regex::Regex::new("^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$").unwrap();
        assert!(is_uuid.is_match(&id), "{id}");
        assert_ne!(id, uuid4().unwrap()());
    }
}
