//! What a body changes of an event. A field that says what the event says already changes nothing, so that an event of
//! another door, read and sent back, stays what it is.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::doors::apitraffic::record;
use crate::doors::apitraffic::record::EventRecord;
use crate::doors::apitraffic::wire::EndedAt;
use crate::doors::apitraffic::wire::FieldError;
use crate::doors::apitraffic::wire::Fields;
use crate::doors::apitraffic::wire::Type;
use crate::doors::apitraffic::wire::check_order;
use crate::doors::apitraffic::wire::is_all;
use crate::mapping::whole::End;
use crate::mapping::whole::Whole;
use crate::store::EventView;
use crate::time::Timestamp;

/// The event with these fields, at `now`.
pub(super) fn edited(event: &EventView, mut whole: Whole, fields: &Fields, now: Timestamp) -> Result<Whole, FieldError> {
    let shown = EventRecord::of(event, "", now);
    let kind = fields.kind.filter(|kind| *kind != shown.kind);
    if let Some(kind) = kind {
        rename(&mut whole, kind);
    }
    if let Some(at) = fields.started_at {
        whole.at = at;
    }
    whole.end = end(&shown, kind, whole.end, fields.ended_at);
    if fields.started_at.is_some() || fields.ended_at != EndedAt::Absent {
        check_order(whole.at, whole.end, fields.ended_at)?;
    }
    let details = &mut whole.details;
    if let Some(name) = changed(fields.name.as_deref(), Some(&shown.name)) {
        details.name = name;
    }
    if let Some(description) = changed(fields.description.as_deref(), shown.description.as_ref()) {
        details.description = description;
    }
    if let Some(source) = changed(fields.source.as_deref(), shown.source.as_ref()) {
        details.source = source;
    }
    if let Some(buckets) = changed_scope(fields.buckets.as_ref(), &shown.buckets) {
        details.buckets = if is_all(&buckets) && !record::has_bucket_elsewhere(event) { Vec::new() } else { buckets };
    }
    if let Some(environments) = changed_scope(fields.environments.as_ref(), &shown.environments) {
        details.environments = if is_all(&environments) && !record::has_environment_elsewhere(event) { Vec::new() } else { environments };
    }
    if let Some(metadata) = &fields.metadata {
        details.metadata = own_metadata(event, metadata);
    }
    Ok(whole)
}

/// The event gets another type, also in the tag that another door reads it from.
fn rename(whole: &mut Whole, kind: Type) {
    whole.event_name = kind.name().into();
    let tag = whole.details.tags.iter_mut().find(|(key, _)| **key == *"type");
    if let Some(first) = tag.and_then(|(_, values)| values.first_mut()) {
        *first = kind.name().into();
    }
}

/// When it ends. `kind` is its type if that changes.
fn end(shown: &EventRecord<'_>, kind: Option<Type>, end: End, ended_at: EndedAt) -> End {
    let without_end = kind.unwrap_or(shown.kind).without_end();
    match ended_at {
        EndedAt::At(at) => End::At(at),
        EndedAt::Null if shown.ended_at.is_some() => without_end,
        _ if kind.is_some() && shown.ended_at.is_none() => without_end,
        EndedAt::Null | EndedAt::Absent => end,
    }
}

fn changed(given: Option<&str>, shown: Option<&Cow<'_, str>>) -> Option<Box<str>> {
    given.filter(|given| *given != shown.map_or("", |shown| &**shown)).map(Into::into)
}

fn changed_scope(given: Option<&Vec<Box<str>>>, shown: &[Cow<'_, str>]) -> Option<Vec<Box<str>>> {
    given.filter(|given| !given.iter().map(|scope| &**scope).eq(shown.iter().map(|scope| &**scope))).cloned()
}

/// The metadata without what the event says beside it.
fn own_metadata(event: &EventView, given: &str) -> Box<str> {
    let beside = record::beside(event);
    if beside.is_empty() || given.is_empty() {
        return given.into();
    }
    let Ok(mut members) = serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(given) else { return given.into() };
    members.retain(|name, value| beside.get(name).is_none_or(|known| !is_same(known.get(), value.get())));
    if members.is_empty() { "".into() } else { serde_json::to_string(&members).map_or_else(|_| given.into(), Into::into) }
}

fn is_same(known: &str, given: &str) -> bool {
    known == given || matches!((serde_json::from_str::<Value>(known), serde_json::from_str::<Value>(given)), (Ok(a), Ok(b)) if a == b)
}
