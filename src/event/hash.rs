//! Ids, identities and fingerprints: hashes of 128 bits that are the same on every server, and that nobody can make equal
//! for two things: BLAKE3, cut. Logs of the first format have XXH3 in their place, which is still computed to find what they
//! hold. Not for tables, which are seeded.

use xxhash_rust::xxh3::xxh3_128;

/// What most of what is hashed fits into.
pub(super) const USUAL_BYTES: usize = 512;

/// What makes a start and a stop belong together: a hash of (rule, event name, identifying attributes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity(pub u128);

impl Identity {
    /// The identity given by `parts`; the first part should name the rule, so that rules never meet.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        Parts::of(parts).identity()
    }

    /// The identity of an event with an id of its own (rule 1).
    pub fn of_id(id: &str) -> Self {
        Self::of(["id", id])
    }

    /// The same in logs of the first format, whose events keep it.
    pub fn first_of_id(id: &str) -> Self {
        Parts::of(["id", id]).first_identity()
    }
}

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
    pub fn first_identity(&self) -> Identity {
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

/// The first 128 bits of a hash of all of them.
pub(super) fn digest(bytes: &[u8]) -> u128 {
    let hash = blake3::hash(bytes);
    hash.as_bytes().first_chunk().map_or(0, |half| u128::from_le_bytes(*half))
}
