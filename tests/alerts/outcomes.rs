//! Every word of every system, in every attribute that says how something ended: the rule fires for a failure, resolves by a
//! success, and does neither for anything else, in each engine.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use change_events::words::outcome::{DEPLOYMENT_STATUS, LABELS, Outcome, STATUS, SYSTEMS, of_event};
use serde_json::Value;

use crate::folder;
use crate::support::prometheus::Prometheus;
use crate::support::victoria::Victoria;
use crate::support::{http, query, servers};

/// When each deployment ends, in seconds.
const AT: i64 = 1_771_588_800;
/// How long before it another one of its service failed.
const BEFORE: i64 = 600;

/// A service: what the end of its last deployment says, and whether the one before failed.
struct Case {
    attributes: Vec<(&'static str, String)>,
    failed_before: bool,
}

impl Case {
    fn fires(&self) -> bool {
        match of_event(self.attributes.iter().map(|(name, value)| (*name, value.as_str()))) {
            Outcome::Failure => true,
            Outcome::Success => false,
            Outcome::Neutral | Outcome::Undecided => self.failed_before,
        }
    }
}

fn spellings(word: &str) -> [String; 3] {
    let large = |part: &str| part.chars().take(1).map(|c| c.to_ascii_uppercase()).chain(part.chars().skip(1)).collect::<String>();
    [word.to_owned(), word.to_ascii_uppercase(), word.split('_').map(large).collect()]
}

fn cases() -> Vec<Case> {
    let words: BTreeSet<_> =
        SYSTEMS.iter().flat_map(|system| [system.success, system.failure, system.neutral, system.undecided].concat()).collect();
    let mut cases = vec![Case { attributes: Vec::new(), failed_before: true }, Case { attributes: Vec::new(), failed_before: false }];
    for value in words.iter().flat_map(|word| spellings(word)).chain(["green", "0", "failover", "Timeout exceeded"].map(str::to_owned)) {
        for label in LABELS.into_iter().chain([DEPLOYMENT_STATUS, STATUS]) {
            let others = [vec![], vec![("status", "failed")], vec![("deployment_status", "success")], vec![("outcome", "success")]];
            for other in others.into_iter().filter(|other| other.iter().all(|(name, _)| *name != label)) {
                let attributes: Vec<_> =
                    other.into_iter().map(|(name, value)| (name, value.to_owned())).chain([(label, value.clone())]).collect();
                cases.extend([true, false].map(|failed_before| Case { attributes: attributes.clone(), failed_before }));
            }
        }
    }
    cases
}

/// A line for each edge, by `write`: its series and its time in seconds.
fn samples(cases: &[Case], write: fn(&mut String, &str, i64)) -> String {
    let mut text = String::new();
    for (number, case) in cases.iter().enumerate() {
        let series = |attributes: &[(&str, String)]| {
            let labels: String = attributes.iter().flat_map(|(name, value)| [",", name, "=\"", value, "\""]).collect();
            format!(
                "last9_change_events_timestamp_seconds{{event_name=\"deployment\",event_state=\"stop\",service_name=\"{number}\"{labels}}}"
            )
        };
        write(&mut text, &series(&case.attributes), AT);
        if case.failed_before {
            write(&mut text, &series(&[("result", "failure".to_owned()), ("version", "0".to_owned())]), AT - BEFORE);
        }
    }
    text
}

fn check(url: &str, file: &str, cases: &[Case]) {
    let file: Value = serde_saphyr::from_str(&std::fs::read_to_string(folder().join(file)).unwrap()).unwrap();
    let rule = &file["groups"][0]["rules"][0];
    assert_eq!(rule["alert"], "DeploymentFailed");
    let expression = rule["expr"].as_str().unwrap();
    let found = query::instant(url, expression, Some(AT + 60)).unwrap();
    let firing: BTreeSet<_> = found.iter().map(|series| series.label("service_name").to_owned()).collect();
    let wrong: Vec<_> = cases.iter().enumerate().filter(|(number, case)| firing.contains(&number.to_string()) != case.fires()).collect();
    let texts: Vec<_> = wrong.iter().take(20).map(|(_, case)| format!("{:?}, {}", case.attributes, case.fires())).collect();
    assert!(wrong.is_empty(), "{} of {} are wrong, such as\n{}", wrong.len(), cases.len(), texts.join("\n"));
    assert!(found.len() > 1000, "only {} fire", found.len());
}

#[test]
fn prometheus_decides_by_each_word_as_the_program_does() {
    for prometheus in ["prometheus", "debian/prometheus"] {
        let Some(prometheus) = servers::require(prometheus) else { return };
        let cases = cases();
        let text = samples(&cases, |text, series, at| writeln!(text, "{series} {at} {at}").unwrap());
        check(&Prometheus::backfilled(&prometheus, &text).url, "deployments.rules.yml", &cases);
    }
}

#[test]
fn victoriametrics_decides_by_each_word_as_the_program_does() {
    for victoria in ["victoria-metrics", "debian/victoria-metrics"] {
        let Some(victoria) = servers::require(victoria) else { return };
        let cases = cases();
        let server = Victoria::start(&victoria, None, &["-retentionPeriod=100y", "-search.disableCache"]);
        let text = samples(&cases, |text, series, at| writeln!(text, "{series} {at} {at}000").unwrap());
        ureq::post(format!("{}/api/v1/import/prometheus", server.url)).send(&text).unwrap();
        assert!(http::is_ok(&format!("{}/internal/force_flush", server.url)));
        for file in ["deployments.metricsql.yml", "deployments.rules.yml"] {
            check(&server.url, file, &cases);
        }
    }
}
