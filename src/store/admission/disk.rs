//! What is new where there is no room on the disk for new events: what is known, the end of what is open, and deletions are not,
//! as with memory.

use super::Admission;
use super::memory::cost_of_end;
use crate::event::Change;
use crate::event::Edge;
use crate::event::EdgeId;
use crate::store::Store;

impl Store {
    /// Whether an edge is something new: neither known, or admitted before, nor a stop of what is open.
    pub fn is_new_edge(&self, edge: &Edge, id: EdgeId, admission: &Admission) -> bool {
        let is_admitted = admission.by_organization.get(&edge.organization).is_some_and(|pending| pending.new_edges.contains(&id));
        let tenant = self.tenant(&edge.organization);
        !is_admitted && tenant.is_none_or(|tenant| tenant.core.read().find_edge(id).is_none() && !tenant.closes_open(edge))
    }

    /// Whether a change of a whole event is: neither a deletion nor the end of an open one.
    pub fn is_new_change(&self, change: &Change) -> bool {
        let tenant = self.tenant(change.organization());
        !matches!(change, Change::Delete(_)) && tenant.is_none_or(|tenant| cost_of_end(&tenant, change).is_none())
    }
}
