//! The expressions of the patterns, as text.
//!
//! Each compares start and stop of an entity, so that one which enters the state again after an old stop counts.
//! `last_over_time` carries a gauge over a failed scrape, `max` over a new address and over replicas.

use std::time::Duration;

use crate::rules::quote;
use crate::rules::watched::Dialect;
use crate::rules::watched::Pattern;
use crate::rules::watched::Stuck;
use crate::rules::watched::lookback;
use crate::words::ends;

const SAMPLES: &str = "last9_change_events";
const TIMES: &str = "last9_change_events_timestamp_seconds";
const OPEN: &str = "last9_change_events_open_timestamp_seconds";
/// How far back a rule on the open gauge looks for stops: as old as a sample may be when Prometheus takes it.
const STOPS: Duration = Duration::from_hours(1);

/// The two halves of a rule's expression.
pub(crate) struct Expression {
    /// One element per entity; its value is what the limit is compared with.
    pub value: String,
    /// What is too much, with the operator.
    pub condition: String,
}

impl Expression {
    pub(crate) fn of(stuck: &Stuck) -> Self {
        let seconds = stuck.limit.as_secs();
        match stuck.pattern {
            Pattern::Open => Self::open(stuck),
            Pattern::Duration => Self { value: age(stuck, &edge(stuck, "start"), &edge(stuck, "stop")), condition: format!("> {seconds}") },
            Pattern::Heartbeat => Self { value: Self::beats_within(stuck, stuck.limit), condition: format!(">= {}", seconds / 60) },
        }
    }

    /// By the open gauge. Its last value is carried over an outage for 10 min, so a stop is looked at too. Where the
    /// limit is no shorter than the hour in which stops are looked for, each of them is later than a start beyond the
    /// limit, and need not be compared with it, which would read the gauge twice.
    fn open(stuck: &Stuck) -> Self {
        let seconds = stuck.limit.as_secs();
        let start = format!("last_over_time({}[10m])", selector(stuck, OPEN, None));
        let stop = format!("last_over_time({}[1h])", selector(stuck, TIMES, Some("stop")));
        if stuck.limit < STOPS {
            return Self { value: age(stuck, &start, &stop), condition: format!("> {seconds}") };
        }
        let (labels, entity) = (Self::labels(stuck).join(", "), stuck.entity.join(", "));
        Self {
            value: format!("max by ({labels}) (\n  time() - max without (instance) ({start})\n)"),
            condition: format!("> {seconds}\nunless on ({entity})\n{stop}"),
        }
    }

    /// In how many minutes of the window the entity has beaten, and not stopped in the 5 min before. A range holds
    /// one step more in Prometheus 2 than in 3, where it is open on the left.
    pub(crate) fn beats_within(stuck: &Stuck, window: Duration) -> String {
        let labels = Self::labels(stuck).join(", ");
        let entity = stuck.entity.join(", ");
        let start = selector(stuck, SAMPLES, Some("start"));
        let stop = selector(stuck, SAMPLES, Some("stop"));
        let window = quote::duration(window);
        format!(
            "\
count_over_time(
  (
    max by ({labels}) (last_over_time({start}[5m]))
    unless on ({entity})
    last_over_time({stop}[5m])
  )[{window}:1m]
)"
        )
    }

    /// The labels of a per-entity alert, besides those that the rule sets itself.
    pub(crate) fn labels(stuck: &Stuck) -> Vec<&str> {
        let mut labels = Self::group(stuck);
        labels.extend(stuck.entity.iter().map(String::as_str));
        labels
    }

    /// The labels of a grouped alert.
    pub(crate) fn group(stuck: &Stuck) -> Vec<&str> {
        let mut labels = vec!["event_name"];
        labels.extend(stuck.state.as_ref().map(|_| "state"));
        labels
    }
}

/// The time of the last edge of this state, per series, as far as the lookback reaches. `MetricsQL` takes it from the
/// samples themselves, as the Last9 document does; `PromQL` has no such function and reads it from the values.
fn edge(stuck: &Stuck, event_state: &str) -> String {
    let window = quote::duration(lookback(stuck.limit));
    match stuck.dialect {
        Dialect::Promql => format!("last_over_time({}[{window}])", selector(stuck, TIMES, Some(event_state))),
        Dialect::Metricsql => format!("timestamp({}[{window}])", selector(stuck, SAMPLES, Some(event_state))),
    }
}

/// Seconds since the start, for entities with no stop, or with a start later than their last stop.
fn age(stuck: &Stuck, start: &str, stop: &str) -> String {
    let labels = Expression::labels(stuck).join(", ");
    let entity = stuck.entity.join(", ");
    format!(
        "\
max by ({labels}) (
  time() - (
    (
      max without (instance) ({start})
      unless on ({entity})
      {stop}
    )
    or
    (
      max without (instance) ({start})
      > on ({entity}) group_left ()
      max by ({entity}) ({stop})
    )
  )
)"
    )
}

fn selector(stuck: &Stuck, metric: &str, event_state: Option<&str>) -> String {
    let names = if event_state == Some("stop") { ends::stops_of(&stuck.event_name) } else { vec![stuck.event_name.clone()] };
    let event_name = match names.as_slice() {
        [one] => format!("event_name={}", quote::string(one)),
        // A stop may have a name of its own: what `deployment_start` began is over with `deployment_complete`.
        several => format!("event_name=~{}", quote::string(&several.iter().map(|name| quote::pattern(name)).collect::<Vec<_>>().join("|"))),
    };
    let mut matchers = vec![event_name];
    matchers.extend(stuck.state.as_ref().map(|state| format!("state={}", quote::string(state))));
    matchers.extend(event_state.map(|state| format!("event_state={}", quote::string(state))));
    format!("{metric}{{{}}}", matchers.join(","))
}
