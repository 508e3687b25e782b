//! Histories in this process: the router on a real writer, on a disk in memory with small segments, with a clock that stands.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use change_events::config::File;
use change_events::config::Limits;
use change_events::event::Command;
use change_events::event::Delete;
use change_events::event::Expect;
use change_events::event::Version;
use change_events::exposition;
use change_events::exposition::Pages;
use change_events::formats::clusters::Clusters;
use change_events::http::app::App;
use change_events::http::app::Parts;
use change_events::http::app::Settings;
use change_events::http::app::WebOptions;
use change_events::http::auth::Secret;
use change_events::http::routes;
use change_events::log;
use change_events::log::faulty::Call;
use change_events::log::faulty::Fault;
use change_events::log::faulty::FaultyDisk;
use change_events::store;
use change_events::store::Store;
use change_events::telemetry::Telemetry;
use change_events::time::Clock as _;
use change_events::time::ManualClock;
use change_events::time::Timestamp;
use change_events::time::duration;
use change_events::writer;
use change_events::writer::Memory;
use change_events::writer::Running;
use change_events::writer::Writer;
use http_body_util::BodyExt as _;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

use crate::CONFIG;
use crate::RETENTION;
use crate::generate::Chance;
use crate::run::Answer;
use crate::run::Server;
use crate::steps::Request;

const LOG: log::Options = log::Options { segment_bytes: 16 << 10, frame_bytes: 16 << 20, batch_bytes: 256 << 20, hwm_bytes: 4 << 10 };

/// The settings of every server.
pub(crate) fn settings() -> Settings {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.yml");
    std::fs::write(&path, CONFIG).unwrap();
    let settings = File::load(&path).unwrap().settings(&Limits::default()).unwrap();
    Settings { default_clusters: Clusters::new(Vec::new(), Some("main")).unwrap(), ..settings }
}

/// A server without sockets and files.
pub(crate) struct Inside<'a> {
    runtime: &'a Runtime,
    settings: &'a Settings,
    clock: Arc<ManualClock>,
    disk: FaultyDisk,
    chance: Chance,
    started: Option<Started>,
}

struct Started {
    router: Router,
    writer: Writer,
    running: Running,
}

impl<'a> Inside<'a> {
    pub(crate) fn new(runtime: &'a Runtime, settings: &'a Settings) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::default()));
        let mut server = Self { runtime, settings, clock, disk: FaultyDisk::new(), chance: Chance::new(1), started: None };
        server.start("5s").unwrap();
        server
    }

    /// A server that finds these files.
    pub(crate) fn with_files(runtime: &'a Runtime, settings: &'a Settings, files: impl Iterator<Item = (String, Vec<u8>)>) -> Self {
        let mut server = Self::new(runtime, settings);
        server.stop();
        server.disk = FaultyDisk::new();
        for (name, bytes) in files {
            server.disk.change(&name, |file| *file = bytes);
        }
        server.start("5s").unwrap();
        server
    }

    fn start(&mut self, skew: &str) -> Result<(), String> {
        let telemetry = Arc::new(Telemetry::new());
        let store = store::Options { pairing_skew: duration::parse(skew).unwrap(), ..store::Options::default() };
        let pages = Pages::new(&exposition::Options::default());
        let memory = Memory { store: Arc::new(Store::new(store)), pages: Arc::new(pages) };
        let parts = Parts {
            store: Arc::clone(&memory.store),
            pages: Arc::clone(&memory.pages),
            telemetry: Arc::clone(&telemetry),
            clock: Arc::<ManualClock>::clone(&self.clock),
            storage: "/nowhere".into(),
        };
        let app = Arc::new(App::new(parts, WebOptions::default(), self.settings.clone()));
        let opened = writer::open(self.disk.clone(), LOG, &memory).map_err(|error| format!("it does not start: {error:?}"))?;
        let options = writer::Options { retention: Some(RETENTION) };
        let (writer, running) = Writer::start(opened, memory, options, Arc::<ManualClock>::clone(&self.clock), telemetry).unwrap();
        app.set_ready(writer.clone(), Secret::from_bytes([1; 32]));
        self.started = Some(Started { router: routes::router(&app), writer, running });
        Ok(())
    }

    fn stop(&mut self) {
        let Some(Started { router, writer, running }) = self.started.take() else { return };
        drop((router, writer));
        // What it still does happens to a disk that nobody reads any more.
        drop(running.join());
    }

    fn call(&mut self, method: &str, path: &str, key: Option<&str>, body: String) -> Answer {
        let mut request = axum::http::Request::builder().method(method).uri(path);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        let request = request.body(Body::from(body)).unwrap();
        let Some(started) = &self.started else { return Answer::default() };
        let router = started.router.clone();
        self.runtime.block_on(async move {
            let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
            let bytes = body.collect().await.unwrap().to_bytes();
            let etag = parts.headers.get("etag").map_or("", |etag| etag.to_str().unwrap()).to_owned();
            Answer { status: parts.status.as_u16(), etag, text: String::from_utf8(bytes.to_vec()).unwrap() }
        })
    }
}

impl Server for Inside<'_> {
    fn send(&mut self, request: &Request) -> Answer {
        self.call(request.method, &request.path, request.key.as_deref(), request.body.clone())
    }

    fn get(&mut self, path: &str) -> Answer {
        self.call("GET", path, None, String::new())
    }

    fn pages(&self) -> &'static [&'static str] {
        // The page of the default cluster by its name is without metrics of our own, which take long to write.
        &["/clusters/main/metrics", "/clusters/main/metrics?window=7d", "/clusters/c1/metrics", "/clusters/c1/metrics?window=7d"]
    }

    fn set_clock(&mut self, now: Timestamp) {
        // Time passes; a clock that is only set is not trusted by retention.
        self.clock.advance(now.since(self.clock.now()));
    }

    fn settle(&mut self) {
        // It is refused and leaves no record, and its turn comes when the writer is through with what came before.
        let nothing = Command::Delete(Delete { organization: "".into(), id: "none".into(), span: None });
        if let Some(started) = &self.started {
            drop(self.runtime.block_on(started.writer.change(nothing, Expect::Version(Version(0)))));
        }
    }

    fn kill(&mut self, crash: bool, skew: &str) -> Result<(), String> {
        let chance = &mut self.chance;
        let disk = if crash { self.disk.crash(&mut || chance.next().is_multiple_of(2)) } else { self.disk.fork() };
        self.stop();
        disk.heal();
        self.disk = disk;
        self.start(skew)
    }

    fn fail(&mut self, call: &str) {
        let call = match call {
            "write" => Call::Write,
            "sync" => Call::Sync,
            "create" => Call::Create,
            "rename" => Call::Rename,
            "remove" => Call::Remove,
            "allocate" => Call::Allocate,
            call => panic!("no call: {call}"),
        };
        self.disk.fail_next(call, if self.chance.next().is_multiple_of(2) { Fault::Before } else { Fault::Halfway });
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.stop();
    }
}
