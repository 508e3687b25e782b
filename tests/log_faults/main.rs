//! The log against everything that a disk can do to it: damage, full disks, failing calls, crashes.
//! Each test runs a slice that takes seconds; `CHANGE_EVENTS_FULL=1` runs the full figure.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a failed helper fails its test"
)]

mod behaviour;
mod crashes;
mod damage;
mod figures;
mod format;
mod io_errors;
mod model;
mod proposed;
mod reader;
mod repair;
mod reserve;
mod space;
#[path = "../support/splitmix.rs"]
mod splitmix;
mod torn;

use std::collections::BTreeMap;

use change_events::log::AppendError;
use change_events::log::Batch;
use change_events::log::CheckpointError;
use change_events::log::OpenError;
use change_events::log::Options;
use change_events::log::Position;
use change_events::log::Replayed;
use change_events::log::SegmentLog;
use change_events::log::faulty::FaultyDisk;

/// Records by position.
type Records = BTreeMap<u64, Vec<u8>>;

fn full() -> bool {
    std::env::var_os("CHANGE_EVENTS_FULL").is_some_and(|value| value == "1")
}

/// Small files, so that every byte can be tried.
fn small() -> Options {
    Options { segment_bytes: 400, frame_bytes: 4096, batch_bytes: 16384, hwm_bytes: 0 }
}

/// A log whose high-water mark is only written when a segment begins.
fn lagging() -> Options {
    Options { hwm_bytes: u64::MAX, ..small() }
}

struct Opened {
    log: SegmentLog<FaultyDisk>,
    records: Records,
    replayed: Replayed,
}

fn open(disk: &FaultyDisk, options: Options) -> Result<Opened, OpenError> {
    let mut records = Records::new();
    let (log, replayed) = SegmentLog::open(disk.clone(), options, &mut |frame| {
        for (position, record) in frame.records() {
            let before = records.insert(position.0, record.to_vec());
            assert_eq!(before, None, "{position} was visited twice");
            assert_eq!(records.keys().next_back(), Some(&position.0), "{position} is out of order");
        }
        Ok(())
    })?;
    assert_eq!(replayed.records, records.len() as u64);
    assert_eq!(replayed.last, log.last());
    Ok(Opened { log, records, replayed })
}

fn batch(records: &[Vec<u8>]) -> Batch {
    let mut batch = Batch::new();
    for record in records {
        batch.push(record);
    }
    batch
}

/// Records of a batch: `count` of them, each different from any other, of lengths from 0 to about `size`.
fn records(batch: u64, count: usize, size: usize) -> Vec<Vec<u8>> {
    let mut random = Random(batch + 1);
    let record = |index: usize| {
        let mut record = format!("{batch}.{index} chgR").into_bytes();
        let len = random.below(size as u64 + 1) as usize;
        record.resize_with(len, || random.next().to_le_bytes()[0]);
        record
    };
    (0..count).map(record).collect()
}

/// A small generator of numbers: the same seed, the same numbers.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        splitmix::next(&mut self.0)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn flip(&mut self) -> bool {
        self.next() & 1 == 0
    }
}

/// What was asked of a log, and what it answered.
#[derive(Clone, Default)]
struct Ledger {
    acknowledged: Records,
    /// The batch whose outcome is not known: asked for and not answered, or answered by a latched log.
    unknown: Records,
    /// Position that an acknowledged checkpoint stands for.
    checkpoint: u64,
    /// The same of a checkpoint whose outcome is not known.
    tried_checkpoint: u64,
}

/// A checkpoint of the tests does not carry these.
fn is_dropped(position: u64) -> bool {
    position.is_multiple_of(3)
}

impl Ledger {
    /// Asks for a batch. Answers whether the log can go on.
    fn append(&mut self, log: &mut SegmentLog<FaultyDisk>, records: &[Vec<u8>]) -> Result<(), AppendError> {
        let first = log.last().0 + 1;
        let numbered: Records = (first..).zip(records.iter().cloned()).collect();
        self.unknown.clone_from(&numbered);
        let outcome = log.append(&batch(records));
        match &outcome {
            Ok(appended) => {
                assert_eq!(appended.last.0, first + records.len() as u64 - 1);
                self.acknowledged.extend(std::mem::take(&mut self.unknown));
            }
            Err(AppendError::Latched(_)) => {}
            Err(_) => self.unknown.clear(),
        }
        outcome.map(drop)
    }

    fn compact(&mut self, log: &mut SegmentLog<FaultyDisk>, upto: u64) -> Result<(), CheckpointError> {
        self.tried_checkpoint = upto.max(self.tried_checkpoint);
        log.compact(Position(upto), &mut |position, _| !is_dropped(position.0))?;
        self.checkpoint = upto;
        Ok(())
    }

    /// Compares what a log gave back with what it had promised.
    #[track_caller]
    fn verify(&self, found: &Records, context: &dyn std::fmt::Display) {
        for (position, record) in &self.acknowledged {
            let dropped = is_dropped(*position);
            if dropped && *position <= self.checkpoint {
                assert!(!found.contains_key(position), "{context}: {position} came back");
            } else if !dropped || *position > self.tried_checkpoint {
                assert_eq!(found.get(position), Some(record), "{context}: {position} is lost or changed");
            }
        }
        for (position, record) in found {
            let asked = self.acknowledged.get(position).or(self.unknown.get(position));
            assert_eq!(Some(record), asked, "{context}: {position} was never written");
        }
        let unknown = self.unknown.keys().filter(|position| found.contains_key(position)).count();
        assert!(unknown == 0 || unknown == self.unknown.len(), "{context}: half a batch");
    }
}

/// A log of three segments after a checkpoint, with another checkpoint before, and what it holds.
fn sample(options: Options, remove: bool) -> (FaultyDisk, Records) {
    let disk = FaultyDisk::new();
    let mut log = open(&disk, options).unwrap().log;
    let mut ledger = Ledger::default();
    let mut number = 0;
    let mut append = |log: &mut SegmentLog<FaultyDisk>, ledger: &mut Ledger, batches: usize| {
        for _ in 0..batches {
            number += 1;
            // As large as the options allow, to try also the smallest log.
            ledger.append(log, &records(number, 2, (options.segment_bytes / 16) as usize)).unwrap();
        }
    };
    append(&mut log, &mut ledger, 2);
    ledger.compact(&mut log, 3).unwrap();
    append(&mut log, &mut ledger, 1);
    log.rotate().unwrap();
    append(&mut log, &mut ledger, 2);
    ledger.compact(&mut log, 8).unwrap();
    if remove {
        assert!(log.remove_segments_below(Position(u64::MAX)).unwrap().segments > 0);
    }
    log.rotate().unwrap();
    append(&mut log, &mut ledger, 2);
    log.rotate().unwrap();
    append(&mut log, &mut ledger, 3);
    let expected: Records = ledger.acknowledged.into_iter().filter(|(position, _)| *position > 8 || !is_dropped(*position)).collect();
    drop(log);
    (disk, expected)
}

/// The names of all files of a disk.
fn names(disk: &FaultyDisk) -> Vec<String> {
    change_events::log::Disk::list(disk).unwrap()
}
