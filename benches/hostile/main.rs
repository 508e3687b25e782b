//! How others fare while somebody attacks: health, single puts and pages of victims in processes of their own, and what is
//! resident, lost or left behind.
//!
//! `cargo bench --bench hostile [-- [--binary PATH]... [--seconds N] [--anonymous] [part of a name]...]`; `--binary` measures another
//! build, several of them are measured beside each other. `friendly` is what it takes when nobody attacks. Prints a table, asserts
//! nothing. `docs/figures.md` has the machine's.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout, reason = "a bench program")]

mod attacks;
mod disk;
mod files;
mod friendly;
mod http;
mod http_small;
mod limits;
mod questions;
mod readers;
mod server;
mod stalls;
mod tokens;
mod victim;

use attacks::Attack;
use server::Plan;
use server::Server;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;
use victim::Victim;
use victim::Waits;
use victim::Wish;

/// How long victims are looked at without an attack.
const QUIET: Duration = Duration::from_secs(3);

struct Arguments {
    binaries: Vec<PathBuf>,
    attack: Duration,
    tokens: bool,
    names: Vec<String>,
}

impl Arguments {
    fn read() -> Self {
        let mut read = Self { binaries: Vec::new(), attack: Duration::from_secs(8), tokens: true, names: Vec::new() };
        let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
        while let Some(argument) = arguments.next() {
            match &*argument {
                "--binary" => read.binaries.push(arguments.next().unwrap().into()),
                "--seconds" => read.attack = Duration::from_secs(arguments.next().unwrap().parse().unwrap()),
                "--anonymous" => read.tokens = false,
                _ => read.names.push(argument),
            }
        }
        if read.binaries.is_empty() {
            read.binaries.push(PathBuf::from(env!("CARGO_BIN_EXE_change-events")));
        }
        read
    }
}

/// Takes `share` of a processor, or of several, until it is dropped.
struct Busy {
    stop: Arc<AtomicBool>,
}

impl Busy {
    fn new(share: f64) -> Self {
        const PERIOD: Duration = Duration::from_millis(10);
        let stop = Arc::new(AtomicBool::new(false));
        let mut left = share;
        while left > 0.05 {
            let (stop, busy) = (Arc::clone(&stop), PERIOD.mul_f64(left.min(1.0)));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    while begun.elapsed() < busy {}
                    std::thread::sleep(PERIOD.saturating_sub(begun.elapsed()));
                }
            });
            left -= 1.0;
        }
        Self { stop }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn look(server: &Server, during: impl FnOnce()) -> Vec<Waits> {
    let victims = Victim::all(server.address, server.tokens);
    during();
    victims.into_iter().map(Victim::end).collect()
}

fn run(attack: &Attack, binary: &Path, arguments: &Arguments) {
    let knows_memory = std::process::Command::new(binary)
        .args(["serve", "--help"])
        .output()
        .is_ok_and(|help| String::from_utf8_lossy(&help.stdout).contains("--limit.memory"));
    let known = |flag: &&&str| knows_memory || !flag.starts_with("--limit.memory");
    let mut flags: Vec<String> = attack.flags.iter().filter(known).map(ToString::to_string).collect();
    if knows_memory && attack.memory < usize::MAX && attack.flags.is_empty() {
        flags.push(format!("--limit.memory={}", attack.memory));
    }
    let plan = Plan {
        binary: binary.to_owned(),
        flags,
        tokens: arguments.tokens,
        config: attack.config.to_owned(),
        organizations: attack.organizations,
    };
    let mut server = Server::start(&plan);
    (attack.prepare)(&mut server);
    let is_retirement = attack.name.starts_with("retirement");
    // The first request of anybody sets a retirement off.
    let quiet = if is_retirement { Vec::new() } else { look(&server, || std::thread::sleep(QUIET)) };
    let (spent, begun) = (server::processor_time("self"), Instant::now());
    let mut came = String::new();
    let waits = look(&server, || came = (attack.run)(&server, Instant::now() + arguments.attack));
    let share = server::processor_time("self").saturating_sub(spent).as_secs_f64() / begun.elapsed().as_secs_f64();
    println!("{}: {came}", attack.name);
    if !server.lives() {
        println!("    THE SERVER DIED, {} MiB resident at most\n{}", server.most_resident() >> 20, server.last_words());
        return;
    }
    let after = look(&server, || std::thread::sleep(QUIET));
    let busy = {
        let _busy = Busy::new(share);
        look(&server, || std::thread::sleep(QUIET))
    };
    let find = |all: &[Waits], wish: Wish| {
        let waits = all.iter().find(|waits| waits.wish == wish);
        waits.map_or_else(|| "-".to_owned(), |waits| format!("{:.0}/{:.0}", millis(waits.p99()), millis(waits.worst())))
    };
    for waits in &waits {
        let wish = waits.wish;
        let failed = if waits.failed > 0 { format!(", {} of {} FAILED", waits.failed, waits.in_order.len()) } else { String::new() };
        println!(
            "    {:<10} p99/worst {} ms; before {}, after {}, beside as busy processes ({share:.1}) {}{failed}",
            wish.name(),
            find(std::slice::from_ref(waits), wish),
            find(&quiet, wish),
            find(&after, wish),
            find(&busy, wish),
        );
    }
    let limit = if attack.memory < usize::MAX { format!(" of {}", attack.memory >> 20) } else { String::new() };
    let (edges, resident) = (server.metric("change_events_store_edges"), server.resident());
    let most = server.most_resident();
    let account = server.metric("change_events_memory_bytes{item=\"events\"}");
    server.restart();
    let again = server.metric("change_events_store_edges");
    println!(
        "    resident {} MiB at most{limit}, {} then, {} after a restart that took {:.1} s; events by the account {} MiB; {}",
        most >> 20,
        resident >> 20,
        server.resident() >> 20,
        server.ready_in.as_secs_f64(),
        account.map_or(0.0, |bytes| bytes / 1_048_576.0).round(),
        if edges <= again { "nothing lost".to_owned() } else { format!("EDGES {edges:?} BEFORE, {again:?} AFTER THE RESTART") }
    );
}

fn millis(wait: Duration) -> f64 {
    wait.as_secs_f64() * 1000.0
}

fn main() {
    let first: Vec<String> = std::env::args().skip(1).collect();
    if first.first().is_some_and(|first| first == "victim") {
        return victim::suffer(&first[1..]);
    }
    let arguments = Arguments::read();
    let builds: Vec<String> = arguments.binaries.iter().map(|binary| binary.display().to_string()).collect();
    println!("{}, {}", builds.join(", then "), if arguments.tokens { "two organizations with tokens" } else { "anonymous" });
    let wants = |what: &str| arguments.names.is_empty() || arguments.names.iter().any(|name| what.contains(&**name));
    if wants("friendly") {
        friendly::compare(&arguments.binaries, arguments.tokens);
    }
    let all = attacks::ALL.iter().chain(questions::ALL).chain(readers::ALL).chain(tokens::ALL);
    let all = all.chain(disk::ALL).chain(stalls::ALL).chain(http_small::ALL).chain(limits::ALL).chain(files::ALL);
    for attack in all.filter(|attack| wants(attack.name)) {
        for binary in &arguments.binaries {
            run(attack, binary, &arguments);
        }
    }
}
