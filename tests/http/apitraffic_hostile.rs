//! The front door of `ApiTraffic` and what nobody should send, or what came by another door.

use std::fmt::Write as _;
use std::time::Duration;

use axum::body::Body;
use axum::http::Method;
use serde_json::Value;
use serde_json::json;

use crate::apitraffic::PATH;
use crate::apitraffic::check_error;
use crate::apitraffic::sid;
use crate::apitraffic_list::names;
use crate::ets;
use crate::support::EVENTS;
use crate::support::Server;
use crate::support::request;

async fn post(server: &Server, headers: &[(&str, &str)], body: impl Into<Body>) -> crate::support::Answer {
    server.call(request(Method::POST, PATH, headers, body.into())).await
}

#[tokio::test]
async fn a_body_has_its_limit() {
    let server = Server::new("");
    let body = |bytes: usize| {
        let around = r#"{"type":"custom","name":"n","metadata":{"a":""}}"#.len();
        format!(r#"{{"type":"custom","name":"n","metadata":{{"a":"{}"}}}}"#, "x".repeat(bytes - around))
    };
    let megabyte = post(&server, &[], body(1024 * 1024)).await;
    assert_eq!(megabyte.status, 201);
    let record = server.record(sid(&megabyte.json())).await;
    assert!(record["metadata"]["a"].as_str().unwrap().len() > 1_000_000);
    let largest = post(&server, &[], body(2 * 1024 * 1024)).await;
    assert_eq!(largest.status, 201);
    let path = format!("{PATH}/{}", sid(&largest.json()));
    for encoding in ["", "gzip"] {
        let sent = |bytes: usize| {
            use std::io::Write as _;
            if encoding.is_empty() {
                return body(bytes).into_bytes();
            }
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
            encoder.write_all(body(bytes).as_bytes()).unwrap();
            encoder.finish().unwrap()
        };
        let headers = if encoding.is_empty() { vec![] } else { vec![("content-encoding", encoding)] };
        assert_eq!(post(&server, &headers, sent(2_000_000)).await.status, 201, "{encoding}");
        let refused = post(&server, &headers, sent(2 * 1024 * 1024 + 1)).await;
        let message = check_error(&refused, 413, "PAYLOAD_TOO_LARGE", None);
        assert_eq!(message, "the body is longer than 2097152 bytes");
        let refused = server.call(request(Method::PATCH, &path, &headers, sent(2 * 1024 * 1024 + 1).into())).await;
        check_error(&refused, 413, "PAYLOAD_TOO_LARGE", None);
    }
    let server = server.restarted("");
    assert_eq!(server.get(&path).await.json(), largest.json());
}

#[tokio::test]
async fn long_texts_are_kept_whole_and_their_labels_are_cut() {
    let server = Server::new("");
    let long = "n".repeat(100_000);
    let answer = post(&server, &[], json!({"type": "custom", "name": long, "buckets": vec!["b"; 1000]}).to_string()).await;
    assert_eq!(answer.status, 201);
    assert!(answer.header("x-change-events-warnings").starts_with("label name: value of 100000 bytes cut"), "{:?}", answer.headers);
    assert_eq!(answer.json()["name"], long);
    assert_eq!(server.record(sid(&answer.json())).await["name"], long);
}

#[tokio::test]
async fn wrong_bodies_change_nothing() {
    let server = Server::new("");
    let record = server.create(&json!({"type": "incident", "name": "n"})).await;
    let path = format!("{PATH}/{}", sid(&record));
    for (body, field) in [
        ("", None),
        ("[]", None),
        ("{\"name\":", None),
        ("\u{0}", None),
        (r#"{"name":null}"#, Some("name")),
        (r#"{"name":"m","type":null}"#, Some("type")),
        (r#"{"name":"m","buckets":{"a":1}}"#, Some("buckets")),
        (r#"{"name":"m","metadata":5}"#, Some("metadata")),
        (r#"{"name":"m","endedAt":"2026-02-20T09:00:00Z"}"#, Some("endedAt")),
        (r#"{"name":"m","startedAt":true}"#, Some("startedAt")),
        (r#"{"name":"m","colour":"red"}"#, Some("colour")),
        (r#"{"name":"m","__proto__":{}}"#, Some("__proto__")),
    ] {
        for method in [Method::PUT, Method::PATCH] {
            let answer = server.call(request(method, &path, &[], Body::from(body.to_owned()))).await;
            check_error(&answer, 400, "VALIDATION_ERROR", field);
        }
        let created = post(&server, &[], body.replace("\"m\"", "\"m\",\"type\":\"incident\"")).await;
        assert_eq!(created.status, 400, "{body}");
    }
    let ended = server.change("PATCH", sid(&record), &json!({"endedAt": "2026-02-20T10:10:00Z"})).await;
    let answer = server.ask("PATCH", &path, &[], &json!({"startedAt": "2026-02-20T10:10:01Z"})).await;
    let message = check_error(&answer, 400, "VALIDATION_ERROR", Some("startedAt"));
    assert!(message.ends_with("must not be after endedAt, 2026-02-20T10:10:00.000Z"), "{message}");
    assert_eq!(server.record(sid(&record)).await, ended);
    let list = server.get(PATH).await.json();
    assert_eq!(list["records"].as_array().unwrap().len(), 1, "{list}");
}

#[tokio::test]
async fn any_media_type_but_json_is_refused() {
    let server = Server::new("");
    let body = r#"{"type":"custom","name":"n"}"#;
    for (media_type, status) in [
        ("application/json", 201),
        ("application/json; charset=utf-8", 201),
        ("application/merge-patch+json", 201),
        ("application/x-www-form-urlencoded", 201),
        ("text/plain", 201),
        ("application/x-ndjson", 415),
        ("application/yaml", 415),
        ("multipart/form-data; boundary=x", 415),
    ] {
        let answer = post(&server, &[("content-type", media_type)], body).await;
        assert_eq!(answer.status, status, "{media_type}");
        if status == 415 {
            check_error(&answer, 415, "UNSUPPORTED_MEDIA_TYPE", Some("Content-Type"));
        }
    }
    check_error(&post(&server, &[("content-encoding", "br")], body).await, 415, "UNSUPPORTED_MEDIA_TYPE", None);
    check_error(&post(&server, &[("content-encoding", "gzip")], body).await, 400, "VALIDATION_ERROR", None);
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        write!(encoded, "%{byte:02X}").unwrap();
        encoded
    })
}

#[tokio::test]
async fn odd_sids_are_no_events() {
    let server = Server::new("");
    let record = server.create(&json!({"type": "custom", "name": "n"})).await;
    let sid = sid(&record);
    assert_eq!(server.record(&encoded(sid)).await, record, "however it is written");
    let long = "x".repeat(5000);
    for odd in ["a/b", "..", "../events", ".", "a\"b", "a\\b", " ", "\0", "\u{1f980}", "%", "'; --", &sid.to_uppercase(), &long] {
        let path = format!("{PATH}/{}", encoded(odd));
        for (method, body) in [("GET", Value::Null), ("PUT", json!({})), ("PATCH", json!({"name": "m"})), ("DELETE", Value::Null)] {
            check_error(&server.ask(method, &path, &[], &body).await, 404, "RESOURCE_NOT_FOUND", None);
        }
        let after = server.get(&format!("{PATH}?startingAfter={}", encoded(odd))).await;
        check_error(&after, 400, "VALIDATION_ERROR", Some("startingAfter"));
    }
    for broken in ["%FF", "%C3%28"] {
        check_error(&server.get(&format!("{PATH}/{broken}")).await, 400, "VALIDATION_ERROR", None);
    }
    assert_eq!(server.record(sid).await, record);
}

#[tokio::test]
async fn what_no_route_takes_is_refused_in_the_same_shape() {
    let server = Server::new("");
    for (method, path, status, code) in [
        ("DELETE", PATH, 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/v1/accounts/acme/events/evt_1", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/v1/accounts/acme/buckets", 404, "RESOURCE_NOT_FOUND"),
        ("GET", "/v1/accounts/acme/events/evt_1/more", 404, "RESOURCE_NOT_FOUND"),
    ] {
        check_error(&server.ask(method, path, &[], &Value::Null).await, status, code, None);
    }
    assert!(server.get("/v1/else").await.json()["error"].is_string());
    let many: Vec<(String, &str)> = (0..70).map(|n| (format!("x-{n}"), "1")).collect();
    let many: Vec<_> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    check_error(&server.ask("GET", PATH, &many, &Value::Null).await, 431, "REQUEST_HEADERS_TOO_LARGE", None);
    check_error(&server.ask("POST", PATH, &[("sec-fetch-site", "cross-site")], &json!({})).await, 403, "FORBIDDEN", None);
}

/// Events that came by the door of Last9, all in the last hour.
async fn edges() -> Server {
    let server = Server::new("pairing:\n  - {event: release, supersede: [service_name]}\n");
    for (name, state, minute, attributes) in [
        ("deployment", "start", 1, json!({"service_name": "api", "deployment_id": "d1", "build.number": 7})),
        ("deployment", "stop", 3, json!({"service_name": "api", "deployment_id": "d1", "result": "ok"})),
        (
            "job_lifecycle",
            "start",
            4,
            json!({"entity_id": "job-1", "name": "Nightly", "bucket": "b1", "environment": "prod", "source": "cron"}),
        ),
        ("incident", "", 5, json!({"description": "Lights out", "nested": {"a": [1, 2]}})),
        ("outage", "stop", 6, json!({"entity_id": "o1"})),
        ("release", "start", 7, json!({"service_name": "web", "version": "1"})),
        ("release", "start", 8, json!({"service_name": "web", "version": "2"})),
    ] {
        let mut body = json!({"event_name": name, "timestamp": format!("2026-02-20T09:0{minute}:00Z"), "attributes": attributes});
        if !state.is_empty() {
            body["event_state"] = state.into();
        }
        assert_eq!(server.put(body.to_string(), &[]).await.status, 200);
    }
    server
}

#[tokio::test]
async fn events_of_another_door_look_like_events() {
    let server = edges().await;
    let found = server.get(PATH).await.json();
    let expected = json!([
        {"type": "custom", "name": "release", "startedAt": "2026-02-20T09:08:00.000Z", "endedAt": null, "open": true, "durationMs": null,
         "metadata": {"event_name": "release", "service_name": "web", "version": "2"}},
        {"type": "custom", "name": "release", "startedAt": "2026-02-20T09:07:00.000Z", "endedAt": "2026-02-20T09:08:00.000Z",
         "durationMs": 60000, "metadata": {"event_name": "release", "service_name": "web", "version": "1"}},
        {"type": "custom", "name": "outage", "startedAt": "2026-02-20T09:06:00.000Z", "endedAt": "2026-02-20T09:06:00.000Z",
         "durationMs": 0, "metadata": {"event_name": "outage", "entity_id": "o1"}},
        {"type": "incident", "name": "incident", "description": "Lights out", "startedAt": "2026-02-20T09:05:00.000Z",
         "metadata": {"nested": {"a": [1, 2]}}},
        {"type": "custom", "name": "Nightly", "source": "cron", "buckets": ["b1"], "environments": ["prod"], "open": true,
         "startedAt": "2026-02-20T09:04:00.000Z", "metadata": {"event_name": "job_lifecycle", "entity_id": "job-1"}},
        {"type": "deployment", "name": "deployment", "startedAt": "2026-02-20T09:01:00.000Z", "endedAt": "2026-02-20T09:03:00.000Z",
         "durationMs": 120_000, "metadata": {"service_name": "api", "deployment_id": "d1", "build.number": 7, "result": "ok"}},
    ]);
    for (record, expected) in found["records"].as_array().unwrap().iter().zip(expected.as_array().unwrap()) {
        let mut whole = json!({
            "sid": record["sid"], "accountSid": "acme", "description": null, "source": null, "buckets": ["*"], "environments": ["*"],
            "endedAt": null, "open": false, "durationMs": null, "createdAt": record["createdAt"], "updatedAt": record["updatedAt"],
        });
        for (key, value) in expected.as_object().unwrap() {
            whole[key] = value.clone();
        }
        assert_eq!(record, &whole);
        assert_eq!(&server.record(sid(record)).await, record);
    }
    assert_eq!(found["records"].as_array().unwrap().len(), 6);
}

#[tokio::test]
async fn events_of_another_door_are_found_like_events() {
    let server = edges().await;
    for (query, expected) in [
        ("?type=custom", vec!["release", "release", "outage", "Nightly"]),
        ("?type=incident", vec!["incident"]),
        ("?bucket=b1&type=custom", vec!["release", "release", "outage", "Nightly"]),
        ("?bucket=b2&type=custom", vec!["release", "release", "outage"]),
        ("?environment=prod&source=cron", vec!["Nightly"]),
        ("?environment=test&source=cron", vec![]),
        ("?source=cron", vec!["Nightly"]),
        ("?search=lights", vec!["incident"]),
        ("?start=2026-02-20T09:07:00Z", vec!["release", "release", "Nightly"]),
    ] {
        assert_eq!(names(&server.get(&format!("{PATH}{query}")).await.json()), expected, "{query}");
    }
    let mut seen = Vec::new();
    let mut query = "?limit=1".to_owned();
    loop {
        let page = server.get(&format!("{PATH}{query}")).await.json();
        seen.extend(names(&page).into_iter().map(ToOwned::to_owned));
        if page["hasMore"] == false {
            break;
        }
        query = format!("?limit=1&startingAfter={}", sid(&page["records"][0]));
    }
    assert_eq!(seen, ["release", "release", "outage", "incident", "Nightly", "deployment"]);
}

#[tokio::test]
async fn events_of_another_door_are_described_and_closed_but_not_moved() {
    let server = edges().await;
    let found = server.get(PATH).await.json();
    for record in found["records"].as_array().unwrap() {
        server.clock.advance(Duration::from_secs(1));
        let mut same = server.change("PUT", sid(record), record).await;
        same["updatedAt"] = record["updatedAt"].clone();
        assert_eq!(&same, record, "read and sent back it is what it was");
        let path = format!("{PATH}/{}", sid(record));
        let other = if record["type"] == "scale" { "custom" } else { "scale" };
        let start = server.ask("PATCH", &path, &[], &json!({"startedAt": "2026-02-20T08:00:00Z"})).await;
        check_error(&start, 409, "CONFLICT", Some("startedAt"));
        check_error(&server.ask("PATCH", &path, &[], &json!({"type": other})).await, 409, "CONFLICT", Some("type"));
        let description = json!({"description": "said later", "buckets": ["b7"], "metadata": {"extra": true}});
        let described = server.change("PATCH", sid(record), &description).await;
        let mut expected = record.clone();
        expected["metadata"] = described["metadata"].clone();
        for key in ["description", "buckets"] {
            expected[key] = description[key].clone();
        }
        expected["updatedAt"] = described["updatedAt"].clone();
        assert_eq!(described, expected);
        assert_eq!(described["metadata"]["extra"], true);
        // What its edges say stays, also where a field says it now.
        for (key, value) in record["metadata"].as_object().unwrap() {
            assert_eq!(&described["metadata"][key], value);
        }
        let end = server.ask("PATCH", &path, &[], &json!({"endedAt": "2026-02-20T09:30:00Z"})).await;
        if record["open"] == true {
            assert_eq!((end.status, &end.json()["endedAt"]), (200, &json!("2026-02-20T09:30:00.000Z")));
            assert_eq!(end.json()["open"], false);
        } else {
            check_error(&end, 409, "CONFLICT", Some("endedAt"));
        }
    }
    let listed = server.get(&format!("{EVENTS}?state=open")).await.json();
    assert_eq!(listed["events"], json!([]), "closed for the other door too");
    let server = server.restarted("pairing:\n  - {event: release, supersede: [service_name]}\n");
    let again = server.get(PATH).await.json();
    assert_eq!(again["records"].as_array().unwrap().len(), 6);
    assert!(again["records"].as_array().unwrap().iter().all(|record| record["description"] == "said later"), "{again}");
    for event in server.get(EVENTS).await.json()["events"].as_array().unwrap() {
        for edge in [&event["start"], &event["stop"]].into_iter().filter(|edge| !edge.is_null()) {
            assert_eq!(server.record(edge["id"].as_str().unwrap()).await["sid"], event["id"], "any of its edges finds it");
        }
    }
    for record in again["records"].as_array().unwrap() {
        assert_eq!(server.ask("DELETE", &format!("{PATH}/{}", sid(record)), &[], &Value::Null).await.status, 204);
    }
    assert_eq!(server.get(EVENTS).await.json(), json!({"events": []}));
}

#[tokio::test]
async fn what_edges_say_is_not_copied_and_can_be_overridden() {
    let server = edges().await;
    let found = server.get(&format!("{PATH}?source=cron")).await.json();
    let record = &found["records"][0];
    server.change("PUT", sid(record), record).await;
    let details = async || server.get(&format!("{EVENTS}?search=Nightly")).await.json()["events"][0]["details"].clone();
    assert_eq!(details().await, json!({}), "what it says already is nothing new");
    let mut body = record.clone();
    body["metadata"]["entity_id"] = "job-2".into();
    for (field, value) in [("name", json!("Daily")), ("source", json!("manual")), ("buckets", json!(["*"])), ("environments", json!(["*"]))]
    {
        body[field] = value;
    }
    let changed = server.change("PUT", sid(record), &body).await;
    for field in ["name", "source", "buckets", "environments"] {
        assert_eq!(changed[field], body[field], "{field}: {changed}");
    }
    assert_eq!(changed["metadata"]["entity_id"], "job-2");
    assert_eq!(details().await["metadata"], json!({"entity_id": "job-2"}));
    for query in ["?bucket=b2&type=custom&search=daily", "?environment=test&source=manual"] {
        assert_eq!(names(&server.get(&format!("{PATH}{query}")).await.json()), ["Daily"], "{query}");
    }
    assert_eq!(names(&server.get(&format!("{PATH}?source=cron")).await.json()), Vec::<&str>::new());
    let cleared = server.change("PATCH", sid(record), &json!({"source": null, "metadata": null})).await;
    // What the edges say is there again: nothing else is said of it.
    assert_eq!((&cleared["source"], &cleared["metadata"]["entity_id"]), (&json!("cron"), &json!("job-1")));
}

#[tokio::test]
async fn an_event_of_ets_is_read_and_changed() {
    let server = Server::new("");
    assert_eq!(ets::put(&server, ets::event()).await.status, 200);
    let ets = async || server.get(&format!("{}{}", ets::ETS, ets::EVENT)).await.json();
    let record = server.record(ets::EVENT).await;
    let expected = json!({
        "sid": ets::EVENT, "accountSid": "acme", "type": "custom", "name": "deploy/deploy_all",
        "description": "This is a trigger_deploy event.", "source": "deploy", "buckets": ["*"],
        "environments": ["monitor_candidate", "monitor_live"],
        "metadata": {
            "author": "user@example.com", "event_name": "deploy/deploy_all", "links": {"jira": "http://jira", "graphite": "http://graphite"},
            "parent_id": ets::PARENT, "services": "tycho", "source_id": ets::SOURCE, "status": "success",
        },
        "startedAt": "2026-02-20T09:59:59.123Z", "endedAt": "2026-02-21T09:59:59.123Z", "open": true, "durationMs": 86_400_000,
        "createdAt": record["createdAt"], "updatedAt": record["updatedAt"],
    });
    assert_eq!(record, expected);
    for query in ["?environment=monitor_live&source=deploy", "?type=custom&search=trigger", "?bucket=any"] {
        assert_eq!(names(&server.get(&format!("{PATH}{query}")).await.json()), ["deploy/deploy_all"], "{query}");
    }
    assert_eq!(names(&server.get(&format!("{PATH}?environment=prod")).await.json()), Vec::<&str>::new());
    let before = ets().await;
    server.change("PUT", ets::EVENT, &record).await;
    assert_eq!(ets().await, before, "read and sent back it is what it was");
    server.change("PATCH", ets::EVENT, &json!({"type": "deployment", "endedAt": "2026-02-20T12:00:00Z", "metadata": {"mine": 1}})).await;
    let mut changed = before;
    changed["tags"]["type"] = json!(["deployment"]);
    changed["end_time"] = "2026-02-20T12:00:00+00:00".into();
    assert_eq!(ets().await, changed, "what it has no field for stays");
    let again = server.record(ets::EVENT).await;
    assert_eq!(
        (&again["type"], &again["metadata"]["mine"], &again["metadata"]["status"]),
        (&json!("deployment"), &json!(1), &json!("success"))
    );
    // Its id may be any text.
    let odd = "a/b \"c\"?";
    assert_eq!(ets::put(&server, ets::event().replace(ets::EVENT, &odd.replace('"', "\\\""))).await.status, 200);
    assert_eq!(server.record(&encoded(odd)).await["sid"], odd);
    let after = server.get(&format!("{PATH}?startingAfter={}", encoded(odd))).await;
    assert_eq!(after.status, 200, "{}", after.text());
}
