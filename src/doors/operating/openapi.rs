//! The `OpenAPI` document of every route, for people's tools: what all doors share, and the part of each. `tests/openapi` compares
//! it with the routes, and schemathesis with what they answer.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;
use serde_json::json;

use crate::http::app::App;
use crate::http::error::ApiError;
use crate::http::error::json_response;
use crate::http::route::Door;

/// What all doors share, but for the version and where it is served.
const BASE: &str = include_str!("base.json");

/// Answers the document.
pub(super) fn document(app: &App, doors: &[Door]) -> Result<Response, ApiError> {
    let mut document = assembled(doors).map_err(|_| ApiError::internal())?;
    let base = app.web.external_url.clone().unwrap_or_else(|| app.web.route_prefix.clone());
    if let Some(fields) = document.as_object_mut() {
        fields.insert("servers".to_owned(), json!([{ "url": if base.is_empty() { "/" } else { &base } }]));
    }
    if let Some(version) = document.pointer_mut("/info/version") {
        *version = env!("CARGO_PKG_VERSION").into();
    }
    Ok(json_response(StatusCode::OK, document.to_string()))
}

/// The parts of the doors, in their order, joined to what they share.
fn assembled(doors: &[Door]) -> serde_json::Result<Value> {
    let mut document = serde_json::from_str(BASE)?;
    for door in doors {
        join(&mut document, serde_json::from_str(door.openapi)?);
    }
    Ok(document)
}

/// Adds a part: members of objects beside each other, items of arrays behind each other. What is there already stays.
fn join(whole: &mut Value, part: Value) {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            for (name, value) in part {
                match whole.get_mut(&name) {
                    Some(known) => join(known, value),
                    None => drop(whole.insert(name, value)),
                }
            }
        }
        (Value::Array(whole), Value::Array(part)) => whole.extend(part),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::ALL;

    #[test]
    fn no_part_says_anew_what_another_one_says() {
        let mut known = std::collections::BTreeSet::new();
        for part in ALL.iter().map(|door| door.openapi).chain([BASE]) {
            let part: Value = serde_json::from_str(part).unwrap();
            let named = |pointer: &str| part.pointer(pointer).and_then(Value::as_object).cloned().unwrap_or_default();
            for (kind, names) in named("/components") {
                for name in names.as_object().unwrap().keys() {
                    assert!(known.insert(format!("{kind} {name}")), "{kind} {name}");
                }
            }
            for path in named("/paths").keys() {
                assert!(known.insert(path.clone()), "{path}");
            }
        }
        assert!(known.len() > 50, "{known:?}");
    }

    #[test]
    fn parts_are_joined_member_by_member() {
        let mut whole = json!({"tags": [1], "paths": {"/a": {"get": 1}}, "info": "kept"});
        join(&mut whole, json!({"tags": [2], "paths": {"/b": {"get": 2}}, "info": "other"}));
        assert_eq!(whole, json!({"tags": [1, 2], "paths": {"/a": {"get": 1}, "/b": {"get": 2}}, "info": "kept"}));
    }
}
