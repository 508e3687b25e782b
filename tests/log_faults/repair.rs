//! `check` finds what is wrong, `repair` saves the rest, and says what it could not save.

use change_events::log::Options;
use change_events::log::Position;
use change_events::log::check;
use change_events::log::faulty::FaultyDisk;
use change_events::log::repair;

use crate::Random;
use crate::Records;
use crate::full;
use crate::is_dropped;
use crate::lagging;
use crate::names;
use crate::open;
use crate::records;
use crate::sample;
use crate::small;

/// Repairs a damaged log; answers what it holds afterwards, and how many positions were reported as lost.
fn repaired(disk: &FaultyDisk, options: Options, context: &str) -> (Records, u64) {
    let before = check(disk).unwrap();
    let opened = open(&disk.fork(), options);
    let fell_back = opened.as_ref().is_ok_and(|opened| opened.replayed.damaged_checkpoint.is_some());
    let passed_over = before.problems.iter().all(|problem| problem.path.ends_with(".checkpoint"));
    assert!(
        before.problems.is_empty() == (opened.is_ok() && !fell_back) || (opened.is_ok() && passed_over),
        "{context}: check and open disagree: {before:?}"
    );
    let damaged = disk.fork();
    let done = repair(disk).unwrap_or_else(|error| panic!("{context}: {error:?}"));
    assert_eq!(done.problems, before.problems);
    for problem in &done.problems {
        if let Some(bytes) = damaged.bytes(&problem.path).filter(|_| problem.path != "hwm") {
            let copy = done.set_aside.iter().find(|copy| copy.starts_with(&format!("{}.damaged", problem.path)));
            assert_eq!(copy.and_then(|copy| disk.bytes(copy)), Some(bytes), "{context}: {} was not set aside", problem.path);
        }
    }
    // Where a file is gone, the one before is written anew too, to lead beyond it.
    let is_damaged =
        |copy: &String| done.problems.iter().any(|problem| copy.starts_with(&problem.path) || damaged.bytes(&problem.path).is_none());
    assert!(done.set_aside.iter().all(is_damaged), "{context}: {:?} for {:?}", done.set_aside, done.problems);
    let after = check(disk).unwrap();
    assert_eq!(after.problems, [], "{context}");
    assert_eq!(repair(disk).unwrap().set_aside.len(), 0, "{context}: repaired twice");
    let mut opened = open(disk, options).unwrap_or_else(|error| panic!("{context}: {error:?}"));
    assert_eq!(opened.replayed.lost, after.lost, "{context}");
    crate::Ledger::default().append(&mut opened.log, &records(77, 1, 10)).unwrap();
    (opened.records, done.lost + done.lost_carried)
}

/// Damages a log in one place after the other, and repairs it.
fn repair_each(options: Options, remove: bool, damage: &dyn Fn(&mut Vec<u8>, usize), step: usize) {
    let (disk, expected) = sample(options, remove);
    for name in names(&disk).into_iter().filter(|name| name != "hwm") {
        let len = disk.bytes(&name).unwrap().len();
        for offset in (0..len).step_by(step) {
            let context = format!("{name} at {offset}, removed {remove}");
            let damaged = disk.fork();
            damaged.change(&name, |bytes| damage(bytes, offset));
            let (found, lost) = repaired(&damaged, options, &context);
            let missing = expected.keys().filter(|position| !found.contains_key(position)).count();
            assert!(found.iter().all(|(at, record)| expected.get(at).map_or(is_dropped(*at), |expected| record == expected)), "{context}");
            // One damage costs one batch, or one frame of the checkpoint; the tail of the log only if it is not known.
            let most = if name.ends_with(".checkpoint") { 6 } else { 2 };
            assert!(missing <= most, "{context}: {missing} records gone");
            let torn = missing > 0 && lost == 0;
            assert!(torn && options == lagging() || lost == missing as u64, "{context}: {missing} gone, {lost} said");
        }
    }
}

#[test]
fn one_changed_byte_costs_one_batch_at_most() {
    let flip = |bytes: &mut Vec<u8>, offset: usize| bytes[offset] ^= 0x10;
    for remove in [false, true] {
        repair_each(small(), remove, &flip, if full() { 1 } else { 3 });
        repair_each(lagging(), remove, &flip, if full() { 1 } else { 7 });
    }
}

/// A whole segment or checkpoint is gone, or nothing in it is readable.
#[test]
fn what_is_in_other_files_is_saved() {
    for remove in [false, true] {
        let (disk, expected) = sample(small(), remove);
        for name in names(&disk) {
            for zeroed in [false, true] {
                let context = format!("{name} lost, zeroed {zeroed}, removed {remove}");
                let damaged = disk.fork();
                if zeroed {
                    damaged.change(&name, |bytes| bytes.fill(0));
                } else {
                    damaged.lose(&name);
                }
                let (found, lost) = repaired(&damaged, small(), &context);
                let missing = expected.keys().filter(|position| !found.contains_key(position)).count();
                assert!(!name.contains(".log") || lost == missing as u64, "{context}: {missing} gone, {lost} said");
                assert!(
                    found.iter().all(|(at, record)| expected.get(at).map_or(is_dropped(*at), |expected| record == expected)),
                    "{context}"
                );
                assert!(found.len() + 8 >= expected.len(), "{context}: {} of {}", found.len(), expected.len());
            }
        }
    }
}

/// A repair that is interrupted can be repeated, and saves the same.
#[test]
fn a_crash_while_repairing_loses_nothing_more() {
    for remove in [false, true] {
        let (disk, _) = sample(small(), remove);
        let mut random = Random(3);
        for name in names(&disk) {
            let damaged = disk.fork();
            damaged.change(&name, |bytes| {
                let middle = bytes.len() / 3;
                bytes[middle] ^= 1;
                bytes[5] ^= 1;
            });
            let undisturbed = damaged.fork();
            undisturbed.record_history();
            let (expected, _) = repaired(&undisturbed, small(), &name);
            for (step, disk) in undisturbed.history().into_iter().enumerate() {
                let crashed = disk.crash(&mut || random.flip());
                let context = format!("{name} damaged, step {step} of its repair");
                let (found, _) = repaired(&crashed, small(), &context);
                let saved = expected.iter().filter(|(at, _)| !found.contains_key(at)).count();
                assert_eq!(saved, 0, "{context}");
            }
        }
    }
}

#[test]
fn a_log_without_problems_is_not_touched() {
    let (disk, _) = sample(small(), true);
    let before = disk.calls().len();
    let done = repair(&disk).unwrap();
    assert_eq!((done.problems.len(), done.set_aside.len(), done.lost), (0, 0, 0));
    let changing = |call: &change_events::log::faulty::Call| format!("{call:?}").starts_with(['C', 'R', 'W', 'S', 'T', 'A']);
    assert!(!disk.calls()[before..].iter().filter(|call| format!("{call:?}") != "Read").any(changing));
}

#[test]
fn what_is_set_aside_and_saved_is_said() {
    let (disk, _) = sample(small(), true);
    let name = names(&disk).into_iter().rfind(|name| name.contains(".log")).unwrap();
    for copy in [format!("{name}.damaged"), format!("{name}.damaged-2"), format!("{name}.damaged-3")] {
        disk.change(&name, |bytes| bytes[100] ^= 1);
        let done = repair(&disk).unwrap();
        assert_eq!(done.set_aside, [copy]);
        // The first time a batch of three is lost, then the splice that stands for it.
        assert_eq!((done.salvaged, done.lost), (4, 2));
    }
}

/// Not even the mark says which log it is; the number in a header that is not valid does.
#[test]
fn a_log_whose_only_header_is_damaged_is_saved() {
    for offset in [0, 9, 30, 38] {
        let disk = FaultyDisk::new();
        let mut ledger = crate::Ledger::default();
        let mut log = open(&disk, small()).unwrap().log;
        (0..3).for_each(|number| ledger.append(&mut log, &records(number, 2, 20)).unwrap());
        disk.lose("hwm");
        disk.change("00000000000000000001.log", |bytes| bytes[offset] ^= 1);
        let (found, lost) = repaired(&disk, small(), &format!("{offset}"));
        assert_eq!((found, lost), (ledger.acknowledged, 0), "{offset}");
    }
}

/// A segment from a copy of the log in which it was not the last to be appended to.
#[test]
fn what_the_next_segment_has_is_taken_from_there() {
    let disk = FaultyDisk::new();
    let mut ledger = crate::Ledger::default();
    let mut log = open(&disk, small()).unwrap().log;
    ledger.append(&mut log, &records(1, 2, 20)).unwrap();
    let other = disk.fork();
    let mut elsewhere = open(&other, small()).unwrap().log;
    assert!(elsewhere.append(&crate::batch(&records(2, 2, 20))).is_ok());
    log.rotate().unwrap();
    ledger.append(&mut log, &records(3, 2, 20)).unwrap();
    let name = "00000000000000000001.log";
    let longer = other.bytes(name).unwrap();
    disk.change(name, |bytes| *bytes = longer);
    let (found, lost) = repaired(&disk, small(), "longer");
    assert_eq!((found, lost), (ledger.acknowledged, 0));
}

#[test]
fn a_checkpoint_is_saved_frame_by_frame() {
    let disk = FaultyDisk::new();
    let options = Options { segment_bytes: 400, ..Options::default() };
    let mut log = open(&disk, options).unwrap().log;
    crate::Ledger::default().append(&mut log, &records(1, 5, 20)).unwrap();
    // Of two records each, and the last of one.
    let carried = |position: u64| vec![position as u8; 500 << 10];
    log.checkpoint(Position(5), |carry| (1..=5).try_for_each(|position| carry.push(Position(position), &carried(position)))).unwrap();
    log.rotate().unwrap();
    log.remove_segments_below(Position(6)).unwrap();
    disk.change("00000000000000000005.checkpoint", |bytes| bytes[(1 << 20) + 1000] ^= 1);
    let done = repair(&disk).unwrap();
    assert_eq!((done.salvaged, done.lost_carried, done.lost), (3, 2, 0));
    let found = open(&disk, options).unwrap().records;
    assert!(found.into_iter().eq([1, 2, 5].map(|position| (position, carried(position)))));
}

/// Frames are looked for a mebibyte at a time.
#[test]
fn a_frame_behind_damage_is_found_wherever_it_begins() {
    const MEBIBYTE: usize = 1 << 20;
    let options = Options { segment_bytes: 2 << 20, ..Options::default() };
    for distance in MEBIBYTE - 44..MEBIBYTE + 4 {
        let disk = FaultyDisk::new();
        let mut log = open(&disk, options).unwrap().log;
        for record in [vec![7; distance - 44], b"found".to_vec()] {
            assert!(log.append(&crate::batch(&[record])).is_ok());
        }
        disk.change("00000000000000000001.log", |bytes| bytes[100] ^= 1);
        let found = check(&disk).unwrap();
        assert_eq!((found.problems.len(), found.segments[0].records, found.last), (1, 1, Position(2)), "{distance}");
    }
}
