//! Annotations stand where the events are, to the millisecond, however wide the view.
//!
//! The model of Grafana's drawing here is held against Grafana's own code.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::dashboards;
use crate::published;
use crate::stage::{MINUTE, SECOND, Stage, edge, now};
use crate::support::query::Series;
use crate::support::{query, wait};

const LIMIT: Duration = Duration::from_mins(1);

/// Width of a view and the step that Grafana asks with, in seconds: 1 hour, 7 days, 30 days.
pub(crate) const VIEWS: &[(i64, u32)] = &[(3600, 15), (7 * 86_400, 600), (30 * 86_400, 3600)];

/// Start and end in milliseconds, by the state that the title names.
type Drawn = BTreeMap<String, Vec<(i64, i64)>>;

/// What Grafana draws for one annotation of a view that ends at a time in seconds: the range ends at a full step, points
/// at most a step apart become one region.
pub(crate) fn drawn(url: &str, annotation: &Value, end: i64, (width, step): (i64, u32)) -> Vec<(i64, i64)> {
    let values = dashboards::named("change-events").defaults();
    let expression = dashboards::filled(annotation["target"]["expr"].as_str().unwrap(), &values, step);
    let end = end - end % i64::from(step);
    let found = query::range(url, &expression, end - width, end, step).unwrap();
    let by_value = annotation["useValueForTime"] == true;
    let mut regions = Vec::new();
    for series in &found {
        let mut last: Option<(i64, i64)> = None;
        for &(time, value) in series.samples.iter().filter(|sample| sample.1 > 0.0) {
            #[expect(clippy::cast_possible_truncation, reason = "milliseconds of this century fit")]
            let time = if by_value { value.floor() as i64 } else { time };
            match &mut last {
                Some(region) if region.1 + i64::from(step) * SECOND >= time => region.1 = time,
                _ => regions.extend(last.replace((time, time))),
            }
        }
        regions.extend(last);
    }
    regions.sort_unstable();
    if let Some(theirs) = drawn_by_grafana(annotation, step, &found) {
        assert_eq!(regions, theirs, "Grafana's own code draws {} otherwise", annotation["name"]);
    }
    regions
}

/// The same by the code that Grafana publishes; `None` where it cannot be had.
fn drawn_by_grafana(annotation: &Value, step: u32, found: &[Series]) -> Option<Vec<(i64, i64)>> {
    let folder = published::folder()?;
    if found.is_empty() {
        return None;
    }
    let series: Vec<_> = found.iter().map(|one| json!({"labels": one.labels, "samples": one.samples})).collect();
    let asked = json!({"annotation": annotation, "step": step, "series": series});
    let mut child = published::node(folder, "annotations.mjs").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(asked.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "annotations.mjs ended with {}", output.status);
    let drawn: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let edges = |one: &Value| (one["time"].as_i64().unwrap(), one["timeEnd"].as_i64().unwrap());
    let mut regions: Vec<_> = drawn.iter().map(edges).collect();
    regions.sort_unstable();
    Some(regions)
}

fn all_drawn(stage: &Stage, view: (i64, u32)) -> Drawn {
    let dashboard = dashboards::named("change-events");
    let name = |annotation: &Value| annotation["name"].as_str().unwrap().to_owned();
    dashboard.annotations().iter().map(|one| (name(one), drawn(&stage.prometheus.url, one, now() / SECOND, view))).collect()
}

/// The edges of one series that a view shows, one of each interval that begins at a full step.
pub(crate) fn visible(times: &[i64], step: u32) -> Vec<i64> {
    let step = i64::from(step) * SECOND;
    let newest: BTreeMap<_, _> = times.iter().map(|&time| ((time - 1).div_euclid(step), time)).collect();
    newest.into_values().collect()
}

#[test]
fn annotations_are_exact_at_any_width() {
    let Some(stage) = Stage::start() else { return };
    let time = now();
    let starts = [time - 40 * MINUTE - 17, time - 25 * MINUTE + 331, time - 9 * MINUTE + 7, time - 2 * SECOND - 1];
    let stops = [time - 30 * MINUTE + 89, time - 20 * MINUTE + 450, time - SECOND - 313];
    let mut events: Vec<_> = starts.iter().map(|&time| edge("release", "start", time, &json!({"entity_id": "a"}))).collect();
    events.extend(stops.iter().map(|&time| edge("release", "stop", time, &json!({"entity_id": "a"}))));
    let since = time - 45 * MINUTE;
    events.push(edge("incident", "start", since, &json!({"entity_id": "b"})));
    events.sort_by_key(|event| event["timestamp"].to_string());
    stage.exporter.put(&events.into());

    let starts = [&[since][..], &starts].concat();
    for &(width, step) in VIEWS {
        wait::until_ok("all annotations to be drawn", LIMIT, || {
            let drawn = all_drawn(&stage, (width, step));
            let edge_times = |name: &str| drawn[name].iter().flat_map(|region| [region.0, region.1]).collect::<Vec<_>>();
            let hidden = |name: &str, times: &[i64]| times.iter().any(|time| !edge_times(name).contains(time));
            // The two series do not share intervals in a view of steps that are shorter than what lies between them.
            let release = visible(&starts[1..], step);
            let newest = [*release.last().unwrap(), since];
            let shown = if step == 15 { starts.clone() } else { newest.to_vec() };
            let lacking = hidden("Starts", &shown) || hidden("Stops", &[*stops.last().unwrap()]);
            if lacking { Err(format!("{step} s: {drawn:?} for {starts:?} and {stops:?}")) } else { Ok(()) }
        });
        let drawn = all_drawn(&stage, (width, step));
        for (name, sent) in [("Starts", &starts[..]), ("Stops", &stops[..])] {
            for (start, end) in &drawn[name] {
                assert!(sent.contains(start) && sent.contains(end), "{name} at {step} s: {start} to {end} is no edge of {sent:?}");
            }
        }
    }
    let narrow = all_drawn(&stage, (3600, 15));
    let exact = |times: &[i64]| times.iter().map(|&time| (time, time)).collect::<Vec<_>>();
    assert_eq!(narrow["Starts"], exact(&starts));
    assert_eq!(narrow["Stops"], exact(&stops));
    assert!(!narrow["Open"].is_empty(), "what is open is a region");
}
