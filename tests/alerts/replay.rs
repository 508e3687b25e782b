//! The unit tests of the PromQL files, replayed for the MetricsQL files: their series go into VictoriaMetrics, vmalert
//! evaluates the files over that time, and the alerts that it wrote back are compared with the expected ones.
//! The PromQL files run in vmalert too; all but one, which says so.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use change_events::time::{Timestamp, duration};
use serde::Deserialize;

use crate::support::victoria::Victoria;
use crate::support::{http, query, servers};
use crate::{files, folder, run};

/// Where the clock of the first test starts, in seconds since 1970: a full hour, early enough for all to be past.
const FIRST: i64 = 1_000_000_800;
/// How far apart the clocks of two tests start: the longest window of a rule is 30 d.
const APART: i64 = 60 * 86_400;
const MINUTE: i64 = 60;

type Labels = BTreeMap<String, String>;

#[derive(Deserialize)]
struct File {
    tests: Vec<Test>,
}

#[derive(Deserialize)]
struct Test {
    name: String,
    input_series: Vec<Input>,
    #[serde(rename = "alert_rule_test")]
    moments: Vec<Moment>,
}

#[derive(Deserialize)]
struct Input {
    series: String,
    values: String,
}

#[derive(Deserialize)]
struct Moment {
    eval_time: String,
    alertname: String,
    #[serde(default)]
    exp_alerts: Vec<Alert>,
}

#[derive(Deserialize)]
struct Alert {
    exp_labels: Labels,
}

#[test]
fn victoriametrics_agrees_with_promtool() {
    agrees("victoria-metrics", "vmalert");
}

#[test]
fn victoriametrics_of_debian_agrees_with_promtool() {
    agrees("debian/victoria-metrics", "debian/vmalert");
}

fn agrees(victoria: &str, vmalert: &str) {
    let (Some(victoria), Some(vmalert)) = (servers::require(victoria), servers::require(vmalert)) else { return };
    let server = Victoria::start(&victoria, None, &["-retentionPeriod=100y", "-search.disableCache"]);
    let directory = tempfile::tempdir().unwrap();
    let mut start = FIRST;
    let mut failures = Vec::new();
    for path in files(&folder().join("tests"), "_test.yml") {
        let name = path.file_name().unwrap().to_str().unwrap().trim_end_matches("_test.yml").to_owned();
        let file: File = serde_saphyr::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for kind in ["metricsql", "rules"] {
            // `changes` takes the first sample of a window for a change in VictoriaMetrics.
            if (name.as_str(), kind) == ("deployments", "rules") {
                continue;
            }
            let text = std::fs::read_to_string(folder().join(format!("{name}.{kind}.yml"))).unwrap();
            let rules = directory.path().join(format!("{name}.{kind}.yml"));
            std::fs::write(&rules, without_annotations(&text)).unwrap();
            for test in &file.tests {
                test.import(&server, start);
                replay(&vmalert, &server, &rules, start, test.end());
                failures.extend(test.failures(&server, start).iter().map(|failure| format!("{name}.{kind}: {}: {failure}", test.name)));
                start += APART;
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Older versions refuse to replay a rule whose annotations hold a query.
fn without_annotations(rules: &str) -> String {
    let mut inside = false;
    let kept = rules.lines().filter(|line| {
        inside = *line == "        annotations:" || (inside && line.starts_with("          "));
        !inside
    });
    kept.collect::<Vec<_>>().join("\n")
}

/// Evaluates the rules of a file once a minute; the alerts go into the same server.
fn replay(vmalert: &Path, server: &Victoria, rules: &Path, start: i64, seconds: i64) {
    let url = &server.url;
    let time = |seconds: i64| Timestamp::from_millis(seconds * 1000).to_string();
    run(Command::new(vmalert).args([
        format!("-rule={}", rules.display()),
        format!("-datasource.url={url}"),
        format!("-remoteWrite.url={url}"),
        format!("-replay.timeFrom={}", time(start)),
        format!("-replay.timeTo={}", time(start + seconds)),
        "-replay.rulesDelay=0s".to_owned(),
        "-datasource.queryStep=0s".to_owned(),
        "-replay.disableProgressBar".to_owned(),
        "-evaluationInterval=1m".to_owned(),
        "-httpListenAddr=127.0.0.1:0".to_owned(),
    ]));
    flush(server);
}

/// Makes what was written visible to queries.
fn flush(server: &Victoria) {
    assert!(http::is_ok(&format!("{}/internal/force_flush", server.url)));
}

impl Test {
    /// Seconds from the start to the last moment that is looked at.
    fn end(&self) -> i64 {
        self.moments.iter().map(Moment::seconds).max().unwrap()
    }

    /// Writes the series as promtool would store them, with the clock set to `start`.
    fn import(&self, server: &Victoria, start: i64) {
        let mut text = String::new();
        for Input { series, values } in &self.input_series {
            for (minute, value) in (0_i64..).zip(expand(values)) {
                let Some(value) = value else { continue };
                let at = (start + minute * MINUTE) * 1000;
                if series.contains("_timestamp_seconds{") {
                    #[expect(clippy::cast_precision_loss, reason = "seconds of this age are exact")]
                    let value = value + start as f64;
                    writeln!(text, "{series} {value} {at}").unwrap();
                } else {
                    writeln!(text, "{series} {value} {at}").unwrap();
                }
                // The samples themselves, from which MetricsQL takes the times; tests in PromQL need just the companion.
                if let Some(labels) = series.strip_prefix("last9_change_events_timestamp_seconds") {
                    writeln!(text, "last9_change_events{labels} 1 {at}").unwrap();
                }
            }
        }
        ureq::post(format!("{}/api/v1/import/prometheus", server.url)).send(&text).unwrap();
        flush(server);
    }

    fn failures(&self, server: &Victoria, start: i64) -> Vec<String> {
        let mut failures = Vec::new();
        for moment in &self.moments {
            let expected: BTreeSet<Labels> = moment.exp_alerts.iter().map(|alert| alert.exp_labels.clone()).collect();
            let expression = format!(r#"last_over_time(ALERTS{{alertname="{}",alertstate="firing"}}[30s])"#, moment.alertname);
            let firing = query::instant(&server.url, &expression, Some(start + moment.seconds())).unwrap();
            let firing: BTreeSet<Labels> = firing.into_iter().map(|series| own_labels(series.labels)).collect();
            if firing != expected {
                failures.push(format!("at {}: fires {firing:?}, expected {expected:?}", moment.eval_time));
            }
        }
        failures
    }
}

impl Moment {
    fn seconds(&self) -> i64 {
        i64::try_from(duration::parse(&self.eval_time).unwrap_or(Duration::ZERO).as_secs()).unwrap()
    }
}

/// Without what vmalert adds.
fn own_labels(mut labels: Labels) -> Labels {
    for added in ["__name__", "alertname", "alertstate", "alertgroup"] {
        labels.remove(added);
    }
    labels
}

/// The values of a series in promtool's notation: `1`, `1x9` (ten times), `1+2x9`, `-1-2x9`, `_`, `_x9` (nine times), `stale`.
/// A staleness marker is a missing value here: VictoriaMetrics leaves markers out of every window.
fn expand(notation: &str) -> Vec<Option<f64>> {
    let mut values = Vec::new();
    for item in notation.split_whitespace() {
        let (base, times) = item.split_once('x').map_or((item, 0), |(base, times)| (base, times.parse::<usize>().unwrap()));
        match base {
            "stale" => values.push(None),
            "_" => values.extend(vec![None; times.max(1)]),
            _ => {
                // The sign of the first value is no step.
                let step = base.char_indices().skip(1).find(|(_, sign)| matches!(sign, '+' | '-')).map_or(base.len(), |(place, _)| place);
                let (first, step) = base.split_at(step);
                let (first, step): (f64, f64) = (first.parse().unwrap(), if step.is_empty() { 0.0 } else { step.parse().unwrap() });
                values.extend((0_u32..).take(times + 1).map(|index| Some(step.mul_add(f64::from(index), first))));
            }
        }
    }
    values
}
