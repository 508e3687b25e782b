//! One end of a change: what is known of it before it is in the log, and the id that its content gives it.

use super::hash;
use super::hash::Identity;
use crate::labels::EVENT_NAME;
use crate::labels::LabelSet;
use crate::time::Timestamp;
use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_128;

/// Which end of a change an edge is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EdgeState {
    /// The change began. Sorts before a stop at the same time.
    Start,
    /// The change ended.
    Stop,
    /// The change has no duration; its sample is labelled `start`.
    Point,
}

impl EdgeState {
    /// The value of the label `event_state` on this edge's sample.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Start | Self::Point => "start",
            Self::Stop => "stop",
        }
    }
}

/// What an edge pairs by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pairs {
    /// What makes a start and a stop belong together.
    pub identity: Identity,
    /// Identity rule 4: an open event leaves the gauge after `--open.max-age`.
    pub lapses: bool,
    /// A newer start with the same group closes the older open one (`supersede` of the configuration).
    pub supersede: Option<Identity>,
}

/// What an edge may pair by instead: which it is, memory decides before the append, and the record says so. Not in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Otherwise {
    /// Its name says that something is over; where that name was sent as a start before, it pairs by this.
    pub by_own_name: Option<Pairs>,
    /// What earlier builds would have made of it, the latest of them first; none where the log has nothing of theirs.
    pub former: Vec<Former>,
}

/// What an earlier build would have made of an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Former {
    /// What it would pair by.
    pub pairs: Pairs,
    /// The id that it would have; `None` for what only its other end would pair by.
    pub id: Option<EdgeId>,
    /// How what it pairs by was made.
    pub reading: Reading,
}

/// How an earlier build read an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// As now, but for the hash: what belongs together is the same.
    Same,
    /// By other rules: other edges may have belonged together.
    Other,
}

/// An edge's name in every answer: a hash of its content (identity, state, time, labels).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EdgeId(pub u128);

impl EdgeId {
    /// Reads the 32 hex digits that [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 32 || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(Self)
    }
}

impl fmt::Display for EdgeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// One end of a change, with everything that was settled before the append: identity, labels after mapping, cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Edge {
    /// The tenant's slug; empty for the anonymous one.
    pub organization: Arc<str>,
    /// The destination of its sample; empty for the organization's default.
    pub cluster: Arc<str>,
    /// Start, stop or point.
    pub state: EdgeState,
    /// When it happened.
    pub at: Timestamp,
    /// The sample's value; finite, 1 unless the sender said otherwise.
    pub value: f64,
    /// What it pairs by.
    pub identity: Identity,
    /// Identity rule 4: an open event leaves the gauge after `--open.max-age`.
    pub lapses: bool,
    /// A newer start with the same group closes the older open one (`supersede` of the configuration).
    pub supersede: Option<Identity>,
    /// How far before a start this stop may be and still close it, where the log says nothing else of all edges
    /// ([`Settings`](super::Settings)).
    pub skew: Option<Duration>,
    /// An id of its own says what it is about: as a stop it may be more than the usual skew before a start that is open when it
    /// comes; not in the log, which has the skew that was decided.
    pub entity: bool,
    /// Its id, where that is not the hash of the labels below: they were limited, or an earlier format named it.
    pub named: Option<EdgeId>,
    /// What it may pair by instead; not in the log.
    pub otherwise: Option<Box<Otherwise>>,
    /// Its cluster is one of the configuration, which no limit counts; not in the log.
    pub configured: bool,
    /// `event_name` and the attributes after mapping; never `event_state`.
    pub labels: LabelSet,
    /// The attributes as sent, as a JSON object; `None` when the labels without `event_name`, as strings, say the same.
    pub attributes: Option<Box<str>>,
}

impl Edge {
    /// An edge of the anonymous organization, for its default cluster, of which nothing else is said.
    pub fn new(state: EdgeState, at: Timestamp, identity: Identity, labels: LabelSet) -> Self {
        let (organization, cluster, lapses, supersede, skew, entity, named, otherwise, configured, attributes) = Default::default();
        Self {
            organization,
            cluster,
            state,
            at,
            value: 1.0,
            identity,
            lapses,
            supersede,
            skew,
            entity,
            named,
            otherwise,
            configured,
            labels,
            attributes,
        }
    }

    /// The edge's id: equal for two edges exactly when one repeats the other. Takes a fraction of a microsecond.
    pub fn id(&self) -> EdgeId {
        self.named.unwrap_or_else(|| self.id_by(self.labels.encoding()))
    }

    /// The same edge, whose id this is, with fewer labels, or others: it keeps its id, and what was sent.
    #[must_use]
    pub fn with_labels(self, id: EdgeId, labels: LabelSet) -> Self {
        let attributes = self.attributes.or_else(|| Some(said_by(&self.labels)));
        Self { named: Some(id), labels, attributes, ..self }
    }

    /// The id that it has by the labels that there were before any limit (see [`LabelSet::unlimited`]).
    pub fn id_by(&self, labels: &str) -> EdgeId {
        self.id_as(self.identity, labels)
    }

    /// The id that it has if it pairs by this identity, and these were its labels before any limit.
    pub fn id_as(&self, identity: Identity, labels: &str) -> EdgeId {
        EdgeId(hash::digest(&content(identity, self, labels)))
    }

    /// The same as the first format named it.
    pub fn first_id_as(&self, identity: Identity, labels: &str) -> EdgeId {
        EdgeId(xxh3_128(&content(identity, self, labels)))
    }

    /// The id that the first format gave it.
    pub fn first_id(&self) -> EdgeId {
        self.first_id_as(self.identity, self.labels.encoding())
    }

    /// The same edge, which pairs by something else.
    #[must_use]
    pub fn pairing_by(self, Pairs { identity, lapses, supersede }: Pairs) -> Self {
        Self { identity, lapses, supersede, ..self }
    }

    /// What it pairs by.
    pub fn pairs(&self) -> Pairs {
        Pairs { identity: self.identity, lapses: self.lapses, supersede: self.supersede }
    }
}

/// What makes an edge the same as another: identity, state, time and labels.
fn content(identity: Identity, edge: &Edge, labels: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(hash::USUAL_BYTES);
    bytes.extend_from_slice(&identity.0.to_le_bytes());
    bytes.push(edge.state as u8);
    bytes.extend_from_slice(&edge.at.millis().to_le_bytes());
    bytes.extend_from_slice(labels.as_bytes());
    bytes
}

/// The JSON object that labels without `event_name`, as strings, stand for.
fn said_by(labels: &LabelSet) -> Box<str> {
    let mut json = String::from("{");
    for (name, value) in labels.iter().filter(|(name, _)| *name != EVENT_NAME) {
        if json.len() > 1 {
            json.push(',');
        }
        push_json(&mut json, name);
        json.push(':');
        push_json(&mut json, value);
    }
    json.push('}');
    json.into()
}

/// Adds a text as a JSON string.
fn push_json(json: &mut String, text: &str) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            // Writing to a string does not fail.
            '\0'..='\u{1f}' => drop(write!(json, "\\u{:04x}", u32::from(character))),
            _ => json.push(character),
        }
    }
    json.push('"');
}
