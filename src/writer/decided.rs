//! What was decided before the append, for those who wait.

use super::answer::Refused;
use super::answer::Taken;
use super::answer::Unchanged;
use crate::event::Edge;
use crate::store::Admission;
use crate::store::Claimed;
use crate::store::Unlabelled;
use crate::store::odd_name;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What senders are told of what is not in the batch; `None` for what is, in the order of what waits.
#[derive(Debug, Default)]
pub(super) struct Decided {
    pub(super) changes: Vec<Option<Unchanged>>,
    pub(super) claims: Vec<Option<Result<Claimed, Refused>>>,
    /// Of all senders, end to end.
    pub(super) edges: Vec<Option<Result<Taken, Refused>>>,
    /// What the labels of changes and edges in the batch do not say, by their places above.
    pub(super) less_of_changes: BTreeMap<usize, Box<Unlabelled>>,
    pub(super) less_of_edges: BTreeMap<usize, Box<Unlabelled>>,
    /// What the limits know of it.
    pub(super) admission: Box<Admission>,
    /// Starts in the batch whose names say that something is over: whose, and the name.
    pub(super) odd: BTreeSet<(Arc<str>, Box<str>)>,
}

impl Decided {
    /// Whether a start in the batch has this name, which says that something is over.
    pub(super) fn is_odd(&self, edge: &Edge) -> bool {
        !self.odd.is_empty() && self.odd.contains(&(Arc::clone(&edge.organization), edge.labels.event_name().into()))
    }

    /// This edge is in the batch.
    pub(super) fn note_odd(&mut self, edge: &Edge) {
        self.odd.extend(odd_name(edge).map(|name| (Arc::clone(&edge.organization), name.into())));
    }
}
