//! Tokens: those of the configuration, known by their hash, and what they grant.

use std::fmt;
use std::hash::Hash;
use std::hash::Hasher;
use std::sync::Arc;
use std::time::Duration;

use sha2::Digest as _;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::http::auth::scope::Scopes;
use crate::time::Timestamp;

/// How long an access token made from a refresh token is valid.
pub const ACCESS_TOKEN_LIFE: Duration = Duration::from_hours(24);

/// Longer texts are no tokens; nobody reckons up what they come to.
pub(super) const TOKEN_BYTES_MAX: usize = 8 * 1024;

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
    pub(super) fn mark(&self) -> String {
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
