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

#[test]
fn an_entity_that_comes_back_within_the_windows_of_a_short_rule_counts_anew() {
    for promtool in ["promtool", "debian/promtool"] {
        let Some(promtool) = servers::require(promtool) else { return };
        for pattern in [Pattern::Open, Pattern::Duration] {
            for notify in [Notify::Each, Notify::Grouped] {
                let directory = tempfile::tempdir().unwrap();
                let rule = Stuck {
                    event_name: "job".into(),
                    state: None,
                    entity: vec!["entity_id".into(), "deployment_environment".into()],
                    limit: Duration::from_mins(10),
                    pattern,
                    dialect: Dialect::Promql,
                    notify,
                };
                std::fs::write(directory.path().join("rules.yml"), rules::stuck(&rule).unwrap()).unwrap();
                let test = directory.path().join("test.yml");
                std::fs::write(&test, COMES_BACK).unwrap();
                run(Command::new(&promtool).args(["test", "rules"]).arg(test));
            }
        }
    }
}
