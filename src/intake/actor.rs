//! On whose behalf, and by which settings, events are changed.

use std::sync::Arc;

use crate::account::Lease;
use crate::http::app::Settings;
use crate::http::error::ApiError;
use crate::http::route::Call;
use crate::time::Timestamp;
use crate::writer::Source;

/// For whom and by which settings an event is changed.
#[derive(Clone, Debug)]
pub(crate) struct Actor {
    pub(crate) organization: Arc<str>,
    /// Who waits for the writer.
    pub(crate) source: Source,
    pub(crate) settings: Arc<Settings>,
    pub(crate) now: Timestamp,
    /// The memory that what was sent takes until it is applied.
    pub(crate) room: Option<Arc<Lease>>,
}

impl Actor {
    /// Whoever makes this call.
    pub(crate) fn of(call: &Call, now: Timestamp) -> Result<Self, ApiError> {
        let organization = Arc::clone(&call.grant()?.organization);
        Ok(Self { organization, source: call.source(), settings: Arc::clone(&call.settings), now, room: None })
    }
}
