//! Our list as annotations of a dashboard, through the Infinity data source.
//!
//! Infinity makes text of a list in a column, and Grafana splits it at commas: tags as they are would arrive as `["deploy"`
//! and `"env:prod"]`. So its JQ parser joins them first, and what commas tags have themselves become semicolons.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::clients::{BEARER, Client, Library};
use crate::life::now;
use crate::mapping::{Annotation, annotations};
use crate::server::Server;
use crate::support::{examples, servers};

/// The frame that Infinity makes of an answer.
fn frame(query: &Value, body: &str) -> Option<Value> {
    let program = servers::require("infinity-frame")?;
    let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(json!({"query": query, "body": body}).to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{query} of {body}");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// What Grafana draws of an answer.
fn drawn(body: &str) -> Option<Vec<Annotation>> {
    Some(annotations(&frame(&query(), body)?))
}

/// The query of the annotations of our dashboard of whole events.
fn query() -> Value {
    let text = std::fs::read_to_string(examples::path("grafana/dashboards/change-events-service-whole.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let list = dashboard["annotations"]["list"].as_array().unwrap();
    let is_ours = |annotation: &&Value| annotation["datasource"]["type"] == "yesoreyeram-infinity-datasource";
    list.iter().find(is_ours).unwrap_or_else(|| panic!("no annotations by Infinity: {list:?}"))["target"].clone()
}

/// What the URL of a query answers for a dashboard that shows this span, where this tag is chosen.
fn answer(server: &Server, query: &Value, (from, to): (i64, i64), tag: &str) -> String {
    let variables = [("${__from}", from.to_string()), ("${__to}", to.to_string()), ("${tag}", tag.to_owned())];
    let filled = |text: &str| variables.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
    let parameters: Vec<_> = query["url_options"]["params"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["key"].as_str().unwrap(), filled(one["value"].as_str().unwrap())))
        .collect();
    let left = parameters.iter().find(|(_, value)| value.contains('$'));
    assert_eq!(left, None, "a variable that is not known here");
    let parameters: Vec<_> = parameters.iter().map(|(key, value)| (*key, value.as_str())).collect();
    server.text(query["url"].as_str().unwrap().trim_start_matches('/'), &parameters)
}

/// What our answer itself says.
fn said(one: &Value) -> Annotation {
    let text = |name: &str| one[name].as_str().map(ToOwned::to_owned);
    Annotation {
        time: one["time"].as_i64().unwrap(),
        time_end: one["timeEnd"].as_i64(),
        title: text("title"),
        text: text("text"),
        tags: one["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().to_owned()).collect(),
    }
}

#[test]
fn tags_arrive_as_tags_and_regions_as_regions() {
    let server = Server::with_token(&[]);
    let Some(mut client) = Client::start(Library::Go, &server.url, BEARER) else { return };
    let begin = now() - 3_600_000;
    let mut create = |annotation: &Value| client.must_say("Annotation added", "create", annotation);
    create(
        &json!({"text": "4.12.0 <b>out</b>", "tags": ["deploy", "service:checkout", "env:prod", "zones:a,b"], "time": begin, "timeEnd": begin + 60_123}),
    );
    create(&json!({"text": "no tags", "tags": [], "time": begin + 90_001}));
    create(&json!({"text": "under way", "tags": ["start", "service:cart"], "time": begin + 120_000}));
    let window = (begin - 1, now() + 60_000);
    let Some(drawn) = drawn(&answer(&server, &query(), window, "")) else { return };
    let [open, point, region] = &drawn[..] else { panic!("{drawn:?}") };
    assert_eq!((region.time, region.time_end), (begin, Some(begin + 60_123)), "to the millisecond");
    assert_eq!((point.time, point.time_end), (begin + 90_001, Some(begin + 90_001)));
    assert!(open.time == begin + 120_000 && open.time_end > Some(begin + 3_500_000), "open until now: {open:?}");
    for (annotation, tag) in [(region, "service:checkout"), (region, "env:prod"), (region, "zones:a;b"), (open, "service:cart")] {
        assert!(annotation.tags.iter().any(|one| one == tag), "{tag}: {annotation:?}");
    }
    for annotation in &drawn {
        assert!(annotation.title.as_ref().is_some_and(|title| !title.is_empty()), "{annotation:?}");
        assert!(annotation.tags.iter().all(|tag| !tag.contains(['[', ']', '"'])), "{annotation:?}");
    }
    assert_eq!(point.tags, [""; 0], "no tag is not an empty one");
    let text = region.text.as_ref().unwrap();
    assert!(text.contains("4.12.0 &lt;b&gt;out&lt;/b&gt;") && !text.contains("<b>out"), "{text}");
}

#[test]
fn what_is_drawn_is_what_was_answered_whoever_sent_it() {
    let server = Server::anonymous();
    let attributes = json!({"service_name": "checkout", "version": "4.12.0", "team": "shop"});
    let edge = |state: &str| json!({"event_name": "deployment", "event_state": state, "attributes": attributes});
    let point = json!({"event_name": "incident", "attributes": {"service_name": "cart"}});
    server.exporter.put(&json!([edge("start"), edge("stop"), point]));
    let span = (now() - 60_000, now() + 60_000);
    let body = answer(&server, &query(), span, "");
    let answered: Vec<Value> = serde_json::from_str(&body).unwrap();
    let Some(all) = drawn(&body) else { return };
    assert_eq!(all, answered.iter().map(said).collect::<Vec<_>>());
    assert_eq!(all.len(), 2);
    assert!(all.iter().all(|one| one.tags.iter().any(|tag| tag.starts_with("service_name:"))), "{all:?}");
    let of_cart = drawn(&answer(&server, &query(), span, "service_name:cart")).unwrap();
    assert_eq!(of_cart, all.into_iter().filter(|one| one.tags.contains(&"service_name:cart".to_owned())).collect::<Vec<_>>());
    assert_eq!(of_cart.len(), 1);
    assert_eq!(drawn("[]").unwrap(), []);
}
