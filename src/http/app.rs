//! What every handler shares: the parts of the program, and the settings that a reload replaces.

use std::collections::HashMap;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use axum::http::Extensions;
use axum::http::StatusCode;
use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;

use crate::account::Full;
use crate::account::Item;
use crate::account::Lease;
use crate::account::Taker;
use crate::event::record::Earlier;
use crate::exposition::Pages;
use crate::http::auth::Access;
use crate::http::auth::AuthError;
use crate::http::auth::Secret;
use crate::http::auth::wrong::Outcome;
use crate::http::auth::wrong::WrongTokens;
use crate::http::body;
use crate::http::body::Limits;
use crate::http::body::budget::Budget;
use crate::http::error::ApiError;
use crate::http::hosts::Hosts;
use crate::http::places;
use crate::http::places::Places;
use crate::http::refusals;
use crate::http::seats::Crowded;
use crate::http::seats::Seat;
use crate::http::seats::Seats;
use crate::http::server;
use crate::http::server::Connections;
use crate::http::server::Peer;
use crate::http::server::Readers;
use crate::http::threads::Team;
use crate::http::threads::Threads;
use crate::http::turns::Turns;
use crate::mapping::Context;
use crate::mapping::Mapping;
use crate::mapping::clusters::Clusters;
use crate::store::ANSWER_BYTES;
use crate::store::Effort;
use crate::store::Store;
use crate::store::TooMuch;
use crate::store::selector::Patterns;
use crate::telemetry::Telemetry;
use crate::threads::Workers;
use crate::time::Clock;
use crate::time::Timestamp;
use crate::writer::Health;
use crate::writer::Source;
use crate::writer::Writer;

/// Most questions of one organization, or of one address where there are none, that wait.
const QUESTIONS_WAITING_MAX: usize = 64;
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
    /// What single doors are told, each by a type of its own.
    pub doors: Extensions,
}

impl Settings {
    /// The clusters that an organization may name.
    pub fn clusters(&self, organization: &str) -> &Clusters {
        self.clusters.get(organization).unwrap_or(&self.default_clusters)
    }

    /// What an event of this organization is read in.
    pub(crate) fn context(&self, organization: &Arc<str>, now: Timestamp) -> Context<'_> {
        let (mapping, clusters) = (&self.mapping, self.clusters(organization));
        Context { organization: Arc::clone(organization), now, mapping, clusters, earlier: Earlier::default() }
    }
}

/// Where things are served, settled at the start.
#[derive(Clone, Debug)]
pub struct WebOptions {
    /// Before every path: empty, or `/` and more, without a `/` at its end (`--web.route-prefix`).
    pub route_prefix: String,
    /// The path of the page with our own metrics (`--web.telemetry-path`).
    pub telemetry_path: String,
    /// The URL under which others reach this server, for links, without a `/` at its end (`--web.external-url`).
    pub external_url: Option<String>,
    /// The names by which it may be asked for while it asks for no token; none: by any, since other machines reach it.
    pub hosts: Option<Hosts>,
}

impl Default for WebOptions {
    fn default() -> Self {
        Self { route_prefix: String::new(), telemetry_path: "/metrics".to_owned(), external_url: None, hosts: None }
    }
}

impl WebOptions {
    /// What stands before every path where others see it: the path of the external URL, or else the prefix that is served.
    pub fn link_prefix(&self) -> &str {
        let Some(url) = &self.external_url else { return &self.route_prefix };
        let after_scheme = url.split_once("://").map_or(&**url, |(_, rest)| rest);
        after_scheme.find('/').and_then(|start| after_scheme.get(start..)).unwrap_or_default()
    }

    /// The path of a request, as others see it.
    pub fn link(&self, path: &str) -> String {
        format!("{}{}", self.link_prefix(), path.strip_prefix(&*self.route_prefix).unwrap_or(path))
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
    /// For pages that are shared.
    pub(crate) renders: Team,
    /// For questions about events, and pages of one's own.
    pub(crate) questions: Team,
    /// For single events.
    pub(crate) lookups: Team,
    operations: Workers,
    /// Expressions of selectors, compiled.
    pub(crate) patterns: Patterns,
    /// For inflating and parsing what is larger than a buffer, and for the commands of streams until they are written.
    pub(crate) places: Places,
    /// Whose answers can be given up when there is no memory for those of others.
    pub(crate) connections: Arc<Connections>,
    /// Whose turn it is to change a whole event, by its organization and id.
    pub(crate) turns: Turns,
    /// Whose turn it is to look for an event, by its organization and name, and to change what was found.
    pub(crate) searches: Turns,
    wrong_tokens: WrongTokens,
    settings: RwLock<Arc<Settings>>,
    ready: OnceLock<Ready>,
    reload: OnceLock<Reload>,
    stopping: CancellationToken,
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
    /// Who does what takes long.
    pub threads: Threads,
}

impl App {
    /// An app that is not ready yet: see [`App::set_ready`].
    pub fn new(parts: Parts, web: WebOptions, settings: Settings) -> Self {
        let Parts { store, pages, telemetry, clock, threads } = parts;
        let places = 2 + 2 * std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            // Of these each connection has one at most.
            renders: Team::new(threads.pages, usize::MAX),
            questions: Team::new(threads.questions, QUESTIONS_WAITING_MAX),
            lookups: Team::new(threads.lookups, usize::MAX),
            operations: threads.operations,
            patterns: Patterns::default(),
            places: Places::new(places, threads.bodies, Arc::clone(&telemetry)),
            connections: Arc::default(),
            turns: Turns::default(),
            searches: Turns::default(),
            wrong_tokens: WrongTokens::default(),
            settings: RwLock::new(Arc::new(settings)),
            ready: OnceLock::new(),
            reload: OnceLock::new(),
            stopping: CancellationToken::new(),
            web,
            store,
            pages,
            telemetry,
            clock,
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

    /// Cancelled when the server is about to stop: what would go on for long ends then.
    pub fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// The server is about to stop: it is no longer ready.
    pub fn set_stopping(&self) {
        self.stopping.cancel();
    }

    /// Replaces the settings for every request that comes from now on.
    pub fn set_settings(&self, settings: Settings) {
        // It may be large, so it ends when nobody waits for the lock any more.
        let _replaced = std::mem::replace(&mut *self.settings.write(), Arc::new(settings));
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

    /// What to answer to whom is not let in. An address that sends too many wrong tokens is told to wait, after a while in which
    /// its connection asks nothing else.
    pub(crate) async fn refuse(&self, error: AuthError, sender: Option<&Peer>) -> ApiError {
        /// How long that is at least, and twice that at most, not the same for all connections, so that they do not come at once.
        const PAUSE: Duration = Duration::from_millis(500);
        const PAUSES: u32 = 16;
        if !error.is_wrong_token() {
            return error.into();
        }
        let (address, connection) = sender.map(|Peer(peer)| (Arc::clone(&peer.address), peer.number)).unwrap_or_default();
        let outcome = self.wrong_tokens.count(&address, self.clock.read().steady);
        self.telemetry.wrong_tokens.get_or_create(&[("outcome", outcome.label())]).inc();
        match outcome {
            Outcome::Refused => error.into(),
            Outcome::Throttled(wait) => {
                if let Some(Peer(peer)) = sender {
                    peer.is_let_wait();
                }
                let place = u32::try_from(connection % u64::from(PAUSES)).unwrap_or_default();
                tokio::time::sleep(PAUSE + PAUSE * place / PAUSES).await;
                ApiError::wrong_tokens(wait)
            }
        }
    }

    fn ready(&self) -> Result<&Ready, ApiError> {
        self.ready.get().ok_or_else(|| ApiError::unavailable("starting", "starting: the event log is being read"))
    }

    /// The writer, if what is handed to it now would be queued: a body that will be refused does not have to be read.
    pub(crate) fn taking(&self) -> Result<&Writer, ApiError> {
        let writer = self.writer()?;
        writer.takes().map_err(|error| refusals::unavailable(&error))?;
        Ok(writer)
    }

    /// Whether the log was read, the server goes on, and the log may take more and does not wait for its disk; a log that failed
    /// and may work again counts.
    pub(crate) fn readiness(&self) -> Result<(), ApiError> {
        if self.stopping.is_cancelled() {
            return Err(ApiError::unavailable("stopping", "the server is stopping"));
        }
        let writer = self.writer()?;
        if let Some(stalled) = writer.stalled() {
            let message = format!("the event log has been waiting for its disk for {} s", stalled.as_secs());
            return Err(ApiError::unavailable("disk", message));
        }
        match writer.health() {
            Health::Latched(_) => Err(ApiError::unavailable("latched", "the event log takes nothing more until the server is restarted")),
            Health::Ok | Health::Failing(_) => Ok(()),
        }
    }

    /// Runs work that takes a processor for a while, on a thread of `team`, when there is a seat for whoever asks.
    pub(crate) async fn heavy<T: Send + 'static>(
        &self,
        team: &Team,
        source: &Source,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let seat = self.seat(&team.seats, source).await?;
        let done = places::on(&team.workers, &self.telemetry, move || {
            let result = work();
            drop(seat);
            result
        });
        done.await
    }

    /// Memory for an answer, or for commands, which the answer holds too. While there is none, those who are slowest to read theirs
    /// are given up.
    async fn room(&self, item: Item, taker: Taker, bytes: usize) -> Result<Lease, Full> {
        /// How often the slowest is looked for.
        const EVERY: Duration = Duration::from_millis(50);
        let account = self.store.account();
        let mut room = account.open_for(item, taker);
        if bytes > 0 {
            let mut growing = pin!(room.wait_to_grow(bytes));
            loop {
                if let Ok(grown) = tokio::time::timeout(EVERY, &mut growing).await {
                    grown?;
                    break;
                }
                // Where only what its organization may have is taken, nobody else's is given up.
                let whose = (!account.is_taken(item, bytes)).then_some(taker.organization);
                self.connections.give_up(Readers::OfAnswers(whose), 1).await;
            }
        }
        Ok(room)
    }

    async fn seat(&self, seats: &Seats, source: &Source) -> Result<Seat, ApiError> {
        match server::queued(tokio::time::timeout(PATIENCE, seats.take(source))).await {
            Ok(Ok(seat)) => Ok(seat),
            Ok(Err(Crowded(waiting))) => {
                self.refused_question("waiting");
                let message = format!(
                    "{waiting} questions of the same organization or address wait already: ask fewer at the same time, and each of a shorter time or with a selector or tag that fewer events have"
                );
                Err(ApiError::too_many("busy", message))
            }
            Err(_) => {
                self.refused_question("patience");
                Err(ApiError::unavailable("busy", "busy: too many pages or queries at once"))
            }
        }
    }

    /// Answers a question about events, as [`App::heavy`], with memory for what is found, which is to be held as long as it is.
    /// What it takes is counted; see [`App::too_much`].
    pub(crate) async fn query<T: Send + 'static>(
        &self,
        source: Source,
        work: impl FnOnce(&Effort) -> T + Send + 'static,
    ) -> Result<(T, Lease), ApiError> {
        /// What is found, and the text that is made of it.
        const ROOM_BYTES: usize = 3 * ANSWER_BYTES;
        let mut seat = self.seat(&self.questions.seats, &source).await?;
        let mut room = self.store.account().open_for(Item::Answers, source.taker());
        if !room.grow_if_there(ROOM_BYTES) {
            // Who waits for memory keeps no other question waiting.
            drop(seat);
            room = server::queued(self.room(Item::Answers, source.taker(), ROOM_BYTES)).await?;
            seat = self.seat(&self.questions.seats, &source).await?;
        }
        let done = places::on(&self.questions.workers, &self.telemetry, move || {
            let result = work(&Effort::default());
            drop(seat);
            result
        });
        Ok((done.await?, room))
    }

    /// Refuses a question that takes more steps than one may.
    pub(crate) fn too_much(&self, error: TooMuch, instead: &str) -> ApiError {
        self.refused_question("steps");
        ApiError::too_much(format!("too much to look at: {error}; {instead}"))
    }

    /// Counts a question that was refused for its selectors, if they are the reason.
    pub(crate) fn note_price(&self, error: &ApiError) {
        if error.status == StatusCode::UNPROCESSABLE_ENTITY {
            self.refused_question("price");
        }
    }

    /// Counts that a question was refused.
    pub(crate) fn refused_question(&self, reason: &'static str) {
        self.telemetry.questions_refused.get_or_create(&[("reason", reason)]).inc();
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
        let room = server::queued(self.room(Item::Commands, source.taker(), most)).await?;
        if bytes <= PARSE_INLINE_BYTES {
            return Ok((parse(), room));
        }
        Ok((self.places.take_for(source, bytes, parse).await?, room))
    }

    /// Runs what concerns the server itself, off the async threads.
    pub(crate) async fn operate<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
        places::on(&self.operations, &self.telemetry, work).await
    }

    /// What the body of a request by `source` is read with.
    pub(crate) fn bodies_of(&self, source: Source) -> body::Shared {
        let budget = Budget::new(self.store.account().clone(), source.taker());
        body::Shared { budget, places: self.places.clone(), source }
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
