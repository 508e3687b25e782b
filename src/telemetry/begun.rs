//! Rows of counters that are there from the start, at 0: a counter that begins with its first event is one that `increase()` and
//! `rate()` never see.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::telemetry::observed::Labels;

/// Why edges and requests are refused: the values of the label `reason` of `change_events_refused_total`.
pub const REASONS: [&str; 29] = [
    "busy",
    "cluster",
    "conflict",
    "connections",
    "content_type",
    "credentials",
    "cross_site",
    "disk",
    "encoding",
    "headers",
    "host",
    "idempotency_key",
    "internal",
    "latched",
    "lifecycle",
    "limit",
    "log",
    "malformed",
    "memory",
    "reload",
    "slow_body",
    "stale",
    "starting",
    "stopping",
    "too_large",
    "too_much",
    "transfer_coding",
    "unknown",
    "wrong_tokens",
];

/// The classes of status codes that are answered.
pub(super) const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// Begins the rows of a counter with one label.
pub(super) fn begin(family: &Family<Labels<1>, Counter>, label: &'static str, values: &[&'static str]) {
    for value in values {
        family.get_or_create(&[(label, value)]).inc_by(0);
    }
}
