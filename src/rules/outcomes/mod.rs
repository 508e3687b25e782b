//! How a change ended, as an expression: the lists of `words::outcome` in the languages of Prometheus and `VictoriaMetrics`.
//!
//! The words of an event become labels, one step each; each later step wins, which is how the order of the rules is said in a
//! language without conditions. What it comes to is what `words::outcome::of_event` comes to, but that it knows those labels
//! alone that are named here.

use crate::rules::quote;
use crate::words::outcome;
use crate::words::outcome::Outcome;

/// The label that says how it ended: `success`, `failure`, `neutral`, or nothing.
pub(crate) const DECIDED: &str = "decided";
/// Between the values of several labels; no value has it.
const BETWEEN: &str = r"\x1f";
/// Between the words of one, too: a list has commas.
const APART: &str = r"[\x1f,]";
const SEPARATORS: &str = "[-_ ]*";
/// Where the labels of the first rank are put in order before they are joined.
const COPIES: [&str; outcome::LABELS.len()] =
    ["said_1", "said_2", "said_3", "said_4", "said_5", "said_6", "said_7", "said_8", "said_9", "said_10"];
const SETTLED: &str = "$1$2$3$4";
/// The undecided words of the table that the rules would decide; a test holds them to be these.
const UNDECIDED_EXCEPTIONS: [&str; 1] = ["ignore_failed"];

/// The labels that say how a change ended, all that [`decided`] reads.
pub(crate) fn labels() -> Vec<&'static str> {
    let mut labels = outcome::LABELS.to_vec();
    labels.extend([outcome::DEPLOYMENT_STATUS, outcome::STATUS]);
    labels
}

/// Adds the label [`DECIDED`] to each element of `vector`, which has no other labels but the [`labels`] and what its elements are
/// told apart by: it gets labels `said`, `said_1` and so on, and `deciding` besides.
pub(crate) fn decided(vector: &str) -> String {
    let steps = steps();
    let functions: String = steps.iter().rev().flat_map(|step| [step.function(), "("]).collect();
    let arguments: Vec<_> = steps.iter().map(|step| format!(", {})", step.arguments())).collect();
    format!("{functions}\n{vector}\n{}", arguments.join("\n"))
}

/// No step touches a label that tells two elements apart: they would become one, which is an error.
fn steps() -> Vec<Step> {
    let settled = settled();
    let mut steps = vec![
        // The last rank first: each one before it takes its place.
        join("said", "", &[outcome::STATUS]),
        replace("said", "$1", outcome::DEPLOYMENT_STATUS, "(?s)(.+)"),
        replace("said", "success", outcome::DEPLOYMENT_STATUS, &spelled(&outcome::OF_A_DEPLOYMENT)),
        replace("said", SETTLED, "said", &settled),
    ];
    steps.extend(outcome::LABELS.iter().zip(COPIES).map(|(label, copy)| replace(copy, SETTLED, label, &settled)));
    steps.extend([
        join("deciding", "\u{1f}", &COPIES),
        replace("said", "$1", "deciding", &format!("(?s)(.*[^{BETWEEN}].*)")),
        replace(DECIDED, "success", "said", &success()),
        replace(DECIDED, "neutral", "said", &neutral()),
        replace(DECIDED, "failure", "said", &failure()),
    ]);
    steps
}

/// One element that has the label [`DECIDED`] with this value, to pick others by.
pub(crate) fn meant(outcome: &str) -> String {
    format!(r#"label_replace(vector(1), "{DECIDED}", "{outcome}", "", "")"#)
}

/// A label that is made of others.
struct Step {
    label: &'static str,
    from: Vec<&'static str>,
    /// What it becomes where the pattern is that of the one other; without a pattern, what stands between the others.
    text: String,
    pattern: Option<String>,
}

impl Step {
    fn function(&self) -> &'static str {
        if self.pattern.is_some() { "label_replace" } else { "label_join" }
    }

    fn arguments(&self) -> String {
        let from: Vec<_> = self.from.iter().map(|label| format!("\"{label}\"")).collect();
        let pattern = self.pattern.iter().map(|pattern| format!(", {}", quote::string(pattern)));
        format!("\"{}\", {}, {}{}", self.label, quote::string(&self.text), from.join(", "), pattern.collect::<String>())
    }
}

fn join(label: &'static str, between: &str, from: &[&'static str]) -> Step {
    Step { label, from: from.to_vec(), text: between.to_owned(), pattern: None }
}

fn replace(label: &'static str, by: &str, from: &'static str, pattern: &str) -> Step {
    Step { label, from: vec![from], text: by.to_owned(), pattern: Some(pattern.to_owned()) }
}

/// A value, or one letter where it has decided nothing, which no list knows: by the first rule, and the words of the table that
/// the other rules would take for something else. To be replaced by [`SETTLED`]: of alternatives the first that fits counts, and
/// the groups of others are empty.
fn settled() -> String {
    let letter = |word: &str| {
        let (first, rest) = word.split_at_checked(1).unwrap_or_default();
        format!("({first}){}", pattern(rest))
    };
    let [exception] = UNDECIDED_EXCEPTIONS;
    let (beginning, end) = (letter(outcome::UNDECIDED_BEGINNING), letter(outcome::UNDECIDED_END));
    format!("(?is){SEPARATORS}(?:{beginning}[^,]*|{}{SEPARATORS})|[^,]*{end}{SEPARATORS}|(.*)", letter(exception))
}

/// Every value is one for a success, or a list that has one; or there is none.
fn success() -> String {
    let words = with_table(&outcome::SUCCESSES, Outcome::Success);
    let end = outcome::SUCCESS_END;
    let rest = format!("[^{BETWEEN}]*");
    format!("(?is)(?:(?:(?:{rest},)?{SEPARATORS}(?:{words}|{rest}{end}){SEPARATORS}(?:,{rest})?)?(?:{BETWEEN}|\\z))+")
}

/// Some word is one for neither.
fn neutral() -> String {
    let exact = table(Outcome::Neutral).join("|");
    format!("(?s){}|{}", anywhere(&exact), whole(&outcome::NEUTRALS))
}

/// Some word is one for a failure.
fn failure() -> String {
    let exact = table(Outcome::Failure).join("|");
    let ends = outcome::FAILURE_ENDS.join("|");
    format!("(?s){}|.*(?i:{ends}){SEPARATORS}(?:{APART}.*)?|{}", anywhere(&exact), whole(&outcome::FAILURES))
}

/// A whole value.
fn spelled(words: &[&str]) -> String {
    let words: Vec<_> = words.iter().map(|word| pattern(word)).collect();
    format!("(?i){SEPARATORS}(?:{}){SEPARATORS}", words.join("|"))
}

/// One of several values that stand beside each other.
fn anywhere(words: &str) -> String {
    format!("(?:.*{APART})?{SEPARATORS}(?i:{words}){SEPARATORS}(?:{APART}.*)?")
}

/// A whole word within a value: between separators in any case, or as a part of a name in camel case.
fn whole(words: &[&str]) -> String {
    let any: Vec<_> = words.iter().map(|word| pattern(word)).collect();
    let of = |is_capital| words.iter().map(|word| cased(word, is_capital)).collect::<Vec<_>>().join("|");
    let around = format!("[-_ ,{BETWEEN}]");
    format!("(?:.*{around})?(?:(?i:{})(?:{around}.*)?|(?:{})[A-Z].*)|.*(?:{})(?:(?:{around}|[A-Z]).*)?", any.join("|"), of(false), of(true))
}

/// A word of the lists with what may stand between its parts.
fn pattern(word: &str) -> String {
    word.replace('_', SEPARATORS)
}

/// The same with its first letter small or large, and the first of further parts either.
fn cased(word: &str, is_capital: bool) -> String {
    let mut text = String::new();
    for (number, part) in word.split('_').enumerate() {
        let mut letters = part.chars();
        let first = letters.next().unwrap_or_default();
        let large = first.to_ascii_uppercase();
        match (number, is_capital) {
            (0, false) => text.push(first),
            (0, true) => text.push(large),
            _ => text.extend(format!("{SEPARATORS}[{large}{first}]").chars()),
        }
        text.push_str(letters.as_str());
    }
    text
}

/// The words of all systems that mean this, and by the rules alone would not in each spelling, as patterns.
fn table(meaning: Outcome) -> Vec<String> {
    let mut words: Vec<&str> = outcome::SYSTEMS
        .iter()
        .flat_map(|system| match meaning {
            Outcome::Success => system.success,
            Outcome::Failure => system.failure,
            Outcome::Neutral => system.neutral,
            Outcome::Undecided => system.undecided,
        })
        .copied()
        .filter(|word| ["_", ""].iter().any(|between| outcome::by_rules(&word.replace('_', between)) != meaning))
        .collect();
    words.sort_unstable();
    words.dedup();
    words.into_iter().map(pattern).collect()
}

fn with_table(words: &[&str], meaning: Outcome) -> String {
    let words = words.iter().map(|word| pattern(word));
    words.chain(table(meaning)).collect::<Vec<_>>().join("|")
}

#[cfg(test)]
mod tests;
