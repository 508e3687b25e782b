//! The API of `ApiTraffic`'s event markers: create, list, get, change, delete.
//!
//! What differs from the original, and why, is in `docs/apitraffic.md`.

mod edit;
mod errors;
mod events;
mod list;
mod record;
mod sid;
pub mod wire;

use axum::http::Method;
use futures_util::FutureExt as _;

use crate::http::auth;
use crate::http::route::Door;
use crate::http::route::Needs;
use crate::http::route::Route;
use crate::http::route::Whose;

/// Its paths name an account.
pub const DOOR: Door =
    Door { name: "ApiTraffic", errors: errors::respond, credential: auth::bearer, routes: ROUTES, openapi: include_str!("openapi.json") };

const EVENTS: &str = "/v1/accounts/{account}/events";
const EVENT: &str = "/v1/accounts/{account}/events/{sid}";

const ROUTES: &[Route] = &[
    Route::new(&Method::POST, EVENTS, Needs::WRITE, |app, call| events::create(app, call).boxed()).of(Whose::Account),
    Route::new(&Method::GET, EVENTS, Needs::READ, |app, call| list::list(app, call).boxed()).of(Whose::Account),
    Route::new(&Method::GET, EVENT, Needs::READ, |app, call| events::get(app, call).boxed()).of(Whose::Account),
    Route::new(&Method::PUT, EVENT, Needs::WRITE, |app, call| events::update(app, call).boxed()).of(Whose::Account),
    Route::new(&Method::PATCH, EVENT, Needs::WRITE, |app, call| events::update(app, call).boxed()).of(Whose::Account),
    Route::new(&Method::DELETE, EVENT, Needs::WRITE, |app, call| events::delete(app, call).boxed()).of(Whose::Account),
];
