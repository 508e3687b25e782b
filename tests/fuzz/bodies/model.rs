//! Events as the words at the head of `src/store/fold/mod.rs` make them of edges, taken literally and from the beginning each time.

use change_events::event::Edge;
use change_events::event::EdgeId;
use change_events::event::EdgeState;
use change_events::event::Identity;
use change_events::event::Key;
use change_events::store::Arrival;
use change_events::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// An edge with its id, and when and where its record came.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) id: EdgeId,
    pub(crate) position: u64,
    pub(crate) received: Timestamp,
    pub(crate) edge: Edge,
}

/// The order of edges within an identity.
pub(crate) type Order = (Timestamp, EdgeState, [u64; 2]);
type Place = (Timestamp, [u64; 2]);

/// An event, by its edges.
#[derive(Clone, Debug)]
pub(crate) struct Event<'e> {
    /// The first start, or the point.
    pub(crate) start: Option<&'e Known>,
    pub(crate) beats: Vec<&'e Known>,
    pub(crate) stop: Option<&'e Known>,
    pub(crate) superseded_at: Option<Timestamp>,
}

fn halves(id: EdgeId) -> [u64; 2] {
    [id.0 & u128::from(u64::MAX), id.0 >> 64].map(|half| u64::try_from(half).unwrap())
}

/// The same order, of a key that names the edge.
pub(crate) fn order_of(key: Key) -> Order {
    (key.0, key.1, halves(key.2))
}

impl Known {
    pub(crate) fn new(edge: Edge, Arrival { position, received }: Arrival) -> Self {
        Self { id: edge.id(), position, received, edge }
    }

    pub(crate) fn order(&self) -> Order {
        (self.edge.at, self.edge.state, halves(self.id))
    }

    pub(crate) fn place(&self) -> Place {
        (self.edge.at, halves(self.id))
    }
}

impl<'e> Event<'e> {
    fn of(start: Option<&'e Known>, stop: Option<&'e Known>) -> Self {
        Self { start, beats: Vec::new(), stop, superseded_at: None }
    }

    /// The edge that it is known by.
    pub(crate) fn first(&self) -> &'e Known {
        self.start.or(self.stop).unwrap()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.start.is_some_and(|start| start.edge.state == EdgeState::Start) && self.stop.is_none() && self.superseded_at.is_none()
    }

    /// The number that its edges give it.
    pub(crate) fn number(&self) -> u64 {
        self.edges().map(|known| known.position).min().unwrap()
    }

    /// All its edges.
    pub(crate) fn edges(&self) -> impl Iterator<Item = &'e Known> {
        self.start.into_iter().chain(self.beats.iter().copied()).chain(self.stop)
    }
}

/// The first start of another identity and of the same group between a start and a place.
fn rival(groups: &BTreeMap<Identity, Vec<&Known>>, start: &Known, before: Option<&Known>) -> Option<Timestamp> {
    let group = groups.get(&start.edge.supersede?)?;
    let is_one = |other: &&&Known| {
        other.edge.identity != start.edge.identity
            && other.place() > start.place()
            && before.is_none_or(|before| other.place() < before.place())
    };
    group.iter().find(is_one).map(|other| other.edge.at)
}

/// The events of some edges, each of which is there once. `usual` is the skew of a stop that says nothing else.
pub(crate) fn events<'e>(all: impl IntoIterator<Item = &'e Known>, usual: Duration) -> Vec<Event<'e>> {
    let mut by_identity: BTreeMap<Identity, Vec<&Known>> = BTreeMap::new();
    let mut groups: BTreeMap<Identity, Vec<&Known>> = BTreeMap::new();
    let mut events = Vec::new();
    for known in all {
        match known.edge.state {
            EdgeState::Point => events.push(Event::of(Some(known), None)),
            _ => by_identity.entry(known.edge.identity).or_default().push(known),
        }
        if let (EdgeState::Start, Some(group)) = (known.edge.state, known.edge.supersede) {
            groups.entry(group).or_default().push(known);
        }
    }
    for group in groups.values_mut() {
        group.sort_by_key(|known| known.place());
    }
    for edges in by_identity.values_mut() {
        edges.sort_by_key(|known| known.order());
        fold(edges, &groups, usual, &mut events);
    }
    events
}

/// The same of one identity, whose edges are in order.
fn fold<'e>(edges: &[&'e Known], groups: &BTreeMap<Identity, Vec<&Known>>, usual: Duration, events: &mut Vec<Event<'e>>) {
    let skew = |stop: &Known| stop.edge.skew.unwrap_or(usual);
    let is_start = |known: &&&Known| known.edge.state == EdgeState::Start;
    let mut index = 0;
    let mut after_run = false;
    let mut early: Option<&Known> = None;
    while let Some(&first) = edges.get(index) {
        if first.edge.state == EdgeState::Stop {
            let run: Vec<&&Known> = edges[index + 1..].iter().take_while(is_start).collect();
            let near = |known: &Known| known.edge.at.since(first.edge.at) <= skew(first);
            let runs_on = run.iter().any(|known| !near(known)) || index + 1 + run.len() == edges.len();
            if after_run {
                // It was taken by the run before.
            } else if run.first().is_some_and(|known| near(known)) && runs_on {
                early = Some(first);
            } else {
                events.push(Event::of(None, Some(first)));
            }
            after_run = false;
            index += 1;
            continue;
        }
        let run: Vec<&Known> = edges[index..].iter().take_while(is_start).copied().collect();
        let stop = edges.get(index + run.len()).copied();
        let mut parts: Vec<Vec<&Known>> = Vec::new();
        for (place, &known) in run.iter().enumerate() {
            let split = place > 0 && rival(groups, run[place - 1], Some(known)).is_some();
            let beyond = parts.len() == 1 && early.is_some_and(|stop| known.edge.at.since(stop.edge.at) > skew(stop));
            if place == 0 || split || beyond {
                parts.push(Vec::new());
            }
            parts.last_mut().unwrap().push(known);
        }
        let count = parts.len();
        for (place, mut part) in parts.into_iter().enumerate() {
            let early = early.filter(|_| place == 0);
            let stop = early.or(stop.filter(|_| place + 1 == count));
            let superseded_at = if stop.is_none() { rival(groups, part.last().unwrap(), None) } else { None };
            let start = Some(part.remove(0));
            events.push(Event { start, beats: part, stop, superseded_at });
        }
        early = None;
        after_run = true;
        index += run.len();
    }
}
