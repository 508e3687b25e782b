//! What the label index says of a question, resolved once, and whether an event fits it.
//!
//! It is resolved without the tenant's lock, to numbers of series, which may be those of others by the time they are looked
//! at: a series that came after the question is in no answer to it, whatever its number is.

use super::Tenant;
use super::core::Core;
use super::details::Tag;
use super::effort::Effort;
use super::number::EdgeNo;
use super::number::SeriesNo;
use super::number::Set;
use super::query::Query;
use super::selector::FAMILY;
use super::selector::MatchKind;
use super::selector::Matcher;
use crate::event::Details;
use crate::labels::EVENT_NAME;
use crate::labels::EVENT_STATE;
use std::cell::Cell;

/// So few series are filtered by their labels rather than by the index.
const FEW: u64 = 256;
/// Looking at a series' labels costs as much as looking at this many values of the index.
const LABELS_COST: u64 = 4;

/// The series that a question names.
pub(super) struct Indexed {
    /// How many series there had ever been before any was looked up.
    asked: u64,
    pub(super) wanted: Wanted,
    /// Those that have each of [`Query::found_by`] as a label.
    pub(super) tagged: Vec<Set<SeriesNo>>,
    text: Option<Text>,
}

/// Which series the selectors name.
pub(super) enum Wanted {
    All,
    These(Set<SeriesNo>),
}

/// A text to look for, in lower case, and the series whose labels have it in them.
struct Text {
    lower: String,
    series: Set<SeriesNo>,
}

impl Indexed {
    /// When the effort is spent, it is of no use.
    pub(super) fn of(tenant: &Tenant, query: &Query, effort: &Effort) -> Self {
        let asked = tenant.core.read().born;
        Self {
            asked,
            wanted: tenant.wanted(&query.selectors, effort),
            tagged: query.found_by().map(|tag| tenant.series_tagged(tag, effort)).collect(),
            text: query.text.as_ref().map(|text| tenant.saying(text, effort)),
        }
    }

    /// Whether the event has the labels, tags and text that the query asks for.
    pub(super) fn accepts(&self, core: &Core, query: &Query, head: EdgeNo, effort: &Effort) -> bool {
        self.is_wanted(core, head, effort)
            && query.parent.as_ref().is_none_or(|parent| may_be_caused_by(core, head, parent))
            && query.found_by().zip(&self.tagged).all(|(tag, series)| self.has_tag(core, head, tag, series, effort))
            && self.text.as_ref().is_none_or(|text| self.is_said(core, head, text, effort))
    }

    /// Whether the edge is in one of these series, and that is the one that was looked up.
    fn is_edge_in(&self, core: &Core, edge: EdgeNo, series: &Set<SeriesNo>) -> bool {
        let is_it = |number: SeriesNo| core.series.get(number).is_some_and(|row| row.born <= self.asked);
        core.row(edge).is_some_and(|row| series.contains(row.series) && is_it(row.series))
    }

    /// Whether the start or the stop of the event is in one of these series.
    fn has_edge_in(&self, core: &Core, head: EdgeNo, series: &Set<SeriesNo>) -> bool {
        [Some(head), core.stop_of(head)].into_iter().flatten().any(|edge| self.is_edge_in(core, edge, series))
    }

    fn is_wanted(&self, core: &Core, head: EdgeNo, effort: &Effort) -> bool {
        let Wanted::These(series) = &self.wanted else { return true };
        let mut beats = core.beats(head).inspect(|_| effort.take(1));
        self.has_edge_in(core, head, series) || beats.any(|beat| self.is_edge_in(core, beat, series))
    }

    /// `series` are those that have the tag as a label.
    fn has_tag(&self, core: &Core, head: EdgeNo, tag: Tag<'_>, series: &Set<SeriesNo>, effort: &Effort) -> bool {
        if self.has_edge_in(core, head, series) {
            return true;
        }
        let Some(detailed) = core.details(head) else { return false };
        let (details, looked_at) = (&detailed.details, Cell::new(0));
        let has = match tag {
            Tag::Is(key, value) => {
                let length = key.len() + value.len();
                let text = |key: &str, value: &str| [key, ":", value].concat();
                details.all_tags().any(|(own_key, own_value)| {
                    looked_at.set(looked_at.get() + own_key.len() + own_value.len());
                    (own_key, own_value) == (key, value)
                        || (own_key.len() + own_value.len() == length && text(own_key, own_value) == text(key, value))
                })
            }
            Tag::Has(key) => details.all_keys().any(|own| {
                looked_at.set(looked_at.get() + own.len());
                own == key
            }),
        };
        effort.take_bytes(looked_at.get());
        has
    }

    fn is_said(&self, core: &Core, head: EdgeNo, text: &Text, effort: &Effort) -> bool {
        let said = |details: &Details| {
            // Each is copied and then looked through.
            effort.take_bytes(2 * (details.name.len() + details.description.len()));
            is_in(&details.name, &text.lower) || is_in(&details.description, &text.lower)
        };
        self.has_edge_in(core, head, &text.series) || core.details(head).is_some_and(|detailed| said(&detailed.details))
    }
}

impl Tenant {
    /// What is looked for in texts, with the series whose labels say it.
    fn saying(&self, text: &str, effort: &Effort) -> Text {
        let lower = text.to_lowercase();
        let has = |value: &str| {
            effort.take_bytes(2 * value.len());
            is_in(value, &lower)
        };
        let says = |name: &str| self.index.name(name).map(|label| label.whose(has, effort)).unwrap_or_default();
        Text { series: says(EVENT_NAME) | says("name") | says("description"), lower }
    }

    /// The series that have the tag as a label.
    fn series_tagged(&self, tag: Tag<'_>, effort: &Effort) -> Set<SeriesNo> {
        let (key, value) = match tag {
            Tag::Is(EVENT_NAME, _) | Tag::Has(EVENT_NAME) => return Set::default(),
            Tag::Is(key, value) => (key, value),
            Tag::Has(key) => return self.index.name(key).map(|label| label.whose(|_| true, effort)).unwrap_or_default(),
        };
        let name = if key == "type" { EVENT_NAME } else { key };
        let mut series = self.index.name(name).map(|label| label.equal(value)).unwrap_or_default();
        if key == "type" {
            series |= &self.index.name(key).map(|label| label.equal(value)).unwrap_or_default();
        }
        series
    }

    /// The series that satisfy one of the selectors, resolved in the label index alone.
    fn wanted(&self, selectors: &[Vec<Matcher>], effort: &Effort) -> Wanted {
        if selectors.is_empty() {
            return Wanted::All;
        }
        let mut series = Set::default();
        for selector in selectors {
            series |= &self.series_of(selector, effort);
        }
        Wanted::These(series)
    }

    fn series_of(&self, selector: &[Matcher], effort: &Effort) -> Set<SeriesNo> {
        let mut found: Option<Set<SeriesNo>> = None;
        let all = || self.core.read().all_series();
        let mut matchers: Vec<&Matcher> = Vec::with_capacity(selector.len());
        for matcher in selector {
            match &*matcher.name {
                "__name__" if matcher.matches(FAMILY) => {}
                "__name__" => return Set::default(),
                EVENT_STATE => {
                    let core = self.core.read();
                    let by_state = core.series_at(|end| matcher.matches(end.label()));
                    found = Some(match found {
                        Some(found) => found & by_state,
                        None => by_state,
                    });
                }
                _ => matchers.push(matcher),
            }
        }
        let estimate = |matcher: &Matcher| self.index.name(&matcher.name).map_or(0, |label| label.estimate(matcher));
        matchers.sort_by_cached_key(|matcher| estimate(matcher));
        for matcher in matchers {
            let absent_matches = matcher.matches("");
            let label = self.index.name(&matcher.name);
            if let (Some(few), Some(label), false) = (&mut found, &label, matches!(matcher.kind, MatchKind::Equal) && !absent_matches)
                && (few.len() <= FEW || few.len() * LABELS_COST < label.effort(matcher))
            {
                self.keep_matching(few, matcher, effort);
                continue;
            }
            let next = match (label, absent_matches) {
                (None, true) => continue,
                (None, false) => return Set::default(),
                (Some(label), false) => match (&matcher.kind, &mut found) {
                    (MatchKind::Equal, Some(found)) => {
                        label.intersect_equal(&matcher.value, found);
                        continue;
                    }
                    (MatchKind::Equal, None) => label.equal(&matcher.value),
                    _ => label.matching(matcher, effort),
                },
                // The series without the label match too: all but those whose value does not.
                (Some(label), true) => {
                    let base = found.take().unwrap_or_else(all);
                    found = Some(base - label.not_matching(matcher, effort));
                    continue;
                }
            };
            found = Some(match found {
                Some(found) => found & next,
                None => next,
            });
        }
        found.unwrap_or_else(all)
    }

    /// Drops from few series those that do not satisfy the matcher, by looking at their labels.
    fn keep_matching(&self, few: &mut Set<SeriesNo>, matcher: &Matcher, effort: &Effort) {
        let matches_absent = matcher.matches("");
        let mut kept = Set::default();
        let mut series = few.iter().peekable();
        while series.peek().is_some() && !effort.is_spent() {
            let (core, begun) = (self.core.read(), effort.left());
            for series in series.by_ref() {
                let Some(row) = core.series.get(series) else { continue };
                let mut answer = None;
                effort.take(2 * row.labels.len() as u64);
                self.index.texts(&row.labels, |name, value| {
                    if *name == *matcher.name {
                        answer = Some(matcher.matches_within(value, effort));
                    }
                });
                if answer.unwrap_or(matches_absent) {
                    kept.insert(series);
                }
                if effort.is_due(begun) {
                    break;
                }
            }
        }
        drop(series);
        *few = kept;
    }
}

/// Whether the event does not say itself that its parent is another one, or that it has none.
fn may_be_caused_by(core: &Core, head: EdgeNo, parent: &str) -> bool {
    let Some(detailed) = core.details(head) else { return true };
    let own = &detailed.details.parent_id;
    if own.is_empty() { detailed.id.is_none() } else { **own == *parent }
}

/// Whether `text` has `lower` in it, whatever the case.
fn is_in(text: &str, lower: &str) -> bool {
    text.to_lowercase().contains(lower)
}
