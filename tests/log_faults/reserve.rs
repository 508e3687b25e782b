//! What is kept back of the room: with none left, and none for another file, what is old goes all the same, and nothing that was
//! acknowledged is lost, whenever the power fails or a call does.

use change_events::log::AppendError;
use change_events::log::Options;
use change_events::log::Position;
use change_events::log::SegmentInfo;
use change_events::log::SegmentLog;
use change_events::log::faulty::Fault;
use change_events::log::faulty::FaultyDisk;

use crate::Ledger;
use crate::Random;
use crate::open;
use crate::records;

fn options() -> Options {
    Options { segment_bytes: 2000, frame_bytes: 4096, batch_bytes: 16384, hwm_bytes: 0 }
}

/// A log of some segments that kept something back while there was room.
fn filled(ledger: &mut Ledger) -> (FaultyDisk, SegmentLog<FaultyDisk>) {
    let disk = FaultyDisk::new();
    let mut log = open(&disk, options()).unwrap().log;
    for number in 0..100 {
        ledger.append(&mut log, &records(number, 3, 60)).unwrap();
        log.keep_reserve(0, 0);
    }
    assert!(log.segments().len() > 3, "{:?}", log.segments());
    (disk, log)
}

/// What retention does: it may have what is kept back, and nobody else may. The segment that went, if one did.
fn forget_oldest(log: &mut SegmentLog<FaultyDisk>, ledger: &mut Ledger, number: u64, keep: Option<Keep>) -> Option<SegmentInfo> {
    log.make_way();
    log.open_reserve(true);
    let retired = ledger.append(log, &records(number, 1, 20)).is_ok();
    log.open_reserve(false);
    if log.segments().len() == 1 {
        log.rotate().ok()?;
    }
    let oldest = log.segments()[0].clone();
    match keep {
        Some(keep) => log.compact(oldest.last, &mut |position, _| keep(position)).ok()?,
        None => ledger.compact(log, oldest.last.0).ok()?,
    }
    let removed = log.remove_segments_below(Position(oldest.last.0 + 1)).ok()?;
    (retired && removed.segments == 1).then_some(oldest)
}

type Keep = fn(Position) -> bool;

/// Little of it is carried on.
fn is_open(position: Position) -> bool {
    position.0.is_multiple_of(10)
}

fn take_room(disk: &FaultyDisk) {
    disk.set_capacity(Some(disk.used()));
}

fn take_files(disk: &FaultyDisk) {
    disk.set_files(Some(crate::names(disk).len()));
}

/// Somebody else takes what there is, and whatever comes free.
fn check_goes(take: &dyn Fn(&FaultyDisk), is_full: bool) {
    let mut ledger = Ledger::default();
    let (disk, mut log) = filled(&mut ledger);
    take(&disk);
    // What the last segment has ahead is taken first.
    let mut number = 1000;
    while is_full && ledger.append(&mut log, &records(number, 1, 0)).is_ok() {
        number += 1;
    }
    let kept_back = log.room().unwrap().reserve_bytes;
    for round in 0..5 {
        let gone = forget_oldest(&mut log, &mut ledger, 200 + round, Some(is_open));
        let Some(gone) = gone else {
            panic!("round {round}: none of {:?}, {kept_back} bytes were kept back, {:?}", log.segments(), log.room());
        };
        log.keep_reserve(0, 0);
        take(&disk);
        ledger.acknowledged.retain(|position, _| *position > gone.last.0 || is_open(Position(*position)));
        assert_eq!(open(&disk.fork(), options()).unwrap().records, ledger.acknowledged, "with no room");
    }
    disk.heal();
    ledger.append(&mut log, &records(300, 2, 60)).unwrap();
    assert_eq!(open(&disk, options()).unwrap().records, ledger.acknowledged, "with room again");
}

#[test]
fn what_is_old_goes_without_room_and_without_another_file() {
    check_goes(&take_room, true);
    check_goes(&take_files, false);
    let take_all = |disk: &FaultyDisk| {
        take_room(disk);
        take_files(disk);
    };
    check_goes(&take_all, true);
}

#[test]
fn nobody_else_has_what_is_kept_back() {
    let mut ledger = Ledger::default();
    let (disk, mut log) = filled(&mut ledger);
    let kept_back = log.room().unwrap().reserve_bytes;
    take_room(&disk);
    let refused = loop {
        if let Err(error) = ledger.append(&mut log, &records(500, 1, 10)) {
            break error;
        }
    };
    assert!(matches!(refused, AppendError::DiskFull { .. }), "{refused:?}");
    assert!(kept_back > 2500 && log.room().unwrap().reserve_bytes == kept_back, "{kept_back} {:?}", log.room());
    // What was too much for the room that the last segment has ahead left it as it was.
    let (disk, mut log) = filled(&mut Ledger::default());
    take_room(&disk);
    let ahead = log.segments().last().unwrap().bytes;
    assert!(log.append(&crate::batch(&[vec![1; 3000]])).is_err());
    assert_eq!(log.segments().last().unwrap().bytes, ahead);
}

/// The power fails at any moment while room is made.
#[test]
fn a_full_disk_that_crashes_while_room_is_made_loses_nothing() {
    let mut ledger = Ledger::default();
    let (disk, mut log) = filled(&mut ledger);
    take_room(&disk);
    while ledger.append(&mut log, &records(100, 1, 0)).is_ok() {}
    disk.record_history();
    // Either may be there: what was asked for, and what was answered.
    let mut between = ledger.clone();
    assert!(forget_oldest(&mut log, &mut ledger, 200, None).is_some());
    log.keep_reserve(0, 0);
    (between.tried_checkpoint, between.unknown) = (ledger.tried_checkpoint, ledger.acknowledged.clone());
    between.unknown.retain(|position, _| !between.acknowledged.contains_key(position));
    let (mut random, states) = (Random(7), disk.history());
    assert!(states.len() > 10);
    for (number, state) in states.into_iter().enumerate() {
        for keep in 0..6 {
            let crashed = state.crash(&mut || match keep {
                0 => false,
                1 => true,
                _ => random.flip(),
            });
            let mut opened = open(&crashed, options()).unwrap();
            between.verify(&opened.records, &format_args!("{number}, crash {keep}"));
            // It goes on, with what is kept back by then, and with what is written into that.
            opened.log.keep_reserve(0, 0);
            assert!(opened.log.append(&crate::batch(&records(400, 2, 60))).is_ok());
            opened.log.compact(opened.log.last(), &mut |_, _| true).unwrap();
            let again = open(&crashed, options()).unwrap().records;
            assert!(opened.records.iter().all(|(position, record)| again.get(position) == Some(record)), "{number}, crash {keep}");
        }
    }
}

/// Any call fails while room is made.
#[test]
fn a_full_disk_that_fails_while_room_is_made_loses_nothing() {
    let mut random = Random(8);
    let (mut call, mut took_again) = (0, 0);
    loop {
        let mut ledger = Ledger::default();
        let (disk, mut log) = filled(&mut ledger);
        take_room(&disk);
        while ledger.append(&mut log, &records(100, 1, 0)).is_ok() {}
        let (begun, before) = (disk.calls().len(), log.room().unwrap().reserve_bytes);
        disk.fail_call(begun + call, [Fault::Before, Fault::Halfway, Fault::After][call % 3]);
        let done = forget_oldest(&mut log, &mut ledger, 200, None).is_some();
        log.keep_reserve(0, 0);
        if disk.calls().len() <= begun + call {
            break;
        }
        if !done {
            ledger.checkpoint = 0;
        }
        let killed = disk.fork();
        killed.heal();
        ledger.verify(&open(&killed, options()).unwrap().records, &format_args!("call {call} fails"));
        ledger.verify(
            &open(&disk.crash(&mut || random.flip()), options()).unwrap().records,
            &format_args!("call {call} fails, and the power"),
        );
        let kept_back = log.room().unwrap().reserve_bytes;
        if !done && log.healthy().is_ok() && kept_back >= before {
            // The next time it goes.
            took_again += 1;
            take_room(&disk);
            assert!(forget_oldest(&mut log, &mut ledger, 210, None).is_some(), "call {call}: {:?}", log.room());
        }
        call += 1;
    }
    assert!(took_again > 2, "{took_again}");
}
