//! `open` and `close`: the list to its end, oldest first, and stops that fit the starts.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::{Ended, FakeServer, Reply, change_events, run};
use crate::tiny::{Open, event, serve};

fn some() -> Open {
    Arc::new(Mutex::new(vec![
        event("e4", "deployment", "2026-02-20T10:00:00.000Z", &json!({"service_name": "web"})),
        event("e3", "incident", "2026-02-20T09:00:00.000Z", &json!({"n": 7, "nested": {"a": [1, true]}, "t": "a\"\u{1b}[2J"})),
        event("e2", "deployment", "2026-02-19T08:00:00.000Z", &json!({"service_name": "api", "env": "prod"})),
        event("e5", "job", "2026-02-18T08:30:00.000Z", &json!({})),
        event("e1", "deployment", "2020-02-18T08:00:00.000Z", &json!({"service_name": "old"})),
    ]))
}

fn call(server: &FakeServer, arguments: &[&str]) -> Ended {
    run(change_events(arguments).env("CHANGE_EVENTS_URL", server.url()))
}

fn ids(open: &Open) -> Vec<String> {
    open.lock().unwrap().iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn open_lists_all_pages_oldest_first() {
    let server = serve(&some());
    let ended = call(&server, &["open"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines.len(), 6);
    assert!(lines[0].starts_with("AGE "), "{}", lines[0]);
    let found: Vec<&str> = lines[1..].iter().map(|line| line.split_whitespace().nth(3).unwrap()).collect();
    assert_eq!(found, ["e1", "e5", "e2", "e3", "e4"]);
    let (_, labels) = lines[3].split_once("e2").unwrap();
    assert_eq!(labels.trim(), r#"{env="prod",service_name="api"}"#);
    assert!(!ended.stdout.contains('\u{1b}'));
    assert!(ended.stdout.contains(r#"t="a\""#), "{}", ended.stdout);
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn open_selects_limits_and_writes_json() {
    let server = serve(&some());
    let parsed = |arguments: &[&str]| -> Vec<Value> {
        let ended = call(&server, arguments);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        serde_json::from_str(&ended.stdout).unwrap()
    };
    let found: Vec<Value> = parsed(&["open", "--json", "{event_name=\"deployment\"}", "{event_name=\"job\"}"])
        .into_iter()
        .map(|event| event["id"].clone())
        .collect();
    assert_eq!(found, ["e1", "e5", "e2", "e4"]);
    let oldest = parsed(&["open", "--json", "--limit", "1"]);
    assert_eq!(oldest, [some().lock().unwrap()[4].clone()]);
    let ended = call(&server, &["open", "--limit", "2"]);
    assert_eq!(ended.stdout.lines().count(), 3);
    assert!(ended.stderr.contains("3 younger"), "{ended:?}");
    assert_eq!(parsed(&["open", "--json", "--older-than", "1000y"]), Vec::<Value>::new());
    assert_eq!(parsed(&["open", "--json", "{event_name=\"none\"}"]), Vec::<Value>::new());
    let ended = call(&server, &["open", "{event_name=\"none\"}"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""));
    assert!(ended.stderr.contains("nothing is open"));
}

#[test]
fn close_by_id_sends_the_attributes_of_the_start() {
    for id in ["e3", "start-e3"] {
        let open = some();
        let server = serve(&open);
        let ended = call(&server, &["close", id, "--result", "cancelled", "-a", "duration_ms:=5"]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "e3\n"), "{ended:?}");
        assert_eq!(ids(&open), ["e4", "e2", "e5", "e1"]);
        let edges = server.edges();
        assert_eq!(edges.len(), 1);
        assert_eq!(edges[0]["event_state"], "stop");
        let expected = json!({"n": 7, "nested": {"a": [1, true]}, "t": "a\"\u{1b}[2J", "result": "cancelled", "duration_ms": 5});
        assert_eq!(edges[0]["attributes"], expected);
    }
}

#[test]
fn more_than_one_is_closed_only_with_all() {
    let open = some();
    let server = serve(&open);
    let ended = call(&server, &["close", "--match", "{event_name=\"deployment\"}"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{ended:?}");
    assert!(ended.stderr.contains("--all") && ended.stderr.contains("e2"), "{ended:?}");
    assert!(server.edges().is_empty());
    let ended = call(&server, &["close", "--match", "{event_name=\"deployment\"}", "--all"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "e1\ne2\ne4\n"), "{ended:?}");
    assert_eq!(ids(&open), ["e3", "e5"]);
    let ended = call(&server, &["close", "--match", "{event_name=\"job\"}"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "e5\n"), "{ended:?}");
}

#[test]
fn close_by_age() {
    let open = some();
    let server = serve(&open);
    let ended = call(&server, &["close", "--older-than", "1000y"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let ended = call(&server, &["close", "--older-than", "1d", "--match", "{event_name=\"incident\"}"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "e3\n"), "{ended:?}");
}

#[test]
fn a_stop_is_never_before_the_last_sign_of_life() {
    let open = some();
    open.lock().unwrap().clear();
    let mut beating = event("b", "job", "2026-02-20T10:00:00.000Z", &json!({}));
    beating["last_heartbeat"] = json!("2999-01-01T00:00:00.000Z");
    open.lock().unwrap().push(beating);
    let server = serve(&open);
    let ended = call(&server, &["close", "b"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(server.edges()[0]["timestamp"], "2999-01-01T00:00:00.000Z");
    assert!(ids(&open).is_empty());
}

#[test]
fn labels_stand_in_for_attributes_that_are_not_known() {
    let open = some();
    open.lock().unwrap()[0]["start"].as_object_mut().unwrap().remove("attributes");
    let server = serve(&open);
    call(&server, &["close", "e4"]);
    assert_eq!(server.edges()[0]["attributes"], json!({"service_name": "web"}));
}

#[test]
fn what_stays_open_is_said_and_is_a_failure() {
    let open = some();
    let server = serve(&open);
    let ended = call(&server, &["close", "e2", "--event-name", "deployment_complete"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
    assert!(ended.stderr.contains("e2 is still open"), "{ended:?}");
    assert_eq!(server.edges()[0]["event_name"], "deployment_complete");
    assert_eq!(ids(&open).len(), 5);
}

#[test]
fn unknown_ids_and_missing_choices() {
    let open = some();
    let server = serve(&open);
    assert_eq!(call(&server, &["close", "nope"]).code, Some(1));
    assert_eq!(call(&server, &["close", "--match", "{event_name=\"nope\"}"]).code, Some(1));
    assert_eq!(call(&server, &["close"]).code, Some(2));
    assert_eq!(call(&server, &["close", "--all"]).code, Some(2));
    assert_eq!(call(&server, &["close", "e1", "--match", "{event_name=\"job\"}"]).code, Some(2));
    assert_eq!(call(&server, &["close", "e1", "--result", "a", "-a", "result=b"]).code, Some(2));
    assert!(server.edges().is_empty());
}

#[test]
fn a_list_that_never_ends_is_given_up() {
    let server = FakeServer::start(|_, _| Reply::Answer(200, r#"{"events":[],"next_cursor":"x"}"#.to_owned()));
    let ended = call(&server, &["open"]);
    assert_eq!((ended.code, server.requests().len()), (Some(1), 2), "{ended:?}");
}
