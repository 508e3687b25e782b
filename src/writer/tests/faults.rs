//! Commits that hold several things at once, and starts that fail.

use super::edges::deletion;
use super::edges::job;
use super::older::written;
use super::server::START;
use super::server::Sent;
use super::server::Server;
use super::server::Told;
use super::*;

/// An event that came as edges and is open, and its version.
fn opened() -> (Server, Edge, Version) {
    let mut server = Server::new(Duration::from_hours(24));
    let start = job(EdgeState::Start, START, "job-1");
    server.send(start.clone());
    let version = server.memory.store.version("acme", &start.id().to_string()).unwrap();
    (server, start, version)
}

fn stop_after(start: &Edge, seconds: u64) -> Edge {
    Edge { state: EdgeState::Stop, at: start.at.plus(Duration::from_secs(seconds)), ..start.clone() }
}

fn describe(start: &Edge, stop: Option<Edge>, text: &str) -> Command {
    let details = Details { description: text.into(), ..Details::default() };
    Command::Change(Change::Describe(Box::new(Describe { organization: "acme".into(), edge: start.id(), span: None, stop, details })))
}

#[test]
fn a_version_is_checked_against_what_comes_before_it_in_the_same_commit() {
    let change =
        |start: &Edge, version| -> Sent { (vec![describe(start, Some(stop_after(start, 20)), "closed")], Some(Expect::Version(version))) };
    // Whatever order they came in, the change is made first: it is about the event as its sender saw it.
    for turned in [false, true] {
        let (mut server, start, version) = opened();
        let mut sent: Vec<Sent> = vec![(vec![Command::Edge(stop_after(&start, 10))], None), change(&start, version)];
        if turned {
            sent.reverse();
        }
        let mut answers = server.submit(sent);
        let changed = answers.remove(usize::from(!turned));
        assert!(matches!(changed.as_deref(), Ok([Told::Changed(Some(_))])), "{changed:?}");
        // It ended once, at the first of both stops; the other one is alone.
        let events = server.events();
        let open: Vec<bool> = events.iter().map(|(_, open)| *open).collect();
        assert_eq!(open, [false, false], "{events:?}");
        server.restart();
        assert_eq!(server.events(), events);
    }
}

#[test]
fn of_two_changes_in_one_commit_the_second_is_told() {
    let (mut server, start, version) = opened();
    let expect = Some(Expect::Version(version));
    let others = [describe(&start, None, "second"), describe(&start, Some(stop_after(&start, 5)), "third"), deletion(&start)];
    let mut sent: Vec<Sent> = vec![(vec![describe(&start, None, "first")], expect)];
    sent.extend(others.into_iter().map(|other| (vec![other], expect)));
    // Of another event, and of none.
    sent.push((vec![Command::Edge(job(EdgeState::Start, START, "job-2"))], None));
    let answers: Vec<String> = server.submit(sent).into_iter().map(|answer| format!("{:?}", answer.unwrap()[0])).collect();
    let kinds: Vec<&str> = answers.iter().map(|answer| answer.split(['(', ' ']).next().unwrap()).collect();
    assert_eq!(kinds, ["Changed", "Unexpected", "Unexpected", "Unexpected", "Edge"]);
    let event = server.memory.store.tenant("acme").unwrap().event(&start.id().to_string()).unwrap();
    assert_eq!(event.details.unwrap().description.as_ref(), "first");
    server.restart();
}

#[test]
fn an_edge_that_a_change_of_the_same_commit_brings_leaves_no_record() {
    let (mut server, start, version) = opened();
    let stop = stop_after(&start, 10);
    let change = (vec![describe(&start, Some(stop.clone()), "closed")], Some(Expect::Version(version)));
    let mut answers = server.submit(vec![(vec![Command::Edge(stop)], None), change]);
    assert!(matches!(answers.remove(0).as_deref(), Ok([Told::Edge { duplicate: true, .. }])));
    let kinds = server.records.iter().map(|(.., command)| std::mem::discriminant(command)).collect::<Vec<_>>();
    assert_eq!(kinds.len(), 3, "settings, the start, the change: {:?}", server.records);
    server.restart();
}

#[test]
fn a_panic_of_the_fold_stops_the_start() {
    let planted =
        Edge { labels: LabelSet::from_sorted([(PLANTED, "1"), ("event_name", "job")]).unwrap(), ..job(EdgeState::Start, START, "0") };
    for (place, edges) in [(0, 1), (0, 5), (4, 5), (70, 200)] {
        let other = |number: usize| job(EdgeState::Start, START, &format!("job-{number}"));
        let edge = |number| Command::Edge(if number == place { planted.clone() } else { other(number) });
        let disk = written((0..edges).map(|number| vec![(START, edge(number))]));
        let opened = open(disk.clone(), log_options(), &memory());
        assert!(matches!(opened, Err(ReplayError::Panicked)), "{place} of {edges}: {:?}", opened.map(|opened| opened.replayed));
        let sound = written((0..edges).map(|number| vec![(START, Command::Edge(other(number)))]));
        open(sound, log_options(), &memory()).unwrap();
    }
}

/// What whoever runs the program has to know of the writer's end.
#[tokio::test]
async fn how_the_writer_ended_is_said() {
    let start = |disk: &FaultyDisk| {
        let opened = open(disk.clone(), log_options(), &memory()).unwrap();
        Writer::start(opened, Options::default(), Arc::new(ManualClock::at(START)), Arc::default(), Vec::new()).unwrap()
    };
    let sound = job(EdgeState::Start, START, "0");
    let planted = Edge { labels: LabelSet::from_sorted([(PLANTED, "1"), ("event_name", "job")]).unwrap(), ..sound.clone() };
    let disk = FaultyDisk::new();
    let (writer, running) = start(&disk);
    writer.edge(&Source::default(), sound.clone()).await.unwrap().unwrap();
    assert!(!running.has_ended());
    drop(writer);
    running.join().unwrap();
    let (writer, running) = start(&disk);
    disk.fail_next(Call::Sync, Fault::Before);
    drop(writer);
    assert!(matches!(running.join(), Err(CloseError::Log(_))));
    let (writer, running) = start(&FaultyDisk::new());
    assert!(matches!(writer.edge(&Source::default(), planted).await, Err(SubmitError::Unknown)));
    while !running.has_ended() {
        tokio::task::yield_now().await;
    }
    assert!(matches!(running.join(), Err(CloseError::Panicked)));
}

/// How many records each commit has.
fn commits(server: &mut Server) -> Vec<usize> {
    let mut commits = Vec::new();
    let mut note = |frame: crate::log::Frame| {
        commits.push(frame.len());
        Ok(())
    };
    server.committer().log.replay(Position(1), &mut note).unwrap();
    commits.retain(|records| *records > 0);
    commits
}

/// What waits together, and how many records of it, settings apart, each commit takes.
#[track_caller]
fn check_commits(sent: Vec<Sent>, expected: &[usize]) {
    let mut server = Server::new(Duration::from_hours(24));
    server.send(job(EdgeState::Start, START, "first"));
    for answer in server.submit(sent) {
        answer.unwrap();
    }
    assert_eq!(commits(&mut server)[1..], *expected);
}

#[test]
fn a_commit_takes_what_waits_until_it_is_full() {
    let points = |sender: usize, count: usize, text: usize| -> Sent {
        let attributes: Box<str> = format!("\"{}\"", "x".repeat(text)).into();
        let point = |number| Edge { attributes: Some(attributes.clone()), ..job(EdgeState::Point, START, &format!("{sender}-{number}")) };
        ((0..count).map(|number| Command::Edge(point(number))).collect(), None)
    };
    let of_each = |count, text| (0..5).map(|sender| points(sender, count, text)).collect::<Vec<_>>();
    check_commits(of_each(3, 1), &[15]);
    check_commits(of_each(2100, 1), &[4200, 4200, 2100]);
    check_commits(of_each(3, 1 << 20), &[6, 6, 3]);
    let put = |id: &str| -> Sent {
        let start = Edge { identity: Identity::of_id(id), ..job(EdgeState::Start, START, id) };
        (
            vec![Command::Change(Change::Put(Box::new(Put {
                id: id.into(),
                created: None,
                number: None,
                start,
                stop: None,
                details: Details::default(),
            })))],
            Some(Expect::New),
        )
    };
    check_commits(vec![put("1"), put("2"), points(1, 2, 1), put("3")], &[5]);
}

#[test]
fn edges_are_counted_by_what_they_came_to() {
    let mut server = Server::new(Duration::from_hours(24));
    let edges = |names: &[&str]| -> Sent { (names.iter().map(|name| Command::Edge(job(EdgeState::Start, START, name))).collect(), None) };
    server.submit(vec![edges(&["a", "b", "a"]), edges(&["b", "c"])]);
    server.submit(vec![edges(&["c"])]);
    let counted = |server: &mut Server, outcome| server.committer().telemetry.edges.get_or_create_owned(&[("outcome", outcome)]).get();
    assert_eq!((counted(&mut server, "shown"), counted(&mut server, "duplicate")), (3, 3));
}

/// No log will ever take it, so that it is no use to come again.
#[tokio::test]
async fn what_is_too_large_for_the_log_is_refused_also_when_the_log_takes_nothing() {
    let (disk, memory) = (FaultyDisk::new(), memory());
    let opened = open(disk.clone(), log_options(), &memory).unwrap();
    let clock = Arc::new(ManualClock::at(START));
    let (writer, _running) = Writer::start(opened, Options::default(), clock, Arc::default(), Vec::new()).unwrap();
    let limit = writer.record_bytes_max;
    let edge = |bytes| Edge { attributes: Some("x".repeat(bytes).into()), ..job(EdgeState::Point, START, "a") };
    disk.fail_next(Call::Sync, Fault::Before);
    assert!(writer.edge(&Source::default(), edge(1)).await.is_err());
    let answers = writer.edges(&Source::default(), [edge(limit), edge(limit)].into_iter().collect()).await;
    assert!(matches!(answers.as_deref(), Ok([Err(Refused::TooLarge { .. }), Err(Refused::TooLarge { .. })])), "{answers:?}");
    assert!(writer.edges(&Source::default(), [edge(limit), edge(2)].into_iter().collect()).await.is_err());
}

/// At the limit of label sets a stop has the labels of its start, with which it may be too large: neither it nor the same one behind
/// it in the commit is there then.
#[tokio::test]
async fn what_is_too_large_with_other_labels_is_refused_however_often_it_is_sent() {
    let memory = memory_with(crate::store::Options { label_sets_max: 1, ..crate::store::Options::default() });
    let log = crate::log::Options { frame_bytes: 4096, ..crate::log::Options::default() };
    let opened = open(FaultyDisk::new(), log, &memory).unwrap();
    let clock = Arc::new(ManualClock::at(START));
    let (writer, _running) = Writer::start(opened, Options::default(), clock, Arc::default(), Vec::new()).unwrap();
    let labelled =
        |edge: Edge, value: &str| Edge { labels: LabelSet::from_sorted([("event_name", "job"), ("note", value)]).unwrap(), ..edge };
    let start = labelled(job(EdgeState::Start, START, "1"), &"x".repeat(1000));
    writer.edge(&Source::default(), start.clone()).await.unwrap().unwrap();
    let stop = labelled(stop_after(&start, 1), "y");
    let stop = |bytes: usize| Edge { attributes: Some("x".repeat(bytes).into()), ..stop.clone() };
    let twice = |bytes| [stop(bytes), stop(bytes)].into_iter().collect();
    let answers = writer.edges(&Source::default(), twice(writer.record_bytes_max - 300)).await.unwrap();
    assert!(answers.iter().all(|answer| matches!(answer, Err(Refused::TooLarge { .. }))), "{answers:?}");
    assert_eq!(memory.store.stats(START).open, 1);
    let answers = writer.edges(&Source::default(), twice(1000)).await.unwrap();
    assert!(matches!(&answers[..], [Ok(Taken { exposure: Some(_), .. }), Ok(Taken { exposure: None, .. })]), "{answers:?}");
    assert_eq!(memory.store.stats(START.plus(Duration::from_secs(1))).open, 0);
}
