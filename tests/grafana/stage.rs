//! An exporter, a Prometheus that scrapes it every second, and requests of a service for it to count.

use std::time::Duration;

use change_events::time::{Clock as _, SystemClock, Timestamp};
use serde_json::{Value, json};

use crate::support::exporter::Exporter;
use crate::support::prometheus::Prometheus;
use crate::support::{examples, servers, wait};

const LIMIT: Duration = Duration::from_mins(1);

pub(crate) const SECOND: i64 = 1000;
pub(crate) const MINUTE: i64 = 60 * SECOND;

/// Another Prometheus is the service: its requests under OpenTelemetry's names, some of them failed.
const SERVICE: &str = r#"
  - job_name: service
    static_configs:
      - targets: ["SERVICE"]
        labels: {service_name: checkout, deployment_environment: production}
    metric_relabel_configs:
      - {source_labels: [__name__], regex: prometheus_http_request_duration_seconds_.*, action: keep}
      - {target_label: http_response_status_code, replacement: "200"}
      - {source_labels: [handler], regex: /api/v1/query, target_label: http_response_status_code, replacement: "503"}
      - {source_labels: [le], regex: "0[.]2", target_label: le, replacement: "0.25"}
      - source_labels: [__name__]
        regex: prometheus_http_request_duration_seconds_(.*)
        target_label: __name__
        replacement: http_server_request_duration_seconds_$1
"#;

#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) exporter: Exporter,
    pub(crate) prometheus: Prometheus,
    pub(crate) service: Prometheus,
}

impl Stage {
    /// With the current Prometheus; `None` where there is none.
    pub(crate) fn start() -> Option<Self> {
        Self::with("prometheus")
    }

    /// With this version of Prometheus.
    pub(crate) fn with(prometheus: &str) -> Option<Self> {
        let binary = servers::require(prometheus)?;
        let exporter = Exporter::start(&["--exposure.hold=4s"]);
        let service = Prometheus::start(&binary, "scrape_configs: []", &[]);
        let replacements = [("127.0.0.1:10555", exporter.target()), ("interval: 1m", "interval: 1s"), ("../alerts", "/none")];
        let mut config = examples::with("examples/prometheus.yml", &replacements);
        config.push_str(&SERVICE.replace("SERVICE", service.url.trim_start_matches("http://")));
        let prometheus = Prometheus::start(&binary, &config, &[]);
        // Samples keep their place on the page for two scrapes, so the scrapes have to be under way.
        wait::until("the first scrape", LIMIT, || prometheus.value(r#"up{job="change-events"}"#).filter(|&up| up > 0.0));
        Some(Self { exporter, prometheus, service })
    }
}

/// Milliseconds since 1970.
pub(crate) fn now() -> i64 {
    SystemClock.now().millis()
}

/// One edge: state `start` or `stop`, or `""` for a point in time.
pub(crate) fn edge(name: &str, state: &str, time: i64, attributes: &Value) -> Value {
    let mut event = json!({"event_name": name, "timestamp": Timestamp::from_millis(time).to_string(), "attributes": attributes});
    if !state.is_empty() {
        event["event_state"] = state.into();
    }
    event
}
