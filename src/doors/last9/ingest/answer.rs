//! What senders of change events are told.

use crate::intake::unmatched::Told;
use crate::intake::warnings::warnings;
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
use crate::http::error::ApiError;
use crate::http::error::held_json_response;
use crate::http::error::json_response;
use crate::http::refusals::reason;
use crate::mapping::Warning;
use crate::telemetry::Telemetry;
use crate::time::Timestamp;
use crate::writer::Taken;

/// Most lines of a stream that the answer names.
const LISTED_MAX: usize = 1000;
/// What the answer to an array says in words is at most so much longer than the array.
const TEXTS_BYTES: usize = 64 * 1024;
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

/// What its sender should know of an edge that was taken.
pub(super) fn warnings_of(mapping: &[Warning], taken: &Taken, told: &Told) -> Vec<Cow<'static, str>> {
    let mut warnings = warnings(mapping, taken.exposure.as_ref());
    warnings.extend(told.of(taken).map(|told| Cow::Owned(told.to_owned())));
    warnings.extend(taken.unlabelled.iter().map(|lost| Cow::Owned(lost.to_string())));
    warnings
}

/// One event of an array or a stream.
#[derive(Debug, Serialize)]
pub(super) struct Item {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// Its line in the stream, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    /// It may be taken when it is sent again after so many seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Cow<'static, str>>,
    /// Why it was refused, for our metrics.
    #[serde(skip)]
    reason: &'static str,
}

impl Item {
    pub(super) fn taken(id: EdgeId, at: Timestamp, warnings: Vec<Cow<'static, str>>) -> Self {
        Self { id: Some(id.to_string()), timestamp: Some(at.to_string()), warnings, ..Self::NOTHING }
    }

    pub(super) fn refused(error: ApiError) -> Self {
        Self {
            status: Some(error.status.as_u16()),
            error: Some(error.message.into_owned()),
            retry_after: error.retry_after,
            reason: error.reason,
            ..Self::NOTHING
        }
    }

    const NOTHING: Self =
        Self { error: None, id: None, line: None, retry_after: None, status: None, timestamp: None, warnings: Vec::new(), reason: "" };

    pub(super) fn on_line(self, number: u64) -> Self {
        Self { line: Some(number), ..self }
    }

    /// Bytes of what it says in words.
    fn text_bytes(&self) -> usize {
        self.error.as_ref().map_or(0, String::len) + self.warnings.iter().map(|warning| warning.len()).sum::<usize>()
    }
}

/// Why something was refused, as it stands for all that was.
#[derive(Debug)]
struct Reason {
    status: u16,
    retry_after: Option<u32>,
    text: String,
}

impl Reason {
    fn of(item: &Item) -> Option<Self> {
        let text = item.error.clone().unwrap_or_default();
        item.status.map(|status| Self { status, retry_after: item.retry_after, text })
    }
}

/// What stands for all that was refused: the first, or the first that may be taken when it is sent again, where there is one.
#[derive(Debug, Default)]
struct Reasons {
    count: usize,
    first: Option<Reason>,
    passing: Option<Reason>,
}

impl Reasons {
    fn add(&mut self, item: &Item) {
        self.count += 1;
        if self.first.is_none() {
            self.first = Reason::of(item);
        }
        if self.passing.is_none() && item.retry_after.is_some() {
            self.passing = Reason::of(item);
        }
    }

    fn main(&self) -> Option<&Reason> {
        self.passing.as_ref().or(self.first.as_ref())
    }

    /// The text of an answer to what was refused as a whole.
    fn text(&self) -> String {
        let is_first = self.passing.is_none() || self.first.as_ref().is_some_and(|first| first.retry_after.is_some());
        let which = if is_first { "the first" } else { "the first that may be sent again" };
        format!("none of {} events was taken; {which}: {}", self.count, self.main().map_or("", |reason| &reason.text))
    }
}

/// The events of one array, in their order.
#[derive(Debug)]
pub(super) struct BatchAnswer {
    results: Vec<Item>,
    refused: Reasons,
    /// Errors and warnings may have so many bytes more.
    texts_left: usize,
    texts_omitted: usize,
}

impl BatchAnswer {
    /// To an array of so many bytes: that much is said in words, and [`TEXTS_BYTES`] more.
    pub(super) fn to(body_bytes: usize) -> Self {
        Self { results: Vec::new(), refused: Reasons::default(), texts_left: body_bytes.saturating_add(TEXTS_BYTES), texts_omitted: 0 }
    }

    pub(super) fn push(&mut self, mut item: Item) {
        if item.status.is_some() {
            self.refused.add(&item);
        }
        if let Some(left) = self.texts_left.checked_sub(item.text_bytes()) {
            self.texts_left = left;
        } else {
            (item.error, item.warnings) = (None, Vec::new());
            self.texts_omitted += 1;
        }
        self.results.push(item);
    }

    pub(super) fn count_refused(&self, telemetry: &Telemetry) {
        for item in self.results.iter().filter(|item| item.status.is_some()) {
            telemetry.refuse(item.reason, 1);
        }
    }

    /// 200 when all were taken, 207 when some were; when none was, the status of the first, or of the first that may be sent
    /// again, and its text as `error`.
    pub(super) fn respond(self, room: Lease) -> Result<Response, ApiError> {
        #[derive(Serialize)]
        struct Body {
            #[serde(flatten)]
            summary: serde_json::Map<String, serde_json::Value>,
            results: Vec<Item>,
            #[serde(skip_serializing_if = "Option::is_none")]
            texts_omitted: Option<usize>,
        }
        let summary = Summary::of(self.results.len() - self.refused.count, &self.refused);
        let texts_omitted = (self.texts_omitted > 0).then_some(self.texts_omitted);
        let body = Body { summary: summary.fields, results: self.results, texts_omitted };
        let body = serde_json::to_vec(&body).map_err(|_| ApiError::internal())?;
        Ok(come_back(held_json_response(summary.status, body, room), summary.retry_after))
    }
}

/// The answer with the time after which to send again.
fn come_back(mut response: Response, seconds: Option<u32>) -> Response {
    if let Some(seconds) = seconds {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// The lines of one stream: totals, and only the lines that the sender should look at.
#[derive(Debug, Default)]
pub(super) struct StreamAnswer {
    accepted: usize,
    duplicates: usize,
    refused: Reasons,
    warned: usize,
    listed: Vec<Item>,
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
        (LISTED_MAX - self.listed.len()).max(usize::from(self.refused.first.is_none()))
    }

    pub(super) fn refused(&mut self, line: u64, error: ApiError) {
        let item = Item::refused(error).on_line(line);
        self.refused.add(&item);
        if self.listed.len() < LISTED_MAX {
            self.listed.push(item);
        }
    }

    /// So many more were, which are only counted.
    pub(super) fn refused_too(&mut self, lines: usize) {
        self.refused.count += lines;
    }

    /// Whether so many more were refused than taken that nobody looks at the rest.
    pub(super) fn is_hopeless(&self) -> bool {
        self.refused.count > self.accepted + REFUSED_MORE_MAX
    }

    /// Why the stream ends before a line.
    pub(super) fn ended_before(&self, line: u64) -> ApiError {
        let main = self.refused.main();
        let status = main.map_or(400, |reason| reason.status);
        let message = format!(
            "the stream ends here: {REFUSED_MORE_MAX} more of its lines were refused than taken; line {line} and what comes after it was not looked at"
        );
        let error = ApiError::new(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST), reason(status), message);
        ApiError { retry_after: main.and_then(|reason| reason.retry_after), ..error }
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
        let Summary { status, mut fields, retry_after } = Summary::of(self.accepted, &self.refused);
        let (mut message, mut error) = (fields.remove("message"), fields.remove("error"));
        if let Some(broken) = &broken {
            (message, error) = (None, Some(json!(broken.message)));
        }
        let omitted = self.refused.count + self.warned - self.listed.len();
        let body = Body {
            accepted: self.accepted,
            duplicates: self.duplicates,
            error,
            items: &self.listed,
            items_omitted: (omitted > 0).then_some(omitted),
            message,
            refused: self.refused.count,
            warned: self.warned,
        };
        let body = serde_json::to_string(&body).unwrap_or_default();
        match broken {
            Some(error) => error.respond_with(body),
            None => come_back(json_response(status, body), retry_after),
        }
    }
}

struct Summary {
    status: StatusCode,
    fields: serde_json::Map<String, serde_json::Value>,
    /// After so many seconds all of it may be sent again.
    retry_after: Option<u32>,
}

impl Summary {
    fn of(taken: usize, refused: &Reasons) -> Self {
        let mut fields = serde_json::Map::new();
        if taken == 0 && refused.count > 0 {
            fields.insert("error".to_owned(), json!(refused.text()));
        } else {
            let message = if refused.count == 0 { "success" } else { "partial" };
            fields.insert("message".to_owned(), json!(message));
        }
        let main = refused.main().filter(|_| taken == 0);
        let status = match main {
            Some(reason) => StatusCode::from_u16(reason.status).unwrap_or(StatusCode::BAD_REQUEST),
            None if refused.count == 0 => StatusCode::OK,
            None => StatusCode::MULTI_STATUS,
        };
        Self { status, fields, retry_after: main.and_then(|reason| reason.retry_after) }
    }
}
