//! What samples and looks cost, counted in places that move, slots and lines that are looked at: not what was there before.

use super::*;
use crate::exposition::steps;

const SERIES: i64 = 2;

/// Applies what `change` does for each number, and checks that none costs more than so much, all together no more than `each`.
fn check(what: &str, schedule: &mut Schedule, count: i64, (each, most): (u64, u64), mut change: impl FnMut(&mut Schedule, i64)) {
    let (mut all, mut worst) = (0, 0);
    for number in 0..count {
        let steps = steps::of(|| change(schedule, number));
        all += steps;
        worst = worst.max(steps);
    }
    println!("{what}: {all} steps for {count}, at most {worst}");
    assert!(worst <= most, "{what}: one of {count} took {worst} steps");
    assert!(all <= each * u64::try_from(count).unwrap(), "{what}: {all} steps for {count}");
}

/// Each stands before all that wait of its series, and none of those moves.
#[test]
fn what_keeps_its_place_costs_nothing() {
    let (hold, day) = (135 * SECOND, 24 * HOUR);
    let sizes = sizes(hold, 50_000);
    let put = |at: i64| {
        move |schedule: &mut Schedule, number: i64| {
            schedule.apply(ms(0), &sample(u32::try_from(number % SERIES).unwrap(), at - number / SERIES * 180 * SECOND));
        }
    };
    let mut schedule = Schedule::new(sizes);
    check("newest first", &mut schedule, SERIES * 1024, (4, 12), put(30 * day));
    assert_eq!(i64::try_from(schedule.waiting(ms(0)).scheduled).unwrap(), SERIES * 1024);
    check("withdrawn", &mut schedule, SERIES * 1000, (4, 12), |schedule, number| {
        let series = u32::try_from(number % SERIES).unwrap();
        schedule.withdraw(ms(0), first(series), ms(30 * day - number / SERIES * 180 * SECOND), Reach::Waiting);
    });
    // The first of these gives its series a queue apart, and each has two places afterwards.
    let late = |schedule: &mut Schedule, number: i64| {
        schedule.apply(ms(0), &sample(u32::try_from(number % SERIES).unwrap(), -HOUR - number));
    };
    check("late", &mut schedule, 200, (4, 200), late);
    check("newest first, in two queues", &mut schedule, SERIES * 900, (8, 24), put(29 * day));
    check("late, between", &mut schedule, 200, (4, 200), |schedule, number| late(schedule, number + 200));
}

/// What finds no place changes none.
#[test]
fn a_late_sample_without_a_gap_costs_nothing() {
    let hold = 135 * SECOND;
    let mut schedule = Schedule::new(sizes(hold, 50_000));
    for number in 0..1000 {
        schedule.apply(ms(0), &sample(1, number * hold));
    }
    check("late", &mut schedule, 1000, (2, 12), |schedule, number| {
        assert_eq!(schedule.apply(ms(0), &sample(1, -1 - number)), Exposure::Late);
    });
    assert_eq!(schedule.counts.beyond, 1000);
}

/// All of an hour is forgotten at once, and taken out a little at a time.
#[test]
fn what_comes_after_a_quiet_hour_waits_for_nothing() {
    let mut schedule = Schedule::new(sizes(135 * SECOND, 1_000_000));
    let empty = schedule.bytes();
    for series in 0..50_000 {
        schedule.apply(ms(0), &sample(series, 0));
    }
    let full = schedule.bytes();
    assert!((full - empty) / 50_000 >= size_of::<Place>() && (full - empty) / 50_000 < 2 * size_of::<Place>(), "{full} bytes");
    let now = 2 * HOUR;
    check("after an hour", &mut schedule, 900, (75, 75), |schedule, number| {
        schedule.apply(ms(now), &sample(60_000, now + number * 200 * SECOND));
        assert_eq!((schedule.lines_there().count(), page(schedule, now, None)), (1, vec![(60_000, now)]));
    });
    assert!(schedule.bytes() < empty + 300_000, "{} bytes of {full} are left, {empty} at first", schedule.bytes());
}

/// Time that is full is passed over once, whatever comes free elsewhere.
#[test]
fn full_time_is_passed_over_once() {
    let hold = 10 * SECOND;
    let mut schedule = Schedule::new(sizes(hold, 60));
    for series in 0..5000 {
        schedule.apply(ms(0), &sample(series, 0));
    }
    check("into full time", &mut schedule, 500, (10, 20), |schedule, number| {
        let far = Sample { at: ms(20 * HOUR), ..sample(9000, 0) };
        schedule.apply(ms(0), &far);
        schedule.withdraw(ms(0), far.series, far.at, Reach::Waiting);
        schedule.apply(ms(0), &sample(10_000 + u32::try_from(number).unwrap(), 0));
    });
}

/// The writer is let in every few lines and slots.
#[test]
fn a_look_does_little_at_a_time() {
    let mut schedule = Schedule::new(sizes(135 * SECOND, 50_000));
    for number in 0..5000_i64 {
        let series = u32::try_from(number).unwrap();
        schedule.apply(ms(0), &sample(series, 0));
        schedule.apply(ms(0), &sample(series, 1));
        schedule.apply(ms(0), &sample(10_000 + series, HOUR + number * 200 * SECOND));
    }
    let view = View::new(ms(10), None, None, &schedule.sizes);
    let mut look = schedule.begin_look(&view);
    let mut count = schedule.begin_count(ms(10));
    let (mut looks, mut counts) = (1, 1);
    let go_on = |most: u64, work: &mut dyn FnMut() -> bool| {
        let mut more = false;
        let steps = steps::of(|| more = work());
        assert!(steps <= most, "{steps} steps at once");
        more
    };
    while go_on(110, &mut || schedule.look(&mut look, 100)) {
        looks += 1;
    }
    while go_on(210, &mut || schedule.count(&mut count, 100)) {
        counts += 1;
    }
    schedule.end_look();
    assert!(looks >= 50 && counts >= 50, "{looks} and {counts} times");
    assert_eq!(schedule.end_count(&count), schedule.waiting(ms(10)));
}
