//! A page of 100 k series: as text, compressed for the first time, again unchanged, and after a hundredth of it changed.
//!
//! `cargo bench --bench page`; prints figures, asserts nothing. README's table has the machine's.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_precision_loss, clippy::pedantic, reason = "a bench program")]

use change_events::event::Command;
use change_events::event::Edge;
use change_events::event::EdgeState;
use change_events::event::Identity;
use change_events::exposition::Format;
use change_events::exposition::Options;
use change_events::exposition::Page;
use change_events::exposition::PageRequest;
use change_events::exposition::Pages;
use change_events::labels::LabelSet;
use change_events::store;
use change_events::store::Applied;
use change_events::store::ClusterId;
use change_events::store::Store;
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
}

impl World {
    fn new() -> Self {
        let store = Store::new(store::Options { open_events_max: usize::MAX, ..store::Options::default() });
        let pages = Pages::new(&Options { max_samples: SERIES, ..Options::default() });
        Self { store, pages, applied: Duration::ZERO }
    }

    fn put(&mut self, now: i64, edge: Edge) {
        if let Applied::Edge(applied) = self.store.apply(Timestamp::from_millis(now), &Command::Edge(edge), &|_, _, _| false) {
            let begun = Instant::now();
            self.pages.apply(Timestamp::from_millis(now), &applied);
            self.applied += begun.elapsed();
        }
    }

    fn render(&self, format: Format, gzip: bool, now: i64) -> (f64, Page) {
        let tenant = self.store.tenant("").unwrap();
        let request = PageRequest { format, gzip, window: None, keep: None, selectors: Vec::new() };
        let own = "change_events_something_total{kind=\"one\"} 12345\n".repeat(200);
        let begun = Instant::now();
        let page = self.pages.render(Some(&tenant), ClusterId(0), &request, &own, Timestamp::from_millis(now));
        (begun.elapsed().as_secs_f64() * 1000.0, page)
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
    Edge {
        organization: "".into(),
        cluster: "".into(),
        state,
        at: Timestamp::from_millis(at),
        value: 1.0,
        identity: Identity::of(["entity_id", "deployment", id.as_str()]),
        lapses: false,
        supersede: None,
        labels: LabelSet::from_sorted(labels).unwrap(),
        attributes: None,
    }
}

fn report(what: &str, (millis, page): &(f64, Page)) {
    let size = page.body.len() as f64;
    println!("{what:<52} {millis:8.2} ms {:7.1} MB {:6.2} GB/s", size / 1e6, size / millis / 1e6);
}

fn median(runs: usize, mut run: impl FnMut() -> (f64, Page)) -> (f64, Page) {
    let mut all: Vec<(f64, Page)> = (0..runs).map(|_| run()).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    all.swap_remove(runs / 2)
}

fn measure(name: &str, state: EdgeState) {
    let mut first_gzip = Vec::new();
    let mut world = World::new();
    for round in 0..5 {
        world = World::new();
        for number in 0..SERIES {
            world.put(NOW, edge(number, state, NOW));
        }
        if round < 4 {
            first_gzip.push(world.render(Format::OpenMetrics100, true, NOW));
        }
    }
    println!("{name}: {SERIES} series; apply {:.0} ns per sample", world.applied.as_secs_f64() * 1e9 / SERIES as f64);
    report("  text, first render", &world.render(Format::Text004, false, NOW));
    report("  text, again", &median(9, || world.render(Format::Text004, false, NOW)));
    first_gzip.sort_by(|a, b| a.0.total_cmp(&b.0));
    report("  gzip, first render (median of 4, cold)", &first_gzip[2]);
    report("  gzip, first render after text", &world.render(Format::Text004, true, NOW));
    report("  gzip, again", &median(21, || world.render(Format::Text004, true, NOW)));
    let mut now = NOW;
    let mut changed = |world: &mut World, pick: &dyn Fn(usize) -> usize| {
        median(5, || {
            now += 140_000;
            for number in 0..SERIES / 100 {
                world.put(now, edge(pick(number), state, now));
            }
            world.render(Format::Text004, true, now)
        })
    };
    report("  gzip, 1 % of them new", &changed(&mut world, &|number| SERIES + number));
    report("  gzip, 1 % of them again, scattered", &changed(&mut world, &|number| number * 100));
    let begun = Instant::now();
    let stats = world.pages.stats(Timestamp::from_millis(now + 1));
    println!("  stats: {} shown, {:.2} ms", stats.shown, begun.elapsed().as_secs_f64() * 1000.0);
}

fn cpu() -> f64 {
    std::fs::read_to_string("/proc/thread-self/schedstat").unwrap().split(' ').next().unwrap().parse::<f64>().unwrap() / 1e6
}

fn main() {
    let mut world = World::new();
    for number in 0..SERIES {
        world.put(NOW, edge(number, EdgeState::Point, NOW));
    }
    let which = std::env::var("PHASE").unwrap();
    for _ in 0..20 {
        let c = cpu();
        let (wall, _page) = match &*which {
            "text" => world.render(Format::Text004, false, NOW),
            _ => world.render(Format::Text004, true, NOW),
        };
        println!("{which} wall {wall:.2} cpu of main {:.2}", cpu() - c);
    }
}
