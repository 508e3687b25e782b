//! What can go wrong with a log, one enum per act. Texts read after "cannot open the log: ", "cannot append: " and so on.

use std::io;

use crate::log::Position;

/// Why the caller refused a frame of records.
pub type VisitError = Box<dyn std::error::Error + Send + Sync>;

/// Why a log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{directory} is in use by another process, {by}")]
    InUse {
        directory: String,
        /// Which one, or how to find out
        by: String,
    },
    #[error("{file} cannot be prepared")]
    Io {
        file: String,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Bytes that were durable are not what they were.
    #[error("{file} is damaged at offset {offset}: {what}")]
    Corrupt { file: String, offset: u64, what: &'static str },
    #[error("{file} was written by a newer version: its format is {version}, this version reads up to {known}")]
    Newer { file: String, version: u32, known: u32 },
    #[error("{file} cannot be read")]
    Io {
        file: String,
        #[source]
        source: io::Error,
    },
    #[error("a record from position {first} on is not understood")]
    Refused {
        first: Position,
        #[source]
        source: VisitError,
    },
}

/// Why a batch was not appended. Only after `Latched` is it unknown whether it will be there after a restart.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Nothing was kept of the batch; an append works again when there is room.
    #[error("no room on the disk for {file}")]
    DiskFull {
        file: String,
        #[source]
        source: io::Error,
    },
    /// Nothing was kept of the batch; the next append may work.
    #[error("{file} cannot be written")]
    Write {
        file: String,
        #[source]
        source: io::Error,
    },
    /// A record is larger than a frame may be; nothing was written.
    #[error("a record of {bytes} bytes is over the limit of {limit}")]
    RecordTooLarge { bytes: usize, limit: usize },
    /// Nothing was written.
    #[error("a batch of {bytes} bytes is over the limit of {limit}")]
    BatchTooLarge { bytes: usize, limit: usize },
    #[error("the log accepts nothing more: {0}")]
    Latched(Unhealthy),
    /// What somebody else proposed is not understood, so that nothing after it can be.
    #[error("a record that was proposed elsewhere is not understood")]
    Foreign(#[source] VisitError),
    /// What is committed is not what comes next, so that memory cannot go on.
    #[error("the log does not commit what was proposed in its order")]
    Disordered,
}

impl AppendError {
    /// Whether there was no room for it.
    pub fn is_of_room(&self) -> bool {
        matches!(self, Self::DiskFull { .. })
    }

    /// Whether nothing more is taken until the log is opened again.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Latched(_) | Self::Foreign(_) | Self::Disordered)
    }
}

/// The failure after which a log accepts nothing more until it is opened again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{act} {file} failed: {cause}")]
pub struct Unhealthy {
    /// What was done: "sync of", "cutting back", and so on
    pub act: &'static str,
    pub file: String,
    pub cause: String,
}

/// Why no checkpoint was made, or no segment removed. The log itself goes on, except after `Latched`.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("a checkpoint at {newest} exists, one at {upto} would not be newer")]
    NotNewer { upto: Position, newest: Position },
    #[error("the log ends at {last}, before {upto}")]
    BeyondEnd { upto: Position, last: Position },
    #[error("record {position} is out of order: carried records ascend and end at {upto}")]
    OutOfOrder { position: Position, upto: Position },
    #[error("a record of {bytes} bytes is over the limit of {limit}")]
    RecordTooLarge { bytes: usize, limit: usize },
    #[error("{file} cannot be written")]
    Write {
        file: String,
        #[source]
        source: io::Error,
    },
    /// What was read back is not what was written.
    #[error("the new checkpoint cannot be verified")]
    Verify(#[source] ReadError),
    #[error("the records to carry cannot be read")]
    Read(#[from] ReadError),
    #[error("the log accepts nothing more: {0}")]
    Latched(Unhealthy),
}

/// Whether there was no room. It is nobody's fault and goes away.
pub(crate) fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
