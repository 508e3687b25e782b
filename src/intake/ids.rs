//! Ids of events whose senders chose none: nobody's, or made of an `Idempotency-Key`, the same each time that is sent.

use sha2::Digest as _;
use sha2::Sha256;

use crate::http::auth::Grant;
use crate::time::Timestamp;

/// Bytes from which an id can be made that nobody has.
pub(crate) fn random<const BYTES: usize>() -> Option<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes)
}

/// Bytes from which the id of what a request with this key creates is made, where the first one was received `at`. `door` tells apart
/// what different APIs make of one key; it may be empty.
pub(crate) fn derived(door: &str, grant: &Grant, key: &[u8], at: Timestamp) -> [u8; 32] {
    let mut hash = Sha256::new();
    let door = (!door.is_empty()).then_some(door.as_bytes());
    for part in door.into_iter().chain([grant.organization.as_bytes(), grant.token.as_bytes(), key, &at.millis().to_le_bytes()]) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// A UUID (RFC 9562) of random bytes.
pub(crate) fn uuid4() -> Option<Box<str>> {
    Some(uuid(random()?, 4))
}

/// A UUID (RFC 9562) of the first of these bytes, which say what it is in a way of their own.
pub(crate) fn uuid8(bytes: &[u8; 32]) -> Box<str> {
    uuid(bytes.first_chunk().copied().unwrap_or_default(), 8)
}

fn uuid(bytes: [u8; 16], version: u128) -> Box<str> {
    let bits = u128::from_be_bytes(bytes) & !(0xf << 76) & !(0x3 << 62) | (version << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::auth::Scopes;

    #[test]
    fn ids_are_uuids() {
        let is_uuid = regex::Regex::new("^[0-9a-f]{8}-[0-9a-f]{4}-[48][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$").unwrap();
        let (one, other) = (uuid4().unwrap(), uuid4().unwrap());
        assert!(is_uuid.is_match(&one) && is_uuid.is_match(&uuid8(&[255; 32])), "{one} {}", uuid8(&[255; 32]));
        assert_ne!(one, other);
    }

    #[test]
    fn what_a_key_makes_is_of_all_that_it_is_of() {
        let derive = |door: &str, organization: &str, token: &str, key: &str, at| {
            let grant = Grant { organization: organization.into(), token: token.into(), scopes: Scopes::default() };
            derived(door, &grant, key.as_bytes(), Timestamp::from_millis(at))
        };
        let one = derive("a", "acme", "ci", "k", 1);
        assert_eq!(one, derive("a", "acme", "ci", "k", 1));
        for other in [
            derive("", "acme", "ci", "k", 1),
            derive("b", "acme", "ci", "k", 1),
            derive("a", "other", "ci", "k", 1),
            derive("a", "acme", "c", "ik", 1),
            derive("a", "acme", "ci", "k", 2),
        ] {
            assert_ne!(one, other);
        }
    }
}
