//! The spool of `exec`: nothing that was not delivered is lost, nothing is sent that is not ours, and it is bounded.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::exec::Bench;
use crate::support::{FakeServer, Reply, Request, Running, run, until};

/// A server that is away until it is told to be there.
fn away() -> (FakeServer, Arc<AtomicBool>) {
    let there = Arc::new(AtomicBool::new(false));
    let for_script = Arc::clone(&there);
    let server =
        FakeServer::start(move |_, _| if for_script.load(Ordering::SeqCst) { Reply::accepted() } else { Reply::error(503, "away") });
    (server, there)
}

#[test]
fn the_next_run_delivers_what_was_left_before_its_own() {
    let (server, there) = away();
    let bench = Bench::new(&server.url());
    let ended = run(bench.exec(&["--retry-for", "0"], "exit 5").env("CHANGE_EVENTS_TOKEN", "secret"));
    assert_eq!(ended.code, Some(5), "{ended:?}");
    let kept = bench.spooled_edges();
    assert_eq!((&kept[0]["event_state"], &kept[1]["event_state"]), (&json!("start"), &json!("stop")));
    assert_eq!(kept[1]["attributes"]["result"], "failure");
    for path in bench.spooled() {
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!fs::read_to_string(&path).unwrap().contains("secret"));
    }
    assert_eq!(fs::metadata(bench.spool()).unwrap().permissions().mode() & 0o777, 0o700);
    let first_tries = server.requests();

    there.store(true, Ordering::SeqCst);
    let ended = run(&mut bench.exec(&[], "exit 0"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stderr, "change-events: delivered 2 that earlier runs left\n");
    // The last try of the first run may still have been on its way: it has the key of one of these.
    let mut later: Vec<Request> = server.requests().split_off(first_tries.len());
    let mut keys = BTreeSet::new();
    later.retain(|request| keys.insert(request.header("idempotency-key").map(str::to_owned)));
    assert_eq!(later.len(), 4);
    assert_eq!([later[0].json(), later[1].json()].iter().collect::<Vec<_>>(), kept.iter().collect::<Vec<_>>());
    assert!(first_tries.iter().any(|request| request.header("idempotency-key") == later[0].header("idempotency-key")));
    assert_eq!((&later[2].json()["event_state"], &later[3].json()["event_state"]), (&json!("start"), &json!("stop")));
    assert!(bench.spooled().is_empty());
}

#[test]
fn only_the_same_server_and_organization_get_it() {
    let (server, there) = away();
    let bench = Bench::new(&server.url());
    run(&mut bench.exec(&["--retry-for", "0"], ":"));
    there.store(true, Ordering::SeqCst);
    run(&mut bench.exec(&["--org", "other"], ":"));
    let other = FakeServer::start(|_, _| Reply::accepted());
    run(&mut bench.exec(&["--url", &other.url()], ":"));
    let of_other = server.requests().into_iter().filter(|request| request.target.contains("/other/"));
    assert_eq!((of_other.count(), other.requests().len()), (2, 2));
    assert_eq!(bench.spooled_edges().len(), 2);
}

#[test]
fn a_stop_survives_a_kill_in_the_middle_of_sending_and_nobody_else_sends_it_before() {
    let server = FakeServer::start(
        |request, before| {
            if before == 1 && request.json()["event_state"] == "stop" { Reply::Hang } else { Reply::accepted() }
        },
    );
    let bench = Bench::new(&server.url());
    let mut child = Running::start(&mut bench.exec(&["--timeout", "50s", "--retry-for", "50s"], "exit 8"));
    server.wait_for(2);
    let stop = bench.spooled_edges().pop().unwrap();
    run(&mut bench.exec(&[], ":"));
    assert_eq!(server.requests().len(), 4);
    child.signal(Signal::KILL);
    child.code();
    assert_eq!(bench.spooled_edges(), std::slice::from_ref(&stop));
    run(&mut bench.exec(&[], ":"));
    assert_eq!(server.requests().len(), 7);
    assert_eq!(server.edges()[4], stop);
    assert!(bench.spooled().is_empty());
}

/// The start is safe before this run has time for others.
#[test]
fn a_start_survives_a_kill_while_what_was_left_is_delivered() {
    let (delivering, heard) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (for_script, notes) = (Arc::clone(&delivering), Arc::clone(&heard));
    let server = FakeServer::start(move |request, _| {
        if request.header("idempotency-key") == Some("left") {
            notes.store(true, Ordering::SeqCst);
            return Reply::Hang;
        }
        if for_script.load(Ordering::SeqCst) { Reply::accepted() } else { Reply::error(503, "away") }
    });
    let bench = Bench::new(&server.url());
    run(&mut bench.exec(&["--retry-for", "0", "-a", "n=old"], ":"));
    let left = bench.spooled().remove(0);
    let mut entry: Value = serde_json::from_str(&fs::read_to_string(&left).unwrap()).unwrap();
    entry["key"] = json!("left");
    fs::write(&left, entry.to_string()).unwrap();

    delivering.store(true, Ordering::SeqCst);
    let mut child = Running::start(&mut bench.exec(&["--timeout", "50s", "-a", "n=new"], ":"));
    until("what was left is on its way", || heard.load(Ordering::SeqCst));
    child.signal(Signal::KILL);
    child.code();
    let is_its_start = |edge: &Value| edge["attributes"]["n"] == "new" && edge["event_state"] == "start";
    assert!(bench.spooled_edges().iter().any(is_its_start), "{:?}", bench.spooled_edges());
}

#[test]
fn runs_at_the_same_time_share_it() {
    let (server, there) = away();
    let bench = Bench::new(&server.url());
    let runs = |from: usize| -> Vec<_> {
        (from..from + 8)
            .map(|n| Running::start(bench.exec(&["--retry-for", "1s", "-a", &format!("n={n}")], ":").stderr(Stdio::null())))
            .collect()
    };
    let mut first = runs(0);
    server.wait_for(8);
    let mut second = runs(8);
    server.wait_for(20);
    there.store(true, Ordering::SeqCst);
    for child in first.iter_mut().chain(&mut second) {
        assert_eq!(child.code(), Some(0));
    }
    until("the spool is empty", || {
        run(&mut bench.exec(&["-a", "n=last"], ":"));
        bench.spooled().is_empty()
    });
    let sent: BTreeSet<(String, String)> =
        server.edges().iter().map(|edge| (edge["attributes"]["n"].to_string(), edge["event_state"].to_string())).collect();
    assert_eq!(sent.len(), 17 * 2);
}

#[test]
fn what_is_refused_later_is_given_up_and_said_but_kept_when_it_is_about_the_sender() {
    for (status, kept) in [(400, 0), (422, 0), (401, 2), (403, 2), (404, 2)] {
        let answers = Arc::new(AtomicBool::new(false));
        let for_script = Arc::clone(&answers);
        let server = FakeServer::start(move |request, _| {
            if !for_script.load(Ordering::SeqCst) {
                Reply::error(503, "away")
            } else if request.json()["attributes"]["n"] == "old" {
                Reply::error(status, "unwanted")
            } else {
                Reply::accepted()
            }
        });
        let bench = Bench::new(&server.url());
        run(&mut bench.exec(&["--retry-for", "0", "-a", "n=old"], ":"));
        answers.store(true, Ordering::SeqCst);
        let ended = run(&mut bench.exec(&[], ":"));
        assert_eq!(ended.code, Some(0), "{status}: {ended:?}");
        assert!(ended.stderr.contains("unwanted"), "{status}: {ended:?}");
        assert_eq!(bench.spooled_edges().len(), kept, "{status}: {ended:?}");
    }
}

/// The stop may be what makes room for the start.
#[test]
fn what_is_over_a_limit_stays_and_what_is_behind_it_is_delivered() {
    let limit = Arc::new(AtomicBool::new(false));
    let for_script = Arc::clone(&limit);
    let server = FakeServer::start(move |request, _| {
        let edge = request.json();
        if !for_script.load(Ordering::SeqCst) {
            Reply::error(503, "away")
        } else if edge["attributes"]["n"] == "old" && edge["event_state"] == "start" {
            Reply::With(429, ("Retry-After", "60".to_owned()), String::new())
        } else {
            Reply::accepted()
        }
    });
    let bench = Bench::new(&server.url());
    run(&mut bench.exec(&["--retry-for", "0", "-a", "n=old"], ":"));
    limit.store(true, Ordering::SeqCst);
    let ended = run(&mut bench.exec(&[], ":"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let left = bench.spooled_edges();
    assert_eq!((left.len(), &left[0]["event_state"]), (1, &json!("start")), "{ended:?}");
}

#[test]
fn files_that_are_no_events_do_no_harm() {
    let server = FakeServer::start(|_, _| Reply::accepted());
    let bench = Bench::new(&server.url());
    fs::create_dir_all(bench.spool()).unwrap();
    for (name, text) in [
        ("0000000000001-start-a.json", "{\"url\":"),
        ("0000000000002-stop-b.json", ""),
        ("0000000000003-start-c.json", "[]"),
        ("0000000000004-start-d.json", "\u{0}\u{1}"),
        ("0000000000005-start-e.tmp", "half"),
        ("0000000000006-start-f.tmp", "somebody is at it"),
        ("0000000000007-report.json", "not ours"),
        ("package.json", "not ours"),
        ("README", "not ours"),
    ] {
        fs::write(bench.spool().join(name), text).unwrap();
    }
    fs::create_dir(bench.spool().join("directory.json")).unwrap();
    let before = bench.spooled().len();
    let abandoned = fs::File::options().write(true).open(bench.spool().join("0000000000005-start-e.tmp")).unwrap();
    abandoned.set_modified(UNIX_EPOCH + Duration::from_hours(1)).unwrap();
    let ended = run(&mut bench.exec(&[], "exit 3"));
    assert_eq!((ended.code, server.requests().len()), (Some(3), 2), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 4, "{ended:?}");
    assert_eq!(ended.stderr.matches("is no event and is left alone").count(), 4, "{ended:?}");
    assert!(!bench.spool().join("0000000000005-start-e.tmp").exists());
    assert_eq!(bench.spooled().len(), before - 1);
}

#[test]
fn the_oldest_make_room() {
    let (server, _) = away();
    let bench = Bench::new(&server.url());
    fs::create_dir_all(bench.spool()).unwrap();
    let entry = json!({"url": "http://elsewhere", "key": "k", "body": "{}"}).to_string();
    for n in 0..1000 {
        fs::write(bench.spool().join(format!("{n:013}-start-x.json")), &entry).unwrap();
    }
    let ended = run(&mut bench.exec(&["--retry-for", "0"], ":"));
    assert!(ended.stderr.contains("are given up"), "{ended:?}");
    let left = bench.spooled();
    // The start and the stop may be put there at the same time.
    assert!((998..=1001).contains(&left.len()), "{}", left.len());
    assert!(left[0].to_str().unwrap() >= bench.spool().join("0000000000001-start-x.json").to_str().unwrap(), "{}", left[0].display());
    let newest: Value = serde_json::from_str(&fs::read_to_string(left.last().unwrap()).unwrap()).unwrap();
    assert!(newest["body"].as_str().unwrap().contains("deployment"));
}

#[test]
fn a_spool_that_cannot_be_written_costs_the_job_nothing() {
    let (server, there) = away();
    let bench = Bench::new(&server.url());
    fs::write(bench.path("file"), "").unwrap();
    let ended = run(&mut bench.exec(&["--retry-for", "0", "--spool-dir", "file"], "exit 2"));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let file = bench.path("file");
    assert!(ended.stderr.contains(&format!("it is lost, because {} does not take it", file.display())), "{ended:?}");
    there.store(true, Ordering::SeqCst);
    let ended = run(&mut bench.exec(&["--spool-dir", "file"], "exit 2"));
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(2), ""), "{ended:?}");
}

/// Whoever reads it later, in the log of a job, is somewhere else.
#[test]
fn where_it_is_kept_is_said_from_the_root() {
    let (server, _) = away();
    let bench = Bench::new(&server.url());
    let ended = run(&mut bench.exec(&["--retry-for", "0", "--spool-dir", "left"], ":"));
    let said = format!("it is kept in {} for the next run", bench.path("left").display());
    assert_eq!(ended.stderr.matches(&said).count(), 2, "{ended:?}");
}
