//! Pages with a window: when a series has a queue for them, and what of it they show.

use super::*;

#[test]
fn a_series_has_two_queues_only_as_long_as_they_differ() {
    let mut schedule = Schedule::new(sizes(10 * SECOND, 100));
    schedule.apply(ms(0), &sample(1, 0));
    assert_eq!(schedule.apply(ms(1), &sample(1, -10 * MINUTE)), Exposure::Late);
    assert_eq!(page(&schedule, 10 * SECOND, Some(HOUR)), [(1, -10 * MINUTE)]);
    for beat in 1..5 {
        let now = beat * MINUTE;
        assert_eq!(schedule.apply(ms(now), &sample(1, now)), Exposure::Shown);
        for window in [None, Some(HOUR)] {
            assert_eq!(page(&schedule, now, window), [(1, now)], "window {window:?}");
        }
    }
    assert_eq!(schedule.places_of(1), [3 * MINUTE, 4 * MINUTE].map(ms), "the last one and the next, once each");
    let places = schedule.lines.get(1).unwrap().places();
    assert!(places.iter().all(|place| place.on == On::Both), "{places:?}");
}

/// What would be shown only after its age limit is for pages with a window.
#[test]
fn what_has_no_place_within_its_age_goes_to_pages_with_a_window() {
    // Whether there are two queues already.
    for apart in [false, true] {
        let hold = 20 * MINUTE;
        let mut schedule = Schedule::new(sizes(hold, 100));
        for at in [0, 1, 2] {
            schedule.apply(ms(2), &sample(1, at));
        }
        if apart {
            assert_eq!(schedule.apply(ms(2), &sample(1, -MINUTE)), Exposure::Late);
        }
        assert_eq!(schedule.apply(ms(3), &sample(1, 3)), Exposure::Old);
        assert_eq!((schedule.counts.old, schedule.counts.beyond), (1, 0));
        let shown = |window| -> Vec<i64> {
            let mut seen: Vec<i64> = (0..6).flat_map(|place| page(&schedule, 2 + place * hold, window)).map(|(_, at)| at).collect();
            seen.dedup();
            seen
        };
        assert_eq!(shown(None), [0, 1, 2], "apart: {apart}");
        assert_eq!(shown(Some(5 * HOUR)), if apart { vec![0, 1, 2, 3, -MINUTE] } else { vec![0, 1, 2, 3] }, "apart: {apart}");
    }
}

/// Of two beats that wait behind, the newer one stands for both, in whatever order they come.
#[test]
fn the_newer_of_two_late_beats_is_shown() {
    for (first, second) in [(-3 * MINUTE, -2 * MINUTE), (-2 * MINUTE, -3 * MINUTE)] {
        let mut schedule = Schedule::new(sizes(10 * SECOND, 100));
        schedule.apply(ms(0), &sample(1, 0));
        for at in [first, second] {
            assert_eq!(schedule.apply(ms(1), &Sample { heartbeat: true, ..sample(1, at) }), Exposure::Late);
        }
        assert_eq!(page(&schedule, 10 * SECOND, Some(HOUR)), [(1, -2 * MINUTE)]);
        assert_eq!(page(&schedule, MINUTE, Some(HOUR)), [(1, -2 * MINUTE)]);
    }
}

/// A line that was full is known to be no longer.
#[test]
fn room_that_was_made_is_used() {
    let full = || {
        let mut schedule = Schedule::new(sizes(10 * SECOND, 10_000));
        for number in 0..1100 {
            schedule.apply(ms(0), &sample(1, (number + 1) * MINUTE));
        }
        assert_eq!(schedule.apply(ms(0), &sample(1, 5000 * MINUTE)), Exposure::Crowded);
        schedule
    };
    let next = 3000 * MINUTE;
    let mut schedule = full();
    schedule.withdraw(ms(0), first(1), ms(7 * MINUTE), Reach::Exposed);
    assert_eq!(schedule.apply(ms(0), &sample(1, next)), Exposure::Scheduled { at: ms(next) });
    assert_eq!(schedule.apply(ms(0), &sample(1, 2 * next)), Exposure::Crowded);
    let mut schedule = full();
    assert_eq!(schedule.apply(ms(0), &sample(1, 7 * MINUTE)), Exposure::Duplicate);
    assert_eq!(schedule.apply(ms(MINUTE - 1), &sample(1, next)), Exposure::Crowded);
    assert_eq!(schedule.apply(ms(MINUTE), &sample(1, next)), Exposure::Scheduled { at: ms(next) }, "one of those was shown");
    let mut schedule = full();
    let other = SeriesId { generation: 2, ..first(1) };
    assert_eq!(schedule.apply(ms(0), &Sample { series: other, ..sample(1, next) }), Exposure::Scheduled { at: ms(next) });
    assert_eq!(schedule.places_of(1), [ms(next)], "another series has the number");
}

/// What was deleted and comes again is where it was.
#[test]
fn what_was_taken_off_is_shown_when_it_comes_again() {
    let hold = 10 * SECOND;
    // Behind: what pages with a window show besides, last.
    for behind in [false, true] {
        let mut schedule = Schedule::new(sizes(hold, 100));
        schedule.apply(ms(0), &sample(1, 0));
        if behind {
            schedule.apply(ms(0), &sample(1, -10 * MINUTE));
        }
        let (now, windowed) = (hold + 1, if behind { -10 * MINUTE } else { 0 });
        let pages = |schedule: &Schedule| [None, Some(HOUR)].map(|window| page(schedule, now, window));
        for at in [0, windowed] {
            schedule.withdraw(ms(now), first(1), ms(at), Reach::Waiting);
        }
        assert_eq!(pages(&schedule), [vec![(1, 0)], vec![(1, windowed)]], "what was shown stays when it is only replaced");
        for at in [0, windowed] {
            schedule.withdraw(ms(now), first(1), ms(at), Reach::Exposed);
        }
        assert_eq!(pages(&schedule), [vec![], vec![]]);
        assert_eq!(schedule.apply(ms(now), &sample(1, 0)), Exposure::Shown);
        assert_eq!(pages(&schedule), [vec![(1, 0)], if behind { vec![] } else { vec![(1, 0)] }]);
        if behind {
            assert_eq!(schedule.apply(ms(now), &sample(1, windowed)), Exposure::Shown);
            assert_eq!(pages(&schedule), [vec![(1, 0)], vec![(1, windowed)]]);
        }
        assert_eq!(schedule.apply(ms(now), &sample(1, windowed)), Exposure::Duplicate);
        assert_eq!(schedule.counts.duplicate, 1);
    }
}

/// The pace let a sample be shown there before it is on a plain page: what is older is out of order there, and only there.
#[test]
fn what_is_older_than_what_a_page_with_a_window_showed_is_behind_there() {
    let mut schedule = Schedule::new(sizes(10 * SECOND, 1));
    let (newer, older) = (11 * SECOND, 10 * SECOND);
    schedule.apply(ms(0), &sample(1, 0));
    schedule.apply(ms(0), &sample(1, -MINUTE));
    for series in [2, 3, 4] {
        schedule.apply(ms(0), &sample(series, 0));
    }
    schedule.apply(ms(newer), &sample(1, newer));
    // Its place goes to the newer one, and that one's to the next.
    schedule.withdraw(ms(newer), first(3), ms(0), Reach::Waiting);
    schedule.apply(ms(newer), &sample(1, -2 * MINUTE));
    let shown = |schedule: &Schedule, now, window| {
        let page = page(schedule, now, window);
        page.into_iter().filter(|(series, _)| *series == 1).map(|(_, at)| at).collect::<Vec<_>>()
    };
    let window = Some(20 * MINUTE);
    assert_eq!([32, 53].map(|now| shown(&schedule, now * SECOND, window)), [[newer], [-2 * MINUTE]]);
    schedule.apply(ms(53 * SECOND), &sample(1, older));
    let age_max = 9 * MINUTE;
    assert_eq!(shown(&schedule, older + age_max - 1, window), [older]);
    assert_eq!(shown(&schedule, older + age_max, window), [0; 0], "a server with this window would refuse it");
    assert_eq!([64, 100].map(|now| shown(&schedule, now * SECOND, None)), [[older], [newer]]);
}
