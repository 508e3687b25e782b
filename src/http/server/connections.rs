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

use crate::http::server::connection;
use crate::http::server::connection::Connection;
use crate::http::server::connection::Lane;
use crate::http::server::connection::Place;
use crate::http::server::options::Options;
use crate::http::server::worth::Crowd;
use crate::http::server::worth::READER_GRACE;
use crate::http::server::worth::Worth;

/// So many who go next are chosen with one look at all, but no more than a part of all: others come meanwhile, who are worth less.
const CHOSEN_AT_ONCE: usize = 64;
const CHOSEN_OF_ALL: usize = 16;
/// Scrapes that are answered on reserved places at the same time, and of them those of one address or network.
const SCRAPES_MAX: usize = 32;
const SCRAPES_OF_AN_ADDRESS_MAX: usize = 4;
/// How long a reader of an answer that is no page was waited for before it is given up for memory.
const ANSWER_GRACE: Duration = Duration::from_millis(500);
/// How long a choice holds.
const CHOICE_HOLDS: Duration = Duration::from_millis(100);
/// How long it holds that nobody can be chosen, for each who was looked at: ten times what that took.
const NOBODY_HOLDS: Duration = Duration::from_micros(1);
/// How long no reader is looked for again for the sake of memory.
const READERS_HOLD: Duration = Duration::from_millis(10);
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
    /// Who goes next, with how much they were worth.
    chosen: VecDeque<(Worth, u64)>,
    chosen_until: Option<Instant>,
    /// Until when nobody is looked for again, because there was nobody.
    nobody_until: Option<Instant>,
    /// Until when no reader of an answer is looked for again: many may wait for memory.
    readers_until: Option<Instant>,
}

/// Whose answers may be given up for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Those of pages.
    OfPages,
    /// Those of all other answers, or of those that one organization asked for.
    OfAnswers(Option<u64>),
}

impl Readers {
    /// For how long readers are waited for before they are given up: a page is waited for less than other answers are.
    fn grace(self) -> Duration {
        match self {
            Self::OfPages => READER_GRACE,
            Self::OfAnswers(_) => ANSWER_GRACE,
        }
    }
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
        table.accepted += 1;
        let connection = Arc::new(Connection::new(connection::network(address).into(), table.accepted, place));
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
        let ended = self.ended.notified();
        let goes = {
            let mut table = self.table.lock();
            table.displace_open() || table.displace_reserved()
        };
        if goes {
            tokio::time::timeout(GOING, ended).await.ok();
        }
        goes
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

    /// Tells it to go, unless it has begun to be worked on.
    fn displace(&mut self, connection: &Connection) -> bool {
        let goes = connection.displace(connection.doing());
        if goes {
            self.remove(connection);
        }
        goes
    }

    fn remove(&mut self, connection: &Connection) {
        self.places(connection.place).remove(&connection.number);
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
                let now = Worth::of(connection.doing(), Crowd { own: 1, all: 1 });
                if now.is_some_and(|now| now.is_like(worth)) && self.displace(&connection) {
                    return true;
                }
            }
            self.choose(now);
            if self.chosen.is_empty() {
                let looked_at = u32::try_from(self.open.len()).unwrap_or(u32::MAX);
                self.nobody_until = Some(now + NOBODY_HOLDS * looked_at);
                return false;
            }
        }
    }

    /// Looks who would go next.
    fn choose(&mut self, now: Instant) {
        let mut all = worths(self.open.values().map(|connection| &**connection));
        let most = (all.len() / CHOSEN_OF_ALL).clamp(1, CHOSEN_AT_ONCE);
        if all.len() > most {
            all.select_nth_unstable(most);
            all.truncate(most);
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
        let some = self.reserved.values().map(|connection| &**connection).filter(|connection| of(connection));
        let least = worths(some).into_iter().min();
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
        let now = Instant::now();
        if matches!(readers, Readers::OfAnswers(_)) {
            if self.readers_until.is_some_and(|until| now < until) {
                return Vec::new();
            }
            self.readers_until = Some(now + READERS_HOLD);
        }
        let wanted = |connection: &&Arc<Connection>| match readers {
            Readers::OfPages => connection.is_page(),
            Readers::OfAnswers(of) => !connection.is_page() && of.is_none_or(|of| connection.organization() == of),
        };
        let all = self.open.values().chain(self.reserved.values()).filter(wanted);
        let rate = |connection: &Connection| connection.doing().reads_per_second(readers.grace());
        let mut slow: Vec<_> = all.filter_map(|connection| Some((rate(connection)?, Arc::clone(connection)))).collect();
        slow.sort_unstable_by_key(|(rate, connection)| (*rate, connection.number));
        slow.truncate(most);
        slow.into_iter().map(|(_, connection)| connection).filter(|connection| self.displace(connection)).collect()
    }
}

/// How much would be lost with each of these that may be ended, with its number.
fn worths<'a>(some: impl Iterator<Item = &'a Connection> + Clone) -> Vec<(Worth, u64)> {
    let mut owners: HashMap<u64, usize> = HashMap::new();
    let mut all = 0;
    for connection in some.clone() {
        *owners.entry(connection.owner()).or_default() += 1;
        all += 1;
    }
    let crowd = |connection: &Connection| Crowd { own: owners.get(&connection.owner()).copied().unwrap_or(0), all };
    some.filter_map(|connection| Some((Worth::of(connection.doing(), crowd(connection))?, connection.number))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(connections: &Connections, open: usize, address: &str) -> Arc<Connection> {
        let options = Options { connections: open, ..Options::default() };
        connections.admit(address.parse().unwrap(), &options).unwrap()
    }

    fn is_displaced(connection: &Connection) -> bool {
        connection.displaced().is_some()
    }

    async fn pass(millis: u64) {
        tokio::time::advance(Duration::from_millis(millis)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_it_was_chosen_for_may_be_over() {
        let connections = Connections::default();
        let first: Vec<_> = ["192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2"].map(|address| admit(&connections, 4, address)).into();
        pass(1).await;
        // All four are chosen; the oldest of the address with most goes.
        admit(&connections, 4, "192.0.2.3").begins(Duration::MAX);
        assert_eq!(first.iter().map(|connection| is_displaced(connection)).collect::<Vec<_>>(), [true, false, false, false]);
        // The next one of that address is worked on by now.
        first[1].begins(Duration::MAX);
        admit(&connections, 4, "192.0.2.3").begins(Duration::MAX);
        assert_eq!(first.iter().map(|connection| is_displaced(connection)).collect::<Vec<_>>(), [true, false, true, false]);
        first[3].begins(Duration::MAX);
        assert_eq!(admit(&connections, 4, "192.0.2.3").place, Place::Reserved, "nobody may be ended");
        first[3].answered();
        pass(11).await;
        assert_eq!(admit(&connections, 4, "192.0.2.3").place, Place::Open);
        assert!(is_displaced(&first[3]));
        for connection in &first {
            connections.end(connection);
        }
        assert_eq!(connections.table.lock().open.len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_scrapes_of_each_address_have_reserved_places() {
        let connections = Connections::default();
        let scrape = |address: &str| {
            let connection = admit(&connections, 0, address);
            connection.begins(Duration::MAX);
            (connections.may_ask(&connection, Lane::Scrapes), connection)
        };
        let mut slow = Vec::new();
        for number in 0..7 {
            let address = format!("192.0.2.{number}");
            for _ in 0..4 {
                let (may, connection) = scrape(&address);
                assert!(may);
                slow.push(connection);
            }
            assert!(!scrape(&address).0, "a fifth of {address}");
        }
        let (may, connection) = scrape("192.0.2.9");
        assert!(may && !connections.may_ask(&connection, Lane::Open) && connections.may_ask(&connection, Lane::Operators));
        // The slowest of the address gives way to another one of it.
        for (number, taken) in [(8, 70_000), (9, 900)] {
            slow[number].blocks();
            slow[number].takes(taken);
            slow[number].blocks();
        }
        pass(60).await;
        assert!(scrape("192.0.2.2").0);
        assert_eq!((is_displaced(&slow[8]), is_displaced(&slow[9])), (false, true));
        assert_eq!(connections.give_up(Readers::OfAnswers(None), 9).await, 0, "they read pages");
        assert_eq!(connections.give_up(Readers::OfPages, 9).await, 1);
        assert!(is_displaced(&slow[8]));
    }
}
