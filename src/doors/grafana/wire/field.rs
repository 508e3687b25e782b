//! Values of fields. `None` is what says nothing: `null`, an empty text, zero.

use crate::mapping::FormatError;
use crate::mapping::json;
use crate::mapping::json::JsonKind;
use crate::shown::shown_json;
use crate::time::Timestamp;
use std::borrow::Cow;
use std::ops::RangeInclusive;

/// Most tags of one annotation.
const TAGS_MAX: usize = 1000;
/// The milliseconds that have a year of four digits.
const MILLIS: RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;
/// How many objects and arrays may stand inside each other in `data`. Common readers stop at 128, with what is around it.
const DEPTH_MAX: usize = 100;

fn wrong(field: &str, json: &str, rule: impl Into<String>) -> FormatError {
    FormatError::malformed(format!("{field} {}", shown_json(json)), rule)
}

fn string<'a>(field: &str, json: &'a str) -> Result<Cow<'a, str>, FormatError> {
    match JsonKind::of(json) {
        JsonKind::String => json::string(json).map_err(|error| wrong(field, json, error.to_string())),
        kind => Err(wrong(field, json, format!("must be a string, not {kind}"))),
    }
}

pub(super) fn text(field: &str, json: &str) -> Result<Option<Box<str>>, FormatError> {
    if JsonKind::of(json) == JsonKind::Null {
        return Ok(None);
    }
    let text = string(field, json)?;
    Ok((!text.is_empty()).then(|| text.into()))
}

/// A whole number, which some send as a string, and some with a fraction of zero.
pub(super) fn number(field: &str, json: &str) -> Result<Option<i64>, FormatError> {
    let rule = "must be a whole number";
    let number = number_of(field, json, 1, rule)?;
    let is_cut = number.is_some() && !is_whole(json.trim_matches('"').trim());
    if is_cut { Err(wrong(field, json, rule)) } else { Ok(number) }
}

fn is_whole(text: &str) -> bool {
    text.parse::<i64>().is_ok() || text.parse::<f64>().is_ok_and(|number| number.fract() == 0.0)
}

/// A moment in units of so many milliseconds. What is less than a millisecond is cut off.
pub(super) fn moment(field: &str, json: &str, unit: i64) -> Result<Option<Timestamp>, FormatError> {
    let rule = if unit == 1 { "must be milliseconds since 1970" } else { "must be seconds since 1970" };
    let millis = number_of(field, json, unit, rule)?;
    if let Some(Err(error)) = millis.map(|millis| Timestamp::from_millis(millis).of_event()) {
        return Err(wrong(field, json, error.to_string()));
    }
    if millis.is_some_and(|millis| !MILLIS.contains(&millis)) {
        return Err(wrong(field, json, format!("{rule}, of the years 1 to 9999")));
    }
    Ok(millis.map(Timestamp::from_millis))
}

fn number_of(field: &str, json: &str, unit: i64, rule: &str) -> Result<Option<i64>, FormatError> {
    let text = match JsonKind::of(json) {
        JsonKind::Null => return Ok(None),
        JsonKind::Number => Cow::Borrowed(json),
        JsonKind::String => string(field, json)?,
        kind => return Err(wrong(field, json, format!("{rule}, not {kind}"))),
    };
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let exact = text.parse::<i64>().ok().and_then(|number| number.checked_mul(unit));
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "bounded by the filter, and by a unit of a thousand")]
    let cut = || {
        text.parse::<f64>()
            .ok()
            .map(|number| (number * unit as f64).trunc())
            .filter(|number| number.abs() < 1e15)
            .map(|number| number as i64)
    };
    let number = exact.or_else(cut).ok_or_else(|| wrong(field, json, rule))?;
    Ok((number != 0).then_some(number))
}

pub(super) fn tags(json: &str) -> Result<Option<Vec<Box<str>>>, FormatError> {
    let elements = match JsonKind::of(json) {
        JsonKind::Null => return Ok(None),
        JsonKind::Array => json::elements(json).map_err(|error| wrong("tags", json, error.to_string()))?,
        kind => return Err(wrong("tags", json, format!("must be an array of strings, not {kind}"))),
    };
    check_count(elements.len())?;
    elements.into_iter().map(|element| string("tags", element).map(Into::into)).collect::<Result<Vec<_>, _>>().map(Some)
}

/// An array, or one string with blanks between the tags.
pub(super) fn graphite_tags(json: &str) -> Result<Option<Vec<Box<str>>>, FormatError> {
    if JsonKind::of(json) != JsonKind::String {
        return tags(json);
    }
    let text = string("tags", json)?;
    let tags: Vec<Box<str>> = text.split_whitespace().map(Into::into).collect();
    check_count(tags.len())?;
    Ok(Some(tags))
}

fn check_count(count: usize) -> Result<(), FormatError> {
    if count > TAGS_MAX { Err(FormatError::limit("tags", count, TAGS_MAX)) } else { Ok(()) }
}

/// Any JSON that readers can follow, without the space between its tokens.
pub(super) fn data(json: &str) -> Result<Option<Box<str>>, FormatError> {
    if JsonKind::of(json) == JsonKind::Null {
        return Ok(None);
    }
    if depth(json) > DEPTH_MAX {
        return Err(wrong("data", json, format!("nested deeper than {DEPTH_MAX} levels")));
    }
    // Texts in it are not looked at before: half of a surrogate pair is none.
    serde_json::from_str::<serde_json::Value>(json).map_err(|error| wrong("data", json, error.to_string()))?;
    Ok(Some(json::compact(json)))
}

/// How deep the objects and arrays of valid JSON stand inside each other.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
