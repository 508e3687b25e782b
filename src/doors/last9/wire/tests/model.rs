//! Random events against a model that reads them with `serde_json::Value` and ordered maps.

use super::*;
use crate::event::Edge;
use crate::labels::mended;
use crate::labels::trimmed;
use crate::mapping::names::is_label_name;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Map;
use serde_json::Value;
use std::collections::BTreeMap;

/// Label names to values, by the rules as one would write them down.
fn model(event_name: &str, attributes: &Map<String, Value>) -> BTreeMap<String, String> {
    let mut found = Vec::new();
    for (name, value) in attributes {
        scalars(name, value, &mut found);
    }
    let mut labels = BTreeMap::new();
    let mut candidates: BTreeMap<String, Vec<(bool, String, String)>> = BTreeMap::new();
    for (path, value) in found {
        let value = trimmed(&value).to_owned();
        if value.is_empty() || path.starts_with("__") {
            continue;
        }
        let mut name: String = path.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
        if name != path && name.starts_with('_') {
            name = format!("_{}", name.trim_start_matches('_'));
        }
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            name.insert(0, '_');
        }
        if name == "event_name" || name == "event_state" {
            name = format!("exported_{name}");
        }
        candidates.entry(name.clone()).or_default().push((name != path, path, value));
    }
    for (name, mut values) in candidates {
        values.sort();
        labels.insert(name, values[0].2.clone());
    }
    for (canonical, aliases) in MappingOptions::default().aliases {
        let value = aliases.iter().find_map(|alias| labels.get(alias).cloned());
        if let Some(value) = value {
            labels.entry(canonical).or_insert(value);
        }
    }
    for value in labels.values_mut() {
        *value = mended(value).unwrap_or_else(|| value.clone());
        while value.len() > 1024 {
            value.pop();
        }
    }
    labels.insert("event_name".to_owned(), event_name.to_owned());
    labels
}

fn scalars(path: &str, value: &Value, found: &mut Vec<(String, String)>) {
    match value {
        Value::Null => {}
        Value::String(text) if text.is_empty() => {}
        Value::String(text) => found.push((path.to_owned(), text.clone())),
        Value::Bool(_) | Value::Number(_) => found.push((path.to_owned(), value.to_string())),
        Value::Object(members) => members.iter().for_each(|(name, value)| scalars(&format!("{path}.{name}"), value, found)),
        Value::Array(_) => {
            let mut inside = Vec::new();
            elements(path, value, &mut inside);
            let mut lists: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for (path, value) in inside {
                lists.entry(path).or_default().push(value);
            }
            for (path, mut values) in lists {
                values.sort();
                found.push((path, values.join(",")));
            }
        }
    }
}

fn elements(path: &str, value: &Value, found: &mut Vec<(String, String)>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| elements(path, value, found)),
        Value::Object(members) => members.iter().for_each(|(name, value)| elements(&format!("{path}.{name}"), value, found)),
        scalar => scalars(path, scalar, found),
    }
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c]{1,2}",
        "[a-b._-]{0,4}",
        "\\PC{0,4}",
        prop::sample::select(vec![
            "service",
            "env",
            "environment",
            "commit",
            "event_name",
            "event.state",
            "entity_id",
            "state",
            "result",
            "le"
        ])
        .prop_map(str::to_owned),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![4 => "\\PC{0,6}", 1 => "[\\x00-\\x1f\"\\\\]{0,5}", 1 => "[a-z\u{e9}]{500,1100}"];
    let scalar = prop_oneof![
        4 => text.prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(|number| serde_json::from_str(&format!("{number:e}")).unwrap_or(Value::Null)),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    scalar.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name(), inner, 0..3).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn attributes() -> impl Strategy<Value = Vec<(String, Value)>> {
    prop::collection::btree_map(name(), value(), 0..8).prop_map(|map| map.into_iter().collect::<Vec<_>>()).prop_shuffle()
}

fn body(attributes: &[(String, Value)], pretty: bool) -> String {
    let member = |(name, value): &(String, Value)| {
        let value = if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
        format!("{}:{}", Value::from(name.as_str()), value.unwrap())
    };
    let attributes: Vec<String> = attributes.iter().map(member).collect();
    format!("{{\"event_name\":\"e\",\"event_state\":\"start\",\"attributes\":{{{}}}}}", attributes.join(if pretty { " ,\n " } else { "," }))
}

/// Whatever came in: the labels can stand on a page, and with the attributes they say all that was sent.
fn check_edge(body: &[u8], edge: &Edge) {
    let mut bytes = 0;
    for (name, value) in &edge.labels {
        assert!(is_label_name(name) || name == "event_name", "{name:?}");
        assert!(!value.is_empty() && value.len() <= 1024 && name.len() <= 128, "{name}: {} bytes", value.len());
        bytes += name.len() + value.len();
    }
    assert!(bytes <= 8192 && edge.labels.iter().count() <= 21 && !edge.labels.event_name().is_empty());
    assert!(edge.value.is_finite());
    let body: Value = serde_json::from_slice(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)).unwrap();
    let sent = body.get("attributes").filter(|sent| !sent.is_null()).cloned().unwrap_or_else(|| Value::Object(Map::new()));
    let same: Map<String, Value> =
        edge.labels.iter().filter(|(name, _)| *name != "event_name").map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
    match &edge.attributes {
        Some(kept) => assert_eq!(serde_json::from_str::<Value>(kept).unwrap(), sent),
        None => assert_eq!(Value::Object(same.clone()), sent),
    }
    assert_eq!(edge.attributes.is_none(), Value::Object(same) == sent);
}

proptest! {
    #[test]
    fn labels_are_those_of_the_model(attributes in attributes(), pretty in any::<bool>()) {
        let text = body(&attributes, pretty);
        let members: Map<String, Value> = attributes.iter().cloned().collect();
        match parse(text.as_bytes()) {
            Ok(parsed) => {
                let labels: BTreeMap<String, String> = parsed.edge.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
                let mut expected = model("e", &members);
                let bytes: usize = expected.iter().map(|(name, value)| name.len() + value.len()).sum();
                if bytes > 8192 || expected.len() > 21 || expected.keys().any(|name| name.len() > 128) {
                    expected.retain(|name, _| labels.contains_key(name));
                }
                prop_assert_eq!(labels, expected);
                check_edge(text.as_bytes(), &parsed.edge);
            }
            Err(error) => prop_assert!(false, "{}", error),
        }
    }

    #[test]
    fn the_order_of_attributes_means_nothing(attributes in attributes(), rotation in any::<Index>()) {
        let mut turned = attributes.clone();
        if !turned.is_empty() {
            turned.rotate_left(rotation.index(attributes.len()));
            turned.reverse();
        }
        let key = |body: String| parse(body.as_bytes()).map(|parsed| (parsed.edge.identity, parsed.edge.id(), parsed.edge.labels, parsed.warnings));
        let (one, other) = (key(body(&attributes, false)), key(body(&turned, true)));
        prop_assert_eq!(one.is_ok(), other.is_ok());
        if one.is_ok() {
            prop_assert_eq!(one, other);
        }
    }

    #[test]
    fn any_bytes_are_an_error_or_a_valid_edge(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(parsed) = parse(&bytes) {
            check_edge(&bytes, &parsed.edge);
        }
    }

    #[test]
    fn any_damage_is_an_error_or_a_valid_edge(attributes in attributes(), at in any::<Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = body(&attributes, false).into_bytes();
        let at = at.index(bytes.len());
        if cut {
            bytes.remove(at);
        } else {
            bytes[at] = byte;
        }
        if let Ok(parsed) = parse(&bytes) {
            check_edge(&bytes, &parsed.edge);
        }
    }
}
