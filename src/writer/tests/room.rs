//! A disk with little room, or none: what is new is refused in time, what is old goes, and nothing else is lost.

use super::edges::deletion;
use super::edges::job;
use super::server::Sent;
use super::server::Server;
use super::server::Told;
use super::server::claim;
use super::world::World;
use super::*;

const HOUR: Duration = Duration::from_hours(1);

fn whole(id: &str, ends: bool) -> Command {
    let start = Edge { identity: Identity::of_id(id), ..job(EdgeState::Start, super::server::START, id) };
    let stop = ends.then(|| Edge { state: EdgeState::Stop, at: start.at.plus(HOUR), ..start.clone() });
    Command::Change(Change::Put(Box::new(Put { id: id.into(), created: None, number: None, start, stop, details: Details::default() })))
}

fn is_refused(told: &Told) -> bool {
    matches!(told, Told::Refused(Refused::NoRoom(_)))
}

#[test]
fn with_little_room_what_is_new_is_refused_and_what_ends_is_taken() {
    let mut server = Server::new(24 * HOUR);
    server.min_free = 100_000;
    server.start();
    let at = super::server::START;
    let edge = |state, name: &str| Command::Edge(job(state, at, name));
    let (first, second) = (job(EdgeState::Start, at, "first"), job(EdgeState::Start, at, "second"));
    let sent: Sent = (vec![Command::Edge(first.clone()), Command::Edge(second.clone())], None);
    server.submit(vec![sent]).remove(0).unwrap();
    server.one(whole("own", false));
    server.disk.set_capacity(Some(server.disk.used() + 90_000));
    // Another one with the same edge, of which each is asked about.
    let twice: Sent = (vec![edge(EdgeState::Point, "new"), edge(EdgeState::Point, "new"), Command::Edge(first.clone())], None);
    let told = server.submit(vec![twice]).remove(0).unwrap();
    assert!(is_refused(&told[0]) && is_refused(&told[1]) && matches!(told[2], Told::Edge { duplicate: true, .. }), "{told:?}");
    for new in [edge(EdgeState::Start, "third"), edge(EdgeState::Stop, "nothing"), whole("other", false), whole("another", true)] {
        let told = server.one(new);
        assert!(is_refused(&told), "{told:?}");
    }
    let stop = Edge { state: EdgeState::Stop, at: at.plus(HOUR), ..first };
    for taken in [Command::Edge(stop), whole("own", true), deletion(&second), Command::Claim(claim("acme", 1, 1, at))] {
        let told = server.one(taken);
        assert!(!is_refused(&told), "{told:?}");
    }
    assert!(matches!(server.committer().health.read().clone(), Health::Ok), "it is no failure");
    let refused = server.committer().telemetry.storage_refused.get();
    assert_eq!((refused, server.committer().telemetry.storage_refusing.get()), (6, 1));
    server.restart();
    // With a little more room it does not go to and fro, with enough it goes on by itself.
    for (room, taken) in [(90_000, false), (105_000, false), (120_000, true), (105_000, true), (90_000, false)] {
        server.disk.set_capacity(Some(server.disk.used() + room));
        let told = server.one(edge(EdgeState::Point, &format!("{room} {taken}")));
        assert_eq!(!is_refused(&told), taken, "{room}: {told:?}");
    }
}

#[test]
fn a_look_while_nobody_sends_takes_what_is_old() {
    let mut server = Server::new(24 * HOUR);
    server.fill(4);
    server.send(job(EdgeState::Start, super::server::START, "open"));
    server.machine.advance(26 * HOUR);
    let segments = server.committer().log.segments().len();
    server.idle();
    assert!(server.committer().log.segments().len() < segments && server.committer().log.checkpoint_position().is_some());
    assert_eq!(server.events(), [("open".to_owned(), true)]);
    server.restart();
}

/// Whatever was sent before, and whatever is open: on a disk without a byte left what is old goes, and new events are taken.
#[test]
fn a_full_disk_heals_by_retention_alone() {
    for seed in 0..12 {
        let mut world = World::new(seed);
        for _ in 0..80 {
            world.step_of_senders();
            world.server.disk.set_capacity(Some(world.server.disk.used() + 80_000));
        }
        let full = |server: &mut Server| server.disk.set_capacity(Some(server.disk.used()));
        // Another program takes the rest, and all that comes free of it.
        let (server, random) = (&mut world.server, &mut world.random);
        full(server);
        let mut number = 0;
        while server.submit(vec![(vec![Command::Edge(job(EdgeState::Point, server.now(), &format!("filler-{number}")))], None)])[0].is_ok()
        {
            number += 1;
            assert!(number < 10_000, "it is not full");
        }
        if random.below(2) == 0 {
            server.restart();
        }
        full(server);
        let before = server.committer().log.segments()[0].first;
        server.machine.advance(server.retention.max(26 * HOUR) + 26 * HOUR);
        for _ in 0..100 {
            server.machine.advance(Duration::from_secs(11));
            server.idle();
        }
        let segments = server.committer().log.segments();
        assert!(segments[0].first > before, "seed {seed}: {segments:?} {:?}", server.committer().log.room());
        let now = server.now();
        server.send(job(EdgeState::Point, now, "later"));
        server.restart();
    }
}

/// The oldest segments hold nothing but what is open, so that none of them is smaller in a checkpoint.
#[test]
fn a_full_disk_of_much_that_is_open_heals_by_retention_alone() {
    let mut server = Server::new(48 * HOUR);
    let start = |number: usize, now| super::edges::long(job(EdgeState::Start, now, &number.to_string()));
    for number in 0..8 {
        let now = server.now();
        server.send(start(number, now));
    }
    for _ in 0..6 {
        server.machine.advance(Duration::from_mins(11));
        server.fill(1);
    }
    server.machine.advance(Duration::from_mins(11));
    server.fill(1);
    server.idle();
    let full = |server: &mut Server| server.disk.set_capacity(Some(server.disk.used()));
    full(&mut server);
    server.machine.advance(100 * HOUR);
    for _ in 0..60 {
        server.machine.advance(Duration::from_mins(1));
        server.idle();
        full(&mut server);
    }
    let segments = server.committer().log.segments();
    assert!(segments.len() < 4, "{:?} {segments:?}", server.committer().log.room());
    assert_eq!(server.events().len(), 8);
    server.restart();
}

/// By its size the log loses what is oldest, but for what is open, and what may still be due.
#[test]
fn a_log_that_is_too_large_forgets_what_is_oldest() {
    let mut server = Server::new(10_000 * HOUR);
    server.retention_size = Some(200 << 10);
    server.start();
    server.send(job(EdgeState::Start, super::server::START, "open"));
    let takes = |server: &mut Server| server.committer().log.room().unwrap().log_bytes;
    let mut largest = 0;
    for day in 0..30 {
        let now = server.now();
        server.send(job(EdgeState::Point, now, &format!("job-{day}")));
        server.fill(2);
        server.machine.advance(26 * HOUR);
        for _ in 0..4 {
            server.machine.advance(Duration::from_mins(11));
            server.idle();
        }
        largest = largest.max(takes(&mut server));
    }
    assert!(largest < (200 << 10) + (64 << 10), "{largest}");
    assert!(takes(&mut server) <= 200 << 10, "{}", takes(&mut server));
    let names: Vec<String> = server.events().into_iter().map(|(name, _)| name).collect();
    assert!(
        names.contains(&"open".to_owned()) && names.contains(&"job-29".to_owned()) && !names.contains(&"job-0".to_owned()),
        "{names:?}"
    );
    server.restart();
}

#[test]
fn what_is_open_alone_may_be_larger_and_is_said() {
    let mut server = Server::new(10_000 * HOUR);
    server.retention_size = Some(100 << 10);
    server.start();
    for number in 0..30 {
        let now = server.now();
        server.send(super::edges::long(job(EdgeState::Start, now, &number.to_string())));
    }
    server.machine.advance(30 * HOUR);
    let open = server.events();
    assert_eq!(open.len(), 30);
    let mut checkpoints = Vec::new();
    for _ in 0..300 {
        server.machine.advance(Duration::from_secs(1));
        server.idle();
        checkpoints.push(server.committer().log.checkpoint_position());
    }
    checkpoints.dedup();
    assert!(checkpoints.len() <= 3, "it is written over and over: {checkpoints:?}");
    assert_eq!(server.events(), open);
    let beyond = server.committer().telemetry.storage_beyond_bytes.get();
    assert!(beyond > 0 && server.committer().room.said, "{beyond}");
    server.restart();
    server.send(job(EdgeState::Start, super::server::START, "another"));
}
