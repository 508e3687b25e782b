//! How an event of any front door looks as an event of `ApiTraffic`.
//!
//! What came by another door says in `metadata` what has no field here: attributes, tags, links, and of which it is a part.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use serde::Serializer;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::doors::apitraffic::wire::ALL;
use crate::doors::apitraffic::wire::Type;
use crate::event::Details;
use crate::labels::EVENT_NAME;
use crate::store::EdgeView;
use crate::store::EventView;
use crate::store::Phase;
use crate::time::Timestamp;

/// Names that a bucket has on events of other doors, the first one counts; the same for environments.
const BUCKET: &[&str] = &["bucket"];
const ENVIRONMENT: &[&str] = &["deployment_environment", "environment", "env"];
/// Labels of several values, which were joined with commas.
const SEPARATED: [&str; 4] = ["bucket", "deployment_environment", "environment", "env"];

/// An event as it is answered.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventRecord<'a> {
    pub(super) sid: &'a str,
    pub(super) account_sid: &'a str,
    #[serde(rename = "type", serialize_with = "type_name")]
    pub(super) kind: Type,
    pub(super) name: Cow<'a, str>,
    pub(super) description: Option<Cow<'a, str>>,
    pub(super) source: Option<Cow<'a, str>>,
    pub(super) buckets: Vec<Cow<'a, str>>,
    pub(super) environments: Vec<Cow<'a, str>>,
    pub(super) metadata: Option<Box<RawValue>>,
    #[serde(serialize_with = "moment")]
    pub(super) started_at: Timestamp,
    #[serde(serialize_with = "perhaps_moment")]
    pub(super) ended_at: Option<Timestamp>,
    open: bool,
    duration_ms: Option<i64>,
    #[serde(serialize_with = "moment")]
    created_at: Timestamp,
    #[serde(serialize_with = "moment")]
    updated_at: Timestamp,
}

impl<'a> EventRecord<'a> {
    /// As it is at `now`.
    pub(super) fn of(event: &'a EventView, account: &'a str, now: Timestamp) -> Self {
        let ended_at = event.ended().filter(|_| !event.point);
        let started_at = event.began();
        Self {
            sid: &event.id,
            account_sid: account,
            kind: kind(event),
            name: text(event, "name", |details| &details.name).unwrap_or_else(|| event.event_name().into()),
            description: text(event, "description", |details| &details.description),
            source: source(event),
            buckets: buckets(event),
            environments: environments(event),
            metadata: metadata(event),
            started_at,
            ended_at,
            open: event.phase(now) == Phase::Open,
            duration_ms: ended_at.map(|end| end.millis().saturating_sub(started_at.millis())),
            created_at: event.created,
            updated_at: event.updated,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn type_name<S: Serializer>(kind: &Type, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.name())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn moment<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

#[expect(clippy::ref_option, reason = "serde's signature")]
fn perhaps_moment<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => serializer.collect_str(at),
        None => serializer.serialize_none(),
    }
}

/// The name of the event where that is a type; any other is custom.
pub(super) fn kind(event: &EventView) -> Type {
    Type::parse(event.event_name()).unwrap_or(Type::Custom)
}

pub(super) fn source(event: &EventView) -> Option<Cow<'_, str>> {
    text(event, "source", |details| &details.source)
}

pub(super) fn buckets(event: &EventView) -> Vec<Cow<'_, str>> {
    scope(event, BUCKET, |details| &details.buckets)
}

pub(super) fn environments(event: &EventView) -> Vec<Cow<'_, str>> {
    scope(event, ENVIRONMENT, |details| &details.environments)
}

/// Whether the event, without buckets of its own, still names some.
pub(super) fn has_bucket_elsewhere(event: &EventView) -> bool {
    elsewhere(event, BUCKET).is_some()
}

/// Whether the event, without environments of its own, still names some.
pub(super) fn has_environment_elsewhere(event: &EventView) -> bool {
    elsewhere(event, ENVIRONMENT).is_some()
}

fn text<'a>(event: &'a EventView, key: &'static str, of: fn(&Details) -> &str) -> Option<Cow<'a, str>> {
    let own = event.details.as_deref().map(of).filter(|text| !text.is_empty()).map(Cow::Borrowed);
    own.or_else(|| elsewhere(event, &[key])?.into_iter().next())
}

fn scope<'a>(event: &'a EventView, names: &[&'static str], of: fn(&Details) -> &Vec<Box<str>>) -> Vec<Cow<'a, str>> {
    let own = event.details.as_deref().map(of).filter(|scopes| !scopes.is_empty());
    let own = own.map(|scopes| scopes.iter().map(|scope| Cow::Borrowed(&**scope)).collect());
    own.or_else(|| elsewhere(event, names)).unwrap_or_else(|| vec![Cow::Borrowed(ALL)])
}

/// What another door calls by the first of these names that it has: a tag, or for what came as edges a label. Never empty.
fn elsewhere<'a>(event: &'a EventView, names: &[&'static str]) -> Option<Vec<Cow<'a, str>>> {
    names.iter().find_map(|name| {
        let values: Vec<Cow<'_, str>> = if event.own_id {
            event.details.as_deref()?.tag(name).iter().map(|value| Cow::Borrowed(&**value)).collect()
        } else if !SEPARATED.contains(name) {
            vec![event.label(name)?.into()]
        } else {
            event.label(name)?.split(',').filter(|part| !part.is_empty()).map(Cow::Borrowed).collect()
        };
        (!values.is_empty()).then_some(values)
    })
}

/// Its own metadata, and what has no field here.
fn metadata(event: &EventView) -> Option<Box<RawValue>> {
    let own = event.details.as_deref().map_or("", |details| &details.metadata);
    let mut members = beside(event);
    if members.is_empty() {
        return RawValue::from_string(own.to_owned()).ok();
    }
    let own: BTreeMap<String, Box<RawValue>> = serde_json::from_str(own).unwrap_or_default();
    members.extend(own);
    serde_json::value::to_raw_value(&members).ok()
}

/// What the event has beside its own metadata and has no field here, as JSON by name. Nothing for what this door created.
pub(super) fn beside(event: &EventView) -> BTreeMap<String, Box<RawValue>> {
    let mut members = BTreeMap::new();
    if !event.own_id {
        for edge in [&event.stop, &event.start].into_iter().flatten() {
            members.extend(attributes(edge));
        }
    }
    if let Some(details) = event.details.as_deref() {
        add_details(event, details, &mut members);
    }
    let details = event.details.as_deref();
    let shown: [(&[&'static str], bool); 5] = [
        (&["name"], details.is_none_or(|details| details.name.is_empty())),
        (&["description"], details.is_none_or(|details| details.description.is_empty())),
        (&["source"], details.is_none_or(|details| details.source.is_empty())),
        (BUCKET, details.is_none_or(|details| details.buckets.is_empty())),
        (ENVIRONMENT, details.is_none_or(|details| details.environments.is_empty())),
    ];
    for (names, _) in shown.into_iter().filter(|(_, is_shown)| *is_shown) {
        let Some(values) = elsewhere(event, names) else { continue };
        for &name in names.iter().filter(|name| elsewhere(event, &[**name]).as_ref() == Some(&values)) {
            members.remove(name);
        }
    }
    if event.event_name() != kind(event).name() {
        insert(&mut members, EVENT_NAME, &Value::from(event.event_name()));
    }
    members
}

fn add_details(event: &EventView, details: &Details, members: &mut BTreeMap<String, Box<RawValue>>) {
    for (key, values) in &details.tags {
        match &values[..] {
            [one] if **key == *"type" && **one == *event.event_name() => {}
            [one] => insert(members, key, &Value::from(&**one)),
            many => insert(members, key, &many.iter().map(|value| Value::from(&**value)).collect()),
        }
    }
    if !details.links.is_empty() {
        let links = details.links.iter().map(|(title, url)| (title.to_string(), Value::from(&**url)));
        insert(members, "links", &Value::Object(links.collect()));
    }
    for (key, id) in [("parent_id", &details.parent_id), ("source_id", &details.source_id)] {
        if !id.is_empty() {
            insert(members, key, &Value::from(&**id));
        }
    }
}

fn insert(members: &mut BTreeMap<String, Box<RawValue>>, key: &str, value: &Value) {
    if let Ok(value) = serde_json::value::to_raw_value(value) {
        members.insert(key.to_owned(), value);
    }
}

/// The attributes as sent; they are the labels where nothing else was kept.
fn attributes(edge: &EdgeView) -> BTreeMap<String, Box<RawValue>> {
    if let Some(sent) = edge.attributes.as_deref() {
        return serde_json::from_str(sent).unwrap_or_default();
    }
    let mut members = BTreeMap::new();
    for (name, value) in edge.labels.iter().filter(|(name, _)| *name != EVENT_NAME) {
        insert(&mut members, name, &Value::from(value));
    }
    members
}
