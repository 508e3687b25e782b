//! Who is let in at a route: the credential that its door finds in a request, held against the organizations, its scopes and
//! whose events it is about.

use std::sync::Arc;

use axum::http::request;

use crate::http::app::App;
use crate::http::app::Settings;
use crate::http::auth::AuthError;
use crate::http::auth::Grant;
use crate::http::auth::IN_BODY;
use crate::http::auth::Presented;
use crate::http::error::ApiError;
use crate::http::route::Call;
use crate::http::route::Needs;
use crate::http::route::Route;
use crate::http::route::Whose;
use crate::http::server::Peer;

/// A request at a route.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) route: &'static Route,
    pub(crate) parts: &'a request::Parts,
    pub(crate) parameters: &'a [String],
}

/// What the request may do; nothing yet where it needs nothing, or where its credential is in the body.
pub(crate) async fn authorize(
    app: &App,
    settings: &Settings,
    asked: Asked<'_>,
    credential: Presented<'_>,
) -> Result<Option<Grant>, ApiError> {
    let Needs::Any(scopes) = asked.route.needs else { return Ok(None) };
    if matches!(credential, Presented::InBody) {
        return Ok(None);
    }
    let access = &settings.access;
    let peer = asked.parts.extensions.get::<Peer>();
    let secret = app.secret()?;
    let grant = match access.authorize(&credential, app.clock.now(), secret) {
        Ok(grant) => grant,
        Err(error) => return Err(app.refuse(error, peer).await),
    };
    if let Some(Peer(peer)) = peer {
        peer.belongs_to(&grant.organization, &grant.token);
    }
    if !grant.scopes.contains_any(scopes) {
        return Err(AuthError::Scope(scopes).into());
    }
    let first = asked.parameters.first().map_or("", String::as_str);
    match asked.route.whose {
        Whose::Slug if !access.is_anonymous() && first != &*grant.organization => Err(AuthError::OtherOrganization.into()),
        Whose::Account if !access.is_account(&grant.organization, first) => Err(AuthError::OtherAccount.into()),
        Whose::Token | Whose::Slug | Whose::Account => Ok(Some(grant)),
    }
}

/// The second stage, for a door whose credential is in the body: lets the call in by what was found there.
pub async fn admit(app: &App, call: &mut Call, credential: Presented<'_>) -> Result<(), ApiError> {
    let credential = match credential {
        Presented::InBody => Presented::Refused(AuthError::Missing(IN_BODY)),
        found => found,
    };
    let settings = Arc::clone(&call.settings);
    let asked = Asked { route: call.route, parts: &call.parts, parameters: &call.parameters };
    call.grant = authorize(app, &settings, asked, credential).await?;
    Ok(())
}
