//! The one clock of a server: the wall clock, as far as it can be believed.
//!
//! What a server receives at a wrong time stays wrong in its log. So the wall clock is held against steady time, which
//! counts a suspension and which nobody sets, and what it shows is followed when time has passed; not because it was set.

use super::Clock;
use super::Reading;
use super::SystemClock;
use super::Timestamp;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// How far ahead of steady time the wall clock may be from one reading to the next, and is followed.
const STEP_MAX: Duration = Duration::from_secs(2);
/// How long the wall clock must have been ahead by the same before it is followed.
const BELIEVED_AFTER: Duration = Duration::from_mins(5);
/// While the wall clock is behind, time goes on at this part of its speed until both meet.
const SLOWER: u32 = 2;
/// 2023-01-01: a clock that is before it was never set, and whoever sets it is believed at once.
const NEVER_SET: Timestamp = Timestamp::from_millis(1_672_531_200_000);
const NANOS_PER_MILLI: i128 = 1_000_000;

/// Follows another clock when time has passed by both of its clocks, and never goes back.
///
/// - A wall clock that is set ahead is followed when it has stayed there for 5 minutes; until then time goes on steadily.
///   If it is set back before that, nothing has happened.
/// - While the wall clock is behind, time goes on at half its speed, so that what waits for a moment still comes to an end.
#[derive(Debug)]
pub struct BelievedClock {
    machine: Arc<dyn Clock>,
    belief: Mutex<Belief>,
}

impl BelievedClock {
    /// Begins with what the wall clock of `machine` shows.
    pub fn new(machine: Arc<dyn Clock>) -> Self {
        let belief = Mutex::new(Belief::new(machine.read()));
        Self { machine, belief }
    }

    /// From now on the time is `past` at least: that much is known from before, as from a log.
    pub fn not_before(&self, past: Timestamp) {
        let mut belief = self.belief.lock();
        belief.time = belief.time.max(nanos(past));
    }
}

impl Default for BelievedClock {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock))
    }
}

impl Clock for BelievedClock {
    fn read(&self) -> Reading {
        // Under the lock, so that readings come in their order.
        let mut belief = self.belief.lock();
        let machine = self.machine.read();
        belief.follow(machine);
        Reading { now: belief.now(), ..machine }
    }
}

/// What is believed of the time, from one reading of the machine to the next.
#[derive(Debug)]
struct Belief {
    /// Nanoseconds since 1970, so that many readings in a millisecond lose nothing.
    time: i128,
    /// The steady clock of the last reading.
    steady: Duration,
    doubt: Option<Doubt>,
}

/// The wall clock is ahead.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    /// The steady clock when that was seen first.
    since: Duration,
    /// By how many nanoseconds it was ahead then.
    ahead: i128,
}

impl Belief {
    fn new(machine: Reading) -> Self {
        Self { time: nanos(machine.wall), steady: machine.steady, doubt: None }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(i64::try_from(self.time / NANOS_PER_MILLI).unwrap_or(i64::MAX))
    }

    fn follow(&mut self, machine: Reading) {
        let passed = machine.steady.saturating_sub(self.steady);
        self.steady = self.steady.max(machine.steady);
        let wall = nanos(machine.wall);
        let expected = self.time + whole_nanos(passed);
        let ahead = wall - expected;
        let doubt = (ahead > whole_nanos(STEP_MAX) && self.now() >= NEVER_SET).then(|| self.doubt_of(ahead));
        self.time = match doubt {
            Some(doubt) if self.steady.saturating_sub(doubt.since) < BELIEVED_AFTER => expected,
            _ => wall.max(self.time + whole_nanos(passed / SLOWER)),
        };
        self.doubt = doubt.filter(|_| self.time < wall);
    }

    /// The doubt that there is, or a new one when the wall clock was set again since.
    fn doubt_of(&self, ahead: i128) -> Doubt {
        let known = self.doubt.filter(|doubt| (ahead - doubt.ahead).abs() <= whole_nanos(STEP_MAX));
        known.unwrap_or(Doubt { since: self.steady, ahead })
    }
}

fn nanos(at: Timestamp) -> i128 {
    i128::from(at.millis()) * NANOS_PER_MILLI
}

fn whole_nanos(span: Duration) -> i128 {
    i128::try_from(span.as_nanos()).unwrap_or(i128::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::ManualClock;
    use crate::time::millis_of;

    const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const SECOND: i64 = 1000;
    const MINUTE: i64 = 60 * SECOND;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;

    /// What happens before a reading: how far the wall clock moves, how much time passes, and how much of it is believed;
    /// all in milliseconds.
    type Row = (i64, i64, i64);

    fn check(rows: &[Row]) {
        check_from(START, None, rows);
    }

    fn check_from(wall: Timestamp, past: Option<Timestamp>, rows: &[Row]) {
        let machine = Arc::new(ManualClock::at(wall));
        let clock = BelievedClock::new(Arc::<ManualClock>::clone(&machine));
        if let Some(past) = past {
            clock.not_before(past);
        }
        let mut before = past.map_or(wall, |past| past.max(wall));
        for (number, &(wall, steady, believed)) in rows.iter().enumerate() {
            machine.advance(Duration::from_millis(u64::try_from(steady).unwrap()));
            machine.set(Timestamp::from_millis(machine.now().millis() + wall - steady));
            let reading = clock.read();
            assert_eq!(reading.now.millis() - before.millis(), believed, "row {number}: {rows:?}");
            assert_eq!((reading.wall, reading.steady), (machine.now(), machine.read().steady));
            before = reading.now;
        }
    }

    #[test]
    fn time_that_passes_is_believed() {
        check(&[(0, 0, 0), (1, 1, 1), (MINUTE, MINUTE, MINUTE), (400 * DAY, 400 * DAY, 400 * DAY)]);
    }

    #[test]
    fn a_slow_step_of_ntp() {
        // Within 2 s it is followed, ahead and back; a larger one ahead after 5 minutes.
        check(&[(2500, 1000, 2500), (600, 1000, 600), (-500, 1000, 500), (3000, 1000, 2000), (1000, 1000, 1000)]);
        check(&[(4000, 1000, 1000), (299 * SECOND, 299 * SECOND, 299 * SECOND), (SECOND, SECOND, 4000), (SECOND, SECOND, SECOND)]);
    }

    #[test]
    fn a_clock_that_is_slewed_fast_is_followed() {
        let rows: Vec<Row> = (0..500).map(|_| (1083, 1000, 1083)).collect();
        check(&rows);
    }

    #[test]
    fn a_resumed_laptop() {
        // Steady time counts the suspension, so nothing has jumped.
        check(&[(SECOND, SECOND, SECOND), (14 * HOUR, 14 * HOUR, 14 * HOUR), (SECOND, SECOND, SECOND)]);
    }

    #[test]
    fn a_clock_ahead_for_a_moment_changes_nothing() {
        for ahead in [3 * SECOND, HOUR, 730 * DAY] {
            check(&[(ahead, 0, 0), (4 * MINUTE, 4 * MINUTE, 4 * MINUTE), (-ahead, 0, 0), (SECOND, SECOND, SECOND)]);
            check(&[(ahead, 0, 0), (4 * MINUTE - ahead, 4 * MINUTE, 4 * MINUTE), (DAY, DAY, DAY)]);
        }
    }

    #[test]
    fn a_jump_is_believed_after_five_minutes() {
        check(&[
            (HOUR, 0, 0),
            (4 * MINUTE, 4 * MINUTE, 4 * MINUTE),
            (MINUTE - 1, MINUTE - 1, MINUTE - 1),
            (1, 1, HOUR + 1),
            (SECOND, SECOND, SECOND),
        ]);
    }

    #[test]
    fn a_second_jump_is_doubted_anew() {
        let wait = (4 * MINUTE, 4 * MINUTE, 4 * MINUTE);
        check(&[(HOUR, 0, 0), wait, (700 * DAY, 0, 0), wait, (MINUTE, MINUTE, HOUR + 700 * DAY + MINUTE)]);
        check(&[(700 * DAY, 0, 0), wait, (HOUR - 700 * DAY, 0, 0), wait, (MINUTE, MINUTE, HOUR + MINUTE)]);
    }

    #[test]
    fn a_clock_that_runs_away_is_not_followed() {
        let rows: Vec<Row> = (0..500).map(|_| (10 * SECOND, SECOND, SECOND)).collect();
        check(&rows);
    }

    #[test]
    fn a_clock_that_was_set_back_is_waited_for_at_half_speed() {
        check(&[
            (-HOUR, 0, 0),
            (MINUTE, MINUTE, MINUTE / 2),
            (2 * HOUR - MINUTE, 2 * HOUR - MINUTE, HOUR - MINUTE / 2),
            (SECOND, SECOND, SECOND),
        ]);
        check(&[(-HOUR, 0, 0), (3 * HOUR, 3 * HOUR, 2 * HOUR)]);
    }

    #[test]
    fn readings_close_together_lose_no_time() {
        let start = Reading { now: START, wall: START, steady: Duration::ZERO };
        for (wall, believed) in [(HOUR, MINUTE), (-HOUR, MINUTE / 2)] {
            let mut belief = Belief::new(start);
            for step in 1..=60_000 * 4 {
                let steady = Duration::from_micros(step * 250);
                let shown = START.millis() + wall + millis_of(steady);
                belief.follow(Reading { wall: Timestamp::from_millis(shown), steady, ..start });
            }
            assert!((belief.now().millis() - START.millis() - believed).abs() <= 1, "{belief:?}");
        }
    }

    #[test]
    fn a_restored_machine() {
        // Its wall clock goes on from the image, behind its log, until it is set right.
        let wall = START.minus(Duration::from_hours(72));
        check_from(
            wall,
            Some(START),
            &[(0, 0, 0), (MINUTE, MINUTE, MINUTE / 2), (75 * HOUR, 0, 0), (5 * MINUTE, 5 * MINUTE, 3 * HOUR + 6 * MINUTE - MINUTE / 2)],
        );
        // Or it is right, and the log is old: what the wall clock shows at the start is believed.
        check_from(START, Some(wall), &[(0, 0, 0), (SECOND, SECOND, SECOND)]);
    }

    #[test]
    fn a_boot_at_1970() {
        let boot = Timestamp::from_millis(0);
        let set = START.millis() + DAY;
        let with_log = [(10 * SECOND, 10 * SECOND, 5 * SECOND), (set, 0, 0), (5 * MINUTE, 5 * MINUTE, DAY + 5 * SECOND + 5 * MINUTE)];
        check_from(boot, Some(START), &with_log);
        // Without a log to go on from, whoever sets it is right.
        check_from(boot, None, &[(10 * SECOND, 10 * SECOND, 10 * SECOND), (set, 0, set), (SECOND, SECOND, SECOND)]);
    }
}
