//! Attributes that each name what an event is about, by an id of its own.

/// In the order in which they count: the first that an event has.
pub const ENTITIES: [&str; 3] = ["entity_id", "deployment_id", "spinnaker_execution_id"];
