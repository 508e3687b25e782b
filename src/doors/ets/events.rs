//! One event, and what it caused and was caused by: get, put, merge, update, delete.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::Response;
use bytes::Bytes;
use serde_json::json;

use crate::doors::ets::answer;
use crate::doors::ets::answer::Notation;
use crate::doors::ets::options::Options;
use crate::doors::ets::tree;
use crate::doors::ets::tree::Trace;
use crate::doors::ets::view;
use crate::doors::ets::wire;
use crate::doors::ets::wire::EtsError;
use crate::doors::ets::wire::Event;
use crate::doors::ets::wire::Request;
use crate::http::app::App;
use crate::http::body;
use crate::http::error::ApiError;
use crate::http::negotiate;
use crate::http::route::Call;
use crate::intake;
use crate::intake::actor::Actor;
use crate::intake::body::is_json;
use crate::intake::body::unsupported;
use crate::intake::ids;
use crate::intake::warnings;
use crate::intake::wholes;
use crate::intake::wholes::ChangeError;
use crate::intake::wholes::ChangedEvent;
use crate::intake::wholes::IfMatch;
use crate::store::EventView;

/// Puts an event that is not there.
pub(super) async fn put(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    let sent = Sent::of(&app, call).await?;
    if sent.if_match != IfMatch::Absent {
        return Err(ChangeError::Stale.into());
    }
    let event = Event::new(sent.request.change, new_id()?, sent.actor.now).map_err(refusal)?;
    match wholes::create(&app, &sent.actor, &view::whole(&event)).await {
        Ok(changed) => Ok(answer_changed(sent.format, &changed)),
        Err(ChangeError::Exists) => {
            Err(ApiError::new(StatusCode::BAD_REQUEST, "conflict", format!("Error: id '{}' already exists", event.id)))
        }
        Err(error) => Err(error.into()),
    }
}

/// Merges into an event, or updates it; puts it when it is not there and the body says `insert`.
pub(super) async fn post(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    let Sent { request, format, if_match, actor } = Sent::of(&app, call).await?;
    let Request { change, operation, insert } = request;
    let new = Event::new(change.clone(), new_id()?, actor.now);
    let id = new.as_ref().map_or_else(|_| change.id.clone().unwrap_or_default(), |new| new.id.clone());
    for _ in 0..wholes::TRIES {
        let edit = |event: &EventView, whole| {
            let shown = view::event(event);
            let after = wire::apply(operation, shown.clone(), &change).map_err(refusal)?;
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
            return if Options::of(&actor.settings).strict { Err(not_found()) } else { Ok(format.respond(&answer::event(&new))) };
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
pub(super) async fn get(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    app.writer()?;
    let actor = Actor::of(&call, app.clock.now())?;
    let event = wholes::find(&app, &actor, call.parameter(0)).await?.ok_or_else(not_found)?;
    let mut response = Notation::of(&call.parts.headers).respond(&answer::event(&view::event(&event)));
    response.headers_mut().insert(header::ETAG, wholes::etag(event.version));
    Ok(response)
}

/// Deletes an event.
pub(super) async fn delete(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    app.taking()?;
    let (actor, id) = (Actor::of(&call, app.clock.now())?, call.parameter(0));
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

/// An event, what caused it, what caused that, and so on.
pub(super) async fn trace(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    app.writer()?;
    let (tenant, id) = (app.store.tenant(&call.grant()?.organization), call.parameter(0).to_owned());
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
        warnings::warn(&mut response, &[format!("cut after {count} events; ask for the trace of the last one")]);
    }
    Ok(response)
}

/// An event and everything that it caused, as a tree.
pub(super) async fn impact(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    app.writer()?;
    let (tenant, id) = (app.store.tenant(&call.grant()?.organization), call.parameter(0).to_owned());
    let grown =
        app.query(call.asker(), move |effort| tenant.and_then(|tenant| Some(tree::Tree::below(&tenant, tenant.event(&id)?, effort))));
    let (grown, room) = grown.await?;
    let tree = grown.ok_or_else(not_found)?;
    let warnings = tree.warnings();
    let mut response = Notation::of(&call.parts.headers).stream(answer::impact(tree).chain(answer::held(room)));
    warnings::warn(&mut response, &warnings);
    Ok(response)
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
        let mut actor = Actor::of(&call, app.clock.now())?;
        let (format, if_match) = (Notation::of(&call.parts.headers), IfMatch::of(&call.parts.headers));
        let parse = parser(&call.parts.headers)?;
        let whole = body::read_whole(&call.parts.headers, call.body, &call.settings.limits, &app.bodies_of(actor.source)).await?;
        let request = intake::body::parse(app, &mut actor, whole.bytes, parse).await?;
        Ok(Self { request: request.map_err(refusal)?, format, if_match, actor })
    }
}

/// What reads a body.
type Parse = fn(&Bytes) -> Result<Request, EtsError>;

fn parser(headers: &HeaderMap) -> Result<Parse, ApiError> {
    let media_type = body::media_type(headers);
    match media_type.as_str() {
        yaml if negotiate::is_yaml(yaml) => Ok(|body| wire::parse_yaml(body)),
        json if is_json(json) => Ok(|body| wire::parse_json(body)),
        _ => Err(unsupported(&media_type, "application/json or application/yaml")),
    }
}

fn answer_changed(format: Notation, changed: &ChangedEvent) -> Response {
    let mut response = format.respond(&answer::event(&view::event(&changed.event)));
    response.headers_mut().insert(header::ETAG, wholes::etag(changed.event.version));
    warnings::warn(&mut response, &changed.warnings);
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

/// What gives an event an id.
fn new_id() -> Result<impl FnOnce() -> Box<str>, ApiError> {
    let id = ids::uuid4().ok_or_else(ApiError::internal)?;
    Ok(move || id)
}
