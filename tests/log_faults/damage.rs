//! Damage at rest: every bit, and every byte with every other value. Nothing is lost or wrong in silence.

use change_events::log::OpenError;
use change_events::log::Options;
use change_events::log::ReadError;
use change_events::log::faulty::FaultyDisk;

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
