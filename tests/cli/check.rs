//! `check`: a log that is whole, one that is damaged, and one that was repaired.

use std::fs;
use std::path::{Path, PathBuf};

use change_events::event::Claim;
use change_events::event::record::Record as _;
use change_events::log::{Batch, FsDisk, Options, SegmentLog};
use change_events::time::Timestamp;

use crate::support::{Ended, change_events, run};

const RECORDS: usize = 50;

fn record(number: usize) -> Vec<u8> {
    let mut record = Vec::new();
    let organization = format!("record {number}").into();
    let claim = Claim { organization, key: 1, body: 2, at: Timestamp::from_millis(3), former: None };
    claim.encode(&mut record);
    record
}

/// A log of fifty records in as many batches; gives the segment.
fn written(directory: &Path, close: bool) -> PathBuf {
    let disk = FsDisk::open(directory).unwrap();
    let options = Options { segment_bytes: 1 << 20, ..Options::default() };
    let (mut log, _) = SegmentLog::open(disk, options, &mut |_| Ok(())).unwrap();
    for n in 0..RECORDS {
        let mut batch = Batch::new();
        batch.push(&record(n));
        let appended = log.append(&batch).unwrap();
        assert_eq!(appended.last.0, n as u64 + 1);
    }
    if close {
        log.close().unwrap();
    }
    let segments = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    segments.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap()
}

fn damage(segment: &Path) {
    let mut bytes = fs::read(segment).unwrap();
    let at = bytes.windows(9).position(|window| window == b"record 20").unwrap();
    bytes[at] ^= 1;
    fs::write(segment, bytes).unwrap();
}

fn check(flags: &[&str], directory: &Path) -> Ended {
    run(change_events(&["check"]).args(flags).arg(directory))
}

#[test]
fn a_whole_log_has_no_problems_closed_or_not() {
    for close in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        let segment = written(directory.path(), close);
        let before = fs::read(&segment).unwrap();
        for flags in [&[][..], &["--repair"]] {
            let ended = check(flags, directory.path());
            assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
            assert!(ended.stdout.contains("positions 1 to 50, 50 records"), "{ended:?}");
            assert!(ended.stdout.contains("the last position is 50; "), "{ended:?}");
            assert_eq!(ended.stdout.contains("; closed properly"), close, "{ended:?}");
            assert!(ended.stdout.ends_with("no problems\n"), "{ended:?}");
        }
        assert_eq!(fs::read(&segment).unwrap(), before);
    }
}

#[test]
fn damage_is_exit_code_3_until_it_is_repaired() {
    let directory = tempfile::tempdir().unwrap();
    let segment = written(directory.path(), true);
    damage(&segment);
    let before = fs::read(&segment).unwrap();
    let ended = check(&[], directory.path());
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stdout.contains(&format!("DAMAGED {} at offset ", segment.display())), "{ended:?}");
    assert!(ended.stderr.contains("--repair"), "{ended:?}");
    assert_eq!(fs::read(&segment).unwrap(), before);

    let ended = check(&["--repair"], directory.path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("49 records of the damaged files are saved, 1 are lost"), "{ended:?}");
    let (_, copy) = ended.stdout.split_once("is kept as ").unwrap();
    assert_eq!(fs::read(copy.lines().next().unwrap()).unwrap(), before);

    let ended = check(&[], directory.path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("49 records") && ended.stdout.contains("earlier repairs could not save 1"), "{ended:?}");
}

#[test]
fn what_cannot_be_looked_at_is_exit_code_1() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    assert_eq!(check(&[], &missing).code, Some(1));
    assert!(!missing.exists());
    let ended = check(&[], directory.path());
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("holds no log"), "{ended:?}");
    written(directory.path(), true);
    let held = FsDisk::open(directory.path()).unwrap();
    let ended = check(&["--repair"], directory.path());
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("in use"), "{ended:?}");
    drop(held);
    assert_eq!(check(&[], directory.path()).code, Some(0));
    assert_eq!(run(&mut change_events(&["check"])).code, Some(2));
}

#[test]
fn a_configuration_is_checked_as_the_server_does() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.yml");
    let check = |text: &str, code: i32, says: &str| {
        fs::write(&path, text).unwrap();
        let ended = run(change_events(&["check", "config"]).arg(&path));
        assert_eq!(ended.code, Some(code), "{text}: {ended:?}");
        assert!(format!("{}{}", ended.stdout, ended.stderr).contains(says), "{text}: {ended:?}");
    };
    check("clusters: [{name: main}]\n", 0, "no problems");
    check(include_str!("../../examples/config.yml"), 0, "no problems");
    check("labels: {drop: [a]}\n", 0, "no problems; without organizations the server asks nobody for a token");
    for nothing in ["", "# organizations: []\n", "organizations: []\n"] {
        check(nothing, 0, "it configures nothing: ");
    }
    check("cluster: []\n", 2, "cluster");
    check("organizations: [{slug: \"\"}]\n", 2, "organizations[0].slug");
    check("clusters: [\n", 2, "events.yml");
    let ended = run(&mut change_events(&["check", "config", "/no/such/file"]));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert_eq!(run(&mut change_events(&["check", "config"])).code, Some(2));
    assert_eq!(run(&mut change_events(&["check", "--repair", "config", "x"])).code, Some(2));
}

#[test]
fn a_record_that_nobody_can_read_is_exit_code_3() {
    let directory = tempfile::tempdir().unwrap();
    written(directory.path(), false);
    let (mut log, _) = SegmentLog::open(FsDisk::open(directory.path()).unwrap(), Options::default(), &mut |_| Ok(())).unwrap();
    let mut batch = Batch::new();
    batch.push(&[31, 0, 0, 0, 0, 0, 0, 0, 0]);
    batch.push(&record(1)[..20]);
    assert_eq!(log.append(&batch).unwrap().last.0, 52);
    log.close().unwrap();
    for flags in [&[][..], &["--repair"]] {
        let ended = check(flags, directory.path());
        assert_eq!(ended.code, Some(3), "{ended:?}");
        assert!(ended.stdout.contains("UNREADABLE record 51: record kind 31 is not known"), "{ended:?}");
        assert!(ended.stderr.contains("cannot be read, and 1 more like it, and no repair changes that: record 51: "), "{ended:?}");
    }
}
