//! The counters of edges by outcome, looked up once: a batch of thousands counts with a few additions.

use prometheus_client::metrics::counter::Counter;

use crate::exposition::Exposure;
use crate::telemetry::Telemetry;

/// `change_events_edges_total`, one counter an outcome.
#[derive(Debug)]
pub(crate) struct EdgeCounters {
    shown: Counter,
    queued: Counter,
    scheduled: Counter,
    coalesced: Counter,
    late: Counter,
    old: Counter,
    same_instant: Counter,
    crowded: Counter,
    duplicate: Counter,
}

impl EdgeCounters {
    pub(crate) fn new(telemetry: &Telemetry) -> Self {
        let counter = |outcome| telemetry.edges.get_or_create_owned(&[("outcome", outcome)]);
        Self {
            shown: counter("shown"),
            queued: counter("queued"),
            scheduled: counter("scheduled"),
            coalesced: counter("coalesced"),
            late: counter("late"),
            old: counter("old"),
            same_instant: counter("same_instant"),
            crowded: counter("crowded"),
            duplicate: counter("duplicate"),
        }
    }

    /// Counts one edge; no exposure means that it repeats an edge that was there.
    pub(crate) fn count(&self, exposure: Option<&Exposure>) {
        let counter = match exposure {
            None => &self.duplicate,
            Some(Exposure::Shown) => &self.shown,
            Some(Exposure::Queued { .. }) => &self.queued,
            Some(Exposure::Scheduled { .. }) => &self.scheduled,
            Some(Exposure::Coalesced) => &self.coalesced,
            Some(Exposure::Late) => &self.late,
            Some(Exposure::Old) => &self.old,
            Some(Exposure::Duplicate) => &self.same_instant,
            Some(Exposure::Crowded) => &self.crowded,
        };
        counter.inc();
    }
}
