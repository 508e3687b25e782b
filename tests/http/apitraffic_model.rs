//! Events of the `ApiTraffic` door against a plain map: whatever is created, changed and deleted, also over restarts,
//! every answer is what the map says.

use std::collections::BTreeMap;
use std::time::Duration;

use change_events::time::Clock as _;
use change_events::time::Timestamp;
use proptest::prelude::*;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::apitraffic::PATH;
use crate::support::Answer;
use crate::support::NOW;
use crate::support::Server;

#[derive(Clone, Debug)]
enum Step {
    Create(Map<String, Value>),
    /// A number that picks an event, whether `PUT`, and whether with the version that the client knows: the last, or an old one.
    Change(usize, bool, Version, Map<String, Value>),
    Delete(usize, Version),
    Restart,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Version {
    Any,
    Last,
    Old,
}

/// One event as the map has it: its record, and its versions, the last one last.
#[derive(Clone, Debug)]
struct Known {
    record: Value,
    versions: Vec<String>,
}

fn at(minute: i64) -> Value {
    Timestamp::from_millis(NOW.millis() - 3_600_000 + minute * 60_000).to_string().into()
}

fn fields() -> impl Strategy<Value = Map<String, Value>> {
    let text = || prop_oneof!["[a-z]{1,3}", "\\PC{1,5}"].prop_filter("names are not blank", |text| !text.trim().is_empty());
    let scopes = || {
        let some = prop::collection::btree_set("[ab*]", 1..3).prop_map(|set| json!(set));
        prop_oneof![Just(json!(null)), Just(json!([])), some]
    };
    let field = prop_oneof![
        prop::sample::select(vec!["deployment", "incident", "config_change", "scale", "custom"]).prop_map(|kind| ("type", json!(kind))),
        text().prop_map(|name| ("name", json!(name))),
        prop_oneof![Just(json!(null)), text().prop_map(Value::from)].prop_map(|text| ("description", text)),
        prop_oneof![Just(json!(null)), text().prop_map(Value::from)].prop_map(|text| ("source", text)),
        scopes().prop_map(|scopes| ("buckets", scopes)),
        scopes().prop_map(|scopes| ("environments", scopes)),
        (0i64..30).prop_map(|minute| ("startedAt", at(minute))),
        prop_oneof![2 => Just(json!(null)), 3 => (0i64..40).prop_map(at)].prop_map(|end| ("endedAt", end)),
        prop_oneof![Just(json!(null)), prop::collection::btree_map("[a-c]", any::<i32>(), 0..3).prop_map(|map| json!(map))]
            .prop_map(|metadata| ("metadata", metadata)),
        Just(("sid", json!("evt_mine"))),
        Just(("open", json!("perhaps"))),
    ];
    prop::collection::vec(field, 0..6).prop_map(|fields| fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let version = || prop::sample::select(vec![Version::Any, Version::Any, Version::Last, Version::Old]);
    let step = prop_oneof![
        3 => fields().prop_map(|fields| {
            let mut created = Map::from_iter([("type".to_owned(), json!("incident")), ("name".to_owned(), json!("n"))]);
            created.extend(fields);
            Step::Create(created)
        }),
        6 => (any::<usize>(), any::<bool>(), version(), fields()).prop_map(|(n, put, version, fields)| Step::Change(n, put, version, fields)),
        1 => (any::<usize>(), version()).prop_map(|(n, version)| Step::Delete(n, version)),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..20)
}

/// The record with these fields, as the documentation says; `None` where it ends before it starts.
fn with(mut record: Value, fields: &Map<String, Value>, now: &Value) -> Option<Value> {
    for (key, value) in fields {
        match &**key {
            "sid" | "open" => {}
            "buckets" | "environments" if value.is_null() || *value == json!([]) => record[key] = json!(["*"]),
            _ => record[key] = value.clone(),
        }
    }
    let millis = |value: &Value| Timestamp::parse(value.as_str().unwrap()).unwrap().millis();
    let duration = (!record["endedAt"].is_null()).then(|| millis(&record["endedAt"]) - millis(&record["startedAt"]));
    record["durationMs"] = json!(duration);
    record["open"] = json!(record["type"] == "incident" && duration.is_none());
    record["updatedAt"] = now.clone();
    duration.is_none_or(|duration| duration >= 0).then_some(record)
}

struct Run {
    server: Server,
    known: BTreeMap<String, Known>,
    deleted: Vec<String>,
}

impl Run {
    fn now(&self) -> Value {
        self.server.clock.now().to_string().into()
    }

    async fn create(&mut self, fields: &Map<String, Value>) {
        let answer = self.server.ask("POST", PATH, &[], &Value::Object(fields.clone())).await;
        let now = self.now();
        let blank = json!({
            "accountSid": "acme", "description": null, "source": null, "buckets": ["*"], "environments": ["*"], "metadata": null,
            "startedAt": now, "endedAt": null, "createdAt": now,
        });
        let Some(mut record) = with(blank, fields, &now) else { return assert_eq!(answer.status, 400, "{}", answer.text()) };
        record["sid"] = answer.json()["sid"].clone();
        self.took(&answer, 201, record, Vec::new());
    }

    fn took(&mut self, answer: &Answer, status: u16, record: Value, mut versions: Vec<String>) {
        assert_eq!((answer.status, &answer.json()), (status, &record));
        let version = answer.header("etag").to_owned();
        assert!(!versions.contains(&version), "a version comes once");
        versions.push(version);
        self.known.insert(record["sid"].as_str().unwrap().to_owned(), Known { record, versions });
    }

    fn pick(&self, number: usize) -> Option<(String, Known)> {
        let (sid, known) = self.known.iter().nth(number % self.known.len().max(1))?;
        Some((sid.clone(), known.clone()))
    }

    async fn change(&mut self, number: usize, method: &str, version: Version, fields: &Map<String, Value>) {
        let Some((sid, known)) = self.pick(number) else { return };
        let answer = self.send(method, &sid, &known, version, &Value::Object(fields.clone())).await;
        let Some(answer) = answer else { return };
        match with(known.record, fields, &self.now()) {
            Some(record) => self.took(&answer, 200, record, known.versions),
            None => assert_eq!(answer.status, 400, "{}", answer.text()),
        }
    }

    async fn delete(&mut self, number: usize, version: Version) {
        let Some((sid, known)) = self.pick(number) else { return };
        let Some(answer) = self.send("DELETE", &sid, &known, version, &Value::Null).await else { return };
        assert_eq!(answer.status, 204);
        self.known.remove(&sid);
        self.deleted.push(sid);
    }

    /// The answer, unless it is the 412 that it should be.
    async fn send(&self, method: &str, sid: &str, known: &Known, version: Version, body: &Value) -> Option<Answer> {
        let (last, old) = known.versions.split_last().unwrap();
        let if_match = match version {
            Version::Any => None,
            Version::Last => Some(last.clone()),
            Version::Old => Some(if old.is_empty() { "\"0000000000000000\"".to_owned() } else { old.join(",") }),
        };
        let headers: Vec<_> = if_match.iter().map(|value| ("if-match", value.as_str())).collect();
        let answer = self.server.ask(method, &format!("{PATH}/{sid}"), &headers, body).await;
        if version == Version::Old {
            assert_eq!(answer.status, 412, "{}", answer.text());
            return None;
        }
        Some(answer)
    }

    /// Everything that can be asked says what the map says.
    async fn check(&self) {
        for (sid, known) in &self.known {
            let answer = self.server.get(&format!("{PATH}/{sid}")).await;
            assert_eq!((&answer.json(), answer.header("etag")), (&known.record, known.versions.last().unwrap().as_str()));
        }
        for sid in &self.deleted {
            assert_eq!(self.server.get(&format!("{PATH}/{sid}")).await.status, 404);
        }
        for (query, keep) in [
            ("", &(|_: &Value| true) as &dyn Fn(&Value) -> bool),
            ("&type=incident", &|record| record["type"] == "incident"),
            ("&bucket=a", &|record| record["buckets"].as_array().unwrap().iter().any(|one| one == "a" || one == "*")),
        ] {
            assert_eq!(self.listed(query).await, self.expected(keep), "{query}");
        }
    }

    fn expected(&self, keep: &dyn Fn(&Value) -> bool) -> Vec<Value> {
        let mut records: Vec<Value> = self.known.values().map(|known| known.record.clone()).filter(keep).collect();
        let key = |record: &Value, field: &str| record[field].as_str().unwrap().to_owned();
        records.sort_by_key(|record| (std::cmp::Reverse(key(record, "startedAt")), key(record, "sid")));
        records
    }

    async fn listed(&self, query: &str) -> Vec<Value> {
        let mut seen: Vec<Value> = Vec::new();
        loop {
            let after = seen.last().map_or(String::new(), |last| format!("&startingAfter={}", last["sid"].as_str().unwrap()));
            let page = self.server.get(&format!("{PATH}?limit=3{query}{after}")).await.json();
            seen.extend(page["records"].as_array().unwrap_or_else(|| panic!("{page}")).iter().cloned());
            if page["hasMore"] == false {
                return seen;
            }
        }
    }
}

async fn run(steps: Vec<Step>) {
    let mut run = Run { server: Server::new(""), known: BTreeMap::new(), deleted: Vec::new() };
    for step in steps {
        run.server.clock.advance(Duration::from_secs(1));
        match step {
            Step::Create(fields) => run.create(&fields).await,
            Step::Change(number, put, version, fields) => run.change(number, if put { "PUT" } else { "PATCH" }, version, &fields).await,
            Step::Delete(number, version) => run.delete(number, version).await,
            Step::Restart => run.server = run.server.restarted(""),
        }
    }
    run.check().await;
    run.server = run.server.restarted("");
    run.check().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn events_are_what_a_map_says(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps));
    }
}
