//! Room on the disk: looked at by the writer's thread alone, so that nobody else waits for a disk that hangs, and told to the
//! metrics. Where there is too little, what is new is refused, while what ends or deletes something is taken.

use super::answer::NoRoom;
use super::commit::Committer;
use super::health::Health;
use crate::account::STOP_BYTES;
use crate::log::Log;
use crate::telemetry::set_size;

/// What new events leave free where no flag says it: this, or a part of the disk where that is less.
const MIN_FREE_BYTES: u64 = 1 << 30;
const MIN_FREE_PART: u64 = 20;
/// New events are taken again when this part more is free.
const AGAIN_PART: u64 = 8;

impl<L: Log> Committer<L> {
    /// Looks how much room there is, and keeps back what retention needs of it.
    pub(super) fn look_at_room(&mut self) {
        let open = self.forgetting.is_none().then(|| self.count_open());
        let min_free = self.options.min_free;
        let wanted = |size: u64| min_free.unwrap_or_else(|| MIN_FREE_BYTES.min(size / MIN_FREE_PART));
        let room = self.in_log(|this| {
            let room = this.log.room()?;
            let Some(open) = open else { return Ok(room) };
            let wanted = wanted(room.space.size);
            let is_other = this.log.keep_reserve(open, wanted.saturating_add(wanted / AGAIN_PART));
            if is_other { this.log.room() } else { Ok(room) }
        });
        // Where the disk does not say, what was known is.
        let Ok(room) = room else { return };
        let (free, size) = (room.space.free, room.space.size);
        let wanted = wanted(size);
        let before = self.room.refusal;
        let enough = if before.is_some() { wanted.saturating_add(wanted / AGAIN_PART) } else { wanted };
        self.room.refusal = (free < enough).then_some(NoRoom { free, wanted });
        (self.room.takes, self.room.carried) = (room.log_bytes, room.carried_bytes);
        self.room.beyond = self.options.retention_size.map_or(0, |most| room.log_bytes.saturating_sub(most));
        self.room.said &= self.room.beyond > 0;
        match (before, self.room.refusal) {
            (None, Some(_)) => {
                tracing::error!(free, wanted, "there is too little room on the disk: new events are refused (--storage.min-free)");
            }
            (Some(_), None) => tracing::info!(free, wanted, "there is room on the disk again: new events are taken"),
            _ => {}
        }
        let telemetry = &self.telemetry;
        set_size(&telemetry.storage_free_bytes, free);
        set_size(&telemetry.storage_size_bytes, size);
        set_size(&telemetry.storage_min_free_bytes, wanted);
        set_size(&telemetry.storage_retention_size_bytes, self.options.retention_size.unwrap_or(0));
        set_size(&telemetry.storage_beyond_bytes, self.room.beyond);
        set_size(&telemetry.storage_reserve_bytes, room.reserve_bytes);
        set_size(&telemetry.log_bytes, room.log_bytes.saturating_add(room.reserve_bytes));
        telemetry.storage_refusing.set(i64::from(self.room.refusal.is_some()));
    }

    /// How many events are open, about: a checkpoint carries a record of each.
    pub(super) fn count_open(&self) -> u64 {
        (self.state.memory.store.account().kept_back() / STOP_BYTES) as u64
    }

    /// What there is to do while nobody sends anything: what is too old is forgotten, a step at a time, and when the time between two
    /// looks has passed, room is looked at, and what is too old is looked for. Says whether there is more to do at once.
    pub(super) fn idle(&mut self, has_passed: bool) -> bool {
        if has_passed {
            let reading = self.clock.read();
            self.look_at_room();
            self.look_for_old_at(reading);
        }
        self.forget_some()
    }

    /// Says once that the log is larger than it should be by what has to stay.
    pub(super) fn say_beyond(&mut self) {
        if self.room.beyond > 0 && !std::mem::replace(&mut self.room.said, true) {
            tracing::warn!(
                bytes = self.room.takes,
                beyond = self.room.beyond,
                "the log is larger than --storage.retention.size by what is open or younger than a day and an hour, which stays"
            );
        }
    }

    /// Why new events are refused, if they are.
    pub(super) fn no_room(&self) -> Result<(), NoRoom> {
        self.room.refusal.map_or(Ok(()), |refusal| {
            self.telemetry.storage_refused.inc();
            Err(refusal)
        })
    }

    /// Whether there is so little room that retention should look at once.
    pub(super) fn is_short_of_room(&self) -> bool {
        let is_full = matches!(&*self.health.read(), Health::Failing(error) if error.is_of_room());
        is_full || self.room.refusal.is_some()
    }
}
