//! The steps of the world, chosen by chance; and that the world is as it must be after each.

use super::edges::deploy;
use super::edges::job;
use super::server::Sent;
use super::server::claim;
use super::world::World;
use super::*;
use crate::store::EventView;
use crate::time::Clock as _;

impl World {
    /// New edges of some senders.
    fn commit(&mut self) {
        let senders = 1 + self.random.below(3);
        let sent = (0..senders).map(|_| (self.new_edges(), None)).collect();
        self.send(sent);
    }

    fn new_edges(&mut self) -> Vec<Command> {
        (0..=self.random.below(4)).map(|_| Command::Edge(self.edge())).collect()
    }

    /// Edges that were sent before, deleted and forgotten ones among them; once more in the same commit, or beside new ones.
    fn repeat(&mut self) {
        if self.sent.is_empty() {
            return;
        }
        let sent = self.sent.len() as u64;
        // Any that there ever was, or one of the latest.
        let from = self.random.one_of(&[0, sent.saturating_sub(20)]);
        let edges: Vec<Edge> = (0..=self.random.below(3))
            .map(|_| from + self.random.below(sent - from))
            .map(|nth| self.sent[usize::try_from(nth).unwrap()].clone())
            .collect();
        let mut commands: Vec<Command> = edges.iter().cloned().map(Command::Edge).collect();
        if self.random.below(3) == 0 {
            commands.extend(self.new_edges());
        }
        let mut senders = vec![(commands, None)];
        if self.random.below(3) == 0 {
            senders.push((edges.into_iter().rev().map(Command::Edge).collect(), None));
        }
        self.send(senders);
    }

    /// Uses some keys: free ones, bound ones, with the same body or another; and sends what comes with it.
    fn claim(&mut self) {
        let mut sent: Vec<Sent> = Vec::new();
        for _ in 0..=self.random.below(2) {
            let organization = self.organization();
            let (key, body) = (self.random.below(server::KEYS), self.random.below(server::BODIES));
            sent.push((vec![Command::Claim(claim(&organization, key, body, self.server.now()))], None));
        }
        if self.random.below(2) == 0 {
            sent.push((self.new_edges(), None));
        }
        self.send(sent);
    }

    /// A stop before its start: in the commit before, or in the same one.
    fn overtake(&mut self) {
        let (begin, entity) = (self.at(), self.random.below(12).to_string());
        let end = begin.plus(Duration::from_millis(self.random.below(40) * 500));
        let stop = self.sent_by_any(job(EdgeState::Stop, end, &entity));
        let start = Edge { state: EdgeState::Start, at: begin, attributes: None, ..stop.clone() };
        let [start, stop] = [start, stop].map(|edge| vec![Command::Edge(edge)]);
        if self.random.below(2) == 0 {
            self.send(vec![(stop, None), (start, None)]);
        } else {
            self.send(vec![(stop, None)]);
            let wait = self.random.below(60);
            self.server.machine.advance(Duration::from_secs(wait));
            self.send(vec![(start, None)]);
        }
    }

    /// Versions of a service, earlier ones again among them, in any order of arrival.
    fn supersede(&mut self) {
        let (organization, service) = (self.organization(), self.random.below(2).to_string());
        let mut begin = self.at();
        let mut edges = Vec::new();
        for _ in 0..=self.random.below(4) {
            let version = self.random.below(3).to_string();
            let mut say = |state, at| {
                edges.insert(usize::try_from(self.random.below(edges.len() as u64 + 1)).unwrap(), deploy(state, at, &service, &version));
            };
            say(EdgeState::Start, begin);
            let (has_stop, millis) = (self.random.below(3) == 0, self.random.below(30) * 500);
            if has_stop {
                edges.push(deploy(EdgeState::Stop, begin.plus(Duration::from_millis(millis)), &service, &version));
            }
            begin = begin.plus(Duration::from_millis(self.random.below(20) * 500));
        }
        for chunk in edges.chunks(2) {
            let commands = chunk.iter().map(|edge| Command::Edge(Edge { organization: Arc::clone(&organization), ..edge.clone() }));
            self.send(vec![(commands.collect(), None)]);
        }
    }

    /// A new event with an id of its own, or a change of any event by its version: alone, with another change of it, or with edges
    /// of it before or after, all in one commit.
    pub(super) fn change(&mut self) {
        let (organization, id) = (self.organization(), format!("own-{}", self.random.below(6)));
        let tenant = self.server.memory.store.tenant(&organization);
        let own = tenant.and_then(|tenant| tenant.event(&id));
        let events = self.events();
        let nth = self.random.below(events.len() as u64 + 1);
        let any = events.into_iter().nth(usize::try_from(nth).unwrap()).filter(|_| self.random.below(3) > 0);
        let Some((organization, event)) = any.or_else(|| own.map(|own| (Arc::clone(&organization), own))) else {
            let put = self.put(&organization, &id);
            return self.send(vec![(vec![put], Some(Expect::New))]);
        };
        let change: Sent = (vec![self.change_of(&organization, &event)], Some(Expect::Version(event.version)));
        let sent = match self.random.below(4) {
            0 => vec![change],
            1 => vec![change, (vec![self.change_of(&organization, &event)], Some(Expect::Version(event.version)))],
            2 => vec![(self.edges_of(&organization, &event), None), change],
            _ => vec![change, (self.edges_of(&organization, &event), None)],
        };
        self.send(sent);
    }

    fn change_of(&mut self, organization: &Arc<str>, event: &EventView) -> Command {
        if self.random.below(3) == 0 {
            return Command::Change(Change::Delete(Delete { organization: Arc::clone(organization), id: event.id.clone(), span: None }));
        }
        if event.own_id {
            return self.put(organization, &event.id);
        }
        let first = event.first().unwrap();
        let ends = self.random.below(2) == 0;
        let start = event.start.as_ref().filter(|_| event.open && ends);
        let stop = start.map(|start| Edge {
            organization: Arc::clone(organization),
            cluster: Arc::clone(&event.cluster),
            identity: event.identity,
            labels: start.labels.clone(),
            ..job(EdgeState::Stop, start.at.plus(Duration::from_millis(self.random.below(40) * 500)), "0")
        });
        Command::Change(Change::Describe(Box::new(Describe {
            organization: Arc::clone(organization),
            edge: first.id,
            span: None,
            stop,
            details: self.details(),
        })))
    }

    /// Other details each time, so that a change makes another version.
    fn details(&mut self) -> Details {
        let tag = self.random.below(3).to_string();
        let description = self.random.below(1 << 30).to_string();
        Details { description: description.into(), tags: vec![("team".into(), vec![tag.into()])], ..Details::default() }
    }

    /// More edges of an event: of those that were sent, at other times.
    fn edges_of(&mut self, organization: &str, event: &EventView) -> Vec<Command> {
        let same: Vec<Edge> =
            self.sent.iter().filter(|edge| edge.identity == event.identity && *edge.organization == *organization).cloned().collect();
        if same.is_empty() {
            return self.new_edges();
        }
        let another = |_| {
            let nth = usize::try_from(self.random.below(same.len() as u64)).unwrap();
            let at = if self.random.below(3) == 0 { same[nth].at } else { self.at() };
            Command::Edge(Edge { at, ..same[nth].clone() })
        };
        (0..3).map(another).collect()
    }

    fn put(&mut self, organization: &Arc<str>, id: &str) -> Command {
        let entity = self.random.below(4).to_string();
        let start = job(self.random.one_of(&[EdgeState::Start, EdgeState::Start, EdgeState::Point]), self.at(), &entity);
        let start = Edge { identity: Identity::of_id(id), ..self.sent_by_any(start) };
        let start = Edge { organization: Arc::clone(organization), ..start };
        let ends = start.state == EdgeState::Start && self.random.below(2) == 0;
        let stop =
            ends.then(|| Edge { state: EdgeState::Stop, at: start.at.plus(Duration::from_secs(self.random.below(900))), ..start.clone() });
        Command::Change(Change::Put(Box::new(Put { id: id.into(), created: None, number: None, start, stop, details: self.details() })))
    }

    /// Somebody sets the wall clock ahead, and at another time back.
    fn set_clock(&mut self) {
        let machine = Arc::clone(&self.server.machine);
        let wall = machine.read().wall;
        if self.ahead.is_zero() {
            self.ahead = Duration::from_secs(self.random.one_of(&[3, 600, 7200, 60 * 3600, 800 * 3600]));
            machine.set(wall.plus(self.ahead));
        } else {
            machine.set(wall.minus(self.ahead));
            self.ahead = Duration::ZERO;
        }
    }

    fn fail(&mut self) {
        let calls = [Call::Write, Call::Sync, Call::Truncate, Call::Allocate, Call::Create, Call::SyncDir, Call::Rename, Call::Remove];
        let (call, fault) = (self.random.one_of(&calls), self.random.one_of(&[Fault::Before, Fault::Halfway, Fault::After]));
        self.server.disk.fail_next(call, fault);
    }

    /// The process is killed, or the power goes, or the server stops; and it starts again, maybe with another flag.
    fn end(&mut self) {
        let (how, skew) = (self.random.below(3), Duration::from_secs(self.random.one_of(&[5, 5, 5, 0, 2, 60])));
        self.open(|world| {
            world.server.skew = skew;
            world.server.disk.heal();
            if how == 0 {
                let random = &mut world.random;
                world.server.disk = world.server.disk.crash(&mut || random.below(2) == 0);
            } else if how == 1 {
                let was_latched = world.server.is_latched();
                let clean = world.server.close();
                assert!(clean.is_ok() || was_latched, "{clean:?}");
            }
        });
    }

    fn step(&mut self) {
        match self.random.below(30) {
            0..6 => self.commit(),
            6..10 => self.change(),
            10..13 => self.repeat(),
            13 | 14 => self.claim(),
            15 => self.overtake(),
            16 | 17 => self.supersede(),
            18 | 19 => {
                self.fail();
                self.random_of_senders();
            }
            20 => {
                let room = usize::try_from(self.random.below(20_000)).unwrap();
                self.server.disk.set_capacity(Some(self.server.disk.used() + room));
                self.random_of_senders();
            }
            21 => self.server.disk.heal(),
            22 | 23 => self.server.machine.advance(Duration::from_secs(self.random.below(7200))),
            24 => self.server.machine.set(self.server.machine.now().minus(Duration::from_secs(self.random.below(600)))),
            25 | 26 => {
                self.server.machine.advance(Duration::from_hours(self.random.below(30)));
                self.commit();
            }
            27 => self.set_clock(),
            _ => self.end(),
        }
        if self.server.is_latched() && self.random.below(3) == 0 {
            self.end();
        }
    }

    /// A step that only senders and time take.
    pub(super) fn step_of_senders(&mut self) {
        match self.random.below(6) {
            0 => self.overtake(),
            1 => self.supersede(),
            2 => self.server.machine.advance(Duration::from_secs(self.random.below(7200))),
            3 => self.server.machine.advance(Duration::from_hours(self.random.below(30))),
            _ => self.random_of_senders(),
        }
    }

    fn random_of_senders(&mut self) {
        match self.random.below(4) {
            0 => self.commit(),
            1 => self.change(),
            2 => self.repeat(),
            _ => self.claim(),
        }
    }
}

fn simulate(seed: u64, steps: usize) {
    let mut world = World::new(seed);
    for _ in 0..steps {
        world.step();
    }
    world.open(|world| world.server.disk.heal());
}

#[test]
fn nothing_acknowledged_is_lost_whatever_the_disk_does() {
    let full = std::env::var_os("CHANGE_EVENTS_FULL").is_some();
    let seeds = if full { 20_000 } else { 80 };
    let fails = |seed: &u64| std::panic::catch_unwind(|| simulate(*seed, 80)).is_err();
    let failed: Vec<u64> = (0..seeds).filter(fails).collect();
    assert!(failed.is_empty(), "seeds {failed:?} failed");
}

#[test]
fn a_restart_changes_nothing_that_a_reader_sees() {
    for seed in 0..10 {
        let mut world = World::new(seed);
        for _ in 0..30 {
            world.commit();
            world.random_of_senders();
            world.overtake();
            world.supersede();
            let (seconds, long) = (world.random.below(200), world.random.below(15) == 0);
            world.server.machine.advance(if long { world.server.retention } else { Duration::from_secs(seconds) });
        }
        world.open(|_| ());
    }
}
