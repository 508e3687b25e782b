//! A disk that hangs, under the program: who waits is told, everything else goes on, and when the disk answers, so does the server.

use std::time::Duration;
use std::time::Instant;

use serde_json::json;

use crate::support::disk::Disk;
use crate::support::disk::Does;
use crate::support::exporter::Exporter;
use crate::support::http;
use crate::support::wait;

/// Wide: others use the processors too.
const AT_ONCE: Duration = Duration::from_secs(2);
const LIMIT: Duration = Duration::from_secs(30);

/// The answer, which must come at once.
fn at_once(exporter: &Exporter, path: &str) -> (u16, String) {
    let begun = Instant::now();
    let answer = http::get(&format!("{}/{path}", exporter.url)).unwrap();
    assert!(begun.elapsed() < AT_ONCE, "{path}: {:?}", begun.elapsed());
    (answer.status, answer.text)
}

fn is_on_page(exporter: &Exporter, name: &str) -> bool {
    exporter.page("metrics").contains(&format!("event_name=\"{name}\""))
}

#[test]
fn who_waits_for_a_disk_that_hangs_is_told_and_all_else_goes_on() {
    for hangs in [Does::HangInSync, Does::HangInWrite] {
        let disk = Disk::new();
        let mut exporter = Exporter::start_with(&["--storage.sync-timeout=1s"], &disk.environment());
        exporter.put(&json!({"event_name": "before"}));
        disk.does(hangs);
        std::thread::scope(|scope| {
            let sent = scope.spawn(|| exporter.send(&json!({"event_name": "under way"})).unwrap());
            wait::until("it is not ready", LIMIT, || (at_once(&exporter, "-/ready").0 == 503).then_some(()));
            let reason = at_once(&exporter, "-/ready").1;
            assert!(reason.contains("has been waiting for its disk for"), "{reason}");
            assert_eq!(at_once(&exporter, "-/healthy").0, 200);
            assert!(is_on_page(&exporter, "before"));
            let page = exporter.page("metrics");
            let stalled = page.lines().find_map(|line| line.strip_prefix("change_events_log_stalled_seconds ")).unwrap();
            assert!(stalled.parse::<f64>().unwrap() >= 1.0, "{stalled}");
            let answer = sent.join().unwrap();
            assert_eq!(answer.status, 503);
            assert!(answer.text.contains("it is not known whether this was kept"), "{}", answer.text);
        });
        let (begun, answer) = (Instant::now(), exporter.send(&json!({"event_name": "at the door"})).unwrap());
        assert!(begun.elapsed() < AT_ONCE && answer.status == 503 && answer.text.contains("nothing was kept"), "{}", answer.text);
        disk.does(Does::Its);
        wait::until("it takes events again", LIMIT, || (exporter.send(&json!({"event_name": "after"}))?.status == 200).then_some(()));
        assert_eq!(at_once(&exporter, "-/ready").0, 200);
        exporter.kill();
        exporter.start_again();
        assert!(["before", "under way", "after"].iter().all(|name| is_on_page(&exporter, name)));
        assert!(!is_on_page(&exporter, "at the door"));
    }
}

/// What was under way may be there after a restart, and nothing else.
#[test]
fn a_sync_that_fails_is_told_to_those_under_way_and_latches() {
    let disk = Disk::new();
    let mut exporter = Exporter::start_with(&[], &disk.environment());
    exporter.put(&json!({"event_name": "before"}));
    disk.does(Does::FailToSync);
    let told = |name: &str| exporter.send(&json!({ "event_name": name })).unwrap().text;
    assert!(told("under way").contains("it is not known whether this was kept"));
    assert!(told("at the door").contains("until the server is restarted"));
    disk.does(Does::Its);
    exporter.kill();
    exporter.start_again();
    assert!(is_on_page(&exporter, "before") && !is_on_page(&exporter, "at the door"));
}
