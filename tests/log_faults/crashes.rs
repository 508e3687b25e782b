//! Power loss at every step: any subset of what was not synced is lost, also while a log recovers from the loss before.

use change_events::log::Options;
use change_events::log::Position;
use change_events::log::faulty::FaultyDisk;

use crate::Ledger;
use crate::Random;
use crate::full;
use crate::open;
use crate::records;
use crate::small;

/// The disk after each step of a log's life, and what had been asked and answered by then.
struct History {
    disks: Vec<FaultyDisk>,
    /// By the number of steps before.
    ledgers: Vec<(usize, Ledger)>,
}

impl History {
    fn at(&self, step: usize) -> &Ledger {
        let after = self.ledgers.partition_point(|(steps, _)| *steps <= step);
        &self.ledgers[after - 1].1
    }
}

/// Appends, rotations, checkpoints, removals, closings and openings.
fn history(options: Options) -> History {
    let disk = FaultyDisk::new();
    disk.record_history();
    let mut ledger = Ledger::default();
    let mut ledgers = vec![(0, Ledger::default())];
    for life in 0..3u64 {
        let mut log = open(&disk, options).unwrap().log;
        for number in life * 5..life * 5 + 5 {
            let records = records(number, 3, 300);
            // What may be there while the batch is on its way, and what must be there once it was answered.
            let mut asked = ledger.clone();
            asked.unknown = (log.last().0 + 1..).zip(records.iter().cloned()).collect();
            ledgers.push((disk.history_len(), asked));
            ledger.append(&mut log, &records).unwrap();
            ledgers.push((disk.history_len() - 1, ledger.clone()));
            if number % 4 == 3 {
                let upto = log.last().0 - 1;
                ledgers.push((disk.history_len(), Ledger { tried_checkpoint: upto, ..ledger.clone() }));
                ledger.compact(&mut log, upto).unwrap();
                ledgers.push((disk.history_len() - 1, ledger.clone()));
                log.remove_segments_below(Position(upto)).unwrap();
            }
        }
        if life == 1 {
            log.close().unwrap();
        }
    }
    History { disks: disk.history(), ledgers }
}

fn options() -> Options {
    Options { segment_bytes: 1800, ..small() }
}

/// Chooses what a crash keeps: nothing, everything, or a random part that differs in size.
fn crash(disk: &FaultyDisk, random: &mut Random, round: u64) -> FaultyDisk {
    let odds = random.below(8) + 1;
    disk.crash(&mut || match round {
        0 => false,
        1 => true,
        _ => random.below(9) < odds,
    })
}

#[test]
fn any_unsynced_writes_may_be_lost_at_any_step() {
    let history = history(options());
    let steps = history.disks.len();
    let states = if full() { 100_000 } else { 5_000 };
    let rounds = (states / steps + 1) as u64;
    let mut random = Random(1);
    for (step, disk) in history.disks.iter().enumerate() {
        let ledger = history.at(step);
        for round in 0..rounds {
            let context = format!("step {step}, crash {round}");
            let crashed = crash(disk, &mut random, round);
            let opened = open(&crashed, options()).unwrap_or_else(|error| panic!("{context}: {error:?}"));
            ledger.verify(&opened.records, &context);
            let is_left = |name: &String| name == "hwm" || matches!(name.split_once('.'), Some((_, "log" | "checkpoint")));
            assert!(crate::names(&crashed).iter().all(is_left), "{context}: {:?}", crate::names(&crashed));
            // What was seen once is not lost by another power loss, and the log goes on.
            let again = open(&crashed.crash(&mut || false), options()).unwrap();
            assert_eq!(again.records, opened.records, "{context}: seen, and lost");
            if round < 3 {
                let mut ledger = Ledger { acknowledged: opened.records, ..Ledger::default() };
                let mut log = opened.log;
                ledger.append(&mut log, &records(99, 2, 300)).unwrap();
                ledger.verify(&open(&crashed.crash(&mut || false), options()).unwrap().records, &context);
            }
        }
    }
}

/// A crash at every step of opening a log after a crash; the full figure: and at every step of opening it after that.
#[test]
fn a_crash_while_recovering_from_a_crash_loses_nothing() {
    let history = history(options());
    let mut random = Random(2);
    let depth = if full() { 2 } else { 1 };
    for (step, disk) in history.disks.iter().enumerate() {
        for round in 0..3 {
            let crashed = crash(disk, &mut random, round);
            recover_and_crash(&crashed, history.at(step), &mut random, depth, &format!("step {step}, crash {round}"));
        }
    }
}

fn recover_and_crash(disk: &FaultyDisk, ledger: &Ledger, random: &mut Random, depth: usize, context: &str) {
    let recovering = disk.fork();
    recovering.record_history();
    ledger.verify(&open(&recovering, options()).unwrap().records, &context);
    for (step, disk) in recovering.history().into_iter().enumerate() {
        let context = format!("{context}, step {step} of recovery");
        for round in 0..2 {
            let crashed = crash(&disk, random, round * 2);
            if depth > 1 {
                recover_and_crash(&crashed, ledger, random, depth - 1, &context);
            } else {
                ledger.verify(&open(&crashed, options()).unwrap().records, &context);
            }
        }
    }
}

#[test]
fn of_a_log_that_was_closed_all_is_durable() {
    let disk = FaultyDisk::new();
    let mut log = open(&disk, options()).unwrap().log;
    let mut ledger = Ledger::default();
    (0..6).for_each(|number| ledger.append(&mut log, &records(number, 3, 300)).unwrap());
    ledger.compact(&mut log, 9).unwrap();
    log.close().unwrap();
    let crashed = disk.crash(&mut || false);
    assert_eq!(crate::names(&crashed), crate::names(&disk));
    // But for the zeros that a segment had ahead, which are cut when the next one begins.
    let end = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    for name in crate::names(&disk) {
        let (crashed, bytes) = (crashed.bytes(&name).unwrap(), disk.bytes(&name).unwrap());
        assert_eq!(crashed[..end(&crashed)], bytes[..end(&bytes)], "{name}");
    }
    let opened = open(&crashed, options()).unwrap();
    assert!(opened.replayed.closed_cleanly);
    ledger.verify(&opened.records, &"closed");
}
