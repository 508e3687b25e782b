//! The server's figures against their peers in the same run: durable single PUTs beside a bare 204 route and a Pushgateway
//! of 20 k groups, a batch of 1 M new series, readiness after SIGKILL with 1 M events, 1 M edges of one identity beside 1 M
//! identities, and how put, page and query change as the store grows.
//!
//! `cargo bench --bench serve [put|pushgateway|growth|identity|batch|restart]...`; needs wrk and prometheus-pushgateway
//! (`tests/servers/install`). Prints figures, asserts nothing.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a bench program"
)]

use axum::http::StatusCode;
use axum::routing::put;
use change_events::doors;
use change_events::exposition::Pages;
use change_events::http::app::App;
use change_events::http::app::Parts;
use change_events::http::app::Settings;
use change_events::http::app::WebOptions;
use change_events::http::auth::Secret;
use change_events::http::router::router;
use change_events::http::server;
use change_events::http::threads::Threads;
use change_events::log::FsDisk;
use change_events::store::Store;
use change_events::telemetry::Telemetry;
use change_events::time::SystemClock;
use change_events::time::Timestamp;
use change_events::writer;
use change_events::writer::Memory;
use change_events::writer::Writer;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CONNECTIONS: usize = 512;
const EVENTS: usize = 1_000_000;
const GROUPS: usize = 20_000;
const PATH: &str = "/api/v4/organizations/acme/change_events";

/// A new point of a new series with each request; three attributes.
const WRK_PUT: &str = r#"
local threads = 0
function setup(thread) thread:set("id", threads); threads = threads + 1 end
local count, run = 0, os.time() .. "-" .. math.random(1e9)
function request()
  count = count + 1
  local body = '{"event_name":"deployment","attributes":{"service_name":"api","deployment_environment":"production","entity_id":"' .. run .. '-' .. id .. '-' .. count .. '"}}'
  return wrk.format("PUT", nil, {["Content-Type"] = "application/json"}, body)
end
"#;
const WRK_PUSH: &str = r##"
function request()
  return wrk.format("PUT", "/metrics/job/deploy/instance/i" .. math.random(20000), nil, "# TYPE last_deploy gauge\nlast_deploy " .. os.time() .. "\n")
end
"##;

/// Requests per second that wrk reaches, and its line of errors if there is one.
fn wrk(url: &str, script: &str, connections: usize, seconds: usize) -> f64 {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("wrk.lua");
    std::fs::write(&path, script).unwrap();
    let installed = servers().join("wrk");
    let output = Command::new(if installed.exists() { installed.as_path() } else { Path::new("wrk") })
        .args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s"), "--timeout", "30s", "-s"])
        .arg(&path)
        .arg(url)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for line in text.lines().filter(|line| line.contains("Non-2xx") || line.contains("Socket errors")) {
        println!("  wrk: {line}");
    }
    let rate = text.lines().find_map(|line| line.strip_prefix("Requests/sec:")).unwrap_or_else(|| panic!("{text}"));
    rate.trim().parse().unwrap()
}

/// The whole server in this process, on a real disk, with a bare route beside it.
fn serve(directory: &Path) -> (SocketAddr, CancellationToken, Arc<Telemetry>) {
    let memory = Memory {
        store: Arc::new(Store::new(change_events::store::Options::default())),
        pages: Arc::new(Pages::new(&change_events::exposition::Options {
            helpers: change_events::threads::Helpers::usual(),
            ..change_events::exposition::Options::default()
        })),
    };
    let telemetry = Arc::new(Telemetry::new());
    let opened = writer::open(FsDisk::open(directory).unwrap(), change_events::log::Options::default(), &memory).unwrap();
    let options = writer::Options::default();
    let (writer, _running) = Writer::start(opened, options, Arc::new(SystemClock), Arc::clone(&telemetry), Vec::new()).unwrap();
    let parts = Parts {
        store: memory.store,
        pages: memory.pages,
        telemetry: Arc::clone(&telemetry),
        clock: Arc::new(SystemClock),
        threads: Threads::start().unwrap(),
    };
    let app = Arc::new(App::new(parts, WebOptions::default(), Settings::default()));
    app.set_ready(writer, Secret::open(&change_events::files::Home::open(directory).unwrap()).unwrap());
    let router = router(&app, doors::ALL).route("/bare", put(|| async { StatusCode::NO_CONTENT }));
    let (stop, ours) = (CancellationToken::new(), Arc::clone(&telemetry));
    let (sender, receiver) = std::sync::mpsc::channel();
    let stopped = stop.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            server::run(vec![listener], router, server::Options::default(), Arc::default(), telemetry, stopped).await;
        });
    });
    (receiver.recv().unwrap(), stop, ours)
}

fn bench_put() -> f64 {
    let directory = tempfile::tempdir().unwrap();
    let (address, stop, telemetry) = serve(directory.path());
    let mut rates = Vec::new();
    // In turn, so that a machine that gets slower or faster does so to both.
    for round in 0..5 {
        let bare = wrk(&format!("http://{address}/bare"), WRK_PUT, CONNECTIONS, 4);
        let durable = wrk(&format!("http://{address}{PATH}"), WRK_PUT, CONNECTIONS, 4);
        println!("put, round {round}: bare 204 {bare:.0}/s, durable {durable:.0}/s, ratio {:.2}", durable / bare);
        rates.push((durable / bare, durable));
    }
    stop.cancel();
    let own = telemetry.render_text();
    let number = |name: &str| own.lines().find_map(|line| line.strip_prefix(name)).map_or(0.0, |rest| rest.trim().parse::<f64>().unwrap());
    let (syncs, seconds) = (number("change_events_log_sync_duration_seconds_count"), number("change_events_log_sync_duration_seconds_sum"));
    let records = number("change_events_log_records_appended_total");
    println!("put: {:.0} records a sync, {:.2} ms a sync", records / syncs, seconds * 1e3 / syncs);
    rates.sort_by(|a, b| a.0.total_cmp(&b.0));
    println!("put: median ratio {:.2} (must 0.45, aim 0.6), {:.0} durable PUT/s on {CONNECTIONS} connections", rates[2].0, rates[2].1);
    rates[2].1
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn servers() -> PathBuf {
    std::env::var_os("CHANGE_EVENTS_SERVERS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/servers/bin"), PathBuf::from)
}

/// A Pushgateway that keeps its groups in `directory`.
fn pushgateway(directory: &Path, argument: Option<&str>) -> (Killed, String) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Command::new(servers().join("debian/pushgateway"))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg(format!("--persistence.file={}", directory.join("groups").display()))
        .arg("--persistence.interval=1h")
        .args(argument)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let server = Killed(server);
    let began = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(began.elapsed() < Duration::from_secs(10), "the Pushgateway did not start");
        std::thread::yield_now();
    }
    (server, format!("http://127.0.0.1:{port}"))
}

fn bench_pushgateway(durable: f64) {
    let directory = tempfile::tempdir().unwrap();
    // Without its check of each push against all groups they are in within seconds; that is not how it is run.
    let (mut filling, url) = pushgateway(directory.path(), Some("--push.disable-consistency-check"));
    let agent = ureq::agent();
    for group in 0..GROUPS {
        let url = format!("{url}/metrics/job/deploy/instance/i{group}");
        agent.put(&url).send("# TYPE last_deploy gauge\nlast_deploy 1\n").unwrap();
    }
    kill_process(Pid::from_child(&filling.0), Signal::TERM).unwrap();
    filling.0.wait().unwrap();
    let (_server, url) = pushgateway(directory.path(), None);
    let pushes = wrk(&url, WRK_PUSH, CONNECTIONS, 10);
    println!(
        "pushgateway with {GROUPS} groups: {pushes:.1} pushes/s; durable PUT is {:.0} times that (must 100, aim 200)",
        durable / pushes
    );
}

/// NDJSON lines of new series with six attributes, as they go over the wire; `more` are further fields of each.
fn lines(numbers: std::ops::Range<usize>, more: &str) -> Vec<u8> {
    let mut lines = Vec::with_capacity(numbers.len() * 220);
    for number in numbers {
        let shuffled = (number * 611_953) % EVENTS;
        let (team, service, version) = (number % 40, number % 500, number % 300);
        writeln!(
            lines,
            r#"{{{more}"event_name":"job_lifecycle","attributes":{{"service_name":"service-{service}","deployment_environment":"production","entity_id":"job-{shuffled:07}","state":"queued","team":"team-{team}","version":"v1.{version}"}}}}"#
        )
        .unwrap();
    }
    lines
}

/// Sends a body in one request and returns the answer's head and the seconds it took.
fn post(address: SocketAddr, body: &[u8]) -> (String, f64) {
    let mut stream = TcpStream::connect(address).unwrap();
    let began = Instant::now();
    write!(
        stream,
        "PUT {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )
    .unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    (answer.chars().take(600).collect(), began.elapsed().as_secs_f64())
}

fn bench_batch(body: &[u8]) {
    for round in 0..3 {
        let directory = tempfile::tempdir().unwrap();
        let (address, stop, _) = serve(directory.path());
        let (answer, seconds) = post(address, body);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        println!("batch, round {round}: {:.0} durable events/s (must 300 k, aim 500 k)", EVENTS as f64 / seconds);
        stop.cancel();
    }
}

/// Starts the release binary; returns when it is ready, with where it listens and how long that took.
fn start(directory: &Path) -> (Killed, SocketAddr, f64) {
    let began = Instant::now();
    let program = std::env::var_os("CHANGE_EVENTS_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_change-events").into());
    let mut child = Command::new(program)
        .args(["serve", "--web.listen-address=127.0.0.1:0"])
        .arg(format!("--storage.path={}", directory.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = lines
        .find_map(|line| line.unwrap().split_once("listening on http://").map(|(_, address)| address.trim().parse().unwrap()))
        .unwrap();
    // What it prints later must have a reader, or it would end with a broken pipe.
    std::thread::spawn(move || lines.for_each(drop));
    while ureq::get(format!("http://{address}/-/ready")).call().is_err() {
        assert!(began.elapsed() < Duration::from_mins(1), "not ready");
        std::thread::sleep(Duration::from_millis(5));
    }
    (Killed(child), address, began.elapsed().as_secs_f64())
}

fn bench_restart(body: &[u8]) {
    let directory = tempfile::tempdir().unwrap();
    let (server, address, _) = start(directory.path());
    let (answer, _) = post(address, body);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    drop(server);
    for round in 0..3 {
        let (_server, _, seconds) = start(directory.path());
        println!("restart, round {round}: ready {seconds:.2} s after SIGKILL with {EVENTS} events (must 2 s, aim 0.8 s)");
    }
}

/// Starts of as many jobs as there are lines, or all of one job, at the times in seconds that `at` says.
fn starts(one: bool, at: impl Fn(usize) -> usize) -> Vec<u8> {
    let mut lines = Vec::with_capacity(EVENTS * 160);
    for number in 0..EVENTS {
        let job = if one { 0 } else { number };
        let at = Timestamp::from_millis(i64::try_from(1_700_000_000_000 + at(number) * 1000).unwrap());
        writeln!(
            lines,
            r#"{{"event_name":"job_lifecycle","event_state":"start","timestamp":"{at}","attributes":{{"entity_id":"job-{job}","state":"queued"}}}}"#
        )
        .unwrap();
    }
    lines
}

/// What the length of one identity costs, against as many of one edge each.
fn bench_identity() {
    let cost = |body: &[u8]| {
        let directory = tempfile::tempdir().unwrap();
        let (server, address, _) = start(directory.path());
        let (answer, seconds) = post(address, body);
        assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
        drop(server);
        (seconds, start(directory.path()).2)
    };
    // More than may be open at once would be refused.
    let shuffled = |number: usize| (number * 611_953) % EVENTS;
    let stopped = String::from_utf8(starts(false, shuffled)).unwrap().replace(r#""event_state":"start","#, "");
    let peer = cost(stopped.as_bytes());
    println!("identities of one edge: {EVENTS} loaded in {:.2} s, ready again in {:.2} s", peer.0, peer.1);
    for (order, body) in [
        ("oldest first", starts(true, |number| number)),
        ("newest first", starts(true, |number| EVENTS - number)),
        ("in no order", starts(true, shuffled)),
    ] {
        let (load, again) = cost(&body);
        println!(
            "one identity, {order}: loaded in {load:.2} s, {:.2} x (must 3 x); ready again in {again:.2} s, {:.2} x (must 3 x)",
            load / peer.0,
            again / peer.1
        );
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Median milliseconds of a put, a page and a query, one after the other on one connection.
fn latencies(address: SocketAddr, size: usize) -> [f64; 3] {
    let agent = ureq::agent();
    let timed = |call: &dyn Fn(usize)| {
        median(
            (0..401)
                .map(|number| {
                    let began = Instant::now();
                    call(number);
                    began.elapsed().as_secs_f64() * 1e3
                })
                .collect(),
        )
    };
    let put = timed(&|number| {
        let body = format!(r#"{{"event_name":"probe","attributes":{{"service_name":"probe","entity_id":"{size}-{number}"}}}}"#);
        agent.put(format!("http://{address}{PATH}")).content_type("application/json").send(&body).unwrap();
    });
    let read = |path: &str| {
        timed(&|_| {
            agent.get(format!("http://{address}{path}")).call().unwrap().body_mut().read_to_vec().unwrap();
        })
    };
    let query = format!("{PATH}?match[]=%7Bevent_name=%22probe%22,entity_id=~%22{size}-1.*%22%7D&limit=20");
    [put, read("/metrics"), read(&query)]
}

/// The same small work in a store of 10 k events that it does not touch, and of 1 M.
fn bench_growth() {
    let directory = tempfile::tempdir().unwrap();
    let (address, stop, _) = serve(directory.path());
    let mut before = None;
    for numbers in [0..10_000, 10_000..EVENTS] {
        let size = numbers.end;
        // Too old for the page.
        let (answer, _) = post(address, &lines(numbers, r#""timestamp":"2026-01-01","#));
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let now = latencies(address, size);
        let before = *before.get_or_insert(now);
        for ((what, now), before) in ["put", "page", "query"].into_iter().zip(now).zip(before) {
            println!("growth, {size} events: {what} {now:.3} ms, {:.2} times that of 10 k (must 1.3)", now / before);
        }
    }
    stop.cancel();
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    let mut durable = 0.0;
    if is_wanted("put") || is_wanted("pushgateway") {
        durable = bench_put();
    }
    if is_wanted("pushgateway") {
        bench_pushgateway(durable);
    }
    if is_wanted("growth") {
        bench_growth();
    }
    if is_wanted("identity") {
        bench_identity();
    }
    if is_wanted("batch") || is_wanted("restart") {
        let body = lines(0..EVENTS, "");
        if is_wanted("batch") {
            bench_batch(&body);
        }
        if is_wanted("restart") {
            bench_restart(&body);
        }
    }
}
