//! The end that an open event is shown with: about now, since there always is one, and so that it is known again.
//!
//! Clients read an annotation, change its text, and put all of it back, which must not end what goes on; and who ends something
//! sends the present time, which must. Both are milliseconds. So the end that is shown has the milliseconds of its second that
//! the event's number gives it, never those of a clock that counts hundredths or coarser; and it lies [`LAG`] in the past or
//! more. A later one cannot have been shown yet: whoever ends something now is never taken for who read it. Where no such moment
//! lies behind its beginning yet, it is the first that does, be it in the future. The beginning may be moved meanwhile; what was
//! shown before is known by the time of receipt, which stays.

use crate::store::EventView;
use crate::time::Timestamp;

/// How long before now, at least, in milliseconds.
const LAG: i64 = 1000;
/// How far apart marked milliseconds of one event are.
const CYCLE: i64 = 1000;

/// The end that the event, which is open, is shown with `now`.
pub(super) fn shown(event: &EventView, now: Timestamp) -> Timestamp {
    Open::of(event).shown(now)
}

/// Whether this end can have been shown, by `now`, of this event.
pub(super) fn was_shown(event: &EventView, now: Timestamp, end: Timestamp) -> bool {
    Open::of(event).was_shown(now, end)
}

/// What of an open event decides.
#[derive(Clone, Copy, Debug)]
struct Open {
    number: u64,
    began: i64,
    received: i64,
}

impl Open {
    fn of(event: &EventView) -> Self {
        Self { number: event.number, began: event.began().millis(), received: event.created.millis() }
    }

    fn shown(self, now: Timestamp) -> Timestamp {
        let marked = self.marked_before(now.millis().saturating_sub(LAG));
        Timestamp::from_millis(if marked > self.began { marked } else { self.marked_after(self.began) })
    }

    fn was_shown(self, now: Timestamp, end: Timestamp) -> bool {
        let first = self.marked_after(self.began.max(self.received));
        let (end, latest) = (end.millis(), now.millis().saturating_sub(LAG).max(first));
        end <= latest && self.marked_before(end) == end
    }

    fn marked_after(self, moment: i64) -> i64 {
        self.marked_before(moment.saturating_add(CYCLE))
    }

    /// The last marked moment that is not after this one.
    fn marked_before(self, moment: i64) -> i64 {
        moment.saturating_sub(moment.saturating_sub(self.mark()).rem_euclid(CYCLE))
    }

    /// The milliseconds of a second that are marked: 1 to 999, without those that end in 0.
    fn mark(self) -> i64 {
        let place = i64::try_from(self.number % 900).unwrap_or_default();
        place / 9 * 10 + place % 9 + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn open() -> impl Strategy<Value = Open> {
        (any::<u64>(), -20_000..10_000i64, 0..10_000i64).prop_map(|(number, began, received)| Open { number, began, received })
    }

    proptest! {
        /// Who reads and puts back, however much later, and wherever the beginning was moved to, is always known.
        #[test]
        fn what_was_shown_is_known_ever_after(open in open(), age in 0..20_000i64, wait in 0..100_000i64, moved in -50_000..50_000i64) {
            let now = open.received + age;
            let end = open.shown(at(now));
            let moved = Open { began: if open.began > open.received { open.began.max(moved) } else { moved }, ..open };
            prop_assert!(moved.was_shown(at(now + wait), end), "{:?}", end);
            // About now, and after the beginning.
            prop_assert!(end.millis() > open.began && end.millis() > now - LAG - CYCLE);
            prop_assert!(end.millis() <= (now - LAG).max(open.began + CYCLE));
        }

        /// Who ends something now, by a clock that is right within [`LAG`], is not, but in two milliseconds about its receipt.
        #[test]
        fn who_ends_something_now_ends_it(open in open(), age in 0..100_000i64, off in -999..10_000i64) {
            let (now, base) = (open.received + age, open.began.max(open.received));
            let end = now + off;
            let is_first = [0, CYCLE].contains(&(open.marked_after(base) - end));
            prop_assert!(!open.was_shown(at(now), at(end)) || is_first || end <= open.began);
        }

        /// Nor is who counts in seconds, or in hundredths of one, however late.
        #[test]
        fn a_coarse_clock_ends_at_any_time(open in open(), hundredths in -1000..10_000i64, late in 0..100_000i64) {
            let end = (open.received / 10 + hundredths) * 10;
            prop_assert!(!open.was_shown(at(end + late), at(end)));
        }
    }

    #[test]
    fn of_others_one_in_a_thousand_is_taken_for_it() {
        let open = Open { number: 77, began: -10, received: 0 };
        let count = (0..1_000_000).filter(|end| open.was_shown(at(2_000_000), at(*end))).count();
        assert_eq!(count, 1000);
    }
}
