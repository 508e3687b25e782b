//! What the sender should know of the labels that became of what was sent.

use std::fmt;

use crate::shown::quoted;
use crate::time::Timestamp;

/// Something that the labels do not say as it was sent, which the event keeps; or that was hardly meant.
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
    /// The event is dated to the very beginning of Unix time.
    Epoch {
        /// Of which time it is said.
        field: &'static str,
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

impl Warning {
    /// What is to be said of this time.
    pub fn of_time(field: &'static str, at: Timestamp) -> Option<Self> {
        (at == Timestamp::default()).then_some(Self::Epoch { field })
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut { label, bytes, limit } => {
                write!(f, "label {label}: value of {bytes} bytes cut to at most {limit}; the event keeps it whole")
            }
            Self::Epoch { field } => {
                write!(
                    f,
                    "{field}: 1970-01-01T00:00:00Z is how some programs write a time that was never set; leave it out where there is none"
                )
            }
            Self::Collision { label, taken, left_out } => {
                let taken = quoted(taken);
                write!(f, "label {label}: taken from attribute {taken}; {left_out} more of that name stay on the event, without a label")
            }
        }
    }
}
