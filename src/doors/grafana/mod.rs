//! The API of Grafana's annotations: create, find, change, delete.
//!
//! Its paths name no organization, so the token decides. What differs from the original, and why, is in `docs/grafana.md`.

mod about;
mod compose;
mod credential;
mod edit;
mod errors;
mod events;
mod find;
mod gather;
mod item;
mod list;
mod open_end;
mod options;
mod retag;
mod shown;
mod tags;
pub mod wire;

use axum::http::Method;
use futures_util::FutureExt as _;

use crate::http::auth::Scope;
use crate::http::route::Door;
use crate::http::route::Needs;
use crate::http::route::Route;

pub use options::Options;

/// Its clients take our token for an API key, or for the password of any user.
pub const DOOR: Door =
    Door { name: "Grafana", errors: errors::respond, credential: credential::of, routes: ROUTES, openapi: include_str!("openapi.json") };

const ANNOTATIONS: &str = "/api/annotations";
const ANNOTATION: &str = "/api/annotations/{id}";
/// Whoever may do anything with annotations may ask for what clients ask beside.
const EITHER: Needs = Needs::Any(&[Scope::Read, Scope::Write]);

const ROUTES: &[Route] = &[
    Route::new(&Method::POST, ANNOTATIONS, Needs::WRITE, |app, call| events::create(app, call).boxed()),
    Route::new(&Method::GET, ANNOTATIONS, Needs::READ, |app, call| list::list(app, call).boxed()),
    Route::new(&Method::POST, "/api/annotations/graphite", Needs::WRITE, |app, call| events::create_graphite(app, call).boxed()),
    Route::new(&Method::POST, "/api/annotations/mass-delete", Needs::WRITE, |app, call| events::mass_delete(app, call).boxed()),
    Route::new(&Method::GET, "/api/annotations/tags", Needs::READ, |app, call| tags::tags(app, call).boxed()),
    Route::new(&Method::GET, ANNOTATION, Needs::READ, |app, call| events::get(app, call).boxed()),
    Route::new(&Method::PUT, ANNOTATION, Needs::WRITE, |app, call| events::replace(app, call).boxed()),
    Route::new(&Method::PATCH, ANNOTATION, Needs::WRITE, |app, call| events::patch(app, call).boxed()),
    Route::new(&Method::DELETE, ANNOTATION, Needs::WRITE, |app, call| events::delete(app, call).boxed()),
    Route::new(&Method::GET, "/api/health", Needs::Nothing, |app, _| async move { Ok(about::health(&app)) }.boxed()),
    Route::new(&Method::GET, "/api/frontend/settings", Needs::Nothing, |_, _| async { Ok(about::settings()) }.boxed()),
    Route::new(&Method::GET, "/api/org", EITHER, |_, call| async move { about::organization(&call) }.boxed()),
];
