//! Writes ready alert rule files for states that last too long.
//!
//! Pure: what to watch in, the text of a rule file out. The text always passes `promtool check rules`, or there is
//! an error instead; names of events and states get only into quoted strings of an expression, which nothing in them ends.
//! The files in `alerts/stuck-*` and `alerts/deployments.*` are this module's output, so what is proven of them holds for what it writes.

use std::time::Duration;

use expression::Expression;

mod deployments;
mod expression;
mod file;
mod outcomes;
mod quote;
mod watched;

pub use watched::Dialect;
pub use watched::Notify;
pub use watched::Pattern;
pub use watched::Stuck;

#[cfg(test)]
mod tests;

/// The shortest limit of a heartbeat rule: below it the 5 min for which a beat counts decide, not the limit.
const HEARTBEAT_LIMIT_MIN: Duration = Duration::from_mins(10);
/// The longest limit of a heartbeat rule: its expression is evaluated once per minute of the limit.
const HEARTBEAT_LIMIT_MAX: Duration = Duration::from_hours(7 * 24);
/// The shortest limit of the other rules: evaluation and scrape are about this far apart.
const LIMIT_MIN: Duration = Duration::from_mins(1);
/// The longest limit of the other rules.
const LIMIT_MAX: Duration = Duration::from_hours(365 * 24);
/// How much of a refused value an error shows, in characters.
const SHOWN_MAX: usize = 80;

/// Why no rule file was written.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    #[error("{field} is empty, and an empty matcher selects the events that lack the label")]
    Empty { field: &'static str },
    #[error("{field} `{value}` holds U+FFFD, the replacement character: Prometheus loads a rule with it and fails at each evaluation")]
    Replacement { field: &'static str, value: String },
    #[error("no entity label is given: without one all entities count as one")]
    NoEntity,
    #[error("entity label `{label}` is given twice")]
    Repeated { label: String },
    #[error("`{label}` cannot be an entity label")]
    Label { label: String, source: LabelError },
    #[error("a limit of {limit} is out of bounds: {pattern} rules take {least} to {most}")]
    Limit { pattern: &'static str, limit: String, least: String, most: String },
    #[error("a limit of {limit} is not in whole minutes: a heartbeat rule counts in steps of a minute")]
    Steps { limit: String },
}

/// Why a label cannot stand in `by (...)`, in `on (...)` and on an alert.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    #[error("it is empty")]
    Empty,
    #[error("a label name is [a-zA-Z_][a-zA-Z0-9_]*; on the page it is `{mapped}`")]
    Name { mapped: String },
    #[error("PromQL reads it as a {0}")]
    Taken(&'static str),
    #[error("it is the scrape job, it only tells one exporter from another; an attribute `job` is `exported_job` in Prometheus")]
    Job,
    #[error("it is the address of the exporter, which may change; an attribute `instance` is `exported_instance` in Prometheus")]
    Instance,
    #[error("one rule is about one event name")]
    EventName,
    #[error("a start and a stop differ in it")]
    EventState,
    #[error("the rule is about one state")]
    State,
    #[error("the rule sets this label of the alert itself")]
    Alert,
    #[error("names that start with `__` are internal")]
    Internal,
}

/// Writes the rule file, with a header that says when to use it and what it costs.
pub fn stuck(stuck: &Stuck) -> Result<String, RulesError> {
    check_name("event name", &stuck.event_name)?;
    if let Some(state) = &stuck.state {
        check_name("state", state)?;
    }
    check_entity(stuck)?;
    check_limit(stuck.pattern, stuck.limit)?;
    Ok(file::write(stuck, &Expression::of(stuck)))
}

/// Writes the rule file about deployments.
pub fn deployments(dialect: Dialect) -> String {
    deployments::write(dialect)
}

/// How a change ended, and which ends are of one change, for expressions of one's own and for the dashboards: JSON. `labels` are
/// those that say how it ended, `decided` adds a label `decided` to what stands for `VECTOR`, which is aggregated by these
/// labels, `change` a label `change`.
pub fn parts() -> String {
    let json = serde_json::json!({
        "labels": outcomes::labels().join(", "),
        "decided": outcomes::decided("VECTOR"),
        "success": outcomes::meant("success"),
        "failure": outcomes::meant("failure"),
        "change": deployments::change("VECTOR"),
    });
    format!("{json:#}\n")
}

fn check_name(field: &'static str, value: &str) -> Result<(), RulesError> {
    if value.is_empty() {
        return Err(RulesError::Empty { field });
    }
    if value.contains(char::REPLACEMENT_CHARACTER) {
        return Err(RulesError::Replacement { field, value: shown(value) });
    }
    Ok(())
}

fn check_entity(stuck: &Stuck) -> Result<(), RulesError> {
    let entity = &stuck.entity;
    if entity.iter().all(|label| label == "job") && !entity.is_empty() {
        return Err(RulesError::Label { label: "job".into(), source: LabelError::Job });
    }
    for (index, label) in entity.iter().enumerate() {
        check_label(label, stuck).map_err(|source| RulesError::Label { label: shown(label), source })?;
        if entity.iter().take(index).any(|other| other == label) {
            return Err(RulesError::Repeated { label: label.clone() });
        }
    }
    if entity.is_empty() {
        return Err(RulesError::NoEntity);
    }
    Ok(())
}

fn check_label(label: &str, stuck: &Stuck) -> Result<(), LabelError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if label.is_empty() {
        return Err(LabelError::Empty);
    }
    if !label.chars().all(fits) || label.starts_with(|c: char| c.is_ascii_digit()) {
        let mut mapped: String = label.chars().map(|c| if fits(c) { c } else { '_' }).collect();
        if mapped.starts_with(|c: char| c.is_ascii_digit()) {
            mapped.insert(0, '_');
        }
        return Err(LabelError::Name { mapped: shown(&mapped) });
    }
    match label.to_ascii_lowercase().as_str() {
        "inf" | "nan" => return Err(LabelError::Taken("number")),
        "without" => return Err(LabelError::Taken("keyword")),
        _ => {}
    }
    match label {
        "event_name" => Err(LabelError::EventName),
        "event_state" => Err(LabelError::EventState),
        "state" if stuck.state.is_some() => Err(LabelError::State),
        "instance" => Err(LabelError::Instance),
        "alertname" | "severity" => Err(LabelError::Alert),
        _ if label.starts_with("__") => Err(LabelError::Internal),
        _ => Ok(()),
    }
}

fn check_limit(pattern: Pattern, limit: Duration) -> Result<(), RulesError> {
    let (name, least, most) = match pattern {
        Pattern::Open => ("open", LIMIT_MIN, LIMIT_MAX),
        Pattern::Duration => ("duration", LIMIT_MIN, LIMIT_MAX),
        Pattern::Heartbeat => ("heartbeat", HEARTBEAT_LIMIT_MIN, HEARTBEAT_LIMIT_MAX),
    };
    if limit < least || limit > most {
        return Err(RulesError::Limit {
            pattern: name,
            limit: format!("{limit:?}"),
            least: quote::duration(least),
            most: quote::duration(most),
        });
    }
    if pattern == Pattern::Heartbeat && (!limit.as_secs().is_multiple_of(60)) {
        return Err(RulesError::Steps { limit: format!("{limit:?}") });
    }
    Ok(())
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_MAX).collect()
}
