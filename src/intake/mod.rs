//! What every door does in the same way: a body to commands, claims of keys, whole events created, changed and deleted, and
//! what senders should know of it.

pub(crate) mod actor;
pub(crate) mod body;
pub(crate) mod claims;
pub(crate) mod ids;
pub(crate) mod unmatched;
pub(crate) mod warnings;
pub(crate) mod wholes;
