//! The OpenTelemetry Collector between the exporter and a Prometheus, with the configuration of the example.

use std::process::Command;
use std::time::Duration;

use change_events::time::{Clock as _, SystemClock};
use serde_json::json;

use crate::support::exporter::Exporter;
use crate::support::process::Process;
use crate::support::prometheus::Prometheus;
use crate::support::query::Series;
use crate::support::{examples, servers, wait};

const LIMIT: Duration = Duration::from_mins(2);
/// After so many scrapes that were stored, an event would have been stored twice, or a request refused.
const SCRAPES: f64 = 8.0;

/// Awaits that each of two events, one of them old, is stored once, however often it is scraped.
fn check(changes: &[(&str, &str)], receiver: &str, receiver_arguments: &[&str]) {
    let (Some(binary), Some(collector)) = (servers::require("prometheus"), servers::require("otel-collector")) else { return };
    let exporter = Exporter::start(&[]);
    let prometheus = Prometheus::start(&binary, receiver, receiver_arguments);
    for (service, age) in [("old", Duration::from_mins(40)), ("api", Duration::ZERO)] {
        let time = SystemClock.now().minus(age).to_string();
        exporter
            .put(&json!({"event_name": "deployment", "event_state": "start", "timestamp": time, "attributes": {"service_name": service}}));
    }
    let receiver = prometheus.url.trim_start_matches("http://");
    let addresses = [("127.0.0.1:10555", exporter.target()), ("endpoint: http://127.0.0.1:9090", &format!("endpoint: http://{receiver}"))];
    let config = examples::with("examples/otel-collector.yml", &[&addresses, changes].concat());
    // Its own metrics have a port of their own, which another test may have.
    let config = config.replace("scrape_interval: 1m", "scrape_interval: 1s") + "  telemetry: {metrics: {level: none}}\n";
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.yml");
    std::fs::write(&path, config).unwrap();
    let mut command = Command::new(collector);
    command.arg(format!("--config={}", path.display()));
    let collector = Process::spawn(command, &directory.path().join("log"));
    wait::until_ok("scrapes to be stored", LIMIT, || {
        let stored = prometheus.value(r#"changes(change_events_http_requests_total{code="2xx"}[5m])"#).unwrap_or_default();
        if stored >= SCRAPES { Ok(()) } else { Err(format!("{stored} scrapes; {}", collector.log())) }
    });
    for service in ["old", "api"] {
        let stored = prometheus.instant(&format!(r#"last9_change_events{{service_name="{service}"}}[2h]"#));
        let times: Vec<_> = stored.iter().flat_map(Series::times).collect();
        assert_eq!(times.len(), 1, "{service} is stored once: {stored:?}");
    }
    let log = collector.log();
    assert!(!log.contains("\terror\t"), "{log}");
}

#[test]
fn the_collector_passes_each_event_on_once_by_remote_write() {
    check(&[], "global: {}\n", &["--web.enable-remote-write-receiver"]);
}

#[test]
fn the_collector_passes_each_event_on_once_by_otlp_to_a_prometheus_with_a_window() {
    let otlp = [("prometheusremotewrite", "otlphttp"), ("/api/v1/write", "/api/v1/otlp")];
    check(&otlp, "storage: {tsdb: {out_of_order_time_window: 1h}}\n", &["--web.enable-otlp-receiver"]);
}
