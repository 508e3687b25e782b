//! The state is the fold of the log: whatever was sent, however late, often or out of order, a reader sees the same before
//! and after the process is killed, and after retention ran, and nothing comes back that was deleted or forgotten.
//!
//! Histories are made from seeds and are the same on every machine; `CHANGE_EVENTS_SEED` is the first one and
//! `CHANGE_EVENTS_HISTORIES` how many. 2000 are played in this process (100 000 with `CHANGE_EVENTS_FULL=1`).
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a helper that fails fails its test")]
#![expect(clippy::print_stderr, reason = "a test says what it found")]

mod earlier;
mod generate;
#[path = "../support/mod.rs"]
mod harness;
mod inside;
mod look;
mod named;
mod outside;
mod run;
mod shrink;
mod steps;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::LazyLock;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Instant;

use change_events::http::app::Settings;
use inside::Inside;
use look::Difference;
use outside::Outside;
use steps::Step;
use tokio::runtime::Runtime;

/// What every server is configured with.
const PAIRING: &str = "pairing:\n- event: deploy\n  labels: [v]\n  supersede: [svc]\n";
/// What those of histories are configured with as well: an organization's token is its name behind `token-of-`.
const ORGANIZATIONS: &str = "organizations:
- slug: acme
  default_cluster: main
  tokens: [{name: t, sha256: 80f196a8c8fcbdecce7c3c1d44bcd50539617f29e98e5162ca24f75c693e1936, scopes: [read, write]}]
- slug: b
  default_cluster: main
  tokens: [{name: t, sha256: 97d613fbd4a6484c6567d2d2b495af817b3264c37dfe02a641449b2b351d5e1f, scopes: [read, write]}]
";
/// Failing histories that are made short and printed, unless `CHANGE_EVENTS_SHRUNK` says otherwise.
const SHRUNK: u64 = 5;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|number| number.parse().unwrap())
}

fn count(few: u64, full: u64) -> u64 {
    let usual = if std::env::var_os("CHANGE_EVENTS_FULL").is_some() { full } else { few };
    variable("CHANGE_EVENTS_HISTORIES").unwrap_or(usual)
}

fn first_seed() -> u64 {
    variable("CHANGE_EVENTS_SEED").unwrap_or(0)
}

fn config() -> String {
    [PAIRING, ORGANIZATIONS].concat()
}

/// Runs with what the servers of this thread share.
fn on_this_thread<T>(run: impl FnOnce(&Runtime, &Settings) -> T) -> T {
    static SETTINGS: LazyLock<Settings> = LazyLock::new(|| inside::settings(&config()));
    thread_local! {
        static RUNTIME: Runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    }
    RUNTIME.with(|runtime| run(runtime, &SETTINGS))
}

/// Plays a history inside this process.
fn play_inside(steps: &[Step]) -> Result<(), Difference> {
    on_this_thread(|runtime, settings| run::play(steps, &mut Inside::new(runtime, settings)).map(drop))
}

/// Plays the histories of `seeds` on all processors; those that fail.
fn failing(count: u64, play: &(dyn Fn(&[Step]) -> Result<(), Difference> + Sync)) -> BTreeMap<u64, Difference> {
    let next = AtomicU64::new(0);
    let found = Mutex::<BTreeMap<u64, Difference>>::default();
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get().min(8));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < count) {
                    let seed = first_seed() + seed;
                    if let Err(difference) = play(&generate::history(seed)) {
                        found.lock().unwrap().insert(seed, difference);
                    }
                }
            });
        }
    });
    found.into_inner().unwrap()
}

/// Fails with the shortest forms of the failing histories, if there are any.
fn check_all(count: u64, play: &(dyn Fn(&[Step]) -> Result<(), Difference> + Sync)) {
    let begun = Instant::now();
    let found = failing(count, play);
    eprintln!("{count} histories played in {:.1} s, {} failed", begun.elapsed().as_secs_f64(), found.len());
    if found.is_empty() {
        return;
    }
    let shrunk = variable("CHANGE_EVENTS_SHRUNK").unwrap_or(SHRUNK);
    let mut kinds = BTreeMap::<String, usize>::new();
    for difference in found.values() {
        *kinds.entry(format!("{:?}", difference.kinds)).or_default() += 1;
    }
    let mut text = format!("{} of {count} histories: {kinds:?}\n", found.len());
    for (seed, difference) in found.into_iter().take(usize::try_from(shrunk).unwrap()) {
        let (steps, difference) = shrink::shrink(&generate::history(seed), difference, &mut |steps| play(steps).err());
        writeln!(text, "\n--- seed {seed}").unwrap();
        for step in &steps {
            writeln!(text, "{step}").unwrap();
        }
        writeln!(text, "{difference}").unwrap();
    }
    panic!("{text}");
}

#[test]
fn random_histories_are_the_same_after_a_restart() {
    check_all(count(2000, 100_000), &play_inside);
}

#[test]
fn random_histories_over_http_are_the_same_after_a_restart() {
    check_all(count(30, 500), &|steps| run::play(steps, &mut Outside::new()).map(drop));
}
