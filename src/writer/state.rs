//! All that the log is folded into.

use super::course::Course;
use super::memory::Memory;

/// What a start makes of the log, and what an image of it would hold in place of its records: nothing else of the writer's depends
/// on them.
#[derive(Debug)]
pub(super) struct State {
    /// What readers see.
    pub(super) memory: Memory,
    /// What the log says of itself.
    pub(super) course: Course,
}

impl State {
    /// The same at `now` in lines, for tests that compare two of them: keys that are over by then are gone at the next question.
    #[cfg(test)]
    pub(super) fn lines(&self, now: crate::time::Timestamp) -> Vec<String> {
        let Self { memory: Memory { store, pages }, course } = self;
        [course.lines(), store.state(now), pages.state()].concat()
    }
}
