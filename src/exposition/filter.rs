//! `match[]`: which families and which of their samples a filtered page has.

use super::block::LOOKED_UP_AT_ONCE;
use super::entry::Entry;
use super::text::Family;
use crate::store::Effort;
use crate::store::Matcher;
use crate::store::SeriesId;
use crate::store::Tenant;

/// Steps of looking up the labels of one line.
const STEPS_A_LINE: u64 = 2;
/// The label that holds the family.
const NAME: &str = "__name__";
/// Own metrics begin with one of these.
const OWN: [&str; 2] = ["change_events_", "process_"];

/// The selectors of a request by what they ask of one family.
#[derive(Debug)]
pub(super) struct Filter<'a>(Vec<Vec<&'a Matcher>>);

impl<'a> Filter<'a> {
    /// What is asked of the samples of `family`; `None` when no selector can select one.
    pub(super) fn of(family: Family, selectors: &'a [Vec<Matcher>]) -> Option<Self> {
        let of_family = |selector: &&Vec<Matcher>| selector.iter().all(|matcher| &*matcher.name != NAME || matcher.matches(family.name()));
        let conditions = |selector: &'a Vec<Matcher>| selector.iter().filter(|matcher| &*matcher.name != NAME).collect();
        let filter: Vec<Vec<&Matcher>> = selectors.iter().filter(of_family).map(conditions).collect();
        (!filter.is_empty()).then_some(Self(filter))
    }

    /// Those of these lines that a selector selects; fewer when the effort is spent.
    pub(super) fn select(&self, family: Family, tenant: &Tenant, entries: &[Entry], effort: &Effort) -> Vec<Entry> {
        if self.0.iter().any(Vec::is_empty) {
            return entries.to_vec();
        }
        let mut selected = Vec::new();
        for some in entries.chunks(LOOKED_UP_AT_ONCE) {
            if effort.is_spent() {
                break;
            }
            // Copied out first: whoever writes waits for nobody's expressions.
            let mut labels: Vec<Vec<(String, String)>> = vec![Vec::new(); some.len()];
            let series: Vec<SeriesId> = some.iter().map(|entry| entry.series).collect();
            tenant.labels_of(&series, &mut |place, name, value| {
                if let Some(labels) = labels.get_mut(place).filter(|_| self.asks_for(name) && family.has_label(name)) {
                    labels.push((name.to_owned(), value.to_owned()));
                }
            });
            effort.take(STEPS_A_LINE * some.len() as u64);
            selected.extend(some.iter().zip(&labels).filter(|(_, labels)| self.matches(labels, effort)).map(|(entry, _)| *entry));
        }
        selected
    }

    fn asks_for(&self, name: &str) -> bool {
        self.0.iter().flatten().any(|matcher| *matcher.name == *name)
    }

    /// Whether a selector selects what has these labels.
    fn matches(&self, labels: &[(String, String)], effort: &Effort) -> bool {
        let value = |name: &str| labels.iter().find(|(label, _)| label == name).map_or("", |(_, value)| value);
        self.0.iter().any(|conditions| conditions.iter().all(|matcher| matcher.matches_within(value(&matcher.name), effort)))
    }
}

/// Whether own metrics are on a page with these selectors: all of them, when one of the selectors asks for some by name.
pub(super) fn has_own(selectors: &[Vec<Matcher>]) -> bool {
    let names_own = |matcher: &Matcher| &*matcher.name == NAME && OWN.iter().any(|prefix| matcher.value.starts_with(prefix));
    selectors.is_empty() || selectors.iter().flatten().any(names_own)
}
