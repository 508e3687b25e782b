//! Histories over HTTP: the release binary, killed with SIGKILL, with a clock that stands where the history says.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use change_events::time::Timestamp;
use tempfile::TempDir;
use ureq::Agent;
use ureq::http::Response;

use crate::config;
use crate::harness::exporter::binary;
use crate::harness::process::Process;
use crate::run::Answer;
use crate::run::Server;
use crate::steps::Flags;
use crate::steps::Match;
use crate::steps::Request;
use crate::steps::USUAL;
use crate::steps::moment;

const START_LIMIT: Duration = Duration::from_mins(1);
/// An event that is put again and again, for the sake of the answer.
const BARRIER: &str = r#"{"event": {"id": "barrier", "start_time": 0}}"#;

/// What turns the clock of a program.
static PRELOAD: LazyLock<(TempDir, PathBuf)> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    let library = directory.path().join("clock.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories/clock.c");
    let status = Command::new("cc").args(["-O2", "-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl").status().unwrap();
    assert!(status.success(), "cc: {status}");
    (directory, library)
});

/// The binary, on a directory of its own.
pub(crate) struct Outside {
    /// What the next start starts.
    pub(crate) binary: PathBuf,
    directory: TempDir,
    clock: File,
    agent: Agent,
    process: Option<Process>,
    url: String,
}

impl Outside {
    /// The binary under test.
    pub(crate) fn new() -> Self {
        Self::of(binary())
    }

    /// Another binary.
    pub(crate) fn of(binary: PathBuf) -> Self {
        Self::with(binary, &config())
    }

    /// With another configuration.
    pub(crate) fn with(binary: PathBuf, config: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = File::create(directory.path().join("clock")).unwrap();
        std::fs::write(directory.path().join("config.yml"), config).unwrap();
        let agent = Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(30))).build().new_agent();
        let mut server = Self { binary, directory, clock, agent, process: None, url: String::new() };
        server.set_clock(moment("0"));
        server.start(&Flags::default());
        server
    }

    /// The directory of its log.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Kills it for good.
    pub(crate) fn end(&mut self) {
        self.process = None;
    }

    fn start(&mut self, flags: &Flags) {
        let path = |name: &str| self.directory.path().join(name).display().to_string();
        let mut command = Command::new(&self.binary);
        command.args(["serve", "--web.listen-address=127.0.0.1:0"]);
        command.args([
            format!("--pairing.skew={}", flags.skew),
            format!("--storage.retention.time={}", flags.retention),
            format!("--storage.path={}", path("data")),
            format!("--config.file={}", path("config.yml")),
        ]);
        command.env("LD_PRELOAD", &PRELOAD.1).env("HISTORIES_CLOCK", path("clock"));
        let log = self.directory.path().join("log");
        drop(std::fs::remove_file(&log));
        let mut process = Process::spawn(command, &log);
        self.url = process.ready(START_LIMIT, |process| {
            let log = process.log();
            let (_, after) = log.split_once("listening on ")?;
            Some(after.split_once(char::is_whitespace)?.0.to_owned())
        });
        process.ready(START_LIMIT, |_| (self.get(USUAL, "/-/ready").status == 200).then_some(()));
        self.process = Some(process);
    }

    fn call(&self, request: &Request) -> Answer {
        let url = format!("{}{}", self.url, request.path);
        let token = format!("Bearer token-of-{}", request.organization);
        let kind = if request.is_lines { "application/x-ndjson" } else { "application/json" };
        let builder = ureq::http::Request::builder().method(request.method).uri(url);
        let mut builder = builder.header("Content-Type", kind).header("Authorization", token);
        if let Some(key) = &request.key {
            builder = builder.header("Idempotency-Key", key);
        }
        if let Some(Match::Version(version)) = &request.if_match {
            builder = builder.header("If-Match", version);
        }
        Self::answer(if request.body.is_empty() {
            self.agent.run(builder.body(()).unwrap())
        } else {
            self.agent.run(builder.body(request.body.clone()).unwrap())
        })
    }

    fn answer(response: Result<Response<ureq::Body>, ureq::Error>) -> Answer {
        let Ok(mut response) = response else { return Answer::default() };
        let etag = response.headers().get("etag").map_or("", |etag| etag.to_str().unwrap()).to_owned();
        let Ok(text) = response.body_mut().with_config().limit(1 << 30).read_to_string() else { return Answer::default() };
        Answer { status: response.status().as_u16(), etag, text }
    }
}

impl Server for Outside {
    fn send(&mut self, request: &Request) -> Answer {
        self.call(request)
    }

    fn send_together(&mut self, requests: &[Request]) -> Vec<Answer> {
        std::thread::scope(|scope| {
            let calls: Vec<_> = requests.iter().map(|request| scope.spawn(|| self.call(request))).collect();
            calls.into_iter().map(|call| call.join().unwrap()).collect()
        })
    }

    fn get(&mut self, organization: &str, path: &str) -> Answer {
        let (organization, path) = (organization.to_owned(), path.to_owned());
        self.call(&Request { organization, method: "GET", path, ..Request::default() })
    }

    fn pages(&self) -> &'static [&'static str] {
        &["/metrics", "/metrics?window=7d", "/clusters/c1/metrics", "/clusters/c1/metrics?window=7d"]
    }

    fn set_clock(&mut self, now: Timestamp) {
        // The machine was started a day before.
        let [boot, now] = [moment("-1d"), now].map(|at| at.millis() * 1_000_000);
        let bytes: Vec<u8> = [now, now - boot].iter().flat_map(|nanoseconds| nanoseconds.to_le_bytes()).collect();
        self.clock.write_all_at(&bytes, 0).unwrap();
    }

    fn settle(&mut self) {
        // That it is there already is told by the writer, which does one thing after the other. The first of these may set
        // off a retirement, which may take the event with it.
        let (organization, path) = (USUAL.to_owned(), "/api/v1/event/".to_owned());
        let put = Request { organization, method: "PUT", path, body: BARRIER.to_owned(), ..Request::default() };
        let mut refusals = 0;
        for _ in 0..10 {
            refusals += usize::from(self.send(&put).status == 400);
            if refusals == 2 {
                return;
            }
        }
    }

    fn kill(&mut self, _crash: bool, flags: &Flags) -> Result<(), String> {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
        self.start(flags);
        Ok(())
    }

    fn fail(&mut self, _call: &str) {}
}
