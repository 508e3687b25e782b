//! Open events that a stop which closes nothing may have been meant for. Looks at some hundred, whatever there is.

use super::core::Core;
use super::core::End;
use super::index::LabelRef;
use super::number::EdgeNo;
use super::number::SeriesNo;
use super::organization::Tenant;
use super::view::EventView;
use crate::labels::EVENT_NAME;
use crate::labels::LabelSet;

/// So many series of one label, and so many open events, are looked at.
const LOOKED_AT_MAX: usize = 256;

impl Tenant {
    /// Events without an end that have one of these names: those with the first of these labels that any has, or the latest where
    /// no labels are given; `most` of them at most.
    pub fn open_like(&self, names: &[String], telling: &[(&str, &str)], most: usize) -> Vec<EventView> {
        let names: Vec<LabelRef> = names.iter().filter_map(|name| self.reference(EVENT_NAME, name)).collect();
        if names.is_empty() {
            return Vec::new();
        }
        for (name, value) in telling {
            let series = self.series_with(name, value);
            let core = self.core.read();
            let found = self.views(&core, series.into_iter().filter_map(|series| core.open_of(series)), &names, most);
            if !found.is_empty() {
                return found;
            }
        }
        if !telling.is_empty() {
            return Vec::new();
        }
        let core = self.core.read();
        self.views(&core, core.open.newest_first(None).take(LOOKED_AT_MAX), &names, most)
    }

    fn reference(&self, name: &str, value: &str) -> Option<LabelRef> {
        let labels = LabelSet::from_sorted([(name, value)]).ok()?;
        self.index.references(&labels)?.first().copied()
    }

    /// The first series that have this label.
    fn series_with(&self, name: &str, value: &str) -> Vec<SeriesNo> {
        self.index.name(name).map_or_else(Vec::new, |label| label.first_with(value, LOOKED_AT_MAX))
    }

    fn views(&self, core: &Core, heads: impl Iterator<Item = EdgeNo>, names: &[LabelRef], most: usize) -> Vec<EventView> {
        let is_named = |head: &EdgeNo| {
            let series = core.row(*head).and_then(|row| core.series.get(row.series));
            series.is_some_and(|series| series.labels.iter().any(|label| names.contains(label)))
        };
        heads.filter(is_named).take(most).filter_map(|head| self.view(core, head)).collect()
    }
}

impl Core {
    /// The oldest event without an end that begins with a sample of this series.
    fn open_of(&self, series: SeriesNo) -> Option<EdgeNo> {
        let row = self.series.get(series).filter(|row| row.end == End::Start)?;
        self.open.endless_of(row.cluster, series)
    }
}
