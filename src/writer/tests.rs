//! The writer on a disk that fails, against a model that knows only what was answered. Every seed that failed once is kept below.

mod clock;

use super::*;
use crate::event::Delete;
use crate::event::Describe;
use crate::event::Details;
use crate::event::Edge;
use crate::event::EdgeState;
use crate::event::Identity;
use crate::event::Put;
use crate::exposition::Format;
use crate::exposition::PageRequest;
use crate::labels::LabelSet;
use crate::log::faulty::Call;
use crate::log::faulty::Fault;
use crate::log::faulty::FaultyDisk;
use crate::store::Query;
use crate::time::ManualClock;
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

const RETENTION: Duration = Duration::from_hours(24);

/// A small generator, so that a seed says all (xorshift64*).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}

struct World {
    random: Random,
    disk: FaultyDisk,
    clock: Arc<ManualClock>,
    memory: Memory,
    committer: Option<Committer<FaultyDisk>>,
    /// What was acknowledged, with its time of receipt.
    acked: BTreeMap<EdgeId, Timestamp>,
    /// The version of each whole event as last answered; `None` when it was deleted, or when it is not known.
    wholes: BTreeMap<String, Option<Version>>,
    /// What may be there after a restart: its sender got no answer that it could trust.
    unknown: BTreeSet<EdgeId>,
    latched: bool,
    /// Before this, retirement may have taken what was received.
    cutoff: Timestamp,
}

fn memory() -> Memory {
    Memory {
        store: Arc::new(Store::new(crate::store::Options::default())),
        pages: Arc::new(Pages::new(&crate::exposition::Options::default())),
    }
}

fn log_options() -> crate::log::Options {
    crate::log::Options { segment_bytes: 16 << 10, hwm_bytes: 2 << 10, ..crate::log::Options::default() }
}

impl World {
    fn new(seed: u64) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_700_000_000_000)));
        let (disk, memory) = (FaultyDisk::new(), memory());
        let (acked, unknown) = (BTreeMap::new(), BTreeSet::new());
        let mut world = Self {
            random: Random::new(seed),
            disk,
            clock,
            memory,
            committer: None,
            acked,
            wholes: BTreeMap::new(),
            unknown,
            latched: false,
            cutoff: Timestamp::MIN,
        };
        world.open();
        world
    }

    fn open(&mut self) {
        self.memory = memory();
        let opened = open(self.disk.clone(), log_options(), &self.memory).unwrap();
        let options = Options { retention: Some(RETENTION) };
        let (clock, telemetry) = (Arc::clone(&self.clock) as Arc<dyn Clock>, Arc::new(Telemetry::new()));
        self.committer = Some(Committer::new(opened, self.memory.clone(), options, clock, telemetry, Arc::default()));
        self.latched = false;
        let present = self.present();
        // A retirement that got no answer may have become durable all the same.
        let cutoff = self.cutoff;
        self.acked.retain(|id, received| *received >= cutoff || present.contains_key(id));
        let lost: Vec<&EdgeId> = self.acked.keys().filter(|id| !present.contains_key(id)).collect();
        assert!(lost.is_empty(), "acknowledged and gone after a restart: {lost:?}");
        for (id, version) in &self.wholes {
            // Retention may have taken one that is not open.
            let now = self.memory.store.version("acme", id);
            assert!(now == *version || (now.is_none() && cutoff > Timestamp::MIN), "{id} was at {version:?} and is at {now:?}");
        }
        self.wholes.clear();
        for (id, received) in present {
            assert!(
                id_of_whole(&self.memory, id) || self.acked.contains_key(&id) || self.unknown.contains(&id),
                "refused, and there after a restart: {id}"
            );
            self.acked.insert(id, received);
        }
        self.unknown.clear();
    }

    /// Every edge in memory.
    fn present(&self) -> BTreeMap<EdgeId, Timestamp> {
        let Some(tenant) = self.memory.store.tenant("acme") else { return BTreeMap::new() };
        tenant.every_edge().into_iter().collect()
    }

    fn edge(&mut self) -> Edge {
        let entity = self.random.below(20).to_string();
        let at = self.clock.now().minus(Duration::from_millis(self.random.below(4) * 1000));
        let state = [EdgeState::Start, EdgeState::Stop, EdgeState::Point][usize::try_from(self.random.below(3)).unwrap()];
        Edge {
            organization: "acme".into(),
            cluster: "".into(),
            state,
            at,
            value: 1.0,
            identity: Identity::of([if state == EdgeState::Point { "point" } else { "span" }, &entity]),
            lapses: false,
            supersede: None,
            skew: None,
            named: None,
            former: None,
            labels: LabelSet::from_sorted([("entity_id", entity.as_str()), ("event_name", "job")]).unwrap(),
            attributes: (self.random.below(9) == 0)
                .then(|| "{\"long\":\"".to_owned() + &"x".repeat(usize::try_from(self.random.below(3000)).unwrap()) + "\"}")
                .map(Into::into),
        }
    }

    fn commit(&mut self) {
        let mut waiting = Vec::new();
        let mut answers = Vec::new();
        for _ in 0..=self.random.below(3) {
            let edges: Vec<Edge> = (0..=self.random.below(4)).map(|_| self.edge()).collect();
            let ids: Vec<EdgeId> = edges.iter().map(Edge::id).collect();
            let commands: Vec<Command> = edges.into_iter().map(Command::Edge).collect();
            let (reply, answer) = oneshot::channel();
            waiting.push(Submission { encoded: Encoded::of(commands), reply });
            answers.push((ids, answer));
        }
        let committer = self.committer.as_mut().unwrap();
        committer.commit(&mut waiting);
        let latched = matches!(*committer.health.read(), Health::Latched(_));
        for (ids, mut answer) in answers {
            match answer.try_recv().unwrap().answer {
                Ok(outcomes) => {
                    assert!(!self.latched, "a 2xx after a failed sync");
                    let visible = self.present();
                    for (id, outcome) in ids.into_iter().zip(outcomes) {
                        let Outcome::Edge { id: told, .. } = outcome else { panic!("{outcome:?}") };
                        assert_eq!(told, id);
                        let received = *visible.get(&id).expect("acknowledged and not visible");
                        self.acked.insert(id, received);
                    }
                }
                Err(_) if latched => self.unknown.extend(ids.into_iter().filter(|id| !self.acked.contains_key(id))),
                Err(error) => assert!(matches!(error, SubmitError::Log(_)), "{error}"),
            }
        }
        self.latched = latched;
        committer_retires(self);
    }

    /// Puts, describes or deletes an event, if it is as it was when last looked at.
    fn change(&mut self) {
        let id = format!("own-{}", self.random.below(6));
        let known = self.memory.store.version("acme", &id);
        let details = Details {
            description: format!("about {}", self.random.below(4)).into(),
            tags: vec![("team".into(), vec![self.random.below(3).to_string().into()])],
            ..Details::default()
        };
        let streamed = self.acked.keys().nth(usize::try_from(self.random.below(40)).unwrap()).copied();
        let command = match (self.random.below(6), streamed) {
            (0, _) => Command::Delete(Delete { organization: "acme".into(), id: id.clone().into(), span: None }),
            (1, Some(edge)) => Command::Delete(Delete { organization: "acme".into(), id: edge.to_string().into(), span: None }),
            (2, Some(edge)) => Command::Describe(Box::new(Describe { organization: "acme".into(), edge, span: None, stop: None, details })),
            _ => self.put(&id, details),
        };
        let (organization, subject) = command.subject().map(|(organization, id)| (Arc::clone(organization), id.into_owned())).unwrap();
        let seen = self.memory.store.version(&organization, &subject);
        let expect = seen.map_or(Expect::New, Expect::Version);
        let commands = vec![command];
        let (reply, mut answer) = oneshot::channel();
        let committer = self.committer.as_mut().unwrap();
        committer.commit(&mut vec![Submission { encoded: Encoded { expect: Some(expect), ..Encoded::of(commands) }, reply }]);
        self.latched = matches!(*committer.health.read(), Health::Latched(_));
        match answer.try_recv().unwrap().answer {
            Ok(outcomes) => {
                let [Outcome::Changed { version, .. }] = &*outcomes else { panic!("{outcomes:?}") };
                assert_eq!(*version, self.memory.store.version("acme", &subject));
                if subject == id {
                    self.wholes.insert(id, *version);
                }
            }
            Err(_) if self.latched => drop(self.wholes.remove(&subject)),
            Err(_) => assert_eq!(self.memory.store.version("acme", &id), known),
        }
    }

    fn put(&mut self, id: &str, details: Details) -> Command {
        let (mut start, mut stop) = (self.edge(), None);
        (start.state, start.identity) = (EdgeState::Start, Identity::of_id(id));
        match self.random.below(3) {
            0 => start.state = EdgeState::Point,
            1 => {
                stop =
                    Some(Edge { state: EdgeState::Stop, at: start.at.plus(Duration::from_secs(self.random.below(900))), ..start.clone() });
            }
            _ => {}
        }
        Command::Put(Box::new(Put { id: id.into(), created: None, start, stop, details }))
    }

    fn step(&mut self) {
        match self.random.below(20) {
            0..7 => self.commit(),
            7..10 => self.change(),
            10 | 11 => {
                let call =
                    [Call::Write, Call::Sync, Call::Truncate, Call::Allocate, Call::Create, Call::SyncDir, Call::Rename, Call::Remove];
                let call = call[usize::try_from(self.random.below(8)).unwrap()];
                let fault = [Fault::Before, Fault::Halfway, Fault::After][usize::try_from(self.random.below(3)).unwrap()];
                self.disk.fail_next(call, fault);
                self.commit();
            }
            12 => {
                let room = usize::try_from(self.random.below(20_000)).unwrap();
                self.disk.set_capacity(Some(self.disk.used() + room));
                self.commit();
            }
            13 => {
                self.disk.heal();
                self.change();
            }
            14 => self.clock.advance(Duration::from_secs(self.random.below(7200))),
            15 => self.clock.set(self.clock.now().minus(Duration::from_secs(self.random.below(600)))),
            16 => {
                self.clock.advance(Duration::from_hours(self.random.below(30)));
                self.commit();
            }
            17 => {
                self.disk.heal();
                self.committer = None;
                self.open();
            }
            18 => {
                self.committer = None;
                let random = &mut self.random;
                let crashed = self.disk.crash(&mut || random.below(2) == 0);
                self.disk = crashed;
                self.open();
            }
            _ => {
                self.disk.heal();
                let clean = self.committer.take().unwrap().log.close();
                assert!(clean.is_ok() || self.latched, "{clean:?}");
                self.open();
            }
        }
    }
}

/// Whether the edge is, or was, part of an event with an id of its own: those are looked at by their versions.
fn id_of_whole(memory: &Memory, edge: EdgeId) -> bool {
    let tenant = memory.store.tenant("acme").unwrap();
    (0..6).any(|number| tenant.is_of(edge, &format!("own-{number}")))
}

/// What retention may take: edges received before the cutoff. They are gone from memory at once.
fn committer_retires(world: &mut World) {
    let committer = world.committer.as_mut().unwrap();
    committer.retire_when_due();
    world.latched = matches!(*committer.health.read(), Health::Latched(_));
    let before = committer.received.minus(RETENTION);
    world.cutoff = before;
    let present = world.present();
    world.acked.retain(|id, received| {
        assert!(*received < before || present.contains_key(id), "retired too early: {id}");
        present.contains_key(id)
    });
}

fn simulate(seed: u64, steps: usize) {
    let mut world = World::new(seed);
    for _ in 0..steps {
        world.step();
    }
    world.disk.heal();
    world.committer = None;
    world.open();
}

#[test]
fn nothing_acknowledged_is_lost_whatever_the_disk_does() {
    let full = std::env::var_os("CHANGE_EVENTS_FULL").is_some();
    let seeds = if full { 20_000 } else { 300 };
    for seed in 0..seeds {
        let outcome = std::panic::catch_unwind(|| simulate(seed, 60));
        assert!(outcome.is_ok(), "seed {seed} failed");
    }
}

#[test]
fn a_restart_changes_nothing_that_a_reader_sees() {
    for seed in 0..40 {
        let mut world = World::new(seed);
        for _ in 0..30 {
            world.commit();
            for _ in 0..world.random.below(4) {
                world.change();
            }
            let (span, extra) = (world.random.below(200), world.random.below(20));
            world.clock.advance(Duration::from_secs(span));
            if extra == 0 {
                world.clock.advance(RETENTION);
            }
        }
        let seen = |world: &World| {
            let tenant = world.memory.store.tenant("acme").unwrap();
            let selected = tenant.select(&Query { limit: 100_000, ..Query::default() });
            let now = world.clock.now();
            let page = |window| {
                let request = PageRequest { format: Format::Text004, gzip: false, window, keep: None, selectors: Vec::new() };
                world.memory.pages.render(Some(&tenant), crate::store::ClusterId(0), &request, "", now).body
            };
            let pages = [None, Some(Duration::from_hours(7 * 24))].map(page);
            format!("{:?} {:?} {pages:?}", world.memory.store.stats(now), selected.events)
        };
        let before = seen(&world);
        world.committer = None;
        world.open();
        let after = seen(&world);
        let differs = before.bytes().zip(after.bytes()).position(|(a, b)| a != b).unwrap_or(before.len().min(after.len()));
        let around = |text: &str| text.get(differs.saturating_sub(100)..).unwrap_or_default().chars().take(300).collect::<String>();
        assert!(before == after, "seed {seed}: {} became {}", around(&before), around(&after));
    }
}

#[tokio::test]
async fn submissions_are_answered_in_their_order_and_the_log_is_closed() {
    let memory = memory();
    let disk = FaultyDisk::new();
    let opened = open(disk.clone(), log_options(), &memory).unwrap();
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_700_000_000_000)));
    let telemetry = Arc::new(Telemetry::new());
    let (writer, running) = Writer::start(opened, memory, Options { retention: None }, clock, telemetry).unwrap();
    let mut world = World::new(7);
    let edges: Vec<Edge> = (0..50).map(|_| world.edge()).collect();
    let ids: Vec<EdgeId> = edges.iter().map(Edge::id).collect();
    let outcomes = writer.submit(edges.into_iter().map(Command::Edge).collect()).await.unwrap();
    let told: Vec<EdgeId> =
        outcomes.iter().map(|outcome| if let Outcome::Edge { id, .. } = outcome { *id } else { panic!("{outcome:?}") }).collect();
    assert_eq!(told, ids);
    assert!(matches!(writer.health(), Health::Ok));
    drop(writer);
    running.join().unwrap();
    let again = self::memory();
    let reopened = open(disk, log_options(), &again).unwrap();
    assert!(reopened.replayed.closed_cleanly);
    assert_eq!(again.store.stats(Timestamp::MAX).edges, ids.iter().collect::<BTreeSet<_>>().len());
}
