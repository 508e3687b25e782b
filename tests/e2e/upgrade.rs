//! A log that an earlier build wrote, read in place, also where it has more than the limits allow: the server starts, refuses what
//! is new, takes what ends something, and never exits.

use std::path::Path;

use serde_json::Value;
use serde_json::json;

use crate::support::exporter::Exporter;
use crate::support::http;

/// What a build before any of these limits wrote; the jobs `a`, `e` and `f` are among five events that are open.
const LOG: &str = "tests/fixtures/events-xxh3";

fn copy(log: &str, directory: &Path) {
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(log)).unwrap() {
        let entry = entry.unwrap();
        if entry.path().extension().is_none_or(|extension| extension != "json") {
            std::fs::copy(entry.path(), directory.join(entry.file_name())).unwrap();
        }
    }
}

fn job(state: &str, id: &str) -> Value {
    json!({"event_name": "job", "event_state": state, "attributes": {"entity_id": id}})
}

fn open(exporter: &Exporter) -> usize {
    exporter.page("metrics").lines().filter(|line| line.starts_with("last9_change_events_open_timestamp_seconds{")).count()
}

#[test]
fn a_log_of_before_is_read_in_place_whatever_the_limits_are() {
    for (flag, refused) in [
        ("--log.level=info", None),
        ("--limit.open-events=3", Some(429)),
        ("--limit.memory=8000000", Some(503)),
        ("--storage.min-free=1000TB", Some(503)),
        ("--storage.retention.size=16MB", None),
    ] {
        let data = tempfile::tempdir().unwrap();
        copy(LOG, data.path());
        let mut exporter = Exporter::start_at(data.path(), &[flag]);
        assert_eq!(open(&exporter), 5, "{flag}");
        let new = exporter.send(&job("start", "new")).unwrap();
        assert_eq!(new.status, refused.unwrap_or(200), "{flag}: {}", new.text);
        // A heartbeat opens nothing, but takes room.
        let beat = exporter.send(&job("start", "a")).unwrap();
        assert_eq!(beat.status, refused.filter(|status| *status == 503).unwrap_or(200), "{flag}: {}", beat.text);
        exporter.put(&job("stop", "e"));
        let left = 4 + usize::from(refused.is_none());
        assert_eq!(open(&exporter), left, "{flag}");
        assert!(http::is_ok(&format!("{}/-/ready", exporter.url)), "{flag}");
        assert!(exporter.terminate().success(), "{flag}");
        // With room again, it goes on with all of it.
        let mut exporter = Exporter::start_at(data.path(), &[]);
        assert_eq!(open(&exporter), left, "{flag}");
        exporter.put(&job("start", "new"));
        exporter.put(&job("stop", "f"));
        assert_eq!(open(&exporter), 4, "{flag}");
        assert!(exporter.terminate().success(), "{flag}");
    }
}

/// A log by the build before names paired, values were trimmed and attributes identified as they are sent: each event with its stop,
/// and one end alone.
const EVENTS: &str = "tests/fixtures/events-before-names";

/// How that build was configured.
const PAIRING: &str = "pairing:
- {start: roll_out, stop: roll_over, labels: [service_name]}
- {event: toggle, supersede: [service_name]}
";

/// The events that are open, and where each is found by the id of its start.
fn open_ids(exporter: &Exporter) -> Vec<String> {
    let listed = http::get(&format!("{}/api/v4/organizations/acme/change_events?state=open&limit=1000", exporter.url)).unwrap().json();
    listed["events"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

/// Nothing that was open is left open for good: what ends it finds it by what the build that began it made of it.
#[test]
fn what_was_open_at_the_upgrade_is_closed_by_its_stop_and_repeats_are_known() {
    let data = tempfile::tempdir().unwrap();
    copy(EVENTS, data.path());
    let configuration = data.path().join("config.yml");
    std::fs::write(&configuration, PAIRING).unwrap();
    let flags = [format!("--config.file={}", configuration.display())];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let mut exporter = Exporter::start_at(data.path(), &flags);
    let events = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(EVENTS).join("events.json")).unwrap();
    let events: Vec<Value> = serde_json::from_str(&events).unwrap();
    let begun = events.iter().filter(|event| event["stop"].is_object()).count();
    let own = events.iter().find_map(|event| event["sid"].as_str()).unwrap();
    assert_eq!(open_ids(&exporter).len(), begun + 1);
    let url = format!("{}/v1/accounts/acme/events/{own}", exporter.url);
    let mut record = http::get(&url).unwrap().json();
    record["endedAt"] = "2026-11-25T11:00:00Z".into();
    assert_eq!(http::put(&url, "application/json", record.to_string().as_bytes()).unwrap().status, 200);
    assert_eq!(open_ids(&exporter).len(), begun, "what has an id of its own is closed by that");
    for event in events.iter().filter(|event| event["event"].is_object()) {
        let what = event["what"].as_str().unwrap();
        let again = exporter.put(&event["event"]);
        assert_eq!(again["id"], event["id"], "{what}: a repeat is known");
    }
    assert_eq!(open_ids(&exporter).len(), begun, "a repeat opens nothing");
    for event in events.iter().filter(|event| event["stop"].is_object()) {
        let (what, id) = (event["what"].as_str().unwrap(), event["id"].as_str().unwrap().to_owned());
        assert!(open_ids(&exporter).contains(&id), "{what}");
        let mut beat = event["event"].clone();
        beat["timestamp"] = event["event"]["timestamp"].as_str().unwrap().replace("T10:00", "T10:05").into();
        exporter.put(&beat);
        // An end that comes late, and is of something before.
        let mut late = event["stop"].clone();
        if late["event_state"] == "stop" {
            late["timestamp"] = event["event"]["timestamp"].as_str().unwrap().replace("T10:00", "T08:30").into();
            exporter.put(&late);
        }
        let before = open_ids(&exporter).len();
        let answer = exporter.put(&event["stop"]);
        assert!(!answer["warnings"].to_string().contains("closes nothing"), "{what}: {answer}");
        let begins = usize::from(event["stop"]["event_state"] == "start");
        assert_eq!(open_ids(&exporter).len(), before - 1 + begins, "{what}");
        assert!(!open_ids(&exporter).contains(&id), "{what}");
        assert_eq!(exporter.put(&event["stop"])["id"], answer["id"], "{what}: its stop is known");
    }
    assert_eq!(open_ids(&exporter).len(), 1, "what superseded another one");
    assert!(exporter.terminate().success());
    let exporter = Exporter::start_at(data.path(), &flags);
    assert_eq!(open_ids(&exporter).len(), 1, "it is what was decided");
}
