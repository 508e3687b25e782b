//! What is found at the front door of Grafana's annotations, and in which order.

use axum::http::Method;
use proptest::prelude::*;
use serde_json::Value;
use serde_json::json;

use crate::grafana::BEGIN;
use crate::grafana::PATH;
use crate::support::EVENTS;
use crate::support::NOW;
use crate::support::Server;
use crate::support::request;

#[tokio::test]
async fn the_latest_end_comes_first_and_then_the_latest_beginning() {
    let server = Server::new("");
    let mut ids = Vec::new();
    for (begin, end, tags) in [
        (0, 50, json!([])),
        (30, 50, json!([])),
        (10, 60, json!([])),
        (5, 0, json!(["start"])),
        (70, 70, json!([])),
        (8, 0, json!(["start"])),
        (20, 50, json!([])),
    ] {
        let end = if end == 0 { Value::Null } else { json!(BEGIN + end) };
        ids.push(server.annotation(&json!({"text": "t", "tags": tags, "time": BEGIN + begin, "timeEnd": end})).await);
    }
    let order = [5, 3, 4, 2, 1, 6, 0].map(|place| ids[place]);
    assert_eq!(server.ids("").await, order);
    for limit in 1..=order.len() {
        let answer = server.get(&format!("{PATH}?limit={limit}")).await;
        let found: Vec<u64> = answer.json().as_array().unwrap().iter().map(|one| one["id"].as_u64().unwrap()).collect();
        assert_eq!(found, order[..limit]);
        let note = answer.header("x-change-events-warnings");
        assert_eq!(note.starts_with(&format!("limit: there are more than these {limit};")), limit < order.len(), "{note}");
    }
}

#[tokio::test]
async fn what_overlaps_is_found() {
    let server = Server::new("");
    let region = server.annotation(&json!({"text": "region", "time": BEGIN + 10, "timeEnd": BEGIN + 20})).await;
    let point = server.annotation(&json!({"text": "point", "time": BEGIN + 30})).await;
    let open = server.annotation(&json!({"text": "open", "tags": ["start"], "time": BEGIN + 40})).await;
    for (from, to, expected) in [
        (0, 100, vec![open, point, region]),
        (20, 100, vec![open, point, region]),
        (21, 100, vec![open, point]),
        (0, 10, vec![region]),
        (0, 9, vec![]),
        (30, 30, vec![point]),
        (31, 39, vec![]),
        (41, 45, vec![open]),
    ] {
        let query = format!("from={}&to={}", BEGIN + from, BEGIN + to);
        assert_eq!(server.ids(&query).await, expected, "{from} {to}");
    }
    assert_eq!(server.ids(&format!("from={}", BEGIN + 31)).await, [open]);
    assert_eq!(server.ids(&format!("to={}", BEGIN + 30)).await, [point, region]);
    assert_eq!(server.ids("type=alert").await, [0; 0]);
    assert_eq!(server.ids("type=annotation&dashboardUID=x&panelId=3&limt=1").await.len(), 3);
    let answer = server.get(&format!("{PATH}?dashboardUID=x&panelId=3")).await;
    assert!(answer.header("x-change-events-warnings").contains("dashboardUID: ignored"), "{:?}", answer.headers);
}

#[tokio::test]
async fn tags_find_what_has_them_whoever_sent_it() {
    let server = Server::new("");
    let add = async |tags: Value, time: i64| server.annotation(&json!({"text": "t", "tags": tags, "time": BEGIN + time})).await;
    let deploy = add(json!(["deploy", "service:checkout", "env: prod"]), 1).await;
    let outage = add(json!(["outage", "service:cart"]), 2).await;
    let named = add(json!(["event_name:migration", "event_state:stop", "deploy:blue"]), 3).await;
    let edge =
        json!({"event_name": "scaling", "timestamp": crate::grafana::iso(BEGIN + 4), "attributes": {"service": "checkout", "env": "prod"}});
    server.call(request(Method::PUT, EVENTS, &[], edge.to_string().into())).await;
    let scaling = server.ids("tags=event_name:scaling").await[0];
    let twice = add(json!(["event_name:first", "event_name:second"]), 5).await;
    for (query, expected) in [
        ("tags=deploy", vec![named, deploy]),
        ("tags=deploy:blue", vec![named]),
        ("tags=service", vec![scaling, outage, deploy]),
        ("tags=service:checkout", vec![scaling, deploy]),
        ("tags=env:prod&tags=service:checkout&tags=deploy", vec![deploy]),
        ("tags=env%3A%20prod", vec![scaling, deploy]),
        ("tags=deployment_environment:prod", vec![scaling, deploy]),
        ("tags=deployment_environment&tags=none&matchAny=t", vec![scaling, deploy]),
        ("tags=deploy&tags=outage", vec![]),
        ("tags=deploy&tags=outage&matchAny=true", vec![named, outage, deploy]),
        ("tags=outage&tags=event_name&matchAny=1", vec![twice, scaling, named, outage]),
        ("tags=event_name:migration", vec![named]),
        ("tags=event_name:migration&tags=event_name:scaling", vec![]),
        ("tags=event_name:migration&tags=deploy:blue", vec![named]),
        ("tags=event_name:second&tags=event_name:first", vec![twice]),
        ("tags=event_name:second", vec![twice]),
        ("tags=event_name:first&tags=event_name:scaling&tags=outage&matchAny=true", vec![twice, scaling, outage]),
        ("tags=event_name:deployment", vec![]),
        ("tags=event:deployment&tags=event_state:stop&tags=env:prod&matchAny=true", vec![scaling, named, deploy]),
        ("tags=event_state:stop&tags=deploy", vec![named]),
        ("tags=serv", vec![]),
        ("tags=", vec![twice, scaling, named, outage, deploy]),
    ] {
        assert_eq!(server.ids(query).await, expected, "{query}");
    }
    let server = server.restarted("");
    assert_eq!(server.ids("tags=outage").await, [outage]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_of_some_tags_finds_what_each_finds(
        events in prop::collection::vec((prop::sample::subsequence(TAGS.to_vec(), 0..5), 0..4i64, any::<bool>()), 1..12),
        asked in prop::collection::vec(prop::sample::subsequence(ASKED.to_vec(), 1..6), 1..8),
        limit in 1..12usize,
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let server = Server::new("");
            for (number, (tags, time, is_edge)) in events.iter().enumerate() {
                if *is_edge {
                    let attributes: Value = tags.iter().filter_map(|tag| tag.split_once(':')).map(|(key, value)| (key.to_owned(), json!(value))).collect::<serde_json::Map<_, _>>().into();
                    let edge = json!({"event_name": format!("n{}", number % 3), "timestamp": crate::grafana::iso(BEGIN + time), "attributes": attributes});
                    server.call(request(Method::PUT, EVENTS, &[], edge.to_string().into())).await;
                } else {
                    server.annotation(&json!({"text": "t", "tags": tags, "time": BEGIN + time})).await;
                }
            }
            let all = server.ids("limit=1000").await;
            for tags in &asked {
                let mut each = Vec::new();
                for tag in tags {
                    each.extend(server.ids(&format!("limit=1000&tags={tag}")).await);
                }
                let expected: Vec<u64> = all.iter().copied().filter(|id| each.contains(id)).take(limit).collect();
                let any = tags.iter().map(|tag| ["&tags=", tag].concat()).collect::<Vec<_>>().concat();
                assert_eq!(server.ids(&format!("matchAny=true&limit={limit}{any}")).await, expected, "{any}");
            }
        });
    }
}

const TAGS: [&str; 8] = ["deploy", "service:a", "service:b", "event_name:n1", "event_name:n2", "event:n0", "event_state:stop", "type:n1"];
const ASKED: [&str; 12] = [
    "deploy",
    "service",
    "service:a",
    "service:b",
    "event_name",
    "event_name:n1",
    "event_name:n2",
    "event:n0",
    "event_state:stop",
    "type:n1",
    "type",
    "no",
];

#[tokio::test]
async fn the_whole_event_is_told_when_it_is_asked_for() {
    let server = Server::new("");
    let change = json!({"event": {"id": "e", "start_time": iso_seconds(0), "end_time": iso_seconds(90), "description": "one\ntwo <3",
        "parent_id": "p", "detail_urls": {"<log>": "https://ci.example.org/?a=1&b=2", "evil": "javascript:alert(1)"},
        "tags": {"type": ["deployment"], "team": ["a", "b"], "bare": []}}});
    assert_eq!(server.call(request(Method::PUT, "/api/v1/event/", &[], change.to_string().into())).await.status, 200);
    server.annotation(&json!({"text": "<b>x</b>", "tags": ["deploy"], "time": BEGIN})).await;
    let [ets, own] = &server.listed("text=whole").await[..] else { panic!() };
    assert_eq!((&ets["title"], &ets["tags"]), (&json!("deployment"), &json!(["event_name:deployment", "bare", "team:a", "team:b"])));
    let lines: Vec<&str> = ets["text"].as_str().unwrap().split("<br>\n").collect();
    assert_eq!(lines[..2], ["one", "two &lt;3"]);
    for line in [
        "team: a, b",
        "tags: bare",
        "parent_id: p",
        r#"<a href="https://ci.example.org/?a=1&amp;b=2">&lt;log&gt;</a>"#,
        "evil: javascript:alert(1)",
        "id: e",
    ] {
        assert!(lines.contains(&line), "{line}: {lines:?}");
    }
    assert_eq!((&own["title"], &own["tags"]), (&json!("deployment"), &json!(["deploy"])));
    assert!(own["text"].as_str().unwrap().starts_with("&lt;b&gt;x&lt;/b&gt;<br>\n"), "{own}");
    let one = format!("{PATH}/{}", own["id"]);
    assert_eq!(server.get(&format!("{one}?text=whole")).await.json(), *own);
    let other = server.get(&format!("{one}?text=half")).await;
    assert_eq!(
        (&other.json()["text"], other.header("x-change-events-warnings")),
        (&json!("<b>x</b>"), "text: `half` is not `whole`, and ignored")
    );
    let [_, plain] = &server.listed("").await[..] else { panic!() };
    assert_eq!((&plain["text"], &plain["title"]), (&json!("<b>x</b>"), &Value::Null));
}

fn iso_seconds(after: i64) -> String {
    crate::grafana::iso(BEGIN + after * 1000)
}

#[tokio::test]
async fn tags_are_counted() {
    let server = Server::new("");
    for tags in [json!(["deploy", "service:a"]), json!(["deploy", "service: a", "service:b", "Deploy"]), json!([])] {
        server.annotation(&json!({"text": "t", "tags": tags})).await;
    }
    let counted = async |query: &str| server.get(&format!("{PATH}/tags?{query}")).await.json();
    let tags = |tags: &[(&str, u64)]| json!({"result": {"tags": tags.iter().map(|(tag, count)| json!({"tag": tag, "count": count})).collect::<Vec<_>>()}});
    assert_eq!(counted("").await, tags(&[("Deploy", 1), ("deploy", 2), ("service:a", 2), ("service:b", 1)]));
    assert_eq!(counted("tag=DEP").await, tags(&[("Deploy", 1), ("deploy", 2)]));
    assert_eq!(counted("tag=b&limit=5").await, tags(&[("service:b", 1)]));
    assert_eq!(counted("limit=2").await, tags(&[("Deploy", 1), ("deploy", 2)]));
    assert_eq!(Server::new("").get(&format!("{PATH}/tags")).await.json(), tags(&[]));
}

#[tokio::test]
async fn an_answer_has_its_limits() {
    let server = Server::new("");
    let text = "\u{1}".repeat(100_000);
    for number in 0..60 {
        server.annotation(&json!({"text": text, "time": NOW.millis() - number})).await;
    }
    let answer = server.get(&format!("{PATH}?limit=100")).await;
    let found = answer.json().as_array().unwrap().len();
    assert!((10..20).contains(&found), "{found}");
    assert!(answer.header("x-change-events-warnings").starts_with("there are more than one answer holds;"), "{:?}", answer.headers);
    let whole = server.listed("text=whole&limit=100").await;
    assert!(whole.iter().all(|one| one["text"].as_str().unwrap().len() < 66_000 && one["text"].as_str().unwrap().ends_with("<br>\n...")));
    assert_eq!(server.listed("limit=3").await[0]["text"], text.as_str());
}
