//! Attributes to labels, and the limits that keep a page within what every scraper takes.
//!
//! In this order: names are brought to the label set, but what the configuration renames as sent, and collisions settled; labels
//! are renamed; canonical ones are added from their aliases; the identity is fixed; labels are dropped; those of the cluster are
//! added; line boundaries are mended; labels beyond the limits are left out (`places`); values are cut. Not for wire formats, nor
//! for what an identity is (`identity`).

use crate::event::EdgeState;
use crate::labels::EVENT_NAME;
use crate::labels::LabelSet;
use crate::labels::mended;
use crate::labels::trimmed;
use crate::mapping::FormatError;
use crate::mapping::Warning;
use crate::mapping::attributes::Flat;
use crate::mapping::edition;
use crate::mapping::edition::Edition;
use crate::mapping::identity::Paired;
use crate::mapping::identity::Pairing;
use crate::mapping::label::Label;
use crate::mapping::label::Origin;
use crate::mapping::label::add;
use crate::mapping::label::find;
use crate::mapping::label::find_either;
use crate::mapping::names::NAME_RULE;
use crate::mapping::names::Patterns;
use crate::mapping::names::RESERVED;
use crate::mapping::names::SENT_RULE;
use crate::mapping::names::is_label_name;
use crate::mapping::names::is_sent_name;
use crate::mapping::names::label_name;
use crate::mapping::options::LabelRules;
use crate::mapping::options::Limits;
use crate::mapping::options::MappingError;
use crate::mapping::options::MappingOptions;
use crate::mapping::places;
use crate::mapping::places::Places;
use crate::mapping::run;
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
    places: Places,
    edition: Edition,
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
        let now = Self::of(options.clone(), Edition::Now)?;
        Ok(Self { before: Some(Box::new(Self::of(edition::before(options), Edition::Before)?)), ..now })
    }

    fn of(options: MappingOptions, edition: Edition) -> Result<Self, MappingError> {
        options.limits.check()?;
        for (canonical, aliases) in &options.aliases {
            check_name("labels.aliases", canonical)?;
            aliases.iter().try_for_each(|alias| check_sent("labels.aliases", alias))?;
        }
        let places = Places::new(&options);
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
            pairing: Pairing::new(options.pairing, options.pairing_by_name, &options.volatile, edition)?,
            limits: options.limits,
            places,
            edition,
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
        let name = self.event_name(incoming.event_name);
        let own = self.events.get(name);
        let mut labels = self.attributes(incoming.attributes)?;
        let mut sent = labels.iter().any(|label| label.is_foreign() || label.path.starts_with(RESERVED)).then(|| by_path(&labels));
        if sent.is_some() {
            leave_reserved(&mut labels, &mut warnings);
            self.rename(&mut labels, own, Names::AsSent);
        }
        settle(&mut labels, &mut warnings);
        if self.renames(own) {
            sent = sent.or_else(|| Some(labels.clone()));
            self.rename(&mut labels, own, Names::OfLabels);
            settle(&mut labels, &mut warnings);
        }
        self.add_aliases(&mut labels, sent.as_deref().unwrap_or_default());
        let attributes = sent.as_deref().unwrap_or(&labels);
        let paired = self.pairing.pair(name, incoming.state, attributes, &labels);
        if self.pairing.is_odd(name, paired.state) {
            warnings.push(Warning::OddStart { event_name: name.to_owned() });
        }
        self.drop(&mut labels, own, incoming);
        for (name, value) in incoming.cluster_labels {
            if find(&labels, name).is_none() {
                add(&mut labels, name, Cow::Borrowed(value));
            }
        }
        let mended = self.mend(name, &mut labels);
        let name = mended.as_deref().unwrap_or(name);
        let limits = &self.limits;
        let is_over = places::is_over(&labels, name, limits);
        let too_long = is_over || labels.iter().any(|label| label.value.len() > limits.value_bytes);
        let uncut = too_long.then(|| LabelSet::unlimited(with_event_name(name, &labels)));
        if is_over {
            let left_out = self.places.leave_out(&mut labels, name, self.allow(own), limits);
            warnings.push(Warning::LeftOut { labels: left_out });
        }
        self.cut(&mut labels, &mut warnings);
        let verbatim = labels.len() == incoming.attributes.members && labels.iter().all(|label| label.verbatim);
        let labels = self.label_set(name, &labels)?;
        Ok(Mapped { labels, verbatim, paired, uncut, warnings })
    }

    /// The name of an event as it counts, and as its label is: without blanks at its ends, unless it has nothing else.
    fn event_name<'n>(&self, sent: &'n str) -> &'n str {
        match trimmed(sent) {
            name if self.edition == Edition::Now && !name.is_empty() => name,
            _ => sent,
        }
    }

    /// The attributes under their label names, unsorted, names that no label has among them.
    fn attributes<'a>(&self, flat: &'a Flat<'a>) -> Result<Vec<Label<'a>>, FormatError> {
        let is_before = self.edition == Edition::Before;
        let mut labels = Vec::with_capacity(flat.attributes.len() + ROOM_FOR_ADDED);
        for attribute in &flat.attributes {
            let path = &*attribute.path;
            let is_reserved = path.starts_with(RESERVED);
            if is_reserved && is_before {
                return Err(FormatError::malformed(format!("attribute {}", quoted(path)), "names that start with __ are reserved"));
            }
            let value = if is_before { &*attribute.value } else { trimmed(&attribute.value) };
            if value.is_empty() {
                continue;
            }
            let name = if is_reserved { Cow::Borrowed(path) } else { label_name(path) };
            let given = *name == *path;
            labels.push(Label {
                name,
                value: Cow::Borrowed(value),
                path,
                origin: if given || is_before { Origin::Sent } else { Origin::Foreign },
                given,
                renamed: false,
                verbatim: given && attribute.verbatim && value.len() == attribute.value.len(),
            });
        }
        Ok(labels)
    }

    fn renames(&self, own: Option<&Rules>) -> bool {
        !self.labels.rename.is_empty() || own.is_some_and(|rules| !rules.rename.is_empty())
    }

    /// Gives labels their new names, those that are found by `names`; a renamed one will give way to one that had the name already.
    fn rename<'l>(&'l self, labels: &mut [Label<'l>], own: Option<&'l Rules>, names: Names) {
        for label in labels {
            let old = match names {
                Names::AsSent if label.is_foreign() => label.path,
                Names::OfLabels if !label.renamed => &*label.name,
                _ => continue,
            };
            let renamed = own.and_then(|rules| rules.renamed(old)).or_else(|| self.labels.renamed(old));
            if let Some(name) = renamed {
                label.name = Cow::Borrowed(name);
                label.renamed = true;
                label.verbatim = false;
            }
            if label.renamed || names == Names::OfLabels {
                label.given = !label.renamed;
            }
        }
    }

    fn add_aliases<'l>(&'l self, labels: &mut Vec<Label<'l>>, sent: &[Label<'l>]) {
        for (canonical, aliases) in &self.aliases {
            if find(labels, canonical).is_none()
                && let Some(value) = aliases.iter().find_map(|alias| find_either(labels, sent, alias)).map(|label| label.value.clone())
            {
                add(labels, canonical, value);
            }
        }
    }

    /// The patterns of the only labels that an event of these rules has, where there are any.
    fn allow<'l>(&'l self, own: Option<&'l Rules>) -> Option<&'l Patterns> {
        own.and_then(|rules| rules.allow.as_ref()).or(self.labels.allow.as_ref())
    }

    /// Takes away what the configuration does not want as labels, and, unless it says which ones it wants, what only one run is about.
    fn drop(&self, labels: &mut Vec<Label<'_>>, own: Option<&Rules>, incoming: &Incoming<'_>) {
        let allow = self.allow(own);
        let is_run = allow.is_none() && self.edition == Edition::Now && run::is_end(incoming.state, incoming.attributes);
        let keeps = |name: &str| {
            let dropped = self.labels.drop.matches(name) || own.is_some_and(|rules| rules.drop.matches(name));
            (dropped, allow.is_none_or(|allow| allow.matches(name)))
        };
        labels.retain(|label| {
            !label.goes_by(|name| keeps(name).0) && label.goes_by(|name| keeps(name).1) && !(is_run && run::is_of_one(label))
        });
    }

    /// Mends the line boundaries of the labels, and of the event's name, which it gives where that was needed.
    fn mend(&self, event_name: &str, labels: &mut [Label<'_>]) -> Option<String> {
        if self.edition == Edition::Before {
            return None;
        }
        for label in labels {
            if let Some(value) = mended(&label.value) {
                label.value = Cow::Owned(value);
                label.verbatim = false;
            }
        }
        mended(event_name)
    }

    fn cut(&self, labels: &mut [Label<'_>], warnings: &mut Vec<Warning>) {
        let limit = self.limits.value_bytes;
        for label in labels.iter_mut().filter(|label| label.value.len() > limit) {
            warnings.push(Warning::Cut { label: label.name.to_string(), bytes: label.value.len(), limit });
            let end = label.value.floor_char_boundary(limit);
            label.value = match std::mem::take(&mut label.value) {
                Cow::Borrowed(value) => Cow::Borrowed(value.get(..end).unwrap_or_default()),
                Cow::Owned(mut value) => {
                    value.truncate(end);
                    Cow::Owned(value)
                }
            };
            label.verbatim = false;
        }
    }

    /// The labels and the event name as one set, if they keep the limits.
    fn label_set(&self, event_name: &str, labels: &[Label<'_>]) -> Result<LabelSet, FormatError> {
        let limits = self.limits;
        if event_name.len() > limits.value_bytes {
            return Err(FormatError::limit(format!("bytes in event_name {}", quoted(event_name)), event_name.len(), limits.value_bytes));
        }
        let bytes = EVENT_NAME.len() + event_name.len();
        if bytes > limits.total_bytes {
            return Err(FormatError::limit("bytes in all labels of the event", bytes, limits.total_bytes));
        }
        LabelSet::from_sorted(with_event_name(event_name, labels)).map_err(|error| FormatError::malformed("attributes", error.to_string()))
    }
}

impl Rules {
    fn new(rules: LabelRules) -> Result<Self, MappingError> {
        for (old, new) in &rules.rename {
            check_sent("labels.rename", old)?;
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
    let pairs = |labels: &'l [Label<'_>]| labels.iter().map(|label| (&*label.name, &*label.value));
    pairs(before).chain([(EVENT_NAME, event_name)]).chain(pairs(after))
}

/// Which names are looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    /// Those that are no names of labels, as sent.
    AsSent,
    /// Those of labels.
    OfLabels,
}

/// All attributes in the order of their names as sent.
fn by_path<'a>(labels: &[Label<'a>]) -> Vec<Label<'a>> {
    let mut sent = labels.to_vec();
    sent.sort_unstable_by(|a, b| (a.path, &a.value).cmp(&(b.path, &b.value)));
    sent
}

/// Takes away what has a name that no label has.
fn leave_reserved(labels: &mut Vec<Label<'_>>, warnings: &mut Vec<Warning>) {
    let reserved = || labels.iter().map(|label| label.path).filter(|path| path.starts_with(RESERVED));
    if let Some(first) = reserved().min() {
        warnings.push(Warning::Reserved { attribute: first.to_owned(), more: reserved().count() - 1 });
        labels.retain(|label| !label.path.starts_with(RESERVED));
    }
}

/// Sorts by name and leaves one label of each: the one that was given its name, else the first by its path.
fn settle(labels: &mut Vec<Label<'_>>, warnings: &mut Vec<Warning>) {
    labels.sort_unstable_by(|a, b| (&a.name, !a.given, a.path, &a.value).cmp(&(&b.name, !b.given, b.path, &b.value)));
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

fn check_sent(key: &'static str, name: &str) -> Result<(), MappingError> {
    if is_sent_name(name) { Ok(()) } else { Err(MappingError::new(key, name, SENT_RULE)) }
}

#[cfg(test)]
mod tests;
