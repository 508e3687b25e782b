//! What a stranger sent, as it is shown in messages.

/// Most characters of a stranger's text in a message.
pub(crate) const SHOWN_CHARACTERS: usize = 80;

/// `text` in quotes, escaped, cut to 80 characters.
pub(crate) fn quoted(text: &str) -> String {
    let Shown { text, is_cut } = shown(text);
    format!("{text:?}{}", if is_cut { "..." } else { "" })
}

/// JSON text cut to 80 characters; what needs escaping in it is escaped already.
pub(crate) fn shown_json(json: &str) -> String {
    let Shown { text, is_cut } = shown(json);
    let line: String = text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    if is_cut { line + "..." } else { line }
}

/// What is shown of a text.
pub(crate) struct Shown<'a> {
    pub(crate) text: &'a str,
    pub(crate) is_cut: bool,
}

pub(crate) fn shown(text: &str) -> Shown<'_> {
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => Shown { text: text.get(..end).unwrap_or_default(), is_cut: true },
        None => Shown { text, is_cut: false },
    }
}
