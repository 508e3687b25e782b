//! Log lines that nobody reads hold up nobody.

use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use rustix::pipe;

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
    let process = rustix::process::Pid::from_child(&started.0);
    rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
    assert!(started.0.wait().unwrap().success());
    let text = reader.join().unwrap();
    assert!(text.contains("log lines were left out"), "{}", &text[text.len().saturating_sub(2000)..]);
}
