//! What the schedule keeps beside the lines: how much waits, what room is taken, which slots name which series.

use super::*;
use crate::exposition::line::Line;

/// What waits, by the lines themselves.
fn waiting_in(schedule: &Schedule, now: i64) -> Waiting {
    let grid = schedule.timeline.grid;
    let all = schedule.lines_there().flat_map(|(_, places)| places);
    let waits = all.filter(|place| place.is_on(On::Plain) && place.exposed > ms(now));
    let (scheduled, queued): (Vec<&Place>, Vec<&Place>) = waits.partition(|place| place.exposed == place.at);
    let last = queued.iter().map(|place| place.exposed).max();
    let lag = last.map_or(Duration::ZERO, |last| grid.begin_of(grid.slot_of(last)).since(ms(now)));
    Waiting { queued: queued.len(), scheduled: scheduled.len(), lag }
}

/// Slots name just the series that have a place in them, what did not begin yet takes its room once, and what makes looking
/// faster says the same.
fn check_slots(schedule: &Schedule) {
    let grid = schedule.timeline.grid;
    let first = grid.slot_of(schedule.received.minus(AGE_MAX));
    let (mut taken, mut names): (BTreeMap<i64, u32>, BTreeSet<(i64, u32)>) = Default::default();
    for (series, places) in schedule.lines_there() {
        for at in places.iter().map(|place| grid.slot_of(place.exposed)).filter(|at| *at >= first) {
            *taken.entry(at).or_default() += 1;
            names.insert((at, series));
        }
    }
    let slots = schedule.timeline.slots(first, i64::MAX);
    let there: BTreeSet<(i64, u32)> = slots.flat_map(|(at, slot)| slot.series.iter().map(move |series| (at, *series))).collect();
    assert_eq!(there, names, "what slots name after {:?}", schedule.received);
    let ahead = grid.slot_of(schedule.received) + 1;
    let room: BTreeMap<i64, u32> = schedule.timeline.state().filter(|(at, _)| *at >= ahead).collect();
    assert_eq!(room, taken.split_off(&ahead), "room that is taken after {:?}", schedule.received);
    schedule.timeline.check();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_waits_and_what_room_is_taken_is_as_the_lines_say(
        steps in prop_oneof![steps(1, 60), steps(4, 100)],
        others in prop::collection::vec((0..8_u8, any::<prop::sample::Index>()), 100),
        hold in prop_oneof![Just(1), Just(4 * SECOND), Just(135 * SECOND), 1..300 * SECOND],
        samples_max in prop_oneof![1..12_usize, Just(1000)],
        looks in prop::collection::vec(prop_oneof![0..5 * SECOND, 0..60 * MINUTE], 4),
    ) {
        let mut schedule = Schedule::new(sizes(hold, samples_max));
        let mut generations = [1; 4];
        for (step, (other, index)) in steps.iter().zip(others) {
            let generation = &mut generations[step.series as usize];
            let series = SeriesId { number: step.series, generation: *generation };
            let there = schedule.places_of(step.series);
            match other {
                0 | 1 if !there.is_empty() => {
                    let reach = if other == 0 { Reach::Waiting } else { Reach::Exposed };
                    schedule.withdraw(ms(step.received), series, *index.get(&there), reach);
                }
                // The series is gone, and its number is another one's.
                2 => *generation += 1,
                _ => {}
            }
            check_slots(&schedule);
            let series = SeriesId { generation: *generation, ..series };
            schedule.apply(ms(step.received), &Sample { series, ..step.sample() });
            check_slots(&schedule);
            for now in looks.iter().map(|look| step.received + look) {
                prop_assert_eq!(schedule.waiting(ms(now)), waiting_in(&schedule, now), "at {}", now);
            }
        }
    }
}

proptest! {
    /// So that it need not be looked up again before.
    #[test]
    fn a_page_is_the_same_until_it_says(
        samples in prop::collection::vec((0..20_i64, 0..3_u32, -80..80_i64), 1..12),
        hold in prop_oneof![Just(1), Just(40), Just(70)],
        window in prop::option::of(Just(HOUR)),
    ) {
        let mut schedule = Schedule::new(sizes(hold, 3));
        let mut now = 0;
        for (pause, series, later) in samples {
            now += pause;
            schedule.apply(ms(now), &sample(series, now + later));
        }
        let window = window.map(|window| Duration::from_millis(window.unsigned_abs()));
        let shown = |now| schedule.shown(&View::new(ms(now), window, Some(Duration::from_millis(100)), &schedule.sizes));
        let mut page = shown(now);
        for later in now..now + 300 {
            if ms(later) >= page.until {
                page = shown(later);
            }
            prop_assert!(page.until > ms(later), "at {}", later);
            prop_assert_eq!(&page.rows, &shown(later).rows, "at {}", later);
        }
    }
}

/// To the millisecond, whatever else the slot has that a place begins in.
#[test]
fn what_is_in_a_slot_that_ends_stays_for_its_own_time() {
    let (hold, keep) = (20 * SECOND, millis(AGE_MAX));
    let mut schedule = Schedule::new(sizes(hold, 100));
    for (series, at) in [(1, 100), (2, 900)] {
        schedule.apply(ms(at), &sample(series, at));
    }
    schedule.apply(ms(keep + 500), &sample(3, keep + 500));
    assert_eq!(page(&schedule, keep + 899, None), [(2, 900), (3, keep + 500)]);
    assert_eq!(page(&schedule, keep + 900, None), [(3, keep + 500)]);
    schedule.apply(ms(keep + SECOND), &sample(3, keep + SECOND));
    assert_eq!(schedule.lines_there().count(), 1, "what was shown for as long as it can be is forgotten");
}

/// What was shown an hour ago is nothing to a sample of today, even if another one waited until now.
#[test]
fn what_is_left_of_a_line_when_what_waits_is_taken_off_may_be_forgotten_already() {
    let mut schedule = Schedule::new(sizes(10 * SECOND, 100));
    let empty = schedule.bytes();
    schedule.apply(ms(0), &sample(1, 0));
    schedule.apply(ms(0), &sample(1, 3 * HOUR));
    schedule.withdraw(ms(2 * HOUR), first(1), ms(3 * HOUR), Reach::Waiting);
    assert_eq!((schedule.places_of(1), schedule.lines.state().count()), (vec![], 0));
    schedule.withdraw(ms(2 * HOUR), first(1), ms(0), Reach::Waiting);
    assert_eq!(schedule.bytes(), empty);
}

#[test]
fn a_series_with_one_sample_needs_no_list() {
    let mut schedule = Schedule::new(sizes(MINUTE, 100));
    schedule.apply(ms(0), &sample(1, 0));
    assert!(matches!(schedule.lines.get(1), Some(Line::One(_))));
}

/// As many as there is room for are looked at again and again; the rest must not be.
#[test]
fn what_is_turned_away_changes_no_page() {
    // By what the line is full of: in order, what is behind, what is behind up to a day.
    type At = fn(i64) -> i64;
    let rows: [(&str, i64, At, Exposure); 4] = [
        ("in order", SECOND, |number| (number + 1) * MINUTE, Exposure::Crowded),
        ("late", SECOND, |number| -number - 1, Exposure::Late),
        ("old, for a day", 135 * SECOND, |number| -2 * HOUR - number, Exposure::Old),
        ("old, for more than a day", 135 * SECOND + 1, |number| -2 * HOUR - number, Exposure::Old),
    ];
    for (what, hold, at, exposure) in rows {
        let mut schedule = Schedule::new(sizes(hold, 100));
        schedule.apply(ms(0), &sample(1, 0));
        let mut applied = 0;
        for number in 0..1500 {
            let before = schedule.version();
            let answer = schedule.apply(ms(0), &sample(1, at(number)));
            applied += schedule.version() - before;
            if number >= 1025 {
                assert_eq!((answer, schedule.version()), (exposure, before), "{what}: sample {number} changed the pages");
            }
        }
        assert!(applied > 600, "{what}: {applied} found room, or looked for it");
    }
}

/// What came in longer than a hold after its time may take four fifths of the pace.
#[test]
fn an_import_is_what_comes_in_longer_than_a_hold_after_its_time() {
    let hold = 10 * SECOND;
    for (age, answer) in [(hold, Exposure::Shown), (hold + 1, Exposure::Queued { until: ms(21 * hold / 20) })] {
        let mut schedule = Schedule::new(sizes(hold, 5));
        for series in 0..4 {
            assert_eq!(schedule.apply(ms(0), &sample(series, -MINUTE)), Exposure::Shown);
        }
        assert_eq!(schedule.apply(ms(0), &sample(4, -age)), answer);
        assert_eq!(schedule.apply(ms(0), &sample(5, 0)) == Exposure::Shown, age > hold);
    }
}
