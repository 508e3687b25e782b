//! Memory per event and selector latency at 1 M events, and how put and query change as the store grows.
//!
//! `cargo bench --bench memory`, or with ` -- runs` how fast runs of edges go in, and with ` -- account` what the store says that
//! it takes beside what it does; prints figures, asserts nothing. `docs/figures.md` has the machine's.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap,
    reason = "a bench program"
)]

use change_events::event::Command;
use change_events::event::Edge;
use change_events::event::EdgeState;
use change_events::event::Identity;
use change_events::labels::LabelSet;
use change_events::store::Arrival;
use change_events::store::Options;
use change_events::store::Query;
use change_events::store::Store;
use change_events::store::selector;
use change_events::time::Timestamp;
use std::time::Duration;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EVENTS: usize = 1_000_000;
/// As many edges are applied at once.
const RUN: usize = 64;
const BASE: i64 = 1_700_000_000_000;

/// A job's start with six attributes, one of them its own.
fn edge(number: usize) -> Edge {
    // A stride that visits every number once, so that neither times nor ids come in order.
    let shuffled = (number * 611_953) % EVENTS;
    let (id, team) = (format!("job-{shuffled:07}"), format!("team-{}", number % 40));
    let (service, version) = (format!("service-{}", number % 500), format!("v1.{}", number % 300));
    let labels = [
        ("deployment_environment", ["production", "staging", "dev"][number % 3]),
        ("entity_id", id.as_str()),
        ("event_name", "job_lifecycle"),
        ("service_name", service.as_str()),
        ("state", ["queued", "running"][number % 2]),
        ("team", team.as_str()),
        ("version", version.as_str()),
    ];
    Edge::new(
        EdgeState::Point,
        Timestamp::from_millis(BASE + number as i64 * 40),
        Identity::of(["entity_id", "job_lifecycle", id.as_str()]),
        LabelSet::from_sorted(labels).unwrap(),
    )
}

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Median milliseconds of a selection, and how many events it found.
fn select(store: &Store, text: &str, limit: usize) -> (f64, usize) {
    let tenant = store.tenant("").unwrap();
    let selectors = vec![selector::parse(text).unwrap()];
    let mut found = 0;
    let times = (0..21).map(|_| {
        let query = Query { selectors: selectors.clone(), limit, ..Query::default() };
        let begun = Instant::now();
        found = tenant.select(&query).events.len();
        begun.elapsed().as_secs_f64() * 1000.0
    });
    (median(times.collect()), found)
}

/// Edges a second, in runs as the writer makes them: each number a start and, behind all starts, its stop.
fn apply_runs() -> f64 {
    let store = Store::new(Options { open_events_max: usize::MAX, ..Options::default() });
    let state = |state| move |number| Edge { state, ..edge(number) };
    let (mut spent, mut position) = (Duration::ZERO, 1);
    for state in [state(EdgeState::Start), state(EdgeState::Stop)] {
        for run in 0..EVENTS / RUN / 2 {
            let edges: Vec<Edge> = (run * RUN..(run + 1) * RUN).map(&state).collect();
            let arrivals = (position..).map(|position| Arrival { position, received: Timestamp::from_millis(BASE) });
            let run: Vec<_> = edges.iter().zip(arrivals).map(|(edge, arrival)| (arrival, edge, edge.id())).collect();
            position += RUN as u64;
            let begun = Instant::now();
            store.apply_edges(&run, &mut Vec::with_capacity(RUN));
            spent += begun.elapsed();
        }
    }
    EVENTS as f64 / spent.as_secs_f64()
}

/// Puts a million edges into a store by what they are called, and prints what it says that it takes, and what it does.
fn account(name: &str) {
    let store = Store::new(Options { open_events_max: usize::MAX, ..Options::default() });
    let time = |number: usize| Timestamp::from_millis(BASE + number as i64 * 40);
    let arrival = |number: usize, received| Arrival { position: number as u64 + 1, received };
    let put = |number: usize, edge: Edge| drop(store.apply_record(arrival(number, time(number)), &Command::Edge(edge)));
    let before = resident();
    for number in 0..EVENTS {
        match name {
            "points" | "half" => put(number, edge(number)),
            "starts" => put(number, Edge { state: EdgeState::Start, ..edge(number) }),
            "pairs" => {
                let state = if number % 2 == 0 { EdgeState::Start } else { EdgeState::Stop };
                put(number, Edge { state, at: time(number), ..edge(number / 2) });
            }
            _ => put(number, Edge { at: time(number), ..edge(0) }),
        }
    }
    let print = |what: &str| {
        let (says, takes) = (store.account().kept() as f64 / 1e6, (resident() - before) as f64 / 1e6);
        println!("{name}{what}: says {says:.1} MB, takes {takes:.1} MB, {:+.1} %", (says / takes - 1.0) * 100.0);
    };
    print("");
    if name == "half" {
        let (before, late) = (time(EVENTS / 2), time(EVENTS * 100));
        store.apply_record(arrival(EVENTS, late), &Command::Retire { before, upto: 0 });
        print(", half of it retired");
        for number in 0..EVENTS / 2 {
            store.apply_record(arrival(EVENTS + 1 + number, late), &Command::Edge(edge(number)));
        }
        print(", and filled again");
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(place) = arguments.iter().position(|argument| argument == "account") {
        let names = ["points", "starts", "pairs", "one label set", "half"];
        let settings = [("MIMALLOC_PURGE_DELAY", "0"), ("MIMALLOC_ALLOW_THP", "0")];
        match names.iter().find(|name| arguments.get(place + 1).is_some_and(|argument| argument == *name)) {
            Some(name) => account(name),
            // Each in a process of its own, whose allocator is told what `serve` tells its own.
            None => names.iter().for_each(|name| {
                let mut own = std::process::Command::new(std::env::current_exe().unwrap());
                own.args(["account", name]).envs(settings).status().unwrap();
            }),
        }
        return;
    }
    if std::env::args().any(|argument| argument == "runs") {
        println!("apply in runs of {RUN}: {:.0} edges/s", median((0..5).map(|_| apply_runs()).collect()));
        return;
    }
    let store = Store::new(Options { open_events_max: usize::MAX, ..Options::default() });
    let before = resident();
    let mut grown = Vec::new();
    let mut spent = Duration::ZERO;
    let sizes = [10_000, 100_000, EVENTS];
    for number in 0..EVENTS {
        let command = Command::Edge(edge(number));
        let begun = Instant::now();
        let arrival = Arrival { position: number as u64 + 1, received: Timestamp::from_millis(BASE + number as i64 * 40) };
        store.apply_record(arrival, &command);
        spent += begun.elapsed();
        if sizes.contains(&(number + 1)) {
            let query = select(&store, r#"{service_name="service-7",team="team-7",version="v1.7"}"#, 20).0;
            grown.push((number + 1, spent, query));
        }
    }
    println!("apply: {:.0} events/s", EVENTS as f64 / spent.as_secs_f64());
    println!(
        "memory: {:.0} B/event (points with 6 attributes, one of them unique; resident)",
        (resident() - before) as f64 / EVENTS as f64
    );
    for (size, spent, query) in grown {
        println!(
            "at {size} events: apply {:.2} us/event so far, indexed query of 20 {query:.3} ms",
            spent.as_secs_f64() * 1e6 / size as f64
        );
    }
    for (name, text) in [
        ("three equal", r#"{service_name="service-7",deployment_environment="staging",state="running"}"#),
        ("equal, prefix", r#"{state="queued",team="team-4",entity_id=~"job-01234.*"}"#),
        ("prefix of many", r#"{state="queued",team="team-4",entity_id=~"job-0.*"}"#),
        ("unselective", r#"{event_name="job_lifecycle",state="queued",deployment_environment!="dev"}"#),
        ("regex over 1 M values", r#"{entity_id=~".*77.*5",state="queued"}"#),
        ("regex over 1 M values alone", r#"{entity_id=~"job-(0|1|2)[0-9]+5"}"#),
    ] {
        let (millis, found) = select(&store, text, 100);
        println!("select, {name}: {millis:.3} ms, {found} events");
    }
}
