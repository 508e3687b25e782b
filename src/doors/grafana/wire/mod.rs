//! Grafana's annotations: bodies become typed fields, and fields an event.
//!
//! A field that is `null`, empty or zero is as one that is not there, as Grafana has it; names of fields are read whatever
//! their case, and those that mean nothing here are left alone. What fields mean for an event that is there is the front
//! door's.

mod create;
mod field;
mod fields;
mod written;

pub use create::Creation;
pub use create::EVENT_NAME_DEFAULT;
pub use create::end_of;
pub use fields::Fields;
pub use fields::parse_mass_delete;
pub use written::EXTENSION;
pub use written::Written;

#[cfg(test)]
mod tests;
