//! Who chooses a service sees its events, and those that may concern it: without the label, with `*`, with a list.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use crate::dashboards;
use crate::stage::{MINUTE, Stage, edge, now};
use crate::support::wait;

/// The values of `service_name` that are sent; an empty one is an event without it.
const SENT: &[&str] =
    &["", "*", "checkout", "billing", "billing,checkout", "cart, checkout", "checkout-api", "c++ (a|b).$1", r"back\slash"];

/// What of [`SENT`] is shown for a choice.
const ROWS: &[(&[&str], &[&str])] = &[
    (&["checkout"], &["", "*", "checkout", "billing,checkout", "cart, checkout"]),
    (&["billing"], &["", "*", "billing", "billing,checkout"]),
    (&["billing", "cart"], &["", "*", "billing", "billing,checkout", "cart, checkout"]),
    (&["c++ (a|b).$1"], &["", "*", "c++ (a|b).$1"]),
    (&[r"back\slash"], &["", "*", r"back\slash"]),
    (&["nothing of the kind"], &["", "*"]),
];

fn shown(stage: &Stage, dashboard: &str, service: String) -> BTreeSet<String> {
    let dashboard = dashboards::named(dashboard);
    let mut values = dashboard.defaults();
    values.insert("service".to_owned(), service);
    let panel = dashboard.queries().into_iter().find(|query| query.place.contains("Latest events")).unwrap();
    let found = stage.prometheus.instant(&dashboards::filled(&panel.expression, &values, 15));
    found.iter().map(|series| series.label("service_name").to_owned()).collect()
}

#[test]
fn a_choice_shows_what_may_concern_it() {
    let Some(stage) = Stage::start() else { return };
    let time = now() - MINUTE;
    let events: Vec<_> = SENT.iter().map(|service| edge("release", "", time, &json!({"service_name": service}))).collect();
    stage.exporter.put(&events.into());
    let everything: BTreeSet<_> = SENT.iter().map(|&service| service.to_owned()).collect();
    for dashboard in ["change-events", "change-events-service"] {
        wait::until("All to show everything", Duration::from_mins(1), || {
            (shown(&stage, dashboard, ".*".to_owned()) == everything).then_some(())
        });
        for (choice, expected) in ROWS {
            let expected: BTreeSet<_> = expected.iter().map(|&service| service.to_owned()).collect();
            assert_eq!(shown(&stage, dashboard, dashboards::chosen(choice)), expected, "{dashboard}, {choice:?}");
        }
    }
}
