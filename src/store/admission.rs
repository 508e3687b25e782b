//! The limits of the store, asked before the append: what is admitted counts toward them until it is applied.

use super::LABEL_NAMES_MAX;
use super::Options;
use super::Store;
use super::Tenant;
use crate::event::Command;
use crate::event::Edge;
use crate::event::EdgeState;
use crate::time::Timestamp;
use std::collections::HashMap;
use std::collections::HashSet;
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

/// What was admitted and not yet applied: counts toward the limits.
#[derive(Debug, Default)]
pub struct Admission {
    by_organization: HashMap<Arc<str>, Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    edges: usize,
    starts: usize,
    claims: usize,
    clusters: HashSet<Arc<str>>,
}

impl Store {
    /// Whether the limits allow `command`; asked before the append. What is admitted counts until it is applied.
    pub fn admit(&self, command: &Command, now: Timestamp, admission: &mut Admission) -> Result<(), Refusal> {
        let organization = match command {
            Command::Edge(edge) => &edge.organization,
            Command::Claim(claim) => &claim.organization,
            Command::Put(put) => &put.start.organization,
            Command::Describe(describe) => &describe.organization,
            Command::Delete(_) | Command::Retire { .. } => return Ok(()),
        };
        let tenant = self.tenant(organization);
        let limit = self.options.tenants_max;
        if tenant.is_none() && !admission.by_organization.contains_key(organization) {
            let unborn = admission.by_organization.keys().filter(|name| self.tenant(name).is_none()).count();
            if self.tenants.read().len() + unborn >= limit {
                return Err(Refusal { what: "organizations", limit, flag: "the program" });
            }
        }
        let pending = match admission.by_organization.get_mut(organization) {
            Some(pending) => pending,
            None => admission.by_organization.entry(Arc::clone(organization)).or_default(),
        };
        match command {
            Command::Edge(edge) => pending.admit_edge(tenant.as_deref(), edge, true, now, &self.options),
            Command::Put(put) => {
                let opens =
                    put.stop.is_none() && !tenant.as_ref().is_some_and(|tenant| tenant.event(&put.id).is_some_and(|event| event.open));
                put.edges().try_for_each(|edge| pending.admit_edge(tenant.as_deref(), edge, opens, now, &self.options))
            }
            Command::Describe(describe) => {
                describe.stop.iter().try_for_each(|stop| pending.admit_edge(tenant.as_deref(), stop, false, now, &self.options))
            }
            Command::Claim(_) => pending.admit_claim(tenant.as_deref(), &self.options),
            Command::Delete(_) | Command::Retire { .. } => Ok(()),
        }
    }
}

impl Pending {
    /// `opens`: the edge opens an event if it is a start.
    fn admit_edge(&mut self, tenant: Option<&Tenant>, edge: &Edge, opens: bool, now: Timestamp, options: &Options) -> Result<(), Refusal> {
        let core = tenant.map(|tenant| tenant.core.read());
        let known = || core.as_ref().is_some_and(|core| core.find_edge(edge.id()).is_some());
        let open = core.as_ref().map_or(0, |core| core.open.len());
        let opens = opens && edge.state == EdgeState::Start;
        if opens && open + self.starts >= options.open_events_max {
            let lapsed = core.as_ref().map_or(0, |core| core.open.lapsed(now.minus(options.open_max_age)));
            if open - lapsed + self.starts >= options.open_events_max && !known() {
                return Err(Refusal { what: "open events", limit: options.open_events_max, flag: "--limit.open-events" });
            }
        }
        let series = core.as_ref().map_or(0, |core| core.series_count());
        if series + self.edges >= options.label_sets_max && !known() {
            return Err(Refusal { what: "label sets", limit: options.label_sets_max, flag: "--limit.label-sets" });
        }
        let names = tenant.map_or(0, |tenant| tenant.index.names());
        if names >= LABEL_NAMES_MAX && edge.labels.iter().any(|(name, _)| tenant.is_none_or(|tenant| !tenant.index.has_name(name))) {
            return Err(Refusal { what: "label names", limit: LABEL_NAMES_MAX, flag: "the program" });
        }
        if !edge.cluster.is_empty() && tenant.is_none_or(|tenant| tenant.cluster(&edge.cluster).is_none()) {
            let clusters = tenant.map_or(0, |tenant| tenant.clusters.read().len() - 1);
            if clusters + self.clusters.len() >= options.clusters_max && !self.clusters.contains(&edge.cluster) {
                return Err(Refusal { what: "clusters (data_source_name)", limit: options.clusters_max, flag: "--limit.clusters" });
            }
            self.clusters.insert(Arc::clone(&edge.cluster));
        }
        self.edges += 1;
        self.starts += usize::from(opens);
        Ok(())
    }

    fn admit_claim(&mut self, tenant: Option<&Tenant>, options: &Options) -> Result<(), Refusal> {
        let claims = tenant.map_or(0, |tenant| tenant.claims.lock().by_key.len());
        if claims + self.claims >= options.claims_max {
            return Err(Refusal { what: "idempotency keys of one day", limit: options.claims_max, flag: "--limit.idempotency-keys" });
        }
        self.claims += 1;
        Ok(())
    }
}
