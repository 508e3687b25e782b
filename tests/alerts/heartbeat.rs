//! The heartbeat rule on real scrapes: the exporter holds each beat, scrapers come at their own moments, and the rule
//! must still see a beat at every step. All times are those of a scrape every minute, twenty times faster.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use change_events::rules::{self, Dialect, Notify, Pattern, Stuck};
use serde_json::json;

use crate::support::exporter::Exporter;
use crate::support::prometheus::Prometheus;
use crate::support::{examples, servers, wait};

/// A minute of the rule, and of its users.
const MINUTE: Duration = Duration::from_secs(3);
/// How long an alert that fires is watched for gaps, in such minutes.
const WATCHED: u32 = 20;
const LIMIT: Duration = Duration::from_mins(2);

/// The rule for a limit of 10 min with its windows and steps made shorter.
fn rule() -> String {
    let rule = Stuck {
        event_name: "job_lifecycle".into(),
        state: Some("queued".into()),
        entity: vec!["entity_id".into()],
        limit: Duration::from_mins(10),
        pattern: Pattern::Heartbeat,
        dialect: Dialect::Promql,
        notify: Notify::Each,
    };
    let mut text = rules::stuck(&rule).unwrap();
    for (from, to) in [("[5m]", "[15s]"), ("[10m:1m]", "[30s:3s]")] {
        assert!(text.contains(from), "{text}");
        text = text.replace(from, to);
    }
    text
}

fn beat(exporter: &Exporter, state: &str) {
    exporter.put(&json!({
        "event_name": "job_lifecycle", "event_state": state,
        "attributes": {"entity_id": "a", "state": "queued"},
    }));
}

/// Whether the alert fired at every step of the last minutes, by the server's own record.
fn fired_throughout(prometheus: &Prometheus) -> bool {
    let window = MINUTE.as_secs() * u64::from(WATCHED);
    let steps = prometheus.value(&format!(r#"count_over_time(sum(ALERTS{{alertstate="firing"}})[{window}s:3s])"#));
    steps.is_some_and(|steps| steps >= f64::from(WATCHED))
}

#[test]
fn beats_once_a_minute_fire_and_keep_firing_until_the_stop() {
    let (Some(three), Some(two)) = (servers::require("prometheus"), servers::require("debian/prometheus")) else { return };
    let exporter = Exporter::start(&["--exposure.hold=6750ms"]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rules.yml");
    std::fs::write(&path, rule()).unwrap();
    let config = examples::with(
        "examples/prometheus.yml",
        &[
            ("../alerts/stuck-open.rules.yml", path.to_str().unwrap()),
            ("127.0.0.1:10555", exporter.target()),
            ("interval: 1m", "interval: 3s"),
        ],
    );
    // Without lookback a firing alert that had a gap would still be seen in it.
    let servers = [three, two].map(|binary| Prometheus::start(&binary, &config, &["--query.lookback-delta=4s"]));

    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                beat(&exporter, "start");
                std::thread::sleep(MINUTE);
            }
        });
        for server in &servers {
            wait::until("the alert to fire without a gap", LIMIT, || fired_throughout(server).then_some(()));
        }
        over.store(true, Ordering::Relaxed);
    });
    beat(&exporter, "stop");
    for server in &servers {
        wait::until("the stop to resolve", LIMIT, || server.instant(r#"ALERTS{alertstate="firing"}"#).is_empty().then_some(()));
    }
}
