//! Ids of what is created here, as RFC 9562 has them: random ones (version 4), and those made of an `Idempotency-Key` (version 8).

use sha2::Digest as _;
use sha2::Sha256;

use crate::time::Timestamp;

/// An id that nobody has.
pub(super) fn random() -> Option<Box<str>> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok()?;
    Some(uuid(bytes, 4))
}

/// The id of what a request with this key creates, first sent `at`: the same each time it is sent.
pub(super) fn derived(organization: &str, token: &str, key: &[u8], at: Timestamp) -> Box<str> {
    let mut hash = Sha256::new();
    for part in [b"grafana", organization.as_bytes(), token.as_bytes(), key, &at.millis().to_le_bytes()] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    uuid(hash.finalize().first_chunk().copied().unwrap_or_default(), 8)
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

    #[test]
    fn ids_are_uuids() {
        let is_uuid = regex::Regex::new("^[0-9a-f]{8}-[0-9a-f]{4}-[48][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$").unwrap();
        let derive = |organization, token, key: &str, at| derived(organization, token, key.as_bytes(), Timestamp::from_millis(at));
        let (random, one) = (random().unwrap(), derive("acme", "ci", "k", 1));
        assert!(is_uuid.is_match(&random) && is_uuid.is_match(&one), "{random} {one}");
        assert_ne!(random, super::random().unwrap());
        assert_eq!(one, derive("acme", "ci", "k", 1));
        for other in [derive("other", "ci", "k", 1), derive("acme", "c", "ik", 1), derive("acme", "ci", "k", 2)] {
            assert_ne!(one, other);
        }
    }
}
