//! Selectors as in `PromQL`, `{name="value",other=~"re.*"}`, and what a matcher means.

use super::indexed::FAMILY;
use promql_parser::label::MatchOp;
use promql_parser::parser::Expr;
use regex::Regex;
use regex::RegexBuilder;

/// Longest selector in bytes.
pub const SELECTOR_BYTES_MAX: usize = 8 << 10;
/// Most matchers in one selector.
pub const MATCHERS_MAX: usize = 32;
/// Longest regular expression in bytes.
pub const REGEX_BYTES_MAX: usize = 1 << 10;
/// What a compiled regular expression may take, in bytes.
const REGEX_SIZE_MAX: usize = 1 << 20;
/// Most words outside braces that the parser is asked about: enough for all that it has a word of its own against.
const WORDS_MAX: usize = 8;

/// How a matcher compares; a regular expression must match the whole value.
#[derive(Clone, Debug)]
pub enum MatchKind {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex(Regex),
    /// `!~`
    NotRegex(Regex),
}

/// One condition on a label; an absent label has the empty value.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// The label; `__name__` for the family.
    pub name: Box<str>,
    /// The comparison.
    pub kind: MatchKind,
    /// The value, or the text of the regular expression without its anchors.
    pub value: Box<str>,
}

/// Why a selector is refused: which rule it breaks, or one of its matchers.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SelectorError {
    #[error("{bytes} bytes: at most {SELECTOR_BYTES_MAX}")]
    Long {
        /// How long it is.
        bytes: usize,
    },
    /// In the words of the parser.
    #[error("{0}")]
    Syntax(String),
    #[error("an expression: only a selector such as {{service_name=\"api\"}} is taken")]
    Expression,
    #[error("offset, @ and or are not taken: use start, end, and match[] more than once")]
    Modified,
    #[error("{count} matchers: at most {MATCHERS_MAX}")]
    Matchers {
        /// How many there are.
        count: usize,
    },
    #[error("a regular expression of {bytes} bytes: at most {REGEX_BYTES_MAX}")]
    LongRegex {
        /// How long it is.
        bytes: usize,
    },
    /// The last line of what the compiler says is what is wrong; those before it point at the place.
    #[error("not a regular expression: {}", .0.to_string().lines().last().unwrap_or("invalid"))]
    Regex(regex::Error),
}

impl Matcher {
    /// A matcher; `op` decides whether `value` is compiled.
    pub fn new(name: &str, op: &MatchOp, value: &str) -> Result<Self, SelectorError> {
        let kind = match op {
            MatchOp::Equal => MatchKind::Equal,
            MatchOp::NotEqual => MatchKind::NotEqual,
            MatchOp::Re(_) => MatchKind::Regex(anchored(value)?),
            MatchOp::NotRe(_) => MatchKind::NotRegex(anchored(value)?),
        };
        Ok(Self { name: name.into(), kind, value: value.into() })
    }

    /// `name="value"`.
    pub fn equal(name: &str, value: &str) -> Self {
        Self { name: name.into(), kind: MatchKind::Equal, value: value.into() }
    }

    /// Whether a label with this value, empty when absent, satisfies the condition.
    pub fn matches(&self, value: &str) -> bool {
        match &self.kind {
            MatchKind::Equal => *self.value == *value,
            MatchKind::NotEqual => *self.value != *value,
            MatchKind::Regex(regex) => regex.is_match(value),
            MatchKind::NotRegex(regex) => !regex.is_match(value),
        }
    }

    /// The text that every matching value begins with, and whether the rest is free (`prefix.*`).
    pub(super) fn literal_prefix(&self) -> (String, bool) {
        let end = self
            .value
            .find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | ' ' | '/' | ':' | '@' | ',')))
            .unwrap_or(self.value.len());
        let (prefix, rest) = self.value.split_at(end);
        // What follows may make the last character optional or repeat it; an alternation frees everything.
        if rest.contains('|') || self.value.starts_with("(?") {
            return (String::new(), false);
        }
        let mut prefix = prefix.to_owned();
        if rest.starts_with(['*', '+', '?', '{']) {
            prefix.pop();
        }
        (prefix, rest == ".*")
    }
}

fn anchored(pattern: &str) -> Result<Regex, SelectorError> {
    if pattern.len() > REGEX_BYTES_MAX {
        return Err(SelectorError::LongRegex { bytes: pattern.len() });
    }
    let compile = |pattern: &str| {
        let mut builder = RegexBuilder::new(pattern);
        let builder = builder.dot_matches_new_line(true).size_limit(REGEX_SIZE_MAX).dfa_size_limit(REGEX_SIZE_MAX);
        builder.build().map_err(SelectorError::Regex)
    };
    // By itself first: `a)(b` is none, and would be one between the anchors.
    compile(pattern)?;
    compile(&format!("^(?:{pattern})$"))
}

/// Whether the text has nothing outside its braces and quotes but a few words. The parser goes down into an expression by calling
/// itself, which a stack ends before eight kilobytes do, and takes a time that grows with the square of a long one. Quotes are
/// read as the parser reads them, which takes a backslash for an escape in all three kinds.
fn is_flat(selector: &str) -> bool {
    let (mut quote, mut in_braces, mut goes_on, mut words) = (None, false, false, 0);
    let mut bytes = selector.bytes();
    while let Some(byte) = bytes.next() {
        if let Some(end) = quote {
            match byte {
                b'\\' => drop(bytes.next()),
                _ if byte == end => quote = None,
                _ => {}
            }
            continue;
        }
        let is_word = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'.' | b'@') || !byte.is_ascii();
        match byte {
            b'"' | b'\'' | b'`' => quote = Some(byte),
            b'#' => return false,

            b'{' => in_braces = true,
            b'}' => in_braces = false,
            _ if in_braces || is_word || byte.is_ascii_whitespace() => {}
            _ => return false,
        }
        words += usize::from(is_word && !goes_on && !in_braces);
        goes_on = is_word;
    }
    words <= WORDS_MAX
}

/// The matchers of a vector selector such as `last9_change_events{service_name="api"}`; the family becomes a matcher on `__name__`.
pub fn parse(selector: &str) -> Result<Vec<Matcher>, SelectorError> {
    if selector.len() > SELECTOR_BYTES_MAX {
        return Err(SelectorError::Long { bytes: selector.len() });
    }
    if !is_flat(selector) {
        return Err(SelectorError::Expression);
    }
    // PromQL wants one matcher that refuses the empty value; every event has a name, so here it is no danger.
    let parsed = promql_parser::parser::parse(selector).or_else(|error| match selector.trim_start() {
        braces if braces.starts_with('{') => promql_parser::parser::parse(&format!("{FAMILY}{braces}")).map_err(|_| error),
        _ => Err(error),
    });
    let vector = match parsed {
        Ok(Expr::VectorSelector(vector)) => vector,
        Ok(_) => return Err(SelectorError::Expression),
        Err(words) => return Err(SelectorError::Syntax(words)),
    };
    if vector.offset.is_some() || vector.at.is_some() || !vector.matchers.or_matchers.is_empty() {
        return Err(SelectorError::Modified);
    }
    if vector.matchers.matchers.len() > MATCHERS_MAX {
        return Err(SelectorError::Matchers { count: vector.matchers.matchers.len() });
    }
    let family = vector.name.iter().map(|name| Matcher::equal("__name__", name));
    let mut matchers: Vec<Matcher> = family.collect();
    for matcher in &vector.matchers.matchers {
        matchers.push(Matcher::new(&matcher.name, &matcher.op, &matcher.value)?);
    }
    Ok(matchers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(selector: &str, value: &str, expected: bool) {
        let matchers = parse(selector).unwrap();
        assert_eq!(
            matchers.iter().filter(|matcher| &*matcher.name == "a").all(|matcher| matcher.matches(value)),
            expected,
            "{selector} on {value:?}"
        );
    }

    #[test]
    fn matches_as_prometheus_does() {
        check(r#"{a="x"}"#, "x", true);
        check(r#"{a="x"}"#, "xy", false);
        check(r#"{a=~"x"}"#, "xy", false);
        check(r#"{a=~"x.*"}"#, "xy\nz", true);
        check(r#"{a!~"x|y"}"#, "y", false);
        check(r#"{a!="x"}"#, "", true);
        check(r#"{a=~"(?i)X"}"#, "x", true);
        check(r#"{a="q\"\\\n"}"#, "q\"\\\n", true);
    }

    #[test]
    fn refuses_what_is_no_selector() {
        for selector in [
            "",
            "up + 1",
            "{a=\"x\"}[5m]",
            "{a=~\"(\"}",
            "{a=~\"_)*(a*\"}",
            "{",
            "rate(x[5m])",
            "x offset 5m",
            "x @ 5",
            "{a=\"b\" or c=\"d\"}",
            "{a=~\"(((((a{100}){100}){100}){100}){100})\"}",
        ] {
            assert!(parse(selector).is_err(), "{selector}");
        }
    }

    #[test]
    fn limits_bite_exactly() {
        let of_bytes = |bytes: usize| parse(&format!("{{a=\"{}\"}}", "x".repeat(bytes - 6))).map(|matchers| matchers.len());
        assert_eq!(of_bytes(SELECTOR_BYTES_MAX), Ok(1));
        assert_eq!(of_bytes(SELECTOR_BYTES_MAX + 1), Err(SelectorError::Long { bytes: SELECTOR_BYTES_MAX + 1 }));
        let of_matchers = |count: usize| parse(&format!("up{{{}}}", vec!["a!=\"x\""; count].join(","))).map(|matchers| matchers.len());
        assert_eq!(of_matchers(MATCHERS_MAX), Ok(MATCHERS_MAX + 1), "the family is none of them");
        assert_eq!(of_matchers(MATCHERS_MAX + 1), Err(SelectorError::Matchers { count: MATCHERS_MAX + 1 }));
        for op in ["=~", "!~"] {
            let of_regex = |bytes: usize| parse(&format!("up{{a{op}\"{}\"}}", "x".repeat(bytes))).map(|matchers| matchers.len());
            assert_eq!(of_regex(REGEX_BYTES_MAX), Ok(2));
            assert_eq!(of_regex(REGEX_BYTES_MAX + 1), Err(SelectorError::LongRegex { bytes: REGEX_BYTES_MAX + 1 }));
        }
    }

    #[test]
    fn what_is_refused_says_why() {
        for (selector, error) in [
            ("x offset 5m", SelectorError::Modified),
            ("x @ 5", SelectorError::Modified),
            ("{a=\"b\" or c=\"d\"}", SelectorError::Modified),
            ("x or y", SelectorError::Expression),
            ("rate(x[5m])", SelectorError::Expression),
            ("-x", SelectorError::Expression),
            ("x{a=\"b\"} # and why", SelectorError::Expression),
        ] {
            assert_eq!(parse(selector).unwrap_err(), error, "{selector}");
        }
    }

    #[test]
    fn what_stands_in_quotes_is_a_value() {
        for value in ["(((", "-#-", "}{", "it's", "a`b", "[5m]"] {
            check(&format!("{{a=\"{value}\"}}"), value, true);
            check(&format!("x{{a=\"{value}\",b!='c('}}"), value, true);
        }
        check("{a=\"\\\"(\"}", "\"(", true);
    }

    #[test]
    fn words_outside_braces_are_few() {
        let words = |count: usize| vec!["word"; count].join(" ");
        assert!(is_flat(&words(WORDS_MAX)) && !is_flat(&words(WORDS_MAX + 1)));
        assert!(is_flat(&format!("{} {{{}}}", words(WORDS_MAX), words(100))));
    }

    /// Of each shape so much as a selector can have: the parser would end the process, or take long.
    #[test]
    fn no_selector_is_too_deep_or_too_long() {
        for (begin, open, inner, close, end) in [
            ("", "(", "x", ")", ""),
            ("", "(", "{a=\"b\"}", ")", ""),
            ("", "(x+", "x", ")", ""),
            ("", "abs(", "x", ")", ""),
            ("", "-", "x", "", ""),
            ("", "", "x", "[5m:]", ""),
            ("", "", "x", "^x", ""),
            ("sum(", "-", "x", "", ")"),
            ("topk(1,", "-", "x", "", ")"),
            ("{a=\"b\"} + sum(", "-", "x", "", ")"),
            ("{a='\\'\"'} + sum(", "-", "x", "", ")"),
            ("{a=`\\`,b=`} + sum(", "-", "x", "", ") + y{c=`z`}"),
            ("{a=\"b\"} #\"\n + sum(", "-", "x", "", ")"),
            ("{a=\"b\" #\"\n} + sum(", "-", "x", "", ")"),
            ("sum(", "-x^", "x", "", ")"),
            ("", "sum(-----", "x", ")", ""),
            ("", "x or ", "x", "", ""),
            ("", "{} or ", "x", "", ""),
            ("", "{", "", "", ""),
            ("", "{(", "x", "", ""),
            ("", "{a=(", "x", "", ""),
        ] {
            let left = SELECTOR_BYTES_MAX - begin.len() - inner.len() - end.len();
            let depth = left / (open.len() + close.len());
            let selector = [begin, &*open.repeat(depth), inner, &*close.repeat(depth), end].concat();
            let refused = parse(&selector);
            assert!(matches!(refused, Err(SelectorError::Expression | SelectorError::Syntax(_))), "{begin}{open}..{close}: {refused:?}");
        }
    }

    proptest! {
        #[test]
        fn every_match_begins_with_the_literal_prefix(pattern in r"[a-c.|?*+()_-]{0,8}", value in "[a-c_-]{0,6}") {
            let Ok(regex) = anchored(&pattern) else { return Ok(()) };
            let matcher = Matcher { name: "a".into(), kind: MatchKind::Regex(regex), value: pattern.into() };
            let (prefix, free) = matcher.literal_prefix();
            if matcher.matches(&value) {
                prop_assert!(value.starts_with(&prefix));
            }
            prop_assert_eq!(free && value.starts_with(&prefix), free && matcher.matches(&value));
        }

        #[test]
        fn no_text_panics(text in r#"[a-z{}="~!\[\]() ,0-9\\.]{0,40}"#) {
            drop(parse(&text));
        }
    }
}
