//! A log on a disk of whatever bytes: written by the program and then damaged, or forged from the beginning. Opening, checking and
//! repairing agree, and what opens is what was written or a beginning of it.

use std::collections::BTreeMap;

use change_events::log::Batch;
use change_events::log::Disk;
use change_events::log::OpenError;
use change_events::log::Options;
use change_events::log::Position;
use change_events::log::ReadError;
use change_events::log::Replayed;
use change_events::log::SegmentLog;
use change_events::log::check;
use change_events::log::faulty::FaultyDisk;
use change_events::log::repair;

use super::bytes::Bytes;
use super::forge::Forge;

/// Records by position.
type Records = BTreeMap<u64, Vec<u8>>;
/// The same as they were visited.
type Found = Vec<(u64, Vec<u8>)>;

const STEPS_MAX: usize = 24;
/// The number that forged files have in common.
const LOG_ID: u64 = 0x0706_0504_0302_0100;
const HWM: &str = "hwm";

pub(crate) fn run(input: &[u8]) {
    let mut input = Bytes::new(input);
    let how = input.byte();
    if how & 3 == 3 {
        forged(how, &mut input);
    } else {
        damaged(how, &mut input);
    }
}

/// What was written.
#[derive(Debug, Default)]
struct Written {
    all: Records,
    /// Without those that the checkpoint left out.
    left: Records,
    checkpoint: u64,
}

/// A checkpoint does not carry these.
fn is_dropped(position: u64) -> bool {
    position.is_multiple_of(3)
}

fn open(disk: &FaultyDisk, options: Options) -> Result<(SegmentLog<FaultyDisk>, Replayed, Found), OpenError> {
    let mut found = Vec::new();
    let (log, replayed) = SegmentLog::open(disk.clone(), options, &mut |frame| {
        found.extend(frame.records().map(|(position, record)| (position.0, record.to_vec())));
        Ok(())
    })?;
    assert_eq!(replayed.records, found.len() as u64);
    assert_eq!(replayed.last, log.last());
    Ok((log, replayed, found))
}

/// The program writes a log, and something befalls its files.
fn damaged(how: u8, input: &mut Bytes<'_>) {
    let segment_bytes = [180, 400, 1000, 400][usize::from(how >> 2 & 3)];
    let frame_bytes = if how & 0x10 == 0 { 4096 } else { 64 };
    let marks = how & 0x20 == 0;
    let options = Options { segment_bytes, frame_bytes, batch_bytes: 16384, hwm_bytes: if marks { 0 } else { u64::MAX } };
    let disk = FaultyDisk::new();
    let written = write(&disk, options, input);
    let mut touched = Vec::new();
    for _ in 0..input.below(4) {
        touched.extend(damage(&disk, input));
    }
    let opened = agree(&disk, options);
    if let Some((replayed, found)) = &opened {
        let found: Records = found.iter().cloned().collect();
        let whole = touched.is_empty() || marks && !touched.iter().any(|name| name == HWM);
        check_found(&written, &found, if whole { *written.all.keys().last().unwrap_or(&0) } else { replayed.last.0 });
        if touched.is_empty() {
            assert_eq!(found, written.left);
        }
    }
    let repaired = repaired(&disk, options, opened.as_ref()).unwrap_or_else(|error| panic!("no repair: {error}"));
    check_found(&written, &repaired, 0);
}

/// What was found was written, and nothing up to `last` is missing.
fn check_found(written: &Written, found: &Records, last: u64) {
    for (position, record) in found {
        assert_eq!(Some(record), written.all.get(position), "{position} was never written so");
    }
    let missing = written.left.range(..=last).find(|(position, _)| !found.contains_key(position));
    assert_eq!(missing, None, "lost without a word; found {:?}", found.keys().collect::<Vec<_>>());
}

fn write(disk: &FaultyDisk, options: Options, input: &mut Bytes<'_>) -> Written {
    let mut written = Written::default();
    let mut log = open(disk, options).unwrap().0;
    for _ in 0..input.below(STEPS_MAX) {
        match input.below(12) {
            0..7 => append(&mut log, &mut written, options, input),
            7 => log.rotate().unwrap(),
            8 | 9 => compact(&mut log, &mut written, input),
            10 => drop(log.remove_segments_below(Position(u64::MAX)).unwrap()),
            _ => {
                if input.flag() {
                    log.close().unwrap();
                }
                let (again, _, found) = open(disk, options).unwrap();
                assert_eq!(found.into_iter().collect::<Records>(), written.left);
                log = again;
            }
        }
    }
    if input.flag() {
        log.close().unwrap();
    }
    written
}

fn append(log: &mut SegmentLog<FaultyDisk>, written: &mut Written, options: Options, input: &mut Bytes<'_>) {
    let mut batch = Batch::new();
    for position in log.last().0 + 1..log.last().0 + 2 + input.below(5) as u64 {
        let mut record = position.to_string().into_bytes();
        record.extend(input.take(2));
        record.resize((record.len() + input.below(80)).min(options.frame_bytes - 4), b'c');
        batch.push(&record);
        written.all.insert(position, record.clone());
        written.left.insert(position, record);
    }
    assert_eq!(log.append(&batch).unwrap().last.0, *written.all.keys().last().unwrap());
}

fn compact(log: &mut SegmentLog<FaultyDisk>, written: &mut Written, input: &mut Bytes<'_>) {
    let upto = log.last().0.saturating_sub(input.below(6) as u64);
    if upto > written.checkpoint {
        log.compact(Position(upto), &mut |position, _| !is_dropped(position.0)).unwrap();
        written.checkpoint = upto;
        written.left.retain(|position, _| *position > upto || !is_dropped(*position));
    }
}

/// Something befalls a file; the names of those that are not as they were.
fn damage(disk: &FaultyDisk, input: &mut Bytes<'_>) -> Option<String> {
    let names = disk.list().unwrap();
    let name = names.get(input.below(names.len()))?.clone();
    let before = disk.bytes(&name)?;
    let at = input.place(before.len());
    let length = input.below(100);
    let end = (at + length).min(before.len());
    let how = input.below(8);
    if how == 4 {
        disk.lose(&name);
        return Some(name);
    }
    let other = if how == 5 { disk.bytes(&names[input.below(names.len())])? } else { Vec::new() };
    let from = input.place(other.len());
    let bytes = match how {
        5 => &other[from..(from + length).min(other.len())],
        6 => input.take(length),
        _ => &[input.byte()],
    };
    disk.change(&name, |all| match how {
        0 | 1 => all.get_mut(at).into_iter().for_each(|byte| *byte ^= bytes[0]),
        2 => all[at..end].fill(0),
        3 => all.truncate(at),
        5 => drop(all.splice(at..(at + bytes.len()).min(before.len()), bytes.iter().copied())),
        6 => drop(all.splice(at..at, bytes.iter().copied())),
        _ => drop(all.drain(at..end)),
    });
    (disk.bytes(&name).as_ref() != Some(&before)).then_some(name)
}

/// Whether the log can be opened, as checking it says; what is in it.
fn agree(disk: &FaultyDisk, options: Options) -> Option<(Replayed, Found)> {
    let report = check(disk);
    let opened = open(&disk.fork(), options);
    match (&report, &opened) {
        (Ok(report), Ok((_, replayed, _))) => {
            let passed_over = report.problems.iter().all(|problem| problem.path.ends_with(".checkpoint"));
            assert!(passed_over, "it opens with {:?}", report.problems);
            assert!(replayed.damaged_checkpoint.is_none() || !report.problems.is_empty(), "{:?}", replayed.damaged_checkpoint);
            assert_eq!((report.last, report.lost), (replayed.last, replayed.lost));
            // A log that is not there yet is as good as closed.
            let closed = replayed.closed_cleanly && !report.segments.is_empty();
            assert_eq!((report.torn_bytes, report.closed_cleanly), (replayed.torn_bytes, closed));
        }
        (Ok(report), Err(error)) => assert!(!report.problems.is_empty(), "nothing is wrong, but it does not open: {error}"),
        (Err(error), Ok(_)) => panic!("it opens, and cannot be checked: {error}"),
        (Err(_), Err(_)) => {}
    }
    opened.ok().map(|(_, replayed, found)| (replayed, found))
}

/// The records of the log when it was repaired, which then is well and can be appended to.
fn repaired(disk: &FaultyDisk, options: Options, opened: Option<&(Replayed, Found)>) -> Result<Records, String> {
    let before = check(disk).map_err(|error| error.to_string())?;
    let done = repair(disk).map_err(|error| format!("{error:?}"))?;
    assert_eq!(done.problems, before.problems);
    let after = check(disk).map_err(|error| format!("{error:?}"))?;
    assert_eq!(after.problems, [], "after the repair of {:?}", before.problems);
    assert_eq!(repair(disk).map_err(|error| format!("{error:?}"))?.set_aside.len(), 0, "repaired twice");
    let (mut log, replayed, found) = open(disk, options).map_err(|error| format!("{error:?}"))?;
    assert_eq!(replayed.lost, after.lost);
    if let Some((before, had)) = opened.filter(|(replayed, _)| replayed.damaged_checkpoint.is_none()) {
        assert_eq!((before.last, had), (replayed.last, &found), "a log that opens lost by its repair");
    }
    let mut batch = Batch::new();
    batch.push(b"more");
    let last = log.append(&batch).map_err(|error| format!("{error:?}"))?.last;
    drop(log);
    let (_, replayed, mut more) = open(disk, options).map_err(|error| format!("{error:?}"))?;
    assert_eq!((replayed.last, more.pop()), (last, Some((last.0, b"more".to_vec()))));
    assert_eq!(more, found);
    Ok(found.into_iter().collect())
}

/// Files that nobody wrote, most of them with right checksums.
fn forged(how: u8, input: &mut Bytes<'_>) {
    let options = Options { segment_bytes: 400, frame_bytes: 4096, batch_bytes: 16384, hwm_bytes: 0 };
    let forge = Forge { log_id: LOG_ID, chained: how & 4 == 0, filled: how & 8 == 0 };
    let disk = FaultyDisk::new();
    for _ in 0..=input.below(4) {
        let position = match input.byte() {
            255 => u64::MAX,
            254 => u64::MAX - 1,
            small => u64::from(small % 8),
        };
        let kind = input.below(8);
        let name = match kind {
            0..4 => format!("{position:020}.log"),
            4 | 5 => format!("{position:020}.checkpoint"),
            6 => HWM.to_owned(),
            _ => format!("{position:020}.log.tmp"),
        };
        let length = input.wide() % 600;
        let mut bytes = input.take(length).to_vec();
        if how & 0x10 == 0 {
            forge.file(&name, &mut bytes);
        }
        disk.change(&name, |all| *all = bytes);
    }
    let opened = agree_forged(&disk, options);
    // What it says of positions may be impossible, and then it is not repaired; but nothing panics.
    drop(repaired_forged(&disk, options, opened));
}

fn agree_forged(disk: &FaultyDisk, options: Options) -> bool {
    let report = check(disk);
    match (report, open(&disk.fork(), options)) {
        (Ok(report), Err(error)) => {
            assert!(!report.problems.is_empty() || !is_damage(&error), "nothing is wrong, but it does not open: {error}");
            false
        }
        (_, opened) => opened.is_ok(),
    }
}

fn is_damage(error: &OpenError) -> bool {
    matches!(error, OpenError::Read(ReadError::Corrupt { .. }))
}

fn repaired_forged(disk: &FaultyDisk, options: Options, opens: bool) -> Result<(), String> {
    let done = repair(disk).map_err(|error| format!("{error:?}"))?;
    assert!(!opens || done.lost == 0 || !done.problems.is_empty());
    drop(check(disk));
    let (mut log, _, _) = open(disk, options).map_err(|error| format!("{error:?}"))?;
    let mut batch = Batch::new();
    batch.push(b"more");
    log.append(&batch).map(drop).map_err(|error| format!("{error:?}"))
}
