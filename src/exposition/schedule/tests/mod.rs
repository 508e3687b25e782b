//! The schedule against a literal model of the page contract, and against scrapers that refuse what Prometheus refuses.

mod books;
mod costs;
mod literal;
mod looks;
mod windows;

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

const START: i64 = 1_700_000_000_000;
const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

fn ms(millis: i64) -> Timestamp {
    Timestamp::from_millis(START + millis)
}

fn sizes(hold: i64, samples_max: usize) -> Sizes {
    Sizes { hold: Duration::from_millis(hold.unsigned_abs()), keep: AGE_MAX, samples_max }
}

/// A series that is the first of its number.
fn first(number: u32) -> SeriesId {
    SeriesId { number, generation: 1 }
}

fn sample(series: u32, at: i64) -> Sample {
    Sample { series: first(series), at: ms(at), value: 1.0, tie: series, heartbeat: false }
}

fn page(schedule: &Schedule, now: i64, window: Option<i64>) -> Vec<(u32, i64)> {
    let window = window.map(|window| Duration::from_millis(window.unsigned_abs()));
    let shown = schedule.shown(&View::new(ms(now), window, None, &schedule.sizes));
    shown.rows.iter().map(|row| (row.series.number, row.at.millis() - START)).collect()
}

/// When it came in, and the sample.
#[derive(Clone, Copy, Debug)]
struct Step {
    received: i64,
    series: u32,
    at: i64,
    heartbeat: bool,
}

impl Step {
    fn sample(&self) -> Sample {
        Sample { heartbeat: self.heartbeat, ..sample(self.series, self.at) }
    }
}

/// Bursts and pauses of a few series, with edges of any age; no two of a series at the same time.
fn steps(series: u32, most: usize) -> impl Strategy<Value = Vec<Step>> {
    let pause = prop_oneof![6 => 0..50_i64, 4 => 0..5 * SECOND, 1 => 0..20 * MINUTE, 1 => 40 * MINUTE..70 * MINUTE];
    let age = prop_oneof![
        6 => 0..3 * SECOND,
        2 => 0..MINUTE,
        1 => 0..49 * MINUTE,
        1 => 44 * MINUTE..50 * MINUTE,
        2 => -5 * SECOND..0,
        1 => -20 * MINUTE..0,
        1 => 0..5 * HOUR,
        1 => 0..80 * HOUR,
    ];
    prop::collection::vec((pause, 0..series, age, any::<bool>()), 1..most).prop_map(|raw| {
        let (mut received, mut used, mut steps) = (0, BTreeSet::new(), Vec::new());
        for (pause, series, age, heartbeat) in raw {
            received += pause;
            let at = received - age;
            if used.insert((series, at)) {
                steps.push(Step { received, series, at, heartbeat });
            }
        }
        steps
    })
}

/// The plain page contract, word by word, forgetting nothing and without a pace.
#[derive(Default)]
struct Model {
    hold: i64,
    /// By series: (exposed, at, heartbeat), by time.
    lines: BTreeMap<u32, Vec<(i64, i64, bool)>>,
}

impl Model {
    fn apply(&mut self, step: &Step) -> Exposure {
        let Step { received, series, at, heartbeat } = *step;
        let age = millis(AGE_MAX);
        let line = self.lines.entry(series).or_default();
        if at + age <= received {
            return Exposure::Old;
        }
        let (mut line_then, mut waiting): (Vec<_>, Vec<_>) = line.iter().copied().partition(|(exposed, ..)| *exposed <= received);
        if line_then.iter().any(|(_, shown, _)| *shown > at) {
            return Exposure::Late;
        }
        let position = waiting.iter().filter(|(_, waits, _)| *waits < at).count();
        let free = |line: &[(i64, i64, bool)]| line.last().map_or(i64::MIN, |(exposed, ..)| exposed + self.hold);
        let mut coalesced = false;
        if heartbeat && position > 0 && waiting[position - 1].2 && at <= waiting[position - 1].0 {
            waiting[position - 1].1 = at;
            coalesced = true;
        } else {
            let previous = if position > 0 { waiting[position - 1].0 + self.hold } else { free(&line_then) };
            if heartbeat && waiting.get(position).is_some_and(|next| next.2 && next.1 <= received.max(at).max(previous)) {
                return Exposure::Coalesced;
            }
            waiting.insert(position, (i64::MIN, at, heartbeat));
        }
        for (index, (exposed, at, heartbeat)) in waiting.into_iter().enumerate() {
            let place = if index < position || coalesced { exposed } else { received.max(at).max(free(&line_then)) };
            if place < at + age {
                line_then.push((place, at, heartbeat));
            }
        }
        *line = line_then;
        match line.iter().find(|place| place.1 == at) {
            None => Exposure::Old,
            Some((exposed, ..)) if *exposed <= received => Exposure::Shown,
            Some((exposed, ..)) if at > received => Exposure::Scheduled { at: ms(*exposed) },
            Some((exposed, ..)) => Exposure::Queued { until: ms(*exposed) },
        }
    }

    fn page(&self, now: i64) -> BTreeSet<(u32, i64)> {
        let shown = |(series, line): (&u32, &Vec<(i64, i64, bool)>)| {
            let (exposed, at, _) = *line.iter().rev().find(|(exposed, ..)| *exposed <= now)?;
            (now < at + millis(AGE_MAX) && now < exposed + millis(AGE_MAX)).then_some((*series, at))
        };
        self.lines.iter().filter_map(shown).collect()
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap()
}

proptest! {
    #[test]
    fn places_samples_as_the_contract_says(steps in steps(3, 60), hold in 1..200 * SECOND, looks in prop::collection::vec(0..90 * MINUTE, 8)) {
        let mut schedule = Schedule::new(sizes(hold, 1_000_000));
        let mut model = Model { hold, ..Model::default() };
        for (index, step) in steps.iter().enumerate() {
            prop_assert_eq!(schedule.apply(ms(step.received), &step.sample()), model.apply(step), "{:?}", step);
            let until = steps.get(index + 1).map_or(i64::MAX, |next| next.received);
            for now in looks.iter().map(|look| step.received + look).filter(|now| *now < until) {
                let shown: BTreeSet<_> = page(&schedule, now, None).into_iter().collect();
                prop_assert_eq!(shown, model.page(now), "at {}", now);
            }
        }
    }
}

/// A server that scrapes one page and takes in samples as Prometheus does, the head of its database ten minutes ahead.
struct Scraper {
    interval: i64,
    phase: i64,
    window: Option<i64>,
    newest: BTreeMap<u32, i64>,
    stored: BTreeSet<(u32, i64)>,
    refused: Vec<String>,
}

impl Scraper {
    fn new(interval: i64, window: Option<i64>) -> Self {
        let (newest, stored) = Default::default();
        Self { interval, phase: interval / 3, window, newest, stored, refused: Vec::new() }
    }

    /// Its scrapes from `from` to before `to`; those of a page known to be the same are left out.
    fn scrape(&mut self, schedule: &Schedule, from: i64, to: i64) {
        let mut now = from;
        loop {
            now += (self.phase - now).rem_euclid(self.interval);
            if now >= to {
                return;
            }
            let window = self.window.map(|window| Duration::from_millis(window.unsigned_abs()));
            let shown = schedule.shown(&View::new(ms(now), window, None, &schedule.sizes));
            assert!(shown.rows.len() <= schedule.sizes.samples_max);
            assert!(shown.until > ms(now));
            assert!(shown.rows.is_sorted_by_key(|row| (row.exposed, row.at, row.series)));
            let mut series = BTreeSet::new();
            for row in &shown.rows {
                assert!(series.insert(row.series), "series {:?} twice on a page", row.series);
                self.store(row.series.number, row.at.millis() - START, now);
            }
            now = (now + 1).max(shown.until.millis().saturating_sub(START)).min(to);
        }
    }

    fn store(&mut self, series: u32, at: i64, now: i64) {
        let newest = self.newest.get(&series).copied();
        let head = now + 10 * MINUTE;
        let in_order = newest.is_none_or(|newest| at > newest) && at >= head - HOUR;
        if at > now {
            self.refused.push(format!("{series} at {at}: in the future of {now}"));
        } else if self.stored.contains(&(series, at)) || in_order {
            self.newest.insert(series, newest.map_or(at, |newest| newest.max(at)));
            self.stored.insert((series, at));
        } else if self.window.is_some_and(|window| at >= head - window) {
            self.stored.insert((series, at));
        } else {
            self.refused.push(format!("{series} at {at}: out of order or bounds at {now}, after {newest:?}"));
        }
        // Repeating what is stored is silent only while the server would still accept it.
        if at < head - self.window.unwrap_or(0).max(HOUR) {
            self.refused.push(format!("{series} at {at}: repeated too long, at {now}"));
        }
    }
}

type Places = BTreeMap<(u32, Timestamp), (Place, bool)>;

/// What has or had a place on a kind of page; what waited and gave it up is taken out.
fn note_places(schedule: &Schedule, series: u32, on: On, places: &mut Places) {
    places.retain(|(of, _), (place, _)| *of != series || place.exposed <= schedule.received);
    for place in places_of(&schedule.lines, &schedule.timeline, series).iter().filter(|place| place.is_on(on)) {
        places.insert((series, place.at), (*place, false));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn scrapers_store_all_that_has_its_hold_and_refuse_nothing(
        steps in prop_oneof![steps(12, 120), steps(1, 60), steps(2, 60)],
        hold in prop_oneof![Just(4 * SECOND), Just(135 * SECOND), 20..300 * SECOND],
        samples_max in prop_oneof![2 => 1..12_usize, 1 => Just(1000)],
        window in prop_oneof![Just(20 * MINUTE), Just(30 * MINUTE), Just(HOUR), Just(4 * HOUR), Just(100 * HOUR)],
    ) {
        let sizes = sizes(hold, samples_max);
        let mut schedule = Schedule::new(sizes);
        let mut scrapers = [
            Scraper::new(hold / 2, None),
            Scraper::new((hold / 7).max(1), None),
            Scraper::new(hold / 2, Some(window)),
            Scraper::new((hold / 3).max(1), Some(window)),
        ];
        let (mut plain, mut windowed) = (Places::new(), Places::new());
        let mut from = 0;
        for step in &steps {
            for scraper in &mut scrapers {
                scraper.scrape(&schedule, from, step.received);
            }
            from = step.received;
            schedule.apply(ms(step.received), &step.sample());
            note_places(&schedule, step.series, On::Plain, &mut plain);
            note_places(&schedule, step.series, On::Windowed, &mut windowed);
        }
        let end = plain.values().chain(windowed.values()).map(|(place, _)| place.exposed).max().map_or(0, |last| last.millis() - START + hold);
        for scraper in &mut scrapers {
            scraper.scrape(&schedule, from, end + hold);
            prop_assert!(scraper.refused.is_empty(), "{:?}", scraper.refused);
            let view = View::new(ms(0), scraper.window.map(|window| Duration::from_millis(window.unsigned_abs())), None, &sizes);
            for ((series, at), (place, _)) in if scraper.window.is_some() { &windowed } else { &plain } {
                if place.exposed.plus(sizes.hold) <= view.end_of(place) {
                    prop_assert!(scraper.stored.contains(&(*series, at.millis() - START)), "lost {:?} of {}", place, series);
                }
            }
        }
        for places in [&plain, &windowed] {
            let mut begins: Vec<i64> = places.values().map(|(place, _)| place.exposed.millis()).collect();
            begins.sort_unstable();
            for span in begins.windows(samples_max + 1) {
                prop_assert!(span[samples_max] - span[0] >= hold, "more than {} within a hold", samples_max);
            }
        }
    }
}

#[test]
fn tells_what_becomes_of_a_sample() {
    // (received, at, heartbeat, answer), of one series, hold 10 s
    let rows: &[(i64, i64, bool, Exposure)] = &[
        (0, 0, false, Exposure::Shown),
        (1, 0, false, Exposure::Duplicate),
        (2, -SECOND, false, Exposure::Late),
        (2, -50 * MINUTE, false, Exposure::Old),
        (2, -49 * MINUTE, false, Exposure::Old),
        (SECOND, SECOND, false, Exposure::Queued { until: ms(10 * SECOND) }),
        (SECOND, 500, false, Exposure::Queued { until: ms(10 * SECOND) }),
        (SECOND, 500, false, Exposure::Duplicate),
        (SECOND, MINUTE, false, Exposure::Scheduled { at: ms(MINUTE) }),
        (2 * SECOND, 2 * SECOND, true, Exposure::Queued { until: ms(30 * SECOND) }),
        (3 * SECOND, 3 * SECOND, true, Exposure::Queued { until: ms(30 * SECOND) }),
        (3 * SECOND, 2500, true, Exposure::Coalesced),
        (70 * MINUTE, MINUTE + 1, false, Exposure::Old),
        (70 * MINUTE, 70 * MINUTE, false, Exposure::Shown),
    ];
    let mut schedule = Schedule::new(sizes(10 * SECOND, 100));
    for (received, at, heartbeat, answer) in rows {
        let sample = Sample { heartbeat: *heartbeat, ..sample(1, *at) };
        assert_eq!(schedule.apply(ms(*received), &sample), *answer, "received {received}, at {at}");
    }
    assert_eq!(schedule.counts, Counts { coalesced: 2, late: 1, old: 3, duplicate: 2, crowded: 0, beyond: 0 });
}

#[test]
fn a_series_that_beats_every_second_never_lags() {
    let mut schedule = Schedule::new(sizes(135 * SECOND, 100));
    for now in (0..2 * HOUR).step_by(1000) {
        schedule.apply(ms(now), &Sample { heartbeat: true, ..sample(1, now) });
        let (_, at) = page(&schedule, now, None)[0];
        assert!(now - at <= 135 * SECOND, "shows {at} at {now}");
        assert!(schedule.waiting(ms(now)).queued <= 1);
    }
}

#[test]
fn beats_do_not_starve_what_is_behind() {
    let mut schedule = Schedule::new(sizes(10 * SECOND, 100));
    let mut seen = BTreeSet::new();
    for now in (0..5 * MINUTE).step_by(1000) {
        schedule.apply(ms(now), &Sample { heartbeat: true, ..sample(1, now) });
        if now < 20 * SECOND {
            schedule.apply(ms(now), &sample(1, now - 3 * HOUR));
        }
        seen.extend(page(&schedule, now, Some(5 * HOUR)));
    }
    assert_eq!(seen.iter().filter(|(_, at)| *at < -HOUR).count(), 15, "{seen:?}");
}

#[test]
fn an_import_is_spread_and_leaves_room_for_the_present() {
    let mut schedule = Schedule::new(Sizes::of(&crate::exposition::Options { max_samples: 500, ..crate::exposition::Options::default() }));
    let mut placed = 0;
    for series in 0..12_000 {
        match schedule.apply(ms(0), &sample(series, -3 * MINUTE)) {
            Exposure::Old => {}
            _ => placed += 1,
        }
    }
    assert_eq!(page(&schedule, 0, None).len(), 400);
    assert!((7800..9000).contains(&placed), "{placed} of 12 000 in 46 min");
    for series in 20_000..20_100 {
        assert_eq!(schedule.apply(ms(1), &sample(series, 1)), Exposure::Shown);
    }
    assert_eq!(page(&schedule, 1, None).len(), 500);
    assert_eq!(
        schedule.apply(ms(1), &sample(30_000, 1)),
        Exposure::Queued { until: ms(1).max(schedule.lines.get(30_000).unwrap().places()[0].exposed) }
    );
    assert_eq!(schedule.waiting(ms(1)).queued, placed - 400 + 1);
}

#[test]
fn a_million_of_now_are_all_placed_within_the_age_limit() {
    let mut schedule = Schedule::new(Sizes::of(&crate::exposition::Options::default()));
    for series in 0..1_000_000 {
        assert_ne!(schedule.apply(ms(i64::from(series) / 400), &sample(series, i64::from(series) / 400)), Exposure::Old);
    }
    assert_eq!(page(&schedule, MINUTE, None).len(), 50_000);
    schedule.apply(ms(2 * HOUR), &sample(0, 2 * HOUR));
    assert_eq!(schedule.lines_there().count(), 1);
}

#[test]
fn a_window_of_any_length_is_a_page() {
    let mut schedule = Schedule::new(sizes(10 * SECOND, 100));
    schedule.apply(ms(0), &sample(1, 0));
    schedule.apply(ms(0), &sample(2, -70 * MINUTE));
    schedule.apply(ms(0), &sample(3, -400 * 24 * HOUR));
    schedule.apply(ms(0), &sample(4, -START - 1));
    schedule.apply(ms(0), &sample(5, -365 * 24 * HOUR));
    for (window, shown) in [(0, 1), (11 * MINUTE, 1), (HOUR, 1), (81 * MINUTE, 1), (82 * MINUTE, 2), (i64::MAX, 3)] {
        assert_eq!(page(&schedule, 0, Some(window)).len(), shown, "window {window}");
    }
    // Each has one reason.
    assert_eq!(schedule.counts, Counts { old: 2, beyond: 2, ..Counts::default() });
}

#[test]
fn keep_can_only_shorten() {
    let mut schedule = Schedule::new(sizes(10 * SECOND, 100));
    schedule.apply(ms(0), &sample(1, 0));
    for (keep, now, shown) in [(60, 59_999, 1), (60, 60_000, 0), (100_000, 49 * MINUTE - 1, 1), (100_000, 49 * MINUTE, 0)] {
        let view = View::new(ms(now), None, Some(Duration::from_secs(keep)), &schedule.sizes);
        assert_eq!(schedule.shown(&view).rows.len(), shown, "keep {keep} at {now}");
    }
}

#[test]
fn too_many_waiting_samples_of_a_series_are_refused() {
    let mut schedule = Schedule::new(sizes(10 * SECOND, 100));
    for at in 0..1100 {
        schedule.apply(ms(0), &sample(1, (1100 - at) * HOUR));
    }
    assert_eq!(schedule.counts.crowded, 1100 - 1024);
    assert!(schedule.places_of(1).contains(&ms(1100 * HOUR)));
    assert!(!schedule.places_of(1).contains(&ms(1)));
}

/// A window of 20 minutes takes nothing out of order that is older than 10; a beat that lags by more must stay in order.
#[test]
fn what_is_behind_never_overtakes_an_older_beat() {
    let hold = 135 * SECOND;
    let mut schedule = Schedule::new(sizes(hold, 100));
    let beat = |at| Sample { heartbeat: true, ..sample(1, at) };
    let mut scraper = Scraper::new(hold / 2, Some(20 * MINUTE));
    schedule.apply(ms(0), &sample(1, 0));
    for index in 1..=6 {
        schedule.apply(ms(0), &beat(index * hold));
    }
    for index in 1..=5 {
        schedule.apply(ms(0), &sample(1, -index));
    }
    schedule.apply(ms(0), &sample(1, 9 * hold));
    scraper.scrape(&schedule, 0, 10 * hold + hold / 2);
    assert_eq!(schedule.apply(ms(10 * hold + hold / 2), &sample(1, 8 * hold)), Exposure::Late);
    scraper.scrape(&schedule, 10 * hold + hold / 2, 20 * hold);
    assert!(scraper.refused.is_empty(), "{:?}", scraper.refused);
    for at in [6 * hold, 9 * hold] {
        assert!(scraper.stored.contains(&(1, at)), "{at} of {:?}", scraper.stored);
    }
}

#[test]
fn what_a_series_that_is_gone_left_makes_way_for_the_next_one_of_its_number() {
    let mut schedule = Schedule::new(sizes(MINUTE, 100));
    let next = |at| Sample { series: SeriesId { generation: 2, ..first(1) }, ..sample(1, at) };
    for at in [0, 1, 2] {
        schedule.apply(ms(2), &sample(1, at));
    }
    // One that only pages with a window can show, so that there are two queues.
    schedule.apply(ms(2), &sample(1, -10 * MINUTE));
    assert_eq!(schedule.waiting(ms(3)).queued, 2);
    schedule.withdraw(ms(3), next(2).series, ms(2), Reach::Exposed);
    assert_eq!(schedule.places_of(1), []);
    assert_eq!((schedule.waiting(ms(3)).queued, page(&schedule, 3, None)), (0, vec![]));
    // It neither repeats nor follows what was there, nor waits for it.
    assert_eq!(schedule.apply(ms(3), &next(1)), Exposure::Shown);
    assert_eq!(schedule.places_of(1), [ms(1)]);
    assert_eq!((page(&schedule, 3, None), page(&schedule, 10 * MINUTE, Some(HOUR))), (vec![(1, 1)], vec![(1, 1)]));
}

/// To the millisecond: what came in at its age limit is old and not late, and what would be shown at it is not shown.
#[test]
fn the_age_limit_is_no_age_to_be_shown_at() {
    let (hold, limit) = (MINUTE, millis(AGE_MAX));
    for (received, expected) in [(limit - 1, Exposure::Late), (limit, Exposure::Old)] {
        let mut schedule = Schedule::new(sizes(hold, 100));
        schedule.apply(ms(received - 1), &sample(1, 9));
        assert_eq!(schedule.apply(ms(received), &sample(1, 0)), expected, "received at {received}");
    }
    for (received, shown) in [(limit - hold, true), (limit - hold + 1, false)] {
        let mut schedule = Schedule::new(sizes(hold, 100));
        schedule.apply(ms(received), &sample(1, 0));
        let exposure = if shown { Exposure::Queued { until: ms(received + hold) } } else { Exposure::Old };
        assert_eq!(schedule.apply(ms(received), &sample(1, 1)), exposure, "received at {received}");
        assert_eq!((page(&schedule, received + hold, None), schedule.counts.old), if shown { (vec![(1, 1)], 0) } else { (vec![], 1) });
    }
}

#[test]
fn a_place_is_small() {
    assert_eq!(size_of::<Place>(), 40, "there is one for each series of the last hour");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    /// What is known of a crowded line is what it says itself.
    #[test]
    fn who_is_turned_away_would_have_found_no_place(times in prop::collection::vec((0i64..3_000_000, 0i64..2000, 0u8..8), 1400), newest_first in any::<bool>()) {
        let mut schedules = [0, 1].map(|_| Schedule::new(sizes(135 * SECOND, 50_000)));
        let mut now = 4_000_000;
        for (number, &(before, later, kind)) in times.iter().enumerate() {
            now += if kind == 0 { later } else { 0 };
            let number = i64::try_from(number).unwrap();
            let at = if newest_first { 4_000_000 - number * 900 } else { now - before };
            let sample = Sample { heartbeat: kind == 1, ..sample(u32::from(kind == 2), at) };
            let [quick, slow] = &mut schedules;
            slow.crowds = Crowds::default();
            prop_assert_eq!(quick.apply(ms(now), &sample), slow.apply(ms(now), &sample), "{}", number);
            prop_assert_eq!(quick.counts, slow.counts);
        }
        let [quick, slow] = &schedules;
        prop_assert_eq!(page(quick, now, None), page(slow, now, None));
        prop_assert_eq!(page(quick, now + 400_000, Some(86_400_000)), page(slow, now + 400_000, Some(86_400_000)));
    }
}
