//! The client commands against the real server.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::exec::Bench;
use crate::support::{Ended, Running, change_events, run};

/// `change-events serve` on a port of its own choice.
struct Server {
    _running: Running,
    url: String,
}

impl Server {
    fn start(directory: &Path, flags: &[&str]) -> Self {
        let mut command = change_events(&["serve", "--web.listen-address=127.0.0.1:0"]);
        command.arg(format!("--storage.path={}", directory.join("data").display())).args(flags);
        let mut running = Running::start(command.stdout(Stdio::piped()).stderr(Stdio::null()));
        let mut lines = BufReader::new(running.0.stdout.take().unwrap()).lines().map(Result::unwrap);
        let url = lines.find_map(|line| line.strip_prefix("listening on ").map(str::to_owned)).unwrap();
        assert!(lines.any(|line| line.starts_with("ready")));
        Self { _running: running, url }
    }

    fn call(&self, arguments: &[&str]) -> Ended {
        run(change_events(arguments).env("CHANGE_EVENTS_URL", &self.url))
    }

    /// It worked; what it printed.
    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> String {
        let ended = self.call(arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
        ended.stdout
    }

    /// All events, the newest first.
    fn events(&self) -> Vec<Value> {
        let url = format!("{}/api/v4/organizations/default/change_events", self.url.trim_end_matches('/'));
        let text = ureq::get(url).call().unwrap().body_mut().read_to_string().unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap();
        answer["events"].as_array().unwrap().clone()
    }

    fn open(&self) -> Vec<Value> {
        serde_json::from_str(&self.ok(&["open", "--json"])).unwrap()
    }
}

#[test]
fn what_is_sent_is_listed_and_can_be_closed() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path(), &[]);
    let id = server.ok(&["send", "-n", "deployment", "-s", "start", "-a", "service=api", "-a", "n:=1.50", "-a", "list:=[\"b\",\"a\"]"]);
    server.ok(&["send", "-n", "job", "-s", "start", "-a", "deep:={\"a\":{\"b\":null,\"c\":false}}", "-a", "text=a \"b\"\n\\"]);
    server.ok(&["send", "-n", "flag", "-a", "on:=true"]);
    let table = server.ok(&["open"]);
    assert_eq!(table.lines().count(), 3, "{table}");
    assert!(table.contains(id.trim()), "{table}");
    assert_eq!(server.ok(&["close", id.trim(), "--result", "success"]), id);
    let left = server.open();
    assert_eq!(left.iter().map(|event| &event["event_name"]).collect::<Vec<_>>(), ["job"]);
    server.ok(&["close", "--match", "{event_name=\"job\"}", "-a", "duration_ms:=12"]);
    assert!(server.open().is_empty());
    let events = server.events();
    let states: Vec<&str> = events.iter().map(|event| event["state"].as_str().unwrap()).collect();
    assert_eq!(states.len(), 3, "{events:?}");
    assert_eq!(states.iter().filter(|state| **state == "closed").count(), 2, "{events:?}");
    let deployment = events.iter().find(|event| event["event_name"] == "deployment").unwrap();
    assert_eq!(deployment["stop"]["attributes"]["result"], "success");
    assert_eq!(deployment["stop"]["labels"]["n"], deployment["start"]["labels"]["n"]);
}

#[test]
fn all_that_match_are_closed() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path(), &[]);
    for n in 0..7 {
        let at = format!("2026-01-0{}T00:00:00Z", n + 1);
        server.ok(&["send", "-n", "deployment", "-s", "start", "-t", &at, "-a", &format!("service_name=s{n}")]);
    }
    server.ok(&["send", "-n", "deployment", "-s", "start", "-t", "2026-01-03T12:00:00Z", "-a", "service_name=s2"]);
    let ended = server.call(&["close", "--match", "{service_name=~\"s[0-4]\"}"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert_eq!(server.open().len(), 7);
    let closed = server.ok(&["close", "--match", "{service_name=~\"s[0-4]\"}", "--all"]);
    assert_eq!(closed.lines().count(), 5);
    assert_eq!(server.open().len(), 2);
    assert_eq!(server.call(&["close", "--older-than", "5000d", "--all"]).code, Some(1));
    server.ok(&["close", "--older-than", "1s", "--all"]);
    assert!(server.open().is_empty());
}

#[test]
fn a_run_is_one_event_however_it_is_identified() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path(), &[]);
    let check = |n: usize, attributes: &[&str]| {
        let flags: Vec<&str> = attributes.iter().flat_map(|attribute| ["-a", attribute]).collect();
        let ended = run(&mut Bench::new(&server.url).exec(&flags, "exit 7"));
        assert_eq!(ended.code, Some(7), "{ended:?}");
        let events = server.events();
        assert_eq!(events.len(), n + 1, "{attributes:?}: {events:?}");
        assert_eq!(events[0]["state"], "closed", "{attributes:?}: {events:?}");
        let stop = &events[0]["stop"]["attributes"];
        assert_eq!((&stop["result"], &stop["exit_result"]), (&json!("failure"), &json!(7)));
        assert!(stop["duration_ms"].is_number());
    };
    check(0, &[]);
    check(1, &["env=prod", "count:=3", "list:=[1,2]"]);
    check(2, &["deployment_id=17", "env=prod"]);
    check(3, &["entity_id=9", "state=queued", "env=prod"]);
    check(4, &["spinnaker_execution_id=x"]);
}

#[test]
fn what_was_left_in_the_spool_is_one_event_even_when_it_comes_twice() {
    let directory = tempfile::tempdir().unwrap();
    let bench = Bench::new("http://127.0.0.1:9");
    let first = run(&mut bench.exec(&["--retry-for", "0", "--timeout", "2s", "-a", "n=left"], "exit 0"));
    assert_eq!(first.code, Some(0), "{first:?}");
    let left: Vec<(_, String)> = bench.spooled().into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect();
    assert_eq!(left.len(), 2);
    let server = Server::start(directory.path(), &[]);
    for n in 0..2 {
        for (path, text) in &left {
            fs::write(path, text.replace("http://127.0.0.1:9", server.url.trim_end_matches('/'))).unwrap();
        }
        let ended = run(&mut bench.exec(&["--url", &server.url, "-a", &format!("n={n}")], "exit 0"));
        assert!(ended.stderr.contains("delivered 2"), "{ended:?}");
    }
    let events = server.events();
    assert_eq!(events.len(), 3, "{events:?}");
    for event in events {
        assert_eq!((&event["state"], &event["heartbeats"]), (&json!("closed"), &json!(0)), "{event}");
    }
}

#[test]
fn tokens_open_what_their_scopes_say() {
    let directory = tempfile::tempdir().unwrap();
    let made = |arguments: &[&str]| {
        let ended = run(change_events(&["token"]).args(arguments));
        let token = ended.stdout.lines().next().unwrap().strip_prefix("token:  ").unwrap().to_owned();
        (token, ended.stdout.lines().last().unwrap().to_owned())
    };
    let (writer, writer_line) = made(&["--name", "no"]);
    let (reader, reader_line) = made(&["--scope", "read", "--name", "1e5", "--expires", "2999-01-01T00:00:00Z"]);
    let (both, both_line) = made(&["--scope", "read", "--scope", "write", "--name", "a \"b\": c"]);
    let path = directory.path().join("events.yml");
    let rule = "{start: deployment_start, stop: deployment_complete, labels: [service_name]}";
    let lines = [writer_line, reader_line, both_line].map(|line| format!("    {line}\n")).concat();
    fs::write(&path, format!("organizations:\n  - slug: acme\n    tokens:\n{lines}pairing:\n  - {rule}\n")).unwrap();
    let server = Server::start(directory.path(), &["--config.file", path.to_str().unwrap()]);
    let call = |token: &str, arguments: &[&str]| {
        let mut command = change_events(arguments);
        run(command.args(["--org", "acme"]).env("CHANGE_EVENTS_URL", &server.url).env("CHANGE_EVENTS_TOKEN", token))
    };
    let start = ["send", "-n", "deployment_start", "-s", "start", "-a", "service_name=api", "-a", "n=1"];
    for (token, arguments) in [("", &start[..]), (&reader, &start), ("wrong", &start), (&writer, &["open"])] {
        let ended = call(token, arguments);
        assert_eq!(ended.code, Some(1), "{arguments:?}: {ended:?}");
    }
    for closing in [&["--event-name", "deployment_complete"][..], &[]] {
        let sent = call(&writer, &start);
        assert_eq!(sent.code, Some(0), "{sent:?}");
        let listed = call(&reader, &["open"]);
        assert!(listed.stdout.contains(sent.stdout.trim()), "{listed:?}");
        let closed = call(&both, &[&["close", sent.stdout.trim()], closing].concat());
        assert_eq!((closed.code, &closed.stdout), (Some(0), &sent.stdout), "{closed:?}");
        assert_eq!(call(&reader, &["open", "--json"]).stdout, "[]\n");
    }
}

#[test]
fn one_key_is_for_one_event() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path(), &[]);
    let send = |name: &str| server.call(&["send", "-n", name, "--idempotency-key", "k", "-t", "2026-01-01"]);
    let (first, again) = (send("a"), send("a"));
    assert_eq!((first.code, again.code, &first.stdout), (Some(0), Some(0), &again.stdout));
    let other = send("b");
    assert_eq!(other.code, Some(1), "{other:?}");
    assert!(other.stderr.contains("422"), "{other:?}");
    assert_eq!(server.events().len(), 1);
}
