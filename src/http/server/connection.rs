//! One connection: who is at its other end, what is waited for, and since when; kept up to date without a lock.
//!
//! Whoever looks at it from elsewhere sees figures that are nearly of one moment, which is enough to judge who is slow.

use std::hash::DefaultHasher;
use std::hash::Hash;
use std::hash::Hasher as _;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Frame;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::http::server::unread::Unread;
use crate::http::server::worth::Doing;
use crate::writer::Source;

/// Which kind of place a connection has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Any request is answered.
    Open,
    /// One request is answered, if it is of an operator, or a scrape for which there is a place.
    Reserved,
}

/// Who is served by a route, and what its answers hold until they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Senders and readers.
    Open,
    /// Scrapers: an answer holds parts of pages.
    Scrapes,
    /// Those who run the server: answers are short, and given on reserved places at any time.
    Operators,
}

/// What is waited for, beside a reader.
mod state {
    pub(super) const SILENT: u8 = 0;
    pub(super) const WORKING: u8 = 1;
    pub(super) const SENDING: u8 = 2;
    pub(super) const QUEUED: u8 = 3;
    pub(super) const CLOSING: u8 = 4;
}

/// One connection. Each request carries it in its extensions, as [`Peer`].
#[derive(Debug)]
pub(crate) struct Connection {
    /// Its address; of one of version 6 the network, all of which is usually one's own.
    pub(crate) address: Arc<str>,
    /// Numbers connections in the order in which they were accepted.
    pub(crate) number: u64,
    pub(super) place: Place,
    /// Who has it: its address, and once a token was shown, that.
    owner: AtomicU64,
    organization: AtomicU64,
    /// When it was accepted; moments below are milliseconds since.
    begun: Instant,
    state: AtomicU8,
    /// When the state began.
    since: AtomicU64,
    /// When a write began to wait that still does, and 1; 0 when none does.
    blocked: AtomicU64,
    /// How long writes of this answer have waited, before that.
    waited: AtomicU64,
    /// How long they may, in all.
    patience: AtomicU64,
    /// Bytes of this answer that the kernel has taken.
    taken: AtomicU64,
    /// How long this request's body was waited for, and how much came.
    awaited: AtomicU64,
    received: AtomicU64,
    /// What nobody wanted of that body.
    pub(super) unread: Unread,
    /// Whether the answer is a page.
    is_page: AtomicBool,
    /// Whether it has a place for a scrape.
    pub(super) scrapes: AtomicBool,
    /// Whether what the kernel still has to send is thrown away at the end.
    pub(super) resets: AtomicBool,
    /// The server stops: nobody is waited for at the end.
    pub(super) hurries: AtomicBool,
    /// What it was doing when it was told to go.
    displaced: AtomicU8,
    go: Notify,
    pub(super) has_ended: AtomicBool,
}

tokio::task_local! {
    /// The connection whose request is being answered.
    static CURRENT: Arc<Connection>;
}

/// Waits for a turn on behalf of the request that is being answered: meanwhile nothing is done for it.
pub(crate) async fn queued<T>(turn: impl Future<Output = T>) -> T {
    let turned = |from, to| {
        CURRENT.try_with(|connection| connection.turns(from, to)).ok();
    };
    let mut turn = pin!(turn);
    if let Poll::Ready(turn) = futures_util::poll!(&mut turn) {
        return turn;
    }
    turned(state::WORKING, state::QUEUED);
    let turn = turn.await;
    turned(state::QUEUED, state::WORKING);
    turn
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer(pub(crate) Arc<Connection>);

impl Connection {
    pub(super) fn new(address: Arc<str>, number: u64, place: Place) -> Self {
        Self {
            owner: AtomicU64::new(hash(&address)),
            organization: AtomicU64::new(0),
            address,
            number,
            place,
            begun: Instant::now(),
            state: AtomicU8::new(state::SILENT),
            since: AtomicU64::new(0),
            blocked: AtomicU64::new(0),
            waited: AtomicU64::new(0),
            patience: AtomicU64::new(u64::MAX),
            taken: AtomicU64::new(0),
            awaited: AtomicU64::new(0),
            received: AtomicU64::new(0),
            unread: Unread::default(),
            is_page: AtomicBool::new(false),
            scrapes: AtomicBool::new(false),
            resets: AtomicBool::new(false),
            hurries: AtomicBool::new(false),
            displaced: AtomicU8::new(0),
            go: Notify::new(),
            has_ended: AtomicBool::new(false),
        }
    }

    fn now(&self) -> u64 {
        millis(self.begun.elapsed())
    }

    fn enter(&self, state: u8) {
        self.since.store(self.now(), Relaxed);
        self.state.store(state, Relaxed);
    }

    /// The headers of a request are there; its answer may make its writer wait for so long in all.
    pub(super) fn begins(&self, patience: Duration) {
        // Behind an answer of before that is still to be read, both count as one.
        if self.blocked.load(Relaxed) == 0 {
            self.waited.store(0, Relaxed);
            self.taken.store(0, Relaxed);
        }
        self.is_page.store(false, Relaxed);
        self.patience.store(millis(patience), Relaxed);
        self.awaited.store(0, Relaxed);
        self.received.store(0, Relaxed);
        self.enter(state::WORKING);
    }

    /// Answers its request.
    pub(super) async fn answer<T>(self: Arc<Self>, answer: impl Future<Output = T>) -> T {
        CURRENT.scope(self, answer).await
    }

    fn turns(&self, from: u8, to: u8) {
        if self.state.load(Relaxed) == from {
            self.enter(to);
        }
    }

    /// Whose token its request has.
    pub(crate) fn belongs_to(&self, organization: &str, token: &str) {
        let sender = if token.is_empty() { &*self.address } else { token };
        self.organization.store(Source::new(organization, sender, self.number).taker().organization, Relaxed);
        if !token.is_empty() {
            self.owner.store(hash(&(organization, token)), Relaxed);
        }
    }

    /// The organization that it asks for, as [`Taker`](crate::account::Taker) has it.
    pub(super) fn organization(&self) -> u64 {
        self.organization.load(Relaxed)
    }

    /// A number for who has it.
    pub(super) fn owner(&self) -> u64 {
        self.owner.load(Relaxed)
    }

    /// What it is that is answered.
    pub(super) fn answers(&self, lane: Lane) {
        self.is_page.store(lane == Lane::Scrapes, Relaxed);
    }

    /// More of the body is waited for.
    pub(super) fn awaits(&self) {
        self.turns(state::WORKING, state::SENDING);
    }

    /// Its sender is let wait, and may be ended meanwhile.
    pub(crate) fn is_let_wait(&self) {
        self.enter(state::SILENT);
    }

    /// So much more of it came, or no more is wanted.
    pub(super) fn receives(&self, bytes: usize) {
        if self.state.load(Relaxed) == state::SENDING {
            self.awaited.fetch_add(self.now().saturating_sub(self.since.load(Relaxed)), Relaxed);
            self.enter(state::WORKING);
        }
        self.received.fetch_add(bytes as u64, Relaxed);
    }

    /// What came of asking for more of the body.
    pub(super) fn comes<E>(&self, frame: &Poll<Option<Result<Frame<Bytes>, E>>>) {
        match frame {
            Poll::Pending => self.awaits(),
            Poll::Ready(Some(Ok(frame))) => self.receives(frame.data_ref().map_or(0, Bytes::len)),
            Poll::Ready(_) => self.receives(0),
        }
    }

    /// All of the answer was made; the next request is waited for.
    pub(super) fn answered(&self) {
        if matches!(self.state.load(Relaxed), state::WORKING | state::SENDING | state::QUEUED) {
            self.enter(state::SILENT);
        }
    }

    /// Whether another request may follow this one.
    pub(super) fn goes_on(&self) -> bool {
        self.place == Place::Open && !self.hurries.load(Relaxed)
    }

    /// Our side is closed, and the other one is waited for.
    pub(super) fn closes(&self) {
        self.enter(state::CLOSING);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.state.load(Relaxed) == state::CLOSING
    }

    /// The kernel took so many bytes: a write waits no more.
    pub(super) fn takes(&self, bytes: usize) {
        self.taken.fetch_add(bytes as u64, Relaxed);
        let since = self.blocked.load(Relaxed);
        if since != 0 {
            self.waited.fetch_add(self.now().saturating_sub(since - 1), Relaxed);
            self.blocked.store(0, Relaxed);
        }
    }

    /// A write waits. Answers how long the answer's writes may still wait, when it is the first to.
    pub(super) fn blocks(&self) -> Option<Duration> {
        if self.blocked.load(Relaxed) != 0 {
            return None;
        }
        self.blocked.store(self.now() + 1, Relaxed);
        let left = self.patience.load(Relaxed).saturating_sub(self.waited.load(Relaxed));
        Some(Duration::from_millis(left))
    }

    /// What it is doing now.
    pub(super) fn doing(&self) -> Doing {
        let now = self.now();
        let blocked = self.blocked.load(Relaxed);
        let since = Duration::from_millis(now.saturating_sub(self.since.load(Relaxed)));
        let state = self.state.load(Relaxed);
        if state == state::CLOSING {
            return Doing::Closing;
        }
        if blocked != 0 {
            let blocked = Duration::from_millis(now.saturating_sub(blocked - 1));
            let waited = Duration::from_millis(self.waited.load(Relaxed)) + blocked;
            return Doing::Reading { taken: self.taken.load(Relaxed), waited, blocked };
        }
        match state {
            state::SILENT => Doing::Silent { since },
            state::SENDING => {
                let waited = Duration::from_millis(self.awaited.load(Relaxed)) + since;
                Doing::Sending { received: self.received.load(Relaxed), waited }
            }
            state::QUEUED => Doing::Queued { since },
            _ => Doing::Working,
        }
    }

    /// Whether what it is being sent is a page.
    pub(super) fn is_page(&self) -> bool {
        self.is_page.load(Relaxed)
    }

    /// Tells it to go, by what it is doing; answers whether it may.
    pub(super) fn displace(&self, doing: Doing) -> bool {
        if doing == Doing::Working {
            return false;
        }
        if matches!(doing, Doing::Reading { .. } | Doing::Closing) {
            self.resets.store(true, Relaxed);
        }
        self.displaced.store(doing.code(), Relaxed);
        self.go.notify_one();
        true
    }

    /// What it was doing when it was told to go, if it was.
    pub(super) fn displaced(&self) -> Option<&'static str> {
        Doing::name_of(self.displaced.load(Relaxed))
    }

    /// Returns when it is told to go.
    pub(super) async fn told_to_go(&self) {
        self.go.notified().await;
    }
}

/// An address as connections are counted by: of one of version 6 the network.
pub(super) fn network(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => address.to_string(),
            None => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).to_string(),
        },
    }
}

/// The same for the same, within this process.
fn hash(name: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
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
            assert_eq!(network(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_waited_for_is_known_and_for_how_long() {
        let connection = Connection::new("192.0.2.7".into(), 0, Place::Open);
        let pass = async |seconds| tokio::time::advance(Duration::from_secs(seconds)).await;
        let seconds = Duration::from_secs;
        pass(3).await;
        assert_eq!(connection.doing(), Doing::Silent { since: seconds(3) });
        connection.begins(seconds(100));
        pass(1).await;
        assert_eq!(connection.doing(), Doing::Working);
        for (before, after) in [(0, 2), (2, 4)] {
            connection.awaits();
            connection.awaits();
            pass(2).await;
            assert_eq!(connection.doing(), Doing::Sending { received: before * 5, waited: seconds(after) });
            connection.receives(10);
            assert_eq!(connection.doing(), Doing::Working);
            pass(1).await;
        }
        let connection = Arc::new(connection);
        let turn = queued(async {
            tokio::task::yield_now().await;
            connection.doing()
        });
        assert_eq!(Arc::clone(&connection).answer(turn).await, Doing::Queued { since: seconds(0) });
        assert_eq!(connection.doing(), Doing::Working);
        assert_eq!(connection.blocks(), Some(seconds(100)));
        pass(7).await;
        assert_eq!(connection.blocks(), None, "it waits already");
        assert_eq!(connection.doing(), Doing::Reading { taken: 0, waited: seconds(7), blocked: seconds(7) });
        connection.takes(500);
        pass(5).await;
        assert_eq!(
            (connection.blocks(), connection.doing()),
            (Some(seconds(93)), Doing::Reading { taken: 500, waited: seconds(7), blocked: seconds(0) })
        );
        // All is made, and not all is read; the next request changes nothing about that.
        connection.answered();
        connection.begins(seconds(100));
        pass(1).await;
        assert_eq!(connection.doing(), Doing::Reading { taken: 500, waited: seconds(8), blocked: seconds(1) });
        connection.takes(1);
        connection.answered();
        assert_eq!(connection.doing(), Doing::Silent { since: seconds(0) });
        connection.begins(seconds(50));
        assert_eq!(connection.blocks(), Some(seconds(50)), "another answer");
        connection.closes();
        assert_eq!(connection.doing(), Doing::Closing);
        assert_eq!(connection.displaced(), None);
        assert!(!connection.displace(Doing::Working) && connection.displace(Doing::Closing));
        connection.told_to_go().await;
        assert_eq!(connection.displaced(), Some("closing"));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_let_wait_may_be_ended() {
        let connection = Connection::new("192.0.2.7".into(), 0, Place::Open);
        connection.begins(Duration::from_secs(100));
        connection.is_let_wait();
        let doing = connection.doing();
        assert_eq!(doing, Doing::Silent { since: Duration::ZERO });
        assert!(connection.displace(doing));
    }
}
