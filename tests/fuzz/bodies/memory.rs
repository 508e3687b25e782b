//! What the store holds, as plain lists that are searched from end to end: edges, what was said of them, keys.

use super::model;
use super::model::Event;
use super::model::Known;
use super::model::Order;
use super::model::order_of;
use change_events::event::Change;
use change_events::event::Claim;
use change_events::event::Command;
use change_events::event::Delete;
use change_events::event::Describe;
use change_events::event::Details;
use change_events::event::Edge;
use change_events::event::EdgeId;
use change_events::event::EdgeState;
use change_events::event::Identity;
use change_events::event::Put;
use change_events::labels::LabelSet;
use change_events::store::Arrival;
use change_events::store::CLAIM_AGE;
use change_events::store::Claimed;
use change_events::store::SampleKind;
use change_events::time::Timestamp;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// So long after its own time an edge stays.
const RECENT: Duration = Duration::from_hours(25);

/// A sample: cluster, labels, whether it is a stop's, time.
pub(crate) type Sample = (Arc<str>, LabelSet, bool, Timestamp);

/// What applying a command comes to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Came {
    Edge { duplicate: bool },
    Claim(Claimed),
    Changed { added: Vec<EdgeId>, withdrawn: BTreeSet<Sample>, hide: bool },
    Nothing,
}

/// What was said of an event beside its edges.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    /// The id of its own.
    pub(crate) id: Option<Box<str>>,
    /// And its number.
    pub(crate) number: Option<u64>,
    pub(crate) details: Details,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
    /// Which of all that was ever said it is.
    turn: u64,
}

/// One organization's memory.
#[derive(Debug, Default)]
pub(crate) struct Plain {
    /// In order of arrival, those of the past among them.
    pub(crate) edges: Vec<Known>,
    pub(crate) past: BTreeSet<EdgeId>,
    /// Edges of the past whose event was put without them and not deleted since.
    replaced: BTreeSet<EdgeId>,
    renewed: BTreeMap<EdgeId, Timestamp>,
    lapsing: BTreeSet<Identity>,
    /// By the edge that it was said of.
    pub(crate) said: BTreeMap<EdgeId, Said>,
    /// How much was ever said.
    turns: u64,
    claims: BTreeMap<u128, (u128, Timestamp, Timestamp)>,
}

fn sample(edge: &Edge) -> Sample {
    (Arc::clone(&edge.cluster), edge.labels.clone(), edge.state == EdgeState::Stop, edge.at)
}

impl Plain {
    pub(crate) fn find(&self, id: EdgeId) -> Option<&Known> {
        self.edges.iter().find(|known| known.id == id)
    }

    pub(crate) fn is_past(&self, id: EdgeId) -> bool {
        self.past.contains(&id)
    }

    pub(crate) fn lapses(&self, identity: Identity) -> bool {
        self.lapsing.contains(&identity)
    }

    fn present(&self) -> impl Iterator<Item = &Known> {
        self.edges.iter().filter(|known| !self.is_past(known.id))
    }

    pub(crate) fn events(&self, usual: Duration) -> Vec<Event<'_>> {
        model::events(self.present(), usual)
    }

    /// Whether this is the number of an edge of an event that came as edges.
    pub(crate) fn is_of_edges(&self, number: u64, usual: Duration) -> bool {
        let is_own = |event: &Event<'_>| self.said_of(event).is_some_and(|said| said.id.is_some());
        self.events(usual).iter().any(|event| !is_own(event) && event.edges().any(|known| known.position == number))
    }

    /// What an event says of itself: what was said last.
    pub(crate) fn said_of(&self, event: &Event<'_>) -> Option<&Said> {
        event.edges().filter_map(|known| self.said.get(&known.id)).max_by_key(|said| said.turn)
    }

    fn say(&mut self, anchor: EdgeId, own: Option<(Box<str>, u64)>, details: &Details, created: Timestamp, updated: Timestamp) {
        self.turns += 1;
        let (id, number) = own.unzip();
        self.said.insert(anchor, Said { id, number, details: details.clone(), created, updated, turn: self.turns });
    }

    /// How many distinct series the edges have.
    pub(crate) fn series(&self) -> usize {
        let series = |known: &Known| (sample(&known.edge).0, known.edge.labels.clone(), known.edge.state == EdgeState::Stop);
        self.edges.iter().map(series).collect::<BTreeSet<_>>().len()
    }

    /// Adds an edge; says whether it was there.
    fn add(&mut self, edge: &Edge, arrival: Arrival) -> bool {
        let (known, received) = (Known::new(edge.clone(), arrival), arrival.received);
        if let Some(before) = self.find(known.id).map(|known| known.received) {
            if received > before {
                self.renewed.insert(known.id, received);
            }
            return true;
        }
        if edge.lapses {
            self.lapsing.insert(edge.identity);
        }
        self.edges.push(known);
        false
    }

    fn withdraw(&mut self, edges: &[EdgeId]) {
        for id in edges {
            self.past.insert(*id);
            self.said.remove(id);
        }
    }

    /// The samples of past edges that no present edge has too.
    fn lost(&self, past: &[EdgeId]) -> BTreeSet<Sample> {
        let present: BTreeSet<Sample> = self.present().map(|known| sample(&known.edge)).collect();
        let samples = past.iter().filter_map(|id| self.find(*id)).map(|known| sample(&known.edge));
        samples.filter(|sample| !present.contains(sample)).collect()
    }

    fn put(&mut self, put: &Put, arrival: Arrival) -> Came {
        let received = arrival.received;
        let ids: Vec<EdgeId> = put.edges().map(Edge::id).collect();
        let identity = put.start.identity;
        let gone = self.present().filter(|known| known.edge.identity == identity && !ids.contains(&known.id));
        let gone: Vec<EdgeId> = gone.map(|known| known.id).collect();
        self.withdraw(&gone);
        self.replaced.extend(&gone);
        let mut added = Vec::new();
        for (edge, id) in put.edges().zip(&ids) {
            if let Some(known) = self.edges.iter_mut().find(|known| known.id == *id) {
                known.edge.value = edge.value;
                known.edge.attributes.clone_from(&edge.attributes);
                if self.past.remove(id) {
                    self.replaced.remove(id);
                    self.renewed.insert(*id, received);
                    added.push(*id);
                }
            } else {
                let edge = Edge { cluster: Arc::clone(&put.start.cluster), ..edge.clone() };
                self.add(&edge, arrival);
                added.push(*id);
            }
        }
        let number = put.number.unwrap_or(arrival.position);
        self.say(ids[0], Some((put.id.clone(), number)), &put.details, put.created.unwrap_or(received), received);
        Came::Changed { added, withdrawn: self.lost(&gone), hide: false }
    }

    fn describe(&mut self, describe: &Describe, arrival: Arrival, usual: Duration) -> Came {
        let received = arrival.received;
        let added = describe.stop.iter().filter(|stop| !self.add(stop, arrival)).map(Edge::id).collect();
        let span = describe.span.unwrap();
        let anchor = span.first.2;
        let is_own =
            |event: &Event<'_>| event.edges().any(|known| known.id == anchor) && self.said_of(event).is_some_and(|said| said.id.is_some());
        if self.find(anchor).is_some() && !self.is_past(anchor) && !self.events(usual).iter().any(is_own) {
            self.say(anchor, None, &describe.details, received, received);
        }
        Came::Changed { added, withdrawn: BTreeSet::new(), hide: false }
    }

    fn delete(&mut self, delete: &Delete, usual: Duration) -> Came {
        let (parts, replaced) = self.deleted(delete, usual);
        self.withdraw(&parts);
        for id in &replaced {
            self.replaced.remove(id);
        }
        let parts: Vec<EdgeId> = parts.into_iter().chain(replaced).collect();
        Came::Changed { added: Vec::new(), withdrawn: self.lost(&parts), hide: true }
    }

    /// The edges of a deleted event, and those that it had before.
    fn deleted(&self, delete: &Delete, usual: Duration) -> (Vec<EdgeId>, Vec<EdgeId>) {
        if let Some(span) = delete.span {
            let range = order_of(span.first)..=order_of(span.last);
            let is_meant = |known: &&Known| known.edge.identity == span.identity && range.contains(&known.order());
            return (self.present().filter(is_meant).map(|known| known.id).collect(), Vec::new());
        }
        let events = self.events(usual);
        let own = events.iter().find(|event| event.edges().any(|known| self.has_own_id(known.id, &delete.id)));
        let Some(event) = own else { return Default::default() };
        let identity = event.first().edge.identity;
        let replaced = self.replaced.iter().copied().filter(|id| self.find(*id).is_some_and(|known| known.edge.identity == identity));
        (event.edges().map(|known| known.id).collect(), replaced.collect())
    }

    fn has_own_id(&self, edge: EdgeId, id: &str) -> bool {
        self.said.get(&edge).is_some_and(|said| said.id.as_deref() == Some(id))
    }

    fn claim(&mut self, claim: &Claim, received: Timestamp) -> Claimed {
        self.claims.retain(|_, (_, _, used)| *used >= received.minus(CLAIM_AGE));
        let claimed = self.claimed(claim);
        self.claims.entry(claim.key).or_insert((claim.body, claim.at, received)).2 = received;
        claimed
    }

    pub(crate) fn claimed(&self, claim: &Claim) -> Claimed {
        match self.claims.get(&claim.key) {
            None => Claimed::New,
            Some((body, at, _)) if *body == claim.body => Claimed::Again { at: *at },
            Some(_) => Claimed::OtherBody,
        }
    }

    /// Forgets the keys that are too old.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        self.claims.retain(|_, (_, _, used)| *used >= now.minus(CLAIM_AGE));
    }

    fn is_new(&self, known: &Known, before: Timestamp, now: Timestamp) -> bool {
        let renewed = self.renewed.get(&known.id).is_some_and(|renewed| *renewed >= before);
        known.received >= before || known.edge.at > now.minus(RECENT) || renewed
    }

    /// The edges that a retirement must leave.
    pub(crate) fn must_stay(&self, before: Timestamp, now: Timestamp, usual: Duration) -> BTreeSet<EdgeId> {
        let is_new = |known: &Known| self.is_new(known, before, now);
        let mut stay: BTreeSet<EdgeId> = self.edges.iter().filter(|known| is_new(known)).map(|known| known.id).collect();
        for event in self.events(usual) {
            let put = self.said_of(&event).is_some_and(|said| said.id.is_some() && said.updated >= before);
            if event.is_open() || put || event.edges().any(is_new) {
                stay.extend(event.start.into_iter().chain(event.stop).map(|known| known.id));
            }
        }
        stay
    }

    /// Forgets all edges but these.
    pub(crate) fn keep(&mut self, stays: impl Fn(EdgeId) -> bool) {
        self.edges.retain(|known| stays(known.id));
        let left: BTreeSet<EdgeId> = self.edges.iter().map(|known| known.id).collect();
        self.past.retain(|id| left.contains(id));
        self.replaced.retain(|id| left.contains(id));
        self.renewed.retain(|id, _| left.contains(id));
        self.said.retain(|id, _| left.contains(id));
        let identities: BTreeSet<Identity> = self.edges.iter().map(|known| known.edge.identity).collect();
        self.lapsing.retain(|identity| identities.contains(identity));
    }

    /// The span of the event that has this edge, if it came as edges.
    pub(crate) fn ends(&self, event: &Event<'_>) -> Option<(Order, Order)> {
        let orders = || event.edges().map(Known::order);
        if self.said_of(event).is_some_and(|said| said.id.is_some()) { None } else { Some((orders().min()?, orders().max()?)) }
    }
}

/// All organizations.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) skew: Duration,
    pub(crate) tenants: BTreeMap<Arc<str>, Plain>,
}

impl Model {
    pub(crate) fn tenant(&mut self, organization: &Arc<str>) -> &mut Plain {
        self.tenants.entry(Arc::clone(organization)).or_default()
    }

    /// Folds in a command that is no retirement.
    pub(crate) fn apply(&mut self, arrival: Arrival, command: &Command) -> Came {
        let skew = self.skew;
        match command {
            Command::Edge(edge) => Came::Edge { duplicate: self.tenant(&edge.organization).add(edge, arrival) },
            Command::Claim(claim) => Came::Claim(self.tenant(&claim.organization).claim(claim, arrival.received)),
            Command::Change(Change::Put(put)) => self.tenant(&put.start.organization).put(put, arrival),
            Command::Change(Change::Describe(describe)) => self.tenant(&describe.organization).describe(describe, arrival, skew),
            Command::Change(Change::Delete(delete)) => self.tenant(&delete.organization).delete(delete, skew),
            Command::Settings(_) | Command::Clock { .. } | Command::Retire { .. } | Command::RetirePart(_) => Came::Nothing,
        }
    }

    /// Whether an edge that was just added says something new.
    pub(crate) fn kind(&self, organization: &str, id: EdgeId) -> SampleKind {
        let Some(plain) = self.tenants.get(organization) else { return SampleKind::Change };
        let is_beat = plain.events(self.skew).iter().any(|event| event.beats.iter().any(|beat| beat.id == id));
        if is_beat { SampleKind::Heartbeat } else { SampleKind::Change }
    }
}
