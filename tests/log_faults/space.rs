//! A full disk at every byte: what was acknowledged stays, what was refused never comes back, and writing goes on when
//! there is room again.

use change_events::log::AppendError;
use change_events::log::CheckpointError;
use change_events::log::Options;
use change_events::log::Position;
use change_events::log::SegmentLog;
use change_events::log::faulty::Call;
use change_events::log::faulty::Fault;
use change_events::log::faulty::FaultyDisk;

use crate::Ledger;
use crate::Random;
use crate::full;
use crate::open;
use crate::records;
use crate::small;

/// Appends, rotates and compacts, going on after errors; answers how many batches were refused.
fn work(log: &mut SegmentLog<FaultyDisk>, ledger: &mut Ledger, batches: std::ops::Range<u64>) -> usize {
    let mut refused = 0;
    for number in batches {
        match ledger.append(log, &records(number, 2, 40)) {
            Ok(()) => {}
            Err(AppendError::DiskFull { .. }) => refused += 1,
            Err(error) => panic!("{number}: {error:?}"),
        }
        if number % 4 == 3 {
            let upto = log.last().0;
            match ledger.compact(log, upto) {
                Ok(()) => drop(log.remove_segments_below(Position(upto)).unwrap()),
                Err(CheckpointError::Write { .. } | CheckpointError::NotNewer { .. }) => {}
                Err(error) => panic!("{number}: {error:?}"),
            }
            // A checkpoint that was refused is never read.
            ledger.tried_checkpoint = ledger.checkpoint;
        }
        log.healthy().unwrap();
    }
    refused
}

/// One run on a disk of `capacity` bytes that gets room again half-way.
fn run(options: Options, thin: bool, capacity: usize) -> usize {
    let disk = FaultyDisk::new();
    if thin {
        disk.set_thin();
    }
    let mut log = open(&disk, options).unwrap().log;
    let mut ledger = Ledger::default();
    disk.set_capacity(Some(capacity));
    let refused = work(&mut log, &mut ledger, 0..10);
    let context = format!("thin {thin}, capacity {capacity}");
    check_restarts(&disk, options, &ledger, &context);
    disk.heal();
    assert_eq!(work(&mut log, &mut ledger, 10..16), 0, "{context}: writing does not go on");
    check_restarts(&disk, options, &ledger, &context);
    refused
}

/// The process is killed, and the power fails, at this moment.
fn check_restarts(disk: &FaultyDisk, options: Options, ledger: &Ledger, context: &str) {
    ledger.verify(&open(&disk.fork(), options).unwrap().records, &context);
    let mut random = Random(disk.used() as u64);
    for keep in 0..3 {
        let crashed = disk.crash(&mut || match keep {
            0 => false,
            1 => true,
            _ => random.flip(),
        });
        ledger.verify(&open(&crashed, options).unwrap().records, &format_args!("{context}, crash {keep}"));
    }
}

fn fill_at_every_byte(options: Options, thin: bool, from: usize) {
    let step = if full() { 1 } else { 3 };
    let mut capacity = from;
    let mut refusals = 0;
    loop {
        let refused = run(options, thin, capacity);
        refusals += refused;
        if refused == 0 {
            break;
        }
        capacity += step;
    }
    assert!(refusals > 100, "{refusals}");
}

#[test]
fn a_full_disk_loses_nothing_when_room_is_reserved() {
    fill_at_every_byte(small(), false, 0);
}

#[test]
fn a_full_disk_loses_nothing_when_room_is_taken_by_writing() {
    fill_at_every_byte(small(), true, 0);
    fill_at_every_byte(Options { segment_bytes: 4096, ..small() }, true, 0);
}

/// The disk is also full while the log is opened.
#[test]
fn a_log_opens_on_a_full_disk() {
    // The mark lags, so the last append is written again.
    let options = crate::lagging();
    for thin in [false, true] {
        let disk = FaultyDisk::new();
        if thin {
            disk.set_thin();
        }
        let mut log = open(&disk, options).unwrap().log;
        let mut ledger = Ledger::default();
        work(&mut log, &mut ledger, 0..6);
        drop(log);
        disk.set_capacity(Some(disk.used()));
        let mut log = open(&disk, options).unwrap().log;
        let before = disk.calls().len();
        assert!(matches!(ledger.append(&mut log, &records(7, 2, 2000)), Err(AppendError::DiskFull { .. })));
        assert!(thin || !disk.calls()[before..].contains(&Call::Write), "written before there was room for it");
        disk.heal();
        ledger.append(&mut log, &records(7, 2, 2000)).unwrap();
        ledger.verify(&open(&disk, options).unwrap().records, &"opened on a full disk");
    }
}

/// Appends batches of records of these sizes; `expected` says where each segment begins and how many bytes it takes: what it had
/// ahead is given back when the next one begins.
#[track_caller]
fn check_segments(frame_bytes: usize, batches: &[&[usize]], expected: &[(u64, u64)]) {
    let disk = FaultyDisk::new();
    let options = Options { frame_bytes, ..small() };
    let mut log = open(&disk, options).unwrap().log;
    for sizes in batches {
        let records: Vec<_> = sizes.iter().map(|size| vec![7; *size]).collect();
        assert!(log.append(&crate::batch(&records)).is_ok());
    }
    let segments = log.segments();
    assert_eq!(segments.iter().map(|segment| (segment.first.0, segment.bytes)).collect::<Vec<_>>(), expected);
    let bytes: usize = crate::names(&disk).iter().map(|name| disk.bytes(name).unwrap().len()).sum();
    assert_eq!(disk.used(), bytes);
}

#[test]
fn a_segment_is_filled_to_its_last_byte_and_no_further() {
    // Of 400 bytes 40 are the header's; a frame of one record takes 44 more than the record.
    check_segments(4096, &[], &[(1, 400)]);
    check_segments(4096, &[&[136], &[136]], &[(1, 400)]);
    check_segments(4096, &[&[136], &[137]], &[(1, 220), (2, 400)]);
    check_segments(4096, &[&[136], &[66, 66]], &[(1, 400)]);
    check_segments(4096, &[&[136], &[66, 67]], &[(1, 220), (2, 400)]);
    // A batch of three frames takes three headers.
    check_segments(64, &[&[4], &[60, 60, 60]], &[(1, 400)]);
    check_segments(64, &[&[5], &[60, 60, 60]], &[(1, 89), (2, 400)]);
    // What is larger than a segment has one to itself, as large as it needs.
    check_segments(4096, &[&[316], &[1]], &[(1, 400), (2, 400)]);
    check_segments(4096, &[&[317], &[1]], &[(1, 401), (2, 400)]);
    check_segments(4096, &[&[1], &[317]], &[(1, 85), (2, 401)]);
}

#[test]
fn room_is_reserved_again_after_a_write_that_failed() {
    let disk = FaultyDisk::new();
    let mut log = open(&disk, small()).unwrap().log;
    let mut ledger = Ledger::default();
    let bytes = |log: &SegmentLog<FaultyDisk>| log.segments()[0].bytes;
    ledger.append(&mut log, &[vec![1; 56]]).unwrap();
    disk.fail_next(Call::Write, Fault::Halfway);
    assert!(ledger.append(&mut log, &[vec![2; 56]]).is_err());
    assert_eq!(bytes(&log), 140);
    ledger.append(&mut log, &[vec![3; 56]]).unwrap();
    assert_eq!(bytes(&log), 400);
    ledger.verify(&open(&disk, small()).unwrap().records, &"after a failed write");
}

#[test]
fn a_segment_takes_a_part_of_the_room_ahead_and_no_more() {
    let options = Options { segment_bytes: 4000, ..small() };
    // Bytes that are free when the first append needs more than the header; bytes that the segment has then, of which 140 are used.
    for (free, bytes) in [(100_000, 4000), (32_100, 140 + 2000), (1700, 140 + 100), (100, 140)] {
        let disk = FaultyDisk::new();
        disk.set_capacity(Some(40));
        let mut log = open(&disk, options).unwrap().log;
        disk.set_capacity(Some(disk.used() + free));
        assert!(log.append(&crate::batch(&[vec![1; 56]])).is_ok(), "{free}");
        assert_eq!(log.segments()[0].bytes, bytes, "{free}");
    }
}

/// Where no other segment can be had, the one there is goes on.
#[test]
fn without_another_file_a_segment_is_longer() {
    let disk = FaultyDisk::new();
    let mut log = open(&disk, small()).unwrap().log;
    let mut ledger = Ledger::default();
    ledger.append(&mut log, &[vec![1; 56]]).unwrap();
    disk.set_files(Some(crate::names(&disk).len()));
    for number in 0..10 {
        ledger.append(&mut log, &records(number, 2, 100)).unwrap();
    }
    assert_eq!(log.segments().len(), 1);
    ledger.verify(&open(&disk.fork(), small()).unwrap().records, &"one long segment");
    disk.heal();
    ledger.append(&mut log, &records(11, 2, 100)).unwrap();
    assert_eq!(log.segments().len(), 2);
    ledger.verify(&open(&disk, small()).unwrap().records, &"and another one");
}

#[test]
fn segments_suit_the_disk_and_the_size_of_the_log() {
    const MIB: u64 = 1 << 20;
    for (disk, log, expected) in [
        (u64::MAX, None, 64),
        (4096, None, 64),
        (2048, None, 64),
        (320, None, 10),
        (16, None, 1),
        (4096, Some(10_240), 64),
        (4096, Some(100), 10),
        (4096, Some(1), 1),
    ] {
        let bytes = disk.saturating_mul(MIB);
        let options = Options::default().fitting(bytes, log.map(|log| log * MIB));
        assert_eq!(options, Options { segment_bytes: expected * MIB, ..Options::default() }, "{disk} {log:?}");
    }
}
