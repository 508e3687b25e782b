//! The API of ETS (zillow/tycho): `/api/v1/event/` and what lies below it.
//!
//! Its paths name no organization, so the token decides. What differs from the original, and why, is in `docs/ets.md`.

mod answer;
mod errors;
mod events;
mod list;
mod options;
mod page;
mod tree;
mod view;
pub mod wire;

use axum::http::Method;
use futures_util::FutureExt as _;

use crate::http::auth;
use crate::http::route::Door;
use crate::http::route::Needs;
use crate::http::route::Route;

pub use options::Options;

/// Its paths with a slash at their end are there without it, too.
pub const DOOR: Door =
    Door { name: "ETS", errors: errors::respond, credential: auth::bearer, routes: ROUTES, openapi: include_str!("openapi.json") };

const EVENTS: &str = "/api/v1/event/";
const BARE: &str = "/api/v1/event";

const ROUTES: &[Route] = &[
    Route::new(&Method::PUT, EVENTS, Needs::WRITE, |app, call| events::put(app, call).boxed()),
    Route::new(&Method::POST, EVENTS, Needs::WRITE, |app, call| events::post(app, call).boxed()),
    Route::new(&Method::GET, EVENTS, Needs::READ, |app, call| list::list(app, call).boxed()),
    Route::new(&Method::PUT, BARE, Needs::WRITE, |app, call| events::put(app, call).boxed()),
    Route::new(&Method::POST, BARE, Needs::WRITE, |app, call| events::post(app, call).boxed()),
    Route::new(&Method::GET, BARE, Needs::READ, |app, call| list::list(app, call).boxed()),
    Route::new(&Method::GET, "/api/v1/event/{id}", Needs::READ, |app, call| events::get(app, call).boxed()),
    Route::new(&Method::GET, "/api/v1/event/{id}/children", Needs::READ, |app, call| list::children(app, call).boxed()),
    Route::new(&Method::GET, "/api/v1/event/{id}/trace", Needs::READ, |app, call| events::trace(app, call).boxed()),
    Route::new(&Method::GET, "/api/v1/event/{id}/impact", Needs::READ, |app, call| events::impact(app, call).boxed()),
    Route::new(&Method::DELETE, "/api/v1/event/{id}/delete", Needs::WRITE, |app, call| events::delete(app, call).boxed()),
    Route::new(&Method::GET, "/event/{id}/", Needs::READ, |app, call| page::page(app, call).boxed()),
];
