//! The Alertmanager configurations: what a team is told, and when it is told that it is over.

use std::time::Duration;

use change_events::time::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::support::alertmanager::Alertmanager;
use crate::support::webhook::Webhook;
use crate::support::{servers, wait};

const LIMIT: Duration = Duration::from_secs(30);

/// An Alertmanager with one of the shipped configurations; only addresses and times are changed.
struct Team {
    alertmanager: Alertmanager,
    webhook: Webhook,
}

/// A notification: its own status, and the alerts in it by entity and status.
type Told = (String, Vec<(String, String)>);

impl Team {
    fn start(configuration: &str) -> Option<Self> {
        let binary = servers::require("alertmanager")?;
        let webhook = Webhook::start();
        let mut text = std::fs::read_to_string(crate::folder().join(configuration)).unwrap();
        for (from, to) in [
            ("http://127.0.0.1:8080/", webhook.url.as_str()),
            ("group_wait: ", "group_wait: 1s # "),
            ("group_interval: ", "group_interval: 1s # "),
        ] {
            assert!(text.contains(from), "{configuration} has no {from}");
            text = text.replace(from, to);
        }
        Some(Self { alertmanager: Alertmanager::start(&binary, &text), webhook })
    }

    /// What Prometheus sends for alerts of `stuck-open.rules.yml`: all that burn, and those that ended just now.
    fn report(&self, burning: &[&str], ended: &[&str]) {
        let now = SystemClock.now().to_string();
        let alert = |entity: &str, times: Value| {
            let labels = json!({
                "alertname": "ChangeEventStuck", "severity": "warning",
                "event_name": "job_lifecycle", "state": "queued", "entity_id": entity,
            });
            let mut alert = json!({"labels": labels, "annotations": {"description": "Open"}});
            alert.as_object_mut().unwrap().extend(times.as_object().unwrap().clone());
            alert
        };
        let mut alerts: Vec<Value> = burning.iter().map(|entity| alert(entity, json!({}))).collect();
        alerts.extend(ended.iter().map(|entity| alert(entity, json!({"endsAt": now}))));
        ureq::post(format!("{}/api/v2/alerts", self.alertmanager.url)).send_json(alerts).unwrap();
    }

    fn told(&self) -> Vec<Told> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let told = |body: &Value| {
            let alerts = body["alerts"].as_array().unwrap();
            let mut alerts: Vec<_> = alerts.iter().map(|alert| (text(&alert["labels"]["entity_id"]), text(&alert["status"]))).collect();
            alerts.sort();
            (text(&body["status"]), alerts)
        };
        self.webhook.bodies().iter().map(told).collect()
    }

    /// Waits until these notifications have come and no other; whatever comes besides fails the next call.
    fn await_told(&self, expected: &[Told]) {
        let sorted = |mut told: Vec<Told>| {
            told.sort();
            told
        };
        wait::until_ok(&format!("{expected:?}"), LIMIT, || {
            let told = self.told();
            if sorted(told.clone()) == sorted(expected.to_vec()) { Ok(()) } else { Err(format!("{told:?}")) }
        });
    }
}

fn told(status: &str, alerts: &[(&str, &str)]) -> Told {
    (status.to_owned(), alerts.iter().map(|(entity, status)| ((*entity).to_owned(), (*status).to_owned())).collect())
}

#[test]
fn per_entity_the_resolution_of_one_job_arrives_while_the_other_burns() {
    let Some(team) = Team::start("alertmanager-per-entity.yml") else { return };
    let mut expected = vec![told("firing", &[("a", "firing")]), told("firing", &[("b", "firing")])];
    team.report(&["a", "b"], &[]);
    team.await_told(&expected);
    team.report(&["a"], &["b"]);
    expected.push(told("resolved", &[("b", "resolved")]));
    team.await_told(&expected);
    team.report(&[], &["a"]);
    expected.push(told("resolved", &[("a", "resolved")]));
    team.await_told(&expected);
}

#[test]
fn grouped_the_notification_is_resolved_only_when_all_jobs_are() {
    let Some(team) = Team::start("alertmanager-grouped.yml") else { return };
    let mut expected = vec![told("firing", &[("a", "firing"), ("b", "firing")])];
    team.report(&["a", "b"], &[]);
    team.await_told(&expected);
    team.report(&["a"], &["b"]);
    expected.push(told("firing", &[("a", "firing"), ("b", "resolved")]));
    team.await_told(&expected);
    team.report(&[], &["a"]);
    expected.push(told("resolved", &[("a", "resolved")]));
    team.await_told(&expected);
}
