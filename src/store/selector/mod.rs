//! Selectors as in `PromQL`, `{name="value",other=~"re.*"}`, and what a matcher means.
//!
//! A request's selectors are read in steps, so that what is refused costs little: their text is looked at and its matchers are
//! counted, then it is parsed, then the regular expressions are read and priced, and only then are they compiled.

use super::effort::Effort;
pub use super::pattern::COMPILED_BYTES_MAX;
use super::pattern::Pattern;
use super::pattern::PatternError;
pub use super::pattern::Patterns;
use super::pattern::Priced;
pub use super::pattern::REGEX_BYTES_MAX;
pub use super::pattern::Regex;
use crate::shown::cut;
use promql_parser::label::MatchOp;
use promql_parser::parser::Expr;
use std::sync::Arc;

/// The family whose samples the edges are; what `__name__` is compared with.
pub(super) const FAMILY: &str = "last9_change_events";

/// Longest selector in bytes.
pub const SELECTOR_BYTES_MAX: usize = 8 << 10;
/// Most matchers in all selectors of one request.
pub const MATCHERS_MAX: usize = 64;
/// Most words outside braces that the parser is asked about: enough for all that it has a word of its own against.
const WORDS_MAX: usize = 8;
/// Most words, values and signs inside braces that it is asked about: more than all matchers of a request have.
const TOKENS_MAX: usize = 8 * MATCHERS_MAX;

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
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
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
    #[error(
        "{count} matchers with those before it: at most {MATCHERS_MAX} in one request; ask for several values of one label by a regular expression, or in several requests"
    )]
    Matchers {
        /// How many there are in this one and those before it.
        count: usize,
    },
    #[error("a regular expression of {bytes} bytes: at most {REGEX_BYTES_MAX}")]
    LongRegex {
        /// How long it is.
        bytes: usize,
    },
    #[error("not a regular expression: {0}")]
    Regex(String),
    #[error(
        "regular expressions that come to more than {} KiB with `{pattern}`, the most of one request; repeat less, write [0-9A-Za-z_] for \\w and [0-9] for \\d, or ask in several requests",
        COMPILED_BYTES_MAX >> 10
    )]
    LargeRegex {
        /// The one with which they do, cut to a length that fits a message.
        pattern: Box<str>,
    },
}

impl SelectorError {
    /// Whether less of the same would be taken.
    pub fn is_limit(&self) -> bool {
        matches!(self, Self::Matchers { .. } | Self::LargeRegex { .. })
    }
}

impl Matcher {
    /// `name="value"`.
    pub fn equal(name: &str, value: &str) -> Self {
        Self { name: name.into(), kind: MatchKind::Equal, value: value.into() }
    }

    /// Whether a label with this value, empty when absent, satisfies the condition.
    pub fn matches(&self, value: &str) -> bool {
        self.matches_within(value, &Effort::boundless())
    }

    /// The same, and takes the steps that it takes to say so.
    pub fn matches_within(&self, value: &str, effort: &Effort) -> bool {
        match &self.kind {
            MatchKind::Regex(regex) => return regex.is_match(value, effort),
            MatchKind::NotRegex(regex) => return !regex.is_match(value, effort),
            _ => effort.take(1),
        }
        (*self.value == *value) == matches!(self.kind, MatchKind::Equal)
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

/// How a matcher compares, as far as its text says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Plain,
    Regex,
    NotRegex,
}

/// What the text of a selector is made of, as far as that is to be known before it is parsed.
struct Flat {
    /// The same with `= ` for `=~` and `!~`: the parser compiles expressions, whatever they come to.
    text: String,
    /// How each matcher compares, where it has no expression by what the parser says.
    signs: Vec<Sign>,
}

impl Flat {
    /// Refuses what has more outside its braces and quotes than a few words. The parser goes down into an expression by calling
    /// itself, which a stack ends before eight kilobytes do, and takes a time that grows with the square of a long one. Quotes
    /// are read as the parser reads them, which takes a backslash for an escape in all three kinds. `before` is how many matchers
    /// there were in selectors before this one.
    fn of(selector: &str, before: usize) -> Result<Self, SelectorError> {
        let (mut quote, mut in_braces, mut goes_on, mut words, mut tokens) = (None, false, false, 0, 0);
        let mut text = selector.as_bytes().to_vec();
        let (mut signs, mut matcher) = (Vec::new(), None::<Sign>);
        let mut places = 0..text.len();
        while let Some((place, byte)) = places.next().and_then(|place| Some((place, *text.get(place)?))) {
            if let Some(end) = quote {
                match byte {
                    b'\\' => drop(places.next()),
                    _ if byte == end => quote = None,
                    _ => {}
                }
                continue;
            }
            let is_word = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'.' | b'@') || !byte.is_ascii();
            match byte {
                b'"' | b'\'' | b'`' => quote = Some(byte),
                b'#' => return Err(SelectorError::Expression),
                b'{' => in_braces = true,
                b'}' => in_braces = false,
                _ if in_braces || is_word || byte.is_ascii_whitespace() => {}
                _ => return Err(SelectorError::Expression),
            }
            if in_braces && !matches!(byte, b'{' | b',') && !byte.is_ascii_whitespace() {
                matcher.get_or_insert(Sign::Plain);
            }
            let sign = text.get_mut(place..place + 2).filter(|sign| in_braces && matches!(&**sign, b"=~" | b"!~" | b"!="));
            if let Some(sign) = sign {
                if sign != b"!=" {
                    matcher = Some(if byte == b'=' { Sign::Regex } else { Sign::NotRegex });
                    sign.copy_from_slice(b"= ");
                }
                places.next();
            }
            if matches!(byte, b',' | b'}') {
                signs.extend(matcher.take());
            }
            words += usize::from(is_word && !goes_on && !in_braces);
            tokens += usize::from(in_braces && !(is_word && goes_on) && !byte.is_ascii_whitespace());
            goes_on = is_word;
        }
        signs.extend(matcher);
        if words > WORDS_MAX {
            return Err(SelectorError::Expression);
        }
        if before + signs.len() > MATCHERS_MAX {
            return Err(SelectorError::Matchers { count: before + signs.len() });
        }
        if tokens > TOKENS_MAX {
            return Err(SelectorError::Syntax(format!("more words and signs than {MATCHERS_MAX} matchers have")));
        }
        String::from_utf8(text).map(|text| Self { text, signs }).map_err(|_| SelectorError::Expression)
    }
}

/// A matcher of which the expression, if its value is one, is not compiled yet.
struct Uncompiled {
    name: String,
    value: String,
    sign: Sign,
    is_negated: bool,
}

/// A selector that was parsed.
struct Parsed {
    family: Option<String>,
    matchers: Vec<Uncompiled>,
}

impl Parsed {
    fn of(selector: &str, before: usize) -> Result<Self, SelectorError> {
        if selector.len() > SELECTOR_BYTES_MAX {
            return Err(SelectorError::Long { bytes: selector.len() });
        }
        let Flat { text, signs } = Flat::of(selector, before)?;
        // PromQL wants one matcher that refuses the empty value; every event has a name, so here it is no danger.
        let parsed = promql_parser::parser::parse(&text).or_else(|error| match text.trim_start() {
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
        let found = vector.matchers.matchers;
        if found.len() != signs.len() {
            return Err(SelectorError::Syntax("invalid promql query".to_owned()));
        }
        let matchers = found.into_iter().zip(signs).map(|(matcher, sign)| Uncompiled {
            name: matcher.name,
            value: matcher.value,
            sign,
            is_negated: sign == Sign::NotRegex || matches!(matcher.op, MatchOp::NotEqual),
        });
        // What was put before the braces so that they are taken is not asked for.
        let family = vector.name.filter(|_| !text.trim_start().starts_with('{'));
        Ok(Self { family, matchers: matchers.collect() })
    }
}

/// An expression, compiled already or not yet.
enum Known {
    Compiled(Arc<Pattern>),
    Priced(Priced),
}

/// Reads expressions until they come to too much.
struct Pricing<'a> {
    patterns: &'a Patterns,
    left: usize,
}

impl Pricing<'_> {
    fn read(&mut self, pattern: &str) -> Result<Known, SelectorError> {
        if pattern.len() > REGEX_BYTES_MAX {
            return Err(SelectorError::LongRegex { bytes: pattern.len() });
        }
        let kept = self.patterns.find(pattern).filter(|compiled| compiled.bytes <= self.left);
        let (known, bytes) = if let Some(compiled) = kept {
            (Known::Compiled(Arc::clone(&compiled)), compiled.bytes)
        } else {
            let priced = Priced::of(pattern, self.left).map_err(|error| refusal(error, pattern))?;
            let bytes = priced.bytes;
            (Known::Priced(priced), bytes)
        };
        self.left -= bytes;
        Ok(known)
    }

    fn compile(&self, known: Known, text: &str) -> Result<Regex, SelectorError> {
        let pattern = match known {
            Known::Compiled(pattern) => pattern,
            Known::Priced(priced) => {
                let pattern = Arc::new(priced.compile().map_err(|error| refusal(error, text))?);
                self.patterns.keep(text, &pattern);
                pattern
            }
        };
        Ok(Regex::new(pattern))
    }
}

fn refusal(error: PatternError, pattern: &str) -> SelectorError {
    match error {
        PatternError::Syntax(words) => SelectorError::Regex(words),
        PatternError::Large => SelectorError::LargeRegex { pattern: cut(pattern).into() },
    }
}

/// The matchers of a vector selector such as `last9_change_events{service_name="api"}`; the family becomes a matcher on `__name__`.
pub fn parse(selector: &str) -> Result<Vec<Matcher>, SelectorError> {
    let all = parse_all(&[selector], &Patterns::default()).map_err(|(_, error)| error)?;
    Ok(all.into_iter().next().unwrap_or_default())
}

/// The same of all selectors of a request; expressions that `patterns` has are not compiled again. With an error comes the
/// place of the selector that has it.
pub fn parse_all(selectors: &[&str], patterns: &Patterns) -> Result<Vec<Vec<Matcher>>, (usize, SelectorError)> {
    let (mut parsed, mut count) = (Vec::with_capacity(selectors.len()), 0);
    for (place, selector) in selectors.iter().enumerate() {
        let selector = Parsed::of(selector, count).map_err(|error| (place, error))?;
        count += selector.matchers.len();
        parsed.push(selector);
    }
    let mut pricing = Pricing { patterns, left: COMPILED_BYTES_MAX };
    let mut known = Vec::new();
    for (place, selector) in parsed.iter().enumerate() {
        for matcher in selector.matchers.iter().filter(|matcher| matcher.sign != Sign::Plain) {
            known.push(pricing.read(&matcher.value).map_err(|error| (place, error))?);
        }
    }
    let mut known = known.into_iter();
    let mut all = Vec::with_capacity(parsed.len());
    for (place, selector) in parsed.into_iter().enumerate() {
        let mut matchers: Vec<Matcher> = selector.family.iter().map(|name| Matcher::equal("__name__", name)).collect();
        for Uncompiled { name, value, sign, is_negated } in selector.matchers {
            let kind = match if sign == Sign::Plain { None } else { known.next() } {
                Some(known) => {
                    let regex = pricing.compile(known, &value).map_err(|error| (place, error))?;
                    if is_negated { MatchKind::NotRegex(regex) } else { MatchKind::Regex(regex) }
                }
                None if is_negated => MatchKind::NotEqual,
                None => MatchKind::Equal,
            };
            matchers.push(Matcher { name: name.into(), kind, value: value.into() });
        }
        // The rule of PromQL, of which the parser could not know.
        if selector.family.is_none() && matchers.iter().all(|matcher| matcher.matches("")) {
            if matchers.iter().any(|matcher| &*matcher.name == "__name__") {
                return Err((place, SelectorError::Syntax("__name__: at least one matcher must refuse the empty value".to_owned())));
            }
            matchers.insert(0, Matcher::equal("__name__", FAMILY));
        }
        all.push(matchers);
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
