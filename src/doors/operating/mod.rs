//! Routes for those who run the server: health, readiness, reload, the page that says where things are, the `OpenAPI` document.

mod health;
mod landing;
mod openapi;

use std::future::ready;

use axum::http::Method;
use futures_util::FutureExt as _;

use crate::http::auth;
use crate::http::error;
use crate::http::route::Door;
use crate::http::route::Needs;
use crate::http::route::Route;
use crate::http::server::Lane;

/// Most of it is answered on the reserved connections.
pub const DOOR: Door =
    Door { name: "Operating", errors: error::plain, credential: auth::bearer, routes: ROUTES, openapi: include_str!("openapi.json") };

const RELOAD: &str = "/-/reload";

const ROUTES: &[Route] = &[
    Route::new(&Method::GET, "/-/healthy", Needs::Nothing, |_, _| ready(Ok(health::healthy())).boxed()).lane(Lane::Operators),
    Route::new(&Method::GET, "/-/ready", Needs::Nothing, |app, _| ready(health::ready(&app)).boxed()).lane(Lane::Operators),
    Route::new(&Method::POST, RELOAD, Needs::ADMIN, |app, _| health::reload(app).boxed()).lane(Lane::Operators),
    Route::new(&Method::PUT, RELOAD, Needs::ADMIN, |app, _| health::reload(app).boxed()).lane(Lane::Operators),
    Route::new(&Method::GET, "/api/openapi.json", Needs::Nothing, |app, call| ready(openapi::document(&app, call.doors)).boxed()),
    Route::new(&Method::GET, "/", Needs::Nothing, |app, _| ready(Ok(landing::landing(&app))).boxed()),
];
