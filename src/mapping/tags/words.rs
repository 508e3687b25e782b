//! The words: keys that mean the same, and bare tags that say something. How something ended is for `words::outcome`.

use crate::words::outcome;
use crate::words::outcome::Outcome;

/// Keys whose value is the event's name; the first one that is there counts.
pub(super) const NAME_KEYS: [&str; 3] = ["event_name", "event", "event_type"];
/// Bare tags that name the event.
pub(super) const EVENT_NAMES: [(&str, &str); 6] = [
    ("deploy", "deployment"),
    ("deployment", "deployment"),
    ("release", "deployment"),
    ("rollout", "deployment"),
    ("incident", "incident"),
    ("outage", "incident"),
];

/// Keys whose value says which end of a change it is, or how it ended.
pub(super) const STATE_KEYS: [&str; 4] = [EVENT_STATE, "state", "status", "phase"];
pub(super) const EVENT_STATE: &str = "event_state";
const START: [&str; 4] = ["start", "started", "begin", "in_progress"];
const STOP: [&str; 4] = ["stop", "end", "finish", "finished"];
pub(super) const ROLLBACK: &str = "rollback";

pub(super) const DEPLOYMENT_ACTION: &str = "deployment_action";

pub(super) const ENVIRONMENT: &str = "deployment_environment";
/// Bare tags that are an environment.
pub(super) const ENVIRONMENTS: [(&str, &str); 7] = [
    ("prod", "prod"),
    ("production", "production"),
    ("staging", "staging"),
    ("stage", "stage"),
    ("dev", "dev"),
    ("test", "test"),
    ("qa", "qa"),
];

/// A canonical name, the keys that become it in the mapping anyway, and the other words for it, the first one counts.
pub(super) type Canonical = (&'static str, &'static [&'static str], &'static [&'static str]);
pub(super) const CANONICAL: &[Canonical] = &[
    ("service_name", &["service", "bucket"], &["app", "application", "svc", "kube_deployment"]),
    (ENVIRONMENT, &["environment", "env"], &["deployment_environment_name", "stage"]),
    // A commit is the last that a version is taken from, so another word for it goes first.
    ("version", &["build_id"], &["service_version", "release", "tag", "image_tag"]),
    ("vcs_ref_head_revision", &[], &["revision", "sha", "commit", "git_sha", "git_commit_sha"]),
    ("vcs_repository_name", &[], &["repo"]),
    ("vcs_ref_head_name", &[], &["branch", "ref"]),
    ("k8s_namespace_name", &[], &["namespace", "kube_namespace"]),
    ("k8s_cluster_name", &[], &["cluster"]),
    ("k8s_object_kind", &[], &["kind", "kube_kind"]),
    ("user_name", &[], &["user", "author", "actor"]),
    ("host_name", &[], &["host"]),
];

/// Which end of a change tags speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It began.
    Start,
    /// It ended.
    Stop,
}

/// What words said of the state of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// What the first of them said.
    first: Option<Phase>,
    /// Another one said the contrary.
    is_disputed: bool,
    outcome: Option<Outcome>,
}

impl Said {
    /// Takes a word; whether it says something.
    pub(super) fn hear(&mut self, word: &str) -> bool {
        let outcome = outcome::of_word(word);
        let phase = match word {
            word if START.contains(&word) => Phase::Start,
            word if outcome.is_some() || STOP.contains(&word) => Phase::Stop,
            _ => return false,
        };
        self.is_disputed |= self.first.is_some_and(|first| first != phase);
        self.first = self.first.or(Some(phase));
        // A failure is one whatever else is said; that something is over says nothing.
        self.outcome = if outcome == Some(Outcome::Failure) { outcome } else { self.outcome.or(outcome) };
        true
    }

    pub(super) fn is_silent(self) -> bool {
        self.first.is_none()
    }

    pub(super) fn phase(self) -> Option<Phase> {
        self.first.filter(|_| !self.is_disputed)
    }

    /// As `deployment_status` has it.
    pub(super) fn outcome(self) -> Option<&'static str> {
        self.outcome.and_then(|outcome| match outcome {
            Outcome::Success => Some("succeeded"),
            Outcome::Failure => Some("failed"),
            Outcome::Neutral => Some("cancelled"),
            Outcome::Undecided => None,
        })
    }
}
