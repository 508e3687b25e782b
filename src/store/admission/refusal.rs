//! Limits that something would exceed: what each is about, and when the same may be taken.

use std::time::Duration;

/// Names the limit of memory.
const MEMORY_FLAG: &str = "--limit.memory";

/// A hard bound of the numbering.
pub(in crate::store) const FULL: Refusal = Refusal::of_program("rows", u32::MAX as usize);
/// The same of label names.
pub(in crate::store) const FULL_OF_NAMES: Refusal = Refusal::of_program("label names", u16::MAX as usize + 1);

/// A limit that a command would exceed. Each of them passes: when something ends, or with time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {limit} are there already, the most that {flag} allows")]
pub struct Refusal {
    /// What there would be too many of.
    pub what: &'static str,
    /// How many are allowed.
    pub limit: usize,
    /// The flag that sets it.
    pub flag: &'static str,
    /// Whose limit it is.
    pub of: Limited,
    /// When the same may be taken at the earliest, as far as that can be known.
    pub wait: Duration,
}

/// Whose a limit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limited {
    /// An organization's: its own things fill it.
    Organization,
    /// The server's: it has no room now, whoever asks.
    Server,
}

impl Refusal {
    /// What comes free when something ends, at any moment: not asked for sooner than this, so that nobody storms.
    const SOON: Duration = Duration::from_mins(1);
    /// What comes free by retention alone.
    const LATER: Duration = Duration::from_mins(10);

    pub(in crate::store) const fn of_open_events(limit: usize) -> Self {
        Self { what: "open events", limit, flag: "--limit.open-events", of: Limited::Organization, wait: Self::SOON }
    }

    pub(in crate::store) const fn of_label_sets(limit: usize) -> Self {
        Self { what: "label sets", limit, flag: "--limit.label-sets", of: Limited::Organization, wait: Self::LATER }
    }

    pub(in crate::store) const fn of_clusters(limit: usize) -> Self {
        Self { what: "clusters (data_source_name)", limit, flag: "--limit.clusters", of: Limited::Organization, wait: Self::LATER }
    }

    /// The first of them lapses after `wait`.
    pub(in crate::store) fn of_keys(limit: usize, wait: Duration) -> Self {
        let (what, flag) = ("idempotency keys of one day", "--limit.idempotency-keys");
        Self { what, limit, flag, of: Limited::Organization, wait: wait.max(Self::SOON) }
    }

    pub(in crate::store) const fn of_memory(limit: usize) -> Self {
        Self { what: "bytes of memory for events", limit, flag: MEMORY_FLAG, of: Limited::Server, wait: Self::SOON }
    }

    /// A bound of the program itself.
    pub(in crate::store) const fn of_program(what: &'static str, limit: usize) -> Self {
        Self { what, limit, flag: "the program", of: Limited::Server, wait: Self::LATER }
    }

    /// Whether there is no memory now.
    pub fn is_of_memory(&self) -> bool {
        self.flag == MEMORY_FLAG
    }
}
