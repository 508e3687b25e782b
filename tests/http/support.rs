//! A server without sockets: the router on a real writer and log in a temporary directory, with a clock that tests set.

use std::sync::Arc;
use std::sync::Mutex;

use axum::Router;
use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::Method;
use axum::http::Request;
use axum::http::Response;
use change_events::account::Account;
use change_events::config::ConfigFile;
use change_events::config::Limits;
use change_events::doors;
use change_events::exposition;
use change_events::exposition::Pages;
use change_events::http::app::App;
use change_events::http::app::Parts;
use change_events::http::app::Settings;
use change_events::http::app::WebOptions;
use change_events::http::auth::Secret;
use change_events::http::router::router;
use change_events::http::threads::Threads;
use change_events::log;
use change_events::log::Disk;
use change_events::log::FsDisk;
use change_events::store;
use change_events::store::Store;
use change_events::telemetry::Telemetry;
use change_events::time::ManualClock;
use change_events::time::Timestamp;
use change_events::writer;
use change_events::writer::Memory;
use change_events::writer::Running;
use change_events::writer::Writer;
use http_body_util::BodyExt as _;
use tempfile::TempDir;
use tower::ServiceExt as _;

/// 2026-02-20T10:00:00Z.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_771_581_600_000);

/// Everything of a server but its sockets.
pub(crate) struct Server {
    pub(crate) app: Arc<App>,
    pub(crate) router: Router,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) directory: TempDir,
    pub(crate) memory: Memory,
    writer: Mutex<Option<Running>>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) async fn of(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        Self { status: parts.status.as_u16(), headers: parts.headers, bytes: body.collect().await.unwrap().to_bytes().to_vec() }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.bytes.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
}

pub(crate) fn settings(yaml: &str) -> Settings {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.yml");
    std::fs::write(&path, yaml).unwrap();
    ConfigFile::load(&path).unwrap().settings(&Limits::default()).unwrap()
}

impl Server {
    /// A ready server with this configuration file.
    pub(crate) fn new(yaml: &str) -> Self {
        let server = Self::starting(yaml, WebOptions::default());
        server.finish_start();
        server
    }

    /// A server that has not read its log yet.
    pub(crate) fn starting(yaml: &str, web: WebOptions) -> Self {
        Self::reading(tempfile::tempdir().unwrap(), Arc::new(ManualClock::at(NOW)), yaml, web)
    }

    /// The server that comes after this one: the same log and clock, everything else read again.
    pub(crate) fn restarted(self, yaml: &str) -> Self {
        let Self { app, router, clock, directory, writer, .. } = self;
        drop((app, router));
        writer.into_inner().unwrap().unwrap().join().unwrap();
        let server = Self::reading(directory, clock, yaml, WebOptions::default());
        server.finish_start();
        server
    }

    /// A ready server with this much memory.
    pub(crate) fn with_account(account: Account) -> Self {
        let store = Store::new(store::Options { account: account.clone(), ..store::Options::default() });
        let pages = Pages::new(&exposition::Options { account, ..exposition::Options::default() });
        let memory = Memory { store: Arc::new(store), pages: Arc::new(pages) };
        let (directory, clock) = (tempfile::tempdir().unwrap(), Arc::new(ManualClock::at(NOW)));
        let server = Self::with_memory(memory, directory, clock, "", WebOptions::default());
        server.finish_start();
        server
    }

    /// A ready server whose store has these bounds.
    pub(crate) fn with_store(options: store::Options, yaml: &str) -> Self {
        let (store, pages) = (Store::new(options), Pages::new(&exposition::Options::default()));
        let memory = Memory { store: Arc::new(store), pages: Arc::new(pages) };
        let (directory, clock) = (tempfile::tempdir().unwrap(), Arc::new(ManualClock::at(NOW)));
        let server = Self::with_memory(memory, directory, clock, yaml, WebOptions::default());
        server.finish_start();
        server
    }

    fn reading(directory: TempDir, clock: Arc<ManualClock>, yaml: &str, web: WebOptions) -> Self {
        let (store, pages) = (Store::new(store::Options::default()), Pages::new(&exposition::Options::default()));
        Self::with_memory(Memory { store: Arc::new(store), pages: Arc::new(pages) }, directory, clock, yaml, web)
    }

    fn with_memory(memory: Memory, directory: TempDir, clock: Arc<ManualClock>, yaml: &str, web: WebOptions) -> Self {
        let telemetry = Arc::new(Telemetry::new());
        let parts = Parts {
            store: Arc::clone(&memory.store),
            pages: Arc::clone(&memory.pages),
            telemetry: Arc::clone(&telemetry),
            clock: Arc::<ManualClock>::clone(&clock),
            threads: Threads::start().unwrap(),
        };
        let app = Arc::new(App::new(parts, web, settings(yaml)));
        let router = router(&app, doors::ALL);
        Self { app, router, clock, telemetry, directory, memory, writer: Mutex::default() }
    }

    pub(crate) fn finish_start(&self) {
        self.finish_start_on(FsDisk::open(self.directory.path()).unwrap(), log::Options::default());
    }

    /// The log is on this disk.
    pub(crate) fn finish_start_on<D: Disk + 'static>(&self, disk: D, options: log::Options)
    where
        D::File: 'static,
    {
        self.finish_start_with(disk, options, writer::Options::default());
    }

    /// The same with a writer of these options.
    pub(crate) fn finish_start_with<D: Disk + 'static>(&self, disk: D, log: log::Options, options: writer::Options)
    where
        D::File: 'static,
    {
        let opened = writer::open(disk, log, &self.memory).unwrap();
        let (writer, mut running) =
            Writer::start(opened, options, Arc::<ManualClock>::clone(&self.clock), Arc::clone(&self.telemetry), Vec::new()).unwrap();
        if let (Some(watch), Ok(_)) = (running.watch(), tokio::runtime::Handle::try_current()) {
            tokio::spawn(watch.run());
        }
        *self.writer.lock().unwrap() = Some(running);
        self.app.set_ready(writer, Secret::from_bytes([1; 32]));
    }

    pub(crate) fn store(&self) -> &Store {
        &self.memory.store
    }

    pub(crate) async fn call(&self, request: Request<Body>) -> Answer {
        Answer::of(self.router.clone().oneshot(request).await.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(request(Method::GET, path, &[], Body::empty())).await
    }

    /// Sends events for the organization `acme`.
    pub(crate) async fn put(&self, body: impl Into<Body>, headers: &[(&str, &str)]) -> Answer {
        self.call(request(Method::PUT, EVENTS, headers, body.into())).await
    }

    pub(crate) async fn put_lines(&self, body: impl Into<Body>, headers: &[(&str, &str)]) -> Answer {
        self.put(body, &[&[("content-type", "application/x-ndjson")], headers].concat()).await
    }
}

pub(crate) const EVENTS: &str = "/api/v4/organizations/acme/change_events";

pub(crate) fn request(method: Method, path: &str, headers: &[(&str, &str)], body: Body) -> Request<Body> {
    let builder = Request::builder().method(method).uri(path);
    headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value)).body(body).unwrap()
}
