//! Damage at rest: every bit, and every byte with every other value. Nothing is lost or wrong in silence.

use change_events::log::OpenError;
use change_events::log::Options;
use change_events::log::Position;
use change_events::log::ReadError;
use change_events::log::faulty::FaultyDisk;
use change_events::log::repair;

use crate::Records;
use crate::full;
use crate::is_dropped;
use crate::lagging;
use crate::names;
use crate::open;
use crate::sample;
use crate::small;

/// How logs with one damage opened.
#[derive(Debug, Default)]
struct Outcomes {
    noticed: usize,
    harmless: usize,
    /// The older checkpoint stood in; so records came back that only the damaged one would have left out.
    fallen_back: usize,
    /// Looks like a write that was never acknowledged. Only possible in the last frame, when the mark is behind.
    torn: usize,
}

impl Outcomes {
    #[track_caller]
    fn count(&mut self, disk: &FaultyDisk, options: Options, expected: &Records, context: &dyn std::fmt::Display) {
        let opened = match open(disk, options) {
            Ok(opened) => opened,
            Err(OpenError::Read(ReadError::Corrupt { file, .. })) => {
                assert!(!file.is_empty());
                self.noticed += 1;
                return;
            }
            Err(error) => panic!("{context}: {error:?}"),
        };
        let mut found = opened.records;
        if let Some(ReadError::Corrupt { file, .. }) = &opened.replayed.damaged_checkpoint {
            assert!(context.to_string().starts_with(file));
            found.retain(|position, _| !is_dropped(*position) || expected.contains_key(position));
            self.fallen_back += 1;
        } else if found == *expected {
            self.harmless += 1;
        } else {
            let last_batch = expected.keys().nth_back(1).unwrap();
            found.extend(expected.range(last_batch..).map(|(at, record)| (*at, record.clone())));
            assert!(opened.replayed.torn_bytes > 0, "{context}: not counted");
            self.torn += 1;
        }
        assert_eq!(found, *expected, "{context}: silent loss");
    }

    fn add(mut self, other: &Self) -> Self {
        self.noticed += other.noticed;
        self.harmless += other.harmless;
        self.fallen_back += other.fallen_back;
        self.torn += other.torn;
        self
    }
}

/// Opens the sample once for each way to damage one byte, on two threads.
fn damage_each_byte(options: Options, remove: bool, masks: &[u8]) -> Outcomes {
    let (disk, expected) = sample(options, remove);
    let is_hole = |name: &str, offset: usize| !full() && name == "hwm" && (52..512).contains(&offset);
    let damage = |parity: usize| {
        let mut outcomes = Outcomes::default();
        for name in names(&disk) {
            let bytes = disk.bytes(&name).unwrap();
            for (offset, byte) in bytes.iter().enumerate().filter(|(offset, _)| offset % 2 == parity) {
                if is_hole(&name, offset) {
                    continue;
                }
                for mask in masks {
                    let damaged = disk.fork();
                    damaged.change(&name, |bytes| bytes[offset] = byte ^ mask);
                    outcomes.count(&damaged, options, &expected, &format_args!("{name} at {offset} ^ {mask:#x}"));
                }
            }
        }
        outcomes
    };
    std::thread::scope(|scope| {
        let odd = scope.spawn(|| damage(1));
        damage(0).add(&odd.join().unwrap())
    })
}

fn bits() -> Vec<u8> {
    (0..8).map(|bit| 1 << bit).collect()
}

#[test]
fn every_flipped_bit_is_noticed_or_harmless() {
    let outcomes = damage_each_byte(small(), true, &bits());
    assert!(outcomes.torn == 0 && outcomes.fallen_back == 0, "{outcomes:?}");
    assert!(outcomes.noticed > 5000, "{outcomes:?}");
}

#[test]
fn every_flipped_bit_is_noticed_when_an_older_checkpoint_can_stand_in() {
    let outcomes = damage_each_byte(small(), false, &bits());
    assert!(outcomes.torn == 0 && outcomes.fallen_back > 1000, "{outcomes:?}");
    assert!(outcomes.noticed > 4000, "{outcomes:?}");
}

#[test]
fn every_flipped_bit_is_noticed_when_the_mark_is_behind() {
    let outcomes = damage_each_byte(lagging(), true, &bits());
    assert!(outcomes.torn > 0 && outcomes.noticed > 5000, "{outcomes:?}");
}

#[test]
fn every_changed_byte_is_noticed_or_harmless() {
    // The slice has smaller records and less room behind them.
    let options = if full() { small() } else { Options { segment_bytes: 180, frame_bytes: 64, ..small() } };
    let masks: Vec<u8> = (1..=255).collect();
    let outcomes = damage_each_byte(options, true, &masks);
    assert!(outcomes.torn == 0 && outcomes.fallen_back == 0, "{outcomes:?}");
    assert!(outcomes.noticed > 100_000, "{outcomes:?}");
}

/// A footer holds nothing, but it was durable, and what was durable is not torn.
#[test]
fn a_changed_footer_is_noticed() {
    let (disk, expected) = sample(small(), true);
    let opened = open(&disk, small()).unwrap();
    opened.log.close().unwrap();
    let name = names(&disk).into_iter().rfind(|name| name.contains(".log")).unwrap();
    let end = disk.bytes(&name).unwrap().iter().rposition(|byte| *byte != 0).unwrap() + 1;
    assert_eq!(open(&disk.fork(), small()).unwrap().records, expected);
    for offset in end - 40..end {
        let damaged = disk.fork();
        damaged.change(&name, |bytes| bytes[offset] ^= 1);
        assert!(matches!(open(&damaged, small()), Err(OpenError::Read(ReadError::Corrupt { .. }))), "{offset}");
    }
}

/// Files, or parts of files, from a copy of the same log that went another way.
#[test]
fn two_histories_of_one_log_do_not_mix() {
    let base = FaultyDisk::new();
    drop(open(&base, small()).unwrap());
    let live = |letter: u8| {
        let disk = base.fork();
        let mut log = open(&disk, small()).unwrap().log;
        for number in 0..6 {
            if number == 2 || number == 4 {
                log.rotate().unwrap();
            }
            assert!(log.append(&crate::batch(&[vec![letter; 20]])).is_ok());
        }
        disk
    };
    let (ours, theirs) = (live(b'a'), live(b'b'));
    let segments = ["00000000000000000001.log", "00000000000000000003.log", "00000000000000000005.log"];
    assert_eq!(names(&ours).into_iter().filter(|name| name.contains(".log")).collect::<Vec<_>>(), segments);
    for name in segments {
        // The whole file; its second frame; both frames but not the header.
        for from in [0, 40 + 40 + 24, 40] {
            let mixed = ours.fork();
            let foreign = theirs.bytes(name).unwrap();
            if foreign[from..] == ours.bytes(name).unwrap()[from..] {
                continue;
            }
            mixed.change(name, |bytes| bytes[from..].copy_from_slice(&foreign[from..]));
            let opened = open(&mixed, small());
            assert!(matches!(opened, Err(OpenError::Read(ReadError::Corrupt { .. }))), "{name} from {from}");
        }
    }
}

/// Any file that is left says that there was a log.
#[test]
fn a_log_whose_segments_are_all_gone_is_not_begun_anew() {
    let (disk, _) = sample(small(), true);
    let is_segment = |name: &String| name.contains(".log");
    let is_checkpoint = |name: &String| name.contains(".checkpoint");
    for lost in [&[][..], &["hwm"], &[".checkpoint"]] {
        let damaged = disk.fork();
        let is_lost = |name: &String| is_segment(name) || lost.iter().any(|lost| name.contains(lost));
        names(&disk).iter().filter(|name| is_lost(name)).for_each(|name| damaged.lose(name));
        let before = names(&damaged);
        let opened = open(&damaged, small());
        assert!(matches!(opened, Err(OpenError::Read(ReadError::Corrupt { .. }))), "{before:?}");
        assert_eq!(names(&damaged), before);
    }
    names(&disk).iter().filter(|name| is_segment(name) || is_checkpoint(name) || *name == "hwm").for_each(|name| disk.lose(name));
    assert!(open(&disk, small()).unwrap().records.is_empty());
}

#[test]
fn an_older_checkpoint_stands_in_where_the_segments_after_it_are_there() {
    for oldest in [1, 3, 5] {
        let disk = FaultyDisk::new();
        let mut log = open(&disk, small()).unwrap().log;
        let mut ledger = crate::Ledger::default();
        for number in 0..3 {
            ledger.append(&mut log, &crate::records(number, 2, 20)).unwrap();
            log.rotate().unwrap();
        }
        let all = &mut |_: Position, _: &[u8]| true;
        log.compact(Position(2), all).unwrap();
        log.compact(Position(4), all).unwrap();
        log.remove_segments_below(Position(oldest)).unwrap();
        assert_eq!(log.segments()[0].first, Position(oldest));
        disk.change("00000000000000000004.checkpoint", |bytes| bytes[60] ^= 1);
        match open(&disk.fork(), small()) {
            Ok(opened) => {
                assert!(oldest <= 3, "records between the checkpoint and the segments are missing");
                assert_eq!((opened.records, opened.replayed.checkpoint), (ledger.acknowledged.clone(), Some(Position(2))));
                assert!(opened.replayed.damaged_checkpoint.is_some());
            }
            Err(error) => assert!(oldest == 5 && matches!(error, OpenError::Read(ReadError::Corrupt { .. })), "{error:?}"),
        }
        // A repair does the same and loses nothing that way. Without the segments it saves what the newer one still has.
        let repaired = disk.fork();
        let done = repair(&repaired).unwrap();
        let opened = open(&repaired, small()).unwrap();
        let upto = if oldest == 5 { 4 } else { 2 };
        assert_eq!((opened.replayed.checkpoint, opened.records.len() as u64), (Some(Position(upto)), 6 - done.lost_carried));
        assert_eq!(done.lost_carried > 0, oldest == 5);
        // Without any checkpoint only all segments do.
        disk.change("00000000000000000002.checkpoint", |bytes| bytes[60] ^= 1);
        assert_eq!(open(&disk.fork(), small()).is_ok(), oldest == 1);
        let done = repair(&disk).unwrap();
        let opened = open(&disk, small()).unwrap();
        assert_eq!((opened.replayed.checkpoint, done.lost_carried > 0), ((oldest > 1).then_some(Position(4)), oldest > 1));
    }
}
