//! The server under attack: a process of its own on loopback, with two organizations or with none, and what it takes.

use crate::http;
use std::io::BufRead as _;
use std::io::BufReader;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

const START_LIMIT: Duration = Duration::from_mins(3);
const DAY: i64 = 86_400;

/// How it is started.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) binary: PathBuf,
    pub(crate) flags: Vec<String>,
    pub(crate) tokens: bool,
    /// `limits` or other keys of the configuration file.
    pub(crate) config: String,
    /// Further organizations, each with two tokens of either kind.
    pub(crate) organizations: usize,
}

#[derive(Debug)]
pub(crate) struct Server {
    plan: Plan,
    directory: tempfile::TempDir,
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) tokens: bool,
    watch: Option<Watch>,
    is_mounted: bool,
    /// How long the last start took.
    pub(crate) ready_in: Duration,
}

/// Looks at the resident memory, many times a second.
#[derive(Debug)]
struct Watch {
    stop: Arc<AtomicBool>,
    most: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

impl Server {
    pub(crate) fn start(plan: &Plan) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let organization = |name: &str| {
            use sha2::Digest as _;
            let hash = |token: &str| hex::encode(sha2::Sha256::digest(format!("{name}-{token}")));
            let (own, beside) = (hash("token"), hash("beside"));
            let beside = format!("  - {{name: beside, sha256: {beside}, scopes: [write]}}\n");
            format!("- slug: {name}\n  tokens:\n{beside}  - {{name: bench, sha256: {own}, scopes: [write, read, telemetry]}}\n")
        };
        let organizations =
            if plan.tokens { format!("organizations:\n{}{}", organization("attacker"), organization("victim")) } else { String::new() };
        let further = |number: usize| {
            let name = format!("o{number}");
            let token = |kind: &str| {
                use sha2::Digest as _;
                format!("  - {{name: {kind}, sha256: {}, scopes: [write]}}\n", hex::encode(sha2::Sha256::digest(format!("{name}-{kind}"))))
            };
            let (one, another, refresh) = (token("other"), token("refresh"), token("another"));
            format!("{}{one}  refresh_tokens:\n{refresh}{another}", organization(&name))
        };
        let more = (0..if plan.tokens { plan.organizations } else { 0 }).map(further);
        let organizations = more.fold(organizations, |all, more| all + &more);
        std::fs::write(directory.path().join("config.yml"), format!("{organizations}{}", plan.config)).unwrap();
        std::fs::write(directory.path().join("ahead"), 0_i64.to_le_bytes()).unwrap();
        std::fs::write(directory.path().join("disk"), 0_i64.to_le_bytes()).unwrap();
        let (child, address, ready_in) = spawn(plan, directory.path());
        let mut server =
            Self { plan: plan.clone(), directory, child, address, tokens: plan.tokens, watch: None, is_mounted: false, ready_in };
        server.watch = Some(Watch::new(server.child.id()));
        server
    }

    /// The header of whoever attacks.
    pub(crate) fn attacker(&self) -> &'static str {
        if self.tokens { "Authorization: Bearer attacker-token\r\n" } else { "" }
    }

    /// The header of another sender of the same organization; without tokens nobody is another one.
    pub(crate) fn beside_attacker(&self) -> &'static str {
        if self.tokens { "Authorization: Bearer attacker-beside\r\n" } else { "" }
    }

    /// The clocks of the machine are so many days ahead from now on, as if they had passed.
    pub(crate) fn set_days_ahead(&self, days: i64) {
        self.order("ahead", days * DAY * 1_000_000_000);
    }

    /// From now on each sync takes so many milliseconds longer; with -1 it does not return, with -3 no write does.
    pub(crate) fn order_disk(&self, order: i64) {
        self.order("disk", order);
    }

    fn order(&self, file: &str, order: i64) {
        // In place: the program has the file mapped.
        let file = std::fs::OpenOptions::new().write(true).open(self.directory.path().join(file)).unwrap();
        file.write_all_at(&order.to_le_bytes(), 0).unwrap();
    }

    /// Kills it and starts it again.
    pub(crate) fn restart(&mut self) {
        self.restart_after(|_| {});
    }

    /// Starts it anew on an empty file system in memory that is mounted with these options. Says whether it could be.
    pub(crate) fn restart_on(&mut self, options: &str) -> bool {
        self.restart_after(|server| {
            std::fs::remove_dir_all(server.data()).unwrap();
            std::fs::create_dir(server.data()).unwrap();
            let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "hostile"]).arg(server.data()).status();
            server.is_mounted = mounted.is_ok_and(|status| status.success());
        });
        self.is_mounted
    }

    pub(crate) fn is_mounted(&self) -> bool {
        self.is_mounted
    }

    /// The directory of its log.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn restart_after(&mut self, between: impl FnOnce(&mut Self)) {
        let before = self.stop_watching();
        self.child.kill().ok();
        self.child.wait().unwrap();
        between(self);
        (self.child, self.address, self.ready_in) = spawn(&self.plan, self.directory.path());
        self.watch = Some(Watch::new(self.child.id()));
        if let Some(watch) = &self.watch {
            watch.most.fetch_max(before, Ordering::Relaxed);
        }
    }

    pub(crate) fn lives(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// The last lines that it wrote to its log.
    pub(crate) fn last_words(&self) -> String {
        let log = std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        log.lines().rev().take(12).map(|line| format!("    {line}\n")).collect::<Vec<_>>().into_iter().rev().collect()
    }

    /// The most that was resident, in bytes.
    pub(crate) fn most_resident(&self) -> usize {
        self.watch.as_ref().map_or(0, |watch| watch.most.load(Ordering::Relaxed))
    }

    /// What is resident now.
    pub(crate) fn resident(&self) -> usize {
        resident(self.child.id())
    }

    /// What it took of the processors since it started.
    pub(crate) fn processor_time(&self) -> Duration {
        processor_time(&self.process().to_string())
    }

    /// The number of its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// One of its own metrics, as the page says it.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let path = "/metrics?match[]=%7B__name__%3D%22change_events_x%22%7D";
        let page = http::get(self.address, path, self.attacker(), Duration::from_mins(1)).ok()?;
        page.text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
    }

    fn stop_watching(&mut self) -> usize {
        let Some(watch) = self.watch.take() else { return 0 };
        watch.stop.store(true, Ordering::Relaxed);
        watch.thread.join().unwrap();
        watch.most.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop_watching();
        self.child.kill().ok();
        self.child.wait().ok();
        if self.is_mounted {
            Command::new("umount").arg("-l").arg(self.data()).status().ok();
        }
    }
}

impl Watch {
    fn new(process: u32) -> Self {
        let (stop, most) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, seen) = (Arc::clone(&stop), Arc::clone(&most));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                seen.fetch_max(resident(process), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Self { stop, most, thread }
    }
}

fn resident(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok()).unwrap_or(0) * 1024
}

/// What a process took of the processors, its children apart; `self` is this one.
pub(crate) fn processor_time(process: &str) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
}

fn spawn(plan: &Plan, directory: &Path) -> (Child, SocketAddr, Duration) {
    let begun = Instant::now();
    let mut command = Command::new(&plan.binary);
    command.arg("serve").arg("--web.listen-address=127.0.0.1:0").args(&plan.flags);
    command.arg(format!("--storage.path={}", directory.join("data").display()));
    command.arg(format!("--config.file={}", directory.join("config.yml").display()));
    if let Some(libraries) = obeying() {
        command.env("LD_PRELOAD", libraries).env("CLOCK_AHEAD", directory.join("ahead")).env("DISK_OBEYS", directory.join("disk"));
    }
    let log = std::fs::File::create(directory.join("log")).unwrap();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let address = lines.find_map(|line| line.strip_prefix("listening on http://")?.parse().ok()).expect("it listens");
    // What it prints later has to go somewhere.
    std::thread::spawn(move || lines.for_each(drop));
    while http::get(address, "/-/ready", "", START_LIMIT).map_or(0, |answer| answer.status) != 200 {
        assert!(begun.elapsed() < START_LIMIT, "it is not ready");
        std::thread::sleep(Duration::from_millis(5));
    }
    (child, address, begun.elapsed())
}

/// The libraries that turn the clock and hold the disk, built on first use; none where there is no compiler.
fn obeying() -> Option<String> {
    static BUILT: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let build = |name: &str, source: &str| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
        let library = std::env::temp_dir().join(format!("change-events-{name}-{}.so", std::process::id()));
        let status = Command::new("cc").args(["-O2", "-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl").status();
        status.is_ok_and(|status| status.success()).then(|| library.display().to_string())
    };
    let both = || Some(format!("{}:{}", build("clock", "benches/hostile/clock.c")?, build("disk", "tests/support/disk.c")?));
    BUILT.get_or_init(both).clone()
}
