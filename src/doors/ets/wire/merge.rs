//! What merge and update do, field by field, after tycho's own code; only fields that the change has take part.

use crate::doors::ets::wire::EtsError;
use crate::doors::ets::wire::Event;
use crate::doors::ets::wire::Fields;
use crate::doors::ets::wire::Operation;
use crate::doors::ets::wire::Tags;

/// The event after the change. The change's id is not looked at.
pub fn apply(operation: Operation, event: Event, change: &Fields) -> Result<Event, EtsError> {
    let changed = match operation {
        Operation::Merge => merged(event, change)?,
        Operation::Update => updated(event, change),
    };
    changed.check()?;
    Ok(changed)
}

fn updated(event: Event, change: &Fields) -> Event {
    let Fields { id: _, source_id, parent_id, start, end, description, detail_urls, tags } = change.clone();
    Event {
        id: event.id,
        source_id: source_id.unwrap_or(event.source_id),
        parent_id: parent_id.unwrap_or(event.parent_id),
        start: start.unwrap_or(event.start),
        end: end.unwrap_or(event.end),
        description: description.unwrap_or(event.description),
        detail_urls: detail_urls.unwrap_or(event.detail_urls),
        tags: tags.unwrap_or(event.tags),
    }
}

fn merged(mut event: Event, change: &Fields) -> Result<Event, EtsError> {
    reserved(&mut event.source_id, change.source_id.as_deref())?;
    reserved(&mut event.parent_id, change.parent_id.as_deref())?;
    event.start = event.start.min(change.start.unwrap_or(event.start));
    if let Some(end) = change.end.flatten() {
        event.end = Some(event.end.map_or(end, |old| old.max(end)));
    }
    if let Some(new) = &change.description {
        let (old, added) = (event.description.trim(), new.trim());
        if event.description.is_empty() {
            event.description.clone_from(new);
        } else if !added.is_empty() && !old.contains(added) {
            event.description = format!("{old}\n{added}").into();
        }
    }
    for (title, url) in change.detail_urls.iter().flatten() {
        match event.detail_urls.iter_mut().find(|(known, _)| known == title) {
            Some((_, old)) => old.clone_from(url),
            None => event.detail_urls.push((title.clone(), url.clone())),
        }
    }
    if let Some(tags) = &change.tags {
        merge_tags(&mut event.tags, tags);
    }
    Ok(event)
}

/// Empty on either side, the other stands; else both must be the same.
fn reserved(old: &mut Box<str>, new: Option<&str>) -> Result<(), EtsError> {
    match new {
        None | Some("") => {}
        Some(new) if old.is_empty() => *old = new.into(),
        Some(new) if **old == *new => {}
        Some(_) => return Err(EtsError::Clash),
    }
    Ok(())
}

/// Adds the values that are not there; what is new as a whole is taken as it is.
fn merge_tags(tags: &mut Tags, new: &Tags) {
    for (key, values) in new {
        match tags.iter_mut().find(|(known, _)| known == key) {
            None => tags.push((key.clone(), values.clone())),
            Some((_, old)) => {
                for value in values {
                    if !old.contains(value) {
                        old.push(value.clone());
                    }
                }
            }
        }
    }
}
