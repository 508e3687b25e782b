//! What has to hold of a dashboard's JSON before anything is asked.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use regex::Regex;
use serde_json::{Value, json};

use crate::dashboards::{self, Dashboard};
use crate::support::exporter::Exporter;
use crate::support::{examples, http};

/// The families that senders fill.
const FAMILIES: &[&str] = &["last9_change_events", "last9_change_events_timestamp_seconds", "last9_change_events_open_timestamp_seconds"];

fn check(dashboard: &Dashboard) {
    let name = &dashboard.name;
    assert_eq!(dashboard.json["uid"], json!(name), "a dashboard's file is called after its uid");
    assert!(name.len() <= 40, "{name}: Grafana refuses a uid of more than 40 characters");
    assert!(dashboard.json["schemaVersion"].as_u64().is_some_and(|version| (39..=42).contains(&version)));
    assert!(dashboard.json.get("id").is_none(), "{name}: an id belongs to one Grafana");
    assert!(!dashboard.json["title"].as_str().unwrap().is_empty());
    check_grid(dashboard);
    for panel in dashboard.panels() {
        let targets = panel["targets"].as_array().unwrap();
        let letters: BTreeSet<_> = targets.iter().map(|target| target["refId"].as_str().unwrap()).collect();
        assert!(!targets.is_empty() && letters.len() == targets.len(), "{name}, {}: letters of its queries", panel["title"]);
        for asked in targets.iter().chain([panel]) {
            assert_eq!(asked["datasource"]["uid"], "${datasource}", "{name}, {}", panel["title"]);
        }
    }
    check_variables(dashboard);
    check_whole_events(dashboard);
    for annotation in dashboard.annotations() {
        assert_eq!(annotation["datasource"]["uid"], "${datasource}");
        assert!(!annotation["tagKeys"].as_str().unwrap().contains(' '), "Grafana does not trim the names between commas");
    }
}

/// The columns are those that Grafana makes annotations of, and nothing is asked that our API does not know.
fn check_whole_events(dashboard: &Dashboard) {
    for annotation in dashboard.whole_events() {
        assert_eq!(annotation["datasource"], json!({"type": "yesoreyeram-infinity-datasource", "uid": "${events}"}));
        let target = &annotation["target"];
        let names = |list: &Value, field: &str| {
            list.as_array().unwrap().iter().map(|one| one[field].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(&target["columns"], "selector"), ["time", "timeEnd", "title", "text", "tags"]);
        assert_eq!(target["url"], "/api/annotations");
        let known = ["from", "to", "tags", "limit", "text"];
        assert!(names(&target["url_options"]["params"], "key").iter().all(|key| known.contains(&key.as_str())), "{target}");
    }
}

fn check_grid(dashboard: &Dashboard) {
    let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard.panels() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{}: two panels with one id", dashboard.name);
        let side = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(side("w") > 0 && side("h") > 0 && side("x") + side("w") <= 24, "{}, {}", dashboard.name, panel["title"]);
        for x in side("x")..side("x") + side("w") {
            for y in side("y")..side("y") + side("h") {
                assert!(taken.insert((x, y)), "{}, {} lies over another panel", dashboard.name, panel["title"]);
            }
        }
    }
}

fn check_variables(dashboard: &Dashboard) {
    let defined: BTreeSet<_> = dashboard.variables().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect();
    let builtin = ["__interval", "__rate_interval", "__range", "__from", "__to"].map(str::to_owned);
    let used: BTreeSet<_> = dashboards::mentioned(&dashboard.json.to_string()).into_iter().collect();
    let unknown: Vec<_> = used.iter().filter(|name| !defined.contains(*name) && !builtin.contains(name) && *name != "__all").collect();
    assert!(unknown.is_empty(), "{} uses {unknown:?}, which it does not define", dashboard.name);
    let idle: Vec<_> = defined.difference(&used).collect();
    assert!(idle.is_empty(), "{} defines {idle:?}, which it does not use", dashboard.name);
    for variable in dashboard.variables().iter().filter(|one| one["includeAll"] == true) {
        assert_eq!(variable["allValue"], ".*", "{}, {}: All has to show events without the label", dashboard.name, variable["name"]);
    }
}

#[test]
fn each_dashboard_is_whole() {
    for dashboard in dashboards::all() {
        check(&dashboard);
    }
}

#[test]
fn one_dashboard_draws_whole_events() {
    let drawing: Vec<_> = dashboards::all().into_iter().filter(|dashboard| !dashboard.whole_events().is_empty()).collect();
    assert_eq!(drawing.iter().map(|dashboard| &*dashboard.name).collect::<Vec<_>>(), ["change-events-service-whole"]);
    assert_eq!((drawing[0].annotations().len(), drawing[0].whole_events().len()), (0, 1));
}

#[test]
fn titles_and_uids_differ() {
    for field in ["uid", "title"] {
        let values: BTreeSet<_> = dashboards::all().iter().map(|dashboard| dashboard.json[field].to_string()).collect();
        assert_eq!(values.len(), dashboards::all().len(), "{field}: {values:?}");
    }
}

#[test]
fn each_dashboard_is_what_the_script_writes() {
    let output = match Command::new("python3").arg(examples::path("grafana/build.py")).arg("--check").output() {
        Ok(output) => output,
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "no python3 to check the dashboards with: {error}");
            return;
        }
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn each_metric_that_a_dashboard_names_exists() {
    let exporter = Exporter::start(&[]);
    exporter.send(&json!([{"event_name": 7}])).unwrap();
    exporter.put(&json!([{"event_name": "deployment"}]));
    let page = exporter.page("metrics");
    let names = Regex::new(r"\b(?:change_events|last9|process)_\w+").unwrap();
    for dashboard in dashboards::all() {
        let expressions = dashboard.queries().into_iter().map(|query| query.expression);
        let choices = dashboard.variables().iter().map(|one| one["query"].to_string());
        for text in expressions.chain(choices) {
            for name in names.find_iter(&text).map(|found| found.as_str()) {
                let known = FAMILIES.contains(&name) || http::metric(&page, name).is_some();
                assert!(known, "{} names {name}, which is not on the page", dashboard.name);
            }
        }
    }
}

#[test]
fn the_provisioning_files_say_where_the_dashboards_are() {
    let read = |name: &str| -> Value { serde_saphyr::from_str(&examples::with(&format!("grafana/provisioning/{name}"), &[])).unwrap() };
    let provider = &read("dashboards/change-events.yml")["providers"][0];
    assert_eq!((&provider["type"], &provider["folder"]), (&json!("file"), &json!("Change events")));
    assert!(provider["options"]["path"].is_string());
    // Who mounts the whole folder has no plugin for it.
    for entry in std::fs::read_dir(examples::path("grafana/provisioning/datasources")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert_eq!(read(&format!("datasources/{name}"))["datasources"][0]["type"], "prometheus", "{name}");
    }
    assert_eq!(read("../infinity.yml")["datasources"][0]["type"], "yesoreyeram-infinity-datasource");
}

#[test]
fn what_a_container_mounts_is_there() {
    let text = examples::with("grafana/README.md", &[]);
    let mount = Regex::new(r"(?m)^ +- \./(\S+):(/\S+):ro$").unwrap();
    let mounted: Vec<(&str, &str)> = mount.captures_iter(&text).map(|found| found.extract().1.into()).collect();
    assert!(mounted.len() >= 4, "{mounted:?}");
    for (from, to) in mounted {
        assert!(examples::path(from).exists(), "{from}");
        assert_eq!(Path::new(from).extension(), Path::new(to).extension(), "{from} at {to}: a file is mounted as one");
    }
}
