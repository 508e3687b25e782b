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
use crate::intake::body::read_event;
use crate::intake::body::unsupported;
use crate::intake::claims;
use crate::intake::ids;
use crate::intake::warnings;
use crate::intake::wholes;
use crate::intake::wholes::ChangeError;
use crate::intake::wholes::ChangedEvent;
use crate::intake::wholes::IfMatch;
use crate::time::Timestamp;

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
    let key = claims::idempotency_key(&call.parts.headers)?;
    let mut actor = Actor::of(&call, app.clock.now())?;
    let grant = call.grant()?.clone();
    let account = call.parameter(0).to_owned();
    let path = app.web.link(call.parts.uri.path());
    let whole = read(&app, &call.parts.headers, call.body, &actor).await?;
    let fields = parse(&app, &mut actor, whole.bytes.clone(), |bytes| Fields::parse(bytes)).await??;
    let sid = match key {
        Some(key) => {
            actor.now = claims::claim(writer, &grant, &actor.source, &key, &whole.bytes, actor.now).await?;
            sid::sid(&ids::derived("", &grant, &key, actor.now))
        }
        None => sid::sid(&ids::random::<32>().ok_or_else(ApiError::internal)?),
    };
    let changed = match claims::earlier(&app, &actor, &sid).await? {
        Some(event) => event.into(),
        None => claims::create(&app, &actor, &fields.create(sid.clone(), actor.now)?).await.map_err(refused)?,
    };
    let mut response = answer(StatusCode::CREATED, &account, &changed, app.clock.now())?;
    if let Ok(location) = HeaderValue::from_str(&format!("{path}/{sid}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// `GET` of one event.
pub(super) async fn get(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    app.writer()?;
    let actor = Actor::of(&call, app.clock.now())?;
    let event = wholes::find(&app, &actor, call.parameter(1)).await?.ok_or(ChangeError::Unknown)?;
    answer(StatusCode::OK, call.parameter(0), &event.into(), app.clock.now())
}

/// `PUT` and `PATCH`, which are the same: what the body does not have stays.
pub(super) async fn update(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    app.taking()?;
    let mut actor = Actor::of(&call, app.clock.now())?;
    let if_match = IfMatch::of(&call.parts.headers);
    let (account, sid) = (call.parameter(0).to_owned(), call.parameter(1).to_owned());
    let whole = read(&app, &call.parts.headers, call.body, &actor).await?;
    let fields = parse(&app, &mut actor, whole.bytes.clone(), |bytes| Fields::parse(bytes)).await??;
    let changed =
        wholes::update(&app, &actor, &sid, &if_match, |event, whole| edited(event, whole, &fields, actor.now)).await.map_err(refused)?;
    answer(StatusCode::OK, &account, &changed, app.clock.now())
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
    read_event(app, headers, body, actor).await
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

fn answer(status: StatusCode, account: &str, changed: &ChangedEvent, now: Timestamp) -> Result<Response, ApiError> {
    let ChangedEvent { event, warnings } = changed;
    let body = serde_json::to_vec(&EventRecord::of(event, account, now)).map_err(|_| ApiError::internal())?;
    let mut response = json_response(status, body);
    response.headers_mut().insert(header::ETAG, wholes::etag(event.version));
    warnings::warn(&mut response, warnings);
    Ok(response)
}
