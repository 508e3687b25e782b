//! The limits of the store, asked before the append: what is admitted counts toward them until it is applied, and what is
//! refused does not.

mod disk;
mod labels;
mod memory;
mod pending;
mod refusal;

pub use labels::Less;
pub use labels::Unlabelled;
pub(super) use refusal::FULL;
pub(super) use refusal::FULL_OF_NAMES;
pub use refusal::Limited;
pub use refusal::Refusal;

use super::Claimed;
use super::Store;
use super::core::Opening;
use crate::event::Change;
use crate::event::Claim;
use crate::event::Edge;
use crate::event::EdgeId;
use crate::time::Timestamp;
use memory::Spent;
use pending::Pending;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

/// What is to become of an edge, decided before it is appended.
#[derive(Clone, Debug, PartialEq)]
pub enum Admitted {
    /// It is appended and applied.
    New,
    /// This one is instead, which says less.
    Less(Box<Less<Edge>>),
    /// It repeats an edge that is known, or one that was admitted before it. It leaves no record.
    Known,
}

/// What was admitted and not yet applied: counts toward the limits, and is known. Made anew for each round of admitting and
/// applying, since it remembers what each tenant had when it was first asked about.
#[derive(Debug, Default)]
pub struct Admission {
    by_organization: HashMap<Arc<str>, Pending>,
    /// How many of them have no tenant yet.
    unborn: usize,
    memory: Spent,
    /// Most edges that there can be.
    most: Option<usize>,
    /// Who sends what is asked about.
    sender: u64,
}

impl Admission {
    /// One that is asked about so many edges at most: far from a limit it need not know what exactly counts.
    pub fn of(most: usize) -> Self {
        Self { most: Some(most), ..Self::default() }
    }

    /// One that was admitted is refused for another reason: the next like it is new.
    pub fn forget(&mut self, organization: &str, id: EdgeId) {
        if let Some(pending) = self.by_organization.get_mut(organization) {
            pending.new_edges.remove(&id);
        }
    }

    /// Says who sends what is asked about from now on.
    pub fn by(&mut self, sender: u64) -> &mut Self {
        self.sender = sender;
        self
    }
}

impl Store {
    /// Whether an edge with this id is new, and the limits allow it; asked before the append. What is admitted counts until it is
    /// applied.
    pub fn admit_edge(&self, edge: &Edge, id: EdgeId, now: Timestamp, admission: &mut Admission) -> Result<Admitted, Refusal> {
        let (pending, memory, sender) = self.pending(&edge.organization, now, admission)?;
        if pending.is_known(id) || pending.new_edges.contains(&id) {
            return Ok(Admitted::Known);
        }
        let less = pending.less_of_edge(edge, id, sender, &self.options)?;
        let edge = less.as_ref().map_or(edge, |less| &less.what);
        let opening = pending.opening(edge, id, now);
        pending.check(&[edge], opening, now, &self.options)?;
        memory.book_edge(&self.options.account, edge, pending)?;
        admission.unborn += pending.take(&[(edge, id)], opening, sender);
        Ok(less.map_or(Admitted::New, |less| Admitted::Less(Box::new(less))))
    }

    /// The same of a key: what it was bound to before, by what is known or was admitted; `None` when it is new.
    pub fn admit_claim(&self, claim: &Claim, now: Timestamp, admission: &mut Admission) -> Result<Option<Claimed>, Refusal> {
        let (pending, memory, _) = self.pending(&claim.organization, now, admission)?;
        if let Some(claimed) = pending.claimed(claim) {
            return Ok(Some(claimed));
        }
        pending.check_claims(now, &self.options)?;
        memory.book_claim(&self.options.account)?;
        pending.claims += 1;
        pending.new_claims.insert(claim.key, claim.clone());
        admission.unborn += pending.is_born();
        Ok(None)
    }

    /// The same of a change of a whole event, which is always new: what is to be made instead, if that says less.
    pub fn admit_change(&self, change: &Change, now: Timestamp, admission: &mut Admission) -> Result<Option<Less<Change>>, Refusal> {
        if matches!(change, Change::Delete(_)) {
            return Ok(None);
        }
        let (pending, memory, sender) = self.pending(change.organization(), now, admission)?;
        let less = pending.less_of_change(change, sender, &self.options)?;
        let change = less.as_ref().map_or(change, |less| &less.what);
        let (edges, opening): (Vec<&Edge>, _) = match change {
            Change::Put(put) => (put.edges().collect(), pending.opening_of(put, now)),
            Change::Describe(describe) => (describe.stop.iter().collect(), Opening::Closed),
            Change::Delete(_) => (Vec::new(), Opening::Closed),
        };
        pending.check(&edges, opening, now, &self.options)?;
        memory.book_change(&self.options.account, change, pending)?;
        let edges: Vec<(&Edge, EdgeId)> = edges.into_iter().map(|edge| (edge, edge.id())).collect();
        admission.unborn += pending.take(&edges, opening, sender);
        Ok(less)
    }

    /// Remembers who brought the label names that came with what was admitted, and is applied now.
    pub fn note_senders(&self, admission: &Admission) {
        for (organization, pending) in &admission.by_organization {
            let mut new = pending.labels.new_names().peekable();
            let Some(tenant) = new.peek().and_then(|_| self.tenant(organization)) else { continue };
            for (name, sender) in new {
                tenant.index.note_sender(name, sender);
            }
        }
    }

    fn pending<'a>(
        &self,
        organization: &Arc<str>,
        now: Timestamp,
        admission: &'a mut Admission,
    ) -> Result<(&'a mut Pending, &'a mut Spent, u64), Refusal> {
        let sender = admission.sender;
        let pending = match admission.by_organization.entry(Arc::clone(organization)) {
            Entry::Occupied(pending) => pending.into_mut(),
            Entry::Vacant(place) => place.insert(Pending::of(self.tenant(organization), admission.most, now, &self.options)),
        };
        let limit = self.options.tenants_max;
        if pending.tenant.is_none() && !pending.born && self.tenants.read().len() + admission.unborn >= limit {
            return Err(Refusal::of_program("organizations", limit));
        }
        Ok((pending, &mut admission.memory, sender))
    }
}
