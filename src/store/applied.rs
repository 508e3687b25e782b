//! What became of a command: of its edges, of the event that it changed, and where their samples go.

use super::admission::Refusal;
use super::claims::Claimed;
use super::ids::ClusterId;
use super::ids::SeriesId;
use super::organization::Tenant;
use crate::event::EdgeId;
use crate::event::Version;
use crate::time::Timestamp;
use std::sync::Arc;

/// What applying a command came to.
#[derive(Clone, Debug)]
pub enum Applied {
    /// An edge is in the store.
    Edge(AppliedEdge),
    /// An `Idempotency-Key` was looked up.
    Claim(Claimed),
    /// An event was put, described or deleted.
    Changed(AppliedChange),
    /// Some of what is old was looked at, and forgotten if it could be.
    Retired(RetiredPart),
    /// It says something of the log, or forgets what is old.
    Nothing,
    /// The store is at a hard bound of its numbering; nothing was kept. Admission prevents it.
    Full(Refusal),
}

/// What a part of a retirement came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetiredPart {
    /// How many edges went.
    pub gone: usize,
    /// How many edges are to be left out by the part after it.
    pub next: u32,
    /// Something stayed that may go when all parts are done.
    pub again: bool,
}

/// Where an edge went, for the page.
#[derive(Clone, Debug)]
pub struct AppliedEdge {
    /// Its id.
    pub id: EdgeId,
    /// It repeats an edge that was there; nothing was added.
    pub duplicate: bool,
    /// Whose it is.
    pub tenant: Arc<Tenant>,
    /// Where its sample goes.
    pub cluster: ClusterId,
    /// The series of its sample.
    pub series: SeriesId,
    /// Whether the sample says something new.
    pub kind: SampleKind,
    /// A stop that closes nothing, as it came.
    pub alone: bool,
    /// The sample's time.
    pub at: Timestamp,
    /// The sample's value.
    pub value: f64,
}

/// Whether a sample says something new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleKind {
    /// It opens or closes an event, or is a point.
    Change,
    /// A further start while the event was open.
    Heartbeat,
}

/// What a change of a whole event came to.
#[derive(Clone, Debug, Default)]
pub struct AppliedChange {
    /// The version that the event has now; `None` when it is not there any more, or was not.
    pub version: Option<Version>,
    /// Its new samples, for the page.
    pub added: Vec<AppliedEdge>,
    /// The samples that it no longer has.
    pub withdrawn: Vec<Withdrawn>,
}

/// A sample that its event no longer has.
#[derive(Clone, Debug)]
pub struct Withdrawn {
    /// Whose it is.
    pub tenant: Arc<Tenant>,
    /// On which page.
    pub cluster: ClusterId,
    /// Its series.
    pub series: SeriesId,
    /// Its time.
    pub at: Timestamp,
    /// Why it has not.
    pub cause: Cause,
}

/// Why an event has a sample no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The event was put without it: what still waits goes, and where it is shown it stays a sample.
    Replaced,
    /// The event was deleted: it leaves the page even where it is shown.
    Deleted,
}
