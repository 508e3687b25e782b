//! Any sequence of operations, crashes and faults among them, against a plain map.

use change_events::log::OpenError;
use change_events::log::Position;
use change_events::log::ReadError;
use change_events::log::faulty::Call;
use change_events::log::faulty::Fault;
use change_events::log::faulty::FaultyDisk;
use proptest::prelude::*;

use crate::Ledger;
use crate::Random;
use crate::full;
use crate::open;
use crate::reader::Readers;
use crate::records;
use crate::small;

#[derive(Clone, Copy, Debug)]
enum Operation {
    Append {
        count: usize,
        size: usize,
    },
    Rotate,
    Compact {
        share: u64,
    },
    Remove,
    Read {
        which: usize,
        refuses: bool,
    },
    Close,
    /// The faults that are due stay due, so that the opening may fail too.
    Kill,
    PowerLoss {
        seed: u64,
    },
    FailNext {
        call: Call,
        fault: Fault,
    },
    Fill {
        room: usize,
    },
    Heal,
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation::*;
    let call = prop::sample::select(vec![
        Call::List,
        Call::Create,
        Call::Open,
        Call::Rename,
        Call::Remove,
        Call::SyncDir,
        Call::Len,
        Call::Read,
        Call::Write,
        Call::Sync,
        Call::Truncate,
        Call::Allocate,
    ]);
    let fault = prop::sample::select(vec![Fault::Before, Fault::Halfway, Fault::After]);
    prop_oneof![
        12 => (1..6usize, 0..400usize).prop_map(|(count, size)| Append { count, size }),
        1 => Just(Rotate),
        1 => (0..=100u64).prop_map(|share| Compact { share }),
        1 => Just(Remove),
        4 => (0..3usize, any::<bool>()).prop_map(|(which, refuses)| Read { which, refuses }),
        1 => Just(Close),
        2 => Just(Kill),
        1 => any::<u64>().prop_map(|seed| PowerLoss { seed }),
        2 => (call, fault).prop_map(|(call, fault)| FailNext { call, fault }),
        1 => (0..1500usize).prop_map(|room| Fill { room }),
        1 => Just(Heal),
    ]
}

/// Opens a log that has been left in whatever way, and compares it with what was promised.
fn reopen(disk: &FaultyDisk, ledger: &mut Ledger, step: usize) -> change_events::log::SegmentLog<FaultyDisk> {
    // A call that fails is no reason to take the log for damaged.
    let opened = open(disk, small()).or_else(|error| {
        if matches!(error, OpenError::Read(ReadError::Corrupt { .. })) {
            return Err(error);
        }
        disk.heal();
        open(disk, small())
    });
    let opened = opened.unwrap_or_else(|error| panic!("step {step}: {error:?}"));
    ledger.verify(&opened.records, &format_args!("step {step}"));
    let unknown = std::mem::take(&mut ledger.unknown);
    ledger.acknowledged.extend(unknown.into_iter().filter(|(at, _)| opened.records.contains_key(at)));
    opened.log
}

fn run(operations: &[Operation]) {
    let mut disk = FaultyDisk::new();
    let mut ledger = Ledger::default();
    let mut log = reopen(&disk, &mut ledger, 0);
    let mut readers = Readers::of(&log);
    for (step, operation) in operations.iter().enumerate() {
        match *operation {
            Operation::Append { count, size } => {
                if log.healthy().is_err() {
                    log = reopen(&disk, &mut ledger, step);
                    readers = readers.reopened(&log);
                }
                drop(ledger.append(&mut log, &records(step as u64, count, size)));
            }
            Operation::Rotate => drop(log.rotate()),
            Operation::Compact { share } => {
                let upto = log.last().0 * share / 100;
                drop(ledger.compact(&mut log, upto));
            }
            Operation::Remove => drop(log.remove_segments_below(Position(u64::MAX))),
            Operation::Close => {
                drop(log.close());
                log = reopen(&disk, &mut ledger, step);
                readers = readers.reopened(&log);
            }
            Operation::Read { which, refuses } => {
                let segments = log.segments().iter().map(|segment| segment.first).collect::<Vec<_>>();
                readers.read(which, refuses, &ledger, Some(&segments));
            }
            Operation::Kill => {
                log = reopen(&disk, &mut ledger, step);
                readers = readers.reopened(&log);
            }
            Operation::PowerLoss { seed } => {
                let mut random = Random(seed);
                disk = disk.crash(&mut || random.flip());
                log = reopen(&disk, &mut ledger, step);
                readers = readers.reopened(&log);
            }
            Operation::FailNext { call, fault } => disk.fail_next(call, fault),
            Operation::Fill { room } => disk.set_capacity(Some(disk.used() + room)),
            Operation::Heal => disk.heal(),
        }
    }
    reopen(&disk, &mut ledger, operations.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if full() { 20_000 } else { 1_000 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_log_is_a_map_that_survives(operations in prop::collection::vec(operation(), 1..70)) {
        run(&operations);
    }
}
