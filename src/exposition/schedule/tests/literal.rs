//! The same places, settled the plain way: an insertion takes all that waits behind it off the timeline and places each anew,
//! the timeline looks at every slot, what is old is forgotten at once. Each place and each slot must be the same.

use super::*;
use crate::exposition::queue::BEHIND_MAX;
use crate::exposition::queue::Coalesced;
use crate::exposition::queue::Inserted;
use crate::exposition::queue::WAITING_MAX;
use crate::time::millis_of;

/// How many places begin in each slot.
struct Slots {
    width: i64,
    limits: [u32; 2],
    taken: BTreeMap<i64, u32>,
}

impl Slots {
    fn slot_of(&self, moment: Timestamp) -> i64 {
        moment.millis().div_euclid(self.width)
    }

    /// The first slot of which no window of 21 slots over it is full.
    fn find(&self, earliest: Timestamp, class: Class) -> Timestamp {
        let sum = |first: i64| self.taken.range(first..first + 21).map(|(_, taken)| *taken).sum::<u32>();
        let has_room = |slot: i64| (slot - 20..=slot).all(|first| sum(first) < self.limits[class as usize]);
        let slot = (self.slot_of(earliest)..i64::MAX).find(|slot| has_room(*slot)).unwrap();
        earliest.max(Timestamp::from_millis(slot * self.width))
    }

    fn take(&mut self, place: &Place) {
        *self.taken.entry(self.slot_of(place.exposed)).or_default() += 1;
    }

    fn release(&mut self, place: &Place) {
        *self.taken.get_mut(&self.slot_of(place.exposed)).unwrap() -= 1;
    }
}

#[derive(Clone, Default)]
struct LiteralQueue {
    last: Option<Place>,
    newest: Option<Place>,
    waiting: Vec<Place>,
}

struct Moment<'a> {
    received: Timestamp,
    hold: Duration,
    slots: &'a mut Slots,
}

impl LiteralQueue {
    fn at(places: impl Iterator<Item = Place>, moment: Timestamp) -> Self {
        let mut queue = Self::default();
        for place in places {
            if place.exposed > moment {
                queue.waiting.push(place);
            } else {
                queue.newest =
                    [queue.newest, queue.last].into_iter().flatten().filter(|past| past.at > place.at).max_by_key(|past| past.at);
                queue.last = Some(place);
            }
        }
        queue
    }

    fn places(&self) -> impl Iterator<Item = Place> {
        self.newest.iter().chain(&self.last).chain(&self.waiting).copied()
    }

    fn on(&self, on: On) -> Self {
        let moved = |place: &Place| Place { on, ..*place };
        Self {
            last: self.last.as_ref().map(moved),
            newest: self.newest.as_ref().map(moved),
            waiting: self.waiting.iter().map(moved).collect(),
        }
    }

    fn withdraw(&mut self, at: Timestamp, reach: Reach, moment: &mut Moment<'_>) {
        for place in self.waiting.extract_if(.., |place| place.at == at) {
            moment.slots.release(&place);
        }
        for place in [&mut self.last, &mut self.newest].into_iter().flatten().filter(|place| reach == Reach::Exposed && place.at == at) {
            place.hidden = true;
        }
    }

    fn insert(&mut self, sample: Place, moment: &mut Moment<'_>) -> Inserted {
        let hold = moment.hold;
        let earliest = sample.at.max(moment.received);
        if sample.heartbeat {
            let fresh = || self.waiting.iter().enumerate().filter(|(_, waits)| !waits.behind);
            let before = fresh().rfind(|(_, waits)| waits.at <= sample.at);
            let mut ready = earliest.max(self.last.map_or(Timestamp::MIN, |last| last.exposed.plus(hold)));
            if let Some((index, before)) = before {
                if before.heartbeat && sample.at <= before.exposed {
                    self.waiting[index] = Place { exposed: before.exposed, ..sample };
                    return Inserted::Coalesced(Coalesced::Earlier);
                }
                ready = ready.max(before.exposed.plus(hold));
            }
            if fresh().find(|(_, waits)| waits.at > sample.at).is_some_and(|(_, after)| after.heartbeat && after.at <= ready) {
                return Inserted::Coalesced(Coalesced::This);
            }
        }
        let overtakes = |waits: &Place| if waits.behind { waits.exposed.plus(hold) > earliest } else { waits.at > sample.at };
        let position = self.waiting.iter().position(overtakes).unwrap_or(self.waiting.len());
        self.place_from(position, sample, moment)
    }

    fn insert_behind(&mut self, sample: Place, moment: &mut Moment<'_>) -> Inserted {
        let position = self.waiting.iter().rposition(|waits| waits.behind).map_or(0, |last| last + 1);
        if let Some(waits) = position.checked_sub(1).map(|last| &mut self.waiting[last]).filter(|waits| waits.heartbeat && sample.heartbeat)
        {
            if waits.at >= sample.at {
                return Inserted::Coalesced(Coalesced::This);
            }
            *waits = Place { exposed: waits.exposed, ..sample };
            return Inserted::Coalesced(Coalesced::Earlier);
        }
        self.place_from(position, sample, moment)
    }

    fn place_from(&mut self, position: usize, sample: Place, moment: &mut Moment<'_>) -> Inserted {
        if self.waiting.len() >= WAITING_MAX {
            return Inserted::Crowded;
        }
        let moved = self.waiting.split_off(position);
        for place in &moved {
            moment.slots.release(place);
        }
        let (mut behind, mut fresh): (Vec<Place>, Vec<Place>) = moved.into_iter().partition(|place| place.behind);
        if sample.behind {
            behind.push(sample);
        } else {
            fresh.insert(fresh.partition_point(|waits| waits.at < sample.at), sample);
        }
        let mut evicted = Vec::new();
        while !fresh.is_empty() || !behind.is_empty() {
            let previous = self.waiting.last().or(self.last.as_ref());
            let free = previous.map_or(Timestamp::MIN, |place| place.exposed.plus(moment.hold)).max(moment.received);
            let gap = behind.first().map(|next| moment.slots.find(free, next.class)).filter(|gap| {
                fresh.first().is_none_or(|in_order| {
                    let alternates = in_order.heartbeat && behind[0].at < in_order.at && previous.is_some_and(|place| !place.behind);
                    alternates || gap.plus(moment.hold) <= in_order.at.max(free)
                })
            });
            let mut place = if gap.is_some() { behind.remove(0) } else { fresh.remove(0) };
            place.exposed = gap.unwrap_or_else(|| moment.slots.find(free.max(place.at), place.class));
            let on_page = place.at.plus(place.on.age_max());
            if place.exposed >= if place.behind { on_page.min(moment.received.plus(BEHIND_MAX)) } else { on_page } {
                evicted.push(place);
            } else {
                moment.slots.take(&place);
                self.waiting.push(place);
            }
        }
        Inserted::Placed { evicted }
    }
}

struct LiteralQueues {
    plain: LiteralQueue,
    windowed: Option<LiteralQueue>,
}

impl LiteralQueues {
    fn open(places: &[Place], generation: u32, moment: &mut Moment<'_>) -> Self {
        let (own, others): (Vec<Place>, Vec<Place>) = places.iter().copied().partition(|place| place.generation == generation);
        others.iter().filter(|place| place.exposed > moment.received).for_each(|place| moment.slots.release(place));
        let queue = |on| LiteralQueue::at(own.iter().filter(|place| place.is_on(on)).copied(), moment.received);
        let are_apart = own.iter().any(|place| place.on != On::Both);
        Self { plain: queue(On::Plain), windowed: are_apart.then(|| queue(On::Windowed)) }
    }

    fn apply(&mut self, sample: Place, moment: &mut Moment<'_>, counts: &mut Counts) -> Exposure {
        let mut found = false;
        for queue in std::iter::once(&mut self.plain).chain(&mut self.windowed) {
            for place in [&mut queue.last, &mut queue.newest].into_iter().flatten().filter(|place| place.at == sample.at && place.hidden) {
                (place.hidden, found) = (false, true);
            }
        }
        if found {
            return Exposure::Shown;
        }
        if self.plain.places().chain(self.windowed.iter().flat_map(LiteralQueue::places)).any(|place| place.at == sample.at) {
            counts.duplicate += 1;
            return Exposure::Duplicate;
        }
        let is_old = sample.at.plus(AGE_MAX) <= moment.received;
        if is_old || self.plain.last.is_some_and(|last| sample.at < last.at) {
            let shown = self.show_behind(sample, moment);
            *(if !shown {
                &mut counts.beyond
            } else if is_old {
                &mut counts.old
            } else {
                &mut counts.late
            }) += 1;
            return if is_old { Exposure::Old } else { Exposure::Late };
        }
        if let Some(windowed) = &mut self.windowed {
            let newest = windowed.newest.or(windowed.last).map(|place| place.at);
            let sample = Place { on: On::Windowed, behind: newest.is_some_and(|newest| sample.at < newest), ..sample };
            drop(if sample.behind { windowed.insert_behind(sample, moment) } else { windowed.insert(sample, moment) });
        }
        let on = if self.windowed.is_some() { On::Plain } else { On::Both };
        match self.plain.insert(Place { on, ..sample }, moment) {
            Inserted::Placed { evicted } => {
                for place in evicted {
                    let shown = on == On::Plain || self.show_behind(place, moment);
                    *(if shown { &mut counts.old } else { &mut counts.beyond }) += 1;
                }
            }
            Inserted::Coalesced(which) => {
                counts.coalesced += 1;
                if which == Coalesced::This {
                    return Exposure::Coalesced;
                }
            }
            Inserted::Crowded => {
                counts.crowded += 1;
                return Exposure::Crowded;
            }
        }
        match self.plain.waiting.iter().find(|place| place.at == sample.at) {
            None => Exposure::Old,
            Some(place) if place.exposed <= moment.received => Exposure::Shown,
            Some(place) if sample.at > moment.received => Exposure::Scheduled { at: place.exposed },
            Some(place) => Exposure::Queued { until: place.exposed },
        }
    }

    fn show_behind(&mut self, sample: Place, moment: &mut Moment<'_>) -> bool {
        if self.windowed.is_none() {
            let windowed = self.plain.on(On::Windowed);
            windowed.waiting.iter().for_each(|place| moment.slots.take(place));
            self.plain = self.plain.on(On::Plain);
            self.windowed = Some(windowed);
        }
        let inserted = self.windowed.as_mut().unwrap().insert_behind(Place { on: On::Windowed, behind: true, ..sample }, moment);
        match inserted {
            Inserted::Placed { evicted } => evicted.iter().all(|place| place.at != sample.at),
            Inserted::Coalesced(_) => true,
            Inserted::Crowded => false,
        }
    }

    fn close(self, moment: &mut Moment<'_>) -> Vec<Place> {
        let Some(windowed) = self.windowed else { return self.plain.places().collect() };
        let both: Vec<Place> = self.plain.on(On::Both).places().collect();
        if windowed.on(On::Both).places().eq(both.iter().copied()) {
            windowed.waiting.iter().for_each(|place| moment.slots.release(place));
            return both;
        }
        let mut places: Vec<Place> = self.plain.places().chain(windowed.places()).collect();
        places.sort_by_key(|place| place.exposed);
        places
    }
}

struct LiteralSchedule {
    hold: Duration,
    received: Timestamp,
    slots: Slots,
    lines: BTreeMap<u32, Vec<Place>>,
    counts: Counts,
}

impl LiteralSchedule {
    fn new(sizes: &Sizes) -> Self {
        let limit = u32::try_from(sizes.samples_max).unwrap();
        let slots = Slots { width: (millis_of(sizes.hold) + 19) / 20, limits: [limit, limit - limit / 5], taken: BTreeMap::new() };
        Self { hold: sizes.hold, received: Timestamp::MIN, slots, lines: BTreeMap::new(), counts: Counts::default() }
    }

    /// Opens the line of a series at this time, does something to it, and closes it.
    fn change<T>(
        &mut self,
        received: Timestamp,
        series: SeriesId,
        change: impl FnOnce(&mut LiteralQueues, &mut Moment<'_>, &mut Counts) -> T,
    ) -> T {
        self.received = self.received.max(received);
        let first = self.slots.slot_of(self.received.minus(AGE_MAX));
        self.slots.taken = self.slots.taken.split_off(&first);
        let width = self.slots.width;
        let is_there = move |places: &[Place]| places.iter().any(|place| place.exposed.millis().div_euclid(width) >= first);
        self.lines.retain(|_, places| is_there(places));
        let mut moment = Moment { received: self.received, hold: self.hold, slots: &mut self.slots };
        let places = self.lines.remove(&series.number).unwrap_or_default();
        let mut queues = LiteralQueues::open(&places, series.generation, &mut moment);
        let done = change(&mut queues, &mut moment, &mut self.counts);
        self.lines.insert(series.number, queues.close(&mut moment));
        self.lines.retain(|_, places| is_there(places));
        done
    }

    fn state(&self) -> Vec<String> {
        let mut all = vec![format!("received {} {:?}", self.received.millis(), self.counts)];
        let taken = self.slots.taken.iter().filter(|(_, taken)| **taken > 0);
        all.extend(taken.map(|(slot, taken)| format!("slot {slot}: {taken}")));
        all.extend(self.lines.iter().map(|(series, places)| format!("series {series}: {places:?}")));
        all
    }
}

/// Lines that are long: what is due within days, or came long after its time, newest first or not.
fn long_lines(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let pause = prop_oneof![8 => Just(0_i64), 2 => 0..20 * SECOND, 1 => 0..20 * MINUTE];
    let slope = prop_oneof![Just(0), -3 * MINUTE..3 * MINUTE];
    let age = prop_oneof![6 => -2 * HOUR..MINUTE, 2 => 0..5 * HOUR, 1 => 0..80 * HOUR];
    let raw = prop::collection::vec((pause, 0..2_u32, age, prop::bool::weighted(0.2)), 1..most);
    (raw, slope).prop_map(|(raw, slope)| {
        let (mut received, mut steps) = (0, Vec::new());
        for (number, (pause, series, age, heartbeat)) in raw.into_iter().enumerate() {
            received += pause;
            steps.push(Step { received, series, at: received - age - slope * i64::try_from(number).unwrap(), heartbeat });
        }
        steps
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn each_place_is_what_placing_all_anew_gives(
        steps in prop_oneof![steps(4, 80), steps(1, 60), long_lines(120)],
        others in prop::collection::vec((0..16_u8, any::<prop::sample::Index>()), 120),
        hold in prop_oneof![Just(1), Just(4 * SECOND), Just(135 * SECOND), 1..300 * SECOND, Just(49 * MINUTE)],
        samples_max in prop_oneof![1..12_usize, 30..120_usize, Just(1000)],
    ) {
        let sizes = sizes(hold, samples_max);
        let (mut schedule, mut literal) = (Schedule::new(sizes), LiteralSchedule::new(&sizes));
        let mut generations = [1; 4];
        for (step, (other, index)) in steps.iter().zip(others) {
            let generation = &mut generations[step.series as usize];
            let series = SeriesId { number: step.series, generation: *generation };
            let there = schedule.places_of(step.series);
            match other {
                0..3 if !there.is_empty() => {
                    let reach = if other == 0 { Reach::Waiting } else { Reach::Exposed };
                    let at = *index.get(&there);
                    schedule.withdraw(ms(step.received), series, at, reach);
                    literal.change(ms(step.received), series, |queues, moment, _| {
                        queues.plain.withdraw(at, reach, moment);
                        queues.windowed.iter_mut().for_each(|windowed| windowed.withdraw(at, reach, moment));
                    });
                    prop_assert_eq!(schedule.state(), literal.state(), "withdrawn {:?}", at);
                }
                // The series is gone, and its number is another one's.
                3 => *generation += 1,
                _ => {}
            }
            let series = SeriesId { generation: *generation, ..series };
            let sample = Sample { series, ..step.sample() };
            let exposure = literal.change(ms(step.received), series, |queues, moment, counts| {
                let place = Place {
                    exposed: Timestamp::MIN,
                    at: sample.at,
                    value: sample.value,
                    tie: sample.tie,
                    generation: series.generation,
                    heartbeat: sample.heartbeat,
                    class: if sample.at.plus(sizes.hold) < moment.received { Class::Bulk } else { Class::Live },
                    on: On::Both,
                    behind: false,
                    hidden: false,
                };
                queues.apply(place, moment, counts)
            });
            prop_assert_eq!(schedule.apply(ms(step.received), &sample), exposure, "{:?}", step);
            prop_assert_eq!(schedule.state(), literal.state(), "{:?}", step);
        }
    }
}
