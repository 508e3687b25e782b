//! Changes of whole events beside retirement: what a log and its checkpoints fold to is what was there, whatever came between.

use super::*;
use crate::event::Describe;
use crate::event::RetirePart;
use std::collections::VecDeque;

/// What a log has, and what its last checkpoint carries instead of what was before.
struct Log {
    store: Store,
    carried: Vec<Record>,
    rest: Vec<Record>,
    received: i64,
    /// How many records there ever were.
    count: u64,
    /// The last record that a retirement was about.
    retired: u64,
    /// Every edge that was ever sent.
    sent: Vec<Edge>,
    /// What is done of a retirement in parts, and of the checkpoint after it.
    parts: Option<Parts>,
    compaction: Option<Compaction>,
}

/// A retirement that is going on.
struct Parts {
    next: RetirePart,
    /// How many edges went since it began at the first one, and whether it is to begin again.
    gone: usize,
    again: bool,
    checkpoint: bool,
}

/// A checkpoint that is being made: what is to stay, and what is not looked at yet.
struct Compaction {
    upto: u64,
    kept: Vec<Record>,
    left: VecDeque<Record>,
}

type Record = (u64, i64, Command);

#[derive(Clone, Debug)]
enum Step {
    /// An edge: its state, when, of whom, and whether it supersedes.
    Edge(EdgeState, i64, u8, bool),
    Again(usize),
    Describe {
        event: usize,
        stop: Option<i64>,
        text: u8,
    },
    Put {
        id: u8,
        start: i64,
        stop: Option<i64>,
    },
    Delete(usize),
    /// What is older than this part of the log goes: at once, or so many edges by each step of it.
    Retire {
        part: usize,
        checkpoint: bool,
        edges: Option<u32>,
    },
    /// A retirement goes on by a part, or its checkpoint by so many records.
    GoOn(usize),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let state = prop_oneof![3 => Just(EdgeState::Start), 3 => Just(EdgeState::Stop), 1 => Just(EdgeState::Point)];
    let index = || 0usize..40;
    prop_oneof![
        6 => (state, 0i64..12, 0u8..2, prop::bool::weighted(0.3)).prop_map(|(state, at, entity, group)| Step::Edge(state, at * 2, entity, group)),
        3 => index().prop_map(Step::Again),
        3 => (index(), prop::option::of(0i64..14), 0u8..3).prop_map(|(event, stop, text)| Step::Describe { event, stop, text }),
        2 => (0u8..2, 0i64..4, prop::option::of(4i64..8)).prop_map(|(id, start, stop)| Step::Put { id, start, stop }),
        3 => index().prop_map(Step::Delete),
        4 => (index(), any::<bool>(), prop::option::of(1u32..8)).prop_map(|(part, checkpoint, edges)| Step::Retire { part, checkpoint, edges }),
        8 => (1usize..6).prop_map(Step::GoOn),
        1 => Just(Step::Restart),
    ]
}

/// So long after every edge that all of them may go.
const BEGIN: i64 = 1_000_000_000_000;

impl Log {
    fn new() -> Self {
        let (carried, rest, count, retired, sent, parts, compaction) = Default::default();
        Self { store: Self::store(), carried, rest, received: BEGIN, count, retired, sent, parts, compaction }
    }

    fn store() -> Store {
        Store::new(Options { pairing_skew: Duration::from_millis(3), ..Options::default() })
    }

    fn events(&self) -> Vec<EventView> {
        self.store.tenant("acme").map(|tenant| tenant.select(&everything()).events).unwrap_or_default()
    }

    /// Of the last record.
    fn arrival(&self) -> Arrival {
        Arrival { position: self.count, received: at(self.received) }
    }

    /// As the writer does: what is known leaves no record, and a change says what it is about.
    fn commit(&mut self, mut command: Command) -> Applied {
        match &mut command {
            Command::Change(Change::Put(put)) => put.number = self.store.number("acme", &put.id),
            Command::Change(Change::Describe(describe)) => describe.span = self.store.span("acme", &describe.edge.to_string()),
            Command::Change(Change::Delete(delete)) => delete.span = self.store.span("acme", &delete.id),
            _ => {}
        }
        self.received += 1;
        let mut admission = Admission::default();
        let is_new = match &command {
            Command::Edge(edge) => self.store.admit_edge(edge, edge.id(), at(self.received), &mut admission) == Ok(Admitted::New),
            _ => true,
        };
        if !is_new {
            return Applied::Nothing;
        }
        self.count += 1;
        let applied = self.store.apply_record(self.arrival(), &command);
        self.rest.push((self.count, self.received, command));
        applied
    }

    fn play(&mut self, next: &Step) {
        match next {
            Step::Edge(state, time, entity, group) => {
                let edge = Said { state: *state, at: *time, entity: *entity, outcome: 0, superseding: *group }.edge();
                self.sent.push(edge.clone());
                self.commit(Command::Edge(edge));
            }
            Step::Again(which) if !self.sent.is_empty() => drop(self.commit(Command::Edge(self.sent[which % self.sent.len()].clone()))),
            Step::Describe { event, stop, text } => {
                let events: Vec<EventView> = self.events().into_iter().filter(|event| !event.own_id).collect();
                if events.is_empty() {
                    return;
                }
                let event = &events[event % events.len()];
                let first = event.first().unwrap();
                let stop = stop.filter(|_| event.open).map(|after| Edge {
                    identity: event.identity,
                    lapses: false,
                    labels: first.labels.clone(),
                    ..Said { state: EdgeState::Stop, at: first.at.millis() + after, entity: 0, outcome: 0, superseding: false }.edge()
                });
                self.sent.extend(stop.clone());
                let details = Details { description: text.to_string().into(), ..Details::default() };
                let describe = Describe { organization: "acme".into(), edge: first.id, span: None, stop, details };
                self.commit(Command::Change(Change::Describe(Box::new(describe))));
            }
            Step::Put { id, start, stop } => {
                let id = format!("own-{id}");
                let edge = |state, time| Edge {
                    identity: Identity::of_id(&id),
                    ..Said { state, at: time, entity: 5, outcome: 0, superseding: false }.edge()
                };
                let (start, stop) = (edge(EdgeState::Start, *start), stop.map(|stop| edge(EdgeState::Stop, stop)));
                let put = Put { id: id.clone().into(), created: None, number: None, start, stop, details: Details::default() };
                self.commit(Command::Change(Change::Put(Box::new(put))));
            }
            Step::Delete(event) => {
                let events = self.events();
                if !events.is_empty() {
                    let id = events[event % events.len()].id.clone();
                    self.commit(Command::Change(Change::Delete(Delete { organization: "acme".into(), id, span: None })));
                }
            }
            Step::Retire { part, checkpoint, edges } if !self.rest.is_empty() && self.parts.is_none() && self.compaction.is_none() => {
                let (upto, last, _) = self.rest[part % self.rest.len()];
                if upto < self.retired {
                    return;
                }
                self.retired = upto;
                if let Some(edges) = *edges {
                    let next = RetirePart { organization: "acme".into(), before: at(last), upto, skip: 0, edges };
                    self.parts = Some(Parts { next, gone: 0, again: false, checkpoint: *checkpoint });
                    return;
                }
                self.commit(Command::Retire { before: at(last), upto });
                if *checkpoint {
                    self.checkpoint(upto);
                    self.compact(usize::MAX);
                }
            }
            Step::GoOn(records) => {
                self.retire_part();
                self.compact(*records);
            }
            Step::Restart => {
                (self.parts, self.compaction) = (None, None);
                self.store = self.folded();
            }
            Step::Again(_) | Step::Retire { .. } => {}
        }
    }

    /// The next part of the retirement that is going on, if there is one.
    fn retire_part(&mut self) {
        let Some(mut parts) = self.parts.take() else { return };
        let Applied::Retired(retired) = self.commit(Command::RetirePart(parts.next.clone())) else { panic!("nothing was retired") };
        (parts.next.skip, parts.gone, parts.again) = (retired.next, parts.gone + retired.gone, parts.again || retired.again);
        if (retired.next as usize) < self.store.old("acme", parts.next.before) {
            self.parts = Some(parts);
        } else if parts.again && parts.gone > 0 {
            let next = RetirePart { skip: 0, ..parts.next };
            self.parts = Some(Parts { next, gone: 0, again: false, ..parts });
        } else if parts.checkpoint {
            self.checkpoint(parts.next.upto);
        }
    }

    fn checkpoint(&mut self, upto: u64) {
        let before = self.rest.partition_point(|(position, ..)| *position <= upto);
        let left = self.carried.iter().chain(&self.rest[..before]).cloned().collect();
        self.compaction = Some(Compaction { upto, kept: Vec::new(), left });
    }

    /// Looks at so many records of the checkpoint that is being made, if there is one; with the last it counts.
    fn compact(&mut self, records: usize) {
        let Some(mut compaction) = self.compaction.take() else { return };
        let looked_at = compaction.left.drain(..records.min(compaction.left.len()));
        compaction.kept.extend(looked_at.filter(|(_, received, command)| self.store.remembers_record(at(*received), command)));
        if !compaction.left.is_empty() {
            self.compaction = Some(compaction);
            return;
        }
        self.rest.retain(|(position, ..)| *position > compaction.upto);
        self.carried = compaction.kept;
    }

    /// What a start folds: a retirement of what only the checkpoint has was done before.
    fn folded(&self) -> Store {
        let store = Self::store();
        let uncarried = self.rest.first().map_or(u64::MAX, |(position, ..)| *position);
        for (position, received, command) in self.carried.iter().chain(&self.rest) {
            if !matches!(command, Command::Retire { upto, .. } | Command::RetirePart(RetirePart { upto, .. }) if *upto < uncarried) {
                store.apply_record(Arrival { position: *position, received: at(*received) }, command);
            }
        }
        store
    }

    /// Of each event, by which it is found.
    fn numbers(&self) -> BTreeMap<Box<str>, u64> {
        let mut seen = BTreeSet::new();
        let number = |event: EventView| {
            assert!(seen.insert(event.number) && event.number <= self.count, "{event:?}");
            let found = self.store.tenant("acme").unwrap().event_by_number(event.number);
            assert_eq!(found.map(|found| found.id), Some(event.id.clone()));
            (event.id, event.number)
        };
        self.events().into_iter().map(number).collect()
    }

    #[track_caller]
    fn is_as_folded(&self) {
        let (seen, folded) = (seen(&self.store), seen(&self.folded()));
        let only = |these: &[String], those: &[String]| {
            these.iter().filter(|line| !those.contains(line)).cloned().collect::<Vec<_>>().join("\n  ")
        };
        assert!(seen == folded, "a restart changes\n  {}\nto\n  {}", only(&seen, &folded), only(&folded, &seen));
    }
}

/// All that a reader, a sender and a page can see, in lines.
fn seen(store: &Store) -> Vec<String> {
    let mut lines = vec![format!("{:?}", store.stats(at(BEGIN)))];
    let Some(tenant) = store.tenant("acme") else { return lines };
    for order in [Order::Start, Order::End, Order::Update] {
        let events = tenant.select(&Query { order, ..everything() }).events;
        lines.extend(events.iter().map(|event| format!("by {order:?}: {event:?} {:?}", store.span("acme", &event.id))));
    }
    tenant.open_gauges(ClusterId(0), at(BEGIN), &mut |gauge| lines.push(format!("open since {:?}", gauge.since)));
    let mut known = tenant.every_edge();
    known.sort_unstable();
    lines.extend(known.iter().map(|edge| format!("{edge:?}")));
    lines
}

#[track_caller]
fn check(steps: &[Step]) {
    let mut log = Log::new();
    for step in steps {
        let before = log.numbers();
        log.play(step);
        log.is_as_folded();
        let after = log.numbers();
        let is_of_senders = !matches!(step, Step::Retire { .. } | Step::GoOn(_) | Step::Restart);
        for (id, number) in after {
            let same = before.get(&id).is_none_or(|before| *before == number);
            assert!(same || (is_of_senders && !id.starts_with("own")), "{id} had {:?} and has {number} after {step:?}", before.get(&id));
            assert!(is_of_senders || before.contains_key(&id), "{id} is new after {step:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if std::env::var_os("CHANGE_EVENTS_FULL").is_some() { 30_000 } else { 600 }))]

    #[test]
    fn changes_beside_retirement_are_what_a_log_folds_to(steps in prop::collection::vec(step(), 1..30)) {
        check(&steps);
    }

    #[test]
    fn nothing_is_left_of_what_is_forgotten(steps in prop::collection::vec(step(), 1..30)) {
        let mut log = Log::new();
        for step in &steps {
            log.play(step);
        }
        while !log.events().is_empty() {
            log.play(&Step::Delete(0));
        }
        let Some(tenant) = log.store.tenant("acme") else { return Ok(()) };
        log.store.apply(at(i64::MAX), &Command::Retire { before: at(i64::MAX), upto: 0 });
        let nothing = ["values {}, attributes {}", "past {}, replaced {}", "renewed {}, deleted {}", "arrivals []"];
        let is_nothing = |line: &str| {
            ["TenantId", "vacant "].iter().any(|begin| line.starts_with(begin)) || line.ends_with(" series ever") || nothing.contains(&line)
        };
        let left: Vec<String> = log.store.state(at(i64::MAX)).into_iter().filter(|line| !is_nothing(line.trim_start_matches("acme: "))).collect();
        prop_assert!(left.is_empty(), "{left:?}");
        prop_assert_eq!(tenant.index.names(), 0);
    }
}

#[test]
fn an_edge_that_was_put_again_is_as_old_as_what_it_was_put_with() {
    let put = |start| Step::Put { id: 0, start, stop: Some(5) };
    let point = Step::Edge(EdgeState::Point, 0, 1, false);
    let retire = Step::Retire { part: 1, checkpoint: true, edges: None };
    check(&[put(0), point.clone(), put(1), Step::Delete(0), retire.clone()]);
    check(&[put(0), point.clone(), put(1), put(2), retire.clone()]);
    check(&[put(0), point, put(1), put(2), Step::Delete(0), retire]);
}

/// The record between has it too, and stays for another edge's sake.
#[test]
fn an_edge_that_was_put_more_than_twice_stays_with_each_of_its_records() {
    let put = |start, stop| Step::Put { id: 0, start, stop };
    check(&[put(3, None), put(3, Some(6)), put(3, None), put(0, Some(6)), Step::Retire { part: 3, checkpoint: true, edges: None }]);
}

/// Each with a checkpoint and without, and everything sent once more in the end.
#[test]
fn changes_before_and_after_their_edges_are_forgotten() {
    let edge = |state, time| Step::Edge(state, time, 1, false);
    let (start, beat, stop) = (edge(EdgeState::Start, 0), edge(EdgeState::Start, 2), edge(EdgeState::Stop, 8));
    let (again, tick) = (edge(EdgeState::Start, 9), Step::Edge(EdgeState::Point, 20, 0, false));
    let describe = |stop, text| Step::Describe { event: 1, stop, text };
    for checkpoint in [true, false] {
        let retire = |part| Step::Retire { part, checkpoint, edges: None };
        let cases: [(&str, &[Step]); 9] = [
            ("deleted without its heartbeats", &[start.clone(), beat.clone(), tick.clone(), retire(2), Step::Delete(1)]),
            ("described without its heartbeats", &[start.clone(), beat.clone(), tick.clone(), retire(2), describe(Some(8), 1)]),
            (
                "described, forgotten, described again",
                &[start.clone(), tick.clone(), describe(None, 1), retire(1), describe(None, 2), retire(1)],
            ),
            (
                "forgotten between a stop and what was said with it",
                &[start.clone(), beat.clone(), tick.clone(), describe(Some(8), 1), retire(3)],
            ),
            ("described after its stop is old", &[start.clone(), stop.clone(), tick.clone(), retire(1), describe(None, 1), retire(1)]),
            ("deleted and forgotten", &[start.clone(), stop.clone(), tick.clone(), Step::Delete(1), retire(2)]),
            ("deleted and forgotten in part", &[start.clone(), tick.clone(), retire(1), stop.clone(), Step::Delete(1), retire(1)]),
            (
                "a stop deleted that something was said with",
                &[start.clone(), describe(Some(8), 1), edge(EdgeState::Stop, 4), Step::Delete(0), tick.clone(), beat.clone(), retire(4)],
            ),
            (
                "deleted beside a neighbour",
                &[start.clone(), stop.clone(), again.clone(), tick.clone(), retire(2), Step::Delete(1), retire(1)],
            ),
        ];
        for (name, steps) in cases {
            println!("{name}, checkpoint: {checkpoint}");
            let sent = steps.iter().filter(|step| matches!(step, Step::Edge(..))).count();
            let more = (0..=sent).map(Step::Again).chain([Step::Restart, retire(1), Step::Restart]);
            check(&steps.iter().cloned().chain(more).collect::<Vec<_>>());
        }
    }
}

/// The record of a description stays for its stop's sake; what was said of the same event later does not keep it from coming
/// back where the event has fallen apart, so it is not gone there either.
#[test]
fn what_was_said_of_an_event_stays_with_its_part_of_it() {
    let hours = |hours: i64| hours * 1_000_000;
    let edge = |state, time| Said { state, at: hours(time), entity: 1, outcome: 0, superseding: false }.edge();
    let (first, other) = (edge(EdgeState::Start, 60), edge(EdgeState::Start, 31));
    let store = Store::new(Options::default());
    let mut log = Vec::new();
    let mut apply = |command: Command| {
        let received = at(i64::try_from(log.len()).unwrap());
        store.apply(received, &command);
        log.push((received, command));
    };
    let describe = |edge: &Edge, text: &str, stop| {
        let (span, details) = (store.span("acme", &edge.id().to_string()), Details { description: text.into(), ..Details::default() });
        let describe = Describe { organization: "acme".into(), edge: edge.id(), span, stop, details };
        Command::Change(Change::Describe(Box::new(describe)))
    };
    let said = |store: &Store| {
        let events = store.tenant("acme").unwrap().select(&everything()).events.into_iter();
        events.map(|event| event.details.map(|details| details.description.to_string())).collect::<Vec<_>>()
    };
    apply(Command::Edge(first.clone()));
    apply(describe(&first, "first", Some(edge(EdgeState::Stop, 65))));
    apply(Command::Edge(other.clone()));
    apply(describe(&other, "second", None));
    assert_eq!(said(&store), [Some("second".to_owned())]);
    apply(Command::Edge(edge(EdgeState::Stop, 47)));
    apply(describe(&other, "third", None));
    assert_eq!(said(&store), [Some("first".to_owned()), Some("third".to_owned())]);
    let again = Store::new(Options::default());
    for (received, command) in log.iter().filter(|(received, command)| store.remembers_record(*received, command)) {
        again.apply(*received, command);
    }
    assert_eq!(said(&again), said(&store));
}

/// Also where both were said in one millisecond, and the later of an earlier edge.
#[test]
fn what_is_said_of_an_event_is_what_was_said_last() {
    let store = Store::new(Options::default());
    let edge = |time| Said { state: EdgeState::Start, at: time, entity: 1, outcome: 0, superseding: false }.edge();
    let (late, early) = (edge(2000), edge(1000));
    for (edge, text) in [(&late, "first"), (&early, "second")] {
        store.apply(at(1), &Command::Edge(edge.clone()));
        let (span, details) = (store.span("acme", &edge.id().to_string()), Details { description: text.into(), ..Details::default() });
        let describe = Describe { organization: "acme".into(), edge: edge.id(), span, stop: None, details };
        store.apply(at(1), &Command::Change(Change::Describe(Box::new(describe))));
    }
    let event = store.tenant("acme").unwrap().event(&late.id().to_string()).unwrap();
    assert_eq!((event.id.to_string(), &*event.details.unwrap().description), (early.id().to_string(), "second"));
}
