//! What the operator decides of this door.

use std::sync::Arc;

use crate::http::app::Settings;
use crate::mapping::tags::EventNames;

/// How it reads annotations.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Bare tags that name an event (`grafana: {event_names: ...}`).
    pub event_names: Arc<EventNames>,
}

impl Options {
    /// Those of now.
    pub(super) fn of(settings: &Settings) -> Self {
        settings.doors.get().cloned().unwrap_or_default()
    }
}
