//! Attributes as sent, brought to one flat list: a path and a text for each scalar.
//!
//! Objects are walked, their names joined with `.`. An array gives one text per path below it: its scalars, sorted, joined
//! with `,`; so `[{"name":"b"},{"name":"a"}]` under `images` is `images.name` = `a,b`. `null` and `""` are absent.
//! Numbers stay as written. Nothing here knows what a label is.

use crate::mapping::FormatError;
use crate::mapping::json;
use crate::mapping::json::JsonKind;
use crate::shown::quoted;
use std::borrow::Cow;

/// How many objects and arrays may stand inside each other.
const DEPTH_MAX: usize = 32;
/// Longest path in bytes; with the next it bounds the memory that one event's paths take.
const PATH_BYTES_MAX: usize = 512;
/// Most scalars in one event, those in arrays included.
const SCALARS_MAX: usize = 10_000;

/// One scalar of the attributes, or the scalars of one array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attribute<'a> {
    /// The names that lead to it, joined with `.`.
    pub path: Cow<'a, str>,
    /// Never empty.
    pub value: Cow<'a, str>,
    /// A string that stood right in the attributes: path and value are exactly what was sent.
    pub verbatim: bool,
}

/// All scalars, and how many members the attributes had.
#[derive(Debug, Default)]
pub(crate) struct Flat<'a> {
    pub attributes: Vec<Attribute<'a>>,
    pub members: usize,
}

/// Flattens the object `json`, which must be valid JSON.
pub(crate) fn flatten(json: &str) -> Result<Flat<'_>, FormatError> {
    let mut flat = Flat::default();
    let members = members("", json)?;
    flat.members = members.len();
    flat.attributes.reserve(members.len());
    for member in members {
        walk(member.name, member.value, 1, Nesting::Outside, &mut flat.attributes)?;
    }
    Ok(flat)
}

/// Where a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nesting {
    Outside,
    InArray,
}

/// Adds what is in the value `json` at `path`.
fn walk<'a>(
    path: Cow<'a, str>,
    json: &'a str,
    depth: usize,
    nesting: Nesting,
    attributes: &mut Vec<Attribute<'a>>,
) -> Result<(), FormatError> {
    let kind = JsonKind::of(json);
    if path.len() > PATH_BYTES_MAX {
        return Err(FormatError::limit(format!("bytes in the name of {}", subject(&path)), path.len(), PATH_BYTES_MAX));
    }
    if depth > DEPTH_MAX && matches!(kind, JsonKind::Object | JsonKind::Array) {
        return Err(FormatError::malformed(subject(&path), format!("nested deeper than {DEPTH_MAX} levels")));
    }
    let value = match kind {
        JsonKind::Null => return Ok(()),
        JsonKind::Bool | JsonKind::Number => Cow::Borrowed(json),
        JsonKind::String => json::string(json).map_err(|error| unreadable(&path, &error))?,
        JsonKind::Object => {
            for member in members(&path, json)? {
                walk(Cow::Owned(format!("{path}.{}", member.name)), member.value, depth + 1, nesting, attributes)?;
            }
            return Ok(());
        }
        JsonKind::Array => {
            let start = attributes.len();
            for element in json::elements(json).map_err(|error| unreadable(&path, &error))? {
                walk(path.clone(), element, depth + 1, Nesting::InArray, attributes)?;
            }
            if nesting == Nesting::Outside {
                join(attributes, start);
            }
            return Ok(());
        }
    };
    if !value.is_empty() {
        if attributes.len() >= SCALARS_MAX {
            return Err(FormatError::limit("values in the attributes", attributes.len() + 1, SCALARS_MAX));
        }
        attributes.push(Attribute { path, value, verbatim: kind == JsonKind::String && depth == 1 });
    }
    Ok(())
}

/// Joins the attributes from `start` on that have the same path.
fn join(attributes: &mut Vec<Attribute<'_>>, start: usize) {
    let mut found = attributes.split_off(start);
    found.sort_unstable_by(|a, b| (&a.path, &a.value).cmp(&(&b.path, &b.value)));
    for attribute in found {
        match attributes.get_mut(start..).and_then(<[_]>::last_mut) {
            Some(last) if last.path == attribute.path => {
                let joined = last.value.to_mut();
                joined.push(',');
                joined.push_str(&attribute.value);
            }
            _ => attributes.push(attribute),
        }
    }
}

/// The members of an object, each name once.
fn members<'a>(path: &str, json: &'a str) -> Result<Vec<json::Member<'a>>, FormatError> {
    let members = json::members(json).map_err(|error| unreadable(path, &error))?;
    match json::repeated(&members) {
        Some(name) if path.is_empty() => Err(FormatError::malformed(subject(name), "given twice")),
        Some(name) => Err(FormatError::malformed(subject(&format!("{path}.{name}")), "given twice")),
        None => Ok(members),
    }
}

fn unreadable(path: &str, error: &serde_json::Error) -> FormatError {
    FormatError::malformed(if path.is_empty() { "attributes".to_owned() } else { subject(path) }, error.to_string())
}

fn subject(path: &str) -> String {
    format!("attribute {}", quoted(path))
}
