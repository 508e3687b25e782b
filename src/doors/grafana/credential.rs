//! What Grafana's clients are let in by: an API key as bearer, or the password of a user, whoever that is.

use axum::http::header;
use axum::http::request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::http::auth;
use crate::http::auth::AuthError;
use crate::http::auth::Presented;

/// How to send one.
const HOW: &str = "it as `Authorization: Bearer <token>`, or as the password of basic authentication";

pub(super) fn of(parts: &request::Parts) -> Presented<'_> {
    let basic = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
        let (scheme, credentials) = value.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case("basic").then(|| credentials.trim())
    });
    match basic {
        Some(credentials) => password(credentials).map_or(Presented::Refused(AuthError::Unknown), |token| Presented::Token(token.into())),
        None => match auth::bearer(parts) {
            Presented::Refused(AuthError::Missing(_)) => Presented::Refused(AuthError::Missing(HOW)),
            found => found,
        },
    }
}

fn password(credentials: &str) -> Option<String> {
    let decoded = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
    decoded.split_once(':').map(|(_, password)| password.to_owned()).filter(|password| !password.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    #[track_caller]
    fn check(value: &str, expected: Result<&str, AuthError>) {
        let (parts, ()) = Request::builder().header("authorization", value).body(()).unwrap().into_parts();
        match (of(&parts), expected) {
            (Presented::Token(token), Ok(expected)) => assert_eq!(token, expected, "{value}"),
            (Presented::Refused(error), Err(expected)) => assert_eq!(error, expected, "{value}"),
            other => panic!("{value}: {other:?}"),
        }
    }

    #[test]
    fn a_token_is_a_key_or_a_password() {
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        check("Bearer t", Ok("t"));
        check(&basic("admin:t"), Ok("t"));
        check(&basic("api_key:t:u"), Ok("t:u"));
        check(&basic(":t").replace("Basic", " bAsic "), Ok("t"));
        check(&basic("admin:"), Err(AuthError::Unknown));
        check(&basic("admin"), Err(AuthError::Unknown));
        check("Basic %%%", Err(AuthError::Unknown));
        check("Basic", Err(AuthError::NotBearer));
        check("Digest x", Err(AuthError::NotBearer));
    }
}
