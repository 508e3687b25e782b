//! Events as `ApiTraffic` writes them: one JSON object of up to nine fields. Creating wants two of them, changing takes any.
//!
//! Here a body becomes typed fields, each wrong one named. What they mean for an event that is there is the front door's.

mod metadata;

use crate::event::Details;
use crate::mapping::FormatError;
use crate::mapping::json;
use crate::mapping::json::JsonKind;
use crate::mapping::whole::End;
use crate::mapping::whole::Whole;
use crate::shown::cut;
use crate::shown::quoted;
use crate::shown::shown_json;
use crate::time::Timestamp;
use crate::time::unix;
use std::borrow::Cow;
use std::collections::HashSet;

/// Most buckets, or environments, of one event.
const SCOPES_MAX: usize = 1000;
/// Everything: the scope of an event that names none.
pub const ALL: &str = "*";
/// Fields of an answer that a body may repeat; they say nothing.
const READ_ONLY: [&str; 6] = ["sid", "accountSid", "createdAt", "updatedAt", "open", "durationMs"];
const KNOWN: &str = "type, name, description, source, buckets, environments, startedAt, endedAt and metadata";

/// The kinds of events that `ApiTraffic` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Deployment,
    Incident,
    ConfigChange,
    Scale,
    Custom,
}

impl Type {
    /// All of them, in the order of the original's documentation.
    pub const ALL: [Self; 5] = [Self::Deployment, Self::Incident, Self::ConfigChange, Self::Scale, Self::Custom];

    /// The word on the wire, which is the event's name too.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::Incident => "incident",
            Self::ConfigChange => "config_change",
            Self::Scale => "scale",
            Self::Custom => "custom",
        }
    }

    /// The type with that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// What an event of this type is without an `endedAt`: an incident goes on, anything else is a point in time.
    pub const fn without_end(self) -> End {
        if matches!(self, Self::Incident) { End::Open } else { End::Point }
    }
}

/// What a body says of `endedAt`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndedAt {
    /// Nothing.
    #[default]
    Absent,
    /// There is none.
    Null,
    /// Then.
    At(Timestamp),
}

/// The fields of a body; `None` where it does not have the field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    pub kind: Option<Type>,
    /// Never empty.
    pub name: Option<Box<str>>,
    /// Empty for `null`.
    pub description: Option<Box<str>>,
    /// Empty for `null`.
    pub source: Option<Box<str>>,
    /// Never empty: `["*"]` for none.
    pub buckets: Option<Vec<Box<str>>>,
    /// Never empty: `["*"]` for none.
    pub environments: Option<Vec<Box<str>>>,
    pub started_at: Option<Timestamp>,
    pub ended_at: EndedAt,
    /// A JSON object as text; empty for `null`.
    pub metadata: Option<Box<str>>,
}

/// Why a body is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct FieldError {
    /// The field at fault; empty when it is the body as a whole.
    pub field: Box<str>,
    /// What is wrong with it.
    pub error: FormatError,
}

impl FieldError {
    fn new(field: &str, json: &str, rule: impl Into<String>) -> Self {
        Self { field: field.into(), error: FormatError::malformed(format!("{field} {}", shown_json(json)), rule) }
    }

    fn body(rule: impl Into<String>) -> Self {
        Self { field: "".into(), error: FormatError::malformed("body", rule) }
    }

    /// A field that has to be there is not.
    fn missing(field: &str) -> Self {
        Self { field: field.into(), error: FormatError::malformed(field, "must be given") }
    }
}

impl Fields {
    /// Reads a body.
    pub fn parse(body: &[u8]) -> Result<Self, FieldError> {
        let members = json::text(body).and_then(json::object).map_err(FieldError::body)?;
        if let Some(name) = json::repeated(&members) {
            let error = FormatError::malformed(format!("field {}", quoted(name)), "given twice");
            return Err(FieldError { field: shortened(name), error });
        }
        let mut fields = Self::default();
        for member in &members {
            fields.set(&member.name, member.value)?;
        }
        Ok(fields)
    }

    /// The event that these fields create; `now` is when it begins unless they say so.
    pub fn create(self, id: Box<str>, now: Timestamp) -> Result<Whole, FieldError> {
        let kind = self.kind.ok_or_else(|| FieldError::missing("type"))?;
        let at = self.started_at.unwrap_or(now);
        let end = match self.ended_at {
            EndedAt::At(end) => End::At(end),
            EndedAt::Absent | EndedAt::Null => kind.without_end(),
        };
        check_order(at, end, self.ended_at)?;
        let details = Details {
            name: self.name.ok_or_else(|| FieldError::missing("name"))?,
            description: self.description.unwrap_or_default(),
            source: self.source.unwrap_or_default(),
            buckets: self.buckets.filter(|buckets| !is_all(buckets)).unwrap_or_default(),
            environments: self.environments.filter(|environments| !is_all(environments)).unwrap_or_default(),
            metadata: self.metadata.unwrap_or_default(),
            ..Details::default()
        };
        Ok(Whole { id, event_name: kind.name().into(), at, end, details, cluster: "".into() })
    }

    fn set(&mut self, name: &str, json: &str) -> Result<(), FieldError> {
        let is_null = JsonKind::of(json) == JsonKind::Null;
        match name {
            "type" => self.kind = Some(kind(json)?),
            "name" => self.name = Some(filled("name", json)?),
            "description" => self.description = Some(optional("description", json)?),
            "source" => self.source = Some(optional("source", json)?),
            "buckets" => self.buckets = Some(scopes("buckets", json)?),
            "environments" => self.environments = Some(scopes("environments", json)?),
            "startedAt" => self.started_at = if is_null { None } else { Some(timestamp("startedAt", json)?) },
            "endedAt" => self.ended_at = if is_null { EndedAt::Null } else { EndedAt::At(timestamp("endedAt", json)?) },
            "metadata" => self.metadata = Some(metadata::parse(json).map_err(|rule| FieldError::new("metadata", json, rule))?),
            name if READ_ONLY.contains(&name) => {}
            name => {
                let error = FormatError::malformed(format!("field {}", quoted(name)), format!("unknown; known are {KNOWN}"));
                return Err(FieldError { field: shortened(name), error });
            }
        }
        Ok(())
    }
}

/// Whether these scopes are what an event without any has.
pub fn is_all(scopes: &[Box<str>]) -> bool {
    matches!(scopes, [one] if **one == *ALL)
}

/// Refuses an end before its start, naming the field that the body has.
pub fn check_order(at: Timestamp, end: End, given: EndedAt) -> Result<(), FieldError> {
    let End::At(end) = end else { return Ok(()) };
    if end >= at {
        return Ok(());
    }
    let (field, moment, rule) = match given {
        EndedAt::At(_) => ("endedAt", end, format!("must not be before startedAt, {at}")),
        EndedAt::Absent | EndedAt::Null => ("startedAt", at, format!("must not be after endedAt, {end}")),
    };
    Err(FieldError { field: field.into(), error: FormatError::malformed(format!("{field} {moment}"), rule) })
}

fn shortened(name: &str) -> Box<str> {
    cut(name).into()
}

fn string<'a>(field: &str, json: &'a str) -> Result<Cow<'a, str>, FieldError> {
    match JsonKind::of(json) {
        JsonKind::String => json::string(json).map_err(|error| FieldError::new(field, json, error.to_string())),
        kind => Err(FieldError::new(field, json, format!("must be a string, not {kind}"))),
    }
}

fn filled(field: &str, json: &str) -> Result<Box<str>, FieldError> {
    let text = string(field, json)?;
    if text.trim().is_empty() { Err(FieldError::new(field, json, "must not be empty")) } else { Ok(text.into()) }
}

fn optional(field: &str, json: &str) -> Result<Box<str>, FieldError> {
    if JsonKind::of(json) == JsonKind::Null { Ok("".into()) } else { string(field, json).map(Into::into) }
}

fn kind(json: &str) -> Result<Type, FieldError> {
    let known = || FieldError::new("type", json, "must be one of deployment, incident, config_change, scale and custom");
    Type::parse(&string("type", json)?).ok_or_else(known)
}

fn timestamp(field: &str, json: &str) -> Result<Timestamp, FieldError> {
    if JsonKind::of(json) == JsonKind::Number {
        return Err(FieldError::new(field, json, unix::rule(json)));
    }
    let text = string(field, json)?;
    Timestamp::parse_event(&text).map_err(|error| FieldError::new(field, json, unix::rule_of_text(&text, &error)))
}

fn scopes(field: &str, json: &str) -> Result<Vec<Box<str>>, FieldError> {
    let elements = match JsonKind::of(json) {
        JsonKind::Null => Vec::new(),
        JsonKind::Array => json::elements(json).map_err(|error| FieldError::new(field, json, error.to_string()))?,
        kind => return Err(FieldError::new(field, json, format!("must be an array of strings, not {kind}"))),
    };
    if elements.len() > SCOPES_MAX {
        return Err(FieldError::new(field, json, format!("must have at most {SCOPES_MAX} elements")));
    }
    let mut seen = HashSet::new();
    let mut scopes = Vec::with_capacity(elements.len());
    for element in elements {
        let scope = filled(field, element)?;
        if seen.insert(scope.clone()) {
            scopes.push(scope);
        }
    }
    if scopes.is_empty() {
        scopes.push(ALL.into());
    }
    Ok(scopes)
}

#[cfg(test)]
mod tests;
