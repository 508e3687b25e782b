//! An event between the store and ETS: any event, of whichever door, has the eight keys; what is written back leaves alone
//! what ETS has no key for.
//!
//! Names, sources and scopes of other doors show as tags, and for what came as edges the labels do. These tags are made up
//! anew each time, so what comes back of them is not kept as tags of the event.

use crate::doors::ets::wire::EVENT_NAME_DEFAULT;
use crate::doors::ets::wire::Event;
use crate::doors::ets::wire::Tags;
use crate::event::Details;
use crate::labels::EVENT_NAME;
use crate::mapping::whole::End;
use crate::mapping::whole::Whole;
use crate::store::EventView;
use crate::time::Timestamp;

/// The keys of labels that are not tags, since the event has keys of its own for them.
const RESERVED: [&str; 3] = ["parent_id", "source_id", "description"];

/// An event as it is put.
pub(super) fn whole(event: &Event) -> Whole {
    let details = Details {
        description: event.description.clone(),
        parent_id: event.parent_id.clone(),
        source_id: event.source_id.clone(),
        links: event.detail_urls.clone(),
        tags: event.tags.clone(),
        ..Details::default()
    };
    let (at, end) = (event.start, end(event.start, event.end));
    Whole { id: event.id.clone(), event_name: event.event_name().into(), at, end, details, cluster: "".into() }
}

fn end(start: Timestamp, end: Option<Timestamp>) -> End {
    match end {
        None => End::Open,
        Some(end) if end == start => End::Point,
        Some(end) => End::At(end),
    }
}

/// An event as it is shown.
pub(super) fn event(event: &EventView) -> Event {
    let none = Details::default();
    let details = event.details.as_deref().unwrap_or(&none);
    let mut tags = made_up(event, details);
    for (key, values) in &details.tags {
        add(&mut tags, key, values);
    }
    Event {
        id: event.id.clone(),
        source_id: own_or_label(event, &details.source_id, "source_id").into(),
        parent_id: parent(event).into(),
        start: event.began(),
        end: event.ended(),
        description: own_or_label(event, &details.description, "description").into(),
        detail_urls: details.links.clone(),
        tags,
    }
}

/// What is put for an event of which `shown` became `after`; `whole` is the event as it is.
pub(super) fn written(event: &EventView, shown: &Event, after: Event, mut whole: Whole) -> Whole {
    if (shown.start, shown.end) != (after.start, after.end) {
        (whole.at, whole.end) = (after.start, end(after.start, after.end));
    }
    let details = &mut whole.details;
    let texts = [
        (&mut details.source_id, &shown.source_id, after.source_id),
        (&mut details.parent_id, &shown.parent_id, after.parent_id),
        (&mut details.description, &shown.description, after.description),
    ];
    for (kept, shown, after) in texts {
        if *shown != after {
            *kept = after;
        }
    }
    details.links = after.detail_urls;
    if shown.tags != after.tags {
        let had_type = !details.tag("type").is_empty();
        let made_up = made_up(event, details);
        let named = after.tags.iter().find(|(key, _)| **key == *"type").and_then(|(_, values)| values.first()).cloned();
        details.tags = kept(event, &made_up, after.tags);
        match named.filter(|name| !name.is_empty()) {
            Some(name) => whole.event_name = name,
            None if event.own_id && had_type => whole.event_name = EVENT_NAME_DEFAULT.into(),
            None => {}
        }
    }
    whole
}

/// The tags of which none was made up.
fn kept(event: &EventView, made_up: &Tags, tags: Tags) -> Tags {
    let mut kept = Tags::new();
    for (key, values) in tags {
        let known = made_up.iter().find(|(known, _)| *known == key).map(|(_, known)| known);
        let left: Vec<Box<str>> = match known {
            // The first type is the event's name, so a list that begins with a name that was made up is kept whole.
            Some(known) if event.own_id && *key == *"type" && values != *known => values,
            Some(known) => values.into_iter().filter(|value| !known.contains(value)).collect(),
            None => values,
        };
        if known.is_none() || !left.is_empty() {
            kept.push((key, left));
        }
    }
    kept
}

/// The tags that stand for what is no tag.
fn made_up(event: &EventView, details: &Details) -> Tags {
    let mut tags = Tags::new();
    let name = event.event_name();
    let has_type = !details.tag("type").is_empty();
    if !event.own_id || (!has_type && name != EVENT_NAME_DEFAULT) {
        add(&mut tags, "type", &[name.into()]);
    }
    for (key, text) in [("name", &details.name), ("source", &details.source)] {
        if !text.is_empty() {
            add(&mut tags, key, std::slice::from_ref(text));
        }
    }
    for (key, values) in [("bucket", &details.buckets), ("environment", &details.environments)] {
        if !values.is_empty() {
            add(&mut tags, key, values);
        }
    }
    if !event.own_id {
        for edge in [&event.start, &event.stop].into_iter().flatten() {
            for (name, value) in edge.labels.iter().filter(|(name, _)| *name != EVENT_NAME && !RESERVED.contains(name)) {
                add(&mut tags, name, &[value.into()]);
            }
        }
    }
    tags
}

fn add(tags: &mut Tags, key: &str, values: &[Box<str>]) {
    let Some((_, known)) = tags.iter_mut().find(|(known, _)| **known == *key) else {
        tags.push((key.into(), values.to_vec()));
        return;
    };
    for value in values {
        if !known.contains(value) {
            known.push(value.clone());
        }
    }
}

/// The id of the event that caused it; empty for none.
pub(super) fn parent(event: &EventView) -> &str {
    own_or_label(event, event.details.as_deref().map_or("", |details| &details.parent_id), "parent_id")
}

fn own_or_label<'a>(event: &'a EventView, own: &'a str, name: &str) -> &'a str {
    if own.is_empty() && !event.own_id { event.label(name).unwrap_or_default() } else { own }
}
