//! `GET` of annotations: those of all events, whoever sent them, in the order that Grafana has: by their end, then by their
//! beginning, the newest first. What is open comes before all that has ended.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;

use crate::doors::grafana::gather::Cut;
use crate::doors::grafana::gather::gather;
use crate::doors::grafana::item::Detail;
use crate::doors::grafana::item::Item;
use crate::doors::grafana::shown::Shown;
use crate::http::app::App;
use crate::http::error::ApiError;
use crate::http::error::held_json_response;
use crate::http::parameters::PARAMETERS_MAX;
use crate::http::route::Call;
use crate::intake::warnings;
use crate::labels::EVENT_NAME;
use crate::mapping::tags;
use crate::shown::shown;
use crate::store::ANSWER_BYTES;
use crate::store::EventView;
use crate::store::Keep;
use crate::store::Matcher;
use crate::store::Query;
use crate::time::Timestamp;

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 10_000;
/// Most tags of one question.
const TAGS_MAX: usize = 32;
/// Most bytes of an answer, but for its last annotation.
const TEXT_BYTES_MAX: usize = 2 * ANSWER_BYTES;
/// To make the tags that an event is shown with takes so many times what it takes to make the event.
pub(super) const SHOWN_COST: u64 = 4;
/// To look for so many among them takes as much as to make the event.
const TAGS_A_COST: u64 = 2;
/// How to ask what takes fewer steps.
const LESS: &str = "ask for a shorter time with from and to, or for a tag that fewer annotations have";
/// What says of a dashboard, a user or an alert which annotations are meant: there are none of these here.
const IGNORED: [&str; 5] = ["dashboardUID", "dashboardId", "panelId", "userId", "alertId"];

/// Answers the annotations that the parameters select.
pub(super) async fn list(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    app.writer()?;
    let now = app.clock.now();
    let Asked { questions, limit, detail, mut notes } = Asked::parse(call.parts.uri.query())?;
    let tenant = app.store.tenant(&call.grant()?.organization);
    let by = Arc::clone(&app);
    let body = app.query(call.asker(), move |effort| {
        let gathered = tenant.map(|tenant| gather(&tenant, &questions, effort)).transpose().map_err(|error| by.too_much(error, LESS))?;
        let (events, cut) = gathered.unwrap_or_default();
        written(&events, cut, now, detail)
    });
    let (answer, room) = body.await?;
    let (text, cut) = answer?;
    notes.extend(cut.map(|cut| cut.note(limit)));
    let mut response = held_json_response(StatusCode::OK, text, room);
    warnings::warn(&mut response, &notes);
    Ok(response)
}

/// The answer, and why it is not whole.
fn written(events: &[EventView], mut cut: Option<Cut>, now: Timestamp, detail: Detail) -> Result<(Vec<u8>, Option<Cut>), ApiError> {
    let mut text = b"[".to_vec();
    for event in events {
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
    /// What any of these finds.
    questions: Vec<Query>,
    /// Most annotations.
    limit: usize,
    detail: Detail,
    notes: Vec<Cow<'static, str>>,
}

impl Asked {
    /// Parameters that mean nothing are left alone, as Grafana does; of one that is there twice the first one counts.
    fn parse(text: Option<&str>) -> Result<Self, ApiError> {
        let parameters = pairs(text)?;
        let one = |name: &str| parameters.iter().find(|(known, value)| known == name && !value.is_empty()).map(|(_, value)| &**value);
        let number = |name| one(name).map(|text| whole_number(name, text)).transpose();
        let moment = |name| number(name).map(|given| given.filter(|millis| *millis != 0).map(Timestamp::from_millis));
        let limit = limit(number("limit")?);
        let base = Query {
            start: moment("from")?,
            end: moment("to")?.map(|to| Timestamp::from_millis(to.millis().saturating_add(1))),
            limit,
            ..Query::default()
        };
        let wanted: Vec<&str> = parameters.iter().filter(|(name, _)| name == "tags").map(|(_, value)| &**value).collect();
        let is_any = one("matchAny").is_some_and(|text| matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True"));
        let mut questions = questions(base, &wanted, is_any)?;
        let ignored = |name: &&str| one(name).is_some_and(|value| value != "0");
        let mut notes: Vec<Cow<'static, str>> = IGNORED
            .iter()
            .filter(|name| ignored(name))
            .map(|name| format!("{name}: ignored, annotations of all are here").into())
            .collect();
        if one("type") == Some("alert") {
            questions.clear();
            notes.push("type: there are no annotations of alerts here".into());
        }
        let (detail, note) = detail(one("text"));
        notes.extend(note);
        Ok(Self { questions, limit, detail, notes })
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

/// What finds events with all of these tags, or with any. A tag without a value is a key, whatever its value.
fn questions(base: Query, wanted: &[&str], is_any: bool) -> Result<Vec<Query>, ApiError> {
    if wanted.len() > TAGS_MAX {
        return Err(ApiError::malformed(format!("tags: {} of them, at most {TAGS_MAX}", wanted.len())));
    }
    let pairs: BTreeSet<(&str, &str)> = wanted.iter().filter_map(|tag| tags::split(tag)).collect();
    let pairs: Vec<(&str, &str)> = pairs.into_iter().collect();
    if !is_any || pairs.is_empty() {
        return Ok(with_all(base, &pairs));
    }
    let (found, looked_for): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(key, value)| is_indexed(key) || is_name(key, value));
    let mut all: Vec<Query> = found.iter().flat_map(|pair| with_all(base.clone(), &[*pair])).collect();
    // What looks at all events comes last, so that the others have their answer when it ends early.
    if !looked_for.is_empty() {
        all.push(looking(base, &looked_for, true));
    }
    Ok(all)
}

/// Whether the indexes of tags have all tags with this key. What a tag that is no tag of the event says (its name, which end it is)
/// is in none of them.
fn is_indexed(key: &str) -> bool {
    !tags::is_consumed(key)
}

/// Whether it is the tag that the name of an event is shown as.
fn is_name(key: &str, value: &str) -> bool {
    key == EVENT_NAME && !value.is_empty()
}

/// What finds events with all of these tags.
fn with_all(base: Query, pairs: &[(&str, &str)]) -> Vec<Query> {
    let (indexed, others): (Vec<_>, Vec<_>) = pairs.iter().copied().partition(|(key, _)| is_indexed(key));
    let mut query = base;
    for (key, value) in indexed {
        if value.is_empty() {
            query.keys.push(key.into());
        } else {
            query.tags.push((key.into(), value.into()));
        }
    }
    if others.is_empty() {
        return vec![query];
    }
    let query = looking(query, &others, false);
    let Some((key, name)) = others.into_iter().find(|(key, value)| is_name(key, value)) else { return vec![query] };
    // Either the event has this name, or another one and a tag of its own that says so.
    let mut tagged = query.clone();
    tagged.tags.push((key.into(), name.into()));
    vec![Query { selectors: vec![vec![Matcher::equal(EVENT_NAME, name)]], ..query }, tagged]
}

/// The same of events that are shown with all of these tags, or with any.
fn looking(base: Query, pairs: &[(&str, &str)], is_any: bool) -> Query {
    let wanted: Vec<(Box<str>, Box<str>)> = pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    let keep_cost = SHOWN_COST + wanted.len() as u64 / TAGS_A_COST;
    let keep = Keep(Arc::new(move |event: &EventView| {
        let shown = Shown::of(event);
        let mut has = shown.has(&wanted);
        if is_any { has.any(|has| has) } else { has.all(|has| has) }
    }));
    Query { keep: Some(keep), keep_cost, ..base }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read() {
        type Narrowed<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str], Option<&'a str>, u64);
        /// Of each question: tags, keys, the name, and what it takes to look at an event.
        #[track_caller]
        fn check(text: &str, range: (Option<Timestamp>, Option<Timestamp>), limit: usize, expected: &[Narrowed<'_>]) {
            let asked = Asked::parse(Some(text)).unwrap_or_else(|error| panic!("{text}: {error:?}"));
            assert_eq!((asked.limit, asked.questions.len()), (limit, expected.len()), "{text}");
            for (query, expected) in asked.questions.iter().zip(expected) {
                let found: Vec<(&str, &str)> = query.tags.iter().map(|(key, value)| (&**key, &**value)).collect();
                let keys: Vec<&str> = query.keys.iter().map(|key| &**key).collect();
                let name = query.selectors.first().and_then(|selector| selector.first()).map(|matcher| &*matcher.value);
                assert_eq!((&*found, &*keys, name, query.keep_cost), *expected, "{text}");
                assert_eq!((query.start, query.end, query.limit), (range.0, range.1, limit), "{text}");
                assert_eq!(query.keep.is_some(), query.keep_cost > 0, "{text}");
            }
        }
        let (any, at) = ((None, None), |millis: i64| Some(Timestamp::from_millis(millis)));
        let all: Narrowed<'_> = (&[], &[], None, 0);
        check("", any, 100, &[all]);
        check("&&from=&to=0&limit=0&limt=7&dashboardUID=x", any, 100, &[all]);
        check("from=5&to=9&limit=3", (at(5), at(10)), 3, &[all]);
        check("from=-5&to=9223372036854775807&limit=-3", (at(-5), at(i64::MAX)), 100, &[all]);
        check("limit=1000000", any, 10_000, &[all]);
        check("tags=a&tags=b%3Ac&tags=%20d%20:%20e:f&tags=&tags=:x&tags=a", any, 100, &[(&[("b", "c"), ("d", "e:f")], &["a"], None, 0)]);
        check("tags=event_name:x&tags=a", any, 100, &[(&[], &["a"], Some("x"), 4), (&[("event_name", "x")], &["a"], None, 4)]);
        check("tags=event_name&tags=event_state:stop&tags=a:b", any, 100, &[(&[("a", "b")], &[], None, 5)]);
        check("tags=a&tags=b:c&tags=b:%20c&matchAny=true", any, 100, &[(&[], &["a"], None, 0), (&[("b", "c")], &[], None, 0)]);
        check(
            "tags=event_state:stop&tags=b:c&tags=event_name:x&tags=event_name&matchAny=1",
            any,
            100,
            &[(&[("b", "c")], &[], None, 0), (&[], &[], Some("x"), 4), (&[("event_name", "x")], &[], None, 4), (&[], &[], None, 5)],
        );
        check("tags=&matchAny=true", any, 100, &[all]);
        check("type=alert&tags=a", any, 100, &[]);
        check("type=annotation", any, 100, &[all]);
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
