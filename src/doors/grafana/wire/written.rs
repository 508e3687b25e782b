//! What this door wrote of an event, in its own words: so that it is read back as it was written.

use crate::event::Details;
use crate::event::Extension;
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
    /// The description is a text of this door.
    #[serde(skip_serializing_if = "is_false")]
    pub text: bool,
    /// The tags in their order, as they were written. They stand for the event's own only as long as these say the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<Box<str>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dashboard_id: Option<i64>,
    #[serde(rename = "dashboardUID", skip_serializing_if = "Option::is_none")]
    pub dashboard_uid: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub panel_id: Option<i64>,
    /// Any JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Box<RawValue>>,
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
    pub fn put(&self, details: &mut Details) {
        let bytes = serde_json::to_vec(self).unwrap_or_default().into();
        match details.extensions.iter_mut().find(|extension| extension.tag == EXTENSION) {
            Some(known) => known.bytes = bytes,
            None => {
                let place = details.extensions.partition_point(|extension| extension.tag < EXTENSION);
                details.extensions.insert(place, Extension { tag: EXTENSION, bytes });
            }
        }
    }
}
