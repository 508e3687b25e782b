//! Queries: which events a question names, in the order it wants them. All front doors ask here.
//!
//! What selectors, tags and times name is resolved in the indexes; then either what matches is collected and sorted, or
//! all events are walked in order until enough of them matched, whichever is cheaper.

use super::Tenant;
use super::collect::Collector;
use super::collect::Slice;
use super::core::Core;
use super::effort::Effort;
use super::effort::STEPS_AT_ONCE;
use super::effort::TooMuch;
use super::indexed::Indexed;
use super::indexed::Wanted;
use super::number::EdgeNo;
use super::number::SeriesNo;
use super::number::Set;
use super::query::Cursor;
use super::query::Query;
use super::view::EventView;
use super::view::Order;
use crate::store::edges::Part;
use std::collections::HashSet;

/// So many events are looked at closely while nobody can write: a few milliseconds.
const LOOKED_AT_ONCE: usize = 4096;
/// Most edges that are collected to be looked at; where there are more, all events are walked in order.
const COLLECTED_MAX: usize = 1 << 16;

/// The answer to a [`Query`].
#[derive(Clone, Debug, Default)]
pub struct Selected {
    /// In the order asked for.
    pub events: Vec<EventView>,
    /// Where to go on when there is more.
    pub next: Option<Cursor>,
    /// How many bytes they have.
    pub bytes: usize,
    /// It ends where its steps did: what `next` goes on with was not looked at.
    pub is_early: bool,
}

impl Tenant {
    /// The events that `query` names, in its order, whatever it takes.
    pub fn select(&self, query: &Query) -> Selected {
        self.select_by(query, LOOKED_AT_ONCE)
    }

    /// The same within some steps. Where these do not do, the answer has what was found till then, and says where to go on if
    /// that can be said; else there is none.
    ///
    /// Where many have to be looked at, whoever writes gets a turn in between: the answer is then not of one moment, as two pages
    /// are not.
    pub fn ask(&self, query: &Query, effort: &Effort) -> Result<Selected, TooMuch> {
        let indexed = Indexed::of(self, query, effort);
        effort.check()?;
        self.ask_among(query, &indexed, LOOKED_AT_ONCE, effort)
    }

    /// As [`Tenant::select`], with so many events looked at closely at once.
    pub(super) fn select_by(&self, query: &Query, at_once: usize) -> Selected {
        self.select_among(query, &Indexed::of(self, query, &Effort::boundless()), at_once)
    }

    /// The same, of what was looked up already.
    pub(super) fn select_among(&self, query: &Query, indexed: &Indexed, at_once: usize) -> Selected {
        self.ask_among(query, indexed, at_once, &Effort::boundless()).unwrap_or_default()
    }

    fn ask_among(&self, query: &Query, indexed: &Indexed, at_once: usize, effort: &Effort) -> Result<Selected, TooMuch> {
        let mut found = Collector::new(query);
        let mut early = None;
        let mut heads = {
            let core = self.core.read();
            candidates(&core, query, indexed, effort)
        };
        while self.look_on(&mut found, heads.as_mut(), indexed, at_once, effort) {
            if effort.is_spent() {
                early = Some(found.stop_early().filter(|_| heads.is_none()).ok_or(TooMuch)?);
                break;
            }
        }
        let (heads, more) = found.finish(&self.core.read());
        let mut selected = Selected { is_early: early.is_some(), ..Selected::default() };
        let is_full = self.show(query, &heads, effort, &mut selected);
        selected.next = match early.filter(|_| !is_full && !more) {
            Some(early) => Some(early),
            None => selected.events.last().filter(|_| more || is_full).map(|last| Cursor::after(last, query.order)),
        };
        Ok(selected)
    }

    /// Looks at some events while nobody can write; says whether there are more. `heads` are those that may fit, if not all are
    /// walked in order.
    fn look_on(
        &self,
        found: &mut Collector<'_>,
        heads: Option<&mut Vec<EdgeNo>>,
        indexed: &Indexed,
        at_once: usize,
        effort: &Effort,
    ) -> bool {
        let query = found.query();
        let core = self.core.read();
        let accepts = |head: EdgeNo| {
            query.phases.is_none_or(|phases| phases.has(core.phase(head, phases.now())))
                && indexed.accepts(&core, query, head, effort)
                && query.keep.as_ref().is_none_or(|keep| {
                    self.show_one(&core, head, effort).is_some_and(|event| {
                        (0..query.keep_cost).for_each(|_| event.take_from(effort));
                        keep.0(&event)
                    })
                })
        };
        let most = if query.looks_closely() { at_once } else { usize::MAX };
        let slice = Slice::new(effort, most);
        let Some(heads) = heads else { return found.walk(&core, accepts, &slice) };
        let mut asked = 0;
        while !slice.is_over(asked) {
            let Some(head) = heads.pop() else { return false };
            asked += 1;
            effort.take(1);
            if core.row(head).is_some_and(|row| row.part.is_head()) && found.is_in_range(&core, head) && accepts(head) {
                found.push(&core, head, effort);
            }
        }
        !heads.is_empty()
    }

    /// Adds these events to the answer, as long as there is room; says whether there was none for all. Those whose numbers are of
    /// others by now are left out.
    fn show(&self, query: &Query, heads: &[(EdgeNo, [u64; 2])], effort: &Effort, selected: &mut Selected) -> bool {
        let mut heads = heads.iter().peekable();
        while heads.peek().is_some() {
            let (core, begun) = (self.core.read(), effort.left());
            for &(head, id) in heads.by_ref() {
                let is_it = core.row(head).is_some_and(|row| row.id == id);
                let Some(event) = self.show_one(&core, head, effort).filter(|_| is_it) else { continue };
                if !selected.events.is_empty() && selected.bytes.saturating_add(event.bytes()) > query.bytes {
                    return true;
                }
                selected.bytes += event.bytes();
                selected.events.push(event);
                // What was found is shown, whatever it takes.
                if begun - effort.left() >= STEPS_AT_ONCE || effort.is_spent() {
                    break;
                }
            }
        }
        false
    }

    fn show_one(&self, core: &Core, head: EdgeNo, effort: &Effort) -> Option<EventView> {
        let event = self.view(core, head)?;
        event.take_from(effort);
        Some(event)
    }
}

/// Whether to collect what matches, or to walk all events in order until enough of what matches was met.
fn cheaper_by_series(matching: u64, events: usize, limit: usize) -> bool {
    let events = events as u64;
    let walked = (limit as u64).saturating_mul(events) / matching.max(1);
    matching <= 1024 || matching.saturating_mul(2) <= walked.min(events)
}

/// The events that may be in the answer, when looking at each of them is cheaper than walking all events in order.
fn candidates(core: &Core, query: &Query, indexed: &Indexed, effort: &Effort) -> Option<Vec<EdgeNo>> {
    let Indexed { wanted, tagged, .. } = indexed;
    let by_tag = query.found_by().zip(tagged).map(|(tag, series)| (tag, series, core.details.tagged_count(tag)));
    let fewest = by_tag.min_by_key(|(_, series, anchors)| series.len() + anchors);
    let fewest_count = fewest.as_ref().map_or(u64::MAX, |(_, series, anchors)| series.len() + anchors);
    let cheaper = |matching: u64| cheaper_by_series(matching, core.by_time.len(), query.most());
    let mut heads = HashSet::new();
    let matching = if let Wanted::These(series) = wanted { series.len() } else { u64::MAX };
    let open = core.open.len() + core.open.ahead().len();
    if query.open_at().is_some() && open as u64 <= matching.min(fewest_count) {
        let is_best = query.order == Order::Update && open <= COLLECTED_MAX;
        effort.take(if is_best { open as u64 } else { 0 });
        return is_best.then(|| core.open.all_newest_first(None).collect());
    }
    match (wanted, fewest) {
        (Wanted::These(series), None) if cheaper(series.len()) => add_events(core, series, effort, &mut heads)?,
        (Wanted::These(series), Some(_)) if matching < fewest_count => {
            if !cheaper(series.len()) {
                return None;
            }
            add_events(core, series, effort, &mut heads)?;
        }
        (_, Some((tag, by_label, anchors))) if cheaper(fewest_count) && anchors <= COLLECTED_MAX as u64 => {
            add_events(core, by_label, effort, &mut heads)?;
            effort.take(2 * anchors);
            heads.extend(core.details.tagged(tag).into_iter().map(|anchor| core.head(anchor)));
        }
        _ => return None,
    }
    Some(heads.into_iter().collect())
}

/// Adds the events that have an edge in one of these series, unless there are too many.
fn add_events(core: &Core, series: &Set<SeriesNo>, effort: &Effort, heads: &mut HashSet<EdgeNo>) -> Option<()> {
    if series.len() > COLLECTED_MAX as u64 {
        return None;
    }
    let mut edges = 0;
    for row in series.iter().filter_map(|series| core.series.get(series)) {
        edges += row.edges.len();
        if edges > COLLECTED_MAX {
            return None;
        }
    }
    effort.take(series.len() + 2 * edges as u64);
    for row in series.iter().filter_map(|series| core.series.get(series)) {
        let present = row.edges.iter().filter(|&edge| core.row(edge).is_some_and(|row| !matches!(row.part, Part::Past { .. })));
        heads.extend(present.map(|edge| core.head(edge)));
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Command;
    use crate::event::Edge;
    use crate::event::EdgeState;
    use crate::event::Identity;
    use crate::labels::LabelSet;
    use crate::store::Keep;
    use crate::store::Options;
    use crate::store::Store;
    use crate::time::Timestamp;
    use std::sync::Arc;

    #[test]
    fn who_writes_gets_a_turn_where_events_are_looked_at_closely() {
        for state in [EdgeState::Point, EdgeState::Start] {
            let store = Store::new(Options::default());
            for number in 0..2000 {
                let entity = number.to_string();
                let labels = LabelSet::from_sorted([("entity_id", &*entity), ("event_name", "job")]).unwrap();
                let edge = Edge::new(state, Timestamp::from_millis(number), Identity::of([&*entity]), labels);
                store.apply(Timestamp::from_millis(number), &Command::Edge(edge));
            }
            let tenant = store.tenant("").unwrap();
            let check = |name: &str, query: &Query, expected: usize| {
                let (mut found, effort) = (Collector::new(query), Effort::default());
                let goes_on = tenant.look_on(&mut found, None, &Indexed::of(&tenant, query, &effort), 3, &effort);
                let found = found.finish(&tenant.core.read()).0.len();
                assert_eq!((found, goes_on), (expected, expected < 10), "{name}, {state:?}, {:?}", query.order);
                assert_eq!(tenant.select_by(query, 3).events.len(), 10, "{name}, {state:?}, {:?}", query.order);
            };
            for order in [Order::Start, Order::End, Order::Update] {
                let ten = || Query { order, limit: 10, ..Query::default() };
                check("all", &ten(), 10);
                check("a tag", &Query { tags: vec![("type".into(), "job".into())], ..ten() }, 3);
                check("a text", &Query { text: Some("job".into()), ..ten() }, 3);
                check("a condition", &Query { keep: Some(Keep(Arc::new(|_| true))), ..ten() }, 3);
            }
        }
    }
}
