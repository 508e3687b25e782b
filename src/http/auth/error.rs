//! Why a request is not let in.

use axum::http::StatusCode;

use crate::http::auth::scope::Scope;
use crate::http::error::ApiError;

/// Why a request is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    #[error("no token: send {0}")]
    Missing(&'static str),
    #[error("invalid access token: the header must be `Bearer <token>`")]
    NotBearer,
    #[error("invalid access token")]
    Unknown,
    #[error("invalid refresh token")]
    UnknownRefreshToken,
    #[error("Authorization token is expired")]
    Expired,
    #[error("the token lacks the scope: {}", .0.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(" or "))]
    Scope(&'static [Scope]),
    #[error("invalid org_slug: the token belongs to another organization")]
    OtherOrganization,
    #[error("the token belongs to another account")]
    OtherAccount,
}

impl AuthError {
    /// Whether a token was sent that nobody has.
    pub(crate) fn is_wrong_token(&self) -> bool {
        matches!(self, Self::Unknown | Self::UnknownRefreshToken)
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        let status = match error {
            AuthError::NotBearer => StatusCode::BAD_REQUEST,
            AuthError::Missing(_) | AuthError::Unknown | AuthError::UnknownRefreshToken | AuthError::Expired => StatusCode::UNAUTHORIZED,
            AuthError::Scope(_) | AuthError::OtherOrganization | AuthError::OtherAccount => StatusCode::FORBIDDEN,
        };
        Self::new(status, "credentials", error.to_string())
    }
}
