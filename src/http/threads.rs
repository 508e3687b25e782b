//! Which threads requests are answered by, beside the async ones. Each kind of work has its own, so that none waits for another.

use std::io;

use crate::http::seats::Seats;
use crate::threads::Workers;

/// Pages rendered, and questions answered, at the same time: each takes a processor for as long as it lasts.
const HEAVY: usize = 4;
/// Single events looked up at the same time: each waits for the lock of its tenant and does not take long.
const LOOKUPS: usize = 8;
/// Most threads that inflate and parse: one for each processor and one more, where there are not more processors than that.
const BODIES_MAX: usize = 16;
/// The log is read and closed, and the configuration read again.
const OPERATIONS: usize = 2;

/// All of them; cheap to clone.
#[derive(Clone, Debug)]
pub struct Threads {
    pub(crate) pages: Workers,
    pub(crate) questions: Workers,
    pub(crate) lookups: Workers,
    /// For inflating and parsing what is larger than a buffer, and for long answers to what was sent.
    pub(crate) bodies: Workers,
    /// For what the server does itself.
    pub operations: Workers,
}

impl Threads {
    /// One thread of each kind, which is what a server needs; see [`Threads::grow`].
    pub fn start() -> io::Result<Self> {
        Ok(Self {
            pages: Workers::start("pages")?,
            questions: Workers::start("questions")?,
            lookups: Workers::start("lookups")?,
            bodies: Workers::start("bodies")?,
            operations: Workers::start("operations")?,
        })
    }

    /// Makes the others that are of use; answers how many there are of how many.
    pub fn grow(&self) -> (usize, usize) {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let wanted = [
            (&self.pages, HEAVY),
            (&self.questions, HEAVY),
            (&self.lookups, LOOKUPS),
            (&self.bodies, BODIES_MAX.min(processors + 1)),
            (&self.operations, OPERATIONS),
        ];
        wanted.into_iter().fold((0, 0), |(made, of), (workers, count)| (made + workers.grow(count), of + count))
    }
}

/// Threads for one kind of work, each of which is taken by one work at a time; whoever finds none waits for a while.
#[derive(Clone, Debug)]
pub(crate) struct Team {
    pub(crate) workers: Workers,
    /// As many as there are threads.
    pub(crate) seats: Seats,
}

impl Team {
    /// All of these; of each who asks so many may wait.
    pub(crate) fn new(workers: Workers, waiting_max: usize) -> Self {
        Self { seats: Seats::new(workers.threads(), waiting_max), workers }
    }
}
