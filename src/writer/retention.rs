//! Retention: whole segments of the log whose records are all too old go, and with them what memory holds of them.
//!
//! First records of its own retire from memory what was received in those segments, unless it is open or still due;
//! then a checkpoint takes over what stayed. Both are done in steps, between which whoever submits something has a turn. Nothing outside those segments is ever retired, so an event whose edges lie
//! on both sides of the cut stays whole, and a replay of checkpoint and remaining segments folds to the same memory.
//! How old something is, is counted to the time that can be trusted ([`super::steady`]).

use super::Options;
use super::commit::Committer;
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
/// How far apart in time two marks are.
const MARK_EVERY: Duration = Duration::from_mins(10);
/// So many edges are looked at between two commits, or a few more that belong to them.
const PART_EDGES: u32 = if cfg!(test) { 5 } else { 1024 };
/// The same where there is too little room, or the log too large: at once when something was done, and else so long after.
const SOON: Duration = Duration::from_secs(1);
/// After a failure, and where the log is too large and what was oldest would not go.
const LATER: Duration = Duration::from_secs(10);
/// Two marks are no further apart in the log than this.
const MARK_BYTES: u64 = if cfg!(test) { 4 << 10 } else { 256 << 10 };
/// What was received so long ago is hardly ever still due.
const NOT_DUE: Duration = Duration::from_hours(48);
/// A segment is closed, full or not, when it spans this part of the retention time.
const SEGMENT_PART: u32 = 10;

/// Until when the records up to some positions had been received; enough to find the segments that are too old.
#[derive(Debug, Default)]
pub(super) struct Marks {
    list: VecDeque<(Position, Timestamp)>,
    newest: Option<(Position, Timestamp)>,
    /// Bytes since the last mark.
    bytes: u64,
}

impl Marks {
    /// The next records have so many bytes, together.
    pub(super) fn grow(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// The record at `position` was received at `received`; both never go back.
    pub(super) fn note(&mut self, position: Position, received: Timestamp) {
        if self.list.back().is_none_or(|mark| received >= mark.1.plus(MARK_EVERY) || self.bytes >= MARK_BYTES) {
            self.bytes = 0;
            self.list.extend(self.newest.filter(|newest| self.list.back().is_none_or(|mark| mark.0 < newest.0)));
            self.list.push_back((position, received));
        }
        self.newest = Some((position, received));
    }

    /// A time by which the record at `position` had been received.
    fn received_by(&self, position: Position) -> Option<Timestamp> {
        let index = self.list.partition_point(|mark| mark.0 < position);
        self.list.get(index).copied().or(self.newest.filter(|newest| newest.0 >= position)).map(|mark| mark.1)
    }

    /// A time before which only records up to `position` had been received.
    fn received_after(&self, position: Position) -> Option<Timestamp> {
        let index = self.list.partition_point(|mark| mark.0 <= position);
        self.list.get(index.checked_sub(1)?).map(|mark| mark.1)
    }

    fn forget_below(&mut self, position: Position) {
        while self.list.get(1).is_some_and(|mark| mark.0 <= position) {
            self.list.pop_front();
        }
    }
}

/// Why retention could not do its work this time.
#[derive(Debug, thiserror::Error)]
enum RetentionError {
    #[error("the active segment cannot be closed")]
    Rotate(#[from] AppendError),
    #[error(transparent)]
    Retire(#[from] super::SubmitError),
    #[error("old segments cannot be removed")]
    Remove(#[from] CheckpointError),
}

/// What is done about records that are too old, a step at a time between commits.
#[derive(Debug)]
pub(super) struct Forgetting<C> {
    /// The last record of what is old.
    upto: Position,
    /// There is more that is old than was begun with, for want of room.
    has_more: bool,
    /// Bytes that were carried on before, where it goes for the size of the log.
    size: Option<u64>,
    stage: Stage<C>,
}

#[derive(Debug)]
enum Stage<C> {
    /// Edges are taken out of memory.
    Retire {
        before: Timestamp,
        left: VecDeque<Round>,
    },
    /// A checkpoint is to be made of what stays, is being made.
    Checkpoint,
    Compact(C),
    /// Segments up to these positions are removed.
    Remove {
        left: VecDeque<Position>,
        removed: Removed,
    },
}

/// One look at all old edges of an organization.
#[derive(Debug)]
struct Round {
    organization: Arc<str>,
    skip: u32,
    gone: usize,
    again: bool,
}

impl Round {
    fn new(organization: Arc<str>) -> Self {
        Self { organization, skip: 0, gone: 0, again: false }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn marks_are_few_and_say_to_ten_minutes_when_records_were_received(
            after in prop::collection::vec(prop_oneof![4 => 0u64..400, 1 => 0u64..200_000], 1..80), forgotten in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
        ) {
            let mut received = Timestamp::from_millis(1_700_000_000_000);
            let mut records: Vec<(Position, Timestamp)> = Vec::new();
            let mut marks = Marks::default();
            for (position, after) in (1..).map(Position).zip(after) {
                received = received.plus(Duration::from_secs(after));
                records.push((position, received));
                marks.note(position, received);
            }
            let mut from = Position(1);
            for forgotten in [None].into_iter().chain(forgotten.into_iter().map(Some)) {
                if let Some(forgotten) = forgotten {
                    from = from.max(records[forgotten.index(records.len())].0);
                    marks.forget_below(from);
                }
                for &(position, received) in records.iter().filter(|(position, _)| *position >= from) {
                    let by = marks.received_by(position);
                    prop_assert!(by.is_some_and(|by| by >= received && by < received.plus(MARK_EVERY)), "{position}: {by:?}, and not {received:?}");
                    let after = marks.received_after(position);
                    prop_assert!(after.is_some_and(|after| after <= received && after.plus(MARK_EVERY) > received), "{position}: {after:?}, and not {received:?}");
                }
                prop_assert_eq!(marks.received_by(Position(records.len() as u64 + 1)), None);
                // Two for each that begins ten minutes, and one that was before.
                let slots = records.iter().filter(|(position, _)| *position >= from).fold((0, Timestamp::MIN), |(count, begin), &(_, received)| {
                    if received >= begin.plus(MARK_EVERY) { (count + 1, received) } else { (count, begin) }
                });
                prop_assert!(marks.list.len() <= 2 * slots.0 + 1, "{:?} from {from}", marks.list);
                prop_assert!(marks.list.iter().is_sorted_by(|one, next| one.0 < next.0), "one is there twice: {:?}", marks.list);
            }
        }
    }
}
