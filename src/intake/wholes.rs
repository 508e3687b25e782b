//! Creating, changing and deleting whole events: what every front door that has them does in the same way.
//!
//! A change reads the event, lets the door edit it, and hands it to the writer with the version that was read. When another
//! was faster the door edits again; a version that the sender named (`If-Match`) is never got around.

use std::borrow::Cow;
use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header;

use crate::event::Change;
use crate::event::Delete;
use crate::event::Describe;
use crate::event::Edge;
use crate::event::EdgeState;
use crate::event::Expect;
use crate::event::Version;
use crate::http::app::App;
use crate::http::error::ApiError;
use crate::http::refusals;
use crate::intake::actor::Actor;
use crate::intake::warnings;
use crate::mapping::Warning;
use crate::mapping::whole::End;
use crate::mapping::whole::Whole;
use crate::store::EdgeView;
use crate::store::EventView;
use crate::time::Timestamp;
use crate::writer::Held;
use crate::writer::Made;
use crate::writer::Unchanged;

/// How often a change is tried while others change the same event.
pub(crate) const TRIES: usize = 16;

/// An event after a change.
#[derive(Debug)]
pub(crate) struct ChangedEvent {
    /// As it is now.
    pub(crate) event: EventView,
    /// What the sender should know: labels that say less than was sent, samples that are not simply shown.
    pub(crate) warnings: Vec<Cow<'static, str>>,
}

/// Nothing was changed.
impl From<EventView> for ChangedEvent {
    fn from(event: EventView) -> Self {
        Self { event, warnings: Vec::new() }
    }
}

/// Why an event was not changed.
#[derive(Debug)]
pub(crate) enum ChangeError {
    /// There is one with this id already.
    Exists,
    /// There is none with this id.
    Unknown,
    /// It is not at a version that the sender named.
    Stale,
    /// It came as edges, which a change cannot move.
    Edges(&'static str),
    /// Anything else.
    Refused(ApiError),
}

impl From<ApiError> for ChangeError {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

impl From<ChangeError> for ApiError {
    fn from(error: ChangeError) -> Self {
        let refuse = |status, reason, message: String| Self::new(status, reason, message);
        match error {
            ChangeError::Exists => refuse(StatusCode::CONFLICT, "conflict", "id: an event with this id is there already".into()),
            ChangeError::Unknown => refuse(StatusCode::NOT_FOUND, "unknown", "no such event".into()),
            ChangeError::Stale => {
                let message = "If-Match: the event has changed since; read it again, and send the `ETag` of that answer";
                refuse(StatusCode::PRECONDITION_FAILED, "stale", message.into())
            }
            ChangeError::Edges(field) => refuse(
                StatusCode::CONFLICT,
                "conflict",
                format!(
                    "{field}: the event came as edges, which stay as they were sent; its details can change, and it can be closed while it is open"
                ),
            ),
            ChangeError::Refused(error) => error,
        }
    }
}

/// Which versions the sender will have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum IfMatch {
    /// It does not say.
    Absent,
    /// Any, but there has to be one.
    Any,
    /// One of these.
    These(Vec<Version>),
}

impl IfMatch {
    /// From the header `If-Match` (RFC 9110 section 13.1.1).
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        if !headers.contains_key(header::IF_MATCH) {
            return Self::Absent;
        }
        let mut versions = Vec::new();
        for value in headers.get_all(header::IF_MATCH) {
            let text = value.to_str().unwrap_or_default();
            if text.trim() == "*" {
                return Self::Any;
            }
            let tags = text.split(',').map(str::trim).filter_map(|tag| tag.strip_prefix('"')?.strip_suffix('"'));
            versions.extend(tags.filter_map(Version::parse));
        }
        Self::These(versions)
    }

    fn admits(&self, version: Version) -> bool {
        match self {
            Self::Absent | Self::Any => true,
            Self::These(versions) => versions.contains(&version),
        }
    }
}

/// The `ETag` of an event.
pub(crate) fn etag(version: Version) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{version}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// Puts an event that is not there.
pub(crate) async fn create(app: &App, actor: &Actor, whole: &Whole) -> Result<ChangedEvent, ChangeError> {
    let (put, warnings) = put(actor, whole, None)?;
    match change(app, actor, put, Expect::New).await? {
        Some(made) => changed(app, actor, &whole.id, &warnings, &made).await,
        None => Err(ChangeError::Exists),
    }
}

/// Changes an event. `edit` gets it as it is and as the record that would put it again, and may be called more than once.
pub(crate) async fn update<E: Into<ChangeError>>(
    app: &App,
    actor: &Actor,
    id: &str,
    if_match: &IfMatch,
    edit: impl Fn(&EventView, Whole) -> Result<Whole, E>,
) -> Result<ChangedEvent, ChangeError> {
    // So that none has to be tried again.
    let _turn = app.turns.take([&actor.organization, id]).await;
    for _ in 0..TRIES {
        let event = find(app, actor, id).await?.ok_or(ChangeError::Unknown)?;
        if !if_match.admits(event.version) {
            return Err(ChangeError::Stale);
        }
        let before = whole(&event);
        let after = edit(&event, before.clone()).map_err(Into::into)?;
        let (edited, warnings) =
            if event.own_id { put(actor, &after, Some(event.created))? } else { (describe(actor, &event, &before, &after)?, Vec::new()) };
        if let Some(made) = change(app, actor, edited, Expect::Version(event.version)).await? {
            return changed(app, actor, &event.id, &warnings, &made).await;
        }
    }
    Err(ApiError::unavailable("busy", "busy: others keep changing this event").into())
}

/// Deletes an event, and returns what it was.
pub(crate) async fn delete(app: &App, actor: &Actor, id: &str, if_match: &IfMatch) -> Result<EventView, ChangeError> {
    // So that none has to be tried again.
    let _turn = app.turns.take([&actor.organization, id]).await;
    for _ in 0..TRIES {
        let event = find(app, actor, id).await?.ok_or(ChangeError::Unknown)?;
        if !if_match.admits(event.version) {
            return Err(ChangeError::Stale);
        }
        let delete = Delete { organization: Arc::clone(&actor.organization), id: event.id.clone(), span: None };
        if change(app, actor, Change::Delete(delete), Expect::Version(event.version)).await?.is_some() {
            return Ok(event);
        }
    }
    Err(ApiError::unavailable("busy", "busy: others keep changing this event").into())
}

/// The event with this id: its own, or that of one of its edges.
pub(crate) async fn find(app: &App, actor: &Actor, id: &str) -> Result<Option<EventView>, ApiError> {
    let (store, organization, id) = (Arc::clone(&app.store), Arc::clone(&actor.organization), id.to_owned());
    app.heavy(&app.lookups, &actor.source, move || store.tenant(&organization)?.event(&id)).await
}

/// The event as it is now, to be changed. One with only an end begins there.
pub(crate) fn whole(event: &EventView) -> Whole {
    let end = match event.ended() {
        _ if event.point => End::Point,
        Some(end) => End::At(end),
        None => End::Open,
    };
    Whole {
        id: event.id.clone(),
        event_name: event.event_name().into(),
        at: event.began(),
        end,
        details: event.details.as_deref().cloned().unwrap_or_default(),
        cluster: (&*event.cluster).into(),
    }
}

fn put(actor: &Actor, whole: &Whole, created: Option<Timestamp>) -> Result<(Change, Vec<Warning>), ApiError> {
    let context = actor.settings.context(&actor.organization, actor.now);
    let (put, warnings) = whole.put(created, &context).map_err(|error| refusals::refusal(&error))?;
    Ok((Change::Put(Box::new(put)), warnings))
}

/// The change of an event that came as edges: new details, and a stop if it is to end.
fn describe(actor: &Actor, event: &EventView, before: &Whole, after: &Whole) -> Result<Change, ChangeError> {
    let first = event.first().ok_or(ChangeError::Unknown)?;
    for (field, same) in [
        ("event_name", before.event_name == after.event_name),
        ("start", before.at == after.at),
        ("cluster", before.cluster == after.cluster),
    ] {
        if !same {
            return Err(ChangeError::Edges(field));
        }
    }
    let stop = match (before.end, after.end) {
        (before, after) if before == after => None,
        (End::Open, End::At(at)) => Some(stop(actor, event, first, at)),
        _ => return Err(ChangeError::Edges("end")),
    };
    let organization = Arc::clone(&actor.organization);
    Ok(Change::Describe(Box::new(Describe { organization, edge: first.id, span: None, stop, details: after.details.clone() })))
}

fn stop(actor: &Actor, event: &EventView, start: &EdgeView, at: Timestamp) -> Edge {
    Edge {
        organization: Arc::clone(&actor.organization),
        cluster: Arc::clone(&event.cluster),
        attributes: start.attributes.clone(),
        ..Edge::new(EdgeState::Stop, at, event.identity, start.labels.clone())
    }
}

/// What was made of it; `None` when the event was not as expected.
async fn change(app: &App, actor: &Actor, change: Change, expect: Expect) -> Result<Option<Made>, ChangeError> {
    let changed = app
        .writer()?
        .change(&actor.source, change, expect, Held::of(actor.room.clone()))
        .await
        .map_err(|error| refusals::unavailable(&error))?;
    match changed {
        Ok(made) => Ok(Some(made)),
        Err(Unchanged::Unexpected) => Ok(None),
        Err(Unchanged::Refused(refused)) => Err(refusals::refused_by_writer(&refused).into()),
    }
}

async fn changed(app: &App, actor: &Actor, id: &str, labels: &[Warning], made: &Made) -> Result<ChangedEvent, ChangeError> {
    warnings::count_warnings(&app.telemetry, labels);
    let mut warnings = warnings::warnings(labels, None);
    warnings.extend(made.unlabelled.iter().map(|lost| Cow::Owned(lost.to_string())));
    for exposure in &made.exposures {
        for warning in warnings::warnings(&[], Some(exposure)) {
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
    }
    // Deleted by another in the meantime: as if that had come first.
    let event = find(app, actor, id).await?.ok_or(ChangeError::Unknown)?;
    Ok(ChangedEvent { event, warnings })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_an_event_was_not_changed_has_its_status_and_its_sentence() {
        #[track_caller]
        fn check(error: ChangeError, status: u16, reason: &str, message: &str) {
            let error = ApiError::from(error);
            assert_eq!((error.status.as_u16(), error.reason, &*error.message), (status, reason, message));
        }
        check(ChangeError::Exists, 409, "conflict", "id: an event with this id is there already");
        check(ChangeError::Unknown, 404, "unknown", "no such event");
        let stale = "If-Match: the event has changed since; read it again, and send the `ETag` of that answer";
        check(ChangeError::Stale, 412, "stale", stale);
    }

    #[test]
    fn if_match_names_versions() {
        #[track_caller]
        fn check(values: &[&str], expected: &IfMatch) {
            let headers = values.iter().map(|value| (header::IF_MATCH, value.parse().unwrap()));
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(name, value);
            }
            assert_eq!(IfMatch::of(&map), *expected, "{values:?}");
        }
        check(&[], &IfMatch::Absent);
        check(&["*"], &IfMatch::Any);
        check(&["\"00000000000000ff\""], &IfMatch::These(vec![Version(255)]));
        check(&["\"0000000000000001\", \"0000000000000002\""], &IfMatch::These(vec![Version(1), Version(2)]));
        check(&["\"0000000000000001\"", "\"0000000000000002\""], &IfMatch::These(vec![Version(1), Version(2)]));
        // A weak tag never matches, nor does what is no tag of ours.
        check(&["W/\"0000000000000001\""], &IfMatch::These(Vec::new()));
        check(&["anything"], &IfMatch::These(Vec::new()));
    }
}
