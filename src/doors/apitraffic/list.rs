//! `GET` of events: what the parameters select, newest first, in the list envelope of the original.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::doors::apitraffic::record;
use crate::doors::apitraffic::record::EventRecord;
use crate::doors::apitraffic::wire::ALL;
use crate::doors::apitraffic::wire::Type;
use crate::http::app::App;
use crate::http::error::ApiError;
use crate::http::error::held_json_response;
use crate::http::parameters::PARAMETERS_MAX;
use crate::http::parameters::Parameters;
use crate::http::parameters::moment;
use crate::http::route::Call;
use crate::labels::EVENT_NAME;
use crate::shown::shown;
use crate::store::ANSWER_BYTES;
use crate::store::Cursor;
use crate::store::Effort;
use crate::store::EventView;
use crate::store::Keep;
use crate::store::Matcher;
use crate::store::Order;
use crate::store::Query;
use crate::store::Selected;
use crate::store::Tenant;
use crate::store::TooMuch;
use crate::store::selector::MatchKind;
use crate::time::Timestamp;
use crate::time::unix;

const LIMIT_DEFAULT: usize = 25;
const LIMIT_MAX: usize = 100;
/// How to ask what takes fewer steps.
const LESS: &str = "ask for a shorter time with startDate and endDate";
/// How far `page` goes; `startingAfter` goes on from there.
const PAGED_MAX: usize = 10_000;

/// Each parameter with its spellings; the first is the one that the documentation of the original comes closest to.
const TYPE: &[&str] = &["type"];
const START: &[&str] = &["startDate", "from", "start", "startedAfter"];
const END: &[&str] = &["endDate", "to", "until", "end", "startedBefore"];
const BUCKET: &[&str] = &["bucketSid", "bucket"];
const ENVIRONMENT: &[&str] = &["environmentSid", "environment"];
const SOURCE: &[&str] = &["source"];
const TEXT: &[&str] = &["q", "search"];
const LIMIT: &[&str] = &["limit"];
const PAGE: &[&str] = &["page"];
const AFTER: &[&str] = &["startingAfter"];
const KNOWN: [&[&str]; 10] = [TYPE, START, END, BUCKET, ENVIRONMENT, SOURCE, TEXT, LIMIT, PAGE, AFTER];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    has_more: bool,
    records: Vec<EventRecord<'a>>,
}

/// Answers the events that the parameters select.
pub(crate) async fn list(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    app.writer()?;
    let asked = Asked::parse(call.parts.uri.query())?;
    let tenant = app.store.tenant(&call.grant()?.organization);
    let account = call.parameter(0).to_owned();
    let (by, now) = (Arc::clone(&app), app.clock.now());
    let body = app.query(call.asker(), move |effort| {
        let selected = asked.select(tenant.as_deref(), effort, |error| by.too_much(error, LESS))?;
        if selected.is_early && (selected.events.is_empty() || asked.is_paged) {
            return Err(by.too_much(TooMuch, LESS));
        }
        if selected.next.is_some() && selected.events.len() < asked.query.limit && asked.is_paged {
            return Err(too_much());
        }
        let records = selected.events.iter().map(|event| EventRecord::of(event, &account, now)).collect();
        serde_json::to_vec(&Answer { has_more: selected.next.is_some(), records }).map_err(|_| ApiError::internal())
    });
    let (text, room) = body.await?;
    Ok(held_json_response(StatusCode::OK, text?, room))
}

/// What is asked for.
#[derive(Debug)]
struct Asked {
    query: Query,
    /// Answers have pages, which have to be full but for the last one.
    is_paged: bool,
    after: Option<Box<str>>,
}

impl Asked {
    fn parse(text: Option<&str>) -> Result<Self, ApiError> {
        let parameters = Parameters::parse(text, &KNOWN.concat()).map_err(|error| error.at(unknown(text)))?;
        let one = |spellings: &[&'static str]| given(&parameters, spellings);
        let filled =
            |spellings: &[&'static str]| one(spellings).map(|given| given.filter(|(_, text)| !text.is_empty()).map(|(_, text)| text));
        let kind = parsed(one(TYPE)?, |text| Type::parse(text).ok_or(ValueError::Type))?;
        let limit = parsed(one(LIMIT)?, |text| whole_number(text, LIMIT_MAX))?.unwrap_or(LIMIT_DEFAULT);
        let page = parsed(one(PAGE)?, |text| whole_number(text, PAGED_MAX / limit))?;
        let after = one(AFTER)?.map(|(_, sid)| sid);
        if page.is_some() && after.is_some() {
            return Err(ApiError::malformed("page: not together with startingAfter").at("page"));
        }
        let skip = page.unwrap_or(1).saturating_sub(1).saturating_mul(limit);
        let scope = Criteria { kind, bucket: filled(BUCKET)?, environment: filled(ENVIRONMENT)?, source: filled(SOURCE)? };
        let query = Query {
            text: filled(TEXT)?,
            start: parsed(one(START)?, iso8601)?,
            end: parsed(one(END)?, iso8601)?,
            skip,
            limit,
            ..scope.query()
        };
        Ok(Self { query, is_paged: page.is_some(), after })
    }

    fn select(&self, tenant: Option<&Tenant>, effort: &Effort, refuse: impl FnOnce(TooMuch) -> ApiError) -> Result<Selected, ApiError> {
        let mut query = self.query.clone();
        if let Some(sid) = &self.after {
            let last = tenant.and_then(|tenant| tenant.event(sid)).ok_or_else(|| {
                let message = format!("startingAfter: `{}` is no event, or no longer one", shown(sid));
                ApiError::malformed(message).at("startingAfter")
            })?;
            query.after = Some(Cursor::after(&last, Order::Start));
        }
        Ok(tenant.map(|tenant| tenant.ask(&query, effort)).transpose().map_err(refuse)?.unwrap_or_default())
    }
}

/// Which events are meant, as this door understands them.
#[derive(Debug)]
struct Criteria {
    kind: Option<Type>,
    bucket: Option<Box<str>>,
    environment: Option<Box<str>>,
    source: Option<Box<str>>,
}

impl Criteria {
    /// The indexes narrow it down, the condition decides.
    fn query(self) -> Query {
        let selectors = self.kind.map(|kind| match kind {
            Type::Custom => {
                let others = Type::ALL.into_iter().filter(|other| *other != Type::Custom);
                others.map(|other| Matcher { kind: MatchKind::NotEqual, ..Matcher::equal(EVENT_NAME, other.name()) }).collect()
            }
            _ => vec![Matcher::equal(EVENT_NAME, kind.name())],
        });
        let tags = self.source.iter().map(|source| ("source".into(), source.clone())).collect();
        let is_any = self.kind.is_none() && self.bucket.is_none() && self.environment.is_none() && self.source.is_none();
        let keep = (!is_any).then(|| Keep(Arc::new(move |event| self.has(event))));
        Query { selectors: selectors.into_iter().collect(), tags, keep, ..Query::default() }
    }

    fn has(&self, event: &EventView) -> bool {
        let holds = |scopes: &[std::borrow::Cow<'_, str>], wanted: &str| scopes.iter().any(|scope| *scope == ALL || *scope == wanted);
        self.kind.is_none_or(|kind| record::kind(event) == kind)
            && self.bucket.as_ref().is_none_or(|bucket| holds(&record::buckets(event), bucket))
            && self.environment.as_ref().is_none_or(|environment| holds(&record::environments(event), environment))
            && self.source.as_ref().is_none_or(|source| record::source(event).as_deref() == Some(source))
    }
}

fn too_much() -> ApiError {
    let message = format!("page: its events have more than {ANSWER_BYTES} bytes; use startingAfter, or a smaller limit");
    ApiError::too_large(message).at("page")
}

/// The value of a parameter and the spelling that was used; an error when it is there twice, however it is spelt.
fn given(parameters: &Parameters<'_>, spellings: &[&'static str]) -> Result<Option<(&'static str, Box<str>)>, ApiError> {
    let mut found: Option<(&'static str, Box<str>)> = None;
    for &name in spellings {
        let Some(text) = parameters.single(name).map_err(|error| error.at(name))? else { continue };
        if let Some((other, _)) = found {
            return Err(ApiError::malformed(format!("{name}: means the same as {other}, which is there too")).at(name));
        }
        found = Some((name, text.into()));
    }
    Ok(found)
}

/// Why the value of a parameter means nothing; its name and the value come before this.
#[derive(Debug, thiserror::Error)]
enum ValueError {
    #[error("must be one of deployment, incident, config_change, scale and custom")]
    Type,
    #[error("{0}")]
    Moment(String),
    #[error("must be a whole number from 1 to {most}")]
    Number { most: usize },
}

fn parsed<T>(given: Option<(&'static str, Box<str>)>, parse: impl FnOnce(&str) -> Result<T, ValueError>) -> Result<Option<T>, ApiError> {
    let Some((name, text)) = given else { return Ok(None) };
    parse(&text).map(Some).map_err(|rule| ApiError::malformed(format!("{name} `{}`: {rule}", shown(&text))).at(name))
}

fn iso8601(text: &str) -> Result<Timestamp, ValueError> {
    moment(text, Timestamp::parse).map_err(|error| ValueError::Moment(unix::rule_of_text(text, &error.into())))
}

fn whole_number(text: &str, most: usize) -> Result<usize, ValueError> {
    text.parse().ok().filter(|number| (1..=most).contains(number)).ok_or(ValueError::Number { most })
}

/// The first parameter that means nothing here.
fn unknown(text: Option<&str>) -> Box<str> {
    let names = form_urlencoded::parse(text.unwrap_or_default().as_bytes()).take(PARAMETERS_MAX).map(|(name, _)| name);
    names
        .into_iter()
        .find(|name| !KNOWN.iter().any(|spellings| spellings.contains(&&**name)))
        .map(|name| shown(&name).into())
        .unwrap_or_default()
}
