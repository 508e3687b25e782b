//! Which labels have a place where there are more than an event may have. What has none stays on the event.

use crate::labels::EVENT_NAME;
use crate::mapping::label::Label;
use crate::mapping::names::Patterns;
use crate::mapping::options::Limits;
use crate::mapping::options::MappingOptions;
use crate::words::entities::ENTITIES;
use crate::words::outcome;

/// Labels that everybody groups by.
const CANONICAL: [&str; 4] = ["service_name", "deployment_environment", "version", "deployment_id"];
/// Labels that the shipped rules and dashboards group by, beside those that say what an event is about and how it ended.
const GROUPING: [&str; 2] = ["state", "team"];
/// Labels that the shipped dashboards show where there are any.
const SHOWN: [&str; 17] = [
    "change_type",
    "author",
    "user_name",
    "actor",
    "ticket",
    "change_id",
    "commit",
    "commit_sha",
    "vcs_ref_head_revision",
    "branch",
    "repository",
    "reason",
    "description",
    "url",
    "build_url",
    "link",
    "jenkins_build_url",
];

/// Whose turn it is. Within each the order is that of names, or of the configuration where it gives one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Canonical(usize),
    Named,
    Shown,
    Cluster,
    Other,
}

/// The order of places.
#[derive(Clone, Debug)]
pub(super) struct Places {
    canonical: Vec<String>,
    /// Names that pairing rules say, as sent or of labels.
    pairing: Vec<String>,
}

impl Places {
    pub(super) fn new(options: &MappingOptions) -> Self {
        let mut canonical: Vec<String> = CANONICAL.map(str::to_owned).into();
        for (name, _) in &options.aliases {
            if !canonical.contains(name) {
                canonical.push(name.clone());
            }
        }
        let pairing = options.pairing.iter().flat_map(|rule| rule.labels.iter().chain(&rule.supersede)).cloned().collect();
        Self { canonical, pairing }
    }

    /// Takes out, and names, the labels for which there is no place within `limits` beside an event's name.
    pub(super) fn leave_out(
        &self,
        labels: &mut Vec<Label<'_>>,
        event_name: &str,
        allow: Option<&Patterns>,
        limits: &Limits,
    ) -> Vec<String> {
        let mut order: Vec<(Rank, usize)> = labels.iter().enumerate().map(|(index, label)| (self.rank(label, allow), index)).collect();
        order.sort_unstable();
        let mut room = limits.total_bytes.saturating_sub(EVENT_NAME.len() + event_name.len());
        let (mut taken, mut stays) = (0, vec![false; labels.len()]);
        for (_, index) in order {
            let (Some(label), Some(stays)) = (labels.get(index), stays.get_mut(index)) else { continue };
            let bytes = bytes(label, limits);
            if taken < limits.labels && label.name.len() <= limits.name_bytes && bytes <= room {
                (taken, room, *stays) = (taken + 1, room - bytes, true);
            }
        }
        let mut left_out = Vec::new();
        let mut stays = stays.into_iter();
        labels.retain(|label| {
            let stays = stays.next().unwrap_or_default();
            if !stays {
                left_out.push(label.name.to_string());
            }
            stays
        });
        left_out
    }

    fn rank(&self, label: &Label<'_>, allow: Option<&Patterns>) -> Rank {
        let name = &*label.name;
        if let Some(place) = self.canonical.iter().position(|canonical| *canonical == name) {
            return Rank::Canonical(place);
        }
        let is_named = GROUPING.contains(&name)
            || ENTITIES.contains(&name)
            || outcome::Rank::of(name).is_some()
            || label.goes_by(|name| self.pairing.iter().any(|named| named == name))
            || allow.is_some_and(|allow| label.goes_by(|name| allow.matches(name)));
        match () {
            () if is_named => Rank::Named,
            () if SHOWN.contains(&name) => Rank::Shown,
            () if !label.is_sent() => Rank::Cluster,
            () => Rank::Other,
        }
    }
}

/// Whether an event has more labels than it may have, or longer ones than can be cut.
pub(super) fn is_over(labels: &[Label<'_>], event_name: &str, limits: &Limits) -> bool {
    let all = labels.iter().map(|label| bytes(label, limits)).sum::<usize>() + EVENT_NAME.len() + event_name.len();
    labels.len() > limits.labels || all > limits.total_bytes || labels.iter().any(|label| label.name.len() > limits.name_bytes)
}

/// What it takes at most when its value is cut.
fn bytes(label: &Label<'_>, limits: &Limits) -> usize {
    label.name.len() + label.value.len().min(limits.value_bytes)
}
