//! The limits of the store, asked before the append: what is admitted counts toward them until it is applied.

mod disk;
mod memory;

use super::Claimed;
use super::LABEL_NAMES_MAX;
use super::Options;
use super::Store;
use super::Tenant;
use crate::event::Change;
use crate::event::Claim;
use crate::event::Edge;
use crate::event::EdgeId;
use crate::event::EdgeState;
use crate::event::Identity;
use crate::time::Timestamp;
use memory::Spent;
use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::hash_map::Entry;
use std::hash::BuildHasherDefault;
use std::hash::Hasher;
use std::sync::Arc;

/// A limit that a command would exceed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {limit} are there already, the most that {flag} allows")]
pub struct Refusal {
    /// What there would be too many of.
    pub what: &'static str,
    /// How many are allowed.
    pub limit: usize,
    /// The flag that sets it.
    pub flag: &'static str,
}

/// What is to become of an edge, decided before it is appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It is appended and applied.
    New,
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
}

#[derive(Debug, Default)]
struct Pending {
    tenant: Option<Arc<Tenant>>,
    /// What the tenant had before, with what was admitted since.
    open: usize,
    series: usize,
    claims: usize,
    /// What the tenant had before.
    names: usize,
    clusters: usize,
    /// Label names that it did not have.
    new_names: HashSet<Box<str>>,
    /// The names of the edge that was admitted last; most have those of the one before.
    last_names: Vec<Box<str>>,
    /// Clusters that it did not have.
    new_clusters: HashSet<Arc<str>>,
    /// What was admitted.
    new_edges: HashSet<EdgeId, BuildHasherDefault<IdHasher>>,
    new_claims: HashMap<u128, Claim>,
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

impl Store {
    /// Whether an edge with this id is new, and the limits allow it; asked before the append. What is admitted counts until it is
    /// applied.
    pub fn admit_edge(&self, edge: &Edge, id: EdgeId, now: Timestamp, admission: &mut Admission) -> Result<Admitted, Refusal> {
        let (pending, memory) = self.pending(&edge.organization, now, admission)?;
        if pending.is_known(id) || pending.new_edges.contains(&id) {
            return Ok(Admitted::Known);
        }
        memory.book_edge(&self.options.account, edge, pending)?;
        pending.admit_edge(edge, id, usize::from(edge.state == EdgeState::Start), now, &self.options)?;
        pending.new_edges.insert(id);
        Ok(Admitted::New)
    }

    /// The same of a key: what it was bound to before, by what is known or was admitted; `None` when it is new.
    pub fn admit_claim(&self, claim: &Claim, now: Timestamp, admission: &mut Admission) -> Result<Option<Claimed>, Refusal> {
        let (pending, memory) = self.pending(&claim.organization, now, admission)?;
        let claimed = pending.admit_claim(claim, &self.options)?;
        if claimed.is_none() {
            memory.book_claim(&self.options.account)?;
        }
        Ok(claimed)
    }

    /// The same of a change of a whole event, which is always new.
    pub fn admit_change(&self, change: &Change, now: Timestamp, admission: &mut Admission) -> Result<(), Refusal> {
        if matches!(change, Change::Delete(_)) {
            return Ok(());
        }
        let (pending, memory) = self.pending(change.organization(), now, admission)?;
        memory.book_change(&self.options.account, change, pending)?;
        match change {
            Change::Put(put) => {
                let open = pending.tenant.as_ref().is_some_and(|tenant| tenant.is_open(&put.id));
                let opens = put.stop.is_none() && !open && put.start.state == EdgeState::Start;
                put.edges().try_for_each(|edge| pending.admit_edge(edge, edge.id(), usize::from(opens), now, &self.options))?;
                pending.new_edges.extend(put.edges().map(Edge::id));
            }
            Change::Describe(describe) => {
                describe.stop.iter().try_for_each(|stop| pending.admit_edge(stop, stop.id(), 0, now, &self.options))?;
                pending.new_edges.extend(describe.stop.iter().map(Edge::id));
            }
            Change::Delete(_) => {}
        }
        Ok(())
    }

    fn pending<'a>(
        &self,
        organization: &Arc<str>,
        now: Timestamp,
        admission: &'a mut Admission,
    ) -> Result<(&'a mut Pending, &'a mut Spent), Refusal> {
        match admission.by_organization.entry(Arc::clone(organization)) {
            Entry::Occupied(pending) => Ok((pending.into_mut(), &mut admission.memory)),
            Entry::Vacant(place) => {
                let pending = Pending::of(self.tenant(organization), now);
                let limit = self.options.tenants_max;
                if pending.tenant.is_none() {
                    if self.tenants.read().len() + admission.unborn >= limit {
                        return Err(Refusal { what: "organizations", limit, flag: "the program" });
                    }
                    admission.unborn += 1;
                }
                Ok((place.insert(pending), &mut admission.memory))
            }
        }
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
    fn of(tenant: Option<Arc<Tenant>>, now: Timestamp) -> Self {
        let Some(tenant) = tenant else { return Self::default() };
        let (open, series, clusters) = {
            let core = tenant.core.read();
            (core.open.len(), core.series_count(), core.cluster_count())
        };
        let names = tenant.index.names();
        let claims = tenant.claims.lock().len(now);
        Self { open, series, claims, names, clusters, tenant: Some(tenant), ..Self::default() }
    }

    fn is_known(&self, id: EdgeId) -> bool {
        self.tenant.as_ref().is_some_and(|tenant| tenant.core.read().find_edge(id).is_some())
    }

    /// `opens` is how many events it may open; an edge that is known can, when an event is put without its end.
    fn admit_edge(&mut self, edge: &Edge, id: EdgeId, opens: usize, now: Timestamp, options: &Options) -> Result<(), Refusal> {
        let tenant = self.tenant.as_deref();
        if opens > 0 && self.open >= options.open_events_max {
            let lapsed = tenant.map_or(0, |tenant| tenant.core.read().open.lapsed(now.minus(options.open_max_age)));
            if self.open - lapsed >= options.open_events_max {
                return Err(Refusal { what: "open events", limit: options.open_events_max, flag: "--limit.open-events" });
            }
        }
        if self.series >= options.label_sets_max && !self.is_known(id) {
            return Err(Refusal { what: "label sets", limit: options.label_sets_max, flag: "--limit.label-sets" });
        }
        let new_names = self.new_names_of(edge);
        if !new_names.is_empty() && self.names + self.new_names.len() + new_names.len() > LABEL_NAMES_MAX {
            return Err(Refusal { what: "label names", limit: LABEL_NAMES_MAX, flag: "the program" });
        }
        if !edge.cluster.is_empty() && tenant.is_none_or(|tenant| !tenant.uses(&edge.cluster)) {
            if self.clusters + self.new_clusters.len() >= options.clusters_max && !self.new_clusters.contains(&edge.cluster) {
                return Err(Refusal { what: "clusters (data_source_name)", limit: options.clusters_max, flag: "--limit.clusters" });
            }
            self.new_clusters.insert(Arc::clone(&edge.cluster));
        }
        if !self.has_last_names(edge) {
            self.new_names.extend(new_names.into_iter().map(Box::from));
            self.last_names = edge.labels.iter().map(|(name, _)| name.into()).collect();
        }
        self.series += 1;
        self.open += opens;
        Ok(())
    }

    /// The names of the edge's labels that neither the tenant has nor an edge that was admitted.
    fn new_names_of<'e>(&self, edge: &'e Edge) -> Vec<&'e str> {
        if self.has_last_names(edge) {
            return Vec::new();
        }
        let has = |name: &str| self.tenant.as_ref().is_some_and(|tenant| tenant.index.has_name(name)) || self.new_names.contains(name);
        edge.labels.iter().map(|(name, _)| name).filter(|name| !has(name)).collect()
    }

    fn has_last_names(&self, edge: &Edge) -> bool {
        edge.labels.iter().map(|(name, _)| name).eq(self.last_names.iter().map(|name| &**name))
    }

    fn admit_claim(&mut self, claim: &Claim, options: &Options) -> Result<Option<Claimed>, Refusal> {
        if let Some(known) = self.tenant.as_ref().and_then(|tenant| tenant.claims.lock().find(claim)) {
            return Ok(Some(known));
        }
        if let Some(first) = self.new_claims.get(&claim.key) {
            let same = first.body == claim.body;
            return Ok(Some(if same { Claimed::Again { at: first.at } } else { Claimed::OtherBody }));
        }
        if self.claims >= options.claims_max {
            return Err(Refusal { what: "idempotency keys of one day", limit: options.claims_max, flag: "--limit.idempotency-keys" });
        }
        self.claims += 1;
        self.new_claims.insert(claim.key, claim.clone());
        Ok(None)
    }
}
