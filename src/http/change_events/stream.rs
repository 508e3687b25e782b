//! A stream of lines, one event each (`application/x-ndjson`): read, parsed and written at the same time, in its order.
//!
//! The answer is one JSON document when the stream has ended or broke off: totals, and the lines that were refused or come
//! with a warning, at most a thousand of them. Memory is constant however long the stream is.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::exposition::Exposure;
use crate::formats::FormatError;
use crate::formats::Parsed;
use crate::formats::Warning;
use crate::formats::last9;
use crate::http::app::App;
use crate::http::app::Settings;
use crate::http::auth::Grant;
use crate::http::body::budget::Lease;
use crate::http::body::inflate::Encoding;
use crate::http::body::pace::PacedBody;
use crate::http::change_events::answer;
use crate::http::change_events::answer::Item;
use crate::http::change_events::answer::StreamAnswer;
use crate::http::change_events::context;
use crate::http::change_events::count_warnings;
use crate::http::change_events::groups;
use crate::http::change_events::groups::LineGroup;
use crate::http::change_events::reason;
use crate::http::change_events::status_of;
use crate::http::change_events::unavailable;
use crate::http::error::ApiError;
use crate::time::Timestamp;
use crate::writer::Edges;
use crate::writer::QUEUE_MAX;
use crate::writer::Refused;
use crate::writer::SubmitError;
use crate::writer::Taken;

/// Groups of one stream that are parsed at the same time.
const PARSING_MAX: usize = 2;
/// Groups of one stream that wait for the writer at the same time.
const WRITING_MAX: usize = 6;
/// How long to wait when the writer's queue is filling up; a stream can wait where a single request is told to come again.
const QUEUE_PAUSE: Duration = Duration::from_millis(5);

/// One event of a group: its line, from 1 within the group, and what it is.
struct ParsedLine {
    number: u64,
    at: Timestamp,
    warnings: Vec<Warning>,
}

/// A group after parsing. There is one line for each edge.
struct ParsedGroup {
    lines_total: u64,
    edges: Edges,
    lines: Vec<ParsedLine>,
    /// Line, status, text.
    refused: Vec<(u64, u16, String)>,
    lease: Option<Lease>,
}

struct Written {
    group: ParsedGroup,
    taken: Result<Vec<Result<Taken, Refused>>, SubmitError>,
}

/// What makes commands of a group.
type Parse = fn(LineGroup, &Settings, &Grant, Timestamp) -> ParsedGroup;
type Parsing<'a> = FuturesOrdered<BoxFuture<'a, Result<ParsedGroup, ApiError>>>;
type Writing<'a> = FuturesOrdered<Pin<Box<dyn Future<Output = Written> + Send + 'a>>>;

/// Takes in a stream of any length.
pub(super) async fn ingest(
    app: Arc<App>,
    headers: HeaderMap,
    body: Body,
    settings: Arc<Settings>,
    grant: Grant,
) -> Result<Response, ApiError> {
    let encoding = Encoding::of(&headers)?;
    let source = GroupSource::open(body, encoding, &settings, &app);
    Ok(Pipeline::new(&app, settings, grant).run(source).await)
}

/// Takes in lines that were read whole, as an `Idempotency-Key` asks. `now` is what an absent timestamp means.
pub(super) async fn ingest_whole(
    app: &App,
    bytes: Bytes,
    settings: Arc<Settings>,
    grant: Grant,
    now: Timestamp,
) -> Result<Response, ApiError> {
    let source = GroupSource::open(Body::from(bytes), Encoding::Identity, &settings, app);
    let pipeline = Pipeline { now: Some(now), ..Pipeline::new(app, settings, grant) };
    Ok(pipeline.run(source).await)
}

/// Where the groups come from: a task that ends with the body, or with this.
struct GroupSource {
    groups: mpsc::Receiver<Result<LineGroup, ApiError>>,
    reading: AbortOnDropHandle<()>,
}

impl GroupSource {
    fn open(body: Body, encoding: Encoding, settings: &Arc<Settings>, app: &App) -> Self {
        let (sender, groups) = mpsc::channel(1);
        let body = PacedBody::new(body, settings.limits.pace);
        let reading = tokio::spawn(groups::read(body, encoding, Arc::clone(settings), app.budget.clone(), sender));
        Self { groups, reading: AbortOnDropHandle::new(reading) }
    }

    /// `None` when the body has ended. A reader that ended by itself, before that, is an error.
    async fn next(&mut self, app: &App) -> Option<Result<LineGroup, ApiError>> {
        match self.groups.recv().await {
            None => (&mut self.reading).await.err().map(|_| Err(app.panicked())),
            group => group,
        }
    }
}

/// How the lines of one stream are parsed and written.
struct Pipeline<'a> {
    app: &'a App,
    settings: Arc<Settings>,
    grant: Grant,
    /// What an absent timestamp means; else the time at which the group was read.
    now: Option<Timestamp>,
    parse: Parse,
}

impl<'a> Pipeline<'a> {
    fn new(app: &'a App, settings: Arc<Settings>, grant: Grant) -> Self {
        Self { app, settings, grant, now: None, parse }
    }

    /// After an error nothing more is read or written, but what is in the writer's queue by then.
    async fn run(self, mut source: GroupSource) -> Response {
        let app = self.app;
        let mut progress = Progress { app, lines: StreamAnswer::default(), before: 0, unwritten: None, broken: None };
        let mut parsing = Parsing::new();
        let mut writing = Writing::new();
        let mut reading = true;
        loop {
            tokio::select! {
                biased;
                Some(written) = writing.next() => {
                    progress.add(written);
                    if progress.unwritten.is_some() {
                        reading = false;
                        parsing.clear();
                    }
                }
                Some(parsed) = parsing.next(), if writing.len() < WRITING_MAX => match parsed {
                    Ok(group) => writing.push_back(write(app, group).await),
                    Err(error) => {
                        progress.broken = Some(error);
                        reading = false;
                        parsing.clear();
                    }
                },
                group = source.next(app), if reading && parsing.len() < PARSING_MAX => match group {
                    Some(Ok(group)) => parsing.push_back(self.parse_elsewhere(group)),
                    Some(Err(error)) => {
                        progress.broken = Some(error);
                        reading = false;
                    }
                    None => reading = false,
                },
                else => break,
            }
        }
        progress.lines.respond(progress.unwritten.or(progress.broken))
    }

    fn parse_elsewhere(&self, group: LineGroup) -> BoxFuture<'a, Result<ParsedGroup, ApiError>> {
        let now = self.now.unwrap_or_else(|| self.app.clock.now());
        let (parse, settings, grant) = (self.parse, Arc::clone(&self.settings), self.grant.clone());
        Box::pin(self.app.elsewhere(move || parse(group, &settings, &grant, now)))
    }
}

fn parse(group: LineGroup, settings: &Settings, grant: &Grant, now: Timestamp) -> ParsedGroup {
    let context = context(settings, &grant.organization, now);
    let too_long = FormatError::TooLong { limit: settings.mapping.limits().item_bytes };
    let expected = group.bytes.len() / 200 + 1;
    let mut parsed = ParsedGroup {
        lines_total: 0,
        edges: Edges::with_capacity(expected),
        lines: Vec::with_capacity(expected),
        refused: Vec::new(),
        lease: Some(group.lease),
    };
    let mut rest = &group.bytes[..];
    while !rest.is_empty() {
        let (line, after) = match memchr::memchr(b'\n', rest).and_then(|end| rest.split_at_checked(end)) {
            Some((line, after)) => (line, after.get(1..).unwrap_or_default()),
            None => (rest, &[][..]),
        };
        rest = after;
        parsed.lines_total += 1;
        let number = parsed.lines_total;
        if number == 1 && group.first_is_too_long {
            parsed.refuse(number, &too_long);
        } else if !line.trim_ascii().is_empty() {
            match last9::parse_one(line, &context) {
                Ok(Parsed { edge, warnings }) => {
                    parsed.lines.push(ParsedLine { number, at: edge.at, warnings });
                    parsed.edges.push(edge);
                }
                Err(error) => parsed.refuse(number, &error),
            }
        }
    }
    if group.first_is_too_long && parsed.lines_total == 0 {
        // Nothing was left of the line, not even its end.
        parsed.lines_total = 1;
        parsed.refuse(1, &too_long);
    }
    parsed
}

impl ParsedGroup {
    fn refuse(&mut self, number: u64, error: &FormatError) {
        self.refused.push((number, error.status(), error.to_string()));
    }
}

/// Puts a group into the writer's queue, so that groups are written in their order, and answers the wait for its outcome.
async fn write(app: &App, mut group: ParsedGroup) -> Pin<Box<dyn Future<Output = Written> + Send + '_>> {
    let Ok(writer) = app.writer() else { return Box::pin(async move { Written { group, taken: Err(SubmitError::Closed) } }) };
    while writer.queue_depth() > QUEUE_MAX / 2 {
        tokio::time::sleep(QUEUE_PAUSE).await;
    }
    let mut submission = Box::pin(writer.edges(std::mem::take(&mut group.edges)));
    // The first poll queues it.
    let done = futures_util::poll!(submission.as_mut());
    Box::pin(async move {
        let taken = match done {
            std::task::Poll::Ready(taken) => taken,
            std::task::Poll::Pending => submission.await,
        };
        Written { group, taken }
    })
}

struct Progress<'a> {
    app: &'a App,
    lines: StreamAnswer,
    /// Lines of the groups before.
    before: u64,
    /// Why the first group that is not written is not.
    unwritten: Option<ApiError>,
    /// What ended the stream behind the groups that were to be written.
    broken: Option<ApiError>,
}

impl Progress<'_> {
    fn add(&mut self, written: Written) {
        let Written { mut group, taken } = written;
        match taken {
            Ok(taken) => {
                for (line, taken) in group.lines.iter().zip(taken) {
                    self.add_line(line, taken);
                }
            }
            Err(error) => {
                self.unwritten.get_or_insert(unavailable(&error));
            }
        }
        for (number, status, error) in &group.refused {
            self.refuse(*number, *status, error);
        }
        self.before += group.lines_total;
        drop(group.lease.take());
    }

    fn add_line(&mut self, line: &ParsedLine, taken: Result<Taken, Refused>) {
        match taken {
            Ok(Taken { id, exposure }) => {
                match exposure {
                    Some(_) => self.lines.taken(),
                    None => self.lines.duplicate(),
                }
                count_warnings(&self.app.telemetry, &line.warnings);
                if !line.warnings.is_empty() || !matches!(exposure, None | Some(Exposure::Shown)) {
                    let warnings = || answer::warnings(&line.warnings, exposure.as_ref());
                    let number = self.before + line.number;
                    self.lines.warned(|| Item::taken(id, line.at, warnings()).on_line(number));
                }
            }
            Err(refused) => self.refuse(line.number, status_of(&refused), &refused.to_string()),
        }
    }

    fn refuse(&mut self, number: u64, status: u16, error: &str) {
        self.app.telemetry.refused.get_or_create(&[("reason", reason(status))]).inc();
        self.lines.refused(self.before + number, status, error);
    }
}

#[cfg(test)]
mod tests;
