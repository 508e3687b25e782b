//! The dashboards as their files have them, and Grafana's way of putting variables into a query.

use std::collections::BTreeMap;

use regex::{Captures, Regex};
use serde_json::Value;

use crate::support::examples;

#[derive(Debug)]
pub(crate) struct Dashboard {
    pub(crate) name: String,
    pub(crate) json: Value,
}

/// One query of a panel or an annotation.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    /// Dashboard, panel and letter, for a failure's text.
    pub(crate) place: String,
    pub(crate) expression: String,
    pub(crate) instant: bool,
}

/// All of them, in the order of their names.
pub(crate) fn all() -> Vec<Dashboard> {
    let entries = std::fs::read_dir(examples::path("grafana/dashboards")).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert_eq!(paths.len(), 5, "the dashboards are {paths:?}");
    let load = |path: &std::path::PathBuf| Dashboard {
        name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
        json: serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap(),
    };
    paths.iter().map(load).collect()
}

pub(crate) fn named(name: &str) -> Dashboard {
    all().into_iter().find(|dashboard| dashboard.name == name).unwrap()
}

impl Dashboard {
    pub(crate) fn list(&self, pointer: &str) -> &[Value] {
        self.json.pointer(pointer).and_then(Value::as_array).unwrap_or_else(|| panic!("{} has no {pointer}", self.name))
    }

    pub(crate) fn panels(&self) -> &[Value] {
        self.list("/panels")
    }

    pub(crate) fn variables(&self) -> &[Value] {
        self.list("/templating/list")
    }

    /// Those that Prometheus answers.
    pub(crate) fn annotations(&self) -> Vec<&Value> {
        self.list("/annotations/list").iter().filter(|annotation| annotation["datasource"]["type"] == "prometheus").collect()
    }

    /// Those that the exporter answers itself.
    pub(crate) fn whole_events(&self) -> Vec<&Value> {
        self.list("/annotations/list").iter().filter(|annotation| annotation["datasource"]["type"] != "prometheus").collect()
    }

    pub(crate) fn queries(&self) -> Vec<Query> {
        let mut queries = Vec::new();
        for panel in self.panels() {
            for target in panel["targets"].as_array().unwrap() {
                let place = format!("{}, panel {}, {}", self.name, panel["title"], target["refId"]);
                let expression = target["expr"].as_str().unwrap().to_owned();
                queries.push(Query { place, expression, instant: target["instant"] == true });
            }
        }
        for annotation in self.annotations() {
            let place = format!("{}, annotation {}", self.name, annotation["name"]);
            let expression = annotation["target"]["expr"].as_str().unwrap().to_owned();
            queries.push(Query { place, expression, instant: false });
        }
        queries
    }

    /// What the variables are when nobody has chosen anything, by name.
    pub(crate) fn defaults(&self) -> BTreeMap<String, String> {
        let default = |variable: &Value| match &variable["current"]["value"] {
            Value::Array(all) if all[..] == ["$__all"] => variable["allValue"].as_str().unwrap().to_owned(),
            Value::String(value) => value.clone(),
            other => panic!("{} starts as {other}", variable["name"]),
        };
        let without_source = self.variables().iter().filter(|variable| variable["type"] != "datasource");
        without_source.map(|variable| (variable["name"].as_str().unwrap().to_owned(), default(variable))).collect()
    }
}

/// The names of the variables in a text.
pub(crate) fn mentioned(text: &str) -> Vec<String> {
    reference().captures_iter(text).map(|found| name_in(&found)).collect()
}

/// A text with its variables put in; one that has no value fails the test.
pub(crate) fn filled(text: &str, values: &BTreeMap<String, String>, step: u32) -> String {
    let fill = |found: &Captures<'_>| match name_in(found).as_str() {
        "__interval" | "__rate_interval" => format!("{step}s"),
        "__range" => "3600s".to_owned(),
        name => values.get(name).unwrap_or_else(|| panic!("{name} has no value in {text}")).clone(),
    };
    reference().replace_all(text, fill).into_owned()
}

/// Values that somebody chose in a list with several choices, escaped and joined as Grafana's Prometheus data source does.
pub(crate) fn chosen(values: &[&str]) -> String {
    let special = Regex::new(r"[$^*{}\[\]'+?.()|]").unwrap();
    let escape = |value: &&str| special.replace_all(&value.replace('\\', r"\\\\"), r"\\$0").into_owned();
    let escaped: Vec<_> = values.iter().map(escape).collect();
    if escaped.len() == 1 { escaped[0].clone() } else { format!("({})", escaped.join("|")) }
}

fn reference() -> Regex {
    // `$1` is of a pattern: Grafana knows no variable of that name, and leaves it.
    Regex::new(r"\$\{(\w+)(?::\w+)?\}|\$([A-Za-z_]\w*)").unwrap()
}

fn name_in(found: &Captures<'_>) -> String {
    found.get(1).or_else(|| found.get(2)).unwrap().as_str().to_owned()
}
