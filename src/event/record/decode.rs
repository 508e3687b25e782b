//! Reading records: those of now, and those of the first format with the ids that it gave.

use super::CLAIM;
use super::CLOCK;
use super::DELETE;
use super::DESCRIBE;
use super::DESCRIBE_FLAGS;
use super::EARLIER_EDGE;
use super::EDGE;
use super::FORMER_DELETE;
use super::FORMER_DESCRIBE;
use super::FORMER_EDGE;
use super::FORMER_PUT;
use super::FORMER_RETIRE;
use super::HAS_ATTRIBUTES;
use super::HAS_CREATED;
use super::HAS_EXTENSIONS;
use super::HAS_NAME;
use super::HAS_NUMBER;
use super::HAS_SKEW;
use super::HAS_SPAN;
use super::HAS_STOP;
use super::HAS_SUPERSEDE;
use super::HAS_VALUE;
use super::LAPSES;
use super::PUT;
use super::PUT_FLAGS;
use super::RETIRE;
use super::RETIRE_PART;
use super::RecordError;
use super::SAME_ATTRIBUTES;
use super::SETTINGS;
use super::STATE_BITS;
use crate::event::Change;
use crate::event::Claim;
use crate::event::Command;
use crate::event::Delete;
use crate::event::Describe;
use crate::event::Details;
use crate::event::Edge;
use crate::event::EdgeId;
use crate::event::EdgeState;
use crate::event::Extension;
use crate::event::Identity;
use crate::event::Key;
use crate::event::Put;
use crate::event::RetirePart;
use crate::event::Settings;
use crate::event::Span;
use crate::labels::LabelSet;
use crate::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// What a log has of builds that made identities, ids or labels otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Earlier {
    /// Records of the first format that have edges or details: other hashes.
    pub first: bool,
    /// Edges by the rules of before: other identities and labels, the hashes of now.
    pub edges: bool,
}

impl Earlier {
    /// Whether there is anything.
    pub fn is_some(self) -> bool {
        self.first || self.edges
    }

    /// What either has.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { first: self.first || other.first, edges: self.edges || other.edges }
    }
}

/// Decodes records; remembers the last organization and cluster, which repeat from record to record.
#[derive(Debug, Default)]
pub struct Decoder {
    organization: Option<Arc<str>>,
    cluster: Option<Arc<str>>,
    /// What the record read last says of the build that wrote it.
    earlier: Earlier,
}

impl Decoder {
    /// The command in `record` and when it was received.
    pub fn decode(&mut self, record: &[u8]) -> Result<(Timestamp, Command), RecordError> {
        let mut input = Input(record);
        let kind = input.byte()?;
        if !matches!(kind, FORMER_EDGE..=EDGE | FORMER_PUT..=DELETE) {
            return Err(RecordError::UnknownKind(kind));
        }
        let received = input.time()?;
        self.earlier = Earlier { first: matches!(kind, FORMER_EDGE | FORMER_PUT | FORMER_DESCRIBE), edges: kind == EARLIER_EDGE };
        let command = match kind {
            FORMER_EDGE | EARLIER_EDGE | EDGE => Command::Edge(self.edge(&mut input)?),
            CLAIM => Command::Claim(Claim {
                organization: shared(&mut self.organization, input.text()?),
                key: input.wide()?,
                body: input.wide()?,
                at: input.time()?,
                former: None,
            }),
            CLOCK => Command::Clock { ahead: input.time()?.since(Timestamp::default()) },
            SETTINGS => Command::Settings(Settings { skew: input.skew()? }),
            FORMER_PUT | PUT => Command::Change(Change::Put(Box::new(self.put(&mut input)?))),
            FORMER_DESCRIBE | DESCRIBE => Command::Change(Change::Describe(Box::new(self.describe(&mut input)?))),
            FORMER_DELETE | DELETE => {
                let flags = if kind == DELETE { input.flags(HAS_SPAN)? } else { 0 };
                let (organization, id) = (shared(&mut self.organization, input.text()?), input.text()?.into());
                Command::Change(Change::Delete(Delete { organization, id, span: input.span(flags)? }))
            }
            RETIRE => Command::Retire { before: input.time()?, upto: u64::from_le_bytes(input.array()?) },
            RETIRE_PART => Command::RetirePart(RetirePart {
                organization: shared(&mut self.organization, input.text()?),
                before: input.time()?,
                upto: u64::from_le_bytes(input.array()?),
                skip: u32::from_le_bytes(input.array()?),
                edges: u32::from_le_bytes(input.array()?),
            }),
            FORMER_RETIRE => Command::Retire { before: input.time()?, upto: 0 },
            _ => return Err(RecordError::UnknownKind(kind)),
        };
        if input.0.is_empty() { Ok((received, command)) } else { Err(RecordError::Damaged("bytes after its end")) }
    }

    /// What the record read last says of the build that wrote it.
    pub fn earlier(&self) -> Earlier {
        self.earlier
    }

    fn put(&mut self, input: &mut Input<'_>) -> Result<Put, RecordError> {
        let flags = input.flags(PUT_FLAGS)?;
        let id = input.text()?.into();
        let created = if flags & HAS_CREATED != 0 { Some(input.time()?) } else { None };
        let number = if flags & HAS_NUMBER != 0 { Some(u64::from_le_bytes(input.array()?)) } else { None };
        let details = input.details(flags)?;
        let start = self.edge(input)?;
        let mut stop = if flags & HAS_STOP != 0 { Some(self.edge(input)?) } else { None };
        if let Some(stop) = stop.as_mut().filter(|_| flags & SAME_ATTRIBUTES != 0) {
            stop.attributes.clone_from(&start.attributes);
        }
        Ok(Put { id, created, number, start, stop, details })
    }

    fn describe(&mut self, input: &mut Input<'_>) -> Result<Describe, RecordError> {
        let flags = input.flags(DESCRIBE_FLAGS)?;
        let organization = shared(&mut self.organization, input.text()?);
        let edge = EdgeId(input.wide()?);
        let span = input.span(flags)?;
        let details = input.details(flags)?;
        let stop = if flags & HAS_STOP != 0 { Some(self.edge(input)?) } else { None };
        Ok(Describe { organization, edge, span, stop, details })
    }

    fn edge(&mut self, input: &mut Input<'_>) -> Result<Edge, RecordError> {
        let flags = input.byte()?;
        let state = state_of(flags & STATE_BITS)?;
        let has = |bit: u8| flags & bit != 0;
        let at = input.time()?;
        let identity = Identity(input.wide()?);
        let supersede = if has(HAS_SUPERSEDE) { Some(Identity(input.wide()?)) } else { None };
        let named = if has(HAS_NAME) { Some(EdgeId(input.wide()?)) } else { None };
        let skew = if has(HAS_SKEW) { Some(input.skew()?) } else { None };
        let value = if has(HAS_VALUE) { f64::from_le_bytes(input.array()?) } else { 1.0 };
        let organization = shared(&mut self.organization, input.text()?);
        let cluster = shared(&mut self.cluster, input.text()?);
        let labels = LabelSet::from_encoding(input.text()?).map_err(|_| RecordError::Damaged("labels"))?;
        let attributes = if has(HAS_ATTRIBUTES) { Some(input.text()?.into()) } else { None };
        let lapses = has(LAPSES);
        let mut edge =
            Edge { organization, cluster, value, lapses, supersede, skew, named, attributes, ..Edge::new(state, at, identity, labels) };
        if self.earlier.first {
            edge.named = Some(edge.first_id());
        }
        Ok(edge)
    }
}

fn shared(last: &mut Option<Arc<str>>, text: &str) -> Arc<str> {
    match last {
        Some(last) if **last == *text => Arc::clone(last),
        _ => Arc::clone(last.insert(text.into())),
    }
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], RecordError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(RecordError::Damaged("ends early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        self.take(N)?.try_into().map_err(|_| RecordError::Damaged("ends early"))
    }

    fn byte(&mut self) -> Result<u8, RecordError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Flags of which only these are known.
    fn flags(&mut self, known: u8) -> Result<u8, RecordError> {
        let flags = self.byte()?;
        if flags & !known == 0 { Ok(flags) } else { Err(RecordError::UnknownFlags(flags)) }
    }

    fn time(&mut self) -> Result<Timestamp, RecordError> {
        self.array().map(|bytes| Timestamp::from_millis(i64::from_le_bytes(bytes)))
    }

    fn skew(&mut self) -> Result<Duration, RecordError> {
        self.array().map(|bytes| Duration::from_millis(u32::from_le_bytes(bytes).into()))
    }

    fn span(&mut self, flags: u8) -> Result<Option<Span>, RecordError> {
        if flags & HAS_SPAN == 0 {
            return Ok(None);
        }
        let identity = Identity(self.wide()?);
        Ok(Some(Span { identity, first: self.key()?, last: self.key()? }))
    }

    fn key(&mut self) -> Result<Key, RecordError> {
        let at = self.time()?;
        let bits = self.byte()?;
        Ok((at, state_of(bits)?, EdgeId(self.wide()?)))
    }

    fn wide(&mut self) -> Result<u128, RecordError> {
        self.array().map(u128::from_le_bytes)
    }

    fn boxed(&mut self) -> Result<Box<str>, RecordError> {
        self.text().map(Into::into)
    }

    /// A list of at most as many items as there are bytes left: a damaged length reserves no memory.
    fn list<T>(&mut self, item: impl Fn(&mut Self) -> Result<T, RecordError>) -> Result<Vec<T>, RecordError> {
        let length = u32::from_le_bytes(self.array()?);
        let mut items = Vec::with_capacity((length as usize).min(self.0.len()));
        for _ in 0..length {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// `flags` are those of the record.
    fn details(&mut self, flags: u8) -> Result<Details, RecordError> {
        Ok(Details {
            name: self.boxed()?,
            description: self.boxed()?,
            source: self.boxed()?,
            parent_id: self.boxed()?,
            source_id: self.boxed()?,
            metadata: self.boxed()?,
            links: self.list(|input| Ok((input.boxed()?, input.boxed()?)))?,
            tags: self.list(|input| Ok((input.boxed()?, input.list(Self::boxed)?)))?,
            buckets: self.list(Self::boxed)?,
            environments: self.list(Self::boxed)?,
            extensions: if flags & HAS_EXTENSIONS == 0 { Vec::new() } else { self.list(Self::extension)? },
        })
    }

    fn extension(&mut self) -> Result<Extension, RecordError> {
        let tag = self.byte()?;
        let length = u32::from_le_bytes(self.array()?);
        Ok(Extension { tag, bytes: self.take(usize::try_from(length).unwrap_or(usize::MAX))?.into() })
    }

    fn text(&mut self) -> Result<&'a str, RecordError> {
        let length = u32::from_le_bytes(self.array()?);
        let bytes = self.take(usize::try_from(length).unwrap_or(usize::MAX))?;
        std::str::from_utf8(bytes).map_err(|_| RecordError::Damaged("text is not UTF-8"))
    }
}

fn state_of(bits: u8) -> Result<EdgeState, RecordError> {
    match bits {
        0 => Ok(EdgeState::Start),
        1 => Ok(EdgeState::Stop),
        2 => Ok(EdgeState::Point),
        _ => Err(RecordError::Damaged("edge state")),
    }
}
