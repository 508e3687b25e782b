//! What reading an event takes besides its bytes, and what it gives.

use std::sync::Arc;

use crate::event::Edge;
use crate::event::record::Earlier;
use crate::mapping::clusters::Clusters;
use crate::mapping::labels::Mapping;
use crate::mapping::warning::Warning;
use crate::time::Timestamp;

/// What a format needs to know besides the bytes.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// The tenant's slug; empty for the anonymous one.
    pub organization: Arc<str>,
    /// The time of receipt, which an absent timestamp means.
    pub now: Timestamp,
    /// How attributes become labels.
    pub mapping: &'a Mapping,
    /// The destinations this organization may name.
    pub clusters: &'a Clusters,
    /// What the log has of earlier builds, whose events an edge may belong to.
    pub earlier: Earlier,
}

/// An edge, and what its sender should know about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// What is to be kept.
    pub edge: Edge,
    /// What the labels lost of what was sent; nothing that the event itself lost.
    pub warnings: Vec<Warning>,
}
