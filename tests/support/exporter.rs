//! The exporter itself: the binary under test, started as a user starts it.

use std::path::Path;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::http::{self, Answer};
use super::process::Process;

const START_LIMIT: Duration = Duration::from_mins(1);
const STOP_LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Exporter {
    /// `http://127.0.0.1:PORT`, the same over all restarts.
    pub(crate) url: String,
    process: Process,
    arguments: Vec<String>,
    environment: Vec<(&'static str, PathBuf)>,
    directory: TempDir,
    /// Where its log is.
    data: PathBuf,
}

/// The binary under test: the release build that `tests/run` makes, else the one of this test's own profile.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("CHANGE_EVENTS_BINARY").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_change-events")), PathBuf::from)
}

impl Exporter {
    /// Starts `change-events serve` on a free port with an empty data directory.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_as(arguments, &[], None)
    }

    /// The same with more in its environment.
    pub(crate) fn start_with(arguments: &[&str], environment: &[(&'static str, PathBuf)]) -> Self {
        Self::start_as(arguments, environment, None)
    }

    /// The same with this data directory.
    pub(crate) fn start_at(data: &Path, arguments: &[&str]) -> Self {
        Self::start_as(arguments, &[], Some(data.to_owned()))
    }

    fn start_as(arguments: &[&str], environment: &[(&'static str, PathBuf)], data: Option<PathBuf>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = data.unwrap_or_else(|| directory.path().join("data"));
        let arguments: Vec<_> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let (process, url) = serve(&directory, &data, "127.0.0.1:0", &arguments, environment);
        Self { url, process, arguments, environment: environment.to_vec(), directory, data }
    }

    /// `HOST:PORT`, as a scrape target.
    pub(crate) fn target(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// SIGKILL, as a power cut takes the process; the data directory stays.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGTERM, and the exit status.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.process.terminate(STOP_LIMIT)
    }

    /// Starts again after [`Self::kill`] or [`Self::terminate`]: same data, same port.
    pub(crate) fn start_again(&mut self) {
        let address = self.target().to_owned();
        let (process, url) = serve(&self.directory, &self.data, &address, &self.arguments, &self.environment);
        assert_eq!(url, self.url, "the exporter came back elsewhere");
        self.process = process;
    }

    /// Sends change events to the Last9 endpoint.
    pub(crate) fn send(&self, events: &Value) -> Option<Answer> {
        let url = format!("{}/api/v4/organizations/acme/change_events", self.url);
        http::put(&url, "application/json", events.to_string().as_bytes())
    }

    /// Sends change events that must all be taken.
    pub(crate) fn put(&self, events: &Value) -> Value {
        let answer = self.send(events).expect("the exporter answers a PUT");
        assert_eq!(answer.status, 200, "{events} was answered {}", answer.text);
        answer.json()
    }

    /// What a scraper sees, without its path's leading `/`: `metrics`, `metrics?window=7d` …
    pub(crate) fn page(&self, path: &str) -> String {
        let answer = http::get(&format!("{}/{path}", self.url)).expect("the exporter answers a scrape");
        assert_eq!(answer.status, 200, "{path} was answered {}", answer.text);
        answer.text
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn log(&self) -> String {
        self.process.log()
    }
}

fn serve(
    directory: &TempDir,
    data: &Path,
    address: &str,
    arguments: &[String],
    environment: &[(&'static str, PathBuf)],
) -> (Process, String) {
    let mut command = Command::new(binary());
    command.arg("serve").arg(format!("--storage.path={}", data.display())).arg(format!("--web.listen-address={address}")).args(arguments);
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    let log_path = directory.path().join("log");
    let before = std::fs::read(&log_path).map_or(0, |log| log.len());
    let mut process = Process::spawn(command, &log_path);
    let url = process.ready(START_LIMIT, |process| listening(process.log().get(before..)?));
    process.ready(START_LIMIT, |_| http::is_ok(&format!("{url}/-/ready")).then_some(()));
    (process, url)
}

/// The address in the line `listening on http://HOST:PORT`.
fn listening(log: &str) -> Option<String> {
    let (_, after) = log.split_once("listening on ")?;
    let (address, _) = after.split_once(char::is_whitespace)?;
    Some(address.to_owned())
}
