//! Which stop closes which start, by their names, and what the sender of a stop that closes nothing is told.

use serde_json::Value;
use serde_json::json;

use crate::support::EVENTS;
use crate::support::Server;

/// An edge so many seconds after 10:00.
fn edge(name: &str, state: &str, seconds: i64, attributes: &Value) -> Value {
    let at = format!("2026-02-20T09:{:02}:{:02}Z", 30 + seconds / 60, seconds % 60);
    let mut edge = json!({"event_name": name, "timestamp": at, "attributes": attributes});
    if !state.is_empty() {
        edge["event_state"] = state.into();
    }
    edge
}

async fn put(server: &Server, edge: &Value) -> Value {
    let answer = server.put(edge.to_string(), &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

async fn open(server: &Server) -> Vec<String> {
    let listed = server.get(&format!("{EVENTS}?state=open")).await.json();
    let names = listed["events"].as_array().unwrap().iter().map(|event| event["event_name"].as_str().unwrap().to_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// What is open after these edges, each of a name with a state, a minute apart.
async fn check(yaml: &str, edges: &[(&str, &str)], expected: &[&str]) {
    let server = Server::new(yaml);
    for (seconds, (name, state)) in (0..).step_by(60).zip(edges) {
        put(&server, &edge(name, state, seconds, &json!({"service": "api"}))).await;
    }
    assert_eq!(open(&server).await, expected, "{edges:?}");
    assert_eq!(open(&server.restarted(yaml)).await, expected, "{edges:?}, after a restart");
}

#[tokio::test]
async fn names_that_say_which_end_they_are_pair() {
    let off = "pairing_by_name: false";
    let rule = "pairing: [{start: job_start, stop: job_gone, labels: [service]}]";
    for (yaml, edges, expected) in [
        ("", &[("deployment_start", "start"), ("deployment_complete", "stop")][..], &[][..]),
        ("", &[("backup.begin", "start"), ("backup.done", "stop")], &[]),
        ("", &[("job_started", "start"), ("job_start", "stop")], &[]),
        ("", &[("vm_start", "start"), ("vm_stop", "stop")], &["vm_start"]),
        ("", &[("a_start", "start"), ("a-end", "stop")], &["a_start"]),
        ("", &[("a_start", "start"), ("b_end", "stop")], &["a_start"]),
        // Without a state a name is that of a point.
        ("", &[("job_start", ""), ("job_end", "")], &[]),
        ("", &[("job_start", "start"), ("job_end", "")], &["job_start"]),
        (off, &[("job_start", "start"), ("job_end", "stop")], &["job_start"]),
        (off, &[("job_start", "start"), ("job_start", "stop")], &[]),
        (rule, &[("job_start", "start"), ("job_end", "stop")], &["job_start"]),
        (rule, &[("job_start", "start"), ("job_gone", "stop")], &[]),
        // What was sent as a start pairs with its own name from then on, and what came before stays as it was.
        ("", &[("job_done", "start"), ("job_done", "stop")], &[]),
        ("", &[("job_start", "start"), ("job_done", "start"), ("job_done", "stop")], &["job_start"]),
        ("", &[("job_start", "start"), ("job_done", "stop"), ("job_done", "start")], &["job_done"]),
        ("", &[("job_done", "start"), ("job_start", "start"), ("job_finished", "stop")], &["job_done"]),
    ] {
        check(yaml, edges, expected).await;
    }
}

#[tokio::test]
async fn a_start_named_like_an_end_is_warned_of_the_switch() {
    let server = Server::new("");
    let answer = put(&server, &edge("job_done", "start", 0, &json!({}))).await;
    assert!(answer["warnings"][0].as_str().unwrap().contains("`pairing_by_name: false`"), "{answer}");
    let both = json!([edge("task_done", "start", 0, &json!({})), edge("task_done", "stop", 1, &json!({}))]);
    let answer = server.put(both.to_string(), &[]).await.json();
    assert_eq!(answer["results"][1].get("warnings"), None, "in one commit too: {answer}");
    assert_eq!(open(&server).await, ["job_done"]);
    let server = Server::new("pairing_by_name: false");
    assert_eq!(put(&server, &edge("job_done", "start", 0, &json!({}))).await.get("warnings"), None);
}

/// What the sender of this stop is told, after some starts.
async fn told(starts: &[Value], stop: &Value) -> (Vec<String>, Option<String>) {
    let server = Server::new("");
    let mut ids = Vec::new();
    for start in starts {
        ids.push(put(&server, start).await["id"].as_str().unwrap().to_owned());
    }
    let answer = put(&server, stop).await;
    let warning = answer["warnings"].as_array().map(|warnings| warnings[0].as_str().unwrap().to_owned());
    let mut other = stop.clone();
    other["timestamp"] = "2026-02-20T09:31:01Z".into();
    let (line, array) = (format!("{other}\n"), json!([other]).to_string());
    let before = server.telemetry.stops_unmatched.get();
    assert!(before == 1 || warning.is_none(), "{answer}");
    let lines = server.put_lines(line, &[]).await.json();
    if before == 1 {
        assert_eq!(server.telemetry.stops_unmatched.get(), 2, "{lines}");
        assert_eq!(lines.to_string().contains("closes nothing"), warning.is_some(), "{lines}");
    }
    let again = server.put(array, &[]).await.json();
    assert_eq!(again["results"][0].get("warnings"), None, "it is known by now: {again}");
    (ids, warning)
}

#[tokio::test]
async fn a_stop_that_closes_nothing_is_told_what_it_misses() {
    let job = |id: &str, environment: &str| json!({"entity_id": id, "environment": environment});
    for (starts, stop, expected) in [
        // Some send ends alone.
        (vec![], edge("a", "stop", 60, &json!({"x": 1})), None),
        (vec![edge("a", "start", 0, &json!({"entity_id": 8}))], edge("a", "stop", 60, &json!({"entity_id": 7})), None),
        (vec![edge("b", "start", 0, &json!({"x": 1}))], edge("a", "stop", 60, &json!({"x": 1})), None),
        (vec![edge("a", "start", 0, &json!({"x": 1}))], edge("a", "stop", 60, &json!({"x": 1})), None),
        (
            vec![edge("a", "start", 0, &json!({"x": 1}))],
            edge("a", "stop", 60, &json!({"x": 1, "y": 2, "result": "ok"})),
            Some("the nearest open event is \"{0}\", since 2026-02-20T09:30:00.000Z; it differs in y (\"2\" here, none there)"),
        ),
        (
            vec![edge("job", "start", 0, &job("7", "prod")), edge("job", "start", 0, &job("8", "prod"))],
            edge("job", "stop", 60, &json!({"entity_id": "7"})),
            Some("\"{0}\", since 2026-02-20T09:30:00.000Z; it differs in deployment_environment (none here, \"prod\" there), environment"),
        ),
        (
            vec![edge("a", "start", 90, &json!({"x": 1}))],
            edge("a", "stop", 60, &json!({"x": 1})),
            Some("\"{0}\", since 2026-02-20T09:31:30.000Z, 30 s after it: more than the clocks of both may differ (--pairing.skew)"),
        ),
        (
            vec![edge("job_start", "start", 0, &json!({"x": 1}))],
            edge("job_done", "stop", 60, &json!({"x": 2})),
            Some("; it differs in x (\"2\" here, \"1\" there)"),
        ),
    ] {
        let (ids, warning) = told(&starts, &stop).await;
        let expected = expected.map(|text| text.replace("{0}", ids.first().map_or("", String::as_str)));
        match (&warning, &expected) {
            (Some(warning), Some(expected)) => assert!(warning.contains(expected.as_str()), "{warning}\n{expected}"),
            _ => assert_eq!(warning, expected, "{stop}"),
        }
    }
}

/// An entity that comes back is open, whatever ended it just before.
#[tokio::test]
async fn a_stop_of_before_ends_no_start_that_comes_after_it() {
    for edges in [
        &[("start", 0), ("stop", 60), ("stop", 61), ("start", 240)][..],
        &[("stop", 100), ("start", 280)],
        &[("start", 0), ("stop", 60), ("start", 61)],
    ] {
        let server = Server::new("");
        for &(state, seconds) in edges {
            put(&server, &edge("job", state, seconds, &json!({"entity_id": "7"}))).await;
        }
        assert_eq!(open(&server).await, ["job"], "{edges:?}");
        assert_eq!(open(&server.restarted("")).await, ["job"], "{edges:?}");
    }
}

/// Clocks of two machines are minutes apart now and then; an id of its own says what is meant.
#[tokio::test]
async fn the_clock_of_who_stops_an_entity_may_be_five_minutes_behind() {
    for (attributes, behind, left, left_if_late) in [
        (json!({"entity_id": "7"}), 300, 0, 1),
        (json!({"entity_id": "7"}), 301, 1, 1),
        (json!({"entity_id": "7"}), 5, 0, 0),
        (json!({"host": "a"}), 5, 0, 0),
        (json!({"host": "a"}), 6, 1, 1),
    ] {
        for late in [false, true] {
            let left = if late { left_if_late } else { left };
            let server = Server::new("");
            let mut both = [edge("job", "start", 600, &attributes), edge("job", "stop", 600 - behind, &attributes)];
            if late {
                both.reverse();
            }
            for edge in &both {
                put(&server, edge).await;
            }
            assert_eq!(open(&server).await.len(), left, "{attributes} {behind} {late}");
            assert_eq!(open(&server.restarted("")).await.len(), left, "{attributes} {behind} {late}");
        }
    }
}
