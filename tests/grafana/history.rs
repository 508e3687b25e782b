//! A month of events, backfilled: in views of 1 hour, 7 and 30 days no annotation is missing but what one annotation per
//! series and interval hides, and each stands where its event is, to the millisecond.

use std::fmt::Write as _;

use serde_json::Value;

use crate::annotations::{VIEWS, drawn, visible};
use crate::dashboards;
use crate::stage::{MINUTE, SECOND};
use crate::support::prometheus::Prometheus;
use crate::support::servers;

/// The end of every view, in seconds: no full step of any.
const END: i64 = 1_771_590_034;
const DAY: i64 = 86_400 * SECOND;
const SERIES: u32 = 24;
/// When something was open, in milliseconds: from 20 to 10 days before the end, and from 22 minutes before it.
const OPEN: [(i64, i64); 2] = [(END * SECOND - 20 * DAY, END * SECOND - 10 * DAY), (END * SECOND - 22 * MINUTE, END * SECOND)];
/// The dashboard asks for regions no finer than this, in seconds.
const REGION_STEP_MIN: u32 = 120;

/// Times of the edges of one series: a few minutes to a few days apart, and a handful in the last hour.
fn edges(series: u32) -> Vec<i64> {
    let mut state = u64::from(series) * 7919 + 1;
    let mut random = |below: i64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(state >> 33).unwrap() % below
    };
    let end = END * SECOND;
    let mut times = vec![end - 31 * DAY + random(DAY)];
    while times.last().unwrap() < &(end - 50 * MINUTE) {
        let apart = [3 * MINUTE, 20 * MINUTE, DAY / 4, 2 * DAY][usize::try_from(random(4)).unwrap()];
        times.push((times.last().unwrap() + 1 + random(apart)).min(end - 50 * MINUTE + random(MINUTE)));
    }
    while times.last().unwrap() < &(end - 5 * MINUTE) {
        times.push(times.last().unwrap() + SECOND + random(5 * MINUTE));
    }
    // Both versions of Prometheus agree about all but the very edge of a window.
    times.iter_mut().filter(|time| **time % SECOND == 0).for_each(|time| *time += 1);
    times
}

/// What the exporter's page showed over that month, as a scrape a minute has it.
fn samples() -> String {
    let mut text = String::new();
    let seconds = |time: i64| format!("{}.{:03}", time / SECOND, time % SECOND);
    for series in 0..SERIES {
        let state = if series % 2 == 0 { "start" } else { "stop" };
        let labels = format!(r#"event_name="release",service_name="service-{series}",event_state="{state}",instance="x:1",job="j""#);
        for time in edges(series) {
            let time = seconds(time);
            writeln!(text, "last9_change_events_timestamp_seconds{{{labels}}} {time} {time}").unwrap();
        }
    }
    for (start, end) in OPEN {
        let labels = r#"event_name="incident",service_name="service-1",instance="x:1",job="j""#;
        for time in (start..end).step_by(60_000) {
            writeln!(text, "last9_change_events_open_timestamp_seconds{{{labels}}} {} {}", seconds(start), seconds(time)).unwrap();
        }
    }
    text
}

/// What a view should show of a series: the newest edge of each interval; those at most a step apart are joined.
fn expected(times: &[i64], (width, step): (i64, u32)) -> Vec<(i64, i64)> {
    let first = (END - END % i64::from(step) - width) * SECOND;
    let shown: Vec<_> = times.iter().copied().filter(|&time| time > first).collect();
    let mut regions: Vec<(i64, i64)> = Vec::new();
    for time in visible(&shown, step) {
        match regions.last_mut() {
            Some(region) if region.1 + i64::from(step) * SECOND >= time => region.1 = time,
            _ => regions.push((time, time)),
        }
    }
    regions
}

/// Compares a view of starts or stops, and answers how many edges it has and how many of them one annotation hides.
fn check(url: &str, annotation: &Value, parity: u32, view: (i64, u32)) -> (usize, usize) {
    let first = (END - END % i64::from(view.1) - view.0) * SECOND;
    let mut all = Vec::new();
    let (mut sent, mut shown) = (0, 0);
    for series in (0..SERIES).filter(|series| series % 2 == parity) {
        let times: Vec<_> = edges(series).into_iter().filter(|&time| time > first).collect();
        sent += times.len();
        shown += visible(&times, view.1).len();
        all.extend(expected(&times, view));
    }
    all.sort_unstable();
    assert_eq!(drawn(url, annotation, END, view), all, "{} at a step of {} s", annotation["name"], view.1);
    (sent, sent - shown)
}

/// What is open is a region that begins within a step of the truth and ends within two: the range ends at a full step, and
/// the last scrape may be from before it.
fn check_regions(url: &str, annotation: &Value, (width, step): (i64, u32)) {
    let step = step.max(REGION_STEP_MIN);
    let regions = drawn(url, annotation, END, (width, step));
    let first = (END - width) * SECOND;
    let open: Vec<_> = OPEN.iter().filter(|(_, end)| *end > first).collect();
    assert_eq!(regions.len(), open.len(), "{regions:?} at a step of {step} s");
    for (region, truth) in regions.iter().zip(open) {
        let near = |a: i64, b: i64, steps: i64| (a - b).abs() <= steps * i64::from(step) * SECOND;
        assert!(near(region.0, truth.0.max(first), 1) && near(region.1, truth.1, 2), "{region:?} for {truth:?} at a step of {step} s");
    }
}

fn whole_month(prometheus: &str) {
    let Some(prometheus) = servers::require(prometheus) else { return };
    let prometheus = Prometheus::backfilled(&prometheus, &samples());
    let dashboard = dashboards::named("change-events");
    let named = |name: &str| dashboard.annotations().into_iter().find(|one| one["name"] == name).unwrap();
    for &view in VIEWS {
        let (starts, stops) = (check(&prometheus.url, named("Starts"), 0, view), check(&prometheus.url, named("Stops"), 1, view));
        let (sent, hidden) = (starts.0 + stops.0, starts.1 + stops.1);
        // The data would prove little if no edges, or all of them, were close to others.
        assert!(hidden > 5 && sent - hidden > 100, "{hidden} of {sent} are hidden at {view:?}");
        check_regions(&prometheus.url, named("Open"), view);
    }
}

#[test]
fn a_month_of_annotations_is_whole() {
    whole_month("prometheus");
}

#[test]
fn a_month_of_annotations_is_whole_with_prometheus_of_debian() {
    whole_month("debian/prometheus");
}
