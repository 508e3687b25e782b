//! The lines of a schedule by series: a table of short runs of consecutive series.
//!
//! Series are numbered as they come, so those of an import are neighbours and need hardly more than their places.

use super::line::Line;
use hashbrown::HashMap;

/// Series in a run.
const RUN: u32 = 8;

/// Lines by series.
#[derive(Debug, Default)]
pub(super) struct Lines {
    runs: HashMap<u32, Box<[Line; RUN as usize]>>,
}

impl Lines {
    /// The line of a series, when there is one.
    pub(super) fn get(&self, series: u32) -> Option<&Line> {
        self.runs.get(&(series / RUN))?.get((series % RUN) as usize).filter(|line| !line.is_empty())
    }

    /// Sets the line of a series; an empty one is none.
    pub(super) fn set(&mut self, series: u32, line: Line) {
        let (run, place) = (series / RUN, (series % RUN) as usize);
        if !line.is_empty() {
            if let Some(old) = self.runs.entry(run).or_default().get_mut(place) {
                *old = line;
            }
            return;
        }
        let Some(lines) = self.runs.get_mut(&run) else { return };
        if let Some(old) = lines.get_mut(place) {
            *old = line;
        }
        if lines.iter().all(Line::is_empty) {
            self.runs.remove(&run);
            if self.runs.len() < self.runs.capacity() / 8 {
                self.runs.shrink_to(self.runs.len() * 2);
            }
        }
    }

    /// All lines by series.
    #[cfg(test)]
    pub(super) fn state(&self) -> impl Iterator<Item = (u32, &[super::queue::Place])> {
        let Self { runs } = self;
        let mut numbers: Vec<u32> = runs.keys().copied().collect();
        numbers.sort_unstable();
        let all = numbers.into_iter().flat_map(|run| (run * RUN..).take(RUN as usize));
        all.filter_map(|series| Some((series, self.get(series)?.places())))
    }

    /// How many lines there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.runs.values().flat_map(|run| run.iter()).filter(|line| !line.is_empty()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::queue::Class;
    use crate::exposition::queue::On;
    use crate::exposition::queue::Place;
    use crate::time::Timestamp;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn line(value: u8) -> Line {
        let (exposed, at) = (Timestamp::MIN, Timestamp::MIN);
        let (heartbeat, behind, hidden) = (false, false, false);
        Line::One(Place {
            exposed,
            at,
            value: value.into(),
            tie: 0,
            generation: 0,
            heartbeat,
            class: Class::Live,
            on: On::Both,
            behind,
            hidden,
        })
    }

    proptest! {
        #[test]
        fn is_a_table(changes in prop::collection::vec((0..40_u32, prop::option::of(any::<u8>())), 0..200)) {
            let (mut lines, mut model) = (Lines::default(), BTreeMap::new());
            for (series, value) in changes {
                lines.set(series, value.map_or_else(Line::default, line));
                model.remove(&series);
                model.extend(value.map(|value| (series, f64::from(value))));
                let there: BTreeMap<u32, f64> = (0..40).filter_map(|series| Some((series, lines.get(series)?.places()[0].value))).collect();
                prop_assert_eq!(&there, &model);
                let mut runs: Vec<u32> = model.keys().map(|series| series / RUN).collect();
                runs.dedup();
                prop_assert_eq!(lines.runs.len(), runs.len(), "a run without a line is kept");
            }
        }
    }

    /// Most of its memory, in few steps, and with room to grow again.
    #[test]
    fn what_is_removed_gives_its_memory_back() {
        let mut lines = Lines::default();
        for run in 0..20_000 {
            lines.set(run * RUN, line(1));
        }
        let most = lines.runs.allocation_size();
        let mut sizes = vec![most];
        for run in (1..20_000).rev() {
            lines.set(run * RUN, Line::default());
            let (len, size) = (lines.runs.len(), lines.runs.allocation_size());
            assert!(size * 20_000 <= most * 12 * (len + 8), "{size} bytes for {len}, {most} for 20 000");
            if sizes.last() != Some(&size) {
                assert!(lines.runs.capacity() >= 2 * len, "no room to grow beside {len}");
                sizes.push(size);
            }
        }
        assert!(sizes.len() < 9, "{sizes:?}");
    }
}
