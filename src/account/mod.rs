//! Memory as an account: `--limit.memory` is divided into shares once, at the start, and what takes more than a little of it is
//! booked before it is taken.
//!
//! Each item has a share of its own, so that none takes the room of another. What is short-lived is leased ([`Lease`]) and given
//! back; what is kept of events is reckoned up by those who keep it, and asked about before it is appended ([`Account::room`]).
//! Not for who is told what: that is the writer's, and the front doors'.

mod lease;
mod machine;
mod takers;

pub use crate::account::lease::Lease;
pub use crate::account::machine::Limit;
pub use crate::account::machine::resident_bytes;
pub use crate::account::takers::Taker;

use crate::account::takers::Takers;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use tokio::sync::Semaphore;

/// Leases are counted in so many bytes.
const UNIT: usize = 1024;
/// What one connection takes at most: the buffers of its requests and answers, what surrounds them, and what is so small that
/// it is not leased.
pub const CONNECTION_BYTES: usize = 128 * 1024;
/// What the start of an event that is open keeps back for its stop.
pub const STOP_BYTES: usize = 1024;
/// What the program takes beside all that is counted: code, threads, the buffers of the log, and what the allocator keeps of each
/// thread.
const PROGRAM_BYTES: usize = 80 << 20;

/// More than there is.
const BOUNDLESS: usize = usize::MAX >> 24;

/// What is leased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// Bodies of requests, until they are parsed.
    Bodies,
    /// The same of those that are short, which do not wait for the others.
    SmallBodies,
    /// What was made of them, until it is applied.
    Commands,
    /// Answers that are not pages, until they are sent.
    Answers,
    /// What is rendered of pages that all scrapers share.
    Pages,
    /// What is rendered of pages that nobody shares, so that these never take the room of the others.
    PrivatePages,
}

impl Item {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Bodies, Self::SmallBodies, Self::Commands, Self::Answers, Self::Pages, Self::PrivatePages];

    /// The value of the label `item`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bodies => "bodies",
            Self::SmallBodies => "small_bodies",
            Self::Commands => "commands",
            Self::Answers => "answers",
            Self::Pages => "pages",
            Self::PrivatePages => "private_pages",
        }
    }
}

/// How the limit is divided, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// Of all connections.
    pub connections: usize,
    /// Of [`Item::Bodies`].
    pub bodies: usize,
    /// Of [`Item::SmallBodies`].
    pub small_bodies: usize,
    /// Of [`Item::Commands`].
    pub commands: usize,
    /// Of [`Item::Answers`].
    pub answers: usize,
    /// Of [`Item::Pages`].
    pub pages: usize,
    /// Of [`Item::PrivatePages`].
    pub private_pages: usize,
    /// Of all that is kept: events, their places on pages, keys.
    pub events: usize,
}

impl Shares {
    /// Parts of a small limit, fixed sizes of a large one: most of that is for events.
    pub fn divide(limit: usize) -> Self {
        const MIB: usize = 1 << 20;
        // What others have at least is never so much that nothing is left.
        let part = |parts: usize, least: usize, most: usize| (limit / parts).clamp((least * MIB).min(limit / 16), most * MIB);
        let (connections, bodies, commands) = (part(12, 4, 1280), part(16, 8, 256), part(16, 8, 256));
        let (answers, pages, private_pages) = (part(24, 8, 512), part(8, 16, 1024), part(24, 8, 512));
        let small_bodies = bodies / 4;
        let others = [PROGRAM_BYTES.min(limit / 4), connections, bodies, small_bodies, commands, answers, pages, private_pages];
        let left = others.into_iter().fold(limit, usize::saturating_sub);
        // What is given back to the allocator in pieces is not all used again.
        Self { connections, bodies, small_bodies, commands, answers, pages, private_pages, events: left - left / 12 }
    }

    /// Of one item.
    pub fn of(&self, item: Item) -> usize {
        match item {
            Item::Bodies => self.bodies,
            Item::SmallBodies => self.small_bodies,
            Item::Commands => self.commands,
            Item::Answers => self.answers,
            Item::Pages => self.pages,
            Item::PrivatePages => self.private_pages,
        }
    }
}

/// The account; cheap to clone.
#[derive(Clone)]
pub struct Account(Arc<Books>);

struct Books {
    limit: usize,
    shares: Shares,
    pools: [Pool; 6],
    /// Bytes that events take.
    kept: AtomicUsize,
    /// How many events are open.
    open: AtomicUsize,
    /// The process took more than the limit when it was last looked at.
    is_beyond: AtomicBool,
    /// Events that were refused.
    refused: AtomicU64,
}

struct Pool {
    most: u32,
    free: Arc<Semaphore>,
    /// What of it each of those has who take of it.
    takers: Takers,
    refused: AtomicU64,
}

/// There is no room for more of an item now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("busy: {}{} take all of their {share} bytes of memory, a share of --limit.memory", item.name(), whose.text())]
pub struct Full {
    /// What there is no room for.
    pub item: Item,
    /// Whose share of it is taken.
    pub whose: Whose,
    /// That share in bytes.
    pub share: usize,
}

/// Whose share it is that is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// One sender's.
    Sender,
    /// That of all senders of an organization.
    Organization,
    /// That of all.
    All,
}

impl Whose {
    const fn text(self) -> &'static str {
        match self {
            Self::Sender => " of this sender",
            Self::Organization => " of this organization",
            Self::All => "",
        }
    }
}

impl Account {
    /// An account of `limit` bytes, divided so.
    pub fn new(limit: usize, shares: Shares) -> Self {
        let zero = || AtomicUsize::new(0);
        let pools = Item::ALL.map(|item| {
            let most = units(shares.of(item)).max(1);
            let (free, takers) = (Arc::new(Semaphore::new(most as usize)), Takers::default());
            Pool { most, free, takers, refused: AtomicU64::new(0) }
        });
        Self(Arc::new(Books {
            limit,
            shares,
            pools,
            kept: zero(),
            open: zero(),
            is_beyond: AtomicBool::new(false),
            refused: AtomicU64::new(0),
        }))
    }

    /// One that nothing exhausts: for tests, and for reading a log without serving it.
    pub fn boundless() -> Self {
        let most = BOUNDLESS;
        let (bodies, small_bodies, commands, answers, pages, private_pages) = (most, most, most, most, most, most);
        let shares = Shares { connections: most, bodies, small_bodies, commands, answers, pages, private_pages, events: most };
        Self::new(most, shares)
    }

    /// The limit of all together, in bytes.
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// How it is divided.
    pub fn shares(&self) -> &Shares {
        &self.0.shares
    }

    /// Bytes of an item that are leased now.
    pub fn leased(&self, item: Item) -> usize {
        let pool = self.pool(item);
        (pool.most as usize).saturating_sub(pool.free.available_permits()) * UNIT
    }

    /// Whether so many bytes of an item are not there now, whoever would take them.
    pub fn is_taken(&self, item: Item, bytes: usize) -> bool {
        let share = self.shares().of(item);
        self.leased(item).saturating_add(bytes.min(share)) > share
    }

    /// How often an item had no room.
    pub fn refused(&self, item: Item) -> u64 {
        self.pool(item).refused.load(Ordering::Relaxed)
    }

    /// Says that what took `before` bytes of what is kept of events takes `after` now.
    pub fn keep(&self, before: usize, after: usize) {
        // The sum is never below what any of those who keep has added.
        self.0.kept.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
    }

    /// Bytes that are kept of events.
    pub fn kept(&self) -> usize {
        self.0.kept.load(Ordering::Relaxed)
    }

    /// Says that of what had `before` open events `after` are open now, each of which keeps room back for its stop.
    pub fn keep_open(&self, before: usize, after: usize) {
        self.0.open.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
    }

    /// Bytes that are kept back for stops.
    pub fn kept_back(&self) -> usize {
        self.0.open.load(Ordering::Relaxed).saturating_mul(STOP_BYTES)
    }

    /// How many bytes more events may take.
    pub fn room(&self) -> usize {
        if self.0.is_beyond.load(Ordering::Relaxed) { 0 } else { self.0.shares.events.saturating_sub(self.taken()) }
    }

    /// How far what is small and hardly ever refused for want of room may go beyond that: ends of what is open that say more than was
    /// kept back for them, and keys of requests, which those have too.
    pub fn margin(&self) -> usize {
        let events = self.0.shares.events;
        (events + events / 16).saturating_sub(self.taken())
    }

    fn taken(&self) -> usize {
        self.kept().saturating_add(self.kept_back())
    }

    /// Looks at what the system says that the process takes: while that is nearly the limit, whatever the books say, events have
    /// no room.
    pub fn look(&self) {
        let is_beyond = self.0.limit < BOUNDLESS && resident_bytes().is_some_and(|bytes| bytes > self.0.limit - self.0.limit / 32);
        if self.0.is_beyond.swap(is_beyond, Ordering::Relaxed) != is_beyond {
            if is_beyond {
                tracing::warn!(
                    limit = self.0.limit,
                    "nearly all the memory is resident that --limit.memory allows: new events are refused"
                );
            } else {
                tracing::info!("less memory is resident again than --limit.memory allows");
            }
        }
    }

    /// Counts events that were refused because there was no room for them.
    pub fn count_refused_events(&self, events: u64) {
        self.0.refused.fetch_add(events, Ordering::Relaxed);
    }

    /// How many events were refused because there was no room.
    pub fn refused_events(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }

    fn pool(&self, item: Item) -> &Pool {
        let [bodies, small_bodies, commands, answers, pages, private_pages] = &self.0.pools;
        match item {
            Item::Bodies => bodies,
            Item::SmallBodies => small_bodies,
            Item::Commands => commands,
            Item::Answers => answers,
            Item::Pages => pages,
            Item::PrivatePages => private_pages,
        }
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let leased = Item::ALL.map(|item| (item.name(), self.leased(item)));
        f.debug_struct("Account").field("limit", &self.0.limit).field("shares", &self.0.shares).field("leased", &leased).finish()
    }
}

/// How many units hold so many bytes.
fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn account(bytes: usize) -> Account {
        Account::new(5 * bytes, Shares { bodies: bytes, commands: bytes, events: 10_000, ..Shares::divide(0) })
    }

    #[test]
    fn the_limit_is_divided_and_never_exceeded() {
        #[track_caller]
        fn check(limit_mib: usize, connections: usize, bodies: usize, pages: usize, events: usize) {
            let shares = Shares::divide(limit_mib * MIB);
            let in_mib = [shares.connections, shares.bodies, shares.pages, shares.events].map(|bytes| bytes / MIB);
            assert_eq!(in_mib, [connections, bodies, pages, events], "{limit_mib}: {shares:?}");
        }
        check(48, 4, 3, 6, 12);
        check(64, 5, 4, 8, 16);
        check(300, 25, 18, 37, 87);
        check(1024, 85, 64, 128, 459);
        check(18 * 1024, 1280, 256, 1024, 13_244);
        for limit in (MIB..200 * 1024 * MIB).step_by(777 * MIB) {
            let Shares { connections, bodies, small_bodies, commands, answers, pages, private_pages, events } = Shares::divide(limit);
            assert!(connections + bodies + small_bodies + commands + answers + pages + private_pages + events < limit, "{limit}");
        }
    }

    #[test]
    fn what_is_open_keeps_room_back_for_its_stop() {
        let account = account(UNIT);
        let mut before = (0, 0);
        for (kept, open, room, margin) in [
            (0, 0, 10_000, 10_625),
            (4000, 2, 3952, 4577),
            (9000, 1, 0, 601),
            (20_000, 0, 0, 0),
            (0, usize::MAX, 0, 0),
            (100, 0, 9900, 10_525),
        ] {
            account.keep(before.0, kept);
            account.keep_open(before.1, open);
            assert_eq!((account.kept(), account.room(), account.margin()), (kept, room, margin), "{open}");
            before = (kept, open);
        }
    }
}
