//! Label sets: what makes a series. Sorted by name, names unique, flat in memory.
//!
//! Not for rules about which attributes become labels (that is `mapping`), nor for text on a page (that is `exposition`).

use std::fmt;

/// The label that carries an event's name.
pub const EVENT_NAME: &str = "event_name";
/// The label that carries an edge's state; never inside a [`LabelSet`], it belongs to the series.
pub const EVENT_STATE: &str = "event_state";

/// Most labels a set can hold, whatever the configured limit.
pub const LABELS_MAX: usize = 127;
/// Longest name or value in bytes, whatever the configured limit.
pub const TEXT_MAX: usize = (1 << 14) - 1;

/// Labels sorted by name, each name once, no empty value.
///
/// Kept as one string: each text is preceded by its length as two base-128 digits, least first, so that the whole is
/// valid UTF-8, is its own log encoding, and is equal exactly when the sets are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelSet(Box<str>);

/// Why labels cannot form a set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelSetError {
    /// More than [`LABELS_MAX`] labels.
    #[error("{0} labels: at most {LABELS_MAX}")]
    TooMany(usize),
    /// A name or value longer than [`TEXT_MAX`] bytes.
    #[error("label {0}: text longer than {TEXT_MAX} bytes")]
    TooLong(String),
    /// Not sorted by name, or a name twice, or an empty value.
    #[error("label {0}: out of order, repeated or empty")]
    Disorder(String),
    /// Bytes that are no label set.
    #[error("damaged label set")]
    Damaged,
}

impl LabelSet {
    /// A set of labels that are already sorted by name.
    pub fn from_sorted<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, LabelSetError> {
        let mut text = String::with_capacity(160);
        let mut count = 0;
        let mut last: Option<&str> = None;
        for (name, value) in labels {
            count += 1;
            if last.is_some_and(|last| last >= name) || value.is_empty() {
                return Err(LabelSetError::Disorder(name.to_owned()));
            }
            last = Some(name);
            push_text(&mut text, name).and_then(|()| push_text(&mut text, value)).ok_or_else(|| LabelSetError::TooLong(name.to_owned()))?;
        }
        if count > LABELS_MAX {
            return Err(LabelSetError::TooMany(count));
        }
        Ok(Self(text.into_boxed_str()))
    }

    /// The set whose encoding this is (see [`LabelSet::encoding`]).
    pub fn from_encoding(encoding: &str) -> Result<Self, LabelSetError> {
        let mut labels = LabelPairs(encoding);
        let (mut count, mut last) = (0, "");
        while !labels.0.is_empty() {
            let (name, value) = labels.next().ok_or(LabelSetError::Damaged)?;
            if name <= last || value.is_empty() {
                return Err(LabelSetError::Damaged);
            }
            last = name;
            count += 1;
        }
        if count > LABELS_MAX { Err(LabelSetError::TooMany(count)) } else { Ok(Self(encoding.into())) }
    }

    /// What [`LabelSet::encoding`] would be of labels of any length: what their hash is of, whatever limits cut from them.
    pub fn unlimited<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
        let mut text = String::new();
        for part in labels.into_iter().flat_map(|(name, value)| [name, value]) {
            if push_text(&mut text, part).is_none() {
                // No digit of a length is written so.
                text.extend(["\u{80}", &part.len().to_string(), ":", part]);
            }
        }
        text
    }

    /// The set as stored in the log.
    pub fn encoding(&self) -> &str {
        &self.0
    }

    /// The labels in order of their names.
    pub fn iter(&self) -> LabelPairs<'_> {
        LabelPairs(&self.0)
    }

    /// The value of the label `name`.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.iter().find(|(candidate, _)| *candidate == name).map(|(_, value)| value)
    }

    /// The value of the label `event_name`; empty when there is none.
    pub fn event_name(&self) -> &str {
        self.value(EVENT_NAME).unwrap_or_default()
    }
}

/// `text` with every line boundary of Unicode as what all readers of pages take for one, or for none; `None` where it is that
/// already. CR LF, CR, NEL (U+0085), U+2028 and U+2029 become LF, which a page escapes; VT, FF, FS, GS and RS a blank.
pub fn mended(text: &str) -> Option<String> {
    let may_be = |byte: u8| matches!(byte, 0x0b..=0x0d | 0x1c..=0x1e | 0xc2 | 0xe2);
    if !text.bytes().any(may_be) || !text.contains(is_odd_boundary) {
        return None;
    }
    let mut mended = String::with_capacity(text.len());
    let mut after_return = false;
    for character in text.chars() {
        match character {
            '\n' if after_return => {}
            '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => mended.push('\n'),
            other if is_odd_boundary(other) => mended.push(' '),
            plain => mended.push(plain),
        }
        after_return = character == '\r';
    }
    Some(mended)
}

/// `text` without blanks and line boundaries at its ends.
pub fn trimmed(text: &str) -> &str {
    text.trim_matches(|character: char| character.is_whitespace() || is_odd_boundary(character))
}

/// A line boundary that is not LF, as Python's `str.splitlines` has them.
fn is_odd_boundary(character: char) -> bool {
    matches!(character, '\u{b}'..='\r' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

impl<'a> IntoIterator for &'a LabelSet {
    type Item = (&'a str, &'a str);
    type IntoIter = LabelPairs<'a>;

    fn into_iter(self) -> LabelPairs<'a> {
        self.iter()
    }
}

impl fmt::Debug for LabelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Iterator over the labels of a [`LabelSet`].
#[derive(Clone, Debug)]
pub struct LabelPairs<'a>(&'a str);

impl<'a> Iterator for LabelPairs<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = split_text(self.0)?;
        let (value, rest) = split_text(rest)?;
        self.0 = rest;
        Some((name, value))
    }
}

fn push_text(out: &mut String, text: &str) -> Option<()> {
    if text.len() > TEXT_MAX {
        return None;
    }
    for digit in [text.len() & 127, text.len() >> 7] {
        out.push(char::from(u8::try_from(digit).ok()?));
    }
    out.push_str(text);
    Some(())
}

fn split_text(encoding: &str) -> Option<(&str, &str)> {
    let &[low, high, ..] = encoding.as_bytes() else { return None };
    let end = 2 + usize::from(low) + (usize::from(high) << 7);
    Some((encoding.get(2..end)?, encoding.get(end..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn refuses_disorder() {
        for labels in [vec![("b", "1"), ("a", "2")], vec![("a", "1"), ("a", "2")], vec![("a", "")]] {
            assert!(LabelSet::from_sorted(labels.clone()).is_err(), "{labels:?}");
        }
        assert!(LabelSet::from_sorted([("a", "x".repeat(TEXT_MAX + 1).as_str())]).is_err());
    }

    proptest! {
        #[test]
        fn reads_back_what_was_put_in(labels in prop::collection::btree_map(".{1,40}", ".{1,300}", 0..20)) {
            let labels: BTreeMap<String, String> = labels;
            let set = LabelSet::from_sorted(labels.iter().map(|(k, v)| (k.as_str(), v.as_str()))).unwrap();
            let back: BTreeMap<String, String> = set.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
            prop_assert_eq!(&back, &labels);
            prop_assert_eq!(LabelSet::from_encoding(set.encoding()).unwrap(), set);
        }

        #[test]
        fn any_text_is_a_set_or_an_error(text in ".{0,60}") {
            if let Ok(set) = LabelSet::from_encoding(&text) {
                prop_assert_eq!(LabelSet::from_sorted(set.iter()).unwrap(), set);
            }
        }
    }
}
