//! The files as their users run them: the exporter's binary, scraped by VictoriaMetrics with the example
//! configuration, the rules in vmalert with their own limits, notifications by Alertmanager. The events are dated back.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use change_events::time::{Clock as _, SystemClock};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::folder;
use crate::support::alertmanager::Alertmanager;
use crate::support::exporter::Exporter;
use crate::support::process::Process;
use crate::support::victoria::Victoria;
use crate::support::webhook::Webhook;
use crate::support::{examples, http, servers, wait};

const LIMIT: Duration = Duration::from_mins(2);
const HOUR: u64 = 3600;
const OPEN: &str = "change-events-stuck-open";
const DURATION: &str = "change-events-stuck-duration";
const UNLESS: &str = "change-events-stuck-duration-unless";
const DEPLOYMENTS: &str = "change-events-deployments";

#[test]
fn stuck_jobs_page_and_resolve_with_victoriametrics() {
    // By default both look 30 s into the past, for samples that are on their way.
    pages_and_resolves("", &[], &["-rule.evalDelay=0s"]);
}

#[test]
fn stuck_jobs_page_and_resolve_with_victoriametrics_of_debian() {
    // It gives staleness markers the time of the sample, and may then take the marker for the sample.
    pages_and_resolves("debian/", &["-promscrape.noStaleMarkers"], &[]);
}

struct Chain {
    exporter: Exporter,
    victoria: Victoria,
    webhook: Webhook,
    vmalert_url: String,
    _vmalert: Process,
    _alertmanager: Alertmanager,
    _directory: TempDir,
}

impl Chain {
    /// `None` when a server is missing.
    fn start(folder_of_servers: &str, victoria_arguments: &[&str], vmalert_arguments: &[&str]) -> Option<Self> {
        let server = |name: &str| servers::require(&format!("{folder_of_servers}{name}"));
        let (victoria, vmalert, alertmanager) = (server("victoria-metrics")?, server("vmalert")?, servers::require("alertmanager")?);
        let exporter = Exporter::start(&["--exposure.hold=2s"]);
        let webhook = Webhook::start();
        let changes = [
            ("http://127.0.0.1:8080/", webhook.url.as_str()),
            ("group_wait: 10s", "group_wait: 1s"),
            ("group_interval: 1m", "group_interval: 1s"),
        ];
        let alertmanager = Alertmanager::start(&alertmanager, &examples::with("alerts/alertmanager-per-entity.yml", &changes));
        let scrape = examples::with("examples/vmagent.yml", &[("127.0.0.1:10555", exporter.target()), ("interval: 1m", "interval: 1s")]);
        let arguments = [&["-dedup.minScrapeInterval=1ms", "-search.latencyOffset=1s"], victoria_arguments].concat();
        let victoria = Victoria::start(&victoria, Some(&scrape), &arguments);
        let directory = tempfile::tempdir().unwrap();
        let address = format!("127.0.0.1:{}", servers::free_port());
        let mut command = Command::new(vmalert);
        for rules in ["stuck-open", "stuck-grouped", "stuck-duration", "stuck-duration-unless", "deployments", "exporter"] {
            command.arg(format!("-rule={}", folder().join(format!("{rules}.metricsql.yml")).display()));
        }
        for url in ["datasource", "remoteWrite", "remoteRead"] {
            command.arg(format!("-{url}.url={}", victoria.url));
        }
        command.arg(format!("-notifier.url={}", alertmanager.url));
        command.args(["-evaluationInterval=1s", &format!("-httpListenAddr={address}")]).args(vmalert_arguments);
        let mut vmalert = Process::spawn(command, &directory.path().join("log"));
        let vmalert_url = format!("http://{address}");
        vmalert.ready(LIMIT, |_| http::is_ok(&format!("{vmalert_url}/health")).then_some(()));
        Some(Self { exporter, victoria, webhook, vmalert_url, _vmalert: vmalert, _alertmanager: alertmanager, _directory: directory })
    }

    /// The entities whose alert of this group burns.
    fn burning(&self, group: &str) -> BTreeSet<String> {
        self.labels_of_burning(group, "entity_id")
    }

    /// The values of a label of the alerts of this group that burn.
    fn labels_of_burning(&self, group: &str, label: &str) -> BTreeSet<String> {
        let alerts = self.alerts();
        let burning = alerts.iter().filter(|alert| alert["state"] == "firing" && alert["labels"]["alertgroup"] == group);
        // The grouped alert is of the same group, and about no entity.
        burning.filter_map(|alert| alert["labels"][label].as_str().map(str::to_owned)).collect()
    }

    fn alerts(&self) -> Vec<Value> {
        let answer = http::get(&format!("{}/api/v1/alerts", self.vmalert_url)).unwrap().json();
        answer.pointer("/data/alerts").and_then(Value::as_array).cloned().unwrap_or_default()
    }

    /// Awaits that one alert for all entities says how many there are, and names one of these as the oldest.
    fn await_grouped(&self, count: usize, oldest: &[&str]) {
        let summary = format!("{count} of job_lifecycle are stuck in queued");
        wait::until_ok(&summary, LIMIT, || {
            let alerts = self.alerts();
            let grouped: Vec<_> = alerts.iter().filter(|alert| alert["labels"]["entity_id"].is_null()).collect();
            let burning = |alert: &Value| {
                let description = alert["annotations"]["description"].as_str().unwrap_or_default();
                let named = |entity: &&str| description.starts_with(&format!("The oldest: {entity}, since "));
                alert["state"] == "firing" && alert["annotations"]["summary"] == summary.as_str() && oldest.iter().any(named)
            };
            let about_jobs: Vec<_> = grouped.iter().filter(|alert| alert["labels"]["state"] == "queued").collect();
            if about_jobs.len() == 1 && burning(about_jobs[0]) { Ok(()) } else { Err(format!("{about_jobs:?}")) }
        });
    }

    fn await_burning(&self, group: &str, entities: &[&str]) {
        let expected: BTreeSet<String> = entities.iter().map(|&entity| entity.to_owned()).collect();
        wait::until_ok(&format!("{entities:?} to burn in {group}"), LIMIT, || {
            let burning = self.burning(group);
            if burning == expected { Ok(()) } else { Err(format!("{burning:?}")) }
        });
    }

    /// Awaits that the last deployments of these services, and no others, are known to have failed.
    fn await_failed(&self, services: &[&str]) {
        let expected: BTreeSet<String> = services.iter().map(|&service| service.to_owned()).collect();
        wait::until_ok(&format!("{services:?} to have failed"), LIMIT, || {
            let failed = self.labels_of_burning(DEPLOYMENTS, "service_name");
            if failed == expected { Ok(()) } else { Err(format!("{failed:?}")) }
        });
    }

    /// How often somebody was told that this entity's alert by the open-state gauge is `status`.
    fn told(&self, entity: &str, status: &str) -> usize {
        let notified = self.webhook.notified();
        let about = |alert: &&crate::support::webhook::Notified| alert.label("entity_id") == entity && alert.label("alertgroup") == OPEN;
        notified.iter().filter(about).filter(|alert| alert.status == status).count()
    }

    fn await_told(&self, entity: &str, status: &str) {
        wait::until(&format!("{entity} to be told {status}"), LIMIT, || (self.told(entity, status) == 1).then_some(()));
    }

    fn await_up(&self, value: f64) {
        wait::until(&format!("up to be {value}"), LIMIT, || {
            let up = self.victoria.instant(r#"up{job="change-events"}"#);
            up.iter().any(|series| series.samples.iter().any(|sample| (sample.1 - value).abs() < 0.5)).then_some(())
        });
    }

    /// The same burn for the next evaluations.
    fn keeps_burning(&self, entities: &[&str]) {
        let evaluations = || {
            let page = http::get(&format!("{}/metrics", self.vmalert_url)).unwrap().text;
            http::metric(&page, "vmalert_iteration_total").unwrap()
        };
        let goal = evaluations() + 3.0 * 8.0;
        wait::until("evaluations", LIMIT, || {
            for group in [OPEN, DURATION] {
                assert_eq!(self.burning(group), entities.iter().map(|&entity| entity.to_owned()).collect(), "{group}");
            }
            (evaluations() >= goal).then_some(())
        });
    }
}

/// One edge of a job in the state `queued`, so many seconds ago.
fn edge(entity: &str, state: &str, seconds_ago: u64) -> Value {
    let at = SystemClock.now().minus(Duration::from_secs(seconds_ago));
    json!({
        "event_name": "job_lifecycle", "event_state": state, "timestamp": at.to_string(),
        "attributes": {"entity_id": entity, "state": "queued", "commit": "abc"},
    })
}

/// The end of a deployment so many seconds ago.
fn deployed(service: &str, result: &str, seconds_ago: u64) -> Value {
    let at = SystemClock.now().minus(Duration::from_secs(seconds_ago));
    json!({
        "event_name": "deployment", "event_state": "stop", "timestamp": at.to_string(),
        "attributes": {"service_name": service, "deployment_environment": "production", "version": at.millis(), "result": result},
    })
}

fn pages_and_resolves(folder_of_servers: &str, victoria_arguments: &[&str], vmalert_arguments: &[&str]) {
    let Some(mut chain) = Chain::start(folder_of_servers, victoria_arguments, vmalert_arguments) else { return };
    let in_time = 20;
    chain.exporter.put(&json!([
        edge("soon", "start", 4 * HOUR - in_time),
        edge("long", "start", 5 * HOUR),
        edge("again", "start", 10 * HOUR),
        edge("again", "stop", 9 * HOUR),
        edge("again", "start", 5 * HOUR),
        edge("ended", "start", 6 * HOUR),
        edge("ended", "stop", 5 * HOUR),
        edge("young", "start", HOUR),
    ]));
    let began = SystemClock.now();

    chain.await_burning(OPEN, &["again", "long"]);
    assert!(SystemClock.now().since(began) < Duration::from_secs(in_time), "too slow to see that `soon` does not burn yet");
    chain.await_burning(OPEN, &["again", "long", "soon"]);
    assert!(SystemClock.now().since(began) > Duration::from_secs(in_time - 3), "`soon` burned before its limit");
    chain.await_grouped(3, &["again", "long"]);
    chain.await_burning(DURATION, &["again", "long", "soon"]);
    // As documented: the stop of 9 h ago hides the start of 5 h ago.
    chain.await_burning(UNLESS, &["long", "soon"]);
    for entity in ["again", "long", "soon"] {
        chain.await_told(entity, "firing");
    }

    chain.exporter.put(&json!([deployed("api", "failure", 60), deployed("web", "success", 50), deployed("job", "failure", 40)]));
    chain.await_failed(&["api", "job"]);

    // The exporter goes away and comes back: nothing ends, and nobody is told anything.
    chain.exporter.kill();
    chain.await_up(0.0);
    chain.keeps_burning(&["again", "long", "soon"]);
    chain.exporter.start_again();
    chain.await_up(1.0);
    chain.keeps_burning(&["again", "long", "soon"]);

    chain.await_failed(&["api", "job"]);
    chain.exporter.put(&json!([edge("long", "stop", 0), deployed("api", "success", 0)]));
    chain.await_told("long", "resolved");
    chain.await_grouped(2, &["again"]);
    chain.await_burning(DURATION, &["again", "soon"]);
    chain.await_burning(UNLESS, &["soon"]);
    chain.keeps_burning(&["again", "soon"]);
    for entity in ["again", "soon"] {
        assert_eq!((chain.told(entity, "firing"), chain.told(entity, "resolved")), (1, 0), "{entity}");
    }
    chain.await_failed(&["job"]);
    for entity in ["ended", "young"] {
        assert_eq!(chain.told(entity, "firing"), 0, "{entity}");
    }
}
