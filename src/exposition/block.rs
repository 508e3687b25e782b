//! A thousand or so consecutive lines of a page with their labels as text, compressed at most once.
//!
//! Blocks are cut where a line's content says so, not at fixed counts: a line that comes or goes changes one block and
//! leaves the cuts of all others where they were.

use super::gzip::Compressor;
use super::gzip::Part;
use super::text::Family;
use super::text::Format;
use super::text::push_label;
use crate::store::SeriesId;
use crate::store::Tenant;
use crate::time::Timestamp;
use hashbrown::HashMap;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::sync::OnceLock;
use xxhash_rust::xxh3::Xxh3;

/// Lines of a block on average.
const LINES_MEAN: u64 = 1024;
/// Most lines of a block.
const LINES_MAX: usize = 4096;

/// Labels of so many lines are looked up at once; the writer waits that long.
const LOOKED_UP_AT_ONCE: usize = 64;

/// A line to be: of an edge, or of an open gauge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) series: SeriesId,
    /// When the sample's place began; of an open gauge the beginning of time.
    pub(super) exposed: Timestamp,
    pub(super) at: Timestamp,
    pub(super) value: f64,
}

impl Entry {
    /// What it shares with no other sample that ever was on a page of this family.
    fn place(&self) -> (SeriesId, Timestamp, Timestamp) {
        (self.series, self.exposed, self.at)
    }
}

/// What keys are made with. Senders choose times and values, and nobody shall be able to make two blocks equal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seed(u64);

impl Default for Seed {
    /// Another one each time.
    fn default() -> Self {
        Self(RandomState::new().hash_one(0))
    }
}

/// What makes two blocks the same: a seeded hash of their entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct BlockKey(u128);

/// The lines of some entries.
#[derive(Debug)]
pub(super) struct Block {
    /// The labels of all lines.
    labels: String,
    lines: Vec<LabelledEntry>,
    /// Compressed, by family and format.
    parts: [OnceLock<Part>; 4],
}

#[derive(Debug)]
struct LabelledEntry {
    entry: Entry,
    /// Where its labels end.
    end: usize,
}

/// Labels of lines that were on a page before.
pub(super) type Known<'a> = HashMap<(SeriesId, Timestamp, Timestamp), &'a str>;

/// Cuts entries into the pieces that become blocks.
pub(super) fn cut(entries: &[Entry]) -> impl Iterator<Item = &[Entry]> {
    let mut rest = entries;
    std::iter::from_fn(move || {
        let ends_block =
            |entry: &Entry| (u64::from(entry.series.number).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32).is_multiple_of(LINES_MEAN);
        let end = rest.iter().take(LINES_MAX).position(ends_block).map_or(rest.len().min(LINES_MAX), |last| last + 1);
        let (piece, after) = rest.split_at(end);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

impl BlockKey {
    pub(super) fn of(family: Family, entries: &[Entry], seed: Seed) -> Self {
        let mut hash = Xxh3::with_seed(seed.0);
        hash.update(&[u8::from(family == Family::Open)]);
        for entry in entries {
            hash.update(&entry.series.number.to_le_bytes());
            hash.update(&entry.series.generation.to_le_bytes());
            hash.update(&entry.exposed.millis().to_le_bytes());
            hash.update(&entry.at.millis().to_le_bytes());
            // It follows from the rest, as far as anybody knows. If not, a page would show a wrong one.
            hash.update(&entry.value.to_bits().to_le_bytes());
        }
        Self(hash.digest128())
    }
}

impl Block {
    /// Looks up the labels of the entries. One whose series is gone has no line.
    pub(super) fn of(family: Family, entries: &[Entry], known: &Known<'_>, tenant: &Tenant) -> Self {
        let mut labels = String::with_capacity(entries.len() * 192);
        let mut lines = Vec::with_capacity(entries.len());
        let mut rest = entries;
        while let Some((&entry, after)) = rest.split_first() {
            if let Some(text) = known.get(&entry.place()) {
                labels.push_str(text);
                lines.push(LabelledEntry { entry, end: labels.len() });
                rest = after;
                continue;
            }
            let unknown = rest.iter().take(LOOKED_UP_AT_ONCE).take_while(|entry| !known.contains_key(&entry.place())).count();
            let (unknown, after) = rest.split_at(unknown);
            look_up(family, unknown, tenant, &mut labels, &mut lines);
            rest = after;
        }
        labels.shrink_to_fit();
        Self { labels, lines, parts: Default::default() }
    }

    /// Adds the labels of its lines.
    pub(super) fn make_known<'a>(&'a self, known: &mut Known<'a>) {
        known.extend(self.lines().map(|(labels, entry)| (entry.place(), labels)));
    }

    fn lines(&self) -> impl Iterator<Item = (&str, &Entry)> {
        let mut begin = 0;
        self.lines.iter().map(move |line| {
            let labels = self.labels.get(begin..line.end).unwrap_or_default();
            begin = line.end;
            (labels, &line.entry)
        })
    }

    /// How many bytes its lines take at most.
    pub(super) fn size_max(&self, family: Family) -> usize {
        self.labels.len() + self.lines.len() * family.line_overhead()
    }

    /// Appends its lines.
    pub(super) fn push_lines(&self, text: &mut Vec<u8>, family: Family, format: Format) {
        for (labels, entry) in self.lines() {
            family.push_line(text, labels, entry, format);
        }
    }

    /// Whether its lines are compressed already.
    pub(super) fn is_compressed(&self, family: Family, format: Format) -> bool {
        self.part(family, format).is_some_and(|part| part.get().is_some())
    }

    /// Its lines, compressed.
    pub(super) fn compressed(&self, family: Family, format: Format, compressor: &mut Compressor, scratch: &mut Vec<u8>) -> Option<&Part> {
        let compress = || {
            scratch.clear();
            scratch.reserve(self.size_max(family));
            self.push_lines(scratch, family, format);
            compressor.compress(scratch)
        };
        self.part(family, format).map(|part| part.get_or_init(compress))
    }

    fn part(&self, family: Family, format: Format) -> Option<&OnceLock<Part>> {
        self.parts.get(usize::from(family == Family::Times) * 2 + usize::from(format == Format::OpenMetrics100))
    }
}

/// Appends the labels of these entries, and a line for each that has any.
fn look_up(family: Family, entries: &[Entry], tenant: &Tenant, labels: &mut String, lines: &mut Vec<LabelledEntry>) {
    let series: Vec<SeriesId> = entries.iter().map(|entry| entry.series).collect();
    let mut last = None;
    let mut begin = labels.len();
    tenant.labels_of(&series, &mut |index, name, value| {
        if last != Some(index) {
            last = Some(index);
            begin = labels.len();
            lines.extend(entries.get(index).map(|&entry| LabelledEntry { entry, end: begin }));
        }
        if family.has_label(name) {
            push_label(labels, begin, name, value);
            if let Some(line) = lines.last_mut() {
                line.end = labels.len();
            }
        }
    });
}
