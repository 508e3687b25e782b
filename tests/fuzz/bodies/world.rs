//! A store, its log and the model of both, and the steps that an input makes them take: what a writer does, without disk and clock.

use super::bytes::Bytes;
use super::checks;
use super::checks::CLUSTERS;
use super::checks::Versions;
use super::memory::Came;
use super::memory::Model;
use super::memory::Sample;
use change_events::event::Change;
use change_events::event::Claim;
use change_events::event::Command;
use change_events::event::Delete;
use change_events::event::Describe;
use change_events::event::Details;
use change_events::event::Edge;
use change_events::event::EdgeId;
use change_events::event::EdgeState;
use change_events::event::Identity;
use change_events::event::Put;
use change_events::event::RetirePart;
use change_events::labels::LabelSet;
use change_events::store::Admission;
use change_events::store::Admitted;
use change_events::store::Applied;
use change_events::store::AppliedChange;
use change_events::store::Arrival;
use change_events::store::Arrived;
use change_events::store::Cause;
use change_events::store::Claimed;
use change_events::store::Options;
use change_events::store::Store;
use change_events::time::Timestamp;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// When every history begins.
const BEGIN: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const SKEWS: [Duration; 3] = [Duration::from_millis(5), Duration::ZERO, Duration::from_millis(12)];
const ORGANIZATIONS: [&str; 2] = ["acme", "b"];
/// Edges that are folded in at once.
const RUN_EDGES: usize = 64;

/// A record of the log.
#[derive(Clone, Debug)]
struct Record {
    position: u64,
    received: Timestamp,
    command: Command,
    /// It is in the checkpoint.
    carried: bool,
}

impl Record {
    fn arrival(&self) -> Arrival {
        Arrival { position: self.position, received: self.received }
    }
}

#[derive(Debug)]
pub(crate) struct World {
    store: Store,
    model: Model,
    /// What a restart reads.
    log: Vec<Record>,
    /// What it would read if no checkpoint had ever been made.
    whole_log: Vec<Record>,
    position: u64,
    checkpoint: u64,
    /// Up to where records were retired.
    retired: u64,
    now: Timestamp,
    /// What stops say of their skew.
    skew: Option<Duration>,
    /// Every edge that was sent.
    sent: Vec<Edge>,
    versions: Versions,
    open: BTreeMap<Arc<str>, (BTreeSet<EdgeId>, u64)>,
}

impl World {
    pub(crate) fn new(skew: Duration) -> Self {
        let (log, whole_log, sent, versions, open) = Default::default();
        let model = Model { skew, tenants: BTreeMap::new() };
        let (store, position, checkpoint, retired) = (new_store(skew), 0, 0, 0);
        Self { store, model, log, whole_log, position, checkpoint, retired, now: BEGIN, skew: None, sent, versions, open }
    }

    pub(crate) fn skew_of(input: &mut Bytes<'_>) -> Duration {
        input.one_of(&SKEWS)
    }

    /// One step, and a look.
    pub(crate) fn step(&mut self, input: &mut Bytes<'_>) {
        match input.below(32) {
            0..12 => self.send(input),
            12..14 => self.repeat(input),
            14 => self.repeat_as_before(input),
            15..21 => self.change(input),
            21 => self.claim(input),
            22..25 => self.pass(input),
            25 => self.skew = input.one_of(&[None, Some(SKEWS[0]), Some(SKEWS[1]), Some(SKEWS[2])]).filter(|skew| *skew != self.model.skew),
            26..29 => self.retire(input),
            29 => self.restart(),
            _ => checks::check_lists(&self.store, &self.model, input, self.now, |input| moment(input, self.now)),
        }
        checks::check_events(&self.store, &self.model, self.now);
        self.check_open_version();
    }

    /// All that can be seen, before a restart and after it, and of a log that was never cut.
    pub(crate) fn end(&mut self, input: &mut Bytes<'_>) {
        checks::check_each(&self.store, &self.model, self.position, &mut self.versions);
        checks::check_lists(&self.store, &self.model, input, self.now, |input| moment(input, self.now));
        self.store = replay(&self.whole_log, self.model.skew);
        self.look();
        self.restart();
        checks::check_lists(&self.store, &self.model, input, self.now, |input| moment(input, self.now));
    }

    fn look(&mut self) {
        checks::check_events(&self.store, &self.model, self.now);
        checks::check_each(&self.store, &self.model, self.position, &mut self.versions);
    }

    /// When an event opens or closes, the version of what is open changes.
    fn check_open_version(&mut self) {
        let mut seen = BTreeMap::new();
        for (organization, plain) in &self.model.tenants {
            let events = plain.events(self.model.skew);
            let open = events.iter().filter(|event| event.is_open()).map(|event| event.first().id).collect();
            let version = self.store.tenant(organization).map_or(0, |tenant| tenant.open_version());
            if let Some((before, old)) = self.open.get(organization) {
                assert!(open == *before || version != *old, "what is open changed and its version did not");
            }
            seen.insert(Arc::clone(organization), (open, version));
        }
        self.open = seen;
    }

    fn pass(&mut self, input: &mut Bytes<'_>) {
        let hour = Duration::from_hours(1);
        let spans = [Duration::from_millis(1), Duration::from_millis(20), hour, 9 * hour, 26 * hour, 26 * hour, 24 * 8 * hour];
        self.now = self.now.plus(input.one_of(&spans));
    }

    /// Edges of some senders, all in one commit.
    fn send(&mut self, input: &mut Bytes<'_>) {
        let edges = (0..=input.below(4)).map(|_| self.edge(input)).map(Command::Edge).collect();
        self.commit(edges);
    }

    fn edge(&mut self, input: &mut Bytes<'_>) -> Edge {
        let (what, when, how) = (usize::from(input.byte()), input.byte(), usize::from(input.byte()));
        let state = [EdgeState::Start, EdgeState::Stop, EdgeState::Start, EdgeState::Stop, EdgeState::Start, EdgeState::Point][what % 6];
        let number = what / 6 % 4;
        let organization = ORGANIZATIONS[usize::from(what / 24 % 8 == 7)];
        // At the time of the others, or at that of receipt.
        let at = if when & 0xc0 == 0xc0 { self.now } else { BEGIN };
        let at = Timestamp::from_millis(at.millis() + i64::from(when & 0x3f));
        let name = number.to_string();
        let outcome = ["", "ok", "failed", ""][how % 4];
        let labels = [("event_name", "job"), ("name", &*name), ("outcome", outcome)];
        let space = if state == EdgeState::Point { "point" } else { "span" };
        let group = [None, None, Some("g"), Some("h")][how / 4 % 4].filter(|_| state == EdgeState::Start);
        let edge = Edge {
            organization: organization.into(),
            cluster: CLUSTERS[usize::from(how / 16 % 4 == 3)].into(),
            state,
            at,
            value: if how / 64 == 1 { 2.5 } else { 1.0 },
            identity: Identity::of([space, &*name]),
            lapses: number == 2 && state != EdgeState::Point,
            supersede: group.map(|group| Identity::of(["group", group])),
            skew: self.skew.filter(|_| state == EdgeState::Stop),
            named: None,
            otherwise: None,
            entity: false,
            configured: false,
            labels: LabelSet::from_sorted(labels.into_iter().filter(|(_, value)| !value.is_empty())).unwrap(),
            attributes: (how / 64 == 2).then(|| "{\"a\":1}".into()),
        };
        self.sent.push(edge.clone());
        edge
    }

    fn sent(&self, input: &mut Bytes<'_>) -> Option<Edge> {
        let place = input.place(self.sent.len());
        self.sent.get(place).cloned()
    }

    /// What was sent before, deleted and forgotten edges among them.
    fn repeat(&mut self, input: &mut Bytes<'_>) {
        let edges = (0..=input.below(3)).filter_map(|_| self.sent(input)).map(Command::Edge).collect();
        self.commit(edges);
    }

    /// The same, in a log of the first format, which has every repeat.
    fn repeat_as_before(&mut self, input: &mut Bytes<'_>) {
        if let Some(edge) = self.sent(input) {
            self.append(vec![Command::Edge(edge)]);
        }
    }

    /// Changes of whole events in one commit, each of another event, and edges after them.
    fn change(&mut self, input: &mut Bytes<'_>) {
        let mut subjects = BTreeSet::new();
        let mut commands = Vec::new();
        for _ in 0..=input.below(4).saturating_sub(1) {
            let command = self.change_of_one(input);
            let subject = command.as_ref().and_then(subject);
            if subject.is_some_and(|subject| subjects.insert(subject)) {
                commands.extend(command);
            }
        }
        if input.flag() {
            commands.push(Command::Edge(self.edge(input)));
        }
        self.commit(commands);
    }

    fn change_of_one(&mut self, input: &mut Bytes<'_>) -> Option<Command> {
        let organization: Arc<str> = ORGANIZATIONS[usize::from(input.below(8) == 7)].into();
        let how = input.below(8);
        if how < 3 {
            let id = format!("own-{}", input.below(3));
            return Some(self.put(&organization, &id, input));
        }
        let plain = self.model.tenants.get(&organization)?;
        let events = checks::expected(plain, self.model.skew);
        let place = input.place(events.len());
        let id = events.get(place)?.0.id_of_edges();
        let view = self.store.tenant(&organization)?.event(&id).unwrap();
        if how > 5 {
            let span = self.store.span(&organization, &view.id);
            return Some(Command::Change(Change::Delete(Delete { organization, id: view.id, span })));
        }
        if view.own_id {
            return Some(self.put(&organization, &view.id, input));
        }
        let first = view.first().unwrap();
        let ends = input.flag() && view.open;
        let stop = ends.then(|| Edge {
            organization: Arc::clone(&organization),
            cluster: Arc::clone(&view.cluster),
            state: EdgeState::Stop,
            at: Timestamp::from_millis(first.at.millis() + i64::from(input.byte() & 0x3f)),
            value: 1.0,
            identity: view.identity,
            lapses: false,
            supersede: None,
            skew: self.skew,
            named: None,
            otherwise: None,
            entity: false,
            configured: false,
            labels: first.labels.clone(),
            attributes: first.attributes.clone(),
        });
        self.sent.extend(stop.clone());
        let span = self.store.span(&organization, &view.id);
        assert!(span.is_some(), "no span of {}", view.id);
        let describe = Describe { organization, edge: first.id, span, stop, details: details(input) };
        Some(Command::Change(Change::Describe(Box::new(describe))))
    }

    fn put(&self, organization: &Arc<str>, id: &str, input: &mut Bytes<'_>) -> Command {
        let created = self.store.tenant(organization).and_then(|tenant| tenant.event(id)).map(|event| event.created);
        let number = self.store.number(organization, id);
        let (when, how) = (input.byte(), usize::from(input.byte()));
        let at = if when & 0xc0 == 0xc0 { self.now } else { BEGIN };
        let outcome = ["ok", "failed"][how / 8 % 2];
        let start = Edge {
            organization: Arc::clone(organization),
            cluster: CLUSTERS[usize::from(how / 16 % 4 == 3)].into(),
            state: if how % 4 == 3 { EdgeState::Point } else { EdgeState::Start },
            at: Timestamp::from_millis(at.millis() + i64::from(when & 0x3f)),
            value: 1.0,
            identity: Identity::of_id(id),
            lapses: false,
            supersede: None,
            skew: None,
            named: None,
            otherwise: None,
            entity: false,
            configured: false,
            labels: LabelSet::from_sorted([("event_name", "job"), ("name", id), ("outcome", outcome)]).unwrap(),
            attributes: (how / 64 == 2).then(|| "{\"a\":1}".into()),
        };
        let ends = (how % 4 == 1 && start.state == EdgeState::Start).then(|| i64::from(input.byte() & 0x3f));
        let stop = ends.map(|after| Edge {
            state: EdgeState::Stop,
            at: Timestamp::from_millis(start.at.millis() + after),
            skew: self.skew,
            ..start.clone()
        });
        Command::Change(Change::Put(Box::new(Put { id: id.into(), created, number, start, stop, details: details(input) })))
    }

    /// Uses a key.
    fn claim(&mut self, input: &mut Bytes<'_>) {
        let (key, body) = (input.below(3), input.below(2));
        let claim = Claim { organization: ORGANIZATIONS[0].into(), key: key as u128, body: body as u128, at: self.now, former: None };
        let plain = self.model.tenant(&claim.organization);
        plain.expire(self.now);
        let expected = plain.claimed(&claim);
        let is_new = plain.edges.is_empty() && self.store.tenant(ORGANIZATIONS[0]).is_none();
        let known = self.store.admit_claim(&claim, self.now, &mut Admission::default()).unwrap();
        assert_eq!(known, Some(expected).filter(|expected| *expected != Claimed::New));
        if known.is_none() {
            self.append(vec![Command::Claim(claim)]);
        }
        assert!(!is_new || expected == Claimed::New);
    }

    /// Admits commands, and appends and applies what is new.
    fn commit(&mut self, commands: Vec<Command>) {
        let mut admission = Admission::default();
        let mut new = Vec::new();
        let mut ids = BTreeSet::new();
        for command in commands {
            let mut expected = Admitted::New;
            match &command {
                Command::Edge(edge) => {
                    let id = edge.id();
                    let known = self.model.tenants.get(&edge.organization).is_some_and(|plain| plain.find(id).is_some());
                    if known || !ids.insert((Arc::clone(&edge.organization), id)) {
                        expected = Admitted::Known;
                    }
                    let admitted = self.store.admit_edge(edge, id, self.now, &mut admission).unwrap();
                    assert_eq!(admitted, expected, "{command:?}");
                }
                Command::Change(change) => {
                    self.store.admit_change(change, self.now, &mut admission).unwrap();
                    let brought: Vec<EdgeId> = match change {
                        Change::Put(put) => put.edges().map(Edge::id).collect(),
                        Change::Describe(describe) => describe.stop.iter().map(Edge::id).collect(),
                        Change::Delete(_) => Vec::new(),
                    };
                    ids.extend(brought.into_iter().map(|id| (Arc::clone(change.organization()), id)));
                }
                other => panic!("{other:?}"),
            }
            if expected == Admitted::New {
                new.push(command);
            }
        }
        self.append(new);
    }

    /// Writes commands into the log, and folds them in.
    fn append(&mut self, commands: Vec<Command>) {
        let records: Vec<Record> = commands.into_iter().map(|command| self.record(command)).collect();
        let came: Vec<Came> = records.iter().map(|record| self.model.apply(record.arrival(), &record.command)).collect();
        let mut applied = Vec::new();
        for run in records.chunk_by(|a, b| is_edge(&a.command) && is_edge(&b.command)) {
            let edges: Vec<_> = run.iter().filter_map(as_edge).collect();
            if edges.is_empty() {
                applied.push(self.store.apply_record(run[0].arrival(), &run[0].command));
            } else {
                let mut taken = Vec::new();
                self.store.apply_edges(&edges, &mut taken);
                applied.extend(taken.into_iter().map(|taken| taken.map_or_else(Applied::Full, Applied::Edge)));
            }
        }
        assert_eq!(applied.len(), came.len());
        for (applied, came) in applied.iter().zip(&came) {
            check_came(applied, came);
        }
        // Of the last one the model knows what it was to its event then.
        if let (Some(Applied::Edge(applied)), [.., Record { command: Command::Edge(edge), .. }]) = (applied.last(), &*records)
            && !applied.duplicate
        {
            assert_eq!(applied.kind, self.model.kind(&edge.organization, applied.id));
        }
    }

    fn record(&mut self, command: Command) -> Record {
        self.position += 1;
        let record = Record { position: self.position, received: self.now, command, carried: false };
        self.log.push(record.clone());
        self.whole_log.push(record.clone());
        record
    }

    /// Retention: what was received in the oldest segments goes from memory, and a checkpoint takes over what stayed.
    fn retire(&mut self, input: &mut Bytes<'_>) {
        // What was retired once is, whether its checkpoint came about or not.
        let is_later = |record: &&Record| record.position > self.checkpoint && record.position >= self.retired;
        let later: Vec<&Record> = self.log.iter().filter(is_later).collect();
        if later.is_empty() {
            return;
        }
        let place = input.place(later.len());
        let upto = later[place].position;
        // Only records up to there were received before this.
        let latest = later.get(place + 1).map_or(self.now, |record| record.received);
        let before = if input.below(4) == 0 { later[input.place(place + 1)].received } else { latest };
        self.retired = upto;
        let seen = |model: &Model| -> Vec<BTreeSet<String>> {
            let lasting = |plain| checks::expected(plain, model.skew).into_iter().map(|(seen, _)| seen.lasting()).collect();
            model.tenants.values().map(lasting).collect()
        };
        let whole = seen(&self.model);
        let must_stay = |plain: &super::memory::Plain| plain.must_stay(before, self.now, self.model.skew);
        let must_stay: Vec<BTreeSet<EdgeId>> = self.model.tenants.values().map(must_stay).collect();
        let count: usize = self.model.tenants.values().map(|plain| plain.edges.len()).sum();
        let edges = self.store.stats(self.now).edges;
        self.forget(before, upto, u32::try_from(place % 4).unwrap());
        let retired = edges - self.store.stats(self.now).edges;
        for ((organization, plain), must_stay) in self.model.tenants.iter_mut().zip(must_stay) {
            for id in must_stay {
                assert!(self.store.remembers(organization, &id.to_string()), "{id} went too early");
            }
            plain.keep(|id| self.store.remembers(organization, &id.to_string()));
        }
        let left: usize = self.model.tenants.values().map(|plain| plain.edges.len()).sum();
        assert_eq!(count - left, retired, "how many went");
        for (left, whole) in seen(&self.model).iter().zip(whole) {
            assert!(left.is_subset(&whole), "retirement changed {:?}", left.difference(&whole).collect::<Vec<_>>());
        }
        // The checkpoint may fail; the segments are there then.
        if input.below(4) > 0 {
            self.checkpoint = upto;
            self.log.retain_mut(|record| {
                record.carried |= record.position <= upto;
                !record.carried || self.store.remembers_record(record.received, &record.command)
            });
        }
    }

    /// Retires at once, or so many edges at a time.
    fn forget(&mut self, before: Timestamp, upto: u64, edges: u32) {
        if edges == 0 {
            let command = Command::Retire { before, upto };
            let record = self.record(command);
            self.store.apply_record(record.arrival(), &record.command);
            return;
        }
        for organization in self.model.tenants.keys().map(Arc::clone).collect::<Vec<_>>() {
            let mut skip = 0;
            while (skip as usize) < self.store.old(&organization, before) {
                let command = Command::RetirePart(RetirePart { organization: Arc::clone(&organization), before, upto, skip, edges });
                let record = self.record(command);
                let Applied::Retired(part) = self.store.apply_record(record.arrival(), &record.command) else {
                    panic!("nothing was retired")
                };
                assert!(part.next > skip || part.gone > 0, "it goes on for ever");
                skip = part.next;
            }
        }
    }

    /// A reader sees the same after the log was read again.
    fn restart(&mut self) {
        self.store = replay(&self.log, self.model.skew);
        self.open.clear();
        self.look();
    }
}

fn new_store(skew: Duration) -> Store {
    Store::new(Options { pairing_skew: skew, ..Options::default() })
}

/// What an opening does (`src/writer/replay.rs`).
fn replay(log: &[Record], skew: Duration) -> Store {
    let store = new_store(skew);
    let uncarried = log.iter().find(|record| !record.carried).map_or(u64::MAX, |record| record.position);
    let is_done = |record: &Record| matches!(record.command, Command::Retire { upto, .. } | Command::RetirePart(RetirePart { upto, .. }) if upto < uncarried);
    let left: Vec<&Record> = log.iter().filter(|record| !is_done(record)).collect();
    let mut applied = Vec::new();
    for run in left.chunk_by(|a, b| is_edge(&a.command) && is_edge(&b.command)).flat_map(|run| run.chunks(RUN_EDGES)) {
        let edges: Vec<_> = run.iter().copied().filter_map(as_edge).collect();
        match &*edges {
            [] => drop(store.apply_record(run[0].arrival(), &run[0].command)),
            edges => store.apply_edges(edges, &mut applied),
        }
    }
    store
}

/// The event that a change is about.
fn subject(command: &Command) -> Option<(String, String)> {
    let Command::Change(change) = command else { return None };
    Some((change.organization().to_string(), change.event_id().into_owned()))
}

fn as_edge(record: &Record) -> Option<Arrived<'_>> {
    if let Command::Edge(edge) = &record.command { Some((record.arrival(), edge, edge.id())) } else { None }
}

fn is_edge(command: &Command) -> bool {
    matches!(command, Command::Edge(_))
}

fn check_came(applied: &Applied, came: &Came) {
    let found = match applied {
        Applied::Edge(edge) => Came::Edge { duplicate: edge.duplicate },
        Applied::Claim(claimed) => Came::Claim(*claimed),
        Applied::Changed(changed) => {
            let hide = if let Came::Changed { hide, .. } = came { *hide } else { false };
            let cause = if hide { Cause::Deleted } else { Cause::Replaced };
            assert!(changed.withdrawn.iter().all(|withdrawn| withdrawn.cause == cause));
            Came::Changed { added: changed.added.iter().map(|edge| edge.id).collect(), withdrawn: withdrawn(changed), hide }
        }
        Applied::Nothing | Applied::Retired(_) => Came::Nothing,
        Applied::Full(_) => panic!("{applied:?}"),
    };
    assert_eq!(found, *came);
}

fn withdrawn(changed: &AppliedChange) -> BTreeSet<Sample> {
    let sample = |withdrawn: &change_events::store::Withdrawn| {
        let (labels, stop) = checks::labels(&withdrawn.tenant, withdrawn.series);
        (checks::cluster_name(&withdrawn.tenant, withdrawn.cluster).into(), labels, stop, withdrawn.at)
    };
    let samples: BTreeSet<Sample> = changed.withdrawn.iter().map(sample).collect();
    assert_eq!(samples.len(), changed.withdrawn.len(), "a sample is withdrawn twice");
    samples
}

/// Details of few kinds, so that the same come again.
fn details(input: &mut Bytes<'_>) -> Details {
    let team = input.one_of(&["", "a", "b"]);
    let tags = if team.is_empty() { Vec::new() } else { vec![("team".into(), vec![team.into()])] };
    Details { description: input.below(4).to_string().into(), tags, ..Details::default() }
}

fn moment(input: &mut Bytes<'_>, now: Timestamp) -> Timestamp {
    let when = input.byte();
    let at = if when & 0xc0 == 0xc0 { now } else { BEGIN };
    Timestamp::from_millis(at.millis() + i64::from(when & 0x3f))
}
