//! Opening: the log is read, decoded and folded into memory, each on a thread of its own.

use super::Memory;
use super::commit::fold;
use super::retention::Marks;
use crate::event::Command;
use crate::event::record::Decoder;
use crate::event::record::RecordError;
use crate::log::Disk;
use crate::log::Frame;
use crate::log::OpenError;
use crate::log::Position;
use crate::log::Replayed;
use crate::log::SegmentLog;
use crate::time::Timestamp;
use std::sync::mpsc;

/// Decoded frames that may wait to be applied.
const FRAMES_WAITING: usize = 16;

/// A log that was read into memory.
#[derive(Debug)]
pub struct Opened<D: Disk> {
    pub(super) log: SegmentLog<D>,
    pub(super) marks: Marks,
    pub(super) received: Timestamp,
    /// What the log says of the reading.
    pub replayed: Replayed,
}

/// Why a record of the log is not understood.
#[derive(Debug, thiserror::Error)]
#[error("record {position}")]
pub struct RefusedRecord {
    /// Its place in the log.
    pub position: Position,
    /// What is wrong with it.
    #[source]
    pub source: RecordError,
}

/// Records that are as they were written, and say nothing that this program understands.
#[derive(Debug, Default)]
pub struct Unread {
    decoder: Decoder,
    /// How many there are.
    pub count: u64,
    /// The first of them.
    pub first: Option<RefusedRecord>,
}

impl Unread {
    /// Tries to read the records of a frame.
    pub fn look_at(&mut self, frame: &Frame) {
        for (position, bytes) in frame.records() {
            if let Err(source) = self.decoder.decode(bytes) {
                self.count += 1;
                self.first.get_or_insert(RefusedRecord { position, source });
            }
        }
    }
}

/// Opens the log and folds all of it into `memory`, which must be empty.
pub fn open<D: Disk>(disk: D, options: crate::log::Options, memory: &Memory) -> Result<Opened<D>, OpenError> {
    let (sender, receiver) = mpsc::sync_channel::<Vec<(Timestamp, Command)>>(FRAMES_WAITING);
    std::thread::scope(|scope| {
        let applier = scope.spawn(move || {
            let mut outcomes = Vec::new();
            for commands in receiver {
                fold(memory, commands.iter().map(|(received, command)| (*received, command)), &mut outcomes);
                outcomes.clear();
            }
        });
        let mut decoder = Decoder::default();
        let mut marks = Marks::default();
        let mut last = Timestamp::MIN;
        let opened = SegmentLog::open(disk, options, &mut |frame: Frame| {
            let mut commands = Vec::with_capacity(frame.len());
            for (position, bytes) in frame.records() {
                let (at, command) = decoder.decode(bytes).map_err(|source| RefusedRecord { position, source })?;
                last = last.max(at);
                marks.note(position, last);
                commands.push((at, command));
            }
            sender.send(commands).map_err(|_| "the memory took no more".into())
        });
        drop(sender);
        if applier.join().is_err() {
            tracing::error!("folding the log panicked");
        }
        let (log, replayed) = opened?;
        Ok(Opened { log, marks, received: last, replayed })
    })
}
