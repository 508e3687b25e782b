//! What senders are told, and why they are refused.

use crate::event::EdgeId;
use crate::exposition::Exposure;
use crate::log::AppendError;
use crate::store::Refusal;
use crate::store::Unlabelled;
use std::sync::Arc;

/// An edge that is durable and visible.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Its id.
    pub id: EdgeId,
    /// What becomes of its sample; `None` when the edge was there already.
    pub exposure: Option<Exposure>,
    /// A stop that closes nothing, as it came.
    pub alone: bool,
    /// What its labels do not say, because there was no room for it.
    pub unlabelled: Option<Box<Unlabelled>>,
}

/// A change of a whole event that is durable and visible.
#[derive(Clone, Debug, Default)]
pub struct Made {
    /// What becomes of the event's new samples.
    pub exposures: Vec<Exposure>,
    /// What their labels do not say, because there was no room for it.
    pub unlabelled: Option<Box<Unlabelled>>,
}

/// There is less room on the disk than new events are to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "too little room on the disk: {free} bytes are free, and new events leave at least {wanted} (--storage.min-free); stops of what is open and deletions are taken"
)]
pub struct NoRoom {
    /// Bytes that are free.
    pub free: u64,
    /// Bytes that new events leave.
    pub wanted: u64,
}

/// Why something was not taken that may be taken when it or the limits are others. Nothing was kept of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A limit of the store.
    #[error(transparent)]
    Limit(#[from] Refusal),
    /// The disk is nearly full.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// Its record is larger than the log takes. What was sent may have been shorter: the record has labels, too.
    #[error("the event is too large: it would be stored as {bytes} bytes, at most {limit}")]
    TooLarge {
        /// Of the record.
        bytes: usize,
        /// Of the largest record.
        limit: usize,
    },
}

/// Why an event was not changed. Nothing was kept of the change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unchanged {
    /// It is not as its sender expected.
    #[error("the event is not as expected")]
    Unexpected,
    /// The change itself is not taken.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// Why a submission was not taken. Its text holds nothing of the cause, which the writer has logged.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SubmitError {
    /// Too much is waiting already.
    #[error("too many requests are waiting to be written")]
    Busy,
    /// The log did not take it: nothing was kept, and it may be taken later.
    #[error("the event log cannot be written")]
    Log(#[source] Arc<AppendError>),
    /// A sync failed before: nothing was kept, and the log takes nothing more until a restart.
    #[error("the event log is latched")]
    Latched(#[source] Arc<AppendError>),
    /// The disk does not answer: nothing was kept, and it may be taken later.
    #[error("the disk does not answer")]
    Stalled,
    /// It was on its way into the log when the disk stopped to answer, or failed to sync, or the writer ended: it is there whole or
    /// not at all, now or after a restart.
    #[error("whether it was kept is not known")]
    Unknown,
    /// The program is stopping.
    #[error("the server is stopping")]
    Closed,
}

impl From<Arc<AppendError>> for SubmitError {
    fn from(error: Arc<AppendError>) -> Self {
        if error.is_final() { Self::Latched(error) } else { Self::Log(error) }
    }
}
