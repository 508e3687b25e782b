//! The doors: one folder per API, with everything that is particular to it and nothing else. No door names another.
//!
//! A folder has the routes and handlers of its API, `wire` (bytes to commands, pure), its answers, the shape of its errors and
//! its part of the `OpenAPI` document. A new one takes its folder and, here, its `mod` and its place in [`ALL`].

pub mod apitraffic;
pub mod ets;
pub mod grafana;
pub mod last9;
pub mod operating;
pub mod scrape;

use crate::http::route::Door;
use crate::http::route::Route;

/// Every door there is. Their routes together are the table of all that is answered.
pub const ALL: &[Door] = &[last9::DOOR, apitraffic::DOOR, ets::DOOR, grafana::DOOR, scrape::DOOR, operating::DOOR];

/// The routes of all doors.
pub fn routes() -> impl Iterator<Item = &'static Route> {
    ALL.iter().flat_map(|door| door.routes)
}

#[cfg(test)]
mod tests;
