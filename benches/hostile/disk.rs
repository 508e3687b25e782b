//! A disk without room: filled by senders, or by another program to its last byte or its last file, and full of what is beyond
//! retention. Each has a small file system of its own, which takes root; without, it says so.

use crate::attacks::Attack;
use crate::attacks::NOTHING;
use crate::attacks::PATH;
use crate::attacks::lines;
use crate::attacks::post;
use crate::http;
use crate::server::Server;
use std::fs::File;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

const KEPT: &[&str] = &["--storage.retention.time=10d"];
const PATIENCE: Duration = Duration::from_secs(20);
const LEFT_OUT: &str = "left out: it takes root to mount a small file system";
const LINES: u64 = 10_000;

pub(crate) const ALL: &[Attack] = &[
    Attack { name: "a full disk, then all is beyond retention", flags: KEPT, prepare: filled, run: heal, ..NOTHING },
    Attack { name: "a full disk, then all is beyond retention and nobody sends", flags: KEPT, prepare: filled, run: heal_alone, ..NOTHING },
    Attack { name: "another program takes the last byte, then all is beyond retention", flags: KEPT, prepare: taken, run: heal, ..NOTHING },
    Attack {
        name: "another program takes the last file, then all is beyond retention",
        flags: KEPT,
        prepare: no_file,
        run: heal,
        ..NOTHING
    },
    Attack { name: "a disk full of open events and the last byte taken", flags: KEPT, prepare: mostly_open, run: heal, ..NOTHING },
    Attack { name: "a disk full of long texts, then all is beyond retention", flags: KEPT, prepare: texts, run: heal, ..NOTHING },
    Attack {
        name: "a full disk that starts again, then all is beyond retention",
        flags: KEPT,
        prepare: started_full,
        run: heal,
        ..NOTHING
    },
    Attack { name: "a disk that senders fill: stops of what is open", flags: KEPT, prepare: opened, run: fill_and_stop, ..NOTHING },
    Attack { name: "a disk that another program fills and empties", flags: KEPT, prepare: opened, run: squeeze, ..NOTHING },
];

/// Gives the server a file system of its own.
fn small(server: &mut Server, options: &str) -> bool {
    server.restart_on(options)
}

fn free(directory: &Path) -> u64 {
    rustix::fs::statvfs(directory).map_or(0, |figures| figures.f_bavail * figures.f_frsize)
}

/// Sends lines until not all are taken, or less than `left` is free.
fn fill(server: &Server, left: u64, line: fn(u64) -> String) {
    for round in 0..400 {
        let (accepted, _) = lines(server, (round * LINES..(round + 1) * LINES).map(line));
        if accepted < LINES || free(&server.data()) < left {
            return;
        }
    }
}

fn point(number: u64) -> String {
    format!(r#"{{"event_name":"e","attributes":{{"n":"{number}","p":"{}"}}}}"#, "x".repeat(200))
}

fn start(number: u64) -> String {
    format!(r#"{{"event_name":"o","event_state":"start","attributes":{{"n":"{number}","p":"{}"}}}}"#, "x".repeat(200))
}

/// Another program takes what is free, but for so many bytes.
fn take_room(server: &Server, left: u64) {
    let path = server.data().join("another-program");
    let file = File::options().create(true).append(true).open(&path).unwrap();
    loop {
        let (there, free) = (file.metadata().map_or(0, |file| file.len()), free(&server.data()));
        let more = free.saturating_sub(left);
        // A file system may need some of it for itself.
        if more == 0 || rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, there + more).is_err() {
            return;
        }
    }
}

fn give_room(server: &Server) {
    std::fs::remove_file(server.data().join("another-program")).ok();
}

fn filled(server: &mut Server) {
    if small(server, "size=200m") {
        post(server, "", "PUT", PATH, r#"{"event_name":"first"}"#);
        fill(server, 0, point);
    }
}

fn taken(server: &mut Server) {
    if small(server, "size=200m") {
        fill(server, 120 << 20, point);
        take_room(server, 0);
    }
}

fn no_file(server: &mut Server) {
    if small(server, "size=200m,nr_inodes=64") {
        fill(server, 120 << 20, point);
        (0..64).take_while(|number| File::create(server.data().join(format!("another-{number}"))).is_ok()).for_each(drop);
    }
}

fn mostly_open(server: &mut Server) {
    if small(server, "size=300m") {
        for round in 0..5 {
            lines(server, (round * LINES..(round + 1) * LINES).map(start));
        }
        fill(server, 80 << 20, point);
        take_room(server, 0);
    }
}

fn texts(server: &mut Server) {
    if small(server, "size=200m") {
        let text = "x".repeat(1_000_000);
        for number in 0..300 {
            let body = format!(r#"{{"event":{{"id":"d{number}","start_time":1000,"end_time":2000,"description":"{text}"}}}}"#);
            if post(server, "", "PUT", "/api/v1/event/", &body) != 200 {
                return;
            }
        }
    }
}

fn started_full(server: &mut Server) {
    filled(server);
    take_room(server, 0);
    server.restart();
}

fn opened(server: &mut Server) {
    if small(server, "size=200m") {
        lines(server, (0..1000).map(start));
    }
}

/// Whether something new is taken.
fn is_taken(server: &Server) -> bool {
    let headers = format!("{}Content-Type: application/json\r\n", server.attacker());
    http::send(server.address, "PUT", PATH, &headers, br#"{"event_name":"later"}"#, PATIENCE).is_ok_and(|answer| answer.status == 200)
}

/// Time passes until all that was there is beyond retention; when something new is taken again.
fn heal(server: &Server, until: Instant) -> String {
    if !server.is_mounted() {
        return LEFT_OUT.to_owned();
    }
    let before = free(&server.data());
    // What was there may have been the last of its segment.
    let begun = Instant::now();
    for day in [12, 24, 36] {
        server.set_days_ahead(day);
        let next = begun + until.saturating_duration_since(begun) / 36 * u32::try_from(day).unwrap_or(36);
        while Instant::now() < next {
            if is_taken(server) && free(&server.data()) > before {
                let took = begun.elapsed().as_millis();
                std::thread::sleep(until.saturating_duration_since(Instant::now()));
                return format!("taken again after {took} ms; free {} MiB, then {} MiB", before >> 20, free(&server.data()) >> 20);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    format!("NEVER HEALS; free {} MiB, then {} MiB", before >> 20, free(&server.data()) >> 20)
}

/// The same without a request.
fn heal_alone(server: &Server, until: Instant) -> String {
    if !server.is_mounted() {
        return LEFT_OUT.to_owned();
    }
    let before = free(&server.data());
    server.set_days_ahead(12);
    std::thread::sleep(until.saturating_duration_since(Instant::now()) / 2);
    let after = free(&server.data());
    let taken = if is_taken(server) { "taken again" } else { "NOT TAKEN AGAIN" };
    std::thread::sleep(until.saturating_duration_since(Instant::now()));
    format!("free {} MiB, then {} MiB without a request; then {taken}", before >> 20, after >> 20)
}

/// Senders fill it; meanwhile what is open ends.
fn fill_and_stop(server: &Server, until: Instant) -> String {
    if !server.is_mounted() {
        return LEFT_OUT.to_owned();
    }
    fill(server, 0, point);
    let stop = |number: u64| start(number).replace("\"start\"", "\"stop\"");
    let taken = (0..1000).filter(|number| post(server, "", "PUT", PATH, &stop(*number)) == 200).count();
    let left = free(&server.data()) >> 20;
    std::thread::sleep(until.saturating_duration_since(Instant::now()));
    format!("{taken} of 1000 stops of what is open taken on the full disk; {left} MiB are free")
}

/// Another program takes nearly all, gives it back, and so on; how long after that something new is taken.
fn squeeze(server: &Server, until: Instant) -> String {
    if !server.is_mounted() {
        return LEFT_OUT.to_owned();
    }
    let (mut worst, mut accepted_in_need) = (Duration::ZERO, 0);
    while Instant::now() < until {
        take_room(server, 4 << 20);
        std::thread::sleep(Duration::from_millis(1200));
        accepted_in_need += lines(server, (0..LINES).map(point)).0;
        let left = free(&server.data());
        give_room(server);
        let begun = Instant::now();
        while !is_taken(server) && begun.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(50));
        }
        worst = worst.max(begun.elapsed());
        if left == 0 {
            return "new events were taken until nothing was free".to_owned();
        }
    }
    format!("{accepted_in_need} new events taken with 4 MiB free; {} ms at most until new ones are taken again", worst.as_millis())
}
