//! Whether a value is a word, holds it, or ends in it, however it is spelled: `timed_out`, `TimedOut`, `TIMED-OUT`.
//!
//! A word is in small letters, with a `_` where something may stand between its parts. The expressions for Prometheus say the
//! same in regular expressions, which have no way to look around: hence the rules here are of one character on each side.

/// What stands between words.
pub(super) fn is_separator(c: char) -> bool {
    matches!(c, '-' | '_' | ' ')
}

/// Whether the value is the word, and nothing else.
pub(super) fn is_spelled(word: &str, value: &str) -> bool {
    match_at(word, value.trim_start_matches(is_separator)).is_some_and(|rest| rest.chars().all(is_separator))
}

/// Whether the value ends in the word, whatever stands before.
pub(super) fn ends_in(word: &str, value: &str) -> bool {
    starts(value).any(|start| match_at(word, start).is_some_and(|rest| rest.chars().all(is_separator)))
}

/// Whether the value holds the word as a whole one: between separators or the ends, or as a part of a name in camel case.
pub(super) fn holds(word: &str, value: &str) -> bool {
    let mut before = None;
    starts(value).any(|start| {
        let begins = before.replace(start.chars().next()).flatten().is_none_or(is_separator);
        let Some(rest) = match_at(word, start) else { return false };
        let ends = rest.chars().next().is_none_or(is_separator);
        let goes_on = rest.starts_with(|c: char| c.is_ascii_uppercase());
        let found = start.strip_suffix(rest).unwrap_or_default();
        (begins && ends) || (begins && goes_on && is_cased(word, found, false)) || ((ends || goes_on) && is_cased(word, found, true))
    })
}

/// What is left of each of its characters on.
fn starts(value: &str) -> impl Iterator<Item = &str> {
    value.char_indices().filter_map(|(at, _)| value.get(at..))
}

/// What follows the word where the text begins with it, in any case and with any separators between its parts.
fn match_at<'a>(word: &str, text: &'a str) -> Option<&'a str> {
    let mut rest = text;
    for (number, part) in word.split('_').enumerate() {
        if number > 0 {
            rest = rest.trim_start_matches(is_separator);
        }
        let (head, tail) = rest.split_at_checked(part.len())?;
        if !head.eq_ignore_ascii_case(part) {
            return None;
        }
        rest = tail;
    }
    Some(rest)
}

/// Whether the first letter is large as said, and no other one is but the first of a further part: `Failed`, `TimedOut`, `timedOut`.
fn is_cased(word: &str, found: &str, is_capital: bool) -> bool {
    let mut rest = found;
    word.split('_').enumerate().all(|(number, part)| {
        rest = rest.trim_start_matches(is_separator);
        let Some((head, tail)) = rest.split_at_checked(part.len()) else { return false };
        rest = tail;
        let large = |c: char| c.is_ascii_uppercase();
        (number > 0 || head.starts_with(large) == is_capital) && !head.chars().skip(1).any(large)
    })
}
