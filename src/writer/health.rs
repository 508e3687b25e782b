//! Whether writing works.

use crate::log::AppendError;
use crate::telemetry::logging::with_causes;
use std::sync::Arc;

/// Whether writing works.
#[derive(Clone, Debug, Default)]
pub enum Health {
    /// The last append worked.
    #[default]
    Ok,
    /// The last append failed and left nothing behind; the next may work.
    Failing(Arc<AppendError>),
    /// A sync failed: nothing is accepted until a restart.
    Latched(Arc<AppendError>),
}

impl From<Arc<AppendError>> for Health {
    fn from(error: Arc<AppendError>) -> Self {
        if error.is_final() { Self::Latched(error) } else { Self::Failing(error) }
    }
}

impl Health {
    /// Why writing does not work, with all causes; for the log alone.
    pub(super) fn reason(&self) -> Option<String> {
        match self {
            Self::Ok => None,
            Self::Failing(error) | Self::Latched(error) => Some(with_causes(error)),
        }
    }
}
