//! The heartbeat file as it is shipped, with its 4 h, on what a scrape a minute takes from the exporter's pages with the
//! default hold. Only the clock is not real: pages are rendered for each minute of a night, what Prometheus would store of
//! them is backfilled, and real servers evaluate the rule at each minute.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use change_events::event::{Command, Edge, EdgeState, Identity};
use change_events::exposition::{Format, Options, PageRequest, Pages};
use change_events::labels::LabelSet;
use change_events::store::{self, Applied, Arrival, ClusterId, Store};
use change_events::time::Timestamp;
use serde_json::Value;

use crate::support::prometheus::Prometheus;
use crate::support::{query, servers};

/// When the first beat comes, in seconds: a full minute, as the steps of the rule are.
const FIRST: i64 = 1_771_588_800;
const MINUTE: i64 = 60;
const LIMIT: i64 = 240;
/// How long the beats go on, in minutes.
const NIGHT: i64 = 330;
/// When in its minute the scraper comes.
const SCRAPES: [i64; 4] = [0, 13, 31, 59];

/// Seconds from a beat to the next, what is missing (from and to, in minutes), and the minutes in which the alert fires.
struct Beats {
    entity: &'static str,
    apart: i64,
    missing: (i64, i64),
    fires: (i64, i64),
}

const BEATS: [Beats; 4] = [
    Beats { entity: "once-a-minute", apart: 60, missing: (0, 0), fires: (LIMIT, NIGHT) },
    Beats { entity: "every-20-s", apart: 20, missing: (0, 0), fires: (LIMIT, NIGHT) },
    // A sender that is silent for 2 min, and one for 8 min: the limit begins anew.
    Beats { entity: "short-gap", apart: 60, missing: (100, 102), fires: (LIMIT, NIGHT) },
    Beats { entity: "long-gap", apart: 60, missing: (70, 78), fires: (78 + LIMIT, NIGHT) },
];

fn edge(entity: &str, state: EdgeState, at: i64) -> Edge {
    let labels = [("entity_id", entity), ("event_name", "job_lifecycle"), ("state", "queued")];
    Edge::new(
        state,
        Timestamp::from_millis(at * 1000),
        Identity::of(["entity_id", "job_lifecycle", entity]),
        LabelSet::from_sorted(labels).unwrap(),
    )
}

/// What is sent, in the order of its times; each ends with a stop.
fn sent() -> Vec<(i64, Edge)> {
    let mut sent = Vec::new();
    for (beats, phase) in BEATS.iter().zip([0, 7, 19, 43]) {
        let missing = FIRST + beats.missing.0 * MINUTE..FIRST + beats.missing.1 * MINUTE;
        let times = (FIRST + phase..FIRST + NIGHT * MINUTE).step_by(usize::try_from(beats.apart).unwrap());
        sent.extend(times.filter(|time| !missing.contains(time)).map(|time| (time, edge(beats.entity, EdgeState::Start, time))));
        let stop = FIRST + NIGHT * MINUTE;
        sent.push((stop, edge(beats.entity, EdgeState::Stop, stop)));
    }
    sent.sort_by_key(|(time, _)| *time);
    sent
}

/// What Prometheus stores of the pages that it gets once a minute, at this second of it.
fn scraped(second: i64) -> String {
    let store = Store::new(store::Options::default());
    let pages = Pages::new(&Options::default());
    let request = PageRequest { format: Format::Text004, gzip: false, window: None, keep: None, selectors: Vec::new() };
    let mut sent = (1..).zip(sent()).peekable();
    let mut stored: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
    for now in (FIRST + second..FIRST + (NIGHT + 15) * MINUTE).step_by(60) {
        while let Some((position, (time, edge))) = sent.next_if(|(_, (time, _))| *time <= now) {
            let time = Timestamp::from_millis(time * 1000);
            if let Applied::Edge(applied) = store.apply_record(Arrival { position, received: time }, &Command::Edge(edge)) {
                pages.apply(time, &applied);
            }
        }
        let tenant = store.tenant("");
        let page = pages.render(tenant.as_deref(), ClusterId(0), &request, "", Timestamp::from_millis(now * 1000)).unwrap();
        for line in String::from_utf8(page.body.to_vec()).unwrap().lines().filter(|line| line.starts_with("last9_change_events{")) {
            let [series, _, time] = line.rsplitn(3, ' ').collect::<Vec<_>>().try_into().map(|[a, b, c]: [&str; 3]| [c, b, a]).unwrap();
            stored.entry(series.to_owned()).or_default().insert(time.parse().unwrap());
        }
    }
    let mut text = String::new();
    for (series, times) in stored {
        for time in times {
            writeln!(text, "{series} 1 {}.{:03}", time / 1000, time % 1000).unwrap();
        }
    }
    text
}

fn expression() -> String {
    let file = std::fs::read_to_string(crate::folder().join("stuck-heartbeat.rules.yml")).unwrap();
    let file: Value = serde_saphyr::from_str(&file).unwrap();
    file["groups"][0]["rules"][0]["expr"].as_str().unwrap().to_owned()
}

/// The minutes after the first beat at which the rule fires, evaluated at this second of each, by entity.
fn fires(server: &Prometheus, expression: &str, second: i64) -> BTreeMap<String, BTreeSet<i64>> {
    let start = FIRST + second;
    let found = query::range(&server.url, expression, start, start + (NIGHT + 15) * MINUTE, 60).unwrap();
    let minutes = |times: Vec<i64>| times.iter().map(|time| (time / 1000 - start) / MINUTE).collect();
    found.iter().map(|series| (series.label("entity_id").to_owned(), minutes(series.times()))).collect()
}

#[test]
fn the_threshold_of_4_h_is_reached_and_held_on_scrapes_a_minute_apart() {
    for prometheus in ["prometheus", "debian/prometheus"] {
        let Some(prometheus) = servers::require(prometheus) else { return };
        for second in SCRAPES {
            let server = Prometheus::backfilled(&prometheus, &scraped(second));
            for evaluated in [0, 29, 59] {
                let fires = fires(&server, &expression(), evaluated);
                for beats in &BEATS {
                    let (first, last) = beats.fires;
                    let at = fires.get(beats.entity).unwrap_or_else(|| panic!("{} never fires, scraped at {second} s", beats.entity));
                    let place = format!("{}, scraped at {second} s, evaluated at {evaluated} s: {at:?}", beats.entity);
                    let (begins, ends) = (*at.first().unwrap(), *at.last().unwrap());
                    // A minute early as documented; a beat waits for the scrape and for the hold of the one before it.
                    assert!((first - 2..=first + 4).contains(&begins), "begins at {begins}, {place}");
                    assert!((last - 1..=last + 6).contains(&ends), "ends at {ends}, {place}");
                    assert_eq!(at.len(), usize::try_from(ends - begins + 1).unwrap(), "a gap, {place}");
                }
            }
        }
    }
}
