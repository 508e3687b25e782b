//! How attributes become labels, as the configuration says it: plain values, checked when a [`Mapping`](crate::mapping::Mapping) is made of them.

use crate::labels::LABELS_MAX;
use crate::labels::TEXT_MAX;
use crate::shown::quoted;

/// How attributes become labels, as configured. The default is what works with every known sender.
#[derive(Clone, Debug)]
pub struct MappingOptions {
    /// Canonical labels and, in order of preference, the labels, or attributes as sent, whose value they take when they are absent.
    pub aliases: Vec<(String, Vec<String>)>,
    /// Rules for every event.
    pub labels: LabelRules,
    /// Rules for the events of one name, which come before those for every event; an `allow` here takes its place.
    pub events: Vec<(String, LabelRules)>,
    /// Events that belong together.
    pub pairing: Vec<PairingRule>,
    /// Names that say which end of a change they are pair with each other ([`words::ends`](crate::words::ends)).
    pub pairing_by_name: bool,
    /// Attributes that never identify an event, by their names as sent or as labels; `*` stands for any text.
    pub volatile: Vec<String>,
    /// What an event may have.
    pub limits: Limits,
}

/// What becomes of labels. What is not a label stays on the event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelRules {
    /// Old names, as sent or as labels, and new ones.
    pub rename: Vec<(String, String)>,
    /// Labels to leave out, by their final names or those as sent; `*` stands for any text.
    pub drop: Vec<String>,
    /// The only labels to keep, by their final names or those as sent; `*` stands for any text.
    pub allow: Option<Vec<String>>,
}

/// Two event names, or one twice, whose edges pair.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PairingRule {
    /// The event that starts; it is a start also where the sender gives no state, if the other name differs.
    pub start: String,
    /// The event that stops.
    pub stop: String,
    /// The labels, or attributes as sent, that identify; an event that has none of them pairs as if there were no labels here.
    pub labels: Vec<String>,
    /// The event has no duration: what says start, or nothing, is a point.
    pub point: bool,
    /// A newer start closes the older open one with the same values of these labels.
    pub supersede: Vec<String>,
}

/// What an event may have. Beyond them a value is cut and a label left out; an event, its name or an array is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Labels of an event, without `event_name` and `event_state`.
    pub labels: usize,
    /// Bytes of a label's name, beyond which it is left out.
    pub name_bytes: usize,
    /// Bytes of a label's value, where it is cut; bytes of the event name, which is refused.
    pub value_bytes: usize,
    /// Bytes of all names and values, `event_name` included.
    pub total_bytes: usize,
    /// Bytes of an event as sent.
    pub item_bytes: usize,
    /// Events in one JSON array.
    pub batch_items: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { labels: 20, name_bytes: 128, value_bytes: 1024, total_bytes: 8192, item_bytes: 64 * 1024, batch_items: 10_000 }
    }
}

impl Default for MappingOptions {
    fn default() -> Self {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        Self {
            aliases: ALIASES.map(|(canonical, aliases)| (canonical.to_owned(), owned(aliases))).into(),
            labels: LabelRules::default(),
            events: Vec::new(),
            pairing: Vec::new(),
            pairing_by_name: true,
            volatile: owned(&VOLATILE),
            limits: Limits::default(),
        }
    }
}

/// Canonical labels and their aliases. OpenTelemetry's names are here as the labels that they become, so that they count however
/// they are spelled; its `deployment.id` becomes `deployment_id` by itself.
const ALIASES: [(&str, &[&str]); 3] = [
    ("service_name", &["service", "bucket"]),
    ("deployment_environment", &["deployment_environment_name", "environment", "env"]),
    ("version", &["service_version", "build_id", "commit", "commit_sha", "vcs_ref_head_revision"]),
];

/// Attributes that differ between the two ends of one change.
const VOLATILE: [&str; 11] = [
    "result",
    "outcome",
    "status",
    "conclusion",
    "*duration*",
    "*_end_time",
    "*_result",
    "spinnaker_status",
    "spinnaker_event_type",
    "idempotency_key",
    "timestamp_source",
];

/// The least that any limit can be.
const LIMIT_MIN: usize = 4;

/// Why a mapping cannot be as configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} {value}: {rule}")]
pub struct MappingError {
    /// The part of the configuration.
    pub key: &'static str,
    /// The value at fault.
    pub value: String,
    /// What it must be.
    pub rule: String,
}

impl MappingError {
    pub(super) fn new(key: &'static str, value: &str, rule: impl Into<String>) -> Self {
        Self { key, value: quoted(value), rule: rule.into() }
    }
}

impl Limits {
    pub(super) fn check(self) -> Result<(), MappingError> {
        for (key, limit, most) in [
            ("limits.labels", self.labels, LABELS_MAX - 1),
            ("limits.label_name_bytes", self.name_bytes, TEXT_MAX),
            ("limits.label_value_bytes", self.value_bytes, TEXT_MAX),
            ("limits.labels_bytes", self.total_bytes, LABELS_MAX * TEXT_MAX),
            ("limits.item_bytes", self.item_bytes, usize::MAX),
            ("limits.batch_items", self.batch_items, usize::MAX),
        ] {
            if !(LIMIT_MIN..=most).contains(&limit) {
                return Err(MappingError::new(key, &limit.to_string(), format!("must be {LIMIT_MIN} to {most}")));
            }
        }
        Ok(())
    }
}
