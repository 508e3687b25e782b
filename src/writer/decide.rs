//! What is decided before the append: whether an event is as its sender expects, what is known already, what the limits say;
//! and what a record says because it depends on more than the records before it.

use super::Refused;
use super::Taken;
use super::Unchanged;
use super::commit::BATCH_BYTES;
use super::commit::Committer;
use super::decided::Decided;
use super::submission::AskClaim;
use super::submission::AskEdges;
use super::submission::Conditioned;
use super::submission::Encoded;
use super::submission::Waiting;
use crate::event::Change;
use crate::event::Command;
use crate::event::Edge;
use crate::event::EdgeId;
use crate::event::EdgeState;
use crate::event::Expect;
use crate::event::Settings;
use crate::event::record;
use crate::event::record::Record;
use crate::log::Batch;
use crate::log::Log;
use crate::store::Admission;
use crate::store::Admitted;
use crate::store::Claimed;
use crate::store::Less;
use crate::store::Unlabelled;
use crate::time::Timestamp;

/// At most so many bytes are added to a record by what is decided: the span of an event, or its number and the names and skews of
/// two edges.
pub(super) const DECIDED_BYTES: usize = 128;

impl<L: Log> Committer<L> {
    /// Puts what is new and admitted into the batch.
    pub(super) fn decide(&mut self, waiting: &mut Waiting) -> Decided {
        self.batch.clear(BATCH_BYTES);
        self.state.memory.store.account().look();
        // A change has two edges at most.
        let mut decided = Decided { admission: Box::new(Admission::of(2 * waiting.records)), ..Decided::default() };
        // Looked at before anything of the commit is applied, so they are about what comes before all else in it.
        for ask in &mut waiting.changes {
            let lost = self.decide_change(&mut ask.work, decided.admission.by(ask.sender));
            decided.less_of_changes.extend(lost.as_ref().ok().cloned().flatten().map(|lost| (decided.changes.len(), lost)));
            decided.changes.push(lost.err());
        }
        for ask in &waiting.claims {
            decided.claims.push(self.decide_claim(ask, decided.admission.by(ask.sender)));
        }
        decided.edges.reserve(waiting.records);
        for ask in &mut waiting.edges {
            self.decide_edges(ask, &mut decided);
        }
        decided
    }

    fn decide_change(&mut self, work: &mut Conditioned, admission: &mut Admission) -> Result<Option<Box<Unlabelled>>, Unchanged> {
        self.check_expected(work)?;
        let Encoded { what, record } = &mut work.change;
        let is_other = self.write_decided(what);
        if self.room.refusal.is_some() && self.state.memory.store.is_new_change(what) {
            self.no_room().map_err(Refused::NoRoom)?;
        }
        let less = self.state.memory.store.admit_change(what, self.received, admission).map_err(Refused::Limit)?;
        let lost = match less {
            Some(Less { what: less, lost }) => {
                *record = self.encoded(&less).inspect_err(|_| {
                    if let Change::Put(put) = &less {
                        put.edges().for_each(|edge| admission.forget(&edge.organization, edge.id()));
                    }
                })?;
                *what = less;
                Some(Box::new(lost))
            }
            None => None,
        };
        if is_other && lost.is_none() {
            self.push(|out| what.encode(out));
        } else {
            self.push(|out| out.extend_from_slice(record));
        }
        Ok(lost)
    }

    /// The record of what has other labels than were sent: what was sent may take more room than the labels that said it.
    fn encoded(&self, what: &impl Record) -> Result<Vec<u8>, Refused> {
        let (mut record, limit) = (Vec::new(), self.log.record_bytes_max());
        what.encode(&mut record);
        if record.len() > limit { Err(Refused::TooLarge { bytes: record.len(), limit }) } else { Ok(record) }
    }

    /// Whether the event that a change is about is as its sender expects.
    fn check_expected(&self, work: &Conditioned) -> Result<(), Unchanged> {
        let change = &work.change.what;
        let version = self.state.memory.store.version(change.organization(), &change.event_id());
        let expected = match work.expect {
            Expect::New => None,
            Expect::Version(version) => Some(version),
        };
        if version == expected { Ok(()) } else { Err(Unchanged::Unexpected) }
    }

    /// Writes into a change what is decided where that depends on a flag, or on what retention has left. Says whether anything
    /// was.
    fn write_decided(&self, change: &mut Change) -> bool {
        let store = &self.state.memory.store;
        match change {
            Change::Put(put) => {
                put.number = store.number(&put.start.organization, &put.id);
                let number = put.number.is_some();
                put.edges_mut().fold(number, |is_other, edge| self.write_decided_edge(edge, edge.id(), false) || is_other)
            }
            Change::Describe(describe) => {
                describe.span = store.span(&describe.organization, &describe.edge.to_string());
                if let Some(stop) = &mut describe.stop {
                    self.write_decided_edge(stop, stop.id(), false);
                }
                true
            }
            Change::Delete(delete) => {
                delete.span = store.span(&delete.organization, &delete.id);
                delete.span.is_some()
            }
        }
    }

    /// As [`Self::write_decided`], of an edge with this id; `own_name` as [`Store::recorded`](crate::store::Store::recorded) has it.
    fn write_decided_edge(&self, edge: &mut Edge, id: EdgeId, own_name: bool) -> bool {
        let recorded = self.state.memory.store.recorded(edge, id, own_name);
        let is_other = recorded.is_some();
        if let Some(recorded) = recorded {
            *edge = recorded;
        }
        if edge.state != EdgeState::Stop {
            return is_other;
        }
        let usual = self.skew.unwrap_or_else(|| self.settings().skew);
        let skew = self.state.memory.store.entity_skew(edge).filter(|skew| *skew > usual).or(self.skew);
        edge.skew = skew.or(edge.skew);
        is_other || skew.is_some()
    }

    fn decide_claim(&mut self, ask: &AskClaim, admission: &mut Admission) -> Option<Result<Claimed, Refused>> {
        let received = self.received;
        match self.state.memory.store.admit_claim(&ask.work.what, received, admission) {
            Ok(None) => {
                self.push(|out| out.extend_from_slice(&ask.work.record));
                None
            }
            Ok(Some(claimed)) => Some(Ok(claimed)),
            Err(refusal) => Some(Err(refusal.into())),
        }
    }

    fn decide_edges(&mut self, ask: &mut AskEdges, decided: &mut Decided) {
        let sender = ask.sender;
        for (edge, id, record) in ask.work.each() {
            let own_name = decided.is_odd(edge);
            let is_other = self.write_decided_edge(edge, *id, own_name);
            if is_other {
                *id = edge.id();
            }
            if self.room.refusal.is_some()
                && self.state.memory.store.is_new_edge(edge, *id, &decided.admission)
                && let Err(refusal) = self.no_room()
            {
                decided.edges.push(Some(Err(refusal.into())));
                continue;
            }
            let admitted = self.state.memory.store.admit_edge(edge, *id, self.received, decided.admission.by(sender));
            let known = match admitted {
                Ok(Admitted::New) => {
                    if is_other {
                        self.push(|out| edge.encode(out));
                    } else {
                        self.push(|out| out.extend_from_slice(record));
                    }
                    None
                }
                Ok(Admitted::Less(less)) => match self.encoded(&less.what) {
                    Ok(record) => {
                        self.push(|out| out.extend_from_slice(&record));
                        *edge = less.what;
                        decided.less_of_edges.insert(decided.edges.len(), Box::new(less.lost));
                        None
                    }
                    Err(refused) => {
                        decided.admission.forget(&edge.organization, *id);
                        Some(Err(refused))
                    }
                },
                Ok(Admitted::Known) => Some(Ok(Taken { id: *id, exposure: None, alone: false, unlabelled: None })),
                Err(refusal) => Some(Err(refusal.into())),
            };
            if known.is_none() {
                decided.note_odd(edge);
            }
            decided.edges.push(known);
        }
    }

    /// Puts a record into the batch; before the first of the log, what the log says of all of them.
    pub(super) fn push(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        let received = self.received;
        if self.state.course.settings.is_none() && self.batch.is_empty() {
            let settings = Command::Settings(self.settings());
            push(&mut self.batch, received, |out| settings.encode(out));
        }
        push(&mut self.batch, received, encode);
    }

    /// What the log says, or will say, of all its edges.
    pub(super) fn settings(&self) -> Settings {
        self.state.course.settings.unwrap_or(Settings { skew: self.state.memory.store.skew() })
    }
}

fn push(batch: &mut Batch, received: Timestamp, encode: impl FnOnce(&mut Vec<u8>)) {
    batch.push_with(|out| {
        let start = out.len();
        encode(out);
        record::stamp(out.get_mut(start..).unwrap_or_default(), received);
    });
}
