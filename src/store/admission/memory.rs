//! Whether there is memory for what is to be admitted: new things go into what is left, stops of what is open into what was kept
//! back for them, and deletions are taken in any case.

use super::Refusal;
use super::pending::Pending;
use crate::account::Account;
use crate::account::STOP_BYTES;
use crate::event::Change;
use crate::event::Edge;
use crate::event::Identity;
use crate::event::Put;
use crate::store::Store;
use crate::store::Tenant;
use std::collections::HashSet;

/// What the sample of an edge takes on a page, with the place that waits for it.
const PLACE_BYTES: usize = 256;
/// By so much the details of an event may grow with its end.
const END_BYTES: usize = 256;

/// What was admitted and not yet applied.
#[derive(Debug, Default)]
pub(super) struct Spent {
    bytes: usize,
    /// Events whose stops were admitted to what was kept back: there is room for one stop each.
    stopped: HashSet<Identity>,
}

impl Spent {
    /// Books an edge that is new, if there is room for it.
    pub(super) fn book_edge(&mut self, account: &Account, edge: &Edge, pending: &Pending) -> Result<(), Refusal> {
        let cost = Store::cost_of(edge) + PLACE_BYTES;
        if self.has_room(account, cost) {
            self.bytes += cost;
            return Ok(());
        }
        let open = pending.tenant.as_ref().filter(|tenant| tenant.closes_open(edge));
        let kept_back = open.map(|tenant| tenant.cost_of(edge) + PLACE_BYTES);
        self.book_stop(account, kept_back, edge.identity)
    }

    /// The same of a change of a whole event.
    pub(super) fn book_change(&mut self, account: &Account, change: &Change, pending: &Pending) -> Result<(), Refusal> {
        let edges = match change {
            Change::Put(put) => put.edges().count(),
            Change::Describe(describe) => usize::from(describe.stop.is_some()),
            Change::Delete(_) => return Ok(()),
        };
        let cost = Store::cost_of_change(change) + edges * PLACE_BYTES;
        if self.has_room(account, cost) {
            self.bytes += cost;
            return Ok(());
        }
        let kept_back = pending.tenant.as_deref().and_then(|tenant| cost_of_end(tenant, change));
        self.book_stop(account, kept_back, Identity::of_id(&change.event_id()))
    }

    /// Books a key of requests, which those that bring stops have too.
    pub(super) fn book_claim(&mut self, account: &Account) -> Result<(), Refusal> {
        let bytes = self.bytes + Store::cost_of_claim();
        if bytes > account.margin() {
            return Err(refuse(account));
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Whether there is room, and some to spare, since a table that grows for one grows for others as well.
    fn has_room(&self, account: &Account, cost: usize) -> bool {
        self.bytes + cost + Store::GROWTH_MAX <= account.room()
    }

    /// Books the end of what is open, where it costs so much, to what was kept back for it, and what it costs beyond that to the
    /// margin, as keys: what was kept back comes free with it.
    fn book_stop(&mut self, account: &Account, cost: Option<usize>, of: Identity) -> Result<(), Refusal> {
        let beyond = cost.filter(|_| !self.stopped.contains(&of)).map(|cost| cost.saturating_sub(STOP_BYTES));
        match beyond {
            Some(beyond) if beyond == 0 || self.bytes + beyond <= account.margin() => {
                self.stopped.insert(of);
                self.bytes += beyond;
                Ok(())
            }
            _ => Err(refuse(account)),
        }
    }
}

/// What a change adds that ends an open event, and says of it hardly more than it did before.
pub(super) fn cost_of_end(tenant: &Tenant, change: &Change) -> Option<usize> {
    let event = tenant.event(&change.event_id()).filter(|event| event.open)?;
    let before = event.details.as_ref().map_or(0, |details| details.text_bytes());
    let (stop, after) = match change {
        Change::Put(put) => {
            let Put { stop, details, .. } = &**put;
            (stop.as_ref()?, details.text_bytes())
        }
        Change::Describe(describe) => (describe.stop.as_ref()?, describe.details.text_bytes()),
        Change::Delete(_) => return None,
    };
    Some(tenant.cost_of(stop) + PLACE_BYTES + after.saturating_sub(before + END_BYTES))
}

fn refuse(account: &Account) -> Refusal {
    account.count_refused_events(1);
    Refusal::of_memory(account.shares().events)
}
