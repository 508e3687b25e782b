//! The list of the `ApiTraffic` door: what parameters select, what they refuse, and pages.

use serde_json::Value;
use serde_json::json;

use crate::apitraffic::PATH;
use crate::apitraffic::check_error;
use crate::apitraffic::sid;
use crate::support::Server;

pub(crate) fn names(found: &Value) -> Vec<&str> {
    let records = found["records"].as_array().unwrap_or_else(|| panic!("{found}"));
    records.iter().map(|record| record["name"].as_str().unwrap()).collect()
}

/// Where the parameters differ, an event that has them.
async fn filled() -> Server {
    let server = Server::new("");
    for (minute, body) in [
        (1, json!({"type": "deployment", "name": "v1", "source": "jenkins", "buckets": ["b1"], "environments": ["prod"]})),
        (2, json!({"type": "deployment", "name": "v2", "source": "argocd", "buckets": ["b1", "b2"], "endedAt": "2026-02-20T09:07:00Z"})),
        (3, json!({"type": "incident", "name": "inc", "description": "Timeouts of V1", "environments": ["test"]})),
        (4, json!({"type": "custom", "name": "party", "buckets": ["*", "b9"]})),
        (5, json!({"type": "scale", "name": "up", "buckets": ["b2"], "environments": ["prod", "test"]})),
    ] {
        let mut body = body;
        body["startedAt"] = format!("2026-02-20T09:0{minute}:00Z").into();
        server.create(&body).await;
    }
    server
}

#[tokio::test]
async fn parameters_narrow_the_list() {
    let server = filled().await;
    for (query, expected) in [
        ("", vec!["up", "party", "inc", "v2", "v1"]),
        ("?type=deployment", vec!["v2", "v1"]),
        ("?type=custom", vec!["party"]),
        ("?type=config_change", vec![]),
        ("?bucket=b1", vec!["party", "inc", "v2", "v1"]),
        ("?bucketSid=b2", vec!["up", "party", "inc", "v2"]),
        ("?bucket=none", vec!["party", "inc"]),
        ("?bucket=*", vec!["party", "inc"]),
        ("?environment=prod", vec!["up", "party", "v2", "v1"]),
        ("?environmentSid=test&bucket=b2", vec!["up", "party", "inc", "v2"]),
        ("?source=argocd", vec!["v2"]),
        ("?source=none", vec![]),
        ("?source=jenkins&type=deployment&bucket=b1&environment=prod", vec!["v1"]),
        ("?search=v1", vec!["inc", "v1"]),
        ("?q=TIMEOUTS", vec!["inc"]),
        // Start is inclusive and end is not; what went on in between counts.
        ("?start=2026-02-20T09:04:00Z", vec!["up", "party", "inc", "v2"]),
        ("?startDate=2026-02-20T09:07:00.001Z", vec!["inc"]),
        ("?end=2026-02-20T09:04:00Z", vec!["inc", "v2", "v1"]),
        ("?endDate=2026-02-20T09:04:00.001Z&from=2026-02-20T09:04:00Z", vec!["party", "inc", "v2"]),
        ("?from=2026-02-20T10:01:00%2B01:00&to=2026-02-20T10:02:00+01:00", vec!["v1"]),
        ("?from=2026-02-20%2010:01:00%20%2B0100&to=2026-02-20+10:02:00++0100", vec!["v1"]),
        ("?startedAfter=2026-02-20&startedBefore=2026-02-21", vec!["up", "party", "inc", "v2", "v1"]),
        ("?until=2026-02-20T09:01:00Z", vec![]),
        ("?limit=2", vec!["up", "party"]),
        ("?limit=2&page=2", vec!["inc", "v2"]),
        ("?limit=2&page=3", vec!["v1"]),
        ("?limit=2&page=4", vec![]),
        ("?bucket=&environment=&source=&q=", vec!["up", "party", "inc", "v2", "v1"]),
    ] {
        let found = server.found(query).await;
        assert_eq!(names(&found), expected, "{query}");
        assert_eq!(found["hasMore"], query.starts_with("?limit=2") && expected.len() == 2, "{query}");
    }
}

#[tokio::test]
async fn wrong_questions_are_refused() {
    let server = filled().await;
    for (query, field) in [
        ("?limit=0", "limit"),
        ("?limit=101", "limit"),
        ("?limit=ten", "limit"),
        ("?limit=-1", "limit"),
        ("?limit=", "limit"),
        ("?limit=1&limit=2", "limit"),
        ("?page=0", "page"),
        ("?page=401", "page"),
        ("?page=1&startingAfter=x", "page"),
        ("?type=party", "type"),
        ("?type=", "type"),
        ("?start=tomorrow", "start"),
        ("?endDate=1771581600", "endDate"),
        ("?from=2026-02-20&start=2026-02-20", "start"),
        ("?bucket=a&bucketSid=b", "bucket"),
        ("?startingAfter=evt_none", "startingAfter"),
        ("?startingAfter=", "startingAfter"),
        ("?buckets=a", "buckets"),
        ("?limit=5&match[]=x", "match[]"),
        ("?%00%22=1", "\0\""),
    ] {
        let message = check_error(&server.get(&format!("{PATH}{query}")).await, 400, "VALIDATION_ERROR", Some(field));
        assert!(message.contains(field), "{query}: {message}");
    }
}

#[tokio::test]
async fn paging_neither_repeats_nor_loses_while_events_arrive() {
    let server = Server::new("");
    let mut expected = Vec::new();
    // Two at each time, so that pages end between equals.
    for n in 0..20 {
        let started = format!("2026-02-20T09:{:02}:00Z", n / 2);
        let record = server.create(&json!({"type": "scale", "name": format!("{n}"), "startedAt": started})).await;
        expected.push((record["startedAt"].as_str().unwrap().to_owned(), sid(&record).to_owned()));
    }
    expected.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut seen = Vec::new();
    let mut query = "?limit=3".to_owned();
    loop {
        let page = server.found(&query).await;
        for record in page["records"].as_array().unwrap() {
            seen.push((record["startedAt"].as_str().unwrap().to_owned(), sid(record).to_owned()));
        }
        if page["hasMore"] == false {
            break;
        }
        // Newer, and deleted or changed where the reader was already.
        server.create(&json!({"type": "scale", "name": "new", "startedAt": "2026-02-20T09:59:00Z"})).await;
        if let [.., earlier, last] = &seen[..] {
            server.change("PATCH", &last.1, &json!({"description": "seen"})).await;
            server.ask("DELETE", &format!("{PATH}/{}", earlier.1), &[], &Value::Null).await;
            query = format!("?limit=3&startingAfter={}", last.1);
        }
    }
    assert_eq!(seen, expected);
    let gone = server.get(&format!("{PATH}?startingAfter={}", seen[1].1)).await;
    check_error(&gone, 400, "VALIDATION_ERROR", Some("startingAfter"));
}
