//! The rule files and their unit tests in promtool, the Alertmanager configurations in amtool.

use std::process::Command;

use crate::support::servers;
use crate::{files, folder, run};

#[test]
fn promtool_of_prometheus_3_passes_every_rule_file_and_its_tests() {
    passes("promtool");
}

#[test]
fn promtool_of_prometheus_2_passes_every_rule_file_and_its_tests() {
    passes("debian/promtool");
}

fn passes(promtool: &str) {
    let Some(promtool) = servers::require(promtool) else { return };
    let rules = files(&folder(), ".rules.yml");
    run(Command::new(&promtool).args(["check", "rules"]).args(&rules));
    run(Command::new(&promtool).args(["test", "rules"]).args(files(&folder().join("tests"), "_test.yml")));
}

#[test]
fn every_rule_file_has_unit_tests_and_a_twin_in_metricsql() {
    for path in files(&folder(), ".rules.yml") {
        let name = path.file_name().unwrap().to_str().unwrap().trim_end_matches(".rules.yml").to_owned();
        for twin in [format!("tests/{name}_test.yml"), format!("{name}.metricsql.yml")] {
            assert!(folder().join(&twin).exists(), "alerts/{twin} is missing");
        }
    }
}

#[test]
fn vmalert_reads_every_rule_file() {
    for vmalert in ["vmalert", "debian/vmalert"] {
        let Some(vmalert) = servers::require(vmalert) else { return };
        for ending in [".rules.yml", ".metricsql.yml"] {
            for path in files(&folder(), ending) {
                run(Command::new(&vmalert).arg("-dryRun").arg(format!("-rule={}", path.display())));
            }
        }
    }
}

#[test]
fn amtool_passes_the_alertmanager_configurations() {
    let Some(amtool) = servers::require("amtool") else { return };
    let configurations = ["alertmanager-per-entity.yml", "alertmanager-grouped.yml"].map(|name| folder().join(name));
    run(Command::new(&amtool).arg("check-config").args(configurations));
}
