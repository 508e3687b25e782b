//! Tags as monitoring tools write them, `key:value` or a bare word: what they say of an event.
//!
//! A key stays as it was sent. Where it is one of several words for the same thing, the canonical name stands beside it,
//! unless something else has that name. Not for what a mapping makes of attributes: `service`, `env` and the like get their
//! labels there.

mod names;
mod outcome;
mod resolve;
mod tag;
mod words;

pub use names::EventNames;
pub use names::EventNamesError;
pub use outcome::is_same_but_for_outcome;
pub use outcome::joined;
pub use outcome::lasting;
pub use resolve::Resolved;
pub use resolve::is_consumed;
pub use resolve::resolve;
pub use tag::Tags;
pub use tag::add;
pub use tag::add_each;
pub use tag::split;
pub use tag::text;
pub use words::Phase;

#[cfg(test)]
mod tests;
