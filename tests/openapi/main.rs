//! The `OpenAPI` document: it names every route and nothing else, and what it promises is what the release binary answers.
#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

use std::collections::BTreeSet;
use std::process::Command;
use std::process::Stdio;

use change_events::doors;
use serde_json::Value;

#[path = "../support/mod.rs"]
mod support;

use support::exporter::Exporter;

/// Requests that schemathesis makes at least, all routes together.
const REQUESTS: u64 = 3000;

fn document(exporter: &Exporter) -> Value {
    let text = ureq::get(format!("{}/api/openapi.json", exporter.url)).call().unwrap().body_mut().read_to_string().unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn the_document_names_every_route_and_nothing_else() {
    let document = document(&Exporter::start(&[]));
    let documented = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| methods.as_object().unwrap().keys().map(move |method| (method.to_uppercase(), path.clone())));
    // A path that is there with a slash at its end too is documented once, with it.
    let is_short_form = |path: &str| doors::routes().any(|route| route.path.strip_suffix('/') == Some(path));
    let routes = doors::routes().filter(|route| !is_short_form(route.path)).map(|route| (route.method.to_string(), route.path.to_owned()));
    assert_eq!(documented.collect::<BTreeSet<_>>(), routes.collect::<BTreeSet<_>>());
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn every_reference_in_the_document_leads_somewhere() {
    fn check(document: &Value, part: &Value) {
        match part {
            Value::Object(fields) => {
                if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                    assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
                }
                fields.values().for_each(|part| check(document, part));
            }
            Value::Array(parts) => parts.iter().for_each(|part| check(document, part)),
            _ => {}
        }
    }
    let document = document(&Exporter::start(&[]));
    check(&document, &document);
}

#[test]
fn what_it_promises_is_what_is_answered() {
    let Some(schemathesis) = support::servers::require("schemathesis") else { return };
    let exporter = Exporter::start(&[]);
    let reports = tempfile::tempdir().unwrap();
    let output = Command::new(schemathesis)
        .args(["run", &format!("{}/api/openapi.json", exporter.url), "--seed=1", "--phases=examples,coverage,fuzzing,stateful"])
        .args(["--checks=not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"])
        .args(["--max-examples=80", "--workers=1", "--no-color", "--report=ndjson"])
        .arg(format!("--report-dir={}", reports.path().display()))
        .current_dir(reports.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let tail = said.lines().rev().take(150).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n");
    assert!(output.status.success(), "{tail}\n{}", String::from_utf8_lossy(&output.stderr));
    let requests = requests_made(&exporter);
    assert!(requests >= REQUESTS, "{requests} requests, at least {REQUESTS} were wanted\n{tail}");
}

/// How many requests the exporter has answered, by its own metrics.
fn requests_made(exporter: &Exporter) -> u64 {
    let page = ureq::get(format!("{}/metrics", exporter.url)).call().unwrap().body_mut().read_to_string().unwrap();
    let counts = page.lines().filter(|line| line.starts_with("change_events_http_requests_total{"));
    let counts = counts.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    let total = counts.sum::<f64>() as u64;
    total
}
