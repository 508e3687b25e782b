//! The machinery of the HTTP edge, which knows no door: accept loop, bodies and their limits, tokens and scopes, routes and
//! the router that is made of them, errors as data.

pub mod app;
pub mod auth;
pub mod authorize;
pub mod body;
pub mod error;
mod front;
pub mod hosts;
pub(crate) mod html;
pub(crate) mod negotiate;
pub(crate) mod parameters;
mod places;
pub(crate) mod refusals;
pub mod route;
pub mod router;
mod seats;
pub mod server;
pub mod threads;
pub(crate) mod turns;
