//! Health, readiness, reload.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;

use crate::http::app::App;
use crate::http::error::ApiError;
use crate::http::html::text;

const TEXT: &str = "text/plain; charset=utf-8";

/// 200 as long as the process answers.
pub(super) fn healthy() -> Response {
    text(TEXT, "healthy\n".to_owned())
}

/// 200 from when the log was read until the server stops, unless nothing more is taken until a restart.
pub(super) fn ready(app: &App) -> Result<Response, ApiError> {
    app.readiness()?;
    Ok(text(TEXT, "ready\n".to_owned()))
}

/// Reads the configuration file again.
pub(super) async fn reload(app: Arc<App>) -> Result<Response, ApiError> {
    if app.reload().is_none() {
        return Err(ApiError::new(StatusCode::FORBIDDEN, "lifecycle", "reloading over HTTP is off: start with --web.enable-lifecycle"));
    }
    let reloading = Arc::clone(&app);
    match app.operate(move || reloading.reload().map_or(Ok(()), |reload| reload())).await? {
        Ok(()) => Ok(text(TEXT, "reloaded\n".to_owned())),
        Err(error) => Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "reload", error.to_string())),
    }
}
