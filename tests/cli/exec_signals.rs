//! `exec` and signals: they reach the job, once, and what the job makes of them is the outcome.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::exec::Bench;
use crate::support::{FakeServer, Reply, Running, until};

/// Says `ready`, counts each signal it is told of in a file, and ends when that has happened and `end` exists.
const COUNTING: &str = r#"trap 'echo got >> got; end=1' $SIGNAL; echo ready; while [ -d "$PWD" ] && { [ -z "$end" ] || [ ! -e end ]; }; do sleep 0.01; done; exit 42"#;

/// Starts it and waits for the first line of the job.
#[track_caller]
fn start(command: &mut Command) -> (Running, BufReader<ChildStdout>) {
    let mut child = Running::start(command.stdout(Stdio::piped()));
    let mut stdout = BufReader::new(child.0.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line.trim(), "ready");
    (child, stdout)
}

#[test]
fn each_signal_reaches_the_job_once() {
    for (name, signal, result) in [
        ("INT", Signal::INT, "cancelled"),
        ("TERM", Signal::TERM, "cancelled"),
        ("HUP", Signal::HUP, "cancelled"),
        ("QUIT", Signal::QUIT, "cancelled"),
        ("USR1", Signal::USR1, "failure"),
        ("USR2", Signal::USR2, "failure"),
    ] {
        let server = FakeServer::start(|_, _| Reply::accepted());
        let bench = Bench::new(&server.url());
        let (mut child, _stdout) = start(&mut listening(bench.exec(&[], COUNTING).env("SIGNAL", name)));
        child.signal(signal);
        until("the job was told", || bench.path("got").exists());
        fs::write(bench.path("end"), "").unwrap();
        assert_eq!(child.code(), Some(42), "{name}");
        assert_eq!(fs::read_to_string(bench.path("got")).unwrap(), "got\n", "{name}");
        let stop = server.edges().pop().unwrap();
        assert_eq!(stop["attributes"]["result"], result, "{name}");
        assert_eq!(stop["attributes"]["exit_result"], 42, "{name}");
    }
}

#[test]
fn a_job_that_dies_of_a_signal_gives_128_and_its_number() {
    let server = FakeServer::start(|_, _| Reply::accepted());
    let bench = Bench::new(&server.url());
    let (mut child, _stdout) = start(&mut bench.exec(&[], "echo ready; exec sleep 100"));
    child.signal(Signal::TERM);
    assert_eq!(child.code(), Some(143));
    let stop = server.edges().pop().unwrap();
    assert_eq!((&stop["event_state"], &stop["attributes"]["result"]), (&"stop".into(), &"cancelled".into()));
}

/// `command` with the place, arguments and environment of `exec`.
fn like(exec: &Command, mut command: Command) -> Command {
    if let Some(directory) = exec.get_current_dir() {
        command.current_dir(directory);
    }
    for (name, value) in exec.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command
}

/// The same run with every signal as it is by default: these tests may themselves run under nohup or in the background.
fn listening(exec: &Command) -> Command {
    let mut command = Command::new("env");
    command.arg("--default-signal").arg(exec.get_program()).args(exec.get_args());
    like(exec, command)
}

/// The same run in a terminal of its own, whose keyboard is the standard input of what is returned; `before` is for `sh`.
fn in_terminal(before: &str, exec: &Command) -> Command {
    let words = [exec.get_program()].into_iter().chain(exec.get_args());
    let quoted: Vec<String> = words.map(|word| format!("'{}'", word.display().to_string().replace('\'', r"'\''"))).collect();
    let mut command = Command::new("script");
    command
        .args(["-q", "-e", "-c", &format!("{before} exec env --default-signal {}", quoted.join(" ")), "/dev/null"])
        .stdin(Stdio::piped());
    like(exec, command)
}

#[test]
fn a_terminal_tells_the_job_itself() {
    let server = FakeServer::start(|_, _| Reply::accepted());
    let bench = Bench::new(&server.url());
    let mut exec = bench.exec(&[], COUNTING);
    let (mut child, mut stdout) = start(&mut in_terminal("", exec.env("SIGNAL", "INT")));
    child.0.stdin.as_mut().unwrap().write_all(b"\x03").unwrap();
    until("the job was told", || bench.path("got").exists());
    fs::write(bench.path("end"), "").unwrap();
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).ok();
    assert_eq!(child.code(), Some(42), "{rest}");
    assert_eq!(fs::read_to_string(bench.path("got")).unwrap(), "got\n");
    assert_eq!(server.edges().pop().unwrap()["attributes"]["result"], "cancelled");
}

/// Another process of the terminal's foreground, which `sh` would else keep from hearing ^C.
const WITNESS: &str =
    r#"env --default-signal=INT sh -c 'trap "touch heard; exit" INT; touch listens; while [ -d "$PWD" ]; do sleep 0.01; done' &"#;

#[test]
fn what_the_terminal_says_is_not_said_again() {
    let server = FakeServer::start(|_, _| Reply::accepted());
    let bench = Bench::new(&server.url());
    // In a session of its own the job gets nothing from the terminal, so that whatever comes is from exec.
    let job = r#"echo $PPID > exec; exec setsid sh -c "trap 'echo INT >> got' INT; trap 'echo USR1 >> got; exit 6' USR1
        echo ready; while [ -d \"$PWD\" ]; do sleep 0.01; done""#;
    let (mut child, _stdout) = start(&mut in_terminal(WITNESS, &bench.exec(&[], job)));
    until("the witness listens", || bench.path("listens").exists());
    child.0.stdin.as_mut().unwrap().write_all(b"\x03").unwrap();
    let pid = fs::read_to_string(bench.path("exec")).unwrap().trim().parse().unwrap();
    let exec = Pid::from_raw(pid).unwrap();
    until("^C has come", || bench.path("heard").exists());
    // One thread passes both on, one after the other.
    kill_process(exec, Signal::USR1).unwrap();
    assert_eq!(child.code(), Some(6));
    assert_eq!(fs::read_to_string(bench.path("got")).unwrap(), "USR1\n");
    assert_eq!(server.edges().pop().unwrap()["attributes"]["result"], "cancelled");
}

#[test]
fn what_is_ignored_stays_ignored() {
    let server = FakeServer::start(|_, _| Reply::accepted());
    let bench = Bench::new(&server.url());
    let exec = bench.exec(&[], "echo ready; while [ -d \"$PWD\" ] && [ ! -e end ]; do sleep 0.01; done; exit 7");
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(exec.get_program()).args(exec.get_args());
    for (name, value) in exec.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    let (mut child, _stdout) = start(command.current_dir(bench.directory.path()));
    child.signal(Signal::HUP);
    fs::write(bench.path("end"), "").unwrap();
    assert_eq!(child.code(), Some(7));
    assert_eq!(server.edges().pop().unwrap()["attributes"]["result"], "failure");
}

#[test]
fn a_caller_that_ignores_its_children_does_not_lose_the_exit_code() {
    let server = FakeServer::start(|_, _| Reply::accepted());
    let bench = Bench::new(&server.url());
    let exec = bench.exec(&[], "exit 7");
    let mut command = Command::new("env");
    command.arg("--ignore-signal=CHLD").arg(exec.get_program()).args(exec.get_args());
    command.env("CHANGE_EVENTS_URL", &bench.url).env("XDG_STATE_HOME", bench.directory.path());
    assert_eq!(command.status().unwrap().code(), Some(7));
}

#[test]
fn a_signal_after_the_job_ends_the_retrying() {
    let server = FakeServer::start(|_, before| if before == 0 { Reply::accepted() } else { Reply::error(503, "later") });
    let bench = Bench::new(&server.url());
    let mut child = Running::start(bench.exec(&["--retry-for", "50s"], "exit 3").stderr(Stdio::null()));
    server.wait_for(2);
    let begun = Instant::now();
    child.signal(Signal::TERM);
    assert_eq!(child.code(), Some(3));
    assert!(begun.elapsed() < Duration::from_secs(20));
    let kept = bench.spooled_edges();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0]["attributes"]["result"], "failure");
}

#[test]
fn a_signal_while_strict_waits_keeps_the_job_from_running() {
    let server = FakeServer::start(|_, _| Reply::Hang);
    let bench = Bench::new(&server.url());
    let mut child =
        Running::start(bench.exec(&["--strict", "--retry-for", "50s", "--timeout", "50s"], "touch begun").stderr(Stdio::null()));
    server.wait_for(1);
    child.signal(Signal::TERM);
    assert_eq!(child.code(), Some(143));
    assert!(!bench.path("begun").exists());
    let kept = bench.spooled_edges();
    assert_eq!(kept.len(), 2);
    assert_eq!(kept[1]["attributes"]["result"], "cancelled");
}
