//! Log lines that nobody reads hold up nobody.

use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::pipe;
use rustix::process::Pid;
use rustix::process::Signal;

use crate::support::exporter;
use crate::support::http;
use crate::support::wait;

const PATIENCE: Duration = Duration::from_mins(1);
/// Whoever waits so long for an answer is held up.
const HELD_UP: Duration = Duration::from_secs(20);

/// Ends with the test.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn log_lines_that_nobody_reads_hold_up_nobody() {
    let data = tempfile::tempdir().unwrap();
    let mut command = Command::new(exporter::binary());
    command.args(["serve", "--web.listen-address=127.0.0.1:0", "--web.enable-lifecycle"]);
    command.arg(format!("--storage.path={}", data.path().display()));
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut started = Started(child);
    let mut unread = started.0.stderr.take().unwrap();
    // As small as a pipe can be, so that few lines fill it.
    pipe::fcntl_setpipe_size(&unread, 4096).unwrap();
    let mut said = BufReader::new(started.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let url = said.find_map(|line| line.strip_prefix("listening on ").map(str::to_owned)).unwrap();
    wait::until("it is ready", PATIENCE, || http::is_ok(&format!("{url}/-/ready")).then_some(()));

    let metric =
        |name: &str| http::metric(&ureq::get(format!("{url}/metrics")).call().unwrap().into_body().read_to_string().unwrap(), name);
    let left_out = || metric("change_events_stderr_lines_left_out_total").unwrap();
    let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(HELD_UP)).build().into();
    wait::until("more lines come than may wait", PATIENCE, || {
        for _ in 0..200 {
            assert_eq!(agent.post(format!("{url}/-/reload")).send_empty().unwrap().status(), 200);
        }
        (left_out() > 0.0).then_some(())
    });
    let event = br#"{"event_name": "deploy"}"#;
    let put = http::put(&format!("{url}/api/v4/organizations/acme/change_events"), "application/json", event).unwrap();
    assert_eq!(put.status, 200, "{}", put.text);
    assert!(http::is_ok(&format!("{url}/-/healthy")));

    // What was left out is told of as soon as somebody reads.
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        unread.read_to_string(&mut text).unwrap();
        text
    });
    rustix::process::kill_process(Pid::from_child(&started.0), Signal::TERM).unwrap();
    assert!(started.0.wait().unwrap().success());
    let text = reader.join().unwrap();
    assert!(text.contains("log lines were left out"), "{}", &text[text.len().saturating_sub(2000)..]);
}

fn serve(data: &Path, program: &mut Command) -> Started {
    program.args(["serve", "--web.listen-address=127.0.0.1:0"]).arg(format!("--storage.path={}", data.display()));
    Started(program.stdin(Stdio::null()).spawn().unwrap())
}

fn end(mut started: Started) -> ExitStatus {
    rustix::process::kill_process(Pid::from_child(&started.0), Signal::TERM).unwrap();
    wait::until("it ends", HELD_UP, || started.0.try_wait().unwrap())
}

/// Takes all the room of a pipe.
fn fill(pipe: &OwnedFd) {
    rustix::fs::fcntl_setfl(pipe, OFlags::NONBLOCK).unwrap();
    while rustix::io::write(pipe, b"x").is_ok() {}
    rustix::fs::fcntl_setfl(pipe, OFlags::empty()).unwrap();
}

/// Whether a pipe that the other side closed is an error to it, and not its end.
fn ignores_closed_pipes(started: &Started) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", started.0.id())).unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim().to_owned();
    u64::from_str_radix(&ignored, 16).unwrap() & 1 << (Signal::PIPE.as_raw() - 1) != 0
}

#[test]
fn it_starts_where_its_lines_cannot_be_written() {
    for _ in 0..8 {
        let data = tempfile::tempdir().unwrap();
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let mut started = serve(data.path(), Command::new(exporter::binary()).stdout(Stdio::piped()).stderr(full));
        let mut said = BufReader::new(started.0.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(said.any(|line| line.starts_with("ready")), "it is ready");
        assert!(end(started).success());
    }
}

#[test]
fn it_ends_where_nobody_reads_what_it_says() {
    let data = tempfile::tempdir().unwrap();
    let (unread, both) = pipe::pipe().unwrap();
    pipe::fcntl_setpipe_size(&unread, 4096).unwrap();
    let mut started =
        serve(data.path(), Command::new(exporter::binary()).stdout(both.try_clone().unwrap()).stderr(both.try_clone().unwrap()));
    let log = data.path().join("00000000000000000001.log");
    wait::until("it has a log", PATIENCE, || log.exists().then_some(()));
    fill(&both);
    assert!(started.0.try_wait().unwrap().is_none());
    assert!(end(started).success());
}

#[test]
fn a_second_signal_ends_it_where_nobody_reads_its_lines() {
    let data = tempfile::tempdir().unwrap();
    let (unread, lines) = pipe::pipe().unwrap();
    pipe::fcntl_setpipe_size(&unread, 4096).unwrap();
    let mut started = serve(data.path(), Command::new(exporter::binary()).stdout(Stdio::piped()).stderr(lines.try_clone().unwrap()));
    let mut said = BufReader::new(started.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let address = said.find_map(|line| line.strip_prefix("listening on http://").map(str::to_owned)).unwrap();
    assert!(said.any(|line| line.starts_with("ready")), "it is ready");
    fill(&lines);
    // A request that is under way keeps it from ending with the first.
    let mut request = TcpStream::connect(&address).unwrap();
    let head = "PUT /api/v4/organizations/acme/change_events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n";
    request.write_all(format!("{head}Expect: 100-continue\r\n\r\n").as_bytes()).unwrap();
    let mut answer = [0; 12];
    request.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100");
    let process = Pid::from_child(&started.0);
    rustix::process::kill_process(process, Signal::TERM).unwrap();
    wait::until("it takes no more", PATIENCE, || TcpStream::connect(&address).is_err().then_some(()));
    assert!(started.0.try_wait().unwrap().is_none(), "it waits for the request");
    assert_eq!(end(started).code(), Some(1));
}

/// The program cannot be started once more for its allocator, and goes on as it is.
#[test]
fn a_program_that_is_no_longer_there_outlives_closed_connections() {
    let data = tempfile::tempdir().unwrap();
    let copy = data.path().join("program");
    std::fs::copy(exporter::binary(), &copy).unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec 9<\"$0\"; rm \"$0\"; exec /proc/self/fd/9 \"$@\""]).arg(&copy).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut started = serve(data.path(), &mut shell);
    let mut said = BufReader::new(started.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(said.any(|line| line.starts_with("ready")), "it is ready");
    assert!(ignores_closed_pipes(&started));
    assert!(end(started).success());
}
