//! What senders of change events are told.

use std::borrow::Cow;
use std::fmt::Write as _;

use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::Response;
use serde::Serialize;
use serde_json::json;

use crate::account::Lease;
use crate::event::EdgeId;
use crate::exposition::Exposure;
use crate::formats::Warning;
use crate::http::change_events::MEMORY_RETRY_SECONDS;
use crate::http::change_events::reason;
use crate::http::change_events::refused_by_writer;
use crate::http::change_events::status_of;
use crate::http::error::ApiError;
use crate::http::error::held_json_response;
use crate::http::error::json_response;
use crate::telemetry::Telemetry;
use crate::time::Timestamp;
use crate::writer::Refused;

/// Most lines of a stream that the answer names.
const LISTED_MAX: usize = 1000;
/// A stream ends when so many more of its lines were refused than taken.
const REFUSED_MORE_MAX: usize = 10_000;

/// 200 for one event. Written by hand: this is the answer that is given most.
pub(super) fn taken(id: EdgeId, at: Timestamp, warnings: &[Cow<'static, str>]) -> Response {
    let mut body = String::with_capacity(128);
    write!(body, r#"{{"message":"success","id":"{id}","timestamp":"{at}""#).ok();
    if !warnings.is_empty() {
        write!(body, r#","warnings":{}"#, json!(warnings)).ok();
    }
    body.push('}');
    json_response(StatusCode::OK, body)
}

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

/// One event of an array or a stream.
#[derive(Debug, Serialize)]
pub(super) struct Item {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What our metrics say of it.
    #[serde(skip)]
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// Its line in the stream, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Cow<'static, str>>,
}

impl Item {
    pub(super) fn taken(id: EdgeId, at: Timestamp, warnings: Vec<Cow<'static, str>>) -> Self {
        Self { line: None, id: Some(id.to_string()), timestamp: Some(at.to_string()), warnings, status: None, error: None, reason: "" }
    }

    pub(super) fn refused_by(refused: &Refused) -> Self {
        Self { reason: refused_by_writer(refused).reason, ..Self::refused(status_of(refused), refused.to_string()) }
    }

    pub(super) fn refused(status: u16, error: String) -> Self {
        let (reason, error) = (reason(status), Some(error));
        Self { line: None, id: None, timestamp: None, warnings: Vec::new(), status: Some(status), error, reason }
    }

    pub(super) fn on_line(self, number: u64) -> Self {
        Self { line: Some(number), ..self }
    }
}

/// The events of one array, in their order.
#[derive(Debug, Default)]
pub(super) struct BatchAnswer {
    results: Vec<Item>,
}

impl BatchAnswer {
    pub(super) fn push(&mut self, item: Item) {
        self.results.push(item);
    }

    pub(super) fn count_refused(&self, telemetry: &Telemetry) {
        for item in self.results.iter().filter(|item| item.status.is_some()) {
            telemetry.refused.get_or_create(&[("reason", item.reason)]).inc();
        }
    }

    /// 200 when all were taken, 207 when some were; when none was, the status of the first, and its text as `error`.
    pub(super) fn respond(self, room: Lease) -> Result<Response, ApiError> {
        #[derive(Serialize)]
        struct Body {
            #[serde(flatten)]
            summary: serde_json::Map<String, serde_json::Value>,
            results: Vec<Item>,
        }
        let refused = self.results.iter().filter(|item| item.status.is_some()).count();
        let first = self.results.iter().find(|item| item.status.is_some());
        let summary = Summary::of(self.results.len() - refused, refused, first);
        let body = serde_json::to_vec(&Body { summary: summary.fields, results: self.results }).map_err(|_| ApiError::internal())?;
        let mut response = held_json_response(summary.status, body, room);
        if summary.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(MEMORY_RETRY_SECONDS));
        }
        Ok(response)
    }
}

/// The lines of one stream: totals, and only the lines that the sender should look at.
#[derive(Debug, Default)]
pub(super) struct StreamAnswer {
    accepted: usize,
    duplicates: usize,
    refused: usize,
    warned: usize,
    listed: Vec<Item>,
    first_refused: Option<Item>,
}

impl StreamAnswer {
    pub(super) fn taken(&mut self) {
        self.accepted += 1;
    }

    /// One more was there already.
    pub(super) fn duplicate(&mut self) {
        self.accepted += 1;
        self.duplicates += 1;
    }

    pub(super) fn warned(&mut self, item: impl FnOnce() -> Item) {
        self.warned += 1;
        if self.listed.len() < LISTED_MAX {
            self.listed.push(item());
        }
    }

    /// How many of the refused lines that come next have to be told apart.
    pub(super) fn room(&self) -> usize {
        (LISTED_MAX - self.listed.len()).max(usize::from(self.first_refused.is_none()))
    }

    pub(super) fn refused(&mut self, line: u64, status: u16, error: String) {
        self.refused += 1;
        if self.listed.len() < LISTED_MAX {
            self.listed.push(Item::refused(status, error.clone()).on_line(line));
        }
        self.first_refused.get_or_insert_with(|| Item::refused(status, error).on_line(line));
    }

    /// So many more were, which are only counted.
    pub(super) fn refused_too(&mut self, lines: usize) {
        self.refused += lines;
    }

    /// Whether so many more were refused than taken that nobody looks at the rest.
    pub(super) fn is_hopeless(&self) -> bool {
        self.refused > self.accepted + REFUSED_MORE_MAX
    }

    /// Why the stream ends before a line.
    pub(super) fn ended_before(&self, line: u64) -> ApiError {
        let status = self.first_refused.as_ref().and_then(|item| item.status).unwrap_or(400);
        let message = format!(
            "the stream ends here: {REFUSED_MORE_MAX} more of its lines were refused than taken; line {line} and what comes after it was not looked at"
        );
        ApiError::new(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST), reason(status), message)
    }

    /// 200 when all were taken, 207 when some were, else the status of the first. `broken` ended the stream early: what was
    /// taken until then stays taken.
    pub(super) fn respond(self, broken: Option<ApiError>) -> Response {
        /// In the order of their names, as objects are.
        #[derive(Serialize)]
        struct Body<'a> {
            accepted: usize,
            duplicates: usize,
            #[serde(skip_serializing_if = "Option::is_none")]
            error: Option<serde_json::Value>,
            items: &'a [Item],
            #[serde(skip_serializing_if = "Option::is_none")]
            items_omitted: Option<usize>,
            #[serde(skip_serializing_if = "Option::is_none")]
            message: Option<serde_json::Value>,
            refused: usize,
            warned: usize,
        }
        let Summary { status, mut fields } = Summary::of(self.accepted, self.refused, self.first_refused.as_ref());
        let (mut message, mut error) = (fields.remove("message"), fields.remove("error"));
        if let Some(broken) = &broken {
            (message, error) = (None, Some(json!(broken.message)));
        }
        let omitted = self.refused + self.warned - self.listed.len();
        let body = Body {
            accepted: self.accepted,
            duplicates: self.duplicates,
            error,
            items: &self.listed,
            items_omitted: (omitted > 0).then_some(omitted),
            message,
            refused: self.refused,
            warned: self.warned,
        };
        let body = serde_json::to_string(&body).unwrap_or_default();
        match broken {
            Some(error) => error.respond_with(body),
            None => json_response(status, body),
        }
    }
}

struct Summary {
    status: StatusCode,
    fields: serde_json::Map<String, serde_json::Value>,
}

impl Summary {
    fn of(taken: usize, refused: usize, first: Option<&Item>) -> Self {
        let mut fields = serde_json::Map::new();
        let status = match (taken, first) {
            (_, None) => StatusCode::OK,
            (0, Some(item)) => item.status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::BAD_REQUEST),
            _ => StatusCode::MULTI_STATUS,
        };
        if taken == 0 && refused > 0 {
            let first = first.and_then(|item| item.error.as_deref()).unwrap_or_default();
            fields.insert("error".to_owned(), json!(format!("none of {refused} events was taken; the first: {first}")));
        } else {
            let message = if refused == 0 { "success" } else { "partial" };
            fields.insert("message".to_owned(), json!(message));
        }
        Self { status, fields }
    }
}
