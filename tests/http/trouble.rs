//! What senders are told when the disk fails: what to do, and nothing of what it is that fails.

use axum::body::Body;
use axum::http::Method;
use axum::http::Request;
use change_events::http::app::WebOptions;
use change_events::log;
use change_events::log::faulty::Call;
use change_events::log::faulty::Fault;
use change_events::log::faulty::FaultyDisk;
use change_events::writer;
use std::time::Duration;
use tower::ServiceExt as _;

use crate::support::Answer;
use crate::support::Server;
use crate::support::request;

const FULL: &str = "the event log cannot be written now; nothing was kept, send it again";
const UNKNOWN: &str =
    "it is not known whether this was kept; send it again with the same Idempotency-Key, id or timestamp, and it is kept once";
const STALLED: &str = "the event log does not answer; nothing was kept, send it again";
const LATCHED: &str = "the event log takes nothing more until the server is restarted; send it again then";

fn on(disk: &FaultyDisk) -> Server {
    let server = Server::starting("", WebOptions::default());
    server.finish_start_on(disk.clone(), log::Options::default());
    server
}

/// One that refuses nothing before the log does.
fn on_all_of(disk: &FaultyDisk) -> Server {
    let server = Server::starting("", WebOptions::default());
    let options = writer::Options { min_free: Some(0), ..writer::Options::default() };
    server.finish_start_with(disk.clone(), log::Options::default(), options);
    server
}

/// Requests that bring events, one for each door and way.
fn senders() -> Vec<Request<Body>> {
    let json = ("content-type", "application/json");
    let lines = ("content-type", "application/x-ndjson");
    let last9 = "/api/v4/organizations/acme/change_events";
    let senders = [
        (Method::PUT, last9, &[json][..], r#"{"event_name":"a"}"#),
        (Method::PUT, last9, &[json, ("idempotency-key", "k")], r#"{"event_name":"a"}"#),
        (Method::PUT, last9, &[json], r#"[{"event_name":"a"},{"event_name":"b"}]"#),
        (Method::PUT, last9, &[lines], "{\"event_name\":\"a\"}\n{\"event_name\":\"b\"}\n"),
        (Method::PUT, "/api/v1/event/", &[json], r#"{"event":{"id":"one"}}"#),
        (Method::POST, "/v1/accounts/acme/events", &[json], r#"{"name":"a","type":"deployment"}"#),
    ];
    senders.into_iter().map(|(method, path, headers, body)| request(method, path, headers, Body::from(body))).collect()
}

/// It is 503 with `sentence`, to come again after so long.
#[track_caller]
fn check(answer: &Answer, sentence: &str, retry_after: &str, is_inner: impl Fn(&str) -> bool) {
    let text = answer.text();
    assert_eq!((answer.status, answer.header("retry-after")), (503, retry_after), "{text}");
    assert!(text.contains(sentence), "{text}");
    assert!(!is_inner(text.as_str()), "{text}");
}

/// Sends something at every door that takes events.
async fn check_every_door(server: &Server, sentence: &str, retry_after: &str, is_inner: impl Fn(&str) -> bool) {
    for sent in senders() {
        check(&server.call(sent).await, sentence, retry_after, &is_inner);
    }
}

/// More than a sender has to know.
fn is_inner(text: &str) -> bool {
    ["os error", ".log", "injected", "device", "disk", "sync", "storage"].iter().any(|inner| text.contains(inner))
}

#[tokio::test]
async fn too_little_room_is_said_with_the_flag_and_what_is_free() {
    let disk = FaultyDisk::new();
    let server = on(&disk);
    assert_eq!(server.put(r#"{"event_name":"before"}"#, &[]).await.status, 200);
    // A twentieth is to stay free.
    let capacity = disk.used();
    disk.set_capacity(Some(capacity));
    check_every_door(&server, "(--storage.min-free)", "60", |text| !text.contains(&format!("at least {}", capacity / 20))).await;
    assert_eq!(server.get("/-/ready").await.status, 200, "nothing is wrong with it");
    let page = server.get("/metrics").await.text();
    for line in ["change_events_refused_total{reason=\"disk\"} ", "change_events_storage_refusing 1\n"] {
        assert!(page.contains(line), "{line} is not in\n{page}");
    }
    assert!(page.contains("change_events_refused_total{reason=\"memory\"} 0\n"), "{page}");
    disk.set_capacity(None);
    assert_eq!(server.put(r#"{"event_name":"after"}"#, &[]).await.status, 200);
}

#[tokio::test]
async fn a_full_disk_is_said_without_what_is_full() {
    let disk = FaultyDisk::new();
    disk.set_thin();
    let server = on_all_of(&disk);
    assert_eq!(server.put(r#"{"event_name":"before"}"#, &[]).await.status, 200);
    disk.set_capacity(Some(disk.used()));
    check_every_door(&server, FULL, "60", is_inner).await;
    assert!(server.get("/metrics").await.text().contains("change_events_refused_total{reason=\"disk\"} "));
    assert_eq!(server.get("/-/ready").await.status, 200, "it may work again");
    disk.set_capacity(None);
    assert_eq!(server.put(r#"{"event_name":"after"}"#, &[]).await.status, 200);
}

#[tokio::test]
async fn a_latched_log_is_not_ready_and_says_so_without_its_cause() {
    let disk = FaultyDisk::new();
    let server = on(&disk);
    disk.fail_next(Call::Sync, Fault::Before);
    check(&server.put(r#"{"event_name":"under way"}"#, &[]).await, UNKNOWN, "5", is_inner);
    check_every_door(&server, LATCHED, "5", is_inner).await;
    let ready = server.get("/-/ready").await;
    let sentence = r#"{"error":"the event log takes nothing more until the server is restarted"}"#;
    assert_eq!((ready.status, ready.text()), (503, sentence.to_owned()));
    assert_eq!(server.get("/-/healthy").await.status, 200);
    assert!(server.get("/metrics").await.text().contains("\nchange_events_log_latched 1\n"));
}

#[tokio::test]
async fn a_disk_that_hangs_is_told_to_everybody_at_every_door() {
    for sent in senders() {
        let disk = FaultyDisk::new();
        let server = on(&disk);
        disk.hang(Call::Sync);
        let router = server.router.clone();
        let under_way = tokio::spawn(async move { Answer::of(router.oneshot(sent).await.unwrap()).await });
        while !disk.hangs() {
            tokio::task::yield_now().await;
        }
        server.clock.advance(Duration::from_secs(2));
        let ready = server.get("/-/ready").await;
        let sentence = r#"{"error":"the event log has been waiting for its disk for 2 s"}"#;
        assert_eq!((ready.status, ready.text()), (503, sentence.to_owned()));
        assert_eq!(server.get("/-/healthy").await.status, 200);
        assert!(server.get("/metrics").await.text().contains("\nchange_events_log_stalled_seconds 2.0\n"));
        server.clock.advance(Duration::from_secs(4));
        check(&under_way.await.unwrap(), UNKNOWN, "5", is_inner);
        check_every_door(&server, STALLED, "5", is_inner).await;
        disk.go_on();
        while server.put(r#"{"event_name":"after"}"#, &[]).await.status != 200 {
            tokio::task::yield_now().await;
        }
        assert_eq!(server.get("/-/ready").await.status, 200);
    }
}
