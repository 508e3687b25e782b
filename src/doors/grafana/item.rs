//! An annotation as it is answered, with all fields that Grafana has for it.

use serde::Serialize;
use serde::Serializer;
use serde_json::value::RawValue;

use crate::doors::grafana::compose;
use crate::doors::grafana::shown::Shown;
use crate::store::EventView;
use crate::time::Timestamp;

/// What of an event is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Detail {
    /// What was written here as it was written; a composed text of others.
    #[default]
    AsWritten,
    /// A composed text of all (`text=whole`).
    Whole,
}

/// An annotation. There are no users, alerts and dashboards here: what is said of them is nothing, or what was written.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Item {
    id: u64,
    alert_id: i64,
    alert_name: &'static str,
    dashboard_id: i64,
    #[serde(rename = "dashboardUID")]
    dashboard_uid: Box<str>,
    panel_id: i64,
    user_id: i64,
    new_state: &'static str,
    prev_state: &'static str,
    #[serde(serialize_with = "millis")]
    created: Timestamp,
    #[serde(serialize_with = "millis")]
    updated: Timestamp,
    #[serde(serialize_with = "millis")]
    time: Timestamp,
    #[serde(serialize_with = "millis")]
    time_end: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    text: String,
    tags: Vec<Box<str>>,
    login: &'static str,
    email: &'static str,
    avatar_url: &'static str,
    #[serde(serialize_with = "data")]
    data: Option<Box<RawValue>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn millis<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(at.millis())
}

/// As Grafana shows that there is none.
#[expect(clippy::ref_option, reason = "serde's signature")]
fn data<S: Serializer>(data: &Option<Box<RawValue>>, serializer: S) -> Result<S::Ok, S::Error> {
    match data {
        Some(data) => data.serialize(serializer),
        None => serializer.collect_map::<&str, &str, _>([]),
    }
}

impl Item {
    /// The event as it is shown `now`.
    pub(super) fn of(event: &EventView, now: Timestamp, detail: Detail) -> Self {
        let shown = Shown::of(event);
        let is_written = detail == Detail::AsWritten && shown.written_text().is_some();
        let (time_end, tags) = (shown.end(now), shown.tags());
        let text = if detail == Detail::Whole { compose::text(event) } else { shown.text() };
        let written = shown.written.unwrap_or_default();
        Self {
            id: event.number,
            alert_id: 0,
            alert_name: "",
            dashboard_id: written.dashboard_id.unwrap_or_default(),
            dashboard_uid: written.dashboard_uid.unwrap_or_default(),
            panel_id: written.panel_id.unwrap_or_default(),
            user_id: 0,
            new_state: "",
            prev_state: "",
            created: event.created,
            updated: event.updated,
            time: event.began(),
            time_end,
            title: (!is_written).then(|| compose::title(event)),
            text,
            tags,
            login: "",
            email: "",
            avatar_url: "",
            data: written.data,
        }
    }
}
