//! The domain: edges, events, and the commands that the log keeps. No I/O, no clock, no wire format.

mod details;
mod edge;
mod hash;
pub mod record;

use crate::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;

pub use details::Change;
pub use details::Delete;
pub use details::Describe;
pub use details::Details;
pub use details::EVENT_ID_MAX;
pub use details::Expect;
pub use details::Extension;
pub use details::Key;
pub use details::Put;
pub use details::Span;
pub use details::Version;
pub use edge::Edge;
pub use edge::EdgeId;
pub use edge::EdgeState;
pub use edge::Former;
pub use edge::Otherwise;
pub use edge::Pairs;
pub use edge::Reading;
pub use hash::Identity;
pub use hash::Parts;
pub use hash::fingerprint;
pub use hash::former_fingerprint;

/// The first use of an `Idempotency-Key`: binds it to a body, and fixes the time that an absent timestamp means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The tenant's slug.
    pub organization: Arc<str>,
    /// Hash of the token's name and the key.
    pub key: u128,
    /// Hash of the request's body and query.
    pub body: u128,
    /// The time of receipt of the first request.
    pub at: Timestamp,
    /// Key and body as the first format hashed them; not in the log.
    pub former: Option<(u128, u128)>,
}

/// What a log says of all its edges that say nothing of it themselves. Written once, when this program first opens the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How far before a start a stop may be and still close it.
    pub skew: Duration,
}

/// What the log keeps and the store folds.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// An edge came in.
    Edge(Edge),
    /// An `Idempotency-Key` was used.
    Claim(Claim),
    /// A whole event was put, described or deleted.
    Change(Change),
    /// What holds for all edges of the log that say nothing else.
    Settings(Settings),
    /// Forget what was received before this, unless it is open or still to be shown.
    Retire {
        /// The oldest time of receipt that stays.
        before: Timestamp,
        /// All of these records were at or before this position of the log; 0 where the first format does not say.
        upto: u64,
    },
    /// The same of some edges of one organization, so that nobody waits for all that is old.
    RetirePart(RetirePart),
    /// The time of receipt went ahead without that time being seen to pass: the clock was set, or nothing ran.
    Clock {
        /// By so much.
        ahead: Duration,
    },
}

/// A part of a retirement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetirePart {
    /// Whose edges are looked at.
    pub organization: Arc<str>,
    /// The oldest time of receipt that stays.
    pub before: Timestamp,
    /// What was received before that has records at or before this position of the log.
    pub upto: u64,
    /// How many of the edges that are there, in the order of their receipt, are left out.
    pub skip: u32,
    /// How many are looked at after these.
    pub edges: u32,
}

impl Command {
    /// The id of the edge that it is; of what is no edge, one that no edge has.
    pub fn edge_id(&self) -> EdgeId {
        if let Self::Edge(edge) = self { edge.id() } else { EdgeId(0) }
    }
}
