//! One organization's events, as readers ask for them and as the store folds edges into them.

use super::AppliedEdge;
use super::Arrived;
use super::ClusterId;
use super::FULL;
use super::Refusal;
use super::SampleKind;
use super::SeriesId;
use super::Tenant;
use super::TenantId;
use super::core::Core;
use super::core::New;
use super::core::Opening;
use super::edges;
use super::gauges::GaugeLook;
use super::gauges::OpenGauge;
use super::index::LabelRef;
use super::number::Number as _;
use super::number::SeriesNo;
use crate::event::Edge;
use crate::event::EdgeId;
use crate::event::EdgeState;
use crate::event::Identity;
use crate::labels::LabelSet;
use crate::time::Timestamp;
use parking_lot::RwLockReadGuard;
#[cfg(test)]
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many open events are looked at before the writer is let in.
const GAUGES_AT_ONCE: usize = 1024;

impl Tenant {
    /// Its number.
    pub fn id(&self) -> TenantId {
        self.id
    }

    /// Its slug; empty for the anonymous one.
    pub fn organization(&self) -> &str {
        &self.organization
    }

    /// The number of the cluster `name`, when something was sent to it.
    pub fn cluster(&self, name: &str) -> Option<ClusterId> {
        self.clusters.read().numbers.get(name).copied()
    }

    pub(super) fn cluster_name(&self, cluster: ClusterId) -> Arc<str> {
        self.clusters.read().names.get(usize::from(cluster.0)).map_or_else(|| "".into(), Arc::clone)
    }

    /// Calls `visit` with the labels of a series in the order of their names, `event_state` among them.
    pub fn series_labels(&self, series: SeriesId, visit: &mut dyn FnMut(&str, &str)) {
        self.labels_of(&[series], &mut |_, name, value| visit(name, value));
    }

    /// The same of some series at once, with their places in `series`; one that was retired has none, whatever has its number
    /// now. The writer waits meanwhile: let there be a hundred or so.
    pub fn labels_of(&self, series: &[SeriesId], visit: &mut dyn FnMut(usize, &str, &str)) {
        let core = self.core.read();
        let set = |series: &SeriesId| {
            SeriesNo::from_index(series.number)
                .and_then(|number| core.series.get(number))
                .filter(|row| row.generation() == series.generation)
                .map_or((&[][..], ""), |row| (&*row.labels, row.end.label()))
        };
        self.index.texts_of(&series.iter().map(set).collect::<Vec<_>>(), visit);
    }

    /// Whether an edge belongs, or belonged, to the event with this id of its own.
    #[cfg(test)]
    pub(crate) fn is_of(&self, edge: EdgeId, id: &str) -> bool {
        let core = self.core.read();
        let row = core.find_edge(edge).and_then(|edge| core.row(edge));
        row.is_some_and(|row| core.number_of(crate::event::Identity::of_id(id)) == Some(row.identity))
    }

    /// Every edge's id and time of receipt; what a simulation compares with what was acknowledged.
    #[cfg(test)]
    pub(crate) fn every_edge(&self) -> Vec<(EdgeId, Timestamp)> {
        let core = self.core.read();
        core.edges.iter().filter(|row| row.part != edges::Part::Vacant).map(|row| (edges::edge_id(row.id), row.received)).collect()
    }

    /// Every key that is bound at `now`, with its body and what an absent timestamp means.
    #[cfg(test)]
    pub(crate) fn every_key(&self, now: Timestamp) -> BTreeMap<u128, (u128, Timestamp)> {
        self.claims.lock().bound_at(now)
    }

    /// Calls `visit` once per label set that is open on the cluster at `now`, which is not before anything was received, with its
    /// oldest start, oldest first. All are of one moment, although the writer goes on while they are looked at.
    pub fn open_gauges(&self, cluster: ClusterId, now: Timestamp, visit: &mut dyn FnMut(OpenGauge)) {
        let mut core = self.core.read();
        // In one go, where more changes in between than is remembered, again and again.
        for most in [GAUGES_AT_ONCE, GAUGES_AT_ONCE, usize::MAX] {
            let mut look = GaugeLook::new(cluster, now, now.minus(self.open_max_age), &core.open);
            while look.go_on(&core.open, most, |series| core.series_id(series)) {
                RwLockReadGuard::bump(&mut core);
            }
            if let Some(gauges) = look.end(&core.open, |series| core.series_id(series)) {
                drop(core);
                return gauges.into_iter().for_each(|(since, series)| visit(OpenGauge { series, since }));
            }
        }
    }

    /// Changes whenever an edge opens or closes an event. What the clock alone does is apart: see [`Tenant::next_change`].
    pub fn open_version(&self) -> u64 {
        self.core.read().open.version()
    }

    /// When after `now` the clock alone changes what is on the gauge: an event begins or ends, or is too old for it.
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        self.core.read().open.next_change(now, self.open_max_age)
    }

    pub(super) fn apply(self: &Arc<Self>, edges: &[Arrived<'_>], applied: &mut Vec<Result<AppliedEdge, Refusal>>) {
        let labels = match self.index.intern(edges.iter().map(|(_, edge, _)| &edge.labels)) {
            Ok(labels) => labels,
            Err(full) => return applied.extend(edges.iter().map(|_| Err(full.clone()))),
        };
        self.write(|core| {
            if edges.len() > 1 {
                core.look_ahead(edges);
            }
            for (set, &arrived) in edges.iter().enumerate() {
                let added = labels.labels(set).and_then(|labels| self.add(core, labels, arrived));
                applied.push(added.ok_or(FULL));
            }
        });
    }

    /// Does something to the core, and then brings up to date what is derived from it. Labels of what is added were interned
    /// before, and are held until after this.
    pub(super) fn write<T>(&self, change: impl FnOnce(&mut Core) -> T) -> T {
        let mut core = self.core.write();
        let done = change(&mut core);
        core.follow();
        core.publish(&self.index);
        self.report(&core);
        done
    }

    /// Folds in an edge with these labels. `None` at a hard bound.
    pub(super) fn add(self: &Arc<Self>, core: &mut Core, labels: &[LabelRef], (arrival, edge, id): Arrived<'_>) -> Option<AppliedEdge> {
        let cluster = self.intern_cluster(core, &edge.cluster);
        let added = core.add(&New { edge, id, labels, cluster, arrival })?;
        let row = core.row(added.edge)?;
        Some(AppliedEdge {
            id: edges::edge_id(row.id),
            duplicate: added.duplicate,
            tenant: Arc::clone(self),
            cluster,
            series: core.series_id(added.series),
            kind: if row.part == edges::Part::Beat { SampleKind::Heartbeat } else { SampleKind::Change },
            alone: !added.duplicate && row.part == edges::Part::Lone,
            at: edge.at,
            value: edge.value,
        })
    }

    /// Whether this stop is of an identity that has an open event: most such stops close it.
    pub fn closes_open(&self, edge: &Edge) -> bool {
        edge.state == EdgeState::Stop && self.core.read().has_open(edge.identity)
    }

    /// Whether there is a series for this edge already.
    pub(super) fn has_series_of(&self, edge: &Edge) -> bool {
        let Some(cluster) = self.cluster(&edge.cluster) else { return false };
        self.index.references(&edge.labels).is_some_and(|labels| self.core.read().has_series(&labels, edge.state.into(), cluster))
    }

    /// What a start that is not known would make of how many events are open.
    pub(super) fn opening(&self, start: &Edge, id: EdgeId, now: Timestamp) -> Opening {
        self.core.read().opening(start, id, now)
    }

    /// The labels of the first start of the open event of this identity, if there is one.
    pub(super) fn labels_of_open(&self, identity: Identity) -> Option<LabelSet> {
        let core = self.core.read();
        let series = core.open_head(identity).and_then(|head| core.row(head)).and_then(|row| core.series.get(row.series))?;
        let mut texts: Vec<(String, String)> = Vec::with_capacity(series.labels.len());
        self.index.texts(&series.labels, |name, value| texts.push((name.to_owned(), value.to_owned())));
        LabelSet::from_sorted(texts.iter().map(|(name, value)| (name.as_str(), value.as_str()))).ok()
    }

    /// Whether something of the cluster `name` is here. Its number stays when all of it was forgotten, until another needs one.
    pub(super) fn uses(&self, name: &str) -> bool {
        self.cluster(name).is_some_and(|cluster| self.core.read().has_cluster(cluster))
    }

    /// The number of the cluster `name`: a new one is that which nothing has any more, if there is one.
    pub(super) fn intern_cluster(&self, core: &mut Core, name: &Arc<str>) -> ClusterId {
        if let Some(known) = self.cluster(name) {
            return known;
        }
        let mut clusters = self.clusters.write();
        let free = core.unused_cluster();
        let Some(number) = free.or_else(|| u16::try_from(clusters.names.len()).ok().map(ClusterId)) else { return ClusterId(0) };
        if let Some(free) = clusters.names.get_mut(usize::from(number.0)) {
            let before = std::mem::replace(free, Arc::clone(name));
            clusters.numbers.remove(&before);
        } else {
            clusters.names.push(Arc::clone(name));
            core.has_no_cluster(number);
        }
        clusters.numbers.insert(Arc::clone(name), number);
        number
    }
}
