//! One event: create, get, change, delete.

use std::sync::Arc;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::Response;

use crate::doors::apitraffic::edit::edited;
use crate::doors::apitraffic::record::EventRecord;
use crate::doors::apitraffic::sid;
use crate::doors::apitraffic::wire::FieldError;
use crate::doors::apitraffic::wire::Fields;
use crate::http::app::App;
use crate::http::body;
use crate::http::body::WholeBody;
use crate::http::error::ApiError;
use crate::http::error::json_response;
use crate::http::refusals;
use crate::http::route::Call;
use crate::intake::actor::Actor;
use crate::intake::body::is_json;
use crate::intake::body::parse;
use crate::intake::body::unsupported;
use crate::intake::claims;
use crate::intake::warnings;
use crate::intake::wholes;
use crate::intake::wholes::ChangeError;
use crate::intake::wholes::ChangedEvent;
use crate::intake::wholes::IfMatch;
use crate::store::EventView;

/// Bytes of a body, on the wire and inflated.
const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;
const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

impl From<FieldError> for ApiError {
    fn from(error: FieldError) -> Self {
        refusals::refusal(&error.error).at(error.field)
    }
}

impl From<FieldError> for ChangeError {
    fn from(error: FieldError) -> Self {
        Self::Refused(error.into())
    }
}

/// `POST`: a new event.
pub(super) async fn create(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    let writer = app.taking()?;
    let key = claims::idempotency_key(&call.parts.headers).map_err(|error| error.at(IDEMPOTENCY_KEY))?;
    let mut actor = Actor::of(&call, app.clock.now())?;
    let grant = call.grant()?.clone();
    let account = call.parameter(0).to_owned();
    let path = call.parts.uri.path().to_owned();
    let whole = read(&app, &call.parts.headers, call.body, &actor).await?;
    let fields = parse(&app, &mut actor, whole.bytes.clone(), |bytes| Fields::parse(bytes)).await??;
    let sid = match key {
        Some(key) => {
            let claimed = claims::claim(writer, &grant, &actor.source, &key, &whole.bytes, actor.now).await;
            let is_of_key = |status| matches!(status, StatusCode::UNPROCESSABLE_ENTITY | StatusCode::TOO_MANY_REQUESTS);
            let at_key = |error: ApiError| if is_of_key(error.status) { error.at(IDEMPOTENCY_KEY) } else { error };
            actor.now = claimed.map_err(at_key)?;
            sid::derived(&grant.organization, &grant.token, &key, actor.now)
        }
        None => sid::random().ok_or_else(ApiError::internal)?,
    };
    let changed = match earlier(&app, &actor, &sid).await? {
        Some(event) => unchanged(event),
        None => match wholes::create(&app, &actor, &fields.create(sid.clone(), actor.now)?).await {
            // Sent twice with the same key at the same time: the other was faster.
            Err(ChangeError::Exists) => unchanged(wholes::find(&app, &actor, &sid).await?.ok_or_else(ApiError::internal)?),
            other => other.map_err(refused)?,
        },
    };
    let mut response = answer(StatusCode::CREATED, &account, &changed)?;
    if let Ok(location) = HeaderValue::from_str(&format!("{path}/{sid}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// The event that an earlier request with the same `Idempotency-Key` created, as it is now.
async fn earlier(app: &App, actor: &Actor, sid: &str) -> Result<Option<EventView>, ApiError> {
    let event = wholes::find(app, actor, sid).await?;
    let (store, organization, id) = (Arc::clone(&app.store), Arc::clone(&actor.organization), sid.to_owned());
    if event.is_none() && app.heavy(&app.lookups, &actor.source, move || store.remembers(&organization, &id)).await? {
        let message = format!("{IDEMPOTENCY_KEY}: the event that it created was deleted");
        return Err(ApiError::new(StatusCode::CONFLICT, "conflict", message).at(IDEMPOTENCY_KEY));
    }
    Ok(event)
}

/// `GET` of one event.
pub(super) async fn get(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    app.writer()?;
    let actor = Actor::of(&call, app.clock.now())?;
    let event = wholes::find(&app, &actor, call.parameter(1)).await?.ok_or(ChangeError::Unknown)?;
    answer(StatusCode::OK, call.parameter(0), &unchanged(event))
}

/// `PUT` and `PATCH`, which are the same: what the body does not have stays.
pub(super) async fn update(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    app.taking()?;
    let mut actor = Actor::of(&call, app.clock.now())?;
    let if_match = IfMatch::of(&call.parts.headers);
    let (account, sid) = (call.parameter(0).to_owned(), call.parameter(1).to_owned());
    let whole = read(&app, &call.parts.headers, call.body, &actor).await?;
    let fields = parse(&app, &mut actor, whole.bytes.clone(), |bytes| Fields::parse(bytes)).await??;
    let changed = wholes::update(&app, &actor, &sid, &if_match, |event, whole| edited(event, whole, &fields)).await.map_err(refused)?;
    answer(StatusCode::OK, &account, &changed)
}

/// `DELETE`.
pub(super) async fn delete(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    app.taking()?;
    let actor = Actor::of(&call, app.clock.now())?;
    wholes::delete(&app, &actor, call.parameter(1), &IfMatch::of(&call.parts.headers)).await.map_err(refused)?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// The body, which says that it is JSON or nothing to the contrary.
async fn read(app: &App, headers: &HeaderMap, body: Body, actor: &Actor) -> Result<WholeBody, ApiError> {
    let media_type = body::media_type(headers);
    if !is_json(&media_type) && !media_type.ends_with("+json") {
        return Err(unsupported(&media_type, "application/json").at("Content-Type"));
    }
    let mut limits = actor.settings.limits.clone();
    limits.body_bytes = limits.body_bytes.min(BODY_BYTES_MAX);
    limits.inflated_bytes = limits.inflated_bytes.min(BODY_BYTES_MAX);
    let whole = body::read_whole(headers, body, &limits, &app.bodies_of(actor.source)).await;
    whole.map_err(|error| too_large(error, limits.inflated_bytes))
}

/// The bound here is not that of the flag which the message of other doors names.
fn too_large(error: ApiError, most: usize) -> ApiError {
    if error.status == StatusCode::PAYLOAD_TOO_LARGE { ApiError::too_large(format!("the body is longer than {most} bytes")) } else { error }
}

/// The error with the names that the fields have here.
fn refused(error: ChangeError) -> ApiError {
    match error {
        ChangeError::Edges(field) => {
            let field = match field {
                "event_name" => "type",
                "start" => "startedAt",
                "end" => "endedAt",
                other => other,
            };
            ApiError::from(ChangeError::Edges(field)).at(field)
        }
        ChangeError::Stale => ApiError::from(error).at("If-Match"),
        other => other.into(),
    }
}

fn unchanged(event: EventView) -> ChangedEvent {
    ChangedEvent { event, warnings: Vec::new() }
}

fn answer(status: StatusCode, account: &str, ChangedEvent { event, warnings }: &ChangedEvent) -> Result<Response, ApiError> {
    let body = serde_json::to_vec(&EventRecord::of(event, account)).map_err(|_| ApiError::internal())?;
    let mut response = json_response(status, body);
    response.headers_mut().insert(header::ETAG, wholes::etag(event.version));
    warnings::warn(&mut response, warnings);
    Ok(response)
}
