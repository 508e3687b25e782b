//! What makes a start and a stop belong together when no explicit id says so (identity rules 2 to 4).
//!
//! Where no rule of the configuration says otherwise, names that say which end of a change they are pair with each other
//! (`words::ends`): an edge that says its state is about the subject of its name.
//!
//! An identity is a pure function of the event name, the attributes as sent and the configuration; labels that the
//! configuration drops, or that were cut, still count whole. Points have identities of their own, so that they never meet
//! a start or a stop.

use crate::event::EdgeState;
use crate::event::Identity;
use crate::event::Pairs;
use crate::event::Parts;
use crate::mapping::edition::Edition;
use crate::mapping::label::Label;
use crate::mapping::label::find_either;
use crate::mapping::names::Patterns;
use crate::mapping::names::SENT_RULE;
use crate::mapping::names::is_sent_name;
use crate::mapping::options::MappingError;
use crate::mapping::options::PairingRule;
use crate::words::ends;
use crate::words::ends::End;
use crate::words::entities::ENTITIES;
use std::collections::HashMap;

/// What tells apart the spans of one entity (rule 3).
const ENTITY_PARTS: [&str; 2] = ["state", "deployment_environment"];

/// The pairing rules of a configuration, and what never identifies.
#[derive(Clone, Debug, Default)]
pub(super) struct Pairing {
    rules: Vec<PairingRule>,
    by_event: HashMap<String, usize>,
    /// Names that say which end they are pair with each other.
    by_name: bool,
    volatile: Patterns,
    edition: Edition,
}

/// How an edge pairs.
#[derive(Clone, Debug)]
pub(super) struct Paired {
    pub state: EdgeState,
    pub by: Key,
    /// That is the subject of its name.
    pub by_subject: bool,
    /// What it pairs by where its name, which says that something is over, was sent as a start.
    pub by_own_name: Option<Key>,
}

/// What an edge pairs by, before it is hashed.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub identity: Parts,
    pub lapses: bool,
    /// An id of its own says what it is about.
    pub entity: bool,
    pub supersede: Option<Parts>,
}

impl Key {
    /// The same, hashed.
    pub(super) fn pairs(&self, hash: impl Fn(&Parts) -> Identity) -> Pairs {
        Pairs { identity: hash(&self.identity), lapses: self.lapses, supersede: self.supersede.as_ref().map(hash) }
    }
}

/// What names a kind of event in an identity: where it stands apart from others, and its name there.
#[derive(Clone, Copy)]
struct Kind<'a> {
    space: &'a str,
    name: &'a str,
}

impl Pairing {
    pub(super) fn new(rules: Vec<PairingRule>, by_name: bool, volatile: &[String], edition: Edition) -> Result<Self, MappingError> {
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
            if let Some(label) = rule.labels.iter().chain(&rule.supersede).find(|label| !is_sent_name(label)) {
                return Err(MappingError::new("pairing", label, SENT_RULE));
            }
        }
        Ok(Self { rules, by_event, by_name, volatile: Patterns::new(volatile), edition })
    }

    /// Decides how an edge pairs: `attributes` are all that was sent, in the order of the names that count (labels added since may
    /// be among them), `labels` are those after renaming and aliases.
    pub(super) fn pair(&self, event_name: &str, said: Option<EdgeState>, attributes: &[Label<'_>], labels: &[Label<'_>]) -> Paired {
        let rule = self.by_event.get(event_name).and_then(|position| self.rules.get(*position));
        let state = state(rule, event_name, said);
        let space = if state == EdgeState::Point { "point" } else { "span" };
        let own = Kind { space, name: rule.map_or(event_name, |rule| &rule.start) };
        if let Some(subject) = self.subject(event_name, said).filter(|_| rule.is_none()) {
            let by = self.key(None, Kind { space: "ends", name: subject }, attributes, labels);
            let is_over = state == EdgeState::Stop && matches!(ends::of(event_name), Some((_, End::Finishing)));
            return Paired { state, by, by_subject: true, by_own_name: is_over.then(|| self.key(None, own, attributes, labels)) };
        }
        let mut by = self.key(rule, own, attributes, labels);
        by.supersede = by.supersede.filter(|_| state == EdgeState::Start);
        Paired { state, by, by_subject: false, by_own_name: None }
    }

    /// Whether an attribute of this name never identifies.
    pub(super) fn is_volatile(&self, name: &str) -> bool {
        self.volatile.matches(name)
    }

    /// What the name of an edge that says its state is about, where it pairs by that: beginnings, and ends that say stop.
    fn subject<'n>(&self, event_name: &'n str, said: Option<EdgeState>) -> Option<&'n str> {
        let (subject, end) = ends::of(event_name).filter(|_| self.by_name)?;
        let pairs = match said? {
            EdgeState::Start => end == End::Beginning,
            EdgeState::Stop => true,
            EdgeState::Point => false,
        };
        pairs.then_some(subject)
    }

    /// Whether a start has a name that says that something is over, and pairs by it.
    pub(super) fn is_odd(&self, event_name: &str, state: EdgeState) -> bool {
        self.by_name
            && state == EdgeState::Start
            && !self.by_event.contains_key(event_name)
            && matches!(ends::of(event_name), Some((_, End::Finishing)))
    }

    fn key(&self, rule: Option<&PairingRule>, kind: Kind<'_>, attributes: &[Label<'_>], labels: &[Label<'_>]) -> Key {
        let value = |name: &str| find_either(labels, attributes, name).map(|label| &*label.value);
        let by_rule = rule.and_then(|rule| rule_identity("pairing", kind.space, rule, &rule.labels, &value));
        let by_entity = if by_rule.is_none() { entity_identity(kind, value) } else { None };
        let (entity, known) = (by_entity.is_some(), by_rule.or(by_entity));
        let lapses = known.is_none() && kind.space != "point";
        let identity = known.unwrap_or_else(|| self.attributes_identity(kind, attributes));
        let supersede = rule.and_then(|rule| rule_identity("supersede", kind.space, rule, &rule.supersede, &value));
        Key { identity, lapses, entity, supersede }
    }

    /// Rule 4: the event name and all attributes that are not volatile. Their names are those as sent: names that become the same
    /// label are two. Before they were those of labels.
    fn attributes_identity<'l>(&self, kind: Kind<'l>, attributes: &'l [Label<'_>]) -> Parts {
        let lasting = attributes.iter().filter(|attribute| attribute.is_sent() && !attribute.goes_by(|name| self.volatile.matches(name)));
        let name = |attribute: &'l Label<'_>| if self.edition == Edition::Before { &*attribute.name } else { attribute.path };
        let parts = lasting.flat_map(|attribute| [name(attribute), &*attribute.value]);
        Parts::of(["attributes", kind.space, kind.name].into_iter().chain(parts))
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
fn rule_identity<'l>(
    kind: &str,
    space: &str,
    rule: &PairingRule,
    names: &[String],
    value: &impl Fn(&str) -> Option<&'l str>,
) -> Option<Parts> {
    names.iter().any(|name| value(name).is_some()).then(|| {
        let parts = names.iter().flat_map(|name| [name.as_str(), value(name).unwrap_or_default()]);
        Parts::of([kind, space, &rule.start, &rule.stop].into_iter().chain(parts))
    })
}

/// Rule 3: the entity, and its state and environment where they are given.
fn entity_identity<'l>(kind: Kind<'_>, value: impl Fn(&str) -> Option<&'l str>) -> Option<Parts> {
    let (entity, id) = ENTITIES.iter().find_map(|entity| Some((*entity, value(entity)?)))?;
    let parts = ENTITY_PARTS.iter().map(|part| value(part).unwrap_or_default());
    Some(Parts::of(["entity", kind.space, kind.name, entity, id].into_iter().chain(parts)))
}
