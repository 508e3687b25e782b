//! The event that a body creates.

use crate::doors::grafana::wire::fields::Fields;
use crate::doors::grafana::wire::written::Written;
use crate::event::Details;
use crate::mapping::FormatError;
use crate::mapping::tags;
use crate::mapping::tags::EventNames;
use crate::mapping::tags::Phase;
use crate::mapping::whole::End;
use crate::mapping::whole::Whole;
use crate::time::Timestamp;
use serde_json::value::RawValue;

/// The name of an event of which no tag says one.
pub const EVENT_NAME_DEFAULT: &str = "annotation";

/// What a body asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Creation {
    /// The event; a point, if it is the end of something.
    pub whole: Whole,
    /// Its tags say that something ended: it closes what began under the same name with the same tags, if that is open.
    pub closes: bool,
}

impl Fields {
    /// The event that these fields create; `now` is when it begins unless they say so.
    pub fn create(self, id: Box<str>, now: Timestamp, names: &EventNames) -> Result<Creation, FormatError> {
        let text = self.text.ok_or_else(|| FormatError::malformed("text", "must be given, and not be empty"))?;
        let written_tags = self.tags.unwrap_or_default();
        let resolved = tags::resolve(written_tags.iter().map(|tag| &**tag), names);
        let time = self.time.unwrap_or(now);
        let (at, end) = match self.time_end {
            Some(end) => end_of(time, end),
            None if resolved.phase == Some(Phase::Start) => (time, End::Open),
            None => (time, End::Point),
        };
        let closes = self.time_end.is_none() && resolved.phase == Some(Phase::Stop);
        let event_name = resolved.event_name.unwrap_or_else(|| EVENT_NAME_DEFAULT.into());
        let mut written = Written {
            created: true,
            text: true,
            dashboard_id: self.dashboard_id,
            dashboard_uid: self.dashboard_uid,
            panel_id: self.panel_id,
            data: self.data.and_then(|data| RawValue::from_string(data.into()).ok()),
            ..Written::default()
        };
        written.set_tags(written_tags, &event_name, &resolved.tags);
        let mut details = Details { description: text, tags: resolved.tags, ..Details::default() };
        written.put(&mut details);
        Ok(Creation { whole: Whole { id, event_name, at, end, details, cluster: "".into() }, closes })
    }
}

/// When something begins and ends that has these two times, in whatever order.
pub fn end_of(time: Timestamp, time_end: Timestamp) -> (Timestamp, End) {
    let (begun, ended) = (time.min(time_end), time.max(time_end));
    (begun, if begun == ended { End::Point } else { End::At(ended) })
}
