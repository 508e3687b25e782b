//! The `OpenAPI` document of every route, for people's tools. `tests/architecture.rs` compares it with the routes, and schemathesis with
//! what they answer.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;
use serde_json::json;

use crate::http::app::App;
use crate::http::error::ApiError;
use crate::http::error::json_response;

/// The document, but for the version and where it is served.
const DOCUMENT: &str = include_str!("openapi.json");

/// Answers the document.
pub(crate) fn document(app: &App) -> Result<Response, ApiError> {
    let mut document: Value = serde_json::from_str(DOCUMENT).map_err(|_| ApiError::internal())?;
    let base = app.web.external_url.clone().unwrap_or_else(|| app.web.route_prefix.clone());
    if let Some(fields) = document.as_object_mut() {
        fields.insert("servers".to_owned(), json!([{ "url": if base.is_empty() { "/" } else { &base } }]));
    }
    if let Some(version) = document.pointer_mut("/info/version") {
        *version = env!("CARGO_PKG_VERSION").into();
    }
    Ok(json_response(StatusCode::OK, document.to_string()))
}
