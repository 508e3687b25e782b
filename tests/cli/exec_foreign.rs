//! The spool of `exec` where others may write: what is said to be kept is, nothing of others is opened, sent or removed.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType};
use serde_json::json;

use crate::exec::Bench;
use crate::support::{Ended, FakeServer, Reply, run};
use crate::users::{Machine, ROOT, SOMEBODY, US, User, all_have, mode, modes, set_mode};

/// Puts something at a path, for a server, perhaps with something aside.
type Make = fn(&Path, &str, &Path);
type Take = fn(&Path, &Path);

const NAME: &str = "0000000000001-start-left.json";

fn entry(url: &str) -> String {
    json!({"url": format!("{url}/api/v4/organizations/default/change_events"), "key": "left", "body": r#"{"event_name":"left"}"#})
        .to_string()
}

/// `exec` of a short job by that user.
fn exec(machine: &Machine, user: User, url: &str, spool: &Path, flags: &[&str]) -> Command {
    let mut command = machine.command(user, "022");
    command.args(["exec", "-n", "deployment", "--url", url, "--spool-dir"]).arg(spool).args(flags).args(["--", "true"]);
    command
}

/// Ends within a while, whatever is in the spool.
#[track_caller]
fn ends(mut command: Command) -> Ended {
    const WHILE: Duration = Duration::from_secs(30);
    let begun = Instant::now();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > WHILE {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("it hangs");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut ended = Ended { code: child.wait().unwrap().code(), stdout: String::new(), stderr: String::new(), took: begun.elapsed() };
    child.stderr.take().unwrap().read_to_string(&mut ended.stderr).unwrap();
    ended
}

fn put(path: &Path, text: &str, (uid, gid): User, wanted: u32) {
    fs::write(path, text).unwrap();
    chown(path, Some(uid), Some(gid)).unwrap();
    set_mode(path, wanted);
}

/// What is in a folder of US within a folder of others.
fn own(shared: &Path, number: &str) -> PathBuf {
    shared.join(format!("change-events-{}{number}", US.0))
}

/// What is in a folder is for another server from now on.
fn readdress(folder: &Path, from: &FakeServer, to: &FakeServer) {
    for (name, _) in modes(folder) {
        let path = folder.join(name);
        put(&path, &fs::read_to_string(&path).unwrap().replace(&from.url(), &to.url()), US, 0o600);
    }
}

#[test]
fn what_is_said_to_be_kept_is_while_the_server_hangs_with_what_was_left_before() {
    let server = FakeServer::start(|_, _| Reply::Hang);
    let bench = Bench::new(&server.url());
    fs::create_dir_all(bench.spool()).unwrap();
    fs::write(bench.spool().join(NAME), entry(&server.url())).unwrap();
    let ended = run(&mut bench.exec(&["--retry-for", "1s"], ":"));
    assert_eq!(ended.stderr.matches("it is kept in").count(), 2, "{ended:?}");
    assert_eq!(bench.spooled_edges().len(), 3, "{ended:?}");
}

#[test]
fn each_end_says_for_itself_whether_it_is_kept() {
    let server = FakeServer::start(|_, _| Reply::error(503, "away"));
    let bench = Bench::new(&server.url());
    fs::create_dir(bench.path("change-events")).unwrap();
    fs::write(bench.spool(), "").unwrap();
    let mut command =
        bench.exec(&["--retry-for", "0", "--timeout", "5s"], "until [ -e begun ]; do sleep 0.01; done; rm change-events/spool");
    let spool = bench.path("begun");
    let teller = std::thread::spawn(move || {
        server.wait_for(1);
        fs::write(spool, "").unwrap();
        server
    });
    let ended = run(&mut command);
    drop(teller.join().unwrap());
    assert!(ended.stderr.contains("the start is not reported") && ended.stderr.contains("it is lost, because"), "{ended:?}");
    assert_eq!(ended.stderr.matches("it is kept in").count(), 1, "{ended:?}");
    assert_eq!(bench.spooled_edges()[0]["event_state"], "stop");
}

/// A disk whose syncs do not end once the file `HUNG` is there, for programs that load it.
const HUNG_DISK: &str = r#"#include <stdlib.h>
#include <unistd.h>
static int hangs(void) { while (access(getenv("HUNG"), F_OK) == 0) usleep(10000); return 0; }
int fsync(int f) { return hangs(); }
int fdatasync(int f) { return hangs(); }
"#;

/// The command on such a disk.
fn on_hung_disk(bench: &Bench, mut command: Command) -> Command {
    let (source, library) = (bench.path("disk.c"), bench.path("disk.so"));
    fs::write(&source, HUNG_DISK).unwrap();
    assert!(Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status().unwrap().success());
    command.env("LD_PRELOAD", &library).env("HUNG", bench.path("hung"));
    command
}

#[test]
fn a_disk_that_hangs_keeps_nothing_and_the_job_ends_as_it_ended() {
    for flags in [&["--retry-for", "0", "--timeout", "1s"][..], &["--retry-for", "60s"]] {
        let server = FakeServer::start(|_, _| Reply::accepted());
        let bench = Bench::new(&server.url());
        fs::write(bench.path("hung"), "").unwrap();
        let ended = ends(on_hung_disk(&bench, bench.exec(flags, "exit 7")));
        assert_eq!(ended.code, Some(7), "{ended:?}");
        assert!(ended.took < Duration::from_secs(20), "{ended:?}");
        assert_eq!(ended.stderr.matches("it is lost, unless").count(), 2, "{ended:?}");
        assert!(server.edges().is_empty() && bench.spooled_edges().is_empty(), "{ended:?}");
    }
}

#[test]
fn a_disk_that_hangs_later_holds_the_exit_code_no_longer() {
    let server = FakeServer::start(|_, _| Reply::accepted());
    let bench = Bench::new(&server.url());
    let job = "until [ -e told ] || [ ! -d \"$PWD\" ]; do sleep 0.01; done; touch hung; exit 7";
    let command = on_hung_disk(&bench, bench.exec(&["--retry-for", "60s"], job));
    let told = bench.path("told");
    let teller = std::thread::spawn(move || {
        server.wait_for(1);
        fs::write(told, "").unwrap();
        server
    });
    let ended = ends(command);
    let server = teller.join().unwrap();
    assert_eq!((ended.code, server.edges().len()), (Some(7), 1), "{ended:?}");
    assert!(ended.took < Duration::from_secs(20), "{ended:?}");
    assert!(ended.stderr.contains("the stop is not reported") && ended.stderr.contains("it is lost, unless"), "{ended:?}");
}

#[test]
fn what_somebody_else_put_there_is_neither_opened_nor_sent_nor_removed() {
    let Some(machine) = Machine::new() else { return };
    let makes: [(&str, Make); 6] = [
        ("a pipe", |path, _, _| rustix::fs::mknodat(CWD, path, FileType::Fifo, 0o666.into(), 0).unwrap()),
        ("a file of somebody", |path, url, _| put(path, &entry(url), SOMEBODY, 0o644)),
        ("a file of ours that others wrote to", |path, url, _| put(path, &entry(url), US, 0o666)),
        ("a link to a file of ours", |path, url, aside| {
            put(aside, &entry(url), US, 0o600);
            symlink(aside, path).unwrap();
        }),
        ("a device", |path, _, _| {
            rustix::fs::mknodat(CWD, path, FileType::CharacterDevice, 0o666.into(), rustix::fs::makedev(1, 5)).unwrap();
            set_mode(path, 0o666);
        }),
        ("a folder", |path, _, _| fs::create_dir(path).unwrap()),
    ];
    for (number, (what, make)) in makes.into_iter().enumerate() {
        for (shared, folder_mode) in [(true, 0o777), (true, 0o1777), (false, 0o700)] {
            let server = FakeServer::start(|_, _| Reply::accepted());
            let owner = if shared { ROOT } else { US };
            let spool = machine.folder(&format!("spool{number}-{folder_mode:o}"), owner, folder_mode);
            make(&spool.join(NAME), &server.url(), &machine.path(format!("aside{number}-{folder_mode:o}")));
            let ended = ends(exec(&machine, US, &server.url(), &spool, &["--retry-for", "3s"]));
            assert_eq!((ended.code, server.edges().len()), (Some(0), 2), "{what} in {folder_mode:o}: {ended:?}");
            assert!(server.edges().iter().all(|edge| edge["event_name"] == "deployment"), "{what}");
            assert!(ended.stderr.contains("is left alone"), "{what} in {folder_mode:o}: {ended:?}");
            assert!(fs::symlink_metadata(spool.join(NAME)).is_ok(), "{what}");
        }
    }
}

#[test]
fn in_a_folder_that_others_may_write_to_it_uses_one_of_its_own() {
    let Some(machine) = Machine::new() else { return };
    let away = FakeServer::start(|_, _| Reply::error(503, "away"));
    for (owner, folder_mode) in [(ROOT, 0o777), (ROOT, 0o1777), ((ROOT.0, US.1), 0o2775), (US, 0o775)] {
        let spool = machine.folder(&format!("spool{}-{folder_mode:o}", owner.0), owner, folder_mode);
        let ended = ends(exec(&machine, US, &away.url(), &spool, &["--retry-for", "0"]));
        let own = own(&spool, "");
        assert_eq!(ended.stderr.matches(&format!("it is kept in {}", own.display())).count(), 2, "{folder_mode:o}: {ended:?}");
        assert_eq!((mode(&own) & 0o777, modes(&own).len()), (0o700, 2));
        all_have(&own, 0o600);
        // The next run finds them.
        let there = FakeServer::start(|_, _| Reply::accepted());
        readdress(&own, &away, &there);
        let ended = ends(exec(&machine, US, &there.url(), &spool, &[]));
        assert_eq!((there.edges().len(), ended.stderr.contains("delivered 2")), (4, true), "{ended:?}");
        assert!(modes(&own).is_empty());
    }
}

#[test]
fn however_much_others_put_there_what_is_kept_is_delivered() {
    let Some(machine) = Machine::new() else { return };
    let spool = machine.folder("spool", ROOT, 0o1777);
    let away = FakeServer::start(|_, _| Reply::error(503, "away"));
    ends(exec(&machine, US, &away.url(), &spool, &["--retry-for", "0"]));
    for number in 0..1500 {
        put(&spool.join(format!("{number:013}-start-x.json")), "{}", SOMEBODY, 0o644);
    }
    let there = FakeServer::start(|_, _| Reply::accepted());
    let own = own(&spool, "");
    readdress(&own, &away, &there);
    let ended = ends(exec(&machine, US, &there.url(), &spool, &[]));
    assert_eq!((there.edges().len(), modes(&own).len()), (4, 0), "{ended:?}");
    assert!(ended.stderr.contains("and so are 999 more") && ended.stderr.len() < 1000, "{ended:?}");
}

#[test]
fn what_an_earlier_program_left_in_a_folder_of_others_is_delivered() {
    let Some(machine) = Machine::new() else { return };
    let server = FakeServer::start(|_, _| Reply::accepted());
    let spool = machine.folder("spool", ROOT, 0o777);
    put(&spool.join(NAME), &entry(&server.url()), US, 0o600);
    let ended = ends(exec(&machine, US, &server.url(), &spool, &[]));
    assert_eq!((server.edges().len(), spool.join(NAME).exists()), (3, false), "{ended:?}");
}

#[test]
fn whoever_takes_the_name_of_its_folder_first_does_not_get_what_is_kept() {
    let Some(machine) = Machine::new() else { return };
    let away = FakeServer::start(|_, _| Reply::error(503, "away"));
    let takes: [(&str, Take); 4] = [
        ("a folder", |own, _| {
            fs::create_dir(own).unwrap();
            chown(own, Some(SOMEBODY.0), Some(SOMEBODY.1)).unwrap();
            set_mode(own, 0o777);
        }),
        ("a link to a folder", |own, aside| symlink(aside, own).unwrap()),
        ("a link to nowhere", |own, _| symlink("/nowhere", own).unwrap()),
        ("a file", |own, _| put(own, "", SOMEBODY, 0o666)),
    ];
    for (number, (what, take)) in takes.into_iter().enumerate() {
        let spool = machine.folder(&format!("spool{number}"), ROOT, 0o1777);
        let aside = machine.folder(&format!("aside{number}"), SOMEBODY, 0o777);
        take(&own(&spool, ""), &aside);
        let ended = ends(exec(&machine, US, &away.url(), &spool, &["--retry-for", "0"]));
        assert!(modes(&aside).is_empty(), "{what}");
        assert_eq!(modes(&own(&spool, "-2")).len(), 2, "{what}: {ended:?}");
    }
    // Root could close it, and it would still not be root's.
    let spool = machine.folder("root", ROOT, 0o1777);
    let theirs = machine.folder("root/change-events-0", SOMEBODY, 0o755);
    ends(exec(&machine, ROOT, &away.url(), &spool, &["--retry-for", "0"]));
    assert!(modes(&theirs).is_empty() && modes(&spool.join("change-events-0-2")).len() == 2);

    let spool = machine.folder("full", ROOT, 0o1777);
    for number in ["", "-2", "-3", "-4", "-5", "-6", "-7", "-8"] {
        put(&own(&spool, number), "", SOMEBODY, 0o666);
    }
    let ended = ends(exec(&machine, US, &away.url(), &spool, &["--retry-for", "0"]));
    assert_eq!(ended.stderr.matches("it is lost, because").count(), 2, "{ended:?}");
    assert_eq!(ended.code, Some(0));
}
