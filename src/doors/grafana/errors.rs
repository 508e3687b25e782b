//! Errors as Grafana's clients know them.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use crate::http::error::ApiError;
use crate::intake::wholes::ChangeError;

/// `{"message": "..."}`.
pub(super) fn respond(error: &ApiError) -> Response {
    error.respond_with(json!({ "message": error.message }).to_string())
}

/// There is no such annotation.
pub(super) fn not_found() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "unknown", "Annotation not found")
}

/// Why an event was not changed, with the names that the fields have here.
pub(super) fn refused(error: ChangeError) -> ApiError {
    match error {
        ChangeError::Unknown => not_found(),
        ChangeError::Edges(field) => {
            let field = match field {
                "event_name" => "tags",
                "start" => "time",
                "end" => "timeEnd",
                other => other,
            };
            ApiError { status: StatusCode::BAD_REQUEST, ..ApiError::from(ChangeError::Edges(field)) }
        }
        other => other.into(),
    }
}
