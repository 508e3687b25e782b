//! What an event says of itself beside its edges, and how commands about whole events look.

use super::Edge;
use super::EdgeId;
use super::EdgeState;
use super::Identity;
use super::hash;
use crate::time::Timestamp;
use std::borrow::Cow;
use std::sync::Arc;

/// The longest id of an event that its sender chose, in characters.
pub const EVENT_ID_MAX: usize = 100;

/// Everything of an event that is not an edge. An empty text or list means that there is none.
///
/// It is the union of what the front doors know (DESIGN section 1); a door that has no word for a field leaves it as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// What it is called.
    pub name: Box<str>,
    /// Free text.
    pub description: Box<str>,
    /// What reported it (`github_actions`, `manual`).
    pub source: Box<str>,
    /// The id of the event that caused it.
    pub parent_id: Box<str>,
    /// The id of the event at the root of its causes.
    pub source_id: Box<str>,
    /// Title to URL, in the order given.
    pub links: Vec<(Box<str>, Box<str>)>,
    /// Key to values, in the order given.
    pub tags: Vec<(Box<str>, Vec<Box<str>>)>,
    /// The buckets it concerns; none means all of them.
    pub buckets: Vec<Box<str>>,
    /// The environments it concerns; none means all of them.
    pub environments: Vec<Box<str>>,
    /// Whatever else its sender keeps with it: a JSON object as text.
    pub metadata: Box<str>,
    /// What later programs say of it, in the order of their records. It is kept as it is.
    pub extensions: Vec<Extension>,
}

/// A field that not every program knows. ARCHITECTURE.md has the table of tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Which.
    pub tag: u8,
    /// What it says.
    pub bytes: Box<[u8]>,
}

impl Details {
    /// How many bytes its texts have.
    pub fn text_bytes(&self) -> usize {
        let Self { name, description, source, parent_id, source_id, links, tags, buckets, environments, metadata, extensions } = self;
        let one: usize = [name, description, source, parent_id, source_id, metadata].iter().map(|text| text.len()).sum();
        let lists: usize = buckets.iter().chain(environments).map(|text| text.len()).sum();
        let links: usize = links.iter().map(|(title, url)| title.len() + url.len()).sum();
        let values = |values: &[Box<str>]| values.iter().map(|value| value.len()).sum::<usize>();
        let tags: usize = tags.iter().map(|(key, all)| key.len() + values(all)).sum();
        one + lists + links + tags + extensions.iter().map(|extension| extension.bytes.len()).sum::<usize>()
    }

    /// The values of a tag; none when it has no such tag.
    pub fn tag(&self, key: &str) -> &[Box<str>] {
        self.tags.iter().find(|(name, _)| **name == *key).map_or(&[], |(_, values)| values)
    }

    /// Everything it is found by, as keys and values: its tags, and what other doors call by names of their own.
    pub fn all_tags(&self) -> impl Iterator<Item = (&str, &str)> {
        let tags = self.tags.iter().flat_map(|(key, values)| values.iter().map(|value| (&**key, &**value)));
        let texts = [("parent_id", &self.parent_id), ("source_id", &self.source_id), ("name", &self.name), ("source", &self.source)];
        let lists = [("bucket", &self.buckets), ("environment", &self.environments)];
        let texts = texts.into_iter().filter(|(_, text)| !text.is_empty()).map(|(key, text)| (key, &**text));
        let lists = lists.into_iter().flat_map(|(key, values)| values.iter().map(move |value| (key, &**value)));
        tags.chain(texts).chain(lists)
    }

    /// The keys of these, and of tags that have no value; some more than once.
    pub fn all_keys(&self) -> impl Iterator<Item = &str> {
        let bare = self.tags.iter().filter(|(_, values)| values.is_empty()).map(|(key, _)| &**key);
        bare.chain(self.all_tags().map(|(key, _)| key))
    }
}

/// An event with an id of its own, as it is from now on: what was there under this id is replaced.
#[derive(Clone, Debug, PartialEq)]
pub struct Put {
    /// Chosen by the sender or made by a front door; unique in the organization.
    pub id: Box<str>,
    /// When the event was first put; `None` means now.
    pub created: Option<Timestamp>,
    /// The event's number, where another put gave it that; `None` means the position of this one's record. The writer sets it.
    pub number: Option<u64>,
    /// Its start, or the point.
    pub start: Edge,
    /// Its stop, unless it is open or a point.
    pub stop: Option<Edge>,
    /// The rest.
    pub details: Details,
}

impl Put {
    /// Its edges, in order.
    pub fn edges(&self) -> impl Iterator<Item = &Edge> {
        std::iter::once(&self.start).chain(&self.stop)
    }

    /// The same, to be changed.
    pub(crate) fn edges_mut(&mut self) -> impl Iterator<Item = &mut Edge> {
        std::iter::once(&mut self.start).chain(&mut self.stop)
    }
}

/// The order of edges within an identity: time, a start before a stop, id.
pub type Key = (Timestamp, EdgeState, EdgeId);

/// An event that came as edges, as it was when something was decided about it: its edges are those of the identity from the
/// first to the last. What else was known then, and what has been forgotten since, does not matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// What its edges have in common.
    pub identity: Identity,
    /// Its first edge.
    pub first: Key,
    /// Its last edge.
    pub last: Key,
}

/// Details for an event that came as edges, whatever it had before. It keeps its edges, its labels and its id.
#[derive(Clone, Debug, PartialEq)]
pub struct Describe {
    /// The tenant's slug.
    pub organization: Arc<str>,
    /// Any edge of the event.
    pub edge: EdgeId,
    /// The event as it was when this was written. The writer sets it; the first format had none.
    pub span: Option<Span>,
    /// A stop that closes it.
    pub stop: Option<Edge>,
    /// From now on.
    pub details: Details,
}

/// The event is not to be listed or shown any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delete {
    /// The tenant's slug.
    pub organization: Arc<str>,
    /// Its own id, or that of one of its edges.
    pub id: Box<str>,
    /// As in [`Describe::span`]; `None` for an event with an id of its own.
    pub span: Option<Span>,
}

/// What changes a whole event.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// An event with an id of its own came in, or changed.
    Put(Box<Put>),
    /// An event that came as edges got details.
    Describe(Box<Describe>),
    /// An event was deleted.
    Delete(Delete),
}

impl Change {
    /// The slug of the tenant whose event it is about.
    pub fn organization(&self) -> &Arc<str> {
        match self {
            Self::Put(put) => &put.start.organization,
            Self::Describe(describe) => &describe.organization,
            Self::Delete(delete) => &delete.organization,
        }
    }

    /// The id of the event that it is about.
    pub fn event_id(&self) -> Cow<'_, str> {
        match self {
            Self::Put(put) => Cow::Borrowed(&put.id),
            Self::Describe(describe) => Cow::Owned(describe.edge.to_string()),
            Self::Delete(delete) => Cow::Borrowed(&delete.id),
        }
    }
}

/// What must be so for a change to be made; the writer looks before it appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// There is no event with this id.
    New,
    /// The event is at this version.
    Version(Version),
}

/// Tells apart the states that an event goes through; what `ETag` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

impl Version {
    /// The version of what `bytes` say.
    pub fn of(bytes: &[u8]) -> Self {
        Self(u64::try_from(hash::digest(bytes) & u128::from(u64::MAX)).unwrap_or_default())
    }

    /// Reads what [`std::fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 16 || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        u64::from_str_radix(text, 16).ok().map(Self)
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
