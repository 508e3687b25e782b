//! A small model of what Grafana's annotation mapping reads of a frame, by its documentation: fields are found by their names,
//! in any case; a time and a text are needed, and the first field of that type will do; tags that are text are split at commas.

use serde_json::Value;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Annotation {
    /// Milliseconds since 1970.
    pub(crate) time: i64,
    /// None: a point.
    pub(crate) time_end: Option<i64>,
    pub(crate) title: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) tags: Vec<String>,
}

/// The annotations of `{"fields": [{"name", "type", "values"}]}`; none where it has no time or no text.
pub(crate) fn annotations(frame: &Value) -> Vec<Annotation> {
    let fields = frame["fields"].as_array().unwrap();
    let named = |name: &str| fields.iter().find(|field| field["name"].as_str().unwrap().to_lowercase() == name.to_lowercase());
    let typed = |kind: &str| fields.iter().find(|field| field["type"] == kind);
    let (Some(time), Some(text)) = (named("time").or_else(|| typed("time")), named("text").or_else(|| typed("string"))) else {
        return Vec::new();
    };
    let rows = time["values"].as_array().unwrap().len();
    let value = |field: Option<&Value>, row: usize| field.map_or(Value::Null, |field| field["values"][row].clone());
    (0..rows)
        .map(|row| Annotation {
            time: millis(&value(Some(time), row)).unwrap(),
            time_end: millis(&value(named("timeEnd"), row)),
            title: value(named("title"), row).as_str().map(ToOwned::to_owned),
            text: value(Some(text), row).as_str().map(ToOwned::to_owned),
            tags: tags(&value(named("tags"), row)),
        })
        .collect()
}

/// A time of a frame is a number of milliseconds in the browser; text there is none.
fn millis(value: &Value) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds of this century fit")]
    value.as_f64().map(|number| number as i64)
}

fn tags(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => text.split(',').map(ToOwned::to_owned).collect(),
        Value::Array(tags) => tags.iter().map(|tag| tag.as_str().unwrap().to_owned()).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(fields: &Value, expected: &[Annotation]) {
        assert_eq!(annotations(&json!({"fields": fields})), expected, "{fields}");
    }

    #[test]
    fn fields_are_found_by_name_and_else_by_type() {
        let one = |tags: &[&str]| Annotation {
            time: 5,
            time_end: Some(7),
            title: Some("b".to_owned()),
            text: Some("t".to_owned()),
            tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
        };
        let time = json!({"name": "TIME", "type": "time", "values": [5.0]});
        let end = json!({"name": "timeend", "type": "time", "values": [7.0]});
        let text = json!({"name": "text", "type": "string", "values": ["t"]});
        let title = json!({"name": "title", "type": "string", "values": ["b"]});
        let tags = |value: Value| json!({"name": "tags", "type": "string", "values": [value]});
        check(&json!([end, tags(json!("x,y:z")), text, time, title]), &[one(&["x", "y:z"])]);
        check(&json!([end, tags(json!(["x", "y"])), text, time, title]), &[one(&["x", "y"])]);
        check(&json!([end, tags(Value::Null), text, time, title]), &[one(&[])]);
        let when = json!({"name": "when", "type": "time", "values": [5.0]});
        let what = json!({"name": "a", "type": "string", "values": ["t"]});
        check(&json!([when, what, end, title]), &[one(&[])]);
        check(&json!([time, end]), &[]);
        check(&json!([text, title]), &[]);
    }
}
