//! Ids of events that were created without one: `evt_` and 27 letters and digits.

use sha2::Digest as _;
use sha2::Sha256;

use crate::time::Timestamp;

const LETTERS: usize = 27;

/// An id that nobody has.
pub(super) fn random() -> Option<Box<str>> {
    let mut bytes = [0; LETTERS];
    getrandom::fill(&mut bytes).ok()?;
    Some(sid(&bytes))
}

/// The id of what a request with this key creates, first sent `at`: the same each time it is sent.
pub(super) fn derived(organization: &str, token: &str, key: &[u8], at: Timestamp) -> Box<str> {
    let mut hash = Sha256::new();
    for part in [organization.as_bytes(), token.as_bytes(), key, &at.millis().to_le_bytes()] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    sid(&hash.finalize())
}

fn sid(bytes: &[u8]) -> Box<str> {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    #[expect(clippy::indexing_slicing, reason = "a remainder of the length")]
    let letters = bytes.iter().take(LETTERS).map(|&byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
    ["evt_", &letters.collect::<String>()].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sid: &str) {
        let letters = sid.strip_prefix("evt_").unwrap();
        assert!(letters.len() == LETTERS && letters.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{sid}");
    }

    #[track_caller]
    fn derive(organization: &str, token: &str, key: &str, at: i64) -> Box<str> {
        derived(organization, token, key.as_bytes(), Timestamp::from_millis(at))
    }

    #[test]
    fn ids_have_the_form_of_the_original() {
        check(&random().unwrap());
        assert_ne!(random(), random());
        let one = derive("acme", "ci", "k", 1);
        check(&one);
        assert_eq!(one, derive("acme", "ci", "k", 1));
        for other in [derive("other", "ci", "k", 1), derive("acme", "c", "ik", 1), derive("acme", "ci", "k", 2)] {
            assert_ne!(one, other);
        }
    }
}
