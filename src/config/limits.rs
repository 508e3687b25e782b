//! Every limit there is, as a flag and as a key of the file's `limits`.

use serde::Deserialize;

use crate::account;
use crate::account::Shares;
use crate::http::body;
use crate::http::server;
use crate::mapping::options;
use crate::store;

/// Limits as given; what is absent has its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Open connections; when one more comes, whoever is least lost ends. Default 10000. Settled at the start
    #[arg(long = "limit.connections", value_name = "N", help_heading = "Limits")]
    pub connections: Option<usize>,
    /// Bytes of memory that the server may take; it refuses new events before it takes more. Default three quarters of the machine's or control group's. Settled at the start
    #[arg(long = "limit.memory", value_name = "BYTES", help_heading = "Limits")]
    pub memory: Option<usize>,
    /// Bytes of all request bodies being worked on together. Default a sixteenth of the memory, 256 MiB at most. Settled at the start
    #[arg(long = "limit.bytes-in-flight", value_name = "BYTES", help_heading = "Limits")]
    pub bytes_in_flight: Option<usize>,
    /// Bytes of a request body on the wire; streams of lines have no such limit. Default 8 MiB
    #[arg(long = "limit.body-bytes", value_name = "BYTES", help_heading = "Limits")]
    pub body_bytes: Option<usize>,
    /// Bytes of a compressed request body after inflation. Default 32 MiB
    #[arg(long = "limit.inflated-bytes", value_name = "BYTES", help_heading = "Limits")]
    pub inflated_bytes: Option<usize>,
    /// How many times its size a compressed body may become, beyond the first MiB. Default 100
    #[arg(long = "limit.inflation-ratio", value_name = "N", help_heading = "Limits")]
    pub inflation_ratio: Option<usize>,
    /// Bytes of a whole stream of lines after inflation. Default: as many as come
    #[arg(long = "limit.stream-bytes", value_name = "BYTES", help_heading = "Limits")]
    pub stream_bytes: Option<u64>,
    /// Bytes of one event. Default 64 KiB
    #[arg(long = "limit.item-bytes", value_name = "BYTES", help_heading = "Limits")]
    pub item_bytes: Option<usize>,
    /// Events in one JSON array. Default 10000
    #[arg(long = "limit.batch-items", value_name = "N", help_heading = "Limits")]
    pub batch_items: Option<usize>,
    /// Labels of one event; more are left out. Default 20
    #[arg(long = "limit.labels", value_name = "N", help_heading = "Limits")]
    pub labels: Option<usize>,
    /// Bytes of a label's name; a longer one is left out. Default 128
    #[arg(long = "limit.label-name-bytes", value_name = "BYTES", help_heading = "Limits")]
    pub label_name_bytes: Option<usize>,
    /// Bytes of a label's value, where it is cut. Default 1024
    #[arg(long = "limit.label-value-bytes", value_name = "BYTES", help_heading = "Limits")]
    pub label_value_bytes: Option<usize>,
    /// Bytes of all labels of one event; what is over is left out. Default 8 KiB
    #[arg(long = "limit.labels-bytes", value_name = "BYTES", help_heading = "Limits")]
    pub labels_bytes: Option<usize>,
    /// Open events of one organization. Default 100000. Settled at the start
    #[arg(long = "limit.open-events", value_name = "N", help_heading = "Limits")]
    pub open_events: Option<usize>,
    /// Distinct label sets of one organization. Default 10000000. Settled at the start
    #[arg(long = "limit.label-sets", value_name = "N", help_heading = "Limits")]
    pub label_sets: Option<usize>,
    /// Clusters of one organization that were not configured. Default 100. Settled at the start
    #[arg(long = "limit.clusters", value_name = "N", help_heading = "Limits")]
    pub clusters: Option<usize>,
    /// Idempotency keys of one organization within a day. Default 100000. Settled at the start
    #[arg(long = "limit.idempotency-keys", value_name = "N", help_heading = "Limits")]
    pub idempotency_keys: Option<usize>,
}

impl Limits {
    /// These limits, and for what is absent those of `fallback`.
    #[must_use]
    pub fn or(&self, fallback: &Self) -> Self {
        Self {
            connections: self.connections.or(fallback.connections),
            memory: self.memory.or(fallback.memory),
            bytes_in_flight: self.bytes_in_flight.or(fallback.bytes_in_flight),
            body_bytes: self.body_bytes.or(fallback.body_bytes),
            inflated_bytes: self.inflated_bytes.or(fallback.inflated_bytes),
            inflation_ratio: self.inflation_ratio.or(fallback.inflation_ratio),
            stream_bytes: self.stream_bytes.or(fallback.stream_bytes),
            item_bytes: self.item_bytes.or(fallback.item_bytes),
            batch_items: self.batch_items.or(fallback.batch_items),
            labels: self.labels.or(fallback.labels),
            label_name_bytes: self.label_name_bytes.or(fallback.label_name_bytes),
            label_value_bytes: self.label_value_bytes.or(fallback.label_value_bytes),
            labels_bytes: self.labels_bytes.or(fallback.labels_bytes),
            open_events: self.open_events.or(fallback.open_events),
            label_sets: self.label_sets.or(fallback.label_sets),
            clusters: self.clusters.or(fallback.clusters),
            idempotency_keys: self.idempotency_keys.or(fallback.idempotency_keys),
        }
    }

    pub(super) fn apply_to_request(&self, request: &mut body::Limits) {
        set(&mut request.body_bytes, self.body_bytes);
        set(&mut request.inflated_bytes, self.inflated_bytes);
        set(&mut request.inflation_ratio, self.inflation_ratio);
        request.stream_bytes = self.stream_bytes.or(request.stream_bytes);
    }

    pub(super) fn apply_to_mapping(&self, mapping: &mut options::Limits) {
        set(&mut mapping.labels, self.labels);
        set(&mut mapping.name_bytes, self.label_name_bytes);
        set(&mut mapping.value_bytes, self.label_value_bytes);
        set(&mut mapping.total_bytes, self.labels_bytes);
        set(&mut mapping.item_bytes, self.item_bytes);
        set(&mut mapping.batch_items, self.batch_items);
    }

    pub(super) fn apply_to_store(&self, store: &mut store::Options) {
        set(&mut store.open_events_max, self.open_events);
        set(&mut store.label_sets_max, self.label_sets);
        set(&mut store.clusters_max, self.clusters);
        set(&mut store.claims_max, self.idempotency_keys);
    }

    pub(super) fn apply_to_server(&self, server: &mut server::Options) {
        set(&mut server.connections, self.connections);
    }

    /// How much memory the server may take, and how it is divided.
    pub fn memory(&self) -> (account::Limit, Shares) {
        let limit = account::Limit::settle(self.memory);
        let mut shares = Shares::divide(limit.bytes);
        if let Some(bodies) = self.bytes_in_flight {
            let bodies = bodies.min(limit.bytes / 2);
            shares.events = (shares.events + shares.bodies).saturating_sub(bodies);
            shares.bodies = bodies;
        }
        (limit, shares)
    }

    /// Those that a reload cannot change; `self` and `other` differ in them when what this gives differs.
    pub fn settled(&self) -> [Option<usize>; 7] {
        [self.connections, self.memory, self.bytes_in_flight, self.open_events, self.label_sets, self.clusters, self.idempotency_keys]
    }
}

fn set<T>(target: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *target = value;
    }
}
