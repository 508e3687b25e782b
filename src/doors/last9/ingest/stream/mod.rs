//! A stream of lines, one event each (`application/x-ndjson`): read, parsed and written at the same time, in its order.
//!
//! The answer is one JSON document when the stream has ended or broke off: totals, and the lines that were refused or come
//! with a warning, at most a thousand of them. Memory is constant however long the stream is.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::doors::last9::ingest::answer;
use crate::doors::last9::ingest::answer::Item;
use crate::doors::last9::ingest::answer::StreamAnswer;
use crate::doors::last9::ingest::groups;
use crate::doors::last9::ingest::groups::LineGroup;
use crate::doors::last9::ingest::sender::Sender;
use crate::doors::last9::wire;
use crate::event::record::Earlier;
use crate::exposition::Exposure;
use crate::http::app::App;
use crate::http::app::Settings;
use crate::http::body::inflate::Encoding;
use crate::http::body::pace::PacedBody;
use crate::http::error::ApiError;
use crate::http::refusals::reason;
use crate::http::refusals::refusal;
use crate::http::refusals::refused_by_writer;
use crate::http::refusals::unavailable;
use crate::intake::unmatched::Told;
use crate::intake::warnings::count_warnings;
use crate::mapping::Context;
use crate::mapping::FormatError;
use crate::mapping::Parsed;
use crate::mapping::Warning;
use crate::time::Timestamp;
use crate::writer::Answers;
use crate::writer::Edges;
use crate::writer::Refused;
use crate::writer::Source;
use crate::writer::SubmitError;
use crate::writer::Taken;
use crate::writer::Writer;

/// Groups of one stream that are parsed, or wait for it, at the same time.
const PARSING_MAX: usize = 2;

/// One event of a group: its line, from 1 within the group, and what it is.
struct ParsedLine {
    number: u64,
    at: Timestamp,
    warnings: Vec<Warning>,
}

/// Lines of a group that parsing refused.
#[derive(Default)]
struct RefusedLines {
    /// Line and why; of the first so many.
    listed: Vec<(u64, ApiError)>,
    room: usize,
    /// How many more there are, by status.
    further: BTreeMap<u16, usize>,
}

/// A group after parsing. There is one line for each edge.
struct ParsedGroup {
    lines_total: u64,
    /// They hold what the group takes until they are written.
    edges: Edges,
    lines: Vec<ParsedLine>,
    refused: RefusedLines,
}

struct Written {
    group: ParsedGroup,
    taken: Result<Answers, SubmitError>,
    told: Told,
}

/// What makes commands of a group; the number is how many refused lines have to be told apart.
type Parse = fn(LineGroup, &Sender, (Timestamp, Earlier), usize) -> ParsedGroup;
type Parsing<'a> = FuturesOrdered<BoxFuture<'a, Result<ParsedGroup, ApiError>>>;
type Writing<'a> = FuturesOrdered<BoxFuture<'a, Written>>;

/// Takes in a stream of any length.
pub(super) async fn ingest(app: Arc<App>, headers: &HeaderMap, body: Body, sender: Sender) -> Result<Response, ApiError> {
    let encoding = Encoding::of(headers)?;
    let groups = GroupSource::open(body, encoding, &sender.settings, &app, &sender.source);
    Ok(Pipeline::new(&app, sender).run(groups).await)
}

/// Takes in lines that were read whole, as an `Idempotency-Key` asks. `now` is what an absent timestamp means.
pub(super) async fn ingest_whole(app: &App, bytes: Bytes, sender: Sender, now: Timestamp) -> Result<Response, ApiError> {
    let groups = GroupSource::open(Body::from(bytes), Encoding::Identity, &sender.settings, app, &sender.source);
    let pipeline = Pipeline { now: Some(now), ..Pipeline::new(app, sender) };
    Ok(pipeline.run(groups).await)
}

/// Where the groups come from: a task that ends with the body, or with this.
struct GroupSource {
    groups: mpsc::Receiver<Result<LineGroup, ApiError>>,
    reading: AbortOnDropHandle<()>,
}

impl GroupSource {
    fn open(body: Body, encoding: Encoding, settings: &Arc<Settings>, app: &App, source: &Source) -> Self {
        let (sender, groups) = mpsc::channel(1);
        let body = PacedBody::new(body, settings.limits.pace);
        let shared = app.bodies_of(*source);
        let reading = tokio::spawn(groups::read(body, encoding, Arc::clone(settings), shared, sender));
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
    sender: Sender,
    /// What an absent timestamp means; else the time at which the group was read.
    now: Option<Timestamp>,
    parse: Parse,
}

impl<'a> Pipeline<'a> {
    fn new(app: &'a App, sender: Sender) -> Self {
        Self { app, sender, now: None, parse }
    }

    /// After an error nothing more is read or written, but what is in the writer's queue by then.
    async fn run(self, mut groups: GroupSource) -> Response {
        let app = self.app;
        let mut progress = Progress { app, lines: StreamAnswer::default(), before: 0, unwritten: None, broken: None };
        let mut parsing = Parsing::new();
        let mut writing = Writing::new();
        let (mut reading, mut is_hopeless) = (true, false);
        loop {
            tokio::select! {
                biased;
                Some(written) = writing.next() => {
                    progress.add(written);
                    is_hopeless |= progress.lines.is_hopeless() && !parsing.is_empty();
                    if is_hopeless || progress.unwritten.is_some() {
                        reading = false;
                        parsing.clear();
                    }
                }
                Some(parsed) = parsing.next() => match parsed {
                    Ok(group) => writing.push_back(self.write(group)),
                    Err(error) => {
                        progress.broken = Some(error);
                        reading = false;
                        parsing.clear();
                    }
                },
                group = groups.next(app), if reading && parsing.len() < PARSING_MAX => match group {
                    // What was refused at the very end of a stream ends nothing.
                    Some(Ok(_)) if progress.lines.is_hopeless() => {
                        is_hopeless = true;
                        reading = false;
                    }
                    Some(Ok(group)) => parsing.push_back(self.parse_elsewhere(group, progress.lines.room())),
                    Some(Err(error)) => {
                        progress.broken = Some(error);
                        reading = false;
                    }
                    None => reading = false,
                },
                else => break,
            }
        }
        let ended = is_hopeless.then(|| progress.lines.ended_before(progress.before + 1));
        progress.lines.respond(progress.unwritten.or(ended).or(progress.broken))
    }

    /// Parses a group when there is a place for it, which it keeps until it is written.
    fn parse_elsewhere(&self, group: LineGroup, room: usize) -> BoxFuture<'a, Result<ParsedGroup, ApiError>> {
        let (app, now) = (self.app, self.now.unwrap_or_else(|| self.app.clock.now()));
        let earlier = app.writer().map(Writer::earlier).unwrap_or_default();
        let (parse, sender) = (self.parse, self.sender.clone());
        Box::pin(async move {
            let place = app.places.take(&sender.source, group.bytes.len()).await?;
            let parsed = app.places.work(move || {
                let mut parsed = parse(group, &sender, (now, earlier), room);
                parsed.edges.hold(place);
                parsed
            });
            parsed.await
        })
    }

    /// Puts a group into the writer's queue, at once, so that groups are written in their order; answers the wait for its outcome.
    fn write(&self, mut group: ParsedGroup) -> BoxFuture<'a, Written> {
        let (app, sender) = (self.app, self.sender.clone());
        let submission = app.writer().map(|writer| writer.lines(&sender.source, std::mem::take(&mut group.edges)));
        Box::pin(async move {
            let taken = match submission {
                Ok(submission) => submission.await,
                Err(_) => Err(SubmitError::Closed),
            };
            let told = sender.told(app, taken.iter().flatten().flatten()).await;
            Written { group, taken, told }
        })
    }
}

fn parse(group: LineGroup, sender: &Sender, (now, earlier): (Timestamp, Earlier), room: usize) -> ParsedGroup {
    let Sender { settings, grant, .. } = sender;
    let context = Context { earlier, ..settings.context(&grant.organization, now) };
    let too_long = FormatError::TooLong { limit: settings.mapping.limits().item_bytes };
    let expected = group.bytes.len() / 200 + 1;
    let mut parsed = ParsedGroup {
        lines_total: 0,
        edges: Edges::with_capacity(expected),
        lines: Vec::with_capacity(expected),
        refused: RefusedLines { room, ..RefusedLines::default() },
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
            parsed.refused.add(number, &too_long);
        } else if !line.trim_ascii().is_empty() {
            match wire::parse_one(line, &context) {
                Ok(Parsed { edge, warnings }) => {
                    parsed.lines.push(ParsedLine { number, at: edge.at, warnings });
                    parsed.edges.push(edge);
                }
                Err(error) => parsed.refused.add(number, &error),
            }
        }
    }
    if group.first_is_too_long && parsed.lines_total == 0 {
        // Nothing was left of the line, not even its end.
        parsed.lines_total = 1;
        parsed.refused.add(1, &too_long);
    }
    parsed.edges.hold(group.lease);
    parsed
}

impl RefusedLines {
    fn add(&mut self, number: u64, error: &FormatError) {
        if self.listed.len() < self.room {
            self.listed.push((number, refusal(error)));
        } else {
            *self.further.entry(error.status()).or_default() += 1;
        }
    }
}

/// Why a stream ends behind the group of a line for which the server has no room.
fn ended_at(error: ApiError, line: u64) -> ApiError {
    let message =
        format!("line {line}: {}; the stream ends here: what comes after the lines that are counted was not looked at", error.message);
    ApiError { message: message.into(), ..error }
}

/// Why a stream ends before the group that begins with a line.
fn not_written(error: &SubmitError, line: u64) -> ApiError {
    let answer = unavailable(error);
    match error {
        SubmitError::Unknown => ApiError { message: format!("line {line} and after it: {}", answer.message).into(), ..answer },
        _ => answer,
    }
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
        let Written { group, taken, told } = written;
        let taken = taken.unwrap_or_else(|error| {
            let first = self.before + 1;
            self.unwritten.get_or_insert_with(|| not_written(&error, first));
            Vec::new()
        });
        let mut refused = group.refused.listed.into_iter().peekable();
        for (line, taken) in group.lines.iter().zip(taken) {
            while let Some((number, error)) = refused.next_if(|(number, _)| *number < line.number) {
                self.refuse(number, error);
            }
            self.add_line(line, taken, &told);
        }
        for (number, error) in refused {
            self.refuse(number, error);
        }
        for (status, lines) in group.refused.further {
            self.app.telemetry.refuse(reason(status), lines as u64);
            self.lines.refused_too(lines);
        }
        self.before += group.lines_total;
    }

    fn add_line(&mut self, line: &ParsedLine, taken: Result<Taken, Refused>, told: &Told) {
        match taken {
            Ok(taken) => {
                match taken.exposure {
                    Some(_) => self.lines.taken(),
                    None => self.lines.duplicate(),
                }
                count_warnings(&self.app.telemetry, &line.warnings);
                let is_shown = matches!(taken.exposure, None | Some(Exposure::Shown));
                if !line.warnings.is_empty() || !is_shown || taken.unlabelled.is_some() || told.of(&taken).is_some() {
                    let number = self.before + line.number;
                    let warnings = || answer::warnings_of(&line.warnings, &taken, told);
                    self.lines.warned(|| Item::taken(taken.id, line.at, warnings()).on_line(number));
                }
            }
            Err(refused) => {
                let error = refused_by_writer(&refused);
                if error.status == StatusCode::SERVICE_UNAVAILABLE {
                    self.unwritten.get_or_insert_with(|| ended_at(error.clone(), self.before + line.number));
                }
                self.refuse(line.number, error);
            }
        }
    }

    fn refuse(&mut self, number: u64, error: ApiError) {
        self.app.telemetry.refuse(error.reason, 1);
        self.lines.refused(self.before + number, error);
    }
}

#[cfg(test)]
mod tests;
