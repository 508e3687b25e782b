//! `POST /api/v4/oauth/access_token`: a short-lived access token for a refresh token, as every official client asks first.

use std::sync::Arc;

use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::Response;
use serde::Deserialize;
use serde::Serialize;

use crate::http::app::App;
use crate::http::body;
use crate::http::body::Limits;
use crate::http::error::ApiError;
use crate::http::error::json_response;
use crate::http::route::Call;
use crate::mapping::object::Object;
use crate::time::Timestamp;

/// Most bytes of a request: a token and a few words.
const BODY_BYTES: usize = 16 * 1024;

#[derive(Deserialize)]
struct Request {
    refresh_token: String,
    /// Some clients send `refresh_token`, some nothing.
    grant_type: Option<String>,
}

#[derive(Serialize)]
struct Answer<'a> {
    access_token: &'a str,
    /// Unix seconds.
    expires_at: i64,
    /// Seconds; what some clients look for instead.
    expires_in: i64,
    issued_at: i64,
    refresh_token: &'a str,
    r#type: &'static str,
    scopes: Vec<&'static str>,
}

/// Exchanges the refresh token in the body.
pub(crate) async fn access_token(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    let limits = Limits { body_bytes: BODY_BYTES, inflated_bytes: BODY_BYTES, ..call.settings.limits.clone() };
    let shared = app.bodies_of(call.source());
    let whole = body::read_whole(&call.parts.headers, call.body, &limits, &shared).await?;
    // The text of a parse error may quote the body, and the body is a secret.
    let Object(request): Object<Request> = serde_json::from_slice(&whole.bytes)
        .map_err(|_| ApiError::malformed("the body must be a JSON object with the text `refresh_token`"))?;
    if request.grant_type.is_some_and(|kind| kind != "refresh_token") {
        return Err(ApiError::malformed("grant_type: must be `refresh_token`"));
    }
    let exchanged = match call.settings.access.exchange(&request.refresh_token, app.clock.now(), app.secret()?) {
        Ok(exchanged) => exchanged,
        Err(error) => return Err(app.refuse(error, call.parts.extensions.get()).await),
    };
    let answer = Answer {
        access_token: &exchanged.access_token,
        expires_at: seconds(exchanged.expires),
        expires_in: seconds(exchanged.expires) - seconds(exchanged.issued),
        issued_at: seconds(exchanged.issued),
        refresh_token: &request.refresh_token,
        r#type: "Bearer",
        scopes: exchanged.scopes.iter().map(crate::http::auth::Scope::name).collect(),
    };
    let mut response = json_response(StatusCode::OK, serde_json::to_string(&answer).map_err(|_| ApiError::internal())?);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn seconds(at: Timestamp) -> i64 {
    at.millis().div_euclid(1000)
}
