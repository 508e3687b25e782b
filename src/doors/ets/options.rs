//! What the operator decides of this door.

use crate::http::app::Settings;

/// How it answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether a change of an unknown event is refused at this door too (`--ets.strict`).
    pub strict: bool,
}

impl Options {
    /// Those of now.
    pub(super) fn of(settings: &Settings) -> Self {
        settings.doors.get().copied().unwrap_or_default()
    }
}
