//! The counters of edges by outcome, looked up once: a batch of thousands counts with a few additions.

use super::feed::Fed;
use super::feed::Follower;
use super::feed::Outcome;
use crate::exposition::Exposure;
use crate::telemetry::Telemetry;
use prometheus_client::metrics::counter::Counter;

/// `change_events_edges_total`, one counter an outcome; of those that are new.
#[derive(Debug)]
pub(super) struct EdgeCounters {
    shown: Counter,
    queued: Counter,
    scheduled: Counter,
    coalesced: Counter,
    late: Counter,
    old: Counter,
    same_instant: Counter,
    crowded: Counter,
}

fn counter(telemetry: &Telemetry, outcome: &'static str) -> Counter {
    telemetry.edges.get_or_create_owned(&[("outcome", outcome)])
}

/// The same of those that repeat an edge that was there.
pub(super) fn duplicates(telemetry: &Telemetry) -> Counter {
    counter(telemetry, "duplicate")
}

impl EdgeCounters {
    pub(super) fn new(telemetry: &Telemetry) -> Self {
        let counter = |outcome| counter(telemetry, outcome);
        Self {
            shown: counter("shown"),
            queued: counter("queued"),
            scheduled: counter("scheduled"),
            coalesced: counter("coalesced"),
            late: counter("late"),
            old: counter("old"),
            same_instant: counter("same_instant"),
            crowded: counter("crowded"),
        }
    }

    fn count(&self, exposure: &Exposure) {
        let counter = match exposure {
            Exposure::Shown => &self.shown,
            Exposure::Queued { .. } => &self.queued,
            Exposure::Scheduled { .. } => &self.scheduled,
            Exposure::Coalesced => &self.coalesced,
            Exposure::Late => &self.late,
            Exposure::Old => &self.old,
            Exposure::Duplicate => &self.same_instant,
            Exposure::Crowded => &self.crowded,
        };
        counter.inc();
    }
}

impl Follower for EdgeCounters {
    fn follow(&mut self, fed: &Fed<'_>) {
        match fed.outcome {
            Outcome::Edge(_, taken) => taken.exposure.iter().for_each(|exposure| self.count(exposure)),
            Outcome::Change(_, exposures) => exposures.iter().for_each(|exposure| self.count(exposure)),
            Outcome::Claim(..) | Outcome::Own(_) => {}
        }
    }
}
