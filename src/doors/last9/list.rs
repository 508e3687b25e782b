//! `GET` of change events: newest first, with their edges, labels, and attributes as sent.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde::Serializer;
use serde::ser::SerializeMap as _;
use serde_json::value::RawValue;

use crate::event::Details;
use crate::http::app::App;
use crate::http::error::ApiError;
use crate::http::error::held_json_response;
use crate::http::parameters::Parameters;
use crate::http::parameters::moment;
use crate::http::route::Call;
use crate::labels::EVENT_NAME;
use crate::labels::LabelSet;
use crate::shown::shown;
use crate::store::Cursor;
use crate::store::EdgeView;
use crate::store::EventView;
use crate::store::Phase;
use crate::store::Phases;
use crate::store::Query;
use crate::store::Selected;
use crate::store::selector::Patterns;
use crate::time::Timestamp;
use crate::time::iso8601::TimeError;
use crate::time::iso8601::looks_like_a_date;

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1000;
/// How to ask what takes fewer steps.
const LESS: &str = "ask for a shorter time with start and end, or by a selector of a label with fewer values";

/// Answers the events that the parameters select.
pub(crate) async fn list(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    app.writer()?;
    let tenant = app.store.tenant(&call.grant()?.organization);
    let now = app.clock.now();
    let asked = Arc::clone(&app);
    let body = app.query(call.asker(), move |effort| {
        // A selector may have expressions, and these take their time.
        let query = query(call.parts.uri.query(), &asked.patterns, now).inspect_err(|error| asked.note_price(error))?;
        let selected = tenant.map(|tenant| tenant.ask(&query, effort)).transpose().map_err(|error| asked.too_much(error, LESS))?;
        serde_json::to_vec(&Answer::of(&selected.unwrap_or_default(), now)).map_err(|_| ApiError::internal())
    });
    let (text, room) = body.await?;
    Ok(held_json_response(StatusCode::OK, text?, room))
}

/// Why the value of a parameter means nothing; its name comes before this.
#[derive(Debug, thiserror::Error)]
enum ValueError {
    #[error("`{}` is none of `open`, `closed` and `planned`", shown(.0))]
    State(Box<str>),
    #[error("`{}` is not a whole number from 1 to {LIMIT_MAX}", shown(.0))]
    Limit(Box<str>),
}

fn query(text: Option<&str>, patterns: &Patterns, now: Timestamp) -> Result<Query, ApiError> {
    let parameters = Parameters::parse(text, &["match[]", "search", "start", "end", "state", "limit", "cursor"])?;
    Ok(Query {
        selectors: parameters.selectors(patterns)?,
        start: parameters.parsed("start", |text| moment(text, iso8601_or_seconds))?,
        end: parameters.parsed("end", |text| moment(text, iso8601_or_seconds))?,
        text: parameters.single("search")?.filter(|text| !text.is_empty()).map(Into::into),
        phases: parameters.parsed("state", |state| phase(state).map(|phase| Phases::only(phase, now)))?,
        limit: parameters.parsed("limit", limit)?.unwrap_or(LIMIT_DEFAULT),
        after: parameters.parsed("cursor", str::parse::<Cursor>)?,
        ..Query::default()
    })
}

/// What `state` asks for.
fn phase(state: &str) -> Result<Phase, ValueError> {
    match state {
        "open" => Ok(Phase::Open),
        "closed" => Ok(Phase::Over),
        "planned" => Ok(Phase::Planned),
        _ => Err(ValueError::State(state.into())),
    }
}

fn limit(text: &str) -> Result<usize, ValueError> {
    text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit)).ok_or_else(|| ValueError::Limit(text.into()))
}

/// ISO 8601, or Unix seconds as Prometheus' own API takes them.
fn iso8601_or_seconds(text: &str) -> Result<Timestamp, TimeError> {
    #[expect(clippy::cast_possible_truncation, reason = "bounded by the filter")]
    let seconds = text
        .parse::<f64>()
        .ok()
        .filter(|seconds| seconds.abs() < 1e15)
        .map(|seconds| Timestamp::from_millis((seconds * 1000.0).round() as i64));
    match seconds {
        Some(at) if !looks_like_a_date(text) => Ok(at),
        _ => Timestamp::parse(text),
    }
}

#[derive(Serialize)]
struct Answer<'a> {
    events: Vec<ListedEvent<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Serialize)]
struct ListedEvent<'a> {
    id: &'a str,
    #[serde(rename = "event_name")]
    name: &'a str,
    state: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    data_source_name: &'a str,
    start: Option<ListedEdge<'a>>,
    stop: Option<ListedEdge<'a>>,
    heartbeats: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_heartbeat: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    superseded_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Said<'a>>,
}

/// The details that there are.
struct Said<'a>(&'a Details);

impl Serialize for Said<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Details { name, description, source, parent_id, source_id, links, tags, buckets, environments, metadata, extensions: _ } =
            self.0;
        let mut map = serializer.serialize_map(None)?;
        let texts = [("name", name), ("description", description), ("source", source), ("parent_id", parent_id), ("source_id", source_id)];
        for (key, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
            map.serialize_entry(key, text)?;
        }
        for (key, list) in [("buckets", buckets), ("environments", environments)].into_iter().filter(|(_, list)| !list.is_empty()) {
            map.serialize_entry(key, list)?;
        }
        if !links.is_empty() {
            map.serialize_entry("links", &Pairs(links))?;
        }
        if !tags.is_empty() {
            map.serialize_entry("tags", &Pairs(tags))?;
        }
        if let Ok(metadata) = serde_json::from_str::<&RawValue>(metadata) {
            map.serialize_entry("metadata", metadata)?;
        }
        map.end()
    }
}

struct Pairs<'a, T>(&'a [(Box<str>, T)]);

impl<T: Serialize> Serialize for Pairs<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

#[derive(Serialize)]
struct ListedEdge<'a> {
    id: String,
    timestamp: String,
    received: String,
    value: f64,
    labels: ListedLabels<'a>,
    attributes: ListedAttributes<'a>,
}

impl<'a> Answer<'a> {
    fn of(selected: &'a Selected, now: Timestamp) -> Self {
        let events = selected.events.iter().map(|event| ListedEvent::of(event, now)).collect();
        Self { events, next_cursor: selected.next.as_ref().map(ToString::to_string) }
    }
}

impl<'a> ListedEvent<'a> {
    fn of(event: &'a EventView, now: Timestamp) -> Self {
        let end = event.ended().unwrap_or(now);
        let began = event.start.as_ref().filter(|_| !event.point);
        Self {
            id: &event.id,
            name: event.event_name(),
            state: match event.phase(now) {
                _ if event.point => "point",
                Phase::Planned => "planned",
                Phase::Open => "open",
                Phase::Over => "closed",
            },
            data_source_name: &event.cluster,
            start: event.start.as_ref().map(ListedEdge::of),
            stop: event.stop.as_ref().map(ListedEdge::of),
            heartbeats: event.heartbeats,
            last_heartbeat: event.last_heartbeat.map(|at| at.to_string()),
            superseded_at: event.superseded_at.map(|at| at.to_string()),
            duration_seconds: began.map(|start| end.since(start.at).as_secs_f64()),
            details: event.details.as_deref().map(Said),
        }
    }
}

impl<'a> ListedEdge<'a> {
    fn of(edge: &'a EdgeView) -> Self {
        Self {
            id: edge.id.to_string(),
            timestamp: edge.at.to_string(),
            received: edge.received.to_string(),
            value: edge.value,
            labels: ListedLabels(&edge.labels),
            attributes: ListedAttributes(edge),
        }
    }
}

struct ListedLabels<'a>(&'a LabelSet);

impl Serialize for ListedLabels<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0)
    }
}

/// The attributes as sent: kept as JSON, or to be read off the labels.
struct ListedAttributes<'a>(&'a EdgeView);

impl Serialize for ListedAttributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let sent = self.0.attributes.as_deref().and_then(|json| serde_json::from_str::<&RawValue>(json).ok());
        if let Some(sent) = sent {
            return sent.serialize(serializer);
        }
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.0.labels.iter().filter(|(name, _)| *name != EVENT_NAME) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, millis: Option<i64>) {
        assert_eq!(moment(text, iso8601_or_seconds).ok(), millis.map(Timestamp::from_millis), "{text}");
    }

    #[test]
    fn moments_are_dates_or_unix_seconds() {
        check("2026-02-20T10:00:00Z", Some(1_771_581_600_000));
        check("20260220T100000Z", Some(1_771_581_600_000));
        // As an unescaped `+` arrives.
        check("2026-02-20T11:00:00 01:00", Some(1_771_581_600_000));
        check("1771581600", Some(1_771_581_600_000));
        check("1771581600.25", Some(1_771_581_600_250));
        check("0", Some(0));
        check("-1.5", Some(-1500));
        check("20260220", Some(1_771_545_600_000));
        check("NaN", None);
        check("1e300", None);
        check("yesterday", None);
        check("", None);
    }

    #[test]
    fn wrong_parameters_are_named() {
        #[track_caller]
        fn check(text: &str, message: &str) {
            let error = query(Some(text), &Patterns::default(), Timestamp::default()).unwrap_err();
            assert_eq!(error.status, 400);
            assert!(error.message.contains(message), "{}", error.message);
        }
        check("limit=0", "limit: `0` is not a whole number from 1 to 1000");
        check("limit=1001", "limit: `1001`");
        check("limit=ten", "limit: `ten`");
        check("state=ajar", "state: `ajar` is none of `open`, `closed` and `planned`");
        check("start=tomorrow", "start: ");
        check("cursor=zzz", "cursor: not a cursor");
        check("since=5", "unknown parameter `since`");
        check("match[]={a=~\"(\"}", "match[]: ");
    }
}
