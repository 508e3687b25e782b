//! The HTTP edge: one list of routes, thin handlers (extract, call, respond), the accept loop, tokens and scopes.

mod apitraffic;
pub mod app;
pub mod auth;
pub mod body;
mod change_events;
pub mod error;
mod ets;
mod front;
pub mod hosts;
mod list;
mod metrics;
mod negotiate;
mod oauth;
mod openapi;
mod operating;
mod parameters;
mod places;
pub mod routes;
mod seats;
pub mod server;
pub mod threads;
mod wholes;
