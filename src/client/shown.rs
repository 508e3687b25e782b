//! What a server said, as a terminal may have it.

use std::borrow::Cow;

/// Longest part of a foreign answer that is shown, in characters.
const SHOWN_CHARS_MAX: usize = 300;

/// Foreign text for one line of a terminal: cut, and without control characters.
pub(super) fn shown(text: &str) -> Cow<'_, str> {
    if text.chars().count() <= SHOWN_CHARS_MAX && !text.chars().any(char::is_control) {
        return Cow::Borrowed(text);
    }
    let clean = |character: char| if character.is_control() { ' ' } else { character };
    Cow::Owned(text.chars().take(SHOWN_CHARS_MAX).map(clean).collect())
}
