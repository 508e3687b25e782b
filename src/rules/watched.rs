//! What a rule file about a state watches, and how.

use std::time::Duration;

use crate::words::entities::ENTITIES;

/// After how long an event that its attributes alone identify leaves the gauge, by default.
const OPEN_AT_MOST: Duration = Duration::from_hours(7 * 24);
const DAY: Duration = Duration::from_hours(24);

/// What a rule file about a state watches, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    /// The name of the event whose start and stop bound the state.
    pub event_name: String,
    /// The value of the attribute `state`; none when the events carry no such attribute.
    pub state: Option<String>,
    /// The labels that together tell one entity from another. A start and a stop have to agree in them.
    pub entity: Vec<String>,
    /// How long the state may last; whole seconds count.
    pub limit: Duration,
    pub pattern: Pattern,
    pub dialect: Dialect,
    pub notify: Notify,
}

impl Stuck {
    /// Whether the gauge may lose an event before the limit, or hardly a day after: one that its attributes alone identify leaves
    /// it after `--open.max-age`, which is 7 days unless the server is told otherwise.
    pub fn is_near_max_age(&self) -> bool {
        let is_identified = self.entity.iter().any(|label| ENTITIES.contains(&label.as_str()));
        self.pattern == Pattern::Open && !is_identified && self.limit.saturating_add(DAY) >= OPEN_AT_MOST
    }
}

/// What in the data tells that a state lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// The gauge of open events.
    Open,
    /// A start without a later stop.
    Duration,
    /// Starts that are sent again and again.
    Heartbeat,
}

/// Who evaluates the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Prometheus, and whatever speaks its language.
    Promql,
    /// vmalert with `VictoriaMetrics`.
    Metricsql,
}

/// What becomes one alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notify {
    /// Each entity.
    Each,
    /// All entities together: their count, and the one that is in the state for longest.
    Grouped,
}

/// The window in which a start is looked for. A window no longer than the limit never fires, one a little longer
/// fires and resolves by itself soon after; the table is that of the Last9 document, its first row the floor.
pub(super) fn lookback(limit: Duration) -> Duration {
    let hours = limit.as_secs().div_ceil(3600);
    Duration::from_hours(match hours {
        0..=1 => 6,
        2..=4 => 12,
        5..=12 => 48,
        13..=24 => 72,
        longer => longer.saturating_mul(3),
    })
}
