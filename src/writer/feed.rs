//! The feed: what became of each record when it was applied, for whoever lives on that beside memory and pages.

use super::Taken;
use crate::event::Change;
use crate::event::Claim;
use crate::event::Command;
use crate::event::Edge;
use crate::exposition::Exposure;
use crate::log::Position;
use crate::store::Claimed;
use crate::time::Timestamp;

/// A record, and what came of it.
#[derive(Clone, Copy, Debug)]
pub struct Fed<'a> {
    /// Its place in the log.
    pub position: Position,
    /// When it was received.
    pub received: Timestamp,
    /// What it says, and what that came to.
    pub outcome: Outcome<'a>,
}

/// What a record says, and what that came to.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// An edge is in the store.
    Edge(&'a Edge, &'a Taken),
    /// A key was bound.
    Claim(&'a Claim, Claimed),
    /// An event was put, described or deleted; what becomes of its new samples.
    Change(&'a Change, &'a [Exposure]),
    /// It says something of the log, or forgets what is old.
    Own(&'a Command),
}

/// Is told of each record that was taken, in the order of the log and whoever proposed it, once it is durable and visible and before its sender is answered, by the
/// thread that applies: so it must not wait for anything. What is read at a start is not told again; the log has it.
pub trait Follower: Send {
    /// What came of one record.
    fn follow(&mut self, fed: &Fed<'_>);
}
