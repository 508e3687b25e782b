//! All connections, and the places for them: when none is left, whoever is least lost goes ([`Worth`]), so that a new one never
//! waits as long as somebody can be ended.
//!
//! Open places are for everybody. A few are reserved, for when all others are taken by requests that are worked on: there,
//! operators are answered, and scrapes as long as there are places for them. The lock is taken once when a connection begins,
//! when it ends, and when somebody is looked for; never for a request.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::http::server::Options;
use crate::http::server::connection;
use crate::http::server::connection::Connection;
use crate::http::server::connection::Lane;
use crate::http::server::connection::Place;
use crate::http::server::worth::Worth;

/// So many who go next are chosen with one look at all.
const CHOSEN_AT_ONCE: usize = 64;
/// Scrapes that are answered on reserved places at the same time, and of them those of one address or network.
const SCRAPES_MAX: usize = 32;
const SCRAPES_OF_AN_ADDRESS_MAX: usize = 4;
/// How long a choice holds.
const CHOICE_HOLDS: Duration = Duration::from_millis(100);
/// How long it holds that nobody can be chosen.
const NOBODY_HOLDS: Duration = Duration::from_millis(10);
/// How long those who were told to go may take.
const GOING: Duration = Duration::from_millis(100);

/// All connections of a server.
#[derive(Debug, Default)]
pub struct Connections {
    table: Mutex<Table>,
    /// Somebody who was told to go has ended.
    ended: Notify,
}

#[derive(Debug, Default)]
struct Table {
    accepted: u64,
    open: HashMap<u64, Arc<Connection>>,
    reserved: HashMap<u64, Arc<Connection>>,
    /// How many of both each address or network has.
    networks: HashMap<Arc<str>, usize>,
    /// Who goes next, with how much they were worth.
    chosen: VecDeque<(Worth, u64)>,
    chosen_until: Option<Instant>,
    /// Until when nobody is looked for again, because there was nobody.
    nobody_until: Option<Instant>,
}

/// Whose answers may be given up for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Those of pages.
    OfPages,
    /// Those of all other answers.
    OfAnswers,
}

impl Connections {
    /// A place for a new connection; nothing when there is none, and nobody who can go.
    pub(super) fn admit(&self, address: IpAddr, options: &Options) -> Option<Arc<Connection>> {
        let mut table = self.table.lock();
        let place = if table.open.len() < options.connections || table.displace_open() {
            Place::Open
        } else if table.reserved.len() < options.reserved_connections || table.displace_reserved() {
            Place::Reserved
        } else {
            return None;
        };
        let network = connection::network(address);
        let network = table.networks.get_key_value(&*network).map_or_else(|| network.into(), |(network, _)| Arc::clone(network));
        *table.networks.entry(Arc::clone(&network)).or_default() += 1;
        table.accepted += 1;
        let connection = Arc::new(Connection::new(network, table.accepted, place));
        table.places(place).insert(connection.number, Arc::clone(&connection));
        Some(connection)
    }

    /// Whether there is no open place that nobody has.
    pub(super) fn is_full(&self, options: &Options) -> bool {
        self.table.lock().open.len() >= options.connections
    }

    /// The connection is no more.
    pub(super) fn end(&self, connection: &Connection) {
        connection.has_ended.store(true, Relaxed);
        self.table.lock().remove(connection);
        if connection.displaced().is_some() {
            self.ended.notify_waiters();
        }
    }

    /// Whether a request by this connection is answered, by what its route is for.
    pub(crate) fn may_ask(&self, connection: &Connection, lane: Lane) -> bool {
        connection.answers(lane);
        match (connection.place, lane) {
            (Place::Open, _) | (Place::Reserved, Lane::Operators) => true,
            (Place::Reserved, Lane::Open) => false,
            (Place::Reserved, Lane::Scrapes) => self.table.lock().take_place_for_scrape(connection),
        }
    }

    /// Ends somebody whose file another connection needs; answers whether there was anybody.
    pub(super) async fn give_up_a_file(&self) -> bool {
        let gone = {
            let mut table = self.table.lock();
            table.displace_open() || table.displace_reserved()
        };
        if gone {
            tokio::time::timeout(GOING, self.ended.notified()).await.ok();
        }
        gone
    }

    /// Ends the slowest of those who are being sent such answers, at most so many, so that what these take comes free. Answers
    /// how many there were, when they have ended.
    pub(crate) async fn give_up(&self, readers: Readers, most: usize) -> usize {
        let gone = self.table.lock().displace_readers(readers, most);
        let is_going = || gone.iter().any(|connection| !connection.has_ended.load(Relaxed));
        let waited = async {
            loop {
                let ended = self.ended.notified();
                if !is_going() {
                    return;
                }
                ended.await;
            }
        };
        tokio::time::timeout(GOING, waited).await.ok();
        gone.len()
    }
}

impl Table {
    fn places(&mut self, place: Place) -> &mut HashMap<u64, Arc<Connection>> {
        match place {
            Place::Open => &mut self.open,
            Place::Reserved => &mut self.reserved,
        }
    }

    /// Nothing, when it is not there any more.
    fn remove(&mut self, connection: &Connection) {
        if self.places(connection.place).remove(&connection.number).is_none() {
            return;
        }
        if let Some(count) = self.networks.get_mut(&connection.address) {
            *count -= 1;
            if *count == 0 {
                self.networks.remove(&connection.address);
            }
        }
    }

    /// Tells it to go, unless it has begun to be worked on.
    fn displace(&mut self, connection: &Connection) -> bool {
        let goes = connection.displace(connection.doing());
        if goes {
            self.remove(connection);
        }
        goes
    }

    fn worth(&self, connection: &Connection) -> Option<Worth> {
        Worth::of(connection.doing(), self.networks.get(&connection.address).copied().unwrap_or(0))
    }

    /// Ends who is least lost of the open places.
    fn displace_open(&mut self) -> bool {
        let now = Instant::now();
        let holds = |until: Option<Instant>| until.is_some_and(|until| now < until);
        if holds(self.nobody_until) {
            return false;
        }
        if !holds(self.chosen_until) {
            self.chosen.clear();
        }
        loop {
            while let Some((worth, number)) = self.chosen.pop_front() {
                let Some(connection) = self.open.get(&number).map(Arc::clone) else { continue };
                // What it was chosen for may be over.
                let is_like_it = |now: &Worth| std::mem::discriminant(now) == std::mem::discriminant(&worth);
                if self.worth(&connection).as_ref().is_some_and(is_like_it) && self.displace(&connection) {
                    return true;
                }
            }
            self.choose(now);
            if self.chosen.is_empty() {
                self.nobody_until = Some(now + NOBODY_HOLDS);
                return false;
            }
        }
    }

    /// Looks who would go next.
    fn choose(&mut self, now: Instant) {
        let mut all: Vec<_> = self.open.values().filter_map(|connection| Some((self.worth(connection)?, connection.number))).collect();
        if all.len() > CHOSEN_AT_ONCE {
            all.select_nth_unstable(CHOSEN_AT_ONCE);
            all.truncate(CHOSEN_AT_ONCE);
        }
        all.sort_unstable();
        self.chosen = all.into();
        self.chosen_until = Some(now + CHOICE_HOLDS);
    }

    /// Ends who is least lost of the reserved places.
    fn displace_reserved(&mut self) -> bool {
        self.displace_least(|_| true)
    }

    /// Ends who is least lost of some of the reserved places.
    fn displace_least(&mut self, of: impl Fn(&Connection) -> bool) -> bool {
        let some = self.reserved.values().filter(|connection| of(connection));
        let least = some.filter_map(|connection| Some((self.worth(connection)?, connection.number))).min();
        let least = least.and_then(|(_, number)| self.reserved.get(&number).map(Arc::clone));
        least.is_some_and(|connection| self.displace(&connection))
    }

    /// Whether there is a place for one more scrape, if need be that of a slow one.
    fn take_place_for_scrape(&mut self, connection: &Connection) -> bool {
        let scrapes = |other: &Connection| other.scrapes.load(Relaxed);
        let is_rival = |other: &Connection| scrapes(other) && other.address == connection.address;
        let count = |of: &dyn Fn(&Connection) -> bool| self.reserved.values().filter(|other| of(other)).count();
        let (rivals, all) = (count(&is_rival), count(&scrapes));
        let is_free = if rivals >= SCRAPES_OF_AN_ADDRESS_MAX {
            self.displace_least(is_rival)
        } else {
            all < SCRAPES_MAX || self.displace_least(scrapes)
        };
        if is_free {
            connection.scrapes.store(true, Relaxed);
        }
        is_free
    }

    fn displace_readers(&mut self, readers: Readers, most: usize) -> Vec<Arc<Connection>> {
        let wanted = |connection: &&Arc<Connection>| connection.is_page() == (readers == Readers::OfPages);
        let all = self.open.values().chain(self.reserved.values()).filter(wanted);
        let mut slow: Vec<_> =
            all.filter_map(|connection| Some((connection.doing().reads_per_second()?, Arc::clone(connection)))).collect();
        slow.sort_unstable_by_key(|(rate, connection)| (*rate, connection.number));
        slow.truncate(most);
        slow.into_iter().map(|(_, connection)| connection).filter(|connection| self.displace(connection)).collect()
    }
}
