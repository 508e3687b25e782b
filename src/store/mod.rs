//! The label-indexed memory: edges, the series they are samples of, the events they fold into, and what is open.
//!
//! It is a pure fold of the log: [`Store::apply_record`] is total, reads no clock and does no I/O. Only the writer calls it;
//! readers see whole commands. Nothing is shared between two tenants.

mod admission;
mod ahead;
mod applied;
mod arrivals;
mod arrived;
mod by_time;
mod bytes;
mod carried;
mod change;
mod claims;
mod collect;
mod core;
mod details;
mod edges;
mod effort;
mod fold;
mod gauges;
mod groups;
mod ids;
mod index;
mod indexed;
mod names;
mod nearest;
mod number;
mod odd;
mod open;
mod open_event;
mod organization;
mod pairing;
mod pattern;
mod pieces;
mod postings;
mod query;
mod rows;
mod runs;
mod seed;
pub mod select;
pub mod selector;
mod seq;
mod sizes;
mod steps;
mod table;
mod tenant;
mod texts;
mod view;

#[cfg(test)]
mod costs;
#[cfg(test)]
mod tests;

pub use admission::Admission;
pub use admission::Admitted;
pub use admission::Less;
pub use admission::Limited;
pub use admission::Refusal;
pub use admission::Unlabelled;
pub use applied::Applied;
pub use applied::AppliedChange;
pub use applied::AppliedEdge;
pub use applied::Cause;
pub use applied::RetiredPart;
pub use applied::SampleKind;
pub use applied::Withdrawn;
pub use arrived::Arrival;
pub use arrived::Arrived;
pub use claims::CLAIM_AGE;
pub use claims::Claimed;
pub use effort::Effort;
pub use effort::STEPS_MAX;
pub use effort::TooMuch;
pub use gauges::OpenGauge;
pub use ids::ClusterId;
pub use ids::SeriesId;
pub use ids::TenantId;
pub(crate) use odd::odd_name;
pub use organization::Tenant;
pub use query::ANSWER_BYTES;
pub use query::Cursor;
pub use query::Keep;
pub use query::Phases;
pub use query::Query;
pub use select::Selected;
pub use selector::Matcher;
pub use view::EdgeView;
pub use view::EventView;
pub use view::Order;
pub use view::Phase;

use self::admission::FULL;
use self::core::Core;
use crate::account::Account;
use crate::event::Change;
use crate::event::Claim;
use crate::event::Command;
use crate::time::Timestamp;
use index::LabelIndex;
use parking_lot::Mutex;
use parking_lot::RwLock;
use seed::Seed;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Most label names of one tenant.
pub const LABEL_NAMES_MAX: usize = 10_000;

/// What bounds and shapes the store.
#[derive(Clone, Debug)]
pub struct Options {
    /// How far before its start a stop may be dated and still close it (`--pairing.skew`).
    pub pairing_skew: Duration,
    /// How long an event of identity rule 4 stays on the open gauge (`--open.max-age`).
    pub open_max_age: Duration,
    /// Most events of a tenant that are open or planned (`--limit.open-events`).
    pub open_events_max: usize,
    /// Most label sets of a tenant (`--limit.label-sets`).
    pub label_sets_max: usize,
    /// Most clusters of a tenant that were not configured (`--limit.clusters`).
    pub clusters_max: usize,
    /// Most `Idempotency-Key`s of a tenant within a day (`--limit.idempotency-keys`).
    pub claims_max: usize,
    /// Most tenants.
    pub tenants_max: usize,
    /// What memory there is (`--limit.memory`).
    pub account: Account,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            pairing_skew: Duration::from_secs(5),
            open_max_age: Duration::from_hours(7 * 24),
            open_events_max: 100_000,
            label_sets_max: 10_000_000,
            clusters_max: 100,
            claims_max: 100_000,
            tenants_max: 10_000,
            account: Account::boundless(),
        }
    }
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Events.
    pub events: usize,
    /// Edges.
    pub edges: usize,
    /// Series, that is label sets with their state.
    pub series: usize,
    /// Open events, by the clock.
    pub open: usize,
    /// Open events of identity rule 4 that have left the gauge.
    pub lapsed: usize,
}

/// All tenants.
#[derive(Debug)]
pub struct Store {
    options: Options,
    /// How far before its start a stop may be, where its record says nothing else.
    skew: RwLock<Duration>,
    /// How tables hash.
    seed: RwLock<Seed>,
    tenants: RwLock<BTreeMap<Arc<str>, Arc<Tenant>>>,
}

impl Store {
    /// An empty store.
    pub fn new(options: Options) -> Self {
        Self { skew: RwLock::new(options.pairing_skew), options, seed: RwLock::default(), tenants: RwLock::default() }
    }

    /// What memory there is.
    pub fn account(&self) -> &Account {
        &self.options.account
    }

    /// The organization's events; `None` when it never sent anything.
    pub fn tenant(&self, organization: &str) -> Option<Arc<Tenant>> {
        self.tenants.read().get(organization).map(Arc::clone)
    }

    /// All tenants, by name.
    pub fn tenants(&self) -> Vec<Arc<Tenant>> {
        self.tenants.read().values().map(Arc::clone).collect()
    }

    /// Folds one command of the log in.
    pub fn apply_record(&self, arrival: Arrival, command: &Command) -> Applied {
        let received = arrival.received;
        match command {
            Command::Edge(edge) => {
                let mut applied = Vec::with_capacity(1);
                self.apply_edges(&[(arrival, edge, edge.id())], &mut applied);
                applied.pop().unwrap_or(Err(FULL)).map_or_else(Applied::Full, Applied::Edge)
            }
            Command::Claim(claim) => Applied::Claim(self.apply_claim(received, claim)),
            Command::Change(change) => self.apply_change(arrival, change).map_or_else(Applied::Full, Applied::Changed),
            Command::Settings(_) | Command::Clock { .. } => Applied::Nothing,
            Command::Retire { before, .. } => {
                for tenant in self.tenants() {
                    let mut core = tenant.core.write();
                    core.retire(&tenant.index, *before, received);
                    tenant.report(&core);
                }
                Applied::Nothing
            }
            Command::RetirePart(part) => {
                let tenant = self.tenant(&part.organization);
                Applied::Retired(tenant.map_or_else(RetiredPart::default, |tenant| {
                    let mut core = tenant.core.write();
                    let retired = core.retire_part(&tenant.index, part, received);
                    tenant.report(&core);
                    retired
                }))
            }
        }
    }

    /// How many edges of an organization were received before `before`.
    pub fn old(&self, organization: &str, before: Timestamp) -> usize {
        self.tenant(organization).map_or(0, |tenant| tenant.core.read().old(before))
    }

    /// As [`Store::apply_record`], of a claim.
    pub fn apply_claim(&self, received: Timestamp, claim: &Claim) -> Claimed {
        let tenant = self.tenant_or_new(&claim.organization);
        let claimed = tenant.claims.lock().claim(received, claim);
        tenant.report(&tenant.core.read());
        claimed
    }

    /// As [`Store::apply_record`], of a change of a whole event. Refused only at a hard bound of the numbering.
    pub fn apply_change(&self, arrival: Arrival, change: &Change) -> Result<AppliedChange, Refusal> {
        self.tenant_or_new(change.organization()).change(arrival, change)
    }

    /// How far before its start a stop may be, where its record says nothing else.
    pub fn skew(&self) -> Duration {
        *self.skew.read()
    }

    /// The same by the options, for edges that are received from now on.
    pub fn configured_skew(&self) -> Duration {
        self.options.pairing_skew
    }

    /// What tables make of a text.
    #[cfg(test)]
    pub(crate) fn hash_of(&self, text: &str) -> u64 {
        self.seed.read().hash(text)
    }

    /// Lets the tables hash as all that come from the log with this id do; before anything of it is folded in.
    pub fn seed(&self, log_id: u64) {
        *self.seed.write() = Seed::of_log(log_id);
    }

    /// The same as the log says it, which is asked before anything of it is folded in. Forgets everything.
    pub fn begin(&self, skew: Duration) {
        *self.skew.write() = skew;
        for tenant in std::mem::take(&mut *self.tenants.write()).into_values() {
            self.options.account.keep(tenant.reported.load(Ordering::Relaxed), 0);
            self.options.account.keep_open(tenant.reported_open.load(Ordering::Relaxed), 0);
        }
    }

    /// Folds in some edges, and adds to `applied` what each came to. Readers wait until all of a tenant's are in, so there should
    /// not be more than a hundred or so.
    pub fn apply_edges(&self, edges: &[Arrived<'_>], applied: &mut Vec<Result<AppliedEdge, Refusal>>) {
        for run in edges.chunk_by(|(_, a, _), (_, b, _)| a.organization == b.organization) {
            if let Some((_, first, _)) = run.first() {
                self.tenant_or_new(&first.organization).apply(run, applied);
            }
        }
    }

    /// Whether what is here comes from this record, received then; what does not can be left out of a checkpoint.
    pub fn remembers_record(&self, received: Timestamp, command: &Command) -> bool {
        let organization = match command {
            Command::Edge(edge) => &edge.organization,
            Command::Claim(claim) => &claim.organization,
            Command::Change(change) => change.organization(),
            Command::Settings(_) => return true,
            Command::Retire { .. } | Command::RetirePart(_) | Command::Clock { .. } => return false,
        };
        let Some(tenant) = self.tenant(organization) else { return false };
        let core = tenant.core.read();
        match command {
            // A repeat, which logs of the first format have, renews the edge.
            Command::Edge(edge) => core.find_edge(edge.id()).and_then(|edge| core.row(edge)).is_some_and(|row| row.received <= received),
            Command::Claim(claim) => tenant.claims.lock().remembers(claim.key),
            Command::Change(Change::Put(put)) => core.remembers_put(put, received),
            Command::Change(Change::Describe(describe)) => core.remembers_describe(describe, received),
            Command::Change(Change::Delete(delete)) => core.remembers_delete(delete),
            Command::Settings(_) | Command::Retire { .. } | Command::RetirePart(_) | Command::Clock { .. } => false,
        }
    }

    /// As [`Store::apply_record`], of the record that a test has next.
    #[cfg(test)]
    pub(crate) fn apply(&self, received: Timestamp, command: &Command) -> Applied {
        self.apply_record(tests::arriving(received), command)
    }

    /// All that the log is folded into, at `now`, in lines.
    #[cfg(test)]
    pub(crate) fn state(&self, now: Timestamp) -> Vec<String> {
        // How early stops may be is what the log's settings say, or a flag where it has none yet.
        let Self { options: _, skew: _, seed: _, tenants } = self;
        let mut all = Vec::new();
        for (name, tenant) in &*tenants.read() {
            let Tenant { id, organization: _, open_max_age: _, index, core, clusters, claims, account: _, reported: _, reported_open: _ } =
                &**tenant;
            let mut lines = vec![format!("{id:?}, clusters {:?}", clusters.read().names)];
            lines.extend(core.read().state(index));
            lines.extend(claims.lock().state(now));
            all.extend(lines.iter().map(|line| format!("{name}: {line}")));
        }
        all
    }

    /// Runs something while nobody else reads or writes what an organization has.
    #[cfg(test)]
    pub(crate) fn locked<T>(&self, organization: &str, meanwhile: impl FnOnce() -> T) -> T {
        let tenant = self.tenant_or_new(&organization.into());
        let _all = (tenant.core.write(), tenant.claims.lock(), tenant.clusters.write());
        meanwhile()
    }

    /// How much there is, at `now`.
    pub fn stats(&self, now: Timestamp) -> Stats {
        let mut stats = Stats::default();
        for tenant in self.tenants() {
            let core = tenant.core.read();
            stats.events += core.by_time.len();
            stats.edges += core.edge_count();
            stats.series += core.series_count();
            stats.open += core.open.open_at(now);
            stats.lapsed += core.open.lapsed(now.minus(self.options.open_max_age));
        }
        stats
    }

    fn tenant_or_new(&self, organization: &Arc<str>) -> Arc<Tenant> {
        if let Some(tenant) = self.tenant(organization) {
            return tenant;
        }
        let mut tenants = self.tenants.write();
        let id = TenantId(u32::try_from(tenants.len()).unwrap_or(u32::MAX));
        let tenant = Arc::new(Tenant {
            id,
            organization: Arc::clone(organization),
            open_max_age: self.options.open_max_age,
            index: LabelIndex::new(self.seed.read().clone()),
            core: RwLock::new(Core::new(self.skew(), self.seed.read().clone())),
            clusters: RwLock::default(),
            claims: Mutex::default(),
            account: self.options.account.clone(),
            reported: AtomicUsize::new(0),
            reported_open: AtomicUsize::new(0),
        });
        tenants.insert(Arc::clone(organization), Arc::clone(&tenant));
        tenant
    }
}
