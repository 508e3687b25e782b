//! The format as ARCHITECTURE.md has it, read here by its offsets alone, and the logs that earlier versions wrote.

use std::path::Path;

use change_events::log::Options;
use change_events::log::Position;
use change_events::log::faulty::FaultyDisk;

use crate::Ledger;
use crate::Records;
use crate::names;
use crate::open;
use crate::records;
use crate::sample;
use crate::small;

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(bytes[offset..offset + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(bytes[offset..offset + 8].try_into().unwrap())
}

/// Reads a segment or checkpoint as the page says; answers its records and the kinds of its frames.
fn read(name: &str, bytes: &[u8], log_id: u64) -> (Records, String) {
    let is_segment = name.contains(".log");
    assert_eq!(&bytes[..8], if is_segment { b"chgsegm\n" } else { b"chgckpt\n" });
    assert_eq!((u32_at(bytes, 8), u32_at(bytes, 12), u64_at(bytes, 16)), (1, 0, log_id));
    assert!(name.starts_with(&format!("{:020}.", u64_at(bytes, 24))));
    assert_eq!(u32_at(bytes, 36), crc32c::crc32c(&bytes[..36]));
    let begin = crc32c::crc32c_append(crc32c::crc32c(&bytes[16..24]), &bytes[24..32]);
    let (mut at, mut previous, mut found, mut kinds) = (40, u32_at(bytes, 36), Records::new(), String::new());
    let mut next = if is_segment { u64_at(bytes, 24) } else { 0 };
    while at < bytes.len() && bytes[at] != 0 {
        let frame = &bytes[at..];
        let payload = &frame[40..40 + u32_at(frame, 4) as usize];
        assert_eq!((&frame[..3], u64_at(frame, 8), u32_at(frame, 20)), (&b"chg"[..], next, previous));
        assert_eq!(u64_at(frame, 24), if is_segment { at as u64 } else { 0 });
        assert_eq!(u32_at(frame, 32), crc32c::crc32c(payload));
        assert_eq!(u32_at(frame, 36), crc32c::crc32c_append(begin, &frame[..36]));
        let mut rest = payload;
        for index in 0..u64::from(u32_at(frame, 16)) {
            let mut position = next + index;
            if frame[3] == b'C' {
                position = u64_at(rest, 0);
                rest = &rest[8..];
            }
            let (record, tail) = rest[4..].split_at(u32_at(rest, 0) as usize);
            found.insert(position, record.to_vec());
            rest = tail;
        }
        assert!(rest.is_empty());
        kinds.push(char::from(frame[3]));
        (at, previous, next) = (at + 40 + payload.len(), u32_at(frame, 36), next + u64::from(u32_at(frame, 16)));
    }
    assert!(bytes[at..].iter().all(|byte| *byte == 0));
    (found, kinds)
}

#[test]
fn files_are_as_the_architecture_page_says() {
    let disk = FaultyDisk::new();
    let mut log = open(&disk, small()).unwrap().log;
    let mut ledger = Ledger::default();
    for number in 0..3 {
        ledger.append(&mut log, &records(number, 2, 20)).unwrap();
    }
    log.compact(Position(4), &mut |position, _| position.0 != 3).unwrap();
    log.compact(Position(5), &mut |_, _| false).unwrap();
    log.rotate().unwrap();
    ledger.append(&mut log, &records(3, 2, 20)).unwrap();
    log.close().unwrap();
    let log_id = u64_at(&disk.bytes("00000000000000000001.log").unwrap(), 16);
    let read = |name: &str| read(name, &disk.bytes(name).unwrap(), log_id);
    let all = &ledger.acknowledged;
    let range = |from, to| all.range(from..=to).map(|(at, record)| (*at, record.clone())).collect::<Records>();
    assert_eq!(read("00000000000000000001.log"), (range(1, 6), "RRR".to_owned()));
    assert_eq!(read("00000000000000000007.log"), (range(7, 8), "RF".to_owned()));
    let mut carried = range(1, 4);
    carried.remove(&3);
    assert_eq!(read("00000000000000000004.checkpoint"), (carried, "CF".to_owned()));
    assert_eq!(read("00000000000000000005.checkpoint"), (Records::new(), "F".to_owned()));
    let hwm = disk.bytes("hwm").unwrap();
    let slots = [&hwm[..52], &hwm[512..564]];
    let newest = slots.iter().max_by_key(|slot| u64_at(slot, 8)).unwrap();
    assert_eq!(&newest[..8], b"chghwm1\n");
    let last = disk.bytes("00000000000000000007.log").unwrap();
    let end = last.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1;
    assert_eq!([16, 24, 32, 40].map(|offset| u64_at(newest, offset)), [log_id, 7, end, 9]);
    assert_eq!(u32_at(newest, 48), crc32c::crc32c(&newest[..48]));
}

#[test]
fn a_mark_is_written_when_so_much_was_appended() {
    let disk = FaultyDisk::new();
    let options = Options { segment_bytes: 8000, hwm_bytes: 500, ..small() };
    let mut log = open(&disk, options).unwrap().log;
    let mut marked = Vec::new();
    for number in 0..12 {
        let before = disk.bytes("hwm");
        // A frame of 200 bytes.
        Ledger::default().append(&mut log, &[vec![number; 156]]).unwrap();
        marked.extend((disk.bytes("hwm") != before).then_some(number));
    }
    assert_eq!(marked, [2, 5, 8, 11]);
}

/// The logs in `tests/fixtures` were written by the version that their name says. To add one for a new format, run with
/// `CHANGE_EVENTS_WRITE_FIXTURE=<directory>`.
#[test]
fn logs_of_earlier_versions_are_read() {
    let (disk, expected) = sample(small(), true);
    if let Some(directory) = std::env::var_os("CHANGE_EVENTS_WRITE_FIXTURE") {
        std::fs::create_dir_all(&directory).unwrap();
        for name in names(&disk) {
            std::fs::write(Path::new(&directory).join(&name), disk.bytes(&name).unwrap()).unwrap();
        }
    }
    for version in ["log-format-1"] {
        let disk = FaultyDisk::new();
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(version);
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let bytes = std::fs::read(entry.path()).unwrap();
            disk.change(entry.file_name().to_str().unwrap(), |file| *file = bytes);
        }
        let opened = open(&disk, small()).unwrap();
        assert_eq!(opened.records, expected, "{version}");
        assert_eq!((opened.replayed.torn_bytes, opened.replayed.checkpoint), (0, Some(Position(8))), "{version}");
    }
}
