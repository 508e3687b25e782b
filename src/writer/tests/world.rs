//! A world around a server: what senders send, what the disk and the clock do, and what must be so afterwards.

use super::edges::cron;
use super::edges::deploy;
use super::edges::job;
use super::server::*;
use super::*;
use crate::event::Claim;
use crate::store::CLAIM_AGE;
use crate::store::EventView;
use crate::store::Order;
use crate::time::Clock as _;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// How far ahead of steady time the receipt may be, after each start, without a record that says so.
const UNSEEN: Duration = Duration::from_mins(11);

/// A small generator, so that a seed says all (xorshift64*).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }

    pub(super) fn one_of<T: Copy>(&mut self, these: &[T]) -> T {
        these[usize::try_from(self.below(these.len() as u64)).unwrap()]
    }
}

/// An organization, and an edge of it.
type Name = (Arc<str>, EdgeId);

#[derive(Clone, Copy, Debug)]
struct Known {
    received: Timestamp,
    /// The steady clock when that was, or before.
    since: Duration,
}

pub(super) struct World {
    pub(super) random: Random,
    pub(super) server: Server,
    /// Every edge that was ever sent.
    pub(super) sent: Vec<Edge>,
    /// By how much the wall clock was set ahead and not yet back.
    pub(super) ahead: Duration,
    /// What is there: it was acknowledged, or found after a restart because its sender got no answer that it could trust.
    acked: BTreeMap<Name, Known>,
    /// What may be there after a restart.
    unknown: BTreeSet<Name>,
    /// What was part of an event that was deleted.
    deleted: BTreeSet<Name>,
    /// The version of each whole event as last answered; `None` when it was deleted.
    wholes: BTreeMap<(Arc<str>, String), Option<Version>>,
    /// The first use of each key that was answered, and when that was received.
    claims: BTreeMap<(Arc<str>, u128), (Claim, Timestamp)>,
    /// Keys whose use got no answer that its sender could trust.
    unknown_claims: BTreeSet<(Arc<str>, u128)>,
    /// Before this, retirement may have taken what was received.
    cutoff: Timestamp,
    starts: u32,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let server = Server::new(Duration::from_hours(random.one_of(&[12, 24, 36])));
        let (sent, acked, unknown, deleted, wholes, claims, unknown_claims) = Default::default();
        let (ahead, cutoff, starts) = (Duration::ZERO, Timestamp::MIN, 1);
        Self { random, server, sent, ahead, acked, unknown, deleted, wholes, claims, unknown_claims, cutoff, starts }
    }

    fn steady(&self) -> Duration {
        self.server.machine.read().steady
    }

    /// Every edge in memory.
    fn present(&self) -> BTreeMap<Name, Timestamp> {
        let tenants = self.server.memory.store.tenants();
        let edges =
            tenants.iter().flat_map(|tenant| tenant.every_edge().into_iter().map(|edge| (Arc::<str>::from(tenant.organization()), edge)));
        edges.map(|(organization, (id, received))| ((organization, id), received)).collect()
    }

    /// All events.
    pub(super) fn events(&self) -> Vec<(Arc<str>, EventView)> {
        let tenants = self.server.memory.store.tenants();
        let events = tenants.iter().flat_map(|tenant| {
            tenant.select(&everything(Order::Start)).events.into_iter().map(|event| (Arc::<str>::from(tenant.organization()), event))
        });
        events.collect()
    }

    /// Whether the edge is, or was, part of an event with an id of its own: those are looked at by their versions.
    fn is_of_whole(&self, (organization, edge): &Name) -> bool {
        let tenant = self.server.memory.store.tenant(organization).unwrap();
        (0..6).any(|number| tenant.is_of(*edge, &format!("own-{number}")))
    }

    /// The server ends in some way, and starts on what is on the disk.
    pub(super) fn open(&mut self, end: impl FnOnce(&mut Self)) {
        // Of a commit whose sync failed nobody knows whether it is in the log.
        let before = (!self.server.is_latched()).then(|| (self.server.seen(), self.server.state()));
        end(self);
        self.server.start();
        self.starts += 1;
        let after = self.server.seen_as_folded();
        if let Some((before, state)) = before {
            compare("a restart", &before, &after);
            if let (Some(before), Some(after)) = (state, self.server.state()) {
                compare("to the state, a restart", &before, &after);
            }
        }
        let present = self.present();
        // A retirement that got no answer may have become durable all the same.
        let cutoff = self.cutoff;
        self.acked.retain(|name, known| known.received >= cutoff || present.contains_key(name));
        let lost: Vec<&Name> = self.acked.keys().filter(|name| !present.contains_key(name)).collect();
        assert!(lost.is_empty(), "acknowledged and gone after a restart: {lost:?}");
        for ((organization, id), version) in std::mem::take(&mut self.wholes) {
            let now = self.server.memory.store.version(&organization, &id);
            assert!(now == version || (now.is_none() && cutoff > Timestamp::MIN), "{id} was at {version:?} and is at {now:?}");
        }
        for (name, received) in present {
            let is_known = self.acked.contains_key(&name) || self.unknown.contains(&name) || self.is_of_whole(&name);
            assert!(is_known, "refused, and there after a restart: {name:?}");
            self.acked.entry(name).or_insert(Known { received, since: Duration::ZERO });
        }
        self.unknown.clear();
        self.look();
    }

    /// Looks at what is there while the server runs: nothing went too early, nothing is back.
    fn look(&mut self) {
        let steady = self.steady();
        let (received, retention) = (self.server.committer().received, self.server.retention);
        self.cutoff = received.minus(retention);
        let (cutoff, age) = (self.cutoff, retention.min(Duration::from_hours(24)));
        let present = self.present();
        let unseen = UNSEEN * self.starts;
        self.acked.retain(|name, known| {
            let is_old = known.received < cutoff && steady.saturating_sub(known.since) + unseen >= age;
            assert!(is_old || present.contains_key(name), "retired too early: {name:?} {known:?} at {steady:?}");
            present.contains_key(name)
        });
        for (name, received) in &present {
            let known = self.acked.get(name).filter(|known| known.received == *received);
            assert!(known.is_some() || self.is_of_whole(name), "there, and nobody was told: {name:?}");
            if known.is_none() {
                self.acked.insert(name.clone(), Known { received: *received, since: steady });
            }
        }
        self.deleted.retain(|name| present.contains_key(name));
        if self.deleted.is_empty() {
            return;
        }
        for (organization, event) in self.events() {
            for edge in [&event.start, &event.stop].into_iter().flatten() {
                assert!(!self.deleted.contains(&(Arc::clone(&organization), edge.id)), "deleted, and part of {event:?}");
            }
        }
    }

    /// Some senders send something at once.
    pub(super) fn send(&mut self, sent: Vec<Sent>) {
        let was_latched = self.server.is_latched();
        let commands: Vec<Vec<Command>> = sent.iter().map(|(commands, _)| commands.clone()).collect();
        let edges =
            commands.iter().flatten().filter_map(|command| if let Command::Edge(edge) = command { Some(edge.clone()) } else { None });
        self.sent.extend(edges);
        let deleted: Vec<Vec<Name>> = commands.iter().map(|commands| self.edges_deleted_by(commands)).collect();
        self.server.steps = self.random.one_of(&[0, 1, 3, 10, u64::MAX]);
        let answers = self.server.submit(sent);
        let latched = self.server.is_latched();
        let present = self.present();
        let mut changed = BTreeSet::new();
        for ((commands, answer), deleted) in commands.into_iter().zip(answers).zip(deleted) {
            match answer {
                Ok(outcomes) => {
                    assert!(!was_latched, "a 2xx after a failed sync");
                    assert_eq!(commands.len(), outcomes.len());
                    for (command, outcome) in commands.iter().zip(&outcomes) {
                        self.answered(command, outcome, &present, &mut changed);
                        if matches!(outcome, Told::Changed(_)) {
                            self.deleted.extend(deleted.iter().cloned());
                        }
                    }
                }
                Err(SubmitError::Unknown) => {
                    assert!(!was_latched && latched, "it is known");
                    for command in &commands {
                        self.is_unknown(command);
                    }
                }
                // It is not there, and will not be.
                Err(error) => assert!(latched || matches!(error, SubmitError::Log(_)), "{error}"),
            }
        }
        self.look();
    }

    /// The edges of an event that came as edges, if the commands delete it.
    fn edges_deleted_by(&self, commands: &[Command]) -> Vec<Name> {
        let [Command::Change(Change::Delete(delete))] = commands else { return Vec::new() };
        let tenant = self.server.memory.store.tenant(&delete.organization);
        let event = tenant.and_then(|tenant| tenant.event(&delete.id)).filter(|event| !event.own_id);
        let edges = event.iter().flat_map(|event| [&event.start, &event.stop]).flatten();
        edges.map(|edge| (Arc::clone(&delete.organization), edge.id)).collect()
    }

    fn answered(
        &mut self,
        command: &Command,
        outcome: &Told,
        present: &BTreeMap<Name, Timestamp>,
        changed: &mut BTreeSet<(Arc<str>, String)>,
    ) {
        let received = self.server.committer().received;
        match (command, outcome) {
            (Command::Edge(edge), Told::Edge { id, duplicate }) => {
                assert_eq!(*id, edge.id());
                let name = (Arc::clone(&edge.organization), *id);
                // A repeat of what was about to go may have gone.
                let is_old =
                    *duplicate && self.acked.get(&name).is_some_and(|known| known.received < received.minus(self.server.retention));
                assert!(is_old || present.contains_key(&name), "acknowledged and not visible: {name:?}");
                self.is_there(name, present);
            }
            (Command::Claim(claim), Told::Claim(claimed)) => self.claimed(claim, *claimed, received),
            (_, Told::Changed(version)) => {
                if let Command::Change(Change::Describe(describe)) = command {
                    let stop = describe.stop.as_ref();
                    if let Some(stop) = stop {
                        self.is_there((Arc::clone(&describe.organization), stop.id()), present);
                    }
                }
                let subject = subject(command).unwrap();
                assert!(changed.insert(subject.clone()), "changed twice from one version: {subject:?}");
                if subject.1.starts_with("own-") {
                    self.wholes.insert(subject, *version);
                }
            }
            (_, Told::Unexpected) => {
                let subject = subject(command).unwrap();
                // Retention looks after each commit, one that failed as well.
                let is_gone = self.server.memory.store.version(&subject.0, &subject.1).is_none();
                assert!(is_gone || changed.contains(&subject), "nobody else changed it: {command:?}");
            }
            answer => panic!("{answer:?}"),
        }
    }

    fn is_there(&mut self, name: Name, present: &BTreeMap<Name, Timestamp>) {
        let since = self.steady();
        if let Some(&received) =
            present.get(&name).filter(|received| self.acked.get(&name).is_none_or(|known| known.received != **received))
        {
            self.acked.insert(name, Known { received, since });
        }
    }

    /// Nobody can tell whether the command is in the log.
    fn is_unknown(&mut self, command: &Command) {
        let edges: Vec<&Edge> = match command {
            Command::Edge(edge) => vec![edge],
            Command::Change(Change::Describe(describe)) => describe.stop.iter().collect(),
            Command::Claim(claim) => {
                let name = (Arc::clone(&claim.organization), claim.key);
                self.claims.remove(&name);
                self.unknown_claims.insert(name);
                Vec::new()
            }
            _ => Vec::new(),
        };
        self.unknown.extend(edges.into_iter().map(|edge| (Arc::clone(&edge.organization), edge.id())));
        if let Some(subject) = subject(command) {
            self.wholes.remove(&subject);
        }
    }

    fn claimed(&mut self, claim: &Claim, claimed: Claimed, received: Timestamp) {
        let name = (Arc::clone(&claim.organization), claim.key);
        let bound = self.claims.get(&name).filter(|(_, first)| *first >= received.minus(CLAIM_AGE));
        let expected = bound
            .map_or(Claimed::New, |(bound, _)| if bound.body == claim.body { Claimed::Again { at: bound.at } } else { Claimed::OtherBody });
        assert!(claimed == expected || self.unknown_claims.contains(&name), "{claim:?} is {claimed:?} and not {expected:?}");
        if claimed == Claimed::New {
            self.unknown_claims.remove(&name);
            self.claims.insert(name, (claim.clone(), received));
        }
    }

    pub(super) fn organization(&mut self) -> Arc<str> {
        // Most have one.
        let which = self.random.below(4);
        ORGANIZATIONS[usize::from(which == 0)].into()
    }

    /// When something happened: mostly now or a moment ago, so that stops are within their skew, or long ago, or soon.
    pub(super) fn at(&mut self) -> Timestamp {
        let ago = Duration::from_millis(self.random.below(24) * 500);
        match self.random.below(12) {
            0 => self.server.now().minus(Duration::from_mins(self.random.below(180))),
            1 => self.server.now().plus(ago),
            _ => self.server.now().minus(ago),
        }
    }

    pub(super) fn state(&mut self) -> EdgeState {
        self.random.one_of(&[EdgeState::Start, EdgeState::Start, EdgeState::Stop, EdgeState::Stop, EdgeState::Point])
    }

    /// Any edge.
    pub(super) fn edge(&mut self) -> Edge {
        let (state, at) = (self.state(), self.at());
        let entity = self.random.below(12).to_string();
        let edge = match self.random.below(6) {
            0 => cron(state, at, &entity),
            1 => deploy(state, at, &self.random.below(2).to_string(), &self.random.below(3).to_string()),
            _ => job(state, at, &entity),
        };
        self.sent_by_any(edge)
    }

    /// The edge as any organization may send it.
    pub(super) fn sent_by_any(&mut self, edge: Edge) -> Edge {
        let cluster = CLUSTERS[usize::from(self.random.below(8) == 0)].into();
        let length = (self.random.below(6) == 0).then(|| usize::try_from(self.random.below(4000)).unwrap());
        let attributes = length.map(|length| format!("{{\"long\":\"{}\"}}", "x".repeat(length)).into());
        Edge { organization: self.organization(), cluster, attributes, value: self.random.one_of(&[1.0, 1.0, 2.5]), ..edge }
    }
}

/// The event that a change is about.
fn subject(command: &Command) -> Option<(Arc<str>, String)> {
    let Command::Change(change) = command else { return None };
    Some((Arc::clone(change.organization()), change.event_id().into_owned()))
}
