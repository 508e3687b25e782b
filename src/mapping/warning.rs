//! What the sender should know of the labels that became of what was sent.

use std::fmt;

use crate::shown::quoted;

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
