//! What one evaluation of each alert pattern costs: 20 000 jobs of 12 h in a real Prometheus, current and Debian's.
//!
//! `cargo bench --bench rules [NAME]...`, a NAME being a part of a data set's. Needs `tests/servers/install`. The queries are
//! those of `alerts/*.rules.yml`, and the Last9 document's own. As in a Prometheus that has run for long, the last hour is in
//! memory (scraped from a page that this program serves once), and what is older is in blocks (backfilled by promtool).
//! Prints figures, asserts nothing.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "a bench program")]

use serde_json::Value;
use std::fmt::Write as _;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Write as _;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;
use std::time::UNIX_EPOCH;
use tempfile::TempDir;

const MINUTE: i64 = 60;
const HOUR: i64 = 3600;
const SPREAD: i64 = 12 * HOUR;
const JOBS: i64 = 20_000;
/// Heartbeats are for senders that are fewer.
const BEATING: i64 = 2000;
/// What is older is in blocks. A head that is scraped takes what is up to an hour old.
const IN_MEMORY: i64 = 50 * MINUTE;
/// The gauge is written for as long back only: no rule reads more than its last 10 min.
const GAUGED: i64 = 15 * MINUTE;
/// Evaluations of each query that count; one more comes before them.
const ROUNDS: usize = 5;

/// The Last9 document's duration pattern in PromQL, where `timestamp(x[12h])` does not parse.
const DOCUMENT: &str = r#"(
  time() - max_over_time(timestamp(last9_change_events{event_name="job_lifecycle",event_state="start",state="queued"})[12h:1m])
  unless on (entity_id) last_over_time(last9_change_events{event_name="job_lifecycle",event_state="stop",state="queued"}[12h])
) > 14400"#;
const PLAIN: &str = r#"time() - last9_change_events_open_timestamp_seconds{event_name="job_lifecycle",state="queued"} > 14400"#;

#[derive(Clone, Copy)]
struct DataSet {
    name: &'static str,
    about: &'static str,
    write: fn(&mut Samples),
    queries: &'static [&'static str],
}

const STUCK: &[&str] = &["document", "plain", "stuck-open", "stuck-grouped", "stuck-duration", "stuck-duration-unless"];
const DATA_SETS: &[DataSet] = &[
    DataSet {
        name: "tenth-queued",
        about: "20 000 jobs of the last 12 h: one in ten is still queued, the others stopped within an hour",
        write: |samples| jobs(samples, |job| job % 10 == 0),
        queries: STUCK,
    },
    DataSet {
        name: "all-queued",
        about: "20 000 jobs of the last 12 h: all are still queued",
        write: |samples| jobs(samples, |_| true),
        queries: STUCK,
    },
    DataSet { name: "beating", about: "2000 jobs that beat once a minute for 5 h", write: beats, queries: &["stuck-heartbeat"] },
];

/// Lines of OpenMetrics, by where Prometheus keeps them.
struct Samples {
    /// When the rules are evaluated, in seconds since 1970.
    now: i64,
    blocks: String,
    memory: String,
}

impl Samples {
    fn push(&mut self, family: &str, labels: &str, value: i64, time: i64) {
        let place = if time < self.now - IN_MEMORY { &mut self.blocks } else { &mut self.memory };
        writeln!(place, r#"{family}{{{labels},job="change-events",instance="127.0.0.1:10555"}} {value} {time}"#).unwrap();
    }

    /// One edge as the exporter's page has it: the sample and its companion.
    fn edge(&mut self, job: i64, state: &str, time: i64) {
        let labels = format!(r#"{},event_state="{state}""#, labels(job));
        self.push("last9_change_events", &labels, 1, time);
        self.push("last9_change_events_timestamp_seconds", &labels, time, time);
    }
}

fn labels(job: i64) -> String {
    let (service, team) = (job % 50, job % 12);
    format!(
        r#"event_name="job_lifecycle",state="queued",entity_id="job-{job}",deployment_environment="production",service_name="service-{service}",team="team-{team}""#
    )
}

fn jobs(samples: &mut Samples, stays: fn(i64) -> bool) {
    let now = samples.now;
    for job in 0..JOBS {
        // A step that is coprime with their number, so that names and times are not in the same order.
        let start = now - SPREAD + (job * 7919 % JOBS) * SPREAD / JOBS;
        let stop = if stays(job) { now + 1 } else { start + MINUTE + job * 31 % (59 * MINUTE) };
        samples.edge(job, "start", start);
        if stop <= now {
            samples.edge(job, "stop", stop);
        }
        for time in (now - GAUGED..=now).step_by(60).filter(|time| (start..stop).contains(time)) {
            samples.push("last9_change_events_open_timestamp_seconds", &labels(job), start, time);
        }
    }
}

fn beats(samples: &mut Samples) {
    for job in 0..BEATING {
        for time in (samples.now - 5 * HOUR + job % MINUTE..=samples.now).step_by(60) {
            samples.edge(job, "start", time);
        }
    }
}

/// The query of a shipped rule file, or one of those that stand here for comparison.
fn query(name: &str) -> String {
    match name {
        "document" => return DOCUMENT.to_owned(),
        "plain" => return PLAIN.to_owned(),
        _ => {}
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("alerts/{name}.rules.yml"));
    let file: Value = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    file["groups"][0]["rules"][0]["expr"].as_str().unwrap().to_owned()
}

fn servers() -> PathBuf {
    std::env::var_os("CHANGE_EVENTS_SERVERS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/servers/bin"), PathBuf::from)
}

fn program(version: &str, name: &str) -> Command {
    Command::new(servers().join(version).join(name))
}

/// Answers the first scrape with the page and later ones with nothing: it is stored once, and not offered again.
fn exporter(page: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut page = page;
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = BufReader::new(stream.try_clone().unwrap()).lines();
            while request.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text; version=1.0.0\r\nConnection: close\r\n\r\n";
            writeln!(stream, "{head}{}# EOF", std::mem::take(&mut page)).unwrap();
        }
    });
    address
}

struct Server {
    child: Child,
    url: String,
    now: i64,
    _data: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Server {
    /// Returns when it holds all samples.
    fn start(version: &str, write: fn(&mut Samples)) -> Self {
        let now = i64::try_from(UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
        let mut samples = Samples { now, blocks: String::new(), memory: String::new() };
        write(&mut samples);
        let data = tempfile::tempdir().unwrap();
        let place = |name: &str| data.path().join(name);
        std::fs::write(place("samples"), samples.blocks + "# EOF\n").unwrap();
        let backfill = ["tsdb", "create-blocks-from", "openmetrics", "--quiet"];
        let made = program(version, "promtool").args(backfill).args([place("samples"), place("data")]).status().unwrap();
        assert!(made.success());
        let target = exporter(samples.memory);
        let scrape = format!("{{job_name: bench, honor_labels: true, static_configs: [{{targets: [\"{target}\"]}}]}}");
        std::fs::write(place("config"), format!("global: {{scrape_interval: 15s, scrape_timeout: 15s}}\nscrape_configs: [{scrape}]\n"))
            .unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = program(version, "prometheus")
            .arg(format!("--config.file={}", place("config").display()))
            .arg(format!("--storage.tsdb.path={}", place("data").display()))
            .arg(format!("--web.listen-address={address}"))
            // The blocks stay as they were made, whenever this runs.
            .args(["--storage.tsdb.min-block-duration=2h", "--storage.tsdb.max-block-duration=2h"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, url: format!("http://{address}"), now, _data: data };
        let began = Instant::now();
        while server.count("up == 1", None) != Some(1) {
            assert!(began.elapsed() < Duration::from_mins(1), "not ready");
            std::thread::sleep(Duration::from_millis(100));
        }
        server
    }

    fn count(&self, query: &str, time: Option<i64>) -> Option<u64> {
        let query = format!("count({query})");
        let mut request = ureq::get(format!("{}/api/v1/query", self.url)).query("query", &query);
        if let Some(time) = time {
            request = request.query("time", time.to_string());
        }
        let answer: Value = request.call().ok()?.body_mut().read_json().unwrap();
        answer["data"]["result"].get(0)?["value"][1].as_str().unwrap().parse().ok()
    }

    /// How many alerts there are, and the milliseconds that it took to find them.
    fn evaluate(&self, query: &str) -> (u64, f64) {
        // Counted for the answer: a rule that is evaluated does not write its alerts as JSON.
        let began = Instant::now();
        let alerts = self.count(query, Some(self.now)).unwrap_or(0);
        (alerts, began.elapsed().as_secs_f64() * 1000.0)
    }

    fn version(&self) -> String {
        let answer: Value = ureq::get(format!("{}/api/v1/status/buildinfo", self.url)).call().unwrap().body_mut().read_json().unwrap();
        answer["data"]["version"].as_str().unwrap().to_owned()
    }
}

/// Median of the counted evaluations, with the fastest and the slowest, in milliseconds.
struct Cost {
    alerts: u64,
    median: f64,
    fastest: f64,
    slowest: f64,
}

fn measure(server: &Server, query: &str) -> Cost {
    server.evaluate(query);
    let mut runs: Vec<_> = (0..ROUNDS).map(|_| server.evaluate(query)).collect();
    runs.sort_by(|a, b| a.1.total_cmp(&b.1));
    Cost { alerts: runs[0].0, median: runs[ROUNDS / 2].1, fastest: runs[0].1, slowest: runs[ROUNDS - 1].1 }
}

fn bench(set: DataSet) {
    println!("\n{}: {}", set.name, set.about);
    for version in ["", "debian"] {
        let server = Server::start(version, set.write);
        println!("  Prometheus {}   ms an evaluation: median, fastest to slowest of {ROUNDS}; how many times cheaper", server.version());
        let mut document = None;
        for name in set.queries {
            let cost = measure(&server, &query(name));
            document = document.or(Some(cost.median).filter(|_| *name == "document"));
            let ratio = document.map_or_else(String::new, |document| format!("{:6.1} x", document / cost.median));
            println!(
                "    {name:22} {:8.1}   {:8.1} to {:8.1} {ratio:>10}   {:6} alerts",
                cost.median, cost.fastest, cost.slowest, cost.alerts
            );
        }
    }
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let cores = std::thread::available_parallelism().unwrap();
    let about = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = about.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("unknown", |(_, model)| model);
    println!("{cores} processors ({model})");
    for set in DATA_SETS.iter().filter(|set| wanted.is_empty() || wanted.iter().any(|name| set.name.contains(name))) {
        bench(*set);
    }
}
