//! Events by the number that is their id here, and what began here and is ended by the tags of another annotation.

use std::sync::Arc;

use crate::doors::grafana::errors::not_found;
use crate::doors::grafana::wire::Written;
use crate::event::Details;
use crate::http::app::App;
use crate::http::error::ApiError;
use crate::intake::actor::Actor;
use crate::labels::EVENT_NAME;
use crate::mapping::tags;
use crate::mapping::whole::Whole;
use crate::shown::quoted;
use crate::store::EventView;
use crate::store::Keep;
use crate::store::Matcher;
use crate::store::Phase;
use crate::store::Phases;
use crate::store::Query;
use crate::time::Timestamp;

/// By so many of its tags what began is asked for.
const TAGS_ASKED: usize = 8;
/// How to ask what takes fewer steps.
const LESS: &str = "send timeEnd by PATCH, with the id that the beginning was answered with";

/// The number in a path.
pub(super) fn number(text: &str) -> Result<u64, ApiError> {
    let message = || ApiError::malformed(format!("annotationId {} is invalid: it must be a whole number", quoted(text)));
    text.parse().map_err(|_| message())
}

/// The event with this number.
pub(super) async fn by_number(app: &App, actor: &Actor, number: u64) -> Result<EventView, ApiError> {
    let (store, organization) = (Arc::clone(&app.store), Arc::clone(&actor.organization));
    let find = move || store.tenant(&organization)?.event_by_number(number);
    app.heavy(&app.lookups, &actor.source, find).await?.ok_or_else(not_found)
}

/// What began here under the same name, with the same tags but for the outcome, and is not over: the newest that began at or before
/// this, else the newest that began within the skew of clocks after it.
pub(super) async fn open(app: &App, actor: &Actor, ended: &Whole) -> Result<Option<EventView>, ApiError> {
    for latest in [ended.at, ended.at.plus(app.store.skew())] {
        let its_tags = ended.details.tags.clone();
        let is_it = move |event: &EventView| {
            written_here(event).is_some_and(|(details, written)| written.created && tags::is_same_but_for_outcome(&details.tags, &its_tags))
        };
        // What is not among these need not be looked at; `is_it` compares all.
        let (bare, pairs): (Vec<_>, Vec<_>) =
            tags::lasting(&ended.details.tags).into_iter().take(TAGS_ASKED).partition(|(_, value)| value.is_empty());
        let keys = bare.into_iter().map(|(key, _)| key.into()).collect();
        let pairs = pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        let asked = Query { phases: Some(Phases::but(Phase::Over, actor.now)), tags: pairs, keys, ..named(ended, latest, is_it) };
        if let Some(found) = newest(app, actor, asked).await? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// What an earlier request with the same `Idempotency-Key` ended.
pub(super) async fn ended_before(app: &App, actor: &Actor, ended: &Whole) -> Result<Option<EventView>, ApiError> {
    let id = ended.id.clone();
    let is_it = move |event: &EventView| written_here(event).is_some_and(|(_, written)| written.ended_by.as_ref() == Some(&id));
    let asked = Query { start: Some(ended.at), ..named(ended, ended.at.plus(app.store.skew()), is_it) };
    newest(app, actor, asked).await
}

fn written_here(event: &EventView) -> Option<(&Details, Written)> {
    let details = event.details.as_deref()?;
    Some((details, Written::of(details)?))
}

/// The newest event of this name that began then, or before.
fn named(ended: &Whole, latest: Timestamp, is_it: impl Fn(&EventView) -> bool + Send + Sync + 'static) -> Query {
    Query {
        selectors: vec![vec![Matcher::equal(EVENT_NAME, &ended.event_name)]],
        end: Some(Timestamp::from_millis(latest.millis().saturating_add(1))),
        keep: Some(Keep(Arc::new(is_it))),
        limit: 1,
        ..Query::default()
    }
}

async fn newest(app: &App, actor: &Actor, query: Query) -> Result<Option<EventView>, ApiError> {
    let Some(tenant) = app.store.tenant(&actor.organization) else { return Ok(None) };
    let (found, _) = app.query(actor.source, move |effort| tenant.ask(&query, effort)).await?;
    let found = found.map_err(|error| app.too_much(error, LESS))?;
    Ok(found.events.into_iter().next())
}
