//! What the records of what is open take in a checkpoint, for when there is hardly room for one.

use super::Store;
use super::Tenant;
use super::core::Core;
use super::number::EdgeNo;

/// A record without its texts, and what a checkpoint has beside it.
const RECORD_BYTES: u64 = 160;
/// A label or a text without what it says.
const TEXT_BYTES: usize = 4;
/// Links, tags and the like of an event, as far as their texts are not counted.
const DETAILS_BYTES: u64 = 1024;

impl Store {
    /// About how many bytes the records take of all events that are open, with their heartbeats; rather more. Looks at each of them.
    pub fn bytes_of_open_records(&self) -> u64 {
        self.tenants().iter().map(|tenant| tenant.bytes_of_open_records()).sum()
    }
}

impl Tenant {
    fn bytes_of_open_records(&self) -> u64 {
        let core = self.core.read();
        let of_event = |head: EdgeNo| {
            let details = core.details(head).map_or(0, |detailed| DETAILS_BYTES + detailed.details.text_bytes() as u64);
            let identity = core.row(head).and_then(|row| core.identities.get(row.identity));
            let edges = identity.into_iter().flat_map(|identity| identity.members.iter());
            details + edges.map(|edge| self.bytes_of_record(&core, edge)).sum::<u64>()
        };
        core.open.heads().map(of_event).sum()
    }

    fn bytes_of_record(&self, core: &Core, edge: EdgeNo) -> u64 {
        let mut texts = core.attributes(edge).map_or(0, str::len) + self.organization().len();
        if let Some(series) = core.row(edge).and_then(|row| core.series.get(row.series)) {
            self.index.texts(&series.labels, |name, value| texts += name.len() + value.len() + TEXT_BYTES);
        }
        RECORD_BYTES + texts as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Command;
    use crate::event::Edge;
    use crate::event::EdgeState;
    use crate::event::Identity;
    use crate::event::record::Record as _;
    use crate::labels::LabelSet;
    use crate::store::Options;
    use crate::time::Timestamp;

    #[test]
    fn records_of_what_is_open_take_no_more_than_it_says_and_not_much_less() {
        let store = Store::new(Options::default());
        let at = Timestamp::from_millis(1_700_000_000_000);
        let mut open = 0;
        for number in 0..50_usize {
            let (entity, text) = (number.to_string(), "x".repeat(number * 97 + 1));
            let labels = LabelSet::from_sorted([("entity_id", &*entity), ("event_name", "job"), ("note", &text)]).unwrap();
            let start =
                Edge { attributes: Some(text.as_str().into()), ..Edge::new(EdgeState::Start, at, Identity::of([&*entity]), labels) };
            store.apply(at, &Command::Edge(start.clone()));
            if number.is_multiple_of(3) {
                store.apply(at, &Command::Edge(Edge { state: EdgeState::Stop, ..start }));
            } else {
                let mut record = Vec::new();
                start.encode(&mut record);
                open += record.len() as u64;
            }
        }
        let said = store.bytes_of_open_records();
        assert!((open..open + open / 4 + 50 * RECORD_BYTES).contains(&said), "{said} for {open}");
    }
}
