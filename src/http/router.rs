//! From the doors to a router: what happens to each request before and after its handler.
//!
//! The router is built from the doors' routes and from nothing else, so a table that is made of them is complete.

use std::future::Ready;
use std::future::ready;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use axum::Router;
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
use futures_util::future::Either;
use tower::ServiceExt as _;

use crate::http::app::App;
use crate::http::authorize::Asked;
use crate::http::authorize::authorize;
use crate::http::error::ApiError;
use crate::http::error::plain;
use crate::http::front::Front;
use crate::http::route::Call;
use crate::http::route::Door;
use crate::http::route::Route;
use crate::http::server::Peer;
use crate::telemetry::RouteMetrics;

/// How a door tells its clients of an error.
type Errors = fn(&ApiError) -> Response;

/// A router for every route of these doors, under the prefix. Whatever it answers, [`Front`] has seen the request before.
///
/// A path that no route has is looked for once more as [`respelled`], so that a request is authorized by the route that answers it.
pub fn router(app: &Arc<App>, doors: &'static [Door]) -> Router {
    let prefix = &app.web.route_prefix;
    let unknown = Arc::new(app.telemetry.route("unknown", "any"));
    let front = Arc::new(Front::new(Arc::clone(app), Arc::clone(&unknown)));
    let mut router = Router::new();
    for (door, route) in doors.iter().flat_map(|door| door.routes.iter().map(move |route| (door, route))) {
        let path = route.place(&app.web);
        let metrics = app.telemetry.route(route.path, route.method.as_str());
        let served = Arc::new(Served { door, route, doors, metrics, has_parameter: path.contains('{') });
        let app = Arc::clone(app);
        let filter = MethodFilter::try_from(route.method.clone()).unwrap_or(MethodFilter::GET);
        let handler = behind(doors, &front, move |request| serve(Arc::clone(&app), Arc::clone(&served), request));
        router = router.route(&format!("{prefix}{path}"), on(filter, handler));
    }
    if !prefix.is_empty() {
        let home = format!("{prefix}/");
        let handler = behind(doors, &front, move |_| ready(Redirect::temporary(&home).into_response()));
        router = router.route("/", on(MethodFilter::GET, handler));
    }
    let refused = |status: StatusCode, message: fn(&str, &str) -> String| {
        let (metrics, prefix) = (Arc::clone(&unknown), prefix.clone());
        behind(doors, &front, move |request| {
            metrics.observe(status.as_u16(), Duration::ZERO);
            let message = message(request.uri().path(), &prefix);
            ready(errors_at(doors, request.uri(), &prefix)(&ApiError::new(status, "route", message)))
        })
    };
    let no_method = refused(StatusCode::METHOD_NOT_ALLOWED, |_, _| "this path does not take this method".to_owned());
    let exact = router.method_not_allowed_fallback(no_method);
    let closed = exact.clone().fallback(refused(StatusCode::NOT_FOUND, no_path));
    let closed = closed.map_request(|request| respelled(request, |path| format!("{path}/")));
    let plain = exact.clone().fallback_service(closed).map_request(|request| respelled(request, without_slashes));
    exact.fallback_service(plain)
}

/// What to say where nothing is; behind a proxy it may be the prefix.
fn no_path(path: &str, prefix: &str) -> String {
    if path.starts_with(prefix) {
        return "no such path".to_owned();
    }
    format!(
        "no such path: all are below {prefix}, as --web.route-prefix says, or else the path of --web.external-url; where a proxy takes that \
         away, add --web.route-prefix=/"
    )
}

/// The request with its path in another spelling. What is percent-encoded in it stays as it is.
fn respelled(mut request: Request, spelling: fn(&str) -> String) -> Request {
    if let Some(uri) = with_path(request.uri(), spelling) {
        *request.uri_mut() = uri;
    }
    request
}

fn with_path(uri: &Uri, spelling: fn(&str) -> String) -> Option<Uri> {
    let path = Some(uri.path()).filter(|path| path.starts_with('/')).map(spelling)?;
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{path}{query}").parse().ok()?);
    Uri::from_parts(parts).ok()
}

/// The path without what is doubled, and without a slash at its end.
fn without_slashes(path: &str) -> String {
    let pieces = path.split('/').filter(|piece| !piece.is_empty());
    let path: String = pieces.flat_map(|piece| ["/", piece]).collect();
    if path.is_empty() { "/".to_owned() } else { path }
}

/// Answers what the front lets through. A layer would do the same, and cost every request some allocations.
fn behind<A: Future<Output = Response> + Send>(
    doors: &'static [Door],
    front: &Arc<Front>,
    answer: impl Fn(Request) -> A + Clone + Send + 'static,
) -> impl Fn(Request) -> Either<A, Ready<Response>> + Clone + Send + 'static {
    let front = Arc::clone(front);
    move |request| match front.refuse(&request, |prefix| errors_at(doors, request.uri(), prefix)) {
        None => Either::Left(answer(request)),
        Some(refused) => Either::Right(ready(refused)),
    }
}

/// Whose errors answer a request that no route takes: those of the door one of whose paths begins like this one, for longest.
fn errors_at(doors: &[Door], uri: &Uri, prefix: &str) -> Errors {
    let path = uri.path().strip_prefix(prefix).unwrap_or_default();
    let begin = |route: &Route| route.path.split('{').next().filter(|begin| path.starts_with(begin)).map(str::len);
    let longest = |door: &Door| door.routes.iter().filter_map(begin).max();
    let near = doors.iter().filter_map(|door| Some((longest(door)?, door.errors)));
    near.max_by_key(|(length, _)| *length).map_or(plain, |(_, errors)| errors)
}

#[derive(Debug)]
struct Served {
    door: &'static Door,
    route: &'static Route,
    doors: &'static [Door],
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
        app.telemetry.refuse(error.reason, 1);
        (served.door.errors)(&error)
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
    let asked = Asked { route, parts: &parts, parameters: &parameters };
    let grant = authorize(app, &settings, asked, (served.door.credential)(&parts)).await?;
    let doors = served.doors;
    (route.handler)(Arc::clone(app), Call { parts, body, settings, parameters, route, doors, grant }).await
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
