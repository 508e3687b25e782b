//! One record of the log: a command and the time it was received, to the byte.
//!
//! `kind u8 | received i64 | body`, little endian; a text is `length u32 | UTF-8`. Kinds 16 to 31 are those of whole
//! events, of which 19 and up are free. ARCHITECTURE.md has the table of bodies.

use super::Claim;
use super::Command;
use super::Delete;
use super::Describe;
use super::Details;
use super::Edge;
use super::EdgeId;
use super::EdgeState;
use super::Identity;
use super::Put;
use crate::labels::LabelSet;
use crate::time::Timestamp;
use std::sync::Arc;

const EDGE: u8 = 1;
const CLAIM: u8 = 2;
const RETIRE: u8 = 3;
const PUT: u8 = 16;
const DESCRIBE: u8 = 17;
const DELETE: u8 = 18;

const STATE_BITS: u8 = 0b11;
const LAPSES: u8 = 1 << 2;
const HAS_SUPERSEDE: u8 = 1 << 3;
const HAS_ATTRIBUTES: u8 = 1 << 4;
const HAS_VALUE: u8 = 1 << 5;

const HAS_STOP: u8 = 1;
const HAS_CREATED: u8 = 1 << 1;

/// Why bytes are no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The kind belongs to a later version of the program.
    #[error("record kind {0} is not known: the log was written by a newer version")]
    UnknownKind(u8),
    /// The bytes end early, go on too long, or hold something impossible.
    #[error("damaged record: {0}")]
    Damaged(&'static str),
}

/// Appends the record of `command` to `out`, its time of receipt still unset (see [`stamp`]).
pub fn encode(command: &Command, out: &mut Vec<u8>) {
    let kind = match command {
        Command::Edge(_) => EDGE,
        Command::Claim(_) => CLAIM,
        Command::Retire { .. } => RETIRE,
        Command::Put(_) => PUT,
        Command::Describe(_) => DESCRIBE,
        Command::Delete(_) => DELETE,
    };
    out.push(kind);
    out.extend_from_slice(&[0; 8]);
    match command {
        Command::Edge(edge) => encode_edge(edge, out),
        Command::Claim(claim) => {
            put_text(out, &claim.organization);
            out.extend_from_slice(&claim.key.to_le_bytes());
            out.extend_from_slice(&claim.body.to_le_bytes());
            out.extend_from_slice(&claim.at.millis().to_le_bytes());
        }
        Command::Retire { before } => out.extend_from_slice(&before.millis().to_le_bytes()),
        Command::Put(put) => encode_put(put, out),
        Command::Describe(describe) => {
            out.push(if describe.stop.is_some() { HAS_STOP } else { 0 });
            put_text(out, &describe.organization);
            out.extend_from_slice(&describe.edge.0.to_le_bytes());
            encode_details(&describe.details, out);
            if let Some(stop) = &describe.stop {
                encode_edge(stop, out);
            }
        }
        Command::Delete(delete) => {
            put_text(out, &delete.organization);
            put_text(out, &delete.id);
        }
    }
}

fn encode_put(put: &Put, out: &mut Vec<u8>) {
    let flags = if put.stop.is_some() { HAS_STOP } else { 0 } | if put.created.is_some() { HAS_CREATED } else { 0 };
    out.push(flags);
    put_text(out, &put.id);
    if let Some(created) = put.created {
        out.extend_from_slice(&created.millis().to_le_bytes());
    }
    encode_details(&put.details, out);
    for edge in put.edges() {
        encode_edge(edge, out);
    }
}

/// The details in the form of a record; also what their version is a hash of.
pub(crate) fn encode_details(details: &Details, out: &mut Vec<u8>) {
    let Details { name, description, source, parent_id, source_id, links, tags, buckets, environments, metadata } = details;
    for text in [name, description, source, parent_id, source_id, metadata] {
        put_text(out, text);
    }
    put_length(out, links.len());
    for (title, url) in links {
        put_text(out, title);
        put_text(out, url);
    }
    put_length(out, tags.len());
    for (key, values) in tags {
        put_text(out, key);
        put_texts(out, values);
    }
    put_texts(out, buckets);
    put_texts(out, environments);
}

fn put_texts(out: &mut Vec<u8>, texts: &[Box<str>]) {
    put_length(out, texts.len());
    for text in texts {
        put_text(out, text);
    }
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
}

/// Sets the time of receipt of an encoded record.
pub fn stamp(record: &mut [u8], received: Timestamp) {
    if let Some(field) = record.get_mut(1..9) {
        field.copy_from_slice(&received.millis().to_le_bytes());
    }
}

fn encode_edge(edge: &Edge, out: &mut Vec<u8>) {
    let state = match edge.state {
        EdgeState::Start => 0,
        EdgeState::Stop => 1,
        EdgeState::Point => 2,
    };
    let has_value = edge.value.to_bits() != 1f64.to_bits();
    let flag = |on: bool, bit: u8| if on { bit } else { 0 };
    out.push(
        state
            | flag(edge.lapses, LAPSES)
            | flag(edge.supersede.is_some(), HAS_SUPERSEDE)
            | flag(edge.attributes.is_some(), HAS_ATTRIBUTES)
            | flag(has_value, HAS_VALUE),
    );
    out.extend_from_slice(&edge.at.millis().to_le_bytes());
    out.extend_from_slice(&edge.identity.0.to_le_bytes());
    if let Some(group) = edge.supersede {
        out.extend_from_slice(&group.0.to_le_bytes());
    }
    if has_value {
        out.extend_from_slice(&edge.value.to_le_bytes());
    }
    put_text(out, &edge.organization);
    put_text(out, &edge.cluster);
    put_text(out, edge.labels.encoding());
    if let Some(attributes) = &edge.attributes {
        put_text(out, attributes);
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    // Every text was admitted under a limit far below 4 GiB; a longer one would fail its decoding.
    out.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Decodes records; remembers the last organization and cluster, which repeat from record to record.
#[derive(Debug, Default)]
pub struct Decoder {
    organization: Option<Arc<str>>,
    cluster: Option<Arc<str>>,
}

impl Decoder {
    /// The command in `record` and when it was received.
    pub fn decode(&mut self, record: &[u8]) -> Result<(Timestamp, Command), RecordError> {
        let mut input = Input(record);
        let kind = input.byte()?;
        if !(EDGE..=RETIRE).contains(&kind) && !(PUT..=DELETE).contains(&kind) {
            return Err(RecordError::UnknownKind(kind));
        }
        let received = input.time()?;
        let command = match kind {
            EDGE => Command::Edge(self.edge(&mut input)?),
            CLAIM => Command::Claim(Claim {
                organization: shared(&mut self.organization, input.text()?),
                key: input.wide()?,
                body: input.wide()?,
                at: input.time()?,
            }),
            PUT => Command::Put(Box::new(self.put(&mut input)?)),
            DESCRIBE => Command::Describe(Box::new(self.describe(&mut input)?)),
            DELETE => Command::Delete(Delete { organization: shared(&mut self.organization, input.text()?), id: input.text()?.into() }),
            _ => Command::Retire { before: input.time()? },
        };
        if input.0.is_empty() { Ok((received, command)) } else { Err(RecordError::Damaged("bytes after its end")) }
    }

    fn put(&mut self, input: &mut Input<'_>) -> Result<Put, RecordError> {
        let flags = input.byte()?;
        let id = input.text()?.into();
        let created = if flags & HAS_CREATED != 0 { Some(input.time()?) } else { None };
        let details = input.details()?;
        let start = self.edge(input)?;
        let stop = if flags & HAS_STOP != 0 { Some(self.edge(input)?) } else { None };
        Ok(Put { id, created, start, stop, details })
    }

    fn describe(&mut self, input: &mut Input<'_>) -> Result<Describe, RecordError> {
        let flags = input.byte()?;
        let organization = shared(&mut self.organization, input.text()?);
        let edge = EdgeId(input.wide()?);
        let details = input.details()?;
        let stop = if flags & HAS_STOP != 0 { Some(self.edge(input)?) } else { None };
        Ok(Describe { organization, edge, stop, details })
    }

    fn edge(&mut self, input: &mut Input<'_>) -> Result<Edge, RecordError> {
        let flags = input.byte()?;
        let state = match flags & STATE_BITS {
            0 => EdgeState::Start,
            1 => EdgeState::Stop,
            2 => EdgeState::Point,
            _ => return Err(RecordError::Damaged("edge state")),
        };
        let has = |bit: u8| flags & bit != 0;
        let at = input.time()?;
        let identity = Identity(input.wide()?);
        let supersede = if has(HAS_SUPERSEDE) { Some(Identity(input.wide()?)) } else { None };
        let value = if has(HAS_VALUE) { f64::from_le_bytes(input.array()?) } else { 1.0 };
        let organization = shared(&mut self.organization, input.text()?);
        let cluster = shared(&mut self.cluster, input.text()?);
        let labels = LabelSet::from_encoding(input.text()?).map_err(|_| RecordError::Damaged("labels"))?;
        let attributes = if has(HAS_ATTRIBUTES) { Some(input.text()?.into()) } else { None };
        Ok(Edge { organization, cluster, state, at, value, identity, lapses: has(LAPSES), supersede, labels, attributes })
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

    fn time(&mut self) -> Result<Timestamp, RecordError> {
        self.array().map(|bytes| Timestamp::from_millis(i64::from_le_bytes(bytes)))
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

    fn details(&mut self) -> Result<Details, RecordError> {
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
        })
    }

    fn text(&mut self) -> Result<&'a str, RecordError> {
        let length = u32::from_le_bytes(self.array()?);
        let bytes = self.take(usize::try_from(length).unwrap_or(usize::MAX))?;
        std::str::from_utf8(bytes).map_err(|_| RecordError::Damaged("text is not UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn label_sets() -> impl Strategy<Value = LabelSet> {
        prop::collection::btree_map("[a-z_]{1,9}", ".{1,20}", 0..6)
            .prop_map(|labels| LabelSet::from_sorted(labels.iter().map(|(k, v)| (k.as_str(), v.as_str()))).unwrap())
    }

    fn texts() -> impl Strategy<Value = Vec<Box<str>>> {
        prop::collection::vec(".{0,9}".prop_map(String::into_boxed_str), 0..3)
    }

    fn details() -> impl Strategy<Value = Details> {
        let pairs = prop::collection::vec((".{0,9}".prop_map(String::into_boxed_str), ".{0,9}".prop_map(String::into_boxed_str)), 0..3);
        let tags = prop::collection::vec((".{0,9}".prop_map(String::into_boxed_str), texts()), 0..3);
        (prop::array::uniform6(".{0,9}".prop_map(String::into_boxed_str)), pairs, tags, texts(), texts()).prop_map(
            |([name, description, source, parent_id, source_id, metadata], links, tags, buckets, environments)| Details {
                name,
                description,
                source,
                parent_id,
                source_id,
                links,
                tags,
                buckets,
                environments,
                metadata,
            },
        )
    }

    fn whole() -> impl Strategy<Value = Command> {
        let stop = || prop::option::of(edge());
        prop_oneof![
            (".{0,9}", prop::option::of(any::<i64>()), edge(), stop(), details()).prop_map(|(id, created, start, stop, details)| {
                Command::Put(Box::new(Put { id: id.into(), created: created.map(Timestamp::from_millis), start, stop, details }))
            }),
            (".{0,9}", any::<u128>(), stop(), details()).prop_map(|(organization, id, stop, details)| {
                Command::Describe(Box::new(Describe { organization: organization.into(), edge: EdgeId(id), stop, details }))
            }),
            (".{0,9}", ".{0,9}")
                .prop_map(|(organization, id)| Command::Delete(Delete { organization: organization.into(), id: id.into() })),
        ]
    }

    fn edges() -> impl Strategy<Value = Command> {
        edge().prop_map(Command::Edge)
    }

    fn edge() -> impl Strategy<Value = Edge> {
        let state = prop_oneof![Just(EdgeState::Start), Just(EdgeState::Stop), Just(EdgeState::Point)];
        let place = ("[a-z]{0,5}", "[a-z]{0,5}", label_sets(), prop::option::of(".{0,30}"));
        (state, any::<i64>(), any::<i32>(), any::<u128>(), any::<bool>(), prop::option::of(any::<u128>()), place).prop_map(
            |(state, at, value, identity, lapses, group, (organization, cluster, labels, attributes))| Edge {
                organization: organization.into(),
                cluster: cluster.into(),
                state,
                at: Timestamp::from_millis(at),
                value: f64::from(value),
                identity: Identity(identity),
                lapses,
                supersede: group.map(Identity),
                labels,
                attributes: attributes.map(String::into_boxed_str),
            },
        )
    }

    fn commands() -> impl Strategy<Value = Command> {
        prop_oneof![
            edges(),
            ("[a-z]{0,5}", any::<u128>(), any::<u128>(), any::<i64>()).prop_map(|(o, key, body, at)| Command::Claim(Claim {
                organization: o.into(),
                key,
                body,
                at: Timestamp::from_millis(at)
            })),
            any::<i64>().prop_map(|before| Command::Retire { before: Timestamp::from_millis(before) }),
            whole(),
        ]
    }

    proptest! {
        #[test]
        fn decodes_what_was_encoded(command in commands(), received in any::<i64>()) {
            let mut record = Vec::new();
            encode(&command, &mut record);
            stamp(&mut record, Timestamp::from_millis(received));
            let mut decoder = Decoder::default();
            prop_assert_eq!(decoder.decode(&record).unwrap(), (Timestamp::from_millis(received), command));
            for end in 0..record.len() {
                prop_assert!(decoder.decode(&record[..end]).is_err());
            }
        }

        #[test]
        fn any_bytes_decode_or_err(kind in prop::sample::select(vec![EDGE, PUT, DESCRIBE, DELETE]), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut record = vec![kind];
            record.extend(bytes);
            drop(Decoder::default().decode(&record));
        }
    }

    #[test]
    fn a_later_kind_is_refused() {
        assert_eq!(Decoder::default().decode(&[19, 0, 0]), Err(RecordError::UnknownKind(19)));
    }
}
