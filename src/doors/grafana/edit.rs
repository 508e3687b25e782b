//! What a body changes of an event. A field that says what is shown already changes nothing, so that an event of another door,
//! read and sent back, stays what it is.

use serde_json::value::RawValue;

use crate::doors::grafana::open_end;
use crate::doors::grafana::retag::retag;
use crate::doors::grafana::shown::Shown;
use crate::doors::grafana::wire::Fields;
use crate::doors::grafana::wire::Written;
use crate::doors::grafana::wire::end_of;
use crate::mapping::tags;
use crate::mapping::tags::EventNames;
use crate::mapping::whole::End;
use crate::mapping::whole::Whole;
use crate::store::EventView;
use crate::time::Timestamp;

/// What becomes of what a body does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// `PUT`: of an annotation of this door text and tags are gone, times stay.
    Replace,
    /// `PATCH`: it stays.
    Patch,
}

/// The event with these fields, at `now`.
pub(super) fn edited(event: &EventView, mut whole: Whole, fields: &Fields, how: How, names: &EventNames, now: Timestamp) -> Whole {
    let shown = Shown::of(event);
    let mut written = shown.written.clone().unwrap_or_default();
    (whole.at, whole.end) = times(event, &whole, fields, now);
    let is_whole_here = how == How::Replace && (written.created || shown.written_text().is_some());
    let text = fields.text.as_deref().or_else(|| is_whole_here.then_some(""));
    if let Some(text) = text.filter(|text| *text != shown.text()) {
        whole.details.description = text.into();
        written.text = true;
    }
    let is_whole_here = how == How::Replace && written.created;
    let given = fields.tags.as_ref().filter(|tags| how == How::Replace || !tags.is_empty()).cloned();
    let given = given.or_else(|| is_whole_here.then(Vec::new));
    if let Some(given) = given.filter(|given| *given != shown.tags()) {
        retag(&shown, &mut whole, &mut written, given, names);
    }
    keep(&mut written, fields);
    if shown.written.is_some() || written.is_something() {
        written.put(&mut whole.details);
    }
    whole
}

/// Whether this is the end that an open event was shown with, which ends nothing.
pub(super) fn is_shown_end(event: &EventView, fields: &Fields, now: Timestamp) -> bool {
    event.open && fields.time_end.is_some_and(|end| open_end::was_shown(event, now, end))
}

/// When it begins and ends. What has no end of its own keeps none, unless one is given.
fn times(event: &EventView, whole: &Whole, fields: &Fields, now: Timestamp) -> (Timestamp, End) {
    let end = fields.time_end.filter(|_| !is_shown_end(event, fields, now));
    let is_same = fields.time.is_none_or(|time| time == whole.at) && end.is_none_or(|end| event.ended() == Some(end));
    let time = fields.time.unwrap_or(whole.at);
    match (end, whole.end) {
        _ if is_same => (whole.at, whole.end),
        (Some(end), _) | (None, End::At(end)) => end_of(time, end),
        (None, end) => (time, end),
    }
}

/// What is kept for whoever reads it back.
fn keep(written: &mut Written, fields: &Fields) {
    let Fields { dashboard_id, dashboard_uid, panel_id, data, .. } = fields;
    written.dashboard_id = dashboard_id.or(written.dashboard_id);
    written.dashboard_uid = dashboard_uid.clone().or(written.dashboard_uid.take());
    written.panel_id = panel_id.or(written.panel_id);
    let data = data.as_deref().and_then(|data| RawValue::from_string(data.to_owned()).ok());
    written.data = data.or(written.data.take());
}

/// The event, which is open and was begun here, as it ends by what would else have been created.
pub(super) fn ended(event: &EventView, mut whole: Whole, by: &Whole, names: &EventNames) -> Whole {
    let shown = Shown::of(event);
    let mut written = shown.written.clone().unwrap_or_default();
    let its = Written::of(&by.details).unwrap_or_default();
    let its_tags = its.tags(&by.event_name, &by.details.tags).unwrap_or_default();
    retag(&shown, &mut whole, &mut written, tags::joined(&shown.tags(), its_tags), names);
    written.text = shown.written_text().is_some();
    let (begun, more) = (&whole.details.description, &by.details.description);
    if !begun.contains(&**more) {
        whole.details.description = format!("{begun}\n{more}").into();
    }
    whole.end = if by.at <= whole.at { End::Point } else { End::At(by.at) };
    written.ended_by = Some(by.id.clone());
    written.put(&mut whole.details);
    whole
}
