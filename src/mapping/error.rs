//! Why something is no event.

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

    pub(crate) fn malformed(subject: impl Into<String>, rule: impl Into<String>) -> Self {
        Self::Malformed { subject: subject.into(), rule: rule.into() }
    }

    pub(crate) fn limit(subject: impl Into<String>, size: usize, limit: usize) -> Self {
        Self::Limit { subject: subject.into(), size, limit }
    }
}
