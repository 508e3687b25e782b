//! What events say of themselves beside their edges, and the index of their tags.

use super::edges::EdgeKey;
use super::edges::EdgeRow;
use super::number::EdgeNo;
use super::number::IdentityNo;
use super::number::Number as _;
use super::number::Set;
use super::postings::Postings;
use super::sizes::allocated;
use super::sizes::of_details;
use super::sizes::tree;
use crate::event::Details;
use crate::event::Version;
use crate::event::fingerprint;
use crate::event::record::encode_details;
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The details of one event.
#[derive(Clone, Debug)]
pub(super) struct Detailed {
    /// Its own id; `None` when it came as edges.
    pub(super) id: Option<Box<str>>,
    /// Its number, when it has an id of its own; when it came as edges these say it.
    pub(super) number: Option<u64>,
    /// The stop that the same record has, when it came as edges.
    pub(super) stop: Option<EdgeNo>,
    pub(super) details: Arc<Details>,
    /// Of what was put or described, and when.
    pub(super) version: Version,
    /// When it was first put; of an event that came as edges its edges say it.
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
}

/// Details by the edge that they were said of, their *anchor*: when edges come between or go, each event still has what was
/// said of its own, and what was said last of one that several were said of. The anchor stays as long as its event.
#[derive(Debug, Default)]
pub(super) struct DetailTable {
    rows: BTreeMap<EdgeNo, Box<Anchored>>,
    by_identity: BTreeMap<IdentityNo, Anchors>,
    tags: BTreeMap<u128, Postings<EdgeNo>>,
    /// Stops that came with details, and the anchors of these.
    stops: BTreeSet<(EdgeNo, EdgeNo)>,
    /// By when they were said.
    said: BTreeSet<(Timestamp, EdgeNo)>,
    /// The numbers of events with an id of their own that the positions of their anchors do not say.
    numbers: BTreeSet<(u64, EdgeNo)>,
    /// How many there ever were.
    turns: u64,
    /// What they say takes so much, with their tags.
    bytes: usize,
}

/// The anchors of an identity, in the order of its edges.
pub(super) type Anchors = BTreeSet<(EdgeKey, EdgeNo)>;

#[derive(Debug)]
struct Anchored {
    identity: IdentityNo,
    key: EdgeKey,
    /// Which of all that were ever said it is: some may be of one time.
    turn: u64,
    detailed: Detailed,
}

impl Detailed {
    pub(super) fn new(details: &Details, created: Timestamp, updated: Timestamp) -> Self {
        let mut bytes = updated.millis().to_le_bytes().to_vec();
        encode_details(details, &mut bytes);
        Self { id: None, number: None, stop: None, details: Arc::new(details.clone()), version: Version::of(&bytes), created, updated }
    }
}

impl DetailTable {
    /// What was said, in its order, in lines.
    #[cfg(test)]
    pub(super) fn state(&self) -> impl Iterator<Item = String> {
        let Self { rows, by_identity: _, tags: _, stops: _, said: _, numbers: _, turns: _, bytes: _ } = self;
        let mut said: Vec<_> = rows.iter().collect();
        said.sort_unstable_by_key(|(_, anchored)| anchored.turn);
        said.into_iter().map(|(anchor, said)| {
            let Anchored { identity: _, key: _, turn: _, detailed } = &**said;
            format!("said of {anchor:?}: {detailed:?}")
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn get(&self, anchor: EdgeNo) -> Option<&Detailed> {
        self.rows.get(&anchor).map(|anchored| &anchored.detailed)
    }

    /// The bytes that they take. Identities are taken to have a few each.
    pub(super) fn bytes(&self) -> usize {
        let lists = tree(self.by_identity.len(), size_of::<(IdentityNo, Anchors)>())
            + tree(self.said.len(), 16)
            + tree(self.stops.len(), 8)
            + tree(self.numbers.len(), 16);
        let anchors = self.by_identity.len() * tree(1, size_of::<(EdgeKey, EdgeNo)>());
        let rows = tree(self.rows.len(), 16) + self.rows.len() * allocated(size_of::<Anchored>());
        self.bytes + lists + anchors + rows + tree(self.tags.len(), size_of::<(u128, Postings<EdgeNo>)>())
    }

    /// Which of all that were ever said this is.
    pub(super) fn turn(&self, anchor: EdgeNo) -> Option<u64> {
        self.rows.get(&anchor).map(|anchored| anchored.turn)
    }

    /// The anchors of an identity, if it has any.
    pub(super) fn anchors(&self, identity: IdentityNo) -> Option<&Anchors> {
        self.by_identity.get(&identity)
    }

    /// The anchor of the event with an id of its own that has this number, if its position does not say so.
    pub(super) fn numbered(&self, number: u64) -> Option<EdgeNo> {
        self.numbers.range((number, EdgeNo::MIN)..=(number, EdgeNo::MAX)).next().map(|(_, anchor)| *anchor)
    }

    /// Sets what was said of an edge, which this is the row of.
    pub(super) fn insert(&mut self, anchor: EdgeNo, row: &EdgeRow, detailed: Detailed) {
        let (identity, key) = (row.identity, row.key());
        self.remove(anchor);
        for key in keys(&detailed.details) {
            self.tags.entry(key).or_default().insert(anchor);
        }
        self.stops.extend(detailed.stop.map(|stop| (stop, anchor)));
        self.said.insert((detailed.updated, anchor));
        self.numbers.extend(detailed.number.filter(|number| *number != row.position).map(|number| (number, anchor)));
        self.by_identity.entry(identity).or_default().insert((key, anchor));
        self.turns += 1;
        self.bytes += bytes_of(&detailed);
        self.rows.insert(anchor, Box::new(Anchored { identity, key, turn: self.turns, detailed }));
    }

    pub(super) fn remove(&mut self, anchor: EdgeNo) {
        let Some(anchored) = self.rows.remove(&anchor) else { return };
        let Anchored { identity, key, turn: _, detailed } = *anchored;
        self.bytes -= bytes_of(&detailed);
        for key in keys(&detailed.details) {
            if let Some(anchors) = self.tags.get_mut(&key) {
                anchors.remove(anchor);
                if anchors.is_empty() {
                    self.tags.remove(&key);
                }
            }
        }
        if let Some(stop) = detailed.stop {
            self.stops.remove(&(stop, anchor));
        }
        self.said.remove(&(detailed.updated, anchor));
        if let Some(number) = detailed.number {
            self.numbers.remove(&(number, anchor));
        }
        if self.by_identity.get_mut(&identity).is_some_and(|anchors| {
            anchors.remove(&(key, anchor));
            anchors.is_empty()
        }) {
            self.by_identity.remove(&identity);
        }
    }

    /// The anchors of details that may have this tag: the key is a hash, so look again.
    pub(super) fn tagged(&self, tag: Tag<'_>) -> Vec<EdgeNo> {
        let (mut many, mut anchors) = (Set::default(), Vec::new());
        if let Some(postings) = self.tags.get(&tag.hash()) {
            postings.add_to(&mut many, &mut anchors);
        }
        anchors.extend(many.iter());
        anchors
    }

    /// How many [`DetailTable::tagged`] would find.
    pub(super) fn tagged_count(&self, tag: Tag<'_>) -> u64 {
        self.tags.get(&tag.hash()).map_or(0, Postings::len)
    }

    /// The anchors of details that came with this stop.
    pub(super) fn with_stop(&self, stop: EdgeNo) -> impl Iterator<Item = EdgeNo> {
        self.stops.range((stop, EdgeNo::MIN)..=(stop, EdgeNo::MAX)).map(|(_, anchor)| *anchor)
    }

    /// The anchors of what was said before `before`, the latest first.
    pub(super) fn said_back(&self, before: Timestamp) -> impl Iterator<Item = (Timestamp, EdgeNo)> {
        self.said.range(..(before, EdgeNo::MIN)).rev().copied()
    }
}

/// What details take, and four bytes for each of their tags, and for the key of each.
fn bytes_of(detailed: &Detailed) -> usize {
    let Detailed { details, id, .. } = detailed;
    let found_by = details.all_tags().count() + details.all_keys().count();
    of_details(details) + found_by * 4 + id.as_ref().map_or(0, |id| allocated(id.len()))
}

/// What an event may be found by.
#[derive(Clone, Copy, Debug)]
pub(super) enum Tag<'a> {
    /// A key and a value.
    Is(&'a str, &'a str),
    /// A key, with whatever value, or none.
    Has(&'a str),
}

impl Tag<'_> {
    fn hash(self) -> u128 {
        match self {
            // Of `key:value`, wherever the colon between the two is.
            Self::Is(key, value) => fingerprint([format!("{key}:{value}").as_bytes()]),
            Self::Has(key) => fingerprint([key.as_bytes(), b""]),
        }
    }
}

fn keys(details: &Details) -> impl Iterator<Item = u128> {
    let keys = details.all_keys().map(|key| Tag::Has(key).hash());
    details.all_tags().map(|(key, value)| Tag::Is(key, value).hash()).chain(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EdgeState;
    use crate::store::edges::Part;
    use crate::store::number::SeriesNo;

    #[test]
    fn a_tag_leads_to_those_that_have_it_and_to_few_others() {
        let mut table = DetailTable::default();
        let edge = |index| EdgeNo::from_index(index).unwrap();
        let (series, identity) = (SeriesNo::from_index(0).unwrap(), IdentityNo::from_index(0).unwrap());
        for index in 0..100 {
            let tags = vec![("team".into(), vec![format!("{}", index / 2).into(), "all".into()])];
            let detailed = Detailed::new(&Details { tags, ..Details::default() }, Timestamp::default(), Timestamp::default());
            let (at, received, part) = (Timestamp::from_millis(i64::from(index)), Timestamp::default(), Part::alone(EdgeState::Start));
            table.insert(edge(index), &EdgeRow { id: [0; 2], at, received, position: 1, series, identity, part }, detailed);
        }
        table.remove(edge(7));
        let tagged = |value: &str| table.tagged(Tag::Is("team", value));
        assert_eq!((tagged("2"), tagged("3"), tagged("none").len()), (vec![edge(4), edge(5)], vec![edge(6)], 0));
        assert_eq!(tagged("all").len(), 99);
        let has = |key: &str| (table.tagged(Tag::Has(key)).len(), table.tagged_count(Tag::Has(key)));
        assert_eq!((has("team"), has("te"), has("team:all")), ((99, 99), (0, 0), (0, 0)));
    }
}
