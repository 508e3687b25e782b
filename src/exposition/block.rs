//! A thousand or so consecutive lines of a page with their labels as text, compressed at most once.
//!
//! Blocks are cut where a line's content says so, not at fixed counts: a line that comes or goes changes one block and
//! leaves the cuts of all others where they were.

use super::entry::Entry;
use super::gzip::Compressor;
use super::gzip::Part;
use super::text::Family;
use super::text::Format;
use super::text::push_label;
use crate::account::Account;
use crate::account::Full;
use crate::account::Item;
use crate::account::Lease;
use crate::account::Whose;
use crate::store::SeriesId;
use crate::store::Tenant;
use crate::threads::Helpers;
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
pub(super) const LOOKED_UP_AT_ONCE: usize = 64;

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

/// Where the memory of blocks comes from, and what for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room<'a> {
    pub(super) account: &'a Account,
    pub(super) item: Item,
    /// Who helps.
    pub(super) helpers: &'a Helpers,
}

/// The lines of some entries.
#[derive(Debug)]
pub(super) struct Block {
    /// The labels of all lines.
    labels: Box<str>,
    lines: Vec<LabelledEntry>,
    /// By family and format, when they were asked for.
    texts: [OnceLock<usize>; 4],
    /// Compressed, by family and format.
    parts: [OnceLock<(Part, Lease)>; 4],
    _lease: Lease,
}

/// How many lines of a block are written, and where the labels of those end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Written {
    lines: usize,
    labels: usize,
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
    /// Looks up the labels of the entries. One whose series is gone has no line. The labels are put together in `labels`, which is the
    /// same for many blocks: memory that is new to the process costs more than what is written into it.
    pub(super) fn of(
        family: Family,
        entries: &[Entry],
        known: &Known<'_>,
        tenant: &Tenant,
        labels: &mut String,
        room: Room<'_>,
    ) -> Result<Self, Full> {
        labels.clear();
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
            look_up(family, unknown, tenant, labels, &mut lines);
            rest = after;
        }
        let labels: Box<str> = labels.as_str().into();
        let bytes = size_of::<Self>() + labels.len() + lines.capacity() * size_of::<LabelledEntry>();
        Ok(Self { labels, lines, texts: Default::default(), parts: Default::default(), _lease: room.lease(bytes)? })
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

    /// How many bytes its lines take as text.
    pub(super) fn text_len(&self, family: Family, format: Format) -> usize {
        let count = || self.labels.len() + self.lines.iter().map(|line| family.line_overhead(&line.entry, format)).sum::<usize>();
        self.texts.get(index(family, format)).map_or_else(count, |len| *len.get_or_init(count))
    }

    /// Appends its lines from where it was written to, as long as `text` has less than `most` bytes; whether there are more.
    pub(super) fn push_lines(&self, text: &mut Vec<u8>, family: Family, format: Format, written: &mut Written, most: usize) -> bool {
        for line in self.lines.iter().skip(written.lines) {
            if text.len() >= most {
                return true;
            }
            let labels = self.labels.get(written.labels..line.end).unwrap_or_default();
            family.push_line(text, labels, &line.entry, format);
            *written = Written { lines: written.lines + 1, labels: line.end };
        }
        false
    }

    /// Whether its lines are compressed already.
    pub(super) fn is_compressed(&self, family: Family, format: Format) -> bool {
        self.part(family, format).get().is_some()
    }

    /// Its lines, compressed.
    pub(super) fn compressed(
        &self,
        family: Family,
        format: Format,
        compressor: &mut Compressor,
        scratch: &mut Vec<u8>,
        room: Room<'_>,
    ) -> Result<&Part, Full> {
        let kept = self.part(family, format);
        if let Some((part, _)) = kept.get() {
            return Ok(part);
        }
        scratch.clear();
        scratch.reserve(self.text_len(family, format));
        self.push_lines(scratch, family, format, &mut Written::default(), usize::MAX);
        let part = compressor.compress(scratch);
        let lease = room.lease(part.deflated.len())?;
        Ok(&kept.get_or_init(|| (part, lease)).0)
    }

    fn part(&self, family: Family, format: Format) -> &OnceLock<(Part, Lease)> {
        let [first, second, third, fourth] = &self.parts;
        match index(family, format) {
            0 => first,
            1 => second,
            2 => third,
            _ => fourth,
        }
    }
}

impl Room<'_> {
    /// There is none.
    pub(super) fn full(self) -> Full {
        Full { item: self.item, whose: Whose::All, share: self.account.shares().of(self.item) }
    }

    fn lease(self, bytes: usize) -> Result<Lease, Full> {
        self.account.lease(self.item, bytes)
    }
}

/// Where a block keeps what depends on these. It is of one of the families that hold edges and open gauges.
fn index(family: Family, format: Format) -> usize {
    usize::from(family == Family::Times) * 2 + usize::from(format == Format::OpenMetrics100)
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
