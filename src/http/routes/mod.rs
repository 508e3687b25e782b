//! Every route in one list, and what happens to each request before and after its handler.
//!
//! The router is built from [`ROUTES`] and from nothing else, so the table that `tests/auth.rs` walks is complete.

use std::future::Ready;
use std::future::ready;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::FromRequestParts as _;
use axum::extract::RawPathParams;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::Method;
use axum::http::StatusCode;
use axum::http::Uri;
use axum::http::header;
use axum::http::request;
use axum::response::IntoResponse as _;
use axum::response::Redirect;
use axum::response::Response;
use axum::routing::MethodFilter;
use axum::routing::on;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::future::Either;

use crate::http::apitraffic;
use crate::http::app::App;
use crate::http::app::Settings;
use crate::http::auth::AuthError;
use crate::http::auth::Grant;
use crate::http::auth::Scope;
use crate::http::change_events;
use crate::http::error::ApiError;
use crate::http::error::ErrorForm;
use crate::http::ets;
use crate::http::front::Front;
use crate::http::list;
use crate::http::metrics;
use crate::http::oauth;
use crate::http::openapi;
use crate::http::operating;
use crate::http::server::Lane;
use crate::http::server::Peer;
use crate::http::wholes::Actor;
use crate::telemetry::RouteMetrics;
use crate::time::Timestamp;
use crate::writer::Source;

/// The path of the page with our own metrics, unless `--web.telemetry-path` names another.
const TELEMETRY_PATH: &str = "/metrics";
const CHANGE_EVENTS: &str = "/api/v4/organizations/{org}/change_events";
const ACCOUNT_EVENTS: &str = "/v1/accounts/{account}/events";
const ACCOUNT_EVENT: &str = "/v1/accounts/{account}/events/{sid}";
const ETS: &str = "/api/v1/event/";
const ETS_BARE: &str = "/api/v1/event";

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Anybody.
    Nothing,
    /// Whoever has a token with one of these scopes.
    Any(&'static [Scope]),
}

/// One route.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// Its method; GET stands for HEAD too.
    pub method: &'static Method,
    /// Its path, without the prefix of `--web.route-prefix`.
    pub path: &'static str,
    /// Who may ask.
    pub needs: Needs,
    /// Who is served, which says whether it is answered on the reserved connections.
    pub lane: Lane,
    /// The shape of its errors.
    pub errors: ErrorForm,
    handler: Handler,
}

type Handler = fn(Arc<App>, Call) -> BoxFuture<'static, Result<Response, ApiError>>;

/// A request that may be answered.
pub(crate) struct Call {
    pub(crate) parts: request::Parts,
    pub(crate) body: Body,
    pub(crate) settings: Arc<Settings>,
    grant: Option<Grant>,
    /// The parameters of the path, in its order.
    pub(crate) parameters: Vec<String>,
}

impl Call {
    /// What the token grants; routes that need nothing have none.
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

    /// For whom and by which settings the request changes events.
    pub(crate) fn actor(&self, now: Timestamp) -> Result<Actor, ApiError> {
        let organization = Arc::clone(&self.grant()?.organization);
        Ok(Actor { organization, source: self.source(), settings: Arc::clone(&self.settings), now, room: None })
    }
}

const READ: Needs = Needs::Any(&[Scope::Read]);
const WRITE: Needs = Needs::Any(&[Scope::Write]);

/// Every route there is.
pub const ROUTES: &[Route] = &[
    Route {
        method: &Method::PUT,
        path: CHANGE_EVENTS,
        needs: WRITE,
        lane: Lane::Open,
        errors: ErrorForm::Last9,
        handler: |app, call| change_events::ingest(app, call).boxed(),
    },
    Route {
        method: &Method::POST,
        path: CHANGE_EVENTS,
        needs: WRITE,
        lane: Lane::Open,
        errors: ErrorForm::Last9,
        handler: |app, call| change_events::ingest(app, call).boxed(),
    },
    Route {
        method: &Method::GET,
        path: CHANGE_EVENTS,
        needs: READ,
        lane: Lane::Open,
        errors: ErrorForm::Last9,
        handler: |app, call| list::list(app, call).boxed(),
    },
    ets_route(&Method::PUT, ETS, WRITE, |app, call| ets::put(app, call).boxed()),
    ets_route(&Method::POST, ETS, WRITE, |app, call| ets::post(app, call).boxed()),
    ets_route(&Method::GET, ETS, READ, |app, call| ets::list(app, call).boxed()),
    ets_route(&Method::PUT, ETS_BARE, WRITE, |app, call| ets::put(app, call).boxed()),
    ets_route(&Method::POST, ETS_BARE, WRITE, |app, call| ets::post(app, call).boxed()),
    ets_route(&Method::GET, ETS_BARE, READ, |app, call| ets::list(app, call).boxed()),
    ets_route(&Method::GET, "/api/v1/event/{id}", READ, |app, call| ets::get(app, call).boxed()),
    ets_route(&Method::GET, "/api/v1/event/{id}/children", READ, |app, call| ets::children(app, call).boxed()),
    ets_route(&Method::GET, "/api/v1/event/{id}/trace", READ, |app, call| ets::trace(app, call).boxed()),
    ets_route(&Method::GET, "/api/v1/event/{id}/impact", READ, |app, call| ets::impact(app, call).boxed()),
    ets_route(&Method::DELETE, "/api/v1/event/{id}/delete", WRITE, |app, call| ets::delete(app, call).boxed()),
    ets_route(&Method::GET, "/event/{id}/", READ, |app, call| ets::page(app, call).boxed()),
    Route {
        method: &Method::POST,
        path: ACCOUNT_EVENTS,
        needs: WRITE,
        lane: Lane::Open,
        errors: ErrorForm::ApiTraffic,
        handler: |app, call| apitraffic::create(app, call).boxed(),
    },
    Route {
        method: &Method::GET,
        path: ACCOUNT_EVENTS,
        needs: READ,
        lane: Lane::Open,
        errors: ErrorForm::ApiTraffic,
        handler: |app, call| apitraffic::list(app, call).boxed(),
    },
    Route {
        method: &Method::GET,
        path: ACCOUNT_EVENT,
        needs: READ,
        lane: Lane::Open,
        errors: ErrorForm::ApiTraffic,
        handler: |app, call| apitraffic::get(app, call).boxed(),
    },
    Route {
        method: &Method::PUT,
        path: ACCOUNT_EVENT,
        needs: WRITE,
        lane: Lane::Open,
        errors: ErrorForm::ApiTraffic,
        handler: |app, call| apitraffic::update(app, call).boxed(),
    },
    Route {
        method: &Method::PATCH,
        path: ACCOUNT_EVENT,
        needs: WRITE,
        lane: Lane::Open,
        errors: ErrorForm::ApiTraffic,
        handler: |app, call| apitraffic::update(app, call).boxed(),
    },
    Route {
        method: &Method::DELETE,
        path: ACCOUNT_EVENT,
        needs: WRITE,
        lane: Lane::Open,
        errors: ErrorForm::ApiTraffic,
        handler: |app, call| apitraffic::delete(app, call).boxed(),
    },
    Route {
        method: &Method::POST,
        path: "/api/v4/oauth/access_token",
        needs: Needs::Nothing,
        lane: Lane::Open,
        errors: ErrorForm::Last9,
        handler: |app, call| oauth::access_token(app, call).boxed(),
    },
    Route {
        method: &Method::GET,
        path: TELEMETRY_PATH,
        needs: Needs::Any(&[Scope::Read, Scope::Telemetry]),
        lane: Lane::Scrapes,
        errors: ErrorForm::Last9,
        handler: |app, call| metrics::default_page(app, call).boxed(),
    },
    Route {
        method: &Method::GET,
        path: "/clusters/{name}/metrics",
        needs: READ,
        lane: Lane::Scrapes,
        errors: ErrorForm::Last9,
        handler: |app, call| metrics::cluster_page(app, call).boxed(),
    },
    Route {
        method: &Method::GET,
        path: "/-/healthy",
        needs: Needs::Nothing,
        lane: Lane::Operators,
        errors: ErrorForm::Last9,
        handler: |_, _| ready(Ok(operating::healthy())).boxed(),
    },
    Route {
        method: &Method::GET,
        path: "/-/ready",
        needs: Needs::Nothing,
        lane: Lane::Operators,
        errors: ErrorForm::Last9,
        handler: |app, _| ready(operating::ready(&app)).boxed(),
    },
    Route {
        method: &Method::POST,
        path: "/-/reload",
        needs: Needs::Any(&[Scope::Admin]),
        lane: Lane::Operators,
        errors: ErrorForm::Last9,
        handler: |app, _| operating::reload(app).boxed(),
    },
    Route {
        method: &Method::PUT,
        path: "/-/reload",
        needs: Needs::Any(&[Scope::Admin]),
        lane: Lane::Operators,
        errors: ErrorForm::Last9,
        handler: |app, _| operating::reload(app).boxed(),
    },
    Route {
        method: &Method::GET,
        path: "/api/openapi.json",
        needs: Needs::Nothing,
        lane: Lane::Open,
        errors: ErrorForm::Last9,
        handler: |app, _| ready(openapi::document(&app)).boxed(),
    },
    Route {
        method: &Method::GET,
        path: "/",
        needs: Needs::Nothing,
        lane: Lane::Open,
        errors: ErrorForm::Last9,
        handler: |app, _| ready(Ok(operating::landing(&app))).boxed(),
    },
];

const fn ets_route(method: &'static Method, path: &'static str, needs: Needs, handler: Handler) -> Route {
    Route { method, path, needs, lane: Lane::Open, errors: ErrorForm::Ets, handler }
}

/// A router for every route, under the prefix. Whatever it answers, [`Front`] has seen the request before.
pub fn router(app: &Arc<App>) -> Router {
    let prefix = &app.web.route_prefix;
    let unknown = Arc::new(app.telemetry.route("unknown", "any"));
    let front = Arc::new(Front::new(Arc::clone(app), Arc::clone(&unknown)));
    let mut router = Router::new();
    for route in ROUTES {
        let path = if route.path == TELEMETRY_PATH { &app.web.telemetry_path } else { route.path };
        let served =
            Arc::new(Served { route, metrics: app.telemetry.route(route.path, route.method.as_str()), has_parameter: path.contains('{') });
        let app = Arc::clone(app);
        let filter = MethodFilter::try_from(route.method.clone()).unwrap_or(MethodFilter::GET);
        let handler = behind(&front, move |request| serve(Arc::clone(&app), Arc::clone(&served), request));
        router = router.route(&format!("{prefix}{path}"), on(filter, handler));
    }
    if !prefix.is_empty() {
        let home = format!("{prefix}/");
        let handler = behind(&front, move |_| ready(Redirect::temporary(&home).into_response()));
        router = router.route("/", on(MethodFilter::GET, handler));
    }
    let refused = |status, message| {
        let (metrics, prefix) = (Arc::clone(&unknown), prefix.clone());
        behind(&front, move |request| ready(refuse(&metrics, errors_at(request.uri(), &prefix), status, message)))
    };
    let no_path = refused(StatusCode::NOT_FOUND, "no such path");
    let no_method = refused(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method");
    router.fallback(no_path).method_not_allowed_fallback(no_method)
}

/// Answers what the front lets through. A layer would do the same, and cost every request some allocations.
fn behind<A: Future<Output = Response> + Send>(
    front: &Arc<Front>,
    answer: impl Fn(Request) -> A + Clone + Send + 'static,
) -> impl Fn(Request) -> Either<A, Ready<Response>> + Clone + Send + 'static {
    let front = Arc::clone(front);
    move |request| match front.refuse(&request, |prefix| errors_at(request.uri(), prefix)) {
        None => Either::Left(answer(request)),
        Some(refused) => Either::Right(ready(refused)),
    }
}

/// Whose errors answer a request that no route takes: those of the door whose paths begin like this one.
fn errors_at(uri: &Uri, prefix: &str) -> ErrorForm {
    let path = uri.path().strip_prefix(prefix).unwrap_or_default();
    let is_below = |route: &&Route| path.starts_with(route.path.split('{').next().unwrap_or_default());
    let other = ROUTES.iter().filter(|route| route.errors != ErrorForm::Last9).find(is_below);
    other.map_or(ErrorForm::Last9, |route| route.errors)
}

fn refuse(metrics: &RouteMetrics, errors: ErrorForm, status: StatusCode, message: &'static str) -> Response {
    metrics.observe(status.as_u16(), std::time::Duration::ZERO);
    errors.refuse(&ApiError::new(status, "route", message))
}

#[derive(Debug)]
struct Served {
    route: &'static Route,
    metrics: RouteMetrics,
    has_parameter: bool,
}

/// One request, from its headers to its answer.
async fn serve(app: Arc<App>, served: Arc<Served>, request: Request) -> Response {
    let begun = Instant::now();
    let answer = AssertUnwindSafe(answer(&app, &served, request)).catch_unwind().await.unwrap_or_else(|_| Err(app.panicked()));
    let response = answer.unwrap_or_else(|error| {
        if error.status == StatusCode::REQUEST_TIMEOUT {
            app.telemetry.timeouts.get_or_create(&[("at", "body")]).inc();
        }
        app.telemetry.refused.get_or_create(&[("reason", error.reason)]).inc();
        served.route.errors.refuse(&error)
    });
    served.metrics.observe(response.status().as_u16(), begun.elapsed());
    response
}

async fn answer(app: &Arc<App>, served: &Served, request: Request) -> Result<Response, ApiError> {
    let (mut parts, body) = request.into_parts();
    let route = served.route;
    if let Some(Peer(peer)) = parts.extensions.get()
        && !app.connections.may_ask(peer, route.lane)
    {
        return Err(ApiError::unavailable("connections", "busy: too many connections (--limit.connections)"));
    }
    if !matches!(parts.method, Method::GET | Method::HEAD) && is_cross_site(&parts.headers) {
        return Err(ApiError::new(StatusCode::FORBIDDEN, "cross_site", "a page of another site may not send this"));
    }
    let parameters = if served.has_parameter { path_parameters(&mut parts).await? } else { Vec::new() };
    let settings = app.settings();
    let grant = match route.needs {
        Needs::Nothing => None,
        Needs::Any(scopes) => {
            let grant = match settings.access.authorize(&parts.headers, app.clock.now(), app.secret()?) {
                Ok(grant) => grant,
                Err(error) => return Err(app.refuse(error, parts.extensions.get()).await),
            };
            if let Some(Peer(peer)) = parts.extensions.get() {
                peer.belongs_to(&grant.organization, &grant.token);
            }
            if !grant.scopes.contains_any(scopes) {
                return Err(AuthError::Scope(scopes).into());
            }
            let first = parameters.first().map_or("", String::as_str);
            if route.path.contains("{org}") && !settings.access.is_anonymous() && first != &*grant.organization {
                return Err(AuthError::OtherOrganization.into());
            }
            if route.path.contains("{account}") && !settings.access.is_account(&grant.organization, first) {
                return Err(AuthError::OtherAccount.into());
            }
            Some(grant)
        }
    };
    (route.handler)(Arc::clone(app), Call { parts, body, settings, grant, parameters }).await
}

async fn path_parameters(parts: &mut request::Parts) -> Result<Vec<String>, ApiError> {
    let parameters = RawPathParams::from_request_parts(parts, &()).await;
    let parameters = parameters.map_err(|_| ApiError::malformed("the path is not UTF-8"))?;
    Ok(parameters.iter().map(|(_, value)| value.to_owned()).collect())
}

/// Whether a browser says that another site's page makes this request. Nothing else sends these headers, and without tokens
/// nothing else stands between such a page and a server on the same machine.
fn is_cross_site(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site != "same-origin" && site != "none";
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return false };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    origin.is_none() || origin != host
}

#[cfg(test)]
mod tests;
