//! What retention takes is gone and stays gone, and it takes nothing else.

use super::edges::deletion;
use super::edges::deploy;
use super::edges::job;
use super::server::Server;
use super::server::Told;
use super::server::claim;
use super::*;
use crate::store::Claimed;
use crate::time::Clock as _;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

fn server() -> Server {
    Server::new(24 * HOUR)
}

/// Time passes, with segments in it that can go when it is old.
fn pass(server: &mut Server, time: Duration) {
    for part in [20 * MINUTE, 20 * MINUTE, time.saturating_sub(40 * MINUTE)] {
        server.machine.advance(part);
        server.fill(2);
    }
}

fn events(server: &Server) -> Vec<String> {
    server.events().into_iter().map(|(name, open)| format!("{name} {}", if open { "open" } else { "closed" })).collect()
}

/// `first` is sent, and once more after half of the retention; then what is left after all of it, after a restart too, and when it
/// is sent a third time.
#[track_caller]
fn check_repeat(first: &[Command], again: &[Edge], left: &[&str]) {
    let mut server = server();
    for command in first {
        server.one(command.clone());
    }
    pass(&mut server, 12 * HOUR);
    for edge in again {
        assert!(server.send(edge.clone()), "known");
    }
    let none: [&str; 0] = [];
    pass(&mut server, 14 * HOUR);
    pass(&mut server, 2 * HOUR);
    assert_eq!(events(&server), none);
    server.restart();
    assert_eq!(events(&server), none);
    for edge in again {
        assert!(!server.send(edge.clone()), "forgotten");
    }
    assert_eq!(events(&server), left);
    server.restart();
    assert_eq!(events(&server), left);
}

#[test]
fn a_repeat_does_not_come_back_from_the_dead() {
    let at = super::server::START;
    let (start, stop) = (job(EdgeState::Start, at, "job-1"), job(EdgeState::Stop, at.plus(MINUTE), "job-1"));
    let both = [start.clone(), stop.clone()].map(Command::Edge);
    check_repeat(&both, std::slice::from_ref(&start), &["job-1 open"]);
    check_repeat(&both, std::slice::from_ref(&stop), &["job-1 closed"]);
    check_repeat(&both, &[stop, start], &["job-1 closed"]);
}

#[test]
fn what_was_deleted_does_not_come_back() {
    let start = job(EdgeState::Start, super::server::START, "job-1");
    check_repeat(&[Command::Edge(start.clone()), deletion(&start)], &[start], &["job-1 open"]);
}

#[test]
fn a_key_is_free_after_a_day_also_after_a_restart() {
    for restarts in [false, true] {
        let mut server = Server::new(12 * HOUR);
        let claimed = |server: &mut Server, body| {
            if restarts {
                server.restart();
            }
            let outcome = server.one(Command::Claim(claim("acme", 4, body, server.now())));
            if let Told::Claim(claimed) = outcome { claimed } else { panic!("{outcome:?}") }
        };
        let at = server.now();
        assert_eq!(claimed(&mut server, 1), Claimed::New);
        pass(&mut server, 20 * HOUR);
        pass(&mut server, 2 * HOUR);
        assert!(server.committer().log.checkpoint_position().is_some(), "its segment is gone");
        assert_eq!(claimed(&mut server, 1), Claimed::Again { at });
        assert_eq!(claimed(&mut server, 2), Claimed::OtherBody);
        pass(&mut server, 2 * HOUR);
        assert_eq!(claimed(&mut server, 1), Claimed::Again { at });
        server.machine.advance(MINUTE);
        assert_eq!(claimed(&mut server, 2), Claimed::New);
        assert_eq!(claimed(&mut server, 1), Claimed::OtherBody);
    }
}

#[test]
fn a_segment_is_closed_by_its_age_whatever_its_first_commit_was() {
    for edges in [1, 2, 50] {
        let mut server = server();
        let at = server.now();
        let many = (0..edges).map(|number| Command::Edge(job(EdgeState::Point, at, &number.to_string())));
        server.submit(vec![(many.collect(), None)]);
        for _ in 0..28 {
            server.machine.advance(HOUR);
            let now = server.now();
            server.send(job(EdgeState::Point, now, "filler"));
        }
        assert_eq!(
            server.memory.store.tenant("acme").unwrap().every_edge().iter().filter(|(_, received)| *received == at).count(),
            0,
            "{edges}"
        );
        // Each spans a tenth of the time that is kept, and what the checkpoint stands for has gone.
        let (segments, checkpoint) = (server.committer().log.segments(), server.committer().log.checkpoint_position());
        assert!((6..15).contains(&segments.len()), "{segments:?}");
        assert!(Some(segments[0].first) > checkpoint, "{checkpoint:?} {segments:?}");
        server.restart();
    }
}

#[test]
fn a_segment_is_closed_by_its_age_also_where_the_log_begins_with_a_jump() {
    let mut server = server();
    let wall = server.machine.read().wall;
    server.machine.set(wall.plus(2 * HOUR));
    for _ in 0..8 {
        server.machine.advance(MINUTE);
        server.now();
    }
    for _ in 0..5 {
        let now = server.now();
        server.send(job(EdgeState::Point, now, "filler"));
        server.machine.advance(HOUR);
    }
    assert!(matches!(server.records[..2], [(.., Command::Settings(_)), (.., Command::Clock { .. })]), "{:?}", server.records);
    assert!(server.committer().log.segments().len() > 1);
}

/// A retirement keeps what was needed then. By the time of a checkpoint something else needs it, which came later.
#[test]
fn a_retirement_whose_records_only_a_checkpoint_has_is_not_done_again() {
    let mut server = server();
    let began = server.now().minus(2 * HOUR);
    let start = |version, minutes: u32| deploy(EdgeState::Start, began.plus(minutes * MINUTE), "api", version);
    server.send(start("1", 0));
    server.send(start("3", 20));
    server.send(deploy(EdgeState::Stop, began.plus(30 * MINUTE), "api", "3"));
    pass(&mut server, HOUR);
    server.send(start("1", 1));
    pass(&mut server, (24 * HOUR).saturating_sub(30 * MINUTE));
    // Now version 3 is old, and stays because it ended version 1.
    let first = server.committer().log.last();
    server.send(start("2", 10));
    assert_eq!(events(&server), ["3 closed", "2 closed", "1 closed"]);
    pass(&mut server, 2 * HOUR);
    pass(&mut server, HOUR);
    // Now version 1 is gone, and version 3 stays because it ended version 2.
    assert_eq!(events(&server), ["3 closed", "2 closed"]);
    let checkpoint = server.committer().log.checkpoint_position();
    let retirements = server.records.iter().filter(|(_, _, command)| matches!(command, Command::RetirePart(_)));
    let retirements: Vec<crate::log::Position> = retirements.map(|(position, ..)| *position).collect();
    assert!(
        retirements.first().is_some_and(|retired| *retired <= first && Some(*retired) > checkpoint),
        "{retirements:?} {first} {checkpoint:?}"
    );
    server.restart();
    assert_eq!(events(&server), ["3 closed", "2 closed"]);
}

/// Else a replay takes it for one that its checkpoint is later than, and what it took comes back when the power fails before the
/// next checkpoint.
#[test]
fn a_retirement_is_later_than_the_records_that_only_segments_have() {
    let mut server = server();
    let began = server.now();
    server.send(job(EdgeState::Point, began.minus(45 * MINUTE), "job-1"));
    let mut passed = Duration::ZERO;
    for seconds in [0, 600, 660, 1800, 24 * 3600 + 630, 24 * 3600 + 1240] {
        if seconds > 24 * 3600 + 1000 {
            server.disk.record_history();
        }
        server.machine.advance(Duration::from_secs(seconds).saturating_sub(passed));
        passed = Duration::from_secs(seconds);
        server.fill(1);
    }
    assert!(server.committer().log.checkpoint_position().is_some());
    for disk in server.disk.history() {
        server.as_on(disk).seen_as_folded();
    }
    pass(&mut server, HOUR);
    assert!(server.events().is_empty());
    server.restart();
}

/// A record is kept whole, so what it has beside the edge that it is kept for is not forgotten before.
#[test]
fn edges_that_came_in_one_record_go_together() {
    let mut server = server();
    let start = Edge { identity: Identity::of_id("own-1"), ..job(EdgeState::Start, super::server::START, "job-1") };
    let put = |minutes| {
        let stop = Edge { state: EdgeState::Stop, at: start.at.plus(minutes * MINUTE), ..start.clone() };
        Command::Change(Change::Put(Box::new(Put {
            id: "own-1".into(),
            created: None,
            number: None,
            start: start.clone(),
            stop: Some(stop),
            details: Details::default(),
        })))
    };
    server.one(put(1));
    pass(&mut server, 12 * HOUR);
    server.one(put(2));
    pass(&mut server, 15 * HOUR);
    assert!(server.committer().log.checkpoint_position().is_some());
    assert_eq!(events(&server), ["job-1 closed"]);
    server.restart();
    pass(&mut server, 12 * HOUR);
    pass(&mut server, HOUR);
    assert!(server.events().is_empty());
    server.restart();
}

/// Else what it took of a later record comes back without what it took of an earlier one: an end without which a start is open.
#[test]
fn a_checkpoint_stands_for_all_that_was_retired_before_it() {
    let mut server = server();
    let began = server.now().minus(MINUTE);
    server.send(job(EdgeState::Stop, began.plus(MINUTE), "job-1"));
    server.fill(2);
    server.machine.advance(2 * HOUR);
    server.fill(1);
    server.send(job(EdgeState::Start, began, "job-1"));
    pass(&mut server, HOUR);
    server.machine.advance(25 * HOUR);
    server.disk.record_history();
    server.fill(1);
    assert!(server.events().is_empty());
    // The power fails somewhere in between, and the next program is to keep an hour more.
    for disk in server.disk.history() {
        let mut next = server.as_on(disk);
        let retired = next.events().is_empty();
        next.retention = 27 * HOUR;
        next.machine = Arc::new(ManualClock::at(server.now().plus(11 * MINUTE)));
        next.start();
        next.fill(1);
        assert_eq!(next.events().is_empty(), retired);
        next.restart();
    }
}

/// The disk fails the checkpoint of a retirement. By the next one somebody has set the wall clock back, so that less is old.
#[test]
fn a_checkpoint_stands_for_all_that_was_retired() {
    let mut server = server();
    let began = server.now();
    let stop = job(EdgeState::Stop, began.plus(30 * MINUTE), "job-1");
    server.send(stop);
    pass(&mut server, HOUR);
    // It began before that stop, and was said in a later segment.
    server.send(job(EdgeState::Start, began.plus(MINUTE), "job-1"));
    pass(&mut server, HOUR);
    server.send(job(EdgeState::Stop, began.plus(40 * MINUTE), "job-1"));
    server.committer().looked_at = Timestamp::MAX;
    server.machine.advance((24 * HOUR).saturating_sub(30 * MINUTE));
    server.fill(1);
    server.committer().log.rotate().unwrap();
    // Of what is kept back for it, and of what was written.
    server.disk.fail_next(Call::Rename, Fault::Before);
    server.disk.fail_next(Call::Rename, Fault::Before);
    server.retire();
    assert_eq!((events(&server), server.committer().log.checkpoint_position()), (vec!["job-1 closed".to_owned()], None));
    let wall = server.machine.now();
    server.machine.set(wall.minus(HOUR));
    server.retire();
    assert!(server.committer().log.checkpoint_position().is_some());
    server.restart();
}

#[test]
fn segments_that_are_old_leave_the_disk() {
    let mut server = server();
    let first = server.committer().log.segments()[0].clone();
    assert!(server.disk.bytes(&first.path).is_some());
    let days = [(); 5].map(|()| {
        (0..6).for_each(|_| pass(&mut server, 4 * HOUR));
        server.committer().log.segments().len()
    });
    assert!(days[0] > 5 && days[4] <= days[1], "{days:?}");
    assert_eq!(server.disk.bytes(&first.path), None);
}

/// Time passes with a record in a segment that is old enough to be closed, and without a look at what is old.
fn with_an_old_segment() -> Server {
    let mut server = server();
    server.fill(3);
    server.committer().looked_at = Timestamp::MAX;
    for hours in [0, 30] {
        server.machine.advance(hours * HOUR);
        let now = server.now();
        server.send(job(EdgeState::Point, now, &format!("filler-{hours}")));
    }
    server.committer().looked_at = Timestamp::MIN;
    server
}

#[test]
fn a_disk_that_fails_under_retention_is_said_at_once() {
    let mut server = with_an_old_segment();
    server.disk.fail_next(Call::Sync, Fault::Before);
    server.retire();
    assert!(server.is_latched());
}

#[test]
fn segments_that_could_not_be_removed_go_later_without_another_retirement() {
    let mut server = with_an_old_segment();
    server.disk.fail_next(Call::Remove, Fault::Before);
    server.retire();
    let segments = |server: &mut Server| server.committer().log.segments();
    let (checkpoint, before) = (server.committer().log.checkpoint_position(), segments(&mut server));
    assert!(checkpoint >= Some(before[0].last), "{checkpoint:?} {before:?}");
    let last = server.committer().log.last();
    server.retire();
    assert_eq!((server.committer().log.last(), server.committer().log.checkpoint_position()), (last, checkpoint));
    assert!(Some(segments(&mut server)[0].first) > checkpoint);
}

/// A part of it beside each commit, if nobody waits for more, and the checkpoint after it by steps.
#[test]
fn what_is_old_goes_a_little_at_a_time() {
    let mut server = server();
    for number in 0..20 {
        let now = server.now();
        server.send(job(EdgeState::Point, now, &format!("job-{number}")));
    }
    pass(&mut server, HOUR);
    server.machine.advance(25 * HOUR);
    server.steps = 0;
    let edges = |server: &Server| server.memory.store.stats(server.now()).edges;
    let (mut before, mut commits) = (edges(&server), 0);
    while server.committer().log.checkpoint_position().is_none() {
        assert!(commits < 60, "it does not go on");
        server.fill(1);
        assert!(edges(&server) > before - 5, "more than a part went at once");
        (before, commits) = (edges(&server), commits + 1);
    }
    assert!(server.events().is_empty() && commits > 10, "{commits}");
    server.restart();
}
