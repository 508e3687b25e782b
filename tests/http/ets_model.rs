//! Puts, updates, merges and deletes in any order, against a plain model: a map of events, and the rules of the reference
//! written down field by field. With restarts in between.

use std::collections::BTreeMap;

use axum::http::Method;
use proptest::prelude::*;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::ets::ETS;
use crate::ets::delete;
use crate::ets::put;
use crate::ets::send;
use crate::ets_hostile::percent_encoded;
use crate::support::Server;

const IDS: [&str; 3] = ["a", "b/c", "d:\"e"];

#[derive(Clone, Debug)]
enum Step {
    Put(Value),
    Post { event: Value, operation: &'static str, insert: bool },
    Delete(&'static str),
    Restart,
}

fn text() -> impl Strategy<Value = Value> {
    prop_oneof![Just(json!("")), Just(json!("x")), Just(json!(" x y ")), Just(json!("z")), Just(Value::Null)]
}

fn tags() -> impl Strategy<Value = Value> {
    let key = prop_oneof![Just("type"), Just("status"), Just("a:b"), Just("__x"), Just("parent_id"), Just("name"), Just("environment")];
    let values = proptest::collection::vec(prop_oneof![Just("1"), Just("2"), Just("fail"), Just("")], 0..3);
    proptest::collection::btree_map(key, values, 0..3).prop_map(|tags| json!(tags))
}

fn links() -> impl Strategy<Value = Value> {
    proptest::collection::btree_map(prop_oneof![Just("l"), Just("m.n")], prop_oneof![Just("u"), Just("v")], 0..3)
        .prop_map(|links| json!(links))
}

/// An event with any of its fields left out.
fn event() -> impl Strategy<Value = Value> {
    let time = || proptest::option::of(prop_oneof![Just(json!(1_700_000_000)), Just(json!(1_700_000_060)), Just(json!(1_700_000_120.5))]);
    let end = prop_oneof![4 => time(), 1 => Just(Some(Value::Null))];
    let parent = || proptest::option::of(prop_oneof![Just(json!("")), Just(json!("a")), Just(json!("b/c"))]);
    let fields = (
        proptest::sample::select(&IDS[..]),
        parent(),
        parent(),
        time(),
        end,
        proptest::option::of(text()),
        proptest::option::of(links()),
        proptest::option::of(tags()),
    );
    fields.prop_map(|(id, source, parent, start, end, description, links, tags)| {
        let mut event = Map::from_iter([("id".to_owned(), json!(id))]);
        let given = [
            ("source_id", source),
            ("parent_id", parent),
            ("start_time", start),
            ("end_time", end),
            ("description", description),
            ("detail_urls", links),
            ("tags", tags),
        ];
        event.extend(given.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
        Value::Object(event)
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => event().prop_map(Step::Put),
        8 => (event(), prop_oneof![Just("merge"), Just("update")], any::<bool>())
            .prop_map(|(event, operation, insert)| Step::Post { event, operation, insert }),
        2 => proptest::sample::select(&IDS[..]).prop_map(Step::Delete),
        1 => Just(Step::Restart),
    ]
}

/// The times in milliseconds: `null` is open.
type Event = Map<String, Value>;

#[derive(Default)]
struct Model(BTreeMap<String, Event>);

fn millis(value: &Value) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "times of the tests")]
    value.as_f64().map_or(Value::Null, |seconds| json!((seconds * 1000.0) as i64))
}

/// What a body says, with its times in milliseconds and without fields that are as good as absent.
fn said(event: &Value) -> Event {
    let mut said = event.as_object().unwrap().clone();
    for key in ["start_time", "end_time"] {
        if let Some(value) = said.get_mut(key) {
            *value = millis(value);
        }
    }
    said.retain(|key, value| key == "end_time" || !value.is_null());
    said
}

fn whole(said: &Event, now: i64) -> Event {
    let field = |key: &str, default: Value| said.get(key).cloned().unwrap_or(default);
    let given_end = said.get("end_time").filter(|end| !end.is_null()).cloned();
    let start = field("start_time", given_end.unwrap_or_else(|| json!(now)));
    let mut event = said.clone();
    event.insert("end_time".into(), field("end_time", start.clone()));
    event.insert("start_time".into(), start);
    for (key, default) in
        [("source_id", json!("")), ("parent_id", json!("")), ("description", json!("")), ("detail_urls", json!({})), ("tags", json!({}))]
    {
        event.entry(key).or_insert(default);
    }
    event
}

/// Whether it ends before it begins.
fn is_backwards(event: &Event) -> bool {
    event["end_time"].as_i64().is_some_and(|end| end < event["start_time"].as_i64().unwrap())
}

fn merged(mut event: Event, new: &Event) -> Result<Event, u16> {
    for key in ["source_id", "parent_id"] {
        let Some(value) = new.get(key).filter(|value| **value != json!("")) else { continue };
        if event[key] == "" {
            event.insert(key.into(), value.clone());
        } else if event[key] != *value {
            return Err(409);
        }
    }
    if let Some(start) = new.get("start_time").and_then(Value::as_i64) {
        event["start_time"] = json!(start.min(event["start_time"].as_i64().unwrap()));
    }
    if let Some(end) = new.get("end_time").and_then(Value::as_i64) {
        event["end_time"] = json!(event["end_time"].as_i64().map_or(end, |old| old.max(end)));
    }
    if let Some(description) = new.get("description").and_then(Value::as_str).filter(|text| !text.is_empty()) {
        let old = event["description"].as_str().unwrap().to_owned();
        if old.is_empty() {
            event["description"] = json!(description);
        } else if !description.trim().is_empty() && !old.trim().contains(description.trim()) {
            event["description"] = json!(format!("{}\n{}", old.trim(), description.trim()));
        }
    }
    for (title, url) in new.get("detail_urls").and_then(Value::as_object).into_iter().flatten() {
        event["detail_urls"][title] = url.clone();
    }
    for (key, values) in new.get("tags").and_then(Value::as_object).into_iter().flatten() {
        let tags = event["tags"].as_object_mut().unwrap();
        let Some(old) = tags.get_mut(key) else {
            tags.insert(key.clone(), values.clone());
            continue;
        };
        let old = old.as_array_mut().unwrap();
        for value in values.as_array().unwrap() {
            if !old.contains(value) {
                old.push(value.clone());
            }
        }
    }
    if is_backwards(&event) { Err(400) } else { Ok(event) }
}

fn updated(mut event: Event, new: &Event) -> Result<Event, u16> {
    event.extend(new.clone());
    if is_backwards(&event) { Err(400) } else { Ok(event) }
}

impl Model {
    /// The status, and the event that is answered.
    fn put(&mut self, event: &Value, now: i64) -> Result<Event, u16> {
        let event = whole(&said(event), now);
        let id = event["id"].as_str().unwrap().to_owned();
        if is_backwards(&event) || self.0.contains_key(&id) {
            return Err(400);
        }
        self.0.insert(id, event.clone());
        Ok(event)
    }

    fn post(&mut self, event: &Value, operation: &str, insert: bool, now: i64) -> Result<Event, u16> {
        let new = said(event);
        let id = new["id"].as_str().unwrap().to_owned();
        let Some(old) = self.0.get(&id) else {
            let event = whole(&new, now);
            if is_backwards(&event) {
                return Err(400);
            }
            if insert {
                self.0.insert(id, event.clone());
            }
            return Ok(event);
        };
        let after = if operation == "merge" { merged(old.clone(), &new)? } else { updated(old.clone(), &new)? };
        self.0.insert(id, after.clone());
        Ok(after)
    }
}

/// The event of an answer as the model has it.
fn answered(event: &Value) -> Event {
    let mut event = event.as_object().unwrap().clone();
    assert_eq!(event.len(), 8);
    for key in ["start_time", "end_time"] {
        if let Some(text) = event[key].as_str() {
            event[key] = json!(change_events::time::Timestamp::parse(text).unwrap().millis());
        }
    }
    event
}

async fn check(steps: Vec<Step>) {
    let mut server = Server::new("");
    let mut model = Model::default();
    for step in steps {
        // So that versions differ.
        server.clock.advance(std::time::Duration::from_secs(1));
        let now = change_events::time::Clock::now(&*server.clock).millis();
        let (answer, expected) = match &step {
            Step::Put(event) => (put(&server, event).await, model.put(event, now)),
            Step::Post { event, operation, insert } => {
                let body = json!({"event": event, "operation": operation, "insert": insert});
                (send(&server, Method::POST, body.to_string()).await, model.post(event, operation, *insert, now))
            }
            Step::Delete(id) => {
                let status = if model.0.remove(*id).is_some() { 200 } else { 400 };
                assert_eq!(delete(&server, &percent_encoded(id)).await.status, status, "{step:?}");
                continue;
            }
            Step::Restart => {
                server = server.restarted("");
                continue;
            }
        };
        match expected {
            Ok(event) => {
                assert_eq!(answer.status, 200, "{step:?}: {}", answer.text());
                assert_eq!(answered(&answer.json()), event, "{step:?}");
            }
            Err(status) => assert_eq!(answer.status, status, "{step:?}: {}", answer.text()),
        }
    }
    let listed = server.get(&format!("{ETS}?count=0")).await.json();
    let listed: Vec<Event> = listed["result"].as_array().unwrap().iter().map(answered).collect();
    let mut expected: Vec<Event> = model.0.into_values().collect();
    expected
        .sort_by_key(|event| (std::cmp::Reverse(event["end_time"].as_i64().unwrap_or(i64::MAX)), event["id"].as_str().unwrap().to_owned()));
    assert_eq!(listed, expected);
    for parent in ["a", "b/c"] {
        let children = server.get(&format!("{ETS}{}/children", parent.replace('/', "%2F"))).await.json();
        let children: Vec<Event> = children.as_array().unwrap().iter().map(answered).collect();
        assert_eq!(children, expected.iter().filter(|event| event["parent_id"] == parent).cloned().collect::<Vec<_>>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn events_are_what_a_plain_model_says(steps in proptest::collection::vec(step(), 1..24)) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(check(steps));
    }
}
