//! What a list of tags says of an event.

use crate::mapping::tags::names::EventNames;
use crate::mapping::tags::tag::Tags;
use crate::mapping::tags::tag::add;
use crate::mapping::tags::tag::split;
use crate::mapping::tags::tag::word;
use crate::mapping::tags::words::CANONICAL;
use crate::mapping::tags::words::DEPLOYMENT_ACTION;
use crate::mapping::tags::words::ENVIRONMENT;
use crate::mapping::tags::words::ENVIRONMENTS;
use crate::mapping::tags::words::EVENT_STATE;
use crate::mapping::tags::words::NAME_KEYS;
use crate::mapping::tags::words::Phase;
use crate::mapping::tags::words::ROLLBACK;
use crate::mapping::tags::words::STATE_KEYS;
use crate::mapping::tags::words::Said;
use crate::words::outcome::DEPLOYMENT_STATUS;

/// The tag that another door reads an event's name from: its first value is the name, others stand beside it.
const TYPE: &str = "type";

/// What a list of tags says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// What kind of change; `None` when no tag says it.
    pub event_name: Option<Box<str>>,
    /// `None` when no tag says it, or some the one and some the other.
    pub phase: Option<Phase>,
    /// Everything else.
    pub tags: Tags,
}

/// What the tags say.
pub fn resolve<'a>(tags: impl IntoIterator<Item = &'a str>, names: &EventNames) -> Resolved {
    let pairs: Vec<(&str, &str)> = tags.into_iter().filter_map(split).collect();
    let naming = NAME_KEYS.iter().find_map(|key| pairs.iter().position(|(given, value)| !value.is_empty() && word(given) == *key));
    let (mut reading, mut resolved) = (Reading::default(), Resolved::default());
    resolved.event_name = naming.and_then(|place| pairs.get(place)).map(|(_, name)| (*name).into());
    for (place, (key, value)) in pairs.iter().enumerate() {
        if Some(place) == naming {
            continue;
        }
        let is_kept = if value.is_empty() { reading.bare(&word(key), names) } else { reading.keyed(&word(key), value) };
        if is_kept {
            add(&mut resolved.tags, key, value);
        }
    }
    resolved.phase = reading.phase();
    resolved.event_name = resolved.event_name.or_else(|| reading.event_name.take());
    name_by_type(&mut resolved);
    reading.add_canonical(&mut resolved.tags);
    resolved
}

/// Whether a tag with this key may say something of an event without being a tag of it.
pub fn is_consumed(key: &str) -> bool {
    let key = word(key);
    NAME_KEYS.contains(&key.as_str()) || key == EVENT_STATE
}

/// The first `type` is the name of the event: where nothing else names it, and else the name stands before the others.
fn name_by_type(resolved: &mut Resolved) {
    let Some((_, types)) = resolved.tags.iter_mut().find(|(key, _)| **key == *TYPE) else { return };
    match (&resolved.event_name, types.first()) {
        (None, Some(first)) => resolved.event_name = Some(first.clone()),
        (Some(name), Some(_)) => {
            types.retain(|known| known != name);
            types.insert(0, name.clone());
        }
        (_, None) => {}
    }
}

/// What was read of a list so far.
#[derive(Debug, Default)]
struct Reading {
    event_name: Option<Box<str>>,
    environment: Option<Box<str>>,
    is_rollback: bool,
    /// By bare words, and by keys, which count for more.
    bare: Said,
    keyed: Said,
    /// Words of canonical names: which, and its value.
    canonical: Vec<(&'static str, usize, Box<str>)>,
}

impl Reading {
    /// A bare tag, which always stays one.
    fn bare(&mut self, word: &str, names: &EventNames) -> bool {
        self.event_name = self.event_name.take().or_else(|| names.of(word).map(Into::into));
        self.bare.hear(word);
        self.is_rollback |= word == ROLLBACK;
        let environment = ENVIRONMENTS.iter().find(|(known, _)| *known == word);
        self.environment = self.environment.take().or_else(|| environment.map(|(_, name)| (*name).into()));
        true
    }

    /// A tag with a value; says whether it stays one.
    fn keyed(&mut self, key: &str, value: &str) -> bool {
        if STATE_KEYS.contains(&key) {
            return !self.keyed.hear(&word(value)) || key != EVENT_STATE;
        }
        for (canonical, _, words) in CANONICAL {
            if let Some(rank) = words.iter().position(|word| *word == key) {
                self.canonical.push((canonical, rank, value.into()));
            }
        }
        true
    }

    fn phase(&self) -> Option<Phase> {
        if self.keyed.is_silent() { self.bare.phase() } else { self.keyed.phase() }
    }

    fn add_canonical(self, tags: &mut Tags) {
        let has = |tags: &Tags, names: &[&str]| {
            tags.iter().any(|(key, values)| {
                let key = word(key);
                !values.is_empty() && names.iter().any(|name| *name == key)
            })
        };
        let mut found = self.canonical;
        found.sort_by_key(|(_, rank, _)| *rank);
        for (canonical, others, _) in CANONICAL {
            if has(tags, &[*canonical]) || has(tags, others) {
                continue;
            }
            let by_word = found.iter().find(|(name, ..)| name == canonical).map(|(.., value)| value.clone());
            let by_bare = self.environment.clone().filter(|_| *canonical == ENVIRONMENT);
            if let Some(value) = by_word.or(by_bare) {
                add(tags, canonical, &value);
            }
        }
        let status = self.keyed.outcome().or_else(|| self.bare.outcome());
        if let Some(status) = status.filter(|_| !has(tags, &[DEPLOYMENT_STATUS])) {
            add(tags, DEPLOYMENT_STATUS, status);
        }
        if self.is_rollback && !has(tags, &[DEPLOYMENT_ACTION]) {
            add(tags, DEPLOYMENT_ACTION, "rolledback");
        }
    }
}
