//! What a scrape gets, as far as HTTP has a say in it.

use std::io::Read as _;

use axum::body::Body;
use axum::http::Method;
use flate2::read::GzDecoder;

use crate::support::Server;
use crate::support::request;

const OPENMETRICS: &str = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";

async fn scrape(server: &Server, path: &str, headers: &[(&str, &str)]) -> crate::support::Answer {
    server.call(request(Method::GET, path, headers, Body::empty())).await
}

#[tokio::test]
async fn formats_and_compression_are_as_asked() {
    let server = Server::new("");
    server.put(r#"{"event_name":"deployment","event_state":"start","attributes":{"service_name":"api"}}"#, &[]).await;
    let text = scrape(&server, "/metrics", &[]).await;
    assert_eq!(text.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert!(text.text().contains("service_name=\"api\"} 1 1771581600000\n"), "{}", text.text());
    let openmetrics = scrape(&server, "/metrics", &[("accept", OPENMETRICS)]).await;
    assert_eq!(openmetrics.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(openmetrics.text().ends_with("\n# EOF\n"));
    assert!(openmetrics.text().contains("service_name=\"api\"} 1 1771581600.000\n"), "{}", openmetrics.text());
    let gzip = scrape(&server, "/metrics", &[("accept-encoding", "gzip")]).await;
    assert_eq!(gzip.header("content-encoding"), "gzip");
    let mut plain = String::new();
    GzDecoder::new(&gzip.bytes[..]).read_to_string(&mut plain).unwrap();
    assert!(plain.contains("service_name=\"api\"} 1 1771581600000\n"));
    for page in [text.text(), openmetrics.text(), plain] {
        assert!(page.contains("change_events_build_info") || page.contains("change_events_log_latched 0"), "{page}");
    }
}

#[tokio::test]
async fn clusters_have_pages_of_their_own() {
    let server = Server::new("clusters: [{name: main}, {name: eu, labels: {cluster: eu}}]");
    server.put(r#"{"event_name":"deployment","data_source_name":"eu"}"#, &[]).await;
    let eu = scrape(&server, "/clusters/eu/metrics", &[]).await;
    assert_eq!(eu.status, 200);
    assert!(eu.text().contains("cluster=\"eu\""), "{}", eu.text());
    assert!(!eu.text().contains("change_events_log"), "own metrics are on the telemetry path alone");
    let main = scrape(&server, "/clusters/main/metrics", &[]).await;
    assert_eq!((main.status, main.text().contains("deployment")), (200, false));
    let unknown = scrape(&server, "/clusters/us/metrics", &[]).await;
    assert_eq!(unknown.status, 404);
    assert!(unknown.json()["error"].as_str().unwrap().contains("main, eu"));
    let any = Server::new("");
    assert_eq!(scrape(&any, "/clusters/us/metrics", &[]).await.status, 200, "a scrape may be configured before the first event");
}

#[tokio::test]
async fn parameters_are_checked() {
    let server = Server::new("");
    for event in [r#"{"event_name":"a","attributes":{"n":"1"}}"#, r#"{"event_name":"a","attributes":{"n":"2"}}"#] {
        server.put(event, &[]).await;
    }
    let page = scrape(&server, "/metrics?match[]=%7Bn%3D%221%22%7D&window=7d&keep=2m", &[]).await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("n=\"1\"") && !page.text().contains("n=\"2\""), "{}", page.text());
    for wrong in ["?windows=7d", "?window=seven", "?keep=1", "?match[]=(", "?window=1d&window=2d"] {
        assert_eq!(scrape(&server, &format!("/metrics{wrong}"), &[]).await.status, 400, "{wrong}");
    }
}

/// What senders are told is what the page does.
#[tokio::test]
async fn warnings_say_where_a_sample_is_not_simply_shown() {
    let server = Server::new("");
    let warning = async |state: &str, at: &str| {
        let body = format!(r#"{{"event_name":"job","event_state":"{state}","timestamp":"{at}","attributes":{{"entity_id":"e"}}}}"#);
        let answer = server.put(body, &[]).await.json();
        answer["warnings"][0].as_str().unwrap_or_default().split(':').next().unwrap_or_default().to_owned()
    };
    assert_eq!(warning("start", "2026-02-20T09:59:00Z").await, "");
    assert_eq!(warning("start", "2026-02-20T09:59:30Z").await, "queued");
    assert_eq!(warning("stop", "2026-02-20T10:05:00Z").await, "scheduled");
    assert_eq!(warning("start", "2026-02-20T09:58:00Z").await, "late");
    assert_eq!(warning("stop", "2026-02-17T10:00:00Z").await, "old");
}
