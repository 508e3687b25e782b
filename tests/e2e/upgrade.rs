//! A log that an earlier build wrote, read in place, also where it has more than the limits allow: the server starts, refuses what
//! is new, takes what ends something, and never exits.

use std::path::Path;

use serde_json::Value;
use serde_json::json;

use crate::support::exporter::Exporter;
use crate::support::http;

/// What a build before any of these limits wrote; the jobs `a`, `e` and `f` are among five events that are open.
const LOG: &str = "tests/fixtures/events-xxh3";

fn copy(directory: &Path) {
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(LOG)).unwrap() {
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
        copy(data.path());
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
