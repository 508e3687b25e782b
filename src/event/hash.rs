//! Ids, identities and fingerprints: hashes of 128 bits that are the same on every server, and that nobody can make equal
//! for two things: BLAKE3, cut. Logs of the first format have XXH3 in their place, which is still computed to find what they
//! hold. Not for tables, which are seeded.

use super::Edge;
use super::Identity;
use xxhash_rust::xxh3::xxh3_128;

/// What most of what is hashed fits into.
const USUAL_BYTES: usize = 512;

/// Texts of which each counts for itself: `["ab", "c"]` is not `["a", "bc"]`.
#[derive(Clone, Debug)]
pub struct Parts(Vec<u8>);

impl Parts {
    /// Texts in their order.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        Self::of_bytes(parts.into_iter().map(str::as_bytes))
    }

    fn of_bytes<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut bytes = Vec::with_capacity(USUAL_BYTES);
        for part in parts {
            bytes.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            bytes.extend_from_slice(part);
        }
        Self(bytes)
    }

    /// The identity that they give.
    pub fn identity(&self) -> Identity {
        Identity(digest(&self.0))
    }

    /// The identity that the first format made of them.
    pub fn former_identity(&self) -> Identity {
        Identity(xxh3_128(&self.0))
    }
}

/// Hash of any bytes that are to be recognised again, such as a request's body.
pub fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u128 {
    digest(&Parts::of_bytes(parts).0)
}

/// The same as the first format made it.
pub fn former_fingerprint<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u128 {
    xxh3_128(&Parts::of_bytes(parts).0)
}

pub(super) fn digest(bytes: &[u8]) -> u128 {
    let hash = blake3::hash(bytes);
    hash.as_bytes().first_chunk().map_or(0, |half| u128::from_le_bytes(*half))
}

pub(super) fn of_edge(edge: &Edge, labels: &str) -> u128 {
    digest(&content(edge, labels))
}

pub(super) fn former_of_edge(edge: &Edge) -> u128 {
    xxh3_128(&content(edge, edge.labels.encoding()))
}

/// What makes an edge the same as another: identity, state, time and labels.
fn content(edge: &Edge, labels: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(USUAL_BYTES);
    bytes.extend_from_slice(&edge.identity.0.to_le_bytes());
    bytes.push(edge.state as u8);
    bytes.extend_from_slice(&edge.at.millis().to_le_bytes());
    bytes.extend_from_slice(labels.as_bytes());
    bytes
}
