//! The smallest server that pairs: name and attributes without what may differ are the identity.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::{FakeServer, Reply, Request};

/// What is open, the newest first.
pub(crate) type Open = Arc<Mutex<Vec<Value>>>;

/// Serves `open`, two events a page.
pub(crate) fn serve(open: &Open) -> FakeServer {
    let open = Arc::clone(open);
    FakeServer::start(move |request, _| match request.method.as_str() {
        "PUT" => put(&mut open.lock().unwrap(), &request.json()),
        _ => list(&open.lock().unwrap(), request),
    })
}

/// An open event as the list shows it.
pub(crate) fn event(id: &str, name: &str, since: &str, attributes: &Value) -> Value {
    let mut labels = attributes.clone();
    labels["event_name"] = json!(name);
    labels["event_state"] = json!("start");
    json!({
        "id": id, "event_name": name, "state": "open", "stop": null, "heartbeats": 0,
        "start": {"id": format!("start-{id}"), "timestamp": since, "labels": labels, "attributes": attributes, "value": 1},
    })
}

fn put(open: &mut Vec<Value>, edge: &Value) -> Reply {
    let same = |event: &Value| {
        event["event_name"] == edge["event_name"]
            && identity(&event["start"]["attributes"]) == identity(&edge["attributes"])
            && event["start"]["timestamp"].as_str() <= edge["timestamp"].as_str()
            && event["last_heartbeat"].as_str() <= edge["timestamp"].as_str()
    };
    if edge["event_state"] == "stop" {
        open.retain(|event| !same(event));
    }
    Reply::accepted()
}

fn identity(attributes: &Value) -> Value {
    let mut attributes = attributes.as_object().cloned().unwrap_or_default();
    attributes.retain(|name, _| name != "result" && !name.contains("duration"));
    Value::Object(attributes)
}

fn list(open: &[Value], request: &Request) -> Reply {
    assert_eq!(request.query("state"), ["open"]);
    let selectors = request.query("match[]");
    let matching: Vec<&Value> = open
        .iter()
        .filter(|event| {
            selectors.is_empty() || selectors.iter().any(|selector| *selector == format!("{{event_name={}}}", event["event_name"]))
        })
        .collect();
    let from = request.query("cursor").first().map_or(0, |cursor| cursor.strip_prefix("at ").unwrap().parse().unwrap());
    let page: Vec<&&Value> = matching.iter().skip(from).take(2).collect();
    let mut answer = json!({ "events": page, "warnings": [] });
    if from + 2 < matching.len() {
        answer["next_cursor"] = json!(format!("at {}", from + 2));
    }
    Reply::Answer(200, answer.to_string())
}
