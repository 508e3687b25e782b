//! Every query of every dashboard, as it stands when the dashboard is opened, has data in a Prometheus that the exporter
//! fills; so has every list of choices.

use std::time::Duration;

use serde_json::{Value, json};

use crate::dashboards::{self, Query};
use crate::stage::{MINUTE, SECOND, Stage, edge, now};
use crate::support::{http, query, wait};

const LIMIT: Duration = Duration::from_mins(2);
const STEP: u32 = 15;

/// Something of everything that a panel shows: deployments, one failed; an event without labels; one that is stuck.
fn events() -> Vec<Value> {
    let now = now();
    let deployment =
        |id: &str| json!({"service": "checkout", "env": "production", "team": "payments", "deployment_id": id, "version": "1.2"});
    let failed = json!({"service": "checkout", "env": "production", "team": "payments", "deployment_id": "1", "version": "1.2", "result": "failure"});
    let queued = json!({"entity_id": "job-1", "state": "queued", "service_name": "render", "team": "graphics", "env": "production"});
    vec![
        edge("deployment", "start", now - 20 * MINUTE, &deployment("1")),
        edge("deployment", "stop", now - 15 * MINUTE, &failed),
        edge("deployment", "start", now - 2 * MINUTE, &deployment("2")),
        edge("holiday", "", now - MINUTE, &json!({"note": "no labels"})),
        edge("job_lifecycle", "start", now - 300 * MINUTE, &queued),
    ]
}

/// What is missing of a query's answer.
fn lack(stage: &Stage, query: &Query, expression: &str) -> Option<String> {
    let end = now() / SECOND;
    let end = end - end % i64::from(STEP);
    let found = if query.instant {
        query::instant(&stage.prometheus.url, expression, None)
    } else {
        query::range(&stage.prometheus.url, expression, end - 3600, end, STEP)
    };
    let some = found.is_some_and(|found| found.iter().any(|series| series.samples.iter().any(|sample| !sample.1.is_nan())));
    (!some).then(|| format!("{}: {expression}", query.place))
}

#[test]
fn each_query_has_data() {
    check("prometheus");
}

#[test]
fn each_query_has_data_in_prometheus_of_debian() {
    check("debian/prometheus");
}

fn check(prometheus: &str) {
    let Some(stage) = Stage::with(prometheus) else { return };
    stage.exporter.put(&events().into());
    stage.exporter.send(&json!([{"event_name": 7}])).unwrap();
    let mut open: Vec<_> = Vec::new();
    for dashboard in dashboards::all() {
        let values = dashboard.defaults();
        open.extend(dashboard.queries().into_iter().map(|query| {
            let expression = dashboards::filled(&query.expression, &values, STEP);
            (query, expression)
        }));
    }
    assert!(open.len() > 60, "only {} queries", open.len());
    wait::until_ok("every query to have data", LIMIT, || {
        stage.service.instant("vector(1)");
        // How long an append takes is a rate: one that falls between two windows is in neither.
        stage.exporter.put(&json!([edge("holiday", "", now(), &json!({"note": "no labels"}))]));
        let mut lacking = Vec::new();
        open.retain(|(query, expression)| {
            lack(&stage, query, expression).is_some_and(|what| {
                lacking.push(what);
                true
            })
        });
        if lacking.is_empty() { Ok(()) } else { Err(lacking.join("\n")) }
    });
    each_list_of_choices_has_some(&stage);
}

fn each_list_of_choices_has_some(stage: &Stage) {
    for dashboard in dashboards::all() {
        let values = dashboard.defaults();
        for variable in dashboard.variables().iter().filter(|variable| variable["type"] == "query") {
            let text = dashboards::filled(variable["query"]["query"].as_str().unwrap(), &values, STEP);
            let inner = text.strip_prefix("label_values(").and_then(|text| text.strip_suffix(')')).unwrap();
            let (metric, label) = inner.rsplit_once(", ").unwrap();
            let url = format!("{}/api/v1/label/{label}/values", stage.prometheus.url);
            let answer = http::get_with(&url, &[("match[]", metric)]).unwrap().json();
            assert!(answer["data"].as_array().is_some_and(|found| !found.is_empty()), "{}: {text}: {answer}", dashboard.name);
        }
    }
}
