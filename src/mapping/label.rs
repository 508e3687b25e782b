//! Labels on their way from attributes.

use std::borrow::Cow;

/// A label on its way: where it came from, and whether it still says exactly what was sent.
#[derive(Clone, Debug)]
pub(super) struct Label<'a> {
    pub name: Cow<'a, str>,
    pub value: &'a str,
    pub path: &'a str,
    /// An attribute, and not from an alias or the cluster.
    pub sent: bool,
    /// The name is the one it came with; it goes before others that became the same.
    pub given: bool,
    pub verbatim: bool,
}

/// The label `name`; compares lengths first, which for the few labels of an event beats every order.
pub(super) fn find<'l, 'a>(labels: &'l [Label<'a>], name: &str) -> Option<&'l Label<'a>> {
    labels.iter().find(|label| *label.name == *name)
}

/// Adds a label that is not there yet, in its place.
pub(super) fn add<'a>(labels: &mut Vec<Label<'a>>, name: &'a str, value: &'a str) {
    let place = labels.partition_point(|label| *label.name < *name);
    labels.insert(place, Label { name: Cow::Borrowed(name), value, path: name, sent: false, given: false, verbatim: false });
}
