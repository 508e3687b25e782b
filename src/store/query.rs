//! A question about events, as all front doors ask it, and where its answer goes on.

use super::details::Tag;
use super::selector::Matcher;
use super::view::EventView;
use super::view::Order;
use super::view::Phase;
use crate::time::Timestamp;
use std::fmt;
use std::sync::Arc;

/// A question about events.
#[derive(Clone, Debug)]
pub struct Query {
    /// Selectors, any of which may match; none means all events. An event matches when one of its edges satisfies every matcher.
    pub selectors: Vec<Vec<Matcher>>,
    /// Tags, all of which the event has: its own, or what other doors call by a name of their own (see
    /// [`Details::all_tags`](crate::event::Details::all_tags)), or a label; `type` is the name of the event too. Keys may
    /// have colons in them, and whoever asks cannot say which colon stands between key and value: `key:value` counts.
    pub tags: Vec<(Box<str>, Box<str>)>,
    /// Keys of tags, or names of labels, all of which the event has, with whatever values, or none.
    pub keys: Vec<Box<str>>,
    /// Only events of which this one may be the parent, where their details say which one is; of others `keep` decides.
    pub parent: Option<Box<str>>,
    /// Only events that have this in their name or description, as details or as labels, or in `event_name`, whatever the case.
    pub text: Option<Box<str>>,
    /// Only events that had not ended before this; with [`Order::Update`] those that changed at or after it.
    pub start: Option<Timestamp>,
    /// Only events that began before this; with [`Order::Update`] those that changed before it.
    pub end: Option<Timestamp>,
    /// Only events of these phases.
    pub phases: Option<Phases>,
    /// Whatever else the asker wants of an event; asked last.
    pub keep: Option<Keep>,
    /// To ask `keep` takes so many times the steps that it takes to make the event.
    pub keep_cost: u64,
    /// Which come first.
    pub order: Order,
    /// How many events that come first are left out.
    pub skip: usize,
    /// Most events in the answer.
    pub limit: usize,
    /// Most bytes of all of them, as [`EventView::bytes`] counts; one event is in an answer whatever it has.
    pub bytes: usize,
    /// Continue after this event of an earlier answer.
    pub after: Option<Cursor>,
}

/// Phases of events at a moment, which is not before anything was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phases {
    now: Timestamp,
    planned: bool,
    open: bool,
    over: bool,
}

impl Phases {
    /// What is in this phase at `now`.
    pub fn only(phase: Phase, now: Timestamp) -> Self {
        Self { now, planned: phase == Phase::Planned, open: phase == Phase::Open, over: phase == Phase::Over }
    }

    /// What is not in this phase at `now`.
    pub fn but(phase: Phase, now: Timestamp) -> Self {
        let Self { planned, open, over, .. } = Self::only(phase, now);
        Self { now, planned: !planned, open: !open, over: !over }
    }

    /// The moment.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Whether this phase is among them.
    pub fn has(&self, phase: Phase) -> bool {
        match phase {
            Phase::Planned => self.planned,
            Phase::Open => self.open,
            Phase::Over => self.over,
        }
    }
}

/// Bytes of events in an answer, where a question says nothing else.
pub const ANSWER_BYTES: usize = 4 << 20;

/// A condition that only a front door knows.
#[derive(Clone)]
pub struct Keep(pub Arc<dyn Fn(&EventView) -> bool + Send + Sync>);

impl fmt::Debug for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keep(..)")
    }
}

impl Query {
    /// How many events have to be found.
    pub(super) fn most(&self) -> usize {
        self.skip.saturating_add(self.limit)
    }

    /// Whether all that comes after what ended then, in the order of ends, had ended before its times, or is over where only
    /// what is open is asked for.
    pub(super) fn is_past(&self, time: Timestamp) -> bool {
        matches!(self.order, Order::End | Order::EndStart)
            && (self.start.is_some_and(|start| time < start) || self.open_at().is_some_and(|now| time <= now))
    }

    /// The moment, where only what is open then is asked for.
    pub(super) fn open_at(&self) -> Option<Timestamp> {
        self.phases.filter(|phases| phases.open && !phases.planned && !phases.over).map(|phases| phases.now)
    }

    /// The moment, where only what is over then is asked for.
    pub(super) fn over_at(&self) -> Option<Timestamp> {
        self.phases.filter(|phases| phases.over && !phases.planned && !phases.open).map(|phases| phases.now)
    }

    /// Its tags and keys.
    pub(super) fn found_by(&self) -> impl Iterator<Item = Tag<'_>> {
        let tags = self.tags.iter().map(|(key, value)| Tag::Is(key, value));
        tags.chain(self.keys.iter().map(|key| Tag::Has(key)))
    }

    /// Whether it takes all of an event to see if it is meant.
    pub(super) fn looks_closely(&self) -> bool {
        !self.tags.is_empty() || !self.keys.is_empty() || self.text.is_some() || self.keep.is_some()
    }
}

impl Default for Query {
    fn default() -> Self {
        let (selectors, tags, keys) = Default::default();
        let (parent, text, start, end, phases, keep, after) = Default::default();
        Self {
            selectors,
            tags,
            keys,
            parent,
            text,
            start,
            end,
            phases,
            keep,
            keep_cost: 0,
            order: Order::Start,
            skip: 0,
            limit: 100,
            bytes: ANSWER_BYTES,
            after,
        }
    }
}

/// Where an answer ended: the time and id of its last event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub(super) at: Timestamp,
    pub(super) id: Box<str>,
}

impl Cursor {
    /// The time that it goes on after.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// Where an answer that ended with this event would go on.
    pub fn after(event: &EventView, order: Order) -> Self {
        Self { at: event.time(order), id: event.id.clone() }
    }
}

/// The opaque text of a cursor.
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{}", self.at.millis(), hex::encode(self.id.as_bytes()))
    }
}

/// The text is no cursor of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of an earlier answer")]
pub struct CursorError;

impl std::str::FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let (at, id) = text.split_at_checked(16).ok_or(CursorError)?;
        let at = u64::from_str_radix(at, 16).map_err(|_| CursorError)?.cast_signed();
        let id = hex::decode(id).ok().and_then(|id| String::from_utf8(id).ok()).ok_or(CursorError)?;
        Ok(Self { at: Timestamp::from_millis(at), id: id.into() })
    }
}
