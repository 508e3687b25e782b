//! A look that takes its time sees one moment, whatever is applied meanwhile.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_look_sees_the_moment_when_it_began(
        steps in prop_oneof![steps(3, 60), steps(12, 120)],
        later in prop::collection::vec((0..12_u32, 0..3 * MINUTE, any::<bool>(), 0..4_u8), 0..40),
        jump in prop_oneof![4 => Just(0), 1 => 0..3 * HOUR],
        hold in prop_oneof![Just(4 * SECOND), Just(135 * SECOND), 20..300 * SECOND],
        samples_max in prop_oneof![1..12_usize, Just(1000)],
        window in prop::option::of(Just(4 * HOUR)),
        most in 1..4_usize,
        look_after in 0..20 * MINUTE,
    ) {
        let sizes = sizes(hold, samples_max);
        let mut schedule = Schedule::new(sizes);
        let mut received = 0;
        for step in &steps {
            received = step.received;
            schedule.apply(ms(received), &step.sample());
        }
        let now = received + look_after;
        let window = window.map(|window| Duration::from_millis(window.unsigned_abs()));
        let view = View::new(ms(now), window, None, &sizes);
        let expected = schedule.shown(&view);
        let mut look = schedule.begin_look(&view);
        let mut later = later.into_iter();
        received = now + jump;
        while schedule.look(&mut look, most) {
            let Some((series, age, withdraws, pause)) = later.next() else { continue };
            received += i64::from(pause) * SECOND;
            match schedule.places_of(series).first() {
                Some(&at) if withdraws => schedule.withdraw(ms(received), first(series), at, Reach::Exposed),
                _ => drop(schedule.apply(ms(received), &sample(series, received - age))),
            }
        }
        let seen = look.end(&schedule.end_look());
        prop_assert_eq!((&seen.rows, seen.cut), (&expected.rows, expected.cut));
        prop_assert!(seen.until > ms(now) && seen.until <= expected.until);
        // What was to be forgotten meanwhile still is, when all that waits has had its turn: one place a hold, at the least.
        let end = received + 3 * HOUR + 200 * hold;
        for number in 0..1000 {
            schedule.apply(ms(end), &sample(100 + number % 8, end));
        }
        prop_assert!(schedule.lines.state().all(|(series, _)| series >= 100));
    }
}
