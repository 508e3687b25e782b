//! All organizations, and who of them a token belongs to. Made when the configuration is read; nothing that is asked of it by
//! a request grows with the number of organizations or of their tokens.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use crate::http::auth::access_token;
use crate::http::auth::access_token::Claims;
use crate::http::auth::error::AuthError;
use crate::http::auth::presented::IN_BODY;
use crate::http::auth::presented::Presented;
use crate::http::auth::scope::Scopes;
use crate::http::auth::secret::Secret;
use crate::http::auth::token::ACCESS_TOKEN_LIFE;
use crate::http::auth::token::Credential;
use crate::http::auth::token::Exchanged;
use crate::http::auth::token::Grant;
use crate::http::auth::token::Organization;
use crate::http::auth::token::TOKEN_BYTES_MAX;
use crate::http::auth::token::TokenHash;
use crate::time::Timestamp;

/// All organizations; none of them: the anonymous one, which asks for no token.
#[derive(Clone, Debug, Default)]
pub struct Access {
    organizations: HashMap<Arc<str>, Known>,
    tokens: HashMap<TokenHash, Owned>,
    refresh_tokens: HashMap<TokenHash, Owned>,
    anonymous: Arc<str>,
}

/// What is looked up of an organization.
#[derive(Clone, Debug, Default)]
struct Known {
    accounts: HashSet<Arc<str>>,
    /// The hashes of its refresh tokens by their names.
    refresh_tokens: HashMap<Arc<str>, TokenHash>,
}

/// A token and the slug of its organization.
#[derive(Clone, Debug)]
struct Owned {
    organization: Arc<str>,
    credential: Credential,
}

impl Owned {
    fn grant(&self, now: Timestamp) -> Result<Grant, AuthError> {
        check_expiry(self.credential.expires, now)?;
        let Credential { name, scopes, .. } = &self.credential;
        Ok(Grant { organization: Arc::clone(&self.organization), token: Arc::clone(name), scopes: *scopes })
    }
}

impl Access {
    /// Access for these organizations, or for everybody when there are none.
    pub fn new(organizations: Vec<Organization>) -> Self {
        let mut access = Self::default();
        for Organization { slug, accounts, tokens, refresh_tokens } in organizations {
            let by_name = refresh_tokens.iter().map(|credential| (Arc::clone(&credential.name), credential.hash)).collect();
            let known = Known { accounts: accounts.into_iter().collect(), refresh_tokens: by_name };
            access.organizations.insert(Arc::clone(&slug), known);
            let owned = |credential: Credential| (credential.hash, Owned { organization: Arc::clone(&slug), credential });
            access.tokens.extend(tokens.into_iter().map(owned));
            access.refresh_tokens.extend(refresh_tokens.into_iter().map(owned));
        }
        access
    }

    /// Whether nobody is asked for a token.
    pub fn is_anonymous(&self) -> bool {
        self.organizations.is_empty()
    }

    /// Whether the organization with this slug is also the account `name`. Anonymous access takes any name.
    pub fn is_account(&self, slug: &str, name: &str) -> bool {
        let is_named = |known: &Known| slug == name || known.accounts.contains(name);
        self.is_anonymous() || self.organizations.get(slug).is_some_and(is_named)
    }

    /// What the bearer of this may do now.
    pub fn authorize(&self, presented: &Presented<'_>, now: Timestamp, secret: &Secret) -> Result<Grant, AuthError> {
        if self.is_anonymous() {
            return Ok(self.anonymous_grant());
        }
        let token = match presented {
            Presented::Token(token) => &**token,
            Presented::Refused(error) => return Err(error.clone()),
            Presented::InBody => return Err(AuthError::Missing(IN_BODY)),
        };
        if token.len() > TOKEN_BYTES_MAX {
            return Err(AuthError::Unknown);
        }
        if let Some(claims) = access_token::read(token, secret) {
            return self.honour(&claims, now);
        }
        self.tokens.get(&TokenHash::of(token)).ok_or(AuthError::Unknown)?.grant(now)
    }

    /// A new access token for the bearer of a refresh token.
    pub fn exchange(&self, refresh_token: &str, now: Timestamp, secret: &Secret) -> Result<Exchanged, AuthError> {
        let expires = now.plus(ACCESS_TOKEN_LIFE);
        if self.is_anonymous() {
            let claims = Claims { organization: String::new(), name: String::new(), mark: String::new(), expires };
            return Ok(Exchanged { access_token: access_token::write(&claims, secret), issued: now, expires, scopes: Scopes::all() });
        }
        let found = if refresh_token.len() > TOKEN_BYTES_MAX { None } else { self.refresh_tokens.get(&TokenHash::of(refresh_token)) };
        let owned = found.ok_or(AuthError::UnknownRefreshToken)?;
        let Grant { organization, token, scopes } = owned.grant(now)?;
        let expires = owned.credential.expires.map_or(expires, |end| end.min(expires));
        let claims =
            Claims { organization: organization.to_string(), name: token.to_string(), mark: owned.credential.hash.mark(), expires };
        Ok(Exchanged { access_token: access_token::write(&claims, secret), issued: now, expires, scopes })
    }

    fn anonymous_grant(&self) -> Grant {
        Grant { organization: Arc::clone(&self.anonymous), token: Arc::clone(&self.anonymous), scopes: Scopes::all() }
    }

    /// An access token is as good as the refresh token it came from is today.
    fn honour(&self, claims: &Claims, now: Timestamp) -> Result<Grant, AuthError> {
        check_expiry(Some(claims.expires), now)?;
        let known = self.organizations.get(claims.organization.as_str()).ok_or(AuthError::Unknown)?;
        let hash = known.refresh_tokens.get(claims.name.as_str()).filter(|hash| hash.mark() == claims.mark).ok_or(AuthError::Unknown)?;
        self.refresh_tokens.get(hash).ok_or(AuthError::Unknown)?.grant(now)
    }
}

fn check_expiry(expires: Option<Timestamp>, now: Timestamp) -> Result<(), AuthError> {
    if expires.is_some_and(|end| end <= now) { Err(AuthError::Expired) } else { Ok(()) }
}
