//! Events as ETS (zillow/tycho) has them: eight keys, times of several forms, and what a merge or an update does to them.
//!
//! A field that is not in the body is not touched by either; so [`Fields`] know what was there from what was not.

mod body;
mod merge;
mod moment;

pub use body::parse_json;
pub use body::parse_yaml;
pub use merge::apply;
pub use moment::isoformat;
pub use moment::parse as parse_moment;

use crate::event::EVENT_ID_MAX;
use crate::mapping::FormatError;
use crate::time::Timestamp;

/// Longest value of a tag, in characters.
pub const TAG_VALUE_MAX: usize = 200;
/// Most tags, most links, and most values of one tag.
pub const MEMBERS_MAX: usize = 1000;
/// Most bytes of all texts of one event together, also after a merge.
pub const EVENT_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Title to URL.
pub type Links = Vec<(Box<str>, Box<str>)>;
/// Key to values.
pub type Tags = Vec<(Box<str>, Vec<Box<str>>)>;

/// An event with its eight keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// At most 100 characters.
    pub id: Box<str>,
    /// The event at the root of its causes; empty for none.
    pub source_id: Box<str>,
    /// The event that caused it; empty for none.
    pub parent_id: Box<str>,
    /// When it began.
    pub start: Timestamp,
    /// When it ended; `None` while it is open.
    pub end: Option<Timestamp>,
    /// Free text.
    pub description: Box<str>,
    /// In the order given.
    pub detail_urls: Links,
    /// In the order given.
    pub tags: Tags,
}

/// The fields of an event that a body has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// See [`Event::id`].
    pub id: Option<Box<str>>,
    /// See [`Event::source_id`].
    pub source_id: Option<Box<str>>,
    /// See [`Event::parent_id`].
    pub parent_id: Option<Box<str>>,
    /// See [`Event::start`].
    pub start: Option<Timestamp>,
    /// See [`Event::end`]; `Some(None)` is an explicit `null`.
    pub end: Option<Option<Timestamp>>,
    /// See [`Event::description`].
    pub description: Option<Box<str>>,
    /// See [`Event::detail_urls`].
    pub detail_urls: Option<Links>,
    /// See [`Event::tags`].
    pub tags: Option<Tags>,
}

/// What a change does to what is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Operation {
    /// Adds to it.
    #[default]
    Merge,
    /// Replaces the fields that the change has.
    Update,
}

/// A body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The event, as far as it is there.
    pub change: Fields,
    /// For POST only.
    pub operation: Operation,
    /// Whether to put the event when it is not there; for POST only.
    pub insert: bool,
}

/// Why a body means nothing, or cannot be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EtsError {
    /// There is no event in it.
    #[error("required arguments ['event'] not passed")]
    NoEvent,
    /// Neither merge nor update.
    #[error("only update and merge operation are supported, {0} passed")]
    Operation(String),
    /// Another parent or source than the event has.
    #[error("Merge not possible:reserved keys have clashing values.")]
    Clash,
    /// Anything else.
    #[error(transparent)]
    Format(#[from] FormatError),
}

impl EtsError {
    /// The HTTP status that says the same.
    pub fn status(&self) -> u16 {
        match self {
            Self::NoEvent | Self::Operation(_) => 400,
            Self::Clash => 409,
            Self::Format(error) => error.status(),
        }
    }
}

impl Event {
    /// The event that a change is when there is none yet. `id` is used when it names none. One time alone is both; none, `now`.
    pub fn new(change: Fields, id: impl FnOnce() -> Box<str>, now: Timestamp) -> Result<Self, EtsError> {
        let start = change.start.or(change.end.flatten()).unwrap_or(now);
        let event = Self {
            id: change.id.unwrap_or_else(id),
            source_id: change.source_id.unwrap_or_default(),
            parent_id: change.parent_id.unwrap_or_default(),
            start,
            end: change.end.unwrap_or(Some(start)),
            description: change.description.unwrap_or_default(),
            detail_urls: change.detail_urls.unwrap_or_default(),
            tags: change.tags.unwrap_or_default(),
        };
        event.check()?;
        Ok(event)
    }

    /// The rules about more than one field, and those that a merge can break.
    fn check(&self) -> Result<(), FormatError> {
        if let Some(end) = self.end.filter(|end| *end < self.start) {
            let subject = format!("end_time {}", isoformat(end));
            return Err(FormatError::malformed(subject, format!("is before start_time {}", isoformat(self.start))));
        }
        let values = self.tags.iter().map(|(_, values)| values.len()).max().unwrap_or(0);
        for (what, count) in [("tags", self.tags.len()), ("detail_urls", self.detail_urls.len()), ("values of one tag", values)] {
            if count > MEMBERS_MAX {
                return Err(FormatError::limit(what, count, MEMBERS_MAX));
            }
        }
        let links: usize = self.detail_urls.iter().map(|(title, url)| title.len() + url.len()).sum();
        let tags: usize = self.tags.iter().map(|(key, values)| key.len() + values.iter().map(|value| value.len()).sum::<usize>()).sum();
        if self.description.len() + links + tags > EVENT_BYTES_MAX {
            return Err(FormatError::TooLong { limit: EVENT_BYTES_MAX });
        }
        Ok(())
    }

    /// What kind of change it is: its first `type`.
    pub fn event_name(&self) -> &str {
        let types = self.tags.iter().find(|(key, _)| **key == *"type");
        types.and_then(|(_, values)| values.first()).map(|first| &**first).filter(|first| !first.is_empty()).unwrap_or(EVENT_NAME_DEFAULT)
    }
}

/// The name of an event without the tag `type`.
pub const EVENT_NAME_DEFAULT: &str = "event";

/// An id as it may be.
fn check_id(field: &str, id: &str) -> Result<(), FormatError> {
    let characters = id.chars().count();
    if characters > EVENT_ID_MAX {
        return Err(FormatError::malformed(
            format!("{field} {}", crate::shown::quoted(id)),
            format!("{characters} characters: at most {EVENT_ID_MAX}"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
