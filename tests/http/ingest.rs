//! One event, an array, an `Idempotency-Key`.

use axum::body::Body;
use change_events::account::Account;
use change_events::account::Item;
use change_events::account::Shares;
use change_events::http::app::WebOptions;
use serde_json::Value;
use serde_json::json;

use crate::support::NOW;
use crate::support::Server;

const DEPLOYMENT: &str = r#"{"event_name":"deployment","event_state":"start","attributes":{"service_name":"api"}}"#;

#[tokio::test]
async fn one_event_is_answered_with_id_and_time() {
    let server = Server::new("");
    let answer = server.put(DEPLOYMENT, &[("content-type", "application/json")]).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    let first = answer.json();
    assert_eq!(first["message"], "success");
    assert_eq!(first["timestamp"], NOW.to_string());
    assert_eq!(first["id"].as_str().unwrap().len(), 32);
    assert_eq!(first.as_object().unwrap().len(), 3, "{first}");
    assert_eq!(server.put(DEPLOYMENT, &[]).await.json(), first, "the same again is answered as before");
    let listed = server.get("/api/v4/organizations/any/change_events").await.json();
    assert_eq!(listed["events"].as_array().unwrap().len(), 1);
    assert_eq!(listed["events"][0]["id"], first["id"]);
}

#[tokio::test]
async fn the_body_may_say_nothing_of_its_type() {
    let server = Server::new("");
    for media_type in ["application/x-www-form-urlencoded", "text/plain", "application/json; charset=utf-8"] {
        assert_eq!(server.put(DEPLOYMENT, &[("content-type", media_type)]).await.status, 200, "{media_type}");
    }
    let answer = server.put(DEPLOYMENT, &[("content-type", "application/xml")]).await;
    assert_eq!(answer.status, 415);
    assert!(answer.json()["error"].as_str().unwrap().contains("`application/xml`"));
}

#[tokio::test]
async fn an_array_is_answered_item_by_item() {
    let server = Server::new("");
    let put = async |body: Value| {
        let answer = server.put(body.to_string(), &[]).await;
        (answer.status, answer.json())
    };
    let good = json!({"event_name": "a", "timestamp": "2026-02-20T09:59:00Z"});
    let bad = json!({"event_name": "b", "event_state": "middle"});
    let (status, all) = put(json!([good, good])).await;
    assert_eq!((status, &all["message"]), (200, &json!("success")));
    assert_eq!(all["results"][0]["id"], all["results"][1]["id"]);
    assert_eq!(all["results"][0]["timestamp"], "2026-02-20T09:59:00.000Z");
    let (status, some) = put(json!([bad, good])).await;
    assert_eq!((status, &some["message"]), (207, &json!("partial")));
    assert_eq!(some["results"][0]["status"], 400);
    assert!(some["results"][0]["error"].as_str().unwrap().contains("event_state"), "{some}");
    assert_eq!(some["results"][1]["id"], all["results"][0]["id"]);
    let (status, none) = put(json!([bad, bad, 5])).await;
    assert_eq!(status, 400);
    assert!(none["error"].as_str().unwrap().starts_with("none of 3 events was taken; the first: event_state"), "{none}");
    assert_eq!(none["results"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_key_fixes_the_time_and_the_body() {
    let server = Server::new("");
    let put = async |body: &'static str, key: &str| server.put(body, &[("idempotency-key", key)]).await;
    let first = put(DEPLOYMENT, "k1").await.json();
    server.clock.advance(std::time::Duration::from_secs(90));
    assert_eq!(put(DEPLOYMENT, "k1").await.json(), first, "an absent timestamp means that of the first request");
    assert_ne!(put(DEPLOYMENT, "k2").await.json()["timestamp"], first["timestamp"]);
    let other = put(r#"{"event_name":"other"}"#, "k1").await;
    assert_eq!(other.status, 422);
    assert!(other.json()["error"].as_str().unwrap().starts_with("Idempotency-Key: "));
    let long = "k".repeat(256);
    assert_eq!(put(DEPLOYMENT, &long).await.status, 400);
    assert_eq!(put(DEPLOYMENT, "").await.status, 400);
    let lines = server.put_lines("{\"event_name\":\"a\"}\n", &[("idempotency-key", "k3")]).await;
    assert_eq!(lines.json()["accepted"], 1);
    server.clock.advance(std::time::Duration::from_secs(90));
    let again = server.put_lines("{\"event_name\":\"a\"}\n", &[("idempotency-key", "k3")]).await;
    assert_eq!(again.json()["duplicates"], 1);
    server.clock.advance(std::time::Duration::from_hours(25));
    assert_eq!(put(r#"{"event_name":"other"}"#, "k1").await.status, 200, "a day later the key is forgotten");
}

#[tokio::test]
async fn limits_are_named() {
    let server = Server::new("limits: {body_bytes: 300, item_bytes: 120, batch_items: 4, labels: 4}");
    let put = async |body: String| {
        let answer = server.put(body, &[]).await;
        (answer.status, answer.json()["error"].as_str().unwrap_or_default().to_owned())
    };
    let (status, error) = put(format!("{{\"event_name\":\"{}\"}}", "a".repeat(300))).await;
    assert_eq!(status, 413);
    assert!(error.contains("300 bytes (--limit.body-bytes)"), "{error}");
    let (status, error) = put(format!("{{\"event_name\":\"{}\"}}", "a".repeat(150))).await;
    assert_eq!(status, 413, "{error}");
    assert_eq!(put(format!("[{}]", [r#"{"event_name":"a"}"#; 5].join(","))).await.0, 413);
    assert_eq!(put(r#"{"event_name":"a","attributes":{"a":1,"b":2,"c":3,"d":4,"e":5}}"#.to_owned()).await, (200, String::new()));
}

#[tokio::test]
async fn bytes_in_flight_are_bounded() {
    let account = Account::new(1 << 39, Shares { bodies: 50_000, ..Shares::divide(1 << 39) });
    let server = Server::with_account(account.clone());
    let large = format!("[{}{DEPLOYMENT}]", " ".repeat(60_000));
    let answer = server.put(large, &[]).await;
    assert_eq!((answer.status, answer.text().contains("--limit.memory")), (413, true));
    assert_eq!(server.put(DEPLOYMENT, &[]).await.status, 200);
    assert_eq!(account.leased(Item::Bodies), 0);
}

#[tokio::test]
async fn before_the_log_is_read_nothing_is_taken_or_shown() {
    let server = Server::starting("", WebOptions::default());
    for path in ["/metrics", "/clusters/eu/metrics", "/-/ready", "/api/v4/organizations/a/change_events"] {
        let answer = server.get(path).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, "5"), "{path}");
    }
    assert_eq!(server.put(DEPLOYMENT, &[]).await.status, 503);
    assert_eq!(server.get("/-/healthy").await.status, 200);
    server.finish_start();
    assert_eq!(server.get("/-/ready").await.status, 200);
    assert_eq!(server.get("/metrics").await.status, 200);
    server.app.set_stopping();
    assert_eq!(server.get("/-/ready").await.status, 503);
    assert_eq!(server.get("/metrics").await.status, 200, "scrapes go on");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_refused() {
    let server = Server::new("");
    let chunks = futures_util::stream::iter([Ok("{\"event_name\""), Err(std::io::Error::other("gone"))]);
    assert_eq!(server.put(Body::from_stream(chunks), &[]).await.status, 400);
}
