//! What is known of the room on the disk, and how often it is looked at.

use super::answer::NoRoom;
use std::time::Duration;

/// How often room is looked at while nobody sends anything; with each commit besides.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is known of the room.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Why new events are refused now.
    pub(super) refusal: Option<NoRoom>,
    /// Bytes that the log takes, without what is kept back, for which nothing has to go.
    pub(super) takes: u64,
    /// Bytes of what is carried on of what was older.
    pub(super) carried: u64,
    /// Bytes by which the log is larger than `--storage.retention.size`.
    pub(super) beyond: u64,
    /// The steady clock from which on retention may look again where it is wanted at once.
    pub(super) again: Duration,
    /// The same where the log is larger than it should be, and what was oldest would not go.
    pub(super) stuck: Duration,
    /// It was said that the log is larger than it should be by what has to stay.
    pub(super) said: bool,
}
