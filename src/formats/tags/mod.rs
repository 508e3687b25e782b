//! Tags as monitoring tools write them, `key:value` or a bare word: what they say of an event.
//!
//! A key stays as it was sent. Where it is one of several words for the same thing, the canonical name stands beside it,
//! unless something else has that name. Not for what a mapping makes of attributes: `service`, `env` and the like get their
//! labels there.

mod outcome;
mod words;

use crate::formats::tags::words::CANONICAL;
use crate::formats::tags::words::DEPLOYMENT_ACTION;
use crate::formats::tags::words::DEPLOYMENT_STATUS;
use crate::formats::tags::words::ENVIRONMENTS;
use crate::formats::tags::words::EVENT_STATE;
use crate::formats::tags::words::NAME_KEYS;
use crate::formats::tags::words::ROLLBACK;
use crate::formats::tags::words::STATE_KEYS;
use crate::formats::tags::words::Said;
use std::collections::HashMap;

pub use outcome::is_same_but_for_outcome;
pub use outcome::joined;

/// Key to values, in the order given; a bare tag is a key without values.
pub type Tags = Vec<(Box<str>, Vec<Box<str>>)>;

/// The tag that another door reads an event's name from: its first value is the name, others stand beside it.
const TYPE: &str = "type";

/// Which end of a change tags speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It began.
    Start,
    /// It ended.
    Stop,
}

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

/// Bare tags that name an event.
#[derive(Clone, Debug)]
pub struct EventNames(HashMap<Box<str>, Box<str>>);

/// Why an event name cannot be configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventNamesError {
    #[error("{}: must be a bare tag: not empty, and without a colon", crate::formats::quoted(.0))]
    Tag(String),
    #[error("{}: must be given, and not be empty", crate::formats::quoted(.0))]
    Name(String),
    #[error("{}: another tag is the same, since case and signs do not matter", crate::formats::quoted(.0))]
    Twice(String),
}

impl Default for EventNames {
    fn default() -> Self {
        Self(words::EVENT_NAMES.iter().map(|(word, name)| ((*word).into(), (*name).into())).collect())
    }
}

impl EventNames {
    /// The usual ones, and these, which go before them.
    pub fn with<'a>(configured: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, EventNamesError> {
        let (mut names, mut seen) = (Self::default(), HashMap::new());
        for (tag, name) in configured {
            let word = word(tag.trim());
            if word.is_empty() || tag.contains(':') {
                return Err(EventNamesError::Tag(tag.to_owned()));
            }
            if name.trim().is_empty() {
                return Err(EventNamesError::Name(tag.to_owned()));
            }
            if seen.insert(word.clone(), ()).is_some() {
                return Err(EventNamesError::Twice(tag.to_owned()));
            }
            names.0.insert(word.into(), name.trim().into());
        }
        Ok(names)
    }

    fn of(&self, word: &str) -> Option<&str> {
        self.0.get(word).map(|name| &**name)
    }
}

/// Key and value of a tag: what stands before its first colon and after it, without blanks around; the value of a bare tag is
/// empty. `None` where there is no key.
pub fn split(tag: &str) -> Option<(&str, &str)> {
    let (key, value) = tag.split_once(':').unwrap_or((tag, ""));
    let key = key.trim();
    (!key.is_empty()).then(|| (key, value.trim()))
}

/// The tag with this key and value, which is empty for a bare one.
pub fn text(key: &str, value: &str) -> String {
    if value.is_empty() { key.to_owned() } else { [key, ":", value].concat() }
}

/// Adds a tag, once.
pub fn add(tags: &mut Tags, key: &str, value: &str) {
    let place = tags.iter().position(|(known, _)| **known == *key).unwrap_or_else(|| {
        tags.push((key.into(), Vec::new()));
        tags.len() - 1
    });
    let values = tags.get_mut(place).map(|(_, values)| values).filter(|_| !value.is_empty());
    if let Some(values) = values
        && !values.iter().any(|known| **known == *value)
    {
        values.push(value.into());
    }
}

/// What the tags say.
pub fn resolve<'a>(tags: impl IntoIterator<Item = &'a str>, names: &EventNames) -> Resolved {
    let pairs: Vec<(&str, &str)> = tags.into_iter().filter_map(split).collect();
    let named = NAME_KEYS.iter().find_map(|key| pairs.iter().position(|(given, value)| !value.is_empty() && word(given) == *key));
    let (mut reading, mut resolved) = (Reading::default(), Resolved::default());
    resolved.event_name = named.and_then(|place| pairs.get(place)).map(|(_, name)| (*name).into());
    for (place, (key, value)) in pairs.iter().enumerate() {
        if Some(place) == named {
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
            let by_bare = self.environment.clone().filter(|_| *canonical == words::ENVIRONMENT);
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

/// A key or bare tag as it is compared: in lower case, with `_` for every sign and before the capitals of `camelCase`.
fn word(text: &str) -> String {
    let (mut word, mut was_small) = (String::with_capacity(text.len()), false);
    for character in text.chars() {
        if was_small && character.is_uppercase() {
            word.push('_');
        }
        was_small = character.is_lowercase() || character.is_numeric();
        if character.is_alphanumeric() {
            word.extend(character.to_lowercase());
        } else {
            word.push('_');
        }
    }
    word
}

#[cfg(test)]
mod tests;
