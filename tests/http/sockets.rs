//! Real sockets: connections that dribble, say nothing, idle or do not read; places for operators; a stop that loses nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use axum::routing::post;
use bytes::Bytes;
use change_events::http::server;
use change_events::http::server::Connections;
use change_events::http::server::Options;
use change_events::telemetry::Telemetry;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::EVENTS;
use crate::support::Server;

/// Long enough for anything that should happen, never waited for in full.
const PATIENCE: Duration = Duration::from_secs(20);

struct Running {
    address: SocketAddr,
    telemetry: Arc<Telemetry>,
    stop: CancellationToken,
    ended: JoinHandle<()>,
}

fn short() -> Options {
    Options {
        connections: 100,
        reserved_connections: 2,
        header_timeout: Duration::from_millis(300),
        reserved_header_timeout: Duration::from_millis(300),
        write_stall: Duration::from_millis(300),
        write_total: Duration::from_secs(3),
        drain: Duration::from_secs(5),
    }
}

async fn serve(router: Router, options: Options) -> Running {
    serve_with(router, options, Arc::default()).await
}

async fn serve_with(router: Router, options: Options, connections: Arc<Connections>) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let telemetry = Arc::new(Telemetry::new());
    let stop = CancellationToken::new();
    let ended = tokio::spawn(server::run(vec![listener], router, options, connections, Arc::clone(&telemetry), stop.clone()));
    Running { address, telemetry, stop, ended }
}

fn plain() -> Router {
    Router::new().route("/", get(async || "hello"))
}

/// Reads until the other side closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is an end too.
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the connection is cut").ok();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads one answer without a body, or with a short one.
async fn answer(stream: &mut TcpStream) -> String {
    let mut bytes = vec![0; 64 * 1024];
    let length = tokio::time::timeout(PATIENCE, stream.read(&mut bytes)).await.expect("an answer comes").unwrap();
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

async fn wait_until(mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "it never happens");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn silent_dribbling_and_idle_connections_are_cut() {
    let running = serve(plain(), short()).await;
    let mut silent = TcpStream::connect(running.address).await.unwrap();
    let mut idle = TcpStream::connect(running.address).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(answer(&mut idle).await.ends_with("hello"));
    let (mut read_half, mut write_half) = TcpStream::connect(running.address).await.unwrap().into_split();
    let dribbling = tokio::spawn(async move {
        write_half.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        while write_half.write_all(b"x-a: b\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let begun = Instant::now();
    assert_eq!(rest(&mut silent).await, "");
    assert_eq!(rest(&mut idle).await, "");
    let mut dribbled = Vec::new();
    tokio::time::timeout(PATIENCE, read_half.read_to_end(&mut dribbled)).await.expect("the connection is cut").ok();
    assert!(begun.elapsed() >= Duration::from_millis(150) && begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    drop(read_half);
    dribbling.abort();
    wait_until(|| running.telemetry.connections.get() == 0).await;
    assert!(running.telemetry.render_text().contains("change_events_http_timeouts_total{at=\"headers\"}"));
}

#[tokio::test]
async fn slow_bodies_are_cut() {
    let server = Server::new("");
    let mut settings = crate::support::settings("");
    settings.limits.pace.grace = Duration::from_millis(200);
    server.app.set_settings(settings);
    let running =
        serve_with(server.router.clone(), Options { header_timeout: PATIENCE, ..short() }, Arc::clone(server.app.connections())).await;
    for media_type in ["application/json", "application/x-ndjson"] {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        let head = format!("PUT {EVENTS} HTTP/1.1\r\nhost: x\r\ncontent-type: {media_type}\r\ncontent-length: 100\r\n\r\n{{");
        stream.write_all(head.as_bytes()).await.unwrap();
        let said = rest(&mut stream).await;
        assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
        assert!(said.contains("the body comes too slowly"), "{said}");
    }
}

/// Answers that never end.
fn endless() -> Router {
    let piece = || Ok::<_, std::convert::Infallible>(Bytes::from(vec![b'x'; 65_536]));
    Router::new().route("/", get(async move || Body::from_stream(futures_util::stream::repeat_with(piece))))
}

async fn ask(address: SocketAddr, path: &str, headers: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n{headers}\r\n").as_bytes()).await.unwrap();
    stream
}

fn figure(running: &Running, name: &str) -> String {
    let page = running.telemetry.render_text();
    page.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned()
}

#[tokio::test]
async fn readers_that_do_not_read_are_cut() {
    let running = serve(endless(), short()).await;
    assert_eq!(figure(&running, "change_events_http_timeouts_total{at=\"answer\"}"), "0", "it is there from the start");
    let mut stream = ask(running.address, "/", "").await;
    wait_until(|| running.telemetry.connections.get() == 1).await;
    wait_until(|| running.telemetry.connections.get() == 0).await;
    assert_eq!(figure(&running, "change_events_http_timeouts_total{at=\"answer\"}"), "1");
    let mut all = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut all)).await.expect("the connection is cut");
    assert!(ended.is_err(), "what the kernel had is thrown away: it was reset, after {} bytes", all.len());
}

/// However little they take, if it goes on for too long; a scraper that says how long it waits is waited for as long.
#[tokio::test]
async fn readers_that_take_a_little_now_and_then_are_cut_too() {
    for (headers, least, most) in [
        ("", Duration::from_millis(900), Duration::from_secs(8)),
        ("x-prometheus-scrape-timeout-seconds: 0.1\r\n", Duration::ZERO, Duration::from_secs(3)),
    ] {
        let options = Options { write_stall: Duration::from_millis(1500), write_total: Duration::from_secs(1), ..short() };
        let options = if headers.is_empty() { options } else { Options { write_total: PATIENCE, ..options } };
        let running = serve(endless(), options).await;
        let begun = Instant::now();
        let mut stream = ask(running.address, "/", headers).await;
        let mut some = vec![0; 20_000];
        while stream.read(&mut some).await.is_ok_and(|read| read > 0) {
            assert!(begun.elapsed() < PATIENCE, "it is never cut");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(begun.elapsed() >= least && begun.elapsed() < most, "{:?}", begun.elapsed());
        assert_eq!(figure(&running, "change_events_http_timeouts_total{at=\"answer_in_all\"}"), "1", "{headers}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_slowest_reader_gives_its_place_to_who_comes() {
    let router = endless().route("/short", get(async || "hello"));
    let options = Options { connections: 3, reserved_connections: 0, write_stall: PATIENCE, ..short() };
    let running = serve(router, options).await;
    let (mut slow, quick) = (Vec::new(), ask(running.address, "/", "").await);
    let reading = tokio::spawn(async move {
        let (mut quick, mut some, mut all) = (quick, vec![0; 65_536], 0_usize);
        while let Ok(read) = quick.read(&mut some).await {
            assert!(read > 0);
            all += read;
        }
        all
    });
    for _ in 0..2 {
        slow.push(ask(running.address, "/", "").await);
    }
    for reader in &mut slow {
        assert!(answer(reader).await.starts_with("HTTP/1.1 200 "));
    }
    // Nobody is called slow before that.
    tokio::time::sleep(Duration::from_millis(500)).await;
    for _ in 0..5 {
        let said = rest(&mut ask(running.address, "/short", "connection: close\r\n").await).await;
        assert!(said.ends_with("hello"), "{said}");
    }
    wait_until(|| figure(&running, "change_events_http_connections_displaced_total{was=\"reading\"}") != "0").await;
    assert!(!reading.is_finished(), "who reads is let be");
    reading.abort();
}

/// A refusal that is sent before the body was read must reach its sender.
#[tokio::test]
async fn a_refusal_survives_a_body_that_nobody_reads() {
    let server = Server::new("limits: {body_bytes: 1000}");
    let running = serve_with(server.router.clone(), short(), Arc::clone(server.app.connections())).await;
    let (mut read_half, mut write_half) = TcpStream::connect(running.address).await.unwrap().into_split();
    let sending = tokio::spawn(async move {
        let head = format!("PUT {EVENTS} HTTP/1.1\r\nhost: x\r\ncontent-length: 4000000\r\n\r\n");
        write_half.write_all(head.as_bytes()).await.ok();
        write_half.write_all(&vec![b' '; 4_000_000]).await.ok();
        write_half
    });
    let mut said = Vec::new();
    tokio::time::timeout(PATIENCE, read_half.read_to_end(&mut said)).await.expect("an answer comes").ok();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(said.starts_with("HTTP/1.1 413 "), "{said}");
    drop(sending.await.unwrap());
}

#[tokio::test]
async fn who_says_nothing_gives_its_place_to_who_comes() {
    let server = Server::new("");
    let running = serve_with(
        server.router.clone(),
        Options { connections: 3, header_timeout: PATIENCE, ..short() },
        Arc::clone(server.app.connections()),
    )
    .await;
    let mut silent = Vec::new();
    for number in 0..3 {
        silent.push(TcpStream::connect(running.address).await.unwrap());
        if number == 1 {
            silent[1].write_all(b"GET /metrics HTTP/1.1\r\nhost:").await.unwrap();
        }
    }
    wait_until(|| running.telemetry.connections.get() == 3).await;
    for (number, path) in [EVENTS, "/metrics", "/-/healthy"].into_iter().enumerate() {
        let mut stream = ask(running.address, path, "").await;
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200 "), "{path}");
        assert_eq!(rest(&mut silent[number]).await, "", "the oldest of them");
        // It idles now, and is younger than those who are left.
        silent.push(stream);
    }
    assert_eq!(figure(&running, "change_events_http_connections_displaced_total{was=\"silent\"}"), "3");
}

#[tokio::test]
async fn a_body_that_does_not_come_gives_its_place_to_who_comes() {
    let server = Server::new("");
    let running = serve_with(
        server.router.clone(),
        Options { connections: 2, header_timeout: PATIENCE, ..short() },
        Arc::clone(server.app.connections()),
    )
    .await;
    let head = format!("PUT {EVENTS} HTTP/1.1\r\nhost: x\r\ncontent-length: 90000\r\nexpect: 100-continue\r\n\r\n");
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 100 "));
        slow.push(stream);
    }
    let said = rest(&mut ask(running.address, EVENTS, "connection: close\r\n").await).await;
    assert!(said.starts_with("HTTP/1.1 503 "), "a body is waited for: {said}");
    let begun = Instant::now();
    while !rest(&mut ask(running.address, EVENTS, "connection: close\r\n").await).await.starts_with("HTTP/1.1 200 ") {
        assert!(begun.elapsed() < PATIENCE, "it is waited for too long");
    }
    assert_eq!(figure(&running, "change_events_http_connections_displaced_total{was=\"sending\"}"), "1");
}

#[tokio::test]
async fn who_sends_half_of_what_nobody_wants_gives_its_place_to_who_comes() {
    let server = Server::new("");
    let options = Options { connections: 2, reserved_connections: 0, header_timeout: PATIENCE, ..short() };
    let running = serve_with(server.router.clone(), options, Arc::clone(server.app.connections())).await;
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(b"POST /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf").await.unwrap();
        slow.push(stream);
    }
    wait_until(|| running.telemetry.connections.get() == 2).await;
    let begun = Instant::now();
    assert!(rest(&mut ask(running.address, EVENTS, "connection: close\r\n").await).await.starts_with("HTTP/1.1 200 "));
    assert!(begun.elapsed() < Duration::from_secs(1), "nobody waits for them: {:?}", begun.elapsed());
    assert_eq!(figure(&running, "change_events_http_connections_displaced_total{was=\"sending\"}"), "1");
}

/// Where nobody can be ended, because all are worked on.
#[tokio::test]
async fn operators_get_through_when_every_place_is_taken() {
    let server = Server::new("");
    let (entered, release) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let slow = get({
        let (entered, release) = (Arc::clone(&entered), Arc::clone(&release));
        async move || {
            entered.fetch_add(1, Ordering::Relaxed);
            release.notified().await;
            "done"
        }
    });
    let options = Options { connections: 3, header_timeout: PATIENCE, ..short() };
    let running = serve_with(server.router.clone().route("/slow", slow), options, Arc::clone(server.app.connections())).await;
    let mut working = Vec::new();
    for _ in 0..3 {
        working.push(ask(running.address, "/slow", "").await);
    }
    wait_until(|| entered.load(Ordering::Relaxed) == 3).await;
    for (path, expected) in [("/metrics", "200"), ("/-/ready", "200"), ("/-/healthy", "200"), (EVENTS, "503")] {
        let said = rest(&mut ask(running.address, path, "").await).await;
        assert!(said.starts_with(&format!("HTTP/1.1 {expected} ")), "{path}: {said}");
        assert!(said.to_ascii_lowercase().contains("connection: close"), "one request each: {said}");
    }
    // There, a body that nobody wants is not waited for.
    let mut half = TcpStream::connect(running.address).await.unwrap();
    half.write_all(b"POST /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf").await.unwrap();
    let (begun, said) = (Instant::now(), rest(&mut half).await);
    assert!(said.starts_with("HTTP/1.1 404 ") && begun.elapsed() < Duration::from_secs(1), "{said} after {:?}", begun.elapsed());
    // Those who take the reserved places and say nothing go as soon as somebody comes.
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(running.address).await.unwrap());
        let begun = Instant::now();
        let said = rest(&mut ask(running.address, "/-/healthy", "").await).await;
        assert!(said.starts_with("HTTP/1.1 200 ") && begun.elapsed() < Duration::from_secs(1), "{said} after {:?}", begun.elapsed());
    }
    release.notify_one();
    let said = answer(&mut working[0]).await;
    assert!(said.ends_with("done"), "nobody who is worked on was ended: {said}");
    let begun = Instant::now();
    while !rest(&mut ask(running.address, EVENTS, "connection: close\r\n").await).await.starts_with("HTTP/1.1 200 ") {
        assert!(begun.elapsed() < PATIENCE, "who idles now gives its place");
    }
}

#[tokio::test]
async fn a_stop_lets_requests_end_and_closes_the_rest() {
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = post({
        let (entered, release) = (Arc::clone(&entered), Arc::clone(&release));
        async move || {
            entered.notify_one();
            release.notified().await;
            "done"
        }
    });
    let running = serve(plain().route("/slow", slow), Options { header_timeout: PATIENCE, ..short() }).await;
    let mut idle = TcpStream::connect(running.address).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(answer(&mut idle).await.ends_with("hello"));
    let mut busy = TcpStream::connect(running.address).await.unwrap();
    busy.write_all(b"POST /slow HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    entered.notified().await;
    running.stop.cancel();
    assert_eq!(rest(&mut idle).await, "", "an idle connection is closed");
    assert!(TcpStream::connect(running.address).await.is_err(), "no new connection is accepted");
    assert!(!running.ended.is_finished());
    release.notify_one();
    let said = rest(&mut busy).await;
    assert!(said.starts_with("HTTP/1.1 200 ") && said.ends_with("done"), "{said}");
    tokio::time::timeout(PATIENCE, running.ended).await.expect("it ends").unwrap();
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let never = get(async || std::future::pending::<&str>().await);
    let running = serve(Router::new().route("/", never), Options { drain: Duration::from_millis(200), ..short() }).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    wait_until(|| running.telemetry.connections.get() == 1).await;
    running.stop.cancel();
    tokio::time::timeout(PATIENCE, running.ended).await.expect("it ends").unwrap();
}

/// T14 in small: many connections of every bad kind, and scrapes go through meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn scrapes_go_through_a_crowd_of_bad_connections() {
    let server = Server::new("");
    let mut settings = crate::support::settings("");
    settings.limits.pace.grace = Duration::from_millis(500);
    server.app.set_settings(settings);
    let options = Options { connections: 150, header_timeout: Duration::from_millis(500), ..short() };
    let running = serve_with(server.router.clone(), options, Arc::clone(server.app.connections())).await;
    let mut crowd = Vec::new();
    for number in 0..300 {
        let address = running.address;
        crowd.push(tokio::spawn(async move {
            let Ok(mut stream) = TcpStream::connect(address).await else { return };
            match number % 3 {
                0 => {}
                1 => drop(stream.write_all(b"GET / HTTP/1.1\r\n").await),
                _ => drop(stream.write_all(format!("PUT {EVENTS} HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n").as_bytes()).await),
            }
            rest(&mut stream).await;
        }));
    }
    for _ in 0..5 {
        let begun = Instant::now();
        // Of those who come at once, from one address, nobody knows yet who will ask; one that was ended asks again.
        while !rest(&mut ask(running.address, "/metrics", "").await).await.starts_with("HTTP/1.1 200 ") {
            assert!(begun.elapsed() < PATIENCE / 2, "it never goes through");
        }
        assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
    }
    running.stop.cancel();
    for task in crowd {
        task.abort();
    }
}
