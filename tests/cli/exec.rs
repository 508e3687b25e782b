//! `exec`: what it reports, how it ends, and that the job does not wait for the server.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{FakeServer, Reply, Running, change_events, nowhere, run, until};

/// `change-events exec` of the event `deployment` with one attribute, its spool, and a place for the job's files.
pub(crate) struct Bench {
    pub(crate) directory: TempDir,
    pub(crate) url: String,
}

impl Bench {
    pub(crate) fn new(url: &str) -> Self {
        Self { directory: tempfile::tempdir().unwrap(), url: url.to_owned() }
    }

    /// With these flags, and a job for `sh`.
    pub(crate) fn exec(&self, flags: &[&str], script: &str) -> Command {
        let mut command = self.exec_of(flags, &["sh", "-c", script]);
        command.current_dir(self.directory.path());
        command
    }

    pub(crate) fn exec_of(&self, flags: &[&str], job: &[&str]) -> Command {
        let mut command = change_events(&["exec", "-n", "deployment", "-a", "service_name=api"]);
        command.args(flags).arg("--").args(job);
        command.env("CHANGE_EVENTS_URL", &self.url).env("XDG_STATE_HOME", self.directory.path());
        command
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn spool(&self) -> PathBuf {
        self.path("change-events/spool")
    }

    /// What is in the spool, oldest first.
    pub(crate) fn spooled(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.spool()) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    }

    /// The edges that the spool keeps, as sent.
    pub(crate) fn spooled_edges(&self) -> Vec<Value> {
        let edge = |path: PathBuf| {
            let entry: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
            serde_json::from_str(entry["body"].as_str().unwrap()).unwrap()
        };
        let whole = |path: &PathBuf| path.extension() == Some(OsStr::new("json"));
        let mut edges: Vec<Value> = self.spooled().into_iter().filter(whole).map(edge).collect();
        edges.sort_by_key(|edge| edge["event_state"].as_str() == Some("stop"));
        edges
    }
}

#[test]
fn start_and_stop_say_the_same_but_for_what_may_differ() {
    let server = FakeServer::start(|_, before| {
        let warnings = if before == 1 { json!(["3 days old"]) } else { json!([]) };
        Reply::Answer(200, json!({"message": "success", "id": "1", "warnings": warnings}).to_string())
    });
    let bench = Bench::new(&server.url());
    let flags = ["-a", "count:=3", "--data-source-name", "eu", "--org", "acme"];
    let mut command = bench.exec(&flags, "cat; echo out; echo err >&2; echo \"$0\"");
    let ended = run(command.arg("last argument").env("CHANGE_EVENTS_TOKEN", "secret").stdin(Stdio::null()));
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "out\nlast argument\n"), "{ended:?}");
    assert_eq!(ended.stderr, "err\nchange-events: warning: stop: 3 days old\n");
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    for request in &requests {
        assert_eq!(request.target, "/api/v4/organizations/acme/change_events");
        assert_eq!(request.header("x-last9-api-token"), Some("Bearer secret"));
    }
    assert_ne!(requests[0].header("idempotency-key"), requests[1].header("idempotency-key"));
    let (start, mut stop) = (requests[0].json(), requests[1].json());
    assert!(start["timestamp"].as_str() <= stop["timestamp"].as_str());
    let duration = stop["attributes"].as_object_mut().unwrap().remove("duration_ms").unwrap();
    assert!(duration.as_i64().is_some_and(|duration| (0..60_000).contains(&duration)), "{duration}");
    let expected = |state: &str, edge: &Value, attributes: Value| {
        json!({"event_name": "deployment", "event_state": state, "data_source_name": "eu",
               "timestamp": edge["timestamp"], "attributes": attributes})
    };
    assert_eq!(start, expected("start", &start, json!({"service_name": "api", "count": 3})));
    let attributes = json!({"service_name": "api", "count": 3, "result": "success", "exit_result": 0});
    assert_eq!(stop, expected("stop", &stop, attributes));
    assert!(bench.spooled().is_empty());
}

#[test]
fn the_exit_code_is_that_of_the_job() {
    let server = FakeServer::start(|_, _| Reply::accepted());
    let bench = Bench::new(&server.url());
    let check = |job: &[&str], code: i32, result: &str| {
        let ended = run(&mut bench.exec_of(&[], job));
        assert_eq!(ended.code, Some(code), "{job:?}: {ended:?}");
        let stop = server.edges().pop().unwrap();
        assert_eq!(stop["attributes"]["result"], result, "{job:?}");
        assert_eq!(stop["attributes"]["exit_result"], code, "{job:?}");
    };
    check(&["true"], 0, "success");
    check(&["false"], 1, "failure");
    check(&["sh", "-c", "exit 255"], 255, "failure");
    check(&["sh", "-c", "kill -KILL $$"], 137, "failure");
    check(&["sh", "-c", "kill -TERM $$"], 143, "cancelled");
    check(&["/no/such/command"], 127, "failure");
    let text = bench.path("text");
    fs::write(&text, "no program").unwrap();
    fs::set_permissions(&text, fs::Permissions::from_mode(0o600)).unwrap();
    check(&[text.to_str().unwrap()], 126, "failure");
}

#[test]
fn the_job_does_not_wait_for_a_server_that_hangs_and_the_exit_code_is_passed_on() {
    let server = FakeServer::start(|_, _| Reply::Hang);
    let bench = Bench::new(&server.url());
    let job = "touch begun; while [ -d \"$PWD\" ] && [ ! -e end ]; do sleep 0.01; done; exit 9";
    let mut child = Running::start(bench.exec(&["--timeout", "50s", "--retry-for", "50s"], job).stderr(Stdio::null()));
    server.wait_for(1);
    until("the job has begun", || bench.path("begun").exists());
    fs::write(bench.path("end"), "").unwrap();
    until("the stop is kept", || bench.spooled_edges().len() == 2);
    child.signal(Signal::INT);
    assert_eq!(child.code(), Some(9));
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_server_that_is_away_costs_no_more_than_the_flags_say() {
    for retry_for in ["0", "1s"] {
        let bench = Bench::new(&format!("http://{}", nowhere()));
        let ended = run(&mut bench.exec(&["--retry-for", retry_for], "exit 5"));
        assert_eq!(ended.code, Some(5), "{ended:?}");
        assert!(ended.took < Duration::from_secs(20), "{ended:?}");
        assert!(ended.stderr.contains("the start is not reported: no answer from"), "{ended:?}");
        assert!(ended.stderr.contains("the stop is not reported"), "{ended:?}");
        assert!(ended.stderr.contains(bench.spool().to_str().unwrap()), "{ended:?}");
        assert_eq!(bench.spooled_edges().len(), 2);
    }
}

#[test]
fn a_start_is_tried_again_while_the_job_runs() {
    let server = FakeServer::start(|_, before| if before < 2 { Reply::error(503, "later") } else { Reply::accepted() });
    let bench = Bench::new(&server.url());
    let mut child = Running::start(&mut bench.exec(&[], "while [ -d \"$PWD\" ] && [ ! -e end ]; do sleep 0.01; done"));
    server.wait_for(3);
    until("the spool is empty", || bench.spooled().is_empty());
    fs::write(bench.path("end"), "").unwrap();
    assert_eq!(child.code(), Some(0));
    let states: Vec<Value> = server.edges().iter().map(|edge| edge["event_state"].clone()).collect();
    assert_eq!(states, ["start", "start", "start", "stop"]);
    let keys: Vec<_> = server.requests()[..3].iter().map(|request| request.header("idempotency-key").map(str::to_owned)).collect();
    assert!(keys[0].is_some() && keys.iter().all(|key| *key == keys[0]));
}

#[test]
fn what_the_server_will_never_take_is_said_and_not_kept() {
    let server = FakeServer::start(|_, _| Reply::error(400, "no such cluster"));
    let bench = Bench::new(&server.url());
    let ended = run(&mut bench.exec(&[], "exit 4"));
    assert_eq!((ended.code, server.requests().len()), (Some(4), 2), "{ended:?}");
    assert!(ended.stderr.contains("the start is not reported") && ended.stderr.contains("no such cluster; it is lost"), "{ended:?}");
    assert!(bench.spooled().is_empty());
}

#[test]
fn without_a_token_or_certificates_the_job_runs_all_the_same() {
    let server = FakeServer::start(|_, _| Reply::error(401, "no token"));
    let bench = Bench::new(&server.url());
    let ended = run(&mut bench.exec(&["--token-file", "/no/such/file"], "exit 4"));
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(ended.stderr.contains("/no/such/file"), "{ended:?}");
    assert_eq!(bench.spooled_edges().len(), 2);
    let ended = run(&mut bench.exec(&["--ca-file", "/no/such/file"], "exit 4"));
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(ended.stderr.contains("/no/such/file"), "{ended:?}");
}

#[test]
fn what_is_no_command_line_runs_nothing() {
    let bench = Bench::new("http://127.0.0.1:9");
    let check = |flags: &[&str]| {
        let ended = run(&mut bench.exec(flags, "touch begun"));
        assert_eq!(ended.code, Some(2), "{flags:?}: {ended:?}");
        assert!(!bench.path("begun").exists(), "{flags:?}");
    };
    check(&["--nonsense"]);
    check(&["--state", "start"]);
    // With --strict, what is only told without it.
    for (_, flags, _) in TOLD {
        check(&[&["--strict"][..], flags].concat());
    }
    let ended = run(&mut change_events(&["exec", "-n", "deployment"]));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let ended = run(&mut change_events(&["exec", "-n", "deployment", "true"]));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let ended = run(&mut change_events(&["exec", "--", "true"]));
    assert_eq!(ended.code, Some(2), "{ended:?}");
}

/// How many edges are sent with these flags, and what is told of them.
const TOLD: &[(usize, &[&str], &str)] = &[
    (2, &["-a", "foo"], "\"foo\" has no \"=\": write name=value; it is left out"),
    (2, &["-a", "foo:=bar"], "the value of \"foo:=bar\" is not JSON"),
    (2, &["-a", "=foo"], "has no name before"),
    (2, &["-a", "result=success"], "the attribute \"result\" is what exec finds out itself; it is left out"),
    (2, &["-a", "duration_ms=5"], "\"duration_ms\""),
    (2, &["-a", "exit_result=5"], "\"exit_result\""),
    (2, &["-a", "service_name=web"], "the attribute \"service_name\" is given twice; it is left out"),
    (2, &["--timeout", "abc"], "--timeout: `abc` is not a duration"),
    (2, &["--timeout", "0"], "--timeout must be longer than 0"),
    (2, &["--retry-for", "5"], "--retry-for: `5` is not a duration"),
    (0, &["--url", "localhost"], "this run is not reported: the url \"localhost\" is not usable"),
    (0, &["--url", "http://"], "this run is not reported: the url"),
    (0, &["--url", "https://example.test/?a=b"], "this run is not reported: the url"),
];

#[test]
fn whatever_is_wrong_with_what_is_reported_the_job_runs() {
    for (edges, flags, told) in TOLD {
        let server = FakeServer::start(|_, _| Reply::accepted());
        let bench = Bench::new(&server.url());
        let ended = run(&mut bench.exec(flags, "exit 7"));
        assert_eq!((ended.code, server.edges().len()), (Some(7), *edges), "{flags:?}: {ended:?}");
        assert!(ended.stderr.starts_with("change-events: warning: ") && ended.stderr.contains(told), "{flags:?}: {ended:?}");
        for edge in server.edges() {
            assert_eq!(edge["attributes"]["service_name"], "api", "the first is the one that counts: {edge}");
        }
    }
}

/// As a CI passes on a variable that is not set, or one that was written on Windows.
#[test]
fn an_empty_variable_is_as_good_as_none() {
    const VARIABLES: [&str; 6] = ["URL", "ORG", "TOKEN", "TOKEN_FILE", "CA_FILE", "SPOOL_DIR"];
    let server = FakeServer::start(|_, _| Reply::accepted());
    let bench = Bench::new(&server.url());
    for blank in ["", " ", "\r", "\r\n"] {
        for name in VARIABLES {
            let mut command = bench.exec(&["--strict"], "exit 7");
            if name == "URL" {
                command = bench.exec(&["--strict", "--url", &server.url()], "exit 7");
            }
            let before = server.edges().len();
            let ended = run(command.env(format!("CHANGE_EVENTS_{name}"), blank));
            assert_eq!((ended.code, server.edges().len() - before, &*ended.stderr), (Some(7), 2, ""), "{name} {blank:?}");
        }
    }
    let mut command = bench.exec(&["--timeout", "1s", "--retry-for", "0"], "exit 7");
    for name in VARIABLES {
        command.env(format!("CHANGE_EVENTS_{name}"), "");
    }
    let ended = run(&mut command);
    assert_eq!((ended.code, ended.stderr.contains("the url")), (Some(7), false), "{ended:?}");

    let before = server.requests().len();
    let mut command = bench.exec(&["--strict"], "exit 7");
    let ended = run(command.env("CHANGE_EVENTS_URL", format!("{}\r\n", server.url())).env("CHANGE_EVENTS_ORG", "acme\r"));
    assert_eq!((ended.code, &*ended.stderr), (Some(7), ""));
    assert_eq!(server.requests()[before].target, "/api/v4/organizations/acme/change_events");

    // Of every other command, too.
    for arguments in [&["send", "-n", "flag"][..], &["open"]] {
        let mut command = change_events(arguments);
        for name in VARIABLES {
            command.env(format!("CHANGE_EVENTS_{name}"), "");
        }
        let ended = run(command.args(["--url", &server.url(), "--retry-for", "0"]));
        let at = server.requests().last().unwrap().target.clone();
        assert!(at.starts_with("/api/v4/organizations/default/change_events"), "{arguments:?}: {at} {ended:?}");
    }
}

/// So few that there is none for the signals, for the spool or for the server; or none larger than this.
#[test]
fn however_few_files_may_be_open_or_large_the_job_runs() {
    let bench = Bench::new("http://127.0.0.1:9");
    for files in ["-n 4", "-n 5", "-n 6", "-n 7", "-f 0"] {
        let command = bench.exec(&["--retry-for", "0"], "exit 7");
        let mut few = Command::new("sh");
        few.args(["-c", &format!("ulimit {files}; exec \"$0\" \"$@\"")]).arg(command.get_program()).args(command.get_args());
        few.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let ended = run(&mut few);
        assert_eq!(ended.code, Some(7), "{files}: {ended:?}");
    }
}

#[test]
fn what_is_not_utf_8_is_passed_on_to_the_job_and_told_of_the_rest() {
    let server = FakeServer::start(|_, _| Reply::accepted());
    let bench = Bench::new(&server.url());
    let name = OsStr::from_bytes(b"caf\xe9");
    let exec = |flags: &[&[u8]]| {
        let mut command = change_events(&["exec"]);
        command.args(flags.iter().map(|flag| OsStr::from_bytes(flag))).args(["--url", &server.url(), "--", "touch"]);
        command.arg(name).current_dir(bench.directory.path()).env("XDG_STATE_HOME", bench.directory.path());
        let ended = run(&mut command);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(bench.path(name).exists());
        fs::remove_file(bench.path(name)).unwrap();
        ended
    };
    let ended = exec(&[b"-n", b"deployment", b"-a", b"branch=caf\xe9", b"-a", b"n=1"]);
    assert!(ended.stderr.contains("warning: --attribute: `branch=caf\u{fffd}` is not UTF-8"), "{ended:?}");
    for edge in server.edges() {
        assert_eq!((&edge["attributes"]["branch"], &edge["attributes"]["n"]), (&json!("caf\u{fffd}"), &json!("1")), "{edge}");
    }
    assert_eq!(server.edges().len(), 2);
    exec(&[b"-n", b"d\xe9ploiement"]);
    assert_eq!(server.edges().last().unwrap()["event_name"], "d\u{fffd}ploiement");
    let ended = exec(&[b"-n", b"deployment", b"--org", b"\xff"]);
    assert!(ended.stderr.contains("this run is not reported: --org"), "{ended:?}");
    assert_eq!(server.edges().len(), 4);
}

#[test]
fn strict_runs_the_job_only_after_the_start_is_taken() {
    let server = FakeServer::start(|_, before| if before == 0 { Reply::error(503, "later") } else { Reply::accepted() });
    let bench = Bench::new(&server.url());
    let ended = run(&mut bench.exec(&["--strict"], "exit 3"));
    assert_eq!((ended.code, server.requests().len()), (Some(3), 3), "{ended:?}");

    for (status, kept) in [(503, 2), (401, 1), (400, 0)] {
        let server = FakeServer::start(move |_, _| Reply::error(status, "because"));
        let bench = Bench::new(&server.url());
        let ended = run(&mut bench.exec(&["--strict", "--retry-for", "0"], "touch begun"));
        assert_eq!(ended.code, Some(1), "{status}: {ended:?}");
        assert!(ended.stderr.contains("the command was not run") && ended.stderr.contains("because"), "{ended:?}");
        assert!(!bench.path("begun").exists(), "{status}");
        assert_eq!(bench.spooled_edges().len(), kept, "{status}");
    }
    let bench = Bench::new("http://127.0.0.1:9");
    let ended = run(&mut bench.exec(&["--strict", "--token-file", "/no/such/file"], "touch begun"));
    assert_eq!((ended.code, bench.path("begun").exists()), (Some(1), false), "{ended:?}");
}

#[test]
fn strict_fails_when_the_stop_is_not_taken() {
    for (job, code) in [("exit 0", 1), ("exit 6", 6)] {
        let server = FakeServer::start(|_, before| if before == 0 { Reply::accepted() } else { Reply::error(503, "later") });
        let bench = Bench::new(&server.url());
        let ended = run(&mut bench.exec(&["--strict", "--retry-for", "0"], job));
        assert_eq!(ended.code, Some(code), "{ended:?}");
        assert_eq!(bench.spooled_edges().len(), 1);
    }
}

/// A server over a limit says to come back much later than `--retry-for` lasts.
fn later(status: u16) -> Reply {
    Reply::With(status, ("Retry-After", "600".to_owned()), json!({"error": "too many"}).to_string())
}

#[test]
fn nobody_waits_for_a_try_that_would_come_too_late() {
    for (status, taken, strict, code) in [(429, 0, false, 5), (503, 0, false, 5), (429, 1, false, 5), (429, 1, true, 5), (429, 0, true, 1)]
    {
        let server = FakeServer::start(move |_, before| if before < taken { Reply::accepted() } else { later(status) });
        let bench = Bench::new(&server.url());
        let flags = if strict { &["--retry-for", "60s", "--strict"][..] } else { &["--retry-for", "60s"] };
        let ended = run(&mut bench.exec(flags, "exit 5"));
        assert_eq!(ended.code, Some(code), "{ended:?}");
        assert!(ended.took < Duration::from_secs(20), "{ended:?}");
        assert!(ended.stderr.contains("too many") && !ended.stderr.contains("trying again"), "{ended:?}");
        let kept = if code == 5 { 2 - taken } else { 0 };
        assert_eq!(ended.stderr.matches("it is kept in").count(), kept, "{ended:?}");
        assert_eq!(bench.spooled_edges().len(), 2 - taken, "{ended:?}");
    }
}

#[test]
fn a_try_that_comes_in_time_is_waited_for() {
    let server = FakeServer::start(|_, before| match before {
        1 => Reply::With(429, ("Retry-After", "1".to_owned()), String::new()),
        _ => Reply::accepted(),
    });
    let bench = Bench::new(&server.url());
    let ended = run(&mut bench.exec(&["--retry-for", "60s"], ":"));
    assert_eq!((ended.code, server.requests().len()), (Some(0), 3), "{ended:?}");
    assert!(ended.stderr.contains("trying again") && !ended.stderr.contains("not reported"), "{ended:?}");
    assert!(bench.spooled().is_empty());
}

/// What the server said of the start while the job was running is not what it says of the stop.
#[test]
fn a_start_that_has_to_wait_does_not_keep_the_stop_from_being_sent() {
    let server = FakeServer::start(|request, _| if request.json()["event_state"] == "start" { later(429) } else { Reply::accepted() });
    let bench = Bench::new(&server.url());
    let job = "until [ -e end ] || [ ! -d \"$PWD\" ]; do sleep 0.01; done";
    let mut child = Running::start(bench.exec(&["--retry-for", "60s"], job).stderr(Stdio::null()));
    server.wait_for(1);
    fs::write(bench.path("end"), "").unwrap();
    assert_eq!(child.code(), Some(0));
    assert_eq!(server.edges().last().unwrap()["event_state"], "stop");
    let kept = bench.spooled_edges();
    assert_eq!((kept.len(), &kept[0]["event_state"]), (1, &json!("start")));
}
