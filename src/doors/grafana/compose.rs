//! The title and the text of an event that were not written as those of an annotation: all that it says, as HTML, since that is
//! what Grafana takes both for.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::event::Details;
use crate::http::html::escape;
use crate::labels::EVENT_NAME;
use crate::store::EdgeView;
use crate::store::EventView;

/// Most bytes of a text, but for what says that it was cut.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Between two lines.
const BREAK: &str = "<br>\n";

/// What it is called, else its name as an event.
pub(super) fn title(event: &EventView) -> String {
    let own = event.details.as_deref().map_or("", |details| &details.name);
    escape(if own.is_empty() { event.event_name() } else { own })
}

/// Its description, then a line for each thing that it says.
pub(super) fn text(event: &EventView) -> String {
    let none = Details::default();
    let details = event.details.as_deref().unwrap_or(&none);
    let mut text = Lines::default();
    if !details.description.is_empty() {
        text.add(&escape(&details.description).replace("\r\n", "\n").replace('\n', BREAK));
    }
    text.pair(EVENT_NAME, event.event_name());
    text.pair("began", &event.began().to_string());
    match event.ended() {
        _ if event.point => {}
        // What is read is compared with what is sent back, so these words do not change with the clock.
        Some(end) => text.pair("end", &end.to_string()),
        None => text.add("no end yet"),
    }
    if let Some(last) = event.last_heartbeat {
        text.pair("heartbeats", &format!("{}, the last at {last}", event.heartbeats));
    }
    if let Some(at) = event.superseded_at {
        text.pair("superseded", &at.to_string());
    }
    says(event, details, &mut text);
    for (title, url) in &details.links {
        let (title, shown) = (escape(if title.is_empty() { url } else { title }), escape(url));
        let is_web = ["http://", "https://"].iter().any(|scheme| url.to_ascii_lowercase().starts_with(scheme));
        text.add(&if is_web { format!("<a href=\"{shown}\">{title}</a>") } else { format!("{title}: {shown}") });
    }
    text.pair("metadata", &details.metadata);
    text.pair("id", &event.id);
    text.text
}

/// What it was given: fields, tags, and of what came as edges attributes and labels.
fn says(event: &EventView, details: &Details, text: &mut Lines) {
    let Details { name, source, parent_id, source_id, tags, buckets, environments, .. } = details;
    for (key, value) in [("name", name), ("source", source)] {
        text.pair(key, value);
    }
    let bare: Vec<&str> = tags.iter().filter(|(_, values)| values.is_empty()).map(|(key, _)| &**key).collect();
    text.pair("tags", &bare.join(", "));
    for (key, values) in tags {
        text.pair(key, &values.join(", "));
    }
    text.pair("buckets", &buckets.join(", "));
    text.pair("environments", &environments.join(", "));
    text.pair("parent_id", parent_id);
    text.pair("source_id", source_id);
    if !event.own_id {
        let mut said = BTreeMap::<String, BTreeSet<String>>::new();
        for edge in [&event.start, &event.stop].into_iter().flatten() {
            for (key, value) in attributes(edge) {
                said.entry(key).or_default().insert(value);
            }
        }
        for (key, values) in said {
            text.pair(&key, &values.into_iter().collect::<Vec<_>>().join(", "));
        }
    }
    if !event.cluster.is_empty() {
        text.pair("data_source_name", &event.cluster);
    }
}

/// The labels of an edge, and the attributes that became none.
fn attributes(edge: &EdgeView) -> BTreeMap<String, String> {
    let sent: BTreeMap<String, Box<RawValue>> =
        edge.attributes.as_deref().and_then(|sent| serde_json::from_str(sent).ok()).unwrap_or_default();
    let text = |json: &RawValue| match serde_json::from_str(json.get()) {
        Ok(Value::String(text)) => text,
        _ => json.get().to_owned(),
    };
    let mut all: BTreeMap<String, String> = sent.iter().map(|(key, value)| (key.clone(), text(value))).collect();
    for (name, value) in edge.labels.iter().filter(|(name, _)| *name != EVENT_NAME) {
        all.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }
    all
}

/// Lines that are HTML already, up to [`TEXT_BYTES_MAX`].
#[derive(Default)]
struct Lines {
    text: String,
    is_cut: bool,
}

impl Lines {
    /// Adds a line that says something of something.
    fn pair(&mut self, key: &str, value: &str) {
        // So much of it as there is room for, and no more, is made longer by escaping it.
        let most = value.floor_char_boundary(TEXT_BYTES_MAX);
        if !value.is_empty() {
            self.add(&format!("{}: {}", escape(key), escape(value.get(..most).unwrap_or_default())));
        }
    }

    fn add(&mut self, line: &str) {
        if self.is_cut {
            return;
        }
        if !self.text.is_empty() {
            self.text.push_str(BREAK);
        }
        let room = TEXT_BYTES_MAX.saturating_sub(self.text.len());
        if line.len() <= room {
            self.text.push_str(line);
            return;
        }
        self.is_cut = true;
        let cut = line.get(..line.floor_char_boundary(room)).unwrap_or_default();
        // Neither within a reference nor within a tag.
        let unfinished = |open: char, close: char| cut.rfind(open).filter(|start| !cut.get(*start..).unwrap_or_default().contains(close));
        let end = unfinished('&', ';').into_iter().chain(unfinished('<', '>')).min().unwrap_or(cut.len());
        // Writing to a string does not fail.
        write!(self.text, "{}{BREAK}...", cut.get(..end).unwrap_or_default()).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_that_stand_for_one() {
        for (line, kept) in [("x".repeat(70_000), 65_536), ("&amp;".repeat(20_000), 65_535), ("\u{e9}".repeat(40_000), 65_536)] {
            let mut lines = Lines::default();
            lines.add(&line);
            lines.add("no more");
            let (cut, rest) = lines.text.split_once(BREAK).unwrap();
            assert_eq!((cut.len(), rest), (kept, "..."));
            assert!(line.starts_with(cut));
        }
        let mut lines = Lines::default();
        lines.add(&"x".repeat(TEXT_BYTES_MAX - 20));
        lines.add("<a href=\"https://example.org/\">y</a>");
        assert!(lines.text.ends_with(&format!("x{BREAK}{BREAK}...")), "{}", lines.text.get(65_500..).unwrap());
        let mut lines = Lines::default();
        lines.pair("a<b", "\"c\" & 'd'");
        lines.pair("empty", "");
        assert_eq!(lines.text, "a&lt;b: &quot;c&quot; &amp; &#39;d&#39;");
    }
}
