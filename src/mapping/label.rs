//! Labels on their way from attributes.

use std::borrow::Cow;

/// A label on its way: where it came from, and whether it still says exactly what was sent.
#[derive(Clone, Debug)]
pub(super) struct Label<'a> {
    pub name: Cow<'a, str>,
    pub value: Cow<'a, str>,
    /// The name as sent.
    pub path: &'a str,
    pub origin: Origin,
    /// The name is the one it came with; it goes before others that became the same.
    pub given: bool,
    /// The configuration gave it its name.
    pub renamed: bool,
    pub verbatim: bool,
}

/// Where a label comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// An attribute, whose name is that of the label that it becomes.
    Sent,
    /// An attribute that as sent has another name than the label that it becomes.
    Foreign,
    /// An alias, or the cluster.
    Added,
}

impl Label<'_> {
    /// Whether it is an attribute, and not from an alias or the cluster.
    pub(super) fn is_sent(&self) -> bool {
        self.origin != Origin::Added
    }

    /// Whether as sent it has another name than the label that it becomes.
    pub(super) fn is_foreign(&self) -> bool {
        self.origin == Origin::Foreign
    }

    /// Whether it goes by one of the names that `matches` takes: that of the label, or the one as sent.
    pub(super) fn goes_by(&self, matches: impl Fn(&str) -> bool) -> bool {
        matches(&self.name) || self.is_foreign() && matches(self.path)
    }
}

/// The label `name`; compares lengths first, which for the few labels of an event beats every order.
pub(super) fn find<'l, 'a>(labels: &'l [Label<'a>], name: &str) -> Option<&'l Label<'a>> {
    labels.iter().find(|label| *label.name == *name)
}

/// The label `name`, else the attribute that was sent under it and is no label of that name.
pub(super) fn find_either<'l, 'a>(labels: &'l [Label<'a>], sent: &'l [Label<'a>], name: &str) -> Option<&'l Label<'a>> {
    find(labels, name).or_else(|| sent.iter().find(|attribute| attribute.is_foreign() && attribute.path == name))
}

/// Adds a label that is not there yet, in its place.
pub(super) fn add<'a>(labels: &mut Vec<Label<'a>>, name: &'a str, value: Cow<'a, str>) {
    let place = labels.partition_point(|label| *label.name < *name);
    let label =
        Label { name: Cow::Borrowed(name), value, path: name, origin: Origin::Added, given: false, renamed: false, verbatim: false };
    labels.insert(place, label);
}
