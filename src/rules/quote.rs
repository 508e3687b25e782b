//! Text of others inside our text: strings of an expression, and words of a comment.

use std::fmt::Write as _;
use std::time::Duration;

/// A quoted string of `PromQL` and `MetricsQL`. Letters and digits of any script stay readable; everything else
/// outside printable ASCII is escaped, since YAML folds or refuses some of it, and so are the backtick (it ends the
/// raw string in which a template carries a query) and `%{` (vmalert replaces it by an environment variable).
pub(crate) fn string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '`' => quoted.push_str("\\x60"),
            '%' if characters.peek() == Some(&'{') => quoted.push_str("\\x25"),
            ' '..='~' => quoted.push(c),
            _ if c.is_alphanumeric() => quoted.push(c),
            _ if u32::from(c) < 0x80 => write_escape(&mut quoted, 'x', 2, c),
            _ if u32::from(c) < 0x1_0000 => write_escape(&mut quoted, 'u', 4, c),
            _ => write_escape(&mut quoted, 'U', 8, c),
        }
    }
    quoted.push('"');
    quoted
}

/// A regular expression that is this text and nothing else.
pub(crate) fn pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_punctuation() && c != '_' && c != '-' {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

/// A word of a command line in a comment: plain when it is harmless, else as [`string`].
pub(crate) fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ',' | ':' | '/');
    if text.chars().all(plain) { text.to_owned() } else { string(text) }
}

/// A duration as `PromQL` writes it, in hours, minutes and seconds.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let parts = [(seconds / 3600, 'h'), (seconds / 60 % 60, 'm'), (seconds % 60, 's')];
    let mut text = String::new();
    for (count, unit) in parts {
        if count > 0 {
            write!(text, "{count}{unit}").ok();
        }
    }
    if text.is_empty() {
        text.push_str("0s");
    }
    text
}

fn write_escape(quoted: &mut String, kind: char, digits: usize, c: char) {
    write!(quoted, "\\{kind}{:0digits$x}", u32::from(c)).ok();
}
