//! The lines of a schedule by series: a table of short runs of consecutive series.
//!
//! Series are numbered as they come, so those of an import are neighbours and need hardly more than their places.

use super::line::Line;
use super::line::allocated;
use hashbrown::HashMap;
use std::collections::BTreeMap;

/// Series in a run.
const RUN: u32 = 8;
/// What a run takes, with its share of the table.
const RUN_BYTES: usize = allocated(size_of::<Run>()) + 32;

type Run = [Line; RUN as usize];

/// Lines by series. No change costs more than the depth of a tree.
#[derive(Debug, Default)]
pub(super) struct Lines {
    runs: BTreeMap<u32, Box<Run>>,
    /// What was changed since somebody began to look, as it was then.
    before: Option<Changed>,
    bytes: usize,
}

/// Lines as they were before they changed, by series; without places where there was none.
pub(super) type Changed = HashMap<u32, Line>;

impl Lines {
    /// The line of a series, when there is one.
    pub(super) fn get(&self, series: u32) -> Option<&Line> {
        self.runs.get(&(series / RUN))?.get((series % RUN) as usize).filter(|line| !line.is_empty())
    }

    /// The lines of these series, which ascend, as far as there are any: quicker than one by one.
    pub(super) fn of(&self, series: impl Iterator<Item = u32>) -> impl Iterator<Item = (u32, Option<&Line>)> {
        let mut last: Option<(u32, Option<&Run>)> = None;
        series.map(move |series| {
            let run = series / RUN;
            let lines = match last {
                Some((number, lines)) if number == run => lines,
                _ => self.runs.get(&run).map(|lines| &**lines),
            };
            last = Some((run, lines));
            (series, lines.and_then(|lines| lines.get((series % RUN) as usize)).filter(|line| !line.is_empty()))
        })
    }

    /// Sets the line of a series; an empty one is none.
    pub(super) fn set(&mut self, series: u32, line: Line) {
        let (run, place) = (series / RUN, (series % RUN) as usize);
        self.bytes += line.bytes();
        let mut gone = Line::default();
        if !line.is_empty() {
            let lines = self.runs.entry(run).or_insert_with(|| {
                self.bytes += RUN_BYTES;
                Box::default()
            });
            if let Some(old) = lines.get_mut(place) {
                gone = std::mem::replace(old, line);
            }
        } else if let Some(lines) = self.runs.get_mut(&run) {
            if let Some(old) = lines.get_mut(place) {
                gone = std::mem::replace(old, line);
            }
            if lines.iter().all(Line::is_empty) {
                self.runs.remove(&run);
                self.bytes -= RUN_BYTES;
            }
        }
        self.bytes -= gone.bytes();
        if let Some(before) = &mut self.before {
            before.entry(series).or_insert(gone);
        }
    }

    /// From now on what changes is kept as it is now.
    pub(super) fn begin_look(&mut self) {
        self.before = Some(Changed::new());
    }

    /// What changed since then.
    pub(super) fn end_look(&mut self) -> Changed {
        self.before.take().unwrap_or_default()
    }

    /// Whether somebody looks.
    pub(super) fn is_looked_at(&self) -> bool {
        self.before.is_some()
    }

    /// Whether the line of a series changed since somebody began to look.
    pub(super) fn is_changed(&self, series: u32) -> bool {
        self.before.as_ref().is_some_and(|before| before.contains_key(&series))
    }

    /// How much memory it takes, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// All lines by series.
    #[cfg(test)]
    pub(super) fn state(&self) -> impl Iterator<Item = (u32, &Line)> {
        let Self { runs, before: _, bytes: _ } = self;
        let all = runs.keys().flat_map(|run| (run * RUN..).take(RUN as usize));
        all.filter_map(|series| Some((series, self.get(series)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::place::Class;
    use crate::exposition::place::On;
    use crate::exposition::place::Place;
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

    /// All of it, and what a line takes is what its places take.
    #[test]
    fn what_is_removed_gives_its_memory_back() {
        let mut lines = Lines::default();
        let mut sizes = vec![lines.bytes()];
        for series in 0..100 {
            let Line::One(place) = line(1) else { continue };
            lines.set(series, if series % 3 == 0 { Line::Many(vec![place; 30]) } else { line(1) });
            sizes.push(lines.bytes());
        }
        assert_eq!(lines.bytes(), 13 * (size_of::<Run>() + 32) + 34 * 1280, "30 places take {}", 30 * size_of::<Place>());
        for series in (0..100).rev() {
            assert_eq!(sizes.pop(), Some(lines.bytes()));
            lines.set(series, Line::default());
        }
        assert_eq!(lines.bytes(), 0);
    }

    /// Whoever looks a part at a time is told what was there at first, however often it changed since.
    #[test]
    fn what_changes_while_somebody_looks_is_kept_as_it_was() {
        let mut lines = Lines::default();
        lines.set(1, line(1));
        lines.set(2, line(2));
        lines.begin_look();
        for value in [7, 8] {
            lines.set(1, line(value));
            lines.set(3, line(value));
        }
        lines.set(1, Line::default());
        assert_eq!([1, 2, 3].map(|series| lines.is_changed(series)), [true, false, true]);
        let changed = lines.end_look();
        assert_eq!((changed.len(), changed[&1].places()[0].value, changed[&3].is_empty()), (2, 1.0, true));
        lines.set(2, line(3));
        assert!(!lines.is_changed(2) && lines.end_look().is_empty());
    }
}
