//! Nothing that a stranger sends breaks a scrape: it is refused with words, or stored as it was sent.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::events::{Times, edge, now};
use crate::support::exporter::Exporter;
use crate::support::prometheus::Prometheus;
use crate::support::{examples, http, servers, wait};

const LIMIT: Duration = Duration::from_mins(1);

/// Label values that are hard to write down, and all legal.
const VALUES: &[&str] = &[
    "quote \" and backslash \\ and \\n",
    "line\nfeed, carriage\rreturn, both\r\n, tab\t",
    "nul \0 and bell \u{7} and escape \u{1b}[31m",
    "} 1 2\nlast9_change_events{event_name=\"forged\"} 1\n# EOF\n",
    "next line \u{85}, separator \u{2028}, no-break \u{a0}, byte order \u{feff}, right to left \u{202e}",
    "{{ range $labels }}<script>alert(1)</script>",
    "\u{10ffff}\u{1f600} é",
];

/// Bodies that no honest sender sends. Each is refused as a 4xx that says why, or taken in a form that scrapes.
fn bodies() -> Vec<Vec<u8>> {
    let with_attributes = |attributes: &str| format!(r#"{{"event_name":"poison","attributes":{attributes}}}"#);
    let long = "x".repeat(1_000_000);
    let many: Vec<_> = (0..5_000).map(|number| format!(r#""label_{number}":"{number}""#)).collect();
    let mut bodies: Vec<Vec<u8>> = [
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        "[[[]]]".to_owned(),
        r#"{"event_name":"#.to_owned(),
        r#"{"event_name":""}"#.to_owned(),
        r#"{"event_name":7}"#.to_owned(),
        r#"{"event_name":"poison","event_name":"twice"}"#.to_owned(),
        r#"{"event_name":"poison","event_state":"begun"}"#.to_owned(),
        r#"{"event_name":"poison","timestamp":"yesterday"}"#.to_owned(),
        r#"{"event_name":"poison","timestamp":"9999999-01-01T00:00:00Z"}"#.to_owned(),
        r#"{"event_name":"poison","timestamp":1795255200000000}"#.to_owned(),
        r#"{"event_name":"poison","value":1e999}"#.to_owned(),
        r#"{"event_name":"poison","value":NaN}"#.to_owned(),
        r#"{"event_name":"poison","unknown_field":1}"#.to_owned(),
        format!(r#"{{"event_name":"{long}"}}"#),
        with_attributes("[]"),
        with_attributes(r#"{"__name__":"up"}"#),
        with_attributes(r#"{"le":"1","quantile":"2","job":"forged","instance":"forged"}"#),
        with_attributes(r#"{"event_name":"forged","event_state":"stop"}"#),
        with_attributes(r#"{"a.b":"1","a-b":"2","a_b":"3"}"#),
        with_attributes(r#"{"same":"1","same":"2"}"#),
        with_attributes(r#"{"":"empty","\u0000":"nul","é":"accent","9":"digit","a\"b\n":"quote"}"#),
        with_attributes(r#"{"lone":"\ud800"}"#),
        with_attributes(r#"{"huge":123456789012345678901234567890123456789012345678901234567890,"e":1e400}"#),
        with_attributes(&format!(r#"{{"{long}":"long name"}}"#)),
        with_attributes(&format!(r#"{{"long_value":"{long}"}}"#)),
        with_attributes(&format!("{{{}}}", many.join(","))),
        with_attributes(&format!("{}1{}", r#"{"deep":"#.repeat(500), "}".repeat(500))),
        "[".repeat(100_000),
    ]
    .into_iter()
    .map(String::into_bytes)
    .collect();
    bodies.push(b"{\"event_name\":\"bad utf-8 \xff\xfe\"}".to_vec());
    bodies.push(b"\xef\xbb\xbf{\"event_name\":\"byte order mark\"}".to_vec());
    bodies
}

fn send(exporter: &Exporter, body: &[u8]) {
    let url = format!("{}/api/v4/organizations/acme/change_events", exporter.url);
    let start = String::from_utf8_lossy(&body[..body.len().min(120)]).into_owned();
    let answer = http::put(&url, "application/json", body).unwrap_or_else(|| panic!("no answer to {start}"));
    match answer.status {
        200 => {}
        400..500 => assert!(answer.json()["error"].is_string(), "refused without a reason: {start}: {}", answer.text),
        status => panic!("{start} was answered {status}: {}", answer.text),
    }
}

fn assert_parses(promtool: &str, page: &str) {
    let Some(binary) = servers::require(promtool) else { return };
    let mut child = Command::new(binary)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // What is legal, and a sender's own choice: promtool's taste in labels of a gauge.
    let taste = [r#"should not have "le" label"#, r#"should not have "quantile" label"#];
    let complaints: Vec<_> = said.lines().filter(|line| !taste.iter().any(|taste| line.ends_with(taste))).collect();
    assert!(complaints.is_empty() && matches!(output.status.code(), Some(0 | 3)), "{promtool} cannot read the page: {said}");
}

/// What a label has of a value: no blanks and line ends around it, and of what ends lines only line feeds and blanks.
fn shown(value: &str) -> String {
    let lines = value.trim().replace("\r\n", "\n").replace(['\r', '\u{85}', '\u{2028}', '\u{2029}'], "\n");
    lines.replace(['\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}'], " ")
}

#[test]
fn what_strangers_send_never_breaks_a_scrape() {
    let (Some(current), Some(debian)) = (servers::require("prometheus"), servers::require("debian/prometheus")) else { return };
    let exporter = Exporter::start(&["--exposure.hold=4s"]);
    for body in bodies() {
        send(&exporter, &body);
    }
    let mut sent = Times::default();
    let time = now();
    for (number, value) in VALUES.iter().enumerate() {
        let mut event = edge(&format!("value-{number}"), "start", time);
        event["attributes"]["note"] = json!(value);
        exporter.put(&event);
        sent.add(&format!("value-{number}"), "start", time);
    }
    let page = exporter.page("metrics");
    assert_parses("promtool", &page);
    assert_parses("debian/promtool", &page);

    let target = ("127.0.0.1:10555", exporter.target());
    let rules = examples::path("alerts");
    let config =
        examples::with("examples/prometheus.yml", &[target, ("interval: 1m", "interval: 1s"), ("../alerts", rules.to_str().unwrap())]);
    for binary in [current, debian] {
        let server = Prometheus::start(&binary, &config, &[]);
        wait::until_ok("the poisoned page to be scraped", LIMIT, || {
            let stored = Times::stored(&server.instant(r#"last9_change_events{entity_id=~"value-.*"}[1h]"#));
            sent.missing_from(&stored).map_or(Ok(()), |missing| Err(format!("{missing}; {:?}", server.complaints())))
        });
        for (number, value) in VALUES.iter().enumerate() {
            let found = server.instant(&format!(r#"last9_change_events_open_timestamp_seconds{{entity_id="value-{number}"}}"#));
            let notes: Vec<_> = found.iter().map(|series| series.label("note")).collect();
            assert_eq!(notes, [shown(value)], "a label value arrives as it was sent, but for its ends and its line boundaries");
        }
        let forged = server.instant(r#"last9_change_events{event_name="forged"}[1h]"#);
        assert!(forged.is_empty(), "a value or an attribute forged a series: {forged:?}");
        let scrapes = server.instant(r#"up{job="change-events"}[1h]"#);
        assert!(scrapes.iter().flat_map(|one| &one.samples).all(|(_, up)| *up > 0.0), "a scrape failed");
    }
}
