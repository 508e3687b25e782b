//! Whole pages in parsers as published: of npm, of Go (prom2json) and of Python, of both formats. Each reads all of it.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::lines::Labels;
use crate::support::exporter::Exporter;
use crate::support::{examples, servers};

const TEXT: &str = "text/plain;version=0.0.4";
const OPENMETRICS: &str = "application/openmetrics-text;version=1.0.0";
const NPM: &str = "parse-prometheus-text-format";

/// Values of attributes that a format has to escape, or a parser may stumble over.
const AWKWARD: [&str; 8] =
    ["say \"hello\"", "C:\\new\\", "two\nlines", "a, b = {c} # d", "naïve 環境 🚀", "le=\"+Inf\"", "1 1795260820166", "# EOF"];

type Samples = Vec<(String, Labels)>;

fn page(exporter: &Exporter, format: &str) -> String {
    let request = ureq::get(format!("{}/metrics", exporter.url)).header("Accept", format);
    request.call().unwrap().body_mut().read_to_string().unwrap()
}

/// What a command that reads a page prints; `None` where it is not installed.
fn read(name: &str, arguments: &[&str], page: &str) -> Option<Value> {
    let mut command = Command::new(servers::require(name)?);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let text = page.to_owned();
    // One that throws closes its input before it has all, and says why.
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()).ok());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "{name} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn in_order(samples: impl Iterator<Item = (String, Labels)>) -> Samples {
    // One client writes a bound as 1, another one as 1.0.
    let bound = |(name, mut labels): (String, Labels)| {
        let le = labels.get("le").filter(|_| name.ends_with("_bucket")).and_then(|le| le.parse::<f64>().ok());
        le.map(|le| labels.insert("le".to_owned(), le.to_string()));
        (name, labels)
    };
    let mut samples: Samples = samples.map(bound).collect();
    samples.sort();
    samples
}

fn by_python(format: &str, page: &str) -> Option<Samples> {
    let script = examples::path("tests/scrapers/parse.py");
    let read = read("prometheus-client", &[script.to_str().unwrap(), format], page)?;
    Some(in_order(serde_json::from_value::<Samples>(read).unwrap().into_iter()))
}

/// What a parser has that gives families with metrics, of which a histogram is one.
fn by_family(name: &str, page: &str) -> Option<Samples> {
    let families = read(name, &[], page)?;
    let mut samples = Vec::new();
    for family in families.as_array().unwrap() {
        let family_name = family["name"].as_str().unwrap();
        for metric in family["metrics"].as_array().unwrap() {
            let labels: Labels = serde_json::from_value(metric.get("labels").cloned().unwrap_or(json!({}))).unwrap();
            if family["type"] == "HISTOGRAM" {
                samples.extend(of_histogram(name, family_name, &labels, metric));
            } else {
                samples.push((family_name.to_owned(), labels));
            }
        }
    }
    Some(in_order(samples.into_iter()))
}

fn of_histogram(parser: &str, name: &str, labels: &Labels, metric: &Value) -> Samples {
    let buckets = metric["buckets"].as_object().unwrap();
    assert!(buckets.contains_key("+Inf") && buckets.len() > 4, "{parser}, {name}: {metric}");
    // That of npm takes all histograms of a family for one, and has the count of such as have no labels.
    if parser == NPM {
        assert!(metric.get("count").is_none_or(|count| *count == buckets["+Inf"]), "{parser}, {name}: {metric}");
        return Samples::new();
    }
    assert_eq!(buckets["+Inf"], metric["count"], "{parser}, {name}");
    let bucket = |le: &String| {
        let labels = labels.iter().map(|(name, value)| (name.clone(), value.clone()));
        (format!("{name}_bucket"), labels.chain([("le".to_owned(), le.clone())]).collect())
    };
    let others = ["_sum", "_count"].map(|end| (format!("{name}{end}"), labels.clone()));
    buckets.keys().map(bucket).chain(others).collect()
}

/// The page of now, read by all; what they agree on.
fn check(exporter: &Exporter) -> Option<Samples> {
    let text = page(exporter, TEXT);
    let all = by_python("text", &text)?;
    assert_eq!(all.len(), text.lines().filter(|line| !line.starts_with('#')).count(), "Python has each line");
    assert_eq!(by_family("prom2json", &text)?, all, "prom2json");
    let is_of_histogram = |name: &str| text.contains(&format!("# TYPE {} histogram\n", name.rsplit_once('_').unwrap().0));
    let without: Samples = all.iter().filter(|(name, _)| !is_of_histogram(name)).cloned().collect();
    assert_eq!(by_family(NPM, &text)?, without, "{NPM}");
    let openmetrics = page(exporter, OPENMETRICS);
    assert!(openmetrics.ends_with("# EOF\n"), "{openmetrics}");
    let again = by_python("text", &page(exporter, TEXT))?;
    // Asking for it adds what is counted of asking, in neither format more than in the other.
    assert_eq!(by_python("openmetrics", &openmetrics)?, again, "OpenMetrics");
    Some(all)
}

#[test]
fn parsers_read_the_page_of_a_fresh_server() {
    let exporter = Exporter::start(&[]);
    exporter.page("metrics");
    let Some(samples) = check(&exporter) else { return };
    assert!(samples.iter().any(|(name, _)| name == "change_events_http_request_duration_seconds_bucket"), "{samples:?}");
}

#[test]
fn parsers_read_awkward_events() {
    let exporter = Exporter::start(&[]);
    for (number, text) in AWKWARD.iter().enumerate() {
        let attributes = json!({"text": text, "le": "1", "quantile": "0.5", "a.b": text, "環境": "prod", "number": number.to_string()});
        exporter.put(&json!({"event_name": format!("awkward {text}"), "event_state": "start", "attributes": attributes}));
    }
    let Some(samples) = check(&exporter) else { return };
    for text in AWKWARD {
        let has = |name: &str| samples.iter().any(|(family, labels)| family == name && labels.get("text").is_some_and(|has| has == text));
        for family in ["last9_change_events", "last9_change_events_timestamp_seconds", "last9_change_events_open_timestamp_seconds"] {
            assert!(has(family), "{family} of {text:?}");
        }
    }
}
