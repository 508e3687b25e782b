//! What a door is made of: its routes, and how its clients bring a token and read an error. All of it is data.

use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::http::Method;
use axum::http::request;
use axum::response::Response;
use futures_util::future::BoxFuture;

use crate::http::app::App;
use crate::http::app::Settings;
use crate::http::app::WebOptions;
use crate::http::auth::Grant;
use crate::http::auth::Presented;
use crate::http::auth::Scope;
use crate::http::error::ApiError;
use crate::http::server::Lane;
use crate::http::server::Peer;
use crate::writer::Source;

/// An API: everything that the machinery knows of one. Adding one takes its own folder, and its name in `doors/mod.rs`.
#[derive(Clone, Copy, Debug)]
pub struct Door {
    /// What people call it.
    pub name: &'static str,
    /// An error as its clients know it.
    pub errors: fn(&ApiError) -> Response,
    /// What its clients are let in by.
    pub credential: fn(&request::Parts) -> Presented<'_>,
    /// What can be asked of it.
    pub routes: &'static [Route],
    /// Its part of the `OpenAPI` document: an object with `tags`, `paths` and `components`.
    pub openapi: &'static str,
}

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Anybody.
    Nothing,
    /// Whoever has a token with one of these scopes.
    Any(&'static [Scope]),
}

impl Needs {
    /// A token that may read events.
    pub const READ: Self = Self::Any(&[Scope::Read]);
    /// A token that may send events.
    pub const WRITE: Self = Self::Any(&[Scope::Write]);
    /// A token that may operate the server.
    pub const ADMIN: Self = Self::Any(&[Scope::Admin]);
}

/// Whose events a route is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Those of the organization that the token belongs to.
    Token,
    /// The same, whose slug is the first parameter of the path.
    Slug,
    /// The same, which goes by the account that is the first parameter of the path.
    Account,
}

/// Answers a request that was let in.
pub type Handler = fn(Arc<App>, Call) -> BoxFuture<'static, Result<Response, ApiError>>;

/// One route.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// Its method; GET stands for HEAD too.
    pub method: &'static Method,
    /// Its path, without the prefix of `--web.route-prefix`.
    pub path: &'static str,
    /// Who may ask.
    pub needs: Needs,
    /// Whose events it is about.
    pub whose: Whose,
    /// Who is served, which says whether it is answered on the reserved connections.
    pub lane: Lane,
    pub(crate) handler: Handler,
    /// Where it is instead, if the operator says so.
    pub(crate) moved: Option<fn(&WebOptions) -> &str>,
}

impl Route {
    /// A route about the events of whoever the token belongs to, on the connections for everybody.
    pub const fn new(method: &'static Method, path: &'static str, needs: Needs, handler: Handler) -> Self {
        Self { method, path, needs, whose: Whose::Token, lane: Lane::Open, handler, moved: None }
    }

    /// The same about these events.
    #[must_use]
    pub const fn of(self, whose: Whose) -> Self {
        Self { whose, ..self }
    }

    /// The same for these askers.
    #[must_use]
    pub const fn lane(self, lane: Lane) -> Self {
        Self { lane, ..self }
    }

    /// The same, where the operator wants it.
    #[must_use]
    pub const fn moved_by(self, path: fn(&WebOptions) -> &str) -> Self {
        Self { moved: Some(path), ..self }
    }

    /// Where it is, without the prefix.
    pub(crate) fn place<'a>(&self, web: &'a WebOptions) -> &'a str {
        self.moved.map_or(self.path, |path| path(web))
    }
}

/// A request that may be answered.
pub struct Call {
    pub(crate) parts: request::Parts,
    pub(crate) body: Body,
    pub(crate) settings: Arc<Settings>,
    /// The parameters of the path, in its order.
    pub(crate) parameters: Vec<String>,
    pub(crate) route: &'static Route,
    /// Every door there is.
    pub(crate) doors: &'static [Door],
    pub(crate) grant: Option<Grant>,
}

impl Call {
    /// What the token grants. Routes that need nothing have none, nor have those whose token is in the body until it was shown
    /// to [`authorize::admit`](crate::http::authorize::admit).
    pub(crate) fn grant(&self) -> Result<&Grant, ApiError> {
        self.grant.as_ref().ok_or_else(ApiError::internal)
    }

    /// A parameter of the path, by its place.
    pub(crate) fn parameter(&self, place: usize) -> &str {
        self.parameters.get(place).map_or("", String::as_str)
    }

    /// Who sends it: known by its token, or by its address where none is asked for.
    pub(crate) fn source(&self) -> Source {
        let (organization, token) = self.grant.as_ref().map_or(("", ""), |grant| (&*grant.organization, &*grant.token));
        let peer = self.parts.extensions.get::<Peer>();
        let (address, connection) = peer.map_or(("", 0), |Peer(peer)| (&*peer.address, peer.number));
        let sender = if token.is_empty() { address } else { token };
        Source::new(organization, sender, connection)
    }

    /// Who asks: of all that ask for an organization each has its turn, and where there are no organizations each address.
    pub(crate) fn asker(&self) -> Source {
        let peer = self.parts.extensions.get::<Peer>();
        match (&self.grant, peer) {
            (Some(grant), Some(Peer(peer))) if grant.organization.is_empty() => Source::new(&peer.address, "", peer.number),
            _ => self.source(),
        }
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("route", self.route).field("grant", &self.grant).finish_non_exhaustive()
    }
}
