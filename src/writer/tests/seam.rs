//! The writer on logs that are not a disk of its own: one that commits later, and one that follows another's.

use super::edges::job;
use super::older::written;
use super::server::Answer;
use super::server::Listener;
use super::server::Sent;
use super::server::Server;
use super::server::Told;
use super::server::seen;
use super::server::submit;
use super::world::World;
use super::*;
use crate::event::record;
use crate::event::record::Record as _;
use crate::log::Appended;
use crate::log::Batch;
use crate::log::CheckpointError;
use crate::log::Committed;
use crate::log::Compaction;
use crate::log::Frame;
use crate::log::LogReader;
use crate::log::Removed;
use crate::log::Room;
use crate::log::SegmentInfo;
use crate::log::SegmentLog;
use crate::log::Unhealthy;
use std::collections::VecDeque;

/// A log that is durable when somebody asks what is committed, and takes in what another one has.
struct Relay {
    local: SegmentLog<FaultyDisk>,
    proposed: VecDeque<Batch>,
    other: Option<LogReader<FaultyDisk>>,
    read: VecDeque<Frame>,
    /// It looks at the other one only when something is proposed.
    late: bool,
    /// It commits this instead of what is proposed next.
    instead: Option<Batch>,
}

impl Relay {
    fn append(&mut self, batch: &Batch) -> Result<Appended, AppendError> {
        self.local.append(batch)
    }
}

impl Log for Relay {
    type Compaction = Compaction<FaultyDisk>;

    fn propose(&mut self, batch: &Batch) -> Result<Position, AppendError> {
        self.proposed.push_back(self.instead.take().unwrap_or_else(|| batch.clone()));
        Ok(Position(self.local.last().0 + batch.len() as u64))
    }

    fn committed(&mut self) -> Result<Option<Committed>, AppendError> {
        if let Some(other) = self.other.as_mut().filter(|_| self.read.is_empty() && (!self.late || !self.proposed.is_empty())) {
            let mut keep = |frame| {
                self.read.push_back(frame);
                Ok(())
            };
            other.read(&mut keep).unwrap();
        }
        if let Some(frame) = self.read.pop_front() {
            let mut batch = Batch::new();
            frame.records().for_each(|(_, record)| batch.push(record));
            let appended = self.append(&batch)?;
            assert_eq!(Some(appended.last), frame.records().last().map(|(position, _)| position));
            return Ok(Some(Committed::Foreign(frame)));
        }
        let Some(batch) = self.proposed.pop_front() else { return Ok(None) };
        self.append(&batch).map(|appended| Some(Committed::Own(appended)))
    }

    fn last(&self) -> Position {
        self.local.last()
    }

    fn healthy(&self) -> Result<(), Unhealthy> {
        self.local.healthy()
    }

    fn record_bytes_max(&self) -> usize {
        self.local.record_bytes_max()
    }

    fn close(self) -> Result<(), AppendError> {
        self.local.close()
    }

    fn segments(&self) -> Vec<SegmentInfo> {
        self.local.segments()
    }

    fn room(&self) -> std::io::Result<Room> {
        self.local.room()
    }

    fn checkpoint_bytes(&self, segments: usize) -> u64 {
        self.local.checkpoint_bytes(segments)
    }

    fn keep_reserve(&mut self, carried: u64, leave: u64) -> bool {
        self.local.keep_reserve(carried, leave)
    }

    fn carried_bytes(&self, records: u64) -> u64 {
        self.local.carried_bytes(records)
    }

    fn open_reserve(&mut self, is_open: bool) {
        self.local.open_reserve(is_open);
    }

    fn make_way(&mut self) {
        self.local.make_way();
    }

    fn rotate(&mut self) -> Result<(), AppendError> {
        self.local.rotate()
    }

    fn checkpoint_position(&self) -> Option<Position> {
        self.local.checkpoint_position()
    }

    fn begin_compaction(&mut self, upto: Position) -> Result<Self::Compaction, CheckpointError> {
        self.local.begin_compaction(upto)
    }

    fn compact_step(
        &mut self,
        compaction: &mut Self::Compaction,
        keep: &mut dyn FnMut(Position, &[u8]) -> bool,
    ) -> Result<bool, CheckpointError> {
        self.local.compact_step(compaction, keep)
    }

    fn abandon(&mut self, compaction: Self::Compaction) {
        self.local.abandon(compaction);
    }

    fn remove_segments_below(&mut self, position: Position) -> Result<Removed, CheckpointError> {
        self.local.remove_segments_below(position)
    }
}

/// A writer on such a log.
fn relay(disk: &FaultyDisk, other: Option<LogReader<FaultyDisk>>, machine: &Arc<ManualClock>) -> Committer<Relay> {
    let memory = super::server::memory_of(Duration::from_secs(5));
    let Opened { log, state, replayed } = open(disk.clone(), log_options(), &memory).unwrap();
    let log = Relay { local: log, proposed: VecDeque::new(), other, read: VecDeque::new(), late: false, instead: None };
    Committer::new(Opened { log, state, replayed }, Options::default(), Arc::<ManualClock>::clone(machine), Arc::default())
}

fn edges(names: &[&str]) -> Sent {
    (names.iter().map(|name| Command::Edge(job(EdgeState::Start, super::server::START, name))).collect(), None)
}

#[test]
fn what_is_committed_later_is_applied_and_answered_then() {
    let (disk, machine) = (FaultyDisk::new(), Arc::new(ManualClock::at(super::server::START)));
    let mut writer = relay(&disk, None, &machine);
    let answers = submit(&mut writer, vec![edges(&["a", "b"]), edges(&["b"])]);
    assert!(matches!(answers[0].as_deref(), Ok([Told::Edge { duplicate: false, .. }, Told::Edge { duplicate: false, .. }])));
    assert!(matches!(answers[1].as_deref(), Ok([Told::Edge { duplicate: true, .. }])), "{answers:?}");
    // What was proposed and is lost on its way is nowhere, and the next is taken.
    for (fault, latches) in [(Call::Write, false), (Call::Sync, true)] {
        disk.fail_next(fault, Fault::Before);
        let answers = submit(&mut writer, vec![edges(&["lost"]), edges(&["a"])]);
        let is_told = |answer: &Answer| matches!((answer, latches), (Err(SubmitError::Unknown), true) | (Err(SubmitError::Log(_)), false));
        assert!(answers.iter().all(is_told), "{answers:?}");
        assert_eq!(writer.state.memory.store.stats(super::server::START).edges, if latches { 3 } else { 2 });
        let taken = submit(&mut writer, vec![edges(&["c"])]).remove(0).is_ok();
        assert_eq!(taken, !latches);
    }
}

#[test]
fn a_writer_that_follows_another_log_has_the_same_memory_and_can_go_on() {
    for seed in 0..6 {
        let mut world = World::new(seed);
        let disk = FaultyDisk::new();
        let other = world.server.committer().log.reader(Position(1));
        let mut follower = relay(&disk, Some(other), &world.server.machine);
        let fed = Listener::default();
        follower.followers.push(Box::new(fed.clone()));
        for step in 0..60 {
            world.step_of_senders();
            follower.catch_up().unwrap();
            let now = world.server.now();
            super::server::compare(
                &format!("seed {seed}, step {step}: following"),
                &seen(&world.server.memory, now),
                &seen(&follower.state.memory, now),
            );
            super::server::compare("to the state, following", &world.server.committer().state.lines(now), &follower.state.lines(now));
            assert_eq!((follower.log.last(), *follower.applied.borrow()), (world.server.committer().log.last(), follower.log.last()));
        }
        world.server.retire();
        while world.server.committer().forget_some() {}
        follower.catch_up().unwrap();
        assert_eq!(*fed.0.lock(), *world.server.fed.0.lock());
        // Its own log says the same, and it takes over where the other ended.
        let again = relay(&disk, None, &world.server.machine);
        let now = world.server.now();
        super::server::compare("a restart of what follows", &seen(&follower.state.memory, now), &seen(&again.state.memory, now));
        follower.log.other = None;
        let sent = edges(&["first of its own"]);
        let (theirs, ours) = (submit(world.server.committer(), vec![sent.clone()]), submit(&mut follower, vec![sent]));
        assert_eq!(format!("{theirs:?}"), format!("{ours:?}"));
        super::server::compare("going on", &seen(&world.server.memory, now), &seen(&follower.state.memory, now));
    }
}

#[test]
fn what_is_not_understood_stops_a_writer_that_follows() {
    let (leader, machine) = (Server::new(Duration::from_hours(24)), Arc::new(ManualClock::at(super::server::START)));
    let disk = leader.disk.clone();
    drop(leader);
    let (mut log, _) = SegmentLog::open(disk, log_options(), &mut |_| Ok(())).unwrap();
    let mut follower = relay(&FaultyDisk::new(), Some(log.reader(Position(1))), &machine);
    let mut batch = Batch::new();
    batch.push(b"\xffnot a record");
    assert_eq!(log.append(&batch).unwrap().last, Position(1));
    for _ in 0..2 {
        let answer = submit(&mut follower, vec![edges(&["a"])]).remove(0);
        assert!(matches!(&answer, Err(SubmitError::Latched(error)) if matches!(**error, AppendError::Foreign(_))), "{answer:?}");
        assert!(matches!(*follower.health.read(), Health::Latched(_)));
    }
}

/// Something of what was proposed may be in the log.
#[track_caller]
fn check_disordered(writer: &Committer<Relay>, answer: &Answer) {
    assert!(matches!(answer, Err(SubmitError::Unknown)), "{answer:?}");
    assert!(matches!(&*writer.health.read(), Health::Latched(error) if matches!(**error, AppendError::Disordered)));
}

#[test]
fn what_is_committed_out_of_order_stops_the_writer() {
    let (disk, machine) = (FaultyDisk::new(), Arc::new(ManualClock::at(super::server::START)));
    let (mut other, _) = SegmentLog::open(FaultyDisk::new(), log_options(), &mut |_| Ok(())).unwrap();
    let mut writer = relay(&disk, None, &machine);
    assert!(submit(&mut writer, vec![edges(&["a"])]).remove(0).is_ok());
    // What nobody proposed is committed as if it had been.
    let mut batch = Batch::new();
    batch.push(b"anything");
    writer.log.proposed.push_back(batch.clone());
    for _ in 0..2 {
        let answer = submit(&mut writer, vec![edges(&["b"])]).remove(0);
        assert!(matches!(&answer, Err(SubmitError::Latched(error)) if matches!(**error, AppendError::Disordered)), "{answer:?}");
    }
    // Less is committed than was proposed.
    let mut writer = relay(&FaultyDisk::new(), None, &machine);
    writer.log.instead = Some(batch.clone());
    let answer = submit(&mut writer, vec![edges(&["a", "b"])]).remove(0);
    check_disordered(&writer, &answer);
    assert_eq!(writer.state.memory.store.stats(super::server::START).edges, 0);
    // Another one gets in between.
    let mut writer = relay(&FaultyDisk::new(), Some(other.reader(Position(1))), &machine);
    writer.log.late = true;
    assert_eq!(other.append(&batch).unwrap().last, Position(1));
    let answer = submit(&mut writer, vec![edges(&["a"])]).remove(0);
    check_disordered(&writer, &answer);
    assert_eq!(writer.state.memory.store.stats(super::server::START).edges, 0);
}

/// What a retirement is about may be what was proposed here, before anybody else was followed.
#[test]
fn a_retirement_of_another_one_takes_what_was_proposed_here() {
    let (start, machine) = (super::server::START, Arc::new(ManualClock::at(super::server::START)));
    let mut writer = relay(&FaultyDisk::new(), None, &machine);
    let point = Command::Edge(job(EdgeState::Point, start, "a"));
    assert!(submit(&mut writer, vec![(vec![point], None)]).remove(0).is_ok());
    let (mut other, _) = SegmentLog::open(FaultyDisk::new(), log_options(), &mut |_| Ok(())).unwrap();
    let mut batch = Batch::new();
    writer
        .log
        .local
        .replay(Position(1), &mut |frame| {
            frame.records().for_each(|(_, record)| batch.push(record));
            Ok(())
        })
        .unwrap();
    let upto = other.append(&batch).unwrap().last;
    let received = start.plus(Duration::from_hours(48));
    batch.clear(0);
    let mut bytes = Vec::new();
    Command::Retire { before: received, upto: upto.0 }.encode(&mut bytes);
    record::stamp(&mut bytes, received);
    batch.push(&bytes);
    writer.log.other = Some(other.reader(Position(upto.0 + 1)));
    assert_eq!(other.append(&batch).unwrap().last, Position(upto.0 + 1));
    writer.catch_up().unwrap();
    assert_eq!(writer.state.memory.store.stats(received).edges, 0);
}

/// As a start in a program of its own does it: a reader of the log is taken before the writer has it.
#[tokio::test]
async fn who_reads_beside_the_writer_finds_what_was_applied() {
    let memory = super::server::memory_of(Duration::from_secs(5));
    let opened = open(FaultyDisk::new(), log_options(), &memory).unwrap();
    let mut reader = opened.reader(Position(1));
    let clock = Arc::new(ManualClock::at(super::server::START));
    let (writer, running) = Writer::start(opened, Options::default(), clock, Arc::default(), Vec::new()).unwrap();
    let mut applied = writer.applied();
    for number in 0..200_u64 {
        let entity = number.to_string();
        writer.edge(&Source::default(), job(EdgeState::Start, super::server::START, &entity)).await.unwrap().unwrap();
        let applied = *applied.borrow_and_update();
        let mut read = Vec::new();
        reader
            .read(&mut |frame| {
                read.extend(frame.records().map(|(position, _)| position));
                Ok(())
            })
            .unwrap();
        // With the first come the settings of the log.
        let expected = if number == 0 { vec![Position(1), Position(2)] } else { vec![Position(number + 2)] };
        assert_eq!((read, applied), (expected, Position(number + 2)));
    }
    drop(writer);
    assert!(applied.changed().await.is_err());
    running.join().unwrap();
}

#[test]
fn what_a_followed_log_says_of_its_stops_counts_where_no_edge_was_folded_before() {
    let machine = Arc::new(ManualClock::at(super::server::START));
    let edge = |name| (super::server::START, Command::Edge(job(EdgeState::Start, super::server::START, name)));
    let settings = (super::server::START, Command::Settings(crate::event::Settings { skew: Duration::from_secs(7) }));
    for known in [0, 1] {
        let before = || (0..known).map(|_| vec![edge("a")]);
        let (other, _) =
            SegmentLog::open(written(before().chain([vec![settings.clone(), edge("b")]])), log_options(), &mut |_| Ok(())).unwrap();
        let mut follower = relay(&written(before()), Some(other.reader(Position(known + 1))), &machine);
        let answer = follower.catch_up();
        let store = &follower.state.memory.store;
        assert_eq!((store.skew(), store.stats(super::server::START).edges), (Duration::from_secs(if known == 0 { 7 } else { 5 }), 1));
        let is_foreign = matches!(&answer, Err(SubmitError::Latched(error)) if matches!(**error, AppendError::Foreign(_)));
        assert!(if known == 0 { answer.is_ok() } else { is_foreign }, "{answer:?}");
    }
}
