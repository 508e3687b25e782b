//! What is dated ahead, and what is dated to no time at all.

use std::time::Duration;

use axum::http::Method;
use serde_json::Value;
use serde_json::json;

use crate::apitraffic;
use crate::ets;
use crate::grafana;
use crate::support::EVENTS;
use crate::support::Server;

/// The states of all events, and those of them that are asked for by state and are on the gauge.
async fn check(server: &Server, what: &str, states: &[&str], open: &[&str]) {
    let listed = async |query: &str, field: &str| -> Vec<Value> {
        let answer = server.get(&format!("{EVENTS}?{query}")).await.json();
        answer["events"].as_array().unwrap().iter().map(|event| event[field].clone()).collect()
    };
    assert_eq!(listed("", "state").await, states, "{what}");
    assert_eq!(listed("state=open", "event_name").await, open, "{what}");
    for (state, asked) in [("planned", "planned"), ("closed", "closed")] {
        let expected = states.iter().filter(|is| **is == state).count();
        assert_eq!(listed(&format!("state={asked}"), "state").await.len(), expected, "{what}, {asked}");
    }
    let page = server.get("/metrics").await.text();
    let gauges = page.lines().filter(|line| line.starts_with("last9_change_events_open_timestamp_seconds{")).count();
    assert_eq!(gauges, open.len(), "{what}: {page}");
    assert!(page.contains(&format!("change_events_store_open_events {}\n", open.len())), "{what}: {page}");
}

#[tokio::test]
async fn what_is_planned_opens_and_closes_by_itself() {
    let server = Server::new("");
    let send = async |name: &str, state: &str, at: &str| {
        let body = json!({"event_name": name, "event_state": state, "timestamp": at, "attributes": {"entity_id": name}});
        assert_eq!(server.put(body.to_string(), &[]).await.status, 200);
    };
    // It is 10:00 now: one begins in an hour, the other has begun and ends in ten minutes.
    send("planned", "start", "2026-02-20T11:00:00Z").await;
    send("running", "start", "2026-02-20T09:59:59Z").await;
    send("running", "stop", "2026-02-20T10:10:00Z").await;
    check(&server, "at first", &["planned", "open"], &["running"]).await;
    server.clock.advance(Duration::from_millis(599_999));
    check(&server, "just before the stop", &["planned", "open"], &["running"]).await;
    server.clock.advance(Duration::from_millis(1));
    check(&server, "at the stop", &["planned", "closed"], &[]).await;
    server.clock.advance(Duration::from_mins(50));
    check(&server, "at the start", &["open", "closed"], &["planned"]).await;
    let server = server.restarted("");
    check(&server, "after a restart", &["open", "closed"], &["planned"]).await;
}

#[tokio::test]
async fn an_end_ahead_leaves_an_event_open_until_it_is_moved() {
    let server = Server::new("");
    let record = server.create(&json!({"type": "incident", "name": "INC-1", "endedAt": "2026-02-20T10:30:00Z"})).await;
    assert_eq!((&record["open"], &record["endedAt"]), (&json!(true), &json!("2026-02-20T10:30:00.000Z")));
    check(&server, "until then", &["open"], &["incident"]).await;
    server.clock.advance(Duration::from_mins(5));
    let changed = server.change("PATCH", record["sid"].as_str().unwrap(), &json!({"endedAt": "2026-02-20T10:05:00Z"})).await;
    assert_eq!((&changed["open"], &changed["durationMs"]), (&json!(false), &json!(300_000)));
    check(&server, "its end was moved to now", &["closed"], &[]).await;
}

#[tokio::test]
async fn a_zero_time_is_no_time_of_an_event() {
    let server = Server::new("");
    let refused = |what: &str, status: u16, text: &str| {
        assert!(status == 400 && text.contains("zero time") && text.contains("leave it out"), "{what}: {status} {text}");
    };
    for zero in ["0001-01-01T00:00:00Z", "0001-01-01", "0001-01-01T01:00:00+01:00", "0001-01-01T00:53:28+00:53", "0000-00-00T00:00:00Z"] {
        let answer = server.put(json!({"event_name": "a", "event_state": "start", "timestamp": zero}).to_string(), &[]).await;
        refused(zero, answer.status, &answer.text());
        for field in ["startedAt", "endedAt"] {
            let body = json!({"type": "incident", "name": "INC-1", field: zero});
            let answer = server
                .call(crate::support::request(
                    Method::POST,
                    apitraffic::PATH,
                    &[("content-type", "application/json")],
                    body.to_string().into(),
                ))
                .await;
            refused(&format!("{field} {zero}"), answer.status, &answer.text());
        }
        let answer = ets::put(&server, json!({"id": ets::EVENT, "start_time": zero, "tags": {"type": "a"}})).await;
        refused(&format!("start_time {zero}"), answer.status, &answer.text());
    }
    let answer = server.annotate(Method::POST, grafana::PATH, &json!({"text": "x", "time": -62_135_596_800_000_i64})).await;
    refused("time", answer.status, &answer.text());
    let answer = server.annotate(Method::POST, grafana::PATH, &json!({"text": "x", "time": 0, "timeEnd": 0})).await;
    assert_eq!(answer.status, 200, "that is how it is left out");
    let answer = server.put(json!({"event_name": "a", "timestamp": "1970-01-01T00:00:00Z"}).to_string(), &[]).await;
    assert!(answer.status == 200 && answer.text().contains("never set"), "{}", answer.text());
}
