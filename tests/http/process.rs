//! `change-events serve` as a process: what it prints, how it stops, what it exits with, when it refuses to start.

use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use sha2::Digest as _;
use sha2::Sha256;
use tempfile::TempDir;

use crate::harness::exporter::binary;
use crate::harness::http;
use crate::harness::process::Process;
use crate::harness::wait;

const LIMIT: Duration = Duration::from_secs(30);

struct Serve {
    process: Process,
    url: String,
}

impl Serve {
    fn start(directory: &Path, arguments: &[&str]) -> Self {
        let log_path = directory.join("log");
        let before = std::fs::read(&log_path).map_or(0, |log| log.len());
        let mut process = Process::spawn(command(directory, arguments), &log_path);
        let url = process.ready(LIMIT, |process| {
            let log = process.log();
            let (_, after) = log.get(before..)?.split_once("listening on ")?;
            let (url, rest) = after.split_once('\n')?;
            rest.contains("ready: replayed ").then(|| url.to_owned())
        });
        Self { process, url }
    }

    fn events(&self) -> String {
        format!("{}/api/v4/organizations/acme/change_events", self.url)
    }

    fn put(&self, name: &str) -> u16 {
        http::put(&self.events(), "application/json", json!({"event_name": name, "event_state": "start"}).to_string().as_bytes())
            .unwrap()
            .status
    }

    fn metric(&self, token: Option<&str>, name: &str) -> f64 {
        let url = format!("{}/metrics", self.url);
        let request = ureq::get(&url);
        let request = token.into_iter().fold(request, |request, token| request.header("Authorization", format!("Bearer {token}")));
        http::metric(&request.call().unwrap().body_mut().read_to_string().unwrap(), name).unwrap()
    }

    fn status(&self, token: &str) -> u16 {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
        agent.get(self.events()).header("Authorization", format!("Bearer {token}")).call().unwrap().status().as_u16()
    }
}

fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.arg("serve").arg(format!("--storage.path={}", directory.join("data").display()));
    if !arguments.iter().any(|argument| argument.starts_with("--web.listen-address")) {
        command.arg("--web.listen-address=127.0.0.1:0");
    }
    command.args(arguments);
    command
}

/// Starts a server that should not, and gives its exit code and what it said on standard error.
fn refused(directory: &Path, arguments: &[&str]) -> (i32, String) {
    let output = command(directory, arguments).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_stopped_server_comes_back_with_everything() {
    let directory = directory();
    let mut first = Serve::start(directory.path(), &[]);
    assert_eq!(first.put("deployment"), 200);
    let exchange = |serve: &Serve| {
        let answer = ureq::post(format!("{}/api/v4/oauth/access_token", serve.url)).send(r#"{"refresh_token":"r"}"#).unwrap();
        serde_json::from_str::<serde_json::Value>(&answer.into_body().read_to_string().unwrap()).unwrap()
    };
    assert_eq!(exchange(&first)["type"], "Bearer");
    assert_eq!(first.process.terminate(LIMIT).code(), Some(0));
    assert!(first.process.log().contains("ready: replayed 0 records"), "{}", first.process.log());
    // The lines of the log come by a thread of their own, before this or after it.
    assert!(first.process.log().contains("\nstopped\n"), "{}", first.process.log());

    let mut second = Serve::start(directory.path(), &[]);
    assert!(second.process.log().contains("ready: replayed 2 records"), "{}", second.process.log());
    let listed = http::get(&second.events()).unwrap().json();
    assert_eq!(listed["events"][0]["event_name"], "deployment");
    second.process.signal(Signal::INT);
    let status = wait::until("the end", LIMIT, || second.process.ended());
    assert_eq!(status.code(), Some(0), "an interrupt stops it as well");
}

#[test]
fn it_refuses_to_start_when_it_should_not() {
    let directory = directory();
    let (code, said) = refused(directory.path(), &["--web.listen-address=0.0.0.0:0"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("--web.allow-anonymous") && said.contains("organizations"), "{said}");
    let config = directory.path().join("config.yml");
    std::fs::write(&config, "organizations:\n  - slug: acme\n    tokken: []\n").unwrap();
    let (code, said) = refused(directory.path(), &[&format!("--config.file={}", config.display())]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("tokken") && said.contains("line 3"), "{said}");
    for wrong in
        ["--exposure.hold=soon", "--no-such-flag", "--web.listen-address=nonsense", "--limit.batch-items=1", "--config.file=/nonexistent"]
    {
        let (code, said) = refused(directory.path(), &[wrong]);
        assert_eq!(code, 2, "{wrong}: {said}");
    }
    let running = Serve::start(directory.path(), &[]);
    let (code, said) = refused(directory.path(), &[]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("in use by another process"), "{said}");
    let other = tempfile::tempdir().unwrap();
    let taken = running.url.replace("http://", "--web.listen-address=");
    let (code, said) = refused(other.path(), &[&taken]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("cannot listen on "), "{said}");
}

#[test]
fn a_damaged_log_is_an_exit_code_of_its_own() {
    let directory = directory();
    let mut serve = Serve::start(directory.path(), &[]);
    for name in ["a", "b", "c"] {
        assert_eq!(serve.put(name), 200);
    }
    assert_eq!(serve.process.terminate(LIMIT).code(), Some(0));
    let data = directory.path().join("data");
    let segment =
        std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.extension().is_some_and(|end| end == "log"));
    let segment = segment.unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    let place = bytes.windows(10).position(|window| window == b"event_name").unwrap();
    bytes[place] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let (code, said) = refused(directory.path(), &[]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains(&*segment.file_name().unwrap().to_string_lossy()) && said.contains("offset"), "{said}");
}

fn config(token: &str) -> String {
    let hash = hex::encode(Sha256::digest(token));
    format!("organizations:\n  - slug: acme\n    tokens:\n      - {{name: t, sha256: {hash}, scopes: [read, telemetry, admin]}}\n")
}

#[test]
fn a_bad_file_changes_nothing() {
    let directory = directory();
    let path = directory.path().join("config.yml");
    std::fs::write(&path, config("old")).unwrap();
    let serve = Serve::start(directory.path(), &[&format!("--config.file={}", path.display()), "--web.enable-lifecycle"]);
    assert_eq!((serve.status("old"), serve.status("new")), (200, 401));
    let successful = |token| serve.metric(Some(token), "change_events_config_last_reload_successful");
    assert!(successful("old") > 0.0);

    std::fs::write(&path, "organizations: {}\n").unwrap();
    serve.process.signal(Signal::HUP);
    wait::until("the refusal", LIMIT, || (successful("old") < 1.0).then_some(()));
    assert_eq!((serve.status("old"), serve.status("new")), (200, 401));
    assert!(serve.process.log().contains("the old one is kept"), "{}", serve.process.log());

    std::fs::write(&path, config("new")).unwrap();
    serve.process.signal(Signal::HUP);
    wait::until("the reload", LIMIT, || (serve.status("new") == 200).then_some(()));
    assert_eq!(serve.status("old"), 401);
    assert!(successful("new") > 0.0);

    // Nor does one that takes away the last organization.
    let reload = |token: &str| http::post_as(token, &format!("{}/-/reload", serve.url)).unwrap();
    for text in ["", "# a comment\n", "organizations: []\n", "labels: {drop: [a]}\n"] {
        std::fs::write(&path, text).unwrap();
        let answer = reload("new");
        assert_eq!(answer.status, 500, "{text:?}: {}", answer.text);
        assert!(answer.text.contains("the old configuration is kept"), "{text:?}: {}", answer.text);
        assert_eq!((serve.status("new"), serve.put("deployment")), (200, 401), "{text:?}");
        assert!(successful("new") < 1.0, "{text:?}");
    }
    assert!(serve.process.log().contains("only a restart takes that in"), "{}", serve.process.log());
    std::fs::write(&path, config("newer")).unwrap();
    assert_eq!((reload("new").status, serve.status("newer"), serve.status("new")), (200, 200, 401));
    assert!(successful("newer") > 0.0);

    std::fs::write(&path, "# a comment\n").unwrap();
    drop(serve);
    let serve = Serve::start(directory.path(), &[&format!("--config.file={}", path.display())]);
    assert_eq!(serve.put("deployment"), 200, "a restart takes it in, on loopback only");
    assert!(serve.process.log().contains("configures nothing"), "{}", serve.process.log());
}

/// A terabyte of nothing is reserved behind the last record, so reading the log does not end soon.
#[test]
fn a_reload_while_the_log_is_read_is_a_reload() {
    let directory = directory();
    let mut before = Serve::start(directory.path(), &[]);
    before.process.kill();
    let log = std::fs::File::options().write(true).open(directory.path().join("data/00000000000000000001.log")).unwrap();
    log.set_len(1 << 40).unwrap();
    let path = directory.path().join("config.yml");
    std::fs::write(&path, "").unwrap();
    let command = command(directory.path(), &[&format!("--config.file={}", path.display())]);
    let mut process = Process::spawn(command, &directory.path().join("log of the second"));
    process.ready(LIMIT, |process| process.log().contains("listening on ").then_some(()));
    process.signal(Signal::HUP);
    process.ready(LIMIT, |process| process.log().contains("configuration read again").then_some(()));
    assert!(!process.log().contains("ready: "), "{}", process.log());
}

/// A sender that never ends holds a stop up for as long as requests may take, and a second signal does not wait for it.
#[test]
fn a_second_signal_stops_at_once() {
    let directory = directory();
    let mut serve = Serve::start(directory.path(), &[]);
    let address = serve.url.trim_start_matches("http://").to_owned();
    let mut sender = TcpStream::connect(address).unwrap();
    sender.write_all(b"PUT /api/v4/organizations/acme/change_events HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{").unwrap();
    wait::until("the connection", LIMIT, || (serve.metric(None, "change_events_http_connections") >= 2.0).then_some(()));
    serve.process.signal(Signal::TERM);
    wait::until("the stop", LIMIT, || serve.process.log().contains("stopping").then_some(()));
    assert!(serve.process.ended().is_none(), "it waits for the sender");
    serve.process.signal(Signal::TERM);
    let status = wait::until("the end", LIMIT, || serve.process.ended());
    assert_eq!(status.code(), Some(1));
    assert!(serve.process.log().contains("second signal"), "{}", serve.process.log());
    drop(sender);
}
