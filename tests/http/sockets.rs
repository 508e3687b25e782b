//! Real sockets: connections that dribble, say nothing, idle or do not read; places for operators; a stop that loses nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use axum::routing::post;
use bytes::Bytes;
use change_events::http::server;
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
        drain: Duration::from_secs(5),
    }
}

async fn serve(router: Router, options: Options) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let telemetry = Arc::new(Telemetry::new());
    let stop = CancellationToken::new();
    let ended = tokio::spawn(server::run(vec![listener], router, options, Arc::clone(&telemetry), stop.clone()));
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
    let running = serve(server.router.clone(), Options { header_timeout: PATIENCE, ..short() }).await;
    for media_type in ["application/json", "application/x-ndjson"] {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        let head = format!("PUT {EVENTS} HTTP/1.1\r\nhost: x\r\ncontent-type: {media_type}\r\ncontent-length: 100\r\n\r\n{{");
        stream.write_all(head.as_bytes()).await.unwrap();
        let said = rest(&mut stream).await;
        assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
        assert!(said.contains("the body comes too slowly"), "{said}");
    }
}

#[tokio::test]
async fn readers_that_do_not_read_are_cut() {
    let endless =
        get(async || Body::from_stream(futures_util::stream::repeat(Ok::<_, std::convert::Infallible>(Bytes::from(vec![b'x'; 65_536])))));
    let running = serve(Router::new().route("/", endless), short()).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    wait_until(|| running.telemetry.connections.get() == 1).await;
    wait_until(|| running.telemetry.connections.get() == 0).await;
    assert!(running.telemetry.render_text().contains("change_events_http_timeouts_total{at=\"answer\"} 1"));
}

/// A refusal that is sent before the body was read must reach its sender.
#[tokio::test]
async fn a_refusal_survives_a_body_that_nobody_reads() {
    let server = Server::new("limits: {body_bytes: 1000}");
    let running = serve(server.router.clone(), short()).await;
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
async fn operators_get_through_when_every_place_is_taken() {
    let server = Server::new("");
    let options = Options { connections: 3, header_timeout: PATIENCE, ..short() };
    let running = serve(server.router.clone(), options).await;
    let mut flood = Vec::new();
    for _ in 0..3 {
        flood.push(TcpStream::connect(running.address).await.unwrap());
    }
    wait_until(|| running.telemetry.connections.get() == 3).await;
    for (path, expected) in [("/metrics", "200"), ("/-/ready", "200"), ("/-/healthy", "200"), (EVENTS, "503")] {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
        let said = rest(&mut stream).await;
        assert!(said.starts_with(&format!("HTTP/1.1 {expected} ")), "{path}: {said}");
        assert!(said.to_ascii_lowercase().contains("connection: close"), "one request each: {said}");
    }
    // Those who take the reserved places and say nothing are cut soon, and the next in line gets its turn.
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(TcpStream::connect(running.address).await.unwrap());
    }
    let mut scrape = TcpStream::connect(running.address).await.unwrap();
    scrape.write_all(b"GET /-/healthy HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(rest(&mut scrape).await.starts_with("HTTP/1.1 200 "));
    drop(flood.pop());
    wait_until(|| running.telemetry.connections.get() <= 2).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(format!("GET {EVENTS} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200 "), "an open place again");
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
    let running = serve(server.router.clone(), options).await;
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
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let said = rest(&mut stream).await;
        assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
        assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
    }
    running.stop.cancel();
    for task in crowd {
        task.abort();
    }
}
