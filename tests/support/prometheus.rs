//! A Prometheus server: any version, plain or in agent mode.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::process::Process;
use super::query::{self, Series};
use super::{http, servers};

const START_LIMIT: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(crate) struct Prometheus {
    pub(crate) url: String,
    process: Process,
    _directory: TempDir,
}

impl Prometheus {
    /// Starts the server with this configuration, and `arguments` beyond those for its place and port; an agent is one
    /// that gets `--agent` or `--enable-feature=agent`.
    pub(crate) fn start(binary: &Path, config: &str, arguments: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), binary, config, arguments)
    }

    /// Starts the server with samples of any age and without targets: `OpenMetrics` lines, without their `# EOF`.
    pub(crate) fn backfilled(binary: &Path, samples: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("samples");
        std::fs::write(&path, format!("{samples}# EOF\n")).unwrap();
        let mut promtool = Command::new(binary.with_file_name("promtool"));
        promtool.args(["tsdb", "create-blocks-from", "openmetrics", "--quiet", "--max-block-duration=720h"]);
        let output = promtool.arg(path).arg(directory.path().join("data")).output().unwrap();
        assert!(output.status.success(), "{}", [output.stdout, output.stderr].concat().escape_ascii());
        Self::start_in(directory, binary, "scrape_configs: []", &["--storage.tsdb.retention.time=100y"])
    }

    fn start_in(directory: TempDir, binary: &Path, config: &str, arguments: &[&str]) -> Self {
        let config_path = directory.path().join("prometheus.yml");
        std::fs::write(&config_path, config).unwrap();
        let data = directory.path().join("data");
        let storage = if arguments.iter().any(|argument| argument.contains("agent")) { "agent" } else { "tsdb" };
        let url = format!("http://127.0.0.1:{}", servers::free_port());
        let mut command = Command::new(binary);
        command
            .arg(format!("--config.file={}", config_path.display()))
            .arg(format!("--storage.{storage}.path={}", data.display()))
            .arg(format!("--web.listen-address={}", url.trim_start_matches("http://")))
            .args(arguments);
        let mut process = Process::spawn(command, &directory.path().join("log"));
        let ready = format!("{url}/-/ready");
        process.ready(START_LIMIT, |_| http::is_ok(&ready).then_some(()));
        Self { url, process, _directory: directory }
    }

    pub(crate) fn instant(&self, expression: &str) -> Vec<Series> {
        query::instant(&self.url, expression, None).expect("Prometheus answers a query")
    }

    /// The value of an expression that has at most one; `None` when it has none now.
    pub(crate) fn value(&self, expression: &str) -> Option<f64> {
        let found = self.instant(expression);
        assert!(found.len() < 2, "{expression} has {} values", found.len());
        found.first().and_then(|series| series.samples.first()).map(|sample| sample.1)
    }

    /// The sum of one of the server's own metrics over its labels, 0 when it has none.
    pub(crate) fn own(&self, name: &str) -> f64 {
        let page = http::get(&format!("{}/metrics", self.url)).expect("Prometheus shows its metrics");
        http::metric(&page.text, name).unwrap_or(0.0)
    }

    pub(crate) fn log(&self) -> String {
        self.process.log()
    }

    /// Lines of the log at level warning or error, in the spelling of 2.x and of 3.x.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let marks = ["level=warn", "level=error", "level=WARN", "level=ERROR"];
        let log = self.log();
        let loud = log.lines().filter(|line| marks.iter().any(|mark| line.contains(mark)));
        loud.map(str::to_owned).collect()
    }
}
