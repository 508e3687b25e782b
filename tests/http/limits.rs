//! What each door answers at a limit that passes: when to come back, and never to what ends something.

use axum::http::Method;
use change_events::store::Options;
use serde_json::Value;
use serde_json::json;

use crate::apitraffic::PATH;
use crate::apitraffic::check_error;
use crate::apitraffic::sid;
use crate::ets;
use crate::ets::ETS;
use crate::support::Answer;
use crate::support::EVENTS;
use crate::support::NOW;
use crate::support::Server;

fn job(state: &str, entity: &str) -> Value {
    json!({"event_name": "job", "event_state": state, "attributes": {"entity_id": entity}})
}

async fn put(server: &Server, body: &Value) -> Answer {
    server.put(body.to_string(), &[]).await
}

async fn start(server: &Server, entity: &str) -> u16 {
    put(server, &job("start", entity)).await.status
}

fn of_open_events(open_events_max: usize) -> Server {
    Server::with_store(Options { open_events_max, ..Options::default() }, "")
}

fn of_label_sets(label_sets_max: usize) -> Server {
    Server::with_store(Options { label_sets_max, ..Options::default() }, "")
}

const FULL: &str = "open events: 2 are there already, the most that --limit.open-events allows";

#[tokio::test]
async fn every_door_says_when_there_may_be_room() {
    let server = of_open_events(2);
    let marker = server.create(&json!({"type": "incident", "name": "a"})).await;
    assert_eq!(ets::put(&server, r#"{"id": "whole", "start_time": "2026-02-20T09:00:00Z", "end_time": null}"#).await.status, 200);
    let refused = put(&server, &job("start", "1")).await;
    assert_eq!((refused.status, refused.json()), (429, json!({"error": FULL})));
    let other = server.ask("POST", PATH, &[], &json!({"type": "incident", "name": "b"})).await;
    assert_eq!(check_error(&other, 429, "RATE_LIMIT_EXCEEDED", None), FULL);
    let third = ets::put(&server, r#"{"id": "other", "start_time": "2026-02-20T09:00:00Z", "end_time": null}"#).await;
    ets::assert_refused(&third, 429, FULL);
    for answer in [&refused, &other, &third] {
        assert_eq!(answer.header("retry-after"), "60");
    }
    let counted = server.get("/metrics").await.text();
    assert!(counted.contains("change_events_refused_total{reason=\"limit\"} 3"), "{counted}");

    // What goes on is taken at each of them, and what ends makes room.
    assert_eq!(put(&server, &job("stop", "nothing-open")).await.status, 200);
    server.change("PUT", sid(&marker), &json!({"name": "c"})).await;
    server.change("PUT", sid(&marker), &json!({"endedAt": NOW.to_string()})).await;
    assert_eq!(start(&server, "1").await, 200);
    assert_eq!(start(&server, "1").await, 200, "a heartbeat");
    assert_eq!(start(&server, "2").await, 429);
    assert_eq!(ets::delete(&server, "whole").await.status, 200);
    assert_eq!(start(&server, "2").await, 200);
}

#[tokio::test]
async fn what_ends_something_is_taken_at_the_limit_of_label_sets_at_each_door() {
    let server = of_label_sets(3);
    assert_eq!(start(&server, "1").await, 200);
    let marker = server.create(&json!({"type": "incident", "name": "a"})).await;
    assert_eq!(
        ets::put(&server, r#"{"id": "whole", "start_time": "2026-02-20T09:00:00Z", "end_time": null, "tags": {"a": ["b"]}}"#).await.status,
        200
    );
    let refused = put(&server, &job("start", "2")).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "600"), "{}", refused.text());
    assert_eq!(start(&server, "1").await, 200, "it has a label set");

    let stop = json!({"event_name": "job", "event_state": "stop", "attributes": {"entity_id": "1", "result": "failed"}});
    let taken = put(&server, &stop).await;
    let warning = "label result: as at its start, there are 3 label sets already, the most that --limit.label-sets allows; the event keeps what was sent";
    assert_eq!((taken.status, &taken.json()["warnings"]), (200, &json!([warning])));
    let listed = server.get(&format!("{EVENTS}?match[]=%7Bentity_id%3D%221%22%7D&limit=1")).await.json();
    let stop = &listed["events"][0]["stop"];
    assert_eq!(
        (&stop["attributes"]["result"], &stop["labels"]["result"], &stop["id"]),
        (&json!("failed"), &json!(null), &taken.json()["id"])
    );

    let ended = server.ask("PUT", &format!("{PATH}/{}", sid(&marker)), &[], &json!({"endedAt": NOW.to_string(), "name": "other"})).await;
    assert_eq!((ended.status, &ended.json()["name"]), (200, &json!("other")), "{}", ended.text());
    assert!(ended.header("x-change-events-warnings").contains("as at its start"), "{:?}", ended.headers);
    let ended = ets::send(
        &server,
        Method::POST,
        r#"{"operation": "update", "event": {"id": "whole", "end_time": "2026-02-20T09:30:00Z", "tags": {"a": ["c"]}}}"#,
    )
    .await;
    assert_eq!((ended.status, &ended.json()["tags"]), (200, &json!({"a": ["c"]})), "{}", ended.text());
    assert_eq!(server.ask("DELETE", &format!("{PATH}/{}", sid(&marker)), &[], &Value::Null).await.status, 204);
}

#[tokio::test]
async fn of_an_array_each_event_says_whether_it_may_be_sent_again() {
    #[track_caller]
    fn check(answer: &Answer, status: u16, retry_after: &str, items: &[(u16, Option<u32>)]) {
        let json = answer.json();
        let told = json["results"].as_array().unwrap().iter().map(|item| {
            let status = item["status"].as_u64().unwrap_or(200);
            (u16::try_from(status).unwrap(), item["retry_after"].as_u64().map(|seconds| u32::try_from(seconds).unwrap()))
        });
        assert_eq!((answer.status, answer.header("retry-after"), &*told.collect::<Vec<_>>()), (status, retry_after, items), "{json}");
    }
    let server = of_open_events(1);
    let (full, malformed) = ((429, Some(60)), (400, None));
    let mixed = put(&server, &json!([job("start", "1"), job("start", "2"), {}, job("start", "1")])).await;
    check(&mixed, 207, "", &[(200, None), full, malformed, (200, None)]);
    let all = put(&server, &json!([job("start", "2"), job("start", "3")])).await;
    check(&all, 429, "60", &[full, full]);
    assert_eq!(all.json()["error"], format!("none of 2 events was taken; the first: {}", FULL.replace('2', "1")));
    // Whoever gives up what is malformed would give up the other, too.
    let behind = put(&server, &json!([{}, job("start", "2")])).await;
    check(&behind, 429, "60", &[malformed, full]);
    assert_eq!(behind.json()["error"], format!("none of 2 events was taken; the first that may be sent again: {}", FULL.replace('2', "1")));
    check(&put(&server, &json!([{}, {}])).await, 400, "", &[malformed, malformed]);

    let line = |body: &Value| format!("{body}\n");
    let lines = |bodies: &[Value]| bodies.iter().map(line).collect::<String>();
    let answer = server.put_lines(lines(&[json!({}), job("start", "2"), job("start", "3")]), &[]).await;
    let json = answer.json();
    assert_eq!((answer.status, answer.header("retry-after"), &json["items"][1]["retry_after"]), (429, "60", &json!(60)), "{json}");
    let answer = server.put_lines(lines(&[job("start", "2"), job("stop", "1"), job("start", "1")]), &[]).await;
    assert_eq!((answer.status, answer.json()["accepted"].as_u64()), (207, Some(2)), "{}", answer.text());
}

#[tokio::test]
async fn a_key_whose_event_was_refused_by_a_limit_may_be_used_again() {
    let server = of_open_events(1);
    assert_eq!(start(&server, "1").await, 200);
    let again = || server.put(job("start", "2").to_string(), &[("idempotency-key", "k")]);
    assert_eq!((again().await.status, again().await.status), (429, 429));
    assert_eq!(put(&server, &job("stop", "1")).await.status, 200);
    assert_eq!(again().await.status, 200);
    let other = server.put(job("start", "3").to_string(), &[("idempotency-key", "k")]).await;
    assert_eq!((other.status, other.header("retry-after")), (422, ""), "another body is never taken");
}

#[tokio::test]
async fn keys_of_a_day_come_free_when_the_first_lapses() {
    let server = Server::with_store(Options { claims_max: 1, ..Options::default() }, "");
    let with_key = async |key: &str| server.put(job("start", key).to_string(), &[("idempotency-key", key)]).await;
    assert_eq!(with_key("a").await.status, 200);
    server.clock.advance(std::time::Duration::from_hours(20));
    let refused = with_key("b").await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "14400"), "{}", refused.text());
    let marker = server.ask("POST", PATH, &[("idempotency-key", "c")], &json!({"type": "incident", "name": "a"})).await;
    check_error(&marker, 429, "RATE_LIMIT_EXCEEDED", Some("Idempotency-Key"));
    server.clock.advance(std::time::Duration::from_secs(14_401));
    assert_eq!(with_key("b").await.status, 200);
}

#[tokio::test]
async fn an_answer_is_not_many_times_as_long_as_its_array() {
    let cluster = |number: usize| format!("- name: prometheus-{number:05}.example\n");
    let clusters: String = (0..1000).map(cluster).collect();
    let server = Server::new(&format!("clusters:\n{clusters}"));
    let array = |item: &str| format!("[{}]", vec![item; 10_000].join(","));
    let old = r#"{"event_name":"e","timestamp":"2020-01-01T00:00:00Z"}"#;
    let long = format!(r#"{{"{}":1}}"#, "\\u0001".repeat(20));
    let unknown = r#"{"event_name":"e","data_source_name":"x"}"#;
    for item in ["1", "{}", "\"x\"", "[]", unknown, r#"{"event_name":"e"}"#, old, &long] {
        let body = array(item);
        let bytes = body.len();
        let answer = server.put(body, &[]).await;
        let (ratio, json) = (answer.bytes.len() / bytes, answer.json());
        assert!(answer.bytes.len() < 10 * bytes + 80_000, "{ratio} times as much for {item}");
        assert_eq!(json["results"].as_array().unwrap().len(), 10_000, "one for each");
        assert!(json["results"][0]["error"].is_string() || json["results"][0]["id"].is_string(), "{item}");
        let said = json["results"].as_array().unwrap().iter().filter(|item| item["error"].is_string() || item["warnings"].is_array());
        let refused = json["results"].as_array().unwrap().iter().filter(|item| item["status"].is_u64());
        let (said, refused) = (said.count(), refused.count());
        assert!(refused <= said + usize::try_from(json["texts_omitted"].as_u64().unwrap_or(0)).unwrap(), "{said} of {refused}");
    }
    // Of an array as people send them nothing is left out.
    let answer = put(&server, &json!(vec![json!({}); 100])).await.json();
    assert!(answer["results"].as_array().unwrap().iter().all(|item| item["error"].is_string()) && answer["texts_omitted"].is_null());
}

#[tokio::test]
async fn clusters_of_the_configuration_do_not_count() {
    let cluster = |number: usize| format!("- name: c{number}\n");
    let clusters: String = (0..150).map(cluster).collect();
    let server = Server::new(&format!("clusters:\n{clusters}"));
    for number in 0..150 {
        let event = json!({"event_name": "e", "data_source_name": format!("c{number}"), "attributes": {"n": number}});
        assert_eq!(put(&server, &event).await.status, 200, "{number}");
    }
}

/// Each of 31 attributes that nothing else has.
fn many_names(number: usize) -> Value {
    (0..31).map(|name| (format!("n{number}_{name}"), json!("v"))).collect::<serde_json::Map<_, _>>().into()
}

#[tokio::test]
async fn a_sender_of_thousands_of_names_goes_on_without_labels_and_leaves_some_to_others() {
    let roomy = "limits: {labels: 32}";
    let server = Server::new(roomy);
    let events: Vec<Value> = (0..1000).map(|number| json!({"event_name": "e", "attributes": many_names(number)})).collect();
    let answer = put(&server, &Value::from(events)).await;
    let json = answer.json();
    assert_eq!((answer.status, &json["message"]), (200, &json!("success")), "{}", json["results"][999]);
    let warning = "label n999_0 and 30 more: left out, there are as many label names as one sender may bring, of 10000 half of what others leave; the event keeps what was sent";
    assert_eq!(json["results"][999]["warnings"][1], json!(warning));
    let page = server.get("/metrics").await.text();
    let lost = 31_000 - 4999;
    assert!(page.contains(&format!("change_events_labels_left_out_total {lost}\n")), "{lost}");
    let listed = server.get(&format!("{EVENTS}?limit=1")).await.json();
    assert_eq!(listed["events"][0]["start"]["attributes"].as_object().map(serde_json::Map::len), Some(31), "{listed}");

    // The same by other doors, which are of the same sender; and lines.
    let tagged = json!({"event": {"id": "t", "tags": {"own_tag": ["x"]}}});
    let answer = server.ask("PUT", ETS, &[("content-type", "application/json")], &tagged).await;
    assert_eq!((answer.status, &answer.json()["tags"]), (200, &json!({"own_tag": ["x"]})));
    assert!(answer.header("x-change-events-warnings").starts_with("label own_tag: left out"), "{:?}", answer.headers);
    let answer = server.put_lines(format!("{}\n", json!({"event_name": "e", "attributes": {"own_line": "x"}})), &[]).await.json();
    assert!(answer["items"][0]["warnings"][1].as_str().unwrap().starts_with("label own_line: left out"), "{answer}");
    assert_eq!(ets::delete(&server, "t").await.status, 200);

    // A restart reads the same, and others have names still.
    let before = server.get(&format!("{EVENTS}?limit=1000")).await.json();
    let server = server.restarted(roomy);
    assert_eq!(server.get(&format!("{EVENTS}?limit=1000")).await.json(), before);
    let answer = put(&server, &json!({"event_name": "x", "attributes": {"service_name": "a"}})).await;
    assert_eq!((answer.status, &answer.json()["warnings"]), (200, &json!(null)));
}
