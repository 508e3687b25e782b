//! Retention: whole segments of the log whose records are all too old go, and with them what memory holds of them.
//!
//! First records of its own retire from memory what was received in those segments, unless it is open or still due;
//! then a checkpoint takes over what stayed. Both are done in steps, between which whoever submits something has a turn. Nothing outside those segments is ever retired, so an event whose edges lie
//! on both sides of the cut stays whole, and a replay of checkpoint and remaining segments folds to the same memory.
//! How old something is, is counted to the time that can be trusted ([`super::steady`]).

use super::answer::SubmitError;
use super::commit::Committer;
use super::forgetting::Forgetting;
use super::forgetting::Round;
use super::forgetting::Stage;
use super::options::Options;
use crate::event::Command;
use crate::event::RetirePart;
use crate::event::record::Decoder;
use crate::log::AppendError;
use crate::log::CheckpointError;
use crate::log::Log;
use crate::log::Position;
use crate::log::Removed;
use crate::log::SegmentInfo;
use crate::telemetry::logging::with_causes;
use crate::time::Reading;
use crate::time::Timestamp;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// How often what is too old is looked for.
const EVERY: Duration = Duration::from_mins(10);
/// So many edges are looked at between two commits, or a few more that belong to them.
const PART_EDGES: u32 = if cfg!(test) { 5 } else { 1024 };
/// The same where there is too little room, or the log too large: at once when something was done, and else so long after.
const SOON: Duration = Duration::from_secs(1);
/// After a failure, and where the log is too large and what was oldest would not go.
const LATER: Duration = Duration::from_secs(10);
/// What was received so long ago is hardly ever still due.
const NOT_DUE: Duration = Duration::from_hours(48);
/// A segment is closed, full or not, when it spans this part of the retention time.
const SEGMENT_PART: u32 = 10;

/// Why retention could not do its work this time.
#[derive(Debug, thiserror::Error)]
enum RetentionError {
    #[error("the active segment cannot be closed")]
    Rotate(#[from] AppendError),
    #[error(transparent)]
    Retire(#[from] SubmitError),
    #[error("old segments cannot be removed")]
    Remove(#[from] CheckpointError),
}

impl<L: Log> Committer<L> {
    /// Looks for what is too old, when it is time to, on a server to which nobody sends.
    pub(super) fn look_for_old_at(&mut self, reading: Reading) {
        let now = reading.now.max(self.received);
        if !self.should_look(now, reading.steady) {
            return;
        }
        self.received = self.state.memory.pages.receive(now).received;
        if self.catch_up().and_then(|()| self.note_jump(reading.steady)).is_ok() {
            self.look_for_old();
        }
    }

    /// Looks for what is too old, when it is time to.
    pub(super) fn look_for_old(&mut self) {
        let steady = self.clock.read().steady;
        if self.should_look(self.received, steady) {
            self.look(steady);
        }
    }

    fn look(&mut self, steady: Duration) {
        self.looked_at = self.received;
        self.room.again = steady.saturating_add(SOON);
        match self.in_log(|this| this.find_old(steady)) {
            Ok(found) => self.forgetting = found,
            Err(error) => self.say_failed(&error),
        }
    }

    fn should_look(&self, now: Timestamp, steady: Duration) -> bool {
        let Options { retention, retention_size, .. } = self.options;
        let is_wanted = (retention.is_some() || retention_size.is_some()) && self.forgetting.is_none() && self.log.healthy().is_ok();
        let is_time = || retention.is_some() && now >= self.looked_at.plus(EVERY);
        is_wanted && (is_time() || (self.is_urgent(steady) && steady >= self.room.again))
    }

    /// Whether something has to go, or may, at once.
    fn is_urgent(&self, steady: Duration) -> bool {
        (self.options.retention.is_some() && self.is_short_of_room()) || (self.room.beyond > 0 && steady >= self.room.stuck)
    }

    /// Does a little about what is too old. Says whether there is more to do. A failure is said, and tried again next time.
    ///
    /// What is decided about a record when it is read still holds when the checkpoint has its name: meanwhile senders only
    /// add to memory, and nothing is retired. What memory has by then of a record that was left out came from a later one,
    /// which the checkpoint does not stand for; what it has no more of one that was carried was put, described or deleted
    /// by a later one, which does that again when it is replayed.
    pub(super) fn forget_some(&mut self) -> bool {
        let Some(mut forgetting) = self.forgetting.take() else { return false };
        match self.step(&mut forgetting) {
            Ok(true) => {
                self.forgetting = Some(forgetting);
                true
            }
            Ok(false) => self.forgot(&forgetting),
            Err(error) => {
                self.say_failed(&error);
                self.give_up(forgetting);
                false
            }
        }
    }

    /// What was begun is done. Says whether there is more to do, where that is wanted at once.
    fn forgot(&mut self, forgetting: &Forgetting<L::Compaction>) -> bool {
        self.state.course.marks.forget_below(forgetting.upto);
        let Stage::Remove { removed: Removed { segments, bytes }, .. } = forgetting.stage else { return false };
        if segments > 0 {
            tracing::info!(segments, bytes, "old segments of the log were removed");
        }
        let steady = self.clock.read().steady;
        self.look_at_room();
        // Where nearly all of it is carried on, the next would not go either.
        if forgetting.size.is_some_and(|before| self.room.carried.saturating_sub(before) > bytes - bytes / 8) {
            self.room.stuck = steady.saturating_add(EVERY);
            self.say_beyond();
        }
        if forgetting.has_more || self.is_urgent(steady) {
            self.look(steady);
        }
        self.forgetting.is_some()
    }

    /// Gives up what is being done about what is too old.
    pub(super) fn forget_no_more(&mut self) {
        if let Some(forgetting) = self.forgetting.take() {
            self.give_up(forgetting);
        }
    }

    fn give_up(&mut self, forgetting: Forgetting<L::Compaction>) {
        if let Stage::Compact(compaction) = forgetting.stage {
            self.in_log(|this| this.log.abandon(compaction));
        }
    }

    fn say_failed(&mut self, error: &RetentionError) {
        self.room.again = self.clock.read().steady.saturating_add(LATER);
        tracing::warn!(reason = with_causes(error), "retention could not do its work; trying again later");
        self.report_latch();
    }

    fn find_old(&mut self, steady: Duration) -> Result<Option<Forgetting<L::Compaction>>, RetentionError> {
        match self.close_old() {
            // It is when those before it have gone.
            Err(AppendError::DiskFull { .. }) if self.log.segments().len() > 1 => {}
            closed => closed?,
        }
        let segments = self.log.segments();
        let closed = segments.get(..segments.len().saturating_sub(1)).unwrap_or_default();
        let by_age = self.options.retention.map_or(0, |retention| self.count_old(closed, retention));
        let by_size = self.count_beyond(closed, steady);
        let all = by_age.max(by_size);
        // What was retired has to be carried on, whatever there is of room; and others may take by then what is free now.
        let free = self.log.room().map_or(0, |room| {
            let is_kept_back = self.is_short_of_room() && room.reserve_bytes >= self.log.checkpoint_bytes(1);
            if is_kept_back { room.reserve_bytes } else { room.space.free.saturating_add(room.reserve_bytes) }
        });
        // Of what is old by age, and no longer due, only what is open stays. Where that is much, the oldest segments may be all open,
        // so that there is no more room without them; else some at a time make room sooner.
        let is_open_alone = by_size <= by_age && self.options.retention.is_some_and(|retention| retention >= NOT_DUE);
        let mut count = all;
        if count > 1 && self.log.checkpoint_bytes(count) > free && !(is_open_alone && self.fits_what_is_open(free)) {
            while count > 1 && self.log.checkpoint_bytes(count) > free {
                count /= 2;
            }
        }
        if count > 0 && self.log.checkpoint_bytes(count) > free {
            self.log.make_way();
        }
        let Some(old) = count.checked_sub(1).and_then(|nth| closed.get(nth)).map(|segment| segment.last) else { return Ok(None) };
        // By a longer retention, or an earlier clock, less is old than was retired already without a checkpoint.
        let upto = old.max(self.state.course.retired);
        let stage = if self.log.checkpoint_position().is_none_or(|checkpoint| checkpoint < upto) {
            // Whatever was received before the next record is at or before this one.
            match self.state.course.marks.received_after(Position(upto.0 + 1)).filter(|_| old == upto) {
                Some(before) => Stage::Retire { before, left: self.rounds() },
                None => Stage::Checkpoint,
            }
        } else {
            self.removal(upto)
        };
        let size = (by_size > by_age).then_some(self.room.carried);
        Ok(Some(Forgetting { upto, has_more: count < all, size, stage }))
    }

    /// Whether what is open is most of the oldest segment, and its records fit into so many bytes, with something to spare.
    fn fits_what_is_open(&self, free: u64) -> bool {
        let about = self.log.carried_bytes(self.count_open());
        if about < self.log.checkpoint_bytes(1) / 2 || about > free.saturating_mul(4) {
            return false;
        }
        let stays = self.state.memory.store.bytes_of_open_records();
        stays.saturating_add(stays / 8) <= free
    }

    /// Closes the last segment when it spans a good part of the retention time.
    fn close_old(&mut self) -> Result<(), AppendError> {
        let (Some(retention), Some(active)) = (self.options.retention, self.log.segments().pop()) else { return Ok(()) };
        let began = self.state.course.marks.received_after(active.first);
        if active.first <= active.last && began.is_some_and(|began| began < self.received.minus(retention / SEGMENT_PART)) {
            self.log.rotate()?;
        }
        Ok(())
    }

    /// How many of the oldest segments hold only what was received too long ago.
    fn count_old(&self, closed: &[SegmentInfo], retention: Duration) -> usize {
        let reading = self.clock.read();
        let cutoff = self.state.course.steady.trusted_by(self.received, reading.steady).min(reading.wall).minus(retention);
        let is_old = |last: Position| self.state.course.marks.received_by(last).is_some_and(|received| received < cutoff);
        closed.iter().take_while(|segment| is_old(segment.last)).count()
    }

    /// How many of the oldest segments have to go for the log to be as small as it should be; none where that is no use.
    fn count_beyond(&mut self, closed: &[SegmentInfo], steady: Duration) -> usize {
        let beyond = self.room.beyond;
        if beyond == 0 {
            return 0;
        }
        if closed.is_empty() || steady < self.room.stuck {
            self.say_beyond();
            return 0;
        }
        let before = closed.iter().scan(0u64, |sum, segment| Some(std::mem::replace(sum, sum.saturating_add(segment.bytes))));
        before.take_while(|before| *before < beyond).count()
    }

    fn rounds(&self) -> VecDeque<Round> {
        self.state.memory.store.tenants().iter().map(|tenant| Round::new(tenant.organization().into())).collect()
    }

    fn removal(&self, upto: Position) -> Stage<L::Compaction> {
        let lasts = self.log.segments().into_iter().map(|segment| segment.last);
        Stage::Remove { left: lasts.take_while(|last| *last <= upto).collect(), removed: Removed::default() }
    }

    /// Says whether there is more to do.
    fn step(&mut self, forgetting: &mut Forgetting<L::Compaction>) -> Result<bool, RetentionError> {
        let upto = forgetting.upto;
        match &mut forgetting.stage {
            Stage::Retire { before, left } => {
                if !self.retire_some(*before, upto, left)? {
                    forgetting.stage = Stage::Checkpoint;
                }
            }
            Stage::Checkpoint => forgetting.stage = Stage::Compact(self.in_log(|this| this.log.begin_compaction(upto))?),
            Stage::Compact(compaction) => {
                if self.in_log(|this| this.compact_some(compaction))? {
                    forgetting.stage = self.removal(upto);
                }
            }
            Stage::Remove { left, removed } => {
                let Some(last) = left.pop_front() else { return Ok(false) };
                let some = self.in_log(|this| this.log.remove_segments_below(Position(last.0 + 1)))?;
                removed.segments += some.segments;
                removed.bytes += some.bytes;
            }
        }
        Ok(true)
    }

    /// Takes some edges out of memory that are old. Says whether there are more to look at.
    fn retire_some(&mut self, before: Timestamp, upto: Position, left: &mut VecDeque<Round>) -> Result<bool, RetentionError> {
        let (mut rounds, mut parts, mut room) = (Vec::new(), Vec::new(), PART_EDGES);
        while let Some(round) = left.pop_front_if(|_| room > 0) {
            let old = self.state.memory.store.old(&round.organization, before).saturating_sub(round.skip as usize);
            let edges = room.min(u32::try_from(old).unwrap_or(u32::MAX));
            if edges > 0 {
                let (organization, skip) = (Arc::clone(&round.organization), round.skip);
                parts.push(Command::RetirePart(RetirePart { organization, before, upto: upto.0, skip, edges }));
                rounds.push(round);
                room -= edges;
            }
        }
        if parts.is_empty() {
            return Ok(false);
        }
        self.retired.clear();
        self.commit_own(parts)?;
        for (mut round, part) in rounds.into_iter().zip(std::mem::take(&mut self.retired)).rev() {
            round.gone += part.gone;
            round.again |= part.again;
            round.skip = part.next;
            if (round.skip as usize) < self.state.memory.store.old(&round.organization, before) {
                left.push_front(round);
            } else if round.again && round.gone > 0 {
                left.push_back(Round::new(round.organization));
            }
        }
        Ok(true)
    }

    /// Goes on with a checkpoint of what memory still holds. Says whether it is made.
    fn compact_some(&mut self, compaction: &mut L::Compaction) -> Result<bool, CheckpointError> {
        let (store, steady) = (&self.state.memory.store, &self.state.course.steady);
        let mut decoder = Decoder::default();
        self.log.compact_step(compaction, &mut |_, bytes| match decoder.decode(bytes) {
            Ok((received, Command::Clock { .. })) => steady.waits_for(received),
            Ok((received, command)) => store.remembers_record(received, &command),
            // It was understood when the log was opened; losing it would be worse than keeping it.
            Err(_) => true,
        })
    }
}
