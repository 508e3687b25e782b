//! What an opening, a check and a repair say about a log: how much there is, where it is damaged, and how.

use change_events::log::OpenError;
use change_events::log::Options;
use change_events::log::Position;
use change_events::log::ReadError;
use change_events::log::SegmentReport;
use change_events::log::check;
use change_events::log::faulty::FaultyDisk;

use crate::Ledger;
use crate::Records;
use crate::open;
use crate::records;
use crate::sample;
use crate::small;

const FIRST: &str = "00000000000000000001.log";

/// Bytes of records, each with as many before it.
fn bytes(records: &Records, prefix: usize) -> u64 {
    records.values().map(|record| (record.len() + prefix) as u64).sum()
}

#[test]
fn an_opening_and_a_check_say_how_much_they_read() {
    let disk = FaultyDisk::new();
    let mut log = open(&disk, small()).unwrap().log;
    let mut ledger = Ledger::default();
    (0..3).for_each(|number| ledger.append(&mut log, &records(number, 3, 20)).unwrap());
    log.rotate().unwrap();
    (3..5).for_each(|number| ledger.append(&mut log, &records(number, 2, 20)).unwrap());
    let all = ledger.acknowledged.clone();
    let (old, new) = (all.range(..10).map(owned).collect::<Records>(), all.range(10..).map(owned).collect::<Records>());
    let report = |first: u64, records: &Records| SegmentReport {
        path: format!("{first:020}.log"),
        first: Position(first),
        last: Position(first + records.len() as u64 - 1),
        records: records.len() as u64,
        bytes: bytes(records, 4),
    };
    let replayed = open(&disk.fork(), small()).unwrap().replayed;
    assert_eq!((replayed.segments, replayed.bytes, replayed.last), (2, bytes(&all, 4), Position(13)));
    let checked = check(&disk).unwrap();
    assert_eq!(checked.segments, [report(1, &old), report(10, &new)]);
    assert_eq!((checked.checkpoint, checked.last, checked.closed_cleanly), (None, Position(13), false));
    ledger.compact(&mut log, 9).unwrap();
    log.close().unwrap();
    let opened = open(&disk.fork(), small()).unwrap();
    let carried: Records = opened.records.range(..10).map(owned).collect();
    assert_eq!((opened.replayed.segments, opened.replayed.bytes), (1, bytes(&carried, 12) + bytes(&new, 4)));
    let checked = check(&disk).unwrap();
    assert_eq!(checked.segments, [report(10, &new)]);
    assert_eq!((checked.checkpoint, checked.closed_cleanly), (Some((Position(9), carried.len() as u64)), true));
}

fn owned((position, record): (&u64, &Vec<u8>)) -> (u64, Vec<u8>) {
    (*position, record.clone())
}

/// What a write that was never acknowledged left, up to its last byte that is not zero, however long the zeros are.
#[test]
fn a_torn_tail_is_counted_to_its_last_byte() {
    let options = Options { segment_bytes: 400_000, ..small() };
    let disk = FaultyDisk::new();
    let mut log = open(&disk, options).unwrap().log;
    Ledger::default().append(&mut log, &records(1, 2, 20)).unwrap();
    let end = disk.bytes(FIRST).unwrap().iter().rposition(|byte| *byte != 0).unwrap() + 1;
    for written in [&[][..], &[1], &[7], &[1, 2, 3, 50], &[(128 << 10) - 1], &[128 << 10], &[1, (128 << 10) + 1], &[5, 300_000]] {
        let torn = disk.fork();
        torn.change(FIRST, |bytes| written.iter().for_each(|at| bytes[end + at - 1] = 9));
        let expected = written.last().map_or(0, |at| *at as u64);
        let checked = check(&torn).unwrap();
        assert_eq!((checked.torn_bytes, checked.problems.len()), (expected, 0), "{written:?}");
        assert_eq!(open(&torn, options).unwrap().replayed.torn_bytes, expected, "{written:?}");
        assert_eq!(open(&torn, options).unwrap().replayed.torn_bytes, 0, "{written:?}");
    }
}

/// Damages the log; what an opening and a check then say, the same: file, offset and what is wrong there.
#[track_caller]
fn check_damage(disk: &FaultyDisk, damage: impl FnOnce(&FaultyDisk), file: &str, offset: u64, what: &str) {
    let damaged = disk.fork();
    damage(&damaged);
    let said = format!("{file} is damaged at offset {offset}: {what}");
    let problem = check(&damaged).unwrap().problems.into_iter().next().unwrap();
    assert_eq!(format!("{} is damaged at offset {}: {}", problem.path, problem.offset, problem.what), said);
    match open(&damaged, small()).err() {
        Some(OpenError::Read(error @ ReadError::Corrupt { .. })) => assert_eq!(error.to_string(), said),
        other => panic!("{other:?}"),
    }
}

#[test]
fn damage_is_named_by_its_place_and_kind() {
    let disk = FaultyDisk::new();
    let mut log = open(&disk, small()).unwrap().log;
    let mut ledger = Ledger::default();
    for number in 0..3 {
        ledger.append(&mut log, &[vec![number; 6]]).unwrap();
        ledger.append(&mut log, &[vec![number; 6]]).unwrap();
        log.rotate().unwrap();
    }
    ledger.append(&mut log, &[vec![3; 6]]).unwrap();
    let change = |name: &'static str, at: usize| move |disk: &FaultyDisk| disk.change(name, |bytes| bytes[at] ^= 1);
    let second = "00000000000000000003.log";
    check_damage(&disk, change(second, 40 + 50 + 10), second, 90, "no valid frame header");
    check_damage(&disk, change(second, 40 + 50 + 48), second, 90, "the payload of the frame does not match its checksum");
    let gone = |disk: &FaultyDisk| disk.change(second, |bytes| bytes[90..].fill(0));
    check_damage(&disk, gone, second, 90, "the log went on here, but there is nothing any more");
    check_damage(&disk, |disk| disk.lose(FIRST), FIRST, 0, "the segment with the first record is missing");
    let middle = |disk: &FaultyDisk| disk.lose(second);
    check_damage(&disk, middle, FIRST, 140, "the log went on here, but there is nothing any more");
    let last = "00000000000000000007.log";
    check_damage(&disk, |disk| disk.lose(last), last, 90, "the log ends before its high-water mark");
    let (other, _) = sample(small(), true);
    let foreign = |disk: &FaultyDisk| disk.change("hwm", |bytes| *bytes = other.bytes("hwm").unwrap());
    check_damage(&disk, foreign, "hwm", 0, "the high-water mark is of another log");
    log.compact(Position(4), &mut |_, _| true).unwrap();
    let both = |disk: &FaultyDisk| [FIRST, second].into_iter().for_each(|name| disk.lose(name));
    open(
        &{
            let disk = disk.fork();
            both(&disk);
            disk
        },
        small(),
    )
    .unwrap();
    let third = "00000000000000000005.log";
    check_damage(&disk, |disk| disk.lose(third), second, 140, "the log went on here, but there is nothing any more");
    check_damage(
        &disk,
        |disk| [FIRST, second, third].into_iter().for_each(|name| disk.lose(name)),
        third,
        0,
        "the segment with the first record is missing",
    );
}

#[test]
fn a_checkpoint_of_another_log_is_told_from_one_that_is_damaged() {
    let (disk, _) = sample(small(), true);
    let (other, _) = sample(small(), true);
    let name = "00000000000000000008.checkpoint";
    let foreign = |disk: &FaultyDisk| disk.change(name, |bytes| *bytes = other.bytes(name).unwrap());
    check_damage(&disk, foreign, name, 0, "the file belongs to another log");
    check_damage(&disk, |disk| disk.change(name, |bytes| bytes[20] ^= 1), name, 0, "no valid file header");
    let older = disk.bytes("00000000000000000003.checkpoint").unwrap();
    let renamed = |disk: &FaultyDisk| disk.change(name, |bytes| *bytes = older);
    check_damage(&disk, renamed, name, 0, "the header belongs to a file of another name");
}

/// A check tells a header that is not this file's from one that is.
#[test]
fn a_segment_of_another_log_or_name_is_damaged_from_its_first_byte() {
    let (disk, _) = sample(small(), true);
    let (other, _) = sample(small(), true);
    let segments: Vec<_> = crate::names(&disk).into_iter().filter(|name| name.contains(".log")).collect();
    for (name, bytes) in [(&segments[0], other.bytes(&segments[0])), (&segments[0], disk.bytes(&segments[1]))] {
        let damaged = disk.fork();
        damaged.change(name, |file| *file = bytes.unwrap());
        let problem = check(&damaged).unwrap().problems.into_iter().next().unwrap();
        assert_eq!((&problem.path, problem.offset, problem.what), (name, 0, "no valid file header of this log"));
    }
}
