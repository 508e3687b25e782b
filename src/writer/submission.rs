//! What waits for the writer: edges, a claim or a change of an event, with its record and the way back to its sender.

use super::Made;
use super::Refused;
use super::Source;
use super::SubmitError;
use super::Taken;
use super::Unchanged;
use crate::event::Change;
use crate::event::Claim;
use crate::event::Edge;
use crate::event::EdgeId;
use crate::event::Expect;
use crate::event::fingerprint;
use crate::event::record::Record;
use crate::store::Claimed;
use std::any::Any;
use tokio::sync::oneshot;

/// Something that is kept as long as something else.
#[derive(Debug)]
pub struct Held(#[expect(dead_code, reason = "it is only dropped")] Box<dyn Any + Send>);

impl Held {
    /// Keeps it.
    pub fn of(what: impl Send + 'static) -> Self {
        Self(Box::new(what))
    }
}

/// Edges with their ids and records, ready for the log; made on the thread of who sends them.
#[derive(Debug, Default)]
pub struct Edges {
    items: Vec<Edge>,
    ids: Vec<EdgeId>,
    /// Their records, end to end.
    records: Vec<u8>,
    ends: Vec<usize>,
    /// Bytes of the texts of the items.
    texts: usize,
    /// See [`Edges::hold`].
    held: Vec<Held>,
}

impl Edges {
    /// Room for so many.
    pub fn with_capacity(count: usize) -> Self {
        let (items, ids, ends) = (Vec::with_capacity(count), Vec::with_capacity(count), Vec::with_capacity(count));
        Self { items, ids, records: Vec::with_capacity(count * 256), ends, texts: 0, held: Vec::new() }
    }

    /// Keeps something as long as these edges take memory, which is until they are applied, whether their sender still waits or
    /// not: a share of what they take.
    pub fn hold(&mut self, share: impl Send + 'static) {
        self.held.push(Held::of(share));
    }

    /// What they take in memory.
    pub fn bytes(&self) -> usize {
        self.items.capacity() * size_of::<Edge>()
            + self.ids.capacity() * size_of::<EdgeId>()
            + self.ends.capacity() * size_of::<usize>()
            + self.records.capacity()
            + self.texts
    }

    /// Adds one.
    pub fn push(&mut self, edge: Edge) {
        edge.encode(&mut self.records);
        self.ends.push(self.records.len());
        self.ids.push(edge.id());
        self.texts += edge.labels.encoding().len() + edge.attributes.as_ref().map_or(0, |json| json.len());
        self.items.push(edge);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Each edge with its id.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Edge, EdgeId)> {
        self.items.iter().zip(self.ids.iter().copied())
    }

    /// Each edge, which may be changed, with its id and its record.
    pub(super) fn each(&mut self) -> impl Iterator<Item = (&mut Edge, &mut EdgeId, &[u8])> {
        let records = records(&self.records, &self.ends);
        self.items.iter_mut().zip(&mut self.ids).zip(records).map(|((edge, id), record)| (edge, id, record))
    }

    /// Takes out those whose records have more than `limit` bytes: the place of each, and what its sender is told.
    pub(super) fn take_too_large(&mut self, limit: usize) -> Vec<(usize, Refused)> {
        let lengths: Vec<usize> = records(&self.records, &self.ends).map(<[u8]>::len).collect();
        if lengths.iter().all(|bytes| *bytes <= limit) {
            return Vec::new();
        }
        let all = std::mem::take(self);
        let edges = all.items.into_iter().zip(&lengths);
        *self = edges.filter(|(_, bytes)| **bytes <= limit).map(|(edge, _)| edge).collect();
        self.held = all.held;
        let too_large = lengths.into_iter().enumerate().filter(|(_, bytes)| *bytes > limit);
        too_large.map(|(place, bytes)| (place, Refused::TooLarge { bytes, limit })).collect()
    }
}

fn records<'a>(bytes: &'a [u8], ends: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    starts.zip(ends).map(|(start, &end)| bytes.get(start..end).unwrap_or_default())
}

impl FromIterator<Edge> for Edges {
    fn from_iter<I: IntoIterator<Item = Edge>>(edges: I) -> Self {
        let edges = edges.into_iter();
        let mut all = Self::with_capacity(edges.size_hint().0);
        edges.for_each(|edge| all.push(edge));
        all
    }
}

/// A claim or a change with its record.
#[derive(Debug)]
pub(super) struct Encoded<T> {
    pub(super) what: T,
    pub(super) record: Vec<u8>,
}

impl<T: Record> Encoded<T> {
    /// Refused if the record has more than `limit` bytes.
    pub(super) fn of(what: T, limit: usize) -> Result<Self, Refused> {
        let mut record = Vec::new();
        what.encode(&mut record);
        if record.len() > limit { Err(Refused::TooLarge { bytes: record.len(), limit }) } else { Ok(Self { what, record }) }
    }
}

/// A change of a whole event, and what the event must be like; else nothing of it is done.
#[derive(Debug)]
pub(super) struct Conditioned {
    pub(super) change: Encoded<Change>,
    pub(super) expect: Expect,
    /// A share of what it takes in memory.
    pub(super) _held: Held,
}

impl Conditioned {
    /// A hash of the event that it is about.
    pub(super) fn subject(&self) -> u128 {
        let change = &self.change.what;
        fingerprint([change.organization().as_bytes(), change.event_id().as_bytes()])
    }
}

/// What somebody submitted, and who waits for the answer.
#[derive(Debug)]
pub(super) struct Ask<W, A> {
    pub(super) work: W,
    /// Who sent it (see [`Source::sender`]).
    pub(super) sender: u64,
    reply: oneshot::Sender<Reply<W, A>>,
}

/// What became of it, and what it was made of: whoever made that frees it, the writer has better to do.
#[derive(Debug)]
pub(super) struct Reply<W, A> {
    pub(super) answer: Result<A, SubmitError>,
    _spent: W,
}

impl<W, A> Ask<W, A> {
    pub(super) fn new(work: W, source: &Source) -> (Self, oneshot::Receiver<Reply<W, A>>) {
        let (reply, answer) = oneshot::channel();
        (Self { work, sender: source.sender(), reply }, answer)
    }

    pub(super) fn answer(self, answer: Result<A, SubmitError>) {
        // A sender that went away does not take back what it sent.
        drop(self.reply.send(Reply { answer, _spent: self.work }));
    }
}

pub(super) type AskEdges = Ask<Edges, Vec<Result<Taken, Refused>>>;
pub(super) type AskClaim = Ask<Encoded<Claim>, Result<Claimed, Refused>>;
pub(super) type AskChange = Ask<Conditioned, Result<Made, Unchanged>>;

#[derive(Debug)]
pub(super) enum Submission {
    Edges(AskEdges),
    Claim(AskClaim),
    Change(AskChange),
}

impl Submission {
    /// How many records it has at most.
    fn records(&self) -> usize {
        if let Self::Edges(ask) = self { ask.work.len() } else { 1 }
    }

    /// What it costs in a turn.
    pub(super) fn cost(&self) -> u64 {
        cost(
            self.records(),
            match self {
                Self::Edges(ask) => ask.work.records.len(),
                Self::Claim(ask) => ask.work.record.len(),
                Self::Change(ask) => ask.work.change.record.len(),
            },
        )
    }

    /// A hash of the event that it changes.
    pub(super) fn subject(&self) -> Option<u128> {
        if let Self::Change(ask) = self { Some(ask.work.subject()) } else { None }
    }
}

/// What a record and its bytes cost.
pub(super) fn cost(records: usize, bytes: usize) -> u64 {
    (records as u64).saturating_add(bytes as u64 >> 10)
}

/// Submissions that go into one commit, in the order in which they do.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// First, so that nothing comes between what a change is decided by and the change. No sender was promised to be before
    /// another one.
    pub(super) changes: Vec<AskChange>,
    pub(super) claims: Vec<AskClaim>,
    pub(super) edges: Vec<AskEdges>,
    /// How many records they have at most.
    pub(super) records: usize,
}

impl Waiting {
    pub(super) fn add(&mut self, submission: Submission) {
        self.records += submission.records();
        match submission {
            Submission::Edges(ask) => self.edges.push(ask),
            Submission::Claim(ask) => self.claims.push(ask),
            Submission::Change(ask) => self.changes.push(ask),
        }
    }

    /// Tells everybody that nothing was taken.
    pub(super) fn fail(self, error: &SubmitError) {
        self.changes.into_iter().for_each(|ask| ask.answer(Err(error.clone())));
        self.claims.into_iter().for_each(|ask| ask.answer(Err(error.clone())));
        self.edges.into_iter().for_each(|ask| ask.answer(Err(error.clone())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EdgeState;
    use crate::event::Identity;
    use crate::labels::LabelSet;
    use crate::time::Timestamp;

    fn edge(bytes: usize) -> Edge {
        let labels = LabelSet::from_sorted([("event_name", "job")]).unwrap();
        let edge = Edge::new(EdgeState::Point, Timestamp::default(), Identity::of(["job"]), labels);
        Edge { attributes: Some("x".repeat(bytes).into()), ..edge }
    }

    fn bytes(edge: &Edge) -> usize {
        let mut record = Vec::new();
        edge.encode(&mut record);
        record.len()
    }

    #[test]
    fn what_edges_hold_is_given_back_when_they_are_answered_whoever_still_waits() {
        for is_gone in [false, true] {
            let share = std::sync::Arc::new(());
            let mut edges: Edges = [edge(10), edge(1000)].into_iter().collect();
            edges.hold(std::sync::Arc::clone(&share));
            edges.take_too_large(500);
            assert_eq!(edges.len(), 1);
            let (ask, reply): (AskEdges, _) = Ask::new(edges, &Source::default());
            let reply = (!is_gone).then_some(reply);
            assert_eq!(std::sync::Arc::strong_count(&share), 2);
            ask.answer(Ok(Vec::new()));
            drop(reply);
            assert_eq!(std::sync::Arc::strong_count(&share), 1);
        }
    }

    #[test]
    fn what_edges_take_is_said() {
        let mut edges = Edges::default();
        assert_eq!(edges.bytes(), 0);
        edges.push(edge(10_000));
        // The attributes, and the record with them.
        assert!((20_000..23_000).contains(&edges.bytes()), "{}", edges.bytes());
    }

    #[test]
    fn records_of_just_the_limit_are_taken_and_longer_ones_refused() {
        let limit = bytes(&edge(10));
        for sizes in [&[10][..], &[11], &[11, 10, 9, 12], &[9, 10, 11]] {
            let all: Vec<Edge> = sizes.iter().map(|&size| edge(size)).collect();
            let mut edges: Edges = all.iter().cloned().collect();
            let refused = edges.take_too_large(limit);
            let is_too_large =
                |(place, edge): (usize, &Edge)| (bytes(edge) > limit).then(|| (place, Refused::TooLarge { bytes: bytes(edge), limit }));
            assert_eq!(refused, all.iter().enumerate().filter_map(is_too_large).collect::<Vec<_>>());
            let left: Vec<&Edge> = all.iter().filter(|edge| bytes(edge) <= limit).collect();
            assert_eq!(edges.iter().map(|(edge, _)| edge).collect::<Vec<_>>(), left);
            assert!(edges.each().all(|(edge, id, record)| *id == edge.id() && record.len() == bytes(edge)));
        }
        let claim = Claim { organization: "acme".into(), key: 1, body: 2, at: Timestamp::default(), former: None };
        let mut record = Vec::new();
        claim.encode(&mut record);
        let limit = record.len();
        assert_eq!(Encoded::of(claim.clone(), limit).unwrap().record, record);
        assert_eq!(Encoded::of(claim, limit - 1).unwrap_err(), Refused::TooLarge { bytes: limit, limit: limit - 1 });
    }
}
