//! Search over 1 M events, three tenths of them with details of their own: how long a page of 100 takes by each kind of
//! question that an index answers.
//!
//! `cargo bench --bench search`; prints figures, asserts nothing. `docs/figures.md` has the machine's.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, clippy::cast_possible_wrap, reason = "a bench program")]

use change_events::event::Change;
use change_events::event::Command;
use change_events::event::Details;
use change_events::event::Edge;
use change_events::event::EdgeState;
use change_events::event::Identity;
use change_events::event::Put;
use change_events::labels::LabelSet;
use change_events::store::Arrival;
use change_events::store::Options;
use change_events::store::Order;
use change_events::store::Phase;
use change_events::store::Phases;
use change_events::store::Query;
use change_events::store::Store;
use change_events::store::Tenant;
use change_events::store::selector;
use change_events::time::Timestamp;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EVENTS: usize = 1_000_000;
const BASE: i64 = 1_700_000_000_000;
/// Milliseconds from one event to the next.
const STEP: i64 = 40;

/// When the event in this place begins.
fn at(number: usize) -> Timestamp {
    Timestamp::from_millis(BASE + number as i64 * STEP)
}

fn edge(number: usize, state: EdgeState, at: Timestamp) -> Edge {
    let id = format!("job-{number:07}");
    let (service, team) = (format!("service-{}", number % 500), format!("team-{}", number % 40));
    let labels = [
        ("deployment_environment", ["production", "staging", "dev"][number % 3]),
        ("entity_id", id.as_str()),
        ("event_name", "deployment"),
        ("service_name", service.as_str()),
        ("team", team.as_str()),
    ];
    Edge::new(state, at, Identity::of(["deployment", id.as_str()]), LabelSet::from_sorted(labels).unwrap())
}

fn details(number: usize) -> Details {
    Details {
        name: format!("Deploy number {number}").into(),
        description: format!("rolls out change {}", number * 7 % 100_000).into(),
        source: ["github_actions", "manual", "api"][number % 3].into(),
        parent_id: format!("event-{}", number / 50 * 50).into(),
        tags: vec![("app".into(), vec![format!("app-{}", number % 1000).into()]), ("type".into(), vec!["deployment".into()])],
        buckets: vec![format!("bucket-{}", number % 2000).into()],
        ..Details::default()
    }
}

/// One in twenty is open; the others take a minute.
fn fill(store: &Store) {
    for number in 0..EVENTS {
        let begin = at(number);
        let end = (number % 20 != 0).then(|| begin.plus(std::time::Duration::from_mins(1)));
        let start = edge(number, EdgeState::Start, begin);
        let stop = end.map(|end| edge(number, EdgeState::Stop, end));
        let arrival = |which| Arrival { position: 2 * number as u64 + which, received: at(number) };
        if number % 10 < 3 {
            let put = Put { id: format!("event-{number}").into(), created: None, number: None, start, stop, details: details(number) };
            store.apply_record(arrival(1), &Command::Change(Change::Put(put.into())));
        } else {
            for (which, edge) in (1..).zip(std::iter::once(start).chain(stop)) {
                store.apply_record(arrival(which), &Command::Edge(edge));
            }
        }
    }
}

/// Prints the median milliseconds of the question, and of the page a hundred pages later if there is one.
fn ask(tenant: &Tenant, what: &str, query: &Query) {
    let timed = |query: &Query| {
        let mut times: Vec<f64> = (0..21)
            .map(|_| {
                let begun = Instant::now();
                std::hint::black_box(tenant.select(query));
                begun.elapsed().as_secs_f64() * 1000.0
            })
            .collect();
        times.sort_by(f64::total_cmp);
        times.get(10).copied().unwrap_or_default()
    };
    let first = tenant.select(query);
    let mut after = first.next.clone();
    for _ in 0..99 {
        after = after.and_then(|after| tenant.select(&Query { after: Some(after), ..query.clone() }).next);
    }
    let later = after.map(|after| format!(", {:.3} ms a hundred pages on", timed(&Query { after: Some(after), ..query.clone() })));
    println!("search, {what}: {:.3} ms (must 5), {} events{}", timed(query), first.events.len(), later.unwrap_or_default());
}

fn main() {
    let store = Store::new(Options { open_events_max: usize::MAX, ..Options::default() });
    fill(&store);
    let tenant = store.tenant("").unwrap();
    let tag = |key: &str, value: &str| (Box::<str>::from(key), Box::<str>::from(value));
    let select = |text: &str| vec![selector::parse(text).unwrap()];
    let middle = || Query { start: Some(at(EVENTS / 2)), end: Some(at(EVENTS / 2 + 50_000)), ..Query::default() };
    let closed = || Query { phases: Some(Phases::only(Phase::Over, at(2 * EVENTS))), ..middle() };
    for (what, query) in [
        ("the newest", Query::default()),
        ("the last to end", Query { order: Order::End, ..Query::default() }),
        ("the last to change", Query { order: Order::Update, ..Query::default() }),
        ("by time", middle()),
        ("by time, by end", Query { order: Order::End, ..middle() }),
        ("by time, closed", closed()),
        ("by time of change", Query { order: Order::Update, ..middle() }),
        ("open", Query { phases: Some(Phases::only(Phase::Open, at(2 * EVENTS))), ..Query::default() }),
        ("open, by end", Query { phases: Some(Phases::only(Phase::Open, at(2 * EVENTS))), order: Order::End, ..Query::default() }),
        ("a tag", Query { tags: vec![tag("app", "app-2")], ..Query::default() }),
        ("a common tag, by end", Query { tags: vec![tag("type", "deployment")], order: Order::End, ..Query::default() }),
        ("two tags, by end", Query { tags: vec![tag("type", "deployment"), tag("app", "app-2")], order: Order::End, ..Query::default() }),
        ("a bucket", Query { tags: vec![tag("bucket", "bucket-2")], ..Query::default() }),
        ("the children of one", Query { tags: vec![tag("parent_id", "event-500000")], order: Order::End, ..Query::default() }),
        ("a selector", Query { selectors: select(r#"{service_name="service-7"}"#), ..Query::default() }),
        ("a selector and a time", Query { selectors: select(r#"{service_name="service-7"}"#), ..middle() }),
        ("a prefix", Query { selectors: select(r#"{entity_id=~"job-01.*",team="team-7"}"#), ..Query::default() }),
        ("a text in a tag", Query { text: Some("CHANGE 9".into()), tags: vec![tag("app", "app-2")], ..Query::default() }),
        ("a text in a time", Query { text: Some("change 9".into()), ..middle() }),
        ("a text", Query { text: Some("deploy number 99".into()), ..Query::default() }),
        ("a text that nothing has", Query { text: Some("nothing".into()), ..Query::default() }),
    ] {
        ask(&tenant, what, &query);
    }
}
