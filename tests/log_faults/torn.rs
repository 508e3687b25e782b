//! Files that are shorter than they were, and a last write of which only some sectors reached the disk.

use change_events::log::OpenError;
use change_events::log::Options;
use change_events::log::ReadError;
use change_events::log::faulty::FaultyDisk;
use change_events::log::faulty::SECTOR_BYTES;

use crate::Ledger;
use crate::Records;
use crate::full;
use crate::lagging;
use crate::names;
use crate::open;
use crate::records;
use crate::sample;
use crate::small;

/// Cuts each file at each length.
fn cut_everywhere(options: Options) -> (usize, usize) {
    let (disk, expected) = sample(options, true);
    let (mut noticed, mut shorter) = (0, 0);
    for name in names(&disk) {
        let len = disk.bytes(&name).unwrap().len();
        for cut in 0..len {
            let damaged = disk.fork();
            damaged.change(&name, |bytes| bytes.truncate(cut));
            match open(&damaged, options) {
                Err(OpenError::Read(ReadError::Corrupt { .. })) => noticed += 1,
                Err(error) => panic!("{name} cut at {cut}: {error:?}"),
                Ok(opened) => {
                    let prefix = expected.iter().take(opened.records.len());
                    assert!(opened.records.iter().eq(prefix), "{name} cut at {cut}: not a prefix");
                    let left = opened.records.len();
                    let batches = expected.len() - left;
                    assert!(batches.is_multiple_of(2), "{name} cut at {cut}: half a batch");
                    shorter += usize::from(batches > 0);
                }
            }
        }
    }
    (noticed, shorter)
}

#[test]
fn a_file_cut_anywhere_gives_an_exact_prefix_or_is_noticed() {
    let (noticed, shorter) = cut_everywhere(small());
    assert!(noticed > 700 && shorter == 0, "{noticed} {shorter}");
    let (noticed, shorter) = cut_everywhere(lagging());
    assert!(noticed > 500 && shorter > 100, "{noticed} {shorter}");
}

/// What a sector holds that was lost.
#[derive(Clone, Copy, Debug)]
enum Fill {
    Zero,
    Ones,
    /// What an older segment had at the same place, as when the file system gave its room to this one.
    Stale,
}

/// A log whose last batch was written and not yet acknowledged: the disk, what was acknowledged before, the batch, the
/// segment, and where in it the batch begins.
fn with_last_batch(options: Options, count: usize) -> (FaultyDisk, Ledger, String, usize) {
    let disk = FaultyDisk::new();
    let mut log = open(&disk, options).unwrap().log;
    let mut ledger = Ledger::default();
    // Whole frames, each further on in its segment than the last batch begins in the next one.
    for number in 0..80 {
        ledger.append(&mut log, &records(10 + number, 1, 60)).unwrap();
    }
    log.rotate().unwrap();
    ledger.append(&mut log, &records(2, 4, 100)).unwrap();
    let mut acknowledged = ledger.clone();
    let name = names(&disk).into_iter().rfind(|name| name.contains(".log")).unwrap();
    let begin = disk.bytes(&name).unwrap().iter().rposition(|byte| *byte != 0).unwrap() + 1;
    ledger.append(&mut log, &records(3, count, 100)).unwrap();
    acknowledged.unknown = ledger
        .acknowledged
        .iter()
        .filter(|(at, _)| !acknowledged.acknowledged.contains_key(at))
        .map(|(at, record)| (*at, record.clone()))
        .collect();
    (disk, acknowledged, name, begin)
}

/// Loses each subset of the sectors that the last batch touches.
fn lose_sectors(options: Options, count: usize, fill: Fill, whole_batches: bool) {
    let (disk, ledger, name, begin) = with_last_batch(options, count);
    let written = disk.bytes(&name).unwrap();
    let end = written.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let older = disk.bytes("00000000000000000001.log").unwrap();
    let sectors: Vec<usize> = (begin / SECTOR_BYTES..=(end - 1) / SECTOR_BYTES).collect();
    assert!((4..=14).contains(&sectors.len()), "{}", sectors.len());
    for lost in 1u32..1 << sectors.len() {
        let damaged = disk.fork();
        damaged.change(&name, |bytes| {
            for (_, sector) in sectors.iter().enumerate().filter(|(bit, _)| lost & (1 << bit) != 0) {
                let from = (sector * SECTOR_BYTES).max(begin);
                let to = ((sector + 1) * SECTOR_BYTES).min(bytes.len());
                for (at, byte) in bytes.iter_mut().enumerate().take(to).skip(from) {
                    *byte = match fill {
                        Fill::Zero => 0,
                        Fill::Ones => 0xff,
                        Fill::Stale => older.get(at).copied().unwrap_or(0),
                    };
                }
            }
        });
        let opened = open(&damaged, options).unwrap();
        let mut ledger = ledger.clone();
        if !whole_batches {
            let found: Records = std::mem::take(&mut ledger.unknown);
            ledger.unknown = found.into_iter().filter(|(at, _)| opened.records.contains_key(at)).collect();
        }
        ledger.verify(&opened.records, &format_args!("{fill:?} {lost:b}"));
        assert!(opened.records.len() < ledger.acknowledged.len() + count, "{fill:?} {lost:b}: nothing was lost");
        // What is left can be opened once more, and appended to.
        let mut log = opened.log;
        ledger.unknown = opened.records;
        let next = records(4, 2, 50);
        ledger.append(&mut log, &next).unwrap();
        let again = open(&damaged, options).unwrap();
        assert_eq!(again.replayed.torn_bytes, 0, "{fill:?} {lost:b}");
        assert!(again.records.values().rev().take(2).eq(next.iter().rev()), "{fill:?} {lost:b}");
    }
}

#[test]
fn any_lost_sectors_of_the_last_batch_leave_what_was_acknowledged() {
    let count = if full() { 90 } else { 40 };
    let options = Options { segment_bytes: 16384, frame_bytes: 8192, ..lagging() };
    for fill in [Fill::Zero, Fill::Ones, Fill::Stale] {
        lose_sectors(options, count, fill, true);
    }
}

#[test]
fn any_lost_sectors_of_a_batch_of_several_frames_leave_what_was_acknowledged() {
    let options = Options { segment_bytes: 16384, frame_bytes: 512, ..lagging() };
    for fill in [Fill::Zero, Fill::Ones, Fill::Stale] {
        lose_sectors(options, 40, fill, false);
    }
}
