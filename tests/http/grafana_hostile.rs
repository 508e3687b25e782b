//! The front door of Grafana's annotations and what nobody should send.

use std::time::Duration;

use axum::body::Body;
use axum::http::Method;
use serde_json::Value;
use serde_json::json;

use crate::grafana::BEGIN;
use crate::grafana::PATH;
use crate::grafana::at;
use crate::grafana::check_error;
use crate::grafana::written;
use crate::support::Answer;
use crate::support::Server;
use crate::support::request;

async fn post(server: &Server, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
    server.call(request(Method::POST, PATH, headers, body.into())).await
}

#[tokio::test]
async fn a_body_has_its_limit() {
    let server = Server::new("");
    let body = |bytes: usize| format!(r#"{{"text":"{}"}}"#, "x".repeat(bytes - r#"{"text":""}"#.len()));
    let largest = post(&server, &[], body(2 * 1024 * 1024)).await;
    assert_eq!(largest.status, 200, "{}", largest.text());
    let id = largest.json()["id"].as_u64().unwrap();
    assert_eq!(server.read(id).await["text"].as_str().unwrap().len(), 2 * 1024 * 1024 - 11);
    check_error(&post(&server, &[], body(2 * 1024 * 1024 + 1)).await, 413, "the body is longer than 2097152 bytes");
    let gzip = {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(body(2 * 1024 * 1024 + 1).as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    check_error(&post(&server, &[("content-encoding", "gzip")], gzip).await, 413, "the body is longer than 2097152 bytes");
    check_error(&post(&server, &[("content-encoding", "odd")], body(20)).await, 415, "odd");
}

#[tokio::test]
async fn a_media_type_means_nothing() {
    let server = Server::new("");
    for media_type in
        ["", "application/json; charset=utf-8", "application/x-www-form-urlencoded", "text/plain", "application/yaml", "image/png"]
    {
        let headers = if media_type.is_empty() { vec![] } else { vec![("content-type", media_type)] };
        assert_eq!(post(&server, &headers, r#"{"text":"t"}"#).await.status, 200, "{media_type}");
    }
}

#[tokio::test]
async fn wrong_bodies_change_nothing() {
    let server = Server::new("");
    let id = server.annotation(&json!({"text": "t", "tags": ["a"], "time": BEGIN})).await;
    let before = server.read(id).await;
    for body in [
        "",
        "[]",
        "{\"text\":",
        "\u{0}",
        "null",
        r#"{"text":7}"#,
        r#"{"text":"x","tags":"a"}"#,
        r#"{"text":"x","tags":[["a"]]}"#,
        r#"{"text":"x","time":1e300}"#,
        r#"{"text":"x","timeEnd":-62135596800000}"#,
        r#"{"text":"x","time":99999999999999999999}"#,
        r#"{"text":"\udfff"}"#,
        r#"{"text":"x","data":{"a":"\ud800"}}"#,
    ] {
        for method in [Method::PUT, Method::PATCH] {
            let answer = server.call(request(method, &at(id), &[], body.to_owned().into())).await;
            check_error(&answer, 400, "");
        }
        check_error(&post(&server, &[], body.to_owned()).await, 400, "");
    }
    assert_eq!(server.read(id).await, before);
    assert_eq!(server.ids("").await, [id]);
}

#[tokio::test]
async fn what_is_deep_or_large_or_strange_is_refused_or_kept() {
    let server = Server::new("");
    let nested = |levels: usize| format!(r#"{{"text":"t","data":{}1{}}}"#, "[".repeat(levels), "]".repeat(levels));
    assert_eq!(post(&server, &[], nested(100)).await.status, 200);
    check_error(&post(&server, &[], nested(101)).await, 400, "nested deeper than 100 levels");
    check_error(&post(&server, &[], nested(900_000)).await, 400, "nested deeper than 100 levels");
    assert!(server.listed("").await[0]["data"].is_array(), "readers can follow");
    let many = |count: usize| json!({"text": "t", "tags": (0..count).map(|number| format!("bare {number}")).collect::<Vec<_>>()});
    server.annotation(&many(1000)).await;
    check_error(&server.annotate(Method::POST, PATH, &many(1001)).await, 422, "tags: 1001, at most 1000");
    let labels: Vec<String> = (0..40).map(|number| format!("key{number}:v")).collect();
    let answer = server.annotate(Method::POST, PATH, &json!({"text": "t", "tags": labels})).await;
    assert!(answer.status == 200 && answer.header("x-change-events-warnings").contains("labels left out"), "{}", answer.text());
    for tags in [
        json!([
            ":",
            " : ",
            "::",
            "a:",
            "__name__:x",
            "event_name:",
            "event_state:start:stop",
            "type:",
            "\u{0}:\u{0}",
            "le:5",
            "\u{1F600}:\u{1F600}",
            "a\nb:c\"d\\"
        ]),
        json!(["event_name:\u{1F600}", "x".repeat(5000), format!("k:{}", "v".repeat(5000))]),
    ] {
        let id = server.annotation(&json!({"text": "t", "tags": tags, "time": BEGIN})).await;
        assert_eq!(written(&server.read(id).await), json!(["t", tags, BEGIN, BEGIN]));
        // Other doors can read it, too.
        assert_eq!(server.get("/api/v1/event/").await.status, 200);
        assert_eq!(server.get("/v1/accounts/acme/events").await.status, 200);
        assert_eq!(server.get("/metrics").await.status, 200);
        assert_eq!(server.listed("text=whole&limit=1").await.len(), 1);
    }
    let server = server.restarted("");
    assert_eq!(server.ids("").await.len(), 5);
}

#[tokio::test]
async fn keys_that_are_long_are_refused() {
    let server = Server::new("");
    let id = server.annotation(&json!({"text": "t", "time": BEGIN})).await;
    let long = json!([format!("{}:v", "k".repeat(600))]);
    check_error(&server.annotate(Method::PATCH, &at(id), &json!({"tags": long})).await, 422, "at most");
    check_error(&server.annotate(Method::POST, PATH, &json!({"text": "t", "tags": long})).await, 422, "at most");
}

#[tokio::test]
async fn times_at_the_edges_are_taken() {
    let server = Server::new("");
    for (time, end) in [(1, 1), (1, 253_402_300_799_999_i64), (253_402_300_799_999, 1), (253_402_300_799_999, 253_402_300_799_999)] {
        let id = server.annotation(&json!({"text": "t", "time": time, "timeEnd": end})).await;
        let read = server.read(id).await;
        assert_eq!((&read["time"], &read["timeEnd"]), (&json!(time.min(end)), &json!(time.max(end))));
    }
    let scheduled = server.annotation(&json!({"text": "t", "tags": ["start"], "time": 253_402_300_799_999_i64})).await;
    let read = server.read(scheduled).await;
    assert!(read["timeEnd"].as_i64() > read["time"].as_i64(), "{read}");
    server.reannotate(Method::PUT, scheduled, &json!({"text": "u", "timeEnd": read["time"]})).await;
    for query in
        ["from=9223372036854775807", "to=9223372036854775807", "from=1&to=1", "from=-9223372036854775808", "limit=9223372036854775807"]
    {
        server.listed(query).await;
    }
}

#[tokio::test]
async fn two_that_end_the_same_end_it_once() {
    let server = Server::new("");
    let open = server.annotation(&json!({"text": "t", "tags": ["deploy", "start"], "time": BEGIN})).await;
    let end = json!({"text": "d", "tags": ["deploy", "done"], "time": BEGIN + 5});
    let both = [server.annotate(Method::POST, PATH, &end), server.annotate(Method::POST, PATH, &end)];
    let answers = futures_util::future::join_all(both).await;
    let ids: Vec<u64> = answers.iter().map(|answer| answer.json()["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.iter().filter(|id| **id == open).count(), 1, "{ids:?}");
    assert_eq!(server.ids("").await.len(), 2, "the other one is a point");
}

#[tokio::test]
async fn who_changes_at_the_same_time_loses_nothing() {
    let server = Server::new("");
    let id = server.annotation(&json!({"text": "t", "tags": ["start"], "time": BEGIN})).await;
    server.clock.advance(Duration::from_mins(1));
    let (text, end, path) = (json!({"text": "u"}), json!({"timeEnd": BEGIN + 7}), at(id));
    let changes = [server.annotate(Method::PATCH, &path, &text), server.annotate(Method::PATCH, &path, &end)];
    assert!(futures_util::future::join_all(changes).await.iter().all(|answer| answer.status == 200));
    assert_eq!(written(&server.read(id).await), json!(["u", ["start"], BEGIN, BEGIN + 7]));
    assert_eq!(Value::Null, server.read(id).await["title"]);
}
