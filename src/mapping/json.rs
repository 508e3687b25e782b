//! JSON one level at a time: members and elements as pieces of the text they came in, so that numbers stay as written,
//! a repeated name is seen, and nothing recurses. `serde_json` does the reading.

use serde::Deserialize;
use serde::Deserializer;
use serde::de;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Up to this many names are compared each with each, which needs no memory.
const PAIRWISE_MAX: usize = 24;

/// A body as text, without the byte order mark that some editors and shells put before it and without what is blank around it;
/// or the rule that it breaks.
pub(crate) fn text(body: &[u8]) -> Result<&str, String> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let text = std::str::from_utf8(body).map_err(|error| format!("must be UTF-8, and is not from byte {} on", error.valid_up_to()))?;
    let text = text.trim_ascii();
    if text.is_empty() { Err("is empty".to_owned()) } else { Ok(text) }
}

/// One member of an object.
#[derive(Debug)]
pub(crate) struct Member<'a> {
    /// Its name, unescaped.
    pub name: Cow<'a, str>,
    /// Its value, as JSON text without space around it.
    pub value: &'a str,
}

/// A JSON value by its outermost type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JsonKind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

impl JsonKind {
    /// The type of a value; `json` must be valid.
    pub(crate) fn of(json: &str) -> Self {
        match json.as_bytes().first() {
            Some(b'{') => Self::Object,
            Some(b'[') => Self::Array,
            Some(b'"') => Self::String,
            Some(b't' | b'f') => Self::Bool,
            Some(b'n') | None => Self::Null,
            Some(_) => Self::Number,
        }
    }
}

impl fmt::Display for JsonKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
        })
    }
}

/// The members of the object `json`, in order, repeated names included.
pub(crate) fn members(json: &str) -> Result<Vec<Member<'_>>, serde_json::Error> {
    serde_json::from_str::<Members<'_>>(json).map(|members| members.0)
}

/// The members of a text, or the rule that it breaks: it must be an object.
pub(crate) fn object(text: &str) -> Result<Vec<Member<'_>>, String> {
    members(text).map_err(|error| match JsonKind::of(text) {
        JsonKind::Object if is_several(text) => "another value follows the first one: send one at a time".to_owned(),
        JsonKind::Object => error.to_string(),
        // What begins like a value need not be one.
        kind if serde_json::from_str::<de::IgnoredAny>(text).is_ok() => format!("must be a JSON object, not {kind}"),
        _ => "must be a JSON object".to_owned(),
    })
}

/// Whether another object or array follows a whole value, as in lines of events.
pub(crate) fn is_several(text: &str) -> bool {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<de::IgnoredAny>();
    let is_whole = matches!(values.next(), Some(Ok(_)));
    is_whole && text.get(values.byte_offset()..).is_some_and(|rest| rest.trim_ascii_start().starts_with(['{', '[']))
}

/// A name that more than one of `members` has.
pub(crate) fn repeated<'m>(members: &'m [Member<'_>]) -> Option<&'m str> {
    let mut rest = members;
    if members.len() <= PAIRWISE_MAX {
        while let [first, others @ ..] = rest {
            if others.iter().any(|other| other.name == first.name) {
                return Some(&first.name);
            }
            rest = others;
        }
        return None;
    }
    let mut names: Vec<&str> = members.iter().map(|member| &*member.name).collect();
    names.sort_unstable();
    names.array_windows().find(|[a, b]| a == b).map(|[name, _]| *name)
}

/// The elements of the array `json`, as JSON text.
pub(crate) fn elements(json: &str) -> Result<Vec<&str>, serde_json::Error> {
    serde_json::from_str::<Vec<&RawValue>>(json).map(|elements| elements.into_iter().map(RawValue::get).collect())
}

/// The text of the string `json`.
pub(crate) fn string(json: &str) -> Result<Cow<'_, str>, serde_json::Error> {
    match json.get(1..json.len().saturating_sub(1)) {
        Some(text) if !text.as_bytes().contains(&b'\\') => Ok(Cow::Borrowed(text)),
        _ => serde_json::from_str::<Text<'_>>(json).map(|text| text.0),
    }
}

/// `json` without the space between its tokens.
pub(crate) fn compact(json: &str) -> Box<str> {
    if !json.bytes().any(|byte| byte <= b' ') {
        return json.into();
    }
    let mut compact = String::with_capacity(json.len());
    let (mut start, mut in_string, mut escaped) = (0, false, false);
    for (at, byte) in json.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            b' ' | b'\t' | b'\n' | b'\r' if !in_string => {
                compact.push_str(json.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => {}
        }
    }
    compact.push_str(json.get(start..).unwrap_or_default());
    compact.into_boxed_str()
}

struct Members<'a>(Vec<Member<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(16);
                while let Some(Text(name)) = map.next_key()? {
                    members.push(Member { name, value: map.next_value::<&RawValue>()?.get() });
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Visitor)
    }
}

/// A string that is borrowed where it has no escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn compacts_only_between_tokens() {
        for (json, expected) in [
            ("{}", "{}"),
            (" { \"a b\" :\t1 ,\r\n\"c\": [ 1.0 , true ] }\n", "{\"a b\":1,\"c\":[1.0,true]}"),
            (r#"{"a": "x \" y\\", "b": " \\\" "}"#, r#"{"a":"x \" y\\","b":" \\\" "}"#),
        ] {
            assert_eq!(&*compact(json), expected, "{json}");
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from)
        ];
        scalar.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(".{0,5}", inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn reads_like_serde_json(value in values(), pretty in any::<bool>()) {
            let json = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            prop_assert_eq!(&*compact(&json), value.to_string());
            match &value {
                Value::Object(map) => {
                    let members = members(&json).unwrap();
                    prop_assert_eq!(members.len(), map.len());
                    for member in members {
                        prop_assert_eq!(&serde_json::from_str::<Value>(member.value).unwrap(), &map[&*member.name]);
                    }
                }
                Value::Array(list) => {
                    let elements: Vec<Value> = elements(&json).unwrap().into_iter().map(|json| serde_json::from_str(json).unwrap()).collect();
                    prop_assert_eq!(&elements, list);
                }
                Value::String(text) => prop_assert_eq!(&string(&json).unwrap(), text),
                _ => prop_assert!(members(&json).is_err() && elements(&json).is_err()),
            }
        }
    }
}
