//! What labels say of what was sent, as a sender is told and as a page shows it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::support::EVENTS;
use crate::support::Server;

async fn put(server: &Server, name: &str, state: &str, attributes: &Value) -> Value {
    let at = "2026-02-20T09:30:00Z";
    let edge = json!({"event_name": name, "event_state": state, "timestamp": at, "attributes": attributes});
    let answer = server.put(edge.to_string(), &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

async fn listed(server: &Server, query: &str) -> Vec<Value> {
    let listed = server.get(&format!("{EVENTS}{query}")).await.json();
    listed["events"].as_array().unwrap().clone()
}

#[tokio::test]
async fn labels_beyond_the_limit_are_left_out_and_told() {
    let server = Server::new("");
    let others = |team: &str| -> Value {
        let others = (0..30).map(|number| (format!("b{number:02}"), json!("x")));
        others.chain([("team".to_owned(), json!(team)), ("z".to_owned(), json!("z"))]).collect::<Map<_, _>>().into()
    };
    let answer = put(&server, "a", "start", &others("core")).await;
    let warning = answer["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with("labels left out, 12 of them, beyond the limits of an event: \"b19, b20"), "{warning}");
    assert_eq!(server.telemetry.labels_left_out.get(), 12);
    let page = server.get("/metrics").await.text();
    let line = page.lines().find(|line| line.starts_with("last9_change_events{")).unwrap();
    assert!(line.contains("team=\"core\"") && line.contains("b18=\"x\"") && !line.contains("b19") && !line.contains("z="), "{line}");
    assert_eq!(listed(&server, "").await[0]["start"]["attributes"], others("core"), "the event keeps them");
    let again = put(&server, "a", "start", &others("core")).await;
    assert_eq!((&again["id"], listed(&server, "").await.len()), (&answer["id"], 1), "it is known");
}

/// Their labels are the same, and each has its own stop.
#[tokio::test]
async fn events_that_are_left_with_the_same_labels_stay_two() {
    let server = Server::new("");
    let attributes = |last: &str| -> Value {
        let others = (0..20).map(|number| (format!("b{number:02}"), json!("x")));
        others.chain([("z".to_owned(), json!(last))]).collect::<Map<_, _>>().into()
    };
    for last in ["one", "two"] {
        put(&server, "a", "start", &attributes(last)).await;
    }
    assert_eq!(listed(&server, "?state=open").await.len(), 2);
    let gauges = |page: String| page.lines().filter(|line| line.starts_with("last9_change_events_open_timestamp_seconds{")).count();
    assert_eq!(gauges(server.get("/metrics").await.text()), 1);
    put(&server, "a", "stop", &attributes("one")).await;
    let open = listed(&server, "?state=open").await;
    assert_eq!((open.len(), &open[0]["start"]["attributes"]["z"]), (1, &json!("two")));
    assert_eq!(gauges(server.get("/metrics").await.text()), 1);
}

/// Some scrapers read a page by what Python's `str.splitlines` takes for a line.
#[tokio::test]
async fn a_page_has_no_line_boundary_but_line_feeds() {
    let server = Server::new("clusters: [{name: eu, labels: {zone: \"a\\u2028b\"}}]");
    let odd = "a\r\nb\rc\u{b}d\u{c}e\u{1c}f\u{1d}g\u{1e}h\u{85}i\u{2028}j\u{2029}k";
    put(&server, odd, "start", &json!({"v": odd, "trimmed": "1.2\r\n"})).await;
    let page = server.get("/metrics").await.text() + &server.get("/clusters/eu/metrics").await.text();
    assert!(page.contains(r#"v="a\nb\nc d e f g h\ni\nj\nk""#) && page.contains(r#"trimmed="1.2""#), "{page}");
    let boundaries = ['\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}'];
    assert!(!page.contains(boundaries), "{page:?}");
    assert_eq!(listed(&server, "").await[0]["start"]["attributes"], json!({"v": odd, "trimmed": "1.2\r\n"}), "the event keeps it as sent");
}

#[tokio::test]
async fn a_name_that_no_label_has_is_taken_and_told() {
    let server = Server::new("");
    let answer = put(&server, "a", "start", &json!({"__typename": "Deploy", "b": "1"})).await;
    let expected = "attribute \"__typename\": names that start with __ are no labels; the event keeps it";
    assert_eq!(answer["warnings"][0], expected);
    assert_eq!(listed(&server, "").await[0]["start"]["attributes"], json!({"__typename": "Deploy", "b": "1"}));
    assert!(!server.get("/metrics").await.text().contains("typename"));
}

/// What stands in expressions and is no label of an event that its sender gives: ours, of other metrics, or made on the way.
const OTHERS: [&str; 15] = [
    "event_name",
    "event_state",
    "instance",
    "job",
    "le",
    "item",
    "method",
    "route",
    "code",
    "buckets",
    "kind",
    "http_response_status_code",
    "change",
    "decided",
    "end",
];

/// Names of the labels that shipped rules and dashboards read.
fn shipped() -> BTreeSet<String> {
    let groups = r"\b(?:by|on|without|ignoring|group_left|group_right) ?\(([a-z_, ]*)\)";
    let matchers = r#"[{,] ?([a-z_]+)(?:=|!=|=~|!~)""#;
    let copied = r#"", "([a-z_]+)", "(?:\\.|[^"\\])*"\)"#;
    let places = [groups, matchers, copied].map(|place| regex::Regex::new(place).unwrap());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = ["alerts", "grafana/dashboards"].iter().flat_map(|folder| fs::read_dir(root.join(folder)).unwrap());
    let paths = files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|end| end == "yml" || end == "json"));
    let mut names = BTreeSet::new();
    for text in paths.map(|path| fs::read_to_string(path).unwrap().replace("\\\"", "\"")) {
        for found in places.iter().flat_map(|place| place.captures_iter(&text)) {
            names.extend(found[1].split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()));
        }
    }
    let own = |name: &str| ["__", "said", "deciding"].iter().any(|start| name.starts_with(start));
    names.retain(|name| !OTHERS.contains(&name.as_str()) && !own(name));
    names
}

#[tokio::test]
async fn what_shipped_rules_and_dashboards_read_has_a_place_before_others() {
    let names = shipped();
    assert!(["service_name", "team", "entity_id", "conclusion"].iter().all(|name| names.contains(*name)), "{names:?}");
    let server = Server::new("");
    for name in &names {
        let others = (0..30).map(|number| (format!("A{number:02}"), json!("x")));
        let attributes = others.chain([(name.clone(), json!(format!("of {name}")))]).collect::<Map<_, _>>();
        put(&server, name, "start", &attributes.into()).await;
    }
    let page = server.get("/metrics").await.text();
    let lost: Vec<&String> = names.iter().filter(|name| !page.contains(&format!("{name}=\"of {name}\""))).collect();
    assert!(lost.is_empty(), "no place before others: {lost:?}");
}
