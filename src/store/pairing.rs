//! What an edge pairs by, where memory knows that better than who sent it: by its own name alone, or as an earlier build had it.

use super::Store;
use super::core::Core;
use super::core::Opening;
use crate::event::Edge;
use crate::event::EdgeId;
use crate::event::EdgeState;
use crate::event::Former;
use crate::event::Identity;
use crate::event::Reading;
use crate::time::Timestamp;
use std::time::Duration;

/// How far the clocks may be apart of those who begin and end what has an id of its own; more where `--pairing.skew` says so.
const ENTITY_SKEW: Duration = Duration::from_mins(5);

impl Store {
    /// What an edge is recorded as, where that is something else than what was sent. `own_name` says that its name was sent as a
    /// start in the same commit.
    ///
    /// What an earlier build would have made of it counts if the log has the same edge, or an event that it goes on with, or closes:
    /// what that build began takes in what belongs to it until it is over. It keeps the id that it has now, unless it is there
    /// under another.
    pub fn recorded(&self, edge: &Edge, id: EdgeId, own_name: bool) -> Option<Edge> {
        let otherwise = edge.otherwise.as_deref()?;
        let tenant = self.tenant(&edge.organization);
        let core = tenant.as_ref().map(|tenant| tenant.core.read());
        let sent = || Edge { named: Some(id), ..edge.clone() };
        if let Some(core) = &core {
            if let Some(known) = core.find_edge(id) {
                let identity = core.identity(known);
                return (identity != edge.identity).then(|| Edge { identity, ..sent() });
            }
            let there = |former: &&Former| former.id.is_some_and(|id| core.find_edge(id).is_some());
            if let Some(former) = otherwise.former.iter().find(there) {
                return Some(Edge { named: former.id, ..edge.clone().pairing_by(former.pairs) });
            }
        }
        let is_odd = |core: &Core| core.odd.has(edge.labels.event_name());
        let by_own_name = otherwise.by_own_name.filter(|_| own_name || core.as_deref().is_some_and(is_odd));
        let mut pairs = by_own_name.unwrap_or_else(|| edge.pairs());
        if let Some(core) = &core {
            let known = |identity: Identity| core.number_of(identity).is_some();
            let former = otherwise.former.iter().find(|former| match former.reading {
                Reading::Same => known(former.pairs.identity) && !known(pairs.identity),
                Reading::Other => core.is_part(&edge.clone().pairing_by(former.pairs), id),
            });
            (pairs.identity, pairs.lapses) = former.map_or((pairs.identity, pairs.lapses), |it| (it.pairs.identity, it.pairs.lapses));
            let has_group = |group: Identity| core.groups.has(group.0);
            if !pairs.supersede.is_some_and(has_group) {
                let mut groups = otherwise.former.iter().filter_map(|former| former.pairs.supersede);
                pairs.supersede = groups.find(|group| has_group(*group)).or(pairs.supersede);
            }
        }
        (pairs != edge.pairs()).then(|| sent().pairing_by(pairs))
    }

    /// How far before its start this stop may be, where that is more than usual: what it names by an id of its own is open, and
    /// began after it by no more than clocks may be apart. Where nothing is open yet, a start that comes later is another one.
    pub fn entity_skew(&self, stop: &Edge) -> Option<Duration> {
        if !stop.entity {
            return None;
        }
        let tenant = self.tenant(&stop.organization)?;
        let core = tenant.core.read();
        let begun = core.open_head(stop.identity).and_then(|head| core.row(head))?;
        (begun.at > stop.at && begun.at <= stop.at.plus(ENTITY_SKEW)).then_some(ENTITY_SKEW)
    }
}

impl Core {
    /// Whether an edge that is not known goes on with an event that is there, or closes it.
    fn is_part(&self, edge: &Edge, id: EdgeId) -> bool {
        match edge.state {
            EdgeState::Start => matches!(self.opening(edge, id, Timestamp::MAX), Opening::Heartbeat | Opening::Closed),
            EdgeState::Stop => {
                let skew = if edge.entity { ENTITY_SKEW.max(self.skews.usual) } else { self.skews.usual };
                let begun = self.open_head(edge.identity).and_then(|head| self.row(head));
                begun.is_some_and(|begun| begun.at <= edge.at.plus(skew))
            }
            EdgeState::Point => false,
        }
    }
}
