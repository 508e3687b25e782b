//! One annotation: create, get, change, delete.

use std::fmt::Display;
use std::sync::Arc;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::Response;
use bytes::Bytes;
use serde_json::json;

use crate::doors::grafana::edit;
use crate::doors::grafana::edit::How;
use crate::doors::grafana::errors::refused;
use crate::doors::grafana::find;
use crate::doors::grafana::item::Item;
use crate::doors::grafana::list;
use crate::doors::grafana::options::Options;
use crate::doors::grafana::wire;
use crate::doors::grafana::wire::Creation;
use crate::doors::grafana::wire::Fields;
use crate::http::app::App;
use crate::http::error::ApiError;
use crate::http::error::json_response;
use crate::http::refusals::refusal;
use crate::http::route::Call;
use crate::intake::actor::Actor;
use crate::intake::body::parse;
use crate::intake::body::read_event;
use crate::intake::claims;
use crate::intake::ids;
use crate::intake::warnings;
use crate::intake::wholes;
use crate::intake::wholes::ChangeError;
use crate::intake::wholes::ChangedEvent;
use crate::intake::wholes::IfMatch;
use crate::mapping::FormatError;
use crate::store::EventView;
use crate::store::Phase;

/// For whoever meant it.
const STAYS_OPEN: &str = "timeEnd: it is the one that was shown of this open event, which stays open; send any other one to end it";

/// Reads a body.
type Parse<T> = fn(&[u8]) -> Result<T, FormatError>;

/// `POST`: a new event, or the end of one.
pub(super) async fn create(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    create_by(app, call, Fields::parse, "Annotation added").await
}

/// The same in the form of Graphite's events.
pub(super) async fn create_graphite(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    create_by(app, call, Fields::parse_graphite, "Graphite annotation added").await
}

async fn create_by(app: Arc<App>, call: Call, read: Parse<Fields>, message: &str) -> Result<Response, ApiError> {
    let writer = app.taking()?;
    let key = claims::idempotency_key(&call.parts.headers)?;
    let mut actor = Actor::of(&call, app.clock.now())?;
    let (grant, names) = (call.grant()?.clone(), Options::of(&call.settings).event_names);
    let (fields, bytes) = fields(&app, &mut actor, &call.parts.headers, call.body, read).await?;
    let id = match &key {
        Some(key) => {
            actor.now = claims::claim(writer, &grant, &actor.source, key, &bytes, actor.now).await?;
            ids::uuid8(&ids::derived("grafana", &grant, key, actor.now))
        }
        None => ids::uuid4().ok_or_else(ApiError::internal)?,
    };
    let creation = fields.create(id, actor.now, &names).map_err(|error| refusal(&error))?;
    // What ends something ends what no other one ends, and once where it is sent more than once.
    let whole = &creation.whole;
    let _turn = if creation.closes { Some(app.searches.take([&actor.organization, &whole.event_name]).await) } else { None };
    let earlier = if key.is_some() { earlier(&app, &actor, &creation).await? } else { None };
    let changed = match earlier {
        Some(event) => event.into(),
        None => match ended(&app, &actor, &creation).await? {
            Some(changed) => changed,
            None => claims::create(&app, &actor, &creation.whole).await.map_err(refused)?,
        },
    };
    let body = json!({ "message": message, "id": changed.event.number });
    Ok(answer(body.to_string(), Some(&changed.event), &changed.warnings))
}

/// What an earlier request with the same `Idempotency-Key` created or ended, as it is now.
async fn earlier(app: &App, actor: &Actor, creation: &Creation) -> Result<Option<EventView>, ApiError> {
    if let Some(event) = claims::earlier(app, actor, &creation.whole.id).await? {
        return Ok(Some(event));
    }
    if creation.closes { find::ended_before(app, actor, &creation.whole).await } else { Ok(None) }
}

/// What began as this says, if it says that something ended and that is not over: it ends then.
async fn ended(app: &App, actor: &Actor, creation: &Creation) -> Result<Option<ChangedEvent>, ApiError> {
    if !creation.closes {
        return Ok(None);
    }
    let (by, names) = (&creation.whole, Options::of(&actor.settings).event_names);
    for _ in 0..wholes::TRIES {
        let Some(open) = find::open(app, actor, by).await? else { return Ok(None) };
        let changed = wholes::update(app, actor, &open.id, &IfMatch::Absent, |event, whole| {
            // Somebody else ended it, or changed what it is.
            if event.phase(actor.now) != Phase::Over && event.version == open.version {
                Ok(edit::ended(event, whole, by, &names))
            } else {
                Err(ChangeError::Stale)
            }
        });
        match changed.await {
            Err(ChangeError::Stale | ChangeError::Unknown) => {}
            other => return other.map(Some).map_err(refused),
        }
    }
    Err(ApiError::unavailable("busy", "busy: others keep changing this annotation"))
}

/// `GET` of one annotation.
pub(super) async fn get(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    app.writer()?;
    let actor = Actor::of(&call, app.clock.now())?;
    let (detail, note) = list::detail_of_one(call.parts.uri.query())?;
    let event = find::by_number(&app, &actor, find::number(call.parameter(0))?).await?;
    let body = serde_json::to_string(&Item::of(&event, actor.now, detail)).map_err(|_| ApiError::internal())?;
    Ok(answer(body, Some(&event), &Vec::from_iter(note)))
}

/// `PUT`: text and tags, and times where they are given.
pub(super) async fn replace(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    update(app, call, How::Replace, "Annotation updated").await
}

/// `PATCH`: what is given.
pub(super) async fn patch(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    update(app, call, How::Patch, "Annotation patched").await
}

async fn update(app: Arc<App>, call: Call, how: How, message: &str) -> Result<Response, ApiError> {
    app.taking()?;
    let mut actor = Actor::of(&call, app.clock.now())?;
    let (number, if_match) = (find::number(call.parameter(0))?, IfMatch::of(&call.parts.headers));
    let names = Options::of(&call.settings).event_names;
    let (fields, _) = fields(&app, &mut actor, &call.parts.headers, call.body, Fields::parse).await?;
    let id = find::by_number(&app, &actor, number).await?.id;
    let changed = wholes::update(&app, &actor, &id, &if_match, |event, whole| {
        Ok::<_, ChangeError>(edit::edited(event, whole, &fields, how, &names, actor.now))
    });
    let mut changed = changed.await.map_err(refused)?;
    if edit::is_shown_end(&changed.event, &fields, actor.now) {
        changed.warnings.push(STAYS_OPEN.into());
    }
    Ok(answer(json!({ "message": message }).to_string(), Some(&changed.event), &changed.warnings))
}

/// `DELETE`.
pub(super) async fn delete(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    app.taking()?;
    let actor = Actor::of(&call, app.clock.now())?;
    remove(&app, &actor, find::number(call.parameter(0))?, &IfMatch::of(&call.parts.headers)).await?;
    Ok(answer(json!({ "message": "Annotation deleted" }).to_string(), None, NONE))
}

/// The same of the annotation that the body names.
pub(super) async fn mass_delete(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    app.taking()?;
    let mut actor = Actor::of(&call, app.clock.now())?;
    let (number, _) = fields(&app, &mut actor, &call.parts.headers, call.body, wire::parse_mass_delete).await?;
    remove(&app, &actor, number, &IfMatch::of(&call.parts.headers)).await?;
    Ok(answer(json!({ "message": "Annotations deleted" }).to_string(), None, NONE))
}

async fn remove(app: &App, actor: &Actor, number: u64, if_match: &IfMatch) -> Result<(), ApiError> {
    let id = find::by_number(app, actor, number).await?.id;
    wholes::delete(app, actor, &id, if_match).await.map(drop).map_err(refused)
}

/// What the body says, and its bytes. It is JSON whatever its media type: many senders say another one, or none.
async fn fields<T: Send + 'static>(
    app: &App,
    actor: &mut Actor,
    headers: &HeaderMap,
    body: Body,
    read: Parse<T>,
) -> Result<(T, Bytes), ApiError> {
    let whole = read_event(app, headers, body, actor).await?;
    let parsed = parse(app, actor, whole.bytes.clone(), move |bytes| read(bytes)).await?;
    Ok((parsed.map_err(|error| refusal(&error))?, whole.bytes.clone()))
}

const NONE: &[&str] = &[];

/// Always 200: some clients take nothing else for a success.
fn answer(body: String, event: Option<&EventView>, warnings: &[impl Display]) -> Response {
    let mut response = json_response(StatusCode::OK, body);
    if let Some(event) = event {
        response.headers_mut().insert(header::ETAG, wholes::etag(event.version));
    }
    warnings::warn(&mut response, warnings);
    response
}
