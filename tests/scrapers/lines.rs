//! The sample lines of a page of our own metrics, whose label values have no quotes and no commas.

use std::collections::BTreeMap;

use regex::Regex;

pub(crate) type Labels = BTreeMap<String, String>;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Line {
    /// That of the comment above it.
    pub(crate) family: String,
    pub(crate) name: String,
    pub(crate) labels: Labels,
}

pub(crate) fn of(page: &str) -> Vec<Line> {
    let label = Regex::new(r#"(\w+)="([^"]*)""#).unwrap();
    let (mut lines, mut family) = (Vec::new(), String::new());
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            rest.split(' ').next().unwrap().clone_into(&mut family);
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap().to_owned();
            let labels = label.captures_iter(line).map(|found| (found[1].to_owned(), found[2].to_owned())).collect();
            lines.push(Line { family: family.clone(), name, labels });
        }
    }
    lines
}

/// How many lines each family has.
pub(crate) fn counted(lines: &[Line]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for line in lines {
        *counts.entry(&*line.family).or_default() += 1;
    }
    counts
}
