//! The heartbeat rule on real scrapes: the exporter holds each beat, scrapers come at their own moments, and the rule
//! must still see a beat at every step. All times are those of a scrape every minute, twenty times faster.
//! Both versions of Prometheus, and vmalert with `VictoriaMetrics`, scrape one exporter.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use change_events::rules::{self, Dialect, Notify, Pattern, Stuck};
use serde_json::json;

use crate::support::exporter::Exporter;
use crate::support::process::Process;
use crate::support::prometheus::Prometheus;
use crate::support::victoria::Victoria;
use crate::support::{examples, http, query, servers, wait};

/// A minute of the rule, and of its users.
const MINUTE: Duration = Duration::from_secs(3);
/// How long an alert that fires is watched for gaps, in such minutes.
const WATCHED: u32 = 20;
const LIMIT: Duration = Duration::from_mins(2);

/// Ends the beats also when the test fails, which would otherwise wait for them.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The rule for a limit of 10 min with its windows and steps made shorter.
fn rule(dialect: Dialect) -> String {
    let rule = Stuck {
        event_name: "job_lifecycle".into(),
        state: Some("queued".into()),
        entity: vec!["entity_id".into()],
        limit: Duration::from_mins(10),
        pattern: Pattern::Heartbeat,
        dialect,
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
fn fired_throughout(url: &str) -> bool {
    let window = MINUTE.as_secs() * u64::from(WATCHED);
    let expression = format!(r#"count_over_time(sum(last_over_time(ALERTS{{alertstate="firing"}}[4s]))[{window}s:3s])"#);
    query::instant(url, &expression, None).unwrap().iter().any(|series| series.samples[0].1 >= f64::from(WATCHED))
}

/// vmalert with a rule file, which writes its alerts into the server that it asks.
fn vmalert(binary: &Path, rules: &Path, victoria: &Victoria, log: &Path) -> Process {
    let address = format!("127.0.0.1:{}", servers::free_port());
    let mut command = Command::new(binary);
    command.arg(format!("-rule={}", rules.display())).args(["-evaluationInterval=1s", "-rule.evalDelay=0s", "-notifier.blackhole"]);
    command.args(["datasource", "remoteWrite"].map(|url| format!("-{url}.url={}", victoria.url)));
    command.arg("-remoteWrite.flushInterval=200ms").arg(format!("-httpListenAddr={address}"));
    let mut process = Process::spawn(command, log);
    process.ready(LIMIT, |_| http::is_ok(&format!("http://{address}/health")).then_some(()));
    process
}

#[test]
fn beats_once_a_minute_fire_and_keep_firing_until_the_stop() {
    let (Some(three), Some(two)) = (servers::require("prometheus"), servers::require("debian/prometheus")) else { return };
    let (Some(victoria), Some(alerter)) = (servers::require("victoria-metrics"), servers::require("vmalert")) else { return };
    let exporter = Exporter::start(&["--exposure.hold=6750ms"]);
    let directory = tempfile::tempdir().unwrap();
    let written = |name: &str, dialect| {
        let path = directory.path().join(name);
        std::fs::write(&path, rule(dialect)).unwrap();
        path
    };
    let promql = written("promql.yml", Dialect::Promql);
    let faster = [("127.0.0.1:10555", exporter.target()), ("interval: 1m", "interval: 3s")];
    let rules = [("../alerts/stuck-open.rules.yml", promql.to_str().unwrap())];
    let config = examples::with("examples/prometheus.yml", &[&faster[..], &rules].concat());
    // Without lookback a firing alert that had a gap would still be seen in it.
    let servers = [three, two].map(|binary| Prometheus::start(&binary, &config, &["--query.lookback-delta=4s"]));
    let config = examples::with("examples/vmagent.yml", &[&faster[..], &[("keep: [2m15s]", "keep: [6750ms]")]].concat());
    let arguments = ["-dedup.minScrapeInterval=1ms", "-search.latencyOffset=0s", "-search.disableCache"];
    let victoria = Victoria::start(&victoria, Some(&config), &arguments);
    let _vmalert = vmalert(&alerter, &written("metricsql.yml", Dialect::Metricsql), &victoria, &directory.path().join("vmalert.log"));
    let servers = [&servers[0].url, &servers[1].url, &victoria.url];

    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _at_the_end = Ends(&over);
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                beat(&exporter, "start");
                std::thread::sleep(MINUTE);
            }
        });
        for server in servers {
            wait::until("the alert to fire without a gap", LIMIT, || fired_throughout(server).then_some(()));
        }
    });
    beat(&exporter, "stop");
    let firing = r#"last_over_time(ALERTS{alertstate="firing"}[4s])"#;
    for server in servers {
        wait::until("the stop to resolve", LIMIT, || query::instant(server, firing, None).unwrap().is_empty().then_some(()));
    }
}
