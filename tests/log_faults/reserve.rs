//! What is kept back of the room: with none left, and none for another file, what is old goes all the same, and nothing that was
//! acknowledged is lost, whenever the power fails or a call does.

use change_events::log::AppendError;
use change_events::log::Options;
use change_events::log::Position;
use change_events::log::SegmentLog;
use change_events::log::faulty::FaultyDisk;

use crate::Ledger;
use crate::Random;
use crate::open;
use crate::records;

/// A segment has less than what is kept back for one.
fn options() -> Options {
    Options { segment_bytes: 2000, frame_bytes: 4096, batch_bytes: 16384, hwm_bytes: 0 }
}

/// A log of some segments that kept something back while there was room.
fn filled(ledger: &mut Ledger) -> (FaultyDisk, SegmentLog<FaultyDisk>) {
    let disk = FaultyDisk::new();
    let mut log = open(&disk, options()).unwrap().log;
    for number in 0..40 {
        ledger.append(&mut log, &records(number, 3, 60)).unwrap();
        log.keep_reserve();
    }
    assert!(log.segments().len() > 3, "{:?}", log.segments());
    (disk, log)
}

/// What retention does: it may have what is kept back, and nobody else may.
fn forget_oldest(log: &mut SegmentLog<FaultyDisk>, ledger: &mut Ledger, number: u64) -> bool {
    log.open_reserve(true);
    let retired = ledger.append(log, &records(number, 1, 20)).is_ok();
    log.open_reserve(false);
    let oldest = log.segments()[0].last;
    if !retired || log.segments().len() == 1 && log.rotate().is_err() || ledger.compact(log, oldest.0).is_err() {
        return false;
    }
    log.remove_segments_below(Position(oldest.0 + 1)).unwrap().segments == 1
}

/// Somebody else takes what room there is, to the last byte, and whatever comes free.
fn check_goes(take_room: impl Fn(&FaultyDisk)) {
    let mut ledger = Ledger::default();
    let (disk, mut log) = filled(&mut ledger);
    take_room(&disk);
    // What the last segment has ahead is taken first.
    while ledger.append(&mut log, &records(100, 1, 0)).is_ok() {}
    assert!(matches!(ledger.append(&mut log, &records(100, 1, 0)), Err(AppendError::DiskFull { .. })));
    while log.segments().len() > 2 {
        let before = log.segments().len();
        assert!(forget_oldest(&mut log, &mut ledger, 200), "{:?}", log.room());
        assert_eq!(log.segments().len(), before - 1 + usize::from(log.room().unwrap().reserve_bytes == 0 && before == 0));
        log.keep_reserve();
        take_room(&disk);
    }
    ledger.verify(&open(&disk.fork(), options()).unwrap().records, &"with no room");
    disk.heal();
    ledger.append(&mut log, &records(300, 2, 60)).unwrap();
    ledger.verify(&open(&disk, options()).unwrap().records, &"with room again");
}
