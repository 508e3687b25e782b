//! What Prometheus has of an event that is created, changed, closed and deleted over the API of `ApiTraffic`, the exporter
//! being killed in between: `docs/apitraffic.md` says it, this is seen.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::exporter::Exporter;
use crate::support::prometheus::Prometheus;
use crate::support::query::Series;
use crate::support::{examples, servers, wait};

const LIMIT: Duration = Duration::from_mins(1);
const GAUGE: &str = "last9_change_events_open_timestamp_seconds";

struct Client {
    url: String,
    agent: ureq::Agent,
}

impl Client {
    fn of(exporter: &Exporter) -> Self {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
        Self { url: format!("{}/v1/accounts/acme/events", exporter.url), agent }
    }

    /// The answer's status, version and body; `If-Match` when there is a version.
    fn ask(&self, method: &str, sid: &str, version: Option<&str>, body: &Value) -> (u16, String, Value) {
        let slash = if sid.is_empty() { "" } else { "/" };
        let request = ureq::http::Request::builder().method(method).uri(format!("{}{slash}{sid}", self.url));
        let request = version.into_iter().fold(request, |request, version| request.header("If-Match", version));
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut response = self.agent.run(request.body(body).unwrap()).unwrap();
        let version = response.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned()).unwrap_or_default();
        let text = response.body_mut().read_to_string().unwrap();
        (response.status().as_u16(), version, serde_json::from_str(&text).unwrap_or_default())
    }

    fn change(&self, sid: &str, body: &Value) -> Value {
        let (status, _, record) = self.ask("PATCH", sid, None, body);
        assert_eq!(status, 200, "{record}");
        record
    }
}

/// Every sample that a server has of the events, as name, state and milliseconds, in order.
fn stored(server: &Prometheus) -> Vec<(String, String, i64)> {
    let series = server.instant("last9_change_events[1h]");
    let samples = |one: &Series| {
        let (name, state) = (one.label("name").to_owned(), one.label("event_state").to_owned());
        one.times().into_iter().map(move |time| (name.clone(), state.clone(), time)).collect::<Vec<_>>()
    };
    let mut stored: Vec<_> = series.iter().flat_map(samples).collect();
    stored.sort();
    stored
}

/// The names in the gauge, as far as it is not stale.
fn open(server: &Prometheus) -> Vec<String> {
    server.instant(GAUGE).iter().map(|one| one.label("name").to_owned()).collect()
}

fn millis(record: &Value, field: &str) -> i64 {
    chrono::DateTime::parse_from_rfc3339(record[field].as_str().unwrap()).unwrap().timestamp_millis()
}

#[test]
fn prometheus_keeps_what_it_stored_of_an_event_that_changes() {
    let Some(binary) = servers::require("prometheus") else { return };
    let mut exporter = Exporter::start(&["--exposure.hold=4s"]);
    let rules = examples::path("alerts");
    let replacements = [("127.0.0.1:10555", exporter.target()), ("interval: 1m", "interval: 1s"), ("../alerts", rules.to_str().unwrap())];
    let server = Prometheus::start(&binary, &examples::with("examples/prometheus.yml", &replacements), &[]);
    let client = Client::of(&exporter);
    let sees = |expected: &[(&str, &str, i64)], gauge: &[&str]| {
        let expected: Vec<_> = expected.iter().map(|(name, state, at)| ((*name).to_owned(), (*state).to_owned(), *at)).collect();
        wait::until(&format!("{expected:?} and {gauge:?}"), LIMIT, || {
            (stored(&server) == expected && open(&server) == gauge).then_some(())
        });
    };

    let (status, version, record) = client.ask("POST", "", None, &json!({"type": "incident", "name": "a"}));
    assert_eq!(status, 201, "{record}");
    let (sid, start) = (record["sid"].as_str().unwrap(), millis(&record, "startedAt"));
    sees(&[("a", "start", start)], &["a"]);

    client.change(sid, &json!({"name": "b", "metadata": {"ticket": 1}}));
    sees(&[("a", "start", start), ("b", "start", start)], &["b"]);

    exporter.kill();
    exporter.start_again();
    assert_eq!(client.ask("PATCH", sid, Some(&version), &json!({"name": "c"})).0, 412, "a version is one over a kill");
    let (_, version, before) = client.ask("GET", sid, None, &Value::Null);
    assert_eq!((&before["name"], &before["metadata"]), (&json!("b"), &json!({"ticket": 1})));
    sees(&[("a", "start", start), ("b", "start", start)], &["b"]);

    let now = chrono::DateTime::from_timestamp_millis(crate::events::now()).unwrap().to_rfc3339();
    let (status, _, closed) = client.ask("PUT", sid, Some(&version), &json!({ "endedAt": now }));
    assert_eq!((status, &closed["open"]), (200, &json!(false)), "{closed}");
    let all = [("a", "start", start), ("b", "start", start), ("b", "stop", millis(&closed, "endedAt"))];
    sees(&all, &[]);

    client.change(sid, &json!({"description": "nothing that has a label"}));
    assert_eq!(client.ask("DELETE", sid, None, &Value::Null).0, 204);
    exporter.kill();
    exporter.start_again();
    assert_eq!(client.ask("GET", sid, None, &Value::Null).0, 404, "deleted over a kill");
    assert!(!exporter.page("metrics").contains("last9_change_events{"), "no page shows it");
    sees(&all, &[]);
    assert!(server.complaints().iter().all(|line| !line.contains("rror on ingesting")), "{:?}", server.complaints());
}
