//! How an event looks to whoever asked.

use super::Tenant;
use super::core::Core;
use super::edges::Part;
use super::edges::edge_id;
use super::effort::Effort;
use super::number::EdgeNo;
use crate::event::Details;
use crate::event::EdgeId;
use crate::event::Identity;
use crate::event::Version;
use crate::labels::LabelSet;
use crate::time::Timestamp;
use std::sync::Arc;

/// What events are ordered by: the latest first, and by id where they are equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// When they began; those with only an end by that.
    #[default]
    Start,
    /// When they ended; what is open first.
    End,
    /// When they ended, what is open first; where that is the same, when they began. There is no going on after a
    /// [`Cursor`](crate::store::Cursor).
    EndStart,
    /// When the last edge or detail of them was received.
    Update,
}

/// What the clock says of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It begins later.
    Planned,
    /// It has begun, and ends later or never.
    Open,
    /// It has ended, or is a point that has come.
    Over,
}

impl Phase {
    /// Of what began and ended then. What began at the time that stands for none is never open.
    pub(super) fn of(began: Timestamp, end: Timestamp, now: Timestamp) -> Self {
        match began {
            began if now < began => Self::Planned,
            began if now < end && !began.is_zero_time() => Self::Open,
            _ => Self::Over,
        }
    }
}

/// An event as readers see it.
#[derive(Clone, Debug)]
pub struct EventView {
    /// What it answers to: its own id, else that of its first edge.
    pub id: Box<str>,
    /// It answers to this too, and to the same as long as it is there: the position in the log of the record that brought the first
    /// of its edges, or that first put it. Below 2^53, because no log comes to more records.
    pub number: u64,
    /// It has an id of its own; else it came as edges.
    pub own_id: bool,
    /// What its edges have in common.
    pub identity: Identity,
    /// Its first start; for a point, the point.
    pub start: Option<EdgeView>,
    /// Its stop.
    pub stop: Option<EdgeView>,
    /// It has no duration.
    pub point: bool,
    /// It has a start and no end: no stop, and nothing that supersedes it. See [`EventView::phase`] for what the clock says.
    pub open: bool,
    /// When a newer start of its supersede group closed it.
    pub superseded_at: Option<Timestamp>,
    /// How many further starts came while it was open.
    pub heartbeats: usize,
    /// The time of the last of these.
    pub last_heartbeat: Option<Timestamp>,
    /// The destination of its samples; empty for the default.
    pub cluster: Arc<str>,
    /// What it says of itself beside its edges; `None` when nobody said anything.
    pub details: Option<Arc<Details>>,
    /// What tells this state of it from others.
    pub version: Version,
    /// When it was first received.
    pub created: Timestamp,
    /// When the last edge or detail of it was received.
    pub updated: Timestamp,
}

/// An edge as readers see it.
#[derive(Clone, Debug)]
pub struct EdgeView {
    /// What its sender was told.
    pub id: EdgeId,
    /// When it happened.
    pub at: Timestamp,
    /// When it was received.
    pub received: Timestamp,
    /// The sample's value.
    pub value: f64,
    /// Its labels, without `event_state`.
    pub labels: LabelSet,
    /// The attributes as sent (a JSON object); `None` when they are the labels without `event_name`.
    pub attributes: Option<Box<str>>,
}

impl EventView {
    /// How many bytes it takes, about: its texts, and what surrounds them.
    pub fn bytes(&self) -> usize {
        let of_edge = |edge: &EdgeView| edge.labels.encoding().len() + edge.attributes.as_ref().map_or(0, |attributes| attributes.len());
        let edges: usize = [&self.start, &self.stop].into_iter().flatten().map(of_edge).sum();
        size_of::<Self>() + self.id.len() + edges + self.details.as_ref().map_or(0, |details| details.text_bytes())
    }

    /// Takes the steps that it takes to make it.
    pub(crate) fn take_from(&self, effort: &Effort) {
        /// Beside its heartbeats and its texts.
        const STEPS: u64 = 8;
        effort.take(STEPS + self.heartbeats as u64);
        effort.take_bytes(self.bytes());
    }

    /// The edge that it is known by: its start, else its stop.
    pub fn first(&self) -> Option<&EdgeView> {
        self.start.as_ref().or(self.stop.as_ref())
    }

    /// Its name as an event.
    pub fn event_name(&self) -> &str {
        self.first().map_or("", |edge| edge.labels.event_name())
    }

    /// When it began; an event with only an end began there.
    pub fn began(&self) -> Timestamp {
        self.first().map_or(Timestamp::MIN, |edge| edge.at)
    }

    /// When it ended, or will: with its stop, by being superseded, or where it began if it is a point. `None` while it has no end.
    pub fn ended(&self) -> Option<Timestamp> {
        let end = self.stop.as_ref().map(|stop| stop.at).or(self.superseded_at).unwrap_or_else(|| self.began());
        (!self.open).then(|| end.max(self.began()))
    }

    /// What the clock says of it at `now`.
    pub fn phase(&self, now: Timestamp) -> Phase {
        Phase::of(self.began(), self.ended().unwrap_or(Timestamp::MAX), now)
    }

    /// A label of its start, else of its stop.
    pub fn label(&self, name: &str) -> Option<&str> {
        [&self.start, &self.stop].into_iter().flatten().find_map(|edge| edge.labels.value(name))
    }

    /// The time that this order is by.
    pub fn time(&self, order: Order) -> Timestamp {
        match order {
            Order::Start => self.began(),
            Order::End | Order::EndStart => self.ended().unwrap_or(Timestamp::MAX),
            Order::Update => self.updated,
        }
    }
}

impl Tenant {
    /// The event that begins with this edge.
    pub(super) fn view(&self, core: &Core, head: EdgeNo) -> Option<EventView> {
        let row = core.row(head).filter(|row| row.part.is_head())?;
        let lone_stop = row.part == Part::Lone;
        let stop = if lone_stop { Some(head) } else { core.stop_of(head) };
        let (mut heartbeats, mut last_heartbeat) = (0, None);
        let mut first = [Some(head), stop].into_iter().flatten().map(|edge| core.position(edge)).min().unwrap_or_default();
        for beat in core.beats(head).filter_map(|beat| core.row(beat)) {
            heartbeats += 1;
            last_heartbeat = Some(beat.at);
            first = first.min(beat.position);
        }
        let cluster = core.series.get(row.series)?.cluster;
        let detailed = core.details(head);
        let own_id = detailed.and_then(|detailed| detailed.id.clone());
        let created = detailed.filter(|detailed| detailed.id.is_some()).map(|detailed| detailed.created);
        Some(EventView {
            number: detailed.and_then(|detailed| detailed.number).unwrap_or(first),
            own_id: own_id.is_some(),
            identity: core.identity(head),
            id: own_id.unwrap_or_else(|| edge_id(row.id).to_string().into()),
            start: if lone_stop { None } else { self.edge(core, head) },
            stop: stop.and_then(|stop| self.edge(core, stop)),
            point: row.part == Part::Point,
            open: row.part.is_open(),
            superseded_at: core.superseded_at(head),
            heartbeats,
            last_heartbeat,
            cluster: self.cluster_name(cluster),
            details: detailed.map(|detailed| Arc::clone(&detailed.details)),
            version: core.version(head),
            created: created.unwrap_or_else(|| core.first_received(head)),
            updated: core.updated(head),
        })
    }

    fn edge(&self, core: &Core, edge: EdgeNo) -> Option<EdgeView> {
        let row = core.row(edge)?;
        let mut texts = Vec::new();
        self.index.texts(&core.series.get(row.series)?.labels, |name, value| texts.push((name.to_owned(), value.to_owned())));
        let labels = LabelSet::from_sorted(texts.iter().map(|(name, value)| (name.as_str(), value.as_str()))).ok()?;
        Some(EdgeView {
            id: edge_id(row.id),
            at: row.at,
            received: core.received(edge),
            value: core.value(edge),
            labels,
            attributes: core.attributes(edge).map(Into::into),
        })
    }
}
