//! Attributes to labels, and what pairs a start with its stop: everything about an event that depends on the configuration.
//!
//! The doors read bytes (`doors::*::wire`) and settle here, before the append, what is kept: labels, identity, cluster, times.
//! No I/O, no clock; the time of receipt is passed in.

pub(crate) mod attributes;
pub mod clusters;
mod context;
pub(crate) mod edge;
mod edition;
mod error;
mod identity;
pub(crate) mod json;
mod label;
pub(crate) mod labels;
pub(crate) mod names;
pub(crate) mod object;
pub mod options;
mod places;
mod run;
pub mod tags;
mod warning;
pub mod whole;

pub use context::Context;
pub use context::Parsed;
pub use error::FormatError;
pub use labels::Mapping;
pub use warning::Warning;
