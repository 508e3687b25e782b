//! Attacks by whoever has no token, and a system that has no room for another thread.

use crate::attacks::Attack;
use crate::attacks::NOTHING;
use crate::attacks::PATH;
use crate::http;
use crate::server::Server;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

pub(crate) const ALL: &[Attack] = &[
    Attack { name: "wrong tokens, 5000 organizations", organizations: 5000, run: wrong, ..NOTHING },
    Attack { name: "made-up access tokens, 5000 organizations", organizations: 5000, run: made_up, ..NOTHING },
    Attack { name: "wrong refresh tokens, 5000 organizations", organizations: 5000, run: refresh, ..NOTHING },
    Attack { name: "wrong tokens of 60 KB, 5000 organizations", organizations: 5000, run: long, ..NOTHING },
    Attack {
        name: "no room for threads: pages",
        prepare: fill_up,
        run: |server, until| without_threads(server, until, &[page]),
        ..NOTHING
    },
    Attack {
        name: "no room for threads: lists",
        prepare: fill_up,
        run: |server, until| without_threads(server, until, &[list]),
        ..NOTHING
    },
    Attack {
        name: "no room for threads: compressed bodies",
        prepare: fill_up,
        run: |server, until| without_threads(server, until, &[zipped]),
        ..NOTHING
    },
    Attack {
        name: "no room for threads: arrays, lists, pages",
        prepare: fill_up,
        run: |server, until| without_threads(server, until, &[array, list, page, zipped]),
        ..NOTHING
    },
];

const PATIENCE: Duration = Duration::from_secs(20);
const CONNECTIONS: usize = 300;

fn wrong(server: &Server, until: Instant) -> String {
    flood(server, until, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer nope\r\n\r\n")
}

fn made_up(server: &Server, until: Instant) -> String {
    let token = format!("ce1_{}.{}", "e30".repeat(2000), "A".repeat(43));
    flood(server, until, &format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"))
}

fn refresh(server: &Server, until: Instant) -> String {
    let body = r#"{"refresh_token":"nope"}"#;
    let head = "POST /api/v4/oauth/access_token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    flood(server, until, &format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()))
}

fn long(server: &Server, until: Instant) -> String {
    let token = "x".repeat(60_000);
    flood(server, until, &format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-LAST9-API-TOKEN: Bearer {token}\r\n\r\n"))
}

/// The same request over and over on connections that stay; answers are counted by their status.
fn flood(server: &Server, until: Instant, request: &str) -> String {
    let statuses = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                while Instant::now() < until {
                    ask_on(server, until, request, &statuses).ok();
                }
            });
        }
    });
    let statuses = statuses.into_inner().unwrap();
    let said: Vec<String> = statuses.iter().map(|(status, count)| format!("{count} answers {status}")).collect();
    said.join(", ")
}

/// Asks by one connection until it is closed.
fn ask_on(server: &Server, until: Instant, request: &str, statuses: &Mutex<BTreeMap<String, usize>>) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(server.address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 64 * 1024];
    while Instant::now() < until {
        stream.write_all(request.as_bytes())?;
        // The answers are short, and come whole.
        let read = stream.read(&mut buffer)?;
        let status = buffer[..read].get(9..12).ok_or(std::io::ErrorKind::UnexpectedEof)?;
        *statuses.lock().unwrap().entry(String::from_utf8_lossy(status).into_owned()).or_default() += 1;
    }
    Ok(())
}

type Ask = fn(&Server, u64) -> std::io::Result<http::Answer>;

fn page(server: &Server, _: u64) -> std::io::Result<http::Answer> {
    http::get(server.address, "/metrics", server.attacker(), PATIENCE)
}

fn list(server: &Server, _: u64) -> std::io::Result<http::Answer> {
    http::get(server.address, PATH, server.attacker(), PATIENCE)
}

fn put(server: &Server, headers: &str, body: &[u8]) -> std::io::Result<http::Answer> {
    let headers = format!("{}{headers}Content-Type: application/json\r\n", server.attacker());
    http::send(server.address, "PUT", PATH, &headers, body, PATIENCE)
}

fn many(number: u64) -> String {
    let event = |place: u64| format!(r#"{{"event_name":"e","attributes":{{"n":"{}"}}}}"#, number % 7 + place % 100);
    format!("[{}]", (0..2000).map(event).collect::<Vec<_>>().join(","))
}

fn array(server: &Server, number: u64) -> std::io::Result<http::Answer> {
    put(server, "", many(number).as_bytes())
}

fn zipped(server: &Server, number: u64) -> std::io::Result<http::Answer> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(many(number).as_bytes())?;
    put(server, "Content-Encoding: gzip\r\n", &encoder.finish()?)
}

/// A control group (version 1) in which a process may have no more threads than it has.
struct Full(PathBuf);

impl Full {
    fn group(process: u32) -> PathBuf {
        PathBuf::from(format!("/sys/fs/cgroup/pids/change-events-{process}"))
    }

    /// Begins it.
    fn of(process: u32) -> std::io::Result<Self> {
        let group = Self::group(process);
        std::fs::create_dir(&group)?;
        std::fs::write(group.join("cgroup.procs"), process.to_string())?;
        std::fs::write(group.join("pids.max"), threads(process).to_string())?;
        Ok(Self(group))
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        std::fs::write(self.0.join("pids.max"), "max").ok();
        let processes = std::fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default();
        for process in processes.lines() {
            std::fs::write("/sys/fs/cgroup/pids/cgroup.procs", process).ok();
        }
        std::fs::remove_dir(&self.0).ok();
    }
}

fn threads(process: u32) -> usize {
    std::fs::read_dir(format!("/proc/{process}/task")).map_or(0, Iterator::count)
}

/// Nobody asks for a while, so that threads that end when they are idle do; then there is no room for others.
fn fill_up(server: &mut Server) {
    const IDLE: Duration = Duration::from_secs(12);
    std::thread::sleep(IDLE);
    if let Ok(full) = Full::of(server.process()) {
        std::mem::forget(full);
    }
}

/// Everybody asks, and goes on asking; after half of the time there is room again.
fn without_threads(server: &Server, until: Instant, asks: &[Ask]) -> String {
    let full = Full(Full::group(server.process()));
    if !full.0.exists() {
        return "not as root, or without pids of control groups version 1".to_owned();
    }
    let before = threads(server.process());
    let (begun, answered, failed) = (Instant::now(), Mutex::new(BTreeMap::<String, usize>::new()), Mutex::new([0, 0]));
    let half = begun + until.saturating_duration_since(begun) / 2;
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (answered, failed, ask) = (&answered, &failed, asks[number % asks.len()]);
            scope.spawn(move || {
                for round in 0.. {
                    if Instant::now() >= until {
                        return;
                    }
                    match ask(server, round) {
                        Ok(answer) => *answered.lock().unwrap().entry(answer.status.to_string()).or_default() += 1,
                        Err(_) => failed.lock().unwrap()[usize::from(Instant::now() > half)] += 1,
                    }
                }
            });
        }
        std::thread::sleep(half.saturating_duration_since(Instant::now()));
        drop(full);
    });
    let (answered, [without, with]) = (answered.into_inner().unwrap(), failed.into_inner().unwrap());
    format!(
        "{answered:?}, {without} without an answer, and {with} when there was room again; {before} threads, then {}",
        threads(server.process())
    )
}
