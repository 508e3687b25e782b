//! Change events as a sender writes them, and what a server must then have stored.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};

use crate::support::query::Series;

/// Milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "the servers under test use the clock of the machine too")]
pub(crate) fn now() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

/// One edge of `entity`: state `start` or `stop`, or `""` for a point in time.
pub(crate) fn edge(entity: &str, state: &str, time: i64) -> Value {
    let timestamp = DateTime::from_timestamp_millis(time).unwrap().to_rfc3339_opts(SecondsFormat::Millis, true);
    let mut event = json!({
        "event_name": "job_lifecycle",
        "timestamp": timestamp,
        "attributes": {"entity_id": entity, "state": "queued", "deployment_environment": "production"},
    });
    if !state.is_empty() {
        event["event_state"] = state.into();
    }
    event
}

/// The times of samples, in milliseconds, by entity and state.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Times(BTreeMap<(String, String), Vec<i64>>);

impl Times {
    pub(crate) fn add(&mut self, entity: &str, state: &str, time: i64) {
        // A point is shown as a start.
        let state = if state.is_empty() { "start" } else { state };
        let times = self.0.entry((entity.to_owned(), state.to_owned())).or_default();
        times.push(time);
        times.sort_unstable();
    }

    /// What a server answered to a query for raw samples. A sample stored twice is there twice. The markers that
    /// VictoriaMetrics adds when a series leaves the page, not-a-numbers that its functions skip, are left out.
    pub(crate) fn stored(series: &[Series]) -> Self {
        let mut stored = Self::default();
        for one in series {
            for (time, _) in one.samples.iter().filter(|(_, value)| !value.is_nan()) {
                stored.add(one.label("entity_id"), one.label("event_state"), *time);
            }
        }
        stored
    }

    pub(crate) fn with(&self, other: &Self) -> Self {
        let mut both = self.clone();
        for ((entity, state), times) in &other.0 {
            for &time in times {
                both.add(entity, state, time);
            }
        }
        both
    }

    pub(crate) fn count(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// Which of these are not in `stored`, as a sentence; `None` when none is missing.
    pub(crate) fn missing_from(&self, stored: &Self) -> Option<String> {
        let missing: Vec<_> = self
            .0
            .iter()
            .filter_map(|(series, times)| {
                let have = stored.0.get(series).map_or(&[][..], Vec::as_slice);
                let lack = times.iter().filter(|time| !have.contains(time)).count();
                (lack > 0).then(|| format!("{lack} of {} of {series:?}", times.len()))
            })
            .collect();
        (!missing.is_empty()).then(|| missing.join(", "))
    }
}
