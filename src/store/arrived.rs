//! What comes to be folded in: where its record stands in the log, and when it was received.

use crate::event::Edge;
use crate::event::EdgeId;
use crate::time::Timestamp;

/// Where the record of a command stands in the log, and when it was received. Neither decreases from one command to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Its position, which no other record has: what gives events their numbers.
    pub position: u64,
    /// When it was received.
    pub received: Timestamp,
}

/// An edge with its id, as its record brought it.
pub type Arrived<'a> = (Arrival, &'a Edge, EdgeId);
