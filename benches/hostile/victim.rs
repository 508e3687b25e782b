//! Who suffers: a process of its own that asks for something harmless over and over, and says how long each answer took.

use crate::http;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::net::SocketAddr;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

/// How long a victim waits for one answer.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long it rests between two questions.
const REST: Duration = Duration::from_millis(20);

/// What a victim asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// `/-/healthy`
    Healthy,
    /// `/-/ready`
    Ready,
    /// A single `PUT` to an organization of its own.
    PutElsewhere,
    /// A single `PUT` to the organization that the attack comes from.
    PutBeside,
    /// The page of its own organization.
    Page,
    /// The latest event of its own organization.
    List,
}

impl Wish {
    pub(crate) const ALL: [Self; 6] = [Self::Healthy, Self::Ready, Self::PutElsewhere, Self::PutBeside, Self::Page, Self::List];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Ready => "ready",
            Self::PutElsewhere => "put",
            Self::PutBeside => "put-beside",
            Self::Page => "page",
            Self::List => "list",
        }
    }

    fn ask(self, address: SocketAddr, tokens: bool, number: u64) -> std::io::Result<http::Answer> {
        let organization = if self == Self::PutBeside { "attacker" } else { "victim" };
        let token = if tokens { format!("Authorization: Bearer {organization}-token\r\n") } else { String::new() };
        match self {
            Self::Healthy => http::get(address, "/-/healthy", "", PATIENCE),
            Self::Ready => http::get(address, "/-/ready", "", PATIENCE),
            Self::Page => http::get(address, "/metrics", &token, PATIENCE),
            Self::List => http::get(address, "/api/v4/organizations/victim/change_events?limit=1", &token, PATIENCE),
            Self::PutElsewhere | Self::PutBeside => {
                let path = format!("/api/v4/organizations/{organization}/change_events");
                let body = format!(r#"{{"event_name":"{}","attributes":{{"n":"{}"}}}}"#, self.name(), number % 7);
                http::send(address, "PUT", &path, &token, body.as_bytes(), PATIENCE)
            }
        }
    }
}

/// The child's side: asks until its standard input ends, and prints a line for each answer.
#[expect(clippy::print_stdout, reason = "it is what the parent reads")]
pub(crate) fn suffer(arguments: &[String]) {
    let address: SocketAddr = arguments[0].parse().unwrap();
    let wish = Wish::ALL.into_iter().find(|wish| wish.name() == arguments[1]).unwrap();
    let tokens = arguments[2] == "tokens";
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        std::io::stdin().read_to_end(&mut Vec::new()).ok();
        drop(stop);
    });
    for number in 0.. {
        let begun = Instant::now();
        let status = wish.ask(address, tokens, number).map_or(0, |answer| answer.status);
        println!("{} {status}", begun.elapsed().as_micros());
        if stopped.recv_timeout(REST) == Err(std::sync::mpsc::RecvTimeoutError::Disconnected) {
            return;
        }
    }
}

/// A victim that runs.
#[derive(Debug)]
pub(crate) struct Victim {
    wish: Wish,
    child: Child,
}

/// How long it waited.
#[derive(Clone, Debug)]
pub(crate) struct Waits {
    pub(crate) wish: Wish,
    /// In order of length.
    pub(crate) in_order: Vec<Duration>,
    /// How many of them were no success.
    pub(crate) failed: usize,
}

impl Waits {
    pub(crate) fn p99(&self) -> Duration {
        self.in_order.get(self.in_order.len().saturating_sub(1) * 99 / 100).copied().unwrap_or_default()
    }

    pub(crate) fn worst(&self) -> Duration {
        self.in_order.last().copied().unwrap_or_default()
    }
}

impl Victim {
    pub(crate) fn new(address: SocketAddr, wish: Wish, tokens: bool) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["victim", &address.to_string(), wish.name(), if tokens { "tokens" } else { "anonymous" }]);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        Self { wish, child }
    }

    /// One of each.
    pub(crate) fn all(address: SocketAddr, tokens: bool) -> Vec<Self> {
        Wish::ALL.map(|wish| Self::new(address, wish, tokens)).into()
    }

    pub(crate) fn end(mut self) -> Waits {
        drop(self.child.stdin.take());
        let mut waits = Vec::new();
        let mut failed = 0;
        for line in BufReader::new(self.child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let (micros, status) = line.split_once(' ').unwrap();
            waits.push(Duration::from_micros(micros.parse().unwrap()));
            failed += usize::from(status != "200");
        }
        self.child.wait().unwrap();
        waits.sort_unstable();
        Waits { wish: self.wish, in_order: waits, failed }
    }
}
