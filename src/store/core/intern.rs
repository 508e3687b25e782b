//! The tables: what is known by its id, its labels or its key.

use super::Core;
use super::End;
use super::LabelIndex;
use super::LabelRef;
use super::Members;
use super::New;
use super::Seq;
use super::SeriesRow;
use super::id_hash;
use crate::event::Edge;
use crate::event::EdgeId;
use crate::event::Identity;
use crate::store::Arrived;
use crate::store::ClusterId;
use crate::store::edges::IdentityRow;
use crate::store::edges::halves;
use crate::store::number::EdgeNo;
use crate::store::number::IdentityNo;
use crate::store::number::SeriesNo;
use crate::store::number::Set;
use crate::store::seed::Seed;
use std::hint::black_box;

/// For tables: as much of a hash as a row keeps.
fn series_hash(seed: &Seed, labels: &[LabelRef], end: End, cluster: ClusterId) -> u32 {
    let hash = seed.hash((labels, end, cluster.0));
    u32::try_from(hash >> 32).unwrap_or(0)
}

/// The hash of a table that has one half of it in its upper bits and one in its lower bits.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

impl Core {
    pub(in crate::store) fn edge_count(&self) -> usize {
        self.arrivals.len()
    }

    pub(in crate::store) fn series_count(&self) -> usize {
        self.by_series.len()
    }

    pub(super) fn hash_of(&self, id: [u64; 2]) -> u64 {
        id_hash(&self.seed, id)
    }

    pub(in crate::store) fn find_edge(&self, id: EdgeId) -> Option<EdgeNo> {
        let id = halves(id.0);
        self.by_edge.find(self.hash_of(id), |edge| self.row(edge).is_some_and(|row| row.id == id))
    }

    pub(in crate::store) fn number_of(&self, identity: Identity) -> Option<IdentityNo> {
        let key = halves(identity.0);
        self.by_identity.find(self.hash_of(key), |candidate| self.identities.get(candidate).is_some_and(|row| row.key == key))
    }

    /// Touches the tables where these edges will be looked up: those places are far apart in memory, and asked for one after
    /// the other without waiting they come in together.
    pub(in crate::store) fn look_ahead(&self, edges: &[Arrived<'_>]) {
        for (_, edge, id) in edges {
            black_box((self.find_edge(*id), self.number_of(edge.identity)));
        }
    }

    pub(super) fn intern_series(&mut self, new: &New<'_>) -> Option<SeriesNo> {
        let (labels, end, cluster) = (new.labels, End::from(new.edge.state), new.cluster);
        if let Some(found) = self.series_of_labels(labels, end, cluster) {
            return Some(found);
        }
        let hash = series_hash(&self.seed, labels, end, cluster);
        self.born += 1;
        let row = SeriesRow { labels: labels.into(), edges: Seq::Empty, cluster, end, hash, born: self.born };
        let new = self.series.insert(row)?;
        self.by_series.insert(spread(hash), new);
        self.label_bytes.add(labels.len(), size_of::<LabelRef>());
        self.unpublished.push(new);
        self.series_of(end).insert(new);
        *self.series_by_cluster.entry(cluster).or_default() += 1;
        self.unused_clusters.remove(&cluster);
        Some(new)
    }

    /// Whether there is a series of these labels, this end and this cluster.
    pub(in crate::store) fn has_series(&self, labels: &[LabelRef], end: End, cluster: ClusterId) -> bool {
        self.series_of_labels(labels, end, cluster).is_some()
    }

    fn series_of_labels(&self, labels: &[LabelRef], end: End, cluster: ClusterId) -> Option<SeriesNo> {
        let hash = series_hash(&self.seed, labels, end, cluster);
        let same = |row: &SeriesRow| row.hash == hash && *row.labels == *labels && row.end == end && row.cluster == cluster;
        self.by_series.find(spread(hash), |series| self.series.get(series).is_some_and(same))
    }

    /// How many clusters have a series, the default one left out.
    pub(in crate::store) fn cluster_count(&self) -> usize {
        self.series_by_cluster.len() - usize::from(self.has_cluster(ClusterId::default()))
    }

    /// The lowest number of a cluster that nothing has any more.
    pub(in crate::store) fn unused_cluster(&self) -> Option<ClusterId> {
        self.unused_clusters.first().copied()
    }

    /// Nothing has this number of a cluster, which is not the default one.
    pub(in crate::store) fn has_no_cluster(&mut self, cluster: ClusterId) {
        self.unused_clusters.insert(cluster);
    }

    /// Whether a cluster has a series.
    pub(in crate::store) fn has_cluster(&self, cluster: ClusterId) -> bool {
        self.series_by_cluster.contains_key(&cluster)
    }

    /// The number of what the edge pairs by.
    pub(super) fn intern_identity(&mut self, edge: &Edge) -> Option<IdentityNo> {
        let Edge { identity, lapses, .. } = *edge;
        if let Some(found) = self.number_of(identity) {
            // A stop that a change of the whole event gave does not say so.
            if let Some(row) = self.identities.get_mut(found).filter(|_| lapses) {
                row.lapses = true;
            }
            return Some(found);
        }
        let key = halves(identity.0);
        let hash = self.hash_of(key);
        let new = self.identities.insert(IdentityRow { key, members: Members::default(), lapses })?;
        self.by_identity.insert(hash, new);
        Some(new)
    }

    /// Forgets the id of an edge.
    pub(super) fn forget_id(&mut self, edge: EdgeNo, id: [u64; 2]) {
        self.by_edge.remove(id_hash(&self.seed, id), |candidate| candidate == edge);
    }

    /// Forgets an identity that has no edge any more, not even one of the past.
    pub(super) fn sweep_identity(&mut self, identity: IdentityNo) {
        let Some(row) = self.identities.get(identity) else { return };
        if !row.members.is_empty() || self.past.contains_key(&identity) {
            return;
        }
        let hash = id_hash(&self.seed, row.key);
        if self.by_identity.remove(hash, |candidate| candidate == identity) {
            self.identities.vacate(identity);
        }
    }

    /// Forgets a series that has no edge any more.
    pub(super) fn sweep_series(&mut self, index: &LabelIndex, series: SeriesNo) {
        let Some(row) = self.series.get_mut(series).filter(|row| row.edges.is_empty()) else { return };
        let (labels, end, hash, cluster) = (std::mem::take(&mut row.labels), row.end, spread(row.hash), row.cluster);
        if self.by_series.remove(hash, |candidate| candidate == series) {
            self.label_bytes.remove(labels.len(), size_of::<LabelRef>());
            index.remove(&labels, series);
            self.series_of(end).remove(series);
            self.series.vacate(series);
            if let Some(count) = self.series_by_cluster.get_mut(&cluster) {
                *count -= 1;
                if *count == 0 {
                    self.series_by_cluster.remove(&cluster);
                    self.unused_clusters.extend(Some(cluster).filter(|cluster| *cluster != ClusterId::default()));
                }
            }
        }
    }

    /// Every series that has an edge.
    pub(in crate::store) fn all_series(&self) -> Set<SeriesNo> {
        self.series_at(|_| true)
    }

    /// Every series of an end that `wanted` accepts.
    pub(in crate::store) fn series_at(&self, wanted: impl Fn(End) -> bool) -> Set<SeriesNo> {
        let mut found = Set::default();
        for (end, series) in [(End::Start, &self.start_series), (End::Stop, &self.stop_series)] {
            if wanted(end) {
                found |= series;
            }
        }
        found
    }

    fn series_of(&mut self, end: End) -> &mut Set<SeriesNo> {
        match end {
            End::Start => &mut self.start_series,
            End::Stop => &mut self.stop_series,
        }
    }
}
