//! Applying: commands are folded into memory in the order of the log, in the same way while running and while replaying.

use super::Memory;
use super::Refused;
use super::Taken;
use super::Unchanged;
use super::commit::Committer;
use super::commit::Proposal;
use super::decide::Decided;
use super::feed::Fed;
use super::feed::Outcome;
use super::submission::AskEdges;
use super::submission::Waiting;
use crate::event::Change;
use crate::event::Command;
use crate::event::Edge;
use crate::event::EdgeId;
use crate::event::Settings;
use crate::exposition::Exposure;
use crate::log::Log;
use crate::log::Position;
use crate::store::Refusal;
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
            Proposal::Own(command) => {
                self.state.memory.store.apply(received, &command);
                feed.tell(self, Outcome::Own(&command));
            }
            Proposal::Submitted(waiting, decided) => self.apply_submitted(waiting, decided, &mut feed),
        }
    }

    fn apply_submitted(&mut self, waiting: Waiting, decided: Decided, feed: &mut Feed) {
        for (ask, decided) in waiting.changes.into_iter().zip(decided.changes) {
            let made = match decided {
                Some(unchanged) => Err(unchanged),
                None => self.apply_change(&ask.work.change.what, feed),
            };
            ask.answer(Ok(made));
        }
        for (ask, decided) in waiting.claims.into_iter().zip(decided.claims) {
            let claimed = decided.unwrap_or_else(|| {
                let claimed = self.state.memory.store.apply_claim(feed.received, &ask.work.what);
                feed.tell(self, Outcome::Claim(&ask.work.what, claimed));
                Ok(claimed)
            });
            ask.answer(Ok(claimed));
        }
        self.apply_edges(waiting.edges, decided.edges, feed);
    }

    fn apply_change(&mut self, change: &Change, feed: &mut Feed) -> Result<Vec<Exposure>, Unchanged> {
        let exposures = fold_change(&self.state.memory, feed.received, change).map_err(Refused::Limit);
        feed.tell(self, Outcome::Change(change, exposures.as_deref().unwrap_or_default()));
        Ok(exposures?)
    }

    fn apply_edges(&mut self, asks: Vec<AskEdges>, mut decided: Vec<Option<Result<Taken, Refused>>>, feed: &mut Feed) {
        let all = asks.iter().flat_map(|ask| ask.work.iter());
        let new = all.zip(&mut decided).filter(|(_, decided)| decided.is_none());
        let (new, places): (Vec<_>, Vec<_>) = new.map(|((edge, id), place)| ((feed.received, edge, id), place)).unzip();
        let mut taken = Vec::with_capacity(new.len());
        fold_edges(&self.state.memory, &new, &mut taken);
        for (((_, edge, _), place), taken) in new.iter().zip(places).zip(taken) {
            match &taken {
                Ok(taken) => feed.tell(self, Outcome::Edge(edge, taken)),
                Err(_) => feed.skip(),
            }
            *place = Some(taken.map_err(Refused::Limit));
        }
        let mut decided = decided.into_iter().flatten();
        for ask in asks {
            let own: Vec<_> = decided.by_ref().take(ask.work.len()).collect();
            self.duplicates.inc_by(own.iter().flatten().filter(|taken| taken.exposure.is_none()).count() as u64);
            ask.answer(Ok(own));
        }
    }
}

/// Where the followers are.
struct Feed {
    /// Of the record that they were told of last.
    position: Position,
    received: Timestamp,
}

impl Feed {
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

/// Folds in commands with their times of receipt, and the ids of those that are edges: edges some at a time, others one by one.
pub(super) fn fold(memory: &Memory, commands: &[(Timestamp, Command, EdgeId)]) {
    let mut taken = Vec::with_capacity(RUN_EDGES);
    let mut run: Vec<(Timestamp, &Edge, EdgeId)> = Vec::with_capacity(RUN_EDGES);
    for (received, command, id) in commands {
        if let Command::Edge(edge) = command {
            run.push((*received, edge, *id));
            if run.len() < RUN_EDGES {
                continue;
            }
        }
        fold_edges(memory, &run, &mut taken);
        run.clear();
        taken.clear();
        match command {
            Command::Edge(_) => {}
            Command::Change(change) => drop(fold_change(memory, *received, change)),
            other => drop(memory.store.apply(*received, other)),
        }
    }
    fold_edges(memory, &run, &mut taken);
}

/// Folds in edges, some at a time, and adds to `taken` what each came to.
fn fold_edges(memory: &Memory, edges: &[(Timestamp, &Edge, EdgeId)], taken: &mut Vec<Result<Taken, Refusal>>) {
    let mut applied = Vec::with_capacity(edges.len().min(RUN_EDGES));
    for run in edges.chunks(RUN_EDGES) {
        #[cfg(test)]
        super::tests::panic_if_planted(run.iter().map(|(_, edge, _)| *edge));
        memory.store.apply_edges(run, &mut applied);
        taken.extend(run.iter().zip(applied.drain(..)).map(|((received, ..), applied)| {
            let edge = applied?;
            let exposure = (!edge.duplicate).then(|| memory.pages.apply(*received, &edge));
            Ok(Taken { id: edge.id, exposure })
        }));
    }
}

/// Folds in a change of a whole event; what becomes of its new samples.
fn fold_change(memory: &Memory, received: Timestamp, change: &Change) -> Result<Vec<Exposure>, Refusal> {
    let changed = memory.store.apply_change(received, change)?;
    for sample in &changed.withdrawn {
        memory.pages.withdraw(received, sample);
    }
    Ok(changed.added.iter().map(|edge| memory.pages.apply(received, edge)).collect())
}
