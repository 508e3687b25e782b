//! From what a format read of one end of a change to the edge: labels, what it pairs by, its id, and what earlier builds would
//! have made of it.

use std::sync::Arc;

use crate::event::Edge;
use crate::event::EdgeId;
use crate::event::EdgeState;
use crate::event::Former;
use crate::event::Identity;
use crate::event::Otherwise;
use crate::event::Pairs;
use crate::event::Parts;
use crate::event::Reading;
use crate::mapping::Context;
use crate::mapping::FormatError;
use crate::mapping::Parsed;
use crate::mapping::attributes::Flat;
use crate::mapping::identity::Key;
use crate::mapping::json;
use crate::mapping::labels::Incoming;
use crate::mapping::labels::Mapped;
use crate::time::Timestamp;
use crate::words::ends;

/// What a format read of an edge.
#[derive(Debug)]
pub(crate) struct Sent<'a> {
    /// What kind of change; not empty.
    pub event_name: &'a str,
    /// Start or stop; `None` when the sender gave none.
    pub state: Option<EdgeState>,
    /// When it happened.
    pub at: Timestamp,
    /// The sample's value.
    pub value: f64,
    /// The attributes.
    pub attributes: &'a Flat<'a>,
    /// The same as sent: a JSON object.
    pub json: &'a str,
    /// The cluster that was named; empty for the default one.
    pub cluster: &'a str,
}

/// The edge that was sent, and what its sender should know of its labels.
pub(crate) fn edge(sent: &Sent<'_>, context: &Context<'_>) -> Result<Parsed, FormatError> {
    let cluster = context.clusters.resolve(sent.cluster)?;
    let Sent { event_name, state, attributes, .. } = *sent;
    let incoming = Incoming { event_name, state, attributes, cluster_labels: cluster.labels };
    let mapped = context.mapping.map(&incoming)?;
    let by = &mapped.paired.by;
    let Pairs { identity, lapses, supersede } = by.pairs(Parts::identity);
    let state = mapped.paired.state;
    let mut edge = Edge {
        organization: Arc::clone(&context.organization),
        cluster: cluster.name,
        configured: cluster.configured,
        value: sent.value,
        lapses,
        supersede,
        entity: by.entity,
        attributes: (!mapped.verbatim).then(|| json::compact(sent.json)),
        ..Edge::new(state, sent.at, identity, mapped.labels)
    };
    edge.named = mapped.uncut.map(|labels| edge.id_by(&labels));
    let by_own_name = mapped.paired.by_own_name.as_ref().map(|by| by.pairs(Parts::identity));
    let former = if context.earlier.is_some() { former(&incoming, &edge, mapped.paired.by_subject, context) } else { Vec::new() };
    edge.otherwise = (by_own_name.is_some() || !former.is_empty()).then(|| Box::new(Otherwise { by_own_name, former }));
    Ok(Parsed { edge, warnings: mapped.warnings })
}

/// What earlier builds would have made of an edge, and, where it pairs by the subject of its name, of the beginnings of that, each
/// under the name that it had there.
fn former(incoming: &Incoming<'_>, edge: &Edge, by_subject: bool, context: &Context<'_>) -> Vec<Former> {
    let mut former = Vec::new();
    if let Some(mapped) = context.mapping.map_before(incoming) {
        let labels = mapped.uncut.as_deref().unwrap_or_else(|| mapped.labels.encoding());
        let is_same = |by: &Key| by.pairs(Parts::identity).identity == edge.identity;
        let reading = if is_same(&mapped.paired.by) { Reading::Same } else { Reading::Other };
        let named = |by: &Mapped, hash: fn(&Parts) -> Identity, id: fn(&Edge, Identity, &str) -> EdgeId| {
            let pairs = by.paired.by.pairs(hash);
            Former { pairs, id: Some(id(edge, pairs.identity, labels)), reading }
        };
        if context.earlier.edges {
            former.push(named(&mapped, Parts::identity, Edge::id_as));
        }
        if context.earlier.first {
            former.push(named(&mapped, Parts::first_identity, Edge::first_id_as));
        }
    }
    // Whatever pairs by the subject of its name goes on with what began under any name of it.
    let Some((subject, _)) = ends::of(edge.labels.event_name()).filter(|_| by_subject) else { return former };
    for word in ends::BEGINNING {
        let event_name = &*format!("{subject}{word}");
        let Some(mapped) = context.mapping.map_before(&Incoming { event_name, ..*incoming }) else { continue };
        let by = &mapped.paired.by;
        let begun = |pairs| Former { pairs, id: None, reading: Reading::Other };
        former.extend(context.earlier.edges.then(|| begun(by.pairs(Parts::identity))));
        former.extend(context.earlier.first.then(|| begun(by.pairs(Parts::first_identity))));
    }
    former
}
