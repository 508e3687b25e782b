//! How a change ended, by the words of whoever sent it. The one place that decides it: rules, dashboards and doors ask here,
//! and the expressions for Prometheus are made of the same lists.
//!
//! Case, `-`, `_` and blanks do not matter. Not for which end of a change something is.

pub use table::FAILURE_ENDS;
pub use table::FAILURES;
pub use table::NEUTRALS;
pub use table::OF_A_DEPLOYMENT;
pub use table::SUCCESS_END;
pub use table::SUCCESSES;
pub use table::SYSTEMS;
pub use table::System;
pub use table::UNDECIDED_BEGINNING;
pub use table::UNDECIDED_END;

mod spelling;
mod table;
#[cfg(test)]
mod tests;

use spelling::ends_in;
use spelling::holds;
use spelling::is_separator;
use spelling::is_spelled;

/// What the end of a change means to whoever is on call. In the order of what counts when several attributes say something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It worked.
    Success,
    /// Nothing is known: nobody is paged, and nothing is mended.
    Undecided,
    /// It was not done, or taken back on purpose: the same.
    Neutral,
    /// It did not work.
    Failure,
}

/// Which attributes say how a change ended: those of the first rank that is there decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// `conclusion`, `result`, `outcome`, and whatever ends in `_result`.
    Outcome,
    /// `deployment_status`.
    DeploymentStatus,
    /// `status`.
    Status,
}

/// The labels of the first rank that known senders use: a language that cannot ask for any `*_result` asks for these.
pub const LABELS: [&str; 10] = [
    "conclusion",
    "result",
    "outcome",
    "jenkins_build_result",
    "cicd_pipeline_result",
    "cicd_pipeline_task_run_result",
    "build_result",
    "deployment_result",
    "job_result",
    "pipeline_result",
];
/// The label of the second rank.
pub const DEPLOYMENT_STATUS: &str = "deployment_status";
/// The label of the last rank.
pub const STATUS: &str = "status";

impl Rank {
    /// `None` of an attribute that says nothing about the end; names are meant as sent or as labels.
    pub fn of(attribute: &str) -> Option<Self> {
        let name = attribute.replace(['.', '-'], "_");
        match name.as_str() {
            "conclusion" | "result" | "outcome" => Some(Self::Outcome),
            DEPLOYMENT_STATUS => Some(Self::DeploymentStatus),
            STATUS => Some(Self::Status),
            _ => name.ends_with("_result").then_some(Self::Outcome),
        }
    }
}

/// What the value of this attribute means; it is taken for one that says how a change ended. Of a list, which stands in a label
/// with commas between, one failure is a failure, else what is neutral counts, else a success; what is pending in it is over.
pub fn outcome(attribute: &str, value: &str) -> Outcome {
    let value = value.trim();
    if value.contains(',') {
        let said = |item| in_table(item).filter(|outcome| *outcome != Outcome::Undecided).or_else(|| by_words(item));
        let all: Vec<_> = value.split(',').filter_map(said).collect();
        let first = [Outcome::Failure, Outcome::Neutral, Outcome::Success].into_iter().find(|outcome| all.contains(outcome));
        return first.unwrap_or(Outcome::Undecided);
    }
    if Rank::of(attribute) == Some(Rank::DeploymentStatus) && OF_A_DEPLOYMENT.iter().any(|word| is_spelled(word, value)) {
        return Outcome::Success;
    }
    in_table(value).unwrap_or_else(|| by_rules(value))
}

/// What a value means to the systems that use it.
fn in_table(value: &str) -> Option<Outcome> {
    SYSTEMS.iter().find_map(|system| {
        let meanings = [
            (system.success, Outcome::Success),
            (system.failure, Outcome::Failure),
            (system.neutral, Outcome::Neutral),
            (system.undecided, Outcome::Undecided),
        ];
        let spelled = |words: &[&str]| words.iter().any(|word| is_spelled(word, value));
        meanings.into_iter().find(|(words, _)| spelled(words)).map(|(_, outcome)| outcome)
    })
}

/// What a value means that no system is known to use, by its words.
pub fn by_rules(value: &str) -> Outcome {
    let begins = value.trim_start_matches(is_separator).to_ascii_lowercase().starts_with(UNDECIDED_BEGINNING);
    if begins || ends_in(UNDECIDED_END, value) { Outcome::Undecided } else { by_words(value).unwrap_or(Outcome::Undecided) }
}

/// The same of what is over.
fn by_words(value: &str) -> Option<Outcome> {
    if FAILURES.iter().any(|word| holds(word, value)) || FAILURE_ENDS.iter().any(|word| ends_in(word, value)) {
        Some(Outcome::Failure)
    } else if NEUTRALS.iter().any(|word| holds(word, value)) {
        Some(Outcome::Neutral)
    } else if SUCCESSES.iter().any(|word| is_spelled(word, value)) || ends_in(SUCCESS_END, value) {
        Some(Outcome::Success)
    } else {
        None
    }
}

/// How an event ended, by all that it says. Of several attributes of one rank a failure counts before anything else, and a
/// success only where all say so. One that says nothing about its end is a success: most senders do not.
pub fn of_event<'a>(attributes: impl IntoIterator<Item = (&'a str, &'a str)>) -> Outcome {
    let mut decided: Option<(Rank, Outcome)> = None;
    for (name, value) in attributes {
        let Some(rank) = Rank::of(name).filter(|_| !value.trim().is_empty()) else { continue };
        let said = outcome(name, value);
        decided = match decided {
            Some((first, _)) if first < rank => decided,
            Some((first, before)) if first == rank => Some((rank, before.max(said))),
            _ => Some((rank, said)),
        };
    }
    decided.map_or(Outcome::Success, |(_, outcome)| outcome)
}

/// What a word means that stands by itself, such as a tag; `None` where it may be about something else.
pub fn of_word(word: &str) -> Option<Outcome> {
    table::PLAIN.iter().any(|plain| is_spelled(plain, word)).then(|| outcome("", word))
}
