//! Who takes places and gives nothing: readers who do not read, or hardly, senders who do not send, connections that say nothing.
//! Whoever is cut comes again at once.

use crate::attacks::Attack;
use crate::attacks::NOTHING;
use crate::attacks::PATH;
use crate::attacks::SMALL;
use crate::attacks::large_page;
use crate::server::Server;
use socket2::Domain;
use socket2::Socket;
use socket2::Type;
use std::io::Read as _;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;
use std::time::Instant;

const MIB: usize = 1 << 20;
/// Few places, so that a bench can take them all.
const FEW: &[&str] = &["--limit.connections=50"];
/// How often the crowd is looked at.
const ROUND: Duration = Duration::from_millis(50);

pub(crate) const ALL: &[Attack] = &[
    Attack {
        name: "214 readers of a page at 0.1 MB/s, 50 places",
        flags: FEW,
        prepare: large_page,
        run: |server, until| crowd(server, until, &Crowd { rate: 100_000, ..Crowd::of(214) }, &get("/metrics")),
        ..NOTHING
    },
    Attack {
        name: "214 readers of a page who do not read, from other addresses, 50 places",
        flags: FEW,
        prepare: large_page,
        run: |server, until| crowd(server, until, &Crowd { elsewhere: true, ..Crowd::of(214) }, &get("/metrics")),
        ..NOTHING
    },
    Attack {
        name: "214 readers of a byte a second, 50 places",
        flags: FEW,
        prepare: large_page,
        run: |server, until| crowd(server, until, &Crowd { rate: 1, ..Crowd::of(214) }, &get("/metrics")),
        ..NOTHING
    },
    Attack {
        name: "214 readers of lists who do not read, 50 places",
        flags: FEW,
        prepare: large_page,
        run: |server, until| crowd(server, until, &Crowd::of(214), &get(&format!("{PATH}?limit=1000"))),
        ..NOTHING
    },
    Attack {
        name: "60 readers of lists who do not read, in little memory",
        flags: SMALL,
        memory: 300 * MIB,
        prepare: large_page,
        run: |server, until| crowd(server, until, &Crowd::of(60), &get(&format!("{PATH}?limit=1000"))),
        ..NOTHING
    },
    Attack {
        name: "214 senders of lines who do not read what came of them, 50 places",
        flags: FEW,
        run: |server, until| crowd(server, until, &Crowd::of(214), &lines()),
        ..NOTHING
    },
    Attack {
        name: "100 questions in one go that nobody reads, 214 times, 50 places",
        flags: FEW,
        prepare: large_page,
        run: |server, until| crowd(server, until, &Crowd::of(214), &get("/metrics").repeat(100)),
        ..NOTHING
    },
    Attack {
        name: "1000 readers of a page who do not read",
        flags: SMALL,
        memory: 300 * MIB,
        prepare: large_page,
        run: |server, until| crowd(server, until, &Crowd { elsewhere: true, ..Crowd::of(1000) }, &get("/metrics")),
        ..NOTHING
    },
    Attack {
        name: "400 silent connections, 50 places",
        flags: FEW,
        run: |server, until| crowd(server, until, &Crowd::of(400), ""),
        ..NOTHING
    },
    Attack {
        name: "400 half headers, from other addresses, 50 places",
        flags: FEW,
        run: |server, until| crowd(server, until, &Crowd { elsewhere: true, ..Crowd::of(400) }, "GET /metrics HTTP/1.1\r\nHost: local"),
        ..NOTHING
    },
    Attack {
        name: "400 connections that asked once and idle, 50 places",
        flags: FEW,
        run: |server, until| {
            crowd(server, until, &Crowd { rate: 4096, ..Crowd::of(400) }, "GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n")
        },
        ..NOTHING
    },
    Attack {
        name: "300 bodies that hardly come, 50 places",
        flags: FEW,
        run: |server, until| {
            let head = format!("PUT {PATH} HTTP/1.1\r\nHost: localhost\r\n{}Content-Length: 8000000\r\n\r\n[", server.attacker());
            crowd(server, until, &Crowd::of(300), &head)
        },
        ..NOTHING
    },
    Attack {
        name: "300 who wait for pages of their own, 50 places",
        flags: FEW,
        prepare: large_page,
        run: |server, until| {
            let request = get("/metrics?match[]=%7Bevent_name%3D%22e%22%7D");
            crowd(server, until, &Crowd { rate: 10 * MIB, ..Crowd::of(300) }, &request)
        },
        ..NOTHING
    },
];

/// Who asks.
struct Crowd {
    count: usize,
    /// Bytes that each reads in a second.
    rate: usize,
    /// Whether they come from addresses that the victims do not have.
    elsewhere: bool,
}

impl Crowd {
    fn of(count: usize) -> Self {
        Self { count, rate: 0, elsewhere: false }
    }
}

/// A request without a body; the token comes where it is sent.
fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nTOKEN\r\n\r\n")
}

/// Lines that are refused, so that there is much to be told.
fn lines() -> String {
    let body = "x\n".repeat(5000);
    let head = format!("POST {PATH} HTTP/1.1\r\nHost: localhost\r\nTOKEN\r\nContent-Type: application/x-ndjson\r\n");
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn connect(server: &Server, crowd: &Crowd, number: usize, request: &[u8]) -> Option<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).ok()?;
    if crowd.elsewhere {
        let last = u8::try_from(2 + number % 200).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0)).into()).ok()?;
    }
    // What they do not read stays with the server.
    socket.set_recv_buffer_size(4096).ok()?;
    socket.connect_timeout(&server.address.into(), Duration::from_millis(200)).ok()?;
    let mut stream = TcpStream::from(socket);
    stream.set_write_timeout(Some(Duration::from_millis(200))).ok()?;
    stream.write_all(request).ok()?;
    stream.set_nonblocking(true).ok()?;
    Some(stream)
}

/// Reads as much as it may; answers whether it is still connected.
fn is_there(stream: &mut TcpStream, most: usize) -> bool {
    if stream.take_error().is_ok_and(|error| error.is_some()) {
        return false;
    }
    let mut bytes = vec![0; most.clamp(1, MIB)];
    let mut left = most;
    loop {
        let read = if left == 0 { stream.peek(&mut bytes[..1]) } else { stream.read(&mut bytes[..left.min(MIB)]) };
        match read {
            Ok(0) => return false,
            Ok(read) if left > read => left -= read,
            Ok(_) => return true,
            Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
        }
    }
}

/// What the kernel holds for all sockets of the machine, in bytes.
fn kernel() -> usize {
    let figures = std::fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
    let pages = figures.lines().find_map(|line| line.strip_prefix("TCP:")?.rsplit_once("mem ")?.1.trim().parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}

fn crowd(server: &Server, until: Instant, crowd: &Crowd, request: &str) -> String {
    let request = request.replace("TOKEN\r\n", server.attacker());
    let before = kernel();
    let (mut all, mut connections, mut most) = (Vec::<Option<TcpStream>>::new(), 0, 0);
    all.resize_with(crowd.count, || None);
    let begun = Instant::now();
    let (mut read, mut round) = (0, 0);
    while Instant::now() < until {
        // As much as may have been read by now, whatever the round.
        let due = usize::try_from(begun.elapsed().as_millis()).unwrap() * crowd.rate / 1000;
        for (number, stream) in all.iter_mut().enumerate() {
            if stream.as_mut().is_some_and(|stream| is_there(stream, due - read)) {
                continue;
            }
            *stream = connect(server, crowd, number, request.as_bytes());
            connections += usize::from(stream.is_some());
            if Instant::now() >= until {
                break;
            }
        }
        read = due;
        round += 1;
        if round % 4 == 0 {
            most = most.max(kernel());
        }
        std::thread::sleep(ROUND);
    }
    format!("{connections} connections by {}, {} MiB more in the kernel at most", crowd.count, most.saturating_sub(before) >> 20)
}
