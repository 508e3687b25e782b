//! Ids of events that were created without one: `evt_` and 27 letters and digits.

const LETTERS: usize = 27;

/// The id that these bytes make.
pub(super) fn sid(bytes: &[u8]) -> Box<str> {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    #[expect(clippy::indexing_slicing, reason = "a remainder of the length")]
    let letters = bytes.iter().take(LETTERS).map(|&byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
    ["evt_", &letters.collect::<String>()].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_form_of_the_original() {
        let sid = sid(&[0, 61, 62, 255].repeat(8));
        assert_eq!(&*sid, "evt_0z070z070z070z070z070z070z0");
    }
}
