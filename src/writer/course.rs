//! What the log says of itself as it goes on: a fold of its records beside that of memory.

use super::marks::Marks;
use super::memory::Memory;
use super::steady::SteadyTime;
use crate::event::Command;
use crate::event::EdgeId;
use crate::event::RetirePart;
use crate::event::Settings;
use crate::event::record::Decoder;
use crate::event::record::Earlier;
use crate::event::record::RecordError;
use crate::log::Frame;
use crate::log::Position;
use crate::store::Arrival;
use crate::store::Arrived;
use crate::time::Timestamp;

/// So many records of a frame are decoded at once.
const PIECE_RECORDS: usize = 2048;
/// Or as many as have so many bytes, and one at least.
const PIECE_BYTES: usize = 1 << 20;

/// All that the writer has to know of the records before the next one.
#[derive(Debug)]
pub(super) struct Course {
    /// When the records up to some positions had been received.
    pub(super) marks: Marks,
    /// When the last one was received: it never goes back, whatever the clock does. [`Timestamp::MIN`] before the first.
    pub(super) received: Timestamp,
    /// How much of that time is known to have passed.
    pub(super) steady: SteadyTime,
    /// What the log says of all its edges.
    pub(super) settings: Option<Settings>,
    /// What is of earlier builds.
    pub(super) earlier: Earlier,
    /// The last record that a retirement was about.
    pub(super) retired: Position,
    /// The first record that no checkpoint carried, and when it was received.
    uncarried: Option<(Position, Timestamp)>,
    /// Something is folded already.
    folds: bool,
    decoder: Decoder,
}

/// A record of the log, decoded.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) position: Position,
    pub(super) received: Timestamp,
    pub(super) command: Command,
    /// Of the edge that it is.
    pub(super) id: EdgeId,
}

impl Decoded {
    /// The edge that it is, with what it is folded in by.
    pub(super) fn edge(&self) -> Option<Arrived<'_>> {
        if let Command::Edge(edge) = &self.command { Some((self.arrival(), edge, self.id)) } else { None }
    }

    pub(super) fn arrival(&self) -> Arrival {
        Arrival { position: self.position.0, received: self.received }
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

impl Default for Course {
    fn default() -> Self {
        let (marks, steady, settings, earlier, retired, uncarried, folds, decoder) = Default::default();
        Self { marks, received: Timestamp::MIN, steady, settings, earlier, retired, uncarried, folds, decoder }
    }
}

impl Course {
    /// The state, in lines. Marks are made of some records only, and may be others where others were there; the rest is of the reading.
    #[cfg(test)]
    pub(super) fn lines(&self) -> Vec<String> {
        let Self { marks: _, received, steady, settings, earlier, retired, uncarried: _, folds: _, decoder: _ } = self;
        vec![format!("{received:?} {settings:?} {earlier:?} {retired} trusted {:?}", steady.trusted())]
    }

    /// Folds in the records of a frame, and hands on those that are to be folded into memory, some at a time, so that no more than
    /// these are decoded at once: in `list`, which `hand_on` leaves empty. Memory is begun anew where the log says another skew
    /// than it has, as long as nothing is in it; after that it is left as it is.
    pub(super) fn read<E: From<RefusedRecord>>(
        &mut self,
        frame: &Frame,
        memory: &Memory,
        list: &mut Vec<Decoded>,
        mut hand_on: impl FnMut(&mut Vec<Decoded>) -> Result<(), E>,
    ) -> Result<(), E> {
        if !frame.is_carried() {
            self.marks.grow(frame.bytes() as u64);
        }
        let mut records = frame.records().peekable();
        while records.peek().is_some() {
            let mut bytes = 0;
            let some = std::iter::from_fn(|| {
                let next = records.next_if(|(_, record)| bytes == 0 || bytes + record.len() <= PIECE_BYTES)?;
                bytes += next.1.len();
                Some(next)
            });
            self.read_some(some.take(PIECE_RECORDS), frame.is_carried(), memory, list)?;
            hand_on(list)?;
        }
        Ok(())
    }

    fn read_some<'r>(
        &mut self,
        records: impl Iterator<Item = (Position, &'r [u8])>,
        carried: bool,
        memory: &Memory,
        list: &mut Vec<Decoded>,
    ) -> Result<(), RefusedRecord> {
        for (position, bytes) in records {
            let (at, command) = self.decoder.decode(bytes).map_err(|source| RefusedRecord { position, source })?;
            self.earlier = self.earlier.or(self.decoder.earlier());
            if !carried {
                self.note_first(position, at);
            }
            self.note(position, at, &command);
            if let Some(settings) = self.settings.filter(|_| !self.folds && !self.fits(memory)) {
                memory.begin(settings.skew);
            }
            let id = command.edge_id();
            if self.fits(memory) && !self.is_done(&command) {
                self.folds = true;
                list.push(Decoded { position, received: at, command, id });
            }
        }
        Ok(())
    }

    /// Whether memory goes by what the log says of all its edges.
    pub(super) fn fits(&self, memory: &Memory) -> bool {
        self.settings.is_none_or(|settings| settings.skew == memory.store.skew())
    }

    /// Folds in a record.
    pub(super) fn note(&mut self, position: Position, received: Timestamp, command: &Command) {
        self.received = self.received.max(received);
        self.marks.note(position, self.received);
        self.steady.fold(self.received, command);
        match command {
            Command::Settings(settings) => self.settings = self.settings.or(Some(*settings)),
            Command::Retire { upto, .. } | Command::RetirePart(RetirePart { upto, .. }) => self.retired = self.retired.max(Position(*upto)),
            _ => {}
        }
    }

    /// The record at `first`, which no checkpoint carried, was received then, and is the first of some that are.
    pub(super) fn note_first(&mut self, first: Position, received: Timestamp) {
        self.uncarried.get_or_insert((first, received));
        self.marks.note(first, self.received.max(received));
    }

    /// Folds in records of events, all received at the same time.
    pub(super) fn note_events(&mut self, first: Position, last: Position, received: Timestamp) {
        self.note_first(first, received);
        self.received = self.received.max(received);
        self.marks.note(last, self.received);
        self.steady.note(self.received);
    }

    /// Whether this is a retirement of records that only the checkpoint still has: what it carries are those that stayed, and
    /// for some of them that was because of others, which went later. The checkpoints of the first format carried more, and
    /// left it to its retirements.
    fn is_done(&self, command: &Command) -> bool {
        let (Command::Retire { before, upto } | Command::RetirePart(RetirePart { before, upto, .. })) = command else { return false };
        let Some((position, received)) = self.uncarried else { return false };
        if *upto > 0 { *upto < position.0 } else { self.settings.is_some() && *before < received }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log that says its settings, or not, and whose first record that no checkpoint carries was received 1000 ms after 1970, is
    /// at position 50: whether a retirement behind it was done before the checkpoint.
    #[track_caller]
    fn check(settings: bool, (before, upto): (i64, u64), done: bool) {
        let settings = settings.then_some(Settings { skew: std::time::Duration::ZERO });
        let mut course = Course { settings, ..Course::default() };
        let retirement = Command::Retire { before: Timestamp::from_millis(before), upto };
        assert!(!course.is_done(&retirement), "there is nothing but the checkpoint yet");
        course.note_first(Position(50), Timestamp::from_millis(1000));
        course.note_first(Position(60), Timestamp::from_millis(2000));
        assert_eq!(course.is_done(&retirement), done, "{before} {upto}");
    }

    #[test]
    fn a_retirement_of_what_only_the_checkpoint_has_was_done() {
        for before in [900, 1100] {
            check(true, (before, 49), true);
            check(false, (before, 49), true);
            check(true, (before, 50), false);
            check(true, (before, 55), false);
            // As the first format says it, whose checkpoints are of the first format too where nothing of this one follows.
            check(false, (before, 0), false);
            check(true, (before, 0), before < 1000);
        }
    }
}
