//! The API of Last9's change events: sending, listing, and the tokens that its clients ask for first.

mod ingest;
mod list;
mod oauth;
pub mod wire;

use axum::http::Method;
use futures_util::FutureExt as _;

use crate::http::auth;
use crate::http::error;
use crate::http::route::Door;
use crate::http::route::Needs;
use crate::http::route::Route;
use crate::http::route::Whose;

/// Its errors are `{"error": "..."}`.
pub const DOOR: Door =
    Door { name: "Last9", errors: error::plain, credential: auth::bearer, routes: ROUTES, openapi: include_str!("openapi.json") };

const EVENTS: &str = "/api/v4/organizations/{org}/change_events";

const ROUTES: &[Route] = &[
    Route::new(&Method::PUT, EVENTS, Needs::WRITE, |app, call| ingest::ingest(app, call).boxed()).of(Whose::Slug),
    Route::new(&Method::POST, EVENTS, Needs::WRITE, |app, call| ingest::ingest(app, call).boxed()).of(Whose::Slug),
    Route::new(&Method::GET, EVENTS, Needs::READ, |app, call| list::list(app, call).boxed()).of(Whose::Slug),
    Route::new(&Method::POST, "/api/v4/oauth/access_token", Needs::Nothing, |app, call| oauth::access_token(app, call).boxed()),
];
