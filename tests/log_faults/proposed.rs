//! The log as the writer sees it, which knows only the seam: on one machine's disk, proposing commits.

use change_events::log::AppendError;
use change_events::log::Committed;
use change_events::log::Log;
use change_events::log::Position;
use change_events::log::faulty::Call;
use change_events::log::faulty::Fault;
use change_events::log::faulty::FaultyDisk;

use crate::batch;
use crate::names;
use crate::open;
use crate::records;
use crate::small;

/// Proposes two records after `last`, which are committed at once.
fn propose(log: &mut impl Log, last: u64) {
    assert_eq!(log.propose(&batch(&records(last, 2, 20))).unwrap(), Position(last + 2));
    assert!(matches!(log.committed(), Ok(Some(Committed::Own(appended))) if appended.last == Position(last + 2) && appended.bytes > 0));
    assert!(matches!(log.committed(), Ok(None)));
    assert_eq!(log.last(), Position(last + 2));
}

fn live(mut log: impl Log) {
    assert_eq!((log.last(), log.checkpoint_position(), log.record_bytes_max()), (Position(0), None, 4092));
    assert!(matches!(log.committed(), Ok(None)));
    for last in [0, 2] {
        propose(&mut log, last);
        log.rotate().unwrap();
    }
    propose(&mut log, 4);
    let firsts: Vec<_> = log.segments().iter().map(|segment| segment.first.0).collect();
    assert_eq!(firsts, [1, 3, 5]);
    let mut compaction = log.begin_compaction(Position(4)).unwrap();
    while !log.compact_step(&mut compaction, &mut |position, _| position == Position(3)).unwrap() {}
    assert_eq!(log.checkpoint_position(), Some(Position(4)));
    assert_eq!(log.remove_segments_below(Position(5)).unwrap().segments, 2);
    assert_eq!(log.segments().len(), 1);
    log.healthy().unwrap();
    log.close().unwrap();
}

#[test]
fn what_is_proposed_to_one_disk_is_committed() {
    let disk = FaultyDisk::new();
    live(open(&disk, small()).unwrap().log);
    assert_eq!(names(&disk), ["00000000000000000004.checkpoint", "00000000000000000005.log", "hwm"]);
    let opened = open(&disk, small()).unwrap();
    assert!(opened.replayed.closed_cleanly);
    assert_eq!(opened.records.into_keys().collect::<Vec<_>>(), [3, 5, 6]);
}

fn fail(disk: &FaultyDisk, mut log: impl Log) {
    disk.fail_next(Call::Sync, Fault::Before);
    assert!(matches!(log.propose(&batch(&records(1, 2, 20))), Err(AppendError::Latched(_))));
    assert!(matches!(log.committed(), Ok(None)));
    assert!(log.healthy().is_err() && log.rotate().is_err() && log.close().is_err());
}

#[test]
fn what_could_not_be_synced_is_not_committed() {
    let disk = FaultyDisk::new();
    let log = open(&disk, small()).unwrap().log;
    fail(&disk, log);
}
