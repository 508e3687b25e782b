//! A server that records what it is asked and answers by script, and the binary with a clean environment.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Nothing in these tests takes longer on a machine that works.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// One request, as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query, as sent.
    pub(crate) target: String,
    /// By lower-case name.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The values of one parameter of the query, decoded.
    pub(crate) fn query(&self, name: &str) -> Vec<String> {
        let Some((_, query)) = self.target.split_once('?') else { return Vec::new() };
        let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.filter(|(key, _)| decoded(key) == name).map(|(_, value)| decoded(value)).collect()
    }
}

fn decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let pair = [bytes.next().unwrap(), bytes.next().unwrap()];
            out.extend(hex::decode(pair).unwrap());
        } else {
            out.push(if byte == b'+' { b' ' } else { byte });
        }
    }
    String::from_utf8(out).unwrap()
}

/// What the script wants to happen.
pub(crate) enum Reply {
    /// A status and a body.
    Answer(u16, String),
    /// The same with one more header.
    With(u16, (&'static str, String), String),
    /// No answer, ever.
    Hang,
    /// The connection is closed at once.
    Close,
}

impl Reply {
    /// What a server says that took an edge.
    pub(crate) fn accepted() -> Self {
        Self::Answer(200, r#"{"message":"success","id":"00ff","timestamp":"2026-02-20T10:00:00.000Z"}"#.to_owned())
    }

    pub(crate) fn error(status: u16, message: &str) -> Self {
        Self::Answer(status, serde_json::json!({ "error": message }).to_string())
    }
}

type Script = dyn FnMut(&Request, usize) -> Reply + Send;

struct Shared {
    script: Mutex<Box<Script>>,
    requests: Mutex<Vec<Request>>,
    arrived: Condvar,
    hanging: Mutex<Vec<TcpStream>>,
}

/// The server; its script gets each request and how many came before it.
pub(crate) struct FakeServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl FakeServer {
    pub(crate) fn start(script: impl FnMut(&Request, usize) -> Reply + Send + 'static) -> Self {
        Self::listen("127.0.0.1:0".parse().unwrap(), script)
    }

    pub(crate) fn listen(address: SocketAddr, script: impl FnMut(&Request, usize) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Mutex::new(Box::new(script)),
            requests: Mutex::default(),
            arrived: Condvar::new(),
            hanging: Mutex::default(),
        });
        let for_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&for_thread);
                thread::spawn(move || serve(&stream.unwrap(), &shared));
            }
        });
        Self { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// The bodies of the edges that were sent, in order.
    pub(crate) fn edges(&self) -> Vec<Value> {
        self.requests().iter().filter(|request| request.method == "PUT").map(Request::json).collect()
    }

    /// Waits until so many requests have come.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) {
        let requests = self.shared.requests.lock().unwrap();
        let few = |requests: &mut Vec<Request>| requests.len() < count;
        let (requests, timeout) = self.shared.arrived.wait_timeout_while(requests, PATIENCE, few).unwrap();
        assert!(!timeout.timed_out(), "only {} of {count} requests came", requests.len());
    }
}

fn serve(stream: &TcpStream, shared: &Shared) {
    let mut reader = BufReader::new(stream);
    let Some(request) = read_request(&mut reader) else { return };
    let reply = {
        let mut script = shared.script.lock().unwrap();
        let mut requests = shared.requests.lock().unwrap();
        let before = requests.len();
        requests.push(request.clone());
        drop(requests);
        script(&request, before)
    };
    shared.arrived.notify_all();
    let (status, header, body) = match reply {
        Reply::Answer(status, body) => (status, None, body),
        Reply::With(status, header, body) => (status, Some(header), body),
        Reply::Hang => return shared.hanging.lock().unwrap().push(stream.try_clone().unwrap()),
        Reply::Close => return,
    };
    let header = header.map(|(name, value)| format!("{name}: {value}\r\n")).unwrap_or_default();
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n{header}\r\n", body.len());
    let mut stream = stream;
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).ok();
}

fn read_request(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { method, target, headers, body: String::from_utf8(body).unwrap() })
}

/// An address where nobody listens: the servers of other tests, which may get the same port, have another one.
pub(crate) fn nowhere() -> SocketAddr {
    TcpListener::bind("127.0.0.77:0").unwrap().local_addr().unwrap()
}

/// The binary under test: the release build that `tests/run` makes, or another one, else the one of this test's own profile.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("CHANGE_EVENTS_BINARY").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_change-events")), PathBuf::from)
}

/// The binary, with nothing of the surroundings in its environment.
pub(crate) fn change_events(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments).env_clear();
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

/// Runs to the end.
pub(crate) fn run(command: &mut Command) -> Ended {
    let begun = Instant::now();
    let Output { status, stdout, stderr } = command.output().unwrap();
    Ended {
        code: status.code(),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
        took: begun.elapsed(),
    }
}

/// A run that goes on; a test that fails does not leave it behind.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// The exit code, at the end.
    pub(crate) fn code(&mut self) -> Option<i32> {
        self.0.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Looks until it is so.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
