//! Poisoned input: a clear refusal or a clean page, never a panic, never a page that does not parse.

use std::fmt::Write as _;
use std::io::Write as _;

use serde_json::json;

use crate::harness::servers;
use crate::support::Server;

/// A reader of the text format that is as strict as Prometheus' own where a stranger's text could hurt.
#[track_caller]
fn assert_parses(page: &str) {
    for line in page.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (series, rest) = match line.find('{') {
            Some(open) => {
                let mut escaped = false;
                let mut quoted = false;
                let close = line[open..].char_indices().find(|(_, c)| {
                    let closes = *c == '}' && !quoted;
                    if *c == '"' && !escaped {
                        quoted = !quoted;
                    }
                    escaped = *c == '\\' && !escaped;
                    closes
                });
                let close = open + close.unwrap_or_else(|| panic!("no end of labels: {line:?}")).0;
                (&line[..open], &line[close + 1..])
            }
            None => line.split_once(' ').unwrap(),
        };
        assert!(series.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{line:?}");
        let numbers: Vec<&str> = rest.split_whitespace().collect();
        assert!(matches!(numbers.len(), 1 | 2), "{line:?}");
        assert!(numbers.iter().all(|number| number.parse::<f64>().is_ok()), "{line:?}");
    }
}

#[tokio::test]
async fn whatever_is_sent_the_page_parses() {
    let server = Server::new("");
    let long = "n".repeat(1_000_000);
    let mut deep = "[".repeat(100_000);
    deep.push_str(&"]".repeat(100_000));
    let mut bodies: Vec<Vec<u8>> = vec![
        b"\xff\xfe{\"event_name\":\"a\"}".to_vec(),
        b"{\"event_name\":\"\xc3\x28\"}".to_vec(),
        b"{\"event_name\":\"a\0b\"}".to_vec(),
        json!({"event_name": "nul \0 crlf \r\n quote \" back \\ tab \t", "attributes": {"a": "nul \0 crlf \r\n quote \" back \\ end \\"}})
            .to_string()
            .into_bytes(),
        json!({"event_name": "unicode \u{2028} \u{85} \u{202e} \u{1f600}", "attributes": {"\u{e9}": "x", "e": "y"}})
            .to_string()
            .into_bytes(),
        json!({"event_name": long}).to_string().into_bytes(),
        json!({"event_name": "a", "attributes": {long.as_str(): "x"}}).to_string().into_bytes(),
        json!({"event_name": "a", "attributes": {"x": long}}).to_string().into_bytes(),
        br#"{"event_name":"a","event_name":"b"}"#.to_vec(),
        br#"{"event_name":"a","attributes":{"a":1,"a":2}}"#.to_vec(),
        br#"{"event_name":"a","attributes":{"service.name":"x","service_name":"y","service-name":"z"}}"#.to_vec(),
        br#"{"event_name":"a","attributes":{"__name__":"up"}}"#.to_vec(),
        br#"{"event_name":"a","attributes":{"event_state":"x","event_name":"y","le":"0.5","quantile":"1","job":"j"}}"#.to_vec(),
        br#"{"event_name":"a","value":1e999}"#.to_vec(),
        br#"{"event_name":"a","value":-0.0}"#.to_vec(),
        br#"{"event_name":"a","value":NaN}"#.to_vec(),
        br#"{"event_name":"a","value":"1"}"#.to_vec(),
        br#"{"event_name":"a","value":1e308,"attributes":{"n":123456789012345678901234567890,"f":1.0000000000000000000001}}"#.to_vec(),
        br#"{"event_name":"a","unknown":1}"#.to_vec(),
        br#"{"event_name":["a"]}"#.to_vec(),
        br#"{"event_name":null}"#.to_vec(),
        br#"{"event_name":"a","attributes":[1]}"#.to_vec(),
        br#"{"event_name":"a","timestamp":1e30}"#.to_vec(),
        br#"{"event_name":"a","timestamp":"9999-12-31T23:59:59Z"}"#.to_vec(),
        br#"{"event_name":"a","timestamp":"0001-01-01"}"#.to_vec(),
        br#"{"event_name":"a","timestamp":"2026-02-30"}"#.to_vec(),
        br#"{"event_name":"a","data_source_name":"../../etc"}"#.to_vec(),
        b"null".to_vec(),
        br#""text""#.to_vec(),
        b"{".to_vec(),
        b"\xef\xbb\xbf{\"event_name\":\"bom\"}".to_vec(),
        deep.clone().into_bytes(),
        format!("{{\"event_name\":\"a\",\"attributes\":{{\"x\":{deep}}}}}").into_bytes(),
    ];
    let mut many = String::from(r#"{"event_name":"a","attributes":{"#);
    for number in 0..10_000 {
        write!(many, "{}\"k{number}\":1", if number == 0 { "" } else { "," }).unwrap();
    }
    many.push_str("}}");
    bodies.push(many.into_bytes());
    for body in bodies {
        let shown = String::from_utf8_lossy(&body[..body.len().min(100)]).into_owned();
        for headers in [&[][..], &[("content-type", "application/x-ndjson")][..]] {
            let answer = server.put(body.clone(), headers).await;
            assert!(matches!(answer.status, 200 | 207 | 400 | 413 | 422), "{}: {shown}", answer.status);
            if answer.status >= 400 {
                let error = answer.json()["error"].as_str().unwrap().to_owned();
                assert!(error.len() < 1000, "a refusal is short: {error}");
            }
        }
    }
    assert_eq!(server.telemetry.panics.get(), 0);
    for path in ["/metrics", "/metrics?window=30d"] {
        let page = server.get(path).await;
        assert_eq!(page.status, 200);
        assert_parses(&page.text());
        judged_by_promtool(&page.text());
    }
    assert_eq!(server.get(crate::support::EVENTS).await.status, 200);
}

/// The reference parser has the last word.
fn judged_by_promtool(page: &str) {
    let Some(program) = servers::require("promtool") else { return };
    let piped = std::process::Stdio::piped;
    let mut command = std::process::Command::new(program);
    let mut promtool = command.args(["check", "metrics"]).stdin(piped()).stdout(piped()).stderr(piped()).spawn().unwrap();
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    // 1 is a page that does not parse; 3 is taste, such as a gauge with a label `le`.
    assert_ne!(output.status.code(), Some(1), "{complaints}");
}
