//! A server without doors: a writer by the clock that a server goes by, and all that a reader of its memory sees.

use super::*;
use crate::event::Claim;
use crate::event::record::Decoder;
use crate::log::SegmentLog;
use crate::store::Order;
use crate::store::Query;
use crate::time::BelievedClock;
use parking_lot::Mutex;

pub(super) const ORGANIZATIONS: [&str; 2] = ["acme", "umbrella"];
pub(super) const CLUSTERS: [&str; 2] = ["", "eu"];
/// How many keys there are, and bodies that they are used with.
pub(super) const KEYS: u64 = 5;
pub(super) const BODIES: u64 = 3;
pub(super) const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// What one sender hands over, and the condition for it.
pub(super) type Sent = (Vec<Command>, Option<Expect>);
pub(super) type Answer = Result<Vec<Told>, SubmitError>;

/// What became of a command, whatever it is.
#[derive(Debug)]
pub(super) enum Told {
    Edge {
        id: EdgeId,
        duplicate: bool,
    },
    Claim(Claimed),
    /// Of a whole event; the version that it has after the commit.
    Changed(Option<Version>),
    Unexpected,
    Refused(Refused),
}

/// Where the answer to what was handed over comes.
enum Awaited {
    Edges(oneshot::Receiver<Reply<Edges, Vec<Result<Taken, Refused>>>>),
    Claim(oneshot::Receiver<Reply<Encoded<Claim>, Result<Claimed, Refused>>>),
    Change(oneshot::Receiver<Reply<Conditioned, Result<Made, Unchanged>>>, Change),
}

/// As [`Writer`] hands it over. A change of a sender that does not care is one of the event as it is.
fn handed_over((mut commands, expect): Sent, store: &Store, limit: usize) -> (Submission, Awaited) {
    match commands.pop() {
        Some(Command::Claim(claim)) => {
            assert!(commands.is_empty());
            let (ask, reply) = Ask::new(Encoded::of(claim, limit).unwrap(), &Source::default());
            (Submission::Claim(ask), Awaited::Claim(reply))
        }
        Some(Command::Change(change)) => {
            assert!(commands.is_empty());
            let version = || store.version(change.organization(), &change.event_id());
            let expect = expect.unwrap_or_else(|| version().map_or(Expect::New, Expect::Version));
            let (ask, reply) = Ask::new(
                Conditioned { change: Encoded::of(change.clone(), limit).unwrap(), expect, _held: Held::of(()) },
                &Source::default(),
            );
            (Submission::Change(ask), Awaited::Change(reply, change))
        }
        last => {
            let edges = commands.into_iter().chain(last);
            let edges = edges.map(|command| if let Command::Edge(edge) = command { edge } else { panic!("{command:?}") });
            let (ask, reply) = Ask::new(edges.collect(), &Source::default());
            (Submission::Edges(ask), Awaited::Edges(reply))
        }
    }
}

impl Awaited {
    fn answer(self, store: &Store) -> Answer {
        let edge = |taken: Result<Taken, Refused>| match taken {
            Ok(Taken { id, exposure, .. }) => Told::Edge { id, duplicate: exposure.is_none() },
            Err(refused) => Told::Refused(refused),
        };
        Ok(match self {
            Self::Edges(mut reply) => reply.try_recv().unwrap().answer?.into_iter().map(edge).collect(),
            Self::Claim(mut reply) => vec![Told::Claim(reply.try_recv().unwrap().answer?.unwrap())],
            Self::Change(mut reply, change) => vec![match reply.try_recv().unwrap().answer? {
                Ok(_) => Told::Changed(store.version(change.organization(), &change.event_id())),
                Err(Unchanged::Unexpected) => Told::Unexpected,
                Err(Unchanged::Refused(refused)) => Told::Refused(refused),
            }],
        })
    }
}

/// Some senders hand something over before the writer looks.
pub(super) fn submit<L: Log>(committer: &mut Committer<L>, sent: Vec<Sent>) -> Vec<Answer> {
    let (store, limit) = (Arc::clone(&committer.state.memory.store), committer.log.record_bytes_max());
    let (entrance, mut exit) = queue::queue(&committer.telemetry);
    let hand_over = |sent| {
        let (submission, awaited) = handed_over(sent, &store, limit);
        let kind = if matches!(submission, Submission::Edges(_)) { Kind::Array } else { Kind::Single };
        entrance.push(kind, &Source::default(), submission).unwrap();
        awaited
    };
    let awaited: Vec<Awaited> = sent.into_iter().map(hand_over).collect();
    drop(entrance);
    committer.commit_all(&mut exit);
    awaited.into_iter().map(|awaited| awaited.answer(&store)).collect()
}

/// A record as the log has it.
pub(super) type Recorded = (Position, Timestamp, Command);

/// Remembers what it is told.
#[derive(Clone, Debug, Default)]
pub(super) struct Listener(pub(super) Arc<Mutex<Vec<Recorded>>>);

impl Follower for Listener {
    fn follow(&mut self, fed: &Fed<'_>) {
        let command = match fed.outcome {
            Outcome::Edge(edge, taken) => {
                assert!(taken.id == edge.id() && taken.exposure.is_some());
                Command::Edge(edge.clone())
            }
            Outcome::Claim(claim, claimed) => {
                assert_eq!(claimed, Claimed::New);
                Command::Claim(claim.clone())
            }
            Outcome::Change(change, _) => Command::Change(change.clone()),
            Outcome::Own(command) => command.clone(),
        };
        self.0.lock().push((fed.position, fed.received, command));
    }
}

pub(super) struct Server {
    pub(super) disk: FaultyDisk,
    pub(super) machine: Arc<ManualClock>,
    pub(super) memory: Memory,
    pub(super) retention: Duration,
    pub(super) retention_size: Option<u64>,
    pub(super) min_free: u64,
    /// A flag that may be another one after the next start.
    pub(super) skew: Duration,
    committer: Option<Committer<SegmentLog<FaultyDisk>>>,
    /// Every record that there ever was, whatever retention has made of the log since.
    pub(super) records: Vec<Recorded>,
    /// What was fed since the start.
    pub(super) fed: Listener,
    /// When somebody last looked; nobody looks at what was before.
    looked: Timestamp,
    /// How many steps retention may do after what senders handed over, before the next do.
    pub(super) steps: u64,
}

pub(super) fn memory_of(skew: Duration) -> Memory {
    memory_with(crate::store::Options { pairing_skew: skew, open_max_age: Duration::from_hours(3), ..crate::store::Options::default() })
}

impl Server {
    pub(super) fn new(retention: Duration) -> Self {
        Self::on(FaultyDisk::new(), retention)
    }

    pub(super) fn on(disk: FaultyDisk, retention: Duration) -> Self {
        let (machine, skew) = (Arc::new(ManualClock::at(START)), Duration::from_secs(5));
        let mut server = Self {
            disk,
            machine,
            memory: memory_of(skew),
            retention,
            retention_size: None,
            min_free: 0,
            skew,
            committer: None,
            records: Vec::new(),
            fed: Listener::default(),
            looked: START,
            steps: u64::MAX,
        };
        server.start();
        server
    }

    /// A server starts on what is on the disk; one that ran is gone.
    pub(super) fn start(&mut self) {
        self.committer = None;
        self.memory = memory_of(self.skew);
        let opened = open(self.disk.clone(), log_options(), &self.memory).unwrap();
        let clock = Arc::new(BelievedClock::new(Arc::<ManualClock>::clone(&self.machine)));
        clock.not_before(opened.received());
        let (retention, min_free) = (Some(self.retention), Some(self.min_free));
        let options = Options { retention, retention_size: self.retention_size, min_free, ..Options::default() };
        let mut committer = Committer::new(opened, options, clock, Arc::default());
        self.fed = Listener::default();
        committer.followers.push(Box::new(self.fed.clone()));
        self.committer = Some(committer);
        self.note_records();
    }

    /// The server that another disk would start, one with no more of the log than this.
    pub(super) fn as_on(&self, disk: FaultyDisk) -> Self {
        let (machine, memory, records) = (Arc::clone(&self.machine), self.memory.clone(), self.records.clone());
        let Self { retention, retention_size, min_free, skew, looked, steps, .. } = *self;
        let (fed, committer) = (Listener::default(), None);
        let mut server = Self { disk, machine, memory, retention, retention_size, min_free, skew, committer, records, fed, looked, steps };
        server.start();
        let last = server.committer().log.last();
        server.records.retain(|(position, ..)| *position <= last);
        server
    }

    /// The log is closed as far as it can be.
    pub(super) fn close(&mut self) -> Result<(), AppendError> {
        self.committer.take().unwrap().log.close()
    }

    pub(super) fn committer(&mut self) -> &mut Committer<SegmentLog<FaultyDisk>> {
        self.committer.as_mut().unwrap()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.committer.as_ref().unwrap().clock.now()
    }

    pub(super) fn is_latched(&self) -> bool {
        matches!(*self.committer.as_ref().unwrap().health.read(), Health::Latched(_))
    }

    /// Some senders hand something over before the writer looks; it does as when it runs, retention too, as far as the next
    /// senders let it.
    pub(super) fn submit(&mut self, sent: Vec<Sent>) -> Vec<Answer> {
        let answers = submit(self.committer(), sent);
        self.forget();
        answers
    }

    /// Nobody sends anything for a while.
    pub(super) fn idle(&mut self) {
        self.committer().idle(true);
        self.forget();
    }

    /// Looks for what is too old, and forgets it.
    pub(super) fn retire(&mut self) {
        let committer = self.committer();
        committer.looked_at = Timestamp::MIN;
        committer.look_for_old();
        self.forget();
    }

    fn forget(&mut self) {
        let mut steps = self.steps;
        while steps > 0 && self.committer().forget_some() {
            // A checkpoint may overtake what is not noted.
            self.note_records();
            steps -= 1;
        }
        self.note_records();
    }

    /// Sends one command.
    pub(super) fn one(&mut self, command: Command) -> Told {
        self.submit(vec![(vec![command], None)]).remove(0).unwrap().remove(0)
    }

    /// Sends an edge; says whether it was there already.
    pub(super) fn send(&mut self, edge: Edge) -> bool {
        let outcome = self.one(Command::Edge(edge));
        let Told::Edge { duplicate, .. } = outcome else { panic!("{outcome:?}") };
        duplicate
    }

    /// Sends points that fill most of some segments, which then can go with all that was before.
    pub(super) fn fill(&mut self, segments: usize) {
        for _ in 0..segments {
            let (at, number) = (self.now(), self.records.len());
            self.send(edges::long(edges::job(EdgeState::Point, at, &format!("filler-{number}"))));
        }
    }

    /// Remembers what is new in the log. What a failed sync left is looked for after a restart.
    fn note_records(&mut self) {
        if self.is_latched() {
            return;
        }
        let from = Position(self.records.last().map_or(0, |last| last.0.0) + 1);
        let Self { committer, records, .. } = self;
        let mut decoder = Decoder::default();
        let noted = committer.as_ref().unwrap().log.replay(from, &mut |frame| {
            assert!(!frame.is_carried(), "a checkpoint overtook the test");
            for (position, bytes) in frame.records() {
                let (received, command) = decoder.decode(bytes).unwrap();
                records.push((position, received, command));
            }
            Ok(())
        });
        noted.unwrap();
        let fed = self.fed.0.lock();
        assert_eq!(self.records.get(self.records.len() - fed.len()..).unwrap(), *fed, "the feed is not the log");
    }

    /// A memory into which all records that there ever were are folded.
    pub(super) fn folded(&self) -> Memory {
        let memory = memory_of(self.skew);
        let settings =
            self.records.iter().find_map(|(.., command)| if let Command::Settings(settings) = command { Some(settings) } else { None });
        memory.begin(settings.map_or(self.skew, |settings| settings.skew));
        let decoded = |(position, received, command): &Recorded| {
            let (position, received) = (*position, *received);
            course::Decoded { position, received, command: command.clone(), id: command.edge_id() }
        };
        apply::fold(&memory, &self.records.iter().map(decoded).collect::<Vec<_>>(), |_, _| {});
        memory
    }

    /// What a reader sees at the time of the last receipt.
    pub(super) fn seen(&mut self) -> Vec<String> {
        self.looked = self.looked.max(self.committer().received);
        seen(&self.memory, self.looked)
    }

    /// All that the log was folded into, with what no reader sees; `None` where a checkpoint has less of the log than memory was
    /// made of.
    pub(super) fn state(&mut self) -> Option<Vec<String>> {
        let now = self.looked;
        let committer = self.committer();
        committer.log.checkpoint_position().is_none().then(|| committer.state.lines(now))
    }

    /// What a reader sees, where there must not be more than if nothing had been forgotten but what records say.
    #[track_caller]
    pub(super) fn seen_as_folded(&mut self) -> Vec<String> {
        let seen = self.seen();
        compare("retention", &self::seen(&self.folded(), self.looked), &seen);
        seen
    }

    /// The events of an organization that are no fillers: the name of each, and whether it is open.
    pub(super) fn events(&self) -> Vec<(String, bool)> {
        let Some(tenant) = self.memory.store.tenant("acme") else { return Vec::new() };
        let events = tenant.select(&everything(Order::Start)).events.into_iter();
        let named = events.map(|event| (event.label("entity_id").or(event.label("version")).unwrap_or_default().to_owned(), event.open));
        named.filter(|(name, _)| !name.starts_with("filler")).collect()
    }

    /// Starts again, where a reader must see the same, and so must one of a memory with all records that there ever were.
    #[track_caller]
    pub(super) fn restart(&mut self) {
        let (before, state) = (self.seen(), self.state());
        self.start();
        compare("a restart", &before, &self.seen_as_folded());
        if let (Some(before), Some(after)) = (state, self.state()) {
            compare("to the state, a restart", &before, &after);
        }
    }
}

pub(super) fn everything(order: Order) -> Query {
    Query { order, limit: 100_000, ..Query::default() }
}

/// All that a reader sees, in lines.
pub(super) fn seen(memory: &Memory, now: Timestamp) -> Vec<String> {
    let mut lines = vec![format!("{:?}", memory.store.stats(now))];
    for organization in ORGANIZATIONS {
        let Some(tenant) = memory.store.tenant(organization) else { continue };
        for order in [Order::Start, Order::End, Order::Update] {
            let events = tenant.select(&everything(order)).events;
            lines.extend(events.iter().map(|event| format!("{organization} by {order:?}: {event:?}")));
        }
        for (cluster, window) in
            CLUSTERS.into_iter().flat_map(|cluster| [None, Some(Duration::from_hours(7 * 24))].map(|window| (cluster, window)))
        {
            let Some(number) = tenant.cluster(cluster) else { continue };
            let request = PageRequest { format: Format::Text004, gzip: false, window, keep: None, selectors: Vec::new() };
            let page = memory.pages.render(Some(&tenant), number, &request, "", now).unwrap();
            let page = String::from_utf8(page.body.to_vec()).unwrap();
            let samples = page.lines().filter(|line| !line.starts_with('#'));
            lines.extend(samples.map(|line| format!("{organization} page {cluster:?} {window:?}: {line}")));
        }
        lines.extend(tenant.every_key(now).iter().map(|(key, bound)| format!("{organization} key {key}: {bound:?}")));
        // Also those that are part of no event: they are known.
        let mut edges = tenant.every_edge();
        edges.sort_unstable();
        lines.extend(edges.iter().map(|(edge, received)| format!("{organization} edge {edge} {}", received.millis())));
    }
    lines
}

pub(super) fn claim(organization: &str, key: u64, body: u64, at: Timestamp) -> Claim {
    Claim { organization: organization.into(), key: key.into(), body: body.into(), at, former: None }
}

#[track_caller]
pub(super) fn compare(what: &str, before: &[String], after: &[String]) {
    let only = |these: &[String], those: &[String]| {
        these.iter().filter(|line| !those.contains(line)).take(4).cloned().collect::<Vec<_>>().join("\n  ")
    };
    assert!(before == after, "{what} changes\n  {}\nto\n  {}", only(before, after), only(after, before));
}
