//! What every handler shares: the parts of the program, and the settings that a reload replaces.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::Semaphore;

use crate::account::Full;
use crate::account::Item;
use crate::account::Lease;
use crate::exposition::Pages;
use crate::formats::clusters::Clusters;
use crate::formats::mapping::Mapping;
use crate::http::auth::Access;
use crate::http::auth::Secret;
use crate::http::body::Limits;
use crate::http::body::budget::Budget;
use crate::http::error::ApiError;
use crate::http::places::Places;
use crate::http::server;
use crate::http::server::Connections;
use crate::http::server::Readers;
use crate::store::ANSWER_BYTES;
use crate::store::Store;
use crate::telemetry::Telemetry;
use crate::time::Clock;
use crate::writer::Health;
use crate::writer::Source;
use crate::writer::Writer;

/// Pages rendered, and queries answered, at the same time: each takes a processor for as long as it lasts.
const HEAVY_AT_ONCE: usize = 4;
/// Single events looked up at the same time: each waits for the lock of its tenant and does not take long.
const LOOKUPS_AT_ONCE: usize = 8;
/// What comes of a body up to this size is not on the account: it is part of what a connection takes.
const UNLEASED_BYTES: usize = 4 * 1024;
/// Bodies larger than this are parsed off the async threads.
const PARSE_INLINE_BYTES: usize = 32 * 1024;

/// How long a page or a question waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a reload of the configuration replaces.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Organizations and tokens.
    pub access: Access,
    /// How attributes become labels, and what pairs.
    pub mapping: Mapping,
    /// The clusters that each organization may name.
    pub clusters: HashMap<Arc<str>, Clusters>,
    /// Those of an organization that is not in `clusters`, the anonymous one for example.
    pub default_clusters: Clusters,
    /// Bounds of a request.
    pub limits: Limits,
}

impl Settings {
    /// The clusters that an organization may name.
    pub fn clusters(&self, organization: &str) -> &Clusters {
        self.clusters.get(organization).unwrap_or(&self.default_clusters)
    }
}

/// Where things are served, settled at the start.
#[derive(Clone, Debug)]
pub struct WebOptions {
    /// Before every path: empty, or `/` and more, without a `/` at its end (`--web.route-prefix`).
    pub route_prefix: String,
    /// The path of the page with our own metrics (`--web.telemetry-path`).
    pub telemetry_path: String,
    /// The URL under which others reach this server, for links (`--web.external-url`).
    pub external_url: Option<String>,
    /// Whether a change of an unknown event is refused at the door of ETS too (`--ets.strict`).
    pub ets_strict: bool,
}

impl Default for WebOptions {
    fn default() -> Self {
        Self { route_prefix: String::new(), telemetry_path: "/metrics".to_owned(), external_url: None, ets_strict: false }
    }
}

/// A reload did not work and changed nothing; why is in the log.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the old configuration is kept; the server's log says why")]
pub struct ReloadError;

/// Reads the configuration again.
pub type Reload = Box<dyn Fn() -> Result<(), ReloadError> + Send + Sync>;

/// The parts of the program that handlers use.
pub struct App {
    pub(crate) web: WebOptions,
    pub(crate) store: Arc<Store>,
    pub(crate) pages: Arc<Pages>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) storage: PathBuf,
    pub(crate) budget: Budget,
    pub(crate) renders: Arc<Semaphore>,
    pub(crate) queries: Arc<Semaphore>,
    pub(crate) lookups: Arc<Semaphore>,
    /// For inflating and parsing what is larger than a buffer, and for the commands of streams until they are written.
    pub(crate) places: Places,
    /// Whose answers can be given up when there is no memory for those of others.
    pub(crate) connections: Arc<Connections>,
    /// Whose turn it is to change a whole event, by a hash of its id.
    pub(crate) turns: [tokio::sync::Mutex<()>; 64],
    settings: RwLock<Arc<Settings>>,
    ready: OnceLock<Ready>,
    reload: OnceLock<Reload>,
    stopping: AtomicBool,
}

/// What there is once the log was read.
struct Ready {
    writer: Writer,
    secret: Secret,
}

/// The parts that [`App`] is made of.
#[derive(Debug)]
pub struct Parts {
    /// Events.
    pub store: Arc<Store>,
    /// Which sample is on a page when.
    pub pages: Arc<Pages>,
    /// Our own metrics.
    pub telemetry: Arc<Telemetry>,
    /// Where "now" comes from.
    pub clock: Arc<dyn Clock>,
    /// The directory of the log, for the gauges of its free space.
    pub storage: PathBuf,
}

impl App {
    /// An app that is not ready yet: see [`App::set_ready`].
    pub fn new(parts: Parts, web: WebOptions, settings: Settings) -> Self {
        let Parts { store, pages, telemetry, clock, storage } = parts;
        Self {
            budget: Budget::new(store.account().clone()),
            renders: Arc::new(Semaphore::new(HEAVY_AT_ONCE)),
            queries: Arc::new(Semaphore::new(HEAVY_AT_ONCE)),
            lookups: Arc::new(Semaphore::new(LOOKUPS_AT_ONCE)),
            places: Places::new(2 + 2 * std::thread::available_parallelism().map_or(1, usize::from)),
            connections: Arc::default(),
            turns: std::array::from_fn(|_| tokio::sync::Mutex::new(())),
            settings: RwLock::new(Arc::new(settings)),
            ready: OnceLock::new(),
            reload: OnceLock::new(),
            stopping: AtomicBool::new(false),
            web,
            store,
            pages,
            telemetry,
            clock,
            storage,
        }
    }

    /// The log was replayed: from now on everything is answered. `secret` is the key of access tokens.
    pub fn set_ready(&self, writer: Writer, secret: Secret) {
        self.ready.set(Ready { writer, secret }).ok();
    }

    /// What `/-/reload` calls; without it the route answers 403.
    pub fn set_reload(&self, reload: Reload) {
        self.reload.set(reload).ok();
    }

    /// The server is about to stop: it is no longer ready.
    pub fn set_stopping(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Replaces the settings for every request that comes from now on.
    pub fn set_settings(&self, settings: Settings) {
        *self.settings.write() = Arc::new(settings);
    }

    /// The settings of now.
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read())
    }

    /// What stands before every path.
    pub fn route_prefix(&self) -> &str {
        &self.web.route_prefix
    }

    /// Our own metrics.
    pub fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// Who is connected.
    pub fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }

    /// Where "now" comes from.
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    pub(crate) fn reload(&self) -> Option<&Reload> {
        self.reload.get()
    }

    /// The writer, once there is one.
    pub(crate) fn writer(&self) -> Result<&Writer, ApiError> {
        self.ready().map(|ready| &ready.writer)
    }

    /// The key of access tokens, which lies beside the log.
    pub(crate) fn secret(&self) -> Result<&Secret, ApiError> {
        self.ready().map(|ready| &ready.secret)
    }

    fn ready(&self) -> Result<&Ready, ApiError> {
        self.ready.get().ok_or_else(|| ApiError::unavailable("starting", "starting: the event log is being read"))
    }

    /// Whether the log was read, the server goes on, and the log may take more; a log that failed and may work again counts.
    pub(crate) fn readiness(&self) -> Result<(), ApiError> {
        if self.stopping.load(Ordering::Acquire) {
            return Err(ApiError::unavailable("stopping", "the server is stopping"));
        }
        match self.writer()?.health() {
            Health::Latched(_) => Err(ApiError::unavailable("latched", "the event log takes nothing more until the server is restarted")),
            Health::Ok | Health::Failing(_) => Ok(()),
        }
    }

    /// Runs work that takes a processor for a while, not more of it at once than `places` has, and off the async threads.
    pub(crate) async fn heavy<T: Send + 'static>(
        &self,
        places: &Arc<Semaphore>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let place = server::queued(tokio::time::timeout(PATIENCE, Arc::clone(places).acquire_owned())).await;
        let Ok(Ok(place)) = place else { return Err(ApiError::unavailable("busy", "busy: too many pages or queries at once")) };
        let done = self.elsewhere(move || {
            let result = work();
            drop(place);
            result
        });
        done.await
    }

    /// Memory for an answer, or for commands, which the answer holds too. While there is none, those who are slowest to read theirs
    /// are given up.
    async fn room(&self, item: Item, bytes: usize) -> Result<Lease, Full> {
        /// How often the slowest is looked for.
        const EVERY: Duration = Duration::from_millis(50);
        let mut room = pin!(self.store.account().wait_a_while(item, bytes));
        loop {
            tokio::select! {
                biased;
                room = &mut room => return room,
                _ = self.connections.give_up(Readers::OfAnswers, 1) => {}
            }
            if let Ok(room) = tokio::time::timeout(EVERY, &mut room).await {
                return room;
            }
        }
    }

    /// Answers a question about events, as [`App::heavy`], with memory for what is found, which is to be held as long as it is.
    pub(crate) async fn query<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<(T, Lease), ApiError> {
        /// What is found, and the text that is made of it.
        const ROOM_BYTES: usize = 3 * ANSWER_BYTES;
        let room = server::queued(self.room(Item::Answers, ROOM_BYTES)).await?;
        Ok((self.heavy(&self.queries, work).await?, room))
    }

    /// Parses a body of so many bytes: a small one at once, another off the async threads when it is its sender's turn. What it
    /// comes to may take `most` bytes, which are to be held until it is applied.
    pub(crate) async fn parse<T: Send + 'static>(
        &self,
        source: &Source,
        (bytes, most): (usize, usize),
        parse: impl FnOnce() -> T + Send + 'static,
    ) -> Result<(T, Lease), ApiError> {
        let most = if bytes > UNLEASED_BYTES { most } else { 0 };
        let room = server::queued(self.room(Item::Commands, most)).await?;
        if bytes <= PARSE_INLINE_BYTES {
            return Ok((parse(), room));
        }
        let place = server::queued(self.places.take(source, bytes)).await?;
        let done = self.elsewhere(move || {
            let parsed = parse();
            drop(place);
            parsed
        });
        Ok((done.await?, room))
    }

    /// Begins work off the async threads, and waits for it. When it panics that is counted, and an internal error.
    pub(crate) fn elsewhere<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = Result<T, ApiError>> {
        let done = tokio::task::spawn_blocking(work);
        async move { done.await.map_err(|_| self.panicked()) }
    }

    /// Counts that the work for a request panicked.
    pub(crate) fn panicked(&self) -> ApiError {
        self.telemetry.panics.inc();
        ApiError::internal()
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("web", &self.web).field("ready", &self.ready.get().is_some()).finish_non_exhaustive()
    }
}
