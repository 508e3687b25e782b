//! How an event of any front door is shown as an annotation: its times, its tags, its text.
//!
//! What this door wrote is shown as it was written. All else is composed of what the event has: tags that find it here, and a
//! text with all that there is (`compose`).

use crate::doors::grafana::compose;
use crate::doors::grafana::open_end;
use crate::doors::grafana::wire::Written;
use crate::event::Details;
use crate::labels::EVENT_NAME;
use crate::mapping::tags;
use crate::mapping::tags::Tags;
use crate::store::EventView;
use crate::time::Timestamp;

/// The tag that other doors read the name from.
pub(super) const TYPE: &str = "type";

/// An event, and what was written of it here.
#[derive(Debug)]
pub(super) struct Shown<'a> {
    pub(super) event: &'a EventView,
    pub(super) written: Option<Written>,
}

impl<'a> Shown<'a> {
    pub(super) fn of(event: &'a EventView) -> Self {
        Self { event, written: event.details.as_deref().and_then(Written::of) }
    }

    /// When it ended; a point where it began, and what is open about `now`.
    pub(super) fn end(&self, now: Timestamp) -> Timestamp {
        let began = self.event.began();
        self.event.ended().unwrap_or_else(|| open_end::shown(self.event, now)).max(began)
    }

    /// Its text as it was written, as long as it is the event's: what another door says is never taken for HTML of this one.
    pub(super) fn written_text(&self) -> Option<&'a str> {
        let (details, written) = (self.event.details.as_deref()?, self.written.as_ref()?);
        written.is_text(&details.description).then_some(&*details.description)
    }

    pub(super) fn text(&self) -> String {
        self.written_text().map_or_else(|| compose::text(self.event), ToOwned::to_owned)
    }

    /// Its tags as they were written, as long as they are the event's.
    pub(super) fn written_tags(&self) -> Option<&[Box<str>]> {
        let none = Tags::new();
        let own = self.event.details.as_deref().map_or(&none, |details| &details.tags);
        self.written.as_ref().and_then(|written| written.tags(self.event.event_name(), own))
    }

    /// These, else those that it has.
    pub(super) fn tags(&self) -> Vec<Box<str>> {
        self.written_tags().map_or_else(|| composed(self.event), <[_]>::to_vec)
    }

    /// What it has of these tags, each a key and a value, or a key alone, whatever its value: as it is shown, or as other doors
    /// call it.
    pub(super) fn has<'w>(&self, wanted: &'w [(Box<str>, Box<str>)]) -> impl Iterator<Item = bool> + use<'_, 'w, 'a> {
        let (details, tags) = (self.event.details.as_deref(), self.tags());
        wanted.iter().map(move |(key, value)| {
            let is_it = |own: &str, its: &str| *own == **key && (value.is_empty() || *its == **value);
            let is_key = |details: &Details| value.is_empty() && details.all_keys().any(|own| *own == **key);
            details.is_some_and(|details| details.all_tags().any(|(own, its)| is_it(own, its)) || is_key(details))
                || labels(self.event).any(|(own, its)| is_it(own, its))
                || tags.iter().filter_map(|tag| tags::split(tag)).any(|(own, its)| is_it(own, its))
        })
    }
}

fn labels(event: &EventView) -> impl Iterator<Item = (&str, &str)> {
    let edges = [&event.start, &event.stop].into_iter().flatten();
    edges.flat_map(|edge| edge.labels.iter()).filter(|(name, _)| *name != EVENT_NAME)
}

/// The tags of an event: its name, its own, and what other doors have other words for.
fn composed(event: &EventView) -> Vec<Box<str>> {
    let none = Tags::new();
    texts(event.event_name(), event.details.as_deref().map_or(&none, |details| &details.tags), &beside(event))
}

/// These as they are shown. The `type` that is the name is not told twice.
pub(super) fn texts(name: &str, own: &Tags, beside: &Tags) -> Vec<Box<str>> {
    let mut all = Tags::new();
    tags::add(&mut all, EVENT_NAME, name);
    for (key, values) in own {
        let is_name = |value: &str| **key == *TYPE && *value == *name;
        if values.is_empty() {
            tags::add(&mut all, key, "");
        }
        values.iter().filter(|value| !is_name(value)).for_each(|value| tags::add(&mut all, key, value));
    }
    for (key, values) in beside {
        tags::add_each(&mut all, key, values);
    }
    let texts = all.iter().flat_map(|(key, values)| {
        let bare = values.is_empty().then(|| tags::text(key, ""));
        bare.into_iter().chain(values.iter().map(move |value| tags::text(key, value)))
    });
    texts.map(Into::into).collect()
}

/// The tags of an event that are no tags of its own: fields that other doors have for them, and the labels of what came as edges.
/// They are made up anew each time, so what comes back of them is not kept.
pub(super) fn beside(event: &EventView) -> Tags {
    let mut all = Tags::new();
    if let Some(details) = event.details.as_deref() {
        tags::add_each(&mut all, "source", Some(&details.source).filter(|source| !source.is_empty()));
        tags::add_each(&mut all, "bucket", &details.buckets);
        tags::add_each(&mut all, "environment", &details.environments);
    }
    // The labels of others are made of their details.
    for (name, value) in labels(event).filter(|_| !event.own_id) {
        tags::add(&mut all, name, value);
    }
    all
}
