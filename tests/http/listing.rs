//! `GET` of change events.

use serde_json::json;

use crate::support::EVENTS;
use crate::support::Server;

async fn filled() -> Server {
    let server = Server::new("");
    for (name, state, minute, service) in [
        ("deployment", "start", 1, "api"),
        ("deployment", "stop", 3, "api"),
        ("deployment", "start", 2, "web"),
        ("incident", "start", 4, "api"),
    ] {
        let body = json!({
            "event_name": name, "event_state": state, "timestamp": format!("2026-02-20T09:0{minute}:00Z"),
            "attributes": {"service_name": service, "deployment_id": format!("{name}-{service}"), "build.number": 7, "result": if state == "stop" { "ok" } else { "" }}
        });
        assert_eq!(server.put(body.to_string(), &[]).await.status, 200);
    }
    assert_eq!(
        server.put(r#"{"event_name":"flag","timestamp":"2026-02-20T09:05:00Z","data_source_name":"eu","value":2.5}"#, &[]).await.status,
        200
    );
    server
}

#[track_caller]
fn names(listed: &serde_json::Value) -> Vec<String> {
    let events = listed["events"].as_array().unwrap_or_else(|| panic!("{listed}"));
    events.iter().map(|event| format!("{}/{}", event["event_name"].as_str().unwrap(), event["state"].as_str().unwrap())).collect()
}

async fn list(server: &Server, query: &str) -> serde_json::Value {
    server.get(&format!("{EVENTS}{query}")).await.json()
}

#[tokio::test]
async fn events_are_shown_newest_first_as_sent() {
    let server = filled().await;
    let listed = list(&server, "").await;
    assert_eq!(names(&listed), ["flag/point", "incident/open", "deployment/open", "deployment/closed"]);
    let closed = &listed["events"][3];
    assert_eq!(closed["duration_seconds"], 120.0);
    assert_eq!(closed["start"]["timestamp"], "2026-02-20T09:01:00.000Z");
    assert_eq!(closed["start"]["labels"]["build_number"], "7");
    assert_eq!(closed["start"]["attributes"]["build.number"], 7, "attributes are as sent");
    assert_eq!(closed["stop"]["attributes"]["result"], "ok");
    assert_eq!(closed["id"], closed["start"]["id"]);
    let flag = &listed["events"][0];
    assert_eq!((&flag["data_source_name"], &flag["start"]["value"], &flag["stop"]), (&json!("eu"), &json!(2.5), &json!(null)));
}

#[tokio::test]
async fn selectors_times_and_states_filter() {
    let server = filled().await;
    for (query, expected) in [
        ("?match[]={service_name=\"web\"}", vec!["deployment/open"]),
        ("?match[]=last9_change_events{event_name=~\"inc.*\"}&match[]={event_name=\"flag\"}", vec!["flag/point", "incident/open"]),
        ("?match[]={event_name!=\"deployment\",service_name=\"api\"}", vec!["incident/open"]),
        ("?state=open", vec!["incident/open", "deployment/open"]),
        ("?start=2026-02-20T09:04:30Z&state=open", vec!["incident/open", "deployment/open"]),
        ("?end=2026-02-20T09:02:00Z", vec!["deployment/closed"]),
        ("?start=1771578300&end=1771578301", vec!["flag/point", "incident/open", "deployment/open"]),
        ("?limit=1", vec!["flag/point"]),
        ("?match[]={service_name=\"nothing\"}", vec![]),
    ] {
        let encoded = query.replace('{', "%7B").replace('}', "%7D").replace('"', "%22");
        assert_eq!(names(&list(&server, &encoded).await), expected, "{query}");
    }
}

#[tokio::test]
async fn cursors_walk_through_everything_once() {
    let server = filled().await;
    let mut seen = Vec::new();
    let mut query = "?limit=1".to_owned();
    loop {
        let page = list(&server, &query).await;
        seen.extend(names(&page));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        query = format!("?limit=1&cursor={cursor}");
        assert!(seen.len() < 10, "it ends");
    }
    assert_eq!(seen, ["flag/point", "incident/open", "deployment/open", "deployment/closed"]);
}

#[tokio::test]
async fn wrong_questions_are_refused() {
    let server = Server::new("");
    for query in ["?limti=1", "?limit=0", "?state=ajar", "?start=x", "?match[]=(", "?cursor=1", "?limit=1&limit=2"] {
        let answer = server.get(&format!("{EVENTS}{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.json()["error"].is_string());
    }
    assert_eq!(list(&server, "").await, json!({"events": []}), "nothing was sent yet");
}
