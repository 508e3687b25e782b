//! Whole pages, over a real store.

mod costs;
mod stats;

use super::*;
use crate::account::Account;
use crate::account::Full;
use crate::account::Item;
use crate::account::Shares;
use crate::event::Change;
use crate::event::Command;
use crate::event::Delete;
use crate::event::Edge;
use crate::event::EdgeState;
use crate::event::Identity;
use crate::labels::LabelSet;
use crate::store;
use crate::store::Applied;
use crate::store::ClusterId;
use crate::store::Store;
use crate::time::Timestamp;
use flate2::bufread::GzDecoder;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io::Read;
use std::io::Write;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

const NOW: i64 = 1_700_000_000_000;
const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;

fn ms(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// Store and pages, fed as the writer feeds them.
struct World {
    store: Store,
    pages: Pages,
    account: Account,
}

impl World {
    fn new(options: &Options) -> Self {
        Self::with_room(options, usize::MAX)
    }

    /// With so much memory for what is rendered.
    fn with_room(options: &Options, bytes: usize) -> Self {
        let account = Account::new(bytes, Shares { pages: bytes, private_pages: bytes / 2, ..Shares::divide(0) });
        let options = Options { account: account.clone(), ..options.clone() };
        Self { store: Store::new(store::Options::default()), pages: Pages::new(&options), account }
    }

    fn put(&self, received: i64, edge: &Edge) -> Exposure {
        match self.store.apply(ms(received), &Command::Edge(edge.clone())) {
            Applied::Edge(applied) if !applied.duplicate => self.pages.apply(ms(received), &applied),
            _ => Exposure::Duplicate,
        }
    }

    fn render(&self, request: &PageRequest, own: &str, now: i64) -> Result<Page, Full> {
        let tenant = self.store.tenant("");
        self.pages.render(tenant.as_deref(), ClusterId(0), request, own, ms(now))
    }

    fn page(&self, request: &PageRequest, own: &str, now: i64) -> String {
        let page = self.render(request, own, now).unwrap();
        let body = page.body.to_vec();
        assert_eq!(body.len(), page.body.len(), "how long it is is known before it is made");
        if !page.gzip {
            return String::from_utf8(body).unwrap();
        }
        let mut text = String::new();
        GzDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
        text
    }
}

fn request(format: Format) -> PageRequest {
    PageRequest { format, gzip: false, window: None, keep: None, selectors: Vec::new() }
}

fn edge(state: EdgeState, at: i64, labels: &[(&str, &str)]) -> Edge {
    let sorted: BTreeMap<&str, &str> = labels.iter().copied().filter(|(_, value)| !value.is_empty()).collect();
    Edge::new(state, ms(at), Identity::of(sorted.iter().flat_map(|(name, value)| [*name, *value])), LabelSet::from_sorted(sorted).unwrap())
}

#[test]
fn a_page_of_each_format() {
    let world = World::new(&Options::default());
    let labels = [("event_name", "deploy"), ("service_name", "api \"x\"")];
    world.put(NOW, &edge(EdgeState::Start, NOW - 1, &labels));
    world.put(NOW, &Edge { value: 2.5, ..edge(EdgeState::Point, NOW, &[("event_name", "flag")]) });
    let own = "# HELP change_events_up Is up.\n# TYPE change_events_up gauge\nchange_events_up 1\n";
    let page = world.page(&request(Format::Text004), own, NOW);
    let expected = r#"# HELP change_events_up Is up.
# TYPE change_events_up gauge
change_events_up 1
# HELP last9_change_events_open_timestamp_seconds Since when the event is open, as Unix time.
# TYPE last9_change_events_open_timestamp_seconds gauge
last9_change_events_open_timestamp_seconds{event_name="deploy",service_name="api \"x\""} 1699999999.999
# HELP last9_change_events Start or stop of a change, at its own time.
# TYPE last9_change_events gauge
last9_change_events{event_name="deploy",event_state="start",service_name="api \"x\""} 1 1699999999999
last9_change_events{event_name="flag",event_state="start"} 2.5 1700000000000
# HELP last9_change_events_timestamp_seconds When the start or stop of a change was, as Unix time.
# TYPE last9_change_events_timestamp_seconds gauge
last9_change_events_timestamp_seconds{event_name="deploy",event_state="start",service_name="api \"x\""} 1699999999.999 1699999999999
last9_change_events_timestamp_seconds{event_name="flag",event_state="start"} 1700000000.000 1700000000000
"#;
    assert_eq!(page, expected);
    let openmetrics =
        expected.replace(" 1699999999999\n", " 1699999999.999\n").replace(" 1700000000000\n", " 1700000000.000\n") + "# EOF\n";
    assert_eq!(world.page(&request(Format::OpenMetrics100), own, NOW), openmetrics);
    for format in [Format::Text004, Format::OpenMetrics100] {
        let plain = world.page(&request(format), own, NOW);
        assert_eq!(world.page(&PageRequest { gzip: true, ..request(format) }, own, NOW), plain);
        let nobody = world.pages.render(None, ClusterId(0), &request(format), own, ms(NOW)).unwrap();
        assert!(String::from_utf8(nobody.body.to_vec()).unwrap().starts_with(own));
    }
}

#[test]
fn the_timestamp_family_can_be_left_out() {
    let world = World::new(&Options { timestamp_family: false, ..Options::default() });
    world.put(NOW, &edge(EdgeState::Point, NOW, &[("event_name", "flag")]));
    assert!(!world.page(&request(Format::Text004), "", NOW).contains("last9_change_events_timestamp_seconds"));
}

#[test]
fn the_gauge_stays_while_open_whatever_the_age() {
    let world = World::new(&Options::default());
    let labels = [("event_name", "job"), ("entity_id", "1")];
    world.put(NOW, &edge(EdgeState::Start, NOW - 90 * 24 * 60 * MINUTE, &labels));
    for (now, lines) in [(NOW, 1), (NOW + 60 * MINUTE, 1)] {
        let page = world.page(&request(Format::Text004), "", now);
        assert_eq!(page.lines().filter(|line| !line.starts_with('#')).count(), lines, "{page}");
        assert!(page.contains("open_timestamp_seconds{entity_id=\"1\",event_name=\"job\"} 1692224000.000\n"), "{page}");
    }
    world.put(NOW + 60 * MINUTE, &edge(EdgeState::Stop, NOW + 60 * MINUTE, &labels));
    let page = world.page(&request(Format::Text004), "", NOW + 60 * MINUTE);
    assert!(!page.contains("open_timestamp_seconds{"), "{page}");
}

#[test]
fn what_lapses_leaves_the_gauge_without_a_new_edge() {
    let world = World::new(&Options::default());
    world.put(NOW, &Edge { lapses: true, ..edge(EdgeState::Start, NOW, &[("event_name", "job")]) });
    let day = 24 * 60 * MINUTE;
    for (now, shown) in [(NOW, true), (NOW + day, true), (NOW + 7 * day, true), (NOW + 7 * day + 1, false), (NOW + day, true)] {
        assert_eq!(world.page(&request(Format::Text004), "", now).contains("open_timestamp_seconds{"), shown, "at {now}");
    }
}

#[test]
fn lines_that_came_at_once_keep_their_labels() {
    let world = World::new(&Options::default());
    let put = |id: &str| world.put(NOW, &edge(EdgeState::Start, NOW, &[("event_name", "e"), ("id", id)]));
    for id in ["a", "b", "c", "d"] {
        put(id);
        let page = world.page(&request(Format::Text004), "", NOW);
        for id in ["a", "b", "c", "d"].iter().filter(|other| **other <= id) {
            assert_eq!(page.matches(&format!("id=\"{id}\"")).count(), 3, "{page}");
        }
    }
}

#[test]
fn many_scrapers_and_the_writer_at_once() {
    let world = World::new(&Options { max_samples: 500, ..Options::default() });
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..3000 {
                let receipt = world.pages.receive(ms(NOW + number));
                let id = (number % 700).to_string();
                world.put(receipt.received.millis(), &edge(EdgeState::Start, NOW + number, &[("event_name", "e"), ("id", &id)]));
            }
            done.store(true, Ordering::Relaxed);
        });
        for scraper in 0..4 {
            let (world, done) = (&world, &done);
            scope.spawn(move || {
                let mut scrapes = 0;
                while !done.load(Ordering::Relaxed) || scrapes < 3 {
                    let format = if scraper % 2 == 0 { Format::Text004 } else { Format::OpenMetrics100 };
                    let window = (scraper == 3).then_some(Duration::from_hours(2));
                    let page = world.page(&PageRequest { gzip: scraper > 1, window, ..request(format) }, "", NOW + 3000);
                    assert!(parse(&page, format).len() <= 500 + 500 + 700);
                    world.pages.stats(ms(NOW + 3000));
                    scrapes += 1;
                }
            });
        }
    });
}

#[test]
fn a_page_that_was_given_out_stays_in_the_past_of_what_comes_in() {
    let world = World::new(&Options::default());
    let labels = [("event_name", "a")];
    world.put(NOW, &edge(EdgeState::Point, NOW, &labels));
    world.put(NOW, &edge(EdgeState::Point, NOW + 10 * SECOND, &labels));
    world.page(&request(Format::Text004), "", NOW + 135 * SECOND);
    let receipt = world.pages.receive(ms(NOW + 134 * SECOND));
    assert_eq!(receipt.received, ms(NOW + 135 * SECOND));
    drop(receipt);
    let receipt = world.pages.receive(ms(NOW + 100 * SECOND));
    assert_eq!(receipt.received, ms(NOW + 105 * SECOND), "a clock that was far ahead does not hold back what comes in");
    drop(receipt);

    world.put(NOW + 140 * SECOND, &edge(EdgeState::Point, NOW + 20 * SECOND, &labels));
    let receipt = world.pages.receive(ms(NOW + 269 * SECOND));
    let shows = |now: i64| world.page(&request(Format::Text004), "", now).contains(&format!(" {}\n", NOW + 20 * SECOND));
    assert!(!shows(NOW + 270 * SECOND), "what is being written could still come before it");
    assert!(shows(NOW + 275 * SECOND));
    drop(receipt);
    assert!(shows(NOW + 270 * SECOND));
}

#[test]
fn match_filters_families_and_samples() {
    let world = World::new(&Options::default());
    for (service, at) in [("api", 1), ("db", 2), ("api", 3)] {
        let at_text = at.to_string();
        world.put(NOW, &edge(EdgeState::Start, NOW - at, &[("event_name", "deploy"), ("service_name", service), ("id", &at_text)]));
    }
    world.put(NOW, &edge(EdgeState::Stop, NOW, &[("event_name", "deploy"), ("service_name", "cache"), ("id", "4")]));
    let own = "change_events_up 1\n";
    let all = world.page(&request(Format::Text004), own, NOW);
    for (selectors, open, edges, times, has_own) in [
        (vec![], 3, 4, 4, true),
        (vec![r#"{service_name="api"}"#], 2, 2, 2, false),
        (vec![r#"last9_change_events{service_name!="api"}"#], 0, 2, 0, false),
        (vec![r#"{__name__=~"last9.*seconds",id="3"}"#], 1, 0, 1, false),
        (vec![r#"last9_change_events{id="1"}"#, r#"last9_change_events_open_timestamp_seconds{id=~"2|3"}"#], 2, 1, 0, false),
        (vec![r#"{event_state="start",nothing=""}"#], 0, 3, 3, false),
        (vec!["change_events_up"], 0, 0, 0, true),
    ] {
        let parsed = selectors.iter().map(|selector| store::selector::parse(selector).unwrap()).collect();
        let page = world.page(&PageRequest { selectors: parsed, ..request(Format::Text004) }, own, NOW);
        let count = |family: &str| page.lines().filter(|line| line.starts_with(&format!("{family}{{"))).count();
        assert_eq!(count("last9_change_events_open_timestamp_seconds"), open, "{selectors:?}");
        assert_eq!(count("last9_change_events"), edges, "{selectors:?}");
        assert_eq!(count("last9_change_events_timestamp_seconds"), times, "{selectors:?}");
        assert_eq!(page.contains(own), has_own, "{selectors:?}");
        assert!(page.lines().all(|line| all.lines().any(|there| there == line)), "{selectors:?}: {page}");
    }
}

#[test]
fn what_nobody_asks_for_is_forgotten() {
    let world = World::new(&Options::default());
    let blocks = || world.pages.cached_blocks();
    for number in 0..20 * SECOND {
        let id = number.to_string();
        world.put(NOW + number, &edge(EdgeState::Point, NOW + number, &[("event_name", "e"), ("id", &id)]));
        if number % SECOND == 0 {
            world.page(&PageRequest { gzip: true, ..request(Format::Text004) }, "", NOW + number);
            let needed = usize::try_from(number).unwrap() / 500 + 1;
            assert!(blocks() <= needed + 5, "{} blocks for {number} samples", blocks());
        }
    }
    assert!(blocks() > 10);
    world.pages.render(None, ClusterId(0), &request(Format::Text004), "", ms(NOW + 20 * MINUTE)).unwrap();
    assert_eq!(blocks(), 0);
}

/// Family, labels, value, time.
type Parsed = (String, Vec<(String, String)>, f64, Option<i64>);

/// Reads a page as a scraper does; panics on what is not allowed.
fn parse(page: &str, format: Format) -> Vec<Parsed> {
    let mut samples = Vec::new();
    let mut families: Vec<String> = Vec::new();
    let body = if format == Format::OpenMetrics100 { page.strip_suffix("# EOF\n").expect("ends with # EOF") } else { page };
    assert!(body.is_empty() || body.ends_with('\n') && !body.contains(['\r', '\u{b}', '\u{c}', '\u{1c}', '\u{85}', '\u{2028}']));
    for line in body.split_terminator('\n') {
        if let Some(comment) = line.strip_prefix("# ") {
            let family = comment.split(' ').nth(1).unwrap().to_owned();
            if families.last() != Some(&family) {
                assert!(!families.contains(&family), "{family} is not contiguous");
                families.push(family);
            }
            continue;
        }
        let (family, mut rest) = line.split_once('{').unwrap();
        assert_eq!(Some(family), families.last().map(String::as_str));
        let mut labels: Vec<(String, String)> = Vec::new();
        while !rest.starts_with('}') {
            let (name, after) = rest.split_once("=\"").unwrap();
            let mut value = String::new();
            let mut chars = after.char_indices();
            let end = loop {
                match chars.next().expect("a closing quote") {
                    (end, '"') => break end,
                    (_, '\\') => value.push(match chars.next().unwrap().1 {
                        'n' => '\n',
                        escaped @ ('\\' | '"') => escaped,
                        other => panic!("escape {other}"),
                    }),
                    (_, plain) => value.push(plain),
                }
            };
            assert!(labels.last().is_none_or(|(last, _)| **last < *name), "labels are sorted and unique");
            labels.push((name.to_owned(), value));
            rest = &after[end + 1..];
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
        let mut numbers = rest[2..].split(' ');
        let value = numbers.next().unwrap().parse().unwrap();
        let time = numbers.next().map(|time| match format {
            Format::Text004 => time.parse().unwrap(),
            Format::OpenMetrics100 => time.replace('.', "").parse().unwrap(),
        });
        assert_eq!(numbers.next(), None);
        samples.push((family.to_owned(), labels, value, time));
    }
    samples
}

fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[\\\\\"\n\r\t\0{}, =#\u{85}\u{2028}\u{b}\u{1c}]{0,10}", Just("a\"} 1\nup{x=\"".to_owned())]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_label_value_reads_back(values in prop::collection::vec((hostile(), hostile()), 1..12), value in -1e9..1e9_f64) {
        let world = World::new(&Options::default());
        let (mut expected, shown) = (Vec::new(), |text: &str| crate::labels::mended(text).unwrap_or_else(|| text.to_owned()));
        for (index, (name, text)) in values.iter().enumerate() {
            let id = index.to_string();
            let labels = [("event_name", name.as_str()), ("id", &id), ("text", text.as_str())];
            let edge = Edge { value, ..edge(EdgeState::Point, NOW, &labels) };
            prop_assert_eq!(world.put(NOW, &edge), Exposure::Shown);
            let mut labels: Vec<(String, String)> = edge.labels.iter().map(|(name, value)| (name.to_owned(), shown(value))).collect();
            labels.push(("event_state".into(), "start".into()));
            labels.sort();
            expected.push(labels);
        }
        expected.sort();
        for format in [Format::Text004, Format::OpenMetrics100] {
            let samples = parse(&world.page(&request(format), "", NOW), format);
            let of = |family: &str| {
                let mut all: Vec<_> = samples.iter().filter(|sample| sample.0 == family).map(|sample| sample.1.clone()).collect();
                all.sort();
                all
            };
            prop_assert_eq!(&of("last9_change_events"), &expected);
            prop_assert_eq!(&of("last9_change_events_timestamp_seconds"), &expected);
            for (family, _, number, time) in &samples {
                prop_assert_eq!(*time, Some(NOW));
                let expected = if family == "last9_change_events" { value } else { 1_700_000_000.0 };
                prop_assert_eq!(number.to_bits(), expected.to_bits());
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Put { pause: i64, id: u8, age: i64, state: EdgeState },
    Scrape { ahead: i64, gzip: bool, openmetrics: bool, window: Option<i64>, keep: Option<i64> },
}

fn step() -> impl Strategy<Value = Step> {
    let state = prop_oneof![Just(EdgeState::Start), Just(EdgeState::Stop), Just(EdgeState::Point)];
    let age = prop_oneof![4 => 0..10 * SECOND, 1 => -MINUTE..0, 1 => 0..3 * 60 * MINUTE];
    let window = prop::option::of(prop_oneof![Just(20 * MINUTE), Just(24 * 60 * MINUTE)]);
    prop_oneof![
        3 => (prop_oneof![5 => 0..20 * SECOND, 1 => 0..60 * MINUTE], 0..40_u8, age, state)
            .prop_map(|(pause, id, age, state)| Step::Put { pause, id, age, state }),
        2 => (0..3 * MINUTE, any::<bool>(), any::<bool>(), window, prop::option::of(0..10 * MINUTE))
            .prop_map(|(ahead, gzip, openmetrics, window, keep)| Step::Scrape { ahead, gzip, openmetrics, window, keep }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A page is a function of the log, the clock and the request: no scrape before it, no restart changes a byte of it.
    #[test]
    fn a_page_is_pure(steps in prop::collection::vec(step(), 1..80), max_samples in 1..60_usize) {
        let options = Options { max_samples, ..Options::default() };
        let live = World::new(&options);
        let mut now = NOW;
        let mut log = Vec::new();
        for step in steps {
            match step {
                Step::Put { pause, id, age, state } => {
                    now += pause;
                    let id = id.to_string();
                    let edge = edge(state, now - age, &[("event_name", "e"), ("id", &id)]);
                    live.put(now, &edge);
                    log.push((now, edge));
                }
                Step::Scrape { ahead, gzip, openmetrics, window, keep } => {
                    let format = if openmetrics { Format::OpenMetrics100 } else { Format::Text004 };
                    let span = |span: i64| Duration::from_millis(span.unsigned_abs());
                    let asked = PageRequest { gzip, window: window.map(span), keep: keep.map(span), ..request(format) };
                    let page = live.page(&asked, "", now + ahead);
                    let replayed = World::new(&options);
                    for (received, edge) in &log {
                        replayed.put(*received, edge);
                    }
                    prop_assert_eq!(&page, &replayed.page(&PageRequest { gzip: false, ..asked }, "", now + ahead));
                    prop_assert!(parse(&page, format).iter().filter(|sample| sample.0 == "last9_change_events").count() <= max_samples);
                }
            }
        }
    }
}

/// What Prometheus' own tool says of a page full of hostile values. Where it is missing, a test in CI fails.
#[test]
fn promtool_takes_the_page() {
    let servers =
        std::env::var("CHANGE_EVENTS_SERVERS").unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/target/servers/bin").into());
    let world = World::new(&Options::default());
    for (index, text) in ["a\"} 1\nup{x=\"", "\\", "\\n", "\r\n", "\u{0}", "\u{85}\u{2028}", "{}#", "# EOF\n"].iter().enumerate() {
        let id = index.to_string();
        world.put(NOW, &edge(EdgeState::Start, NOW - MINUTE, &[("event_name", text), ("id", &id), ("text", &text.repeat(500))]));
    }
    let page = world.page(&request(Format::Text004), "", NOW);
    for promtool in ["promtool", "debian/promtool"] {
        let program = std::path::Path::new(&servers).join(promtool);
        if !program.exists() {
            assert!(std::env::var_os("CI").is_none(), "{} is missing: run tests/servers/install", program.display());
            eprintln!("\n*** SKIPPED: {} is missing: run tests/servers/install\n", program.display());
            continue;
        }
        let mut child = std::process::Command::new(program)
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        // Its opinions on names are not about whether the page can be read (exit code 3 against 1).
        assert!(matches!(output.status.code(), Some(0 | 3)), "{promtool}: {said}");
    }
}

#[test]
fn a_series_number_that_is_used_again_has_its_own_labels() {
    let world = World::new(&Options::default());
    let start = |entity: &str| edge(EdgeState::Start, NOW, &[("event_name", "job"), ("entity_id", entity)]);
    // Nothing is retired that is less than a day old.
    let later = NOW + 30 * 60 * MINUTE;
    let no_longer_due = edge(EdgeState::Point, later, &[("event_name", "other")]);
    let open = |now| {
        let page = world.page(&request(Format::Text004), "", now);
        page.lines().filter(|line| line.starts_with("last9_change_events_open")).map(str::to_owned).collect::<Vec<_>>()
    };
    world.put(NOW, &start("old"));
    world.put(later, &no_longer_due);
    assert!(matches!(&*open(later), [line] if line.contains("entity_id=\"old\"")), "{:?}", open(later));
    let tenant = world.store.tenant("").unwrap();
    let gauge = || {
        let mut found = None;
        tenant.open_gauges(ClusterId(0), ms(later), &mut |gauge| found = Some(gauge.series));
        found.unwrap()
    };
    let old = gauge();
    let id = start("old").id().to_string();
    let delete = Command::Change(Change::Delete(Delete { organization: "".into(), span: world.store.span("", &id), id: id.into() }));
    world.store.apply(ms(later), &delete);
    world.store.apply(ms(later), &Command::Retire { before: ms(later), upto: 0 });
    world.put(later, &start("new"));
    assert!(matches!(&*open(later), [line] if line.contains("entity_id=\"new\"")), "{:?}", open(later));
    let new = gauge();
    assert_eq!(old.number, new.number, "this test is about one number");
    let mut seen = Vec::new();
    tenant.labels_of(&[old, new], &mut |place, name, value| seen.push(format!("{place} {name}={value}")));
    assert_eq!(seen, ["1 entity_id=new", "1 event_name=job", "1 event_state=start"]);
}

#[test]
fn a_further_start_of_what_is_open_gives_way_to_the_next_one() {
    for (state, expected) in [(EdgeState::Start, (1, 2)), (EdgeState::Point, (3, 0))] {
        let world = World::new(&Options::default());
        for at in [-3, -2, -1, 0] {
            world.put(NOW, &edge(state, NOW + at, &[("event_name", "deploy")]));
        }
        let stats = world.pages.stats(ms(NOW));
        assert_eq!((stats.queued, stats.coalesced), expected, "{state:?}");
    }
}
