//! Causes and effects: the chain of parents of an event, and the tree of what it caused. Both are bounded, and neither
//! follows a circle: an event is there once.

use crate::store::Keep;
use crate::store::Order;
use std::collections::BTreeSet;
use std::collections::HashSet;
use std::sync::Arc;

use crate::doors::ets::view;
use crate::store::ANSWER_BYTES;
use crate::store::Effort;
use crate::store::EventView;
use crate::store::Query;
use crate::store::Tenant;

/// Most events of a trace, and most levels of a tree.
pub(super) const DEPTH_MAX: usize = 100;
/// Most events of a tree.
pub(super) const NODES_MAX: usize = 10_000;

/// What caused an event.
#[derive(Debug, Default)]
pub(super) struct Trace {
    /// The event, its parent, and so on to the root or to the first that is not there.
    pub(super) events: Vec<EventView>,
    /// There are more than are taken.
    pub(super) is_cut: bool,
}

pub(super) fn trace(tenant: &Tenant, id: &str, effort: &Effort) -> Trace {
    let mut chain: Vec<EventView> = Vec::new();
    let mut seen = HashSet::new();
    let mut next = tenant.event(id);
    let mut bytes = 0;
    while let Some(event) = next.filter(|event| seen.insert(event.id.clone())) {
        bytes += event.bytes();
        event.take_from(effort);
        if chain.len() == DEPTH_MAX || ((bytes > ANSWER_BYTES || effort.is_spent()) && !chain.is_empty()) {
            return Trace { events: chain, is_cut: true };
        }
        let parent = view::parent(&event);
        next = if parent.is_empty() { None } else { tenant.event(parent) };
        chain.push(event);
    }
    Trace { events: chain, is_cut: false }
}

/// What a tree does not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Omission {
    /// It has more levels.
    Deeper,
    /// It has more events.
    Larger,
    /// They have more bytes.
    Heavier,
    /// It takes more steps to find all.
    Costlier,
    /// An event is among its own causes.
    Circular,
}

impl Omission {
    fn text(self) -> String {
        match self {
            Self::Deeper => format!("cut at depth {DEPTH_MAX}: ask again from an event further down"),
            Self::Larger => format!("cut at {NODES_MAX} events: ask again from an event further down"),
            Self::Heavier => format!("cut at {} MiB of events: ask again from an event further down", ANSWER_BYTES >> 20),
            Self::Costlier => "cut where finding more took too many steps: ask again from an event further down".to_owned(),
            Self::Circular => "an event is among its own causes; it is shown once".to_owned(),
        }
    }
}

/// An event and what it caused.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// The root first.
    nodes: Vec<Node>,
    omissions: BTreeSet<Omission>,
    /// How many bytes its events have.
    bytes: usize,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) event: Arc<EventView>,
    /// The root has 1.
    pub(super) depth: usize,
    /// There is more below, which is not shown.
    pub(super) is_cut: bool,
    children: Vec<usize>,
}

impl Tree {
    /// What lies below an event, level by level.
    pub(super) fn below(tenant: &Tenant, root: EventView, effort: &Effort) -> Self {
        let mut seen = HashSet::from([root.id.clone()]);
        let mut tree = Self { bytes: root.bytes(), ..Self::default() };
        tree.nodes.push(Node { event: Arc::new(root), depth: 1, is_cut: false, children: Vec::new() });
        let mut place = 0;
        while let Some((id, depth)) = tree.nodes.get(place).map(|node| (node.event.id.clone(), node.depth)) {
            let free = if depth < DEPTH_MAX { NODES_MAX - tree.nodes.len() } else { 0 };
            // One more than there is room for, and the root if it comes round again: nothing else has two ways to it.
            let bytes = ANSWER_BYTES.saturating_sub(tree.bytes);
            let asked = tenant.ask(&Query { bytes, ..children_of(&id, free + 2) }, effort);
            let is_costly = asked.as_ref().map_or(true, |found| found.is_early);
            let found = asked.unwrap_or_default();
            let mut children = Vec::new();
            let mut is_cut = is_costly || (found.next.is_some() && found.events.len() < free + 2);
            let omission = if is_costly { Omission::Costlier } else { Omission::Heavier };
            tree.omissions.extend(is_cut.then_some(omission));
            for event in found.events {
                if seen.contains(&event.id) {
                    tree.omissions.insert(Omission::Circular);
                } else if children.len() < free {
                    seen.insert(event.id.clone());
                    tree.bytes += event.bytes();
                    children.push(tree.nodes.len());
                    tree.nodes.push(Node { event: Arc::new(event), depth: depth + 1, is_cut: false, children: Vec::new() });
                } else {
                    is_cut = true;
                    tree.omissions.insert(if depth == DEPTH_MAX { Omission::Deeper } else { Omission::Larger });
                }
            }
            if let Some(node) = tree.nodes.get_mut(place) {
                (node.children, node.is_cut) = (children, is_cut);
            }
            place += 1;
        }
        tree
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.nodes.iter().any(|node| *node.event.id == *id)
    }

    /// What the tree does not show.
    pub(super) fn warnings(&self) -> Vec<String> {
        self.omissions.iter().map(|omission| omission.text()).collect()
    }

    /// Opens and closes every node in turn, children between the two; `open` is told where the node is among those of its parent.
    pub(super) fn walk(
        self,
        open: impl Fn(&Node, Sibling) -> String + Send + 'static,
        close: impl Fn(&Node) -> String + Send + 'static,
    ) -> impl Iterator<Item = String> + Send + 'static {
        let mut steps = vec![Step::Open(0, Sibling::First)];
        std::iter::from_fn(move || match steps.pop()? {
            Step::Open(place, sibling) => {
                let node = self.nodes.get(place)?;
                steps.push(Step::Close(place));
                let below = node.children.iter().enumerate().rev();
                steps.extend(below.map(|(order, &child)| Step::Open(child, if order == 0 { Sibling::First } else { Sibling::Later })));
                Some(open(node, sibling))
            }
            Step::Close(place) => Some(close(self.nodes.get(place)?)),
        })
    }
}

/// Where a node is among those of its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sibling {
    First,
    Later,
}

enum Step {
    Open(usize, Sibling),
    Close(usize),
}

/// The question for what an event caused.
pub(super) fn children_of(id: &str, limit: usize) -> Query {
    let parent: Box<str> = id.into();
    // A tag may be called `parent_id` too.
    let keep = Keep(Arc::new({
        let parent = parent.clone();
        move |event| view::parent(event) == &*parent
    }));
    let tags = vec![("parent_id".into(), parent.clone())];
    Query { tags, parent: Some(parent), keep: Some(keep), order: Order::End, limit, ..Query::default() }
}
