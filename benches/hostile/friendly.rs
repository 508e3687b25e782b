//! When nobody attacks: what the server takes of the processors for what is sent and asked most, all builds in turns.

use crate::attacks::PATH;
use crate::http;
use crate::server::Plan;
use crate::server::Server;
use std::fmt::Write as _;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

const ROUNDS: usize = 7;
const CONNECTIONS: usize = 16;
const PATIENCE: Duration = Duration::from_mins(2);
const ARRAY: usize = 10_000;

/// What is done so many times; the name says what one of them is.
struct Work {
    name: &'static str,
    times: usize,
    run: fn(&Server, usize),
}

const ALL: &[Work] = &[
    Work { name: "a health check", times: 60_000, run: |server, times| requests(server, times, |_| "GET /-/healthy".to_owned(), |_| None) },
    Work {
        name: "a PUT",
        times: 30_000,
        run: |server, times| requests(server, times, |_| format!("PUT {PATH}"), |number| Some(event(number % 1000))),
    },
    Work { name: "an array of 10 000", times: 20, run: arrays },
    Work { name: "a line of a stream", times: 200_000, run: lines },
    Work { name: "a page", times: 60, run: pages },
];

fn event(number: usize) -> String {
    format!(r#"{{"event_name":"deploy","attributes":{{"entity_id":"e{number}","service_name":"s{}","team":"platform"}}}}"#, number % 50)
}

/// Prints the medians of all builds, and the ratio of each to the first.
pub(crate) fn compare(binaries: &[PathBuf], tokens: bool) {
    let mut spent = vec![vec![Vec::new(); binaries.len()]; ALL.len()];
    for round in 0..ROUNDS {
        for turn in 0..binaries.len() {
            // Who comes first is another one in each round.
            let build = (turn + round) % binaries.len();
            let plan = Plan { binary: binaries[build].clone(), flags: Vec::new(), tokens, config: String::new(), organizations: 0 };
            let server = Server::start(&plan);
            for (work, spent) in ALL.iter().zip(&mut spent) {
                let before = server.processor_time();
                (work.run)(&server, work.times);
                spent[build].push(
                    server.processor_time().saturating_sub(before).as_secs_f64() * 1e6 / f64::from(u32::try_from(work.times).unwrap()),
                );
            }
        }
    }
    for (work, spent) in ALL.iter().zip(&mut spent) {
        let mut line = format!("friendly, processor time of {}:", work.name);
        let mut first = None;
        for times in spent {
            times.sort_by(f64::total_cmp);
            let median = times[ROUNDS / 2];
            let ratio = median / *first.get_or_insert(median);
            write!(line, " {median:.1} us ({:.1} to {:.1}), {ratio:.3} x;", times[0], times[ROUNDS - 1]).unwrap();
        }
        println!("{line}");
    }
}

/// So many requests over a few connections that stay.
fn requests(server: &Server, times: usize, line: fn(usize) -> String, body: fn(usize) -> Option<String>) {
    std::thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            scope.spawn(move || {
                let mut stream = BufReader::new(TcpStream::connect(server.address).unwrap());
                stream.get_ref().set_nodelay(true).unwrap();
                for number in (connection..times).step_by(CONNECTIONS) {
                    let (line, body) = (line(number), body(number).unwrap_or_default());
                    let (token, length) = (server.attacker(), body.len());
                    let head =
                        format!("{line} HTTP/1.1\r\nHost: localhost\r\n{token}Content-Type: application/json\r\nContent-Length: {length}");
                    stream.get_mut().write_all(format!("{head}\r\n\r\n{body}").as_bytes()).unwrap();
                    assert_eq!(answer(&mut stream), "200", "{line}");
                }
            });
        }
    });
}

/// The status of an answer that says how long it is.
fn answer(stream: &mut BufReader<TcpStream>) -> String {
    let (mut status, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
            rest[..3].clone_into(&mut status);
        } else if let Some(rest) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = rest.trim().parse().unwrap();
        } else if line.trim().is_empty() {
            break;
        }
    }
    std::io::copy(&mut stream.take(length), &mut std::io::sink()).unwrap();
    status
}

fn send(server: &Server, kind: &str, body: &str) {
    let headers = format!("{}Content-Type: {kind}\r\n", server.attacker());
    assert_eq!(http::send(server.address, "PUT", PATH, &headers, body.as_bytes(), PATIENCE).unwrap().status, 200);
}

fn arrays(server: &Server, times: usize) {
    for round in 0..times {
        let events: Vec<String> = (0..ARRAY).map(|number| event(round * ARRAY + number)).collect();
        send(server, "application/json", &format!("[{}]", events.join(",")));
    }
}

fn lines(server: &Server, times: usize) {
    let mut lines = String::new();
    for number in 0..times {
        writeln!(lines, "{}", event(number + 1_000_000)).unwrap();
    }
    send(server, "application/x-ndjson", &lines);
}

/// Each is another one, because something came before it.
fn pages(server: &Server, times: usize) {
    for number in 0..times {
        send(server, "application/json", &event(number));
        assert_eq!(http::get(server.address, "/metrics", server.attacker(), PATIENCE).unwrap().status, 200);
    }
}
