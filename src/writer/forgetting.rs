//! How far retention is with what it is doing.

use crate::log::Position;
use crate::log::Removed;
use crate::time::Timestamp;
use std::collections::VecDeque;
use std::sync::Arc;

/// What is done about records that are too old, a step at a time between commits.
#[derive(Debug)]
pub(super) struct Forgetting<C> {
    /// The last record of what is old.
    pub(super) upto: Position,
    /// There is more that is old than was begun with, for want of room.
    pub(super) has_more: bool,
    /// Bytes that were carried on before, where it goes for the size of the log.
    pub(super) size: Option<u64>,
    pub(super) stage: Stage<C>,
}

#[derive(Debug)]
pub(super) enum Stage<C> {
    /// Edges are taken out of memory.
    Retire {
        before: Timestamp,
        left: VecDeque<Round>,
    },
    /// A checkpoint is to be made of what stays, is being made.
    Checkpoint,
    Compact(C),
    /// Segments up to these positions are removed.
    Remove {
        left: VecDeque<Position>,
        removed: Removed,
    },
}

/// One look at all old edges of an organization.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) organization: Arc<str>,
    pub(super) skip: u32,
    pub(super) gone: usize,
    pub(super) again: bool,
}

impl Round {
    /// Nothing was looked at yet.
    pub(super) fn new(organization: Arc<str>) -> Self {
        Self { organization, skip: 0, gone: 0, again: false }
    }
}
