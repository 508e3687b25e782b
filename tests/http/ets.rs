//! The front door of ETS: the requests of tycho's own tests and documents, byte for byte, and what is answered.

use axum::body::Body;
use axum::http::Method;
use change_events::doors::ets;
use change_events::http::app::Settings;
use change_events::http::app::WebOptions;
use serde_json::Value;
use serde_json::json;
use sha2::Digest as _;

use crate::support::Answer;
use crate::support::EVENTS;
use crate::support::NOW;
use crate::support::Server;
use crate::support::request;

pub(crate) const ETS: &str = "/api/v1/event/";

pub(crate) const EVENT: &str = "5498d53c5f2d60095267a0bb";
pub(crate) const PARENT: &str = "111f1f77bcf86cd799439011";
pub(crate) const SOURCE: &str = "222f1f77bcf86cd799439011";
pub(crate) const CHILD_OF_SOURCE: &str = "333f1f77bcf86cd799439333";

/// An event of tycho's `conftest.py` as `json.dumps` writes it; the event begins a day before its end, which is at `END`.
fn fixture(id: &str, source: &str, parent: &str, start: &str, end: &str) -> String {
    format!(
        "{{\"id\": \"{id}\", \"source_id\": \"{source}\", \"parent_id\": \"{parent}\", \"start_time\": \"{start}\", \"end_time\": \"{end}\", \
         \"description\": \"This is a trigger_deploy event.\", \"detail_urls\": {{\"jira\": \"http://jira\", \"graphite\": \"http://graphite\"}}, \
         \"tags\": {{\"source\": [\"deploy\"], \"type\": [\"deploy/deploy_all\"], \"author\": [\"user@example.com\"], \
         \"environment\": [\"monitor_candidate\", \"monitor_live\"], \"services\": [\"tycho\"], \"status\": [\"success\"]}}}}"
    )
}

pub(crate) fn event() -> String {
    fixture(EVENT, SOURCE, PARENT, "2026-02-20T09:59:59.123000+00:00", "2026-02-21T09:59:59.123000+00:00")
}

fn parent() -> String {
    fixture(PARENT, SOURCE, SOURCE, "2026-02-21T10:59:59.123000+00:00", "2026-02-21T11:59:59.123000+00:00")
}

fn source() -> String {
    fixture(SOURCE, "", "", "2026-02-21T12:59:59.123000+00:00", "2026-02-21T13:59:59.123000+00:00")
}

fn child_of_source() -> String {
    fixture(CHILD_OF_SOURCE, SOURCE, SOURCE, "2026-02-21T14:59:59.123000+00:00", "2026-02-21T15:59:59.123000+00:00")
}

pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");

pub(crate) async fn send(server: &Server, method: Method, body: impl Into<Body>) -> Answer {
    server.call(request(method, ETS, &[JSON], body.into())).await
}

pub(crate) async fn put(server: &Server, event: impl std::fmt::Display) -> Answer {
    send(server, Method::PUT, format!("{{\"event\": {event}}}")).await
}

pub(crate) async fn delete(server: &Server, id: &str) -> Answer {
    server.call(request(Method::DELETE, &format!("{ETS}{id}/delete"), &[], Body::empty())).await
}

/// The fixture `event_in_db`, with what it stands on.
pub(crate) async fn filled() -> Server {
    let server = Server::new("");
    for event in [source(), parent(), event(), child_of_source()] {
        let answer = put(&server, &event).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json(), serde_json::from_str::<Value>(&event).unwrap());
    }
    server
}

pub(crate) fn ids(events: &Value) -> Vec<&str> {
    events.as_array().unwrap_or_else(|| panic!("{events}")).iter().map(|event| event["id"].as_str().unwrap()).collect()
}

async fn list(server: &Server, query: &str) -> Value {
    let answer = server.get(&format!("{ETS}{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    assert_eq!(answer.json()["count"], answer.json()["result"].as_array().unwrap().len());
    answer.json()["result"].clone()
}

#[track_caller]
pub(crate) fn assert_refused(answer: &Answer, status: u16, message: &str) {
    let body = answer.json();
    assert_eq!(answer.status, status, "{body}");
    assert_eq!((&body["success"], &body["code"], &body["headers"]), (&json!(false), &json!(status), &json!({})), "{body}");
    assert!(body["result"].as_str().unwrap().contains(message), "{body}");
}

#[tokio::test]
async fn an_event_is_put_and_read_as_it_was_sent() {
    let server = filled().await;
    let answer = server.get(&format!("{ETS}{EVENT}")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text(), event().replace("\": ", "\":").replace(", \"", ",\""), "the eight keys in tycho's order");
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("etag").len(), 18);
    // Without the slash too.
    let bare = request(Method::PUT, "/api/v1/event", &[JSON], Body::from(r#"{"event":{"id":"bare"}}"#));
    assert_eq!(server.call(bare).await.status, 200);
    assert_eq!(server.get("/api/v1/event?tag=type:event").await.json()["count"], 1);
}

#[tokio::test]
async fn what_is_not_there() {
    let server = filled().await;
    assert_refused(&server.get(&format!("{ETS}none")).await, 404, "Not Found");
    assert_refused(&server.get(&format!("{ETS}none/impact")).await, 404, "Not Found");
    assert_eq!(server.get(&format!("{ETS}none/children")).await.text(), "[]");
    assert_eq!(server.get(&format!("{ETS}none/trace")).await.text(), "[]");
    assert_refused(&delete(&server, "event_not_exist").await, 400, "Can not delete event with id: event_not_exist");
    let answer = server.get("/event/dummy_id/").await;
    assert_eq!((answer.status, answer.text().as_str()), (404, "Event ID dummy_id is not available in DB"));
    assert!(answer.header("content-type").starts_with("text/plain"));
    // test_user_route
    assert!(server.get("/").await.text().contains("html"));
}

#[tokio::test]
async fn invalid_events_are_refused() {
    let server = filled().await;
    let long = "{\n    \\\"affected_services\\\":[\\\"static-pre\\\"],\\n    \\\"source\\\":\\\"orchestra\\\",\\n    \\\"phase\\\":\\\"begin\\\",\\n    \
                \\\"commithash\\\":\\\"cbc010a240e6fa5c9b57ec3a367cd1a6b3b6\\\",\\n    \\\"hst\\\":\\\"host2.localhost\\\"}"
        .replace('\n', "\\n");
    for (method, body, message) in [
        (Method::PUT, format!("{{\"event\": {{\"source_id\": \"{long}\"}}}}"), "source_id"),
        (Method::POST, format!("{{\"operation\": \"merge\", \"event\": {{\"source_id\": \"{long}\"}}}}"), "source_id"),
        (Method::PUT, "{\"event\": {\"bad_key\": \"hello\"}}".to_owned(), "bad_key"),
        (Method::POST, "{\"operation\": \"merge\", \"event\": {\"bad_key\": \"hello\"}}".to_owned(), "bad_key"),
        (
            Method::POST,
            format!("{{\"operation\": \"not_merge_nor_update\", \"event\": {}}}", event()),
            "only update and merge operation are supported, not_merge_nor_update passed",
        ),
        (Method::PUT, event(), "unknown field `id`"),
        (Method::PUT, "{}".to_owned(), "required arguments ['event'] not passed"),
        (Method::PUT, format!("{{\"event\": {}}}", event()), "Error: id '5498d53c5f2d60095267a0bb' already exists"),
        (Method::PUT, json!({"event": {"start_time": 10, "end_time": 9}}).to_string(), "is before start_time"),
        (Method::PUT, "{\"event\": ".to_owned(), "body: "),
    ] {
        assert_refused(&send(&server, method, body).await, 400, message);
    }
    let typed = request(Method::PUT, ETS, &[("content-type", "application/xml")], Body::from("<event/>"));
    assert_refused(&server.call(typed).await, 415, "application/xml");
}

#[tokio::test]
async fn lists_are_as_tycho_lists() {
    let server = filled().await;
    let all = [CHILD_OF_SOURCE, SOURCE, PARENT, EVENT];
    for (query, expected) in [
        ("", &all[..]),
        ("?page=1", &all),
        ("?page=2", &[]),
        ("?count=4", &all),
        ("?count=1", &all[..1]),
        ("?count=1&page=1", &all[..1]),
        ("?count=2&page=2", &all[2..]),
        ("?count=3&page=2", &all[3..]),
        ("?count=0", &all),
        ("?count=0&page=2", &[]),
        // The start of the event until that of its parent, which is not in it; then one second more.
        ("?frm=2026-02-20T09%3A59%3A59.123000%2B00%3A00&to=2026-02-21T10%3A59%3A59.123000%2B00%3A00", &[EVENT]),
        ("?frm=2026-02-20T09:59:59.123000+00:00&to=2026-02-21T11:00:00.123000+00:00", &[PARENT, EVENT]),
        ("?to=2026-02-21T12:59:59.123000%2B00:00", &[PARENT, EVENT]),
        ("?to=2026-02-21T13:00:00.123Z", &[SOURCE, PARENT, EVENT]),
        ("?frm=2026-02-21T13:59:59.123Z", &all[..2]),
        // An event that spans the whole time asked for.
        ("?frm=2026-02-20T12:00:00Z&to=2026-02-20T12:00:01Z", &[EVENT]),
        ("?frm=1771588800&to=1771588801", &[EVENT]),
        ("?frm=02/20/26:12:00:00&to=02/20/26:12:00:01", &[EVENT]),
        (
            "?frm=2026-02-21T12%3A59%3A59.123000%2B00%3A00&to=2026-02-21T14%3A59%3A59.123000%2B00%3A00\
             &tag=environment%3Amonitor_candidate&tag=services%3Atycho&count=1",
            &[SOURCE],
        ),
        ("?tag=environment:monitor_live&tag=services:tycho", &all),
        ("?tag=environment:monitor_live,services:tycho", &all),
        ("?tag=environment:val_300&tag=services:tycho", &[]),
        ("?tag=type:deploy/deploy_all", &all),
        ("?tag=parent_id:222f1f77bcf86cd799439011", &[CHILD_OF_SOURCE, PARENT]),
        ("?tag=source_id:222f1f77bcf86cd799439011&tag=parent_id:111f1f77bcf86cd799439011", &[EVENT]),
        ("?tag=author:user@example.com&count=1&page=3", &[PARENT]),
        ("?use_update_time=true&frm=2026-02-20T09:59:57Z&to=2026-02-20T09:59:59Z", &[]),
    ] {
        assert_eq!(ids(&list(&server, query).await), expected, "{query}");
    }
    for query in ["?frm=None&to=None", "?frm=&to=", "?frm=invalid+frm+time&to=invalid+to+time", "?count=-1", "?count=1&page=0", "?tag=x"] {
        assert_refused(&server.get(&format!("{ETS}{query}")).await, 400, "");
    }
}

#[tokio::test]
async fn lists_by_the_time_of_the_last_change() {
    let server = filled().await;
    server.clock.advance(std::time::Duration::from_secs(10));
    let changed = json!({"event": {"id": PARENT, "tags": {"status": ["fail"]}}, "operation": "update"});
    assert_eq!(send(&server, Method::POST, changed.to_string()).await.status, 200);
    let moment = |seconds: i64| (NOW.millis() / 1000 + seconds).to_string();
    assert_eq!(ids(&list(&server, &format!("?use_update_time=true&frm={}", moment(5))).await), [PARENT]);
    assert_eq!(
        ids(&list(&server, &format!("?use_update_time=true&to={}", moment(5))).await),
        [SOURCE, CHILD_OF_SOURCE, EVENT],
        "what was changed at the same time is in the order of the ids"
    );
    assert_eq!(ids(&list(&server, "?use_update_time=T").await)[0], PARENT);
    // A change that no label and no time says.
    server.clock.advance(std::time::Duration::from_secs(10));
    let changed = json!({"event": {"id": EVENT, "description": "more"}});
    assert_eq!(send(&server, Method::POST, changed.to_string()).await.status, 200);
    assert_eq!(ids(&list(&server, "?use_update_time=T").await)[..2], [EVENT, PARENT]);
    assert_eq!(ids(&list(&server, &format!("?use_update_time=true&frm={}", moment(15))).await), [EVENT]);
    assert_eq!(ids(&list(&server, &format!("?use_update_time=true&frm={}&to={}", moment(5), moment(15))).await), [PARENT]);
    let server = server.restarted("");
    assert_eq!(ids(&list(&server, "?use_update_time=T").await)[..2], [EVENT, PARENT]);
}

#[tokio::test]
async fn causes_and_effects() {
    let server = filled().await;
    let events = async |path: &str| server.get(&format!("{ETS}{path}")).await.json();
    assert_eq!(ids(&events(&format!("{EVENT}/trace")).await), [EVENT, PARENT, SOURCE]);
    assert_eq!(ids(&events(&format!("{SOURCE}/trace")).await), [SOURCE]);
    assert_eq!(ids(&events(&format!("{PARENT}/children")).await), [EVENT]);
    assert_eq!(ids(&events(&format!("{SOURCE}/children")).await), [CHILD_OF_SOURCE, PARENT], "the latest end first");
    let tree = events(&format!("{SOURCE}/impact")).await;
    assert_eq!(tree["event"], serde_json::from_str::<Value>(&source()).unwrap());
    assert_eq!(tree["children"][0]["event"]["id"], CHILD_OF_SOURCE);
    assert_eq!(tree["children"][1]["event"]["id"], PARENT);
    assert_eq!(tree["children"][1]["children"][0], json!({"event": serde_json::from_str::<Value>(&event()).unwrap(), "children": []}));
    let page = server.get(&format!("/event/{EVENT}/")).await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));

    // Children of an event that is not there, and a trace up to one that is not.
    assert_eq!(put(&server, json!({"id": "orphan", "parent_id": "nobody"})).await.status, 200);
    assert_eq!(ids(&events("nobody/children").await), ["orphan"]);
    assert_eq!(ids(&events("orphan/trace").await), ["orphan"]);
    // A tag of that name is no parent.
    assert_eq!(put(&server, json!({"id": "tagged", "tags": {"parent_id": ["nobody"]}})).await.status, 200);
    assert_eq!(ids(&events("nobody/children").await), ["orphan"]);
}

#[tokio::test]
async fn posts_merge_update_and_insert() {
    let server = Server::new("");
    let post = async |body: String| send(&server, Method::POST, body).await;
    let there = async || server.get(&format!("{ETS}{EVENT}")).await.status == 200;
    // Nothing there: the event comes back, and is not stored.
    for body in [
        format!("{{\"operation\": \"merge\", \"event\": {}}}", event()),
        format!("{{\"operation\": \"update\", \"event\": {}}}", event()),
        format!("{{\"operation\": \"merge\", \"event\": {}, \"insert\": false}}", event()),
    ] {
        let answer = post(body).await;
        assert_eq!((answer.status, answer.json()), (200, serde_json::from_str(&event()).unwrap()));
        assert!(!there().await);
    }
    let strange = "{\"operation\": \"merge\", \"event\": {\"id\": {\"description\": \"Event without id\", \"tags\": {\"author\": \
                   [\"orbital@example.com\"]}}, \"source_id\": \"\", \"parent_id\": \"\", \"start_time\": \"2026-02-20T10:00:00+00:00\", \
                   \"end_time\": \"2026-02-20T10:00:00+00:00\", \"description\": \"\", \"detail_urls\": {}, \"tags\": {}}}";
    assert_eq!(post(strange.to_owned()).await.status, 200);
    let answer = post(format!("{{\"operation\": \"merge\", \"event\": {}, \"insert\": true}}", event())).await;
    assert_eq!((answer.status, answer.json()), (200, serde_json::from_str(&event()).unwrap()));
    assert!(there().await);

    for upsert in ["true", "false"] {
        let answer = post(format!(
            "{{\"operation\": \"merge\", \"event\": {{\"id\": \"{EVENT}\", \"start_time\": \"2026-02-20 09:59:09.123000+00:00\", \
             \"tags\": {{\"author\": [\"orbital@example.com\"]}}}}, \"insert\": {upsert}}}"
        ))
        .await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json()["tags"]["author"], json!(["user@example.com", "orbital@example.com"]));
        assert_eq!(answer.json()["start_time"], "2026-02-20T09:59:09.123000+00:00");
        assert_eq!(answer.json()["end_time"], "2026-02-21T09:59:59.123000+00:00", "not now");
    }
    for (description, expected) in [
        (" trigger_deploy ", "This is a trigger_deploy event."),
        ("", "This is a trigger_deploy event."),
        ("This is a new trigger_deploy event", "This is a trigger_deploy event.\nThis is a new trigger_deploy event"),
    ] {
        let body = json!({"operation": "merge", "event": {"id": EVENT, "source_id": "", "description": description}, "insert": true});
        assert_eq!(post(body.to_string()).await.json()["description"], expected);
    }
    let clash = json!({"event": {"id": EVENT, "source_id": "another"}});
    assert_refused(&post(clash.to_string()).await, 409, "Merge not possible:reserved keys have clashing values.");

    let answer = post(format!(
        "{{\"operation\": \"update\", \"event\": {{\"id\": \"{EVENT}\", \"start_time\": \"2026-02-20 09:58:19.123000+00:00\", \
         \"tags\": {{\"author\": [\"orbital@example.com\"]}}}}}}"
    ))
    .await;
    assert_eq!(answer.json()["tags"], json!({"author": ["orbital@example.com"]}));
    assert_eq!(answer.json()["start_time"], "2026-02-20T09:58:19.123000+00:00");
    assert_eq!(answer.json()["source_id"], SOURCE, "what was not sent stays");
    for times in [json!({"end_time": 5}), json!({"start_time": "2027-01-01"})] {
        let mut event = times;
        event["id"] = json!(EVENT);
        assert_refused(&post(json!({"event": event, "operation": "update"}).to_string()).await, 400, "is before start_time");
    }
}

#[tokio::test]
async fn strict_servers_do_not_pretend() {
    let server = Server::starting("", WebOptions::default());
    let mut settings = Settings::clone(&server.app.settings());
    settings.doors.insert(ets::Options { strict: true });
    server.app.set_settings(settings);
    server.finish_start();
    let body = |insert: bool| json!({"event": {"id": "new"}, "insert": insert}).to_string();
    assert_refused(&send(&server, Method::POST, body(false)).await, 404, "Not Found");
    assert_eq!(send(&server, Method::POST, body(true)).await.status, 200);
    assert_eq!(send(&server, Method::POST, body(false)).await.status, 200);
}

#[tokio::test]
async fn deleted_events_are_gone_and_may_come_again() {
    let server = filled().await;
    let answer = delete(&server, EVENT).await;
    assert_eq!((answer.status, answer.json()), (200, json!({"message": format!("Event: {EVENT} deleted successfully")})));
    assert_refused(&server.get(&format!("{ETS}{EVENT}")).await, 404, "Not Found");
    assert_eq!(ids(&list(&server, "").await), [CHILD_OF_SOURCE, SOURCE, PARENT]);
    assert_refused(&delete(&server, EVENT).await, 400, "Can not delete event with id: 5498d53c5f2d60095267a0bb");
    assert_eq!(put(&server, event()).await.status, 200);
    assert_eq!(ids(&server.get(&format!("{ETS}{PARENT}/children")).await.json()), [EVENT]);
}

#[tokio::test]
async fn yaml_goes_in_and_comes_out() {
    let server = Server::new("");
    let yaml = "event:\n  id: y\n  start_time: 2018-12-31T18:38:52Z\n  description: \"a\\u2028b\"\n  tags:\n    status: [fail]\n";
    let call = async |method, path: &str, headers: &[(&str, &str)], body: &str| {
        server.call(request(method, path, headers, Body::from(body.to_owned()))).await
    };
    let answer = call(Method::PUT, ETS, &[("content-type", "application/yaml")], yaml).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/yaml"), "{}", answer.text());
    assert!(answer.text().contains(r"a\u2028b"), "older YAML takes it for the end of a line");
    assert_eq!(answer.json()["tags"], json!({"status": ["fail"]}));
    for path in ["y", "y/children", "y/trace", "y/impact", ""] {
        let answer = call(Method::GET, &format!("{ETS}{path}"), &[("accept", "application/x-yaml")], "").await;
        assert_eq!(answer.header("content-type"), "application/yaml");
        assert!(serde_json::from_slice::<Value>(&answer.bytes).is_ok(), "JSON is YAML");
    }
}

#[tokio::test]
async fn two_clients_update_one_event() {
    let server = filled().await;
    let tag = |answer: &Answer| answer.header("etag").to_owned();
    let read = tag(&server.get(&format!("{ETS}{EVENT}")).await);
    let post = async |if_match: &str, author: &str| {
        let body = json!({"event": {"id": EVENT, "tags": {"author": [author]}}, "operation": "update"});
        server.call(request(Method::POST, ETS, &[JSON, ("if-match", if_match)], Body::from(body.to_string()))).await
    };
    let first = post(&read, "one").await;
    assert_eq!(first.status, 200);
    assert_refused(&post(&read, "two").await, 412, "read it again");
    assert_eq!(server.get(&format!("{ETS}{EVENT}")).await.json()["tags"], json!({"author": ["one"]}));
    assert_eq!(post(&tag(&first), "two").await.status, 200);
    let delete = async |if_match: &str| {
        server.call(request(Method::DELETE, &format!("{ETS}{EVENT}/delete"), &[("if-match", if_match)], Body::empty())).await
    };
    assert_refused(&delete(&read).await, 412, "read it again");
    assert_eq!(delete("*").await.status, 200);
    // What is not there has no version, so a change that names one is refused, not put anew.
    assert_refused(&post(&read, "three").await, 412, "read it again");
    assert_refused(&post("*", "three").await, 412, "read it again");
    let put = request(Method::PUT, ETS, &[JSON, ("if-match", &read)], Body::from(r#"{"event":{"id":"new"}}"#));
    assert_refused(&server.call(put).await, 412, "read it again");
}

#[tokio::test]
async fn merges_at_the_same_time_all_count() {
    let server = std::sync::Arc::new(Server::new(""));
    assert_eq!(put(&server, json!({"id": "busy"})).await.status, 200);
    let merges = (0..50).map(|number| {
        let server = std::sync::Arc::clone(&server);
        tokio::spawn(async move {
            let body = json!({"event": {"id": "busy", "tags": {"n": [number.to_string()]}}});
            assert_eq!(send(&server, Method::POST, body.to_string()).await.status, 200);
        })
    });
    for merge in merges.collect::<Vec<_>>() {
        merge.await.unwrap();
    }
    let event = server.get(&format!("{ETS}busy")).await.json();
    assert_eq!(event["tags"]["n"].as_array().unwrap().len(), 50, "{event}");
}

#[tokio::test]
async fn events_of_edges_are_events_too() {
    let server = Server::new("");
    let sent = server
        .put(
            r#"{"event_name":"deployment","event_state":"start","timestamp":"2026-02-20T09:00:00Z","attributes":{"service.name":"web","deployment_id":"7"}}"#,
            &[],
        )
        .await
        .json();
    let id = sent["id"].as_str().unwrap();
    let tags = json!({"type": ["deployment"], "deployment_id": ["7"], "service_name": ["web"]});
    assert_eq!(
        server.get(&format!("{ETS}{id}")).await.json(),
        json!({
            "id": id, "source_id": "", "parent_id": "", "start_time": "2026-02-20T09:00:00+00:00", "end_time": null,
            "description": "", "detail_urls": {}, "tags": tags,
        })
    );
    for query in ["?tag=type:deployment", "?tag=service_name:web&tag=deployment_id:7", "?frm=2026-02-20T09:30:00Z"] {
        assert_eq!(ids(&list(&server, query).await), [id], "{query}");
    }
    // It can be described, be a parent, and be closed; what its edges say stays.
    let post = async |event: Value, operation: &str| {
        send(&server, Method::POST, json!({"event": event, "operation": operation}).to_string()).await
    };
    let answer = post(json!({"id": id, "description": "rollout", "tags": {"ticket": ["OPS-1"], "type": ["deployment"]}}), "merge").await;
    assert_eq!((answer.status, &answer.json()["description"]), (200, &json!("rollout")), "{}", answer.text());
    assert_eq!(answer.json()["tags"]["ticket"], json!(["OPS-1"]));
    assert_eq!(ids(&list(&server, "?tag=ticket:OPS-1").await), [id]);
    assert_refused(&post(json!({"id": id, "start_time": 5}), "merge").await, 409, "came as edges");
    assert_eq!(put(&server, json!({"id": "child", "parent_id": id})).await.status, 200);
    assert_eq!(ids(&server.get(&format!("{ETS}child/trace")).await.json()), ["child", id]);
    let answer = post(json!({"id": id, "end_time": "2026-02-20T09:45:00Z"}), "merge").await;
    assert_eq!((answer.status, &answer.json()["end_time"]), (200, &json!("2026-02-20T09:45:00+00:00")), "{}", answer.text());
    let listed = server.get(&format!("{EVENTS}?match[]=%7Bevent_name=%22deployment%22%7D")).await.json();
    assert_eq!((&listed["events"][0]["state"], &listed["events"][0]["duration_seconds"]), (&json!("closed"), &json!(2700.0)));
    assert_eq!(delete(&server, id).await.status, 200);
    assert_refused(&server.get(&format!("{ETS}{id}")).await, 404, "Not Found");
    assert_eq!(server.get(&format!("{EVENTS}?match[]=%7Bevent_name=%22deployment%22%7D")).await.json()["events"], json!([]));
    // And the other way round: what came by this door is listed and shown as samples.
    assert_eq!(put(&server, json!({"id": "x", "tags": {"type": ["incident"], "service": ["web"]}, "end_time": null})).await.status, 200);
    let listed = server.get(&format!("{EVENTS}?match[]=%7Bevent_name=%22incident%22%7D&state=open")).await.json();
    assert_eq!(listed["events"][0]["id"], "x");
    let page = server.get("/metrics").await.text();
    assert!(
        page.contains("last9_change_events{event_name=\"incident\",event_state=\"start\",service=\"web\",service_name=\"web\"} 1 "),
        "{page}"
    );
    assert!(
        page.contains("last9_change_events_open_timestamp_seconds{event_name=\"incident\",service=\"web\",service_name=\"web\"}"),
        "{page}"
    );
}

#[tokio::test]
async fn what_is_read_and_sent_back_changes_nothing_at_any_door() {
    const ACCOUNT: &str = "/v1/accounts/acme/events";
    let server = Server::new("");
    let account = async |method: Method, path: &str, body: Value| {
        server.call(request(method, &format!("{ACCOUNT}{path}"), &[JSON], Body::from(body.to_string()))).await.json()
    };
    for body in [
        json!({
            "type": "incident", "name": "INC-1", "source": "manual", "buckets": ["b2", "b1"], "environments": ["prod"],
            "metadata": {"ticket": 1.50, "deep": {"a": [1]}}, "description": "down",
        }),
        json!({"type": "deployment", "name": "v2", "startedAt": "2026-02-20T09:00:00Z", "endedAt": "2026-02-20T09:10:00Z"}),
        json!({"type": "custom", "name": "all", "buckets": ["*"]}),
    ] {
        assert!(account(Method::POST, "", body).await["sid"].is_string());
    }
    for (name, state) in [("deployment", "start"), ("deployment", "stop"), ("flag", "")] {
        let mut body =
            json!({"event_name": name, "attributes": {"entity_id": "7", "name": "Seven", "environment": "prod", "parent_id": "p"}});
        if !state.is_empty() {
            body["event_state"] = state.into();
        }
        assert_eq!(server.put(body.to_string(), &[]).await.status, 200);
        server.clock.advance(std::time::Duration::from_secs(1));
    }
    let own = json!({"id": "own", "tags": {"type": ["a", "b"], "name": ["n"], "bucket": ["x"], "__y": ["z"]}, "end_time": null});
    assert_eq!(put(&server, own).await.status, 200);

    let without = |mut record: Value| {
        record.as_object_mut().unwrap().remove("updatedAt");
        record
    };
    let listed = list(&server, "").await;
    assert_eq!(listed.as_array().unwrap().len(), 6);
    for event in listed.as_array().unwrap() {
        let sid = format!("/{}", event["id"].as_str().unwrap());
        let record = without(account(Method::GET, &sid, json!({})).await);
        let page = server.get("/metrics").await.text();
        let samples: Vec<&str> = page.lines().filter(|line| line.starts_with("last9_")).collect();
        server.clock.advance(std::time::Duration::from_secs(1));
        for operation in ["update", "merge"] {
            let answer = send(&server, Method::POST, json!({"event": event, "operation": operation}).to_string()).await;
            assert_eq!((answer.status, &answer.json()), (200, event), "{operation}: {}", answer.text());
            assert_eq!(without(account(Method::GET, &sid, json!({})).await), record, "{operation}");
        }
        let page = server.get("/metrics").await.text();
        assert_eq!(page.lines().filter(|line| line.starts_with("last9_")).collect::<Vec<_>>(), samples, "no new sample of {event}");
    }
    // Tags are added to an incident of ApiTraffic, and nothing of it is lost, not even by an update that has no other tags.
    let incident = list(&server, "?tag=name:INC-1").await[0].clone();
    assert_eq!(
        incident["tags"],
        json!({"type": ["incident"], "name": ["INC-1"], "source": ["manual"], "bucket": ["b2", "b1"], "environment": ["prod"]})
    );
    let sid = format!("/{}", incident["id"].as_str().unwrap());
    let tagged = json!({"event": {"id": incident["id"], "tags": {"status": ["fail"]}}, "operation": "update"});
    let answer = send(&server, Method::POST, tagged.to_string()).await;
    assert_eq!(answer.json()["tags"]["status"], json!(["fail"]), "{}", answer.text());
    let record = account(Method::GET, &sid, json!({})).await;
    assert_eq!(
        (&record["type"], &record["name"], &record["buckets"]),
        (&json!("incident"), &json!("INC-1"), &json!(["b2", "b1"])),
        "{record}"
    );
    assert_eq!(record["metadata"], json!({"ticket": 1.5, "deep": {"a": [1]}, "status": "fail"}), "tags have their place there");
}

#[tokio::test]
async fn an_id_is_one_event_in_each_organization() {
    let hash = |token: &str| hex::encode(sha2::Sha256::digest(token));
    let organization =
        |slug: &str| format!("- slug: {slug}\n  tokens: [{{name: {slug}, sha256: {}, scopes: [write, read]}}]\n", hash(slug));
    let server = Server::new(&format!("organizations:\n{}{}", organization("one"), organization("two")));
    let ask = async |method: Method, path: &str, token: &str, body: Value| {
        let bearer = format!("Bearer {token}");
        server.call(request(method, path, &[JSON, ("authorization", &bearer)], Body::from(body.to_string()))).await
    };
    let event = |text: &str| json!({"event": {"id": "same", "parent_id": "root", "description": text}});
    assert_eq!(ask(Method::PUT, ETS, "one", event("of one")).await.status, 200);
    for path in ["same", "same/impact"] {
        assert_refused(&ask(Method::GET, &format!("{ETS}{path}"), "two", json!({})).await, 404, "Not Found");
    }
    for path in ["root/children", "same/trace"] {
        assert_eq!(ask(Method::GET, &format!("{ETS}{path}"), "two", json!({})).await.text(), "[]");
    }
    assert_eq!(ask(Method::GET, ETS, "two", json!({})).await.json()["count"], 0);
    assert_eq!(ask(Method::GET, "/event/same/", "two", json!({})).await.status, 404);
    assert_refused(&ask(Method::DELETE, &format!("{ETS}same/delete"), "two", json!({})).await, 400, "Can not delete");
    assert_eq!(ask(Method::PUT, ETS, "two", event("of two")).await.status, 200);
    assert_eq!(ask(Method::DELETE, &format!("{ETS}same/delete"), "two", json!({})).await.status, 200);
    assert_eq!(ask(Method::GET, &format!("{ETS}same"), "one", json!({})).await.json()["description"], "of one");
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let server = filled().await;
    assert_eq!(put(&server, json!({"id": "a/b", "end_time": null, "parent_id": SOURCE})).await.status, 200);
    let merged = json!({"event": {"id": EVENT, "tags": {"author": ["z"]}}});
    assert_eq!(send(&server, Method::POST, merged.to_string()).await.status, 200);
    assert_eq!(delete(&server, PARENT).await.status, 200);
    let state = async |server: &Server| {
        let mut answers = Vec::new();
        for path in ["", "a%2Fb", &format!("{SOURCE}/impact"), &format!("{EVENT}/trace"), PARENT] {
            let answer = server.get(&format!("{ETS}{path}")).await;
            answers.push((answer.status, answer.header("etag").to_owned(), answer.text()));
        }
        answers
    };
    let before = state(&server).await;
    let server = server.restarted("");
    assert_eq!(state(&server).await, before);
    assert_refused(&put(&server, event()).await, 400, "already exists");
    assert_eq!(put(&server, parent()).await.status, 200);
}

#[tokio::test]
async fn what_is_not_simply_shown_is_said_in_a_header() {
    let server = Server::new("");
    let answer = put(
        &server,
        json!({"start_time": "2020-01-01", "tags": {"note": (0..10).map(|n| format!("{n}").repeat(200)).collect::<Vec<_>>()}}),
    )
    .await;
    assert_eq!(answer.json().as_object().unwrap().len(), 8);
    let warnings = answer.header("x-change-events-warnings");
    assert!(warnings.contains("label note: value of 2009 bytes cut") && warnings.contains("old: "), "{warnings}");
}
