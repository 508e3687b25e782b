//! What a log does when nothing goes wrong, on a real directory.

use change_events::log::AppendError;
use change_events::log::CheckpointError;
use change_events::log::FsDisk;
use change_events::log::OpenError;
use change_events::log::Options;
use change_events::log::Position;
use change_events::log::ReadError;
use change_events::log::Replayed;
use change_events::log::SegmentLog;
use change_events::log::check;
use change_events::log::faulty::Call;
use change_events::log::faulty::Fault;
use change_events::log::faulty::FaultyDisk;

use crate::Ledger;
use crate::Records;
use crate::batch;
use crate::open;
use crate::records;
use crate::small;

fn open_fs(directory: &std::path::Path, options: Options) -> (SegmentLog<FsDisk>, Records, Replayed) {
    let mut found = Records::new();
    let disk = FsDisk::open(directory).unwrap();
    let (log, replayed) = SegmentLog::open(disk, options, &mut |frame| {
        found.extend(frame.records().map(|(position, record)| (position.0, record.to_vec())));
        Ok(())
    })
    .unwrap();
    (log, found, replayed)
}

#[test]
fn a_directory_keeps_what_was_appended() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("a/b");
    let options = Options { segment_bytes: 16 << 10, ..Options::default() };
    let mut expected = Records::new();
    for life in 0..4u64 {
        let (mut log, found, replayed) = open_fs(&directory, options);
        assert_eq!(found, expected);
        assert_eq!((replayed.torn_bytes, replayed.closed_cleanly), (0, life % 2 == 0), "life {life}");
        for number in life * 10..life * 10 + 10 {
            let records = records(number, 50, 200);
            let first = log.last().0 + 1;
            let appended = log.append(&batch(&records)).unwrap();
            assert_eq!(appended.last.0, first + 49);
            expected.extend((first..).zip(records));
        }
        let segments = log.segments();
        assert!(segments.len() > 1);
        assert!(segments.windows(2).all(|pair| pair[0].last.0 + 1 == pair[1].first.0));
        assert!(segments.iter().all(|segment| std::fs::metadata(&segment.path).unwrap().len() == segment.bytes));
        // The last one has room ahead, the others have none.
        assert_eq!(segments.iter().rposition(|segment| segment.bytes == 16 << 10), Some(segments.len() - 1));
        if life % 2 == 1 {
            log.close().unwrap();
        }
    }
    let (mut log, _, _) = open_fs(&directory, options);
    log.compact(Position(1900), &mut |position, _| position.0 == 7).unwrap();
    let before = log.segments();
    let removed = log.remove_segments_below(Position(u64::MAX)).unwrap();
    let gone = before.len() - log.segments().len();
    assert_eq!((removed.segments, removed.bytes), (gone, before[..gone].iter().map(|segment| segment.bytes).sum()));
    assert!(removed.segments > 3);
    assert!(before.iter().enumerate().all(|(index, segment)| std::path::Path::new(&segment.path).exists() == (index >= removed.segments)));
    drop(log);
    expected.retain(|position, _| *position == 7 || *position > 1900);
    let report = check(&FsDisk::open(&directory).unwrap()).unwrap();
    assert_eq!((report.problems.len(), report.last, report.checkpoint), (0, Position(2000), Some((Position(1900), 1))));
    let (log, found, replayed) = open_fs(&directory, options);
    assert_eq!(found, expected);
    assert_eq!(replayed.checkpoint, Some(Position(1900)));
    let mut again = Records::new();
    log.replay(Position(1950), &mut |frame| {
        again.extend(frame.records().map(|(position, record)| (position.0, record.to_vec())));
        Ok(())
    })
    .unwrap();
    expected.retain(|position, _| *position >= 1950);
    assert_eq!(again, expected);
    // The checkpoint is not read where nothing of it is asked for.
    std::fs::remove_file(directory.join("00000000000000001900.checkpoint")).unwrap();
    let count = |from| {
        let mut count = 0;
        let read = log.replay(Position(from), &mut |frame| {
            count += frame.len();
            Ok(())
        });
        read.map(|()| count)
    };
    assert!(matches!(count(1901), Ok(100)));
    assert!(matches!(count(1900), Err(ReadError::Io { .. })));
}

#[test]
fn two_processes_cannot_have_the_same_log() {
    let home = tempfile::tempdir().unwrap();
    let held = FsDisk::open(home.path()).unwrap();
    let error = FsDisk::open(home.path()).unwrap_err();
    assert!(matches!(&error, OpenError::InUse { .. }));
    assert!(error.to_string().starts_with(&format!("{} is in use by another process, ", home.path().display())), "{error}");
    drop(held);
    FsDisk::open(home.path()).unwrap();
}

#[test]
fn what_is_too_large_is_refused_and_nothing_is_written() {
    let disk = FaultyDisk::new();
    let mut log = open(&disk, small()).unwrap().log;
    let calls = disk.calls().len();
    let outcome = log.append(&batch(&[vec![0; 4093]]));
    assert!(matches!(outcome, Err(AppendError::RecordTooLarge { bytes: 4093, limit: 4092 })));
    let outcome = log.append(&batch(&vec![vec![0; 1020]; 17]));
    assert!(matches!(outcome, Err(AppendError::BatchTooLarge { bytes: 17408, limit: 16384 })));
    assert_eq!(log.append(&batch(&[])).unwrap().last, Position(0));
    assert_eq!(disk.calls().len(), calls);
    // A batch of several frames, and a record as large as a frame.
    assert_eq!(log.append(&batch(&vec![vec![1; 1020]; 16])).unwrap().last, Position(16));
    assert_eq!(log.append(&batch(&[vec![2; 4092]])).unwrap().last, Position(17));
    assert_eq!(log.append(&batch(&[])).unwrap().last, Position(17));
    let found = open(&disk, small()).unwrap().records;
    assert_eq!(found.len(), 17);
    assert_eq!(found[&17], vec![2; 4092]);
}

#[test]
fn a_newer_format_is_not_opened() {
    for name in ["00000000000000000001.log", "00000000000000000002.checkpoint"] {
        let disk = FaultyDisk::new();
        let mut log = open(&disk, small()).unwrap().log;
        Ledger::default().append(&mut log, &records(1, 3, 10)).unwrap();
        log.compact(Position(2), &mut |_, _| true).unwrap();
        disk.change(name, |bytes| {
            bytes[8] = 2;
            let crc = crc32c::crc32c(&bytes[..36]);
            bytes[36..40].copy_from_slice(&crc.to_le_bytes());
        });
        let error = open(&disk, small()).err().unwrap();
        assert_eq!(error.to_string(), format!("{name} was written by a newer version: its format is 2, this version reads up to 1"));
        assert!(matches!(check(&disk), Err(ReadError::Newer { version: 2, .. })));
    }
}

#[test]
fn a_record_that_the_caller_does_not_know_stops_the_opening() {
    let disk = FaultyDisk::new();
    let mut log = open(&disk, small()).unwrap().log;
    Ledger::default().append(&mut log, &records(1, 3, 10)).unwrap();
    let refused = SegmentLog::open(disk.clone(), small(), &mut |_| Err("kind 9 is not known".into()));
    let error = refused.err().unwrap();
    assert_eq!(error.to_string(), "a record from position 1 on is not understood");
    open(&disk, small()).unwrap();
}

#[test]
fn checkpoints_have_rules() {
    let disk = FaultyDisk::new();
    let mut log = open(&disk, small()).unwrap().log;
    let mut ledger = Ledger::default();
    ledger.append(&mut log, &records(1, 10, 10)).unwrap();
    let all = &mut |_: Position, _: &[u8]| true;
    assert!(matches!(log.compact(Position(11), all), Err(CheckpointError::BeyondEnd { .. })));
    assert!(matches!(log.compact(Position(0), all), Err(CheckpointError::NotNewer { .. })));
    for positions in [&[3, 3][..], &[3, 2], &[6], &[0]] {
        let outcome =
            log.checkpoint(Position(5), |carry| positions.iter().try_for_each(|position| carry.push(Position(*position), b"carried")));
        assert!(matches!(outcome, Err(CheckpointError::OutOfOrder { .. })), "{positions:?}");
        assert_eq!(log.checkpoint_position(), None);
    }
    assert_eq!(log.remove_segments_below(Position(u64::MAX)).unwrap().segments, 0);
    log.checkpoint(Position(5), |carry| carry.push(Position(2), b"carried")).unwrap();
    assert!(matches!(log.compact(Position(5), all), Err(CheckpointError::NotNewer { .. })));
    log.compact(Position(6), all).unwrap();
    log.compact(Position(7), all).unwrap();
    let checkpoints: Vec<_> = crate::names(&disk).into_iter().filter(|name| name.ends_with(".checkpoint")).collect();
    assert_eq!(checkpoints, ["00000000000000000006.checkpoint", "00000000000000000007.checkpoint"]);
    let found = open(&disk, small()).unwrap().records;
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), [2, 6, 7, 8, 9, 10]);
    assert_eq!(found[&2], b"carried");
}

#[test]
fn files_of_two_logs_do_not_mix() {
    let (first, _) = crate::sample(small(), true);
    let (second, _) = crate::sample(small(), true);
    // The older checkpoint is not read as long as the newer one is valid.
    for name in crate::names(&first).into_iter().filter(|name| !name.starts_with("00000000000000000003")) {
        let mixed = first.fork();
        let foreign = second.bytes(&name).unwrap();
        mixed.change(&name, |bytes| *bytes = foreign);
        let error = open(&mixed, small()).err().unwrap_or_else(|| panic!("{name} of another log was taken"));
        assert!(matches!(error, OpenError::Read(ReadError::Corrupt { .. })), "{name}: {error:?}");
    }
}

/// A rotation used to begin a segment of the same name, in place of the one that held the footer.
#[test]
fn a_segment_with_nothing_but_a_footer_is_used_further() {
    let disk = FaultyDisk::new();
    let mut ledger = Ledger::default();
    let mut log = open(&disk, small()).unwrap().log;
    ledger.append(&mut log, &records(1, 2, 100)).unwrap();
    for life in 0..3 {
        log.rotate().unwrap();
        log.close().unwrap();
        log = open(&disk, small()).unwrap().log;
        log.rotate().unwrap();
        // Larger than what is left of the segment.
        ledger.append(&mut log, &records(2 + life, 2, 1000)).unwrap();
    }
    ledger.verify(&open(&disk, small()).unwrap().records, &"used further");
}

#[test]
fn a_checkpoint_is_read_in_frames_of_a_mebibyte() {
    const MEBIBYTE: usize = 1 << 20;
    // A record takes 12 bytes more; the sizes of the records, and of the frames that they are read in.
    let quarter = MEBIBYTE / 4 - 12;
    let rows: [(&[usize], &[usize]); 5] = [
        (&[quarter; 8], &[MEBIBYTE, MEBIBYTE]),
        (&[quarter, quarter, quarter, quarter + 1, quarter], &[MEBIBYTE / 4 * 3, MEBIBYTE / 2 + 1]),
        (&[2 * MEBIBYTE, 1], &[2 * MEBIBYTE + 12, 13]),
        (&[quarter, 2 * MEBIBYTE, 1, 2], &[MEBIBYTE / 4, 2 * MEBIBYTE + 12, 27]),
        (&[5; 10], &[170]),
    ];
    for (sizes, expected) in rows {
        let disk = FaultyDisk::new();
        let options = Options { segment_bytes: 400, ..Options::default() };
        let mut log = open(&disk, options).unwrap().log;
        Ledger::default().append(&mut log, &records(1, 10, 5)).unwrap();
        let carried = |position: u64| vec![position as u8; sizes[position as usize - 1]];
        let positions = 1..=sizes.len() as u64;
        log.checkpoint(Position(10), |carry| positions.clone().try_for_each(|position| carry.push(Position(position), &carried(position))))
            .unwrap();
        let (mut frames, mut found) = (Vec::new(), Records::new());
        // The file has nothing else: a header, and one before each frame and as the footer.
        let bytes = disk.bytes("00000000000000000010.checkpoint").unwrap().len();
        assert_eq!(bytes, expected.iter().map(|frame| 40 + frame).sum::<usize>() + 2 * 40);
        SegmentLog::open(disk, options, &mut |frame| {
            assert!(frame.is_carried());
            frames.push(frame.bytes());
            found.extend(frame.records().map(|(position, record)| (position.0, record.to_vec())));
            Ok(())
        })
        .unwrap();
        assert_eq!(frames, expected);
        assert_eq!(found, positions.map(|position| (position, carried(position))).collect());
    }
}

/// A log of three segments of two records each and one that is empty.
fn three_segments(disk: &FaultyDisk) -> SegmentLog<FaultyDisk> {
    let mut log = open(disk, small()).unwrap().log;
    for number in 0..3 {
        Ledger::default().append(&mut log, &records(number, 2, 20)).unwrap();
        log.rotate().unwrap();
    }
    log
}

#[test]
fn a_segment_goes_with_its_last_record() {
    // The checkpoint; the position below which segments are to go; how many go.
    for (upto, below, expected) in [(1, 9, 0), (2, 9, 1), (3, 9, 1), (4, 9, 2), (6, 9, 3), (6, 2, 0), (6, 3, 1), (6, 4, 1), (6, 5, 2)] {
        let disk = FaultyDisk::new();
        let mut log = three_segments(&disk);
        log.compact(Position(upto), &mut |_, _| true).unwrap();
        let (before, segments) = (crate::names(&disk).len(), log.segments());
        let removed = log.remove_segments_below(Position(below)).unwrap();
        let bytes = segments[..expected].iter().map(|segment| segment.bytes).sum();
        assert_eq!((removed.segments, removed.bytes), (expected, bytes), "{upto} {below}");
        assert_eq!(crate::names(&disk).len(), before - expected);
        assert_eq!(log.segments().len(), 4 - expected);
        assert_eq!(open(&disk, small()).unwrap().records.len(), 6);
    }
}

#[test]
fn a_segment_that_cannot_be_removed_stays_and_one_that_is_gone_is_gone() {
    let disk = FaultyDisk::new();
    let mut log = three_segments(&disk);
    log.compact(Position(6), &mut |_, _| true).unwrap();
    disk.fail_next(Call::Remove, Fault::Before);
    assert!(matches!(log.remove_segments_below(Position(9)), Err(CheckpointError::Write { .. })));
    assert_eq!(log.segments().len(), 4);
    disk.lose("00000000000000000003.log");
    assert_eq!(log.remove_segments_below(Position(9)).unwrap().segments, 3);
    assert_eq!(log.segments().len(), 1);
    assert_eq!(open(&disk, small()).unwrap().records.len(), 6);
}

#[test]
fn a_torn_tail_is_cut_from_a_file() {
    let home = tempfile::tempdir().unwrap();
    let options = Options { segment_bytes: 4096, ..Options::default() };
    let (mut log, _, _) = open_fs(home.path(), options);
    assert!(log.append(&batch(&records(1, 2, 20))).is_ok());
    let path = log.segments()[0].path.clone();
    drop(log);
    let mut bytes = std::fs::read(&path).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    bytes[end + 99] = 1;
    std::fs::write(&path, &bytes).unwrap();
    let (mut log, found, replayed) = open_fs(home.path(), options);
    assert_eq!((found.len(), replayed.torn_bytes), (2, 100));
    assert_eq!(std::fs::metadata(&path).unwrap().len(), end as u64);
    assert!(log.append(&batch(&records(2, 1, 20))).is_ok());
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 4096);
    drop(log);
    let (_, found, replayed) = open_fs(home.path(), options);
    assert_eq!((found.len(), replayed.torn_bytes), (3, 0));
}
