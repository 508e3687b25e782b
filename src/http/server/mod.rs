//! The accept loop: HTTP/1 over TCP where no connection can hold on for ever and none can shut an operator out.
//!
//! A function of sockets, a router and a stop signal. `axum::serve` is not used: it sets no timer, so a client that dribbles
//! its headers, or sends nothing, stays connected for ever. Timeouts of request bodies are not here but in [`super::body`].

mod connection;
mod connections;
mod options;
mod settle;
mod stall;
mod unread;
mod watched;
mod worth;

use std::convert::Infallible;
use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::Router;
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::header;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use rustix::process;
use rustix::process::Resource;
use rustix::process::Rlimit;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::http::server::connection::Connection;
pub use crate::http::server::connection::Lane;
pub(crate) use crate::http::server::connection::Peer;
use crate::http::server::connection::Place;
pub(crate) use crate::http::server::connection::queued;
pub use crate::http::server::connections::Connections;
pub(crate) use crate::http::server::connections::Readers;
pub use crate::http::server::options::Options;
use crate::http::server::settle::Course;
use crate::http::server::settle::Outcome;
use crate::http::server::stall::LINGER;
use crate::http::server::stall::Slow;
use crate::http::server::stall::StallGuard;
use crate::telemetry::Telemetry;

/// How long to leave the listener alone when nothing can be accepted, or nobody has a place.
const ACCEPT_PAUSE: Duration = Duration::from_millis(5);
/// So many are accepted before those who were are looked after, when every place is taken.
const ACCEPTED_IN_A_ROW: usize = 8;
/// How often it is said at most that nothing can be accepted.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// What a scraper says: how long it waits for a page.
const SCRAPE_TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";
/// Beyond which it has given up for certain.
const SCRAPE_SLACK: Duration = Duration::from_secs(1);
/// Bytes that hyper buffers of one connection, headers included.
const BUFFER_BYTES: usize = 64 * 1024;
/// Files the process wants beside its connections: the log, the database of zones, standard streams.
const OTHER_FILES: u64 = 256;

/// Serves `router` on all `listeners` until `stop`; then accepts no more, lets requests end, and returns.
/// Connections that outlast [`Options::drain`] are cut.
pub async fn run(
    listeners: Vec<TcpListener>,
    router: Router,
    options: Options,
    connections: Arc<Connections>,
    telemetry: Arc<Telemetry>,
    stop: CancellationToken,
) {
    let shared = Arc::new(Shared { connections, options, telemetry, stop });
    let conversations = TaskTracker::new();
    let accepting = TaskTracker::new();
    for listener in listeners {
        stall::prepare(&listener, shared.options.write_stall);
        accepting.spawn(accept(listener, router.clone(), Arc::clone(&shared), conversations.clone()));
    }
    accepting.close();
    accepting.wait().await;
    conversations.close();
    conversations.wait().await;
}

/// Lets the process open as many files as `connections` may need; answers how many connections there may be.
pub fn raise_file_limit(connections: usize) -> usize {
    let wanted = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(OTHER_FILES);
    let limit = process::getrlimit(Resource::Nofile);
    let Some(current) = limit.current else { return connections };
    if current >= wanted {
        return connections;
    }
    let raised = limit.maximum.map_or(wanted, |most| wanted.min(most));
    let files = match process::setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum }) {
        Ok(()) => raised,
        Err(_) => current,
    };
    // Of very few files some are left for others too.
    let fit = files.saturating_sub(OTHER_FILES).max(files / 4);
    connections.min(usize::try_from(fit).unwrap_or(usize::MAX))
}

#[derive(Debug)]
struct Shared {
    connections: Arc<Connections>,
    options: Options,
    telemetry: Arc<Telemetry>,
    stop: CancellationToken,
}

async fn accept(listener: TcpListener, router: Router, shared: Arc<Shared>, conversations: TaskTracker) {
    let mut said: Option<Instant> = None;
    let mut in_a_row = 0_usize;
    loop {
        let accepted = tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if ended_before_accept(&error) => continue,
            Err(error) => {
                if said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
                    said = Some(Instant::now());
                    tracing::error!(%error, "cannot accept a connection; ending others, and trying again");
                }
                // It has no file descriptor left, as a rule.
                if !shared.connections.give_up_a_file().await {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                continue;
            }
        };
        let connection = loop {
            if let Some(connection) = shared.connections.admit(address.ip(), &shared.options) {
                break connection;
            }
            tokio::select! {
                biased;
                () = shared.stop.cancelled() => return,
                () = tokio::time::sleep(ACCEPT_PAUSE) => {}
            }
        };
        conversations.spawn(converse(stream, connection, router.clone(), Arc::clone(&shared)));
        in_a_row += 1;
        if in_a_row.is_multiple_of(ACCEPTED_IN_A_ROW) && shared.connections.is_full(&shared.options) {
            // Who came is to say something before it may be ended for those who come after it.
            tokio::task::yield_now().await;
        }
    }
}

/// Errors of one connection that the kernel reports on accept; the next one may be fine at once.
fn ended_before_accept(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// One connection, from its first byte to its last.
async fn converse(stream: TcpStream, connection: Arc<Connection>, router: Router, shared: Arc<Shared>) {
    let telemetry = &shared.telemetry;
    telemetry.connections_accepted.inc();
    telemetry.connections.inc();
    // Without it an answer waits for the acknowledgement of the one before.
    stream.set_nodelay(true).ok();
    let ended = speak(stream, &connection, router, &shared).await;
    if let Err(error) = ended {
        note(&error, telemetry);
    }
    if let Some(was) = connection.displaced() {
        telemetry.displaced.get_or_create(&[("was", was)]).inc();
    }
    telemetry.connections.dec();
    shared.connections.end(&connection);
}

/// All that is said on a connection.
async fn speak(stream: TcpStream, connection: &Arc<Connection>, router: Router, shared: &Shared) -> Result<(), hyper::Error> {
    let options = &shared.options;
    let peer = Arc::clone(connection);
    let write_total = options.write_total;
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        peer.begins(scrape_timeout(request.headers()).map_or(write_total, |said| write_total.min(said + SCRAPE_SLACK)));
        let course = Course::of(&request);
        let mut request = request.map(|body| watched::Request::watch(body, &peer));
        request.extensions_mut().insert(Peer(Arc::clone(&peer)));
        let (answer, peer) = (router.clone().oneshot(request), Arc::clone(&peer));
        async move {
            let response = Arc::clone(&peer).answer(answer).await?;
            let response = settle(response, &peer, course, &shared.telemetry).await;
            Ok::<_, Infallible>(response.map(|body| watched::Answer::watch(body, peer)))
        }
    });
    let io = TokioIo::new(StallGuard::new(stream, Arc::clone(connection), options.write_stall));
    let header_timeout = match connection.place {
        Place::Open => options.header_timeout,
        Place::Reserved => options.reserved_header_timeout,
    };
    let talk = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(BUFFER_BYTES)
        .keep_alive(connection.place == Place::Open)
        .serve_connection(io, service);
    let mut talk = pin!(talk);
    tokio::select! {
        biased;
        ended = talk.as_mut() => return ended,
        () = connection.told_to_go() => return Ok(()),
        () = shared.stop.cancelled() => {}
    }
    connection.hurries.store(true, Relaxed);
    let drain = if connection.is_closing() { options.drain.min(LINGER) } else { options.drain };
    talk.as_mut().graceful_shutdown();
    tokio::select! {
        biased;
        ended = tokio::time::timeout(drain, talk) => ended.unwrap_or(Ok(())),
        () = connection.told_to_go() => Ok(()),
    }
}

/// Does away with what is left of the request's body, so that the answer is true about what comes after it.
async fn settle(mut response: Response, connection: &Connection, course: Option<Course>, telemetry: &Telemetry) -> Response {
    let outcome = settle::settle(connection, course, response.status(), response.headers()).await;
    if let Some(outcome) = outcome.label() {
        telemetry.unread_bodies.get_or_create(&[("outcome", outcome)]).inc();
    }
    if outcome == Outcome::Closed {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// How long a scraper says that it waits.
fn scrape_timeout(headers: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers.get(SCRAPE_TIMEOUT)?.to_str().ok()?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// Counts a connection that ended because of the other side. What is no request is answered, bare, by hyper.
fn note(error: &hyper::Error, telemetry: &Telemetry) {
    if let Some(slow_at) = slowness(error) {
        telemetry.timeouts.get_or_create(&[("at", slow_at)]).inc();
    } else if error.is_parse() {
        let reason = if error.is_parse_too_large() { "headers" } else { "malformed" };
        telemetry.refuse(reason, 1);
    }
}

/// What the other side was too slow at, when that is why the connection ended.
fn slowness(error: &hyper::Error) -> Option<&'static str> {
    if error.is_timeout() {
        return Some("headers");
    }
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    io.and_then(io::Error::get_ref).and_then(|slow| slow.downcast_ref::<Slow>()).map(|slow| match slow {
        Slow::Still => "answer",
        Slow::InAll => "answer_in_all",
    })
}

/// Where a server listens, as a URL for people.
pub fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scraper_says_how_long_it_waits() {
        for (said, expected) in [("10", Some(10_000)), ("0.5", Some(500)), ("-1", None), ("NaN", None), ("1e99", None), ("soon", None)] {
            let headers = [(SCRAPE_TIMEOUT.parse().unwrap(), said.parse().unwrap())].into_iter().collect();
            assert_eq!(scrape_timeout(&headers), expected.map(Duration::from_millis), "{said}");
        }
        assert_eq!(scrape_timeout(&HeaderMap::new()), None);
    }

    #[test]
    fn the_file_limit_never_sinks() {
        let files = || process::getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let before = files();
        assert_eq!(raise_file_limit(1), 1);
        assert_eq!(files(), before);
        let connections = raise_file_limit(usize::MAX);
        assert!(files() >= before && connections as u64 <= files(), "{connections}");
    }
}
