//! What this door wrote of an event, in its own words: so that it is read back as it was written.

use crate::event::Details;
use crate::event::Extension;
use crate::event::fingerprint;
use crate::mapping::tags::Tags;
use crate::mapping::tags::text;
use serde::Deserialize;
use serde::Serialize;
use serde_json::value::RawValue;

/// The tag of the extension of an event's details that it is kept in.
pub const EXTENSION: u8 = 2;

/// What was written.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Written {
    /// The event was created here.
    #[serde(skip_serializing_if = "is_false")]
    pub created: bool,
    /// When it is put: the description is a text of this door. What was read has it as [`Written::is_text`].
    #[serde(skip)]
    pub text: bool,
    /// A hash of the text: the description is one of this door only as long as it is the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text_is: Option<Box<str>>,
    /// In their order, as they were written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tags: Option<Vec<Box<str>>>,
    /// What name and tags of the event these were: they stand for them only as long as they are the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) came_to: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dashboard_id: Option<i64>,
    #[serde(rename = "dashboardUID", skip_serializing_if = "Option::is_none")]
    pub dashboard_uid: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub panel_id: Option<i64>,
    /// Any JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Box<RawValue>>,
    /// The id that the request would have created an event with which ended this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<Box<str>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl Written {
    /// What was written of this event, if anything.
    pub fn of(details: &Details) -> Option<Self> {
        let extension = details.extensions.iter().find(|extension| extension.tag == EXTENSION)?;
        serde_json::from_slice(&extension.bytes).ok()
    }

    /// Puts it in the place of what was written before.
    pub fn put(mut self, details: &mut Details) {
        if self.text {
            self.text_is = Some(hash_of(&details.description));
        }
        let bytes = serde_json::to_vec(&self).unwrap_or_default().into();
        let place = details.extensions.partition_point(|extension| extension.tag < EXTENSION);
        match details.extensions.get_mut(place).filter(|known| known.tag == EXTENSION) {
            Some(known) => known.bytes = bytes,
            None => details.extensions.insert(place, Extension { tag: EXTENSION, bytes }),
        }
    }

    /// Whether anything was written.
    pub fn is_something(&self) -> bool {
        let Self { created, text, text_is, tags, came_to: _, dashboard_id, dashboard_uid, panel_id, data, ended_by: _ } = self;
        let beside = dashboard_id.is_some() || dashboard_uid.is_some() || panel_id.is_some() || data.is_some();
        *created || *text || text_is.is_some() || tags.is_some() || beside
    }

    /// Whether this description is the text that was written.
    pub fn is_text(&self, description: &str) -> bool {
        self.text_is.as_ref().is_some_and(|known| *known == hash_of(description))
    }

    /// The tags as they were written, if the event still has what they came to.
    pub fn tags(&self, event_name: &str, tags: &Tags) -> Option<&[Box<str>]> {
        let is_same = self.came_to.as_ref().is_some_and(|known| *known == came_to(event_name, tags));
        self.tags.as_deref().filter(|_| is_same)
    }

    /// Tags were written that came to this.
    pub fn set_tags(&mut self, written: Vec<Box<str>>, event_name: &str, tags: &Tags) {
        (self.tags, self.came_to) = (Some(written), Some(came_to(event_name, tags)));
    }
}

fn hash_of(text: &str) -> Box<str> {
    format!("{:032x}", fingerprint([text.as_bytes()])).into()
}

fn came_to(event_name: &str, tags: &Tags) -> Box<str> {
    let keys = tags.iter().filter(|(_, values)| values.is_empty()).map(|(key, _)| text(key, ""));
    let pairs = tags.iter().flat_map(|(key, values)| values.iter().map(|value| text(key, value)));
    let all: Vec<String> = keys.chain(pairs).collect();
    let parts = std::iter::once(event_name).chain(all.iter().map(String::as_str)).map(str::as_bytes);
    format!("{:032x}", fingerprint(parts)).into()
}
