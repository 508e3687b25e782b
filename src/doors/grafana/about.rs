//! What clients of Grafana ask beside annotations: whether it works, and whose it is.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use crate::http::app::App;
use crate::http::error::ApiError;
use crate::http::error::json_response;
use crate::http::route::Call;

/// 200 where events are taken, else 503, as Grafana says it of its database.
pub(super) fn health(app: &App) -> Response {
    let (status, database) = if app.readiness().is_ok() { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "failing") };
    json_response(status, json!({ "commit": "", "database": database, "version": env!("CARGO_PKG_VERSION") }).to_string())
}

/// The version, where some clients look for it before anything else.
pub(super) fn settings() -> Response {
    json_response(StatusCode::OK, json!({ "buildInfo": { "version": env!("CARGO_PKG_VERSION") } }).to_string())
}

/// The organization that the token belongs to.
pub(super) fn organization(call: &Call) -> Result<Response, ApiError> {
    Ok(json_response(StatusCode::OK, json!({ "id": 1, "name": &*call.grant()?.organization }).to_string()))
}
