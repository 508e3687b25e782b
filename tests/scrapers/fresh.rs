//! A server that nothing happened to yet: its page is small, and everything that rules and the dashboard read is on it.

use std::collections::BTreeMap;
use std::time::Duration;

use regex::Regex;
use serde_json::{Value, json};

use crate::lines::{self, Line};
use crate::support::exporter::Exporter;
use crate::support::prometheus::Prometheus;
use crate::support::{examples, http, servers, wait};

const LIMIT: Duration = Duration::from_mins(1);
/// Netdata leaves out a family beyond 200 series, and whoever pays by the series pays for each.
const SERIES_MAX: usize = 200;
const FAMILY_MAX: usize = 60;
const BYTES_MAX: usize = 25_000;
const BUCKETS_MAX: usize = 8;

/// Its page when whoever looks after a server has asked what they ask.
fn fresh(exporter: &Exporter) -> String {
    for path in ["metrics", "-/ready", "-/healthy"] {
        exporter.page(path);
    }
    exporter.page("metrics")
}

#[test]
fn a_fresh_page_is_small() {
    let page = fresh(&Exporter::start(&[]));
    let lines = lines::of(&page);
    let counts = lines::counted(&lines);
    let large: Vec<_> = counts.iter().filter(|(_, count)| **count > FAMILY_MAX).collect();
    assert!(large.is_empty(), "{large:?}");
    assert!(lines.len() <= SERIES_MAX, "{} series: {counts:?}", lines.len());
    assert!(page.len() <= BYTES_MAX, "{} bytes", page.len());
}

/// Every path and method of the document of the routes.
fn routes(exporter: &Exporter) -> Vec<(String, String)> {
    let document: Value = http::get(&format!("{}/api/openapi.json", exporter.url)).unwrap().json();
    let paths = document["paths"].as_object().unwrap();
    let is_method = |name: &&String| ["get", "put", "post", "patch", "delete", "head"].contains(&name.as_str());
    let methods = |(path, of): (&String, &Value)| {
        let methods: Vec<_> = of.as_object().unwrap().keys().filter(is_method).map(|method| method.to_uppercase()).collect();
        methods.into_iter().map(|method| (path.clone(), method)).collect::<Vec<_>>()
    };
    paths.iter().flat_map(methods).collect()
}

#[test]
fn a_route_has_a_histogram_from_its_first_request_on_and_it_is_short() {
    let exporter = Exporter::start(&["--web.enable-lifecycle"]);
    let routes = routes(&exporter);
    assert!(routes.len() > 25, "{routes:?}");
    let parameter = Regex::new(r"\{[^}]*\}").unwrap();
    for (path, method) in &routes {
        let url = format!("{}{}", exporter.url, parameter.replace_all(path, "x"));
        let request = ureq::http::Request::builder().method(&**method).uri(url).body(()).unwrap();
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).allow_non_standard_methods(true).build().into();
        agent.run(request).unwrap();
    }
    let page = exporter.page("metrics");
    let lines = lines::of(&page);
    let mut histograms: BTreeMap<_, Vec<&Line>> = BTreeMap::new();
    for line in lines.iter().filter(|line| line.name.ends_with("_bucket")) {
        let labels: Vec<_> = line.labels.iter().filter(|(name, _)| *name != "le").collect();
        histograms.entry((&line.family, labels)).or_default().push(line);
    }
    let long: Vec<_> = histograms.iter().filter(|(_, buckets)| buckets.len() > BUCKETS_MAX).collect();
    assert!(long.is_empty(), "{long:?}");
    let timed = histograms.keys().filter(|(family, _)| *family == "change_events_http_request_duration_seconds").count();
    assert!(timed > 25 && timed <= routes.len() + 2, "{timed} histograms of {} routes", routes.len());
    // What grows with the routes that are asked are these two, and nothing else does.
    let grown = ["change_events_http_request_duration_seconds", "change_events_http_route_requests_total"];
    let others = lines::counted(&lines).into_iter().filter(|(family, _)| !grown.contains(family));
    let large: Vec<_> = others.filter(|(_, count)| *count > FAMILY_MAX).collect();
    assert!(large.is_empty(), "{large:?}");
}

/// Label, operator and value.
type Matcher = (String, String, String);

/// The selectors of our own metrics in an expression: name and matchers.
fn selectors(text: &str) -> Vec<(String, Vec<Matcher>)> {
    let selector = Regex::new(r"\b((?:change_events|process)_\w+)(?:\{([^}]*)\})?").unwrap();
    let matcher = Regex::new(r#"(\w+)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)""#).unwrap();
    let matchers = |text: &str| matcher.captures_iter(text).map(|found| (found[1].into(), found[2].into(), found[3].into())).collect();
    let all = selector.captures_iter(text);
    all.map(|found| (found[1].to_owned(), found.get(2).map(|text| matchers(text.as_str())).unwrap_or_default())).collect()
}

/// What of a selector finds nothing; of words in an alternation each has to find something.
fn lacks(lines: &[Line], name: &str, matchers: &[Matcher]) -> Option<String> {
    let mut found: Vec<&Line> = lines.iter().filter(|line| line.name == name).collect();
    for (label, operator, value) in matchers.iter().filter(|(label, ..)| !["job", "instance"].contains(&&**label)) {
        let has = |line: &&Line, value: &str| line.labels.get(label).is_some_and(|has| has == value);
        let values: Vec<_> = value.split('|').collect();
        match &**operator {
            "=" | "=~" => {
                if let Some(missing) = values.iter().find(|value| !found.iter().any(|line| has(line, value))) {
                    return Some(format!("{name}{{{label}=\"{missing}\"}}"));
                }
                found.retain(|line| values.iter().any(|value| has(line, value)));
            }
            _ => found.retain(|line| !values.iter().any(|value| has(line, value))),
        }
    }
    found.is_empty().then(|| format!("{name} {matchers:?}"))
}

/// The expressions of the dashboard and of the rules, each with where it stands.
fn expressions() -> Vec<(String, String)> {
    let dashboard = "grafana/dashboards/change-events-exporter.json";
    let json: Value = serde_json::from_str(&examples::with(dashboard, &[])).unwrap();
    let mut found = Vec::new();
    for target in json["panels"].as_array().unwrap().iter().flat_map(|panel| panel["targets"].as_array().unwrap()) {
        found.push((dashboard.to_owned(), target["expr"].as_str().unwrap().to_owned()));
    }
    for entry in std::fs::read_dir(examples::path("alerts")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yml") {
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n");
            found.push((path.display().to_string(), code));
        }
    }
    found
}

#[test]
fn each_selector_of_the_rules_and_the_dashboard_finds_something_on_a_fresh_server() {
    let lines = lines::of(&fresh(&Exporter::start(&[])));
    assert!(lacks(&lines, "change_events_refused_total", &[("reason".into(), "=~".into(), "disk|nope".into())]).is_some());
    let (mut asked, mut missing) = (0, Vec::new());
    for (place, expression) in expressions() {
        for (name, matchers) in selectors(&expression) {
            asked += 1;
            missing.extend(lacks(&lines, &name, &matchers).map(|what| format!("{place}: {what}")));
        }
    }
    assert!(asked > 80, "only {asked} selectors");
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn the_first_failure_is_an_increase() {
    let Some(binary) = servers::require("prometheus") else { return };
    let exporter = Exporter::start(&["--storage.min-free=1000000TB"]);
    let config = [("127.0.0.1:10555", exporter.target()), ("scrape_interval: 1m", "scrape_interval: 1s"), ("../alerts", "/nowhere")];
    let prometheus = Prometheus::start(&binary, &examples::with("examples/prometheus.yml", &config), &[]);
    let counters = [r#"change_events_http_requests_total{code="5xx"}"#, r#"change_events_refused_total{reason="disk"}"#];
    let grown = |counter: &str| prometheus.value(&format!("increase({counter}[1m])"));
    wait::until("both counters with nothing in them", LIMIT, || counters.iter().all(|counter| grown(counter) == Some(0.0)).then_some(()));
    let refused = exporter.send(&json!({"event_name": "deployment"})).unwrap();
    assert_eq!(refused.status, 503, "{}", refused.text);
    wait::until("both to grow", LIMIT, || counters.iter().all(|counter| grown(counter) > Some(0.0)).then_some(()));
}
