//! One record of the log: a command and the time it was received, to the byte.
//!
//! `kind u8 | received i64 | body`, little endian; a text is `length u32 | UTF-8`. Kinds 16 to 31 are those of whole
//! events, of which 22 and up are free. ARCHITECTURE.md has the table of bodies. What the first format wrote (kinds 1, 16,
//! 17, 18), and edges of kind 4, whose identities and labels were made by other rules, are read and no longer written.

mod decode;

pub use decode::Decoder;
pub use decode::Earlier;

use super::Change;
use super::Claim;
use super::Command;
use super::Details;
use super::Edge;
use super::EdgeState;
use super::Extension;
use super::Put;
use super::RetirePart;
use super::Span;
use crate::time::Timestamp;
use crate::time::millis_of;
use std::time::Duration;

const FORMER_EDGE: u8 = 1;
const CLAIM: u8 = 2;
const FORMER_RETIRE: u8 = 3;
const EARLIER_EDGE: u8 = 4;
const CLOCK: u8 = 5;
const SETTINGS: u8 = 6;
const RETIRE: u8 = 7;
const RETIRE_PART: u8 = 8;
const EDGE: u8 = 9;
const FORMER_PUT: u8 = 16;
const FORMER_DESCRIBE: u8 = 17;
const FORMER_DELETE: u8 = 18;
const PUT: u8 = 19;
const DESCRIBE: u8 = 20;
const DELETE: u8 = 21;

const STATE_BITS: u8 = 0b11;
const LAPSES: u8 = 1 << 2;
const HAS_SUPERSEDE: u8 = 1 << 3;
const HAS_ATTRIBUTES: u8 = 1 << 4;
const HAS_VALUE: u8 = 1 << 5;
const HAS_NAME: u8 = 1 << 6;
const HAS_SKEW: u8 = 1 << 7;

const HAS_STOP: u8 = 1;
const HAS_CREATED: u8 = 1 << 1;
const SAME_ATTRIBUTES: u8 = 1 << 2;
const HAS_SPAN: u8 = 1 << 1;
const HAS_EXTENSIONS: u8 = 1 << 3;
const HAS_NUMBER: u8 = 1 << 4;
const PUT_FLAGS: u8 = HAS_STOP | HAS_CREATED | SAME_ATTRIBUTES | HAS_EXTENSIONS | HAS_NUMBER;
const DESCRIBE_FLAGS: u8 = HAS_STOP | HAS_SPAN | HAS_EXTENSIONS;

/// Why bytes are no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The kind belongs to a later version of the program.
    #[error("record kind {0} is not known: the log was written by a newer version")]
    UnknownKind(u8),
    /// The same of a flag of a known kind.
    #[error("record flags {0:#010b} are not known: the log was written by a newer version")]
    UnknownFlags(u8),
    /// The bytes end early, go on too long, or hold something impossible.
    #[error("damaged record: {0}")]
    Damaged(&'static str),
}

/// What has a record of its own.
pub trait Record {
    /// Appends the record to `out`, its time of receipt still unset (see [`stamp`]).
    fn encode(&self, out: &mut Vec<u8>);
}

impl Record for Command {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Edge(edge) => edge.encode(out),
            Self::Claim(claim) => claim.encode(out),
            Self::Change(change) => change.encode(out),
            Self::Retire { before, upto } => {
                begin(RETIRE, out);
                out.extend_from_slice(&before.millis().to_le_bytes());
                out.extend_from_slice(&upto.to_le_bytes());
            }
            Self::RetirePart(RetirePart { organization, before, upto, skip, edges }) => {
                begin(RETIRE_PART, out);
                put_text(out, organization);
                out.extend_from_slice(&before.millis().to_le_bytes());
                out.extend_from_slice(&upto.to_le_bytes());
                out.extend_from_slice(&skip.to_le_bytes());
                out.extend_from_slice(&edges.to_le_bytes());
            }
            Self::Clock { ahead } => {
                begin(CLOCK, out);
                out.extend_from_slice(&millis_of(*ahead).to_le_bytes());
            }
            Self::Settings(settings) => {
                begin(SETTINGS, out);
                out.extend_from_slice(&skew_of(settings.skew).to_le_bytes());
            }
        }
    }
}

impl Record for Edge {
    fn encode(&self, out: &mut Vec<u8>) {
        begin(EDGE, out);
        encode_edge(self, self.attributes.as_deref(), out);
    }
}

impl Record for Claim {
    fn encode(&self, out: &mut Vec<u8>) {
        begin(CLAIM, out);
        put_text(out, &self.organization);
        out.extend_from_slice(&self.key.to_le_bytes());
        out.extend_from_slice(&self.body.to_le_bytes());
        out.extend_from_slice(&self.at.millis().to_le_bytes());
    }
}

impl Record for Change {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Put(put) => {
                begin(PUT, out);
                encode_put(put, out);
            }
            Self::Describe(describe) => {
                begin(DESCRIBE, out);
                out.push(flag(describe.stop.is_some(), HAS_STOP) | flag(describe.span.is_some(), HAS_SPAN) | extended(&describe.details));
                put_text(out, &describe.organization);
                out.extend_from_slice(&describe.edge.0.to_le_bytes());
                put_span(out, describe.span);
                encode_details(&describe.details, out);
                if let Some(stop) = &describe.stop {
                    encode_edge(stop, stop.attributes.as_deref(), out);
                }
            }
            Self::Delete(delete) => {
                begin(DELETE, out);
                out.push(flag(delete.span.is_some(), HAS_SPAN));
                put_text(out, &delete.organization);
                put_text(out, &delete.id);
                put_span(out, delete.span);
            }
        }
    }
}

fn begin(kind: u8, out: &mut Vec<u8>) {
    out.push(kind);
    out.extend_from_slice(&[0; 8]);
}

fn flag(on: bool, bit: u8) -> u8 {
    if on { bit } else { 0 }
}

fn skew_of(span: Duration) -> u32 {
    u32::try_from(millis_of(span)).unwrap_or(u32::MAX)
}

fn put_span(out: &mut Vec<u8>, span: Option<Span>) {
    let Some(Span { identity, first, last }) = span else { return };
    out.extend_from_slice(&identity.0.to_le_bytes());
    for (at, state, id) in [first, last] {
        out.extend_from_slice(&at.millis().to_le_bytes());
        out.push(state_bits(state));
        out.extend_from_slice(&id.0.to_le_bytes());
    }
}

fn state_bits(state: EdgeState) -> u8 {
    match state {
        EdgeState::Start => 0,
        EdgeState::Stop => 1,
        EdgeState::Point => 2,
    }
}

fn encode_put(put: &Put, out: &mut Vec<u8>) {
    // The text of what was sent is long, and mostly the same at both ends.
    let same = put.stop.as_ref().is_some_and(|stop| stop.attributes.is_some() && stop.attributes == put.start.attributes);
    let flags = flag(put.stop.is_some(), HAS_STOP) | flag(put.created.is_some(), HAS_CREATED) | flag(same, SAME_ATTRIBUTES);
    out.push(flags | extended(&put.details) | flag(put.number.is_some(), HAS_NUMBER));
    put_text(out, &put.id);
    if let Some(created) = put.created {
        out.extend_from_slice(&created.millis().to_le_bytes());
    }
    if let Some(number) = put.number {
        out.extend_from_slice(&number.to_le_bytes());
    }
    encode_details(&put.details, out);
    encode_edge(&put.start, put.start.attributes.as_deref(), out);
    if let Some(stop) = &put.stop {
        encode_edge(stop, stop.attributes.as_deref().filter(|_| !same), out);
    }
}

/// The details in the form of a record; also what their version is a hash of.
pub(crate) fn encode_details(details: &Details, out: &mut Vec<u8>) {
    let Details { name, description, source, parent_id, source_id, links, tags, buckets, environments, metadata, extensions } = details;
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
    if extensions.is_empty() {
        return;
    }
    put_length(out, extensions.len());
    for Extension { tag, bytes } in extensions {
        out.push(*tag);
        put_length(out, bytes.len());
        out.extend_from_slice(bytes);
    }
}

fn extended(details: &Details) -> u8 {
    flag(!details.extensions.is_empty(), HAS_EXTENSIONS)
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

fn encode_edge(edge: &Edge, attributes: Option<&str>, out: &mut Vec<u8>) {
    let has_value = edge.value.to_bits() != 1f64.to_bits();
    out.push(
        state_bits(edge.state)
            | flag(edge.lapses, LAPSES)
            | flag(edge.supersede.is_some(), HAS_SUPERSEDE)
            | flag(attributes.is_some(), HAS_ATTRIBUTES)
            | flag(has_value, HAS_VALUE)
            | flag(edge.named.is_some(), HAS_NAME)
            | flag(edge.skew.is_some(), HAS_SKEW),
    );
    out.extend_from_slice(&edge.at.millis().to_le_bytes());
    out.extend_from_slice(&edge.identity.0.to_le_bytes());
    if let Some(group) = edge.supersede {
        out.extend_from_slice(&group.0.to_le_bytes());
    }
    if let Some(id) = edge.named {
        out.extend_from_slice(&id.0.to_le_bytes());
    }
    if let Some(skew) = edge.skew {
        out.extend_from_slice(&skew_of(skew).to_le_bytes());
    }
    if has_value {
        out.extend_from_slice(&edge.value.to_le_bytes());
    }
    put_text(out, &edge.organization);
    put_text(out, &edge.cluster);
    put_text(out, edge.labels.encoding());
    if let Some(attributes) = attributes {
        put_text(out, attributes);
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    // Every text was admitted under a limit far below 4 GiB; a longer one would fail its decoding.
    out.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests;
