//! What time retirement may go by: what it takes is gone, so that a clock that was set does not make it take anything.
//!
//! Where the time of receipt went ahead without that time being seen to pass, a record says by how much, and retirement
//! counts it only when 24 hours have passed since. A fold of the log, so a restart changes nothing; but while nothing runs
//! no time is seen to pass, so the first commit after a pause counts as such a jump as well.

use crate::event::Command;
use crate::time::Reading;
use crate::time::Timestamp;
use crate::time::millis_of;
use std::collections::VecDeque;
use std::time::Duration;

/// How much time must have passed since a jump, for retirement to count it.
const TRUSTED_AFTER: Duration = Duration::from_hours(24);
/// What the time of receipt may be ahead of the time that passed, and is not worth a record.
const SLACK: Duration = Duration::from_mins(10);

/// The times of receipt, and how much of them is known to have passed.
#[derive(Debug, Default)]
pub(super) struct SteadyTime {
    /// When the last record was received.
    received: Option<Timestamp>,
    /// Milliseconds that passed from record to record; its beginning means nothing.
    passed: i64,
    /// The jumps that are not counted yet, oldest first.
    jumps: VecDeque<Jump>,
    /// A time of receipt and the steady clock at it, to which later ones are compared: that at which the receipt was the least
    /// ahead.
    base: (Timestamp, Duration),
}

#[derive(Debug)]
struct Jump {
    received: Timestamp,
    /// What [`SteadyTime::passed`] was at it.
    passed: i64,
    ahead: i64,
}

impl Jump {
    fn is_trusted(&self, passed: i64) -> bool {
        passed.saturating_sub(self.passed) >= millis_of(TRUSTED_AFTER)
    }
}

impl SteadyTime {
    /// Folds in a record of the log. `received` never goes back.
    pub(super) fn fold(&mut self, received: Timestamp, command: &Command) {
        self.note(received);
        if let Command::Clock { ahead } = command {
            self.jumped(*ahead);
        }
    }

    /// A record was received at `received`; of one that says [`Command::Clock`], [`SteadyTime::jumped`] must follow.
    pub(super) fn note(&mut self, received: Timestamp) {
        // Before `received` is counted, which a jump may be part of.
        while self.jumps.front().is_some_and(|jump| jump.is_trusted(self.passed)) {
            self.jumps.pop_front();
        }
        let since = self.received.map_or(Duration::ZERO, |last| received.since(last));
        self.passed = self.passed.saturating_add(millis_of(since));
        self.received = Some(received);
    }

    /// So much of the time up to the last record did not pass.
    fn jumped(&mut self, ahead: Duration) {
        let ahead = millis_of(ahead);
        self.passed = self.passed.saturating_sub(ahead);
        self.jumps.extend(self.received.map(|received| Jump { received, passed: self.passed, ahead }));
    }

    /// The time that retirement may go by: that of the last record, without the jumps that are younger than 24 hours.
    #[cfg(test)]
    pub(super) fn trusted(&self) -> Timestamp {
        self.trusted_at(self.received.unwrap_or(Timestamp::MIN))
    }

    /// The same as it would be if something was received at `received`, by the steady clock then; but as of the last record, if there
    /// is a jump between that no record says yet.
    pub(super) fn trusted_by(&self, received: Timestamp, steady: Duration) -> Timestamp {
        let passed = steady.saturating_sub(self.base.1);
        let is_seen = received.since(self.base.0) <= passed.saturating_add(SLACK);
        let last = self.received.unwrap_or(Timestamp::MIN);
        self.trusted_at(if is_seen { last.max(received) } else { last })
    }

    fn trusted_at(&self, received: Timestamp) -> Timestamp {
        let since = self.received.map_or(Duration::ZERO, |last| received.since(last));
        let passed = self.passed.saturating_add(millis_of(since));
        let waiting = self.jumps.iter().filter(|jump| !jump.is_trusted(passed));
        let lag = waiting.fold(0i64, |lag, jump| lag.saturating_add(jump.ahead));
        Timestamp::from_millis(received.millis().saturating_sub(lag))
    }

    /// Whether the jump that was recorded at `received` is still needed.
    pub(super) fn waits_for(&self, received: Timestamp) -> bool {
        let mut waiting = self.jumps.iter().filter(|jump| !jump.is_trusted(self.passed));
        waiting.next().is_some_and(|oldest| received >= oldest.received)
    }

    /// The clock from here on, after the log was read.
    pub(super) fn begin(&mut self, reading: Reading) {
        self.base = (self.received.unwrap_or(reading.now), reading.steady);
    }

    /// A record says how far the time of receipt had gone ahead by now.
    pub(super) fn seen(&mut self, received: Timestamp, steady: Duration) {
        self.base = (received, steady);
    }

    /// By how much the time of receipt went ahead without passing, if that is more than 10 minutes. What it went slower before
    /// makes up for nothing: what was received meanwhile is not older for it.
    pub(super) fn unseen(&mut self, received: Timestamp, steady: Duration) -> Option<Duration> {
        let passed = steady.saturating_sub(self.base.1);
        let ahead = received.since(self.base.0).checked_sub(passed);
        if ahead.is_none() {
            self.base = (received, steady);
        }
        ahead.filter(|ahead| *ahead > SLACK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Minutes after which a record was received; of a record of a jump also how many of them did not pass.
    type Row = (u64, Option<u64>);

    fn minutes(minutes: u64) -> Duration {
        Duration::from_mins(minutes)
    }

    fn records(rows: &[Row]) -> Vec<(Timestamp, Command)> {
        let mut received = Timestamp::from_millis(1_700_000_000_000);
        let mut record = |&(after, ahead): &Row| {
            received = received.plus(minutes(after));
            let ahead = ahead.map(|ahead| Command::Clock { ahead: minutes(ahead.min(after)) });
            (received, ahead.unwrap_or(Command::Retire { before: Timestamp::MIN, upto: 0 }))
        };
        rows.iter().map(&mut record).collect()
    }

    fn folded(records: &[(Timestamp, Command)]) -> SteadyTime {
        let mut steady = SteadyTime::default();
        for (received, command) in records {
            steady.fold(*received, command);
        }
        steady
    }

    fn check(rows: &[Row], lag: u64) {
        let records = records(rows);
        let last = records.last().map_or(Timestamp::MIN, |record| record.0);
        assert_eq!(last.since(folded(&records).trusted()), minutes(lag), "{rows:?}");
    }

    const DAY: u64 = 24 * 60;

    #[test]
    fn a_jump_is_trusted_when_a_day_has_passed() {
        check(&[], 0);
        check(&[(0, None), (9 * DAY, None)], 0);
        check(&[(0, None), (9 * DAY, Some(9 * DAY))], 9 * DAY);
        check(&[(0, None), (9 * DAY, Some(9 * DAY)), (DAY - 1, None)], 9 * DAY);
        check(&[(0, None), (9 * DAY, Some(9 * DAY)), (DAY, None)], 0);
        check(&[(0, None), (9 * DAY, Some(8 * DAY)), (DAY / 2, None), (DAY, Some(DAY)), (DAY / 2 - 1, None)], 9 * DAY);
        check(&[(0, None), (9 * DAY, Some(8 * DAY)), (DAY / 2, None), (DAY, Some(DAY)), (DAY / 2, None)], DAY);
        check(&[(0, None), (9 * DAY, Some(8 * DAY)), (DAY / 2, None), (DAY, Some(DAY)), (DAY, None)], 0);
    }

    #[test]
    fn the_record_of_a_jump_is_needed_until_it_is_trusted() {
        let waits = |rows: &[Row]| {
            let records = records(rows);
            let jump = records.iter().find(|(_, command)| matches!(command, Command::Clock { .. })).unwrap();
            folded(&records).waits_for(jump.0)
        };
        let jump = [(0, None), (9 * DAY, Some(8 * DAY))];
        assert!(waits(&jump) && waits(&[&jump[..], &[(DAY - 1, None)]].concat()));
        assert!(!waits(&[&jump[..], &[(DAY, None)]].concat()) && !waits(&[&jump[..], &[(DAY, None), (2 * DAY, Some(DAY))]].concat()));
    }

    #[test]
    fn a_jump_is_what_steady_time_did_not_see() {
        let at = |after| Timestamp::default().plus(minutes(after));
        let mut steady = SteadyTime::default();
        steady.note(at(100));
        steady.begin(Reading { now: at(200), wall: at(200), steady: minutes(50) });
        for (received, passed, ahead) in [
            (105, 50, None),
            (110, 50, None),
            (111, 50, Some(11)),
            (200, 50, Some(100)),
            (200, 140, None),
            (120, 100, None),
            (130, 100, None),
            (131, 100, Some(11)),
            (90, 60, None),
            (90, 0, None),
        ] {
            assert_eq!(steady.unseen(at(received), minutes(passed)), ahead.map(minutes), "{received} {passed}");
        }
    }

    proptest! {
        #[test]
        fn what_a_checkpoint_keeps_folds_to_the_same(rows in prop::collection::vec((0..2 * DAY, prop::option::of(0..3 * DAY)), 1..20), cut in 0..20usize, keep in any::<u32>()) {
            let records = records(&rows);
            let all = folded(&records);
            let (old, new) = records.split_at(cut.min(records.len() - 1));
            let kept = |(index, (received, command)): (usize, &(Timestamp, Command))| match command {
                Command::Clock { .. } => all.waits_for(*received),
                _ => keep >> index & 1 == 1,
            };
            let old: Vec<_> = old.iter().enumerate().filter(|record| kept(*record)).map(|(_, record)| record.clone()).collect();
            prop_assert_eq!(folded(&[&old, new].concat()).trusted(), all.trusted());
        }
    }
}
