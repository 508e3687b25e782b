//! `match[]`: which families and which of their samples a filtered page has.

use super::text::Family;
use crate::store::Matcher;
use crate::store::SeriesId;
use crate::store::Tenant;

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

    /// Whether a selector selects the sample of this series.
    pub(super) fn matches(&self, family: Family, tenant: &Tenant, series: SeriesId) -> bool {
        if self.0.iter().any(Vec::is_empty) {
            return true;
        }
        let mut labels: Vec<(String, String)> = Vec::with_capacity(16);
        tenant.series_labels(series, &mut |name, value| {
            if family.has_label(name) {
                labels.push((name.to_owned(), value.to_owned()));
            }
        });
        let value = |name: &str| labels.iter().find(|(label, _)| label == name).map_or("", |(_, value)| value);
        self.0.iter().any(|conditions| conditions.iter().all(|matcher| matcher.matches(value(&matcher.name))))
    }
}

/// Whether own metrics are on a page with these selectors: all of them, when one of the selectors asks for some by name.
pub(super) fn has_own(selectors: &[Vec<Matcher>]) -> bool {
    let names_own = |matcher: &Matcher| &*matcher.name == NAME && OWN.iter().any(|prefix| matcher.value.starts_with(prefix));
    selectors.is_empty() || selectors.iter().flatten().any(names_own)
}
