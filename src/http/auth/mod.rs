//! Who asks, and what they may: tokens from the configuration, and short-lived access tokens made from refresh tokens.
//!
//! The token decides the organization. Tokens are known by their SHA-256 alone, found by it in one step, however many there
//! are, and compared in constant time. Without organizations there is one anonymous organization, its slug empty, and nobody
//! is asked for a token.

mod access;
mod access_token;
mod error;
mod presented;
mod scope;
mod secret;
mod token;
pub(crate) mod wrong;

pub use crate::http::auth::access::Access;
pub use crate::http::auth::error::AuthError;
pub(crate) use crate::http::auth::presented::IN_BODY;
pub use crate::http::auth::presented::Presented;
pub use crate::http::auth::presented::bearer;
pub use crate::http::auth::scope::Scope;
pub use crate::http::auth::scope::Scopes;
pub use crate::http::auth::secret::Secret;
pub use crate::http::auth::secret::SecretError;
pub use crate::http::auth::token::ACCESS_TOKEN_LIFE;
pub use crate::http::auth::token::Credential;
pub use crate::http::auth::token::Exchanged;
pub use crate::http::auth::token::Grant;
pub use crate::http::auth::token::Organization;
pub use crate::http::auth::token::TokenHash;

#[cfg(test)]
mod tests;
