//! `GET /api/v1/event/`: events by tags and time, and how lists of any length are answered: a short one at once, a long one
//! in pieces, each found while the one before it is sent.

use crate::doors::ets::tree::children_of;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::TryStreamExt as _;
use futures_util::stream;

use crate::account::Lease;
use crate::doors::ets::answer;
use crate::doors::ets::answer::Notation;
use crate::doors::ets::view;
use crate::doors::ets::wire;
use crate::http::app::App;
use crate::http::error::ApiError;
use crate::http::parameters::Parameters;
use crate::http::parameters::moment;
use crate::http::route::Call;
use crate::shown::shown;
use crate::store::EventView;
use crate::store::Order;
use crate::store::Query;
use crate::store::Selected;
use crate::store::Tenant;
use crate::store::TooMuch;
use crate::writer::Source;

/// Events in an answer that does not say how many.
const COUNT_DEFAULT: usize = 100;
/// Events that are found, and held, at a time.
const PIECE_EVENTS: usize = 1000;
/// Most tags of one question.
const TAGS_MAX: usize = 32;

/// What stands around a list of events.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// `{"count": N, "result": [...]}`; in a long answer the count comes last.
    Counted,
    /// `[...]`.
    Array,
}

/// Answers the events that the parameters select.
pub(crate) async fn list(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    app.writer()?;
    let query = query(call.parts.uri.query())?;
    let (format, asked) =
        (Notation::of(&call.parts.headers), Asked { source: call.asker(), tenant: app.store.tenant(&call.grant()?.organization), query });
    respond(app, asked, Shape::Counted, format).await
}

fn query(text: Option<&str>) -> Result<Query, ApiError> {
    let parameters = Parameters::parse(text, &["count", "page", "tag", "frm", "to", "use_update_time"])?;
    let count = parameters.parsed("count", |text| whole_number(text, 0))?.unwrap_or(COUNT_DEFAULT);
    let page = parameters.parsed("page", |text| whole_number(text, 1))?.unwrap_or(1);
    let (skip, limit) = match (count, page) {
        (0, 1) => (0, usize::MAX),
        // All events are on the first page.
        (0, _) => (0, 0),
        _ => (count.saturating_mul(page - 1), count),
    };
    let by_update = parameters.single("use_update_time")?.is_some_and(|text| text.starts_with(['t', 'T', '1']));
    Ok(Query {
        tags: tags(&parameters.all("tag").collect::<Vec<_>>())?,
        start: parameters.parsed("frm", |text| moment(text, wire::parse_moment))?,
        end: parameters.parsed("to", |text| moment(text, wire::parse_moment))?,
        order: if by_update { Order::Update } else { Order::End },
        skip,
        limit,
        ..Query::default()
    })
}

/// Why the value of a parameter means nothing; its name comes before this.
#[derive(Debug, thiserror::Error)]
enum ValueError {
    #[error("`{}` is not a whole number of at least {least}", shown(text))]
    Number { text: Box<str>, least: usize },
}

fn whole_number(text: &str, least: usize) -> Result<usize, ValueError> {
    text.parse().ok().filter(|number| *number >= least).ok_or_else(|| ValueError::Number { text: text.into(), least })
}

/// Key and value.
type Tag = (Box<str>, Box<str>);

/// Each `key:value`; a single parameter may hold several with commas between them.
fn tags(texts: &[&str]) -> Result<Vec<Tag>, ApiError> {
    let texts = match texts {
        [one] if one.split(',').all(|part| part.contains(':')) => one.split(',').collect(),
        _ => texts.to_vec(),
    };
    if texts.len() > TAGS_MAX {
        return Err(ApiError::malformed(format!("tag: {} of them, at most {TAGS_MAX}", texts.len())));
    }
    let parts = texts.into_iter().map(|text| {
        let parts = text.split_once(':').map(|(key, value)| (key.into(), value.into()));
        parts.ok_or_else(|| ApiError::malformed(format!("tag: `{}` is not key:value", shown(text))))
    });
    parts.collect()
}

/// What is asked, by whom.
pub(super) struct Asked {
    pub(super) source: Source,
    pub(super) tenant: Option<Arc<Tenant>>,
    pub(super) query: Query,
}

/// Answers the events that a question names.
pub(super) async fn respond(app: Arc<App>, asked: Asked, shape: Shape, format: Notation) -> Result<Response, ApiError> {
    let limit = asked.query.limit;
    let (first, room) = piece(&app, &asked, limit).await?;
    let count = first.events.len();
    let once = |text: String| std::iter::once(text);
    if first.next.is_none() || count >= limit {
        let (opening, end) = match shape {
            Shape::Counted => (format!(r#"{{"count":{count},"result":["#), "]}"),
            Shape::Array => ("[".to_owned(), "]"),
        };
        return Ok(format.stream(once(opening).chain(texts(first.events, "", room)).chain(once(end.to_owned()))));
    }
    let opening = match shape {
        Shape::Counted => r#"{"result":["#,
        Shape::Array => "[",
    };
    let begun: Pieces = Box::new(once(opening.to_owned()).chain(texts(first.events, "", room)));
    let asked = Asked { query: Query { after: first.next, skip: 0, ..asked.query }, ..asked };
    let rest = Rest { app, asked, left: limit - count, count, shape, is_done: false };
    let rest = stream::try_unfold(rest, async move |mut rest| Ok::<_, ApiError>(rest.pieces().await?.map(|pieces| (pieces, rest))));
    let texts = stream::once(async { Ok(begun) })
        .chain(rest)
        .map_ok(|pieces| stream::iter(answer::grouped(pieces)).map(Ok::<_, ApiError>))
        .try_flatten();
    let bytes = texts.map_ok(move |text| Bytes::from(format.text(text)));
    // What goes wrong on the way cuts the answer off, so that nobody takes it for whole.
    Ok(format.response(Body::from_stream(bytes.map_err(|error: ApiError| std::io::Error::other(error.message)))))
}

/// Some of the events, and the memory that they are in.
async fn piece(app: &App, asked: &Asked, left: usize) -> Result<(Selected, Option<Lease>), ApiError> {
    let Some(tenant) = asked.tenant.as_ref().map(Arc::clone).filter(|_| left > 0) else { return Ok(Default::default()) };
    let query = Query { limit: left.min(PIECE_EVENTS), ..asked.query.clone() };
    let (selected, mut room) = app.query(asked.source, move |effort| tenant.ask(&query, effort)).await?;
    // There is no cursor to go on with.
    let selected = selected.and_then(|selected| if selected.is_early { Err(TooMuch) } else { Ok(selected) });
    let selected =
        selected.map_err(|error| app.too_much(error, "ask for a shorter time with frm and to, or for a tag that fewer events have"))?;
    room.shrink_to(selected.bytes);
    Ok((selected, Some(room)))
}

/// Texts that are made as they are sent: one event may have megabytes.
type Pieces = Box<dyn Iterator<Item = String> + Send>;

/// The events with commas between them; `begin` stands before the first. Their memory is held until the last is made.
fn texts(events: Vec<EventView>, begin: &'static str, room: Option<Lease>) -> impl Iterator<Item = String> + Send + 'static {
    events.into_iter().enumerate().map(move |(place, event)| {
        let _held = &room;
        let comma = if place == 0 { begin } else { "," };
        format!("{comma}{}", answer::event(&view::event(&event)))
    })
}

/// What is left of a long answer.
struct Rest {
    app: Arc<App>,
    asked: Asked,
    left: usize,
    count: usize,
    shape: Shape,
    is_done: bool,
}

impl Rest {
    async fn pieces(&mut self) -> Result<Option<Pieces>, ApiError> {
        if self.is_done {
            return Ok(None);
        }
        let (found, room) = piece(&self.app, &self.asked, self.left).await?;
        self.count += found.events.len();
        self.left -= found.events.len().min(self.left);
        self.is_done = found.next.is_none() || self.left == 0;
        self.asked.query.after = found.next;
        let end = match self.shape {
            _ if !self.is_done => None,
            Shape::Counted => Some(format!(r#"],"count":{}}}"#, self.count)),
            Shape::Array => Some("]".to_owned()),
        };
        Ok(Some(Box::new(texts(found.events, ",", room).chain(end))))
    }
}

/// The events that an event caused, whether it is there or not.
pub(super) async fn children(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    app.writer()?;
    let query = children_of(call.parameter(0), usize::MAX);
    let (format, asked) =
        (Notation::of(&call.parts.headers), Asked { source: call.asker(), tenant: app.store.tenant(&call.grant()?.organization), query });
    respond(app, asked, Shape::Array, format).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    #[test]
    fn parameters_are_read() {
        #[track_caller]
        fn check(text: &str, skip: usize, limit: usize, tags: &[(&str, &str)], order: Order) {
            let query = query(Some(text)).unwrap();
            let found: Vec<(&str, &str)> = query.tags.iter().map(|(key, value)| (&**key, &**value)).collect();
            assert_eq!((query.skip, query.limit, found.as_slice(), query.order), (skip, limit, tags, order), "{text}");
        }
        check("", 0, 100, &[], Order::End);
        check("count=20&page=3", 40, 20, &[], Order::End);
        check("count=0", 0, usize::MAX, &[], Order::End);
        check("count=0&page=2", 0, 0, &[], Order::End);
        check("count=18446744073709551615&page=3", usize::MAX, usize::MAX, &[], Order::End);
        check("tag=a:b&tag=c:d,e", 0, 100, &[("a", "b"), ("c", "d,e")], Order::End);
        check("tag=a:b,c:d", 0, 100, &[("a", "b"), ("c", "d")], Order::End);
        check("tag=a:b,c:d&tag=e:f", 0, 100, &[("a", "b,c:d"), ("e", "f")], Order::End);
        check("tag=url%3Ahttp%3A%2F%2Fx", 0, 100, &[("url", "http://x")], Order::End);
        check("tag=a:b,c", 0, 100, &[("a", "b,c")], Order::End);
        check("use_update_time=True", 0, 100, &[], Order::Update);
        check("use_update_time=false", 0, 100, &[], Order::End);
    }

    #[test]
    fn wrong_parameters_are_named() {
        for (text, message) in [
            ("count=-1", "count: `-1` is not a whole number of at least 0"),
            ("count=ten", "count: `ten`"),
            ("page=0", "page: `0` is not a whole number of at least 1"),
            ("tag=environment", "tag: `environment` is not key:value"),
            ("tag=a:b&tag=", "tag: `` is not key:value"),
            ("frm=", "frm: "),
            ("to=None", "to: "),
            ("from=2018", "unknown parameter `from`"),
        ] {
            let error = query(Some(text)).unwrap_err();
            assert_eq!(error.status, 400);
            assert!(error.message.contains(message), "{}", error.message);
        }
        assert!(query(Some(&"tag=a:b&".repeat(TAGS_MAX + 1))).is_err());
    }

    #[test]
    fn a_plus_that_became_a_space_is_a_plus() {
        #[track_caller]
        fn check(text: &str, seconds: Option<i64>) {
            assert_eq!(moment(text, wire::parse_moment).ok(), seconds.map(|seconds| Timestamp::from_millis(seconds * 1000)), "{text}");
        }
        check("2018-12-31T18:38:52 00:00", Some(1_546_281_532));
        check("2018-12-31T18:38:52.000000 00:00", Some(1_546_281_532));
        check("2018-12-31 18:38:52 01:00", Some(1_546_277_932));
        check("2018-12-31T18:38 0100", Some(1_546_277_880));
        check("20181231T183852 00", Some(1_546_281_532));
        check("2018-12-31 18:38", Some(1_546_281_480));
        check("2018-12-31T18:38:52+00:00", Some(1_546_281_532));
        check("2018-12-31 ", None);
        check("", None);
        check("None", None);
        check("invalid frm time", None);
    }
}
