//! The authorization table: every route, asked by everybody. A new route without a row fails the test.
#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Method;
use base64::Engine as _;
use change_events::doors;
use sha2::Digest as _;
use sha2::Sha256;

#[expect(dead_code, reason = "other tests use the rest of it")]
#[path = "http/support.rs"]
mod support;

use support::Server;
use support::request;

/// Who asks. `Other` has every scope, in another organization.
const ACTORS: [&str; 8] = ["none", "wrong", "reader", "writer", "telemetry", "admin", "expired", "other"];

type Row = (&'static str, &'static str, [u16; 8]);

const EVENTS: &str = "/api/v4/organizations/{org}/change_events";
const ACCOUNT_EVENTS: &str = "/v1/accounts/{account}/events";
const ACCOUNT_EVENT: &str = "/v1/accounts/{account}/events/{sid}";

const ETS: &str = "/api/v1/event/";
const ETS_BARE: &str = "/api/v1/event";
const ANNOTATIONS: &str = "/api/annotations";
const ANNOTATION: &str = "/api/annotations/{id}";

/// Status by actor, in the order of [`ACTORS`].
const TABLE: &[Row] = &[
    ("PUT", EVENTS, [401, 401, 403, 200, 403, 403, 401, 403]),
    ("POST", EVENTS, [401, 401, 403, 200, 403, 403, 401, 403]),
    ("GET", EVENTS, [401, 401, 200, 403, 403, 403, 401, 403]),
    ("POST", ACCOUNT_EVENTS, [401, 401, 403, 201, 403, 403, 401, 403]),
    ("GET", ACCOUNT_EVENTS, [401, 401, 200, 403, 403, 403, 401, 403]),
    // Who may ask is told that there is no such event.
    ("GET", ACCOUNT_EVENT, [401, 401, 404, 403, 403, 403, 401, 403]),
    ("PUT", ACCOUNT_EVENT, [401, 401, 403, 404, 403, 403, 401, 403]),
    ("PATCH", ACCOUNT_EVENT, [401, 401, 403, 404, 403, 403, 401, 403]),
    ("DELETE", ACCOUNT_EVENT, [401, 401, 403, 404, 403, 403, 401, 403]),
    // No organization in these paths: the token decides, so `other` has its own events.
    ("PUT", ETS, [401, 401, 403, 200, 403, 403, 401, 200]),
    ("POST", ETS, [401, 401, 403, 200, 403, 403, 401, 200]),
    ("GET", ETS, [401, 401, 200, 403, 403, 403, 401, 200]),
    ("PUT", ETS_BARE, [401, 401, 403, 200, 403, 403, 401, 200]),
    ("POST", ETS_BARE, [401, 401, 403, 200, 403, 403, 401, 200]),
    ("GET", ETS_BARE, [401, 401, 200, 403, 403, 403, 401, 200]),
    // Who may ask is told that there is no such event.
    ("GET", "/api/v1/event/{id}", [401, 401, 404, 403, 403, 403, 401, 404]),
    ("GET", "/api/v1/event/{id}/children", [401, 401, 200, 403, 403, 403, 401, 200]),
    ("GET", "/api/v1/event/{id}/trace", [401, 401, 200, 403, 403, 403, 401, 200]),
    ("GET", "/api/v1/event/{id}/impact", [401, 401, 404, 403, 403, 403, 401, 404]),
    ("DELETE", "/api/v1/event/{id}/delete", [401, 401, 403, 400, 403, 403, 401, 400]),
    ("GET", "/event/{id}/", [401, 401, 404, 403, 403, 403, 401, 404]),
    ("POST", ANNOTATIONS, [401, 401, 403, 200, 403, 403, 401, 200]),
    ("GET", ANNOTATIONS, [401, 401, 200, 403, 403, 403, 401, 200]),
    ("POST", "/api/annotations/graphite", [401, 401, 403, 200, 403, 403, 401, 200]),
    ("POST", "/api/annotations/mass-delete", [401, 401, 403, 404, 403, 403, 401, 404]),
    ("GET", "/api/annotations/tags", [401, 401, 200, 403, 403, 403, 401, 200]),
    ("GET", ANNOTATION, [401, 401, 404, 403, 403, 403, 401, 404]),
    ("PUT", ANNOTATION, [401, 401, 403, 404, 403, 403, 401, 404]),
    ("PATCH", ANNOTATION, [401, 401, 403, 404, 403, 403, 401, 404]),
    ("DELETE", ANNOTATION, [401, 401, 403, 404, 403, 403, 401, 404]),
    ("GET", "/api/health", [200, 200, 200, 200, 200, 200, 200, 200]),
    // Whoever may do anything with annotations.
    ("GET", "/api/frontend/settings", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("GET", "/api/org", [401, 401, 200, 200, 403, 403, 401, 200]),
    ("POST", "/api/v4/oauth/access_token", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("GET", "/metrics", [401, 401, 200, 403, 200, 403, 401, 200]),
    ("GET", "/clusters/{name}/metrics", [401, 401, 200, 403, 403, 403, 401, 200]),
    ("GET", "/-/healthy", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("GET", "/-/ready", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("POST", "/-/reload", [401, 401, 403, 403, 403, 200, 401, 200]),
    ("PUT", "/-/reload", [401, 401, 403, 403, 403, 200, 401, 200]),
    ("GET", "/api/openapi.json", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("GET", "/", [200, 200, 200, 200, 200, 200, 200, 200]),
];

fn hash(token: &str) -> String {
    hex::encode(Sha256::digest(token))
}

fn config() -> String {
    let token = |name: &str, scopes: &str| format!("      - {{name: {name}, sha256: {}, scopes: [{scopes}]}}\n", hash(name));
    format!(
        "organizations:\n  - slug: acme\n    tokens:\n{}{}{}{}      \
         - {{name: expired, sha256: {}, scopes: [write, read, telemetry, admin], expires: 2026-02-20T10:00:00Z}}\n    \
         refresh_tokens:\n{}  - slug: other\n    tokens:\n{}",
        token("reader", "read"),
        token("writer", "write"),
        token("telemetry", "telemetry"),
        token("admin", "admin"),
        hash("expired"),
        token("refresh", "write"),
        token("other", "write, read, telemetry, admin"),
    )
}

fn server() -> Server {
    let server = Server::new(&config());
    server.app.set_reload(Box::new(|| Ok(())));
    server
}

fn body_for(path: &str) -> Body {
    match path {
        "/api/v4/oauth/access_token" => Body::from(r#"{"refresh_token":"refresh"}"#),
        EVENTS => Body::from(r#"{"event_name":"deployment"}"#),
        ACCOUNT_EVENTS | ACCOUNT_EVENT => Body::from(r#"{"type":"deployment","name":"v1"}"#),
        ANNOTATIONS | ANNOTATION => Body::from(r#"{"text":"t"}"#),
        "/api/annotations/graphite" => Body::from(r#"{"what":"w","tags":[]}"#),
        "/api/annotations/mass-delete" => Body::from(r#"{"annotationId":9007199254740991}"#),
        ETS | ETS_BARE => Body::from(r#"{"event":{"description":"x"}}"#),
        _ => Body::empty(),
    }
}

async fn ask(server: &Server, method: &str, path: &str, token: Option<&str>) -> u16 {
    ask_spelled(server, method, path, token, str::to_owned).await
}

/// The same with the path in another spelling.
async fn ask_spelled(server: &Server, method: &str, path: &str, token: Option<&str>, spelling: fn(&str) -> String) -> u16 {
    let concrete = path.replace("{org}", "acme").replace("{account}", "acme").replace("{sid}", "evt_none");
    let id = if path.starts_with(ANNOTATIONS) { "9007199254740991" } else { "none" };
    let concrete = concrete.replace("{id}", id).replace("{name}", "eu");
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<(&str, &str)> = bearer.iter().map(|value| ("authorization", value.as_str())).collect();
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let body = if method == Method::GET { Body::empty() } else { body_for(path) };
    server.call(request(method, &spelling(&concrete), &headers, body)).await.status
}

#[tokio::test]
async fn every_route_answers_everybody_as_the_table_says() {
    let server = server();
    let mut wrong = Vec::new();
    for (method, path, statuses) in TABLE {
        for (actor, expected) in ACTORS.iter().zip(statuses) {
            let token = Some(*actor).filter(|actor| *actor != "none");
            let status = ask(&server, method, path, token).await;
            if status != *expected {
                wrong.push(format!("{method} {path} by {actor}: {status} instead of {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Who may ask what does not depend on how the path is spelled.
#[tokio::test]
async fn doubled_slashes_and_one_at_the_end_change_nothing() {
    const SPELLINGS: [fn(&str) -> String; 5] = [
        |path| format!("/{path}"),
        |path| path.replace('/', "//"),
        |path| format!("{path}/"),
        |path| format!("//{}///", path.replace('/', "///")),
        |path| if path.len() > 1 { path.trim_end_matches('/').to_owned() } else { path.to_owned() },
    ];
    let server = server();
    let mut wrong = Vec::new();
    for (method, path, statuses) in TABLE {
        // Long enough that so many wrong tokens are not throttled.
        server.clock.advance(std::time::Duration::from_secs(1));
        for (actor, expected) in ACTORS.iter().zip(statuses) {
            let token = (*actor != "none").then_some(*actor);
            for (number, spelling) in SPELLINGS.into_iter().enumerate() {
                let status = ask_spelled(&server, method, path, token, spelling).await;
                if status != *expected {
                    wrong.push(format!("{method} {} ({number}) by {actor}: {status} instead of {expected}", spelling(path)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_route_has_a_row() {
    let routes: BTreeSet<(&str, &str)> = doors::routes().map(|route| (route.method.as_str(), route.path)).collect();
    let rows: BTreeSet<(&str, &str)> = TABLE.iter().map(|(method, path, _)| (*method, *path)).collect();
    let (missing, gone): (Vec<_>, Vec<_>) = (routes.difference(&rows).collect(), rows.difference(&routes).collect());
    assert!(missing.is_empty(), "add a row to TABLE of who is answered what by {missing:?}");
    assert!(gone.is_empty(), "there is no route any more for the rows {gone:?} of TABLE");
    assert_eq!(TABLE.len(), rows.len(), "a row is there twice");
}

#[tokio::test]
async fn without_organizations_everybody_may_do_everything() {
    let server = Server::new("");
    server.app.set_reload(Box::new(|| Ok(())));
    for (method, path, statuses) in TABLE {
        let allowed = statuses.iter().find(|status| ![401, 403].contains(*status)).unwrap();
        for token in [None, Some("wrong")] {
            assert_eq!(ask(&server, method, path, token).await, *allowed, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn the_token_decides_whose_page_it_is() {
    let server = server();
    let sent = server
        .call(request(
            Method::PUT,
            "/api/v4/organizations/acme/change_events",
            &[("x-last9-api-token", "Bearer writer")],
            Body::from(r#"{"event_name":"deployment","event_state":"start","attributes":{"service_name":"of-acme"}}"#),
        ))
        .await;
    assert_eq!(sent.status, 200, "{}", sent.text());
    let page = async |token: &str| {
        let bearer = format!("Bearer {token}");
        server.call(request(Method::GET, "/metrics", &[("authorization", &bearer)], Body::empty())).await.text()
    };
    let (reader, telemetry, other) = (page("reader").await, page("telemetry").await, page("other").await);
    assert!(reader.contains("of-acme") && !reader.contains("change_events_build_info") && !reader.contains("process_"), "{reader}");
    assert!(!telemetry.contains("of-acme") && telemetry.contains("change_events_edges_total"), "{telemetry}");
    assert!(!other.contains("of-acme") && other.contains("change_events_edges_total"), "{other}");
}

#[tokio::test]
async fn refusals_say_what_the_clients_of_last9_expect() {
    let server = server();
    let ask = async |name: &str, value: &str| {
        let answer = server.call(request(Method::GET, "/api/v4/organizations/acme/change_events", &[(name, value)], Body::empty())).await;
        (answer.status, answer.json()["error"].as_str().unwrap().to_owned())
    };
    assert_eq!(ask("x-last9-api-token", "reader").await.0, 400);
    assert!(ask("x-last9-api-token", "reader").await.1.starts_with("invalid access token"));
    assert_eq!(ask("authorization", "Bearer nobody").await, (401, "invalid access token".to_owned()));
    assert_eq!(ask("authorization", "Bearer expired").await, (401, "Authorization token is expired".to_owned()));
    assert_eq!(ask("authorization", "Bearer writer").await, (403, "the token lacks the scope: read".to_owned()));
    assert_eq!(ask("authorization", "Bearer other").await.0, 403);
    assert_eq!(ask("authorization", "Bearer other").await.1, "invalid org_slug: the token belongs to another organization");
}

/// However many wrong ones an address sends, and by whatever door.
#[tokio::test]
async fn wrong_tokens_are_throttled_and_right_ones_never() {
    const REFRESH: &str = "/api/v4/oauth/access_token";
    let server = server();
    let exchange = async |token: &str| {
        let body = Body::from(format!(r#"{{"refresh_token":"{token}"}}"#));
        server.call(request(Method::POST, REFRESH, &[], body)).await.status
    };
    let counted = || {
        let page = server.telemetry.render_text();
        let count = |outcome: &str| {
            let name = format!("change_events_http_wrong_tokens_total{{outcome=\"{outcome}\"}} ");
            page.lines().find_map(|line| line.strip_prefix(&*name)?.parse::<u64>().ok())
        };
        (count("refused"), count("throttled"))
    };
    assert_eq!(counted(), (Some(0), Some(0)), "before there was one");
    let made_up = format!("ce1_{}.{}", "e30", "A".repeat(43));
    for number in 0..100 {
        let status = match number % 3 {
            0 => ask(&server, "GET", EVENTS, Some("nobody")).await,
            1 => ask(&server, "GET", EVENTS, Some(&made_up)).await,
            _ => exchange("nobody").await,
        };
        assert_eq!(status, 401, "{number}");
    }
    let throttled = server.call(request(Method::GET, "/v1/accounts/acme/events", &[("authorization", "Bearer x")], Body::empty())).await;
    assert_eq!((throttled.status, throttled.header("retry-after"), throttled.header("www-authenticate")), (429, "1", ""));
    assert_eq!(throttled.json()["error"]["code"], "RATE_LIMIT_EXCEEDED");
    assert_eq!((exchange("nobody").await, ask(&server, "PUT", ETS, Some("nobody")).await), (429, 429));
    // Whatever is not wrong.
    for (token, status) in [(Some("reader"), 200), (None, 401), (Some("expired"), 401), (Some("other"), 403), (Some("writer"), 403)] {
        assert_eq!(ask(&server, "GET", EVENTS, token).await, status, "{token:?}");
    }
    assert_eq!((exchange("refresh").await, ask(&server, "GET", "/-/healthy", Some("nobody")).await), (200, 200));
    assert_eq!(counted(), (Some(100), Some(3)));
    server.clock.advance(std::time::Duration::from_secs(1));
    let mut again = Vec::new();
    for _ in 0..11 {
        again.push(ask(&server, "GET", EVENTS, Some("nobody")).await);
    }
    assert_eq!(again, [&[401; 10][..], &[429]].concat());
}

#[tokio::test]
async fn an_account_is_the_organization_or_a_name_of_it() {
    let server = Server::new(&config().replacen("- slug: acme\n", "- slug: acme\n    accounts: [acc_1, acc_2]\n", 1));
    for (account, token, status) in [
        ("acme", "reader", 200),
        ("acc_1", "reader", 200),
        ("acc_2", "reader", 200),
        ("acc_3", "reader", 403),
        ("other", "reader", 403),
        ("acc_1", "other", 403),
        ("other", "other", 200),
    ] {
        let path = format!("/v1/accounts/{account}/events");
        let bearer = format!("Bearer {token}");
        let answer = server.call(request(Method::GET, &path, &[("authorization", &bearer)], Body::empty())).await;
        assert_eq!(answer.status, status, "{account} by {token}: {}", answer.text());
    }
    // Only there: in the paths of others it is the slug alone.
    let path = EVENTS.replace("{org}", "acc_1");
    assert_eq!(server.call(request(Method::GET, &path, &[("authorization", "Bearer reader")], Body::empty())).await.status, 403);
    let nobody = server.call(request(Method::GET, "/v1/accounts/acme/events", &[], Body::empty())).await;
    assert_eq!(nobody.header("www-authenticate"), "Bearer");
    assert_eq!(nobody.json()["error"]["code"], "INVALID_TOKEN");
    let other = server.call(request(Method::GET, "/v1/accounts/acme/events", &[("authorization", "Bearer other")], Body::empty())).await;
    let expected = serde_json::json!({"code": "FORBIDDEN", "message": "the token belongs to another account", "details": {}});
    assert_eq!(other.json(), serde_json::json!({"success": false, "error": expected}));
}

#[tokio::test]
async fn a_token_is_a_password_for_annotations_and_nowhere_else() {
    let server = server();
    for (path, user, token, status) in [
        (ANNOTATIONS, "anyone", "reader", 200),
        (ANNOTATIONS, "", "reader", 200),
        (ANNOTATIONS, "reader", "wrong", 401),
        (ANNOTATIONS, "reader", "", 401),
        (ANNOTATIONS, "anyone", "writer", 403),
        ("/api/org", "api_key", "writer", 200),
        (ETS, "anyone", "reader", 400),
    ] {
        let basic = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{token}")));
        let answer = server.call(request(Method::GET, path, &[("authorization", &basic)], Body::empty())).await;
        assert_eq!(answer.status, status, "{path} {user} {token}: {}", answer.text());
    }
    let own = server.call(request(Method::GET, "/api/org", &[("authorization", "Bearer other")], Body::empty())).await;
    assert_eq!(own.json(), serde_json::json!({"id": 1, "name": "other"}));
    let refused = server.call(request(Method::GET, ANNOTATIONS, &[], Body::empty())).await;
    assert_eq!((refused.status, refused.json()["message"].as_str().unwrap().get(..8)), (401, Some("no token")));
}

#[tokio::test]
async fn an_exchanged_token_writes_until_its_day_is_over() {
    let server = server();
    let exchange = async |body: &str| {
        server
            .call(request(Method::POST, "/api/v4/oauth/access_token", &[("content-type", "application/json")], Body::from(body.to_owned())))
            .await
    };
    let answer = exchange(r#"{"refresh_token":"refresh","grant_type":"refresh_token"}"#).await.json();
    assert_eq!(answer["refresh_token"], "refresh");
    assert_eq!(answer["type"], "Bearer");
    assert_eq!(answer["scopes"], serde_json::json!(["write"]));
    assert_eq!(answer["expires_in"], 86_400);
    assert_eq!(answer["expires_at"].as_i64().unwrap() - answer["issued_at"].as_i64().unwrap(), 86_400);
    let token = answer["access_token"].as_str().unwrap();
    assert_eq!(ask(&server, "PUT", EVENTS, Some(token)).await, 200);
    assert_eq!(ask(&server, "GET", EVENTS, Some(token)).await, 403);
    server.clock.advance(std::time::Duration::from_hours(24));
    assert_eq!(ask(&server, "PUT", EVENTS, Some(token)).await, 401);

    for (body, status) in [
        (r#"{"refresh_token":"writer"}"#, 401),
        (r#"{"refresh_token":""}"#, 401),
        (r#"{"refresh_token":"refresh","grant_type":"password"}"#, 400),
        (r#"{"refresh_token":5}"#, 400),
        (r#"["refresh", "refresh_token"]"#, 400),
        (r#"{"refresh_token":"sec"#, 400),
        ("", 400),
    ] {
        let answer = exchange(body).await;
        assert_eq!(answer.status, status, "{body}");
        assert!(!answer.text().contains("sec"), "a refusal quotes no secret");
    }
}

#[tokio::test]
async fn pages_of_other_sites_may_not_send() {
    let server = Server::new("");
    let put = async |headers: &[(&str, &str)]| server.put(r#"{"event_name":"deployment"}"#, headers).await.status;
    assert_eq!(put(&[]).await, 200);
    assert_eq!(put(&[("sec-fetch-site", "same-origin")]).await, 200);
    assert_eq!(put(&[("sec-fetch-site", "none")]).await, 200);
    assert_eq!(put(&[("sec-fetch-site", "cross-site")]).await, 403);
    assert_eq!(put(&[("sec-fetch-site", "same-site")]).await, 403);
    assert_eq!(put(&[("origin", "http://127.0.0.1:10555"), ("host", "127.0.0.1:10555")]).await, 200);
    assert_eq!(put(&[("origin", "http://evil.example"), ("host", "127.0.0.1:10555")]).await, 403);
    assert_eq!(put(&[("origin", "null"), ("host", "127.0.0.1:10555")]).await, 403);
}
