//! Scrapers that log or store each repetition of a sample, with the settings that the examples give them.
//!
//! The old edges here go to VictoriaMetrics only: remote write by Prometheus leaves out whatever is dated before its own
//! start.

use std::time::Duration;

use serde_json::{Value, json};

use crate::events::{Times, edge, now};
use crate::support::exporter::Exporter;
use crate::support::prometheus::Prometheus;
use crate::support::query::Series;
use crate::support::victoria::Victoria;
use crate::support::{examples, servers, wait};

const LIMIT: Duration = Duration::from_mins(2);
const HOUR: i64 = 3_600_000;
const SELECTOR: &str = "last9_change_events[5d]";
const UP: &str = r#"up{job="change-events"}"#;
const DEDUPLICATE: &[&str] = &["-dedup.minScrapeInterval=1ms", "-search.latencyOffset=1s"];

/// An example made fast: a second between scrapes, and samples kept for the hold of the test.
fn scrape_config(example: &str, exporter: &Exporter, more: &[(&str, &str)]) -> String {
    let common = [("127.0.0.1:10555", exporter.target()), ("scrape_interval: 1m", "scrape_interval: 1s"), ("keep: [2m15s]", "keep: [4s]")];
    examples::with(example, &[&common[..], more].concat())
}

/// Sends a burst of one series, a start and its stop, around a kill -9, and answers what was sent.
fn send(exporter: &mut Exporter) -> Times {
    let mut sent = Times::default();
    let began = now();
    let mut send_one = |exporter: &Exporter, entity: &str, state: &str, time: i64| {
        exporter.put(&edge(entity, state, time));
        sent.add(entity, state, time);
    };
    for number in 0..6 {
        send_one(exporter, "burst", "", began + 3 * number);
    }
    send_one(exporter, "job", "start", began + 1);
    exporter.kill();
    exporter.start_again();
    send_one(exporter, "job", "stop", now());
    sent
}

/// Awaits the first good scrape: a sample that has left the page before it is nobody's loss.
fn await_scraping(name: &str, ask: impl Fn() -> Vec<Series>) {
    wait::until(&format!("{name} to scrape"), LIMIT, || ask().iter().any(|up| up.samples[0].1 > 0.0).then_some(()));
}

/// Awaits that a server has every sample, and then that nothing is left on the page that it could repeat.
fn await_stored(name: &str, exporter: &Exporter, expected: &Times, ask: impl Fn() -> Vec<Series>) -> Times {
    wait::until_ok(&format!("{name} to store all samples"), LIMIT, || expected.missing_from(&Times::stored(&ask())).map_or(Ok(()), Err));
    wait::until("all samples to leave the page", LIMIT, || {
        let page = exporter.page("metrics?window=7d&keep=4s");
        (!page.contains("last9_change_events{")).then_some(())
    });
    Times::stored(&ask())
}

#[test]
fn an_agent_passes_on_every_sample_once() {
    let Some(binary) = servers::require("prometheus") else { return };
    let mut exporter = Exporter::start(&["--exposure.hold=4s"]);
    let storing = Prometheus::start(&binary, "global: {}\n", &["--web.enable-remote-write-receiver"]);
    let remote = format!("{}/api/v1/write", storing.url);
    let config = scrape_config("examples/prometheus-agent.yml", &exporter, &[("http://127.0.0.1:9090/api/v1/write", remote.as_str())]);
    let agent = Prometheus::start(&binary, &config, &["--agent"]);
    await_scraping("the agent", || storing.instant(UP));
    let sent = send(&mut exporter);
    let stored = await_stored("the server behind the agent", &exporter, &sent, || storing.instant(SELECTOR));
    assert_eq!(stored, sent, "an agent passes on each sample once, at its millisecond");
    let refused = agent.own("prometheus_remote_storage_samples_failed_total");
    assert!(refused.abs() < f64::EPSILON, "the server behind the agent refused {refused} samples");
}

#[test]
fn victoria_metrics_stores_every_sample_once() {
    let binaries = (servers::require("victoria-metrics"), servers::require("vmagent"));
    let (Some(victoria_metrics), Some(vmagent)) = binaries else { return };
    let mut exporter = Exporter::start(&["--exposure.hold=4s"]);
    let config = scrape_config("examples/vmagent.yml", &exporter, &[]);
    let scraping = Victoria::start(&victoria_metrics, Some(&config), DEDUPLICATE);
    let storing = Victoria::start(&victoria_metrics, None, DEDUPLICATE);
    let _agent = Victoria::start_agent(&vmagent, &config, &format!("{}/api/v1/write", storing.url));

    await_scraping("VictoriaMetrics", || scraping.instant(UP));
    await_scraping("vmagent", || storing.instant(UP));
    let mut sent = send(&mut exporter);
    for (entity, age) in [("half-hour", HOUR / 2 + 7), ("three-days", 72 * HOUR + 5)] {
        let time = now() - age;
        exporter.put(&edge(entity, "start", time));
        sent.add(entity, "start", time);
    }

    for (name, server) in [("VictoriaMetrics", &scraping), ("the server behind vmagent", &storing)] {
        let stored = await_stored(name, &exporter, &sent, || server.instant(SELECTOR));
        assert_eq!(stored, sent, "{name} has each sample once, at its millisecond");
        let counted = server.instant("sum(count_over_time(last9_change_events[5d]))");
        let value = counted.first().map(|series| series.samples[0].1);
        let expected: Value = json!(sent.count());
        assert_eq!(value, expected.as_f64(), "{name} counts each sample once");
    }
}
