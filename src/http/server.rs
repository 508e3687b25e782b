//! The accept loop: HTTP/1 over TCP where no connection can hold on for ever and none can shut an operator out.
//!
//! A function of sockets, a router and a stop signal. `axum::serve` is not used: it sets no timer, so a client that dribbles
//! its headers, or sends nothing, stays connected for ever. Timeouts of request bodies are not here but in [`super::body`].

mod lanes;
mod stall;

use std::error::Error as _;
use std::io;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
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
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

pub use crate::http::server::lanes::Lane;
use crate::http::server::lanes::Lanes;
use crate::http::server::lanes::Permit;
use crate::http::server::stall::StallGuard;
use crate::telemetry::Telemetry;

/// How long to leave the listener alone when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Bytes that hyper buffers of one connection, headers included.
const BUFFER_BYTES: usize = 64 * 1024;
/// Files the process wants beside its connections: the log, the database of zones, standard streams.
const OTHER_FILES: u64 = 256;

/// How connections are treated.
#[derive(Clone, Debug)]
pub struct Options {
    /// Connections at the same time (`--limit.connections`).
    pub connections: usize,
    /// Further connections that only scrapes and health checks are answered on, one request each.
    pub reserved_connections: usize,
    /// Time for a request's headers to arrive, counted from the end of the last answer: ends silent and idle connections too.
    pub header_timeout: Duration,
    /// The same on a reserved connection.
    pub reserved_header_timeout: Duration,
    /// Time without progress after which the reader of an answer is given up.
    pub write_stall: Duration,
    /// Time that requests have to end after a stop.
    pub drain: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections: 10_000,
            reserved_connections: 64,
            header_timeout: Duration::from_secs(10),
            reserved_header_timeout: Duration::from_secs(2),
            write_stall: Duration::from_secs(30),
            drain: Duration::from_secs(25),
        }
    }
}

/// Who is at the other end of a connection. Each request carries this in its extensions.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Its address; of one of version 6 the network, all of which is usually one's own.
    pub(crate) address: Arc<str>,
    /// Numbers connections in the order in which they were accepted.
    pub(crate) connection: u64,
}

impl Peer {
    fn new(address: IpAddr, connection: u64) -> Self {
        let network = match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => match address.to_ipv4_mapped() {
                Some(address) => address.to_string(),
                None => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).to_string(),
            },
        };
        Self { address: network.into(), connection }
    }
}

/// Serves `router` on all `listeners` until `stop`; then accepts no more, lets requests end, and returns.
/// Connections that outlast [`Options::drain`] are cut.
pub async fn run(listeners: Vec<TcpListener>, router: Router, options: Options, telemetry: Arc<Telemetry>, stop: CancellationToken) {
    let lanes = Lanes::new(options.connections, options.reserved_connections);
    let shared = Arc::new(Shared { lanes, options, telemetry, stop, accepted: AtomicU64::new(0) });
    let connections = TaskTracker::new();
    let accepting = TaskTracker::new();
    for listener in listeners {
        accepting.spawn(accept(listener, router.clone(), Arc::clone(&shared), connections.clone()));
    }
    accepting.close();
    accepting.wait().await;
    connections.close();
    connections.wait().await;
}

/// Lets the process open as many files as `connections` may need; answers how many it can.
pub fn raise_file_limit(connections: usize) -> u64 {
    let wanted = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(OTHER_FILES);
    let limit = process::getrlimit(Resource::Nofile);
    let Some(current) = limit.current else { return u64::MAX };
    if current >= wanted {
        return current;
    }
    let raised = limit.maximum.map_or(wanted, |most| wanted.min(most));
    match process::setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum }) {
        Ok(()) => raised,
        Err(_) => current,
    }
}

#[derive(Debug)]
struct Shared {
    lanes: Lanes,
    options: Options,
    telemetry: Arc<Telemetry>,
    stop: CancellationToken,
    /// Connections, so far.
    accepted: AtomicU64,
}

async fn accept(listener: TcpListener, router: Router, shared: Arc<Shared>, connections: TaskTracker) {
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
                tracing::error!(%error, "cannot accept a connection; trying again in {} ms", ACCEPT_PAUSE.as_millis());
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let permit = tokio::select! {
            biased;
            permit = shared.lanes.admit() => permit,
            () = shared.stop.cancelled() => return,
        };
        let peer = Peer::new(address.ip(), shared.accepted.fetch_add(1, Ordering::Relaxed));
        connections.spawn(converse(stream, peer, permit, router.clone(), Arc::clone(&shared)));
    }
}

/// Errors of one connection that the kernel reports on accept; the next one may be fine at once.
fn ended_before_accept(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// One connection, from its first byte to its last.
async fn converse(stream: TcpStream, peer: Peer, permit: Permit, router: Router, shared: Arc<Shared>) {
    let telemetry = &shared.telemetry;
    telemetry.connections_accepted.inc();
    telemetry.connections.inc();
    // Without it an answer waits for the acknowledgement of the one before.
    stream.set_nodelay(true).ok();
    let lane = permit.lane();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer.clone());
        if lane == Lane::Reserved {
            request.extensions_mut().insert(lane);
        }
        router.clone().oneshot(request)
    });
    let io = TokioIo::new(StallGuard::new(stream, shared.options.write_stall));
    let header_timeout = match lane {
        Lane::Open => shared.options.header_timeout,
        Lane::Reserved => shared.options.reserved_header_timeout,
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(BUFFER_BYTES)
        .keep_alive(lane == Lane::Open)
        .serve_connection(io, service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => Some(ended),
        () = shared.stop.cancelled() => None,
    };
    let ended = if let Some(ended) = ended {
        ended
    } else {
        connection.as_mut().graceful_shutdown();
        tokio::time::timeout(shared.options.drain, connection).await.unwrap_or(Ok(()))
    };
    if let Some(slow_at) = ended.err().as_ref().and_then(slowness) {
        telemetry.timeouts.get_or_create(&[("at", slow_at)]).inc();
    }
    telemetry.connections.dec();
    drop(permit);
}

/// What the other side was too slow at, when that is why the connection ended.
fn slowness(error: &hyper::Error) -> Option<&'static str> {
    if error.is_timeout() {
        return Some("headers");
    }
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    io.filter(|error| error.kind() == io::ErrorKind::TimedOut).map(|_| "answer")
}

/// Where a server listens, as a URL for people.
pub fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_an_address_or_a_network() {
        for (address, expected) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2::", "2001:db8:1:2::"),
            ("::1", "::"),
        ] {
            assert_eq!(*Peer::new(address.parse().unwrap(), 0).address, *expected, "{address}");
        }
    }

    #[test]
    fn the_file_limit_never_sinks() {
        let before = process::getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        assert!(raise_file_limit(1) >= before);
        assert!(raise_file_limit(usize::MAX) >= before);
    }
}
