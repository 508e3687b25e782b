//! What Prometheus stores of the page, plain and with a window, at different intervals, over a kill -9.

use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use crate::events::{Times, edge, now};
use crate::support::exporter::Exporter;
use crate::support::prometheus::Prometheus;
use crate::support::query::Series;
use crate::support::{examples, http, servers, wait};

const HOLD: i64 = 4_000;
const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const DAY: i64 = 24 * 60 * MINUTE;
const LIMIT: Duration = Duration::from_mins(1);
/// Twenty edges of one series take twenty holds.
const QUEUE_LIMIT: Duration = Duration::from_mins(3);

/// Two plain servers, replicas of one another but for their version and interval, and one with a window.
struct Stage {
    exporter: Exporter,
    current: Prometheus,
    debian: Prometheus,
    windowed: Prometheus,
}

impl Stage {
    fn start() -> Option<Self> {
        let (current, debian) = (servers::require("prometheus")?, servers::require("debian/prometheus")?);
        let exporter = Exporter::start(&["--exposure.hold=4s"]);
        let config = |example: &str, interval: &str| {
            let interval = format!("interval: {interval}");
            let rules = examples::path("alerts");
            examples::with(
                example,
                &[("127.0.0.1:10555", exporter.target()), ("interval: 1m", &interval), ("../alerts", rules.to_str().unwrap())],
            )
        };
        let plain = "examples/prometheus.yml";
        let stage = Self {
            current: Prometheus::start(&current, &config(plain, "1s"), &[]),
            debian: Prometheus::start(&debian, &config(plain, "2s"), &[]),
            windowed: Prometheus::start(&current, &config("examples/prometheus-window.yml", "1s"), &[]),
            exporter,
        };
        stage.await_up(1.0);
        Some(stage)
    }

    fn plain(&self) -> [(&'static str, &Prometheus); 2] {
        [("Prometheus 3.15 every 1 s", &self.current), ("Prometheus 2.42 every 2 s", &self.debian)]
    }

    fn all(&self) -> [(&'static str, &Prometheus); 3] {
        let [current, debian] = self.plain();
        [current, debian, ("Prometheus 3.15 with a window", &self.windowed)]
    }

    fn await_up(&self, up: f64) {
        for (name, server) in self.all() {
            let what = format!("{name} to see up == {up}");
            wait::until(&what, LIMIT, || (server.value(r#"up{job="change-events"}"#) == Some(up)).then_some(()));
        }
    }

    fn await_stored(server: (&str, &Prometheus), expected: &Times) {
        let what = format!("{} to store all samples", server.0);
        wait::until_ok(&what, QUEUE_LIMIT, || expected.missing_from(&stored(server.1)).map_or(Ok(()), Err));
    }
}

/// All samples of change events that a server has, but for the heartbeats.
fn stored(server: &Prometheus) -> Times {
    Times::stored(&server.instant(r#"last9_change_events{entity_id!="beat"}[5d]"#))
}

/// What was sent, by which pages have to show it.
#[derive(Default)]
struct Sent {
    everywhere: Times,
    window_only: Times,
}

impl Sent {
    fn burst(&mut self, exporter: &Exporter) {
        let began = now() - 3 * SECOND;
        let mut edges: Vec<Value> = Vec::new();
        for number in 0..20 {
            for (entity, state, shift) in [("points", "", 0), ("flapping", "start", 11), ("flapping", "stop", 57)] {
                let time = began + 101 * number + shift;
                edges.push(edge(entity, state, time));
                self.everywhere.add(entity, state, time);
            }
        }
        exporter.put(&Value::Array(edges));
    }

    /// Edges of series that were never seen: half an hour old, three days old, and one that is not yet due.
    fn other_ages(&mut self, exporter: &Exporter) {
        let now = now();
        let (half_hour, three_days, soon) = (now - 30 * MINUTE + 123, now - 3 * DAY + 7, now + 6 * SECOND + 89);
        exporter.put(&json!([edge("half-hour", "start", half_hour), edge("soon", "start", soon)]));
        self.everywhere.add("half-hour", "start", half_hour);
        self.everywhere.add("soon", "start", soon);
        let answer = exporter.put(&edge("three-days", "start", three_days));
        assert!(answer["warnings"].is_array(), "the sender of a 3 days old edge is told where it will be: {answer}");
        self.window_only.add("three-days", "start", three_days);
    }

    /// An edge that comes after a newer one of its series was stored.
    fn late(&mut self, stage: &Stage) {
        let newer = now();
        stage.exporter.put(&edge("late", "", newer));
        let mut shown = Times::default();
        shown.add("late", "", newer);
        for server in stage.all() {
            Stage::await_stored(server, &shown);
        }
        self.everywhere.add("late", "", newer);
        let older = newer - 10 * MINUTE - 1;
        stage.exporter.put(&edge("late", "", older));
        self.window_only.add("late", "", older);
    }
}

/// Beats once a second, over an exporter that comes and goes, and answers the times of the beats that were taken.
fn heartbeat(url: &str, beats: usize) -> JoinHandle<Vec<i64>> {
    let url = format!("{url}/api/v4/organizations/acme/change_events");
    std::thread::spawn(move || {
        let mut taken = Vec::new();
        for _ in 0..beats {
            let time = now();
            let body = edge("beat", "start", time).to_string();
            let answer = http::put(&url, "application/json", body.as_bytes());
            if answer.is_some_and(|answer| answer.status == 200) {
                taken.push(time);
            }
            std::thread::sleep(Duration::from_secs(1));
        }
        taken
    })
}

/// Milliseconds from the newest beat that a server has to now.
fn lag(server: &Prometheus) -> Option<i64> {
    let series = server.instant(r#"last9_change_events{entity_id="beat"}[5m]"#);
    series.iter().flat_map(Series::times).max().map(|newest| now() - newest)
}

/// Asserts that the beats reach every server without lagging, for as long as they last.
fn assert_keeps_up(stage: &Stage, beats: &JoinHandle<Vec<i64>>) {
    // A beat waits for its predecessor's hold, for the next beat and for the next scrape.
    let bound = HOLD + SECOND + 2 * SECOND + 3 * SECOND;
    for (name, server) in stage.all() {
        wait::until(&format!("{name} to store a recent beat"), LIMIT, || lag(server).filter(|&lag| lag < bound));
    }
    while !beats.is_finished() {
        for (name, server) in stage.all() {
            let lag = lag(server).unwrap();
            assert!(beats.is_finished() || lag < bound, "the newest beat in {name} is {lag} ms old");
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Asserts that each sample of the companion family says, as its value, the time it carries.
fn assert_companion_is_exact(name: &str, server: &Prometheus, expected: &Times) {
    let companion = server.instant(r#"last9_change_events_timestamp_seconds{entity_id!="beat"}[5d]"#);
    assert_eq!(expected.missing_from(&Times::stored(&companion)), None, "{name} lacks companion samples");
    for (time, value) in companion.iter().flat_map(|one| &one.samples) {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of this century are exact")]
        let seconds = *time as f64 / 1000.0;
        assert!((value - seconds).abs() < 1e-6, "{name} has a companion sample of {value} at {time} ms");
    }
}

/// Asserts that a server refused nothing, and that no scrape failed but for those while the exporter was away.
fn assert_clean(name: &str, server: &Prometheus, away: (i64, i64)) {
    for counter in [
        "prometheus_target_scrapes_sample_out_of_order_total",
        "prometheus_target_scrapes_sample_out_of_bounds_total",
        "prometheus_target_scrapes_sample_duplicate_timestamp_total",
        "prometheus_tsdb_out_of_bound_samples_total",
        "prometheus_tsdb_too_old_samples_total",
    ] {
        assert!(server.own(counter).abs() < f64::EPSILON, "{name} counted {counter}");
    }
    for (time, up) in server.instant(r#"up{job="change-events"}[1h]"#).iter().flat_map(|one| &one.samples) {
        let excused = (away.0..away.1).contains(time);
        assert!(*up > 0.0 || excused, "a scrape of {name} failed at {time}, with the exporter away {away:?}");
    }
    let complaints = server.complaints();
    let about_samples: Vec<_> = complaints.iter().filter(|line| line.contains("rror on ingesting")).collect();
    assert!(about_samples.is_empty(), "{name} complains: {about_samples:?}");
}

#[test]
fn prometheus_stores_every_edge_once_at_its_millisecond_over_a_kill() {
    let Some(mut stage) = Stage::start() else { return };
    let mut sent = Sent::default();
    let beats = heartbeat(&stage.exporter.url, 45);
    sent.burst(&stage.exporter);
    sent.other_ages(&stage.exporter);
    sent.late(&stage);

    let own = stage.exporter.page("metrics");
    for reason in ["late", "old"] {
        let counter = format!(r#"change_events_samples_unexposed_total{{reason="{reason}"}}"#);
        assert_eq!(http::metric(&own, &counter), Some(1.0), "what is on no plain page is counted: {counter}");
    }

    let killed = now();
    stage.exporter.kill();
    stage.await_up(0.0);
    stage.exporter.start_again();
    stage.await_up(1.0);
    // A scrape that had begun before may be stamped after: one interval more.
    let away = (killed - 2 * SECOND, now());

    assert_keeps_up(&stage, &beats);
    assert!(beats.join().unwrap().len() > 30, "most beats were taken");
    let coalesced = http::metric(&stage.exporter.page("metrics"), r#"change_events_samples_unexposed_total{reason="coalesced"}"#);
    assert!(coalesced > Some(10.0), "a beat that gave way to a newer one is counted: {coalesced:?}");

    for server in stage.all() {
        Stage::await_stored(server, &sent.everywhere);
    }
    Stage::await_stored(("Prometheus 3.15 with a window", &stage.windowed), &sent.window_only);

    for (name, server) in stage.plain() {
        assert_eq!(stored(server), sent.everywhere, "{name} has just what a plain page can show, at the millisecond");
    }
    let both = sent.everywhere.with(&sent.window_only);
    assert_eq!(stored(&stage.windowed), both, "a window takes late and old edges too");
    for (name, server) in stage.all() {
        assert_companion_is_exact(name, server, &sent.everywhere);
        assert_clean(name, server, away);
    }
}
