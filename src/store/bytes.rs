//! What the store takes of memory, for the account of it: what a command may add, and what a tenant takes now. Of what there
//! are very many, and whose sizes nobody keeps, it is what they take on the average.

use super::Store;
use super::Tenant;
use super::core::Core;
use super::index::LabelRef;
use super::sizes::allocated;
use super::sizes::of_details;
use crate::event::Change;
use crate::event::Details;
use crate::event::Edge;
use crate::event::Put;
use std::sync::atomic::Ordering;

/// A tenant that has nothing.
const TENANT: usize = 4096;
/// An edge, with its identity, its series and an open event, in all tables; without texts. Tables are as empty as they get.
const EDGE: usize = 648;
/// A label of a series, with a value that no other has, in all tables; without the text.
const LABEL: usize = 128;
/// The details of an event, without what they say, and a tag of theirs.
const DETAILS: usize = 1536;
const TAG: usize = 128;
/// A claim.
const CLAIM: usize = 192;

impl Store {
    /// So much more than its cost a command may add, where tables grow for it that grow for others as well.
    pub const GROWTH_MAX: usize = 1 << 18;

    /// What an edge adds to that at most, if all its texts are new: many edges together, and one but for [`Store::GROWTH_MAX`].
    pub fn cost_of(edge: &Edge) -> usize {
        let labels = edge.labels.iter().map(|(_, value)| LABEL + allocated(value.len())).sum::<usize>();
        let attributes = edge.attributes.as_ref().map_or(0, |attributes| 64 + allocated(attributes.len()));
        EDGE + labels + attributes
    }

    /// The same of a change of a whole event. A deletion adds nothing to speak of.
    pub fn cost_of_change(change: &Change) -> usize {
        let details = |details: &Details| DETAILS + of_details(details) + (details.all_tags().count() + details.all_keys().count()) * TAG;
        match change {
            Change::Put(put) => {
                let Put { id, details: said, .. } = &**put;
                put.edges().map(Self::cost_of).sum::<usize>() + details(said) + 3 * allocated(id.len())
            }
            Change::Describe(describe) => describe.stop.as_ref().map_or(0, Self::cost_of) + details(&describe.details),
            Change::Delete(_) => EDGE,
        }
    }

    /// The same of a claim.
    pub const fn cost_of_claim() -> usize {
        CLAIM
    }
}

impl Tenant {
    /// As [`Store::cost_of`], where texts that are known cost nothing.
    pub fn cost_of(&self, edge: &Edge) -> usize {
        let is_known = |(name, value): &(&str, &str)| self.index.name(name).is_some_and(|label| label.has(value));
        let known = edge.labels.iter().filter(is_known).map(|(_, value)| LABEL - size_of::<LabelRef>() + allocated(value.len()));
        Store::cost_of(edge) - known.sum::<usize>()
    }

    /// Says what this tenant takes now: an estimate within some percent.
    pub(super) fn report(&self, core: &Core) {
        let now = TENANT + core.bytes() + self.index.bytes() + self.claims.lock().bytes();
        // What the allocator takes for itself, and has in pages that are not full.
        let now = now + now / 20;
        self.account.keep(self.reported.swap(now, Ordering::Relaxed), now);
        let open = core.open.len();
        self.account.keep_open(self.reported_open.swap(open, Ordering::Relaxed), open);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Claim;
    use crate::event::Command;
    use crate::event::Delete;
    use crate::event::Describe;
    use crate::event::EdgeState;
    use crate::event::Identity;
    use crate::labels::LabelSet;
    use crate::store::Options;
    use crate::time::Timestamp;

    const COUNT: i64 = 3000;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn edge(state: EdgeState, at_millis: i64, entity: i64) -> Edge {
        let entity = format!("entity {entity}");
        let labels = LabelSet::from_sorted([("entity_id", &*entity), ("event_name", "job")]).unwrap();
        Edge { organization: "acme".into(), ..Edge::new(state, at(at_millis), Identity::of([&*entity]), labels) }
    }

    fn cost(command: &Command) -> usize {
        match command {
            Command::Edge(edge) => Store::cost_of(edge),
            Command::Change(change) => Store::cost_of_change(change),
            Command::Claim(_) => Store::cost_of_claim(),
            _ => 0,
        }
    }

    /// Many commands of one kind add no more than they may, one of them no more than tables grow for it; and when all of it is
    /// forgotten, next to nothing is left.
    #[track_caller]
    fn check(name: &str, command: impl Fn(i64) -> Command) {
        let store = Store::new(Options::default());
        store.apply(at(0), &Command::Edge(edge(EdgeState::Point, 0, -1)));
        let (before, mut may) = (store.account().kept(), Store::GROWTH_MAX);
        for number in 0..COUNT {
            let (command, had) = (command(number), store.account().kept());
            may += cost(&command);
            store.apply(at(number), &command);
            assert!(
                store.account().kept() <= had + cost(&command) + Store::GROWTH_MAX,
                "{name}: number {number} adds {}",
                store.account().kept() - had
            );
        }
        let adds = store.account().kept() - before;
        assert!(adds < may, "{name}: {adds} bytes, and may be {may}");
        assert!(adds > may / 16, "{name}: {adds} bytes, and may be {may}");
        for entity in 0..COUNT {
            store.apply(at(COUNT), &Command::Edge(edge(EdgeState::Stop, i64::from(i32::MAX), entity)));
            let delete = Delete { organization: "acme".into(), id: format!("own {entity}").into(), span: None };
            store.apply(at(COUNT), &Command::Change(Change::Delete(delete)));
        }
        let late = at(1 << 50);
        store.apply(late, &Command::Retire { before: late, upto: 0 });
        let tenant = store.tenant("acme").unwrap();
        assert!((0..COUNT).all(|_| tenant.claims.lock().len(late) == 0), "{name}");
        store.apply(late, &Command::Edge(edge(EdgeState::Point, 0, -1)));
        assert!(store.account().kept() < before + 40_000, "{name}: {before} bytes before, {} after", store.account().kept());
    }

    #[test]
    fn commands_add_what_they_may_and_leave_nothing_behind() {
        check("points", |number| Command::Edge(edge(EdgeState::Point, number, number)));
        check("starts", |number| Command::Edge(edge(EdgeState::Start, number, number)));
        check("starts and stops", |number| {
            let state = if number % 2 == 0 { EdgeState::Start } else { EdgeState::Stop };
            Command::Edge(edge(state, number, number / 2))
        });
        check("heartbeats", |number| Command::Edge(edge(EdgeState::Start, number, 1)));
        check("attributes", |number| {
            let attributes = Some(format!(r#"{{"n":{number},"text":"{}"}}"#, "x".repeat(300)).into());
            Command::Edge(Edge { attributes, value: 2.0, ..edge(EdgeState::Point, number, 1) })
        });
        let details = |number: i64| {
            let tags = vec![("team".into(), vec![format!("team {number}").into()])];
            Details { description: "x".repeat(200).into(), tags, ..Details::default() }
        };
        check("puts", |number| {
            let id: Box<str> = format!("own {number}").into();
            let start = Edge { identity: Identity::of_id(&id), ..edge(EdgeState::Start, number, number) };
            Command::Change(Change::Put(Box::new(Put { id, created: None, number: None, start, stop: None, details: details(number) })))
        });
        check("descriptions", |number| {
            let start = edge(EdgeState::Start, 0, -1);
            let stop = Some(edge(EdgeState::Stop, number, number));
            let describe = Describe { organization: "acme".into(), edge: start.id(), span: None, stop, details: details(number) };
            Command::Change(Change::Describe(Box::new(describe)))
        });
        check("claims", |number| {
            let key = number.unsigned_abs().into();
            Command::Claim(Claim { organization: "acme".into(), key, body: 7, at: at(number), former: None })
        });
    }

    #[test]
    fn texts_that_are_known_cost_nothing() {
        let store = Store::new(Options::default());
        store.apply(at(0), &Command::Edge(edge(EdgeState::Start, 0, 1)));
        let tenant = store.tenant("acme").unwrap();
        let costs = [1, 2].map(|entity| {
            let edge = edge(EdgeState::Stop, 5, entity);
            (tenant.cost_of(&edge), Store::cost_of(&edge))
        });
        assert!(costs[0].0 < costs[1].0 && costs[1].0 < costs[1].1, "{costs:?}");
    }

    /// These edges are there; whether a stop closes what its identity has open, and a start goes on with it.
    #[test]
    fn a_stop_closes_what_is_open_and_a_start_goes_on_with_it() {
        use EdgeState::Point;
        use EdgeState::Start;
        use EdgeState::Stop;
        let rows: [(&[(EdgeState, i64)], bool); 8] = [
            (&[(Start, 5)], true),
            (&[(Start, 5), (Start, 7)], true),
            (&[(Start, 5), (Stop, 7)], false),
            (&[(Start, 5), (Stop, 7), (Start, 99_000)], true),
            (&[(Stop, 5)], false),
            (&[(Point, 5)], false),
            (&[(Start, 99_000), (Stop, 7)], true),
            (&[], false),
        ];
        for (edges, expected) in rows {
            let store = Store::new(Options::default());
            store.apply(at(0), &Command::Edge(edge(Point, 0, -1)));
            for (state, time) in edges {
                store.apply(at(0), &Command::Edge(edge(*state, *time, 1)));
            }
            let tenant = store.tenant("acme").unwrap();
            let closes = [Stop, Start, Point].map(|state| tenant.closes_open(&edge(state, 100_000, 1)));
            assert_eq!(closes, [expected, false, false], "{edges:?}");
            assert!(!tenant.closes_open(&edge(Stop, 0, 2)), "another one");
        }
    }
}
