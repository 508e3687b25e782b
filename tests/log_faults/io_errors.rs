//! Each call to the disk fails once, in each way: nothing acknowledged is lost, and after a failed sync nothing more is
//! acknowledged until the log is opened again.

use change_events::log::AppendError;
use change_events::log::Options;
use change_events::log::Position;
use change_events::log::SegmentLog;
use change_events::log::faulty::Call;
use change_events::log::faulty::Fault;
use change_events::log::faulty::FaultyDisk;

use crate::Ledger;
use crate::Random;
use crate::batch;
use crate::open;
use crate::records;
use crate::small;

const FAULTS: [Fault; 3] = [Fault::Before, Fault::Halfway, Fault::After];

/// One life of a log, with whatever fails in it. Answers false when the log could not be opened.
fn live(disk: &FaultyDisk, ledger: &mut Ledger, batches: std::ops::Range<u64>) -> bool {
    let Ok(opened) = open(disk, small()) else {
        return false;
    };
    ledger.verify(&opened.records, &"at the beginning");
    settle(ledger, &opened.records);
    let mut log = opened.log;
    for number in batches {
        let latched = log.healthy().is_err();
        let outcome = append(ledger, &mut log, number);
        assert!(!latched || matches!(outcome, Err(AppendError::Latched(_))), "acknowledged after a failed sync");
        if number % 4 == 3 && log.healthy().is_ok() {
            let upto = log.last().0;
            if ledger.compact(&mut log, upto).is_ok() {
                drop(log.remove_segments_below(Position(upto)));
            }
        }
    }
    let latched = log.healthy().is_err();
    let closed = log.close().is_ok();
    assert!(!latched || !closed, "a latched log was closed as if nothing were wrong");
    true
}

/// A latched log changes nothing about the batch whose outcome is unknown.
fn append(ledger: &mut Ledger, log: &mut SegmentLog<FaultyDisk>, number: u64) -> Result<(), AppendError> {
    if log.healthy().is_err() {
        let mut elsewhere = ledger.clone();
        return elsewhere.append(log, &records(number, 2, 40));
    }
    ledger.append(log, &records(number, 2, 40))
}

/// After an opening it is known whether the last batch is there.
fn settle(ledger: &mut Ledger, found: &crate::Records) {
    let unknown = std::mem::take(&mut ledger.unknown);
    ledger.acknowledged.extend(unknown.into_iter().filter(|(at, _)| found.contains_key(at)));
}

/// Three lives of a log, with one failing call; answers how many calls there were, and how many records were acknowledged.
fn run(number: usize, fault: Fault) -> (usize, usize) {
    let disk = FaultyDisk::new();
    disk.fail_call(number, fault);
    let mut ledger = Ledger::default();
    let mut calls = 0;
    for life in 0..3 {
        let batches = life * 6..(life + 1) * 6;
        if !live(&disk, &mut ledger, batches.clone()) {
            assert!(live(&disk, &mut ledger, batches), "the disk works again, the log does not");
        }
        calls = disk.calls().len();
        check_crashes(&disk, &ledger, &format!("call {number} fails {fault:?}, life {life}"));
    }
    assert!(ledger.acknowledged.len() >= 20, "{}", ledger.acknowledged.len());
    (calls, ledger.acknowledged.len())
}

fn check_crashes(disk: &FaultyDisk, ledger: &Ledger, context: &str) {
    let mut random = Random(disk.calls().len() as u64);
    for keep in 0..4 {
        let crashed = disk.crash(&mut || match keep {
            0 => false,
            1 => true,
            _ => random.flip(),
        });
        ledger.verify(&open(&crashed, small()).unwrap().records, &format_args!("{context}, crash {keep}"));
    }
}

#[test]
fn each_failing_call_loses_nothing_acknowledged() {
    let (calls, undisturbed) = run(usize::MAX, Fault::Before);
    assert!(calls > 200, "{calls}");
    let failures = (0..calls).flat_map(|number| FAULTS.map(|fault| (number, fault)));
    let disturbed = failures.filter(|(number, fault)| run(*number, *fault).1 < undisturbed).count();
    assert!(disturbed > 100, "{disturbed}");
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_until_the_log_is_opened_again() {
    // In the segment there is; in a segment of its own, whose header is synced, and then the directory.
    for (call, size) in [(Call::Sync, 10), (Call::Sync, 1000), (Call::SyncDir, 1000)] {
        let disk = FaultyDisk::new();
        let mut log = open(&disk, small()).unwrap().log;
        let mut ledger = Ledger::default();
        ledger.append(&mut log, &records(1, 2, 100)).unwrap();
        disk.fail_next(call, Fault::Before);
        let outcome = ledger.append(&mut log, &records(2, 2, size));
        assert!(matches!(outcome, Err(AppendError::Latched(_))), "{call:?}: {outcome:?}");
        let unhealthy = log.healthy().unwrap_err();
        let (act, number) = if size == 10 { ("sync of", 1) } else { ("creating", 3) };
        assert_eq!(unhealthy.to_string(), format!("{act} {number:020}.log failed: injected failure of {call:?}"));
        let before = disk.calls().len();
        for number in 3..6 {
            assert!(matches!(log.append(&crate::batch(&records(number, 1, 10))), Err(AppendError::Latched(again)) if again == unhealthy));
        }
        assert!(log.rotate().is_err() && log.compact(Position(1), &mut |_, _| true).is_err());
        assert!(log.remove_segments_below(Position(1)).is_err());
        assert_eq!(disk.calls().len(), before, "{call:?}: something was tried again");
        assert!(log.close().is_err());
        let opened = open(&disk, small()).unwrap();
        ledger.verify(&opened.records, &call_name(call));
        // The system took the lost write for written. What is acknowledged on top of it must not depend on that.
        settle(&mut ledger, &opened.records);
        let mut log = opened.log;
        ledger.append(&mut log, &records(7, 2, 10)).unwrap();
        ledger.verify(&open(&disk.crash(&mut || false), small()).unwrap().records, &call_name(call));
    }
}

/// The sender was told that the batch is refused, so it must not be there after a power loss right then.
#[test]
fn what_was_refused_never_comes_back() {
    for fault in FAULTS {
        for rounds in 0..64 {
            let disk = FaultyDisk::new();
            let mut log = open(&disk, small()).unwrap().log;
            let mut ledger = Ledger::default();
            ledger.append(&mut log, &records(1, 2, 10)).unwrap();
            disk.fail_next(Call::Write, fault);
            let refused = ledger.append(&mut log, &records(2, 2, 10)).unwrap_err();
            assert!(matches!(&refused, AppendError::Write { .. }));
            assert_eq!(refused.to_string(), "00000000000000000001.log cannot be written");
            let mut random = Random(rounds);
            let crashed = disk.crash(&mut || random.flip());
            ledger.verify(&open(&crashed, small()).unwrap().records, &format_args!("{fault:?} {rounds}"));
        }
    }
}

/// The cut failed and yet happened. The next process saw a whole log, began another segment, and after a power loss the
/// refused frame was back, before records that did not continue it.
#[test]
fn a_cut_that_failed_is_made_durable_by_the_next_opening() {
    for rounds in 0..64 {
        let disk = FaultyDisk::new();
        let mut log = open(&disk, small()).unwrap().log;
        let mut ledger = Ledger::default();
        ledger.append(&mut log, &records(1, 2, 10)).unwrap();
        disk.fail_next(Call::Write, Fault::After);
        disk.fail_next(Call::Truncate, Fault::After);
        assert!(matches!(ledger.append(&mut log, &records(2, 2, 10)), Err(AppendError::Latched(_))));
        let opened = open(&disk, small()).unwrap();
        settle(&mut ledger, &opened.records);
        let mut log = opened.log;
        ledger.append(&mut log, &records(3, 2, 1000)).unwrap();
        let mut random = Random(rounds);
        let crashed = disk.crash(&mut || random.flip());
        ledger.verify(&open(&crashed, small()).unwrap().records, &rounds);
    }
}

fn call_name(call: Call) -> String {
    format!("{call:?}")
}

/// Appends a batch whose sync fails with nothing written, opens the log, and lets the power fail.
#[track_caller]
fn check_written_again(disk: &FaultyDisk, log: &mut SegmentLog<FaultyDisk>, batch: &[Vec<u8>]) {
    disk.fail_next(Call::Sync, Fault::Before);
    assert!(matches!(log.append(&crate::batch(batch)), Err(AppendError::Latched(_))));
    let seen = open(disk, small()).unwrap().records;
    assert!(seen.values().last() == batch.last());
    assert!(open(&disk.crash(&mut || false), small()).unwrap().records == seen);
}

#[test]
fn what_is_seen_after_a_failed_sync_is_written_again_whole() {
    let disk = FaultyDisk::new();
    let options = Options { segment_bytes: 4 << 20, frame_bytes: 4 << 20, batch_bytes: 4 << 20, ..small() };
    let mut log = open(&disk, options).unwrap().log;
    Ledger::default().append(&mut log, &records(1, 2, 10)).unwrap();
    check_written_again(&disk, &mut log, &[vec![7; 3 << 20]]);
}

/// The mark is not synced and may be of a segment before, with a larger offset than this one has.
#[test]
fn what_is_seen_after_a_failed_sync_is_written_again_whatever_the_mark_says() {
    let disk = FaultyDisk::new();
    let mut log = open(&disk, small()).unwrap().log;
    Ledger::default().append(&mut log, &records(1, 3, 80)).unwrap();
    let mark = disk.bytes("hwm").unwrap();
    log.rotate().unwrap();
    disk.change("hwm", |bytes| *bytes = mark);
    check_written_again(&disk, &mut log, &records(2, 1, 10));
}

/// The calls of an opening that write, after which the log is as it was.
fn writes_of_an_opening(disk: &FaultyDisk, options: Options) -> usize {
    let before = disk.calls().len();
    open(disk, options).unwrap();
    disk.calls()[before..].iter().filter(|call| **call == Call::Write).count()
}

#[test]
fn an_opening_writes_only_what_may_not_be_durable_again() {
    const MEBIBYTE: usize = 1 << 20;
    let options = Options { segment_bytes: 8 << 20, frame_bytes: 8 << 20, batch_bytes: 8 << 20, hwm_bytes: u64::MAX };
    let disk = FaultyDisk::new();
    let mut log = open(&disk, options).unwrap().log;
    let mut ledger = Ledger::default();
    ledger.append(&mut log, &[vec![1; 4 * MEBIBYTE]]).unwrap();
    ledger.append(&mut log, &[vec![2; 2 * MEBIBYTE + 1]]).unwrap();
    // The last append, a mebibyte at a time, and the mark. Then the mark says that it is durable.
    assert_eq!(writes_of_an_opening(&disk, options), 3 + 1);
    assert_eq!(writes_of_an_opening(&disk, options), 1);
    let mut log = open(&disk, options).unwrap().log;
    ledger.append(&mut log, &records(3, 1, 10)).unwrap();
    assert_eq!(writes_of_an_opening(&disk, options), 1 + 1);
    open(&disk, options).unwrap().log.close().unwrap();
    assert_eq!(writes_of_an_opening(&disk, options), 1);
}

/// Else it counts after a crash, and what memory forgot since it failed comes back.
#[test]
fn a_checkpoint_whose_renaming_failed_is_nowhere() {
    for fault in FAULTS {
        let disk = FaultyDisk::new();
        let mut log = open(&disk, small()).unwrap().log;
        assert_eq!(log.append(&batch(&records(1, 4, 40))).unwrap().last, Position(4));
        disk.fail_next(Call::Rename, fault);
        log.compact(Position(2), &mut |_, _| true).unwrap_err();
        assert!(log.healthy().is_ok());
        assert!(crate::names(&disk).iter().all(|name| !name.contains("checkpoint")), "{fault:?}: {:?}", crate::names(&disk));
        for keeps_all in [true, false] {
            let after = open(&disk.crash(&mut || keeps_all), small()).unwrap();
            assert_eq!((after.log.checkpoint_position(), after.records.len()), (None, 4), "{fault:?}");
        }
        disk.fail_next(Call::Rename, Fault::After);
        disk.fail_next(Call::Remove, Fault::Before);
        disk.fail_next(Call::Remove, Fault::Before);
        log.compact(Position(2), &mut |_, _| true).unwrap_err();
        assert!(log.healthy().is_err(), "nobody knows whether it is there");
    }
}
