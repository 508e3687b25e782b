//! What was decided before the append, for those who wait.

use super::answer::Refused;
use super::answer::Taken;
use super::answer::Unchanged;
use crate::store::Admission;
use crate::store::Claimed;
use crate::store::Unlabelled;
use std::collections::BTreeMap;

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
}
