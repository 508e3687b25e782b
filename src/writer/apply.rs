//! Applying: commands are folded into memory in the order of the log, in the same way while running and while replaying.

use super::Made;
use super::Refused;
use super::Taken;
use super::Unchanged;
use super::commit::Committer;
use super::commit::Proposal;
use super::course::Decoded;
use super::course::RefusedRecord;
use super::decided::Decided;
use super::feed::Fed;
use super::feed::Outcome;
use super::memory::Memory;
use super::submission::AskEdges;
use super::submission::Waiting;
use crate::event::Change;
use crate::event::Command;
use crate::event::Settings;
use crate::exposition::Exposure;
use crate::log::AppendError;
use crate::log::Frame;
use crate::log::Log;
use crate::log::Position;
use crate::store::Applied;
use crate::store::Arrival;
use crate::store::Arrived;
use crate::store::Refusal;
use crate::store::Unlabelled;
use crate::time::Timestamp;

/// So many edges are folded in at once; readers of their tenant wait that long.
const RUN_EDGES: usize = 64;

impl<L: Log> Committer<L> {
    /// Applies what is durable now, after the record at `before`, tells the followers, and answers. `settings` are those that the
    /// log has with it.
    pub(super) fn apply(&mut self, before: Position, received: Timestamp, settings: Option<Settings>, what: Proposal) {
        let mut feed = Feed { position: before, received };
        if let Some(settings) = settings {
            feed.tell(self, Outcome::Own(&Command::Settings(settings)));
        }
        match what {
            Proposal::Own(commands) => {
                for command in &commands {
                    if let Applied::Retired(part) = self.state.memory.store.apply_record(feed.next(), command) {
                        self.retired.push(part);
                    }
                    feed.tell(self, Outcome::Own(command));
                }
                self.applied.send_replace(feed.position);
            }
            Proposal::Submitted(waiting, decided) => self.apply_submitted(waiting, *decided, &mut feed),
        }
    }

    /// Applies what another one proposed, and tells the followers.
    pub(super) fn apply_foreign(&mut self, frame: &Frame) -> Result<(), AppendError> {
        let mut records = Vec::with_capacity(frame.len());
        let read = self.state.course.read(frame, &self.state.memory, &mut Vec::new(), |some| {
            records.append(some);
            Ok::<_, RefusedRecord>(())
        });
        read.map_err(|error| AppendError::Foreign(error.into()))?;
        if !self.state.course.fits(&self.state.memory) {
            return Err(AppendError::Foreign("it says another skew than the edges before it were folded by".into()));
        }
        self.received = self.received.max(self.state.course.received);
        if records.iter().any(|record| matches!(record.command, Command::Retire { .. } | Command::RetirePart(_))) {
            // A checkpoint must not carry what is retired while it is made.
            self.forget_no_more();
        }
        let Self { state, followers, .. } = self;
        fold(&state.memory, &records, |record, outcome| {
            let fed = Fed { position: record.position, received: record.received, outcome };
            for follower in &mut *followers {
                follower.follow(&fed);
            }
        });
        if let Some((last, _)) = frame.records().last() {
            self.applied.send_replace(last);
        }
        Ok(())
    }

    fn apply_submitted(&mut self, waiting: Waiting, mut decided: Decided, feed: &mut Feed) {
        let mut changes = Vec::with_capacity(waiting.changes.len());
        for (place, (ask, unchanged)) in waiting.changes.into_iter().zip(std::mem::take(&mut decided.changes)).enumerate() {
            let made = match unchanged {
                Some(unchanged) => Err(unchanged),
                None => self.apply_change(&ask.work.change.what, feed),
            };
            let unlabelled = decided.less_of_changes.remove(&place).inspect(|lost| self.count_lost(lost));
            changes.push((ask, made.map(|exposures| Made { exposures, unlabelled })));
        }
        let mut claims = Vec::with_capacity(waiting.claims.len());
        for (ask, claimed) in waiting.claims.into_iter().zip(std::mem::take(&mut decided.claims)) {
            let claimed = claimed.unwrap_or_else(|| {
                let claimed = self.state.memory.store.apply_claim(feed.received, &ask.work.what);
                feed.tell(self, Outcome::Claim(&ask.work.what, claimed));
                Ok(claimed)
            });
            claims.push((ask, claimed));
        }
        let mut edges = self.apply_edges(&waiting.edges, &mut decided, feed);
        self.state.memory.store.note_senders(&decided.admission);
        self.applied.send_replace(feed.position);
        for (ask, made) in changes {
            ask.answer(Ok(made));
        }
        for (ask, claimed) in claims {
            ask.answer(Ok(claimed));
        }
        for ask in waiting.edges {
            let own = edges.by_ref().take(ask.work.len()).collect();
            ask.answer(Ok(own));
        }
    }

    fn apply_change(&mut self, change: &Change, feed: &mut Feed) -> Result<Vec<Exposure>, Unchanged> {
        match fold_change(&self.state.memory, feed.next(), change) {
            Ok(exposures) => {
                feed.tell(self, Outcome::Change(change, &exposures));
                Ok(exposures)
            }
            Err(refusal) => {
                feed.skip();
                Err(Refused::Limit(refusal).into())
            }
        }
    }

    /// What each edge that is asked about came to.
    fn apply_edges(
        &mut self,
        asks: &[AskEdges],
        all_decided: &mut Decided,
        feed: &mut Feed,
    ) -> impl Iterator<Item = Result<Taken, Refused>> + use<L> {
        let mut decided = std::mem::take(&mut all_decided.edges);
        let known = decided.iter().filter(|decided| matches!(decided, Some(Ok(_)))).count();
        self.duplicates.inc_by(known as u64);
        let all = asks.iter().flat_map(|ask| ask.work.iter());
        let new = all.zip(&mut decided).filter(|(_, decided)| decided.is_none());
        let (new, places): (Vec<_>, Vec<_>) = feed.to_come().zip(new).map(|(at, ((edge, id), place))| ((at, edge, id), place)).unzip();
        let mut taken = Vec::with_capacity(new.len());
        fold_edges(&self.state.memory, &new, &mut taken);
        for (((_, edge, _), place), taken) in new.iter().zip(places).zip(taken) {
            match &taken {
                Ok(taken) => feed.tell(self, Outcome::Edge(edge, taken)),
                Err(_) => feed.skip(),
            }
            *place = Some(taken.map_err(Refused::Limit));
        }
        for (place, lost) in std::mem::take(&mut all_decided.less_of_edges) {
            if let Some(Some(Ok(taken))) = decided.get_mut(place) {
                self.count_lost(&lost);
                taken.unlabelled = Some(lost);
            }
        }
        decided.into_iter().flatten()
    }

    fn count_lost(&self, lost: &Unlabelled) {
        self.telemetry.labels_left_out.inc_by(1 + lost.more as u64);
    }
}

/// Where the followers are.
struct Feed {
    /// Of the record that they were told of last.
    position: Position,
    received: Timestamp,
}

impl Feed {
    /// Where the records stand that they are told of next, one after the other.
    fn to_come(&self) -> impl Iterator<Item = Arrival> + use<> {
        let received = self.received;
        (self.position.0 + 1..).map(move |position| Arrival { position, received })
    }

    /// Where the next one does.
    fn next(&self) -> Arrival {
        Arrival { position: self.position.0 + 1, received: self.received }
    }

    fn skip(&mut self) {
        self.position = Position(self.position.0 + 1);
    }

    /// Tells them of the next record.
    fn tell<L: Log>(&mut self, committer: &mut Committer<L>, outcome: Outcome<'_>) {
        self.skip();
        let fed = Fed { position: self.position, received: self.received, outcome };
        for follower in &mut committer.followers {
            follower.follow(&fed);
        }
    }
}

/// Folds in what was read: edges some at a time, others one by one. `told` is called with each record that was taken.
pub(super) fn fold(memory: &Memory, records: &[Decoded], mut told: impl FnMut(&Decoded, Outcome<'_>)) {
    let mut taken = Vec::with_capacity(RUN_EDGES);
    let mut run: Vec<Arrived<'_>> = Vec::with_capacity(RUN_EDGES);
    let of_edges = |record: &Decoded| matches!(record.command, Command::Edge(_));
    for some in records.chunk_by(|one, other| of_edges(one) && of_edges(other)).flat_map(|some| some.chunks(RUN_EDGES)) {
        run.clear();
        taken.clear();
        run.extend(some.iter().filter_map(Decoded::edge));
        fold_edges(memory, &run, &mut taken);
        for ((record, (_, edge, _)), taken) in some.iter().zip(&run).zip(&taken) {
            if let Ok(taken) = taken {
                told(record, Outcome::Edge(edge, taken));
            }
        }
        let Some(record) = some.first() else { continue };
        match &record.command {
            Command::Edge(_) => {}
            Command::Change(change) => {
                if let Ok(exposures) = fold_change(memory, record.arrival(), change) {
                    told(record, Outcome::Change(change, &exposures));
                }
            }
            Command::Claim(claim) => told(record, Outcome::Claim(claim, memory.store.apply_claim(record.received, claim))),
            own @ (Command::Settings(_) | Command::Retire { .. } | Command::RetirePart(_) | Command::Clock { .. }) => {
                memory.store.apply_record(record.arrival(), own);
                told(record, Outcome::Own(own));
            }
        }
    }
}

/// Folds in edges, some at a time, and adds to `taken` what each came to.
fn fold_edges(memory: &Memory, edges: &[Arrived<'_>], taken: &mut Vec<Result<Taken, Refusal>>) {
    let mut applied = Vec::with_capacity(edges.len().min(RUN_EDGES));
    for run in edges.chunks(RUN_EDGES) {
        #[cfg(test)]
        super::tests::panic_if_planted(run.iter().map(|(_, edge, _)| *edge));
        memory.store.apply_edges(run, &mut applied);
        taken.extend(run.iter().zip(applied.drain(..)).map(|((arrival, ..), applied)| {
            let edge = applied?;
            let exposure = (!edge.duplicate).then(|| memory.pages.apply(arrival.received, &edge));
            Ok(Taken { id: edge.id, exposure, alone: edge.alone, unlabelled: None })
        }));
    }
}

/// Folds in a change of a whole event; what becomes of its new samples.
fn fold_change(memory: &Memory, arrival: Arrival, change: &Change) -> Result<Vec<Exposure>, Refusal> {
    let received = arrival.received;
    let changed = memory.store.apply_change(arrival, change)?;
    for sample in &changed.withdrawn {
        memory.pages.withdraw(received, sample);
    }
    Ok(changed.added.iter().map(|edge| memory.pages.apply(received, edge)).collect())
}
