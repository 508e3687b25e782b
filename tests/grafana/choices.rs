//! Who chooses a service or an environment sees its events, and those that may concern it: without the label, with `*`,
//! with a list.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use crate::dashboards;
use crate::stage::{MINUTE, Stage, edge, now};
use crate::support::wait;

/// The variables, and the labels that they choose by.
const CHOSEN: [(&str, &str); 2] = [("service", "service_name"), ("environment", "deployment_environment")];

/// The values of each label that are sent; an empty one is an event without it.
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

fn shown(stage: &Stage, dashboard: &str, (variable, label): (&str, &str), choice: String) -> BTreeSet<String> {
    let dashboard = dashboards::named(dashboard);
    let mut values = dashboard.defaults();
    values.insert(variable.to_owned(), choice);
    let panel = dashboard.queries().into_iter().find(|query| query.place.contains("Latest events")).unwrap();
    let found = stage.prometheus.instant(&dashboards::filled(&panel.expression, &values, 15));
    found.iter().map(|series| series.label(label).to_owned()).collect()
}

#[test]
fn a_choice_shows_what_may_concern_it() {
    let Some(stage) = Stage::start() else { return };
    let time = now() - MINUTE;
    let with = |label: &'static str| SENT.iter().map(move |value| edge(label, "", time, &json!({label: value})));
    let events: Vec<_> = CHOSEN.iter().flat_map(|(_, label)| with(label)).collect();
    stage.exporter.put(&events.into());
    let set = |values: &[&str]| values.iter().map(|&value| value.to_owned()).collect::<BTreeSet<_>>();
    for dashboard in ["change-events", "change-events-service"] {
        for by in CHOSEN {
            wait::until("All to show everything", Duration::from_mins(1), || {
                (shown(&stage, dashboard, by, ".*".to_owned()) == set(SENT)).then_some(())
            });
            for (choice, expected) in ROWS {
                assert_eq!(shown(&stage, dashboard, by, dashboards::chosen(choice)), set(expected), "{dashboard}, {by:?} {choice:?}");
            }
        }
    }
}
