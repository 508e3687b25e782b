//! One answer to several questions: what any of them finds, each event once, in the order that Grafana has.
//!
//! Each question goes by the index that it has, and they share their steps. Where one ends before all that it names, the answer
//! ends there too, and what comes after that is not asked for any more.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::HashSet;

use crate::store::Effort;
use crate::store::EventView;
use crate::store::Order;
use crate::store::Query;
use crate::store::Selected;
use crate::store::Tenant;
use crate::store::TooMuch;
use crate::time::Timestamp;

/// What is found is in this order.
pub(super) const ORDER: Order = Order::EndStart;

/// Why an answer ends before what was asked for does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    Limit,
    Bytes,
    Steps,
}

impl Cut {
    pub(super) fn note(self, limit: usize) -> Cow<'static, str> {
        match self {
            Self::Limit => format!("limit: there are more than these {limit}; ask for a shorter time with from and to").into(),
            Self::Bytes => "there are more than one answer holds; ask for a shorter time with from and to".into(),
            Self::Steps => "there may be more: to look at all is too much for one question; ask for a shorter time with from and to".into(),
        }
    }
}

/// Where an event stands: by its end, by its beginning, and by what it answers to.
type Place<'a> = (Reverse<Timestamp>, Reverse<Timestamp>, Cow<'a, str>);

fn place(event: &EventView) -> Place<'_> {
    (Reverse(event.time(ORDER)), Reverse(event.began()), Cow::Borrowed(&*event.id))
}

/// What any of these questions finds, and why that is not all. They have the limit of the first, and its bytes.
pub(super) fn gather(tenant: &Tenant, questions: &[Query], effort: &Effort) -> Result<(Vec<EventView>, Option<Cut>), TooMuch> {
    let Some(first) = questions.first() else { return Ok((Vec::new(), None)) };
    let mut found = Found { limit: first.limit, bytes: first.bytes, events: Vec::new(), bound: None, is_early: false };
    for question in questions {
        // One more tells whether there is more.
        let limit = found.limit.saturating_add(1);
        let asked = Query { start: question.start.max(found.earliest()), limit, order: ORDER, ..question.clone() };
        found.add(tenant.ask(&asked, effort)?, effort);
    }
    found.finish()
}

/// What was found so far.
struct Found {
    limit: usize,
    bytes: usize,
    /// In their order, one more than the limit at most.
    events: Vec<EventView>,
    /// Nothing after this is in the answer.
    bound: Option<Place<'static>>,
    /// The steps ended before a question did.
    is_early: bool,
}

impl Found {
    /// What ended before this is not in the answer.
    fn earliest(&self) -> Option<Timestamp> {
        self.bound.as_ref().map(|(end, ..)| end.0)
    }

    fn add(&mut self, answer: Selected, effort: &Effort) {
        let Selected { events, next, is_early, .. } = answer;
        effort.take((self.events.len() + events.len()) as u64);
        self.is_early |= is_early;
        if let Some(next) = next {
            self.end_at(match events.last() {
                Some(last) if last.time(ORDER) <= next.at() => owned(place(last)),
                // Before the first that ends then.
                _ => (Reverse(next.at()), Reverse(Timestamp::MAX), Cow::Borrowed("")),
            });
        }
        // What changed in between is as it was seen last.
        let numbers: HashSet<u64> = events.iter().map(|event| event.number).collect();
        self.events.retain(|event| !numbers.contains(&event.number));
        self.events.extend(events);
        self.events.sort_by(|one, other| place(one).cmp(&place(other)));
        self.cut();
    }

    fn end_at(&mut self, bound: Place<'static>) {
        self.bound = Some(match self.bound.take() {
            Some(known) => known.min(bound),
            None => bound,
        });
    }

    /// Leaves what the answer may have.
    fn cut(&mut self) {
        if let Some(bound) = &self.bound {
            let within = self.events.partition_point(|event| place(event) <= *bound);
            self.events.truncate(within);
        }
        let (mut bytes, mut kept) = (0usize, 0);
        for event in self.events.iter().take(self.limit.saturating_add(1)) {
            bytes = bytes.saturating_add(event.bytes());
            if kept > 0 && bytes > self.bytes {
                break;
            }
            kept += 1;
        }
        let is_full = kept < self.events.len() || kept > self.limit;
        self.events.truncate(kept);
        if let Some(last) = self.events.last().filter(|_| is_full) {
            let bound = owned(place(last));
            self.end_at(bound);
        }
    }

    fn finish(self) -> Result<(Vec<EventView>, Option<Cut>), TooMuch> {
        let Self { limit, mut events, bound, is_early, .. } = self;
        if is_early && events.is_empty() {
            return Err(TooMuch);
        }
        let cut = match bound {
            _ if events.len() > limit => Some(Cut::Limit),
            _ if is_early => Some(Cut::Steps),
            bound => bound.map(|_| Cut::Bytes),
        };
        events.truncate(limit);
        Ok((events, cut))
    }
}

fn owned((end, began, id): Place<'_>) -> Place<'static> {
    (end, began, Cow::Owned(id.into_owned()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::event::Command;
    use crate::event::Edge;
    use crate::event::EdgeState;
    use crate::event::Identity;
    use crate::labels::LabelSet;
    use crate::store::Keep;
    use crate::store::Options;
    use crate::store::Store;

    const TAGS: [&str; 4] = ["a", "b", "c", "d"];

    /// Events that begin and end at these times, some never, with these of the tags, and a text of this length.
    fn tenant(events: &[(i64, Option<i64>, Vec<&'static str>, usize)]) -> Arc<Tenant> {
        let store = Store::new(Options::default());
        for (number, (began, lasts, tags, length)) in events.iter().enumerate() {
            let (entity, text) = (number.to_string(), "x".repeat(*length));
            let tags = tags.iter().map(|tag| (*tag, "1"));
            let labels = LabelSet::from_sorted(tags.chain([("entity_id", &*entity), ("event_name", "job"), ("text", &*text)])).unwrap();
            let edge = |state, at| Command::Edge(Edge::new(state, Timestamp::from_millis(at), Identity::of([&*entity]), labels.clone()));
            store.apply(Timestamp::from_millis(0), &edge(EdgeState::Start, *began));
            if let Some(lasts) = lasts {
                store.apply(Timestamp::from_millis(0), &edge(EdgeState::Stop, began + lasts));
            }
        }
        store.tenant("").unwrap()
    }

    fn event() -> impl Strategy<Value = (i64, Option<i64>, Vec<&'static str>, usize)> {
        (0..6i64, prop::option::weighted(0.8, 1..6i64), prop::sample::subsequence(TAGS.to_vec(), 0..=4), prop_oneof![Just(1), 1..5000usize])
    }

    fn ids(events: &[EventView]) -> Vec<&str> {
        events.iter().map(|event| &*event.id).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn several_questions_find_what_one_would_that_asks_for_any(
            events in prop::collection::vec(event(), 1..40),
            wanted in prop::sample::subsequence(TAGS.to_vec(), 1..=4).prop_shuffle(),
            limit in 1..40usize,
            bytes in prop_oneof![Just(usize::MAX), 0..20_000usize],
            start in prop::option::of(0..8i64),
        ) {
            let tenant = tenant(&events);
            let start = start.map(Timestamp::from_millis);
            let base = Query { start, limit, bytes, ..Query::default() };
            let questions: Vec<Query> = wanted.iter().map(|tag| Query { tags: vec![((*tag).into(), "1".into())], ..base.clone() }).collect();
            let any = Keep(Arc::new(move |event| wanted.iter().any(|tag| event.label(tag).is_some())));
            let model = tenant.select(&Query { keep: Some(any), order: ORDER, ..base });
            let (found, cut) = gather(&tenant, &questions, &Effort::default()).unwrap();
            // Where the bytes of one question end, the answer does, though another one has some that would go in.
            let is_cut_by_bytes = cut == Some(Cut::Bytes);
            let expected = if is_cut_by_bytes { found.len().clamp(1, model.events.len()) } else { model.events.len() };
            prop_assert_eq!((ids(&found), cut.is_some()), (ids(&model.events[..expected]), model.next.is_some()));
            prop_assert!(!is_cut_by_bytes || bytes < usize::MAX);
        }

        /// Whatever the steps are, what is answered is the beginning of all.
        #[test]
        fn an_answer_that_ends_early_has_no_gaps(
            events in prop::collection::vec(event(), 100..200),
            steps in 100..10_000u64,
        ) {
            let tenant = tenant(&events);
            let tag = Query { tags: vec![("a".into(), "1".into())], limit: 1000, ..Query::default() };
            let walk = Query { keep: Some(Keep(Arc::new(|event| event.label("b").is_some()))), keep_cost: 4, limit: 1000, ..Query::default() };
            let questions = [tag, walk];
            let (all, _) = gather(&tenant, &questions, &Effort::boundless()).unwrap();
            if let Ok((found, cut)) = gather(&tenant, &questions, &Effort::new(steps)) {
                prop_assert_eq!(ids(&found), &ids(&all)[..found.len()]);
                prop_assert_eq!(cut, (found.len() < all.len()).then_some(Cut::Steps).or(cut));
            }
        }
    }
}
