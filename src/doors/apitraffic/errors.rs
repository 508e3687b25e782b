//! Errors as `ApiTraffic`'s clients know them.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use crate::http::error::ApiError;

/// `{"success": false, "error": {"code", "message", "details"}}`.
pub(super) fn respond(error: &ApiError) -> Response {
    let code = code(error.status);
    let details = error.field.as_ref().map_or_else(|| json!({}), |field| json!({ "field": field }));
    let body = json!({ "success": false, "error": { "code": code, "message": error.message, "details": details } });
    error.respond_with(body.to_string())
}

/// The codes that `ApiTraffic` documents, and the like for what it does not.
fn code(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "VALIDATION_ERROR",
        401 => "INVALID_TOKEN",
        403 => "FORBIDDEN",
        404 => "RESOURCE_NOT_FOUND",
        405 => "METHOD_NOT_ALLOWED",
        408 => "REQUEST_TIMEOUT",
        409 => "CONFLICT",
        412 => "PRECONDITION_FAILED",
        413 => "PAYLOAD_TOO_LARGE",
        415 => "UNSUPPORTED_MEDIA_TYPE",
        421 => "MISDIRECTED_REQUEST",
        422 => "LIMIT_EXCEEDED",
        429 => "RATE_LIMIT_EXCEEDED",
        431 => "REQUEST_HEADERS_TOO_LARGE",
        501 => "NOT_IMPLEMENTED",
        503 => "SERVICE_UNAVAILABLE",
        _ => "INTERNAL_ERROR",
    }
}
