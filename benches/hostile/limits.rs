//! Limits: what one sender uses up, and what is refused that should not be. Each says what came of it in words.

use crate::attacks::Attack;
use crate::attacks::NOTHING;
use crate::attacks::PATH;
use crate::http;
use crate::server::Server;
use std::time::Duration;
use std::time::Instant;

pub(crate) const ALL: &[Attack] = &[
    Attack { name: "names: an array of 310 000", run: |server, _| names(server, "PUT", PATH, JSON, &name_array()), ..NOTHING },
    Attack { name: "names: lines", run: |server, _| names(server, "POST", PATH, LINES, &name_lines()), ..NOTHING },
    Attack { name: "names: tags of whole events", run: |server, _| name_tags(server), ..NOTHING },
    Attack { name: "names: single events, each with 31", run: |server, _| name_singles(server), ..NOTHING },
    Attack { name: "limits: heartbeats in an array", flags: TEN_OPEN, run: |server, _| heartbeats(server, true), ..NOTHING },
    Attack { name: "limits: heartbeats one by one", flags: TEN_OPEN, run: |server, _| heartbeats(server, false), ..NOTHING },
    Attack { name: "limits: what supersedes what is open", flags: TEN_OPEN, config: GROUP, run: supersede, ..NOTHING },
    Attack { name: "limits: the stop of what is open", flags: FEW_SETS, run: |server, _| stops(server), ..NOTHING },
    Attack { name: "limits: ends by other doors", flags: FEW_SETS, run: |server, _| ends(server), ..NOTHING },
    Attack { name: "limits: events of known label sets", flags: FEW_SETS, run: |server, _| known(server), ..NOTHING },
    Attack { name: "answers: single digits", run: |server, _| answers(server, "1"), ..NOTHING },
    Attack {
        name: "answers: old events",
        run: |server, _| answers(server, r#"{"event_name":"e","timestamp":"2020-01-01T00:00:00Z"}"#),
        ..NOTHING
    },
    Attack {
        name: "answers: an unknown one of 100 clusters",
        config: CLUSTERS,
        run: |server, _| answers(server, r#"{"event_name":"e","data_source_name":"x"}"#),
        ..NOTHING
    },
];

const TEN_OPEN: &[&str] = &["--limit.open-events=10"];
const FEW_SETS: &[&str] = &["--limit.label-sets=30"];
const GROUP: &str = "pairing:\n- event: deploy\n  labels: [v]\n  supersede: [svc]\n";
const JSON: &str = "Content-Type: application/json\r\n";
const LINES: &str = "Content-Type: application/x-ndjson\r\n";
const PATIENCE: Duration = Duration::from_mins(2);

/// Ten of what `$of` makes of a text and a digit.
macro_rules! ten {
    ($of:ident, $text:expr) => {
        concat!(
            $of!(concat!($text, "0")),
            $of!(concat!($text, "1")),
            $of!(concat!($text, "2")),
            $of!(concat!($text, "3")),
            $of!(concat!($text, "4")),
            $of!(concat!($text, "5")),
            $of!(concat!($text, "6")),
            $of!(concat!($text, "7")),
            $of!(concat!($text, "8")),
            $of!(concat!($text, "9"))
        )
    };
}
macro_rules! cluster {
    ($name:expr) => {
        concat!("- name: prometheus-", $name, ".example\n")
    };
}
macro_rules! clusters {
    ($text:expr) => {
        ten!(cluster, $text)
    };
}
const CLUSTERS: &str = concat!("clusters:\n", ten!(clusters, ""));

fn ask(server: &Server, method: &str, path: &str, headers: &str, body: &str) -> http::Answer {
    let headers = format!("{}{headers}", server.attacker());
    let answer = http::send(server.address, method, path, &headers, body.as_bytes(), PATIENCE);
    answer.unwrap_or_else(|error| http::Answer { status: 0, text: error.to_string() })
}

fn put(server: &Server, body: &str) -> u16 {
    ask(server, "PUT", PATH, JSON, body).status
}

fn many_names(number: usize) -> String {
    let names: Vec<String> = (0..31).map(|name| format!(r#""n{number}_{name}":"v""#)).collect();
    format!(r#"{{"event_name":"e","attributes":{{{}}}}}"#, names.join(","))
}

fn name_array() -> String {
    format!("[{}]", (0..10_000).map(many_names).collect::<Vec<_>>().join(","))
}

fn name_lines() -> String {
    (0..10_000).map(|number| many_names(number) + "\n").collect()
}

fn names(server: &Server, method: &str, path: &str, headers: &str, body: &str) -> String {
    let answer = ask(server, method, path, headers, body);
    format!("{}; {}", answer.status, others(server))
}

fn name_tags(server: &Server) -> String {
    let tags = |number: usize| (0..30).map(|tag| format!(r#""t{number}_{tag}":["x"]"#)).collect::<Vec<_>>().join(",");
    let event = |number| format!(r#"{{"event":{{"id":"e{number}","tags":{{{}}}}}}}"#, tags(number));
    let taken = (0..400).filter(|number| ask(server, "PUT", "/api/v1/event/", JSON, &event(*number)).status == 200).count();
    format!("{taken} of 400 taken; {}", others(server))
}

fn name_singles(server: &Server) -> String {
    let taken = (0..400).filter(|number| put(server, &many_names(*number)) == 200).count();
    format!("{taken} of 400 taken; {}", others(server))
}

/// What another sender of the organization, who is known by another token or address, is told of a name of its own.
fn others(server: &Server) -> String {
    let body = r#"{"event_name":"x","attributes":{"service_name":"a"}}"#;
    let headers = format!("{}{JSON}", server.beside_attacker());
    let answer = http::send(server.address, "PUT", PATH, &headers, body.as_bytes(), PATIENCE);
    let (status, is_left_out) = answer.map_or((0, false), |answer| (answer.status, answer.text.contains("left out")));
    format!("another sender with a new name: {status}{}", if is_left_out { ", without its label" } else { "" })
}

fn job(state: &str, number: usize, more: &str) -> String {
    format!(r#"{{"event_name":"job","event_state":"{state}","attributes":{{"entity_id":"{number}"{more}}}}}"#)
}

fn heartbeats(server: &Server, at_once: bool) -> String {
    let opened = (0..10).filter(|number| put(server, &job("start", *number, "")) == 200).count();
    let beats: Vec<String> = (0..10).map(|number| job("start", number, r#","beat":"1""#)).collect();
    let refused = if at_once {
        ask(server, "PUT", PATH, JSON, &format!("[{}]", beats.join(","))).text.matches("open events").count()
    } else {
        beats.iter().filter(|beat| put(server, beat) != 200).count()
    };
    format!("{opened} opened; of 10 heartbeats at the limit {refused} refused; an eleventh {}", put(server, &job("start", 11, "")))
}

fn supersede(server: &Server, _: Instant) -> String {
    let deploy = |service: usize, version: &str| {
        format!(r#"{{"event_name":"deploy","event_state":"start","attributes":{{"svc":"s{service}","v":"{service}-{version}"}}}}"#)
    };
    let opened = (0..10).filter(|service| put(server, &deploy(*service, "1")) == 200).count();
    std::thread::sleep(Duration::from_millis(5));
    let taken = (0..10).filter(|service| put(server, &deploy(*service, "2")) == 200).count();
    format!("{opened} opened; of 10 that supersede them at the limit {taken} taken")
}

/// Brings label sets until there are as many as there may be.
fn fill(server: &Server) {
    let point = |number: &u32| put(server, &format!(r#"{{"event_name":"fill","attributes":{{"n":"{number}"}}}}"#)) == 200;
    (0..60).take_while(point).for_each(drop);
}

fn stops(server: &Server) -> String {
    (0..5).for_each(|number| _ = put(server, &job("start", number, "")));
    fill(server);
    let taken = (0..5).filter(|number| put(server, &job("stop", *number, r#","result":"failed""#)) == 200).count();
    format!("of 5 stops at the limit of label sets {taken} taken")
}

fn ends(server: &Server) -> String {
    let marker = ask(server, "POST", "/v1/accounts/attacker/events", JSON, r#"{"type":"incident","name":"a"}"#).text;
    let sid = marker.split("\"sid\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default().to_owned();
    ask(server, "PUT", "/api/v1/event/", JSON, r#"{"event":{"id":"w","end_time":null,"tags":{"a":["b"]}}}"#);
    fill(server);
    let end = r#"{"endedAt":"2030-01-01T00:00:00Z"}"#;
    let marker = ask(server, "PATCH", &format!("/v1/accounts/attacker/events/{sid}"), JSON, end).status;
    let update = r#"{"operation":"update","event":{"id":"w","end_time":"2030-01-01T00:00:00Z"}}"#;
    let whole = ask(server, "POST", "/api/v1/event/", JSON, update).status;
    let gone = ask(server, "DELETE", "/api/v1/event/w/delete", "", "").status;
    format!("at the limit of label sets: the end of a marker {marker}, of a whole event {whole}, a deletion {gone}")
}

fn known(server: &Server) -> String {
    put(server, &job("start", 0, ""));
    fill(server);
    let taken = (0..10).filter(|_| put(server, &job("start", 0, "")) == 200).count();
    format!("of 10 heartbeats with a known label set {taken} taken")
}

fn answers(server: &Server, item: &str) -> String {
    let body = format!("[{}]", vec![item; 10_000].join(","));
    let answer = ask(server, "PUT", PATH, JSON, &body);
    format!("{}: {} KiB to an array of {} KiB", answer.status, answer.text.len() >> 10, body.len() >> 10)
}
