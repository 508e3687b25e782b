//! Opening: the log is read, decoded and folded into memory, each on a thread of its own.

use super::Memory;
use super::commit::fold;
use super::retention::Marks;
use super::steady::SteadyTime;
use crate::event::Command;
use crate::event::EdgeId;
use crate::event::Settings;
use crate::event::record::Decoder;
use crate::event::record::RecordError;
use crate::log::Disk;
use crate::log::Frame;
use crate::log::Log;
use crate::log::OpenError;
use crate::log::Position;
use crate::log::Replayed;
use crate::log::SegmentLog;
use crate::log::VisitError;
use crate::time::Timestamp;
use std::sync::mpsc;

/// Decoded frames that may wait to be applied.
const FRAMES_WAITING: usize = 4;

/// A log that was read into memory.
#[derive(Debug)]
pub struct Opened<D: Disk> {
    pub(super) log: SegmentLog<D>,
    pub(super) marks: Marks,
    pub(super) received: Timestamp,
    pub(super) steady: SteadyTime,
    /// It has settings.
    pub(super) settled: bool,
    /// It has records of the first format.
    pub(super) former: bool,
    /// Up to where its records were retired, as far as it says.
    pub(super) retired: Position,
    /// What the log says of the reading.
    pub replayed: Replayed,
}

impl<D: Disk> Opened<D> {
    /// When the last record was received; [`Timestamp::MIN`] when there is none.
    pub fn received(&self) -> Timestamp {
        self.received
    }
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

/// Why the log was not folded into memory.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It cannot be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The fold panicked, so memory is not what the log says. The log itself is as it was written.
    #[error("the events of the log cannot be brought into memory: this program has a fault")]
    Panicked,
}

/// Opens the log and folds all of it into `memory`, which must be empty.
pub fn open<D: Disk>(disk: D, options: crate::log::Options, memory: &Memory) -> Result<Opened<D>, ReplayError> {
    memory.begin(memory.store.configured_skew());
    let mut reading = Reading::default();
    let mut opened = None;
    let folded = reading.fold(memory, |visit| {
        opened = Some(SegmentLog::open(disk, options, visit)?);
        Ok::<(), OpenError>(())
    });
    folded?;
    let Some((log, replayed)) = opened else { return Err(ReplayError::Panicked) };
    if let Some(skew) = reading.settings.map(|settings| settings.skew).filter(|skew| *skew != memory.store.skew()) {
        // The log was begun by a program that did not write this down first, and then with another flag: again, with its own.
        memory.begin(skew);
        reading = Reading::default();
        reading.fold(memory, |visit| log.replay(Position::default(), visit).map_err(OpenError::Read))?;
    }
    let Reading { marks, last, steady, settings, former, retired, .. } = reading;
    Ok(Opened { log, marks, received: last, steady, settled: settings.is_some(), former, retired, replayed })
}

/// What reading a log finds beside what it folds.
#[derive(Debug)]
struct Reading {
    decoder: Decoder,
    marks: Marks,
    last: Timestamp,
    steady: SteadyTime,
    /// The first record that no checkpoint carried, and when it was received.
    uncarried: Option<(Position, Timestamp)>,
    settings: Option<Settings>,
    former: bool,
    retired: Position,
    /// Something is folded already.
    folds: bool,
}

impl Default for Reading {
    fn default() -> Self {
        let (decoder, marks, steady, uncarried, settings, former, retired, folds) = Default::default();
        Self { decoder, marks, last: Timestamp::MIN, steady, uncarried, settings, former, retired, folds }
    }
}

impl Reading {
    /// Reads with `read` on this thread, and folds on another.
    fn fold(
        &mut self,
        memory: &Memory,
        read: impl FnOnce(&mut dyn FnMut(Frame) -> Result<(), VisitError>) -> Result<(), OpenError>,
    ) -> Result<(), ReplayError> {
        let (sender, receiver) = mpsc::sync_channel::<Vec<(Timestamp, Command, EdgeId)>>(FRAMES_WAITING);
        std::thread::scope(|scope| {
            let applier = scope.spawn(move || {
                let mut outcomes = Vec::new();
                for commands in receiver {
                    fold(memory, commands.iter().map(|(received, command, id)| (*received, command, *id)), &mut outcomes);
                    outcomes.clear();
                }
            });
            let read = read(&mut |frame| {
                let commands = self.decode(&frame, memory)?;
                sender.send(commands).map_err(|_| "the memory took no more".into())
            });
            drop(sender);
            applier.join().map_err(|_| ReplayError::Panicked)?;
            Ok(read?)
        })
    }

    fn decode(&mut self, frame: &Frame, memory: &Memory) -> Result<Vec<(Timestamp, Command, EdgeId)>, VisitError> {
        let mut commands = Vec::with_capacity(frame.len());
        for (position, bytes) in frame.records() {
            let (at, command) = self.decoder.decode(bytes).map_err(|source| RefusedRecord { position, source })?;
            self.last = self.last.max(at);
            self.marks.note(position, self.last);
            self.steady.fold(self.last, &command);
            self.former |= self.decoder.read_former();
            if let (Command::Settings(settings), None) = (&command, self.settings) {
                self.settings = Some(*settings);
                if !self.folds && settings.skew != memory.store.skew() {
                    memory.begin(settings.skew);
                }
            }
            if let Command::Retire { upto, .. } = command {
                self.retired = self.retired.max(Position(upto));
            }
            if !frame.is_carried() {
                self.uncarried.get_or_insert((position, at));
            }
            let id = command.edge_id();
            // What was folded by another skew is thrown away.
            if self.settings.is_none_or(|settings| settings.skew == memory.store.skew()) && !self.is_done(&command) {
                self.folds = true;
                commands.push((at, command, id));
            }
        }
        Ok(commands)
    }

    /// Whether this is a retirement of records that only the checkpoint still has: what it carries are those that stayed, and
    /// for some of them that was because of others, which went later. The checkpoints of the first format carried more, and
    /// left it to its retirements.
    fn is_done(&self, command: &Command) -> bool {
        let Command::Retire { before, upto } = command else { return false };
        let Some((position, received)) = self.uncarried else { return false };
        if *upto > 0 { *upto < position.0 } else { self.settings.is_some() && *before < received }
    }
}
