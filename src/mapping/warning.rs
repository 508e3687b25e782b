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
    /// Attributes have names that no label can have.
    Reserved {
        /// The first of them.
        attribute: String,
        /// How many more there are.
        more: usize,
    },
    /// There was no room for labels within the limits of an event.
    LeftOut {
        /// Their names.
        labels: Vec<String>,
    },
    /// A start has a name that says that something is over.
    OddStart {
        /// The name.
        event_name: String,
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
            Self::Reserved { attribute, more } => {
                let others = if *more == 0 { String::new() } else { format!(", and {more} more") };
                write!(f, "attribute {}{others}: names that start with __ are no labels; the event keeps it", quoted(attribute))
            }
            Self::LeftOut { labels } => {
                let names = quoted(&labels.join(", "));
                write!(f, "labels left out, {} of them, beyond the limits of an event: {names}; it keeps the attributes", labels.len())
            }
            Self::OddStart { event_name } => write!(
                f,
                "event_name {}: a start whose name says that something is over; from now on what has this name pairs with itself alone, as all names do with `pairing_by_name: false`",
                quoted(event_name)
            ),
        }
    }
}
