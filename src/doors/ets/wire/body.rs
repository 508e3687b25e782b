//! Bodies, JSON or YAML: `{"event": {...}, "operation": "merge", "insert": false}`.

use crate::doors::ets::wire::EtsError;
use crate::doors::ets::wire::Fields;
use crate::doors::ets::wire::Links;
use crate::doors::ets::wire::MEMBERS_MAX;
use crate::doors::ets::wire::Operation;
use crate::doors::ets::wire::Request;
use crate::doors::ets::wire::TAG_VALUE_MAX;
use crate::doors::ets::wire::Tags;
use crate::doors::ets::wire::check_id;
use crate::doors::ets::wire::moment;
use crate::mapping::FormatError;
use crate::mapping::json;
use crate::mapping::object::Object;
use crate::shown::cut;
use crate::shown::quoted;
use crate::shown::shown_json;
use crate::time::Timestamp;
use crate::time::iso8601::EventTimeError;
use crate::time::iso8601::is_zero_text;
use serde::Deserialize;
use serde::Deserializer;
use serde::de;
use serde_json::Value;
use std::fmt;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    event: Option<Object<WireEvent>>,
    operation: Option<Value>,
    insert: Option<bool>,
}

/// Each value by its name; `null` is as absent, but for the times.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireEvent {
    id: Option<Value>,
    source_id: Option<Value>,
    parent_id: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    start_time: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    end_time: Option<Value>,
    description: Option<Value>,
    detail_urls: Option<Members>,
    tags: Option<Members>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Reads a JSON body.
pub fn parse_json(body: &[u8]) -> Result<Request, EtsError> {
    let is_several = || str::from_utf8(body).is_ok_and(json::is_several);
    let read = serde_json::from_slice::<Object<Body>>(body).map_err(|error| match error {
        _ if is_several() => unreadable("another value follows the first one: send one event at a time"),
        error => unreadable(&error.to_string()),
    });
    request(read?.0)
}

/// Reads a YAML body.
pub fn parse_yaml(body: &[u8]) -> Result<Request, EtsError> {
    let text = std::str::from_utf8(body).map_err(|error| unreadable(&error.to_string()))?;
    let options = serde_saphyr::options! { with_snippet: false, strict_booleans: true };
    let body = serde_saphyr::from_str_with_options::<Object<Body>>(text, options).map_err(|error| unreadable(&error.to_string()))?;
    request(body.0)
}

/// What the parser says, which may quote the body.
fn unreadable(message: &str) -> FormatError {
    const CHARACTERS: usize = 300;
    let rule = message.chars().map(|character| if character.is_control() { ' ' } else { character }).take(CHARACTERS).collect::<String>();
    FormatError::malformed("body", rule)
}

fn request(body: Body) -> Result<Request, EtsError> {
    let Object(event) = body.event.ok_or(EtsError::NoEvent)?;
    let operation = match body.operation {
        None | Some(Value::Null) => Operation::default(),
        Some(Value::String(text)) if text == "merge" => Operation::Merge,
        Some(Value::String(text)) if text == "update" => Operation::Update,
        Some(Value::String(text)) => return Err(EtsError::Operation(cut(&text).to_owned())),
        Some(other) => return Err(EtsError::Operation(shown_json(&other.to_string()))),
    };
    let change = Fields {
        id: id("id", event.id)?,
        source_id: id("source_id", event.source_id)?,
        parent_id: id("parent_id", event.parent_id)?,
        start: event.start_time.map(|value| time("start_time", &value)).transpose()?,
        end: event.end_time.map(|value| if value.is_null() { Ok(None) } else { time("end_time", &value).map(Some) }).transpose()?,
        description: event.description.map(|value| text("description", value)).transpose()?,
        detail_urls: event.detail_urls.map(links).transpose()?,
        tags: event.tags.map(tags).transpose()?,
    };
    if change.id.as_deref() == Some("") {
        return Err(FormatError::malformed("id \"\"", "must not be empty").into());
    }
    Ok(Request { change, operation, insert: body.insert.unwrap_or(false) })
}

fn id(field: &str, value: Option<Value>) -> Result<Option<Box<str>>, FormatError> {
    // tycho takes what is no string at all for an id, as text; its own tests send an object.
    let value = value.map(|value| if value.is_object() || value.is_array() { Value::String(value.to_string()) } else { value });
    let Some(id) = value.map(|value| text(field, value)).transpose()? else { return Ok(None) };
    check_id(field, &id)?;
    Ok(Some(id))
}

/// A scalar as text; numbers as written.
fn text(field: &str, value: Value) -> Result<Box<str>, FormatError> {
    match value {
        Value::String(text) => Ok(text.into()),
        Value::Number(number) => Ok(number.to_string().into()),
        Value::Bool(flag) => Ok(flag.to_string().into()),
        other => Err(FormatError::malformed(format!("{field} {}", shown_json(&other.to_string())), "must be a string")),
    }
}

fn time(field: &str, value: &Value) -> Result<Timestamp, FormatError> {
    let wrong = |rule: String| FormatError::malformed(format!("{field} {}", shown_json(&value.to_string())), rule);
    let at = match value {
        Value::String(text) if is_zero_text(text.trim()) => return Err(wrong(EventTimeError::Zero.to_string())),
        Value::String(text) => moment::parse(text.trim()).map_err(|error| wrong(error.to_string())),
        Value::Number(number) => {
            moment::of_seconds(&number.to_string()).ok_or_else(|| wrong("Unix seconds must lie between the years 1 and 9999".to_owned()))
        }
        _ => Err(wrong("must be an ISO 8601 timestamp or Unix seconds".to_owned())),
    };
    at?.of_event().map_err(|error| wrong(error.to_string()))
}

fn links(members: Members) -> Result<Links, FormatError> {
    let mut links = Links::new();
    for (title, value) in members.bounded("detail_urls")? {
        let url = text(&format!("detail_urls: {}", quoted(&title)), value)?;
        set(&mut links, title.into(), url);
    }
    Ok(links)
}

fn tags(members: Members) -> Result<Tags, FormatError> {
    let mut tags = Tags::new();
    for (key, value) in members.bounded("tags")? {
        let subject = format!("tags: {}", quoted(&key));
        if key.is_empty() || key == "None" {
            return Err(FormatError::malformed(subject, "a tag needs a key"));
        }
        let Value::Array(elements) = value else {
            return Err(FormatError::malformed(format!("{subject} {}", shown_json(&value.to_string())), "must be a list of strings"));
        };
        if elements.len() > MEMBERS_MAX {
            return Err(FormatError::limit(format!("{subject} values"), elements.len(), MEMBERS_MAX));
        }
        let values = elements.into_iter().map(|value| tag_value(&subject, value)).collect::<Result<Vec<_>, _>>()?;
        set(&mut tags, key.into(), values);
    }
    Ok(tags)
}

fn tag_value(subject: &str, value: Value) -> Result<Box<str>, FormatError> {
    let value = text(subject, value)?;
    let characters = value.chars().count();
    if characters > TAG_VALUE_MAX {
        let subject = format!("{subject} {}", quoted(&value));
        return Err(FormatError::malformed(subject, format!("{characters} characters: at most {TAG_VALUE_MAX}")));
    }
    Ok(value)
}

/// The last of a repeated name stands, as in Python.
fn set<T>(members: &mut Vec<(Box<str>, T)>, name: Box<str>, value: T) {
    match members.iter_mut().find(|(known, _)| *known == name) {
        Some((_, old)) => *old = value,
        None => members.push((name, value)),
    }
}

/// The members of an object in their order.
struct Members(Vec<(String, Value)>);

impl Members {
    fn bounded(self, field: &str) -> Result<Vec<(String, Value)>, FormatError> {
        if self.0.len() > MEMBERS_MAX {
            return Err(FormatError::limit(field, self.0.len(), MEMBERS_MAX));
        }
        Ok(self.0)
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Visitor)
    }
}
