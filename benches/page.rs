//! A page of 100 k series: as text, compressed for the first time, again unchanged, and after a hundredth of it changed.
//!
//! `cargo bench --bench page`; prints figures, asserts nothing. `docs/figures.md` has the machine's.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    clippy::pedantic,
    reason = "a bench program"
)]

use change_events::event::Command;
use change_events::event::Edge;
use change_events::event::EdgeState;
use change_events::event::Identity;
use change_events::exposition::Format;
use change_events::exposition::Options;
use change_events::exposition::PageRequest;
use change_events::exposition::Pages;
use change_events::labels::LabelSet;
use change_events::store;
use change_events::store::Applied;
use change_events::store::Arrival;
use change_events::store::ClusterId;
use change_events::store::Store;
use change_events::threads::Helpers;
use change_events::time::Timestamp;
use std::time::Duration;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SERIES: usize = 100_000;
const NOW: i64 = 1_790_000_000_000;

struct World {
    store: Store,
    pages: Pages,
    applied: Duration,
    /// Of the last record.
    position: u64,
}

impl World {
    fn new() -> Self {
        let store = Store::new(store::Options { open_events_max: usize::MAX, ..store::Options::default() });
        let pages = Pages::new(&Options { max_samples: SERIES, helpers: Helpers::usual(), ..Options::default() });
        Self { store, pages, applied: Duration::ZERO, position: 0 }
    }

    fn put(&mut self, now: i64, edge: Edge) {
        self.position += 1;
        let arrival = Arrival { position: self.position, received: Timestamp::from_millis(now) };
        if let Applied::Edge(applied) = self.store.apply_record(arrival, &Command::Edge(edge)) {
            let begun = Instant::now();
            self.pages.apply(Timestamp::from_millis(now), &applied);
            self.applied += begun.elapsed();
        }
    }

    /// How long it takes to make a page and all of its bytes, and how many those are.
    fn render(&self, format: Format, gzip: bool, now: i64) -> (f64, usize) {
        let tenant = self.store.tenant("").unwrap();
        let request = PageRequest { format, gzip, window: None, keep: None, selectors: Vec::new() };
        let own = "change_events_something_total{kind=\"one\"} 12345\n".repeat(200);
        let begun = Instant::now();
        let page = self.pages.render(Some(&tenant), ClusterId(0), &request, &own, Timestamp::from_millis(now)).unwrap();
        let size = page.body.map(|piece| std::hint::black_box(piece).len()).sum();
        (begun.elapsed().as_secs_f64() * 1000.0, size)
    }
}

/// An edge with seven labels, its state among them, and one of them its own.
fn edge(number: usize, state: EdgeState, at: i64) -> Edge {
    let id = format!("{:016x}-{number:07}", (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let (service, team, version) =
        (format!("service-{}", number % 200), format!("team-{}", number % 17), format!("v1.{}.{}", number % 40, number % 9));
    let labels = [
        ("deployment_environment", ["production", "staging", "dev"][number % 3]),
        ("entity_id", id.as_str()),
        ("event_name", "deployment"),
        ("service_name", service.as_str()),
        ("team", team.as_str()),
        ("version", version.as_str()),
    ];
    Edge::new(
        state,
        Timestamp::from_millis(at),
        Identity::of(["entity_id", "deployment", id.as_str()]),
        LabelSet::from_sorted(labels).unwrap(),
    )
}

/// Runs it some times and prints the median, and the best where other programs use the machine too.
fn report(what: &str, runs: usize, mut run: impl FnMut() -> (f64, usize)) {
    let mut millis = Vec::new();
    let mut size = 0.0;
    for _ in 0..runs {
        let (took, bytes) = run();
        size = bytes as f64;
        millis.push(took);
        // Between scrapes the allocator gives memory back.
        std::thread::sleep(Duration::from_millis(30));
    }
    millis.sort_by(f64::total_cmp);
    let (median, best) = (millis[runs / 2], millis[0]);
    println!("  {what:<36} {median:8.2} ms, best {best:8.2} ms; {:5.1} MB, {:5.2} GB/s", size / 1e6, size / median / 1e6);
}

fn measure(name: &str, state: EdgeState) {
    let filled = || {
        let mut world = World::new();
        for number in 0..SERIES {
            world.put(NOW, edge(number, state, NOW));
        }
        world
    };
    let mut world = filled();
    println!("{name}: {SERIES} series; apply {:.0} ns per sample", world.applied.as_secs_f64() * 1e9 / SERIES as f64);
    report("text, first render", 1, || world.render(Format::Text004, false, NOW));
    report("text, again", 9, || world.render(Format::Text004, false, NOW));
    report("gzip, first render", 7, || {
        world = filled();
        world.render(Format::OpenMetrics100, true, NOW)
    });
    report("gzip, again", 21, || world.render(Format::OpenMetrics100, true, NOW));
    let mut now = NOW;
    let mut changed = |what: &str, pick: &dyn Fn(usize, usize) -> usize| {
        let mut round = 0;
        report(what, 5, || {
            now += 140_000;
            round += 1;
            for number in 0..SERIES / 100 {
                world.put(now, edge(pick(number, round), state, now));
            }
            world.render(Format::OpenMetrics100, true, now)
        });
    };
    changed("gzip, 1 % of them new", &|number, round| SERIES * round + number);
    changed("gzip, 1 % of them again, scattered", &|number, round| number * 100 + round * 7);
    let begun = Instant::now();
    let stats = world.pages.stats(Timestamp::from_millis(now + 1));
    println!("  stats: {} shown, {:.2} ms", stats.shown, begun.elapsed().as_secs_f64() * 1000.0);
}

fn main() {
    measure("points", EdgeState::Point);
    measure("starts, all open", EdgeState::Start);
}
