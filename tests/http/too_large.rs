//! Events that are larger than the log takes: they are refused alone, at every door.

use std::fmt::Write as _;

use axum::body::Body;
use axum::http::Method;
use change_events::http::app::WebOptions;
use change_events::log;
use change_events::log::faulty::FaultyDisk;

use crate::support::Answer;
use crate::support::EVENTS;
use crate::support::Server;
use crate::support::request;

/// Bytes of a frame in these tests, and four more than of a record.
const FRAME_BYTES: usize = 16 << 10;

fn server() -> Server {
    let server = Server::starting("", WebOptions::default());
    server.finish_start_on(FaultyDisk::new(), log::Options { frame_bytes: FRAME_BYTES, ..log::Options::default() });
    server
}

fn event(name: &str, bytes: usize) -> String {
    format!(r#"{{"event_name":"{name}","attributes":{{"note":"{}"}}}}"#, "x".repeat(bytes))
}

#[track_caller]
fn check_refused(answer: &Answer) {
    let text = answer.text();
    assert_eq!(answer.status, 413, "{text}");
    assert!(text.contains("the event is too large: it would be stored as "), "{text}");
    assert!(text.contains(" bytes, at most 16252"), "{text}");
}

#[tokio::test]
async fn is_refused_alone_at_the_door_of_last9() {
    let server = server();
    check_refused(&server.put(event("big", FRAME_BYTES), &[]).await);
    let (one, big, other) = (event("one", 9), event("big", FRAME_BYTES), event("other", 9));
    for _ in 0..2 {
        let answers = [
            (server.put(format!("[{one},{big},{other}]"), &[]).await, "/results/1"),
            (server.put_lines(format!("{one}\n{big}\n{other}\n"), &[]).await, "/items/0"),
        ];
        for (answer, place) in answers {
            let said = answer.json();
            assert_eq!((answer.status, &said["message"]), (207, &"partial".into()), "{said}");
            let item = said.pointer(place).unwrap();
            assert_eq!(item["status"], 413, "{said}");
            assert!(item["error"].as_str().unwrap().starts_with("the event is too large: "), "{said}");
        }
    }
    let stored = server.get(EVENTS).await.json();
    let names: Vec<&str> = stored["events"].as_array().unwrap().iter().map(|event| event["event_name"].as_str().unwrap()).collect();
    assert!(names.contains(&"one") && names.contains(&"other") && !names.contains(&"big"), "{names:?}");
    check_refused(&server.put(format!("[{big}]"), &[]).await);
    check_refused(&server.put_lines(big, &[]).await);
    let page = server.get("/metrics").await.text();
    assert!(page.contains("change_events_refused_total{reason=\"too_large\"} 7\n"), "{page}");
}

#[tokio::test]
async fn is_refused_at_the_doors_of_whole_events() {
    let server = server();
    let send = async |method: Method, path: &str, body: String| {
        server.call(request(method, path, &[("content-type", "application/json")], Body::from(body))).await
    };
    let ets = |bytes| format!(r#"{{"event":{{"id":"one","description":"{}"}}}}"#, "x".repeat(bytes));
    check_refused(&send(Method::PUT, "/api/v1/event/", ets(FRAME_BYTES)).await);
    assert_eq!(send(Method::PUT, "/api/v1/event/", ets(9)).await.status, 200);
    check_refused(&send(Method::POST, "/api/v1/event/", ets(FRAME_BYTES)).await);
    let described = |bytes| {
        let mut metadata = String::new();
        for number in 0..bytes / 100 {
            write!(metadata, "{}\"key{number}\":\"{}\"", if number > 0 { "," } else { "" }, "x".repeat(90)).unwrap();
        }
        format!(r#"{{"name":"a","type":"deployment","metadata":{{{metadata}}}}}"#)
    };
    let path = "/v1/accounts/acme/events";
    check_refused(&send(Method::POST, path, described(2 * FRAME_BYTES)).await);
    let created = send(Method::POST, path, described(0)).await;
    assert_eq!(created.status, 201, "{}", created.text());
    check_refused(&send(Method::PATCH, created.header("location"), described(2 * FRAME_BYTES)).await);
}

/// What is decided about a record makes it longer; that it fits is seen before.
#[tokio::test]
async fn is_refused_by_the_record_as_it_will_be_written() {
    let server = server();
    let start = server.put(r#"{"event_name":"job","event_state":"start","attributes":{"entity_id":"1"}}"#, &[]).await.json();
    let path = format!("/v1/accounts/acme/events/{}", start["id"].as_str().unwrap());
    let describe = async |bytes: usize| {
        let body = format!(r#"{{"description":"{}"}}"#, "x".repeat(bytes));
        server.call(request(Method::PATCH, &path, &[("content-type", "application/json")], Body::from(body))).await.status
    };
    let mut statuses = Vec::new();
    for bytes in (FRAME_BYTES - 400..FRAME_BYTES).step_by(7) {
        statuses.push(describe(bytes).await);
    }
    statuses.dedup();
    assert_eq!(statuses, [200, 413]);
}

/// Texts of control characters, which take six bytes each where they are escaped.
#[tokio::test]
async fn no_event_is_that_is_within_every_other_limit() {
    let server = Server::new("");
    let mut tags = Vec::new();
    for tag in 0..7 {
        let values: Vec<String> = (0..999).map(|number| format!("\"{number:03}{}\"", "\\u0001".repeat(197))).collect();
        tags.push(format!("\"t{tag}\":[{}]", values.join(",")));
    }
    let body = format!(r#"{{"event":{{"id":"big","start_time":1771581600,"end_time":1771581700,"tags":{{{}}}}}}}"#, tags.join(","));
    let headers = [("content-type", "application/json")];
    let put = server.call(request(Method::PUT, "/api/v1/event/", &headers, Body::from(body)));
    let (answer, beside) = tokio::join!(put, server.put(event("small", 9), &[]));
    assert_eq!((answer.status, beside.status), (200, 200));
}
