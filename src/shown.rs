//! What a stranger sent, as it is shown in messages: cut, and in one line.

use std::borrow::Cow;

/// Most characters of it.
pub const CHARACTERS_MAX: usize = 80;

/// The beginning of a text.
pub fn cut(text: &str) -> &str {
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => text.get(..end).unwrap_or_default(),
        None => text,
    }
}

/// The beginning of a text, and `...` where there is more of it.
pub fn shown(text: &str) -> Cow<'_, str> {
    let cut = cut(text);
    if cut.len() < text.len() { Cow::Owned(format!("{cut}...")) } else { Cow::Borrowed(cut) }
}

/// The same in quotes, escaped.
pub fn quoted(text: &str) -> String {
    let cut = cut(text);
    format!("{cut:?}{}", if cut.len() < text.len() { "..." } else { "" })
}

/// The same of JSON text; what needs escaping in it is escaped already.
pub fn shown_json(json: &str) -> String {
    shown(json).chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_is_cut_between_characters() {
        let (long, longer) = ("\u{e9}".repeat(CHARACTERS_MAX), "\u{e9}".repeat(CHARACTERS_MAX + 1));
        for (text, expected) in [("", ""), ("a\nb", "a\nb"), (&long, &long), (&longer, &format!("{long}..."))] {
            assert_eq!(shown(text), expected);
            assert_eq!(cut(text), expected.trim_end_matches('.'));
        }
        assert_eq!(quoted("a\n\""), r#""a\n\"""#);
        assert_eq!(quoted(&longer), format!("\"{long}\"..."));
        assert_eq!(shown_json("[1,\n2]"), "[1, 2]");
    }
}
