//! Changes of whole events, on the level of a tenant: what they add to pages and what they take off them.

use super::AppliedChange;
use super::AppliedEdge;
use super::Arrival;
use super::Cause;
use super::EventView;
use super::FULL;
use super::Refusal;
use super::SampleKind;
use super::Store;
use super::Tenant;
use super::Withdrawn;
use super::core::Lost;
use crate::event::Change;
use crate::event::Delete;
use crate::event::Describe;
use crate::event::Edge;
use crate::event::Put;
use crate::event::Span;
use crate::event::Version;
use std::sync::Arc;

impl Tenant {
    /// The event with this id: its own, or that of one of its edges.
    pub fn event(&self, id: &str) -> Option<EventView> {
        let core = self.core.read();
        self.view(&core, core.resolve(id)?)
    }

    /// The event with this number: of one that came as edges, that of any of its edges. Costs as much as by an id.
    pub fn event_by_number(&self, number: u64) -> Option<EventView> {
        let core = self.core.read();
        self.view(&core, core.numbered(number)?)
    }

    /// Whether the event with this id has no end, or one that may still be to come.
    pub(super) fn is_open(&self, id: &str) -> bool {
        let core = self.core.read();
        core.resolve(id).is_some_and(|head| core.row(head).is_some_and(|row| row.part.is_open()) || core.open.ahead().has(head))
    }

    /// The version of the event with this id.
    pub fn version(&self, id: &str) -> Option<Version> {
        let core = self.core.read();
        core.resolve(id).map(|head| core.version(head))
    }

    pub(super) fn change(self: &Arc<Self>, arrival: Arrival, change: &Change) -> Result<AppliedChange, Refusal> {
        match change {
            Change::Put(put) => self.put(arrival, put),
            Change::Describe(describe) => self.describe(arrival, describe),
            Change::Delete(delete) => Ok(self.delete(delete)),
        }
    }

    fn put(self: &Arc<Self>, arrival: Arrival, put: &Put) -> Result<AppliedChange, Refusal> {
        let labels = self.index.intern(put.edges().map(|edge| &edge.labels))?;
        self.write(|core| {
            let cluster = self.intern_cluster(core, &put.start.cluster);
            let (added, lost) = core.put(&labels, put, cluster, arrival).ok_or(FULL)?;
            let sample = |(added, edge): (&super::core::Added, &Edge)| AppliedEdge {
                id: edge.id(),
                duplicate: added.duplicate,
                tenant: Arc::clone(self),
                cluster,
                series: core.series_id(added.series),
                kind: SampleKind::Change,
                alone: false,
                at: edge.at,
                value: edge.value,
            };
            let version = core.resolve(&put.id).map(|head| core.version(head));
            let fresh = added.iter().zip(put.edges()).filter(|(added, _)| !added.duplicate);
            Ok(AppliedChange { version, added: fresh.map(sample).collect(), withdrawn: self.withdrawn(&lost, Cause::Replaced) })
        })
    }

    fn describe(self: &Arc<Self>, arrival: Arrival, describe: &Describe) -> Result<AppliedChange, Refusal> {
        let labels = self.index.intern(describe.stop.iter().map(|stop| &stop.labels))?;
        self.write(|core| {
            let mut added = Vec::new();
            if let Some(stop) = &describe.stop {
                let labels = labels.labels(0).ok_or(FULL)?;
                added.push(self.add(core, labels, (arrival, stop, stop.id())).ok_or(FULL)?);
                core.follow();
            }
            core.describe(describe, arrival.received);
            let version = core.resolve(&describe.edge.to_string()).map(|head| core.version(head));
            added.retain(|stop| !stop.duplicate);
            Ok(AppliedChange { version, added, withdrawn: Vec::new() })
        })
    }

    fn delete(self: &Arc<Self>, delete: &Delete) -> AppliedChange {
        let lost = self.write(|core| core.delete(delete));
        AppliedChange { withdrawn: self.withdrawn(&lost, Cause::Deleted), ..AppliedChange::default() }
    }

    fn withdrawn(self: &Arc<Self>, lost: &[Lost], cause: Cause) -> Vec<Withdrawn> {
        let withdrawn =
            |lost: &Lost| Withdrawn { tenant: Arc::clone(self), cluster: lost.cluster, series: lost.series, at: lost.at, cause };
        lost.iter().map(withdrawn).collect()
    }
}

impl Store {
    /// The version of an organization's event.
    pub fn version(&self, organization: &str, id: &str) -> Option<Version> {
        self.tenant(organization)?.version(id)
    }

    /// The number of the event with this id of its own, for a record that puts it again.
    pub fn number(&self, organization: &str, id: &str) -> Option<u64> {
        self.tenant(organization)?.core.read().own_number(id)
    }

    /// The event with this id as it is now, for a record that is about it. `None` where the id says it all.
    pub fn span(&self, organization: &str, id: &str) -> Option<Span> {
        self.tenant(organization)?.core.read().span(id)
    }

    /// Whether the event with this id, or what is left of it, is here.
    pub fn remembers(&self, organization: &str, id: &str) -> bool {
        self.tenant(organization).is_some_and(|tenant| tenant.core.read().remembers(id))
    }
}
