//! Readers beside whoever appends: each sees what is durable, all of it, in order and once.

use std::thread;

use change_events::log::Disk;
use change_events::log::FollowError;
use change_events::log::FsDisk;
use change_events::log::LogReader;
use change_events::log::Position;
use change_events::log::ReadError;
use change_events::log::SegmentLog;
use change_events::log::faulty::FaultyDisk;

use crate::Ledger;
use crate::Records;
use crate::batch;
use crate::open;
use crate::records;
use crate::small;

/// What a reader visits at once. It refuses the frame of which `refuses` is a record, and visits nothing after it.
fn read<D: Disk>(reader: &mut LogReader<D>, refuses: Option<u64>) -> (Records, Result<(), FollowError>) {
    let mut found = Records::new();
    let outcome = reader.read(&mut |frame| {
        if frame.records().any(|(position, _)| Some(position.0) == refuses) {
            return Err("not now".into());
        }
        for (position, record) in frame.records() {
            assert!(found.keys().next_back().is_none_or(|last| *last < position.0), "{position} is out of order");
            found.insert(position.0, record.to_vec());
        }
        Ok(())
    });
    (found, outcome)
}

/// Readers of one log, whose places outlive it.
pub(crate) struct Readers {
    readers: Vec<LogReader<FaultyDisk>>,
}

impl Readers {
    pub(crate) fn of(log: &SegmentLog<FaultyDisk>) -> Self {
        Self { readers: (0..3).map(|_| log.reader(Position(1))).collect() }
    }

    /// The same of the log after it was opened again.
    pub(crate) fn reopened(&self, log: &SegmentLog<FaultyDisk>) -> Self {
        Self { readers: self.readers.iter().map(|reader| log.reader(reader.next())).collect() }
    }

    pub(crate) fn read(&mut self, which: usize, refuses: bool, ledger: &Ledger, segments: Option<&[Position]>) {
        let reader = &mut self.readers[which];
        let from = reader.next().0;
        let expected: Records = ledger.acknowledged.range(from..).map(|(position, record)| (*position, record.clone())).collect();
        let refusal = expected.keys().nth(expected.len() / 2).copied().filter(|_| refuses);
        let (found, outcome) = read(reader, refusal);
        match outcome {
            Ok(()) => assert_eq!(found, expected, "from {from}"),
            Err(FollowError::Removed { wanted, oldest }) => {
                assert!(wanted == reader.next() && wanted.0 <= ledger.tried_checkpoint, "{wanted} of {}", ledger.tried_checkpoint);
                assert!(segments.is_none_or(|segments| segments.iter().find(|first| **first > wanted) == Some(&oldest)), "{oldest}");
                assert!(found.iter().eq(expected.range(..wanted.0)), "from {from}");
                reader.seek(oldest);
            }
            Err(FollowError::Read(ReadError::Refused { .. })) => {
                assert!(refusal.is_some_and(|refused| reader.next().0 <= refused));
                assert!(found.iter().eq(expected.range(..reader.next().0)), "from {from}");
            }
            Err(FollowError::Read(ReadError::Io { .. })) => assert!(found.iter().eq(expected.range(..reader.next().0)), "from {from}"),
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[test]
fn a_reader_begins_and_goes_on_anywhere() {
    let disk = FaultyDisk::new();
    let mut log = open(&disk, small()).unwrap().log;
    let mut ledger = Ledger::default();
    let mut tail = log.reader(Position::default());
    assert_eq!(read(&mut tail, None).0.len(), 0);
    for number in 0..20 {
        ledger.append(&mut log, &records(number, 3, 60)).unwrap();
        let (found, outcome) = read(&mut tail, None);
        outcome.unwrap();
        assert_eq!(found.keys().copied().collect::<Vec<_>>(), [number * 3 + 1, number * 3 + 2, number * 3 + 3]);
    }
    assert!(log.segments().len() > 5);
    for from in 1..=61 {
        let (found, outcome) = read(&mut log.reader(Position(from)), None);
        outcome.unwrap();
        assert!(found.iter().eq(ledger.acknowledged.range(from..)), "from {from}");
    }
    let mut slow = log.reader(Position(1));
    ledger.compact(&mut log, 50).unwrap();
    log.remove_segments_below(Position(50)).unwrap();
    let oldest = log.segments()[0].first;
    let (_, outcome) = read(&mut slow, None);
    assert!(matches!(outcome, Err(FollowError::Removed { wanted: Position(1), oldest: said }) if said == oldest), "{outcome:?}");
    slow.seek(oldest);
    assert!(read(&mut slow, None).0.iter().eq(ledger.acknowledged.range(oldest.0..)));
    // What the log ends with when it is closed is no record.
    log.close().unwrap();
    assert_eq!(read(&mut tail, None).0.len(), 0);
}

#[test]
fn damage_is_said_and_not_passed_over() {
    let disk = FaultyDisk::new();
    let mut log = open(&disk, small()).unwrap().log;
    let mut ledger = Ledger::default();
    (0..9).for_each(|number| ledger.append(&mut log, &records(number, 2, 60)).unwrap());
    let name = crate::names(&disk).into_iter().find(|name| *name == "00000000000000000001.log").unwrap();
    let whole = disk.bytes(&name).unwrap();
    let damages: [fn(&mut [u8]); 4] =
        [|bytes| bytes[10] ^= 1, |bytes| bytes[100] ^= 1, |bytes| bytes[40..].fill(0), |bytes| bytes[200..].fill(0)];
    for damage in damages {
        disk.change(&name, |bytes| {
            bytes.clone_from(&whole);
            damage(bytes);
        });
        let (found, outcome) = read(&mut log.reader(Position(1)), None);
        assert!(matches!(outcome, Err(FollowError::Read(ReadError::Corrupt { .. }))), "{outcome:?}");
        assert!(found.iter().zip(&ledger.acknowledged).all(|(found, written)| found == written));
    }
}

#[test]
fn readers_follow_on_threads_of_their_own() {
    const BATCHES: u64 = 400;
    let home = tempfile::tempdir().unwrap();
    let options = change_events::log::Options { segment_bytes: 16 << 10, ..change_events::log::Options::default() };
    let (mut log, _) = SegmentLog::open(FsDisk::open(home.path()).unwrap(), options, &mut |_| Ok(())).unwrap();
    let readers: Vec<_> = (0..2).map(|_| log.reader(Position(1))).collect();
    thread::scope(|scope| {
        for mut reader in readers {
            scope.spawn(move || {
                let mut next = 1;
                while next <= BATCHES * 5 {
                    let (found, outcome) = read(&mut reader, None);
                    if let Err(FollowError::Removed { oldest, .. }) = outcome {
                        reader.seek(oldest);
                        next = oldest.0;
                        continue;
                    }
                    outcome.unwrap();
                    for (position, record) in found {
                        let expected = records((position - 1) / 5, 5, 200);
                        assert_eq!((position, &record), (next, &expected[usize::try_from((position - 1) % 5).unwrap()]));
                        next += 1;
                    }
                    thread::yield_now();
                }
            });
        }
        for number in 0..BATCHES {
            let _appended = log.append(&batch(&records(number, 5, 200))).unwrap();
            if number % 100 == 99 {
                let upto = Position(log.last().0 / 2);
                log.compact(upto, &mut |_, _| false).unwrap();
                log.remove_segments_below(upto).unwrap();
            }
        }
    });
}

/// A power loss may bring back one segment of those that were removed, and not the next. What is between stays removed.
#[test]
fn a_segment_that_came_back_is_no_damage() {
    for upto in [4, 5, 6] {
        let disk = FaultyDisk::new();
        let mut log = open(&disk, small()).unwrap().log;
        let mut ledger = Ledger::default();
        for number in 0..4 {
            ledger.append(&mut log, &records(number, 2, 60)).unwrap();
            log.rotate().unwrap();
        }
        ledger.compact(&mut log, upto).unwrap();
        let name = "00000000000000000001.log";
        let came_back = disk.bytes(name).unwrap();
        log.remove_segments_below(Position(5)).unwrap();
        disk.change(name, |bytes| *bytes = came_back);
        let log = open(&disk, small()).unwrap().log;
        let mut reader = log.reader(Position(1));
        let (found, outcome) = read(&mut reader, None);
        assert!(found.iter().eq(ledger.acknowledged.range(..3)));
        assert!(matches!(outcome, Err(FollowError::Removed { wanted: Position(3), oldest: Position(5) })), "{outcome:?}");
        reader.seek(Position(5));
        assert!(read(&mut reader, None).0.iter().eq(ledger.acknowledged.range(5..)));
        // Damage in it is none the less.
        disk.change(name, |bytes| bytes[70] ^= 1);
        let (found, outcome) = read(&mut log.reader(Position(1)), None);
        assert!(found.is_empty());
        assert!(matches!(outcome, Err(FollowError::Read(ReadError::Corrupt { .. }))), "{outcome:?}");
    }
}
