//! Whole events: from what a front door means by one to its record. Details become labels here, for every door alike.

use crate::event::Details;
use crate::event::Edge;
use crate::event::EdgeState;
use crate::event::Former;
use crate::event::Identity;
use crate::event::Otherwise;
use crate::event::Pairs;
use crate::event::Put;
use crate::event::Reading;
use crate::mapping::Context;
use crate::mapping::FormatError;
use crate::mapping::Warning;
use crate::mapping::attributes;
use crate::mapping::labels::Incoming;
use crate::time::Timestamp;
use serde_json::Map;
use serde_json::Value;
use std::sync::Arc;

/// An event, as a front door reads and writes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Whole {
    /// Chosen by the sender, or made by the door.
    pub id: Box<str>,
    /// What kind of change; becomes the label.
    pub event_name: Box<str>,
    /// When it began.
    pub at: Timestamp,
    /// When it ended.
    pub end: End,
    /// The rest.
    pub details: Details,
    /// The cluster it belongs to; empty for the default one.
    pub cluster: Box<str>,
}

/// When an event ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It has no duration.
    Point,
    /// It has not.
    Open,
    /// Then; not before it began.
    At(Timestamp),
}

impl Whole {
    /// The record that makes it so. `created` is when it was first put, if it was.
    pub fn put(&self, created: Option<Timestamp>, context: &Context<'_>) -> Result<(Put, Vec<Warning>), FormatError> {
        let cluster = context.clusters.resolve(&self.cluster)?;
        let attributes = Value::Object(attributes_of(&self.details)).to_string();
        let flat = attributes::flatten(&attributes)?;
        let incoming =
            Incoming { event_name: &self.event_name, state: Some(EdgeState::Start), attributes: &flat, cluster_labels: cluster.labels };
        let mapped = context.mapping.map(&incoming)?;
        let state = if self.end == End::Point { EdgeState::Point } else { EdgeState::Start };
        let mut start = Edge {
            organization: Arc::clone(&context.organization),
            cluster: cluster.name,
            configured: cluster.configured,
            attributes: (!mapped.verbatim).then(|| attributes.into()),
            ..Edge::new(state, self.at, Identity::of_id(&self.id), mapped.labels)
        };
        let mut stop = match self.end {
            End::At(at) => Some(Edge { state: EdgeState::Stop, at, ..start.clone() }),
            End::Point | End::Open => None,
        };
        for edge in std::iter::once(&mut start).chain(&mut stop) {
            edge.named = mapped.uncut.as_ref().map(|labels| edge.id_by(labels));
            let pairs = Pairs { identity: Identity::first_of_id(&self.id), lapses: false, supersede: None };
            let id = Some(edge.first_id_as(pairs.identity, edge.labels.encoding()));
            let former = vec![Former { pairs, id, reading: Reading::Same }];
            edge.otherwise = Some(Box::new(Otherwise { by_own_name: None, former }));
        }
        let put = Put { id: self.id.clone(), created, number: None, start, stop, details: self.details.clone() };
        let mut warnings = mapped.warnings;
        warnings.extend(put.edges().find_map(|edge| Warning::of_time("time", edge.at)));
        Ok((put, warnings))
    }
}

/// The attributes that become labels: names of scopes, and tags. `*` is no scope, and a further `type` stays beside the event's
/// name.
fn attributes_of(details: &Details) -> Map<String, Value> {
    let mut attributes = Map::new();
    let list = |values: &[Box<str>]| values.iter().map(|value| Value::from(&**value)).collect::<Vec<_>>();
    for (key, values) in &details.tags {
        let values = if **key == *"type" { values.get(1..).unwrap_or_default() } else { values };
        if !values.is_empty() {
            attributes.insert(key.to_string(), list(values).into());
        }
    }
    for (key, text) in [("name", &details.name), ("source", &details.source)] {
        if !text.is_empty() {
            attributes.insert(key.to_owned(), Value::from(&**text));
        }
    }
    for (key, values) in [("bucket", &details.buckets), ("deployment_environment", &details.environments)] {
        if !values.is_empty() && !values.iter().any(|value| **value == *"*") {
            attributes.insert(key.to_owned(), list(values).into());
        }
    }
    attributes
}

#[cfg(test)]
mod tests;
