//! Label names: what they may be, how any text becomes one, and patterns that select them.

use crate::labels::EVENT_NAME;
use crate::labels::EVENT_STATE;
use std::borrow::Cow;

/// What a configured label name must be.
pub(super) const NAME_RULE: &str = "must match [a-zA-Z_][a-zA-Z0-9_]*, not start with __, and not be event_name or event_state";

/// What the configured name of an attribute must be, where names as sent and names of labels are taken.
pub(super) const SENT_RULE: &str = "must be the name of an attribute, as sent or as a label: not empty, and not starting with __";
/// How names begin that no label has.
pub(super) const RESERVED: &str = "__";

/// Whether an attribute of this name, as sent or as a label, may have a label.
pub(super) fn is_sent_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with(RESERVED)
}

/// Whether `name` may be the name of a label that comes from attributes or the configuration.
pub(crate) fn is_label_name(name: &str) -> bool {
    is_legacy(name) && !name.starts_with(RESERVED) && name != EVENT_NAME && name != EVENT_STATE
}

/// The label name that an attribute's path becomes: each foreign character an underscore, at most one of them in front;
/// what would be our own label gets `exported_` before it. The path must not start with `__`.
pub(super) fn label_name(path: &str) -> Cow<'_, str> {
    if is_label_name(path) {
        return Cow::Borrowed(path);
    }
    let foreign = |character: char| if character.is_ascii_alphanumeric() || character == '_' { character } else { '_' };
    let name: String = path.chars().map(foreign).collect();
    let name = match name.trim_start_matches('_') {
        rest if rest.len() == name.len() && rest.starts_with(|first: char| first.is_ascii_alphabetic()) => name,
        rest => format!("_{rest}"),
    };
    Cow::Owned(if name == EVENT_NAME || name == EVENT_STATE { format!("exported_{name}") } else { name })
}

fn is_legacy(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Names, or patterns of names in which `*` stands for any text.
#[derive(Clone, Debug, Default)]
pub(super) struct Patterns(Vec<NamePattern>);

#[derive(Clone, Debug)]
struct NamePattern {
    first: Box<str>,
    /// What stands after each `*`; none when there is no `*`.
    others: Vec<Box<str>>,
}

impl Patterns {
    pub(super) fn new(patterns: &[String]) -> Self {
        let pattern = |text: &String| {
            let mut parts = text.split('*').map(Box::from);
            NamePattern { first: parts.next().unwrap_or_default(), others: parts.collect() }
        };
        Self(patterns.iter().map(pattern).collect())
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(name))
    }
}

impl NamePattern {
    fn matches(&self, name: &str) -> bool {
        let Some((last, middle)) = self.others.split_last() else { return *self.first == *name };
        let mut rest = name.as_bytes();
        if !skip(&mut rest, &self.first, |rest, part| rest.strip_prefix(part))
            || !skip(&mut rest, last, |rest, part| rest.strip_suffix(part))
        {
            return false;
        }
        middle.iter().all(|part| {
            skip(&mut rest, part, |rest, part| {
                let at = rest.windows(part.len()).position(|window| window == part)?;
                rest.get(at + part.len()..)
            })
        })
    }
}

/// Takes `part` off `rest` by `strip`, unless it is empty: comparing with an empty text, whose address is none, is very slow
/// on processors that mask loads.
fn skip<'n>(rest: &mut &'n [u8], part: &str, strip: impl Fn(&'n [u8], &[u8]) -> Option<&'n [u8]>) -> bool {
    if part.is_empty() {
        return true;
    }
    match strip(rest, part.as_bytes()) {
        Some(stripped) => {
            *rest = stripped;
            true
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn brings_names_to_the_legacy_set() {
        for (path, expected) in [
            ("service_name", "service_name"),
            ("_private", "_private"),
            ("le", "le"),
            ("service.name", "service_name"),
            ("commit-sha", "commit_sha"),
            ("buildId", "buildId"),
            ("a b/c", "a_b_c"),
            ("9lives", "_9lives"),
            ("", "_"),
            ("..a", "_a"),
            ("_.a", "_a"),
            ("_-9", "_9"),
            ("\u{65e5}\u{672c}", "_"),
            ("gr\u{f6}\u{df}e", "gr__e"),
            ("event_name", "exported_event_name"),
            ("event.state", "exported_event_state"),
            ("exported_event_name", "exported_event_name"),
            (".event_name", "_event_name"),
            ("a\0b\"\n", "a_b__"),
        ] {
            assert_eq!(label_name(path), expected, "{path}");
        }
    }

    #[test]
    fn patterns_select_names() {
        for (pattern, names, others) in [
            ("result", vec!["result"], vec!["results", "a_result", ""]),
            ("*_result", vec!["a_result", "_result"], vec!["result", "a_results"]),
            ("*duration*", vec!["duration", "duration_ms", "a_duration", "a_duration_ms"], vec!["durat", ""]),
            ("git_*_sha", vec!["git_commit_sha", "git__sha"], vec!["git_sha", "xgit_a_sha"]),
            ("a*b*b", vec!["abb", "axbyb"], vec!["ab", "axb"]),
            ("*", vec!["", "a"], vec![]),
            ("", vec![""], vec!["a"]),
        ] {
            let patterns = Patterns::new(&[pattern.to_owned()]);
            assert_eq!(names.iter().find(|name| !patterns.matches(name)), None, "{pattern}");
            assert_eq!(others.iter().find(|name| patterns.matches(name)), None, "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn every_path_becomes_a_label_name(path in "\\PC{0,12}|[_.0-9a-z]{0,6}") {
            prop_assume!(!path.starts_with("__"));
            let name = label_name(&path);
            prop_assert!(is_label_name(&name), "{}", name);
            prop_assert_eq!(&label_name(&name), &name);
        }

        #[test]
        fn patterns_agree_with_regular_expressions(pattern in "[ab*]{0,6}", name in "[ab]{0,8}") {
            let expected = regex::Regex::new(&format!("^{}$", pattern.replace('*', ".*"))).unwrap();
            prop_assert_eq!(Patterns::new(&[pattern]).matches(&name), expected.is_match(&name));
        }
    }
}
