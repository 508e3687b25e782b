//! A disk that hangs, and what those are told who wait for it.

use super::*;
use crate::event::Edge;
use crate::event::EdgeState;
use crate::event::Identity;
use crate::labels::LabelSet;
use crate::log;
use crate::log::faulty::Call;
use crate::log::faulty::Fault;
use crate::log::faulty::FaultyDisk;
use crate::time::ManualClock;
use crate::time::Timestamp;
use crate::writer::Answers;
use crate::writer::Health;
use crate::writer::Memory;
use crate::writer::Options;
use crate::writer::Running;
use crate::writer::Source;
use crate::writer::SubmitError;
use crate::writer::Writer;
use tokio::task::JoinHandle;

const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

struct Server {
    disk: FaultyDisk,
    clock: Arc<ManualClock>,
    memory: Memory,
    telemetry: Arc<Telemetry>,
    writer: Writer,
    watch: Watch,
    running: Running,
}

impl Server {
    fn on(disk: FaultyDisk) -> Self {
        Self::with(disk, Options::default())
    }

    fn with(disk: FaultyDisk, options: Options) -> Self {
        let (clock, telemetry) = (Arc::new(ManualClock::at(START)), Arc::<Telemetry>::default());
        let memory = crate::writer::tests::memory();
        let opened = crate::writer::open(disk.clone(), log::Options::default(), &memory).unwrap();
        let parts = (Arc::<ManualClock>::clone(&clock), Arc::clone(&telemetry));
        let (writer, mut running) = Writer::start(opened, options, parts.0, parts.1, Vec::new()).unwrap();
        let watch = running.watch().unwrap();
        Self { disk, clock, memory, telemetry, writer, watch, running }
    }

    /// Hands over some edges now, whenever they are answered.
    fn send(&self, names: &[&str]) -> JoinHandle<Result<Answers, SubmitError>> {
        let edge = |name: &&str| {
            let labels = LabelSet::from_sorted([("event_name", *name)]).unwrap();
            Edge::new(EdgeState::Point, START, Identity::of([*name]), labels)
        };
        tokio::spawn(self.writer.edges(&Source::default(), names.iter().map(edge).collect()))
    }

    /// The disk hangs in a call for what is sent.
    fn hang(&self, call: Call, names: &[&str]) -> JoinHandle<Result<Answers, SubmitError>> {
        self.disk.hang(call);
        let sent = self.send(names);
        self.until_it_hangs();
        sent
    }

    fn until_it_hangs(&self) {
        for _ in 0..10_000_000 {
            if self.disk.hangs() {
                return;
            }
            std::thread::yield_now();
        }
        panic!("it does not call the disk");
    }

    fn pass(&mut self, span: Duration) {
        self.clock.advance(span);
        self.watch.look();
    }

    fn edges(&self) -> usize {
        self.memory.store.stats(START).edges
    }

    /// Sends until it is taken, which it is as soon as the disk answers.
    async fn send_until_taken(&self, name: &str) {
        for _ in 0..1_000_000 {
            match self.send(&[name]).await.unwrap() {
                Ok(_) => return,
                Err(SubmitError::Stalled) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
        panic!("nothing is let in");
    }

    /// As another process would find the log.
    fn edges_in_log(self) -> usize {
        let Self { disk, writer, running, watch, .. } = self;
        drop((writer, watch));
        running.join().ok();
        Self::on(disk).edges()
    }
}

#[tokio::test]
async fn those_who_wait_for_a_disk_that_hangs_are_told_so_and_served_when_it_answers() {
    for call in [Call::Sync, Call::Write] {
        let mut server = Server::on(FaultyDisk::new());
        server.send(&["before"]).await.unwrap().unwrap();
        let under_way = server.hang(call, &["under way", "with it"]);
        let queued = server.send(&["queued"]);
        server.pass(Duration::from_millis(999));
        assert_eq!((server.writer.stalled(), server.watch.said), (None, Said::Nothing));
        server.pass(Duration::from_millis(1));
        assert_eq!((server.writer.stalled(), server.watch.said), (Some(STALL), Said::Stalled(STALL)));
        server.pass(Duration::from_millis(3999));
        assert!(server.writer.takes().is_ok() && !under_way.is_finished() && !queued.is_finished());
        server.pass(Duration::from_millis(1));
        assert!(matches!(under_way.await.unwrap(), Err(SubmitError::Unknown)));
        assert!(matches!(queued.await.unwrap(), Err(SubmitError::Stalled)));
        assert!(matches!(server.writer.takes(), Err(SubmitError::Stalled)));
        assert!(matches!(server.send(&["at the door"]).await.unwrap(), Err(SubmitError::Stalled)));
        assert!(server.writer.queue_depth().iter().all(|(_, waiting)| *waiting == 0));
        server.pass(Duration::from_mins(1));
        assert_eq!((server.edges(), server.telemetry.log_stalls.get()), (1, 1));

        server.disk.go_on();
        server.send_until_taken("after").await;
        server.pass(Duration::ZERO);
        assert_eq!((server.writer.stalled(), server.watch.said), (None, Said::Nothing));
        assert!(server.writer.takes().is_ok());
        // What was under way is there; what was not let in is not.
        assert_eq!(server.edges(), 4);
        assert_eq!(server.edges_in_log(), 4);
    }
}

/// Those under way were told that it is not known, and it was not.
#[tokio::test]
async fn a_sync_that_hangs_and_then_fails_latches() {
    let mut server = Server::on(FaultyDisk::new());
    server.disk.fail_next(Call::Sync, Fault::Before);
    let under_way = server.hang(Call::Sync, &["under way"]);
    server.pass(Duration::from_secs(5));
    assert!(matches!(under_way.await.unwrap(), Err(SubmitError::Unknown)));
    server.disk.go_on();
    while let Err(SubmitError::Stalled) = server.send(&["after"]).await.unwrap() {
        tokio::task::yield_now().await;
    }
    assert!(matches!(server.writer.health(), Health::Latched(_)));
    assert!(matches!(server.send(&["after"]).await.unwrap(), Err(SubmitError::Latched(_))));
    assert_eq!(server.edges(), 0);
}

/// What the thread does by itself while nobody sends anything hangs; nothing of who comes meanwhile was under way.
#[tokio::test]
async fn who_comes_while_a_look_at_the_disk_hangs_is_told_and_let_in_afterwards() {
    let mut server = Server::on(FaultyDisk::new());
    server.disk.hang(Call::Space);
    server.until_it_hangs();
    let queued = server.send(&["queued"]);
    server.pass(Duration::from_secs(5));
    assert!(matches!(queued.await.unwrap(), Err(SubmitError::Stalled)));
    server.disk.go_on();
    server.send_until_taken("after").await;
    assert_eq!(server.edges(), 1);
}

/// Each of many calls that are slow, but come back, is waited for.
#[tokio::test]
async fn a_disk_that_is_slow_is_waited_for() {
    let mut server = Server::on(FaultyDisk::new());
    for number in 0..5_usize {
        let name = number.to_string();
        let under_way = server.hang(Call::Sync, &[&name]);
        server.pass(Duration::from_millis(4900));
        assert!(matches!(server.watch.said, Said::Stalled(_)));
        server.disk.go_on();
        under_way.await.unwrap().unwrap();
        server.pass(Duration::ZERO);
        assert_eq!((server.watch.said, server.telemetry.log_stalls.get()), (Said::Nothing, number as u64 + 1));
    }
    assert_eq!(server.edges(), 5);
}

/// The thread comes back just as it is looked at: nobody is locked out.
#[tokio::test]
async fn a_call_that_ends_while_it_is_looked_at_locks_nobody_out() {
    for _ in 0..50 {
        let mut server = Server::on(FaultyDisk::new());
        let under_way = server.hang(Call::Sync, &["under way"]);
        server.clock.advance(Duration::from_secs(6));
        let (disk, mut watch) = (server.disk.clone(), server.watch);
        let looking = std::thread::spawn(move || {
            watch.look();
            watch
        });
        disk.go_on();
        server.watch = looking.join().unwrap();
        assert!(matches!(under_way.await.unwrap(), Ok(_) | Err(SubmitError::Unknown)));
        server.send_until_taken("after").await;
        assert_eq!(server.edges(), 2);
    }
}
