//! What the sender of what was taken should know: labels that say less than was sent, samples that are not simply shown.

use std::borrow::Cow;
use std::fmt::Display;

use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::response::Response;

use crate::exposition::Exposure;
use crate::mapping::Warning;
use crate::telemetry::Telemetry;

/// Where the sender is told what an answer has no place for.
const WARNINGS: HeaderName = HeaderName::from_static("x-change-events-warnings");

/// Everything that is not simply as sent and simply shown.
pub(crate) fn warnings(mapping: &[Warning], exposure: Option<&Exposure>) -> Vec<Cow<'static, str>> {
    let mut warnings: Vec<Cow<'static, str>> = mapping.iter().map(|warning| Cow::Owned(warning.to_string())).collect();
    match exposure {
        None | Some(Exposure::Shown) => {}
        Some(Exposure::Queued { until }) => {
            warnings.push(format!("queued: its series shows another sample first; on /metrics from {until}").into());
        }
        Some(Exposure::Scheduled { at }) => warnings.push(format!("scheduled: on /metrics when its time comes, at {at}").into()),
        Some(Exposure::Coalesced) => warnings.push("coalesced: it repeats a waiting start, and only the newest of these is shown on /metrics".into()),
        Some(Exposure::Late) => warnings.push(
            "late: its series has shown a newer sample, so this one is on /metrics only for a scraper with an out-of-order window (parameter `window`)".into(),
        ),
        Some(Exposure::Old) => warnings.push(
            "old: beyond the age that a scraper without an out-of-order window accepts; on /metrics only with the parameter `window`".into(),
        ),
        Some(Exposure::Crowded) => warnings.push("crowded: too many samples of its series wait already; this one will not be on /metrics".into()),
        Some(Exposure::Duplicate) => {
            warnings.push("same instant: its series has another sample of the same millisecond, and the first one is kept on /metrics".into());
        }
    }
    warnings
}

/// Counts what labels lost.
pub(crate) fn count_warnings(telemetry: &Telemetry, warnings: &[Warning]) {
    for warning in warnings {
        match warning {
            Warning::Cut { .. } => telemetry.label_values_cut.inc(),
            Warning::Collision { .. } => telemetry.label_collisions.inc(),
            Warning::LeftOut { labels } => telemetry.labels_left_out.inc_by(u64::try_from(labels.len()).unwrap_or(u64::MAX)),
            Warning::Reserved { .. } | Warning::OddStart { .. } | Warning::Epoch { .. } => 0,
        };
    }
}

/// Adds the warnings to the headers, for the doors whose answers have no place for them.
pub(crate) fn warn(response: &mut Response, warnings: &[impl Display]) {
    if warnings.is_empty() {
        return;
    }
    let text = warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let text: String = text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).take(1000).collect();
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().insert(WARNINGS, value);
    }
}
