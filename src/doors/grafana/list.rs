//! `GET` of annotations: those of all events, whoever sent them, in the order that Grafana has: by their end, then by their
//! beginning, the newest first. What is open comes before all that has ended.

use std::borrow::Cow;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;

use crate::doors::grafana::item::Detail;
use crate::doors::grafana::item::Item;
use crate::doors::grafana::shown::Shown;
use crate::http::app::App;
use crate::http::error::ApiError;
use crate::http::error::held_json_response;
use crate::http::parameters::PARAMETERS_MAX;
use crate::http::route::Call;
use crate::intake::warnings;
use crate::mapping::tags;
use crate::shown::shown;
use crate::store::ANSWER_BYTES;
use crate::store::EventView;
use crate::store::Keep;
use crate::store::Order;
use crate::store::Query;
use crate::store::Selected;
use crate::store::TooMuch;
use crate::time::Timestamp;

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 10_000;
/// Most tags of one question.
const TAGS_MAX: usize = 32;
/// Most bytes of an answer, but for its last annotation.
const TEXT_BYTES_MAX: usize = 2 * ANSWER_BYTES;
/// How to ask what takes fewer steps.
const LESS: &str = "ask for a shorter time with from and to, or for a tag that fewer annotations have";
/// What says of a dashboard, a user or an alert which annotations are meant: there are none of these here.
const IGNORED: [&str; 5] = ["dashboardUID", "dashboardId", "panelId", "userId", "alertId"];

/// Answers the annotations that the parameters select.
pub(super) async fn list(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    app.writer()?;
    let now = app.clock.now();
    let Asked { query, detail, mut notes } = Asked::parse(call.parts.uri.query())?;
    let tenant = app.store.tenant(&call.grant()?.organization);
    let (by, limit) = (Arc::clone(&app), query.limit);
    let body = app.query(call.asker(), move |effort| {
        let selected = tenant.map(|tenant| tenant.ask(&query, effort)).transpose().map_err(|error| by.too_much(error, LESS))?;
        let selected = selected.unwrap_or_default();
        if selected.is_early && selected.events.is_empty() {
            return Err(by.too_much(TooMuch, LESS));
        }
        written(&selected, now, detail)
    });
    let (answer, room) = body.await?;
    let (text, cut) = answer?;
    notes.extend(cut.map(|cut| cut.note(limit)));
    let mut response = held_json_response(StatusCode::OK, text, room);
    warnings::warn(&mut response, &notes);
    Ok(response)
}

/// Why an answer ends before what was asked for does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Limit,
    Bytes,
    Steps,
}

impl Cut {
    fn note(self, limit: usize) -> Cow<'static, str> {
        match self {
            Self::Limit => format!("limit: there are more than these {limit}; ask for a shorter time with from and to").into(),
            Self::Bytes => "there are more: their texts are too long for one answer; ask for a shorter time with from and to".into(),
            Self::Steps => "there may be more: to look at all is too much for one question; ask for a shorter time with from and to".into(),
        }
    }
}

/// The answer, and whether it is whole.
fn written(selected: &Selected, now: Timestamp, detail: Detail) -> Result<(Vec<u8>, Option<Cut>), ApiError> {
    let mut text = b"[".to_vec();
    let mut cut = match selected.next {
        None => None,
        Some(_) if selected.is_early => Some(Cut::Steps),
        Some(_) if selected.bytes >= ANSWER_BYTES / 2 => Some(Cut::Bytes),
        Some(_) => Some(Cut::Limit),
    };
    for event in &selected.events {
        if text.len() > TEXT_BYTES_MAX {
            cut = Some(Cut::Bytes);
            break;
        }
        if text.len() > 1 {
            text.push(b',');
        }
        serde_json::to_writer(&mut text, &Item::of(event, now, detail)).map_err(|_| ApiError::internal())?;
    }
    text.push(b']');
    Ok((text, cut))
}

/// What is asked for.
struct Asked {
    query: Query,
    detail: Detail,
    notes: Vec<Cow<'static, str>>,
}

impl Asked {
    /// Parameters that mean nothing are left alone, as Grafana does; of one that is there twice the first one counts.
    fn parse(text: Option<&str>) -> Result<Self, ApiError> {
        let parameters = pairs(text)?;
        let one = |name: &str| parameters.iter().find(|(known, value)| known == name && !value.is_empty()).map(|(_, value)| &**value);
        let number = |name| one(name).map(|text| whole_number(name, text)).transpose();
        let moment = |name| number(name).map(|given| given.filter(|millis| *millis > 0).map(Timestamp::from_millis));
        let mut query = Query {
            start: moment("from")?,
            end: moment("to")?.map(|to| Timestamp::from_millis(to.millis().saturating_add(1))),
            limit: limit(number("limit")?),
            order: Order::EndStart,
            ..Query::default()
        };
        let wanted: Vec<&str> = parameters.iter().filter(|(name, _)| name == "tags").map(|(_, value)| &**value).collect();
        let is_any = one("matchAny").is_some_and(|text| matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True"));
        select(&mut query, &wanted, is_any)?;
        let ignored = |name: &&str| one(name).is_some_and(|value| value != "0");
        let mut notes: Vec<Cow<'static, str>> = IGNORED
            .iter()
            .filter(|name| ignored(name))
            .map(|name| format!("{name}: ignored, annotations of all are here").into())
            .collect();
        if one("type") == Some("alert") {
            query.limit = 0;
            notes.push("type: there are no annotations of alerts here".into());
        }
        let (detail, note) = detail(one("text"));
        notes.extend(note);
        Ok(Self { query, detail, notes })
    }
}

/// What is shown, and what is to be said of a value that means nothing.
fn detail(text: Option<&str>) -> (Detail, Option<Cow<'static, str>>) {
    match text {
        None => (Detail::AsWritten, None),
        Some("whole") => (Detail::Whole, None),
        Some(other) => (Detail::AsWritten, Some(format!("text: `{}` is not `whole`, and ignored", shown(other)).into())),
    }
}

/// The same of a question for one annotation.
pub(super) fn detail_of_one(query: Option<&str>) -> Result<(Detail, Option<Cow<'static, str>>), ApiError> {
    let parameters = pairs(query)?;
    let text = parameters.iter().find(|(name, value)| name == "text" && !value.is_empty());
    Ok(detail(text.map(|(_, value)| &**value)))
}

/// Name and value.
type Parameter<'a> = (Cow<'a, str>, Cow<'a, str>);

/// The parameters of a question, in their order.
pub(super) fn pairs(text: Option<&str>) -> Result<Vec<Parameter<'_>>, ApiError> {
    let parameters: Vec<_> = form_urlencoded::parse(text.unwrap_or_default().as_bytes()).take(PARAMETERS_MAX + 1).collect();
    if parameters.len() > PARAMETERS_MAX {
        return Err(ApiError::malformed(format!("more than {PARAMETERS_MAX} parameters")));
    }
    Ok(parameters)
}

pub(super) fn whole_number(name: &str, text: &str) -> Result<i64, ApiError> {
    text.parse().map_err(|_| ApiError::malformed(format!("{name} `{}`: must be a whole number", shown(text))))
}

/// As many as are asked for; none, or fewer than one, mean the default.
pub(super) fn limit(given: Option<i64>) -> usize {
    given.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0).map_or(LIMIT_DEFAULT, |limit| limit.min(LIMIT_MAX))
}

/// Narrows the question down to events with all of these tags, or with any. A tag without a value is a key, whatever its value.
fn select(query: &mut Query, wanted: &[&str], is_any: bool) -> Result<(), ApiError> {
    if wanted.len() > TAGS_MAX {
        return Err(ApiError::malformed(format!("tags: {} of them, at most {TAGS_MAX}", wanted.len())));
    }
    let pairs: Vec<(&str, &str)> = wanted.iter().filter_map(|tag| tags::split(tag)).collect();
    // What a tag that is no tag of the event says (its name, which end it is) is in none of the indexes of tags.
    let is_indexed = |key: &str| !is_any && !tags::is_consumed(key);
    for (key, value) in pairs.iter().filter(|(key, _)| is_indexed(key)) {
        if value.is_empty() {
            query.keys.push((*key).into());
        } else {
            query.tags.push(((*key).into(), (*value).into()));
        }
    }
    let others: Vec<(Box<str>, Box<str>)> =
        pairs.iter().filter(|(key, _)| !is_indexed(key)).map(|(key, value)| ((*key).into(), (*value).into())).collect();
    if !others.is_empty() {
        query.keep = Some(Keep(Arc::new(move |event: &EventView| {
            let shown = Shown::of(event);
            let mut has = shown.has(&others);
            if is_any { has.any(|has| has) } else { has.all(|has| has) }
        })));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read() {
        #[track_caller]
        fn check(text: &str, range: (Option<Timestamp>, Option<Timestamp>), limit: usize, tags: &[(&str, &str)], keys: &[&str]) {
            let query = Asked::parse(Some(text)).unwrap_or_else(|error| panic!("{text}: {error:?}")).query;
            let found: Vec<(&str, &str)> = query.tags.iter().map(|(key, value)| (&**key, &**value)).collect();
            let found_keys: Vec<&str> = query.keys.iter().map(|key| &**key).collect();
            assert_eq!(((query.start, query.end), query.limit, found, found_keys), (range, limit, tags.to_vec(), keys.to_vec()), "{text}");
        }
        let (any, at) = ((None, None), |millis: i64| Some(Timestamp::from_millis(millis)));
        check("", any, 100, &[], &[]);
        check("&&from=&to=0&limit=0&limt=7&dashboardUID=x", any, 100, &[], &[]);
        check("from=5&to=9&limit=3", (at(5), at(10)), 3, &[], &[]);
        check("from=-5&to=9223372036854775807&limit=-3", (None, at(i64::MAX)), 100, &[], &[]);
        check("limit=1000000", any, 10_000, &[], &[]);
        check("tags=a&tags=b%3Ac&tags=%20d%20:%20e:f&tags=&tags=:x", any, 100, &[("b", "c"), ("d", "e:f")], &["a"]);
        check("tags=event_name:x&tags=a", any, 100, &[], &["a"]);
        check("tags=a&tags=b:c&matchAny=true", any, 100, &[], &[]);
        check("type=alert", any, 0, &[], &[]);
        check("type=annotation", any, 100, &[], &[]);
    }

    #[test]
    fn wrong_parameters_are_named_and_ignored_ones_noted() {
        for (text, message) in [
            ("from=now-1h", "from `now-1h`: must be a whole number"),
            ("to=1.5", "to `1.5`: must be a whole number"),
            ("limit=ten", "limit `ten`: must be a whole number"),
            (&"tags=a&".repeat(33), "tags: 33 of them, at most 32"),
            (&"x=a&".repeat(129), "more than 128 parameters"),
        ] {
            let error = Asked::parse(Some(text)).err().unwrap();
            assert_eq!((error.status.as_u16(), &*error.message), (400, message));
        }
        for (text, notes) in [
            ("panelId=0&userId=&from=5", vec![]),
            (
                "panelId=7&dashboardUID=x",
                vec!["dashboardUID: ignored, annotations of all are here", "panelId: ignored, annotations of all are here"],
            ),
            ("type=alert", vec!["type: there are no annotations of alerts here"]),
            ("text=all", vec!["text: `all` is not `whole`, and ignored"]),
        ] {
            assert_eq!(Asked::parse(Some(text)).unwrap_or_else(|_| panic!("{text}")).notes, notes, "{text}");
        }
    }
}
