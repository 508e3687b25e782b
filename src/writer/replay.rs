//! Opening: the log is read and decoded on one thread, and folded into memory on another.

use super::apply::fold;
use super::course::Course;
use super::course::Decoded;
use super::course::RefusedRecord;
use super::memory::Memory;
use super::opened::Opened;
use super::state::State;
use crate::event::record::Decoder;
use crate::log::Disk;
use crate::log::Frame;
use crate::log::OpenError;
use crate::log::Position;
use crate::log::SegmentLog;
use crate::log::VisitError;
use crate::log::id_of;
use std::sync::mpsc;

/// Pieces of decoded frames that may wait to be applied.
const PIECES_WAITING: usize = 4;

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
pub fn open<D: Disk>(disk: D, options: crate::log::Options, memory: &Memory) -> Result<Opened<SegmentLog<D>>, ReplayError> {
    if let Some(id) = id_of(&disk)? {
        memory.store.seed(id);
    }
    memory.begin(memory.store.configured_skew());
    let mut course = Course::default();
    let mut opened = None;
    fold_read(&mut course, memory, |visit| {
        opened = Some(SegmentLog::open(disk, options, visit)?);
        Ok::<(), OpenError>(())
    })?;
    let Some((log, replayed)) = opened else { return Err(ReplayError::Panicked) };
    if replayed.records == 0 {
        memory.store.seed(log.id());
    }
    if let Some(settings) = course.settings.filter(|_| !course.fits(memory)) {
        // The log was begun by a program that did not write this down first, and then with another flag: again, with its own.
        memory.begin(settings.skew);
        course = Course::default();
        fold_read(&mut course, memory, |visit| log.replay(Position::default(), visit).map_err(OpenError::Read))?;
    }
    Ok(Opened { log, state: State { memory: memory.clone(), course }, replayed })
}

/// Reads with `read` on this thread, and folds on another, where there can be one.
fn fold_read(
    course: &mut Course,
    memory: &Memory,
    read: impl FnOnce(&mut dyn FnMut(Frame) -> Result<(), VisitError>) -> Result<(), OpenError>,
) -> Result<(), ReplayError> {
    let (sender, receiver) = mpsc::sync_channel::<Vec<Decoded>>(PIECES_WAITING);
    // Lists go back and forth: a new one for each piece would be memory that the system has to clear first.
    let (emptied, empty) = mpsc::channel();
    std::thread::scope(|scope| {
        let applier = std::thread::Builder::new().name("replay".into());
        let applier = applier.spawn_scoped(scope, move || {
            for mut records in receiver {
                fold(memory, &records, |_, _| {});
                records.clear();
                // Where nobody takes it, nothing more is read.
                drop(emptied.send(records));
            }
        });
        let mut list = Vec::new();
        let Ok(applier) = applier else {
            // The system has no room for another thread: this one does both.
            let fold = |records: &mut Vec<Decoded>| {
                fold(memory, records, |_, _| {});
                records.clear();
                Ok(())
            };
            return Ok(read(&mut |frame| course.read(&frame, memory, &mut list, fold))?);
        };
        let read = read(&mut |frame| {
            course.read(&frame, memory, &mut list, |list| {
                let records = std::mem::replace(list, empty.try_recv().unwrap_or_default());
                sender.send(records).map_err(|_| VisitError::from("the memory took no more"))
            })
        });
        drop(sender);
        applier.join().map_err(|_| ReplayError::Panicked)?;
        Ok(read?)
    })
}
