//! The writer on a machine whose clock is set, wrong or off, by the clock that a server goes by.

use super::*;
use crate::log::SegmentLog;
use crate::time::BelievedClock;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const MONTH: Duration = Duration::from_hours(30 * 24);
const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

struct Host {
    disk: FaultyDisk,
    machine: Arc<ManualClock>,
    memory: Memory,
    committer: Option<Committer<SegmentLog<FaultyDisk>>>,
    retention: Duration,
    sent: usize,
}

impl Host {
    /// Three events and an hour: enough that retention has segments to take.
    fn with_history() -> Self {
        let machine = Arc::new(ManualClock::at(START));
        let (disk, memory, retention) = (FaultyDisk::new(), memory(), Duration::from_hours(72));
        let mut host = Self { disk, machine, memory, committer: None, retention, sent: 0 };
        host.start();
        for _ in 0..3 {
            host.send();
            host.machine.advance(Duration::from_mins(20));
        }
        host
    }

    fn start(&mut self) {
        self.committer = None;
        self.memory = memory();
        let opened = open(self.disk.clone(), log_options(), &self.memory).unwrap();
        let clock = Arc::new(BelievedClock::new(Arc::<ManualClock>::clone(&self.machine)));
        clock.not_before(opened.received());
        let options = Options { retention: Some(self.retention), min_free: Some(0), ..Options::default() };
        self.committer = Some(Committer::new(opened, options, clock, Arc::default()));
    }

    fn committer(&mut self) -> &mut Committer<SegmentLog<FaultyDisk>> {
        self.committer.as_mut().unwrap()
    }

    fn now(&self) -> Timestamp {
        self.committer.as_ref().unwrap().clock.now()
    }

    /// Sends an event without a time, as large as a segment.
    fn try_send(&mut self) -> Result<Exposure, SubmitError> {
        self.sent += 1;
        let (entity, text) = (self.sent.to_string(), "x".repeat(15_000));
        let edge = Edge {
            organization: "acme".into(),
            attributes: Some(format!("{{\"long\":\"{text}\"}}").into()),
            ..Edge::new(
                EdgeState::Point,
                self.now(),
                Identity::of(["clock", &entity]),
                LabelSet::from_sorted([("entity_id", entity.as_str()), ("event_name", "job")]).unwrap(),
            )
        };
        let (ask, mut answer) = Ask::new([edge].into_iter().collect(), &Source::default());
        let (entrance, mut exit) = queue::queue(&self.committer().telemetry);
        entrance.push(Kind::Single, &Source::default(), Submission::Edges(ask)).unwrap();
        drop(entrance);
        self.committer().commit_all(&mut exit);
        while self.committer().forget_some() {}
        let taken = answer.try_recv().unwrap().answer?.remove(0).unwrap();
        Ok(taken.exposure.unwrap())
    }

    fn send(&mut self) -> Exposure {
        self.try_send().unwrap()
    }

    /// Time passes, with an event after each part of it.
    fn pass(&mut self, parts: u32, part: Duration) {
        for _ in 0..parts {
            self.machine.advance(part);
            self.send();
        }
    }

    fn set_ahead(&self, by: Duration) {
        self.machine.set(self.machine.now().plus(by));
    }

    fn set_back(&self, by: Duration) {
        self.machine.set(self.machine.now().minus(by));
    }

    /// How many of the events of its history are there.
    fn history(&self) -> usize {
        let tenant = self.memory.store.tenant("acme").unwrap();
        tenant.every_edge().into_iter().filter(|(_, received)| *received < START.plus(HOUR)).count()
    }

    fn page(&self) -> usize {
        let tenant = self.memory.store.tenant("acme").unwrap();
        let request = PageRequest { format: Format::Text004, gzip: false, window: None, keep: None, selectors: Vec::new() };
        self.memory.pages.render(Some(&tenant), crate::store::ClusterId(0), &request, "", self.now()).unwrap().samples
    }

    /// What the log says of the time that retirement may go by.
    fn trusted_after_a_restart(&self) -> Timestamp {
        open(self.disk.clone(), log_options(), &memory()).unwrap().state.course.steady.trusted()
    }
}

#[test]
fn a_clock_that_was_ahead_for_a_moment_does_not_stop_the_pages() {
    let mut host = Host::with_history();
    let ahead = 2 * HOUR;
    host.set_ahead(ahead);
    host.send();
    host.machine.advance(Duration::from_secs(10));
    host.set_back(ahead);
    for minute in 0..90 {
        if minute == 30 {
            host.start();
        }
        host.machine.advance(MINUTE);
        let exposure = host.send();
        assert!(matches!(exposure, Exposure::Shown), "minute {minute}: {exposure:?}");
        assert!(host.page() > 0, "minute {minute}");
        assert_eq!(host.now(), host.machine.now());
    }
}

#[test]
fn a_jump_of_the_clock_beyond_the_retention_takes_nothing() {
    let mut host = Host::with_history();
    host.set_ahead(2 * MONTH);
    host.pass(4, MINUTE);
    host.set_back(2 * MONTH);
    host.pass(4, MINUTE);
    assert_eq!((host.history(), host.now()), (3, host.machine.now()), "for a moment");
    host.set_ahead(MONTH);
    host.pass(6, MINUTE);
    assert_eq!(host.now(), host.machine.now());
    host.pass(23, HOUR);
    assert_eq!(host.history(), 3, "for a day");
    assert_eq!(host.committer().state.course.steady.trusted(), host.trusted_after_a_restart());
    host.pass(2, HOUR);
    assert_eq!(host.history(), 0, "a month has passed, as far as anybody knows");
}

#[test]
fn a_jump_of_the_clock_that_was_taken_back_is_not_counted() {
    let mut host = Host::with_history();
    host.set_ahead(MONTH);
    host.pass(6, MINUTE);
    host.set_back(MONTH);
    host.pass(50, HOUR);
    assert_eq!(host.history(), 3);
}

#[test]
fn a_host_that_was_off_for_a_month_retires_a_day_after_its_start() {
    let mut host = Host::with_history();
    host.machine = Arc::new(ManualClock::at(host.machine.now().plus(MONTH)));
    host.start();
    host.send();
    assert_eq!(host.now(), host.machine.now());
    host.pass(12, HOUR);
    host.machine.advance(Duration::from_mins(30));
    host.start();
    host.send();
    host.pass(11, HOUR);
    assert_eq!(host.history(), 3, "it has run for 23 hours");
    assert_eq!(host.committer().state.course.steady.trusted(), host.trusted_after_a_restart());
    host.pass(2, HOUR);
    assert_eq!(host.committer().state.course.steady.trusted(), host.now().minus(Duration::from_mins(30)));
    assert!(host.history() < 3);
}

#[test]
fn a_jump_that_waits_outlives_a_checkpoint() {
    let mut host = Host::with_history();
    host.retention = Duration::from_hours(12);
    host.start();
    host.set_ahead(HOUR);
    host.pass(6, MINUTE);
    let jumped = host.committer().log.last();
    host.pass(20, HOUR);
    assert!(host.committer().log.checkpoint_position() > Some(jumped));
    let trusted = host.committer().state.course.steady.trusted();
    assert_eq!(trusted, host.now().minus(HOUR + 20 * MINUTE), "with the pause before the restart");
    assert_eq!(host.trusted_after_a_restart(), trusted);
    host.pass(5, HOUR);
    assert_eq!((host.committer().state.course.steady.trusted(), host.trusted_after_a_restart()), (host.now(), host.now()));
}

#[test]
fn a_jump_that_the_log_did_not_take_is_said_with_the_next_commit() {
    let mut host = Host::with_history();
    host.set_ahead(MONTH);
    host.pass(4, MINUTE);
    host.machine.advance(MINUTE);
    host.disk.fail_next(Call::Write, Fault::Before);
    assert!(host.try_send().is_err());
    assert!(host.committer().state.course.steady.trusted() < START.plus(2 * HOUR));
    host.pass(3, MINUTE);
    assert!(host.committer().state.course.steady.trusted() < START.plus(2 * HOUR));
    assert_eq!(host.committer().state.course.steady.trusted(), host.trusted_after_a_restart());
    assert_eq!(host.history(), 3);
}

#[test]
fn a_boot_at_1970_goes_on_from_the_log() {
    let mut host = Host::with_history();
    let last = host.committer().received;
    host.machine = Arc::new(ManualClock::at(Timestamp::from_millis(0)));
    host.start();
    host.pass(5, MINUTE);
    assert_eq!(host.now(), last.plus(5 * MINUTE / 2));
    assert_eq!(host.page(), host.sent);
    host.machine.set(START.plus(10 * HOUR));
    host.pass(6, MINUTE);
    assert_eq!((host.now(), host.page()), (host.machine.now(), 1));
    assert_eq!(host.memory.store.stats(host.now()).edges, host.sent);
}
