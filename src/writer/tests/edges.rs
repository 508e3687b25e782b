//! Edges as the mapping makes them: points pair with nothing else, and only starts carry the group that they supersede in.

use super::*;

fn edge<const N: usize>(state: EdgeState, at: Timestamp, identity: Identity, labels: [(&str, &str); N]) -> Edge {
    Edge { organization: "acme".into(), ..Edge::new(state, at, identity, LabelSet::from_sorted(labels).unwrap()) }
}

fn space(state: EdgeState) -> &'static str {
    if state == EdgeState::Point { "point" } else { "span" }
}

/// By its entity (rule 3).
pub(super) fn job(state: EdgeState, at: Timestamp, entity: &str) -> Edge {
    let identity = Identity::of(["entity", space(state), "job", "entity_id", entity]);
    edge(state, at, identity, [("entity_id", entity), ("event_name", "job")])
}

/// By its attributes (rule 4).
pub(super) fn cron(state: EdgeState, at: Timestamp, host: &str) -> Edge {
    let identity = Identity::of(["attributes", space(state), "cron", "host", host]);
    let edge = edge(state, at, identity, [("event_name", "cron"), ("host", host)]);
    Edge { lapses: state != EdgeState::Point, ..edge }
}

/// By a rule of the configuration (rule 2), which says that a version supersedes the others of its service.
pub(super) fn deploy(state: EdgeState, at: Timestamp, service: &str, version: &str) -> Edge {
    let identity = Identity::of(["pairing", space(state), "deploy", "deploy", "service", service, "version", version]);
    let edge = edge(state, at, identity, [("event_name", "deploy"), ("service", service), ("version", version)]);
    let group = Identity::of(["supersede", "span", "deploy", "deploy", "service", service]);
    Edge { supersede: (state == EdgeState::Start).then_some(group), ..edge }
}

/// With so much text that it fills most of a segment.
pub(super) fn long(edge: Edge) -> Edge {
    Edge { attributes: Some(format!("{{\"long\":\"{}\"}}", "x".repeat(14_000)).into()), ..edge }
}

/// The deletion of an event that came as edges.
pub(super) fn deletion(edge: &Edge) -> Command {
    Command::Change(Change::Delete(Delete { organization: Arc::clone(&edge.organization), id: edge.id().to_string().into(), span: None }))
}
