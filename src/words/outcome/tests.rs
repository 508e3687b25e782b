//! The table by itself, and what the words of its systems and others mean.

use std::collections::BTreeMap;

use super::Outcome;
use super::Outcome::Failure;
use super::Outcome::Neutral;
use super::Outcome::Success;
use super::Outcome::Undecided;
use super::SYSTEMS;
use super::of_event;
use super::of_word;
use super::outcome;

/// Each word of the table with what it means, but in `deployment_status`.
pub(crate) fn words() -> Vec<(&'static str, Outcome)> {
    let of = |words: &'static [&'static str], outcome| words.iter().map(move |word| (*word, outcome));
    let all = SYSTEMS.iter().flat_map(|system| {
        let decided = of(system.success, Success).chain(of(system.failure, Failure));
        decided.chain(of(system.neutral, Neutral)).chain(of(system.undecided, Undecided))
    });
    all.collect()
}

/// The ways in which senders write it.
fn spellings(word: &str) -> Vec<String> {
    let large = |part: &str| part.chars().take(1).map(|c| c.to_ascii_uppercase()).chain(part.chars().skip(1)).collect::<String>();
    let camel: String = word.split('_').map(large).collect();
    let mut all = vec![word.to_owned(), camel, format!(" {word}\n")];
    all.extend(["-", " ", "", "__"].map(|between| word.replace('_', between)));
    all.extend(all.clone().iter().map(|spelled| spelled.to_ascii_uppercase()));
    all
}

#[test]
fn a_word_of_the_table_means_one_thing_however_it_is_spelled() {
    let mut meanings = BTreeMap::new();
    for (word, expected) in words() {
        assert_eq!(*meanings.entry(word).or_insert(expected), expected, "{word} means two things");
        for spelled in spellings(word) {
            assert_eq!(outcome("result", &spelled), expected, "{spelled}");
        }
    }
    assert!(meanings.len() > 100, "{}", meanings.len());
}

#[test]
fn words_as_senders_write_them() {
    for (word, expected) in [
        ("SUCCESS", Success),
        ("UNSTABLE", Undecided),
        ("NOT_BUILT", Neutral),
        ("partiallySucceeded", Failure),
        ("PipelineRunTimeout", Failure),
        ("UPDATE_ROLLBACK_COMPLETE", Failure),
        ("UPDATE_ROLLBACK_IN_PROGRESS", Undecided),
        ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", Undecided),
        ("CREATE_FAILED", Failure),
        ("HealthCheckFailed", Failure),
        ("healthcheckfailed", Failure),
        ("DriftedSucceeded", Success),
        ("RollbackSucceeded", Failure),
        ("OOMKilled", Failure),
        ("CrashLoopBackOff", Failure),
        ("AutoAborted", Failure),
        ("IgnoreFailed", Undecided),
        ("pending-rollback", Undecided),
        ("failed-with-retry", Failure),
        ("StoppedRunFinally", Neutral),
        ("SIGKILL", Failure),
        ("deploy timed out", Failure),
        ("timedOutTwice", Failure),
        ("exit-error", Failure),
        ("buildErrorAgain", Failure),
        ("user cancelled it", Neutral),
        ("cancelled_failed", Failure),
        ("CancelSucceeded", Neutral),
        ("0", Success),
        ("1", Undecided),
        ("green", Success),
        ("all green", Undecided),
        ("failover", Undecided),
        ("default", Undecided),
        ("errors", Undecided),
        ("restarted", Undecided),
        ("weird \"one\"\n", Undecided),
        ("", Undecided),
        ("\u{65e5}\u{672c}", Undecided),
        ("\u{65e5}_failed", Failure),
    ] {
        assert_eq!(outcome("result", word), expected, "{word}");
    }
}

#[test]
fn of_a_list_a_failure_counts_first_and_a_success_before_what_was_pending() {
    for (list, expected) in [
        ("fail,success", Failure),
        ("pending,success", Success),
        ("pending, fail", Failure),
        ("skipped,success", Neutral),
        ("UpgradeSucceeded,weird", Success),
        ("pending,weird", Undecided),
        (",", Undecided),
    ] {
        assert_eq!(outcome("status", list), expected, "{list}");
    }
}

#[test]
fn ready_and_finished_are_a_success_of_a_deployment_alone() {
    for word in ["READY", "ready", "Finished"] {
        for (attribute, expected) in
            [("deployment_status", Success), ("deployment.status", Success), ("status", Undecided), ("result", Undecided)]
        {
            assert_eq!(outcome(attribute, word), expected, "{attribute} {word}");
        }
    }
}

#[test]
fn of_several_attributes_the_first_rank_decides_and_a_failure_counts_first() {
    let check = |attributes: &[(&str, &str)], expected| assert_eq!(of_event(attributes.iter().copied()), expected, "{attributes:?}");
    check(&[], Success);
    check(&[("version", "failed"), ("state", "error")], Success);
    check(&[("status", "fail")], Failure);
    check(&[("status", "completed")], Success);
    check(&[("status", "finished")], Undecided);
    check(&[("status", "completed"), ("conclusion", "failure")], Failure);
    check(&[("conclusion", "weird"), ("status", "failed"), ("deployment_status", "failed")], Undecided);
    check(&[("status", "failed"), ("deployment_status", "success")], Success);
    check(&[("deployment_status", "failed"), ("outcome", "success")], Success);
    check(&[("outcome", " "), ("status", "failed")], Failure);
    check(&[("result", "success"), ("jenkins_build_result", "FAILURE")], Failure);
    check(&[("jenkins_build_result", "IN_PROGRESS"), ("result", "failure")], Failure);
    check(&[("result", "success"), ("jenkins_build_result", "UNSTABLE")], Undecided);
    check(&[("result", "cancelled"), ("exit_result", "0")], Neutral);
    check(&[("cicd.pipeline.result", "timeout")], Failure);
    check(&[("result", "failure"), ("exit_result", "3")], Failure);
}

#[test]
fn a_word_by_itself_says_how_something_ended_where_it_says_nothing_else() {
    for (word, expected) in [
        ("failed", Some(Failure)),
        ("timed-out", Some(Failure)),
        ("done", Some(Success)),
        ("cancelled", Some(Neutral)),
        ("green", None),
        ("rollback", None),
    ] {
        assert_eq!(of_word(word), expected, "{word}");
    }
}
