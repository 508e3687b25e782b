//! One of many does not hold up the others: a small form of `cargo bench --bench hostile`, with limits wide enough for any machine.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::support::exporter::Exporter;
use crate::support::http;

const PATH: &str = "api/v4/organizations/acme/change_events";
const LINES: &str = "application/x-ndjson";
/// What single requests may take beside others; without turns they took tens of seconds.
const WAIT_MAX: Duration = Duration::from_secs(2);

fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(line).collect()
}

fn figure(exporter: &Exporter, name: &str) -> f64 {
    http::metric(&exporter.page("metrics"), name).unwrap()
}

#[test]
fn a_single_event_does_not_wait_behind_streams_and_arrays_of_others() {
    let exporter = Exporter::start(&[]);
    let url = format!("{}/{PATH}", exporter.url);
    let stream = lines(50_000, |number| format!("{{\"event_name\":\"e\",\"attributes\":{{\"n\":\"{number}\"}}}}\n"));
    let array = serde_json::to_vec(
        &(0..10_000).map(|number| json!({"event_name": "a", "attributes": {"n": number.to_string()}})).collect::<Vec<_>>(),
    );
    let (array, ended) = (array.unwrap(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for sender in 0..8 {
            let (url, stream, array, ended) = (&url, &stream, &array, &ended);
            scope.spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    let (media_type, body) =
                        if sender % 2 == 0 { (LINES, stream.as_bytes()) } else { ("application/json", array.as_slice()) };
                    http::put(url, media_type, body);
                }
            });
        }
        let mut waits = Vec::new();
        for number in 0..40 {
            let event = json!({"event_name": "single", "attributes": {"n": number.to_string()}}).to_string();
            let begun = Instant::now();
            assert_eq!(http::put(&url, "application/json", event.as_bytes()).map(|answer| answer.status), Some(200));
            assert!(http::is_ok(&format!("{}/-/healthy", exporter.url)) && http::is_ok(&format!("{}/-/ready", exporter.url)));
            waits.push(begun.elapsed());
        }
        ended.store(true, Ordering::Relaxed);
        waits.sort_unstable();
        let most = waits[waits.len() * 9 / 10];
        assert!(most < WAIT_MAX, "{most:?} for one event and two looks at its health: {waits:?}");
    });
    assert!(figure(&exporter, "change_events_writer_wait_seconds_count") > 0.0);
}

#[test]
fn an_event_and_a_page_do_not_wait_behind_questions_that_are_too_large() {
    let exporter = Exporter::start(&[]);
    let url = format!("{}/{PATH}", exporter.url);
    let value = "ab".repeat(480);
    let values = lines(3000, |number| format!("{{\"event_name\":\"e\",\"attributes\":{{\"n\":\"{number}{value}\"}}}}\n"));
    assert_eq!(http::put(&url, LINES, values.as_bytes()).map(|answer| answer.status), Some(200));
    let escaped = |selector: &str| lines(selector.len(), |place| format!("%{:02X}", selector.as_bytes()[place]));
    let large = format!("match[]={}", escaped(&format!("{{{}}}", vec!["a=~\"\\\\w{20}\""; 30].join(","))));
    let questions = [
        format!("{}/metrics?{}", exporter.url, [&*large; 10].join("&")),
        format!("{url}?match[]={}", escaped("{n=~\".*[ab].{200}(.*b){9}x\"}")),
        format!("{}/metrics?match[]={}", exporter.url, escaped("{n!~\".*[ab].{200}(.*b){9}x\"}")),
        format!("{url}?search=no-such&limit=1000"),
    ];
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for asker in 0..12 {
            let (question, ended) = (&questions[asker % questions.len()], &ended);
            scope.spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    http::get(question);
                }
            });
        }
        let mut waits = Vec::new();
        for number in 0..20 {
            let event = json!({"event_name": "single", "attributes": {"n": number.to_string()}}).to_string();
            let begun = Instant::now();
            assert_eq!(http::put(&url, "application/json", event.as_bytes()).map(|answer| answer.status), Some(200));
            assert!(http::is_ok(&format!("{}/-/healthy", exporter.url)) && http::is_ok(&format!("{}/metrics", exporter.url)));
            waits.push(begun.elapsed());
        }
        ended.store(true, Ordering::Relaxed);
        waits.sort_unstable();
        let most = waits[waits.len() * 9 / 10];
        assert!(most < WAIT_MAX, "{most:?} for one event, a page and a look at its health: {waits:?}");
    });
    assert!(figure(&exporter, "change_events_questions_refused_total{reason=\"price\"}") > 0.0);
    assert!(figure(&exporter, "change_events_questions_refused_total{reason=\"steps\"}") > 0.0);
}

#[test]
fn without_memory_new_events_are_refused_and_what_is_open_ends() {
    const LIMIT: u32 = 160_000_000;
    let mut exporter = Exporter::start(&[&format!("--limit.memory={LIMIT}"), "--limit.open-events=10000000"]);
    let url = format!("{}/{PATH}", exporter.url);
    let start =
        |number: usize| format!("{{\"event_name\":\"job\",\"event_state\":\"start\",\"attributes\":{{\"entity_id\":\"{number}\"}}}}\n");
    let (mut sent, mut taken) = (0, 0);
    while sent == taken {
        let some = lines(2000, |number| start(sent + number));
        let answer = http::put(&url, LINES, some.as_bytes()).unwrap();
        sent += 2000;
        taken += usize::try_from(answer.json()["accepted"].as_u64().unwrap()).unwrap();
        assert!(
            answer.status == 200 || (answer.status == 503 && answer.text.contains("--limit.memory")),
            "{} {}",
            answer.status,
            answer.text
        );
        assert!(sent < 1_000_000, "there is no end of it");
    }
    assert!(taken > 2000, "{taken}");
    let one = http::put(&url, "application/json", start(sent).as_bytes()).unwrap();
    assert_eq!((one.status, one.text.contains("memory")), (503, true), "{}", one.text);
    assert!(http::is_ok(&format!("{}/-/ready", exporter.url)));
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let open = taken as f64;
    assert!((figure(&exporter, "change_events_store_open_events") - open).abs() < 0.5, "all that was taken is open");
    let mut stops = String::new();
    for number in 0..500 {
        let attributes = json!({"entity_id": number.to_string(), "result": format!("failure {number}"), "seconds": number});
        writeln!(stops, "{}", json!({"event_name": "job", "event_state": "stop", "attributes": attributes})).unwrap();
    }
    let answer = http::put(&url, LINES, stops.as_bytes()).unwrap();
    assert_eq!(
        (answer.status, answer.json()["accepted"].as_u64()),
        (200, Some(500)),
        "stops that say more than the starts: {}",
        answer.text
    );
    assert!(figure(&exporter, "change_events_memory_refused_total") > 0.0);
    let resident = figure(&exporter, "process_resident_memory_bytes");
    assert!(resident < f64::from(LIMIT), "{resident} bytes are resident");
    let edges = figure(&exporter, "change_events_store_edges");
    exporter.kill();
    exporter.start_again();
    assert!(figure(&exporter, "change_events_store_edges") >= edges, "nothing is lost");
}

/// One event, sent by whoever has the token; its answer, when it comes in time.
fn put_as(target: &str, token: &str, body: &str) -> Option<String> {
    let mut stream = TcpStream::connect(target).ok()?;
    stream.set_read_timeout(Some(WAIT_MAX)).ok()?;
    let length = body.len();
    write!(stream, "PUT /{PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n").ok()?;
    write!(stream, "Authorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n{body}").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[test]
fn bodies_that_are_announced_and_do_not_come_leave_memory_for_those_of_others() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config.yml");
    let token = |name: &str| format!("  - {{name: {name}, sha256: {}, scopes: [write]}}\n", hex::encode(Sha256::digest(name)));
    std::fs::write(&config, format!("organizations:\n- slug: acme\n  tokens:\n{}{}", token("one"), token("other"))).unwrap();
    let exporter = Exporter::start(&[&format!("--config.file={}", config.display()), "--limit.memory=400000000"]);
    let announced: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = TcpStream::connect(exporter.target()).unwrap();
            write!(stream, "PUT /{PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer one\r\nContent-Length: 8000000\r\n\r\n[")
                .unwrap();
            stream
        })
        .collect();
    let event = json!({"event_name": "single", "attributes": {"text": "x".repeat(20_000)}}).to_string();
    for _ in 0..10 {
        let answer = put_as(exporter.target(), "other", &event).unwrap_or_default();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
    }
    drop(announced);
}

#[test]
fn a_sender_of_thousands_of_label_names_takes_none_of_anothers() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config.yml");
    let token = |name: &str| format!("  - {{name: {name}, sha256: {}, scopes: [write]}}\n", hex::encode(Sha256::digest(name)));
    std::fs::write(&config, format!("organizations:\n- slug: acme\n  tokens:\n{}{}", token("one"), token("other"))).unwrap();
    let exporter = Exporter::start(&[&format!("--config.file={}", config.display()), "--limit.open-events=2", "--limit.labels=32"]);
    let put = |token: &str, body: &serde_json::Value| put_as(exporter.target(), token, &body.to_string()).unwrap_or_default();
    let name = |number: usize, name: usize| (format!("n{number}_{name}"), json!("v"));
    let attributes = |number: usize| (0..31).map(|label| name(number, label)).collect::<serde_json::Map<_, _>>();
    let flood = (0..1000).map(|number| json!({"event_name": "e", "attributes": attributes(number)})).collect::<Vec<_>>();
    let answer = put("one", &json!(flood));
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("label n999_0 and 30 more: left out"), "{}", answer.len());
    let answer = put("other", &json!({"event_name": "e", "attributes": {"service_name": "a"}}));
    assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("left out"), "{answer}");

    // Who fills what is open is told when to come back, and may go on with what is open; so may others.
    let job = |entity: &str| json!({"event_name": "job", "event_state": "start", "attributes": {"entity_id": entity}});
    assert!(put("one", &json!([job("a"), job("b")])).starts_with("HTTP/1.1 200"));
    assert!(put("one", &json!([job("a"), job("b")])).starts_with("HTTP/1.1 200"), "heartbeats");
    let answer = put("other", &job("c"));
    assert!(answer.starts_with("HTTP/1.1 429") && answer.contains("retry-after: 60"), "{answer}");
}

/// Who asks for so much that it cannot all be sent, and reads nothing.
fn sleepy(exporter: &Exporter, path: &str) -> TcpStream {
    let mut reader = TcpStream::connect(exporter.target()).unwrap();
    reader.write_all(format!("GET /{path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).unwrap();
    reader
}

#[test]
fn readers_who_do_not_read_take_no_place_and_no_memory_of_others() {
    let exporter = Exporter::start(&["--limit.connections=20", "--limit.memory=160000000"]);
    let url = format!("{}/{PATH}", exporter.url);
    let text = "v".repeat(800);
    let start = |number: usize| {
        format!("{{\"event_name\":\"e\",\"event_state\":\"start\",\"attributes\":{{\"n\":\"{number}\",\"l\":\"{text}\"}}}}\n")
    };
    assert_eq!(http::put(&url, LINES, lines(6000, start).as_bytes()).map(|answer| answer.status), Some(200));
    let mut readers = Vec::new();
    for round in 0..30 {
        // Lists, pages, and nothing at all; the sockets of those who were ended stay with us.
        readers.push(sleepy(&exporter, "metrics"));
        readers.push(sleepy(&exporter, &format!("{PATH}?limit=1000")));
        readers.push(TcpStream::connect(exporter.target()).unwrap());
        let begun = Instant::now();
        let event = json!({"event_name": "single", "attributes": {"n": round.to_string()}}).to_string();
        while http::put(&url, "application/json", event.as_bytes()).map(|answer| answer.status) != Some(200) {
            assert!(begun.elapsed() < WAIT_MAX, "one event waits for a place: {:?}", begun.elapsed());
        }
        assert!(http::is_ok(&format!("{}/-/healthy", exporter.url)) && http::is_ok(&format!("{}/-/ready", exporter.url)));
        assert!(begun.elapsed() < WAIT_MAX, "{:?} for one event and two looks at its health", begun.elapsed());
    }
    let list = http::get(&format!("{url}?limit=1000")).unwrap();
    assert_eq!(list.status, 200, "{}", list.text);
    let displaced = "change_events_http_connections_displaced_total";
    // What they were doing then is a matter of how busy the machine is.
    let ended = |was: &str| figure(&exporter, &format!("{displaced}{{was=\"{was}\"}}"));
    assert!(["reading", "silent", "queued"].map(ended).iter().sum::<f64>() > 30.0);
    drop(readers);
    let begun = Instant::now();
    while figure(&exporter, "change_events_http_connections") > 2.0
        || figure(&exporter, "change_events_memory_bytes{item=\"answers\"}") > 0.0
    {
        assert!(begun.elapsed() < Duration::from_secs(20), "something is left of them");
        std::thread::sleep(Duration::from_millis(20));
    }
}
