//! The query string of a request: every parameter must be known, so that a misspelt one is noticed.

use std::borrow::Cow;
use std::fmt::Display;

use crate::http::error::ApiError;
use crate::shown::cut;
use crate::shown::shown;
use crate::store::Matcher;
use crate::store::selector;
use crate::store::selector::Patterns;
use crate::time::Timestamp;

/// Most `match[]` parameters of one request.
const SELECTORS_MAX: usize = 32;
/// Most parameters of one request.
pub(crate) const PARAMETERS_MAX: usize = 128;

/// The parameters of one request, in their order.
#[derive(Debug, Default)]
pub(crate) struct Parameters<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Parameters<'a> {
    /// The parameters in `query`; `known` are the names that mean something here.
    pub(crate) fn parse(query: Option<&'a str>, known: &[&str]) -> Result<Self, ApiError> {
        let Some(query) = query else { return Ok(Self::default()) };
        let pairs = form_urlencoded::parse(query.as_bytes()).filter(|(name, value)| !(name.is_empty() && value.is_empty()));
        let parameters: Vec<_> = pairs.take(PARAMETERS_MAX + 1).collect();
        let mut unknown: Vec<String> =
            parameters.iter().filter(|(name, _)| !known.contains(&&**name)).map(|(name, _)| format!("`{}`", shown(name))).collect();
        if !unknown.is_empty() {
            unknown.dedup();
            unknown.truncate(5);
            return Err(ApiError::malformed(format!("unknown parameter {}; known are {}", unknown.join(", "), known.join(", "))));
        }
        if parameters.len() > PARAMETERS_MAX {
            return Err(ApiError::malformed(format!("more than {PARAMETERS_MAX} parameters")));
        }
        Ok(Self(parameters))
    }

    /// The only value of a parameter; an error when it is there twice.
    pub(crate) fn single(&self, name: &str) -> Result<Option<&str>, ApiError> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            _ => Err(ApiError::malformed(format!("parameter `{name}` is there more than once"))),
        }
    }

    /// The only value of a parameter, read by `parse`.
    pub(crate) fn parsed<T, E: Display>(&self, name: &str, parse: impl FnOnce(&str) -> Result<T, E>) -> Result<Option<T>, ApiError> {
        let Some(text) = self.single(name)? else { return Ok(None) };
        parse(text).map(Some).map_err(|error| ApiError::malformed(format!("{name}: {error}")))
    }

    /// All selectors, any of which may match. What they come to is known before it is compiled; `patterns` are those that are.
    pub(crate) fn selectors(&self, patterns: &Patterns) -> Result<Vec<Vec<Matcher>>, ApiError> {
        let texts: Vec<&str> = self.all("match[]").take(SELECTORS_MAX + 1).collect();
        if texts.len() > SELECTORS_MAX {
            return Err(ApiError::malformed(format!("match[]: more than {SELECTORS_MAX} selectors")));
        }
        selector::parse_all(&texts, patterns).map_err(|(place, error)| {
            let cut = texts.get(place).map_or("", |text| cut(text));
            let message = format!("match[]: selector {cut:?}: {error}");
            if error.is_limit() { ApiError::too_much(message) } else { ApiError::malformed(message) }
        })
    }

    /// All values of a parameter.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(candidate, _)| candidate == name).map(|(_, value)| &**value)
    }
}

/// Reads a time by `parse`; the `+` of an offset that was not escaped arrives as a space.
pub(crate) fn moment<E>(text: &str, parse: impl Fn(&str) -> Result<Timestamp, E>) -> Result<Timestamp, E> {
    parse(text).or_else(|error| {
        let offset = text.rsplit_once(' ').filter(|(before, _)| before.contains(['T', ':']));
        offset.and_then(|(before, offset)| parse(&format!("{before}+{offset}")).ok()).ok_or(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_and_repeated_parameters_are_named() {
        let known = ["match[]", "limit"];
        let parameters = Parameters::parse(Some("match[]=a&match%5B%5D=%7Bb%3D%22c+d%22%7D&limit=5&"), &known).unwrap();
        assert_eq!(parameters.all("match[]").collect::<Vec<_>>(), ["a", "{b=\"c d\"}"]);
        assert_eq!(parameters.single("limit").unwrap(), Some("5"));
        assert_eq!(parameters.selectors(&Patterns::default()).unwrap().len(), 2);
        let error = Parameters::parse(Some("limti=5&x&limit=1"), &known).unwrap_err();
        assert_eq!(error.message, "unknown parameter `limti`, `x`; known are match[], limit");
        let twice = Parameters::parse(Some("limit=5&limit=6"), &known).unwrap();
        assert!(twice.single("limit").unwrap_err().message.contains("more than once"));
        assert!(
            Parameters::parse(Some("match[]={"), &known)
                .unwrap()
                .selectors(&Patterns::default())
                .unwrap_err()
                .message
                .starts_with("match[]: ")
        );
        let many = "match[]=a&".repeat(SELECTORS_MAX + 1);
        assert!(Parameters::parse(Some(&many), &known).unwrap().selectors(&Patterns::default()).is_err());
        let many = "match[]=a&".repeat(PARAMETERS_MAX + 1);
        assert_eq!(Parameters::parse(Some(&many), &known).unwrap_err().message, "more than 128 parameters");
    }
}
