//! Requests that are none, or that nobody wants: bodies for nothing, two requests in one, names of others, heads without end.

use crate::attacks::Attack;
use crate::attacks::NOTHING;
use crate::attacks::PATH;
use crate::server::Server;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

const FEW: &[&str] = &["--limit.connections=50"];

pub(crate) const ALL: &[Attack] = &[
    Attack { name: "bodies without end for no path", run: |server, until| flood(server, until, 100, &endless("POST /nowhere")), ..NOTHING },
    Attack {
        name: "bodies without end with wrong tokens, 50 places",
        flags: FEW,
        run: |server, until| flood(server, until, 200, &endless(&format!("PUT {PATH}"))),
        ..NOTHING
    },
    Attack {
        name: "300 half bodies for no path, 50 places",
        flags: FEW,
        run: |server, until| flood(server, until, 300, &body("POST /nowhere", 100, b"half")),
        ..NOTHING
    },
    Attack {
        name: "bodies of 100 KB for no path",
        run: |server, until| flood(server, until, 20, &body("POST /nowhere", 100_000, &[b'x'; 100_000])),
        ..NOTHING
    },
    Attack {
        name: "bodies of 100 KB of a type that is not taken",
        run: |server, until| {
            let head = format!("PUT {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n{}", server.attacker());
            flood(server, until, 20, &sized(&head, 100_000, &[b'x'; 100_000]))
        },
        ..NOTHING
    },
    Attack {
        name: "bodies of 3 MB for no path",
        run: |server, until| flood(server, until, 20, &body("POST /nowhere", 3_000_000, &vec![b'x'; 3_000_000])),
        ..NOTHING
    },
    Attack { name: "a site whose name leads here", run: |server, until| names(server, until, "Host: evil.example\r\n"), ..NOTHING },
    Attack {
        name: "two hosts of which one is ours",
        run: |server, until| names(server, until, "Host: localhost\r\nHost: evil.example\r\n"),
        ..NOTHING
    },
    Attack { name: "bodies in a coding that is not known", run: |server, until| coded(server, until, "gzip, chunked"), ..NOTHING },
    Attack { name: "bodies that are chunked twice", run: |server, until| coded(server, until, "chunked, chunked"), ..NOTHING },
    Attack {
        name: "heads of 100 KB",
        run: |server, until| {
            let head = format!("GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nA: {}\r\n\r\n", "a".repeat(100_000));
            flood(server, until, 50, &Request { bytes: head.into_bytes(), more: b"" })
        },
        ..NOTHING
    },
    Attack {
        name: "heads of 100 KB in 60 lines",
        run: |server, until| {
            let lines = format!("A: {}\r\n", "a".repeat(1_650)).repeat(60);
            let head = format!("GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n");
            flood(server, until, 50, &Request { bytes: head.into_bytes(), more: b"" })
        },
        ..NOTHING
    },
];

const PATIENCE: Duration = Duration::from_secs(20);

/// What is sent at once, and then again and again until an answer comes.
struct Request {
    bytes: Vec<u8>,
    more: &'static [u8],
}

fn endless(line: &str) -> Request {
    let head = format!("{line} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer nope\r\nTransfer-Encoding: chunked\r\n\r\n");
    Request { bytes: head.into_bytes(), more: b"10\r\nxxxxxxxxxxxxxxxx\r\n" }
}

fn sized(head: &str, length: usize, sent: &[u8]) -> Request {
    Request { bytes: [format!("{head}Content-Length: {length}\r\n\r\n").as_bytes(), sent].concat(), more: b"" }
}

fn body(line: &str, length: usize, sent: &[u8]) -> Request {
    sized(&format!("{line} HTTP/1.1\r\nHost: localhost\r\n"), length, sent)
}

fn names(server: &Server, until: Instant, host: &str) -> String {
    let request = format!("GET /metrics HTTP/1.1\r\n{host}Sec-Fetch-Site: same-origin\r\n{}Connection: close\r\n\r\n", server.attacker());
    flood(server, until, 20, &Request { bytes: request.into_bytes(), more: b"" })
}

fn coded(server: &Server, until: Instant, coding: &str) -> String {
    let head = format!("PUT {PATH} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: {coding}\r\n{}\r\n", server.attacker());
    let bytes = format!("{head}12\r\n{{\"event_name\":\"x\"}}\r\n0\r\n\r\n").into_bytes();
    flood(server, until, 20, &Request { bytes, more: b"" })
}

/// The same request over and over, on connections that go on as long as nobody says that they do not. What came of each is counted.
fn flood(server: &Server, until: Instant, connections: usize, request: &Request) -> String {
    let outcomes = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..connections {
            scope.spawn(|| {
                while Instant::now() < until {
                    // The first of a connection counts as such, and so does one that was lost behind another one.
                    let mut asked = 0;
                    if converse(server, until, request, &mut asked, &outcomes).is_err() && Instant::now() < until {
                        let lost = if asked == 0 { "lost" } else { "lost behind another one" };
                        *outcomes.lock().unwrap().entry(lost.to_owned()).or_default() += 1;
                    }
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap();
    let said: Vec<String> = outcomes.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
    said.join(", ")
}

/// Asks by one connection until it is closed.
fn converse(
    server: &Server,
    until: Instant,
    request: &Request,
    asked: &mut usize,
    outcomes: &Mutex<BTreeMap<String, usize>>,
) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(server.address)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    while Instant::now() < until {
        // Whoever sends first and reads then finds the answer, or it is lost.
        stream.write_all(&request.bytes)?;
        let head = read_head(&mut stream, request.more)?;
        let length = head.split_once("content-length: ").and_then(|(_, rest)| rest.split('\r').next()?.parse().ok()).unwrap_or(0);
        stream.read_exact(&mut vec![0; length])?;
        *outcomes.lock().unwrap().entry(head.get(9..12).unwrap_or("?").to_owned()).or_default() += 1;
        *asked += 1;
        if head.contains("connection: close") {
            return Ok(());
        }
    }
    Ok(())
}

/// The head of the next answer, in lower case; sends `more` until there is one.
fn read_head(stream: &mut TcpStream, more: &[u8]) -> std::io::Result<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    let begun = Instant::now();
    stream.set_read_timeout(Some(if more.is_empty() { PATIENCE } else { Duration::from_millis(1) }))?;
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(0) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => head.push(byte[0]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock && !more.is_empty() && begun.elapsed() < PATIENCE => {
                stream.write_all(&more.repeat(1000))?;
            }
            Err(error) => return Err(error),
        }
    }
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(String::from_utf8_lossy(&head).to_ascii_lowercase())
}
