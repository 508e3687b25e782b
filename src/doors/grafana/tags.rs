//! `GET` of the tags that there are, and how many annotations have each.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use parking_lot::Mutex;
use serde_json::json;

use crate::doors::grafana::list;
use crate::doors::grafana::shown::Shown;
use crate::http::app::App;
use crate::http::error::ApiError;
use crate::http::error::held_json_response;
use crate::http::route::Call;
use crate::intake::warnings;
use crate::mapping::tags;
use crate::store::Keep;
use crate::store::Query;

/// Counts the tags that have the text of the parameter `tag` in their key or value, whatever the case, in the order of key and
/// value. Of very many events it counts the newest, and says so.
pub(super) async fn tags(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    app.writer()?;
    let parameters = list::pairs(call.parts.uri.query())?;
    let one = |name: &str| parameters.iter().find(|(known, value)| known == name && !value.is_empty()).map(|(_, value)| &**value);
    let limit = list::limit(one("limit").map(|text| list::whole_number("limit", text)).transpose()?);
    let counts = Arc::new(Mutex::new(Counts { text: one("tag").unwrap_or_default().to_lowercase(), limit, tags: BTreeMap::new() }));
    let tenant = app.store.tenant(&call.grant()?.organization);
    let counting = Arc::clone(&counts);
    let counted = app.query(call.asker(), move |effort| {
        // Each is looked at and none is found.
        let keep = Keep(Arc::new(move |event| {
            counting.lock().add(&Shown::of(event).tags());
            false
        }));
        let query = Query { keep: Some(keep), keep_cost: list::SHOWN_COST, limit: 1, ..Query::default() };
        tenant.is_none_or(|tenant| tenant.ask(&query, effort).is_ok_and(|selected| !selected.is_early))
    });
    let (is_whole, room) = counted.await?;
    let listed = |((key, value), count): (&(Box<str>, Box<str>), &u64)| json!({ "tag": tags::text(key, value), "count": count });
    let found: Vec<_> = counts.lock().tags.iter().map(listed).collect();
    let text = json!({ "result": { "tags": found } }).to_string();
    let mut response = held_json_response(StatusCode::OK, text.into_bytes(), room);
    if !is_whole {
        warnings::warn(&mut response, &["counted of the newest annotations only: to look at all is too much for one question"]);
    }
    Ok(response)
}

/// The first tags so far, no more than are asked for: those that were left out would be left out again.
struct Counts {
    text: String,
    limit: usize,
    tags: BTreeMap<(Box<str>, Box<str>), u64>,
}

impl Counts {
    fn add(&mut self, of_one: &[Box<str>]) {
        let pairs: BTreeSet<(&str, &str)> = of_one.iter().filter_map(|tag| tags::split(tag)).collect();
        let has = |text: &str| text.to_lowercase().contains(&self.text);
        for (key, value) in pairs.into_iter().filter(|(key, value)| has(key) || has(value)) {
            *self.tags.entry((key.into(), value.into())).or_default() += 1;
            if self.tags.len() > self.limit {
                self.tags.pop_last();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_first_of_all_are_counted(events in prop::collection::vec(prop::collection::vec("[ab]{1,2}(:[ab])?", 0..5), 0..12), limit in 1usize..6, text in "[aB]?") {
            let mut counts = Counts { text: text.to_lowercase(), limit, tags: BTreeMap::new() };
            let mut model = BTreeMap::<(String, String), u64>::new();
            for event in &events {
                counts.add(&event.iter().map(|tag| tag.as_str().into()).collect::<Vec<_>>());
                let different: BTreeSet<(String, String)> = event.iter().map(|tag| {
                    let (key, value) = tag.split_once(':').unwrap_or((tag, ""));
                    (key.to_owned(), value.to_owned())
                }).collect();
                for (key, value) in different.into_iter().filter(|(key, value)| format!("{key} {value}").contains(&text.to_lowercase())) {
                    *model.entry((key, value)).or_default() += 1;
                }
            }
            let found = counts.tags.iter().map(|((key, value), count)| ((key.to_string(), value.to_string()), *count));
            prop_assert_eq!(found.collect::<Vec<_>>(), model.into_iter().take(limit).collect::<Vec<_>>());
        }
    }
}
