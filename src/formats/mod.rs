//! Wire formats: bytes to edges, one file per format, all of them pure.
//!
//! What every format shares stands here: the context it reads in, what it gives, and how it refuses. How attributes become
//! labels and what pairs a start with its stop is [`mapping`]. No I/O, no clock; the time of receipt is passed in.

pub mod apitraffic;
mod attributes;
pub mod clusters;
pub mod ets;
pub mod grafana;
mod identity;
mod json;
pub mod last9;
pub mod mapping;
mod names;
pub mod tags;
pub mod whole;

use crate::event::Edge;
use crate::formats::clusters::Clusters;
use crate::formats::mapping::Mapping;
use crate::time::Timestamp;
use std::fmt;
use std::sync::Arc;

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
}

/// An edge, and what its sender should know about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// What is to be kept.
    pub edge: Edge,
    /// What the labels lost of what was sent; nothing that the event itself lost.
    pub warnings: Vec<Warning>,
}

/// Something that the labels do not say as it was sent; the event keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// A value longer than the limit was cut on a character boundary.
    Cut {
        /// The label's name.
        label: String,
        /// Bytes of the value as sent.
        bytes: usize,
        /// Bytes a value may have.
        limit: usize,
    },
    /// Several attributes became the same label name, and one was taken.
    Collision {
        /// The label's name.
        label: String,
        /// The attribute that was taken.
        taken: String,
        /// How many were not.
        left_out: usize,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut { label, bytes, limit } => {
                write!(f, "label {label}: value of {bytes} bytes cut to at most {limit}; the event keeps it whole")
            }
            Self::Collision { label, taken, left_out } => {
                let taken = quoted(taken);
                write!(f, "label {label}: taken from attribute {taken}; {left_out} more of that name stay on the event, without a label")
            }
        }
    }
}

/// Why bytes are no event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Malformed: not JSON, a field of the wrong type, a value against its rule.
    #[error("{subject}: {rule}")]
    Malformed {
        /// The field, with its value cut to 80 characters.
        subject: String,
        /// What it must be.
        rule: String,
    },
    /// Well formed, but beyond a limit of the configuration.
    #[error("{subject}: {size}, at most {limit}")]
    Limit {
        /// What is too long or too many.
        subject: String,
        /// What was sent.
        size: usize,
        /// What is taken.
        limit: usize,
    },
    /// An event is longer than is taken.
    #[error("the event is longer than {limit} bytes")]
    TooLong {
        /// What is taken.
        limit: usize,
    },
    /// More in one request than is taken at once.
    #[error("{items} events in one array: at most {limit}; send more of them as NDJSON")]
    TooMany {
        /// What was sent.
        items: usize,
        /// What is taken.
        limit: usize,
    },
}

impl FormatError {
    /// The HTTP status that says the same.
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed { .. } => 400,
            Self::TooLong { .. } | Self::TooMany { .. } => 413,
            Self::Limit { .. } => 422,
        }
    }

    fn malformed(subject: impl Into<String>, rule: impl Into<String>) -> Self {
        Self::Malformed { subject: subject.into(), rule: rule.into() }
    }

    fn limit(subject: impl Into<String>, size: usize, limit: usize) -> Self {
        Self::Limit { subject: subject.into(), size, limit }
    }
}

/// Most characters of a stranger's text in a message.
const SHOWN_CHARACTERS: usize = 80;

/// `text` in quotes, escaped, cut to 80 characters.
fn quoted(text: &str) -> String {
    let Shown { text, is_cut } = shown(text);
    format!("{text:?}{}", if is_cut { "..." } else { "" })
}

/// JSON text cut to 80 characters; what needs escaping in it is escaped already.
fn shown_json(json: &str) -> String {
    let Shown { text, is_cut } = shown(json);
    let line: String = text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    if is_cut { line + "..." } else { line }
}

/// What is shown of a text.
struct Shown<'a> {
    text: &'a str,
    is_cut: bool,
}

fn shown(text: &str) -> Shown<'_> {
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => Shown { text: text.get(..end).unwrap_or_default(), is_cut: true },
        None => Shown { text, is_cut: false },
    }
}
