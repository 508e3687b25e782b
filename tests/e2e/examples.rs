//! The configurations in `examples/` are valid for the servers that they are for, and rules name metrics that exist.

use std::process::Command;

use regex::Regex;

use crate::support::exporter::Exporter;
use crate::support::{examples, http, servers};

fn check(server: &str, arguments: &[&str]) {
    let Some(binary) = servers::require(server) else { return };
    let output = Command::new(binary).current_dir(examples::path("examples")).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{server} {arguments:?}: {}", String::from_utf8_lossy(&said));
}

#[test]
fn each_example_configuration_is_valid_for_its_servers() {
    for promtool in ["promtool", "debian/promtool"] {
        check(promtool, &["check", "config", "prometheus.yml", "prometheus-window.yml"]);
        check(promtool, &["check", "config", "--agent", "prometheus-agent.yml"]);
    }
    check("amtool", &["check-config", "alertmanager.yml"]);
    for vmagent in ["vmagent", "debian/vmagent"] {
        let remote = "-remoteWrite.url=http://127.0.0.1:8428/api/v1/write";
        check(vmagent, &["-dryRun", "-promscrape.config=vmagent.yml", "-promscrape.config.strictParse", remote]);
    }
}

#[test]
fn each_metric_that_a_rule_names_is_on_the_page() {
    let exporter = Exporter::start(&[]);
    let page = exporter.page("metrics");
    let names = Regex::new(r"\bchange_events_\w+").unwrap();
    for file in ["alerts/exporter.rules.yml", "alerts/exporter.metricsql.yml"] {
        for name in names.find_iter(&examples::with(file, &[])) {
            assert!(http::metric(&page, name.as_str()).is_some(), "{file} names {}, which is not on the page", name.as_str());
        }
    }
}
