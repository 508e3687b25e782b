//! Histories in this process: the router on a real writer, on a disk in memory with small segments, with a clock that stands.

use std::pin::pin;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use change_events::config::ConfigFile;
use change_events::config::Limits;
use change_events::doors;
use change_events::event::Change;
use change_events::event::Command;
use change_events::event::Delete;
use change_events::event::Expect;
use change_events::event::Version;
use change_events::event::record::Decoder;
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
use change_events::log::Frame;
use change_events::log::SegmentLog;
use change_events::log::faulty::Call;
use change_events::log::faulty::Fault;
use change_events::log::faulty::FaultyDisk;
use change_events::mapping::clusters::Clusters;
use change_events::store;
use change_events::store::Store;
use change_events::store::Tenant;
use change_events::telemetry::Telemetry;
use change_events::time::Clock;
use change_events::time::ManualClock;
use change_events::time::Reading;
use change_events::time::Timestamp;
use change_events::time::duration;
use change_events::writer;
use change_events::writer::Held;
use change_events::writer::Memory;
use change_events::writer::Running;
use change_events::writer::Source;
use change_events::writer::Writer;
use futures_util::future::join_all;
use futures_util::poll;
use http_body_util::BodyExt as _;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

use crate::generate::Chance;
use crate::run::Answer;
use crate::run::Server;
use crate::steps::Flags;
use crate::steps::Id;
use crate::steps::Match;
use crate::steps::Request;

const LOG: log::Options = log::Options { segment_bytes: 16 << 10, frame_bytes: 16 << 20, batch_bytes: 256 << 20, hwm_bytes: 4 << 10 };

/// The settings of every server.
pub(crate) fn settings(config: &str) -> Settings {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.yml");
    std::fs::write(&path, config).unwrap();
    let settings = ConfigFile::load(&path).unwrap().settings(&Limits::default()).unwrap();
    Settings { default_clusters: Clusters::new(Vec::new(), Some("main")).unwrap(), ..settings }
}

/// How often requests that are sent together are polled, so that each is before the writer.
const POLLS: usize = 16;

/// A clock that stands, and at which the writer can be held up: it reads the clock as it begins a commit.
#[derive(Debug)]
struct GatedClock {
    hands: ManualClock,
    gate: Mutex<Gate>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Gate {
    is_closed: bool,
    is_waited_at: bool,
}

impl GatedClock {
    fn new() -> Self {
        Self { hands: ManualClock::at(Timestamp::default()), gate: Mutex::default(), changed: Condvar::new() }
    }

    fn close(&self) {
        self.gate.lock().unwrap().is_closed = true;
    }

    /// Returns when the writer has come.
    fn wait(&self) {
        let gate = self.gate.lock().unwrap();
        drop(self.changed.wait_timeout_while(gate, Duration::from_secs(10), |gate| !gate.is_waited_at).unwrap());
    }

    fn open(&self) {
        *self.gate.lock().unwrap() = Gate::default();
        self.changed.notify_all();
    }
}

impl Clock for GatedClock {
    fn read(&self) -> Reading {
        if std::thread::current().name() == Some("writer") {
            let mut gate = self.gate.lock().unwrap();
            while gate.is_closed {
                gate.is_waited_at = true;
                self.changed.notify_all();
                gate = self.changed.wait(gate).unwrap();
            }
        }
        self.hands.read()
    }
}

/// More steps than retention takes here for all that is old at once.
const STEPS_OF_RETENTION: usize = 40;

/// A server without sockets and files.
pub(crate) struct Inside<'a> {
    runtime: &'a Runtime,
    settings: &'a Settings,
    clock: Arc<GatedClock>,
    disk: FaultyDisk,
    chance: Chance,
    started: Option<Started>,
}

struct Started {
    store: Arc<Store>,
    router: Router,
    writer: Writer,
    running: Running,
}

impl<'a> Inside<'a> {
    pub(crate) fn new(runtime: &'a Runtime, settings: &'a Settings) -> Self {
        let clock = Arc::new(GatedClock::new());
        let mut server = Self { runtime, settings, clock, disk: FaultyDisk::new(), chance: Chance::new(1), started: None };
        server.start(&Flags::default()).unwrap();
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
        server.start(&Flags::default()).unwrap();
        server
    }

    fn start(&mut self, flags: &Flags) -> Result<(), String> {
        let telemetry = Arc::new(Telemetry::new());
        let store = store::Options { pairing_skew: duration::parse(&flags.skew).unwrap(), ..store::Options::default() };
        let pages = Pages::new(&exposition::Options::default());
        let memory = Memory { store: Arc::new(Store::new(store)), pages: Arc::new(pages) };
        let parts = Parts {
            store: Arc::clone(&memory.store),
            pages: Arc::clone(&memory.pages),
            telemetry: Arc::clone(&telemetry),
            clock: Arc::<GatedClock>::clone(&self.clock),
            threads: Threads::start().unwrap(),
        };
        let app = Arc::new(App::new(parts, WebOptions::default(), self.settings.clone()));
        let opened = writer::open(self.disk.clone(), LOG, &memory).map_err(|error| format!("it does not start: {error:?}"))?;
        let retention = Some(duration::parse(&flags.retention).unwrap()).filter(|retention| !retention.is_zero());
        let options = writer::Options { retention, ..writer::Options::default() };
        let (writer, running) = Writer::start(opened, options, Arc::<GatedClock>::clone(&self.clock), telemetry, Vec::new()).unwrap();
        app.set_ready(writer.clone(), Secret::from_bytes([1; 32]));
        self.started = Some(Started { store: memory.store, router: router(&app, doors::ALL), writer, running });
        Ok(())
    }

    fn stop(&mut self) {
        let Some(Started { store, router, writer, running }) = self.started.take() else { return };
        drop((store, router, writer));
        // What it still does happens to a disk that nobody reads any more.
        drop(running.join());
    }

    fn call(&self, request: &Request) -> impl Future<Output = Answer> + use<> {
        let token = format!("Bearer token-of-{}", request.organization);
        let mut builder = axum::http::Request::builder().method(request.method).uri(&request.path).header("Authorization", token);
        if let Some(key) = &request.key {
            builder = builder.header("Idempotency-Key", key);
        }
        if let Some(Match::Version(version)) = &request.if_match {
            builder = builder.header("If-Match", version);
        }
        if request.is_lines {
            builder = builder.header("Content-Type", "application/x-ndjson");
        }
        let sent = builder.body(Body::from(request.body.clone())).unwrap();
        let router = self.started.as_ref().map(|started| started.router.clone());
        async move {
            let Some(router) = router else { return Answer::default() };
            let (parts, body) = router.oneshot(sent).await.unwrap().into_parts();
            let bytes = body.collect().await.unwrap().to_bytes();
            let etag = parts.headers.get("etag").map_or("", |etag| etag.to_str().unwrap()).to_owned();
            Answer { status: parts.status.as_u16(), etag, text: String::from_utf8(bytes.to_vec()).unwrap() }
        }
    }

    /// What an organization has.
    pub(crate) fn tenant(&self, organization: &str) -> Option<Arc<Tenant>> {
        self.started.as_ref()?.store.tenant(organization)
    }

    /// The records of the log, with their positions.
    pub(crate) fn records(&self) -> Vec<(u64, Command)> {
        let (mut decoder, mut records) = (Decoder::default(), Vec::new());
        let mut read = |frame: Frame| {
            records.extend(frame.records().map(|(position, bytes)| (position.0, decoder.decode(bytes).unwrap().1)));
            Ok(())
        };
        SegmentLog::open(self.disk.fork(), LOG, &mut read).unwrap();
        records
    }

    /// What is refused and leaves no record; its turn comes when the writer is through with what came before.
    fn nothing(started: &Started) -> impl Future {
        let nothing = Change::Delete(Delete { organization: "".into(), id: "none".into(), span: None });
        started.writer.change(&Source::default(), nothing, Expect::Version(Version(0)), Held::of(()))
    }
}

impl Server for Inside<'_> {
    fn send(&mut self, request: &Request) -> Answer {
        self.runtime.block_on(self.call(request))
    }

    fn send_together(&mut self, requests: &[Request]) -> Vec<Answer> {
        let Some(started) = &self.started else { return Vec::new() };
        let mut all = pin!(join_all(requests.iter().map(|request| self.call(request))));
        self.runtime.block_on(async {
            // While the writer is held up with nothing, the requests queue up behind it.
            self.clock.close();
            let mut nothing = pin!(Self::nothing(started));
            drop(poll!(&mut nothing));
            self.clock.wait();
            let mut answers = Poll::Pending;
            for _ in 0..POLLS {
                answers = poll!(&mut all);
                if answers.is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            self.clock.open();
            nothing.await;
            match answers {
                Poll::Ready(answers) => answers,
                Poll::Pending => all.await,
            }
        })
    }

    fn get(&mut self, organization: &str, path: &str) -> Answer {
        let (organization, path) = (organization.to_owned(), path.to_owned());
        self.send(&Request { organization, method: "GET", path, ..Request::default() })
    }

    fn number(&mut self, id: &Id) -> Option<u64> {
        let tenant = self.tenant(&id.organization)?;
        let event = tenant.event(&id.id)?;
        let found = tenant.event_by_number(event.number).map(|found| found.id);
        assert_eq!(found, Some(event.id), "by the number {}", event.number);
        Some(event.number)
    }

    fn pages(&self) -> &'static [&'static str] {
        // The page of the default cluster by its name is without metrics of our own, which take long to write.
        &["/clusters/main/metrics", "/clusters/main/metrics?window=7d", "/clusters/c1/metrics", "/clusters/c1/metrics?window=7d"]
    }

    fn set_clock(&mut self, now: Timestamp) {
        // Time passes; a clock that is only set is not trusted by retention.
        self.clock.hands.advance(now.since(self.clock.hands.now()));
    }

    fn settle(&mut self) {
        if let Some(started) = &self.started {
            // What is too old is forgotten in steps, one at least beside each commit, and there are not many here.
            for _ in 0..STEPS_OF_RETENTION {
                self.runtime.block_on(Self::nothing(started));
            }
        }
    }

    fn kill(&mut self, crash: bool, flags: &Flags) -> Result<(), String> {
        let chance = &mut self.chance;
        let disk = if crash { self.disk.crash(&mut || chance.next().is_multiple_of(2)) } else { self.disk.fork() };
        self.stop();
        disk.heal();
        self.disk = disk;
        self.start(flags)
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
