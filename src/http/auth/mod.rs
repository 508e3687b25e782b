//! Who asks, and what they may: tokens from the configuration, and short-lived access tokens made from refresh tokens.
//!
//! The token decides the organization. Tokens are known by their SHA-256 alone, found by it in one step, however many there
//! are, and compared in constant time. Without organizations there is one anonymous organization, its slug empty, and nobody
//! is asked for a token.

mod access;
mod access_token;
mod presented;
mod secret;
pub(crate) mod wrong;

use std::fmt;
use std::hash::Hash;
use std::hash::Hasher;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use sha2::Digest as _;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

pub use crate::http::auth::access::Access;
pub use crate::http::auth::presented::Presented;
pub use crate::http::auth::presented::bearer;
pub use crate::http::auth::secret::Secret;
pub use crate::http::auth::secret::SecretError;
use crate::http::error::ApiError;
use crate::time::Timestamp;

/// How long an access token made from a refresh token is valid.
pub const ACCESS_TOKEN_LIFE: Duration = Duration::from_hours(24);

/// Longer texts are no tokens; nobody reckons up what they come to.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// One thing that a token may be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Send change events.
    Write,
    /// Query events and scrape the pages of the organization.
    Read,
    /// See this server's own metrics on the page.
    Telemetry,
    /// Reload the configuration.
    Admin,
}

impl Scope {
    /// All scopes, in the order they are named in.
    pub const ALL: [Self; 4] = [Self::Write, Self::Read, Self::Telemetry, Self::Admin];

    /// The word in the configuration and in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::Telemetry => "telemetry",
            Self::Admin => "admin",
        }
    }

    /// The scope with that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

/// A set of scopes.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// Every scope there is.
    pub fn all() -> Self {
        Scope::ALL.into_iter().collect()
    }

    /// Whether `scope` is in the set.
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }

    /// Whether any of `scopes` is in the set.
    pub fn contains_any(self, scopes: &[Scope]) -> bool {
        scopes.iter().any(|scope| self.contains(*scope))
    }

    /// The scopes in the set.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.contains(*scope))
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |set, scope| set | (1 << scope as u8)))
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The SHA-256 of a token. Not secret enough to print either: `Debug` shows nothing of it.
#[derive(Clone, Copy)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of a token.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// The hash written as 64 hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut hash = [0; 32];
        hex::decode_to_slice(text, &mut hash).ok().map(|()| Self(hash))
    }

    /// Enough of the hash to notice that a token was replaced under the same name.
    fn mark(&self) -> String {
        hex::encode(self.0.get(..8).unwrap_or_default())
    }
}

/// In constant time.
impl PartialEq for TokenHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for TokenHash {}

impl Hash for TokenHash {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

/// A token of the configuration.
#[derive(Clone, Debug)]
pub struct Credential {
    /// Its name, unique among the tokens of its kind in its organization.
    pub name: Arc<str>,
    /// The SHA-256 of the token.
    pub hash: TokenHash,
    /// What it may be used for.
    pub scopes: Scopes,
    /// From when on it is refused.
    pub expires: Option<Timestamp>,
}

/// A tenant and its tokens.
#[derive(Clone, Debug)]
pub struct Organization {
    /// Its name in paths.
    pub slug: Arc<str>,
    /// Further names that it goes by as an account of `ApiTraffic`.
    pub accounts: Vec<Arc<str>>,
    /// Tokens that are sent with a request.
    pub tokens: Vec<Credential>,
    /// Tokens that are exchanged for an access token first.
    pub refresh_tokens: Vec<Credential>,
}

/// What a request may do, and for whom.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The organization's slug; empty for the anonymous one.
    pub organization: Arc<str>,
    /// The name of the token.
    pub token: Arc<str>,
    /// What it may be used for.
    pub scopes: Scopes,
}

/// An access token and what its bearer is told about it.
pub struct Exchanged {
    /// The token itself.
    pub access_token: String,
    /// When it was made.
    pub issued: Timestamp,
    /// From when on it is refused.
    pub expires: Timestamp,
    /// What it may be used for.
    pub scopes: Scopes,
}

impl fmt::Debug for Exchanged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchanged").field("issued", &self.issued).field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// Why a request is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    #[error("no token: send `X-LAST9-API-TOKEN: Bearer <token>` or `Authorization: Bearer <token>`")]
    Missing,
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
            AuthError::Missing | AuthError::Unknown | AuthError::UnknownRefreshToken | AuthError::Expired => StatusCode::UNAUTHORIZED,
            AuthError::Scope(_) | AuthError::OtherOrganization | AuthError::OtherAccount => StatusCode::FORBIDDEN,
        };
        Self::new(status, "credentials", error.to_string())
    }
}

#[cfg(test)]
mod tests;
