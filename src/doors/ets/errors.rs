//! Errors as the clients of ETS know them.

use axum::response::Response;
use serde_json::json;

use crate::http::error::ApiError;

/// `{"result": "...", "success": false, "code": 400, "headers": {}}`, in tycho's order.
pub(super) fn respond(error: &ApiError) -> Response {
    let (message, code) = (json!(error.message), error.status.as_u16());
    error.respond_with(format!(r#"{{"result":{message},"success":false,"code":{code},"headers":{{}}}}"#))
}
