//! What events say of themselves beside their edges, by the number of their first edge, and the index of their tags.

use super::postings::Postings;
use crate::event::Details;
use crate::event::Version;
use crate::event::fingerprint;
use crate::event::record::encode_details;
use crate::time::Timestamp;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;

/// The details of one event.
#[derive(Clone, Debug)]
pub(super) struct Detailed {
    /// Its own id; `None` when it came as edges.
    pub(super) id: Option<Box<str>>,
    /// The edge that it was described by, when it came as edges. It stays as long as the event: the record names it.
    pub(super) by: Option<u32>,
    pub(super) details: Arc<Details>,
    /// Of what was put or described, and when.
    pub(super) version: Version,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
}

#[derive(Debug, Default)]
pub(super) struct DetailTable {
    rows: HashMap<u32, Box<Detailed>>,
    tags: HashMap<u128, Postings>,
    /// Events that came as edges, by when they were last described: the only ones whose last change is not an edge.
    described: BTreeSet<(Timestamp, u32)>,
}

impl Detailed {
    pub(super) fn new(details: &Details, created: Timestamp, updated: Timestamp) -> Self {
        let mut bytes = updated.millis().to_le_bytes().to_vec();
        encode_details(details, &mut bytes);
        Self { id: None, by: None, details: Arc::new(details.clone()), version: Version::of(&bytes), created, updated }
    }
}

impl DetailTable {
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn get(&self, head: u32) -> Option<&Detailed> {
        self.rows.get(&head).map(|detailed| &**detailed)
    }

    pub(super) fn insert(&mut self, head: u32, detailed: Detailed) {
        self.remove(head);
        for key in keys(&detailed.details) {
            self.tags.entry(key).or_default().insert(head);
        }
        if detailed.id.is_none() {
            self.described.insert((detailed.updated, head));
        }
        self.rows.insert(head, Box::new(detailed));
    }

    pub(super) fn remove(&mut self, head: u32) -> Option<Detailed> {
        let detailed = *self.rows.remove(&head)?;
        for key in keys(&detailed.details) {
            if let Some(heads) = self.tags.get_mut(&key) {
                heads.remove(head);
                if heads.is_empty() {
                    self.tags.remove(&key);
                }
            }
        }
        self.described.remove(&(detailed.updated, head));
        Some(detailed)
    }

    /// The first edges of the events that may have this tag: the key is a hash, so look again.
    pub(super) fn tagged(&self, key: &str, value: &str) -> Vec<u32> {
        let (mut bitmap, mut heads) = (roaring::RoaringBitmap::new(), Vec::new());
        if let Some(postings) = self.tags.get(&tag_key(key, value)) {
            postings.add_to(&mut bitmap, &mut heads);
        }
        heads.extend(bitmap);
        heads
    }

    /// Events that came as edges, the last described first, described before `before`.
    pub(super) fn described_back(&self, before: Timestamp) -> impl Iterator<Item = (Timestamp, u32)> {
        self.described.range(..(before, 0)).rev().copied()
    }
}

/// Of `key:value`, wherever the colon between the two is.
fn tag_key(key: &str, value: &str) -> u128 {
    fingerprint([format!("{key}:{value}").as_bytes()])
}

fn keys(details: &Details) -> impl Iterator<Item = u128> {
    details.all_tags().map(|(key, value)| tag_key(key, value))
}
