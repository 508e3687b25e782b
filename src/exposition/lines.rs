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

    /// Sets or removes the line of a series.
    pub(super) fn set(&mut self, series: u32, line: Option<Line>) {
        let run = series / RUN;
        if let Some(line) = line {
            let run = self.runs.entry(run).or_default();
            if let Some(old) = run.get_mut((series % RUN) as usize) {
                *old = line;
            }
            return;
        }
        let Some(lines) = self.runs.get_mut(&run) else { return };
        if let Some(old) = lines.get_mut((series % RUN) as usize) {
            *old = Line::default();
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
