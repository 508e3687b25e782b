//! Health, reload, paths, our own metrics.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::Method;
use change_events::http::app::ReloadError;
use change_events::http::app::WebOptions;

use crate::support::Server;
use crate::support::request;

#[tokio::test]
async fn unknown_paths_and_methods_are_json() {
    let server = Server::new("");
    let answer = server.get("/nope").await;
    assert_eq!((answer.status, answer.text()), (404, r#"{"error":"no such path"}"#.to_owned()));
    let answer = server.call(request(Method::DELETE, "/metrics", &[], Body::empty())).await;
    assert_eq!((answer.status, answer.header("content-type")), (405, "application/json"));
    assert!(answer.header("allow").contains("GET"));
    let head = server.call(request(Method::HEAD, "/metrics", &[], Body::empty())).await;
    assert_eq!((head.status, head.bytes.len()), (200, 0));
}

#[tokio::test]
async fn everything_moves_under_the_prefix() {
    let web = WebOptions { route_prefix: "/events".to_owned(), telemetry_path: "/own".to_owned(), ..Default::default() };
    let server = Server::starting("", web);
    server.finish_start();
    for (path, status) in [
        ("/", 307),
        ("/events/", 200),
        ("/events/own", 200),
        ("/events/-/ready", 200),
        ("/events/api/v4/organizations/a/change_events", 200),
        ("/events/metrics", 404),
        ("/own", 404),
        ("/metrics", 404),
        ("/-/ready", 404),
    ] {
        assert_eq!(server.get(path).await.status, status, "{path}");
    }
    assert_eq!(server.get("/").await.header("location"), "/events/");
    assert!(server.get("/events/").await.text().contains("href=\"/events/own\""));
}

#[tokio::test]
async fn reload_is_off_unless_asked_for() {
    let server = Server::new("");
    let reload = async || server.call(request(Method::POST, "/-/reload", &[], Body::empty())).await;
    assert_eq!(reload().await.status, 403);
    let works = Arc::new(AtomicBool::new(true));
    let outcome = Arc::clone(&works);
    server.app.set_reload(Box::new(move || if outcome.load(Ordering::SeqCst) { Ok(()) } else { Err(ReloadError) }));
    assert_eq!(reload().await.status, 200);
    works.store(false, Ordering::SeqCst);
    let answer = reload().await;
    assert_eq!((answer.status, answer.text()), (500, r#"{"error":"the old configuration is kept; the server's log says why"}"#.to_owned()));
}

#[tokio::test]
async fn new_settings_hold_from_the_next_request_on() {
    let server = Server::new("");
    let body = r#"{"event_name":"deployment","attributes":{"commit_message":"x","service":"api"}}"#;
    assert_eq!(server.put(body, &[]).await.status, 200);
    server.app.set_settings(crate::support::settings("labels: {drop: [commit_message]}"));
    server.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(server.put(body, &[]).await.status, 200);
    let listed = server.get(crate::support::EVENTS).await.json();
    let labels = |place: usize| listed["events"][place]["start"]["labels"].clone();
    assert_eq!(labels(0), serde_json::json!({"event_name": "deployment", "service": "api", "service_name": "api"}));
    assert_eq!(labels(1)["commit_message"], "x", "what was is not changed");
    server.app.set_settings(crate::support::settings("organizations: [{slug: acme}]"));
    assert_eq!(server.put(body, &[]).await.status, 401);
}

#[tokio::test]
async fn requests_are_counted_by_route_and_code() {
    let server = Server::new("");
    server.put(r#"{"event_name":"a"}"#, &[]).await;
    server.put(r#"{"event_name":"b"}"#, &[]).await;
    server.put("{}", &[]).await;
    server.get("/nope").await;
    let page = server.get("/metrics").await.text();
    for line in [
        r#"change_events_http_requests_total{code="2xx"} 2"#,
        r#"change_events_http_requests_total{code="4xx"} 2"#,
        r#"change_events_http_requests_total{code="5xx"} 0"#,
        r#"change_events_http_route_requests_total{route="/api/v4/organizations/{org}/change_events",method="PUT",code="200"} 2"#,
        r#"change_events_http_route_requests_total{route="/api/v4/organizations/{org}/change_events",method="PUT",code="400"} 1"#,
        r#"change_events_http_route_requests_total{route="unknown",method="any",code="404"} 1"#,
        r#"change_events_refused_total{reason="malformed"} 1"#,
        r#"change_events_edges_total{outcome="shown"} 2"#,
        "change_events_store_events 2",
        "change_events_log_latched 0",
        "change_events_http_bytes_in_flight 0",
    ] {
        assert!(page.contains(line), "{line} is not in\n{page}");
    }
    let log = page.lines().find_map(|line| line.strip_prefix("change_events_log_bytes ")).unwrap();
    assert_ne!(log, "0");
    let free = page.lines().find_map(|line| line.strip_prefix("change_events_storage_free_bytes ")).unwrap();
    assert_ne!(free, "0");
}

#[tokio::test]
async fn too_many_headers_are_refused() {
    let server = Server::new("");
    let names: Vec<String> = (0..65).map(|number| format!("x-{number}")).collect();
    let headers: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    assert_eq!(server.put(r#"{"event_name":"a"}"#, &headers).await.status, 431);
    assert_eq!(server.put(r#"{"event_name":"a"}"#, &headers[..60]).await.status, 200);
}

#[tokio::test]
async fn slashes_that_are_too_many_or_too_few_are_no_other_path() {
    let server = Server::starting("", WebOptions { route_prefix: "/ce".to_owned(), ..Default::default() });
    server.finish_start();
    for (path, status) in [
        ("/ce/metrics/", 200),
        ("/ce//metrics", 200),
        ("//ce/metrics?a=//b/", 400),
        ("/ce", 200),
        ("//ce//", 200),
        ("//", 307),
        ("/ce/api/v4//organizations/acme/change_events/?limit=5", 200),
        ("/ce/api/v4/organizations/a%2F%2Fb/change_events", 200),
        ("/ce/event/x", 404),
        // Where there are no organizations an empty slug is as good as any.
        ("/ce/api/v4/organizations//change_events", 200),
        ("/ce%2Fmetrics", 404),
        ("/ce/%2Fmetrics", 404),
        ("/ce/./metrics", 404),
        ("/ce/metrics/x", 404),
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
    }
    // Nor is an event without an id all events.
    for (method, path, status) in [
        (Method::DELETE, "/ce/v1/accounts/acme/events/", 405),
        (Method::DELETE, "/ce/v1/accounts/acme/events//", 405),
        (Method::PUT, "/ce/v1/accounts/acme/events//", 405),
        (Method::DELETE, "/ce/api/annotations/", 405),
        (Method::DELETE, "/ce/api/v1/event//delete", 400),
    ] {
        assert_eq!(server.call(request(method.clone(), path, &[], Body::empty())).await.status, status, "{method} {path}");
    }
    let counted = server.get("/ce/metrics").await.text();
    assert!(counted.contains(r#"change_events_http_route_requests_total{route="/metrics",method="GET",code="200"} 2"#), "{counted}");
}
