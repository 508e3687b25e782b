//! The front door of ETS against those who mean no good: circles, chains without an end, ids and texts of every kind.

use std::fmt::Write as _;
use std::time::Instant;

use axum::body::Body;
use axum::http::Method;
use base64::Engine as _;
use serde_json::Value;
use serde_json::json;
use sha2::Digest as _;

use crate::ets::ETS;
use crate::ets::JSON;
use crate::ets::assert_refused;
use crate::ets::delete;
use crate::ets::ids;
use crate::ets::put;
use crate::ets::send;
use crate::support::Server;
use crate::support::request;

pub(crate) fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        write!(encoded, "%{byte:02X}").unwrap();
        encoded
    })
}

/// Each event and its parent.
async fn family(pairs: &[(&str, &str)]) -> Server {
    let server = Server::new("");
    for (id, parent) in pairs {
        assert_eq!(put(&server, json!({"id": id, "parent_id": parent})).await.status, 200);
    }
    server
}

async fn events(server: &Server, path: &str) -> Value {
    server.get(&format!("{ETS}{path}")).await.json()
}

#[tokio::test]
async fn circles_end() {
    let server = family(&[("a", "c"), ("b", "a"), ("c", "b"), ("self", "self"), ("leaf", "b")]).await;
    assert_eq!(ids(&events(&server, "a/trace").await), ["a", "c", "b"]);
    assert_eq!(ids(&events(&server, "leaf/trace").await), ["leaf", "b", "a", "c"]);
    assert_eq!(ids(&events(&server, "self/trace").await), ["self"]);
    assert_eq!(ids(&events(&server, "self/children").await), ["self"]);
    for (id, warning) in [("a", true), ("b", true), ("self", true), ("leaf", false)] {
        let answer = server.get(&format!("{ETS}{id}/impact")).await;
        let text = answer.text();
        assert_eq!(answer.status, 200);
        for shown in ["a", "b", "c", "self", "leaf"] {
            assert!(text.matches(&format!("\"id\":\"{shown}\"")).count() <= 1, "{text}");
        }
        assert_eq!(answer.header("x-change-events-warnings").contains("among its own causes"), warning, "{id}");
        let page = server.get(&format!("/event/{id}/")).await;
        assert_eq!(page.status, 200);
        assert_eq!(page.text().matches("<details").count(), if id == "self" { 1 } else { 4 }, "{}", page.text());
    }
}

/// A chain in which `0` is the root, put by many at a time.
async fn chain(length: usize) -> Server {
    let server = std::sync::Arc::new(Server::new(""));
    let tasks = (0..16).map(|worker| {
        let server = std::sync::Arc::clone(&server);
        tokio::spawn(async move {
            for number in (worker..length).step_by(16) {
                let parent = if number == 0 { String::new() } else { (number - 1).to_string() };
                assert_eq!(put(&server, json!({"id": number.to_string(), "parent_id": parent})).await.status, 200);
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    std::sync::Arc::into_inner(server).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_of_ten_thousand_is_cut() {
    let server = chain(10_000).await;
    let begun = Instant::now();
    let trace = server.get(&format!("{ETS}9999/trace")).await;
    assert_eq!(ids(&trace.json()).len(), 100);
    assert!(trace.header("x-change-events-warnings").contains("cut after 100 events"));
    let impact = server.get(&format!("{ETS}0/impact")).await;
    assert_eq!(impact.text().matches("\"id\":").count(), 100);
    assert!(impact.header("x-change-events-warnings").contains("cut at depth 100"));
    let page = server.get("/event/5000/").await.text();
    assert_eq!(page.matches("<details").count(), 100);
    for said in ["cut at depth 100", "more than 99 causes", "<a href=\"/event/5000/\">more, not shown here</a>"] {
        assert!(page.contains(said), "{said}: {}", &page[..2000]);
    }
    // The hundredth has all its causes, and the last but 99 all its effects.
    assert_eq!(server.get(&format!("{ETS}99/trace")).await.header("x-change-events-warnings"), "");
    assert_eq!(server.get(&format!("{ETS}9900/impact")).await.header("x-change-events-warnings"), "");
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_children_are_all_listed_and_drawn_up_to_a_limit() {
    let server = std::sync::Arc::new(family(&[("root", "")]).await);
    let count = 10_050;
    let tasks = (0..16).map(|worker| {
        let server = std::sync::Arc::clone(&server);
        tokio::spawn(async move {
            for number in (worker..count).step_by(16) {
                let event = json!({"id": format!("{number:05}"), "parent_id": "root", "end_time": 1_700_000_000 + number / 7});
                assert_eq!(put(&server, event).await.status, 200);
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let children = events(&server, "root/children").await;
    let mut expected: Vec<usize> = (0..count).collect();
    expected.sort_by_key(|number| (std::cmp::Reverse(number / 7), *number));
    let expected: Vec<String> = expected.iter().map(|number| format!("{number:05}")).collect();
    assert!(ids(&children) == expected, "all of them, the latest end first, then by id");
    let all = events(&server, "?count=0").await;
    assert_eq!((&all["count"], all["result"].as_array().unwrap().len()), (&json!(count + 1), count + 1));
    let some = events(&server, "?count=1500&page=3&tag=parent_id:root").await;
    assert_eq!(ids(&some["result"]), expected[3000..4500], "in two pieces");
    assert_eq!(some["count"], 1500);
    let impact = server.get(&format!("{ETS}root/impact")).await;
    assert_eq!(impact.text().matches("\"id\":").count(), 10_000);
    assert!(impact.header("x-change-events-warnings").contains("cut at 10000 events"));
    // One of those that are drawn, and one that is not.
    for (id, note) in [("10049", "cut at 10000 events"), ("00003", "only what it caused itself is shown")] {
        let page = server.get(&format!("/event/{id}/")).await.text();
        assert!(page.contains(&format!("asked\" open><summary>{id}</summary>")) && page.contains(note), "{}", &page[..2000]);
    }
}

#[tokio::test]
async fn ids_of_every_kind() {
    let long = "/\"'<>&%\\ ?#".repeat(10)[..100].to_owned();
    let accents = "\u{e9}".repeat(100);
    for id in ["a/b", "..", ".", "\"quoted\"", "it's", "a b+c", "100%", "%2F", "q?x=1#y", "\u{0}\n", "children", "delete", &long, &accents]
    {
        let server = Server::new("");
        let path = percent_encoded(id);
        assert_eq!(put(&server, json!({"id": id, "parent_id": "p:q"})).await.status, 200, "{id:?}");
        assert_eq!(events(&server, &path).await["id"], id, "{id:?}");
        assert_eq!(ids(&events(&server, &format!("{path}/trace")).await), [id]);
        assert_eq!(events(&server, &format!("{path}/impact")).await["event"]["id"], id);
        assert_eq!(ids(&events(&server, &format!("{}/children", percent_encoded("p:q"))).await), [id]);
        assert_eq!(put(&server, json!({"id": "child", "parent_id": id})).await.status, 200);
        assert_eq!(ids(&events(&server, &format!("{path}/children")).await), ["child"]);
        assert_eq!(server.get(&format!("/event/{path}/")).await.status, 200);
        assert_refused(&put(&server, json!({"id": id})).await, 400, &format!("Error: id '{id}' already exists"));
        let gone = delete(&server, &path).await;
        assert_eq!(gone.json()["message"], format!("Event: {id} deleted successfully"));
        assert_refused(&delete(&server, &path).await, 400, &format!("Can not delete event with id: {id}"));
    }
    let server = Server::new("");
    assert_refused(&put(&server, json!({"id": "x".repeat(101)})).await, 400, "at most 100");
    assert_refused(&server.get(&format!("{ETS}{}", "x".repeat(5000))).await, 404, "Not Found");
    assert_eq!(server.get(&format!("/event/{}/", "%3Cscript%3E")).await.text(), "Event ID <script> is not available in DB");
    assert_eq!(server.get(&format!("{ETS}%FF")).await.status, 400);
}

#[tokio::test]
async fn tag_keys_with_colons_and_dots_are_found() {
    let server = Server::new("");
    let tags = json!({
        "a:b": ["c"], "a": ["d:e"], "x.y": ["z"], "__owner": ["ops:7"], "url": ["http://host:80/?a=b,c"], "": [],
    });
    assert_refused(&put(&server, json!({"tags": tags})).await, 400, "a tag needs a key");
    let mut tags = tags;
    tags.as_object_mut().unwrap().remove("");
    assert_eq!(put(&server, json!({"id": "t", "tags": tags, "detail_urls": {"a.b:c": "d"}})).await.status, 200);
    for (tag, expected) in [
        ("a:b:c", true),
        ("a:d:e", true),
        ("a:b", false),
        ("a:c", false),
        ("x.y:z", true),
        ("x_y:z", true),
        ("__owner:ops:7", true),
        ("url:http://host:80/?a=b,c", true),
        ("url:http", false),
        (":", false),
    ] {
        let found = events(&server, &format!("?tag={}", percent_encoded(tag))).await;
        assert_eq!(found["count"], usize::from(expected), "{tag}");
    }
    let event = events(&server, "t").await;
    assert_eq!((&event["tags"], &event["detail_urls"]), (&tags, &json!({"a.b:c": "d"})));
    let page = server.get("/metrics").await.text();
    assert!(page.contains("a=\"d:e\"") && page.contains("a_b=\"c\"") && page.contains("x_y=\"z\""), "{page}");
    assert!(!page.contains("owner"), "{page}");
}

#[tokio::test]
async fn large_events_are_kept_whole_or_refused() {
    let server = Server::new("");
    let mib = 1024 * 1024;
    let description = "\u{e9}\"<".repeat(mib / 4);
    let values: Vec<String> = (0..1000).map(|number| format!("{number:0200}")).collect();
    let links: serde_json::Map<String, Value> = (0..1000).map(|number| (format!("{number:0500}"), json!("x".repeat(500)))).collect();
    for event in [
        json!({"id": "description", "description": description}),
        json!({"id": "values", "tags": {"a": values, "b": values, "c": values, "d": values, "e": values}}),
        json!({"id": "links", "detail_urls": links}),
    ] {
        let answer = put(&server, &event).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let id = event["id"].as_str().unwrap();
        let back = events(&server, id).await;
        for (key, value) in event.as_object().unwrap() {
            assert!(back[key] == *value, "{id} {key}");
        }
        let page = server.get(&format!("/event/{id}/")).await;
        assert!(page.status == 200 && page.bytes.len() < mib, "{id}: {}", page.bytes.len());
    }
    for (event, status) in [
        (json!({"description": "x".repeat(2 * mib + 1)}), 413),
        (json!({"description": "x".repeat(9 * mib)}), 413),
        (json!({"tags": (0..1001).map(|number| (number.to_string(), json!(["x"]))).collect::<serde_json::Map<_, _>>()}), 422),
        (json!({"tags": {"a": vec!["x"; 1001]}}), 422),
        (json!({"tags": {"x".repeat(mib): ["x"]}}), 422),
    ] {
        assert_refused(&put(&server, event).await, status, "");
    }
    let many = json!({"tags": (0..500).map(|number| (number.to_string(), json!(["x"]))).collect::<serde_json::Map<_, _>>()});
    assert_eq!(put(&server, many).await.status, 200, "most of them are no labels");
    // A merge cannot go beyond what a PUT may have.
    let merge = json!({"event": {"id": "description", "description": "z".repeat(2 * mib - 1)}});
    assert_refused(&send(&server, Method::POST, merge.to_string()).await, 413, "longer than 2097152 bytes");
    assert!(events(&server, "description").await["description"] == description, "nothing of it was stored");
}

#[tokio::test]
async fn bodies_of_every_kind_are_refused() {
    let server = Server::new("");
    let yaml = ("content-type", "application/yaml");
    let bomb =
        "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nevent: {tags: *c}\n";
    for (header, body) in [
        (JSON, vec![0xff, 0xfe]),
        (JSON, b"[".repeat(200_000)),
        (JSON, br#"{"event":"#.repeat(10_000)),
        (JSON, br#"{"event":{"tags":{"a":[["b"]]}}}"#.to_vec()),
        (JSON, br#"{"event":{},"event":{}}"#.to_vec()),
        (JSON, br#"{"event":{"id":"a","id":"b"}}"#.to_vec()),
        (JSON, br#"{"event":{"start_time":1e400}}"#.to_vec()),
        (yaml, bomb.as_bytes().to_vec()),
        (yaml, b"- ".repeat(50_000)),
        (yaml, b"event: !!python/object/apply:os.system [ls]".to_vec()),
        (yaml, vec![0xff]),
    ] {
        for method in [Method::PUT, Method::POST] {
            let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
            let answer = server.call(request(method, ETS, &[header], Body::from(body.clone()))).await;
            assert_eq!(answer.status, 400, "{shown}: {}", answer.text());
            assert!(answer.bytes.len() < 1000, "{shown}");
        }
    }
    assert_eq!(events(&server, "").await["count"], 0);
}

#[tokio::test]
async fn nothing_on_the_page_is_taken_for_markup() {
    let attack = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>";
    let server = Server::new("");
    let event = json!({
        "id": attack, "source_id": attack, "parent_id": attack, "description": attack,
        "detail_urls": {attack: "javascript:alert(1)", "plain": "http://x/\"onmouseover=\"alert(1)", "data": "data:text/html,<script>alert(1)</script>"},
        "tags": {attack: [attack], "source": [attack], "type": [format!("{attack}2")], "status": [attack], "mail": ["a@b.example\"><script>"]},
    });
    assert_eq!(put(&server, &event).await.status, 200);
    let page = server.get(&format!("/event/{}/", percent_encoded(attack))).await;
    let text = page.text();
    assert_eq!(page.status, 200);
    for bad in ["<script", "<img", "javascript:alert(1)\"", "href=\"data:", "href=\"javascript", "\"onmouseover"] {
        assert!(!text.contains(bad), "{bad}: {text}");
    }
    assert!(text.contains("&lt;script&gt;") && text.contains("&#39;"));
    // Every tag on the page is one of ours.
    let tags = regex::Regex::new("<[^>]*>").unwrap();
    let known = regex::Regex::new(
        "^</?(html|meta|title|style|h1|p|ul|li|details|summary|dl|dt|dd|a|!doctype)( (lang|charset|name|content|class|href|rel|open)(=\"[^\"]*\")?)*( html)?>$",
    )
    .unwrap();
    for tag in tags.find_iter(&text).map(|found| found.as_str()) {
        assert!(known.is_match(tag), "{tag}");
    }
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    // The hash is that of the style as it stands on the page.
    let style = text.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
    let hash = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(style));
    assert!(policy.contains(&format!("'sha256-{hash}'")), "{policy}");
}

#[tokio::test]
async fn the_page_draws_the_family() {
    let server = family(&[("root", ""), ("one", "root"), ("two", "root"), ("leaf", "two")]).await;
    let changed = json!({
        "event": {
            "id": "leaf", "end_time": null, "description": "what\nhappened",
            "detail_urls": {"log": "https://ci.example/7?a=b&c", "note": "see https://x"},
            "tags": {"source": ["deploy"], "type": ["deploy"], "status": ["success", "fail"], "author": ["user@example.com"]},
        },
        "operation": "update",
    });
    assert_eq!(send(&server, Method::POST, changed.to_string()).await.status, 200);
    let text = server.get("/event/two/").await.text();
    assert_eq!(text.matches("<details").count(), 4, "from the root, brothers and sisters too");
    for expected in [
        "<details class=\"event fail open\"><summary>deploy</summary>",
        "<details class=\"event asked\" open><summary>two</summary>",
        "<a href=\"/event/leaf/\">leaf</a>",
        "<dt>end_time<dd>open",
        "<dd class=\"text\">what\nhappened",
        "<dt>log<dd><a href=\"https://ci.example/7?a=b&amp;c\" rel=\"noopener noreferrer\">https://ci.example/7?a=b&amp;c</a>",
        "<dt>note<dd>see https://x",
        "<a href=\"mailto:user@example.com\" rel=\"noopener noreferrer\">user@example.com</a>",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(!text.contains("class=\"note\""), "nothing is cut");
    // Not the last status.
    let changed = json!({"event": {"id": "leaf", "tags": {"status": ["fail", "success"]}}, "operation": "update"});
    assert_eq!(send(&server, Method::POST, changed.to_string()).await.status, 200);
    assert!(!server.get("/event/two/").await.text().contains("event fail"));
}
