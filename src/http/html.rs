//! Answers that are text for people.

use axum::http::HeaderValue;
use axum::http::header;
use axum::response::Response;

/// An answer that is text of this type.
pub(crate) fn text(content_type: &'static str, body: String) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Text that means nothing else in HTML, within an attribute either.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
