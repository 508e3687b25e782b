//! The pages that Prometheus scrapes: one per cluster, and our own metrics on that of the default cluster.

mod page;

use axum::http::Method;
use futures_util::FutureExt as _;

use crate::http::auth;
use crate::http::auth::Scope;
use crate::http::error;
use crate::http::route::Door;
use crate::http::route::Needs;
use crate::http::route::Route;
use crate::http::server::Lane;

/// Some of its requests are answered on the reserved connections.
pub const DOOR: Door =
    Door { name: "Scraping", errors: error::plain, credential: auth::bearer, routes: ROUTES, openapi: include_str!("openapi.json") };

/// Who may see our own metrics, or the samples, or both.
const OWN_OR_SAMPLES: Needs = Needs::Any(&[Scope::Read, Scope::Telemetry]);

const ROUTES: &[Route] = &[
    Route::new(&Method::GET, "/metrics", OWN_OR_SAMPLES, |app, call| page::default_page(app, call).boxed())
        .lane(Lane::Scrapes)
        .moved_by(|web| &web.telemetry_path),
    Route::new(&Method::GET, "/clusters/{name}/metrics", Needs::READ, |app, call| page::cluster_page(app, call).boxed())
        .lane(Lane::Scrapes),
];
