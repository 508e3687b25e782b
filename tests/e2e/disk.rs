//! A disk without room: what is new is refused in time, what is old goes, and nothing is lost.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;

use crate::support::exporter::Exporter;
use crate::support::http;
use crate::support::small_disk::SmallDisk;
use crate::support::wait;

const HEAL_LIMIT: Duration = Duration::from_mins(1);

/// Sends what happened long ago until it is refused; the last answer.
fn fill(exporter: &Exporter) -> http::Answer {
    let url = format!("{}/api/v4/organizations/acme/change_events", exporter.url);
    let text = "x".repeat(4000);
    for round in 0..1000 {
        let mut lines = String::new();
        for number in 0..500 {
            let attributes = json!({"n": format!("{round}-{number}"), "text": text});
            writeln!(lines, "{}", json!({"event_name": "old", "timestamp": "2020-01-01T00:00:00Z", "attributes": attributes})).unwrap();
        }
        let answer = http::put(&url, "application/x-ndjson", lines.as_bytes()).unwrap();
        if answer.status != 200 {
            return answer;
        }
    }
    panic!("there is no end of it");
}

fn job(state: &str) -> serde_json::Value {
    json!({"event_name": "job", "event_state": state, "attributes": {"entity_id": "job-1"}})
}

#[test]
fn a_full_disk_refuses_what_is_new_and_heals_by_retention_alone() {
    let Some(disk) = SmallDisk::mount("size=64m") else { return };
    let mut exporter = Exporter::start_at(disk.path(), &["--storage.retention.time=5s"]);
    exporter.put(&job("start"));
    let refused = fill(&exporter);
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert!(refused.text.contains("--storage.min-free") && refused.text.contains("bytes are free"), "{}", refused.text);
    assert!(disk.free() > 0, "it is refused in time");
    let new = exporter.send(&json!({"event_name": "new"})).unwrap();
    assert_eq!(new.status, 503, "{}", new.text);
    exporter.put(&job("stop"));
    assert!(http::is_ok(&format!("{}/-/ready", exporter.url)));
    let page = exporter.page("metrics");
    assert_eq!(http::metric(&page, "change_events_storage_refusing"), Some(1.0));
    assert!(http::metric(&page, "change_events_refused_total{reason=\"disk\"}").unwrap() >= 1.0, "{page}");
    // Nothing of what is free by now comes from the other program, and it starts on the full disk too.
    disk.fill_up();
    exporter.kill();
    exporter.start_again();
    disk.fill_up();
    wait::until("new events are taken", HEAL_LIMIT, || exporter.send(&json!({"event_name": "new"})).filter(|answer| answer.status == 200));
    exporter.kill();
    exporter.start_again();
    let events = http::get(&format!("{}/api/v4/organizations/acme/change_events?match[]=%7Bevent_name%3D%22job%22%7D", exporter.url))
        .unwrap()
        .json();
    assert_eq!(events["events"][0]["state"], "closed", "what is young is still there: {events}");
}

#[test]
fn a_log_of_limited_size_forgets_what_is_oldest_while_it_is_filled() {
    let Some(disk) = SmallDisk::mount("size=128m") else { return };
    let exporter = Exporter::start_at(disk.path(), &["--storage.retention.size=16MB", "--storage.min-free=0"]);
    exporter.put(&job("start"));
    let url = format!("{}/api/v4/organizations/acme/change_events", exporter.url);
    let text = "x".repeat(4000);
    for round in 0..40 {
        let event = |number: u32| json!({"event_name": "old", "timestamp": "2020-01-01T00:00:00Z", "attributes": {"n": format!("{round}-{number}"), "text": text}});
        let body = json!((0..300).map(event).collect::<Vec<_>>()).to_string();
        assert_eq!(http::put(&url, "application/json", body.as_bytes()).map(|answer| answer.status), Some(200));
    }
    wait::until("the log is small enough", HEAL_LIMIT, || {
        let page = exporter.page("metrics");
        let figure = |name: &str| http::metric(&page, name).unwrap();
        // For what is kept back nothing goes.
        let bytes = figure("change_events_log_bytes") - figure("change_events_storage_reserve_bytes");
        (bytes <= f64::from(16 << 20)).then_some(())
    });
    let open = http::metric(&exporter.page("metrics"), "change_events_store_open_events");
    assert_eq!(open, Some(1.0), "what is open stays");
}
