//! The life of annotations through either library: points, regions, what is open, what is changed and deleted.

use change_events::time::{Clock as _, SystemClock, Timestamp};
use serde_json::{Value, json};

use crate::clients::{BEARER, Client, Credential, Library, PASSWORD};
use crate::server::Server;

const MINUTE: i64 = 60_000;

pub(crate) fn now() -> i64 {
    SystemClock.now().millis()
}

/// What of an annotation its writer chose.
fn written(annotation: &Value) -> Value {
    json!({"text": annotation["text"], "tags": annotation["tags"], "time": annotation["time"], "timeEnd": annotation["timeEnd"]})
}

/// Asks the library and us for one annotation: both say the same, which is this.
fn is(server: &Server, client: &mut Client, id: u64, expected: &Value) {
    let (returned, ours) = (client.annotation(id), server.annotation(id));
    assert_eq!(written(&returned), *expected, "by the client");
    assert_eq!((written(&ours), ours["id"].as_u64()), (expected.clone(), Some(id)), "by our own GET");
}

fn points_and_regions(server: &Server, client: &mut Client, begin: i64) -> (u64, u64) {
    let point = json!({"text": "checkout 4.12.0", "tags": ["deploy", "service:checkout", "env:production"], "time": begin});
    let region =
        json!({"text": "cart 2.0 <b>rolled out</b>", "tags": ["service:checkout", "deploy"], "time": begin, "timeEnd": begin + MINUTE});
    let first = client.must_say("Annotation added", "create", &point);
    let second = client.must_say("Annotation added", "create", &region);
    assert!(0 < first && first < second && second < 1 << 53, "{first} {second}");
    let mut as_region = point;
    as_region["timeEnd"] = begin.into();
    is(server, client, first, &as_region);
    is(server, client, second, &region);
    assert_eq!(server.open(), [""; 0], "both have ended");
    let page = server.lines("last9_change_events{").join("\n");
    assert!(page.contains(r#"event_name="deployment""#) && page.contains(r#"service_name="checkout""#), "{page}");
    (first, second)
}

fn open_until_patched(server: &Server, client: &mut Client, begin: i64) -> u64 {
    let start = json!({"text": "the long one begins", "tags": ["start", "load-test", "service:checkout"], "time": begin + 1});
    let id = client.must_say("Annotation added", "create", &start);
    let before = now();
    let open = client.annotation(id);
    assert!(open["timeEnd"].as_i64().unwrap() >= before - 2000, "open until now: {open}");
    let lines = server.open();
    assert!(lines.len() == 1 && lines[0].contains(r#"service_name="checkout""#), "{lines:?}");
    let mut back = written(&open);
    (back["id"], back["text"]) = (id.into(), start["text"].clone());
    client.must_say("Annotation updated", "put", &back);
    assert_eq!(server.open(), lines, "what was read is put back: it goes on");

    client.must_say("Annotation patched", "patch", &json!({"id": id, "timeEnd": begin + 2 * MINUTE}));
    assert_eq!(server.open(), [""; 0], "the gauge is gone");
    let mut ended = start;
    ended["timeEnd"] = (begin + 2 * MINUTE).into();
    is(server, client, id, &ended);
    id
}

fn found(server: &Server, client: &mut Client, begin: i64, ids: [u64; 3]) {
    let [point, region, patched] = ids;
    let window = |more: &Value| {
        let mut window = json!({"from": begin - 1, "to": begin + 60 * MINUTE});
        window.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        window
    };
    assert_eq!(client.found(&window(&json!({"tags": ["service:checkout"]}))), [patched, region, point], "by end, newest first");
    assert_eq!(client.found(&window(&json!({"tags": ["service:checkout", "deploy"]}))), [region, point], "both tags");
    assert_eq!(client.found(&window(&json!({"tags": ["service:checkout"], "limit": 1}))), [patched]);
    assert_eq!(client.found(&json!({"from": begin + 90_000, "to": begin + 60 * MINUTE})), [patched], "what overlaps");
    let all = client.found(&json!({}));
    assert_eq!(all, [patched, region, point], "nothing is asked for");
    let ours: Vec<_> = server.annotations(&[]).iter().map(|one| one["id"].as_u64().unwrap()).collect();
    assert_eq!(ours, all);
}

fn changed(server: &Server, client: &mut Client, begin: i64, id: u64) {
    let put = json!({"id": id, "text": "cart 2.1", "tags": ["deploy", "service:cart"]});
    client.must_say("Annotation updated", "put", &put);
    let mut now = json!({"text": "cart 2.1", "tags": ["deploy", "service:cart"], "time": begin, "timeEnd": begin + MINUTE});
    is(server, client, id, &now);
    assert_eq!(client.found(&json!({"tags": ["service:cart"]})), [id]);
    assert!(!client.found(&json!({"tags": ["service:checkout"]})).contains(&id));

    // Of what a patch leaves out, one library sends nulls and an empty list, the other a list that is null.
    client.must_say("Annotation patched", "patch", &json!({"id": id, "text": "cart 2.2"}));
    now["text"] = "cart 2.2".into();
    is(server, client, id, &now);

    let read = client.annotation(id);
    let mut back = written(&read);
    back["id"] = id.into();
    client.must_say("Annotation updated", "put", &back);
    is(server, client, id, &now);
}

fn graphite(server: &Server, client: &mut Client, begin: i64) {
    let when = begin / 1000;
    let event = json!({"what": "deploy checkout", "tags": ["deploy", "service:checkout"], "when": when, "data": "by ci-bot"});
    let id = client.must_say("Graphite annotation added", "graphite", &event);
    let time = when * 1000;
    is(
        server,
        client,
        id,
        &json!({"text": "deploy checkout\nby ci-bot", "tags": ["deploy", "service:checkout"], "time": time, "timeEnd": time}),
    );
    let tags = client.must("tags", &json!({"tag": "checkout"}));
    let counted = json!({"tag": "service:checkout", "count": 3});
    assert!(tags["result"]["tags"].as_array().unwrap().contains(&counted), "two of the three of before, and this one: {tags}");
}

/// All of it; the library is at `url`.
fn check(library: Library, server: &Server, credential: Credential) {
    let Some(mut client) = Client::start(library, &server.url, credential) else { return };
    // An end in the past, of some of those milliseconds that do not end in 0, can be one that an open event was shown with.
    let begin = now() / 1000 * 1000 - 20 * MINUTE + 130;
    assert_eq!(client.must("health", &json!({}))["database"], "ok");
    if matches!(library, Library::Python) {
        assert_eq!(client.must("connect", &json!({}))["version"], env!("CARGO_PKG_VERSION"));
    }
    let organization = client.must("organization", &json!({}));
    let is_named = matches!(credential, Credential::None) || organization["name"] == "acme";
    assert!(organization["id"] == 1 && is_named, "{organization}");
    let (point, region) = points_and_regions(server, &mut client, begin);
    let patched = open_until_patched(server, &mut client, begin);
    found(server, &mut client, begin, [point, region, patched]);
    changed(server, &mut client, begin, region);
    graphite(server, &mut client, begin);
    client.must_say("Annotation deleted", "delete", &json!({"id": point}));
    assert!(client.call("get", &json!({"id": point})).unwrap_err().contains("404"));
    assert!(!client.found(&json!({})).contains(&point));
}

#[test]
fn grafana_client_with_a_token() {
    check(Library::Python, &Server::with_token(&[]), BEARER);
}

#[test]
fn grafana_client_with_a_password_below_a_prefix() {
    check(Library::Python, &Server::with_token(&["--web.route-prefix=/change/events"]), PASSWORD);
}

#[test]
fn grafana_client_without_a_token() {
    check(Library::Python, &Server::anonymous(), Credential::None);
}

#[test]
fn grafana_openapi_client_with_a_token_below_a_prefix() {
    check(Library::Go, &Server::with_token(&["--web.route-prefix=/change/events"]), BEARER);
}

#[test]
fn grafana_openapi_client_with_a_password() {
    check(Library::Go, &Server::with_token(&[]), PASSWORD);
}

#[test]
fn grafana_openapi_client_without_a_token() {
    check(Library::Go, &Server::anonymous(), Credential::None);
}

#[test]
fn what_another_api_sent_is_found_closed_and_deleted_by_its_number() {
    let server = Server::anonymous();
    for (library, minutes) in [(Library::Python, 10), (Library::Go, 5)] {
        let Some(mut client) = Client::start(library, &server.url, Credential::None) else { return };
        let begin = now() / 1000 * 1000 - minutes * MINUTE + 130;
        server.exporter.put(&json!({
            "event_name": "deployment",
            "event_state": "start",
            "timestamp": Timestamp::from_millis(begin).to_string(),
            "attributes": {"service_name": "checkout", "version": "4.12.0"},
        }));
        let found = client.must("find", &json!({"tags": ["service_name:checkout"], "limit": 1}));
        let id = found[0]["id"].as_u64().unwrap();
        assert_eq!((found[0]["time"].as_i64(), &client.annotation(id)["time"]), (Some(begin), &found[0]["time"]));
        assert!(found[0]["tags"].as_array().unwrap().contains(&"version:4.12.0".into()), "{found}");
        assert_eq!(server.open().len(), 1);
        client.must_say("Annotation patched", "patch", &json!({"id": id, "timeEnd": begin + MINUTE}));
        assert_eq!((server.open().len(), server.annotation(id)["timeEnd"].as_i64()), (0, Some(begin + MINUTE)));
        client.must_say("Annotation deleted", "delete", &json!({"id": id}));
        assert_eq!(client.found(&json!({})), [0; 0]);
    }
}

#[test]
fn a_wrong_token_is_what_the_libraries_call_unauthorized() {
    let server = Server::with_token(&[]);
    for (library, credential) in [
        (Library::Python, Credential::Bearer("wrong")),
        (Library::Python, Credential::Password("wrong")),
        (Library::Go, Credential::Bearer("wrong")),
        (Library::Go, Credential::Password("wrong")),
        (Library::Go, Credential::None),
    ] {
        let Some(mut client) = Client::start(library, &server.url, credential) else { return };
        let words = client.call("create", &json!({"text": "x", "tags": ["deploy"]})).unwrap_err();
        assert!(words.contains("401"), "{library:?} {credential:?}: {words}");
    }
    assert_eq!(server.annotations(&[]), [Value::Null; 0]);
}

#[test]
fn an_id_is_the_same_after_a_restart_and_any_of_several_tags_will_do() {
    let mut server = Server::with_token(&[]);
    let Some(mut client) = Client::start(Library::Go, &server.url, BEARER) else { return };
    let begin = now() - MINUTE;
    let mut create =
        |tag: &str, time: i64| client.must_say("Annotation added", "create", &json!({"text": tag, "tags": [tag], "time": time}));
    let (outage, canary) = (create("outage", begin), create("canary", begin + 1));
    create("neither", begin + 2);
    assert!(server.exporter.terminate().success());
    server.exporter.start_again();
    let mut client = Client::start(Library::Go, &server.url, BEARER).unwrap();
    assert_eq!(client.found(&json!({"tags": ["outage", "canary"], "matchAny": true})), [canary, outage]);
    assert_eq!(client.found(&json!({"tags": ["outage", "canary"]})), [0; 0]);
    is(&server, &mut client, outage, &json!({"text": "outage", "tags": ["outage"], "time": begin, "timeEnd": begin}));
}
