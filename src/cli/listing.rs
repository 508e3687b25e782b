//! What is open on a server, oldest first: what `open` shows and `close` chooses from.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Map;
use serde_json::Value;

use crate::cli::Failure;
use crate::cli::server::Server;
use crate::client::ListedEvent;
use crate::time::Timestamp;

/// Events asked for at once; the server may give fewer.
const PAGE_EVENTS: usize = 1000;
/// A server that holds more than this many open events is not listed to the end.
const EVENTS_MAX: usize = 1_000_000;

/// Which of the open events.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    /// Prometheus selectors; an event that matches one of them is wanted. None: all are.
    pub(crate) selectors: &'a [String],
    /// Only those open for at least so long.
    pub(crate) older_than: Option<Duration>,
}

/// Reads the list page by page to its end, because it is the oldest events, the last ones, that matter here.
pub(crate) fn fetch(server: &Server, wanted: Wanted<'_>, now: Timestamp) -> Result<Vec<ListedEvent>, Failure> {
    let Server { client, patience } = server;
    let mut events: Vec<ListedEvent> = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page =
            patience.until_done(|| client.open_events(wanted.selectors, PAGE_EVENTS, cursor.as_deref())).map_err(Failure::running)?;
        events.extend(page.events);
        if events.len() > EVENTS_MAX {
            return Err(Failure::running(format!("more than {EVENTS_MAX} events are open: name some by a selector")));
        }
        if page.next_cursor.is_some() && page.next_cursor == cursor {
            return Err(Failure::running(format!("{} gives the same page again and again", client.url())));
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    if let Some(age) = wanted.older_than {
        events.retain(|event| since(event).is_some_and(|since| now.since(since) >= age));
    }
    events.sort_by_key(since);
    Ok(events)
}

/// Since when an event is open.
pub(crate) fn since(event: &ListedEvent) -> Option<Timestamp> {
    event.start.as_ref()?.at()
}

/// Events as lines of columns, with a line of headings.
pub(crate) fn table(events: &[ListedEvent], now: Timestamp) -> String {
    let mut rows = vec![["AGE", "SINCE", "EVENT", "ID", "LABELS"].map(str::to_owned)];
    rows.extend(events.iter().map(|event| row(event, now)));
    let mut widths = [0; 5];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    for [age, since, name, id, labels] in &rows {
        let [age_width, since_width, name_width, id_width, _] = widths;
        let line = format!("{age:<age_width$}  {since:<since_width$}  {name:<name_width$}  {id:<id_width$}  {labels}");
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn row(event: &ListedEvent, now: Timestamp) -> [String; 5] {
    let age = since(event).map(|since| rough(now.since(since))).unwrap_or_default();
    let since = event.start.as_ref().map(|start| printable(&start.timestamp)).unwrap_or_default();
    let labels = event.start.as_ref().map(|start| labels(&start.labels)).unwrap_or_default();
    [age, since, printable(&event.event_name), printable(&event.id), labels]
}

/// Writes the longest unit that says something, and the next one: `3d4h`, `2h`, `45s`; `0s` below a second.
fn rough(span: Duration) -> String {
    let seconds = span.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let pair = match seconds {
        86_400.. => [(days, "d"), (hours, "h")],
        3600.. => [(hours, "h"), (minutes, "m")],
        60.. => [(minutes, "m"), (seconds % 60, "s")],
        _ => [(seconds, "s"), (0, "")],
    };
    match pair {
        [(long, unit), (0, _)] => format!("{long}{unit}"),
        [(long, unit), (short, next)] => format!("{long}{unit}{short}{next}"),
    }
}

/// Labels as a selector writes them, without those that have a column of their own.
fn labels(labels: &Map<String, Value>) -> String {
    let mut out = String::from("{");
    for (name, value) in labels {
        if name == "event_name" || name == "event_state" {
            continue;
        }
        let comma = if out.len() > 1 { "," } else { "" };
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        write!(out, "{comma}{}=\"{}\"", printable(name), printable(&value)).ok();
    }
    out.push('}');
    out
}

/// Foreign text that cannot move the cursor of a terminal; quotes and backslashes as a selector wants them.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            control if control.is_control() => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::rough;

    #[test]
    fn ages_are_short() {
        #[track_caller]
        fn check(seconds: u64, expected: &str) {
            assert_eq!(rough(Duration::from_secs(seconds)), expected);
        }
        check(0, "0s");
        check(59, "59s");
        check(60, "1m");
        check(61, "1m1s");
        check(7200, "2h");
        check(7205, "2h");
        check(7260, "2h1m");
        check(90_061, "1d1h");
        check(86_400 + 3599, "1d");
        check(400 * 86_400, "400d");
    }
}
