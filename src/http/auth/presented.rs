//! What a request brings to be let in by, as doors find it.

use std::borrow::Cow;
use std::fmt;

use axum::http::HeaderMap;
use axum::http::header;
use axum::http::request;

use crate::http::auth::error::AuthError;

/// The header that many scripts put their token in.
const TOKEN_HEADER: &str = "x-last9-api-token";

/// How to send one.
pub(super) const BEARER: &str = "`X-LAST9-API-TOKEN: Bearer <token>` or `Authorization: Bearer <token>`";

/// The same at a door that looks for it in the body.
pub(crate) const IN_BODY: &str = "it in the body";

/// What a request brings to be let in by.
#[derive(Clone)]
pub enum Presented<'a> {
    /// A token.
    Token(Cow<'a, str>),
    /// None, or nothing that could be one.
    Refused(AuthError),
    /// It is in the body: the handler looks there, and shows what it found.
    InBody,
}

impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(_) => f.write_str("Token(..)"),
            Self::Refused(error) => f.debug_tuple("Refused").field(error).finish(),
            Self::InBody => f.write_str("InBody"),
        }
    }
}

/// `X-LAST9-API-TOKEN: Bearer ...`, `Authorization: Bearer ...`, or the `Bearer: ...` of old scripts.
pub fn bearer(parts: &request::Parts) -> Presented<'_> {
    match token(&parts.headers) {
        Ok(Some(token)) => Presented::Token(token.into()),
        Ok(None) => Presented::Refused(AuthError::Missing(BEARER)),
        Err(error) => Presented::Refused(error),
    }
}

fn token(headers: &HeaderMap) -> Result<Option<&str>, AuthError> {
    for name in [TOKEN_HEADER, header::AUTHORIZATION.as_str()] {
        if let Some(value) = headers.get(name) {
            return value.to_str().ok().and_then(without_scheme).map(Some).ok_or(AuthError::NotBearer);
        }
    }
    Ok(headers.get("bearer").and_then(|value| value.to_str().ok()).map(str::trim))
}

fn without_scheme(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    let is_bearer = scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("bearer:");
    let token = token.trim();
    (is_bearer && !token.is_empty()).then_some(token)
}
