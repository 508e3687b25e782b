//! The JSON of the API as the client sends and reads it. Serde stays in this file.

use std::fmt;

use chrono::DateTime;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Map;
use serde_json::Number;
use serde_json::Value;

use super::shown::shown;
use crate::shown::cut;
use crate::time::Timestamp;

/// Which end of a change an edge is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum State {
    Start,
    Stop,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One edge, as it is sent.
#[derive(Clone, Debug)]
pub struct NewEdge {
    pub event_name: String,
    /// None: a point in time.
    pub state: Option<State>,
    /// ISO 8601, any form the server reads.
    pub timestamp: String,
    pub attributes: Map<String, Value>,
    pub data_source_name: Option<String>,
    pub value: Option<Number>,
}

impl NewEdge {
    pub(super) fn to_json(&self) -> String {
        let wire = PutBody {
            event_name: &self.event_name,
            event_state: self.state.map(State::name),
            timestamp: &self.timestamp,
            attributes: &self.attributes,
            data_source_name: self.data_source_name.as_deref(),
            value: self.value.as_ref(),
        };
        serde_json::to_string(&wire).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct PutBody<'a> {
    event_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_state: Option<&'static str>,
    timestamp: &'a str,
    #[serde(skip_serializing_if = "Map::is_empty")]
    attributes: &'a Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_source_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a Number>,
}

/// What the server says when it took an edge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Accepted {
    /// The edge's id; absent from servers that give none.
    #[serde(default)]
    pub id: Option<String>,
    #[serde(default)]
    pub timestamp: Option<String>,
    #[serde(default)]
    pub warnings: Vec<String>,
}

impl Accepted {
    pub(super) fn parse(text: &str) -> Result<Self, AnswerError> {
        serde_json::from_str(text).map_err(|error| AnswerError::new(text, error))
    }
}

/// One page of a list.
#[derive(Clone, Debug)]
pub struct ListPage {
    pub events: Vec<ListedEvent>,
    /// Asks for the next page; none after the last one.
    pub next_cursor: Option<String>,
    pub warnings: Vec<String>,
}

impl ListPage {
    pub(super) fn parse(text: &str) -> Result<Self, AnswerError> {
        let wire: PageBody = serde_json::from_str(text).map_err(|error| AnswerError::new(text, error))?;
        let events = wire.events.into_iter().map(ListedEvent::parse).collect::<Result<_, _>>()?;
        Ok(Self { events, next_cursor: wire.next_cursor, warnings: wire.warnings })
    }
}

#[derive(Deserialize)]
struct PageBody {
    events: Vec<Value>,
    #[serde(default)]
    next_cursor: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
}

/// An event of a list, with its edges.
#[derive(Clone, Debug)]
pub struct ListedEvent {
    /// The whole of it as the server wrote it.
    pub raw: Value,
    pub id: String,
    pub event_name: String,
    pub start: Option<ListedEdge>,
    pub last_heartbeat: Option<Timestamp>,
    pub data_source_name: Option<String>,
}

/// One end of a listed event.
#[derive(Clone, Debug, Deserialize)]
pub struct ListedEdge {
    pub id: String,
    /// `2026-02-20T10:00:00.000Z`.
    pub timestamp: String,
    #[serde(default)]
    pub labels: Map<String, Value>,
    /// As they were sent; absent where the event did not come in as attributes.
    #[serde(default)]
    pub attributes: Option<Map<String, Value>>,
}

impl ListedEdge {
    /// When it happened.
    pub fn at(&self) -> Option<Timestamp> {
        moment(&self.timestamp)
    }
}

#[derive(Deserialize)]
struct EventBody {
    id: String,
    event_name: String,
    #[serde(default)]
    start: Option<ListedEdge>,
    #[serde(default)]
    last_heartbeat: Option<String>,
    #[serde(default)]
    data_source_name: Option<String>,
}

impl ListedEvent {
    fn parse(raw: Value) -> Result<Self, AnswerError> {
        let wire = EventBody::deserialize(&raw).map_err(|error| AnswerError::new(&raw.to_string(), error))?;
        Ok(Self {
            raw,
            id: wire.id,
            event_name: wire.event_name,
            start: wire.start,
            last_heartbeat: wire.last_heartbeat.as_deref().and_then(moment),
            data_source_name: wire.data_source_name,
        })
    }
}

fn moment(text: &str) -> Option<Timestamp> {
    let moment = DateTime::parse_from_rfc3339(text).ok()?;
    Some(Timestamp::from_millis(moment.timestamp_millis()))
}

/// The message in the body of an error answer: `error`, else `message`, else the text itself.
pub(super) fn error_message(text: &str) -> String {
    let parsed: Option<Value> = serde_json::from_str(text).ok();
    let field = |name: &str| parsed.as_ref()?.get(name)?.as_str().map(str::to_owned);
    let message = field("error").or_else(|| field("message")).unwrap_or_else(|| text.trim().to_owned());
    if message.is_empty() { "no reason given".to_owned() } else { shown(&message).into_owned() }
}

/// An answer that does not have the form that it should have.
#[derive(Debug, thiserror::Error)]
#[error("{error} in \"{beginning}\"")]
pub struct AnswerError {
    error: serde_json::Error,
    beginning: String,
}

impl AnswerError {
    fn new(text: &str, error: serde_json::Error) -> Self {
        Self { error, beginning: cut(&shown(text)).into() }
    }
}
