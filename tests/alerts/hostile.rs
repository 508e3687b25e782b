//! Whatever an event is called, its rule file loads, selects just that event, and puts the name on the alert as it is.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use change_events::rules::{self, Dialect, Notify, Pattern, Stuck};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::run;
use crate::support::servers;

/// Names of events, states and entities per call of a tool: starting it costs more than a rule.
const NAMES: usize = 48;

/// What ends a string, a comment, a scalar or a template in one of the languages on the way, and any character at all.
fn name() -> impl Strategy<Value = String> {
    let fragment = prop_oneof![
        4 => prop::sample::select(vec![
            "{{", "}}", "{{ $value }}", "{{ end }}", "${x}", "$labels", "%{HOME}", "%{", "`", "\"", "'", "\\", "\\\"", "\n", "\r",
            "\t", "\0", "\u{7f}", "\u{85}", "\u{a0}", "\u{2028}", "\u{2029}", "\u{feff}", "\u{1f600}", "\u{e9}", "#", ": ",
            " #", "- ", "---", "...", "|", "&a", "*a", "!!", "[", "]", "{", "}", ",", "=~", "(", ")", " ", "  ", "nan", "inf", "0x", "x", ".*", "_start", " begin",
        ]).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    // U+FFFD is refused: Prometheus prints an expression and reads it again, and takes that character for bad UTF-8.
    prop::collection::vec(fragment, 1..6).prop_map(|fragments| fragments.concat().replace('\u{fffd}', "x"))
}

fn names() -> impl Strategy<Value = Vec<[String; 3]>> {
    prop::collection::vec([name(), name(), name()], NAMES)
}

/// Words that mean something in one of the languages, numbers, and names of any kind.
fn label() -> impl Strategy<Value = String> {
    let words = "inf nan Inf NaN by on without ignoring group_left group_right bool offset and or unless atan2 sum count max topk \
                 count_values quantile start end step default if ifnot with WITH keep_metric_names limit prefix fill fill_left \
                 smoothed anchored info true false null yes no y n on off 0x1 1h 1d e1 _ __ __name__ job instance event_name state \
                 alertname severity entity_id time value infinity le keep label_keep range step() { } \u{e9} a.b a-b";
    let words: Vec<_> = words.split_whitespace().map(str::to_owned).collect();
    prop_oneof![6 => prop::sample::select(words), 2 => "[a-zA-Z_][a-zA-Z0-9_]{0,8}", 1 => name()]
}

fn rule(name: &[String; 3], pattern: Pattern, dialect: Dialect, notify: Notify) -> Stuck {
    let entity = vec!["entity_id".to_owned()];
    let [event_name, state, _] = name.clone();
    Stuck { event_name, state: Some(state), entity, limit: Duration::from_mins(10), pattern, dialect, notify }
}

/// Who reads a rule file, and how it is asked to.
const TOOLS: [(&str, &[&str], Dialect); 4] = [
    ("promtool", &["check", "rules"], Dialect::Promql),
    ("debian/promtool", &["check", "rules"], Dialect::Promql),
    ("vmalert", &["-dryRun"], Dialect::Metricsql),
    ("debian/vmalert", &["-dryRun"], Dialect::Metricsql),
];
const PATTERNS: [Pattern; 3] = [Pattern::Open, Pattern::Duration, Pattern::Heartbeat];

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_name_makes_a_file_that_loads(names in names()) {
        for (tool, arguments, dialect) in TOOLS {
            let Some(tool) = servers::require(tool) else { return Ok(()) };
            let directory = tempfile::tempdir().unwrap();
            let mut command = Command::new(tool);
            command.args(arguments);
            for (index, name) in names.iter().enumerate() {
                let notify = if index % 2 == 0 { Notify::Each } else { Notify::Grouped };
                let text = rules::stuck(&rule(name, PATTERNS[index % 3], dialect, notify)).unwrap();
                add(&mut command, &directory.path().join(format!("{index}.yml")), &text, dialect);
            }
            run(&mut command);
        }
    }

    #[test]
    fn every_entity_label_makes_a_file_that_loads_or_is_refused(labels in prop::collection::vec(label(), 2 * NAMES)) {
        let name = ["job_lifecycle".to_owned(), "queued".to_owned(), String::new()];
        for (tool, arguments, dialect) in TOOLS {
            let Some(tool) = servers::require(tool) else { return Ok(()) };
            let directory = tempfile::tempdir().unwrap();
            let mut command = Command::new(tool);
            command.args(arguments);
            let mut written = 0;
            for (index, pair) in labels.chunks(2).enumerate() {
                let notify = if index % 2 == 0 { Notify::Each } else { Notify::Grouped };
                let limit = if index % 4 < 2 { Duration::from_mins(10) } else { Duration::from_hours(4) };
                let rule = Stuck { entity: pair.to_vec(), limit, ..rule(&name, PATTERNS[index % 3], dialect, notify) };
                let Ok(text) = rules::stuck(&rule) else { continue };
                written += 1;
                add(&mut command, &directory.path().join(format!("{index}.yml")), &text, dialect);
            }
            if written > 0 {
                run(&mut command);
            }
        }
    }

    #[test]
    fn every_name_is_selected_and_shown_as_it_is(names in names()) {
        for promtool in ["promtool", "debian/promtool"] {
            let Some(promtool) = servers::require(promtool) else { return Ok(()) };
            let directory = tempfile::tempdir().unwrap();
            let mut command = Command::new(promtool);
            command.args(["test", "rules"]);
            for (index, name) in names.iter().enumerate() {
                let notify = if index % 2 == 0 { Notify::Each } else { Notify::Grouped };
                write_unit_test(&directory, index, name, notify);
                command.arg(directory.path().join(format!("{index}_test.yml")));
            }
            run(&mut command);
        }
    }
}

/// Writes a rule file, to be read by the tool.
fn add(command: &mut Command, path: &Path, text: &str, dialect: Dialect) {
    std::fs::write(path, text).unwrap();
    let path = path.display();
    command.arg(if dialect == Dialect::Promql { path.to_string() } else { format!("-rule={path}") });
}

/// An entity that is stuck, beside others whose event or state is called a little differently.
fn write_unit_test(directory: &TempDir, index: usize, name: &[String; 3], notify: Notify) {
    let rule = rules::stuck(&rule(name, Pattern::Open, Dialect::Promql, notify)).unwrap();
    let file = |suffix: &str| directory.path().join(format!("{index}{suffix}.yml"));
    std::fs::write(file(""), rule).unwrap();
    let [event_name, state, entity] = name;
    let mut series = String::new();
    for (event_name, state) in
        [(event_name.clone(), state.clone()), (format!("{event_name}x"), state.clone()), (event_name.clone(), format!("x{state}"))]
    {
        let gauge = format!(
            "last9_change_events_open_timestamp_seconds{{event_name={},state={},entity_id={}}}",
            promql(&event_name),
            promql(&state),
            promql(entity)
        );
        writeln!(series, "      - {{series: {}, values: '0x20'}}", yaml(&gauge)).unwrap();
    }
    let (entity_label, summary, description) = match notify {
        Notify::Each => (
            format!(", entity_id: {}", yaml(entity)),
            format!("{event_name} of {entity} is stuck in {state}"),
            "Open for 15m 0s; the limit is 10m.".to_owned(),
        ),
        Notify::Grouped => (
            String::new(),
            format!("1 of {event_name} are stuck in {state}"),
            format!("The oldest: {entity}, since 15m 0s. The limit is 10m."),
        ),
    };
    let test = format!(
        "\
rule_files: [{}]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
{series}    alert_rule_test:
      - eval_time: 15m
        alertname: ChangeEventStuck
        exp_alerts:
          - exp_labels: {{severity: warning, event_name: {}, state: {}{entity_label}}}
            exp_annotations: {{summary: {}, description: {}}}
",
        yaml(file("").to_str().unwrap()),
        yaml(event_name),
        yaml(state),
        yaml(&summary),
        yaml(&description),
    );
    std::fs::write(Path::new(&file("_test")), test).unwrap();
}

/// Quoted for PromQL, byte by byte: clumsy on purpose, so that it shares nothing with what it checks.
fn promql(text: &str) -> String {
    let bytes: Vec<_> = text.bytes().map(|byte| format!("\\x{byte:02x}")).collect();
    format!("\"{}\"", bytes.concat())
}

/// Quoted for YAML, character by character.
fn yaml(text: &str) -> String {
    let characters: Vec<_> = text.chars().map(|c| format!("\\U{:08x}", u32::from(c))).collect();
    format!("\"{}\"", characters.concat())
}
