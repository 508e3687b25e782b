//! The front door of Grafana's annotations: create, read, change, end, delete.

use std::time::Duration;

use axum::body::Body;
use axum::http::Method;
use serde_json::Value;
use serde_json::json;

use crate::support::Answer;
use crate::support::EVENTS;
use crate::support::NOW;
use crate::support::Server;
use crate::support::request;

pub(crate) const PATH: &str = "/api/annotations";
/// When most of them begin.
pub(crate) const BEGIN: i64 = NOW.millis() - 600_000;

impl Server {
    pub(crate) async fn annotate(&self, method: Method, path: &str, body: &Value) -> Answer {
        self.call(request(method, path, &[], body.to_string().into())).await
    }

    /// Creates an annotation; its id.
    pub(crate) async fn annotation(&self, body: &Value) -> u64 {
        let answer = self.annotate(Method::POST, PATH, body).await;
        assert_eq!(answer.status, 200, "{body}: {}", answer.text());
        assert_eq!(answer.json()["message"], "Annotation added");
        answer.json()["id"].as_u64().unwrap()
    }

    pub(crate) async fn read(&self, id: u64) -> Value {
        let answer = self.get(&at(id)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    pub(crate) async fn reannotate(&self, method: Method, id: u64, body: &Value) -> Answer {
        let answer = self.annotate(method.clone(), &at(id), body).await;
        let message = if method == Method::PUT { "Annotation updated" } else { "Annotation patched" };
        assert_eq!((answer.status, answer.json()), (200, json!({ "message": message })), "{body}");
        answer
    }

    /// Asks for annotations; the answer.
    pub(crate) async fn listed(&self, query: &str) -> Vec<Value> {
        let answer = self.get(&format!("{PATH}?{query}")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        answer.json().as_array().unwrap().clone()
    }

    pub(crate) async fn ids(&self, query: &str) -> Vec<u64> {
        self.listed(query).await.iter().map(|one| one["id"].as_u64().unwrap()).collect()
    }

    async fn plain_page(&self) -> String {
        self.get("/metrics").await.text()
    }
}

pub(crate) fn at(id: u64) -> String {
    format!("{PATH}/{id}")
}

/// What of an annotation its writer chose.
pub(crate) fn written(annotation: &Value) -> Value {
    json!([annotation["text"], annotation["tags"], annotation["time"], annotation["timeEnd"]])
}

#[track_caller]
pub(crate) fn check_error(answer: &Answer, status: u16, message: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    let said = answer.json();
    assert_eq!(said.as_object().unwrap().keys().collect::<Vec<_>>(), ["message"]);
    assert!(said["message"].as_str().unwrap().contains(message), "{said}");
}

#[tokio::test]
async fn what_is_written_is_read_back_and_has_all_fields_of_grafana() {
    let server = Server::new("");
    let id = server
        .annotation(
            &json!({"text": "<b>out</b>\n", "tags": [" kind: X", "deploy", "deploy", "a:b:c", ""], "time": BEGIN, "timeEnd": BEGIN + 5,
            "dashboardUID": "d", "panelId": 3, "data": {"a": [1]}, "isRegion": true}),
        )
        .await;
    assert!(0 < id && id < 1 << 53);
    let received = NOW.millis();
    let expected = json!({
        "id": id, "alertId": 0, "alertName": "", "dashboardId": 0, "dashboardUID": "d", "panelId": 3, "userId": 0, "newState": "", "prevState": "",
        "created": received, "updated": received, "time": BEGIN, "timeEnd": BEGIN + 5, "text": "<b>out</b>\n",
        "tags": [" kind: X", "deploy", "deploy", "a:b:c", ""], "login": "", "email": "", "avatarUrl": "", "data": {"a": [1]},
    });
    assert_eq!(server.read(id).await, expected);
    assert_eq!(server.listed("").await, std::slice::from_ref(&expected));
    let answer = server.get(&at(id)).await;
    assert_eq!(answer.header("etag").len(), 18);
    let server = server.restarted("");
    assert_eq!(server.read(id).await, expected, "after a restart");
    let least = server.annotation(&json!({"text": "t"})).await;
    let read = server.read(least).await;
    assert_eq!((written(&read), &read["data"]), (json!(["t", [], received, received]), &json!({})));
    assert_ne!(id, least);
    let body = r#"{"text":"t","data":{ "n": 1.50e3, "n": 2 }}"#;
    let id = server.call(request(Method::POST, PATH, &[], body.into())).await.json()["id"].as_u64().unwrap();
    let text = server.get(&at(id)).await.text();
    assert!(text.contains(r#""data":{"n":1.50e3,"n":2}"#), "{text}");
}

#[tokio::test]
async fn tags_become_labels_and_the_name() {
    let server = Server::new("grafana: {event_names: {freeze: change_freeze}}");
    for (tags, line) in [
        (
            json!(["deploy", "service:checkout", "env:prod", "version: 4.12"]),
            r#"{deployment_environment="prod",env="prod",event_name="deployment",event_state="start",service="checkout",service_name="checkout",version="4.12"}"#,
        ),
        (
            json!(["outage", "app:cart", "failed", "qa"]),
            r#"{app="cart",deployment_environment="qa",deployment_status="failed",event_name="incident",event_state="start",service_name="cart"}"#,
        ),
        (json!(["Freeze", "team:a", "team:b"]), r#"{event_name="change_freeze",event_state="start",team="a,b"}"#),
        (json!(["outage", "event_name:migration", "type:slow"]), r#"{event_name="migration",event_state="start",type="slow"}"#),
        (json!(["whatever"]), r#"{event_name="annotation",event_state="start"}"#),
    ] {
        server.annotation(&json!({"text": "t", "tags": tags})).await;
        let page = server.plain_page().await;
        assert!(page.contains(&format!("last9_change_events{line} ")), "{tags}: {page}");
    }
}

#[tokio::test]
async fn what_begins_is_open_until_its_end_is_patched() {
    let server = Server::new("");
    let id = server.annotation(&json!({"text": "long", "tags": ["start", "load-test", "service:checkout"], "time": BEGIN})).await;
    let open = server.read(id).await;
    let end = open["timeEnd"].as_i64().unwrap();
    assert!(open["time"] == BEGIN && (NOW.millis() - 2000..NOW.millis()).contains(&end), "{open}");
    assert!(server.plain_page().await.contains("last9_change_events_open_timestamp_seconds{"));
    server.reannotate(Method::PATCH, id, &json!({"timeEnd": NOW.millis(), "time": null, "text": null, "tags": []})).await;
    assert_eq!(written(&server.read(id).await), json!(["long", ["start", "load-test", "service:checkout"], BEGIN, NOW.millis()]));
    assert!(!server.plain_page().await.contains("last9_change_events_open_timestamp_seconds{"));
    // A point that is patched with an end becomes a region.
    let point = server.annotation(&json!({"text": "point", "time": BEGIN})).await;
    server.reannotate(Method::PATCH, point, &json!({"timeEnd": BEGIN + 7})).await;
    assert_eq!(written(&server.read(point).await), json!(["point", [], BEGIN, BEGIN + 7]));
}

#[tokio::test]
async fn an_annotation_that_says_how_something_ended_ends_it() {
    let server = Server::new("");
    let begin = async |tags: Value, time: i64| server.annotation(&json!({"text": "begun", "tags": tags, "time": time})).await;
    let other = begin(json!(["deploy", "service:b", "start"]), BEGIN).await;
    let older = begin(json!(["deploy", "service:a", "start"]), BEGIN).await;
    let newer = begin(json!(["deploy", "service:a", "state:started"]), BEGIN + 1000).await;
    let later = begin(json!(["deploy", "service:a", "start"]), BEGIN + 11_000).await;
    let end = json!({"text": "it broke", "tags": ["service: a", "deploy", "failed", "state:failure"], "time": BEGIN + 5000});
    assert_eq!(server.annotation(&end).await, newer);
    let ended = server.read(newer).await;
    let expected = json!(["begun\nit broke", ["deploy", "service:a", "state:failure", "failed"], BEGIN + 1000, BEGIN + 5000]);
    assert_eq!(written(&ended), expected);
    assert_eq!(server.annotation(&end).await, older, "and then the one before it");
    let point = server.annotation(&end).await;
    assert!(![other, older, newer, later].contains(&point), "nothing is left to be ended");
    assert_eq!(written(&server.read(point).await), json!([end["text"], end["tags"], BEGIN + 5000, BEGIN + 5000]));
    assert!(server.plain_page().await.contains(r#"deployment_status="failed""#));
    let stays = server.get(&at(other)).await.json();
    assert!(stays["timeEnd"].as_i64() > Some(BEGIN + 5000), "{stays}");
}

#[tokio::test]
async fn a_key_makes_one_of_several_requests() {
    let server = Server::new("");
    let send = async |body: &Value, key: &str| {
        server.call(request(Method::POST, PATH, &[("idempotency-key", key)], body.to_string().into())).await
    };
    let start = json!({"text": "t", "tags": ["deploy", "start"]});
    let first = send(&start, "k").await.json();
    server.clock.advance(Duration::from_secs(1));
    assert_eq!(send(&start, "k").await.json(), first);
    check_error(&send(&json!({"text": "other"}), "k").await, 422, "used with another body");
    let done = json!({"text": "d", "tags": ["deploy", "done"]});
    for _ in 0..2 {
        assert_eq!(send(&done, "end").await.json()["id"], first["id"], "the end, and the end again");
        server.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(server.ids("").await.len(), 1);
    assert_eq!(server.annotate(Method::DELETE, &at(first["id"].as_u64().unwrap()), &json!({})).await.status, 200);
    check_error(&send(&start, "k").await, 409, "was deleted");
    check_error(&send(&start, "").await, 400, "Idempotency-Key: 0 bytes");
}

#[tokio::test]
async fn a_patch_changes_what_it_has_and_a_put_the_rest_too() {
    let server = Server::new("");
    let region = json!({"text": "t", "tags": ["deploy", "service:a"], "time": BEGIN, "timeEnd": BEGIN + 10, "data": {"k": 1}});
    let id = server.annotation(&region).await;
    let is = async |expected: Value| assert_eq!(written(&server.read(id).await), expected);
    for nothing in [
        json!({}),
        json!({"text": "", "tags": [], "time": 0, "timeEnd": 0}),
        json!({"text": null, "tags": null, "time": null, "timeEnd": null}),
    ] {
        server.reannotate(Method::PATCH, id, &nothing).await;
        is(json!(["t", ["deploy", "service:a"], BEGIN, BEGIN + 10])).await;
    }
    server.reannotate(Method::PATCH, id, &json!({"text": "u"})).await;
    is(json!(["u", ["deploy", "service:a"], BEGIN, BEGIN + 10])).await;
    server.reannotate(Method::PATCH, id, &json!({"tags": ["outage"], "time": BEGIN + 20})).await;
    is(json!(["u", ["outage"], BEGIN + 10, BEGIN + 20])).await;
    assert_eq!(server.ids("tags=service:a").await, [0; 0]);
    server.reannotate(Method::PUT, id, &json!({"text": "v", "tags": ["deploy"], "time": 0, "timeEnd": null})).await;
    is(json!(["v", ["deploy"], BEGIN + 10, BEGIN + 20])).await;
    server.reannotate(Method::PUT, id, &json!({"text": "w"})).await;
    is(json!(["w", [], BEGIN + 10, BEGIN + 20])).await;
    assert_eq!(server.read(id).await["data"], json!({"k": 1}));
    server.reannotate(Method::PUT, id, &json!({"timeEnd": BEGIN + 10, "time": BEGIN + 10})).await;
    is(json!(["", [], BEGIN + 10, BEGIN + 10])).await;
    server.reannotate(Method::PATCH, id, &json!({"time": BEGIN + 30})).await;
    is(json!(["", [], BEGIN + 30, BEGIN + 30])).await;
    // Versions, for those who want them.
    let stale = server.call(request(Method::PUT, &at(id), &[("if-match", "\"0000000000000000\"")], r#"{"text":"x"}"#.into())).await;
    check_error(&stale, 412, "If-Match");
}

#[tokio::test]
async fn the_end_that_an_open_one_was_shown_with_does_not_end_it() {
    let server = Server::new("");
    let id = server.annotation(&json!({"text": "long", "tags": ["start"], "time": BEGIN})).await;
    for wait in [0, 1, 700, 5000, 3_600_000] {
        let mut read = server.read(id).await;
        server.clock.advance(Duration::from_millis(wait));
        read["text"] = format!("after {wait}").into();
        let answer = server.reannotate(Method::PUT, id, &read).await;
        assert!(answer.header("x-change-events-warnings").contains("timeEnd: it is the one that was shown"), "{:?}", answer.headers);
        let end = read["timeEnd"].as_i64().unwrap();
        server.reannotate(Method::PATCH, id, &json!({"timeEnd": end})).await;
        let still = server.read(id).await;
        assert_eq!((&still["text"], &still["time"]), (&read["text"], &json!(BEGIN)));
        assert!(still["timeEnd"].as_i64() >= Some(end) && server.plain_page().await.contains("_open_timestamp_seconds{"), "{still}");
        // It may begin at another time, and stay open.
        read["time"] = (BEGIN + 1).into();
        server.reannotate(Method::PUT, id, &read).await;
        server.reannotate(Method::PATCH, id, &json!({"time": BEGIN})).await;
        assert!(server.plain_page().await.contains("_open_timestamp_seconds{"));
    }
    // One that has only just begun.
    let young = server.annotation(&json!({"text": "young", "tags": ["start"]})).await;
    let mut read = server.read(young).await;
    read["text"] = "still young".into();
    server.reannotate(Method::PUT, young, &read).await;
    server.clock.advance(Duration::from_mins(1));
    server.reannotate(Method::PUT, young, &read).await;
    assert!(server.read(young).await["timeEnd"].as_i64() > read["timeEnd"].as_i64());
    // And who ends something now ends it, whatever the milliseconds.
    for millis in (0..1100).step_by(23) {
        let id = server.annotation(&json!({"text": "t", "tags": ["start", format!("n:{millis}")]})).await;
        server.clock.advance(Duration::from_millis(millis + 2));
        let now = server.app.clock().now().millis();
        server.reannotate(Method::PATCH, id, &json!({"timeEnd": now})).await;
        assert_eq!(server.read(id).await["timeEnd"], now);
        server.clock.advance(Duration::from_millis(1));
        assert_eq!(server.read(id).await["timeEnd"], now);
    }
}

#[tokio::test]
async fn graphite_and_the_single_mass_delete() {
    let server = Server::new("");
    let event = json!({"what": "deploy checkout", "tags": "deploy service:checkout", "when": BEGIN / 1000, "data": "by ci-bot"});
    let answer = server.annotate(Method::POST, "/api/annotations/graphite", &event).await;
    assert_eq!((answer.status, &answer.json()["message"]), (200, &json!("Graphite annotation added")));
    let id = answer.json()["id"].as_u64().unwrap();
    let time = BEGIN / 1000 * 1000;
    assert_eq!(written(&server.read(id).await), json!(["deploy checkout\nby ci-bot", ["deploy", "service:checkout"], time, time]));
    let mass = "/api/annotations/mass-delete";
    check_error(&server.annotate(Method::POST, mass, &json!({"dashboardId": 1, "panelId": 1})).await, 400, "annotationId: must be given");
    let deleted = server.annotate(Method::POST, mass, &json!({"annotationId": id})).await;
    assert_eq!((deleted.status, deleted.json()), (200, json!({"message": "Annotations deleted"})));
    check_error(&server.annotate(Method::POST, mass, &json!({"annotationId": id})).await, 404, "Annotation not found");
}

#[tokio::test]
async fn errors_are_messages() {
    let server = Server::new("");
    for (method, path, body, status, message) in [
        (Method::POST, PATH, "{}", 400, "text: must be given, and not be empty"),
        (Method::POST, PATH, "", 400, "body: is empty"),
        (Method::POST, PATH, r#"{"text":"t","time":"soon"}"#, 400, "time \"soon\": must be milliseconds since 1970"),
        (Method::POST, "/api/annotations/graphite", "{}", 400, "what: must be given"),
        (Method::PUT, "/api/annotations/x", "{}", 400, "annotationId \"x\" is invalid"),
        (Method::PATCH, "/api/annotations/-1", "{}", 400, "annotationId \"-1\" is invalid"),
        (Method::GET, "/api/annotations/1.5", "", 400, "annotationId \"1.5\" is invalid"),
        (Method::GET, "/api/annotations/999999", "", 404, "Annotation not found"),
        (Method::PUT, "/api/annotations/18446744073709551615", "{}", 404, "Annotation not found"),
        (Method::DELETE, "/api/annotations/5", "", 404, "Annotation not found"),
        (Method::GET, "/api/annotations?from=x", "", 400, "from `x`: must be a whole number"),
        (Method::GET, "/api/annotations/tags?limit=x", "", 400, "limit `x`: must be a whole number"),
        (Method::DELETE, PATH, "", 405, "this path does not take this method"),
        (Method::GET, "/api/annotations/1/more", "", 404, "no such path"),
    ] {
        check_error(&server.call(request(method, path, &[], Body::from(body))).await, status, message);
    }
    let deleted = server.annotation(&json!({"text": "t"})).await;
    let answer = server.annotate(Method::DELETE, &at(deleted), &json!(null)).await;
    assert_eq!((answer.status, answer.json()), (200, json!({"message": "Annotation deleted"})));
    check_error(&server.get(&at(deleted)).await, 404, "Annotation not found");
}

#[tokio::test]
async fn clients_find_out_whether_it_works_and_whose_it_is() {
    let server = Server::starting("", change_events::http::app::WebOptions::default());
    let health = server.get("/api/health").await;
    assert_eq!((health.status, health.json()["database"].clone()), (503, json!("failing")));
    server.finish_start();
    let health = server.get("/api/health").await;
    assert_eq!((health.status, health.json()), (200, json!({"commit": "", "database": "ok", "version": env!("CARGO_PKG_VERSION")})));
    assert_eq!(server.get("/api/frontend/settings").await.json(), json!({"buildInfo": {"version": env!("CARGO_PKG_VERSION")}}));
    assert_eq!(server.get("/api/org").await.json(), json!({"id": 1, "name": ""}));
}

#[tokio::test]
async fn events_of_other_doors_are_annotations_too() {
    let server = Server::new("");
    let edge = |state: &str, at: i64| {
        json!({"event_name": "deployment", "event_state": state, "timestamp": crate::grafana::iso(at),
        "attributes": {"service_name": "a<b", "version": "1", "more": {"deep": [1]}}})
    };
    let put = async |body: Value| server.call(request(Method::PUT, EVENTS, &[], body.to_string().into())).await;
    put(edge("start", BEGIN)).await;
    let open = server.listed("").await.remove(0);
    let id = open["id"].as_u64().unwrap();
    assert_eq!(
        (&open["title"], &open["tags"]),
        (&json!("deployment"), &json!(["event_name:deployment", "more_deep:1", "service_name:a<b", "version:1"]))
    );
    let text = open["text"].as_str().unwrap();
    for line in ["event_name: deployment", "no end yet", "service_name: a&lt;b", "version: 1", "more: {&quot;deep&quot;:[1]}"] {
        assert!(text.split("<br>\n").any(|one| one == line), "{line}: {text}");
    }
    // What was read and put back changes nothing.
    server.reannotate(Method::PUT, id, &open).await;
    assert_eq!(written(&server.read(id).await), written(&open));
    // A text goes to its details, tags that it does not have become its own, and an end ends it.
    server.reannotate(Method::PATCH, id, &json!({"text": "mine", "tags": ["version:1", "seen", "by:me"]})).await;
    let read = server.read(id).await;
    assert_eq!((&read["text"], &read["tags"], &read["title"]), (&json!("mine"), &json!(["version:1", "seen", "by:me"]), &Value::Null));
    assert_eq!(server.ids("tags=seen&tags=by:me&tags=service_name").await, [id]);
    for (body, field) in [(json!({"time": BEGIN + 1}), "time"), (json!({"tags": ["event_name:other"]}), "tags")] {
        check_error(&server.annotate(Method::PATCH, &at(id), &body).await, 400, &format!("{field}: the event came as edges"));
    }
    server.reannotate(Method::PATCH, id, &json!({"timeEnd": BEGIN + 50})).await;
    let ended = server.read(id).await;
    assert_eq!((&ended["timeEnd"], &ended["text"]), (&json!(BEGIN + 50), &json!("mine")));
    check_error(&server.annotate(Method::PATCH, &at(id), &json!({"timeEnd": BEGIN + 60})).await, 400, "timeEnd: the event came as edges");
    assert_eq!(server.annotate(Method::DELETE, &at(id), &json!({})).await.status, 200);
    assert_eq!(server.listed("").await.len(), 0);
}

/// As other doors take a time.
pub(crate) fn iso(millis: i64) -> String {
    change_events::time::Timestamp::from_millis(millis).to_string()
}

#[tokio::test]
async fn other_doors_see_and_change_what_was_created_here() {
    let server = Server::new("");
    let id = server.annotation(&json!({"text": "t", "tags": ["outage", "service:a"], "time": BEGIN, "timeEnd": BEGIN + 5})).await;
    let ets = server.get("/api/v1/event/").await.json()["result"][0].clone();
    assert_eq!((&ets["tags"], &ets["description"]), (&json!({"type": ["incident"], "outage": [], "service": ["a"]}), &json!("t")));
    let marker = server.get("/v1/accounts/acme/events").await.json()["records"][0].clone();
    assert_eq!((&marker["type"], &marker["metadata"]), (&json!("incident"), &json!({"outage": [], "service": "a"})));
    // What another door changes is shown from then on, and what it leaves alone stays as it was written.
    let path = format!("/v1/accounts/acme/events/{}", marker["sid"].as_str().unwrap());
    let update = |body: Value| server.call(request(Method::PATCH, &path, &[], body.to_string().into()));
    assert_eq!(update(json!({"description": "u"})).await.status, 200);
    let read = server.read(id).await;
    assert_eq!((&read["tags"], &read["title"]), (&json!(["outage", "service:a"]), &json!("incident")));
    assert!(read["text"].as_str().unwrap().starts_with("u<br>\nevent_name: incident<br>\n"), "{read}");
    assert_eq!(update(json!({"type": "scale", "source": "github"})).await.status, 200);
    assert_eq!(server.read(id).await["tags"], json!(["event_name:scale", "outage", "service:a", "source:github"]));
    let change = json!({"event": {"id": ets["id"], "tags": {"team": ["x"], "outage": []}}, "operation": "merge"});
    assert_eq!(server.call(request(Method::POST, "/api/v1/event/", &[], change.to_string().into())).await.status, 200);
    let read = server.read(id).await;
    let tags: Vec<&str> = read["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap()).collect();
    for tag in ["event_name:scale", "outage", "service:a", "team:x", "source:github"] {
        assert!(tags.contains(&tag), "{tag}: {tags:?}");
    }
    server.reannotate(Method::PUT, id, &read).await;
    assert_eq!(written(&server.read(id).await), written(&read));
    assert_eq!(server.get("/v1/accounts/acme/events").await.json()["records"][0]["source"], "github");
}

/// A change by another door.
async fn change(server: &Server, event: Value) {
    let change = json!({"event": event, "operation": "update", "insert": true});
    let answer = server.call(request(Method::POST, "/api/v1/event/", &[], change.to_string().into())).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn a_text_of_another_door_is_escaped_whoever_wrote_one_before() {
    let server = Server::new("");
    let script = "<script>alert(1)</script>";
    let check = async |server: &Server, id: u64| {
        for read in [server.read(id).await, server.listed("").await.remove(0)] {
            let text = read["text"].as_str().unwrap();
            assert!(text.starts_with("&lt;script&gt;alert(1)&lt;/script&gt;<br>\n") && read["title"] == "annotation", "{read}");
        }
    };
    let id = server.annotation(&json!({"text": "<b>mine</b>", "tags": ["start", "a"], "time": BEGIN})).await;
    let event = server.get("/api/v1/event/").await.json()["result"][0]["id"].clone();
    change(&server, json!({"id": event, "description": script})).await;
    check(&server, id).await;
    let server = server.restarted("");
    check(&server, id).await;
    // Neither what is put back, nor other tags, nor an end that says more make it one of this door.
    let read = server.read(id).await;
    server.reannotate(Method::PUT, id, &read).await;
    server.reannotate(Method::PATCH, id, &json!({"tags": ["start", "a", "b"], "data": {"k": 1}})).await;
    check(&server, id).await;
    assert_eq!(server.annotation(&json!({"text": "<i>end</i>", "tags": ["a", "b", "done"], "time": BEGIN + 5})).await, id);
    check(&server, id).await;
    assert!(server.read(id).await["text"].as_str().unwrap().contains("<br>\n&lt;i&gt;end&lt;/i&gt;<br>\n"));
    // Whoever writes it here means it.
    server.reannotate(Method::PATCH, id, &json!({"text": "<b>again</b>"})).await;
    let read = server.read(id).await;
    assert_eq!((&read["text"], &read["title"]), (&json!("<b>again</b>"), &Value::Null));
    // What was said before is what is shown again, and an empty text of another door is none of this one.
    change(&server, json!({"id": event, "description": ""})).await;
    assert!(server.read(id).await["text"].as_str().unwrap().starts_with("event_name: annotation<br>"));
    change(&server, json!({"id": event, "description": "<b>again</b>"})).await;
    assert_eq!(server.read(id).await["text"], "<b>again</b>");
}

#[tokio::test]
async fn a_new_tag_leaves_those_of_another_door_as_they_are() {
    let server = Server::new("");
    let tags = json!({"type": ["t"], "a:b": ["c"], "k": [" v ", "v", "v"], "App": ["q"]});
    change(&server, json!({"id": "one", "tags": tags})).await;
    let own = async || server.get("/api/v1/event/").await.json()["result"][0]["tags"].clone();
    let before = own().await;
    assert_eq!(before, tags);
    let listed = server.listed("").await.remove(0);
    let id = listed["id"].as_u64().unwrap();
    let mut shown: Vec<String> = serde_json::from_value(listed["tags"].clone()).unwrap();
    let (mut expected, mut all) = (before, shown.clone());
    // Once, and again when the list is this door's.
    for (tag, key, value) in [("new:1", "new", json!(["1"])), ("deploy", "deploy", json!([])), ("svc:s", "svc", json!(["s"]))] {
        all.push(tag.to_owned());
        server.reannotate(Method::PATCH, id, &json!({"tags": all})).await;
        expected[key] = value;
        if key == "svc" {
            expected["service_name"] = json!(["s"]);
        }
        assert_eq!((own().await, &server.read(id).await["tags"]), (expected.clone(), &json!(all)), "{tag}");
    }
    // What is no longer sent is gone, and nothing else.
    all.retain(|tag| tag != "a:b:c" && tag != "new:1" && tag != "deploy");
    server.reannotate(Method::PATCH, id, &json!({"tags": all})).await;
    for gone in ["a:b", "new", "deploy"] {
        expected.as_object_mut().unwrap().remove(gone);
    }
    assert_eq!(own().await, expected);
    // A name is of what is new, in place of the one that was.
    shown = all.into_iter().filter(|tag| !tag.starts_with("event_name:")).collect();
    server.reannotate(Method::PATCH, id, &json!({"tags": shown})).await;
    assert_eq!(own().await, expected, "nothing says another name");
    shown.push("event_name:u".to_owned());
    server.reannotate(Method::PATCH, id, &json!({"tags": shown})).await;
    expected["type"] = json!(["u"]);
    assert_eq!(own().await, expected);
}
