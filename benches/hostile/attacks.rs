//! What attackers do. Each runs for some seconds, or until it has done all it came for, and says what came of it.

use crate::http;
use crate::server::Server;
use std::fmt::Write as _;
use std::io::Read as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

pub(crate) const PATH: &str = "/api/v4/organizations/attacker/change_events";
const PATIENCE: Duration = Duration::from_mins(2);

/// An attack, and how the server is started for it.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) flags: &'static [&'static str],
    /// Keys of the configuration file.
    pub(crate) config: &'static str,
    /// How many organizations there are besides the two.
    pub(crate) organizations: usize,
    /// Bytes that it may take; for builds that know no such limit only what is compared with.
    pub(crate) memory: usize,
    /// What is there before; nobody is measured meanwhile.
    pub(crate) prepare: fn(&mut Server),
    pub(crate) run: fn(&Server, Instant) -> String,
}

const MIB: usize = 1 << 20;

pub(crate) const ALL: &[Attack] = &[
    Attack {
        name: "streams of distinct lines",
        memory: 1024 * MIB,
        run: |server, until| streams(server, until, 20, &distinct()),
        ..NOTHING
    },
    Attack {
        name: "200 streams of one short line",
        memory: 1024 * MIB,
        run: |server, until| streams(server, until, 200, &b"{\"event_name\":\"e\"}\n".repeat(7000)),
        ..NOTHING
    },
    Attack {
        name: "200 streams of lines that are refused",
        memory: 1024 * MIB,
        run: |server, until| streams(server, until, 200, &b"x\n".repeat(65_536)),
        ..NOTHING
    },
    Attack { name: "compressed streams", memory: 1024 * MIB, run: zipped_streams, ..NOTHING },
    Attack { name: "arrays of 10 000, one after the other", memory: 1024 * MIB, run: arrays, ..NOTHING },
    Attack { name: "streams of one byte a second", memory: 1024 * MIB, run: slow_bodies, ..NOTHING },
    Attack {
        name: "starts beyond 100 000 old ones",
        flags: &["--limit.open-events=100000"],
        prepare: old_starts,
        run: more_starts,
        ..NOTHING
    },
    Attack {
        name: "puts of whole events beyond them",
        flags: &["--limit.open-events=100000"],
        prepare: old_starts,
        run: more_wholes,
        ..NOTHING
    },
    Attack { name: "points of the future, latest first", run: |server, until| future(server, until, 1), ..NOTHING },
    Attack { name: "points of the past, latest first", run: |server, until| future(server, until, -1), ..NOTHING },
    Attack { name: "heartbeats, newest first", run: heartbeats, ..NOTHING },
    Attack {
        name: "retirement of 20 000 of one group",
        flags: &["--storage.retention.time=10d"],
        config: GROUP,
        prepare: |server| grow_old(server, 20_000, deployment),
        run: retire,
        ..NOTHING
    },
    Attack {
        name: "retirement of 3000 clusters",
        flags: &["--storage.retention.time=10d", "--limit.clusters=3000"],
        prepare: |server| grow_old(server, 50_000, clustered),
        run: retire,
        ..NOTHING
    },
    Attack {
        name: "retirement of 200 000 heartbeats of one event",
        flags: &["--storage.retention.time=10d"],
        prepare: |server| grow_old(server, 200_000, beat),
        run: retire,
        ..NOTHING
    },
    Attack {
        name: "retirement of 300 000 label values",
        flags: &["--storage.retention.time=10d"],
        prepare: |server| grow_old(server, 300_000, valued),
        run: retire,
        ..NOTHING
    },
    Attack {
        name: "points of one label set without end",
        flags: SMALL,
        memory: 300 * MIB,
        run: |server, until| fill(server, until, plain),
        ..NOTHING
    },
    Attack {
        name: "label values of 1 KB without end",
        flags: SMALL,
        memory: 300 * MIB,
        run: |server, until| fill(server, until, long),
        ..NOTHING
    },
    Attack {
        name: "open starts without end",
        flags: SMALL_OPEN,
        memory: 300 * MIB,
        run: |server, until| fill(server, until, open),
        ..NOTHING
    },
    Attack { name: "texts of 2 MB without end", flags: SMALL, memory: 300 * MIB, run: texts, ..NOTHING },
    Attack {
        name: "80 readers of a large page who do not read",
        flags: SMALL,
        memory: 300 * MIB,
        prepare: large_page,
        run: |server, until| sleepy(server, until, "/metrics"),
        ..NOTHING
    },
    Attack {
        name: "80 readers of pages of their own who do not read",
        flags: SMALL,
        memory: 300 * MIB,
        prepare: large_page,
        run: |server, until| sleepy(server, until, "/metrics?match[]=%7Bevent_name%3D%22e%22%7D"),
        ..NOTHING
    },
];

pub(crate) const SMALL: &[&str] = &["--limit.memory=314572800"];
const SMALL_OPEN: &[&str] = &["--limit.memory=314572800", "--limit.open-events=100000000"];
const GROUP: &str = "pairing:\n- event: deploy\n  labels: [v]\n  supersede: [svc]\n";
pub(crate) const NOTHING: Attack =
    Attack { name: "", flags: &[], config: "", organizations: 0, memory: usize::MAX, prepare: |_| {}, run: |_, _| String::new() };

#[expect(clippy::disallowed_methods, reason = "attackers go by the machine's clock")]
fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

fn iso(millis: i64) -> String {
    chrono::DateTime::from_timestamp_millis(millis).unwrap().to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

fn distinct() -> Vec<u8> {
    let line = |number: u32| format!("{{\"event_name\":\"e\",\"attributes\":{{\"n\":\"{number}\"}}}}\n");
    (0..3000).map(line).collect::<String>().into_bytes()
}

/// Sends streams that never end, as fast as they are read.
fn streams(server: &Server, until: Instant, connections: usize, chunk: &[u8]) -> String {
    let sent = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..connections {
            scope.spawn(|| stream(server.address, server.attacker(), "", until, chunk, &sent).ok());
        }
    });
    format!("{} MiB sent", sent.into_inner() >> 20)
}

fn stream(address: SocketAddr, token: &str, headers: &str, until: Instant, chunk: &[u8], sent: &AtomicU64) -> std::io::Result<()> {
    let mut stream = http::begin(address, &format!("POST {PATH} HTTP/1.1"), Duration::from_secs(20))?;
    let head = format!("{token}{headers}Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    while Instant::now() < until {
        write!(stream, "{:x}\r\n", chunk.len())?;
        stream.write_all(chunk)?;
        stream.write_all(b"\r\n")?;
        sent.fetch_add(chunk.len() as u64, Ordering::Relaxed);
    }
    stream.write_all(b"0\r\n\r\n")?;
    http::end(stream).map(drop)
}

fn zipped_streams(server: &Server, until: Instant) -> String {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    // One member that goes on for long; a stream is cut in the middle of it.
    encoder.write_all(&b"{\"event_name\":\"e\",\"attributes\":{\"a\":\"b\"}}\n".repeat(2_000_000)).unwrap();
    let zipped = encoder.finish().unwrap();
    let sent = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| {
                while Instant::now() < until {
                    let soon = Instant::now() + Duration::from_millis(1);
                    stream(server.address, server.attacker(), "Content-Encoding: gzip\r\n", soon, &zipped, &sent).ok();
                }
            });
        }
    });
    format!("{} KiB sent", sent.into_inner() >> 10)
}

pub(crate) fn post(server: &Server, headers: &str, method: &str, path: &str, body: &str) -> u16 {
    let headers = format!("{}{headers}Content-Type: application/json\r\n", server.attacker());
    http::send(server.address, method, path, &headers, body.as_bytes(), PATIENCE).map_or(0, |answer| answer.status)
}

fn array(events: impl Iterator<Item = String>) -> String {
    format!("[{}]", events.collect::<Vec<_>>().join(","))
}

fn arrays(server: &Server, until: Instant) -> String {
    let taken = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for sender in 0..20 {
            let taken = &taken;
            scope.spawn(move || {
                for round in 0.. {
                    if Instant::now() >= until {
                        return;
                    }
                    let event = |number: u32| format!(r#"{{"event_name":"e","attributes":{{"n":"{sender}-{round}-{number}"}}}}"#);
                    if post(server, "", "PUT", PATH, &array((0..10_000).map(event))) == 200 {
                        taken.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    format!("{} arrays taken", taken.into_inner())
}

/// Bodies of 8 MB are announced, and nearly nothing of them comes.
fn slow_bodies(server: &Server, until: Instant) -> String {
    let mut bodies: Vec<TcpStream> = Vec::new();
    for _ in 0..300 {
        if let Ok(mut body) = http::begin(server.address, &format!("PUT {PATH} HTTP/1.1"), PATIENCE) {
            write!(body, "{}Content-Length: 8000000\r\n\r\n{}", server.attacker(), " ".repeat(8000)).ok();
            bodies.push(body);
        }
    }
    while Instant::now() < until {
        bodies.retain_mut(|body| body.write_all(b" ").is_ok());
        std::thread::sleep(Duration::from_secs(1));
    }
    format!("{} of 300 still held", bodies.len())
}

/// Sends lines and says how many were answered to be stored, and with what status.
pub(crate) fn lines(server: &Server, lines: impl Iterator<Item = String>) -> (u64, u16) {
    let mut text = String::new();
    lines.for_each(|line| writeln!(text, "{line}").unwrap());
    let headers = format!("{}Content-Type: application/x-ndjson\r\n", server.attacker());
    let Ok(answer) = http::send(server.address, "POST", PATH, &headers, text.as_bytes(), PATIENCE) else { return (0, 0) };
    let accepted =
        answer.text.split_once("\"accepted\":").and_then(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok());
    (accepted.unwrap_or(0), answer.status)
}

fn old_starts(server: &mut Server) {
    let start = |number: u32| {
        format!(r#"{{"event_name":"e","event_state":"start","timestamp":"2026-01-01T00:00:00Z","attributes":{{"n":"{number}"}}}}"#)
    };
    lines(server, (0..100_000).map(start));
}

fn more_starts(server: &Server, until: Instant) -> String {
    let mut taken = 0;
    for round in 0.. {
        if Instant::now() >= until {
            break;
        }
        let start = |number: u32| format!(r#"{{"event_name":"f","event_state":"start","attributes":{{"n":"{round}-{number}"}}}}"#);
        taken += u32::from(post(server, "", "PUT", PATH, &array((0..5000).map(start))) < 300);
    }
    format!("{taken} arrays of 5000")
}

fn more_wholes(server: &Server, until: Instant) -> String {
    let mut asked = 0;
    while Instant::now() < until {
        let body = format!(r#"{{"event":{{"id":"w{asked}","start_time":{}}}}}"#, now());
        post(server, "", "PUT", "/api/v1/event/", &body);
        asked += 1;
    }
    format!("{asked} asked")
}

/// One array after the other of points in the order that costs most, `side` of now.
fn future(server: &Server, until: Instant, side: i64) -> String {
    let mut sent = 0;
    for round in 0.. {
        if Instant::now() >= until {
            break;
        }
        let point = |number: i64| {
            let (step, series) = (number / 9, number % 9);
            let at = now() + side * 20 * 86_400 - step * 180;
            format!(r#"{{"event_name":"e","timestamp":"{}","attributes":{{"s":"{round}-{series}"}}}}"#, iso(at * 1000))
        };
        if post(server, "", "PUT", PATH, &array((0..9216).map(point))) == 200 {
            sent += 1;
        }
    }
    format!("{sent} arrays of 9216")
}

fn heartbeats(server: &Server, until: Instant) -> String {
    let mut sent = 0;
    for round in 0.. {
        if Instant::now() >= until {
            break;
        }
        let begin = now() - 100_000;
        let beat = |number: i64| {
            let at = begin - round * 10_000 - number;
            format!(r#"{{"event_name":"job","event_state":"start","timestamp":"{}","attributes":{{"entity_id":"x"}}}}"#, iso(at * 1000))
        };
        sent += lines(server, (0..10_000).map(beat)).0;
    }
    format!("{sent} heartbeats")
}

fn deployment(number: i64, at: i64) -> String {
    format!(
        r#"{{"event_name":"deploy","event_state":"start","timestamp":"{}","attributes":{{"v":"{number}","svc":"api"}}}}"#,
        iso((at + number) * 1000)
    )
}

fn clustered(number: i64, _at: i64) -> String {
    format!(r#"{{"event_name":"e","data_source_name":"c{}","attributes":{{"n":"{number}"}}}}"#, number % 3000)
}

fn beat(number: i64, at: i64) -> String {
    let state = if number == 199_999 { "stop" } else { "start" };
    format!(
        r#"{{"event_name":"job","event_state":"{state}","timestamp":"{}","attributes":{{"entity_id":"x"}}}}"#,
        iso((at + number) * 1000)
    )
}

fn valued(number: i64, _at: i64) -> String {
    format!(r#"{{"event_name":"e","attributes":{{"n":"{number}","m":"{number}"}}}}"#)
}

/// Events that are beyond retention by the time of the attack, as the segments of the log are.
fn grow_old(server: &mut Server, count: i64, event: fn(i64, i64) -> String) {
    let one = |server: &Server, name: &str| post(server, "", "PUT", PATH, &format!(r#"{{"event_name":"{name}"}}"#));
    one(server, "first");
    let at = now() - 250_000;
    for from in (0..count).step_by(20_000) {
        lines(server, (from..count.min(from + 20_000)).map(|number| event(number, at)));
    }
    for day in [2, 4] {
        server.set_days_ahead(day);
        one(server, "later");
    }
    server.set_days_ahead(13);
}

/// The victims' own requests set it off.
fn retire(server: &Server, until: Instant) -> String {
    let before = server.metric("change_events_store_events");
    std::thread::sleep(until.saturating_duration_since(Instant::now()));
    format!("events {before:?} to {:?}", server.metric("change_events_store_events"))
}

fn plain(number: u64) -> String {
    format!(r#"{{"event_name":"e","timestamp":"{}"}}"#, iso(1_794_000_000_000 + i64::try_from(number).unwrap()))
}

fn long(number: u64) -> String {
    format!(r#"{{"event_name":"e","attributes":{{"n":"{number}{}"}}}}"#, "x".repeat(1000))
}

fn open(number: u64) -> String {
    format!(r#"{{"event_name":"e","event_state":"start","attributes":{{"n":"{number}"}}}}"#)
}

/// Sends until nothing more is taken.
fn fill(server: &Server, until: Instant, event: fn(u64) -> String) -> String {
    let (mut number, mut taken) = (0, 0);
    while Instant::now() < until {
        let (accepted, status) = lines(server, (number..number + 20_000).map(event));
        number += 20_000;
        taken += accepted;
        if accepted == 0 {
            return format!("{taken} taken, then {status}");
        }
    }
    format!("{taken} taken, no end of it")
}

fn texts(server: &Server, until: Instant) -> String {
    let (mut taken, mut last) = (0, 0);
    for number in 0.. {
        if Instant::now() >= until {
            break;
        }
        let text = "x".repeat(2_000_000);
        let body = format!(r#"{{"event":{{"id":"d{number}","start_time":{},"description":"{text}"}}}}"#, now());
        last = post(server, "", "PUT", "/api/v1/event/", &body);
        taken += u32::from(last == 200);
        if last == 0 {
            break;
        }
    }
    format!("{taken} taken, then {last}")
}

pub(crate) fn large_page(server: &mut Server) {
    let start =
        |number: u32| format!(r#"{{"event_name":"e","event_state":"start","attributes":{{"n":"{number}","l":"{}"}}}}"#, "v".repeat(200));
    for from in [0, 10_000] {
        lines(server, (from..from + 10_000).map(start));
    }
}

fn sleepy(server: &Server, until: Instant, path: &str) -> String {
    let ask = |_| {
        let mut reader = http::begin(server.address, &format!("GET {path} HTTP/1.1"), PATIENCE).ok()?;
        write!(reader, "{}\r\n", server.attacker()).ok()?;
        Some(reader)
    };
    let mut readers: Vec<TcpStream> = (0..80).filter_map(ask).collect();
    std::thread::sleep(until.saturating_duration_since(Instant::now()));
    let mut refused = 0;
    for reader in &mut readers {
        reader.set_read_timeout(Some(Duration::from_millis(100))).ok();
        let mut head = [0; 12];
        refused += usize::from(reader.read(&mut head).is_ok_and(|read| read == 12 && &head[9..12] == b"503"));
    }
    format!("{} readers, {refused} of them told 503", readers.len())
}
