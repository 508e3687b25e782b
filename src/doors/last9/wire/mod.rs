//! The Last9 change event: one JSON object with `event_name`, `event_state`, `timestamp`, `attributes`,
//! `data_source_name` and `value`, or an array of them.
//!
//! Strict where the sender would be surprised later: an unknown field, a repeated name or a wrong type is refused.
//! `null` means absent everywhere.

use crate::event::EdgeState;
use crate::mapping::Context;
use crate::mapping::FormatError;
use crate::mapping::Parsed;
use crate::mapping::Warning;
use crate::mapping::attributes;
use crate::mapping::attributes::Flat;
use crate::mapping::edge::Sent;
use crate::mapping::edge::edge;
use crate::mapping::json;
use crate::mapping::json::JsonKind;
use crate::shown::quoted;
use crate::shown::shown_json;
use crate::time::Timestamp;
use crate::time::unix;
use std::borrow::Cow;

/// A request's body: an object, or an array of them with an answer for each.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// One object.
    One(Result<Parsed, FormatError>),
    /// An array, in its order.
    Many(Vec<Result<Parsed, FormatError>>),
}

/// The event in `body`, which is one JSON object.
pub fn parse_one(body: &[u8], context: &Context<'_>) -> Result<Parsed, FormatError> {
    parse_object(text(body)?, context)
}

/// The event or events in `body`, which is a JSON object or an array of them.
pub fn parse_body(body: &[u8], context: &Context<'_>) -> Result<Body, FormatError> {
    let text = text(body)?;
    if JsonKind::of(text.trim_ascii_start()) != JsonKind::Array {
        return Ok(Body::One(parse_object(text, context)));
    }
    let items = json::elements(text).map_err(|error| not_one(text, &error))?;
    let limit = context.mapping.limits().batch_items;
    if items.is_empty() {
        return Err(FormatError::malformed("body", "an empty array holds no event"));
    }
    if items.len() > limit {
        return Err(FormatError::TooMany { items: items.len(), limit });
    }
    Ok(Body::Many(items.into_iter().map(|item| parse_object(item, context)).collect()))
}

/// What was sent, field by field, as JSON text.
#[derive(Default)]
struct Fields<'a> {
    event_name: Option<&'a str>,
    event_state: Option<&'a str>,
    timestamp: Option<&'a str>,
    attributes: Option<&'a str>,
    data_source_name: Option<&'a str>,
    value: Option<&'a str>,
}

fn parse_object(text: &str, context: &Context<'_>) -> Result<Parsed, FormatError> {
    let limit = context.mapping.limits().item_bytes;
    if text.len() > limit {
        return Err(FormatError::TooLong { limit });
    }
    let fields = fields(text)?;
    let event_name = event_name(fields.event_name)?;
    let state = fields.event_state.map(event_state).transpose()?;
    let at = fields.timestamp.map(timestamp).transpose()?.unwrap_or(context.now);
    let value = fields.value.map(value).transpose()?.unwrap_or(1.0);
    let cluster = fields.data_source_name.map(|json| string("data_source_name", json)).transpose()?.unwrap_or_default();
    let attributes = fields.attributes.map(attributes).transpose()?.unwrap_or_default();
    let json = fields.attributes.unwrap_or("{}");
    let mut parsed = edge(&Sent { event_name: &event_name, state, at, value, attributes: &attributes, json, cluster: &cluster }, context)?;
    parsed.warnings.extend(Warning::of_time("timestamp", at));
    Ok(parsed)
}

fn text(body: &[u8]) -> Result<&str, FormatError> {
    json::text(body).map_err(|rule| FormatError::malformed("body", rule))
}

fn fields(text: &str) -> Result<Fields<'_>, FormatError> {
    let members = json::members(text).map_err(|error| match JsonKind::of(text.trim_ascii_start()) {
        JsonKind::Object => not_one(text, &error),
        _ => FormatError::malformed(format!("body {}", shown_json(text.trim_ascii())), "must be a JSON object, or an array of them"),
    })?;
    if let Some(name) = json::repeated(&members) {
        return Err(FormatError::malformed(format!("field {}", quoted(name)), "given twice"));
    }
    let mut fields = Fields::default();
    for member in &members {
        let field = match &*member.name {
            "event_name" => &mut fields.event_name,
            "event_state" => &mut fields.event_state,
            "timestamp" => &mut fields.timestamp,
            "attributes" => &mut fields.attributes,
            "data_source_name" => &mut fields.data_source_name,
            "value" => &mut fields.value,
            name => {
                return Err(FormatError::malformed(
                    format!("field {}", quoted(name)),
                    "unknown; known are event_name, event_state, timestamp, attributes, data_source_name and value",
                ));
            }
        };
        *field = (JsonKind::of(member.value) != JsonKind::Null).then_some(member.value);
    }
    Ok(fields)
}

/// What is no JSON value, or several.
fn not_one(text: &str, error: &serde_json::Error) -> FormatError {
    let several = "another value follows the first one: send application/x-ndjson, one event to a line, or an array";
    FormatError::malformed("body", if json::is_several(text) { several.to_owned() } else { error.to_string() })
}

fn event_name(json: Option<&str>) -> Result<Cow<'_, str>, FormatError> {
    let name = string("event_name", json.ok_or_else(|| FormatError::malformed("event_name", "must be given"))?)?;
    if name.is_empty() { Err(FormatError::malformed("event_name \"\"", "must not be empty")) } else { Ok(name) }
}

fn event_state(json: &str) -> Result<EdgeState, FormatError> {
    match string("event_state", json)?.trim() {
        "start" => Ok(EdgeState::Start),
        "stop" => Ok(EdgeState::Stop),
        _ => Err(wrong("event_state", json, "must be start or stop, or absent for a point in time")),
    }
}

fn timestamp(json: &str) -> Result<Timestamp, FormatError> {
    if JsonKind::of(json) == JsonKind::Number {
        return Err(wrong("timestamp", json, &unix::rule(json)));
    }
    let text = string("timestamp", json)?;
    Timestamp::parse_event(&text).map_err(|error| wrong("timestamp", json, &unix::rule_of_text(&text, &error)))
}

fn value(json: &str) -> Result<f64, FormatError> {
    let kind = JsonKind::of(json);
    if kind != JsonKind::Number {
        return Err(wrong("value", json, &format!("must be a number, not {kind}")));
    }
    let value: f64 = json.parse().map_err(|_| wrong("value", json, "must be a number"))?;
    if value.is_finite() { Ok(value) } else { Err(wrong("value", json, "must be finite")) }
}

fn attributes(json: &str) -> Result<Flat<'_>, FormatError> {
    match JsonKind::of(json) {
        JsonKind::Object => attributes::flatten(json),
        kind => Err(wrong("attributes", json, &format!("must be an object, not {kind}"))),
    }
}

fn string<'a>(field: &str, json: &'a str) -> Result<Cow<'a, str>, FormatError> {
    match JsonKind::of(json) {
        JsonKind::String => json::string(json).map_err(|error| wrong(field, json, &error.to_string())),
        kind => Err(wrong(field, json, &format!("must be a string, not {kind}"))),
    }
}

fn wrong(field: &str, json: &str, rule: &str) -> FormatError {
    FormatError::malformed(format!("{field} {}", shown_json(json)), rule)
}

#[cfg(test)]
mod tests;
