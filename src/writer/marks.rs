//! When the records of a log were received, as far as retention asks.

use crate::log::Position;
use crate::time::Timestamp;
use std::collections::VecDeque;
use std::time::Duration;

/// How far apart in time two marks are.
const MARK_EVERY: Duration = Duration::from_mins(10);
/// Two marks are no further apart in the log than this.
const MARK_BYTES: u64 = if cfg!(test) { 4 << 10 } else { 256 << 10 };

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
    pub(super) fn received_by(&self, position: Position) -> Option<Timestamp> {
        let index = self.list.partition_point(|mark| mark.0 < position);
        self.list.get(index).copied().or(self.newest.filter(|newest| newest.0 >= position)).map(|mark| mark.1)
    }

    /// A time before which only records up to `position` had been received.
    pub(super) fn received_after(&self, position: Position) -> Option<Timestamp> {
        let index = self.list.partition_point(|mark| mark.0 <= position);
        self.list.get(index.checked_sub(1)?).map(|mark| mark.1)
    }

    pub(super) fn forget_below(&mut self, position: Position) {
        while self.list.get(1).is_some_and(|mark| mark.0 <= position) {
            self.list.pop_front();
        }
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
