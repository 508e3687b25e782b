//! How something ended, as the dashboards count and tell it; what a popup says of an event; and what is one change.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use change_events::words::outcome::{DEPLOYMENT_STATUS, LABELS, Outcome, STATUS, SYSTEMS, outcome};
use serde_json::Value;

use crate::dashboards;
use crate::support::prometheus::Prometheus;
use crate::support::query::Series;
use crate::support::{query, servers};

/// When everything ends, in seconds; a full step of each view.
const AT: i64 = 1_771_588_800;

fn with(prometheus: &str, samples: &str, check: impl Fn(&str)) {
    let Some(binary) = servers::require(prometheus) else { return };
    check(&Prometheus::backfilled(&binary, samples).url);
}

fn expression(dashboard: &str, title: &str) -> String {
    let dashboard = dashboards::named(dashboard);
    let query = dashboard.queries().into_iter().find(|query| query.place.contains(&format!("\"{title}\""))).unwrap();
    dashboards::filled(&query.expression, &dashboard.defaults(), 15)
}

/// Each word once in each attribute; how many of them are a failure.
fn ended() -> (String, f64) {
    let (mut text, mut failures) = (String::new(), 0.0);
    for (number, system) in SYSTEMS.iter().enumerate() {
        for word in [system.success, system.failure, system.neutral, system.undecided].concat() {
            for label in LABELS.into_iter().chain([DEPLOYMENT_STATUS, STATUS]) {
                let labels = format!("event_name=\"deployment\",event_state=\"stop\",service_name=\"{number}\",{label}=\"{word}\"");
                writeln!(text, "last9_change_events{{{labels}}} 1 {}", AT - 60).unwrap();
                failures += if outcome(label, word) == Outcome::Failure { 1.0 } else { 0.0 };
            }
        }
    }
    (text, failures)
}

#[test]
fn each_failure_is_counted_and_nothing_else() {
    let (samples, failures) = ended();
    for prometheus in ["prometheus", "debian/prometheus"] {
        with(prometheus, &samples, |url| {
            let found = query::instant(url, &expression("change-events", "Failed"), Some(AT)).unwrap();
            assert_eq!(found.iter().map(|series| series.samples[0].1).collect::<Vec<_>>(), [failures]);
        });
    }
}

const CONTEXT: &str = r#"
last9_change_events_timestamp_seconds{event_name="deployment",event_state="stop",service_name="checkout",deployment_environment="prod",version="1.8",change_type="config",result="failure",author="jane",ticket="OPS-7",commit="abc",url="https://ci.example/1?a=b&c=d",link="see the wiki",other="not shown"} AT AT
last9_change_events_timestamp_seconds{event_name="holiday",event_state="stop"} AT AT
last9_change_events_timestamp_seconds{event_name="twin",event_state="stop",result="x",about="a"} AT AT
last9_change_events_timestamp_seconds{event_name="twin",event_state="stop",result="<br>result: x",about="b"} AT AT
"#;

#[test]
fn a_popup_says_all_that_there_is_of_an_event_and_names_nothing_else() {
    for prometheus in ["prometheus", "debian/prometheus"] {
        with(prometheus, &CONTEXT.trim_start().replace("AT", &(AT - 60).to_string()), |url| {
            for name in ["change-events", "change-events-service"] {
                let dashboard = dashboards::named(name);
                let stops = dashboard.annotations().into_iter().find(|one| one["name"] == "Stops").unwrap();
                assert_eq!(stops["textFormat"], "{{__about}}");
                let expression = dashboards::filled(stops["target"]["expr"].as_str().unwrap(), &dashboard.defaults(), 15);
                let found = query::range(url, &expression, AT - 3600, AT, 15).unwrap();
                let words = |series: &Series| series.label("__about").split_whitespace().collect::<Vec<_>>().join(" ");
                let texts: BTreeMap<_, _> = found.iter().map(|series| (series.label("event_name").to_owned(), words(series))).collect();
                let expected = "checkout prod 1.8 <br>change_type: config <br>result: failure <br>author: jane <br>ticket: OPS-7 \
                                <br>commit: abc <br>url: <a href=\"https://ci.example/1?a=b&c=d\">https://ci.example/1?a=b&c=d</a> \
                                <br>link: see the wiki";
                assert_eq!(texts["deployment"], expected, "{name}");
                assert_eq!(texts["holiday"], "", "{name}");
                assert_eq!(found.len(), 4, "{name}");
            }
        });
    }
}

#[test]
fn a_deployment_start_and_its_complete_have_a_duration() {
    let edge = |name: &str, state: &str, at: i64| {
        let labels = format!("event_name=\"{name}\",event_state=\"{state}\",service_name=\"checkout\",version=\"1\"");
        format!("last9_change_events_timestamp_seconds{{{labels}}} {at} {at}\n")
    };
    let samples = edge("deployment_start", "start", AT - 600) + &edge("deployment_complete", "stop", AT - 60);
    with("prometheus", &samples, |url| {
        let found = query::instant(url, &expression("change-events", "Durations"), Some(AT)).unwrap();
        let told: Vec<_> = found.iter().map(|series| (series.label("change"), series.samples[0].1)).collect();
        assert_eq!(told, [("deployment", 540.0)]);
    });
}

#[test]
fn apdex_counts_half_of_what_is_tolerated_and_needs_both_bounds() {
    // A second: 8 requests, 2 of them up to 0.25 s, 4 more up to 1 s; bounds as either version writes them.
    let mut samples = String::new();
    for (bound, each) in [("0.25", 2), ("1.0", 6), ("4", 7), ("+Inf", 8)] {
        for minute in 0..10 {
            let at = AT - 600 + minute * 60;
            let labels = format!("service_name=\"checkout\",deployment_environment=\"prod\",le=\"{bound}\"");
            writeln!(samples, "http_server_request_duration_seconds_bucket{{{labels}}} {} {at}", each * minute * 60).unwrap();
        }
    }
    with("prometheus", &samples, |url| {
        for (threshold, expected) in [("0.25", Some(0.5)), ("1", Some((6.0 + 7.0) / 16.0)), ("0.5", None), ("4", None)] {
            let dashboard = dashboards::named("change-events-service");
            let mut values = dashboard.defaults();
            values.insert("apdex".to_owned(), threshold.to_owned());
            let query = dashboard.queries().into_iter().find(|query| query.place.contains("Apdex")).unwrap();
            let found = query::instant(url, &dashboards::filled(&query.expression, &values, 300), Some(AT)).unwrap();
            let near = |value: f64| (value - expected.unwrap_or(-1.0)).abs() < 1e-9;
            assert_eq!(found.len(), usize::from(expected.is_some()), "{threshold}: {found:?}");
            assert!(found.iter().all(|series| near(series.samples[0].1)), "{threshold}: {found:?}");
        }
    });
}

#[test]
fn the_label_of_the_environment_can_be_that_of_opentelemetry() {
    for name in ["change-events-service", "change-events-service-whole"] {
        let dashboard = dashboards::named(name);
        let label = dashboard.variables().iter().find(|variable| variable["name"] == "environment_label").unwrap();
        let offered: Vec<_> = label["options"].as_array().unwrap().iter().map(|option| &option["value"]).collect();
        let expected = [Value::from("deployment_environment"), Value::from("deployment_environment_name")];
        assert!(expected.iter().all(|value| offered.contains(&value)), "{offered:?}");
    }
}
