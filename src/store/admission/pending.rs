//! What was admitted of one organization and not yet applied, and what is to become of the next edge or change by that.

use super::labels::Labels;
use super::labels::Less;
use super::labels::as_at_start;
use super::labels::less;
use super::labels::less_of_put;
use super::refusal::Refusal;
use crate::event::Change;
use crate::event::Claim;
use crate::event::Edge;
use crate::event::EdgeId;
use crate::event::EdgeState;
use crate::event::Identity;
use crate::event::Put;
use crate::store::Claimed;
use crate::store::Options;
use crate::store::Tenant;
use crate::store::core::Opening;
use crate::time::Timestamp;
use std::collections::HashMap;
use std::collections::HashSet;
use std::hash::BuildHasherDefault;
use std::hash::Hasher;
use std::sync::Arc;

#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) tenant: Option<Arc<Tenant>>,
    /// It has no tenant yet, and something of it was admitted.
    pub(super) born: bool,
    /// So many events are open or planned at most.
    open: usize,
    /// What starts do to what is open, where that may matter.
    starts: Option<Starts>,
    pub(super) labels: Labels,
    pub(super) claims: usize,
    /// Clusters that the tenant had before.
    clusters: usize,
    /// Clusters that it did not have.
    new_clusters: HashSet<Arc<str>>,
    /// What was admitted.
    pub(super) new_edges: HashSet<EdgeId, BuildHasherDefault<IdHasher>>,
    pub(super) new_claims: HashMap<u128, Claim>,
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
pub(super) struct IdHasher(u64);

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

impl Pending {
    /// `most` is how many edges may come, if that is known.
    pub(super) fn of(tenant: Option<Arc<Tenant>>, most: Option<usize>, now: Timestamp, options: &Options) -> Self {
        let counts = tenant.as_ref().map(|tenant| {
            let core = tenant.core.read();
            (core.open.len() + core.open.ahead().len(), core.series_count(), core.cluster_count())
        });
        let (open, series, clusters) = counts.unwrap_or_default();
        let is_near = |there: usize, limit: usize| most.is_none_or(|most| there.saturating_add(most) >= limit);
        let labels = Labels::new(tenant.as_deref(), is_near(series, options.label_sets_max).then_some(series));
        let claims = tenant.as_ref().map_or(0, |tenant| tenant.claims.lock().len(now));
        let starts = is_near(open, options.open_events_max).then(Starts::default);
        Self { tenant, open, starts, labels, claims, clusters, ..Self::default() }
    }

    pub(super) fn is_known(&self, id: EdgeId) -> bool {
        self.tenant.as_ref().is_some_and(|tenant| tenant.core.read().find_edge(id).is_some())
    }

    /// What an edge does to how many events are open.
    pub(super) fn opening(&self, edge: &Edge, id: EdgeId, now: Timestamp) -> Opening {
        let Some(starts) = self.starts.as_ref().filter(|_| edge.state == EdgeState::Start) else { return Opening::Closed };
        if starts.opened.contains(&edge.identity) {
            return Opening::Heartbeat;
        }
        match self.tenant.as_ref().map_or(Opening::Another, |tenant| tenant.opening(edge, id, now)) {
            // What superseded it has taken its place.
            Opening::Heartbeat if starts.replaced.contains(&edge.identity) => Opening::Another,
            // It may be another event by now.
            Opening::InsteadOf(rival) if starts.all.contains(&rival) || starts.replaced.contains(&rival) => Opening::Another,
            opening => opening,
        }
    }

    /// The same of a whole event.
    pub(super) fn opening_of(&self, put: &Put, now: Timestamp) -> Opening {
        let opens = self.starts.is_some() && put.stop.as_ref().is_none_or(|stop| stop.at > now) && put.start.state == EdgeState::Start;
        let is_open = opens && self.tenant.as_ref().is_some_and(|tenant| tenant.is_open(&put.id));
        if opens && !is_open { Opening::Another } else { Opening::Closed }
    }

    /// Whether there is room for what these edges need but labels and memory.
    pub(super) fn check(&self, edges: &[&Edge], opening: Opening, now: Timestamp, options: &Options) -> Result<(), Refusal> {
        let tenant = self.tenant.as_deref();
        if opening == Opening::Another && self.open >= options.open_events_max {
            let gone = tenant.map_or(0, |tenant| {
                let core = tenant.core.read();
                core.open.lapsed(now.minus(options.open_max_age)) + core.open.ahead().over(now).count()
            });
            if self.open - gone >= options.open_events_max {
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
    pub(super) fn take(&mut self, edges: &[(&Edge, EdgeId)], opening: Opening, sender: u64) -> usize {
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
    pub(super) fn is_born(&mut self) -> usize {
        let is_born = self.tenant.is_none() && !self.born;
        self.born |= is_born;
        usize::from(is_born)
    }

    pub(super) fn claimed(&self, claim: &Claim) -> Option<Claimed> {
        let known = self.tenant.as_ref().and_then(|tenant| tenant.claims.lock().find(claim));
        known.or_else(|| {
            let first = self.new_claims.get(&claim.key)?;
            Some(if first.body == claim.body { Claimed::Again { at: first.at } } else { Claimed::OtherBody })
        })
    }

    pub(super) fn check_claims(&self, now: Timestamp, options: &Options) -> Result<(), Refusal> {
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

impl Pending {
    /// What is taken instead of an edge whose labels there is no room for.
    pub(super) fn less_of_edge(&self, edge: &Edge, id: EdgeId, sender: u64, options: &Options) -> Result<Option<Less<Edge>>, Refusal> {
        let tenant = self.tenant.as_deref();
        let less = less(edge, id, &self.labels.over(tenant, edge, sender));
        let taken = less.as_ref().map_or(edge, |less| &less.what);
        if !self.labels.is_over(tenant, &[taken], options) {
            return Ok(less);
        }
        let open = tenant.filter(|_| edge.state == EdgeState::Stop).and_then(|tenant| tenant.labels_of_open(edge.identity));
        let open = open.ok_or(Refusal::of_label_sets(options.label_sets_max))?;
        Ok(as_at_start(edge, id, &open, options))
    }

    /// The same of a change.
    pub(super) fn less_of_change(&self, change: &Change, sender: u64, options: &Options) -> Result<Option<Less<Change>>, Refusal> {
        // What is described keeps the labels of its start.
        let Change::Put(put) = change else { return Ok(None) };
        let tenant = self.tenant.as_deref();
        let over = self.labels.over(tenant, &put.start, sender);
        let fewer = if over.is_empty() { None } else { less_of_put(put, |edge| less(edge, edge.id(), &over)) };
        let edges: Vec<&Edge> = fewer.as_ref().map_or(put, |less| &less.what).edges().collect();
        if !self.labels.is_over(tenant, &edges, options) {
            return Ok(fewer.map(|Less { what, lost }| Less { what: Change::Put(what), lost }));
        }
        let open = tenant.filter(|_| put.stop.is_some()).and_then(|tenant| tenant.labels_of_open(Identity::of_id(&put.id)));
        let open = open.ok_or(Refusal::of_label_sets(options.label_sets_max))?;
        let less = less_of_put(put, |edge| as_at_start(edge, edge.id(), &open, options));
        Ok(less.map(|Less { what, lost }| Less { what: Change::Put(what), lost }))
    }
}
