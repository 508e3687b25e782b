//! Metadata: any JSON object, kept as it was written, as long as whoever reads it back can.

use crate::mapping::json;
use crate::mapping::json::JsonKind;
use serde::Deserializer;
use serde::de;
use serde::de::DeserializeSeed;
use std::fmt;

/// How many objects and arrays may stand inside each other. Common readers stop at 128, with what is around it.
const DEPTH_MAX: usize = 100;

/// The object without the space between its tokens; empty for `null`. Else the rule that it breaks.
pub(super) fn parse(json: &str) -> Result<Box<str>, String> {
    match JsonKind::of(json) {
        JsonKind::Null => return Ok("".into()),
        JsonKind::Object => {}
        kind => return Err(format!("must be an object, not {kind}")),
    }
    let mut deserializer = serde_json::Deserializer::from_str(json);
    Readable(DEPTH_MAX).deserialize(&mut deserializer).map_err(|error| error.to_string())?;
    Ok(json::compact(json))
}

/// Reads a value and keeps nothing of it; down to so many levels.
#[derive(Clone, Copy)]
struct Readable(usize);

impl Readable {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        self.0.checked_sub(1).map(Self).ok_or_else(|| E::custom(format_args!("nested deeper than {DEPTH_MAX} levels")))
    }
}

impl<'de> DeserializeSeed<'de> for Readable {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> de::Visitor<'de> for Readable {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let inside = self.deeper()?;
        while elements.next_element_seed(inside)?.is_some() {}
        Ok(())
    }

    /// Objects, and numbers that are no small integers, which come as an object so that they stay as written.
    fn visit_map<A: de::MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let inside = self.deeper()?;
        while members.next_key_seed(inside)?.is_some() {
            members.next_value_seed(inside)?;
        }
        Ok(())
    }
}
