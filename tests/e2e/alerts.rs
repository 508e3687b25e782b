//! A job that is stuck pages somebody, once, and the page ends when the job does.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::events::{edge, now};
use crate::support::alertmanager::Alertmanager;
use crate::support::exporter::{Exporter, binary};
use crate::support::prometheus::Prometheus;
use crate::support::webhook::Webhook;
use crate::support::{examples, servers, wait};

const LIMIT: Duration = Duration::from_mins(1);

#[test]
fn a_stuck_job_pages_and_resolves_with_prometheus_3() {
    pages_and_resolves("prometheus");
}

#[test]
fn a_stuck_job_pages_and_resolves_with_prometheus_2() {
    pages_and_resolves("debian/prometheus");
}

/// Everything between a sender and the person who is paged.
struct Chain {
    exporter: Exporter,
    prometheus: Prometheus,
    webhook: Webhook,
    _alertmanager: Alertmanager,
    _rules: tempfile::TempDir,
}

impl Chain {
    /// `None` when a server is missing.
    fn start(prometheus: &str) -> Option<Self> {
        let (prometheus, alertmanager) = (servers::require(prometheus)?, servers::require("alertmanager")?);
        let exporter = Exporter::start(&["--exposure.hold=4s"]);
        let webhook = Webhook::start();
        let alertmanager = Alertmanager::start(
            &alertmanager,
            &examples::with(
                "examples/alertmanager.yml",
                &[
                    ("http://127.0.0.1:5001/", &webhook.url),
                    ("group_wait: 10s", "group_wait: 1s"),
                    ("group_interval: 1m", "group_interval: 1s"),
                ],
            ),
        );
        let rules = tempfile::tempdir().unwrap();
        std::fs::write(rules.path().join("stuck-open.rules.yml"), examples::with("alerts/stuck-open.rules.yml", &[("> 14400", "> 5")]))
            .unwrap();
        std::fs::write(rules.path().join("running.rules.yml"), rules_for_running()).unwrap();
        let config = examples::with(
            "examples/prometheus.yml",
            &[
                ("../alerts/stuck-open.rules.yml", rules.path().join("*.rules.yml").to_str().unwrap()),
                ("../alerts", examples::path("alerts").to_str().unwrap()),
                ("127.0.0.1:9093", alertmanager.url.trim_start_matches("http://")),
                ("127.0.0.1:10555", exporter.target()),
                ("interval: 1m", "interval: 1s"),
            ],
        );
        let prometheus = Prometheus::start(&prometheus, &config, &[]);
        Some(Self { exporter, prometheus, webhook, _alertmanager: alertmanager, _rules: rules })
    }

    /// How often somebody was told that this entity's alert is `status`.
    fn told(&self, entity: &str, status: &str) -> usize {
        let notified = self.webhook.notified();
        notified.iter().filter(|alert| alert.label("entity_id") == entity && alert.status == status).count()
    }

    fn await_told(&self, entity: &str, status: &str, times: usize) {
        let what = format!("notification {times} that {entity} is {status}");
        wait::until_ok(&what, LIMIT, || {
            let told = self.told(entity, status);
            if told == times { Ok(()) } else { Err(format!("{told} of {:?}", self.webhook.notified())) }
        });
    }

    fn up(&self) -> Option<f64> {
        self.prometheus.value(r#"up{job="change-events"}"#)
    }

    /// Waits until every rule was evaluated this many times more.
    fn await_evaluations(&self, count: f64) {
        let name = "prometheus_rule_group_iterations_total";
        let goal = self.prometheus.own(name) + count;
        wait::until("more rule evaluations", LIMIT, || (self.prometheus.own(name) >= goal).then_some(()));
    }
}

/// Rules for a state with a limit of less than the hour in which stops are looked for: `running`, 5 s here.
fn rules_for_running() -> String {
    let asked = ["rules", "stuck", "--event-name=job_lifecycle", "--state=running", "--pattern=open", "--for=1m"];
    let entity = "--entity=entity_id,deployment_environment";
    let output = Command::new(binary()).args(asked).arg(entity).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("> 60"), "{text}");
    text.replace("> 60", "> 5")
}

fn running(entity: &str, state: &str, time: i64) -> Value {
    let mut event = edge(entity, state, time);
    event["attributes"]["state"] = "running".into();
    event
}

fn pages_and_resolves(prometheus: &str) {
    let Some(mut chain) = Chain::start(prometheus) else { return };
    let began = now();
    chain.exporter.put(&json!([
        edge("stuck-1", "start", began),
        edge("stuck-2", "start", began),
        edge("quick", "start", began),
        edge("quick", "stop", began + 1),
    ]));

    chain.await_told("stuck-1", "firing", 1);
    chain.await_told("stuck-2", "firing", 1);
    assert!(now() - began > 5_000, "the alert fired before its threshold");

    // The exporter goes away: the jobs are still stuck, and nobody is told otherwise.
    chain.exporter.kill();
    wait::until("the scrape to fail", LIMIT, || (chain.up() == Some(0.0)).then_some(()));
    chain.await_evaluations(5.0);
    assert_eq!(chain.told("stuck-1", "resolved"), 0, "an exporter that is away must not resolve an alert");
    let firing = chain.prometheus.instant(r#"ALERTS{alertname="ChangeEventStuck",alertstate="firing"}"#);
    assert_eq!(firing.len(), 2, "both alerts fire on while the exporter is away: {firing:?}");
    chain.exporter.start_again();
    wait::until("the scrape to work again", LIMIT, || (chain.up() == Some(1.0)).then_some(()));
    chain.await_evaluations(5.0);
    assert_eq!(chain.told("stuck-1", "resolved"), 0, "an exporter that comes back must not resolve an alert");

    chain.exporter.put(&edge("stuck-1", "stop", now()));
    chain.await_told("stuck-1", "resolved", 1);

    // A job that gets stuck once more pages once more: the earlier stop does not hide it.
    for stay in 1..=2 {
        let began = now();
        chain.exporter.put(&running("twice", "start", began));
        chain.await_told("twice", "firing", stay);
        assert!(now() - began > 5_000, "stay {stay} counts anew");
        chain.exporter.put(&running("twice", "stop", now()));
        chain.await_told("twice", "resolved", stay);
    }
    chain.exporter.put(&edge("stuck-2", "stop", now()));
    chain.await_told("stuck-2", "resolved", 1);

    assert_eq!(chain.told("stuck-2", "firing"), 1, "one stay pages once, whatever the other job or the exporter does");
    assert_eq!(chain.told("quick", "firing"), 0, "a job that ended in time pages nobody");
    let status = chain.exporter.terminate();
    assert_eq!(status.code(), Some(0), "SIGTERM ends the exporter in order: {}", chain.exporter.log());
}
