//! The end that an open event is shown with: about now, since there always is one, and so that it is known again.
//!
//! Clients read an annotation, change its text, and put all of it back, which must not end what goes on; and who ends something
//! sends the present time, which must. Both are milliseconds. So the end that is shown has the milliseconds of its second that
//! the event's number gives it, never those of a clock that counts hundredths or coarser; and it lies [`LAG`] in the past or
//! more. A later one cannot have been shown yet: whoever ends something now is never taken for who read it. Where no such moment
//! lies between the beginning and then, it is one millisecond after that, in which nobody sends two requests.

use crate::time::Timestamp;

/// How long before now, at least, in milliseconds.
const LAG: i64 = 1000;
/// How far apart marked milliseconds of one event are.
const CYCLE: i64 = 1000;

/// The end that an event is shown with `now`, which began then and is open.
pub(super) fn shown(number: u64, began: Timestamp, now: Timestamp) -> Timestamp {
    let latest = now.millis().saturating_sub(LAG);
    let marked = latest.saturating_sub(latest.saturating_sub(mark(number)).rem_euclid(CYCLE));
    Timestamp::from_millis(marked.max(shortest(began)))
}

/// Whether this end can have been shown, by `now`, of such an event.
pub(super) fn was_shown(number: u64, began: Timestamp, now: Timestamp, end: Timestamp) -> bool {
    let end = end.millis();
    let is_marked = end.saturating_sub(mark(number)).rem_euclid(CYCLE) == 0;
    end == shortest(began) || (is_marked && end > shortest(began) && end <= now.millis().saturating_sub(LAG))
}

fn shortest(began: Timestamp) -> i64 {
    began.millis().saturating_add(1)
}

/// The milliseconds of a second that are marked: 1 to 999, without those that end in 0.
fn mark(number: u64) -> i64 {
    let place = i64::try_from(number % 900).unwrap_or_default();
    place / 9 * 10 + place % 9 + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    proptest! {
        /// Who reads and puts back, however much later, is always known.
        #[test]
        fn what_was_shown_is_known_ever_after(number in any::<u64>(), began in 0..10_000i64, age in -5000..20_000i64, wait in 0..100_000i64) {
            let now = began + age;
            let end = shown(number, at(began), at(now));
            prop_assert!(was_shown(number, at(began), at(now + wait), end));
            // About now, and after the beginning.
            prop_assert!(end.millis() > began);
            prop_assert!(end.millis() > now - LAG - CYCLE || end.millis() == began + 1, "{:?}", end);
            prop_assert!(end.millis() <= (now - LAG).max(began + 1));
        }

        /// Who ends something now, by a clock that is right within [`LAG`], never is.
        #[test]
        fn who_ends_something_now_ends_it(number in any::<u64>(), began in 0..10_000i64, age in 2..100_000i64, off in -999..10_000i64) {
            let (now, end) = (began + age, began + age + off);
            prop_assume!(end > began + 1);
            prop_assert!(!was_shown(number, at(began), at(now), at(end)));
        }
    }

    #[test]
    fn a_coarse_clock_ends_at_any_time() {
        for number in 0..2000 {
            assert!((1..1000).contains(&mark(number)), "{number}");
            let hundredths = (10..2000).step_by(10);
            assert_eq!(hundredths.filter(|end| was_shown(number, at(0), at(1_000_000), at(*end))).count(), 0, "{number}");
        }
        assert_eq!((0..900).map(mark).collect::<std::collections::BTreeSet<_>>().len(), 900);
    }

    #[test]
    fn of_others_one_in_a_thousand_is_taken_for_it() {
        let count = (0..1_000_000).filter(|end| was_shown(77, at(-10), at(2_000_000), at(*end))).count();
        assert_eq!(count, 1000);
    }
}
