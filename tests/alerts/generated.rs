//! Rules for limits shorter than those of the files in `alerts/`: an entity that comes back within the windows of the
//! rule still counts anew.

use std::process::Command;
use std::time::Duration;

use change_events::rules::{self, Dialect, Notify, Pattern, Stuck};

use crate::run;
use crate::support::servers;

/// A stop at minute 12, a new start at minute 15 in `eu`; a stop at minute 20 in `us`, which is another entity.
const COMES_BACK: &str = r#"
evaluation_interval: 1m
rule_files: [rules.yml]
tests:
  - interval: 1m
    input_series:
      - series: 'last9_change_events_open_timestamp_seconds{event_name="job",entity_id="a",deployment_environment="eu",instance="x:1"}'
        values: '0x11 stale _x2 900x60'
      - series: 'last9_change_events_timestamp_seconds{event_name="job",entity_id="a",deployment_environment="eu",event_state="start",instance="x:1"}'
        values: '0 _x14 900'
      - series: 'last9_change_events_timestamp_seconds{event_name="job",entity_id="a",deployment_environment="eu",event_state="stop",instance="x:1"}'
        values: '_x12 720'
      - series: 'last9_change_events_open_timestamp_seconds{event_name="job",entity_id="a",deployment_environment="us",instance="x:1"}'
        values: '_x16 960x3 stale'
      - series: 'last9_change_events_timestamp_seconds{event_name="job",entity_id="a",deployment_environment="us",event_state="start",instance="x:1"}'
        values: '_x16 960'
      - series: 'last9_change_events_timestamp_seconds{event_name="job",entity_id="a",deployment_environment="us",event_state="stop",instance="x:1"}'
        values: '_x20 1200'
    promql_expr_test:
      - {expr: 'count(ALERTS{alertstate="firing"})', eval_time: 10m, exp_samples: []}
      - {expr: 'count(ALERTS{alertstate="firing"})', eval_time: 11m, exp_samples: [{value: 1}]}
      - {expr: 'count(ALERTS{alertstate="firing"})', eval_time: 12m, exp_samples: []}
      - {expr: 'count(ALERTS{alertstate="firing"})', eval_time: 25m, exp_samples: []}
      - {expr: 'count(ALERTS{alertstate="firing"})', eval_time: 26m, exp_samples: [{value: 1}]}
      - {expr: 'count(ALERTS{alertstate="firing"})', eval_time: 1h10m, exp_samples: [{value: 1}]}
"#;

/// The shortest limit for which stops are not compared: a stop at minute 71, a new start at minute 73.
const COMES_BACK_IN_AN_HOUR: &str = r#"
evaluation_interval: 1m
rule_files: [rules.yml]
tests:
  - interval: 1m
    input_series:
      - series: 'last9_change_events_open_timestamp_seconds{event_name="job",entity_id="a",instance="x:1"}'
        values: '0x70 stale _ 4380x90'
      - series: 'last9_change_events_timestamp_seconds{event_name="job",entity_id="a",event_state="stop",instance="x:1"}'
        values: '_x71 4260'
    promql_expr_test:
      - {expr: 'count(ALERTS{alertstate="firing"})', eval_time: 60m, exp_samples: []}
      - {expr: 'count(ALERTS{alertstate="firing"})', eval_time: 61m, exp_samples: [{value: 1}]}
      - {expr: 'count(ALERTS{alertstate="firing"})', eval_time: 70m, exp_samples: [{value: 1}]}
      - {expr: 'count(ALERTS{alertstate="firing"})', eval_time: 71m, exp_samples: []}
      - {expr: 'count(ALERTS{alertstate="firing"})', eval_time: 81m, exp_samples: []}
      - {expr: 'count(ALERTS{alertstate="firing"})', eval_time: 133m, exp_samples: []}
      - {expr: 'count(ALERTS{alertstate="firing"})', eval_time: 134m, exp_samples: [{value: 1}]}
"#;

/// Two that beat, the one for longer; a third that beat for longest and has stopped.
const BEATS: &str = r#"
evaluation_interval: 1m
rule_files: [rules.yml]
tests:
  - interval: 1m
    input_series:
      - {series: 'last9_change_events{event_name="job",entity_id="a",event_state="start",instance="x:1"}', values: '_x20 1x60'}
      - {series: 'last9_change_events{event_name="job",entity_id="b",event_state="start",instance="x:1"}', values: '_x25 1x60'}
      - {series: 'last9_change_events{event_name="job",entity_id="c",event_state="start",instance="x:1"}', values: '1x34'}
      - {series: 'last9_change_events{event_name="job",entity_id="c",event_state="stop",instance="x:1"}', values: '_x35 1'}
    alert_rule_test:
      - eval_time: 40m
        alertname: ChangeEventStuck
        exp_alerts:
          - exp_labels: {severity: warning, event_name: job}
            exp_annotations: {summary: 2 of job are stuck, description: 'The oldest: a, with heartbeats in 21 minutes of the last 6h. The limit is 10m.'}
"#;

/// A beginning and an end under names of their own; another one of the same name that is over sooner.
const ENDS_UNDER_ANOTHER_NAME: &str = r#"
evaluation_interval: 1m
rule_files: [rules.yml]
tests:
  - interval: 1m
    input_series:
      - series: 'last9_change_events_open_timestamp_seconds{event_name="deployment_start",entity_id="a",version="1",instance="x:1"}'
        values: '0x75 stale'
      - series: 'last9_change_events_timestamp_seconds{event_name="deployment_start",entity_id="a",event_state="start",version="1",instance="x:1"}'
        values: '0'
      - series: 'last9_change_events_timestamp_seconds{event_name="deployment_complete",entity_id="a",event_state="stop",version="1",result="success",instance="x:1"}'
        values: '_x76 4560'
      - series: 'last9_change_events_timestamp_seconds{event_name="deployment_start",entity_id="b",event_state="start",instance="x:1"}'
        values: '0'
      - series: 'last9_change_events_open_timestamp_seconds{event_name="deployment_start",entity_id="b",instance="x:1"}'
        values: '0x5 stale'
      - series: 'last9_change_events_timestamp_seconds{event_name="deployment_done",entity_id="b",event_state="stop",instance="x:1"}'
        values: '_x6 360'
      - series: 'last9_change_events_timestamp_seconds{event_name="deployment_stop",entity_id="a",event_state="stop",instance="x:1"}'
        values: '_x70 4200'
      - series: 'last9_change_events_timestamp_seconds{event_name="deploymentXcomplete",entity_id="a",event_state="stop",instance="x:1"}'
        values: '_x70 4200'
    promql_expr_test:
      - {expr: 'count(ALERTS{alertstate="firing"})', eval_time: 61m, exp_samples: [{value: 1}]}
      - {expr: 'count(ALERTS{alertstate="firing"})', eval_time: 75m, exp_samples: [{value: 1}]}
      - {expr: 'count(ALERTS{alertstate="firing"})', eval_time: 76m, exp_samples: []}
      - {expr: 'count(ALERTS{alertstate="firing"})', eval_time: 90m, exp_samples: []}
"#;

#[test]
fn a_stop_under_a_finishing_name_resolves_at_the_next_evaluation() {
    let ways = [Notify::Each, Notify::Grouped];
    for minutes in [55, 60] {
        check_named("deployment_start", minutes, &[Pattern::Open, Pattern::Duration], &ways, &["entity_id"], ENDS_UNDER_ANOTHER_NAME);
    }
}

#[test]
fn grouped_heartbeats_name_the_oldest_that_still_beats() {
    check(10, &[Pattern::Heartbeat], &[Notify::Grouped], &["entity_id"], BEATS);
}

#[test]
fn an_entity_that_comes_back_within_the_windows_of_a_short_rule_counts_anew() {
    let entity = ["entity_id", "deployment_environment"];
    check(10, &[Pattern::Open, Pattern::Duration], &[Notify::Each, Notify::Grouped], &entity, COMES_BACK);
}

#[test]
fn an_entity_that_comes_back_counts_anew_with_the_shortest_limit_without_comparison() {
    check(60, &[Pattern::Open], &[Notify::Each, Notify::Grouped], &["entity_id"], COMES_BACK_IN_AN_HOUR);
}

/// Runs the unit test on the rule file for a limit in minutes, in each of these patterns and ways to notify.
fn check(minutes: u64, patterns: &[Pattern], ways: &[Notify], entity: &[&str], test: &str) {
    check_named("job", minutes, patterns, ways, entity, test);
}

fn check_named(event_name: &str, minutes: u64, patterns: &[Pattern], ways: &[Notify], entity: &[&str], test: &str) {
    for promtool in ["promtool", "debian/promtool"] {
        let Some(promtool) = servers::require(promtool) else { return };
        for (&pattern, &notify) in patterns.iter().flat_map(|pattern| ways.iter().map(move |notify| (pattern, notify))) {
            let directory = tempfile::tempdir().unwrap();
            let rule = Stuck {
                event_name: event_name.into(),
                state: None,
                entity: entity.iter().map(|&label| label.into()).collect(),
                limit: Duration::from_mins(minutes),
                pattern,
                dialect: Dialect::Promql,
                notify,
            };
            std::fs::write(directory.path().join("rules.yml"), rules::stuck(&rule).unwrap()).unwrap();
            let path = directory.path().join("test.yml");
            std::fs::write(&path, test).unwrap();
            run(Command::new(&promtool).args(["test", "rules"]).arg(path));
        }
    }
}
