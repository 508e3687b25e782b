//! Supersede groups: the starts that close each other. A start closes what an earlier start of its group, of another
//! identity, has open; so between two starts of one identity that are of one group there is either no such rival, and they
//! belong together, or there is, and the second begins anew.

use super::by_time::TimeKey;
use super::number::EdgeNo;
use super::number::GroupNo;
use super::number::IdentityNo;
use super::rows::Rows;
use super::sizes::tree;
use std::collections::BTreeMap;
use std::ops::Bound;

/// Starts in their order: edge and identity.
type Starts = BTreeMap<TimeKey, (EdgeNo, IdentityNo)>;

#[derive(Debug, Default)]
struct Group {
    key: u128,
    starts: Starts,
}

/// A start of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) key: TimeKey,
    pub(super) edge: EdgeNo,
    pub(super) identity: IdentityNo,
}

#[derive(Debug, Default)]
pub(super) struct Groups {
    rows: Rows<GroupNo, Group>,
    by_key: BTreeMap<u128, GroupNo>,
    /// The group of each start that is in one.
    of: BTreeMap<EdgeNo, GroupNo>,
}

impl Groups {
    /// The groups and their starts, in lines.
    #[cfg(test)]
    pub(super) fn state(&self) -> impl Iterator<Item = String> {
        let Self { rows, by_key: _, of: _ } = self;
        let group = |(number, Group { key, starts }): (u32, &Group)| format!("group {number}: {key:x} {starts:?}");
        rows.state().map(group).chain([format!("vacant groups {:?}", rows.vacant())])
    }

    /// The bytes that they take. A group is taken to have as many starts as the others.
    pub(super) fn bytes(&self) -> usize {
        let starts = self.by_key.len() * tree(self.of.len().checked_div(self.by_key.len()).unwrap_or(0), 32);
        self.rows.bytes() + tree(self.by_key.len(), 32) + tree(self.of.len(), 8) + starts
    }

    /// Whether no start is in any group.
    pub(super) fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// Whether there is a group of this key.
    pub(super) fn has(&self, key: u128) -> bool {
        self.by_key.contains_key(&key)
    }

    /// The number of the group of a start.
    pub(super) fn of(&self, edge: EdgeNo) -> Option<GroupNo> {
        self.of.get(&edge).copied()
    }

    /// Adds a start. `None` when there are too many groups.
    pub(super) fn insert(&mut self, key: u128, member: Member) -> Option<()> {
        let number = match self.by_key.get(&key) {
            Some(&known) => known,
            None => self.rows.insert(Group { key, starts: Starts::new() })?,
        };
        self.by_key.insert(key, number);
        self.rows.get_mut(number)?.starts.insert(member.key, (member.edge, member.identity));
        self.of.insert(member.edge, number);
        Some(())
    }

    /// Takes a start out; says which one of another identity is now the last before it.
    pub(super) fn remove(&mut self, member: Member) -> Option<Member> {
        let before = self.rival_before(member);
        let number = self.of.remove(&member.edge)?;
        let group = self.rows.get_mut(number)?;
        group.starts.remove(&member.key);
        if group.starts.is_empty() {
            self.by_key.remove(&group.key);
            self.rows.vacate(number);
        }
        before
    }

    /// The start just before this one in its group, if it is of another identity: that which this one closes.
    pub(super) fn rival_before(&self, member: Member) -> Option<Member> {
        let starts = &self.rows.get(self.of(member.edge)?)?.starts;
        let (&key, &(edge, identity)) = starts.range(..member.key).next_back()?;
        (identity != member.identity).then_some(Member { key, edge, identity })
    }

    /// The start just before a place of a group, whosever it is.
    pub(super) fn before(&self, key: u128, place: TimeKey) -> Option<Member> {
        let starts = &self.rows.get(*self.by_key.get(&key)?)?.starts;
        let (&key, &(edge, identity)) = starts.range(..place).next_back()?;
        Some(Member { key, edge, identity })
    }

    /// The first start of another identity after this one: that which closes its event, if nothing else does. Asked of the
    /// last start of an event, so that few of its own identity follow.
    pub(super) fn rival_after(&self, member: Member) -> Option<Member> {
        let starts = &self.rows.get(self.of(member.edge)?)?.starts;
        let mut later = starts.range((Bound::Excluded(member.key), Bound::Unbounded));
        let (&key, &(edge, identity)) = later.find(|(_, (_, identity))| *identity != member.identity)?;
        Some(Member { key, edge, identity })
    }

    /// Whether a start of another identity stands between this one and `key`, where the next of its identity is.
    pub(super) fn has_rival_between(&self, edge: EdgeNo, from: TimeKey, to: TimeKey) -> bool {
        let Some(group) = self.of(edge).and_then(|number| self.rows.get(number)) else { return false };
        from < to && group.starts.range((Bound::Excluded(from), Bound::Excluded(to))).next().is_some()
    }

    /// How many groups there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }
}
