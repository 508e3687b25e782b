//! Bare tags that name an event: the usual ones, and those of the configuration.

use crate::mapping::tags::tag::word;
use crate::mapping::tags::words;
use crate::shown::quoted;
use std::collections::HashMap;
use std::collections::HashSet;

/// Bare tags that name an event.
#[derive(Clone, Debug)]
pub struct EventNames(HashMap<Box<str>, Box<str>>);

/// Why an event name cannot be configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventNamesError {
    #[error("{}: must be a bare tag: not empty, and without a colon", quoted(.0))]
    Tag(String),
    #[error("{}: must be given, and not be empty", quoted(.0))]
    Name(String),
    #[error("{}: another tag is the same, since case and signs do not matter", quoted(.0))]
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
        let (mut names, mut seen) = (Self::default(), HashSet::new());
        for (tag, name) in configured {
            let word = word(tag.trim());
            if word.is_empty() || tag.contains(':') {
                return Err(EventNamesError::Tag(tag.to_owned()));
            }
            if name.trim().is_empty() {
                return Err(EventNamesError::Name(tag.to_owned()));
            }
            if !seen.insert(word.clone()) {
                return Err(EventNamesError::Twice(tag.to_owned()));
            }
            names.0.insert(word.into(), name.trim().into());
        }
        Ok(names)
    }

    /// The name that this word gives, if it does.
    pub(super) fn of(&self, word: &str) -> Option<&str> {
        self.0.get(word).map(|name| &**name)
    }
}
