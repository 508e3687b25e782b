//! The expression comes to what the function comes to: its steps are done here as Prometheus does them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::LazyLock;

use proptest::prelude::*;
use regex::Regex;

use super::UNDECIDED_EXCEPTIONS;
use super::labels;
use super::steps;
use crate::words::outcome::Outcome;
use crate::words::outcome::SYSTEMS;
use crate::words::outcome::by_rules;
use crate::words::outcome::of_event;

/// What the steps make of these labels. Patterns are whole, as in Prometheus and `VictoriaMetrics`.
struct Model(Vec<(super::Step, Option<Regex>)>);

static MODEL: LazyLock<Model> = LazyLock::new(Model::new);

impl Model {
    fn new() -> Self {
        let compiled = |step: super::Step| {
            let pattern = step.pattern.as_ref().map(|pattern| Regex::new(&format!("^(?:{pattern})$")).unwrap());
            (step, pattern)
        };
        Self(steps().into_iter().map(compiled).collect())
    }

    fn decided(&self, given: &[(&str, &str)]) -> Outcome {
        let mut labels: BTreeMap<&str, String> = given.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        for (step, pattern) in &self.0 {
            let from: Vec<_> = step.from.iter().map(|name| labels.get(name).cloned().unwrap_or_default()).collect();
            let made = match pattern {
                None => Some(from.join(&step.text)),
                Some(pattern) => pattern.captures(&from[0]).map(|found| {
                    let mut text = String::new();
                    found.expand(&step.text, &mut text);
                    text
                }),
            };
            if let Some(made) = made {
                labels.insert(step.label, made);
            }
        }
        match labels.get("decided").map_or("", String::as_str) {
            "success" => Outcome::Success,
            "failure" => Outcome::Failure,
            "neutral" => Outcome::Neutral,
            "" => Outcome::Undecided,
            other => panic!("{other}"),
        }
    }

    fn check(&self, given: &[(&str, &str)]) {
        assert_eq!(self.decided(given), of_event(given.iter().copied()), "{given:?}");
    }
}

fn words() -> Vec<&'static str> {
    let all = SYSTEMS.iter().flat_map(|system| [system.success, system.failure, system.neutral, system.undecided].concat());
    let more = [crate::words::outcome::FAILURES.as_slice(), &crate::words::outcome::NEUTRALS, &crate::words::outcome::SUCCESSES].concat();
    all.chain(more).chain(["ready", "finished", "weird", "in_progress", "pending"]).collect()
}

fn large(part: &str) -> String {
    part.chars().take(1).map(|c| c.to_ascii_uppercase()).chain(part.chars().skip(1)).collect()
}

#[test]
fn each_word_in_each_attribute_is_read_as_the_function_reads_it() {
    let model = &*MODEL;
    for word in words() {
        let camel: String = word.split('_').map(large).collect();
        for spelled in [word, &camel, &word.to_uppercase(), &word.replace('_', ""), &word.replace('_', " "), &word.replacen('_', "-", 1)] {
            for label in labels() {
                model.check(&[(label, spelled)]);
            }
            for (other, said) in [("result", "success"), ("status", "failed"), ("conclusion", "weird"), ("deployment_status", "ready")] {
                model.check(&[(other, said), ("outcome", spelled)]);
                model.check(&[(other, said), ("cicd_pipeline_result", spelled), ("jenkins_build_result", "")]);
            }
        }
    }
    model.check(&[]);
    model.check(&[("version", "failed")]);
}

#[test]
fn the_exceptions_are_those_of_the_table() {
    let undecided = SYSTEMS.iter().flat_map(|system| system.undecided).copied();
    let taken: BTreeSet<_> = undecided.filter(|word| by_rules(word) != Outcome::Undecided).collect();
    assert_eq!(taken.into_iter().collect::<Vec<_>>(), UNDECIDED_EXCEPTIONS);
}

#[test]
fn no_step_changes_a_label_that_it_was_given() {
    assert!(steps().iter().all(|step| !labels().contains(&step.label)));
}

/// A part of a word, in one of the cases, or anything.
fn part() -> impl Strategy<Value = String> {
    let parts: Vec<_> = words().into_iter().flat_map(|word| word.split('_')).map(str::to_owned).collect();
    let known = (prop::sample::select(parts), 0..4).prop_map(|(part, case)| match case {
        0 => part.to_uppercase(),
        1 => large(&part),
        _ => part,
    });
    let between =
        prop::sample::select(vec!["-", "_", " ", "__", "x", "X", "", "7", ":", "\u{e9}", "\n", "Ab", ",", ", "]).prop_map(str::to_owned);
    prop_oneof![5 => known, 3 => between, 1 => "[a-zA-Z_-]{0,4}"]
}

fn value() -> impl Strategy<Value = String> {
    // Blanks at the ends are not on a label.
    prop::collection::vec(part(), 0..5).prop_map(|parts| parts.concat().trim().to_owned())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_said_is_read_as_the_function_reads_it(values in prop::collection::vec((prop::sample::select(labels()), value()), 1..40)) {
        for (label, value) in &values {
            MODEL.check(&[(label, value)]);
        }
        for several in values.chunks(3) {
            let given: BTreeMap<_, _> = several.iter().map(|(label, value)| (*label, value.as_str())).collect();
            MODEL.check(&given.into_iter().collect::<Vec<_>>());
        }
    }
}
