//! Retention: whole segments of the log whose records are all too old go, and with them what memory holds of them.
//!
//! First a record of its own retires from memory what was received in those segments, unless it is open or still due;
//! then a checkpoint takes over what stayed. Nothing outside those segments is ever retired, so an event whose edges lie
//! on both sides of the cut stays whole, and a replay of checkpoint and remaining segments folds to the same memory.
//! How old something is, is counted to the time that can be trusted ([`super::steady`]).

use super::commit::Committer;
use crate::event::Command;
use crate::event::record::Decoder;
use crate::log::AppendError;
use crate::log::CheckpointError;
use crate::log::Log;
use crate::log::Position;
use crate::log::ReadError;
use crate::log::Removed;
use crate::telemetry::logging::with_causes;
use crate::time::Timestamp;
use std::collections::VecDeque;
use std::time::Duration;

/// How often what is too old is looked for.
const EVERY: Duration = Duration::from_mins(10);
/// How far apart in time two marks are.
const MARK_EVERY: Duration = Duration::from_mins(10);
/// A segment is closed, full or not, when it spans this part of the retention time.
const SEGMENT_PART: u32 = 10;

/// Until when the records up to some positions had been received; enough to find the segments that are too old.
#[derive(Debug, Default)]
pub(super) struct Marks {
    marks: VecDeque<(Position, Timestamp)>,
    newest: Option<(Position, Timestamp)>,
}

impl Marks {
    /// The record at `position` was received at `received`; both never go back.
    pub(super) fn note(&mut self, position: Position, received: Timestamp) {
        if self.marks.back().is_none_or(|mark| received >= mark.1.plus(MARK_EVERY)) {
            self.marks.extend(self.newest.filter(|newest| self.marks.back().is_none_or(|mark| mark.0 < newest.0)));
            self.marks.push_back((position, received));
        }
        self.newest = Some((position, received));
    }

    /// A time by which the record at `position` had been received.
    fn received_by(&self, position: Position) -> Option<Timestamp> {
        let index = self.marks.partition_point(|mark| mark.0 < position);
        self.marks.get(index).copied().or(self.newest.filter(|newest| newest.0 >= position)).map(|mark| mark.1)
    }

    /// A time before which only records up to `position` had been received.
    fn received_after(&self, position: Position) -> Option<Timestamp> {
        let index = self.marks.partition_point(|mark| mark.0 <= position);
        self.marks.get(index.checked_sub(1)?).map(|mark| mark.1)
    }

    fn forget_below(&mut self, position: Position) {
        while self.marks.get(1).is_some_and(|mark| mark.0 <= position) {
            self.marks.pop_front();
        }
    }
}

/// Why retention could not do its work this time.
#[derive(Debug, thiserror::Error)]
enum RetentionError {
    #[error("the log's segments cannot be listed")]
    List(#[from] ReadError),
    #[error("the active segment cannot be closed")]
    Rotate(#[from] AppendError),
    #[error(transparent)]
    Retire(#[from] super::SubmitError),
    #[error("old segments cannot be removed")]
    Remove(#[from] CheckpointError),
}

impl<L: Log> Committer<L> {
    /// Retires what is too old, when it is time to look. A failure is said and tried again next time.
    pub(super) fn retire_when_due(&mut self) {
        let Some(retention) = self.options.retention else { return };
        if self.received < self.looked_at.plus(EVERY) {
            return;
        }
        self.looked_at = self.received;
        match self.retire(retention) {
            Ok(removed) if removed.segments > 0 => {
                tracing::info!(segments = removed.segments, bytes = removed.bytes, "old segments of the log were removed");
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(reason = with_causes(&error), "retention could not do its work; trying again later");
                self.report_latch();
            }
        }
    }

    fn retire(&mut self, retention: Duration) -> Result<Removed, RetentionError> {
        let mut segments = self.log.segments()?;
        let Some(active) = segments.pop() else { return Ok(Removed::default()) };
        let began = self.state.course.marks.received_after(active.first);
        if active.first <= active.last && began.is_some_and(|began| began < self.received.minus(retention / SEGMENT_PART)) {
            self.log.rotate()?;
            segments.push(active);
        }
        let cutoff = self.state.course.steady.trusted().min(self.clock.read().wall).minus(retention);
        let is_old = |last: Position| self.state.course.marks.received_by(last).is_some_and(|received| received < cutoff);
        let Some(upto) = segments.iter().map(|segment| segment.last).take_while(|&last| is_old(last)).last() else {
            return Ok(Removed::default());
        };
        // By a longer retention, or an earlier clock, less is old than was retired already without a checkpoint.
        let (old, upto) = (upto, upto.max(self.state.course.retired));
        if self.log.checkpoint_position().is_none_or(|checkpoint| checkpoint < upto) {
            if let Some(before) = self.state.course.marks.received_after(upto).filter(|_| old == upto) {
                self.commit_own(Command::Retire { before, upto: upto.0 })?;
            }
            self.compact(upto)?;
        }
        self.state.course.marks.forget_below(upto);
        Ok(self.log.remove_segments_below(Position(upto.0 + 1))?)
    }

    /// Makes a checkpoint of what memory still holds of the records up to `upto`.
    fn compact(&mut self, upto: Position) -> Result<(), CheckpointError> {
        let (store, steady) = (&self.state.memory.store, &self.state.course.steady);
        let mut decoder = Decoder::default();
        self.log.compact(upto, &mut |_, bytes| match decoder.decode(bytes) {
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
                prop_assert!(marks.marks.len() <= 2 * slots.0 + 1, "{:?} from {from}", marks.marks);
                prop_assert!(marks.marks.iter().is_sorted_by(|one, next| one.0 < next.0), "one is there twice: {:?}", marks.marks);
            }
        }
    }
}
