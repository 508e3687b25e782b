//! Stops that close nothing: which open event is the nearest, and in what it differs, so that a sender sees why.
//!
//! Asked of the store once the stop is in it, in a seat of look-ups, and for a moment only: an answer never waits for it longer
//! than that.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::event::EdgeId;
use crate::http::app::App;
use crate::http::app::Settings;
use crate::labels::EVENT_NAME;
use crate::labels::LabelSet;
use crate::mapping::Mapping;
use crate::shown::quoted;
use crate::store::EventView;
use crate::store::Tenant;
use crate::time::Timestamp;
use crate::words::ends;
use crate::words::entities::ENTITIES;
use crate::writer::Source;
use crate::writer::Taken;

/// Of one body, or one group of lines, so many stops are looked at.
const LOOKED_AT_MAX: usize = 16;
/// So many open events are compared with a stop, the latest first.
const COMPARED_MAX: usize = 32;
/// So many labels are named.
const NAMED_MAX: usize = 3;
/// The answer waits so long for it.
const PATIENCE: Duration = Duration::from_millis(200);

/// Stops of one organization that closed nothing when they came.
#[derive(Debug)]
pub(crate) struct Unmatched {
    organization: Arc<str>,
    settings: Arc<Settings>,
    stops: Vec<EdgeId>,
}

impl Unmatched {
    /// Those that these answers are about.
    pub(crate) fn of<'t>(organization: &Arc<str>, settings: &Arc<Settings>, taken: impl IntoIterator<Item = &'t Taken>) -> Self {
        let stops = taken.into_iter().filter(|taken| taken.alone).map(|taken| taken.id).collect();
        Self { organization: Arc::clone(organization), settings: Arc::clone(settings), stops }
    }

    /// Counts them, and looks at the first.
    pub(crate) async fn look(mut self, app: &App, source: Source) -> Told {
        app.telemetry.stops_unmatched.inc_by(self.stops.len() as u64);
        self.stops.truncate(LOOKED_AT_MAX);
        let Some(tenant) = app.store.tenant(&self.organization).filter(|_| !self.stops.is_empty()) else { return Told::default() };
        let work = move || Told(self.stops.iter().filter_map(|&stop| Some((stop, tell(&tenant, &self.settings.mapping, stop)?))).collect());
        tokio::time::timeout(PATIENCE, app.heavy(&app.lookups, &source, work)).await.ok().and_then(Result::ok).unwrap_or_default()
    }
}

/// What is said of stops that closed nothing when they came.
#[derive(Debug, Default)]
pub(crate) struct Told(HashMap<EdgeId, String>);

impl Told {
    /// What the sender of an edge should know of that.
    pub(crate) fn of(&self, taken: &Taken) -> Option<&str> {
        self.0.get(&taken.id).filter(|_| taken.alone).map(String::as_str)
    }
}

/// What the sender of a stop is told; nothing if it closes something by now, or no open event is near it: some send ends alone.
fn tell(tenant: &Tenant, mapping: &Mapping, stop: EdgeId) -> Option<String> {
    let event = tenant.event(&stop.to_string())?;
    let edge = event.stop.as_ref().filter(|_| event.start.is_none())?;
    let stop = Stop { labels: &edge.labels, at: edge.at, mapping };
    let found = stop.candidates(tenant);
    found.iter().max_by_key(|event| stop.likeness(event)).map(|event| stop.differs_from(event))
}

/// Labels that say by themselves which event is meant.
fn telling() -> impl Iterator<Item = &'static str> {
    ENTITIES.into_iter().chain(["service_name"])
}

struct Stop<'a> {
    labels: &'a LabelSet,
    at: Timestamp,
    mapping: &'a Mapping,
}

impl Stop<'_> {
    /// Open events that it may have been meant for: what has neither its entity nor its service is not near.
    fn candidates(&self, tenant: &Tenant) -> Vec<EventView> {
        let telling: Vec<(&str, &str)> = telling().filter_map(|name| Some((name, self.labels.value(name)?))).collect();
        tenant.open_like(&ends::starts_of(self.labels.event_name()), &telling, COMPARED_MAX)
    }

    /// The names of labels that an event has otherwise, those that say which event is meant first.
    fn differing<'e>(&'e self, event: &'e EventView) -> Vec<&'e str> {
        let theirs = event.first().map(|edge| &edge.labels);
        let names = self.labels.iter().chain(theirs.into_iter().flat_map(LabelSet::iter)).map(|(name, _)| name);
        let counts = |name: &&str| *name != EVENT_NAME && !self.mapping.is_volatile(name) && self.labels.value(name) != event.label(name);
        let mut names: Vec<&str> = names.filter(counts).collect();
        names.sort_by_key(|name| (telling().position(|telling| telling == *name).unwrap_or(usize::MAX), *name));
        names.dedup();
        names
    }

    /// More for an event that has fewer labels otherwise, and of these for one that began nearer.
    fn likeness(&self, event: &EventView) -> (Reverse<usize>, Reverse<u64>) {
        let apart = event.began().millis().abs_diff(self.at.millis());
        (Reverse(self.differing(event).len()), Reverse(apart))
    }

    fn differs_from(&self, event: &EventView) -> String {
        let (id, began) = (quoted(&event.id), event.began());
        let nearest = format!("this stop closes nothing: the nearest open event is {id}, since {began}");
        let names = self.differing(event);
        if names.is_empty() && began > self.at {
            let early = began.since(self.at).as_secs_f64();
            return format!("{nearest}, {early} s after it: more than the clocks of both may differ (--pairing.skew)");
        }
        if names.is_empty() {
            return format!(
                "{nearest}, which has the same labels: it differs in attributes that are none, or what it belongs to was decided by other rules"
            );
        }
        let said = |value: Option<&str>| value.map_or_else(|| "none".to_owned(), quoted);
        let one = |name: &&str| format!("{name} ({} here, {} there)", said(self.labels.value(name)), said(event.label(name)));
        let shown: Vec<String> = names.iter().take(NAMED_MAX).map(one).collect();
        let more = match names.len().saturating_sub(NAMED_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("{nearest}; it differs in {}{more}", shown.join(", "))
    }
}
