//! Label names and label sets: what is over their limits goes without a label, and what ends something has the labels of its
//! start, where there is no room for others.
//!
//! Who sent something is not in the log, so it is decided here what labels it has, and the record says it. A sender has half
//! at most of the names that others leave: however many it sends, there are some for others. Who brought which names is
//! remembered until a restart; after that they are nobody's, and who sends on has half of what is left.

use crate::event::Edge;
use crate::event::EdgeId;
use crate::event::EdgeState;
use crate::event::Put;
use crate::event::fingerprint;
use crate::labels::EVENT_NAME;
use crate::labels::LabelSet;
use crate::store::LABEL_NAMES_MAX;
use crate::store::Options;
use crate::store::Tenant;
use std::collections::HashMap;
use std::collections::HashSet;
use std::fmt;

/// Something as it is taken, and what its labels lost.
#[derive(Clone, Debug, PartialEq)]
pub struct Less<T> {
    /// As it is taken.
    pub what: T,
    /// What its labels do not say.
    pub lost: Unlabelled,
}

/// Labels that something goes without, because there is no room for them; it keeps the attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unlabelled {
    /// The name of the first.
    pub label: Box<str>,
    /// How many more there are.
    pub more: usize,
    /// It ends something at the limit of label sets, which is this; else there is no room for new names.
    pub label_sets: Option<usize>,
}

impl fmt::Display for Unlabelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { label, more, label_sets } = self;
        write!(f, "label {label}")?;
        if *more > 0 {
            write!(f, " and {more} more")?;
        }
        match label_sets {
            None => write!(
                f,
                ": left out, there are as many label names as one sender may bring, of {LABEL_NAMES_MAX} half of what others leave"
            )?,
            Some(limit) => write!(f, ": as at its start, there are {limit} label sets already, the most that --limit.label-sets allows")?,
        }
        f.write_str("; the event keeps what was sent")
    }
}

/// What was admitted of label names and label sets.
#[derive(Debug, Default)]
pub(super) struct Labels {
    /// What the tenant had before.
    names: usize,
    /// Label names that it did not have, and who brought each.
    new_names: HashMap<Box<str>, u64>,
    /// How many of them each sender brought.
    new_by_sender: HashMap<u64, usize>,
    /// The names of the edge that was admitted last; most have those of the one before.
    last_names: Vec<Box<str>>,
    /// How many label sets the tenant had before, where that is near the limit, and what it did not have, by hash.
    sets: Option<(usize, HashSet<u128>)>,
}

impl Labels {
    /// `series` is how many the tenant has, where that is near the limit.
    pub(super) fn new(tenant: Option<&Tenant>, series: Option<usize>) -> Self {
        let names = tenant.map_or(0, |tenant| tenant.index.names());
        Self { names, sets: series.map(|series| (series, HashSet::new())), ..Self::default() }
    }

    pub(super) fn new_names(&self) -> impl Iterator<Item = (&str, u64)> {
        self.new_names.iter().map(|(name, sender)| (&**name, *sender))
    }

    fn is_new_name(&self, tenant: Option<&Tenant>, name: &str) -> bool {
        !self.new_names.contains_key(name) && !tenant.is_some_and(|tenant| tenant.index.has_name(name))
    }

    fn has_last_names(&self, edge: &Edge) -> bool {
        edge.labels.iter().map(|(name, _)| name).eq(self.last_names.iter().map(|name| &**name))
    }

    /// How many names a sender may bring now.
    fn room(&self, tenant: Option<&Tenant>, sender: u64) -> usize {
        let before = tenant.map_or(0, |tenant| tenant.index.names_of(sender));
        let own = before + self.new_by_sender.get(&sender).copied().unwrap_or(0);
        let others = (self.names + self.new_names.len()).saturating_sub(own);
        (LABEL_NAMES_MAX.saturating_sub(others) / 2).saturating_sub(own)
    }

    /// The names for which there is no room.
    pub(super) fn over<'e>(&self, tenant: Option<&Tenant>, edge: &'e Edge, sender: u64) -> Vec<&'e str> {
        if self.has_last_names(edge) {
            return Vec::new();
        }
        let names = edge.labels.iter().map(|(name, _)| name);
        let mut new: Vec<&str> = names.filter(|name| *name != EVENT_NAME && self.is_new_name(tenant, name)).collect();
        if new.is_empty() { new } else { new.split_off(self.room(tenant, sender).min(new.len())) }
    }

    /// Whether there are more label sets with these edges than there may be.
    pub(super) fn is_over(&self, tenant: Option<&Tenant>, edges: &[&Edge], options: &Options) -> bool {
        let Some((before, new)) = &self.sets else { return false };
        let is_known = |edge: &Edge| tenant.is_some_and(|tenant| tenant.core.read().find_edge(edge.id()).is_some());
        let more: HashSet<u128> = edges.iter().filter(|edge| !is_known(edge)).filter_map(|edge| self.new_set(tenant, edge)).collect();
        !more.is_empty() && before + new.len() + more.len() > options.label_sets_max
    }

    /// The hash of the edge's label set, if there is none.
    fn new_set(&self, tenant: Option<&Tenant>, edge: &Edge) -> Option<u128> {
        let (_, new) = self.sets.as_ref()?;
        let end = if edge.state == EdgeState::Stop { "stop" } else { "start" };
        let set = fingerprint([edge.cluster.as_bytes(), end.as_bytes(), edge.labels.encoding().as_bytes()]);
        (!new.contains(&set) && !tenant.is_some_and(|tenant| tenant.has_series_of(edge))).then_some(set)
    }

    /// Counts an edge that is admitted.
    pub(super) fn take(&mut self, tenant: Option<&Tenant>, edge: &Edge, id: EdgeId, sender: u64) {
        let is_known = || tenant.is_some_and(|tenant| tenant.core.read().find_edge(id).is_some());
        let set = if self.sets.is_none() || is_known() { None } else { self.new_set(tenant, edge) };
        if let Some((_, new)) = &mut self.sets {
            new.extend(set);
        }
        if self.has_last_names(edge) {
            return;
        }
        for (name, _) in &edge.labels {
            if self.is_new_name(tenant, name) {
                self.new_names.insert(name.into(), sender);
                *self.new_by_sender.entry(sender).or_default() += 1;
            }
        }
        self.last_names = edge.labels.iter().map(|(name, _)| name.into()).collect();
    }
}

/// The event with such edges, if any of them is another one.
pub(super) fn less_of_put(put: &Put, less: impl Fn(&Edge) -> Option<Less<Edge>>) -> Option<Less<Box<Put>>> {
    let (start, stop) = (less(&put.start), put.stop.as_ref().map(&less));
    let lost = start.as_ref().or(stop.as_ref().and_then(Option::as_ref))?.lost.clone();
    let mut what = Box::new(put.clone());
    if let Some(Less { what: start, .. }) = start {
        what.start = start;
    }
    if let Some(Less { what: stop, .. }) = stop.flatten() {
        what.stop = Some(stop);
    }
    Some(Less { what, lost })
}

/// The edge without these labels, which are in its order.
pub(super) fn less(edge: &Edge, id: EdgeId, over: &[&str]) -> Option<Less<Edge>> {
    let (first, others) = over.split_first()?;
    let mut gone = over.iter().peekable();
    let left = edge.labels.iter().filter(|(name, _)| gone.next_if(|gone| *gone == name).is_none());
    let what = edge.clone().with_labels(id, LabelSet::from_sorted(left).ok()?);
    Some(Less { what, lost: Unlabelled { label: (*first).into(), more: others.len(), label_sets: None } })
}

/// The edge with the labels of its start, if they are others.
pub(super) fn as_at_start(edge: &Edge, id: EdgeId, start: &LabelSet, options: &Options) -> Option<Less<Edge>> {
    let other = |(name, value): &(&str, &str)| start.value(name) != Some(value);
    let mut lost = edge.labels.iter().filter(other).chain(start.iter().filter(|(name, _)| edge.labels.value(name).is_none()));
    let (first, _) = lost.next()?;
    let lost = Unlabelled { label: first.into(), more: lost.count(), label_sets: Some(options.label_sets_max) };
    Some(Less { what: edge.clone().with_labels(id, start.clone()), lost })
}
