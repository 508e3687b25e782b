//! The limits of the store, asked before the append: what is admitted counts toward them until it is applied, and what is
//! refused does not.

mod disk;
mod labels;
mod memory;
mod refusal;

pub use labels::Less;
pub use labels::Unlabelled;
pub use refusal::Limited;
pub use refusal::Refusal;

use super::Claimed;
use super::Options;
use super::Store;
use super::Tenant;
use super::core::Opening;
use crate::event::Change;
use crate::event::Claim;
use crate::event::Edge;
use crate::event::EdgeId;
use crate::event::EdgeState;
use crate::event::Identity;
use crate::event::Put;
use crate::time::Timestamp;
use labels::Labels;
use memory::Spent;
use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::hash_map::Entry;
use std::hash::BuildHasherDefault;
use std::hash::Hasher;
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

#[derive(Debug, Default)]
struct Pending {
    tenant: Option<Arc<Tenant>>,
    /// It has no tenant yet, and something of it was admitted.
    born: bool,
    /// So many events are open at most.
    open: usize,
    /// What starts do to what is open, where that may matter.
    starts: Option<Starts>,
    labels: Labels,
    claims: usize,
    /// Clusters that the tenant had before.
    clusters: usize,
    /// Clusters that it did not have.
    new_clusters: HashSet<Arc<str>>,
    /// What was admitted.
    new_edges: HashSet<EdgeId, BuildHasherDefault<IdHasher>>,
    new_claims: HashMap<u128, Claim>,
}

/// The identities of starts that were admitted.
#[derive(Debug, Default)]
struct Starts {
    all: HashSet<Identity>,
    /// Those that opened an event, which the others of theirs are heartbeats of.
    opened: HashSet<Identity>,
    /// Those whose open event another one superseded.
    replaced: HashSet<Identity>,
}

/// An id is a hash already.
#[derive(Debug, Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, id: u128) {
        self.0 = u64::try_from(id >> 64).unwrap_or_default();
    }
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
        let opening = pending.opening(edge, id);
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
            Change::Put(put) => (put.edges().collect(), pending.opening_of(put)),
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

impl Store {
    /// What an edge is recorded as, where the log knows it, or what it pairs with, by what an earlier format made of it.
    pub fn as_before(&self, edge: &Edge) -> Option<Edge> {
        let former = edge.former?;
        let tenant = self.tenant(&edge.organization)?;
        let core = tenant.core.read();
        let keeps = core.number_of(edge.identity).is_none() && core.number_of(former.identity).is_some();
        let identity = if keeps { former.identity } else { edge.identity };
        let group = |group: &Identity| core.groups.has(group.0);
        let supersede = former.supersede.filter(|before| group(before) && !edge.supersede.as_ref().is_some_and(group)).or(edge.supersede);
        if (identity, supersede) == (edge.identity, edge.supersede) {
            return None;
        }
        let edge = Edge { identity, supersede, ..edge.clone() };
        let named = Some(edge.former_id()).filter(|id| core.find_edge(*id).is_some()).or(edge.named);
        Some(Edge { named, ..edge })
    }
}

impl Pending {
    /// `most` is how many edges may come, if that is known.
    fn of(tenant: Option<Arc<Tenant>>, most: Option<usize>, now: Timestamp, options: &Options) -> Self {
        let counts = tenant.as_ref().map(|tenant| {
            let core = tenant.core.read();
            (core.open.len(), core.series_count(), core.cluster_count())
        });
        let (open, series, clusters) = counts.unwrap_or_default();
        let is_near = |there: usize, limit: usize| most.is_none_or(|most| there.saturating_add(most) >= limit);
        let labels = Labels::new(tenant.as_deref(), is_near(series, options.label_sets_max).then_some(series));
        let claims = tenant.as_ref().map_or(0, |tenant| tenant.claims.lock().len(now));
        let starts = is_near(open, options.open_events_max).then(Starts::default);
        Self { tenant, open, starts, labels, claims, clusters, ..Self::default() }
    }

    fn is_known(&self, id: EdgeId) -> bool {
        self.tenant.as_ref().is_some_and(|tenant| tenant.core.read().find_edge(id).is_some())
    }

    /// What an edge does to how many events are open.
    fn opening(&self, edge: &Edge, id: EdgeId) -> Opening {
        let Some(starts) = self.starts.as_ref().filter(|_| edge.state == EdgeState::Start) else { return Opening::Closed };
        if starts.opened.contains(&edge.identity) {
            return Opening::Heartbeat;
        }
        match self.tenant.as_ref().map_or(Opening::Another, |tenant| tenant.opening(edge, id)) {
            // What superseded it has taken its place.
            Opening::Heartbeat if starts.replaced.contains(&edge.identity) => Opening::Another,
            // It may be another event by now.
            Opening::InsteadOf(rival) if starts.all.contains(&rival) || starts.replaced.contains(&rival) => Opening::Another,
            opening => opening,
        }
    }

    /// The same of a whole event.
    fn opening_of(&self, put: &Put) -> Opening {
        let opens = self.starts.is_some() && put.stop.is_none() && put.start.state == EdgeState::Start;
        let is_open = opens && self.tenant.as_ref().is_some_and(|tenant| tenant.is_open(&put.id));
        if opens && !is_open { Opening::Another } else { Opening::Closed }
    }

    /// Whether there is room for what these edges need but labels and memory.
    fn check(&self, edges: &[&Edge], opening: Opening, now: Timestamp, options: &Options) -> Result<(), Refusal> {
        let tenant = self.tenant.as_deref();
        if opening == Opening::Another && self.open >= options.open_events_max {
            let lapsed = tenant.map_or(0, |tenant| tenant.core.read().open.lapsed(now.minus(options.open_max_age)));
            if self.open - lapsed >= options.open_events_max {
                return Err(Refusal::of_open_events(options.open_events_max));
            }
        }
        let is_over = self.clusters + self.new_clusters.len() >= options.clusters_max;
        if is_over && edges.iter().any(|edge| !edge.configured && self.is_new_cluster(&edge.cluster)) {
            return Err(Refusal::of_clusters(options.clusters_max));
        }
        Ok(())
    }

    fn is_new_cluster(&self, cluster: &Arc<str>) -> bool {
        let is_used = || self.tenant.as_ref().is_some_and(|tenant| tenant.uses(cluster));
        !cluster.is_empty() && !self.new_clusters.contains(cluster) && !is_used()
    }

    /// Counts edges that are admitted, and returns how many tenants will come with them.
    fn take(&mut self, edges: &[(&Edge, EdgeId)], opening: Opening, sender: u64) -> usize {
        for (edge, id) in edges {
            self.labels.take(self.tenant.as_deref(), edge, *id, sender);
            if !edge.configured && self.is_new_cluster(&edge.cluster) {
                self.new_clusters.insert(Arc::clone(&edge.cluster));
            }
            if let Some(starts) = self.starts.as_mut().filter(|_| edge.state == EdgeState::Start) {
                starts.take(edge.identity, opening);
            }
            self.new_edges.insert(*id);
        }
        self.open += usize::from(opening == Opening::Another);
        self.is_born()
    }

    /// Something is admitted: returns how many tenants come with it.
    fn is_born(&mut self) -> usize {
        let is_born = self.tenant.is_none() && !self.born;
        self.born |= is_born;
        usize::from(is_born)
    }

    fn claimed(&self, claim: &Claim) -> Option<Claimed> {
        let known = self.tenant.as_ref().and_then(|tenant| tenant.claims.lock().find(claim));
        known.or_else(|| {
            let first = self.new_claims.get(&claim.key)?;
            Some(if first.body == claim.body { Claimed::Again { at: first.at } } else { Claimed::OtherBody })
        })
    }

    fn check_claims(&self, now: Timestamp, options: &Options) -> Result<(), Refusal> {
        if self.claims < options.claims_max {
            return Ok(());
        }
        let wait = self.tenant.as_ref().map(|tenant| tenant.claims.lock().until_first_lapses(now));
        Err(Refusal::of_keys(options.claims_max, wait.unwrap_or_default()))
    }
}

impl Starts {
    fn take(&mut self, identity: Identity, opening: Opening) {
        self.all.insert(identity);
        match opening {
            Opening::Another => _ = self.opened.insert(identity),
            Opening::InsteadOf(rival) => {
                self.opened.insert(identity);
                self.replaced.insert(rival);
            }
            Opening::Heartbeat | Opening::Closed => {}
        }
    }
}
