//! What is dated ahead, as Prometheus sees it: open from its start to its stop, by the clock alone.

use std::time::Duration;

use crate::events::edge;
use crate::events::now;
use crate::support::exporter::Exporter;
use crate::support::prometheus::Prometheus;
use crate::support::{examples, servers, wait};

const LIMIT: Duration = Duration::from_mins(1);
const GAUGE: &str = "last9_change_events_open_timestamp_seconds";

#[test]
fn a_window_that_is_sent_ahead_opens_and_closes_by_itself() {
    let Some(binary) = servers::require("prometheus") else { return };
    let mut exporter = Exporter::start(&[]);
    let rules = examples::path("alerts");
    let replacements = [("127.0.0.1:10555", exporter.target()), ("interval: 1m", "interval: 1s"), ("../alerts", rules.to_str().unwrap())];
    let server = Prometheus::start(&binary, &examples::with("examples/prometheus.yml", &replacements), &[]);
    let begun = now();
    exporter.put(&edge("running", "start", begun - 1000));
    exporter.put(&edge("running", "stop", begun + 9000));
    exporter.put(&edge("planned", "start", begun + 6000));
    exporter.put(&edge("planned", "stop", begun + 14_000));
    let open = || {
        let mut names: Vec<String> = server.instant(GAUGE).iter().map(|one| one.label("entity_id").to_owned()).collect();
        names.sort();
        names
    };
    let becomes = |expected: &[&str]| wait::until(&format!("{expected:?} open"), LIMIT, || (open() == expected).then_some(now()));
    assert!(becomes(&["running"]) < begun + 9000, "one is running from the first scrape on");
    assert!(becomes(&["planned", "running"]) >= begun + 6000, "the other one begins when it is due");
    // Nothing is sent, and a restart in between changes nothing.
    assert!(exporter.terminate().success());
    exporter.start_again();
    assert!(becomes(&["planned"]) >= begun + 9000);
    assert!(becomes(&[]) >= begun + 14_000);
    let sample = r#"last9_change_events{entity_id="planned",event_state="stop"}[1m]"#;
    wait::until("the sample of its stop, at its time", LIMIT, || {
        server.instant(sample).iter().any(|one| one.times() == [begun + 14_000]).then_some(())
    });
}
