//! What the generator writes and refuses; whether it is true is for `tests/alerts.rs` and real servers.

use std::error::Error as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::Dialect;
use super::Notify;
use super::Pattern;
use super::Stuck;
use super::deployments;
use super::parts;
use super::quote;
use super::stuck;
use super::watched::lookback;

fn queued() -> Stuck {
    Stuck {
        event_name: "job_lifecycle".into(),
        state: Some("queued".into()),
        entity: vec!["entity_id".into(), "deployment_environment".into()],
        limit: Duration::from_hours(4),
        pattern: Pattern::Open,
        dialect: Dialect::Promql,
        notify: Notify::Each,
    }
}

#[test]
fn the_files_in_alerts_are_what_the_generator_writes() {
    let is = |name: &str, written: &str| {
        let shipped = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
        assert!(shipped == written, "{name} differs; write it anew with the command in its header");
    };
    is("alerts/deployments.rules.yml", &deployments(Dialect::Promql));
    is("alerts/deployments.metricsql.yml", &deployments(Dialect::Metricsql));
    // `change-events rules outcomes > grafana/outcomes.json`, then `grafana/build.py`.
    is("grafana/outcomes.json", &parts());
    let check = |name: &str, rule: Stuck| is(&format!("alerts/{name}"), &stuck(&rule).unwrap());
    let each = |pattern, dialect| Stuck { pattern, dialect, ..queued() };
    check("stuck-open.rules.yml", each(Pattern::Open, Dialect::Promql));
    check("stuck-open.metricsql.yml", each(Pattern::Open, Dialect::Metricsql));
    check("stuck-duration.rules.yml", each(Pattern::Duration, Dialect::Promql));
    check("stuck-duration.metricsql.yml", each(Pattern::Duration, Dialect::Metricsql));
    check("stuck-heartbeat.rules.yml", each(Pattern::Heartbeat, Dialect::Promql));
    check("stuck-heartbeat.metricsql.yml", each(Pattern::Heartbeat, Dialect::Metricsql));
    check("stuck-grouped.rules.yml", Stuck { notify: Notify::Grouped, ..queued() });
    check("stuck-grouped.metricsql.yml", Stuck { notify: Notify::Grouped, dialect: Dialect::Metricsql, ..queued() });
}

#[test]
fn entity_labels_that_cannot_work_are_refused_with_the_reason() {
    let check = |labels: &[&str], says: &str| {
        let entity = labels.iter().map(|label| (*label).into()).collect();
        let error = stuck(&Stuck { entity, ..queued() }).unwrap_err();
        let reason = error.source().map(ToString::to_string).unwrap_or_default();
        assert!(format!("{error}: {reason}").contains(says), "{labels:?}: {error}: {reason}");
    };
    for number in ["inf", "Inf", "INF", "nan", "NaN"] {
        check(&[number], "reads it as a number");
        check(&["entity_id", number], "reads it as a number");
    }
    check(&["Without"], "reads it as a keyword");
    check(&[""], "it is empty");
    check(&[], "all entities count as one");
    check(&["a", "b", "a"], "`a` is given twice");
    check(&["service.name"], "on the page it is `service_name`");
    check(&["0x"], "on the page it is `_0x`");
    check(&["a) or (b"], "on the page it is `a__or__b`");
    check(&["a\n#"], "on the page it is `a__`");
    check(&["\u{e9}"], "on the page it is `_`");
    check(&["__name__"], "internal");
    check(&["event_name"], "one event name");
    check(&["event_state"], "differ in it");
    check(&["state"], "one state");
    check(&["instance"], "exported_instance");
    check(&["alertname"], "sets this label");
    check(&["severity"], "sets this label");
    check(&["job"], "exported_job");
    check(&["job", "instance"], "exported_instance");
    let long = "x.".repeat(500);
    let error = stuck(&Stuck { entity: vec![long], ..queued() }).unwrap_err();
    assert!(error.to_string().len() < 300, "{error}");
}

#[test]
fn entity_labels_that_work() {
    let check = |labels: &[&str], state: Option<&str>| {
        let entity = labels.iter().map(|label| (*label).into()).collect();
        stuck(&Stuck { entity, state: state.map(Into::into), ..queued() }).unwrap();
    };
    check(&["state"], None);
    check(&["entity_id", "job"], None);
    check(&["by", "on", "sum", "infinity", "_1"], Some("x"));
}

#[test]
fn limits_out_of_bounds_and_names_that_no_rule_can_hold_are_refused() {
    let check = |rule: Stuck, expected: Option<&str>| match (stuck(&rule), expected) {
        (Ok(_), None) => {}
        (Err(error), Some(says)) => assert!(error.to_string().contains(says), "{error}"),
        (result, _) => panic!("{rule:?}: {result:?}"),
    };
    let limit = |pattern, seconds| Stuck { pattern, limit: Duration::from_secs(seconds), ..queued() };
    check(limit(Pattern::Open, 59), Some("1m to 8760h"));
    check(limit(Pattern::Open, 60), None);
    check(limit(Pattern::Duration, 365 * 86_400), None);
    check(limit(Pattern::Duration, 365 * 86_400 + 1), Some("1m to 8760h"));
    check(limit(Pattern::Duration, u64::MAX), Some("1m to 8760h"));
    check(limit(Pattern::Heartbeat, 599), Some("10m to 168h"));
    check(limit(Pattern::Heartbeat, 600), None);
    check(limit(Pattern::Heartbeat, 601), Some("whole minutes"));
    check(Stuck { event_name: String::new(), ..queued() }, Some("event name is empty"));
    check(Stuck { state: Some(String::new()), ..queued() }, Some("state is empty"));
    check(Stuck { event_name: "caf\u{fffd}".into(), ..queued() }, Some("event name `caf\u{fffd}` holds U+FFFD"));
    check(Stuck { state: Some("\u{fffd}".into()), ..queued() }, Some("fails at each evaluation"));
}

#[test]
fn a_stop_is_looked_for_under_each_name_that_ends_what_began() {
    let check = |event_name: &str, pattern, selects: &str| {
        let text = stuck(&Stuck { event_name: event_name.into(), pattern, ..queued() }).unwrap();
        let stops: Vec<_> = text.lines().filter(|line| line.contains("event_state=\"stop\"")).collect();
        assert!(!stops.is_empty() && stops.iter().all(|line| line.contains(selects)), "{text}");
        assert!(!text.contains("on (event_name"), "{text}");
    };
    for pattern in [Pattern::Open, Pattern::Duration, Pattern::Heartbeat] {
        check("a.b_start", pattern, r#"event_name=~"a\\.b_complete|a\\.b_completed|a\\.b_completion|a\\.b_done|a\\.b_end|"#);
        check("vm_stop", pattern, r#"event_name="vm_stop""#);
        check("deployment", pattern, r#"event_name="deployment""#);
        check("deployment_done", pattern, r#"event_name="deployment_done""#);
    }
}

#[test]
fn a_limit_near_the_age_at_which_the_gauge_loses_events_is_said() {
    let check = |days: u64, pattern, entity: &str, expected: bool| {
        let rule = Stuck { limit: Duration::from_hours(24 * days), entity: vec![entity.into()], pattern, ..queued() };
        assert_eq!(rule.is_near_max_age(), expected, "{rule:?}");
        assert_eq!(stuck(&rule).unwrap().contains("`--open.max-age`"), expected, "{rule:?}");
    };
    check(5, Pattern::Open, "host", false);
    check(6, Pattern::Open, "host", true);
    check(30, Pattern::Open, "service_name", true);
    check(30, Pattern::Open, "entity_id", false);
    check(30, Pattern::Open, "deployment_id", false);
    check(30, Pattern::Duration, "host", false);
}

#[test]
fn the_lookback_follows_the_table_and_has_a_floor() {
    let check = |limit: u64, hours: u64| {
        assert_eq!(lookback(Duration::from_secs(limit)), Duration::from_hours(hours), "limit of {limit} s");
    };
    check(60, 6);
    check(3600, 6);
    check(3601, 12);
    check(4 * 3600, 12);
    check(12 * 3600, 48);
    check(24 * 3600, 72);
    check(24 * 3600 + 1, 75);
    check(48 * 3600, 144);
}

#[test]
fn strings_are_quoted_so_that_nothing_ends_them() {
    let check = |text: &str, expected: &str| assert_eq!(quote::string(text), expected);
    check("job_lifecycle", "\"job_lifecycle\"");
    check("a\"b\\c", "\"a\\\"b\\\\c\"");
    check("a\nb\rc\0", "\"a\\nb\\x0dc\\x00\"");
    check("\u{85}\u{2028}\u{feff}\u{1f600}", "\"\\u0085\\u2028\\ufeff\\U0001f600\"");
    check("d\u{e9}ploiement \u{30c7}", "\"d\u{e9}ploiement \u{30c7}\"");
    check("`%{HOME} {{ x }} 5%", "\"\\x60\\x25{HOME} {{ x }} 5%\"");
    assert_eq!(quote::pattern("a.b_c-d (\u{e9})"), "a\\.b_c-d \\(\u{e9}\\)");
    assert_eq!(quote::word("a\n# b"), "\"a\\n# b\"");
    assert_eq!(quote::word("job_lifecycle"), "job_lifecycle");
}

#[test]
fn durations_are_written_as_promql_reads_them() {
    let check = |seconds, expected: &str| assert_eq!(quote::duration(Duration::from_secs(seconds)), expected);
    check(14_400, "4h");
    check(5_400, "1h30m");
    check(3_661, "1h1m1s");
    check(0, "0s");
    check(86_400 * 3, "72h");
}
