//! A disk that hangs, or is slow. Nobody attacks: what victims wait for is the disk.

use crate::attacks::Attack;
use crate::attacks::NOTHING;
use crate::http;
use crate::server::Server;
use std::time::Duration;
use std::time::Instant;

pub(crate) const ALL: &[Attack] = &[
    Attack { name: "a sync that does not return", run: |server, until| hold(server, until, -1), ..NOTHING },
    Attack { name: "a write that does not return", run: |server, until| hold(server, until, -3), ..NOTHING },
    Attack { name: "syncs that take two seconds each", run: |server, until| hold(server, until, 2000), ..NOTHING },
    Attack { name: "syncs that take 300 ms each", run: |server, until| hold(server, until, 300), ..NOTHING },
    Attack {
        name: "retention of which a sync does not return",
        flags: &["--storage.retention.time=10d"],
        prepare: |server| {
            put(server, 20_000);
            server.set_days_ahead(30);
        },
        run: |server, until| {
            // What comes now is received; then retention rotates the segment.
            put(server, 1);
            hold(server, until, -1)
        },
        ..NOTHING
    },
];

fn put(server: &Server, count: usize) {
    let line = |lines: String, number| lines + &format!("{{\"event_name\":\"e\",\"attributes\":{{\"n\":\"{number}\"}}}}\n");
    let lines = (0..count).fold(String::new(), line);
    let headers = format!("{}Content-Type: application/x-ndjson\r\n", server.attacker());
    let answer = http::send(server.address, "POST", crate::attacks::PATH, &headers, lines.as_bytes(), Duration::from_mins(1)).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text);
}

/// What whoever runs the server sees meanwhile, and how soon it takes events again when the disk answers.
fn hold(server: &Server, until: Instant, order: i64) -> String {
    server.order_disk(order);
    std::thread::sleep(until.saturating_duration_since(Instant::now()));
    let ready = http::get(server.address, "/-/ready", "", Duration::from_secs(10)).map_or(0, |answer| answer.status);
    server.order_disk(0);
    let begun = Instant::now();
    let body = br#"{"event_name":"after"}"#;
    let put = || http::send(server.address, "PUT", crate::attacks::PATH, server.attacker(), body, Duration::from_mins(1));
    while put().map_or(0, |answer| answer.status) != 200 {
        std::thread::sleep(Duration::from_millis(5));
    }
    format!("at its end ready was {ready}; an event was taken {:.0} ms after it", begun.elapsed().as_secs_f64() * 1000.0)
}
