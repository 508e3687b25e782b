//! Attributes to labels, and the limits that keep a page within what every scraper takes.
//!
//! In this order: names are brought to the label set and collisions settled; labels are renamed; canonical ones are added
//! from their aliases; the identity is fixed; labels are dropped; those of the cluster are added; values are cut. Not for
//! wire formats, nor for what an identity is (`identity`).

use crate::event::EdgeState;
use crate::labels::EVENT_NAME;
use crate::labels::LabelSet;
use crate::mapping::FormatError;
use crate::mapping::Warning;
use crate::mapping::attributes::Flat;
use crate::mapping::identity::Paired;
use crate::mapping::identity::Pairing;
use crate::mapping::label::Label;
use crate::mapping::label::add;
use crate::mapping::label::find;
use crate::mapping::names::NAME_RULE;
use crate::mapping::names::Patterns;
use crate::mapping::names::is_label_name;
use crate::mapping::names::label_name;
use crate::mapping::options::LabelRules;
use crate::mapping::options::Limits;
use crate::mapping::options::MappingError;
use crate::mapping::options::MappingOptions;
use crate::shown::quoted;
use std::borrow::Cow;
use std::collections::HashMap;

/// Labels that aliases and clusters usually add at most.
const ROOM_FOR_ADDED: usize = 4;

/// How attributes become labels, ready for use.
#[derive(Clone, Debug)]
pub struct Mapping {
    aliases: Vec<(String, Vec<String>)>,
    labels: Rules,
    events: HashMap<String, Rules>,
    pairing: Pairing,
    limits: Limits,
    /// As the build of before would have it.
    before: Option<Box<Mapping>>,
}

impl Default for Mapping {
    #[expect(clippy::expect_used, reason = "a test builds the default options")]
    fn default() -> Self {
        Self::new(MappingOptions::default()).expect("the default options are valid")
    }
}

#[derive(Clone, Debug, Default)]
struct Rules {
    rename: Vec<(String, String)>,
    drop: Patterns,
    allow: Option<Patterns>,
}

/// What a format read of an event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming<'a> {
    pub event_name: &'a str,
    /// Start or stop; `None` when the sender gave none.
    pub state: Option<EdgeState>,
    pub attributes: &'a Flat<'a>,
    pub cluster_labels: &'a [(Box<str>, Box<str>)],
}

/// What the mapping settles of an edge.
#[derive(Debug)]
pub(crate) struct Mapped {
    pub labels: LabelSet,
    /// The labels without `event_name` are the attributes as sent.
    pub verbatim: bool,
    pub(in crate::mapping) paired: Paired,
    /// The labels before they were cut, if they were: what the edge's id is of (see [`LabelSet::unlimited`]).
    pub uncut: Option<String>,
    pub warnings: Vec<Warning>,
}

impl Mapping {
    /// A mapping by `options`, unless they contradict themselves.
    pub fn new(options: MappingOptions) -> Result<Self, MappingError> {
        let before = Self::of(MappingOptions { pairing_by_name: false, ..options.clone() })?;
        Ok(Self { before: Some(Box::new(before)), ..Self::of(options)? })
    }

    fn of(options: MappingOptions) -> Result<Self, MappingError> {
        options.limits.check()?;
        for (canonical, aliases) in &options.aliases {
            check_name("labels.aliases", canonical)?;
            aliases.iter().try_for_each(|alias| check_name("labels.aliases", alias))?;
        }
        let mut events = HashMap::new();
        for (name, rules) in options.events {
            if events.insert(name.clone(), Rules::new(rules)?).is_some() {
                return Err(MappingError::new("labels.events", &name, "given twice"));
            }
        }
        Ok(Self {
            aliases: options.aliases,
            labels: Rules::new(options.labels)?,
            events,
            pairing: Pairing::new(options.pairing, options.pairing_by_name, &options.volatile)?,
            limits: options.limits,
            before: None,
        })
    }

    /// What the build of before would have settled; `None` where it would have refused it.
    pub(crate) fn map_before(&self, incoming: &Incoming<'_>) -> Option<Mapped> {
        self.before.as_ref()?.map(incoming).ok()
    }

    /// What an event may have.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Whether an attribute of this name never identifies an event.
    pub(crate) fn is_volatile(&self, name: &str) -> bool {
        self.pairing.is_volatile(name)
    }

    /// Settles labels and identity.
    pub(crate) fn map(&self, incoming: &Incoming<'_>) -> Result<Mapped, FormatError> {
        let mut warnings = Vec::new();
        let mut labels = named(incoming.attributes, &mut warnings)?;
        let own = self.events.get(incoming.event_name);
        let sent = self.renames(own).then(|| labels.clone());
        if sent.is_some() {
            self.rename(&mut labels, own);
            settle(&mut labels, &mut warnings);
        }
        self.add_aliases(&mut labels);
        let attributes = sent.as_deref().unwrap_or(&labels);
        let paired = self.pairing.pair(incoming.event_name, incoming.state, attributes, &labels);
        if self.pairing.is_odd(incoming.event_name, paired.state) {
            warnings.push(Warning::OddStart { event_name: incoming.event_name.to_owned() });
        }
        labels.retain(|label| self.keeps(own, &label.name));
        for (name, value) in incoming.cluster_labels {
            if find(&labels, name).is_none() {
                add(&mut labels, name, value);
            }
        }
        let too_long = labels.iter().any(|label| label.value.len() > self.limits.value_bytes);
        let uncut = too_long.then(|| LabelSet::unlimited(with_event_name(incoming.event_name, &labels)));
        self.cut(&mut labels, &mut warnings);
        let verbatim = labels.len() == incoming.attributes.members && labels.iter().all(|label| label.verbatim);
        let labels = self.label_set(incoming.event_name, &labels)?;
        Ok(Mapped { labels, verbatim, paired, uncut, warnings })
    }

    fn renames(&self, own: Option<&Rules>) -> bool {
        !self.labels.rename.is_empty() || own.is_some_and(|rules| !rules.rename.is_empty())
    }

    /// Gives labels their new names; a renamed one will give way to one that had the name already.
    fn rename<'l>(&'l self, labels: &mut [Label<'l>], own: Option<&'l Rules>) {
        for label in labels {
            let renamed = own.and_then(|rules| rules.renamed(&label.name)).or_else(|| self.labels.renamed(&label.name));
            label.given = renamed.is_none();
            if let Some(name) = renamed {
                label.name = Cow::Borrowed(name);
                label.verbatim = false;
            }
        }
    }

    fn add_aliases<'l>(&'l self, labels: &mut Vec<Label<'l>>) {
        for (canonical, aliases) in &self.aliases {
            if find(labels, canonical).is_none()
                && let Some(value) = aliases.iter().find_map(|alias| find(labels, alias)).map(|label| label.value)
            {
                add(labels, canonical, value);
            }
        }
    }

    fn keeps(&self, own: Option<&Rules>, name: &str) -> bool {
        let allow = own.and_then(|rules| rules.allow.as_ref()).or(self.labels.allow.as_ref());
        let dropped = self.labels.drop.matches(name) || own.is_some_and(|rules| rules.drop.matches(name));
        !dropped && allow.is_none_or(|allow| allow.matches(name))
    }

    fn cut(&self, labels: &mut [Label<'_>], warnings: &mut Vec<Warning>) {
        let limit = self.limits.value_bytes;
        for label in labels.iter_mut().filter(|label| label.value.len() > limit) {
            warnings.push(Warning::Cut { label: label.name.to_string(), bytes: label.value.len(), limit });
            label.value = label.value.get(..label.value.floor_char_boundary(limit)).unwrap_or_default();
            label.verbatim = false;
        }
    }

    /// The labels and the event name as one set, if they keep the limits.
    fn label_set(&self, event_name: &str, labels: &[Label<'_>]) -> Result<LabelSet, FormatError> {
        let limits = self.limits;
        if event_name.len() > limits.value_bytes {
            return Err(FormatError::limit(format!("bytes in event_name {}", quoted(event_name)), event_name.len(), limits.value_bytes));
        }
        if labels.len() > limits.labels {
            return Err(FormatError::limit("labels of the event", labels.len(), limits.labels));
        }
        if let Some(label) = labels.iter().find(|label| label.name.len() > limits.name_bytes) {
            return Err(FormatError::limit(
                format!("bytes in the label name {}", quoted(&label.name)),
                label.name.len(),
                limits.name_bytes,
            ));
        }
        let bytes = labels.iter().map(|label| label.name.len() + label.value.len()).sum::<usize>() + EVENT_NAME.len() + event_name.len();
        if bytes > limits.total_bytes {
            return Err(FormatError::limit("bytes in all labels of the event", bytes, limits.total_bytes));
        }
        LabelSet::from_sorted(with_event_name(event_name, labels)).map_err(|error| FormatError::malformed("attributes", error.to_string()))
    }
}

impl Rules {
    fn new(rules: LabelRules) -> Result<Self, MappingError> {
        for (old, new) in &rules.rename {
            check_name("labels.rename", old)?;
            check_name("labels.rename", new)?;
        }
        Ok(Self { rename: rules.rename, drop: Patterns::new(&rules.drop), allow: rules.allow.map(|allow| Patterns::new(&allow)) })
    }

    fn renamed(&self, name: &str) -> Option<&str> {
        self.rename.iter().find(|(old, _)| old == name).map(|(_, new)| new.as_str())
    }
}

/// Names and values of the labels, the event's name in its place among them.
fn with_event_name<'l>(event_name: &'l str, labels: &'l [Label<'_>]) -> impl Iterator<Item = (&'l str, &'l str)> {
    let place = labels.partition_point(|label| *label.name < *EVENT_NAME);
    let (before, after) = labels.split_at_checked(place).unwrap_or_default();
    let pairs = |labels: &'l [Label<'_>]| labels.iter().map(|label| (&*label.name, label.value));
    pairs(before).chain([(EVENT_NAME, event_name)]).chain(pairs(after))
}

/// The attributes under their label names, sorted, each name once.
fn named<'a>(flat: &'a Flat<'a>, warnings: &mut Vec<Warning>) -> Result<Vec<Label<'a>>, FormatError> {
    let mut labels = Vec::with_capacity(flat.attributes.len() + ROOM_FOR_ADDED);
    for attribute in &flat.attributes {
        if attribute.path.starts_with("__") {
            return Err(FormatError::malformed(format!("attribute {}", quoted(&attribute.path)), "names that start with __ are reserved"));
        }
        let name = label_name(&attribute.path);
        let given = *name == *attribute.path;
        labels.push(Label {
            name,
            value: &attribute.value,
            path: &attribute.path,
            sent: true,
            given,
            verbatim: given && attribute.verbatim,
        });
    }
    settle(&mut labels, warnings);
    Ok(labels)
}

/// Sorts by name and leaves one label of each: the one that was given its name, else the first by its path.
fn settle(labels: &mut Vec<Label<'_>>, warnings: &mut Vec<Warning>) {
    labels.sort_unstable_by(|a, b| (&a.name, !a.given, a.path, a.value).cmp(&(&b.name, !b.given, b.path, b.value)));
    labels.dedup_by(|next, kept| {
        let same = next.name == kept.name;
        if same {
            match warnings.last_mut() {
                Some(Warning::Collision { label, left_out, .. }) if *label == kept.name => *left_out += 1,
                _ => warnings.push(Warning::Collision { label: kept.name.to_string(), taken: kept.path.to_owned(), left_out: 1 }),
            }
        }
        same
    });
}

fn check_name(key: &'static str, name: &str) -> Result<(), MappingError> {
    if is_label_name(name) { Ok(()) } else { Err(MappingError::new(key, name, NAME_RULE)) }
}

#[cfg(test)]
mod tests;
