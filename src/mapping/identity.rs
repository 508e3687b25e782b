//! What makes a start and a stop belong together when no explicit id says so (identity rules 2 to 4).
//!
//! An identity is a pure function of the event name, the attributes as sent and the configuration; labels that the
//! configuration drops, or that were cut, still count whole. Points have identities of their own, so that they never meet
//! a start or a stop.

use crate::event::EdgeState;
use crate::event::Former;
use crate::event::Identity;
use crate::event::Parts;
use crate::mapping::label::Label;
use crate::mapping::label::find;
use crate::mapping::names::NAME_RULE;
use crate::mapping::names::Patterns;
use crate::mapping::names::is_label_name;
use crate::mapping::options::MappingError;
use crate::mapping::options::PairingRule;
use std::collections::HashMap;

/// The labels that each name an entity; the first present is the one that counts (rule 3).
const ENTITY_LABELS: [&str; 3] = ["entity_id", "deployment_id", "spinnaker_execution_id"];
/// What tells apart the spans of one entity (rule 3).
const ENTITY_PARTS: [&str; 2] = ["state", "deployment_environment"];

/// The pairing rules of a configuration, and what never identifies.
#[derive(Clone, Debug, Default)]
pub(super) struct Pairing {
    rules: Vec<PairingRule>,
    by_event: HashMap<String, usize>,
    volatile: Patterns,
}

/// How an edge pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Paired {
    pub state: EdgeState,
    pub identity: Identity,
    pub lapses: bool,
    pub supersede: Option<Identity>,
    pub former: Former,
}

impl Pairing {
    pub(super) fn new(rules: Vec<PairingRule>, volatile: &[String]) -> Result<Self, MappingError> {
        let mut by_event = HashMap::new();
        for (position, rule) in rules.iter().enumerate() {
            if rule.start.is_empty() || rule.stop.is_empty() {
                return Err(MappingError::new("pairing", "", "must name an event, or a start and a stop event"));
            }
            if rule.start != rule.stop && by_event.insert(rule.stop.clone(), position).is_some() {
                return Err(MappingError::new("pairing", &rule.stop, "is in two rules; an event name can be in one"));
            }
            if by_event.insert(rule.start.clone(), position).is_some() {
                return Err(MappingError::new("pairing", &rule.start, "is in two rules; an event name can be in one"));
            }
            if let Some(label) = rule.labels.iter().chain(&rule.supersede).find(|label| !is_label_name(label)) {
                return Err(MappingError::new("pairing", label, NAME_RULE));
            }
        }
        Ok(Self { rules, by_event, volatile: Patterns::new(volatile) })
    }

    /// Decides how an edge pairs: `attributes` are named as sent (labels added since may be
    /// among them), `labels` are those after renaming and aliases; both sorted.
    pub(super) fn pair(&self, event_name: &str, said: Option<EdgeState>, attributes: &[Label<'_>], labels: &[Label<'_>]) -> Paired {
        let rule = self.by_event.get(event_name).and_then(|position| self.rules.get(*position));
        let state = state(rule, event_name, said);
        let space = if state == EdgeState::Point { "point" } else { "span" };
        let by_rule = rule.and_then(|rule| rule_identity("pairing", space, rule, &rule.labels, labels));
        let name = rule.map_or(event_name, |rule| &rule.start);
        let identity = by_rule.or_else(|| entity_identity(space, name, labels));
        let lapses = identity.is_none() && state != EdgeState::Point;
        let identity = identity.unwrap_or_else(|| self.attributes_identity(space, name, attributes));
        let superseding = rule.filter(|_| state == EdgeState::Start);
        let group = superseding.and_then(|rule| rule_identity("supersede", space, rule, &rule.supersede, labels));
        Paired {
            state,
            identity: identity.identity(),
            lapses,
            supersede: group.as_ref().map(Parts::identity),
            former: Former { identity: identity.former_identity(), supersede: group.as_ref().map(Parts::former_identity) },
        }
    }

    /// Rule 4: the event name and all attributes that are not volatile.
    fn attributes_identity(&self, space: &str, name: &str, attributes: &[Label<'_>]) -> Parts {
        let lasting = attributes.iter().filter(|attribute| attribute.sent && !self.volatile.matches(&attribute.name));
        Parts::of(["attributes", space, name].into_iter().chain(lasting.flat_map(|attribute| [&*attribute.name, attribute.value])))
    }
}

/// What the sender said, else what a rule with two event names implies; a point where neither speaks.
fn state(rule: Option<&PairingRule>, event_name: &str, said: Option<EdgeState>) -> EdgeState {
    let implied =
        rule.filter(|rule| rule.start != rule.stop).map(|rule| if rule.stop == event_name { EdgeState::Stop } else { EdgeState::Start });
    match said.or(implied) {
        Some(EdgeState::Start) if rule.is_some_and(|rule| rule.point) => EdgeState::Point,
        Some(state) => state,
        None => EdgeState::Point,
    }
}

/// Rule 2: the values of a rule's labels; none when the event has none of them.
fn rule_identity(kind: &str, space: &str, rule: &PairingRule, names: &[String], labels: &[Label<'_>]) -> Option<Parts> {
    names.iter().any(|name| value(labels, name).is_some()).then(|| {
        let parts = names.iter().flat_map(|name| [name.as_str(), value(labels, name).unwrap_or_default()]);
        Parts::of([kind, space, &rule.start, &rule.stop].into_iter().chain(parts))
    })
}

/// Rule 3: the entity, and its state and environment where they are given.
fn entity_identity(space: &str, name: &str, labels: &[Label<'_>]) -> Option<Parts> {
    let (entity, id) = ENTITY_LABELS.iter().find_map(|entity| Some((*entity, value(labels, entity)?)))?;
    let parts = ENTITY_PARTS.iter().map(|part| value(labels, part).unwrap_or_default());
    Some(Parts::of(["entity", space, name, entity, id].into_iter().chain(parts)))
}

fn value<'l>(labels: &'l [Label<'_>], name: &str) -> Option<&'l str> {
    find(labels, name).map(|label| label.value)
}
