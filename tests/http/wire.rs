//! What is said on the wire and by no well-behaved client: names of others, two requests in one, bodies that nobody wants, long heads.

use std::io::Read as _;
use std::io::Write as _;
use std::net::Shutdown;
use std::net::TcpStream;
use std::time::Duration;
use std::time::Instant;

use change_events::http::app::WebOptions;
use change_events::http::hosts::Hosts;

use crate::harness::exporter::Exporter;
use crate::harness::http;
use crate::support::EVENTS;
use crate::support::Server;
use crate::support::settings;

/// Long enough for anything that should happen, never waited for in full.
const PATIENCE: Duration = Duration::from_secs(20);
/// What one answer takes that waits for nothing, with all else that a busy machine does.
const AT_ONCE: Duration = Duration::from_millis(1500);
const HEALTHY: &str = "GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// One answer as it came.
#[derive(Debug, Default)]
struct Said {
    status: u16,
    head: String,
    body: String,
}

impl Said {
    fn closes(&self) -> bool {
        self.head.to_ascii_lowercase().contains("\r\nconnection: close\r\n")
    }
}

fn connect(exporter: &Exporter) -> TcpStream {
    let stream = TcpStream::connect(exporter.target().split('/').next().unwrap()).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The next answer, with a body of a known length; none where the connection ends instead.
fn said(stream: &mut TcpStream) -> Option<Said> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .to_ascii_lowercase()
        .split_once("\r\ncontent-length: ")
        .map_or(0, |(_, rest)| rest.split('\r').next().unwrap().parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(Said { status: head[9..12].parse().unwrap(), head, body: String::from_utf8(body).unwrap() })
}

/// Sends all of it, then reads the answer.
fn ask(exporter: &Exporter, request: impl AsRef<[u8]>) -> Said {
    let mut stream = connect(exporter);
    // Where it is refused before its end, the answer is there all the same.
    stream.write_all(request.as_ref()).ok();
    said(&mut stream).unwrap_or_default()
}

/// Those rows that are not answered as they should be.
#[track_caller]
fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn figure(exporter: &Exporter, name: &str) -> f64 {
    http::metric(&exporter.page("metrics"), name).unwrap_or(-1.0)
}

/// The statuses of requests that are given by their line and their headers.
fn statuses(exporter: &Exporter, rows: &[(&str, &str, u16)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (line, headers, status) in rows {
        let answer = ask(exporter, format!("{line}\r\n{headers}\r\n"));
        if answer.status != *status {
            wrong.push(format!("{line} {headers:?}: {} instead of {status}: {}", answer.status, answer.body));
        }
    }
    wrong
}

#[test]
fn where_nobody_is_asked_for_a_token_the_host_must_be_ours() {
    let exporter = Exporter::start(&[]);
    let put = &format!("PUT {EVENTS} HTTP/1.1");
    let mut rows = Vec::new();
    for foreign in
        ["evil.example", "evil.example:10555", "EVIL.example.", "localhost.evil.example", "127.0.0.1.evil.example", "evil-localhost"]
    {
        rows.push(("GET /metrics HTTP/1.1", format!("Host: {foreign}\r\n"), 421));
    }
    for line in [
        "GET /-/healthy HTTP/1.1",
        "GET /-/ready HTTP/1.0",
        "GET / HTTP/1.1",
        "GET /nowhere HTTP/1.1",
        "GET /api/v1/event/ HTTP/1.1",
        "GET /v1/accounts/a/events HTTP/1.1",
        "GET /api/openapi.json HTTP/1.1",
        "OPTIONS /metrics HTTP/1.1",
        "GET http://localhost/metrics HTTP/1.1",
        put,
    ] {
        rows.push((line, "Host: evil.example\r\nSec-Fetch-Site: same-origin\r\nOrigin: http://evil.example\r\n".to_owned(), 421));
    }
    rows.push(("GET http://evil.example/metrics HTTP/1.1", "Host: localhost\r\n".to_owned(), 421));
    rows.push(("CONNECT evil.example:80 HTTP/1.1", "Host: localhost\r\n".to_owned(), 421));
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    for ours in ["localhost", "LocalHost.:1", "a.localhost", "127.0.0.1", "192.0.2.1:80", "[::1]:10555", &name, ""] {
        rows.push(("GET /metrics HTTP/1.1", format!("Host: {ours}\r\n"), 200));
    }
    rows.push(("GET /metrics HTTP/1.0", String::new(), 200));
    rows.push(("GET http://127.0.0.1/metrics HTTP/1.1", "Host: localhost\r\n".to_owned(), 200));
    let rows: Vec<(&str, &str, u16)> = rows.iter().map(|(line, headers, status)| (*line, &**headers, *status)).collect();
    assert_none(&statuses(&exporter, &rows));
    let refused = rows.iter().filter(|(_, _, status)| *status == 421).count();
    assert!((figure(&exporter, "change_events_refused_total{reason=\"host\"}") - f64::from(u32::try_from(refused).unwrap())).abs() < 0.1);
    let text = ask(&exporter, "GET /v1/accounts/a/events HTTP/1.1\r\nHost: evil\"<example>\r\n\r\n").body;
    for part in ["MISDIRECTED_REQUEST", r#"evil\"<example>"#, "--web.allowed-hosts", "--web.external-url"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let long = ask(&exporter, format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", "a".repeat(9000)));
    assert!(long.status == 421 && long.body.len() < 600, "{long:?}");
}

#[test]
fn names_are_allowed_by_flags_and_elsewhere_all_are() {
    let foreign = [("GET /metrics HTTP/1.1", "Host: evil.example\r\n", 200)];
    let exporter = Exporter::start(&["--web.allowed-hosts=a.example,*.b.example", "--web.external-url=https://user@c.example:8443/tools"]);
    let rows = [
        ("GET /tools/metrics HTTP/1.1", "Host: a.example:10555\r\n", 200),
        ("GET /tools/metrics HTTP/1.1", "Host: x.B.example\r\n", 200),
        ("GET /tools/metrics HTTP/1.1", "Host: C.example\r\n", 200),
        ("GET /tools/metrics HTTP/1.1", "Host: x.a.example\r\n", 421),
        ("GET /tools/metrics HTTP/1.1", "Host: b.example\r\n", 421),
        ("GET /tools/api/v1/event/ HTTP/1.1", "Host: evil.example\r\n", 421),
    ];
    assert_none(&statuses(&exporter, &rows));
    for flags in [&["--web.allowed-hosts=*"][..], &["--web.listen-address=0.0.0.0:0", "--web.allow-anonymous"]] {
        assert_none(&statuses(&Exporter::start(flags), &foreign));
    }
}

#[tokio::test]
async fn tokens_are_looked_at_when_a_request_comes() {
    let server = Server::starting("", WebOptions { hosts: Some(Hosts::default()), ..WebOptions::default() });
    server.finish_start();
    let ask = async || server.put(r#"{"event_name":"e"}"#, &[("host", "evil.example")]).await.status;
    assert_eq!(ask().await, 421);
    let hash = "0".repeat(64);
    server.app.set_settings(settings(&format!(
        "organizations:\n  - slug: a\n    tokens:\n      - {{name: t, sha256: {hash}, scopes: [read]}}\n"
    )));
    assert_eq!(ask().await, 401);
    server.app.set_settings(settings(""));
    assert_eq!(ask().await, 421);
}

/// Nobody between may see a request where the server sees a body, or the other way round.
#[test]
fn what_could_be_two_requests_is_refused_and_nothing_follows_it() {
    let exporter = Exporter::start(&[]);
    let mut wrong = Vec::new();
    for (headers, status) in [
        ("Host: localhost\r\nHost: localhost\r\n", 400),
        ("Host: localhost\r\nAccept: */*\r\nhost: evil.example\r\n", 400),
        ("Host: localhost\r\nHost:\r\n", 400),
        ("Host: localhost\r\nTransfer-Encoding: gzip, chunked\r\n", 501),
        ("Host: localhost\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", 501),
        ("Host: localhost\r\nTransfer-Encoding: identity, CHUNKED\r\n", 501),
        ("Host: localhost\r\nTransfer-Encoding: chunked;a=b,chunked\r\n", 501),
        ("Host: localhost\r\nTransfer-Encoding: chunked, chunked\r\n", 400),
        ("Host: localhost\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Host: localhost\r\nTransfer-Encoding: ,chunked\r\n", 400),
        // Where there is no end, hyper says so.
        ("Host: localhost\r\nTransfer-Encoding: gzip\r\n", 400),
        ("Host: localhost\r\nTransfer-Encoding: chunked, identity\r\n", 400),
        ("Host: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n", 400),
        ("Host: localhost\r\nContent-Length: +5\r\n", 400),
        // By the rule for both, the length does not count, and the connection ends.
        ("Host: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: Chunked\r\n", 200),
        ("Host: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n", 200),
    ] {
        let mut stream = connect(&exporter);
        let body = "12\r\n{\"event_name\":\"x\"}\r\n0\r\n\r\n";
        stream.write_all(format!("PUT {EVENTS} HTTP/1.1\r\n{headers}\r\n{body}{HEALTHY}").as_bytes()).unwrap();
        let answer = said(&mut stream).unwrap_or_default();
        if answer.status != status || !answer.closes() {
            wrong.push(format!("{headers:?}: {} instead of {status}, {}", answer.status, answer.head));
        }
        if let Some(second) = said(&mut stream) {
            wrong.push(format!("{headers:?}: a second answer, {}", second.status));
        }
    }
    assert_none(&wrong);
    let ok = ask(
        &exporter,
        format!(
            "PUT {EVENTS} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: Chunked\r\n\r\n12\r\n{{\"event_name\":\"x\"}}\r\n0\r\n\r\n"
        ),
    );
    assert!(ok.status == 200 && !ok.closes(), "{ok:?}");
}

fn chunked(bytes: usize) -> Vec<u8> {
    let chunk = [b"3e8\r\n", &*vec![b'x'; 1000], b"\r\n"].concat();
    [chunk.repeat(bytes / 1000), b"0\r\n\r\n".to_vec()].concat()
}

/// A body that nobody wants, and whether the connection goes on behind it.
#[test]
fn a_little_of_a_body_that_nobody_wants_is_read_away() {
    let exporter = Exporter::start(&["--limit.body-bytes=5000"]);
    let wanting = format!("PUT {EVENTS} HTTP/1.1");
    let sized = |bytes: usize| (format!("Content-Length: {bytes}\r\n"), vec![b'x'; bytes]);
    let in_chunks = |bytes: usize| ("Transfer-Encoding: chunked\r\n".to_owned(), chunked(bytes));
    let mut wrong = Vec::new();
    for (line, (headers, body), status, goes_on) in [
        ("POST /nowhere HTTP/1.1", sized(100_000), 404, true),
        ("POST /nowhere HTTP/1.1", sized(256 * 1024), 404, true),
        ("POST /nowhere HTTP/1.1", in_chunks(200_000), 404, true),
        ("DELETE /metrics HTTP/1.1", sized(100_000), 405, true),
        ("GET /-/healthy HTTP/1.1", sized(100_000), 200, true),
        ("POST /-/reload HTTP/1.1", in_chunks(100_000), 403, true),
        (&wanting, sized(100_000), 413, true),
        (&wanting, in_chunks(100_000), 413, true),
        (&wanting, (format!("Content-Type: image/png\r\n{}", sized(100_000).0), sized(100_000).1), 415, true),
        (&wanting, (format!("Sec-Fetch-Site: cross-site\r\n{}", sized(100_000).0), sized(100_000).1), 403, true),
        // More of it.
        ("POST /nowhere HTTP/1.1", sized(256 * 1024 + 1), 404, false),
        ("POST /nowhere HTTP/1.1", sized(3_000_000), 404, false),
        ("POST /nowhere HTTP/1.1", in_chunks(3_000_000), 404, false),
        (&wanting, in_chunks(3_000_000), 413, false),
        (&wanting, ("Transfer-Encoding: chunked\r\n".to_owned(), b"zz\r\n".to_vec()), 400, false),
    ] {
        let mut stream = connect(&exporter);
        let (whole, length) = ([format!("{line}\r\nHost: localhost\r\n{headers}\r\n").as_bytes(), &*body].concat(), body.len());
        // What is sent is taken, whether it is wanted or not.
        if let Err(error) = stream.write_all(&whole) {
            wrong.push(format!("{line} {headers:?}, {length} bytes: {error}"));
        }
        let answer = said(&mut stream).unwrap_or_default();
        stream.write_all(HEALTHY.as_bytes()).ok();
        let next = said(&mut stream).map(|next| next.status);
        if (answer.status, answer.closes(), next) != (status, !goes_on, goes_on.then_some(200)) {
            wrong.push(format!("{line} {headers:?}, {length} bytes: {}, then {next:?}", answer.head));
        }
    }
    assert_none(&wrong);
    let rest = |outcome| figure(&exporter, &format!("change_events_http_unread_bodies_total{{outcome=\"{outcome}\"}}"));
    assert!(rest("read") >= 10.0 && rest("closed") >= 5.0, "{} {}", rest("read"), rest("closed"));
}

#[test]
fn requests_behind_a_body_that_nobody_wants_are_answered() {
    let exporter = Exporter::start(&[]);
    let mut stream = connect(&exporter);
    for unwanted in [b"Content-Length: 3\r\n\r\nabc".to_vec(), [b"Transfer-Encoding: chunked\r\n\r\n", &*chunked(50_000)].concat()] {
        let request = [b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\n", &*unwanted].concat();
        let both = [&*request, HEALTHY.as_bytes()].concat();
        stream.write_all(&both.repeat(3)).unwrap();
        for _ in 0..3 {
            assert_eq!([said(&mut stream).unwrap().status, said(&mut stream).unwrap().status], [404, 200]);
        }
    }
}

/// Who sends a part of it, waits to be asked for it, or does not end it, holds nothing up and is told that this is the end.
#[test]
fn a_body_that_nobody_wants_is_not_waited_for_long() {
    let exporter = Exporter::start(&[]);
    let head = "POST /nowhere HTTP/1.1\r\nHost: localhost\r\n";
    let mut wrong = Vec::new();
    for (rest, at_least, at_most) in [
        ("Content-Length: 100\r\n\r\nhalf", Duration::from_secs(1), PATIENCE / 2),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", Duration::from_secs(1), PATIENCE / 2),
        ("Content-Length: 300000\r\n\r\nhalf", Duration::ZERO, AT_ONCE),
        ("Content-Length: 100\r\nConnection: close\r\n\r\nhalf", Duration::ZERO, AT_ONCE),
        ("Content-Length: 100\r\nConnection: Keep-Alive, Close\r\n\r\nhalf", Duration::ZERO, AT_ONCE),
        ("Content-Length: 100\r\nExpect: 100-continue\r\n\r\n", Duration::ZERO, AT_ONCE),
        ("Transfer-Encoding: chunked\r\nExpect: 100-Continue\r\n\r\n", Duration::ZERO, AT_ONCE),
    ] {
        let (mut stream, begun) = (connect(&exporter), Instant::now());
        stream.write_all(format!("{head}{rest}").as_bytes()).unwrap();
        let answer = said(&mut stream).unwrap_or_default();
        let took = begun.elapsed();
        if answer.status != 404 || !answer.closes() || took < at_least || took > at_most {
            wrong.push(format!("{rest:?}: {took:?} {}", answer.head));
        }
        // Our side is closed; who closes too is let go at once.
        let mut left = Vec::new();
        let closed = stream.read_to_end(&mut left);
        if closed.is_err() || !left.is_empty() {
            wrong.push(format!("{rest:?}: {closed:?} {left:?}"));
        }
        stream.shutdown(Shutdown::Both).ok();
    }
    assert_none(&wrong);
}

/// A sender that goes on, faster or slower, after the answer is there finds it when it looks.
#[test]
fn an_answer_is_there_for_who_sends_first_and_reads_then() {
    let exporter = Exporter::start(&[]);
    let mut wrong = Vec::new();
    for (piece, pause) in [(100_000, Duration::from_millis(1)), (2_000, Duration::from_millis(60))] {
        let mut stream = connect(&exporter);
        stream.write_all(b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n").unwrap();
        for number in 0..30 {
            if let Err(error) = stream.write_all(&vec![b'x'; piece]) {
                wrong.push(format!("{piece} bytes each {pause:?}, the {number}th: {error}"));
                break;
            }
            std::thread::sleep(pause);
        }
        let answer = said(&mut stream).unwrap_or_default();
        if answer.status != 404 || !answer.closes() {
            wrong.push(format!("{piece} bytes each {pause:?}: {answer:?}"));
        }
    }
    assert_none(&wrong);
}

/// A head of so many bytes in all, of one long header or of many.
fn head_of(bytes: usize, headers: usize) -> Vec<u8> {
    let begin = "GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n";
    let (mut head, mut left) = (begin.to_owned(), bytes - begin.len() - "\r\n".len());
    for number in 0..headers {
        let length = left / (headers - number);
        let name = format!("X-{number:03}: ");
        head.extend([&*name, &"a".repeat(length - name.len() - "\r\n".len()), "\r\n"]);
        left -= length;
    }
    head += "\r\n";
    assert_eq!(head.len(), bytes);
    head.into_bytes()
}

#[test]
fn heads_of_more_than_64_kib_are_refused_and_told_so() {
    const MOST: usize = 64 * 1024;
    let exporter = Exporter::start(&[]);
    let mut wrong = Vec::new();
    let path = |bytes: usize| format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(bytes)).into_bytes();
    for (what, request, statuses) in [
        ("64 KiB in one header", head_of(MOST, 1), &[200][..]),
        ("64 KiB in 60", head_of(MOST, 60), &[200]),
        ("a byte more", head_of(MOST + 1, 1), &[431]),
        ("a byte more in 60", head_of(MOST + 1, 60), &[431]),
        ("100 KB", head_of(100_000, 1), &[431]),
        ("100 KB in 60", head_of(100_000, 60), &[431]),
        ("300 KB", head_of(300_000, 1), &[431]),
        ("3 MB", head_of(3_000_000, 50), &[431]),
        ("64 headers and one", head_of(10_000, 64), &[431]),
        ("200 headers", head_of(10_000, 200), &[431]),
        ("a target of 60 KB", path(60_000), &[404]),
        ("a target of 66 KB", path(66_000), &[414, 431]),
        ("a target of 2 MB", path(2_000_000), &[414, 431]),
        ("no end of it", vec![b'a'; 200_000], &[431]),
    ] {
        for piece in [usize::MAX, 3000] {
            let mut stream = connect(&exporter);
            for bytes in request.chunks(piece.min(request.len())) {
                // It is read as it comes, not all at once.
                std::thread::sleep(Duration::from_micros(if piece < usize::MAX { 50 } else { 0 }));
                if let Err(error) = stream.write_all(bytes) {
                    wrong.push(format!("{what}, {piece} at once: {error}"));
                    break;
                }
            }
            let answer = said(&mut stream).unwrap_or_default();
            if !statuses.contains(&answer.status) {
                wrong.push(format!("{what}, {piece} at once: {}", answer.head));
            }
        }
    }
    assert_none(&wrong);
    assert!(figure(&exporter, "change_events_refused_total{reason=\"headers\"}") >= 20.0);
}
