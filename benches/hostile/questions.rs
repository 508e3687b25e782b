//! Who asks more than can be answered: expressions that take long to compile or to match, lists that find nothing, trees and
//! traces without end, selectors that are refused. Attackers ask from an address of their own.

use crate::attacks::Attack;
use crate::attacks::NOTHING;
use crate::attacks::PATH;
use crate::attacks::lines;
use crate::attacks::post;
use crate::http;
use crate::server::Server;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

const PATIENCE: Duration = Duration::from_mins(2);
/// Attackers at once.
const CLIENTS: usize = 12;
const MIB: usize = 1 << 20;

pub(crate) const ALL: &[Attack] = &[
    Attack {
        name: "questions: 1024 expressions in one request",
        memory: 1024 * MIB,
        run: |server, until| ask(server, until, |_| format!("/metrics?{}", selectors(32, |_| ["a=~\"\\\\w{20}\""; 32].join(",")))),
        ..NOTHING
    },
    Attack {
        name: "questions: lists by large expressions, all different",
        memory: 1024 * MIB,
        run: |server, until| {
            ask(server, until, |number| {
                format!(
                    "{PATH}?{}",
                    selectors(2, |half| (0..32).map(|at| format!("a=~\"\\\\w{{20}}{number}-{half}-{at}\"")).collect::<Vec<_>>().join(","))
                )
            })
        },
        ..NOTHING
    },
    Attack {
        name: "questions: case-insensitive ranges of all characters",
        memory: 1024 * MIB,
        run: |server, until| {
            ask(server, until, |number| {
                format!("{PATH}?{}", selectors(4, |_| format!("a=~\"(?i){}{number}\"", "[!-\u{10ffff}]".repeat(70))))
            })
        },
        ..NOTHING
    },
    Attack {
        name: "questions: expressions that match slowly, over 60 000 values of 1 KB",
        memory: 1024 * MIB,
        prepare: long_values,
        run: |server, until| {
            ask(server, until, |number| format!("{PATH}?{}", selectors(1, |_| format!("n=~\".*[ab].{{200}}(.*b){{9}}{number}\""))))
        },
        ..NOTHING
    },
    Attack {
        name: "questions: pages of one's own by 32 expressions",
        memory: 1024 * MIB,
        prepare: long_values,
        run: |server, until| {
            ask(server, until, |number| {
                format!(
                    "/metrics?{}",
                    selectors(1, |_| (0..30).map(|at| format!("n!~\".*[ab].{{50}}c{number}-{at}\"")).collect::<Vec<_>>().join(","))
                )
            })
        },
        ..NOTHING
    },
    Attack {
        name: "questions: searches of 300 000 events that find nothing",
        memory: 1024 * MIB,
        prepare: |server| many_points(server, 300_000),
        run: |server, until| ask(server, until, |number| format!("{PATH}?search=nothing-of-{number}&limit=1000")),
        ..NOTHING
    },
    Attack {
        name: "questions: searches of descriptions of 1 MB",
        memory: 1024 * MIB,
        prepare: descriptions,
        run: |server, until| ask(server, until, |number| format!("{PATH}?search=nothing-of-{number}")),
        ..NOTHING
    },
    Attack {
        name: "questions: what 300 events caused, of 1000 that have a tag of each",
        prepare: tagged_by_all,
        run: |server, until| ask(server, until, |_| "/api/v1/event/root/impact".to_owned()),
        ..NOTHING
    },
    Attack {
        name: "questions: what each of 3000 caused, of 3000 that are tagged with it",
        prepare: tagged_by_one,
        run: |server, until| {
            ask(server, until, |number| format!("/api/v1/event/root/{}", ["impact", "children"][usize::from(number % 8 == 0)]))
        },
        ..NOTHING
    },
    Attack {
        name: "questions: pages far into a list of 300 000 events",
        memory: 1024 * MIB,
        prepare: |server| many_points(server, 300_000),
        run: |server, until| ask(server, until, |number| format!("/api/v1/event/?count=1&page={}", 290_000 + number)),
        ..NOTHING
    },
    Attack {
        name: "questions: selectors that are refused, and thousands of parameters",
        run: |server, until| ask(server, until, refused),
        ..NOTHING
    },
];

/// A connection from an address that no victim has.
fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from(([127, 0, 0, 2], 0)))?;
        socket.connect(address).await
    })?;
    let stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn get(server: &Server, path: &str) -> u16 {
    let asked = connect(server.address).and_then(|mut stream| {
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{}\r\n", server.attacker());
        stream.write_all(head.as_bytes())?;
        http::end(stream)
    });
    asked.map_or(0, |answer| answer.status)
}

/// Twelve ask one after the other; says what they were told.
fn ask(server: &Server, until: Instant, path: impl Fn(u64) -> String + Sync) -> String {
    let (number, told) = (AtomicU64::new(0), Mutex::new(BTreeMap::<u16, u64>::new()));
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while Instant::now() < until {
                    let status = get(server, &path(number.fetch_add(1, Ordering::Relaxed)));
                    *told.lock().unwrap().entry(status).or_default() += 1;
                }
            });
        }
    });
    told.into_inner().unwrap().iter().fold("answers".to_owned(), |text, (status, count)| format!("{text} {status}: {count}"))
}

/// So many `match[]`, encoded.
fn selectors(count: usize, matchers: impl Fn(usize) -> String) -> String {
    (0..count).map(|number| format!("match[]={}", encoded(&format!("{{{}}}", matchers(number))))).collect::<Vec<_>>().join("&")
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").unwrap();
        }
        encoded
    })
}

fn refused(number: u64) -> String {
    let (list, text) = (format!("{PATH}?match[]="), |text: &str, count: usize| encoded(&text.repeat(count)));
    match number % 6 {
        0 => format!("{list}%7B{}%7D", text("a=\"b\",", 1000)),
        1 => format!("{list}%7B{}%7D", text("= ", 3000)),
        2 => format!("{list}%7Ba=~%22{}%22%7D", text("(?i)\\\\pL", 100)),
        3 => format!("/v1/accounts/attacker/events?{}", "q=a&".repeat(7000)),
        4 => format!("/api/v1/event/?{}", "tag=a:b&".repeat(3500)),
        _ => format!("{list}{}", text("sum(", 2000)),
    }
}

fn long_values(server: &mut Server) {
    let value = "ab".repeat(480);
    let line = |number: usize| format!(r#"{{"event_name":"e","attributes":{{"n":"{value}{number}"}}}}"#);
    for from in (0..60_000).step_by(10_000) {
        lines(server, (from..from + 10_000).map(line));
    }
}

fn many_points(server: &mut Server, count: usize) {
    let line = |number: usize| format!(r#"{{"event_name":"e","attributes":{{"n":"{}","name":"name {number}"}}}}"#, number % 1000);
    for from in (0..count).step_by(20_000) {
        lines(server, (from..from + 20_000).map(line));
    }
}

fn put(server: &Server, event: &str) {
    assert_eq!(post(server, "", "PUT", "/api/v1/event/", &format!("{{\"event\":{event}}}")), 200);
}

fn descriptions(server: &mut Server) {
    let text = "No such thing. ".repeat(70_000);
    for number in 0..200 {
        put(server, &format!(r#"{{"id":"d{number}","start_time":{},"description":"{text}"}}"#, 1_795_000_000 + number));
    }
}

/// Some events, put by several at once.
fn put_all(server: &Server, count: usize, event: impl Fn(usize) -> String + Sync) {
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                while let Some(number) = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).ok().filter(|number| *number < count) {
                    put(server, &event(number));
                }
            });
        }
    });
}

fn tagged_by_all(server: &mut Server) {
    put(server, r#"{"id":"root","start_time":1795000000}"#);
    put_all(server, 300, |number| format!(r#"{{"id":"c{number}","parent_id":"root","start_time":{}}}"#, 1_795_000_000 + number));
    let parents: Vec<String> = (0..300).map(|number| format!("\"c{number}\"")).collect();
    let tags = format!(r#"{{"parent_id":[{}]}}"#, parents.join(","));
    put_all(server, 1000, |number| format!(r#"{{"id":"d{number}","start_time":{},"tags":{tags}}}"#, 1_795_000_000 + number));
}

fn tagged_by_one(server: &mut Server) {
    put(server, r#"{"id":"root","start_time":1795000000}"#);
    // Causes and effects alike: each says that it was caused by the one before, and is tagged with it and with the root.
    put_all(server, 3000, |number| {
        let parent = if number % 30 == 0 { "root".to_owned() } else { format!("c{}", number - 1) };
        let at = 1_795_000_000 + number;
        format!(r#"{{"id":"c{number}","parent_id":"{parent}","start_time":{at},"tags":{{"parent_id":["root","c{}"]}}}}"#, number / 30 * 30)
    });
}
