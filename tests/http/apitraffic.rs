//! The front door of `ApiTraffic`: each request of its documentation, and what is answered.

use std::time::Duration;

use axum::body::Body;
use axum::http::Method;
use serde_json::Value;
use serde_json::json;

use crate::support::Answer;
use crate::support::EVENTS;
use crate::support::NOW;
use crate::support::Server;
use crate::support::request;

pub(crate) const PATH: &str = "/v1/accounts/acme/events";

impl Server {
    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        self.call(request(Method::from_bytes(method.as_bytes()).unwrap(), path, headers, body)).await
    }

    pub(crate) async fn create(&self, body: &Value) -> Value {
        let answer = self.ask("POST", PATH, &[], body).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()
    }

    pub(crate) async fn change(&self, method: &str, sid: &str, body: &Value) -> Value {
        let answer = self.ask(method, &format!("{PATH}/{sid}"), &[], body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    pub(crate) async fn record(&self, sid: &str) -> Value {
        let answer = self.get(&format!("{PATH}/{sid}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    pub(crate) async fn found(&self, query: &str) -> Value {
        let answer = self.get(&format!("{PATH}{query}")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        answer.json()
    }

    /// The lines of the page that say something of events, once what was sent is on it.
    async fn samples(&self) -> Vec<String> {
        self.clock.advance(Duration::from_secs(30));
        let page = self.get("/metrics").await.text();
        let mut samples: Vec<String> =
            page.lines().filter(|line| line.starts_with("last9_change_events{")).map(ToOwned::to_owned).collect();
        samples.sort();
        samples
    }
}

pub(crate) fn sid(record: &Value) -> &str {
    record["sid"].as_str().unwrap_or_else(|| panic!("{record}"))
}

#[track_caller]
pub(crate) fn check_error(answer: &Answer, status: u16, code: &str, field: Option<&str>) -> String {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/json");
    let body = answer.json();
    let message = body["error"]["message"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned();
    let details = field.map_or_else(|| json!({}), |field| json!({ "field": field }));
    assert_eq!(body, json!({"success": false, "error": {"code": code, "message": message, "details": details}}));
    assert!(!message.is_empty());
    message
}

#[tokio::test]
async fn an_event_is_created_with_everything_it_has() {
    let server = Server::new("");
    let body = json!({
        "type": "deployment", "name": "v2.4.1", "description": "Payments", "source": "github_actions",
        "buckets": ["bkt_b", "bkt_a"], "environments": ["prod"], "startedAt": "2026-02-20T09:50:00Z",
        "endedAt": "2026-02-20T09:52:30.5Z", "metadata": {"commitSha": "abc", "prUrl": "https://x/1", "n": 1.50},
    });
    let answer = server.ask("POST", PATH, &[("content-type", "application/json")], &body).await;
    assert_eq!((answer.status, answer.header("content-type")), (201, "application/json"), "{}", answer.text());
    let record = answer.json();
    assert_eq!(answer.header("location"), format!("{PATH}/{}", sid(&record)));
    assert!(sid(&record).starts_with("evt_") && sid(&record).len() == 31, "{record}");
    let mut expected = body.clone();
    for (key, value) in [
        ("sid", record["sid"].clone()),
        ("accountSid", json!("acme")),
        ("startedAt", json!("2026-02-20T09:50:00.000Z")),
        ("endedAt", json!("2026-02-20T09:52:30.500Z")),
        ("open", json!(false)),
        ("durationMs", json!(150_500)),
        ("createdAt", json!(NOW.to_string())),
        ("updatedAt", json!(NOW.to_string())),
    ] {
        expected[key] = value;
    }
    assert_eq!(record, expected);
    let one = server.get(&format!("{PATH}/{}", sid(&record))).await;
    assert_eq!((one.json(), one.header("etag")), (record.clone(), answer.header("etag")));
    assert_eq!(server.found("").await, json!({"hasMore": false, "records": [record]}));
    assert_eq!(
        server.samples().await,
        [
            "last9_change_events{bucket=\"bkt_a,bkt_b\",deployment_environment=\"prod\",event_name=\"deployment\",event_state=\"start\",name=\"v2.4.1\",service_name=\"bkt_a,bkt_b\",source=\"github_actions\"} 1 1771581000000",
            "last9_change_events{bucket=\"bkt_a,bkt_b\",deployment_environment=\"prod\",event_name=\"deployment\",event_state=\"stop\",name=\"v2.4.1\",service_name=\"bkt_a,bkt_b\",source=\"github_actions\"} 1 1771581150500",
        ]
    );
}

#[tokio::test]
async fn each_type_has_its_defaults() {
    let server = Server::new("");
    for kind in ["deployment", "incident", "config_change", "scale", "custom"] {
        let record = server.create(&json!({"type": kind, "name": "n"})).await;
        let expected = json!({
            "sid": record["sid"], "accountSid": "acme", "type": kind, "name": "n", "description": null, "source": null, "buckets": ["*"],
            "environments": ["*"], "metadata": null, "startedAt": NOW.to_string(), "endedAt": null, "open": kind == "incident",
            "durationMs": null, "createdAt": NOW.to_string(), "updatedAt": NOW.to_string(),
        });
        assert_eq!(record, expected);
    }
    let samples = server.samples().await;
    assert_eq!(samples.len(), 5);
    assert_eq!(samples[0], "last9_change_events{event_name=\"config_change\",event_state=\"start\",name=\"n\"} 1 1771581600000");
    let open = server.get("/metrics").await.text();
    assert!(open.contains("last9_change_events_open_timestamp_seconds{event_name=\"incident\",name=\"n\"} 1771581600.000\n"), "{open}");
    assert_eq!(open.matches("last9_change_events_open_timestamp_seconds{").count(), 1, "{open}");
}

#[tokio::test]
async fn fields_change_one_by_one_and_null_clears() {
    let server = Server::new("");
    for method in ["PATCH", "PUT"] {
        let body = json!({"type": "custom", "name": "n", "source": "s", "metadata": {"a": 1}, "startedAt": "2026-02-20T09:00:00Z"});
        let mut record = server.create(&body).await;
        let sid = sid(&record).to_owned();
        for (body, changes) in [
            (json!({}), json!({})),
            (json!({"name": "m", "description": "d"}), json!({"name": "m", "description": "d"})),
            (json!({"buckets": ["b"], "environments": ["e", "f"]}), json!({"buckets": ["b"], "environments": ["e", "f"]})),
            (json!({"metadata": {"b": {"c": []}}}), json!({"metadata": {"b": {"c": []}}})),
            (json!({"metadata": {}}), json!({"metadata": {}})),
            (
                json!({"metadata": null, "description": null, "source": null}),
                json!({"metadata": null, "description": null, "source": null}),
            ),
            (json!({"buckets": null, "environments": []}), json!({"buckets": ["*"], "environments": ["*"]})),
            (json!({"type": "scale", "startedAt": null}), json!({"type": "scale"})),
            (json!({"endedAt": "2026-02-20T09:00:01Z"}), json!({"endedAt": "2026-02-20T09:00:01.000Z", "durationMs": 1000})),
            (json!({"startedAt": "2026-02-20T08:59:59Z"}), json!({"startedAt": "2026-02-20T08:59:59.000Z", "durationMs": 2000})),
            (json!({"endedAt": null}), json!({"endedAt": null, "durationMs": null})),
            (json!({"sid": "evt_other", "accountSid": 5, "createdAt": null, "updatedAt": "x", "open": true, "durationMs": -1}), json!({})),
        ] {
            server.clock.advance(Duration::from_secs(1));
            let changed = server.change(method, &sid, &body).await;
            for (key, value) in changes.as_object().unwrap() {
                record[key] = value.clone();
            }
            record["updatedAt"] = changed["updatedAt"].clone();
            assert_eq!(changed, record, "{method} {body}");
            assert_eq!(server.record(&sid).await, record);
        }
        assert_ne!(record["updatedAt"], record["createdAt"]);
    }
}

#[tokio::test]
async fn an_incident_is_closed_and_reopened() {
    let server = Server::new("");
    let record = server.create(&json!({"type": "incident", "name": "INC-1"})).await;
    let open = async || server.get("/metrics").await.text().contains("open_timestamp_seconds{event_name=\"incident\",name=\"INC-1\"}");
    let sid = sid(&record);
    for (body, is_open, duration) in [
        (json!({"description": "cause found"}), true, json!(null)),
        (json!({"endedAt": "2026-02-20T10:05:00Z"}), false, json!(300_000)),
        (json!({"endedAt": null}), true, json!(null)),
        (json!({"endedAt": "2026-02-20T10:06:00Z"}), false, json!(360_000)),
        (json!({"type": "deployment"}), false, json!(360_000)),
        (json!({"endedAt": null}), false, json!(null)),
        (json!({"type": "incident"}), true, json!(null)),
    ] {
        server.clock.advance(Duration::from_mins(10));
        let changed = server.change("PATCH", sid, &body).await;
        assert_eq!((&changed["open"], &changed["durationMs"]), (&json!(is_open), &duration), "{body}");
        assert_eq!(changed["endedAt"].is_null(), duration.is_null(), "{body}");
        server.clock.advance(Duration::from_mins(10));
        assert_eq!(open().await, is_open && body["type"] != "deployment", "{body}");
    }
    assert_eq!(server.ask("DELETE", &format!("{PATH}/{sid}"), &[], &Value::Null).await.status, 204);
    assert!(!open().await, "a deleted event leaves the gauge");
}

#[tokio::test]
async fn what_was_read_can_be_sent_back() {
    let server = Server::new("");
    for body in [
        json!({"type": "incident", "name": "n"}),
        json!({"type": "incident", "name": "n", "endedAt": "2026-02-20T10:30:00Z"}),
        json!({"type": "scale", "name": "n", "buckets": ["*", "b"], "metadata": {"z": 1, "a": [2]}}),
        json!({"type": "scale", "name": "n", "description": "d", "source": "s", "environments": ["b", "a"]}),
    ] {
        let record = server.create(&body).await;
        server.clock.advance(Duration::from_secs(1));
        let mut same = server.change("PUT", sid(&record), &record).await;
        same["updatedAt"] = record["updatedAt"].clone();
        assert_eq!(same, record);
        let mut changed = record.clone();
        changed["name"] = "m".into();
        let mut renamed = server.change("PUT", sid(&record), &changed).await;
        renamed["updatedAt"] = record["updatedAt"].clone();
        assert_eq!(renamed, changed);
    }
}

#[tokio::test]
async fn a_deleted_event_is_gone() {
    let server = Server::new("");
    let record = server.create(&json!({"type": "scale", "name": "n", "startedAt": "2026-02-20T09:59:00Z"})).await;
    let path = format!("{PATH}/{}", sid(&record));
    let answer = server.ask("DELETE", &path, &[], &Value::Null).await;
    assert_eq!((answer.status, answer.bytes.len()), (204, 0));
    for (method, body) in [("GET", Value::Null), ("PUT", json!({})), ("PATCH", json!({"name": "m"})), ("DELETE", Value::Null)] {
        check_error(&server.ask(method, &path, &[], &body).await, 404, "RESOURCE_NOT_FOUND", None);
    }
    assert_eq!(server.found("").await, json!({"hasMore": false, "records": []}));
    assert_eq!(server.samples().await, Vec::<String>::new());
}

#[tokio::test]
async fn of_two_clients_with_one_version_the_second_is_told() {
    let server = Server::new("");
    let answer = server.ask("POST", PATH, &[], &json!({"type": "incident", "name": "n"})).await;
    let path = format!("{PATH}/{}", sid(&answer.json()));
    let first = answer.header("etag").to_owned();
    assert!(first.starts_with('"') && first.len() == 18, "{first}");
    server.clock.advance(Duration::from_secs(1));
    let mine = server.ask("PATCH", &path, &[("if-match", &first)], &json!({"description": "mine"})).await;
    assert_eq!(mine.status, 200);
    let second = mine.header("etag").to_owned();
    assert_ne!(first, second);
    for (method, body) in [("PATCH", json!({"description": "yours"})), ("PUT", json!({"description": "yours"})), ("DELETE", Value::Null)] {
        for stale in [&*first, "\"0000000000000000\"", "W/\"0\"", "nonsense", ""] {
            let answer = server.ask(method, &path, &[("if-match", stale)], &body).await;
            check_error(&answer, 412, "PRECONDITION_FAILED", Some("If-Match"));
        }
    }
    assert_eq!(server.get(&path).await.json()["description"], "mine");
    let either = format!("{first}, {second}");
    assert_eq!(server.ask("PATCH", &path, &[("if-match", &either)], &json!({"description": "both"})).await.status, 200);
    assert_eq!(server.ask("PUT", &path, &[("if-match", "*")], &json!({"description": "any"})).await.status, 200);
    let last = server.get(&path).await.header("etag").to_owned();
    assert_eq!(server.ask("DELETE", &path, &[("if-match", &last)], &Value::Null).await.status, 204);
    check_error(&server.ask("PATCH", &path, &[("if-match", &last)], &json!({})).await, 404, "RESOURCE_NOT_FOUND", None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_at_the_same_time_are_all_made() {
    let server = std::sync::Arc::new(Server::new(""));
    let answer = server.ask("POST", PATH, &[], &json!({"type": "custom", "name": "n"})).await;
    let (path, version) = (format!("{PATH}/{}", sid(&answer.json())), answer.header("etag").to_owned());
    let fields = [
        json!({"name": "m"}),
        json!({"description": "d"}),
        json!({"source": "s"}),
        json!({"buckets": ["b"]}),
        json!({"metadata": {"a": 1}}),
    ];
    let send = |body: Value, headers: Vec<(&'static str, String)>| {
        let (server, path) = (std::sync::Arc::clone(&server), path.clone());
        tokio::spawn(async move {
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            server.ask("PATCH", &path, &headers, &body).await.status
        })
    };
    let running: Vec<_> = fields.iter().map(|body| send(body.clone(), Vec::new())).collect();
    for one in running {
        assert_eq!(one.await.unwrap(), 200);
    }
    let record = server.get(&path).await.json();
    for field in &fields {
        for (key, value) in field.as_object().unwrap() {
            assert_eq!(&record[key], value);
        }
    }
    check_error(&server.ask("PATCH", &path, &[("if-match", &version)], &json!({})).await, 412, "PRECONDITION_FAILED", Some("If-Match"));
    let version = server.get(&path).await.header("etag").to_owned();
    server.clock.advance(Duration::from_secs(1));
    let rivals: Vec<_> = (0..8).map(|n| send(json!({ "description": format!("{n}") }), vec![("if-match", version.clone())])).collect();
    let mut statuses = Vec::new();
    for rival in rivals {
        statuses.push(rival.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412, 412, 412, 412, 412, 412, 412]);
}

#[tokio::test]
async fn a_key_creates_one_event() {
    let server = Server::new("");
    let post = async |key: &str, body: Value| server.ask("POST", PATH, &[("idempotency-key", key)], &body).await;
    let body = json!({"type": "deployment", "name": "v1"});
    let first = post("k", body.clone()).await;
    assert_eq!(first.status, 201);
    server.clock.advance(Duration::from_mins(1));
    let again = post("k", body.clone()).await;
    assert_eq!((again.status, again.json(), again.header("etag")), (201, first.json(), first.header("etag")));
    check_error(&post("k", json!({"type": "deployment", "name": "v2"})).await, 422, "LIMIT_EXCEEDED", Some("Idempotency-Key"));
    assert_ne!(sid(&post("other", body.clone()).await.json()), sid(&first.json()));
    let renamed = server.change("PATCH", sid(&first.json()), &json!({"name": "v1.1"})).await;
    let server = server.restarted("");
    let post = async |key: &str, body: Value| server.ask("POST", PATH, &[("idempotency-key", key)], &body).await;
    assert_eq!(post("k", body.clone()).await.json(), renamed, "it is answered as it is now");
    server.ask("DELETE", &format!("{PATH}/{}", sid(&renamed)), &[], &Value::Null).await;
    check_error(&post("k", body.clone()).await, 409, "CONFLICT", Some("Idempotency-Key"));
    server.clock.advance(Duration::from_hours(25));
    let later = post("k", body.clone()).await;
    assert_eq!(later.status, 201);
    assert_ne!(sid(&later.json()), sid(&renamed), "a day later the key is a new one");
    check_error(&post("", body).await, 400, "VALIDATION_ERROR", Some("Idempotency-Key"));
}

#[tokio::test]
async fn accounts_are_slugs_and_their_other_names() {
    let hash = |token: &str| hex::encode(<sha2::Sha256 as sha2::Digest>::digest(token));
    let config = format!(
        "organizations:\n  - slug: acme\n    accounts: [acc_1]\n    tokens:\n      - {{name: a, sha256: {}, scopes: [read, write]}}\n  \
         - slug: other\n    tokens:\n      - {{name: b, sha256: {}, scopes: [read, write]}}\n",
        hash("a"),
        hash("b"),
    );
    let server = Server::new(&config);
    let ask = async |method: &str, account: &str, token: &str, body: Value| {
        server.ask(method, &format!("/v1/accounts/{account}/events"), &[("authorization", &format!("Bearer {token}"))], &body).await
    };
    let body = json!({"type": "scale", "name": "n"});
    for (account, token) in [("acme", "a"), ("acc_1", "a"), ("other", "b")] {
        let answer = ask("POST", account, token, body.clone()).await;
        assert_eq!((answer.status, &answer.json()["accountSid"]), (201, &json!(account)));
    }
    for (account, token, count) in [("acme", "a", 2), ("acc_1", "a", 2), ("other", "b", 1)] {
        let found = ask("GET", account, token, Value::Null).await.json();
        assert_eq!(found["records"].as_array().unwrap().len(), count);
        assert_eq!(found["records"][0]["accountSid"], account);
    }
    for (account, token) in [("other", "a"), ("acc_1", "b"), ("acc_2", "a")] {
        let message = check_error(&ask("GET", account, token, Value::Null).await, 403, "FORBIDDEN", None);
        assert!(message.contains("another account"), "{message}");
    }
    check_error(&ask("GET", "acme", "c", Value::Null).await, 401, "INVALID_TOKEN", None);
    let none = server.get(PATH).await;
    check_error(&none, 401, "INVALID_TOKEN", None);
    assert_eq!(none.header("www-authenticate"), "Bearer");
    let last9 = server.ask("GET", "/api/v4/organizations/acc_1/change_events", &[("authorization", "Bearer a")], &Value::Null).await;
    assert_eq!(last9.status, 403, "a name of an account is no slug");
}

#[tokio::test]
async fn both_doors_see_the_same_events() {
    let server = Server::new("");
    let record = server.create(&json!({"type": "deployment", "name": "v1", "buckets": ["b"]})).await;
    let listed = server.get(EVENTS).await.json();
    assert_eq!(listed["events"][0]["id"], record["sid"]);
    assert_eq!(
        listed["events"][0]["start"]["labels"],
        json!({"event_name": "deployment", "name": "v1", "bucket": "b", "service_name": "b"})
    );
}

/// The samples in short: name and bucket, state, minutes after [`NOW`].
fn short(samples: &[String]) -> Vec<String> {
    let label = |line: &str, name: &str| {
        let (_, rest) = line.split_once(&format!("{name}=\"")).unwrap_or_default();
        rest.split('"').next().unwrap_or_default().to_owned()
    };
    let mut short: Vec<_> = samples
        .iter()
        .map(|line| {
            let millis: i64 = line.rsplit(' ').next().unwrap().parse().unwrap();
            let minute = (millis - NOW.millis()) / 60_000;
            format!("{}{} {} {minute}", label(line, ",name"), label(line, "{bucket"), label(line, "event_state"))
        })
        .collect();
    short.sort();
    short
}

#[tokio::test]
async fn updates_show_new_samples_and_take_none_back() {
    let server = Server::new("");
    let record = server.create(&json!({"type": "incident", "name": "a"})).await;
    let mut expected = vec!["a start 0"];
    let open = |page: &str| page.lines().filter(|line| line.starts_with("last9_change_events_open")).map(ToOwned::to_owned).collect();
    for (body, added, gauge) in [
        (json!({"description": "d", "metadata": {"m": 1}}), vec![], "a"),
        (json!({"name": "b"}), vec!["b start 0"], "b"),
        (json!({"buckets": ["x"]}), vec!["bx start 0"], "bx"),
        (json!({"buckets": null, "endedAt": "2026-02-20T10:01:00Z"}), vec!["b stop 1"], ""),
        (json!({"endedAt": "2026-02-20T10:02:00Z"}), vec!["b stop 2"], ""),
        (json!({"endedAt": null}), vec![], "b"),
        (json!({"endedAt": "2026-02-20T10:03:00Z", "name": "c"}), vec!["c start 0", "c stop 3"], ""),
    ] {
        server.clock.advance(Duration::from_secs(90));
        server.change("PATCH", sid(&record), &body).await;
        // Of a series that goes on, the newest sample is what the page shows.
        expected.extend(added);
        if expected.contains(&"b stop 2") {
            expected.retain(|sample| *sample != "b stop 1");
        }
        expected.sort_unstable();
        assert_eq!(short(&server.samples().await), expected, "{body}");
        let gauges: Vec<String> = open(&server.get("/metrics").await.text());
        assert_eq!(gauges.len(), usize::from(!gauge.is_empty()), "{body}: {gauges:?}");
        let (name, bucket) = gauge.split_at(gauge.len().min(1));
        assert!(
            gauges.iter().all(|line| line.contains(&format!("name=\"{name}\"")) && line.contains("bucket=") != bucket.is_empty()),
            "{gauges:?}"
        );
    }
    assert_eq!(server.ask("DELETE", &format!("{PATH}/{}", sid(&record)), &[], &Value::Null).await.status, 204);
    assert_eq!(server.samples().await, Vec::<String>::new(), "all of them leave");
}
